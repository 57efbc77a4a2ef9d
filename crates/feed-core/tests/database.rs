//! The pools: who may write, and what happens when the server cuts a connection.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use diesel::prelude::*;
use feed_core::db::{Db, Engine};
use feed_core::schema::users;
use feed_core::testing::{TestDatabase, on_both};
use feed_core::{Error, Result};

fn add_user(c: &mut Db, name: &str) -> Result<()> {
    let now = feed_core::clock::Clock::default().now();
    diesel::insert_into(users::table)
        .values((
            users::email.eq(name),
            users::email_key.eq(name),
            users::username.eq(name),
            users::password_hash.eq(""),
            users::created_at.eq(now),
        ))
        .execute(c)?;
    Ok(())
}

fn names(c: &mut Db) -> Result<Vec<String>> {
    Ok(users::table.select(users::username).order(users::id).load(c)?)
}

/// Ends every connection but the one that asks: what a restart of the server does to a pool.
fn cut_connections(test: &TestDatabase) {
    let other = TestDatabase::unmigrated(Engine::Postgres);
    let name = test.url.split('?').next().unwrap().rsplit('/').next().unwrap();
    let cut = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    let ended = other.database.with_writer(|c| Ok(diesel::sql_query(cut).execute(c)?)).unwrap();
    assert!(ended > 0);
}

#[test]
fn reads_and_writes_go_on_after_the_server_cut_their_connections() {
    let test = TestDatabase::new(Engine::Postgres);
    for round in ["anna", "bea", "carl"] {
        cut_connections(&test);
        test.database.read(names).unwrap();
        cut_connections(&test);
        test.database.write(|c| add_user(c, round)).unwrap();
    }
    assert_eq!(test.database.read(names).unwrap(), ["anna", "bea", "carl"]);
}

#[test]
fn a_failed_write_leaves_nothing() {
    on_both(|test| {
        let failed: Result<()> = test.database.write(|c| {
            add_user(c, "anna1")?;
            assert_eq!(names(c)?, ["anna1"]);
            Err(Error::NotFound("reason to go on"))
        });
        assert!(matches!(failed, Err(Error::NotFound(_))));
        assert!(test.database.read(names).unwrap().is_empty());
        test.database.write(|c| add_user(c, "bea1")).unwrap();
        assert_eq!(test.database.read(names).unwrap(), ["bea1"]);
    });
}

#[test]
fn a_panic_in_a_write_leaves_nothing_and_frees_the_writer() {
    on_both(|test| {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            test.database.write(|c| -> Result<()> {
                add_user(c, "anna1")?;
                panic!("on purpose")
            })
        }));
        assert!(panicked.is_err());
        test.database.write(|c| add_user(c, "bea1")).unwrap();
        assert_eq!(test.database.read(names).unwrap(), ["bea1"]);
    });
}

#[test]
fn readers_of_an_embedded_file_cannot_write() {
    let test = TestDatabase::new(Engine::Sqlite);
    assert!(test.database.read(|c| add_user(c, "anna1")).is_err());
    assert!(test.database.read(names).unwrap().is_empty());
}
