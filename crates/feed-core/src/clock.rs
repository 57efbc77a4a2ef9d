//! The clock by which the validity of flyers is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, SubsecRound, Utc};

/// A source of the current time: the system's clock, or a fixed one for tests.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    set: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// A clock that shows `time` until [`Clock::set`] changes it.
    #[must_use]
    pub fn fixed(time: NaiveDateTime) -> Self {
        Self { set: Some(Arc::new(AtomicI64::new(time.and_utc().timestamp_micros()))) }
    }

    /// The current time in UTC and whole microseconds.
    ///
    /// PostgreSQL stores microseconds. A cursor with a finer time would skip rows there.
    #[must_use]
    pub fn now(&self) -> NaiveDateTime {
        match &self.set {
            None => Utc::now().naive_utc().trunc_subsecs(6),
            Some(micros) => {
                DateTime::from_timestamp_micros(micros.load(Ordering::SeqCst)).unwrap_or_default().naive_utc()
            }
        }
    }

    /// Sets a fixed clock and all its clones. It has no effect on the system's clock.
    pub fn set(&self, time: NaiveDateTime) {
        if let Some(micros) = &self.set {
            micros.store(time.and_utc().timestamp_micros(), Ordering::SeqCst);
        }
    }
}

/// Serializes a time in RFC 3339 with a `Z`, and as many decimals as it needs.
pub(crate) fn serialize_utc<S: serde::Serializer>(time: &NaiveDateTime, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.and_utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

/// Serializes a time in RFC 3339 with a `Z` and microseconds.
pub(crate) fn serialize_utc_micros<S: serde::Serializer>(
    time: &NaiveDateTime,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.serialize_str(&time.and_utc().to_rfc3339_opts(SecondsFormat::Micros, true))
}
