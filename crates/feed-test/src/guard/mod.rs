//! Guards: checks of what a page may cost.
//!
//! Each guard takes the function that loads the page. So tests can check the product's loader, and can also check that
//! the guard catches worse loaders.

pub mod budgets;

use feed_core::db::Db;
use feed_core::feed::{self, FeedRequest};
use feed_perf::work::{Target, Work};

use crate::feeds::PageCase;

/// A function that loads a page and returns the ids of its flyers.
pub type Loader = fn(&mut Db, &FeedRequest) -> feed_core::Result<Vec<i64>>;

/// Why a guard failed, for the output of the test.
pub type Failure = String;

/// The product's loader, which the HTTP handlers use.
///
/// # Errors
/// Those of [`feed::load`].
pub fn product(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    Ok(feed::load(c, request)?.items.iter().map(|card| card.id).collect())
}

/// Runs `work` and measures the statements that it sends. The log must have been installed before `c` was opened.
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

/// The number of statements that were sent.
pub fn statements(work: &Work) -> u64 {
    work.statements.iter().map(|s| s.times as u64).sum()
}

/// The work that grows with the rows and not with the height of an index: on PostgreSQL the rows visited, on SQLite the
/// steps of its virtual machine. PostgreSQL's buffers will not do, because each probe reads one more for every level of
/// the index.
pub fn visited(work: &Work) -> u64 {
    work.total().visited.unwrap_or(work.total().units)
}

/// Loads a page, checks its rows, and measures the work.
///
/// # Errors
/// When the loader fails, or returns other rows than expected.
pub fn load(c: &mut Db, loader: Loader, asked: &PageCase) -> Result<Work, Failure> {
    let (ids, work) = measure(c, |c| loader(c, &asked.request));
    let ids = ids.map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))?;
    if ids == asked.expected {
        Ok(work)
    } else {
        Err(format!(
            "the page {:?} has the flyers {ids:?}, but expected were {:?}",
            asked.request, asked.expected
        ))
    }
}

/// Guard: a page takes at most `most` statements, and as many for one row as for fifty.
///
/// # Errors
/// When it takes more. The message has the statements.
pub fn counts(c: &mut Db, loader: Loader, asked: impl Fn(u32) -> PageCase, most: u64) -> Result<(), Failure> {
    let (one, fifty) = (load(c, loader, &asked(1))?, load(c, loader, &asked(50))?);
    if let Some(repeated) = fifty.statements.iter().find(|s| s.times > 1) {
        return Err(format!("N+1 queries: {} times for 50 rows: {}", repeated.times, repeated.sql));
    }
    if statements(&fifty) > most || statements(&one) != statements(&fifty) {
        return Err(format!(
            "at most {most} statements are allowed, as many for 1 row as for 50; 50 rows took {fifty}"
        ));
    }
    Ok(())
}

/// Guard: no table is scanned without an index, and no sort has more than `sorted` rows. Only PostgreSQL tells the rows
/// of a sort.
///
/// # Errors
/// When a plan does either. The message has the plan.
pub fn plans(c: &mut Db, loader: Loader, asked: &PageCase, sorted: u64) -> Result<(), Failure> {
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

/// Guard: `much` takes at most `ratio` times the work of `little`.
///
/// # Errors
/// When it takes more. The message has the statements of `much` and their plans.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub fn ratio(little: &Work, much: &Work, ratio: f64) -> Result<(), Failure> {
    let pairs =
        [("statements", statements(little), statements(much)), ("rows", visited(little), visited(much))];
    for (what, little, more) in pairs {
        if more as f64 > little.max(1) as f64 * ratio {
            return Err(format!("{more} {what} are more than {ratio} times {little}:\n{much}"));
        }
    }
    Ok(())
}
