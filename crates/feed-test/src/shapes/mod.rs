//! Adversarial data for the guard: what the feeds are asked where they could become slow.
//!
//! Every [`Shape`] is a viewer whose relations have the same structure whatever the size of the database.
//! Background flyers fill it up to the size: so a table grows around a user who stays the same. All rows are
//! arithmetic on their numbers, hence the same on every machine and on both engines.
//!
//! A data set is built once, in one SQL text for both engines, and kept: SQLite's as a file under
//! `target/perf`, PostgreSQL's as a database of the server that `FEED_TEST_POSTGRES` names. It is not to be
//! changed; [`Data::with_ddl`] is for experiments with its indexes.

mod crowd;
mod fill;
mod plan;
mod postgres;
mod shape;
mod sqlite;
mod store;

use chrono::{DateTime, NaiveDateTime};
use feed_core::geo::Location;

pub use crowd::Crowd;
pub use fill::RARE_WORD;
pub use plan::second;
pub use shape::Shape;
pub use store::{Data, on_both};

/// How many flyers a data set can have.
pub const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];

/// Where the viewers are: Zürich.
pub const PLACE: Location = Location { latitude: 47.3769, longitude: 8.5417 };

/// The moment at which the data is looked at, 2026-06-01 12:00 UTC, in seconds of Unix time.
const NOW: i64 = 1_780_315_200;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The moment at which the data is looked at: what ended more than an hour before has been swept.
pub fn now() -> NaiveDateTime {
    time(NOW)
}

/// An hour before the scheduled flyers, the newest of all, become valid. Nothing else begins or ends between
/// this moment and [`now`].
pub fn before_schedule() -> NaiveDateTime {
    time(NOW - 2 * HOUR)
}

fn time(seconds: i64) -> NaiveDateTime {
    DateTime::from_timestamp(seconds, 0).expect("within chrono's range").naive_utc()
}
