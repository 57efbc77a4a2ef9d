//! Password hashes (argon2id with OWASP's parameters: 19 MiB, 2 passes, 1 lane) and common passwords.
//!
//! Hashing or checking a password takes some 20 ms of one core by design. Callers must not do it on async threads.

use std::collections::HashSet;
use std::sync::{LazyLock, Mutex, PoisonError};

use argon2::password_hash::phc::{Output, Salt};
use argon2::{Algorithm, Argon2, Block, Params, PasswordHash, Version};
use icu_normalizer::ComposingNormalizerBorrowed;

use crate::error::{Error, Result};
use crate::text;

/// The name of the service, in the form that [`compared`] returns.
const SERVICE: &str = "pockitflyer";

/// A part of this many characters makes a weak password, however often it is repeated.
const SHORT: usize = 4;

/// Common passwords, in the form that [`compared`] returns: 11,611 of 8 characters and more.
///
/// `data/README.md` names their source.
static COMMON: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("../data/common_passwords.txt").lines().collect());

/// The password in the form in which it is compared with forbidden ones: trimmed, normalized (NFKC) and without case.
#[must_use]
pub fn compared(password: &str) -> String {
    text::fold(&ComposingNormalizerBorrowed::new_nfkc().normalize(password.trim()))
}

/// Whether the password is a common one.
///
/// It is common if it is in the list, with digits and punctuation after it or without; if it is the service's name with
/// nothing but those added; if it is a sequence; or if it repeats a part that is short or in the list.
#[must_use]
pub fn is_common(password: &str) -> bool {
    let password = compared(password);
    let letters: String = password.chars().filter(|c| c.is_alphabetic()).collect();
    let is_listed = |text: &str| COMMON.contains(text);
    let base = password.trim_end_matches(|c: char| !c.is_alphabetic());
    let characters: Vec<char> = password.chars().collect();
    let repeats = |length: usize| {
        let unit = &characters[..length];
        characters.chunks(length).all(|part| unit.starts_with(part))
            && (length <= SHORT || is_listed(&unit.iter().collect::<String>()))
    };
    letters == SERVICE
        || is_listed(&password)
        || is_listed(base)
        || is_sequence(&characters)
        || (1..=characters.len() / 2).any(repeats)
}

/// Whether each character follows the one before it in the alphabet or among the digits, or each precedes it.
fn is_sequence(characters: &[char]) -> bool {
    let steps = |step: i64| {
        characters
            .windows(2)
            .all(|pair| i64::from(u32::from(pair[1])) - i64::from(u32::from(pair[0])) == step)
    };
    characters.len() > 1 && (steps(1) || steps(-1))
}

/// A password of 80 random bits, in letters and digits that cannot be mistaken for each other.
#[must_use]
pub fn random() -> String {
    const SYMBOLS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let symbols = rand::random::<[u8; 16]>().map(|byte| char::from(SYMBOLS[usize::from(byte % 32)]));
    let groups: Vec<String> = symbols.chunks(4).map(|group| group.iter().collect()).collect();
    groups.join("-")
}

/// Hashes `password` with a random salt.
///
/// # Errors
/// [`Error::Internal`] when argon2 fails.
pub fn hash(password: &str) -> Result<String> {
    let fail = |error: argon2::password_hash::Error| Error::Internal(Box::new(error));
    let argon2 = Argon2::default();
    let salt = rand::random::<[u8; Salt::RECOMMENDED_LENGTH]>();
    let salt = Salt::new(&salt).map_err(|e| fail(e.into()))?;
    let hash = PasswordHash {
        algorithm: Algorithm::default().ident(),
        version: Some(Version::default().into()),
        params: argon2.params().try_into().map_err(fail)?,
        hash: Some(output(&argon2, password, &salt).map_err(fail)?),
        salt: Some(salt),
    };
    Ok(hash.to_string())
}

/// Whether `hash` is a hash of `password`.
///
/// Without a hash (no such account) it does the same work and returns false, so that the time reveals nothing.
#[must_use]
pub fn matches(password: &str, hash: Option<&str>) -> bool {
    let parsed = PasswordHash::new(hash.unwrap_or(DUMMY_HASH));
    let right = parsed.is_ok_and(|parsed| is_hash_of(password, &parsed).unwrap_or(false));
    right && hash.is_some()
}

fn is_hash_of(password: &str, hash: &PasswordHash) -> argon2::password_hash::Result<bool> {
    let (Some(salt), Some(expected)) = (&hash.salt, &hash.hash) else { return Ok(false) };
    let version = hash.version.map(Version::try_from).transpose()?.unwrap_or_default();
    let argon2 = Argon2::new(hash.algorithm.as_str().try_into()?, version, Params::try_from(hash)?);
    // `Output` compares in constant time.
    Ok(output(&argon2, password, salt)? == *expected)
}

