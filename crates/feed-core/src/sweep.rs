//! Marks flyers that are over, so that feeds pass over a backlog of them without looking.
//!
//! What a feed shows never depends on it: every query judges validity by the clock too. A mark only says
//! early what the clock says anyhow, so it is set late, [`MARGIN`] after the end: the clocks of servers
//! differ, and a flyer that one of them shows must not be hidden by another.

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Timestamp;

use crate::db::{Database, Db, Engine};
use crate::error::Result;
use crate::sql::{Name as _, Statement, Value};

/// How long a flyer has been over before it is marked.
pub const MARGIN: TimeDelta = TimeDelta::hours(1);

/// How many flyers a transaction marks: on SQLite other writers wait for it.
const BATCH: u32 = 1_000;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Flyers that were over and are marked now.
    pub marked: usize,
    /// Flyers whose mark was taken off: they are not over, by the database's clock.
    pub cleared: usize,
}

/// Marks all that is over by the database's clock, and clears marks that do not hold, in short transactions.
///
/// Any number of servers may sweep at once. Costs two probes of an index where nothing is to be done.
///
/// # Errors
/// [`crate::Error::Unavailable`] when the database is away; what was marked before stays so.
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

/// One transaction of [`sweep`], as of `now`: nothing in it when all is done.
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

/// Marks a batch of the flyers that were over some time before `now`: one range of `flyers_to_mark`.
#[must_use]
pub fn mark_query(engine: Engine, now: NaiveDateTime) -> Statement<()> {
    set_mark(engine, true, "expired IS NOT TRUE AND valid_until < :at", now - MARGIN)
}

/// Takes the mark off a batch of the flyers that are not over at `now`: one range of `flyers_to_clear`.
#[must_use]
pub fn clear_query(engine: Engine, now: NaiveDateTime) -> Statement<()> {
    set_mark(engine, false, "expired AND valid_until > :at", now)
}

/// Sets or clears the mark of a batch of flyers, found by `condition` and then by their ids.
///
/// The condition is asked twice: whoever changed a row in between wins. On PostgreSQL rows that are locked
/// are left to the next sweep, so that no two sweepers wait for each other.
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

/// The database's own time: one clock, however many servers there are.
fn clock(connection: &mut Db) -> Result<NaiveDateTime> {
    let now = match connection.engine() {
        Engine::Sqlite => "CURRENT_TIMESTAMP",
        Engine::Postgres => "LOCALTIMESTAMP",
    };
    Ok(diesel::select(sql::<Timestamp>(now)).named("clock").get_result(connection)?)
}
