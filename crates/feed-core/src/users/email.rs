//! How e-mails are compared and taken apart.

/// The form in which an e-mail is unique: without case.
pub(super) fn email_key(email: &str) -> String {
    email.to_lowercase()
}

/// The part before the @.
pub(super) fn local_part(email: &str) -> &str {
    email.split('@').next().unwrap_or(email)
}
