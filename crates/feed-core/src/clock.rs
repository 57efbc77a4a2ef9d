//! The clock that validity is judged by.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDateTime, SubsecRound, Utc};

/// Tells the time: the system's, or one that a test sets.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    set: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// A clock that stands at `time` until [`Clock::set`] moves it.
    #[must_use]
    pub fn fixed(time: NaiveDateTime) -> Self {
        Self { set: Some(Arc::new(AtomicI64::new(time.and_utc().timestamp_micros()))) }
    }

    /// Now, in UTC and whole microseconds.
    ///
    /// PostgreSQL keeps no more, and a cursor made of a finer time would skip rows there.
    #[must_use]
    pub fn now(&self) -> NaiveDateTime {
        match &self.set {
            None => Utc::now().naive_utc().trunc_subsecs(6),
            Some(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or_default().naive_utc()
            }
        }
    }

    /// Moves a fixed clock, and every clone of it; the system's clock is left alone.
    pub fn set(&self, time: NaiveDateTime) {
        if let Some(micros) = &self.set {
            micros.store(time.and_utc().timestamp_micros(), Ordering::SeqCst);
        }
    }
}

/// RFC 3339 with a `Z`, and as many decimals as the time has.
pub(crate) fn serialize_utc<S: serde::Serializer>(time: &NaiveDateTime, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.format("%Y-%m-%dT%H:%M:%S%.fZ"))
}

/// RFC 3339 with a `Z` and microseconds.
pub(crate) fn serialize_utc_micros<S: serde::Serializer>(
    time: &NaiveDateTime,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_str(&time.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
}
