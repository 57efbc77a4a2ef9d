//! The sweeper: marks expired flyers, so that the feeds' indexes leave them out.
//!
//! A backlog of expired flyers then costs the feeds nothing. The content of a feed never depends on the mark, because
//! every query checks validity by the clock too. So the mark may be set late: [`MARGIN`] after the end. It has to be,
//! because the clocks of servers differ: a flyer that is valid by one clock must not be hidden because of another.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Timestamp;

use crate::db::{Database, Db, Engine};
use crate::error::Result;
use crate::sql::{Name as _, Statement, Value};

/// How long after its end a flyer is marked.
pub const MARGIN: TimeDelta = TimeDelta::hours(1);

/// The number of flyers that one transaction marks. It is small because on SQLite other writers wait for it.
const BATCH: u32 = 1_000;

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// The number of expired flyers that were marked.
    pub marked: usize,
    /// The number of flyers whose mark was cleared, because they have not expired by the database's clock.
    pub cleared: usize,
}

/// Marks all flyers that have expired by the database's clock, and clears wrong marks, in short transactions.
///
/// Any number of servers may sweep at once. It costs two index probes when there is nothing to do.
///
/// # Errors
/// [`crate::Error::Unavailable`] when the database cannot be reached; completed transactions stay.
pub fn sweep(database: &Database) -> Result<Swept> {
    let now = database.read(clock)?;
    let mut swept = Swept::default();
    loop {
        let batch = database.write(|c| sweep_batch(c, now))?;
        swept.marked += batch.marked;
        swept.cleared += batch.cleared;
        if batch == Swept::default() {
            return Ok(swept);
        }
    }
}

/// Does the work of one transaction of [`sweep`], as of `now`. Both counts are 0 when everything is done.
///
/// # Errors
/// From the database.
pub fn sweep_batch(connection: &mut Db, now: NaiveDateTime) -> Result<Swept> {
    connection.exclude_other_bulk_changes()?;
    let engine = connection.engine();
    let marked = mark_query(engine, now).execute(connection)?;
    let cleared = clear_query(engine, now).execute(connection)?;
    Ok(Swept { marked, cleared })
}

/// Marks a batch of the flyers that expired more than [`MARGIN`] before `now`: one range of `flyers_to_mark`.
#[must_use]
pub fn mark_query(engine: Engine, now: NaiveDateTime) -> Statement<()> {
    set_mark(engine, true, "expired IS NOT TRUE AND valid_until < :at", now - MARGIN)
}

/// Clears the mark of a batch of the flyers that have not expired at `now`: one range of `flyers_to_clear`.
#[must_use]
pub fn clear_query(engine: Engine, now: NaiveDateTime) -> Statement<()> {
    set_mark(engine, false, "expired AND valid_until > :at", now)
}

/// Sets or clears the mark of a batch of flyers. They are found by `condition` and updated by id.
///
/// The update checks the condition again, so that a change in between wins. On PostgreSQL locked rows are left to the
/// next sweep, so that sweepers do not wait for each other.
fn set_mark(engine: Engine, expired: bool, condition: &str, at: NaiveDateTime) -> Statement<()> {
    let free = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => "FOR NO KEY UPDATE SKIP LOCKED",
    };
    Statement::new(
        format!(
            "UPDATE flyers SET expired = {expired} WHERE id IN (SELECT id FROM flyers WHERE {condition} \
             ORDER BY valid_until LIMIT {BATCH} {free}) AND {condition}"
        ),
        &[("at", Value::Time(at))],
    )
    .named("sweep")
}

/// The database's time: one clock for any number of servers.
fn clock(connection: &mut Db) -> Result<NaiveDateTime> {
    let now = match connection.engine() {
        Engine::Sqlite => "CURRENT_TIMESTAMP",
        Engine::Postgres => "LOCALTIMESTAMP",
    };
    Ok(diesel::select(sql::<Timestamp>(now)).named("clock").get_result(connection)?)
}
