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

/// Options for the database.
#[derive(Debug, Clone, Args)]
pub struct DatabaseConfig {
    /// The database: `sqlite://PATH` for an SQLite file, `postgres://…` for a PostgreSQL server.
    #[arg(
        long,
        env = "DATABASE_URL",
        value_name = "URL",
        default_value = "sqlite://pockitflyer.db",
        hide_env_values = true
    )]
    pub database_url: String,

    /// Database connections at most. On SQLite these are readers beside the one writer, each with a cache of up to 64
    /// MB.
    #[arg(
        long,
        env = "FEED_DATABASE_CONNECTIONS",
        value_name = "N",
        default_value_t = 8,
        value_parser = clap::value_parser!(u32).range(1..=1000)
    )]
    pub database_connections: u32,
}

/// Options of `serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeConfig {
    /// Address and port to listen on; port 0 takes a free port.
    #[arg(long, env = "FEED_BIND", value_name = "ADDRESS", default_value = "127.0.0.1:8000")]
    pub bind: String,

    /// The database.
    #[command(flatten)]
    pub database: DatabaseConfig,

    /// Migrate a server's database before serving; by default, an old schema is refused. SQLite files are always
    /// migrated.
    #[arg(long, env = "FEED_MIGRATE")]
    pub migrate: bool,

    /// Tokens and their secrets.
    #[command(flatten)]
    pub tokens: TokenConfig,

    /// URL that links in responses start with; without it, links take the request's Host. For a service behind a proxy.
    #[arg(long, env = "FEED_PUBLIC_URL", value_name = "URL")]
    pub public_url: Option<String>,

    /// Origins whose web pages may call the API, separated by commas: `https://app.example.org`, or `*` for all; by
    /// default none may.
    #[arg(long, env = "FEED_CORS_ORIGINS", value_name = "ORIGINS")]
    pub cors_origins: Option<String>,

    /// Further headers that web pages of these origins may send, separated by commas: `X-App-Version,X-Device`. Headers
    /// of this API and of tracing need not be listed.
    #[arg(long, env = "FEED_CORS_HEADERS", value_name = "HEADERS")]
    pub cors_headers: Option<String>,

    /// Threads that serve HTTP; by default one for each core.
    #[arg(
        long,
        env = "FEED_WORKERS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=512)
    )]
    pub workers: Option<u16>,

    /// The limits of requests.
    #[command(flatten)]
    pub limits: LimitConfig,

    /// The rate limits of callers.
    #[command(flatten)]
    pub rates: RateConfig,

    /// The private listener.
    #[command(flatten)]
    pub admin: AdminConfig,

    /// Seconds between two sweeps; with 0, only `feed-api sweep` does it. A sweep marks expired flyers, so that feeds
    /// skip them at no cost.
    #[arg(long, env = "FEED_SWEEP_INTERVAL", value_name = "SECONDS", default_value_t = 60)]
    pub sweep_interval: u32,
}

impl ServeConfig {
    /// The interval of sweeps; none where `serve` does not sweep.
    pub(crate) fn sweep_interval(&self) -> Option<Duration> {
        Some(Duration::from_secs(self.sweep_interval.into())).filter(|interval| !interval.is_zero())
    }

    /// The CORS policy; none where no origin is set.
    ///
    /// # Errors
    /// When an origin or a header's name is invalid.
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
            // HTTP allows a star as a header's name, but browsers would read it as all headers.
            let name = HeaderName::try_from(text).ok().filter(|_| text != "*");
            name.ok_or_else(|| {
                StartError::option(
                    "FEED_CORS_HEADERS",
                    format!(
                        "is invalid: {text:?} is not the name of a header, such as X-App-Version; * is not supported"
                    ),
                )
            })
        };
        list.split(',').map(str::trim).map(name).collect()
    }

    /// The origins whose web pages may call the API; none where the option is not set or empty.
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
                format!(
                    "is invalid: {bad:?} is not an origin, such as https://app.example.org; * stands for all"
                ),
            )),
        }
    }

    /// The URL that links start with, without the slash at its end; none where the option is not set or empty.
    ///
    /// # Errors
    /// When it is not an absolute http or https URL.
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
            _ => Err(StartError::option(
                "FEED_PUBLIC_URL",
                "is invalid: it must be an absolute http or https URL",
            )),
        }
    }
}

/// Which web pages may call the API, and with which headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorsPolicy {
    /// The origins of the pages.
    pub origins: CorsOrigins,
    /// Headers that the pages may send besides those of the API.
    pub headers: Vec<HeaderName>,
}

/// The origins whose web pages may call the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CorsOrigins {
    /// All origins.
    Any,
    /// Only these origins.
    These(Vec<String>),
}

/// Why a command fails, in one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An option that is missing or invalid, with the accepted form.
    #[error("{option} {reason}")]
    Option {
        /// The environment variable's name.
        option: &'static str,
        /// What is wrong and what is accepted.
        reason: String,
    },
    /// A value that an option does not accept, from [`explained`].
    #[error("{0}")]
    Value(String),
    /// A variable of the environment that belongs to no option.
    #[error("{name} is not an option of this service{}", suggestion(meant.as_deref()))]
    UnknownVariable {
        /// The variable.
        name: String,
        /// The option with the most similar name.
        meant: Option<String>,
    },
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database cannot be copied.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The database's schema is old.
    #[error("the database lacks migrations: run `feed-api migrate`, or serve with --migrate")]
    OldSchema,
    /// An operation of the database fails.
    #[error("{}", with_causes(.0))]
    Database(#[from] feed_core::Error),
    /// The reader of the command's output has gone.
    #[error("the reader of the output has gone")]
    NoReader,
    /// An error of the operating system.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// How it failed.
        source: std::io::Error,
    },
}

/// The end of a sentence about an unknown name: it suggests the most similar one, if there is any.
fn suggestion(meant: Option<&str>) -> String {
    meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default()
}

/// An error with its causes, in one line. Callers of the API must not see the causes, but the operator needs them.
pub(crate) fn with_causes(error: &feed_core::Error) -> String {
    let mut cause = std::error::Error::source(error);
    let mut text = match error {
        // It has no text of its own.
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
    /// When the URL has none of the accepted forms, or the database cannot be opened.
    pub fn open(&self) -> Result<Database, StartError> {
        Ok(Database::open(&self.url()?, self.database_connections)?)
    }

    /// Parses the database's URL.
    ///
    /// # Errors
    /// When the URL has none of the accepted forms.
    pub fn url(&self) -> Result<DatabaseUrl, StartError> {
        self.database_url.parse().map_err(|e: feed_core::db::BadDatabaseUrl| {
            StartError::option("DATABASE_URL", format!("is invalid: {e}"))
        })
    }

    /// Opens the database with the schema of this binary. An SQLite file is migrated; a server's database only with
    /// `migrate`.
    ///
    /// # Errors
    /// As [`DatabaseConfig::open`], and when the schema is old and must not be migrated.
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

/// Writes missing search texts of flyers and accounts that are older than the search, and logs how many were written.
///
/// # Errors
/// From the database.
pub fn complete_texts(database: &Database) -> Result<(), StartError> {
    match text::complete(database)? {
        0 => {}
        written => tracing::info!(written, "wrote missing search texts"),
    }
    Ok(())
}

/// Runs the migrations that the database lacks, logs each, and returns how many there were.
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
