//! How tokens are signed, and the secrets that sign them.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::Args;

use super::StartError;

/// Bytes of a secret at least: as many as the signature has.
const SHORTEST: usize = 32;

/// How tokens are signed and how long they live.
#[derive(Debug, Clone, Args)]
pub struct TokenConfig {
    /// The secret that tokens and cursors are signed with: at least 32 bytes. Rather an environment
    /// variable than an argument, which others on the machine can read.
    #[arg(long, env = "FEED_JWT_SECRET", value_name = "SECRET", hide_env_values = true)]
    pub jwt_secret: Option<Secret>,

    /// A file that has the secret, in the place of `FEED_JWT_SECRET`; a line end at its end does not count.
    #[arg(long, env = "FEED_JWT_SECRET_FILE", value_name = "FILE")]
    pub jwt_secret_file: Option<PathBuf>,

    /// The secret before this one: what it has signed stays valid, and it signs nothing more.
    #[arg(long, env = "FEED_JWT_SECRET_PREVIOUS", value_name = "SECRET", hide_env_values = true)]
    pub jwt_secret_previous: Option<Secret>,

    /// A file that has the secret before this one, in the place of `FEED_JWT_SECRET_PREVIOUS`.
    #[arg(long, env = "FEED_JWT_SECRET_PREVIOUS_FILE", value_name = "FILE")]
    pub jwt_secret_previous_file: Option<PathBuf>,

    /// Seconds that a token lives.
    #[arg(long, env = "FEED_TOKEN_TTL", value_name = "SECONDS", default_value_t = 30 * 24 * 60 * 60,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub token_ttl: u32,
}

/// A secret that does not print itself.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// What is hidden.
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

/// The secrets of a configuration, wherever it has them from.
#[derive(Debug, Clone)]
pub struct Secrets {
    /// Signs, and is believed.
    pub current: Secret,
    /// Is believed.
    pub previous: Option<Secret>,
}

impl TokenConfig {
    /// Signs with `secret`; tokens live `token_ttl` seconds.
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

    /// The secrets; reads their files.
    ///
    /// # Errors
    /// When there is none to sign with, one is shorter than 32 bytes, or is given twice, or its file cannot be read.
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
                "is not set, nor is FEED_JWT_SECRET_FILE: it signs the tokens and takes at least 32 bytes, as \
                 `openssl rand -hex 32` prints",
            )
        };
        Ok(Secrets { current: current.ok_or_else(none)?, previous })
    }
}

/// The secret that one of two options has.
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
                format!("and {file_option} are both set: one has the secret"),
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

/// What a file has, but for one line end at its end.
fn read(file: &Path) -> Result<Secret, StartError> {
    let what = || format!("cannot read the secret from {}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| StartError::io(what())(error))?;
    let line = text.strip_suffix('\n').map(|text| text.strip_suffix('\r').unwrap_or(text));
    Ok(Secret(line.unwrap_or(&text).to_owned()))
}
