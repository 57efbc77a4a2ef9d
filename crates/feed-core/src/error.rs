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

/// So many broken rules are told at most.
pub const MAX_TOLD: usize = 20;

/// Characters of a field's name and of a message at most: either may repeat what the caller sent.
const MAX_CHARACTERS: usize = 200;

impl FieldError {
    /// A field and what its rule asks, each cut to 200 characters.
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
        Self::Invalid(vec![FieldError::new(field.into(), message.into())])
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

/// The first errors in one sentence, and how many more there are.
fn summary(errors: &[FieldError]) -> String {
    let told = errors.iter().take(MAX_TOLD).map(|e| format!("{} {}", e.field, e.message));
    let more = errors.len().saturating_sub(MAX_TOLD);
    let more = (more > 0).then(|| format!("and {more} more"));
    told.chain(more).collect::<Vec<_>>().join("; ")
}

/// By kind, and by the texts of SQLite, which are English everywhere. What PostgreSQL tells by no kind of Diesel's is
/// [`Error::Internal`] here: `db::failure` knows how long it took and tells the rest apart.
impl From<Diesel> for Error {
    fn from(error: Diesel) -> Self {
        let is_told = |texts: &[&str]| matches!(&error, Diesel::DatabaseError(_, info) if texts.contains(&info.message()));
        let is_over = is_told(&["interrupted"]);
        // Another writer is at it; the disk of the file is full or fails; the file may not be written. No request is to
        // blame.
        let is_unwritable = is_told(&[
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
            // The rollback that failed behind it tells less.
            Diesel::RollbackErrorOnCommit { commit_error, .. } => Self::from(*commit_error),
            _ if is_over => Self::TimedOut(Box::new(error)),
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
    fn however_many_rules_are_broken_some_are_told_and_the_rest_is_counted() {
        let broken = |n: usize| {
            let errors = (0..n).map(|i| FieldError::new(format!("f{i}"), "is bad".to_owned()));
            Error::Invalid(errors.collect()).to_string()
        };
        assert_eq!(broken(2), "f0 is bad; f1 is bad");
        assert!(broken(MAX_TOLD).ends_with("; f19 is bad"));
        assert!(broken(MAX_TOLD + 3).ends_with("; f19 is bad; and 3 more"));
    }

    #[test]
    fn what_a_caller_sent_is_repeated_in_part() {
        let long = "ä".repeat(100_000);
        let Error::Invalid(errors) = Error::invalid(long.clone(), long) else { unreachable!() };
        let cut = "ä".repeat(MAX_CHARACTERS) + "…";
        assert_eq!((&errors[0].field, &errors[0].message), (&cut, &cut));
    }
}
