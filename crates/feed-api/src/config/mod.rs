//! The configuration: every option is also an environment variable.

mod environment;
mod limits;
mod tokens;

use std::time::Duration;

use actix_web::http::header::HeaderName;
use clap::Args;
use feed_core::db::{BackupError, Database, DatabaseUrl, Db, Engine, OpenError};
use feed_core::{migrate, text};

pub use environment::{explained, print, refuse_unknown, shown_to_all};
pub use limits::{AdminConfig, LimitConfig, Rate, RateConfig};
pub use tokens::{Secret, Secrets, TokenConfig};

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseConfig {
    /// The database: `sqlite://PATH` for an embedded file, `postgres://…` for a server.
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        default_value = "sqlite://pockitflyer.db",
        hide_env_values = true
    )]
    pub database_url: String,

    /// Connections at most (embedded: readers beside the one writer, each with a cache of up to 64 MB).
    #[arg(long, env = "FEED_DATABASE_CONNECTIONS", value_name = "N", default_value_t = 8,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub database_connections: u32,
}

/// What `serve` needs to know.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// The address and port to listen on; port 0 takes a free one.
    #[arg(long, env = "FEED_BIND", value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub bind: String,

    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseConfig,

    /// Migrate a server's database before serving; an embedded file always is.
    #[arg(long, env = "FEED_MIGRATE")]
    pub migrate: bool,

    /// How tokens are signed.
    #[command(flatten)]
    pub tokens: TokenConfig,

    /// The address that links in answers start with, for a service behind a proxy; without it, the
    /// request's Host is taken.
    #[arg(long, env = "FEED_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Origins whose web pages may call the API, with commas between: `https://app.example.org`, or `*` for all;
    /// without them, none may.
    #[arg(long, env = "FEED_CORS_ORIGINS", value_name = "ORIGINS")]
    pub cors_origins: Option<String>,

    /// Further headers that such pages may send, with commas between: `X-App-Version,X-Device`. Those of this API and
    /// of tracing need not be listed.
    #[arg(long, env = "FEED_CORS_HEADERS", value_name = "HEADERS")]
    pub cors_headers: Option<String>,

    /// Threads that serve HTTP; without it, one a core.
    #[arg(long, env = "FEED_WORKERS", value_name = "N", value_parser = clap::value_parser!(u16).range(1..=512))]
    pub workers: Option<u16>,

    /// What requests may take, each and together.
    #[command(flatten)]
    pub limits: LimitConfig,

    /// How often a caller may ask.
    #[command(flatten)]
    pub rates: RateConfig,

    /// Who sees the inside.
    #[command(flatten)]
    pub admin: AdminConfig,

    /// Seconds between two sweeps, which mark flyers that are over so that feeds pass over them without
    /// looking; 0 leaves it to `feed-api sweep`.
    #[arg(long, env = "FEED_SWEEP_INTERVAL", value_name = "SECONDS", default_value_t = 60)]
    pub sweep_interval: u32,
}

impl ServeConfig {
    /// How often `serve` sweeps, if it does.
    pub(crate) fn sweep_interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.sweep_interval.into())).filter(|interval| !interval.is_zero())
    }

    /// Which web pages may call the API, and with which headers; none where no origin is set.
    ///
    /// # Errors
    /// When an origin is none, or a header's name is none.
    pub fn cors(&self) -> Result<Option<CorsPolicy>, StartError> {
        let headers = self.cors_headers()?;
        Ok(self.cors_origins()?.map(|origins| CorsPolicy { origins, headers }))
    }

    /// Further headers that web pages may send.
    fn cors_headers(&self) -> Result<Vec<HeaderName>, StartError> {
        let Some(list) = self.cors_headers.as_deref().filter(|list| !list.trim().is_empty()) else {
            return Ok(Vec::new());
        };
        let name = |text: &str| {
            // A star is a name as HTTP has it, but browsers would read it as all headers.
            let name = HeaderName::try_from(text).ok().filter(|_| text != "*");
            name.ok_or_else(|| {
                StartError::option(
                    "FEED_CORS_HEADERS",
                    format!(
                        "is bad: {text:?} is no header's name, such as X-App-Version; * is not supported"
                    ),
                )
            })
        };
        list.split(',').map(str::trim).map(name).collect()
    }

    /// Whose web pages may call the API; none where it is not set, or empty.
    fn cors_origins(&self) -> Result<Option<CorsOrigins>, StartError> {
        let list = match self.cors_origins.as_deref().map(str::trim) {
            None | Some("") => return Ok(None),
            Some("*") => return Ok(Some(CorsOrigins::Any)),
            Some(list) => list.split(',').map(str::trim),
        };
        let is_origin = |text: &str| {
            let url = url::Url::parse(text).ok();
            url.is_some_and(|u| u.origin().is_tuple() && u.origin().ascii_serialization() == text)
        };
        match list.clone().find(|text| !is_origin(text)) {
            None => Ok(Some(CorsOrigins::These(list.map(str::to_owned).collect()))),
            Some(bad) => Err(StartError::option(
                "FEED_CORS_ORIGINS",
                format!("is bad: {bad:?} is no origin, such as https://app.example.org; * stands for all"),
            )),
        }
    }

    /// What links start with, without the slash at its end; none where it is not set, or empty.
    ///
    /// # Errors
    /// When it is no absolute http or https URL.
    pub fn public_url(&self) -> Result<Option<String>, StartError> {
        let Some(text) = self.public_url.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let url =
            url::Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        match url {
            Some(url) if url.query().is_none() && url.fragment().is_none() => {
                Ok(Some(url.as_str().trim_end_matches('/').to_owned()))
            }
            _ => Err(StartError::option("FEED_PUBLIC_URL", "is bad: it takes an absolute http or https URL")),
        }
    }
}

