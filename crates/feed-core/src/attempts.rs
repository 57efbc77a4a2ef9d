//! Limits failed sign-ins per account.
//!
//! NIST SP 800-63B (5.2.2) allows at most 100 failures in a row for one account, whatever their source. So failures
//! are counted by e-mail. E-mails without an account are counted too, so that a refusal does not reveal which ones
//! have one.
//!
//! Anybody can fail on purpose for somebody else's e-mail. So callers who send a token of the account, even an expired
//! one, have a counter of their own. The owner can still sign in on a device where they have signed in before.
//!
//! The table has a fixed size and lives in the memory of one process. A restart clears it, and each of several
//! processes counts on its own. It is a set-associative hash table. The hash is keyed, so that nobody can tell which
//! e-mails share a bucket. A full bucket evicts the row with the fewest failures. To evict a row with n failures, an
//! attacker must fail n times for each of the tens of thousands of rows around it, and gains n tries by that.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;

use crate::error::{Error, Result};

/// The number of failures in a row after which tries are limited.
///
/// It applies to callers without a token of the account and to callers with one separately. Together these are the 100
/// that NIST allows.
pub const LIMIT: u32 = 50;

/// Seconds between two tries once the limit is reached.
pub const PAUSE: i64 = 60;

/// Seconds since the last failure after which a row expires.
///
/// Waiting for that allows [`LIMIT`] tries a day. One try per [`PAUSE`] allows more, so it is no way around the limit.
const EXPIRY: i64 = 24 * 60 * 60;

/// Buckets of the table: 65,536 rows of 24 bytes in all.
const BUCKETS: usize = 8_192;

/// Rows in a bucket.
const BUCKET_SIZE: usize = 8;

/// The table of failures in a row.
pub struct Attempts {
    rows: Mutex<Vec<Row>>,
    keys: RandomState,
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempts { … }")
    }
}

impl Default for Attempts {
    fn default() -> Self {
        Self { rows: Mutex::new(vec![Row::default(); BUCKETS * BUCKET_SIZE]), keys: RandomState::new() }
    }
}

/// The key of a failure counter: the account, and whether the caller holds one of its tokens.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Subject<'a> {
    /// The e-mail in lower case, whether or not it has an account.
    pub email_key: &'a str,
    /// The account's `lifts`; 0 without an account. An operator who lifts the limit increments it. Failures that were
    /// counted under the old number then no longer matter, in any process.
    pub lifts: i32,
    /// Whether the caller sent a token of the account.
    pub is_holder: bool,
}

/// The failures of one subject. A row with 0 failures is free.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    subject: u64,
    failures: u32,
    /// The time of the last failure, in seconds since the Unix epoch.
    last: i64,
}

impl Row {
    fn is_free(&self, now: i64) -> bool {
        self.failures == 0 || now - self.last >= EXPIRY
    }
}

impl Attempts {
    /// Checks a password by calling `is_right`, and returns whether it is right. A success resets the counter.
    ///
    /// A try counts as a failure until it has succeeded, so that concurrent tries cannot exceed the limit.
    ///
    /// # Errors
    /// [`Error::TooManyFailures`], without checking the password, if the limit is reached and the last try is less than
    /// a minute old.
    pub(crate) fn judge(
        &self,
        subject: &Subject<'_>,
        now: NaiveDateTime,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool> {
        let subject = self.keys.hash_one(subject);
        self.count(subject, now.and_utc().timestamp()).map_err(Error::TooManyFailures)?;
        let is_right = is_right();
        if is_right {
            self.forget(subject);
        }
        Ok(is_right)
    }

    /// Counts a failure. If the try is not allowed, the error is the number of seconds to wait.
    fn count(&self, subject: u64, now: i64) -> Result<(), u64> {
        self.in_bucket(subject, |bucket| {
            let first = Row { subject, failures: 1, last: now };
            match bucket.iter_mut().find(|row| row.subject == subject) {
                Some(row) if row.is_free(now) => *row = first,
                Some(row) => {
                    let passed = now - row.last;
                    // After the clock was set back, nobody must be locked out until it has caught up.
                    if row.failures >= LIMIT && (0..PAUSE).contains(&passed) {
                        return Err((PAUSE - passed).unsigned_abs());
                    }
                    row.failures = row.failures.saturating_add(1);
                    row.last = now;
                }
                None => {
                    let weight =
                        |row: &&mut Row| if row.is_free(now) { (0, 0) } else { (row.failures, row.last) };
                    if let Some(least) = bucket.iter_mut().min_by_key(weight) {
                        *least = first;
                    }
                }
            }
            Ok(())
        })
    }

    fn forget(&self, subject: u64) {
        self.in_bucket(subject, |bucket| {
            bucket.iter_mut().filter(|row| row.subject == subject).for_each(|row| row.failures = 0);
        });
    }

    /// Runs `work` on the bucket of a subject, under the lock.
    fn in_bucket<T>(&self, subject: u64, work: impl FnOnce(&mut [Row]) -> T) -> T {
        #[expect(clippy::cast_possible_truncation, reason = "the lower bits of a hash suffice")]
        let bucket = subject as usize % BUCKETS;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut rows[bucket * BUCKET_SIZE..][..BUCKET_SIZE])
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, BUCKET_SIZE, BUCKETS, EXPIRY, Error, LIMIT, PAUSE, Subject};
    use chrono::{NaiveDateTime, TimeDelta};

