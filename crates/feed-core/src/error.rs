//! Errors of the domain.

use diesel::result::{DatabaseErrorKind, Error as Diesel};

/// The result type of the domain.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A field of the input that breaks a rule, and the rule.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// The field's name with its path, such as `images[0].url`.
    #[schema(example = "page_size")]
    pub field: String,
    /// The rule, in words that make a sentence after the field's name.
    #[schema(example = "must be a positive integer")]
    pub message: String,
}

/// The largest number of field errors that an answer lists.
pub const MAX_TOLD: usize = 20;

/// The largest number of characters of a field's name and of a message. Both may repeat what the caller sent.
const MAX_CHARACTERS: usize = 200;

impl FieldError {
    /// Creates an error with the field and the message, each cut to 200 characters.
    fn new(field: String, message: String) -> Self {
        Self { field: shortened(field), message: shortened(message) }
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_CHARACTERS) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// An error of the domain.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's account was deleted, or the token was revoked by a sign-out or a new password.
    #[error("the token is no longer valid; sign in again")]
    UnknownCaller,
    /// No account has this e-mail and password. The error does not say which of the two is wrong.
    #[error("wrong e-mail or password")]
    WrongCredentials,
    /// The password was wrong too often in a row. The next try is possible after this number of seconds.
    #[error("the password was wrong too often; try again in {0} s")]
    TooManyFailures(u64),
    /// The named thing does not exist.
    #[error("no such {0}")]
    NotFound(&'static str),
    /// The named thing belongs to another user.
    #[error("only its creator may change this {0}")]
    NotOwner(&'static str),
    /// The value of the named field must be unique, and is in use.
    #[error("this {0} is already taken")]
    Taken(&'static str),
    /// A user tried to follow themselves.
    #[error("Cannot follow yourself")]
    OwnFollow,
    /// The input breaks rules: an error for each field.
    #[error("{}", summary(.0))]
    Invalid(Vec<FieldError>),
    /// No connection was free in time, or the database cannot be reached. A later try may succeed.
    #[error("the database is not available")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A statement exceeded its time limit. A later try, or a request for less, may succeed.
    #[error("the database took too long")]
    TimedOut(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An unexpected error. Its source is for the log only.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error for one field that breaks a rule.
    pub fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(field.into(), message.into())])
    }

    /// Whether a referenced row is missing.
    pub(crate) fn is_missing_reference(error: &Diesel) -> bool {
        matches!(error, Diesel::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _))
    }

    /// Whether a unique value is in use.
    pub(crate) fn is_duplicate(error: &Diesel) -> bool {
        matches!(error, Diesel::DatabaseError(DatabaseErrorKind::UniqueViolation, _))
    }
}

/// The first errors in one sentence, and the number of further ones.
fn summary(errors: &[FieldError]) -> String {
    let told = errors.iter().take(MAX_TOLD).map(|e| format!("{} {}", e.field, e.message));
    let more = errors.len().saturating_sub(MAX_TOLD);
    let more = (more > 0).then(|| format!("and {more} more"));
    told.chain(more).collect::<Vec<_>>().join("; ")
}

/// Classifies an error by Diesel's kind and by the texts of SQLite, which are always English.
///
/// Errors of PostgreSQL that have no kind in Diesel become [`Error::Internal`] here. `db::failure` classifies them
/// afterwards, with the duration of the statement.
impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        let has_text = |texts: &[&str]| match &error {
            Diesel::DatabaseError(_, info) => texts.contains(&info.message()),
            _ => false,
        };
        let is_interrupted = has_text(&["interrupted"]);
        // Another writer holds the lock, the disk is full or fails, or the file is read-only. The request is not at
        // fault.
        let is_unwritable = has_text(&[
            "database is locked",
            "database or disk is full",
            "disk I/O error",
            "attempt to write a readonly database",
        ]);
        match error {
            Diesel::DatabaseError(
                DatabaseErrorKind::ClosedConnection
                | DatabaseErrorKind::UnableToSendCommand
                | DatabaseErrorKind::SerializationFailure
                | DatabaseErrorKind::ReadOnlyTransaction,
                _,
            ) => Self::Unavailable(Box::new(error)),
            // The failed commit tells more than the failed rollback after it.
            Diesel::RollbackErrorOnCommit { commit_error, .. } => Self::from(*commit_error),
            _ if is_interrupted => Self::TimedOut(Box::new(error)),
            _ if is_unwritable => Self::Unavailable(Box::new(error)),
            _ => Self::Internal(Box::new(error)),
        }
    }
}

impl From<garde::Report> for Error {
    fn from(report: garde::Report) -> Self {
        let field = |(path, error): &(garde::Path, garde::Error)| {
            FieldError::new(path.to_string(), error.message().to_owned())
        };
        Self::Invalid(report.iter().map(field).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::{Error, FieldError, MAX_CHARACTERS, MAX_TOLD};

    #[test]
    fn the_first_errors_are_listed_and_the_others_counted() {
        let broken = |n: usize| {
            let errors = (0..n).map(|i| FieldError::new(format!("f{i}"), "is bad".to_owned()));
            Error::Invalid(errors.collect()).to_string()
        };
        assert_eq!(broken(2), "f0 is bad; f1 is bad");
        assert!(broken(MAX_TOLD).ends_with("; f19 is bad"));
        assert!(broken(MAX_TOLD + 3).ends_with("; f19 is bad; and 3 more"));
    }

    #[test]
    fn long_input_is_cut_in_errors() {
        let long = "ä".repeat(100_000);
        let Error::Invalid(errors) = Error::invalid(long.clone(), long) else { unreachable!() };
        let cut = "ä".repeat(MAX_CHARACTERS) + "…";
        assert_eq!((&errors[0].field, &errors[0].message), (&cut, &cut));
    }
}
