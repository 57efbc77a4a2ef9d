//! Password hashes: argon2id with OWASP's parameters (19 MiB, 2 passes, 1 lane).
//!
//! A hash or a check takes some 20 ms of one core by design: callers keep it off their async threads.

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Argon2, PasswordHash};

use crate::error::{Error, Result};

/// Hashes `password` with a salt of its own.
///
/// # Errors
/// [`Error::Internal`] when the system has no randomness.
pub fn hash(password: &str) -> Result<String> {
    let hash = Argon2::default().hash_password(password.as_bytes());
    hash.map(|h| h.to_string()).map_err(|e| Error::Internal(Box::new(e)))
}

/// Whether `password` is the one that `hash` was made of.
///
/// Where there is no hash (no such account) it does the same work, and says no: the time tells nothing.
#[must_use]
pub fn matches(password: &str, hash: Option<&str>) -> bool {
    let parsed = PasswordHash::new(hash.unwrap_or(NOBODY));
    let right = parsed.is_ok_and(|h| Argon2::default().verify_password(password.as_bytes(), &h).is_ok());
    right && hash.is_some()
}

/// A hash of the same parameters as all others, for accounts that do not exist.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                      pmW0aZ8BLGHPFv0D8jXWPHDHAkPFsKnDFHhyf2ZMdqE";

#[cfg(test)]
mod tests {
    use super::{NOBODY, hash, matches};

    #[test]
    fn only_the_right_password_matches() {
        let hashed = hash("correct horse").unwrap();
        assert!(matches("correct horse", Some(&hashed)));
        assert!(!matches("correct hors", Some(&hashed)));
        assert!(!matches("correct horse", None));
        assert!(!matches("correct horse", Some("damaged")));
        assert_ne!(hashed, hash("correct horse").unwrap(), "each hash has a salt of its own");
    }

    #[test]
    fn the_stand_in_has_the_parameters_of_every_hash() {
        let parameters = |h: &str| h.split('$').nth(3).map(str::to_owned);
        let fresh = hash("x").unwrap();
        assert_eq!(parameters(NOBODY), parameters(&fresh));
        assert_eq!(parameters(NOBODY).unwrap(), "m=19456,t=2,p=1");
        assert_eq!(NOBODY.len(), fresh.len());
    }
}
