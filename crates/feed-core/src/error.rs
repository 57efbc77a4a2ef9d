//! What can go wrong in the domain.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// The domain's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A field of the input that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field's name as the caller wrote it, with its path: `images[0].url`.
    #[schema(example = "page_size")]
    pub field: String,
    /// What the rule asks: with the field before it, a sentence for people.
    #[schema(example = "must be a positive integer")]
    pub message: String,
}

/// Why the domain refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's account is gone, or has ended the token: by a sign-out or another password.
    #[error("the token is no longer valid; sign in again")]
    UnknownCaller,
    /// E-mail and password do not match an account; which of the two is not told.
    #[error("wrong e-mail or password")]
    WrongCredentials,
    /// The password was wrong too often in a row: the next try is in so many seconds.
    #[error("the password was wrong too often; try again in {0} s")]
    TooManyFailures(u64),
    /// The thing that was asked for is not there.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The thing is another user's.
    #[error("only its creator may change this {0}")]
    NotOwner(&'static str),
    /// A value that must be unique is in use.
    #[error("this {0} is already taken")]
    Taken(&'static str),
    /// Nobody follows themselves.
    #[error("Cannot follow yourself")]
    OwnFollow,
    /// The input breaks rules, each with its field.
    #[error("{}", summary(.0))]
    Invalid(Vec<FieldError>),
    /// No connection came free in time, or the database is away: worth another try.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A statement took longer than it may: worth another try, or a smaller question.
    #[error("the database took too long for this")]
    TimedOut(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Anything that should not happen; its text is for the log alone.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// One field that breaks a rule.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError { field: field.into(), message: message.into() }])
    }

    /// Whether `error` says that a referenced row is not there.
    pub(crate) fn is_missing_reference(error: &Diesel) -> bool {
        matches!(error, Diesel::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))
    }

    /// Whether `error` says that a unique value is in use.
    pub(crate) fn is_duplicate(error: &Diesel) -> bool {
        matches!(error, Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
    }
}

fn summary(errors: &[FieldError]) -> String {
    let lines: Vec<_> = errors.iter().map(|e| format!("{} {}", e.field, e.message)).collect();
    lines.join("; ")
}

impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        // SQLite tells of a lock that did not come free and of a deadline only by its text, and so does Diesel of what
        // PostgreSQL has ended.
        let is_told = |texts: &[&str]| matches!(&error, Diesel::DatabaseError(_, info) if texts.contains(&info.message()));
        let is_over = is_told(&[
            "interrupted",
            "canceling statement due to statement timeout",
            "canceling statement due to user request",
        ]);
        let is_busy =
            is_told(&["database is locked", "deadlock detected", "canceling statement due to lock timeout"]);
        // The file's disk is full or fails, or it may not be written: nothing that a request is to blame for.
        let is_unwritable =
            is_told(&["database or disk is full", "disk I/O error", "attempt to write a readonly database"]);
        match error {
            Diesel::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::SerializationFailure,
                _,
            ) => Self::Unavailable(Box::new(error)),
            _ if is_over => Self::TimedOut(Box::new(error)),
            _ if is_busy || is_unwritable => Self::Unavailable(Box::new(error)),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<garde::Report> for Error {
    fn from(report: garde::Report) -> Self {
        let field = |(path, error): &(garde::Path, garde::Error)| FieldError {
            field: path.to_string(),
            message: error.message().to_owned(),
        };
        Self::Invalid(report.iter().map(field).collect())
    }
}
