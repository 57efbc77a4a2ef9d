//! What can go wrong while a statement is explained or measured.

use std::fmt;

/// Why a statement could not be explained or measured.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The database refused.
    Database {
        /// What was asked of it.
        doing: String,
        /// What it said.
        source: diesel::result::Error,
    },
    /// The binds of a statement could not be turned back into values from Diesel's debug text of them.
    Binds {
        /// The debug text.
        binds: String,
        /// What of it is not understood.
        reason: String,
    },
    /// A plan was not of the form that is known.
    Plan {
        /// What is missing or strange.
        reason: String,
    },
    /// A statement ran on a SQLite connection that was opened before [`log::install`](crate::log::install).
    Untraced {
        /// The statement.
        sql: String,
    },
    /// A query did not show up in the log: its connection was opened before
    /// [`log::install`](crate::log::install), or has an instrumentation of its own.
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
            Self::Database { doing, source } => write!(f, "{source}, at: {doing}"),
            Self::Binds { binds, reason } => write!(f, "{reason}, in the binds {binds}"),
            Self::Plan { reason } => write!(f, "unknown form of a plan: {reason}"),
            Self::Untraced { sql } => {
                write!(f, "not counted by SQLite, as its connection was opened before log::install(): {sql}")
            }
            Self::Unseen => f.write_str(
                "the query is not in the log: its connection was opened before log::install(), \
                 or has an instrumentation of its own",
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
