//! Wrong passwords in a row, and who has to wait for them.
//!
//! NIST SP 800-63B (5.2.2) allows at most 100 failures in a row for one account, wherever they come from. So failures are
//! counted by e-mail, for accounts that exist and for those that do not: a refusal tells nobody which e-mail has an account.
//!
//! Anybody can fail on purpose for somebody else's e-mail. Whoever sends a token of the account, even an expired one, is
//! therefore counted apart from all strangers: the owner still gets in where they have signed in before.
//!
//! The table has a fixed size. It is memory of one process: a restart forgets it, and each of several processes counts for
//! itself. Its places are drawn by a keyed hash, so that nobody can tell which e-mails share one. A full group of places
//! gives up the row with the fewest failures: to take the place of a row with n failures, somebody must fail n times for
//! each of the tens of thousands of rows around it, and all of that to win n tries.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

use chrono::NaiveDateTime;

use crate::error::{Error, Result};

/// Failures in a row of the strangers, and as many of those who hold a token: together the 100 that NIST allows.
pub const LIMIT: u32 = 50;

/// Seconds from one try to the next where the limit is reached.
pub const PAUSE: i64 = 60;

/// Seconds after which a row without a failure is forgotten: whoever waits so long has [`LIMIT`] tries a day, and has
/// more by one a [`PAUSE`].
const FORGOTTEN: i64 = 24 * 60 * 60;

/// Groups of places: 65,536 rows of 24 bytes in all.
const GROUPS: usize = 8_192;

/// Places of a group.
const PLACES: usize = 8;

/// The failures of all e-mails.
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
        Self { rows: Mutex::new(vec![Row::default(); GROUPS * PLACES]), keys: RandomState::new() }
    }
}

/// For whom a password is tried, and by whom.
#[derive(Debug, Clone, Copy, Hash)]
pub(crate) struct Subject<'a> {
    /// In lower case; of an account or of none.
    pub email_key: &'a str,
    /// The account's; 0 where there is none. An operator who lifts the limit counts it up, so that what was counted under
    /// the old number no longer matters, in whatever process.
    pub lifts: i32,
    /// Whether whoever tries sends a token of the account.
    pub is_holder: bool,
}

/// One subject's failures; none where a place is free.
#[derive(Debug, Clone, Copy, Default)]
struct Row {
    subject: u64,
    failures: u32,
    /// The last one, in seconds of the epoch.
    last: i64,
}

impl Row {
    fn is_free(&self, now: i64) -> bool {
        self.failures == 0 || now - self.last >= FORGOTTEN
    }
}

impl Attempts {
    /// Tries a password by `is_right`, and tells whether it was. A success ends the row of failures.
    ///
    /// A try counts as a failure until it has succeeded, so that many at once are no way around the limit.
    ///
    /// # Errors
    /// [`Error::TooManyFailures`], without a try, where the limit is reached and the last try is less than a minute old.
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

    /// Counts a failure, or tells how many seconds the next try has to wait.
    fn count(&self, subject: u64, now: i64) -> Result<(), u64> {
        self.within(subject, |group| {
            let first = Row { subject, failures: 1, last: now };
            match group.iter_mut().find(|row| row.subject == subject) {
                Some(row) if row.is_free(now) => *row = first,
                Some(row) => {
                    let passed = now - row.last;
                    // A clock that was set back must not lock anybody out until it has caught up.
                    if row.failures >= LIMIT && (0..PAUSE).contains(&passed) {
                        return Err((PAUSE - passed).unsigned_abs());
                    }
                    row.failures = row.failures.saturating_add(1);
                    row.last = now;
                }
                None => {
                    let weight =
                        |row: &&mut Row| if row.is_free(now) { (0, 0) } else { (row.failures, row.last) };
                    if let Some(least) = group.iter_mut().min_by_key(weight) {
                        *least = first;
                    }
                }
            }
            Ok(())
        })
    }

    fn forget(&self, subject: u64) {
        self.within(subject, |group| {
            group.iter_mut().filter(|row| row.subject == subject).for_each(|row| row.failures = 0);
        });
    }

    /// Does `work` with the places that a subject may have.
    fn within<T>(&self, subject: u64, work: impl FnOnce(&mut [Row]) -> T) -> T {
        #[expect(clippy::cast_possible_truncation, reason = "the lower bits are as good as any")]
        let group = subject as usize % GROUPS;
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        work(&mut rows[group * PLACES..][..PLACES])
    }
}

#[cfg(test)]
mod tests {
    use super::{Attempts, Error, FORGOTTEN, GROUPS, LIMIT, PAUSE, PLACES, Subject};
    use chrono::{NaiveDateTime, TimeDelta};

    fn now() -> NaiveDateTime {
        "2026-06-01T12:00:00".parse().unwrap()
    }

    fn of(email_key: &str) -> Subject<'_> {
        Subject { email_key, lifts: 0, is_holder: false }
    }

    /// Fails until the limit is reached, and tells how often.
    fn failures(attempts: &Attempts, subject: &Subject<'_>) -> u32 {
        (0..2 * LIMIT).find(|_| attempts.judge(subject, now(), || false).is_err()).unwrap()
    }

    #[test]
    fn past_the_limit_there_is_one_try_a_minute() {
        let attempts = Attempts::default();
        let anna = of("anna@example.org");
        assert_eq!(failures(&attempts, &anna), LIMIT);
        let after = |seconds, right| attempts.judge(&anna, now() + TimeDelta::seconds(seconds), || right);
        assert!(matches!(after(0, true), Err(Error::TooManyFailures(60))), "the right one too");
        assert!(matches!(after(PAUSE - 1, true), Err(Error::TooManyFailures(1))));
        assert!(!after(PAUSE, false).unwrap());
        assert!(after(PAUSE + 1, true).is_err());
        assert!(after(2 * PAUSE, true).unwrap());
        assert_eq!(failures(&attempts, &anna), LIMIT, "a success begins anew");
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
    fn whoever_does_not_fail_for_a_day_is_forgotten() {
        let attempts = Attempts::default();
        let anna = of("anna@example.org");
        failures(&attempts, &anna);
        let tomorrow = now() + TimeDelta::seconds(FORGOTTEN);
        for _ in 0..LIMIT {
            assert!(!attempts.judge(&anna, tomorrow, || false).unwrap());
        }
    }

    #[test]
    fn many_at_once_are_no_way_around() {
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
    fn spraying_evicts_nobody_who_counts() {
        let attempts = Attempts::default();
        let anna = of("anna@example.org");
        for _ in 0..LIMIT - 1 {
            attempts.judge(&anna, now(), || false).unwrap();
        }
        // As many as have place ten times over, twice each.
        for n in 0..10 * GROUPS * PLACES {
            let email = format!("{n}@example.org");
            for _ in 0..2 {
                attempts.judge(&of(&email), now(), || false).unwrap();
            }
        }
        assert_eq!(failures(&attempts, &anna), 1);
    }
}
