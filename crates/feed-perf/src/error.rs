//! The errors of this crate.

use std::fmt;

/// Why a statement could not be explained or measured.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database returned an error.
    Database {
        /// The SQL, or a name for the step.
        doing: String,
        /// The error.
        source: diesel::result::Error,
    },
    /// Diesel's debug text of a statement's binds could not be parsed, or a value does not fit its parameter.
    Binds {
        /// The debug text.
        binds: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The database's description of a plan has an unknown form.
    Plan {
        /// What is missing or unexpected.
        reason: String,
    },
    /// A statement ran on a SQLite connection that was opened before [`log::install`](crate::log::install).
    Untraced {
        /// The statement.
        sql: String,
    },
    /// A query was not recorded. Its connection was opened before [`log::install`](crate::log::install) or has another
    /// instrumentation, or Diesel could not build the query.
    Unseen,
}

impl Error {
    pub(crate) fn database(doing: impl Into<String>) -> impl FnOnce(diesel::result::Error) -> Self {
        |source| Self::Database { doing: doing.into(), source }
    }

    pub(crate) fn plan(reason: impl Into<String>) -> Self {
        Self::Plan { reason: reason.into() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database { doing, source } => {
                write!(f, "the database returned an error: {source}; it ran: {doing}")
            }
            Self::Binds { binds, reason } => write!(f, "cannot read the binds {binds}: {reason}"),
            Self::Plan { reason } => write!(f, "cannot read the plan: {reason}"),
            Self::Untraced { sql } => {
                write!(
                    f,
                    "SQLite did not count this statement: its connection was opened before log::install(): {sql}"
                )
            }
            Self::Unseen => f.write_str(
                "the query was not recorded: its connection was opened before log::install() or has another \
                 instrumentation, or Diesel could not build the query",
            ),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Database { source, .. } => Some(source),
            _ => None,
        }
    }
}