/// Which web pages may call the API, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsPolicy {
    /// Whose pages they are.
    pub origins: CorsOrigins,
    /// Headers that they may send besides those of the API.
    pub headers: Vec<HeaderName>,
}

/// Whose web pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// Everybody's.
    Any,
    /// Those of these origins.
    These(Vec<String>),
}

/// Why the service does not start, in one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option that is missing or bad, with the accepted form.
    #[error("{option} {reason}")]
    Option {
        /// The environment variable's name.
        option: &'static str,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// A value that an option does not take, from [`explained`].
    #[error("{0}")]
    Value(String),
    /// A variable of the environment that no option has.
    #[error("{name} is no option of this service{}", meant.as_ref().map(|name| format!("; did you mean {name}?")).unwrap_or_default())]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The option with the most similar name.
        meant: Option<String>,
    },
    /// The database does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database is not copied.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The database's schema is old.
    #[error("the database lacks migrations: run `feed-api migrate`, or serve with --migrate")]
    OldSchema,
    /// The database fails at something that it should do.
    #[error("{}", with_causes(.0))]
    Database(#[from] feed_core::Error),
    /// Nobody reads any more what the command prints.
    #[error("nobody reads the output")]
    NoReader,
    /// Anything of the operating system's.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        source: std::io::Error,
    },
}

/// An error with its causes in one line: the domain hides them from its callers, the operator needs them.
pub(crate) fn with_causes(error: &feed_core::Error) -> String {
    let mut cause = std::error::Error::source(error);
    let mut text = match error {
        // It has nothing to say itself.
        feed_core::Error::Internal(source) => {
            cause = source.source();
            source.to_string()
        }
        error => error.to_string(),
    };
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl StartError {
    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Option { option, reason: reason.into() }
    }

    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::Io { what: what.into(), source }
    }
}

impl DatabaseConfig {
    /// Opens the database, whatever its schema.
    ///
    /// # Errors
    /// When the URL is in none of the accepted forms, or the database does not open.
    pub fn open(&self) -> Result<Database, StartError> {
        Ok(Database::open(&self.url()?, self.database_connections)?)
    }

    /// Where the database is.
    ///
    /// # Errors
    /// When the URL is in none of the accepted forms.
    pub fn url(&self) -> Result<DatabaseUrl, StartError> {
        self.database_url.parse().map_err(|e: feed_core::db::BadDatabaseUrl| {
            StartError::option("DATABASE_URL", format!("is bad: {e}"))
        })
    }

    /// Opens the database with the schema of this binary: an embedded file is migrated, a server's
    /// database only where `migrate` says so.
    ///
    /// # Errors
    /// As [`DatabaseConfig::open`], and when the schema is old and may not be migrated.
    pub fn open_current(&self, migrate: bool) -> Result<Database, StartError> {
        let database = self.open()?;
        if migrate || database.engine() == Engine::Sqlite {
            run_migrations(&database)?;
        } else if database.with_writer(migrate::is_pending)? {
            return Err(StartError::OldSchema);
        }
        Ok(database)
    }
}

/// Writes what the search lacks of flyers and accounts that are older than it, and logs how many they were.
///
/// # Errors
/// From the database.
pub fn complete_texts(database: &Database) -> Result<(), StartError> {
    match text::complete(database)? {
        0 => {}
        written => tracing::info!(written, "texts were made ready for the search"),
    }
    Ok(())
}

/// Runs what migrations the database lacks, logs which, and returns how many they were.
///
/// # Errors
/// When one fails.
pub fn run_migrations(database: &Database) -> Result<usize, StartError> {
    let done = database.with_writer(|connection: &mut Db| migrate::run(connection))?;
    for version in &done {
        tracing::info!(version, "migrated");
    }
    Ok(done.len())
}
