//! The sweeper: marks expired flyers, so that the feeds' indexes leave them out.
//!
//! A backlog of expired flyers then costs the feeds nothing. The content of a feed never depends on the mark, because
//! every query checks validity by the clock too. So the mark may be set late: [`MARGIN`] after the end. It has to be,
//! because the clocks of servers differ: a flyer that is valid by one clock must not be hidden because of another.

use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};

use crate::db::{Database, Db, Engine};
use crate::error::Result;
use crate::geo::Grid;
use crate::sql::{Name as _, Statement, Value, by_index, names_index, seek};

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
/// Any number of servers may sweep at once. On PostgreSQL it also visits what the marks have left in the indexes: see
/// [`visit_query`]. It costs two index probes when there is nothing to do.
///
/// # Errors
/// [`crate::Error::Unavailable`] when the database cannot be reached; completed transactions stay.
pub fn sweep(database: &Database) -> Result<Swept> {
    sweep_as_of(database, database.read(clock)?)
}

/// Does what [`sweep`] does, with another time than the database's.
///
/// # Errors
/// As [`sweep`].
pub fn sweep_as_of(database: &Database, now: NaiveDateTime) -> Result<Swept> {
    let mut swept = Swept::default();
    let mut all_marked = Vec::new();
    loop {
        let (batch, marked) = database.write(|c| batch(c, now))?;
        if batch == Swept::default() {
            break;
        }
        swept.marked += batch.marked;
        swept.cleared += batch.cleared;
        all_marked.extend(marked);
    }
    if !all_marked.is_empty() && database.engine() == Engine::Postgres {
        visit(database, &all_marked)?;
    }
    Ok(swept)
}

/// Does the work of one transaction of [`sweep`], as of `now`. Both counts are 0 when everything is done.
///
/// # Errors
/// From the database.
pub fn sweep_batch(connection: &mut Db, now: NaiveDateTime) -> Result<Swept> {
    batch(connection, now).map(|(swept, _)| swept)
}

/// The work of [`sweep_batch`], with the ids of the flyers that it marked.
fn batch(connection: &mut Db, now: NaiveDateTime) -> Result<(Swept, Vec<i64>)> {
    connection.exclude_other_bulk_changes()?;
    if let Db::Postgres(c) = connection {
        // Before the marks are on disk, nobody may note that a row is dead: the visit would be in vain.
        c.batch_execute("SET LOCAL synchronous_commit = on")?;
    }
    let engine = connection.engine();
    let marked: Vec<i64> = mark_query(engine, now).load(connection)?;
    let cleared: Vec<i64> = clear_query(engine, now).load(connection)?;
    Ok((Swept { marked: marked.len(), cleared: cleared.len() }, marked))
}

/// Marks a batch of the flyers that expired more than [`MARGIN`] before `now`: one range of `flyers_to_mark`.
#[must_use]
pub fn mark_query(engine: Engine, now: NaiveDateTime) -> Statement<BigInt> {
    set_mark(engine, true, "valid_until < :at", now - MARGIN)
}

/// Clears the mark of a batch of the flyers that have not expired at `now`: one range of `flyers_to_clear`.
#[must_use]
pub fn clear_query(engine: Engine, now: NaiveDateTime) -> Statement<BigInt> {
    set_mark(engine, false, "valid_until > :at", now)
}

/// Sets or clears the mark of a batch of flyers, and returns their ids. They are found by `condition` and updated by id.
///
/// The update checks the condition again, so that a change in between wins. On PostgreSQL locked rows are left to the
/// next sweep, so that sweepers do not wait for each other.
fn set_mark(engine: Engine, expired: bool, condition: &str, at: NaiveDateTime) -> Statement<BigInt> {
    let text = match engine {
        Engine::Sqlite => {
            let condition =
                format!("{} AND {condition}", if expired { "expired IS NOT TRUE" } else { "expired" });
            format!(
                "UPDATE flyers SET expired = {expired} WHERE id IN (SELECT id FROM flyers WHERE {condition} \
                 ORDER BY valid_until LIMIT {BATCH}) AND {condition} RETURNING id"
            )
        }
        Engine::Postgres => {
            let condition = format!("expired = {} AND {condition}", !expired);
            let index = names_index(if expired { "flyers_to_mark" } else { "flyers_to_clear" });
            let batch = format!(
                "SELECT id FROM flyers WHERE {index} AND {condition} ORDER BY valid_until LIMIT {BATCH} \
                 FOR NO KEY UPDATE SKIP LOCKED"
            );
            // An array and no IN, which could become a join that reads the whole table.
            format!(
                "UPDATE flyers SET expired = {expired} WHERE id = ANY ({}) AND {condition} RETURNING id",
                seek(Engine::Postgres, &format!("ARRAY({batch})"))
            )
        }
    };
    Statement::new(text, &[("at", Value::Time(at))]).named("sweep")
}

