//! Test data that is hard on the feeds: the cases in which a page could become slow.
//!
//! Every [`Shape`] is a viewer whose relations have the same structure at every size of the database. Background
//! flyers fill the database up to its size, so the tables grow around a user who stays the same. All values are
//! computed from row numbers, so they are the same on every machine and on both engines.
//!
//! A data set is built once and kept. Both engines run the same SQL text, except for times. SQLite keeps a data set as
//! a file under `target/perf`, PostgreSQL as a database of the server that `FEED_TEST_POSTGRES` names. Tests must not
//! change it. To try other indexes they use [`Data::with_ddl`], which rolls back.

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

/// The sizes of the data sets, in flyers.
pub const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];

/// The location of every viewer: Zürich.
pub const PLACE: Location = Location { latitude: 47.3769, longitude: 8.5417 };

/// The time of most requests, in seconds since 1970: 2026-06-01 12:00 UTC.
const NOW: i64 = 1_780_315_200;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The time of most requests. Flyers that expired more than an hour earlier are marked as expired, except those of
/// [`Crowd::Unswept`].
pub fn now() -> NaiveDateTime {
    time(NOW)
}

/// An hour before the scheduled flyers become valid. These are the newest flyers of all. No other flyer becomes valid
/// or expires between this time and [`now`].
pub fn before_schedule() -> NaiveDateTime {
    time(NOW - 2 * HOUR)
}

fn time(seconds: i64) -> NaiveDateTime {
    DateTime::from_timestamp(seconds, 0).expect("within chrono's range").naive_utc()
}