    fn now() -> NaiveDateTime {
        "2026-06-01T12:00:00".parse().unwrap()
    }

    fn of(email_key: &str) -> Subject<'_> {
        Subject { email_key, lifts: 0, is_holder: false }
    }

    /// Fails until a try is refused, and returns the number of failures before it.
    fn failures(attempts: &Attempts, subject: &Subject<'_>) -> u32 {
        (0..2 * LIMIT).find(|_| attempts.judge(subject, now(), || false).is_err()).unwrap()
    }

    #[test]
    fn past_the_limit_there_is_one_try_a_minute() {
        let attempts = Attempts::default();
        let anna = of("anna@example.org");
        assert_eq!(failures(&attempts, &anna), LIMIT);
        let after = |seconds, right| attempts.judge(&anna, now() + TimeDelta::seconds(seconds), || right);
        assert!(
            matches!(after(0, true), Err(Error::TooManyFailures(60))),
            "the right password is refused too"
        );
        assert!(matches!(after(PAUSE - 1, true), Err(Error::TooManyFailures(1))));
        assert!(!after(PAUSE, false).unwrap());
        assert!(after(PAUSE + 1, true).is_err());
        assert!(after(2 * PAUSE, true).unwrap());
        assert_eq!(failures(&attempts, &anna), LIMIT, "a success resets the counter");
        assert!(!after(-3_600, false).unwrap(), "the clock was set back");
    }

    #[test]
    fn others_and_holders_of_a_token_are_counted_apart() {
        let attempts = Attempts::default();
        let anna = of("anna@example.org");
        assert_eq!(failures(&attempts, &anna), LIMIT);
        for other in
            [of("bea@example.org"), Subject { is_holder: true, ..anna }, Subject { lifts: 1, ..anna }]
        {
            assert_eq!(failures(&attempts, &other), LIMIT, "{other:?}");
        }
    }

    #[test]
    fn failures_expire_after_a_day() {
        let attempts = Attempts::default();
        let anna = of("anna@example.org");
        failures(&attempts, &anna);
        let tomorrow = now() + TimeDelta::seconds(EXPIRY);
        for _ in 0..LIMIT {
            assert!(!attempts.judge(&anna, tomorrow, || false).unwrap());
        }
    }

    #[test]
    fn concurrent_tries_do_not_exceed_the_limit() {
        fn nested(attempts: &Attempts, tried: &mut u32) {
            let _ = attempts.judge(&of("anna@example.org"), now(), || {
                *tried += 1;
                nested(attempts, tried);
                false
            });
        }
        let mut tried = 0;
        nested(&Attempts::default(), &mut tried);
        assert_eq!(tried, LIMIT);
    }

    #[test]
    fn failures_for_many_emails_evict_no_row_near_the_limit() {
        let attempts = Attempts::default();
        let anna = of("anna@example.org");
        for _ in 0..LIMIT - 1 {
            attempts.judge(&anna, now(), || false).unwrap();
        }
        // Two failures each for ten times as many e-mails as the table has rows.
        for n in 0..10 * BUCKETS * BUCKET_SIZE {
            let email = format!("{n}@example.org");
            for _ in 0..2 {
                attempts.judge(&of(&email), now(), || false).unwrap();
            }
        }
        assert_eq!(failures(&attempts, &anna), 1);
    }
}
