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

/// Inserts row by row. Diesel caches this prepared statement; it would prepare a statement for many rows each time.
fn each<R>(rows: Vec<R>, mut insert: impl FnMut(R) -> QueryResult<usize>) -> QueryResult<usize> {
    rows.into_iter().try_fold(0, |count, row| Ok(count + insert(row)?))
}

#[derive(QueryableByName)]
struct LastId {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Reserves `rows` ids that were never used before, and returns the first.
///
/// On PostgreSQL the sequence continues after them, even if the transaction fails. SQLite's AUTOINCREMENT continues
/// after the inserted rows by itself.
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

/// Brings the database into the state that it would reach after some time of use. It runs after the commit.
///
/// On PostgreSQL it creates statistics and the visibility map, which index-only scans need. On SQLite it copies the
/// data out of the write-ahead log. SQLite gets no statistics, because an embedded file in use has none either.
pub(super) fn tidy_up(connection: &mut Db) {
    let tidied = match connection {
        Db::Sqlite(c) => c.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)"),
        Db::Postgres(c) => c.batch_execute(
            "VACUUM (ANALYZE) users, user_texts, flyers, flyer_texts, flyer_images, favorites, follows",
        ),
    };
    // The engines do this later by themselves. The data is loaded, so a failure here is no failure of the load.
    if let Err(error) = tidied {
        tracing::warn!(%error, "vacuum or checkpoint after the load failed");
    }
}