/// How long the visit waits for transactions that began before the marks were committed.
const OTHERS_WAIT: Duration = Duration::from_secs(1);

/// Visits marked flyers: see [`visit_query`].
///
/// It waits first, up to [`OTHERS_WAIT`], for the writers that may still see the flyers as they were.
fn visit(database: &Database, marked: &[i64]) -> Result<()> {
    let transactions = || database.read(|c| Ok(transactions_query().get_result::<(i64, i64)>(c)?));
    let (_, next) = transactions()?;
    let started = Instant::now();
    while transactions()?.0 < next && started.elapsed() < OTHERS_WAIT {
        std::thread::sleep(Duration::from_millis(10));
    }
    for batch in marked.chunks(BATCH as usize) {
        database.read(|c| Ok(visit_query(batch).get_result::<i64>(c)?))?;
    }
    Ok(())
}

/// The oldest transaction that is still open, and the next one to begin.
#[must_use]
pub fn transactions_query() -> Statement<(BigInt, BigInt)> {
    let number = |of: &str| format!("CAST(CAST(pg_snapshot_{of}(pg_current_snapshot()) AS text) AS bigint)");
    Statement::new(format!("SELECT {}, {}", number("xmin"), number("xmax")), &[]).named("sweep_transactions")
}

/// Reads the entries that marked flyers have left in the indexes of the feeds, once a flyer and index.
///
/// PostgreSQL removes these entries with the next vacuum. Until then whoever scans them looks at the row, which is no
/// longer there, unless somebody has done so before: the first who does sets a flag in the entry. That is the sweeper,
/// and not a caller. It runs after the marks were committed, and has no effect while a transaction that began before
/// that is open.
#[must_use]
pub fn visit_query(marked: &[i64]) -> Statement<BigInt> {
    /// The place of the flyer `m` in its lists.
    const LATEST: &str = "f.created_at = m.created_at AND f.id = m.id";
    let probe = |table: &str, index: &str, expired: &str, keys: &str| {
        format!(
            "(SELECT count(*) FROM {} WHERE {expired} = FALSE AND {keys})",
            by_index(Engine::Postgres, table, index)
        )
    };
    let flyer = |index: &str, keys: &str| probe("flyers f", index, "f.expired", keys);
    let of_cell = |grid: Grid| {
        let keys = format!(
            "{} = {} AND {LATEST}",
            grid.cell(Engine::Postgres, "f"),
            grid.cell(Engine::Postgres, "m")
        );
        flyer(grid.index(), &keys)
    };
    let favorite = |index: &str, at: &str| {
        let keys = format!("v.user_id = w.user_id AND v.{at} = w.{at} AND v.flyer_id = w.flyer_id");
        probe("favorites v", index, "v.flyer_expired", &keys)
    };
    let probes = [
        flyer("flyers_feed", LATEST),
        flyer("flyers_creator_feed", &format!("f.creator_id = m.creator_id AND {LATEST}")),
        of_cell(Grid::Small),
        of_cell(Grid::Medium),
        of_cell(Grid::Large),
        flyer("flyers_to_mark", "f.valid_until = m.valid_until AND f.id = m.id"),
        flyer("flyers_valid_from", "f.valid_from = m.valid_from AND f.id = m.id"),
        format!(
            "(SELECT coalesce(sum({} + {}), 0) FROM favorites w WHERE w.flyer_id = {})",
            favorite("favorites_feed", "flyer_created_at"),
            favorite("favorites_recent_feed", "created_at"),
            seek(Engine::Postgres, "m.id"),
        ),
    ];
    let ids: Vec<_> = marked.iter().map(i64::to_string).collect();
    Statement::new(
        format!(
            "SELECT CAST(coalesce(sum({}), 0) AS bigint) FROM unnest(CAST(CAST(:ids AS TEXT) AS bigint[])) k (id) \
             CROSS JOIN LATERAL (SELECT * FROM flyers m WHERE m.id = k.id OFFSET 0) m",
            probes.join(" + ")
        ),
        &[("ids", Value::Text(format!("{{{}}}", ids.join(","))))],
    )
    .named("sweep_visit")
}

/// The database's time: one clock for any number of servers.
fn clock(connection: &mut Db) -> Result<NaiveDateTime> {
    let now = match connection.engine() {
        Engine::Sqlite => "CURRENT_TIMESTAMP",
        Engine::Postgres => "LOCALTIMESTAMP",
    };
    Ok(diesel::select(sql::<Timestamp>(now)).named("clock").get_result(connection)?)
}
