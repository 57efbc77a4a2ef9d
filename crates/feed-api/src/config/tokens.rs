//! Options for tokens and the secrets that sign them.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::StartError;

/// Bytes of a secret at least. The signature has as many.
const SHORTEST: usize = 32;

/// How tokens are signed and how long they are valid.
#[derive(Debug, Clone, Args)]
pub struct TokenConfig {
    /// The secret that signs tokens and cursors, at least 32 bytes; it has no default. Set the environment variable,
    /// not this option: others on the machine can read a command line.
    #[arg(long, env = "FEED_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,

    /// A file that contains the secret, instead of `FEED_JWT_SECRET`. One line break at its end is ignored.
    #[arg(long, env = "FEED_JWT_SECRET_FILE", value_name = "FILE")]
    pub jwt_secret_file: Option<PathBuf>,

    /// The previous secret, while the secret is being changed. What it has signed stays valid; it signs nothing new.
    #[arg(long, env = "FEED_JWT_SECRET_PREVIOUS", value_name = "SECRET", hide_env_values = true)]
    pub jwt_secret_previous: Option<Secret>,

    /// A file that contains the previous secret, instead of `FEED_JWT_SECRET_PREVIOUS`.
    #[arg(long, env = "FEED_JWT_SECRET_PREVIOUS_FILE", value_name = "FILE")]
    pub jwt_secret_previous_file: Option<PathBuf>,

    /// Seconds for which a token is valid.
    #[arg(
        long,
        env = "FEED_TOKEN_TTL",
        value_name = "SECONDS",
        default_value_t = 30 * 24 * 60 * 60,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub token_ttl: u32,
}

/// A secret, which `Debug` does not print.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets of a configuration, from its variables or files.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs and verifies.
    pub current: Secret,
    /// Only verifies.
    pub previous: Option<Secret>,
}

impl TokenConfig {
    /// Signs with `secret`. Tokens are valid for `token_ttl` seconds.
    #[must_use]
    pub fn new(secret: Secret, token_ttl: u32) -> Self {
        Self {
            jwt_secret: Some(secret),
            jwt_secret_file: None,
            jwt_secret_previous: None,
            jwt_secret_previous_file: None,
            token_ttl,
        }
    }

    /// Returns the secrets, read from their files where these are set.
    ///
    /// # Errors
    /// When no current secret is set, a secret is shorter than 32 bytes or is set twice, or its file cannot be read.
    pub fn secrets(&self) -> Result<Secrets, StartError> {
        let current = secret(
            ["FEED_JWT_SECRET", "FEED_JWT_SECRET_FILE"],
            self.jwt_secret.as_ref(),
            self.jwt_secret_file.as_deref(),
        )?;
        let previous = secret(
            ["FEED_JWT_SECRET_PREVIOUS", "FEED_JWT_SECRET_PREVIOUS_FILE"],
            self.jwt_secret_previous.as_ref(),
            self.jwt_secret_previous_file.as_deref(),
        )?;
        let none = || {
            StartError::option(
                "FEED_JWT_SECRET",
                "is not set, nor is FEED_JWT_SECRET_FILE: it signs the tokens and needs at least 32 bytes, for example \
             those of `openssl rand -hex 32`",
            )
        };
        Ok(Secrets { current: current.ok_or_else(none)?, previous })
    }
}

/// The secret of a pair of options, of which at most one is set.
fn secret(
    [option, file_option]: [&'static str; 2],
    given: Option<&Secret>,
    file: Option<&Path>,
) -> Result<Option<Secret>, StartError> {
    let (option, secret) = match (given, file) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            return Err(StartError::option(
                option,
                format!("and {file_option} are both set: set only one of them"),
            ));
        }
        (Some(secret), None) => (option, secret.clone()),
        (None, Some(file)) => (file_option, read(file)?),
    };
    match secret.0.len() {
        SHORTEST.. => Ok(Some(secret)),
        0 => Err(StartError::option(option, format!("is empty and needs at least {SHORTEST} bytes"))),
        bytes => Err(StartError::option(option, format!("has {bytes} bytes and needs at least {SHORTEST}"))),
    }
}

/// Reads a file, without one line break at its end.
fn read(file: &Path) -> Result<Secret, StartError> {
    let what = || format!("cannot read the secret from {}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| StartError::io(what())(error))?;
    let line = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Secret(line.unwrap_or(&text).to_owned()))
}
