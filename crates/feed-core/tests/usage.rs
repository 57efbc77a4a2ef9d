//! The measured database usage, as logs and metrics show it.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Database, Db, Engine, Limits, measured};
use feed_core::feed::{self, Feed, FeedRequest};
use feed_core::page::{PageRequest, Start};
use feed_core::testing::{TestDatabase, on_both};
use feed_core::{Result, validator};
use pretty_assertions::assert_eq;

fn one(c: &mut Db) -> Result<()> {
    diesel::sql_query("SELECT 1").execute(c)?;
    Ok(())
}

#[test]
fn statements_are_counted_without_the_connections_own() {
    on_both(|test| {
        let limits = Limits { statement: Some(Duration::from_secs(60)), ..Limits::default() };
        let limited = test.database.limited(limits);
        let (_, read) = measured(|| {
            limited.read(|c| {
                one(c)?;
                one(c)
            })
        });
        assert_eq!(read.statements, 2);
        assert!(!read.database.is_zero());
        let (_, write) = measured(|| limited.write(one));
        assert_eq!(write.statements, 1, "BEGIN and COMMIT do not count");
        let (failed, refused) = measured(|| {
            test.database.write(|c| {
                one(c)?;
                Err::<(), _>(feed_core::Error::NotFound("reason to go on"))
            })
        });
        assert_eq!((failed.is_err(), refused.statements), (true, 1));
        let ((), nothing) = measured(|| ());
        assert_eq!(nothing.statements, 0);
    });
}

#[test]
fn each_thread_counts_its_own_statements() {
    on_both(|test| {
        let ((), usage) = measured(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| test.database.read(one).unwrap());
            });
            test.database.read(one).unwrap();
        });
        assert_eq!(usage.statements, 1);
    });
}

#[test]
fn pools_report_connections_in_use() {
    on_both(|test: &TestDatabase| {
        let (readers, before) = test.database.pools()[0];
        assert_eq!(before.most, 8);
        let lent = test.database.read(|_| Ok(test.database.pools()[0].1)).unwrap();
        assert_eq!((lent.connections - lent.idle, before.connections - before.idle), (1, 0), "{readers}");
    });
}

#[test]
fn the_server_shows_the_application_and_the_name_of_the_statement() {
    let test = TestDatabase::new(Engine::Postgres);
    let seen = || {
        let last = diesel::dsl::sql::<Text>(
            "query FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'feed-api' \
             AND pid <> pg_backend_pid() AND state = 'idle' ORDER BY state_change DESC LIMIT 1",
        );
        test.database.with_writer(|c| Ok(diesel::select(last).get_result::<String>(c)?)).unwrap()
    };
    let service = Database::open(&test.url.parse().unwrap(), 1).unwrap();
    let now = feed_core::clock::Clock::default().now();
    service.read(|c| validator::current(c, None, now)).unwrap();
    assert!(seen().starts_with("/* validator */ SELECT "), "{}", seen());
    let request = FeedRequest {
        listing: Feed::All(None).into(),
        page: PageRequest { start: Start::Page(1), size: 20, count: None },
        now,
    };
    service.read(|c| feed::load(c, &request)).unwrap();
    assert!(seen().starts_with("/* feed_"), "{}", seen());
}
