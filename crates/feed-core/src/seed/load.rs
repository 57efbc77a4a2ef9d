//! Bulk loads: prepared statements on SQLite, COPY on PostgreSQL.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use diesel::{QueryResult, copy_from, insert_into, sql_query};

use crate::db::Db;
use crate::error::Result;
use crate::feed::FlyerImage;
use crate::models::{Favorite, Flyer, Follow, User};
use crate::schema::{favorites, flyer_images, flyer_texts, flyers, follows, user_texts, users};
use crate::text::{FlyerText, UserText};

pub(super) fn users(connection: &mut Db, rows: Vec<User>) -> QueryResult<usize> {
    match connection {
        Db::Sqlite(c) => each(rows, |row| insert_into(users::table).values(row).execute(c)),
        Db::Postgres(c) => copy_from(users::table).from_insertable(rows).execute(c),
    }
}

pub(super) fn user_texts(connection: &mut Db, rows: Vec<UserText>) -> QueryResult<usize> {
    match connection {
        Db::Sqlite(c) => each(rows, |row| insert_into(user_texts::table).values(row).execute(c)),
        Db::Postgres(c) => copy_from(user_texts::table).from_insertable(rows).execute(c),
    }
}

pub(super) fn flyers(connection: &mut Db, rows: Vec<Flyer>) -> QueryResult<usize> {
    match connection {
        Db::Sqlite(c) => each(rows, |row| insert_into(flyers::table).values(row).execute(c)),
        Db::Postgres(c) => copy_from(flyers::table).from_insertable(rows).execute(c),
    }
}

pub(super) fn flyer_texts(connection: &mut Db, rows: Vec<FlyerText>) -> QueryResult<usize> {
    match connection {
        Db::Sqlite(c) => each(rows, |row| insert_into(flyer_texts::table).values(row).execute(c)),
        Db::Postgres(c) => copy_from(flyer_texts::table).from_insertable(rows).execute(c),
    }
}

pub(super) fn images(connection: &mut Db, rows: Vec<FlyerImage>) -> QueryResult<usize> {
    match connection {
        Db::Sqlite(c) => each(rows, |row| insert_into(flyer_images::table).values(row).execute(c)),
        Db::Postgres(c) => copy_from(flyer_images::table).from_insertable(rows).execute(c),
    }
}

pub(super) fn follows(connection: &mut Db, rows: Vec<Follow>) -> QueryResult<usize> {
    match connection {
        Db::Sqlite(c) => each(rows, |row| insert_into(follows::table).values(row).execute(c)),
        Db::Postgres(c) => copy_from(follows::table).from_insertable(rows).execute(c),
    }
}

pub(super) fn favorites(connection: &mut Db, rows: Vec<Favorite>) -> QueryResult<usize> {
    match connection {
        Db::Sqlite(c) => each(rows, |row| insert_into(favorites::table).values(row).execute(c)),
        Db::Postgres(c) => copy_from(favorites::table).from_insertable(rows).execute(c),
    }
}

/// Row by row: Diesel keeps this statement prepared, one of many rows it would prepare each time.
fn each<R>(rows: Vec<R>, mut insert: impl FnMut(R) -> QueryResult<usize>) -> QueryResult<usize> {
    rows.into_iter().try_fold(0, |count, row| Ok(count + insert(row)?))
}

#[derive(QueryableByName)]
struct LastId {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Reserves `rows` ids, none of which was ever given before, and returns the first.
///
/// On PostgreSQL the sequence goes on behind them; it stays there if the transaction fails. SQLite's
/// AUTOINCREMENT follows the rows by itself.
pub(super) fn reserve(connection: &mut Db, table: &'static str, rows: u32) -> Result<i64> {
    let rows = i64::from(rows);
    let last: LastId = match connection {
        Db::Sqlite(c) => sql_query(format!(
            "SELECT max(coalesce((SELECT max(id) FROM {table}), 0), \
             coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0)) + ? AS id"
        ))
        .bind::<BigInt, _>(rows)
        .get_result(c)?,
        Db::Postgres(c) => sql_query(format!(
            "SELECT setval(ids, greatest(nextval(ids), (SELECT coalesce(max(id), 0) + 1 FROM {table})) \
             + $1 - 1) AS id FROM CAST(pg_get_serial_sequence('{table}', 'id') AS regclass) AS ids"
        ))
        .bind::<BigInt, _>(rows)
        .get_result(c)?,
    };
    Ok(last.id - rows + 1)
}

/// Leaves the database as it would be after some time of use, now that all is committed.
///
/// PostgreSQL gets its statistics, and the visibility map that index-only scans need. SQLite moves the
/// load out of its write-ahead log; it stays without statistics, as an embedded file is in use.
pub(super) fn tidy_up(connection: &mut Db) {
    let tidied = match connection {
        Db::Sqlite(c) => c.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)"),
        Db::Postgres(c) => c.batch_execute(
            "VACUUM (ANALYZE) users, user_texts, flyers, flyer_texts, flyer_images, favorites, follows",
        ),
    };
    // Either comes by itself later: no reason to call a load failed that is there.
    if let Err(error) = tidied {
        tracing::warn!(%error, "the database was not tidied up after the load");
    }
}
