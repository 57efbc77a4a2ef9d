//! The guard: what a page may cost. Each guard is a function of a loader and of what it is asked for, so that
//! tests can hold the product's loader to it and see that worse ones are caught.

pub mod budgets;

use feed_core::db::Db;
use feed_core::feed::{self, FeedRequest};
use feed_perf::work::{Target, Work};

use crate::feeds::Asked;

/// Loads a page and tells the ids of its flyers.
pub type Loader = fn(&mut Db, &FeedRequest) -> feed_core::Result<Vec<i64>>;

/// Why a guard is red.
pub type Red = String;

/// What the handlers call.
///
/// # Errors
/// From the database.
pub fn product(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    Ok(feed::load(c, request)?.items.iter().map(|card| card.id).collect())
}

/// Does `work` on a connection that reports to the log, and measures what it sends.
pub fn measure<T>(c: &mut Db, work: impl FnOnce(&mut Db) -> T) -> (T, Work) {
    let measured = feed_perf::work::measure(
        c,
        |c| match c {
            Db::Sqlite(c) => Target::Sqlite(c),
            Db::Postgres(c) => Target::Postgres(c),
        },
        work,
    );
    measured.unwrap()
}

/// How many statements were sent.
pub fn statements(work: &Work) -> u64 {
    work.statements.iter().map(|s| s.times as u64).sum()
}

/// What grows with the data, and not with the height of an index: rows looked at on PostgreSQL, whose buffers grow
/// by one a probe with every level, and SQLite's steps.
pub fn visited(work: &Work) -> u64 {
    work.total().visited.unwrap_or(work.total().units)
}

/// Loads a page, which must hold the rows that it has to, and measures it.
///
/// # Errors
/// When other rows came, or none.
pub fn load(c: &mut Db, loader: Loader, asked: &Asked) -> Result<Work, Red> {
    let (ids, work) = measure(c, |c| loader(c, &asked.request));
    let ids = ids.map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))?;
    if ids == asked.expected {
        Ok(work)
    } else {
        Err(format!("the page {:?} holds {ids:?}, and must hold {:?}", asked.request, asked.expected))
    }
}

/// Guard: at most `most` statements, as many for one row as for fifty.
///
/// # Errors
/// With the statements.
pub fn counts(c: &mut Db, loader: Loader, asked: impl Fn(u32) -> Asked, most: u64) -> Result<(), Red> {
    let (one, fifty) = (load(c, loader, &asked(1))?, load(c, loader, &asked(50))?);
    if let Some(repeated) = fifty.statements.iter().find(|s| s.times > 1) {
        return Err(format!("N+1: {} times for 50 rows: {}", repeated.times, repeated.sql));
    }
    if statements(&fifty) > most || statements(&one) != statements(&fifty) {
        return Err(format!("{most} statements are allowed, as many for 1 row as for 50; it took {fifty}"));
    }
    Ok(())
}

/// Guard: no table is read without an index, and, where the engine tells, no sort has more than `sorted` rows.
///
/// # Errors
/// With the plan.
pub fn plans(c: &mut Db, loader: Loader, asked: &Asked, sorted: u64) -> Result<(), Red> {
    for plan in load(c, loader, asked)?.plans() {
        if let Some(scan) = plan.scans.first() {
            return Err(format!("{} scans {}:\n{plan}", plan.planner, scan.table));
        }
        if let Some(sort) = plan.sorts.iter().find(|s| s.rows.is_some_and(|rows| rows > sorted)) {
            return Err(format!("{} sorts more than {sorted} rows, {sort:?}:\n{plan}", plan.planner));
        }
    }
    Ok(())
}

/// Guard: `much` takes at most `ratio` times the work that `little` takes.
///
/// # Errors
/// With what `much` sent and how it was done.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub fn ratio(little: &Work, much: &Work, ratio: f64) -> Result<(), Red> {
    let pairs =
        [("statements", statements(little), statements(much)), ("rows", visited(little), visited(much))];
    for (what, little, more) in pairs {
        if more as f64 > little.max(1) as f64 * ratio {
            return Err(format!("{more} {what}, more than {ratio} times the {little} of before:\n{much}"));
        }
    }
    Ok(())
}