/// The argon2 output of the password. It is computed in a buffer from [`MEMORY`], which is returned afterwards.
fn output(argon2: &Argon2<'_>, password: &str, salt: &Salt) -> argon2::password_hash::Result<Output> {
    let length = argon2.params().output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN);
    let blocks = argon2.params().block_count();
    let mut memory = MEMORY.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default();
    memory.resize(memory.len().max(blocks), Block::new());
    let mut out = [0; Output::MAX_LENGTH];
    let out = out.get_mut(..length).ok_or(argon2::password_hash::Error::OutputSize)?;
    let hashed = argon2.hash_password_into_with_memory(password.as_bytes(), salt, out, &mut memory[..blocks]);
    MEMORY.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
    hashed?;
    Ok(Output::new(out)?)
}

/// Buffers for hashing, 19 MiB each. There are as many as hashes ever ran at once, which callers limit.
///
/// They are kept because freeing them would not help. The allocator keeps what a thread frees, a block for each thread
/// that ever hashed.
static MEMORY: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// A hash with the same parameters as all others. Passwords for e-mails without an account are checked against it.
const DUMMY_HASH: &str = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$\
                      pmW0aZ8BLGHPFv0D8jXWPHDHAkPFsKnDFHhyf2ZMdqE";

#[cfg(test)]
mod tests {
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};
    use argon2::{Argon2, PasswordHash};

    use super::{COMMON, DUMMY_HASH, MEMORY, compared, hash, is_common, matches, random};

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
    fn common_passwords_are_recognised() {
        for common in [
            "password",
            "PassWord",
            " 12345678 ",
            "ｐａｓｓｗｏｒｄ",
            "PockitFlyer",
            "pockit-flyer2026!",
            "qwertyuiop",
            "00000000",
            "aaaaaaaa",
            "87654321",
            "abcdefgh",
            "123123123",
            "12341234",
            "passwordpassword",
            "Password123!",
        ] {
            assert!(is_common(common), "{common}");
        }
        for other in
            ["correct horse", "battery staple", "äöüßéèçà", "pockitflyers", "passwort im Hof", &random()]
        {
            assert!(!is_common(other), "{other}");
        }
        assert!(COMMON.len() > 10_000);
        assert!(COMMON.iter().all(|common| compared(common) == *common && common.len() >= 8));
    }

    #[test]
    fn a_random_password_is_long_and_never_the_same() {
        let passwords: std::collections::BTreeSet<_> = (0..100).map(|_| random()).collect();
        assert_eq!(passwords.len(), 100);
        assert!(
            passwords.iter().all(|password| password.len() == 19 && !password.contains(['0', 'o', '1', 'l']))
        );
    }

    #[test]
    fn hashes_are_compatible_with_the_library() {
        let ours = hash("correct horse").unwrap();
        let parsed = PasswordHash::new(&ours).unwrap();
        assert!(Argon2::default().verify_password(b"correct horse", &parsed).is_ok());
        let theirs = Argon2::default().hash_password(b"correct horse").unwrap().to_string();
        assert!(matches("correct horse", Some(&theirs)) && !matches("wrong horse", Some(&theirs)));
    }

    #[test]
    fn a_hash_of_other_parameters_is_checked_by_its_own() {
        for (memory, passes, lanes) in [(64, 1, 1), (40_000, 1, 2)] {
            let params = argon2::Params::new(memory, passes, lanes, Some(24)).unwrap();
            let other = Argon2::from(params).hash_password(b"correct horse").unwrap().to_string();
            assert!(
                matches("correct horse", Some(&other)) && !matches("wrong horse", Some(&other)),
                "{other}"
            );
        }
        assert!(matches("correct horse", Some(&hash("correct horse").unwrap())));
    }

    #[test]
    fn buffers_are_reused_by_later_threads() {
        // Other tests of this process may hash at the same time.
        for _ in 0..40 {
            std::thread::spawn(|| hash("correct horse").unwrap()).join().unwrap();
        }
        assert!(MEMORY.lock().unwrap().len() < 10);
    }

    #[test]
    fn the_dummy_hash_has_the_parameters_of_real_hashes() {
        let parameters = |h: &str| h.split('$').nth(3).map(str::to_owned);
        let fresh = hash("x").unwrap();
        assert_eq!(parameters(DUMMY_HASH), parameters(&fresh));
        assert_eq!(parameters(DUMMY_HASH).unwrap(), "m=19456,t=2,p=1");
        assert_eq!(DUMMY_HASH.len(), fresh.len());
    }
}
