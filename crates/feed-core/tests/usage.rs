//! What work takes of the database, as logs and metrics show it.

use std::sync::Mutex;
use std::time::Duration;

use diesel::connection::InstrumentationEvent;
use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Database, Db, Engine, Limits, measured};
use feed_core::feed::{self, Feed, FeedRequest, Listing};
use feed_core::page::{PageRequest, Start};
use feed_core::testing::{TestDatabase, on_both};
use feed_core::{Result, favorites, flyers, follows, profiles, sweep, users, validator};
use pretty_assertions::assert_eq;
use serde_json::json;

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
        assert_eq!(write.statements, 1, "BEGIN and COMMIT are none");
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
fn a_thread_counts_its_own() {
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
fn pools_tell_who_is_lent() {
    on_both(|test: &TestDatabase| {
        let (readers, before) = test.database.pools()[0];
        assert_eq!(before.most, 8);
        let lent = test.database.read(|_| Ok(test.database.pools()[0].1)).unwrap();
        assert_eq!((lent.connections - lent.idle, before.connections - before.idle), (1, 0), "{readers}");
    });
}

#[test]
fn the_server_shows_who_asks_and_for_what() {
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
        page: PageRequest { start: Start::Page(1), size: 20 },
        now,
    };
    service.read(|c| feed::load(c, &request)).unwrap();
    assert!(seen().starts_with("/* feed_"), "{}", seen());
}

static SENT: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[expect(clippy::needless_pass_by_value, reason = "as Diesel calls it")]
fn record(event: InstrumentationEvent<'_>) {
    if let InstrumentationEvent::StartQuery { query, .. } = event {
        SENT.lock().expect("nobody panics with it").push(query.to_string());
    }
}

#[test]
fn what_requests_send_names_itself() {
    diesel::connection::set_default_instrumentation(|| Some(Box::new(record))).unwrap();
    on_both(|test| {
        let database = &test.database;
        let now = feed_core::clock::Clock::default().now();
        let of = |value: serde_json::Value| serde_json::from_value(value).unwrap();
        SENT.lock().unwrap().clear();

        let sign_up = json!({"email": "anna@example.org", "password": "correct horse"});
        let anna = users::register(database, &of(sign_up.clone()), now).unwrap().id;
        let other = json!({"email": "beat@example.org", "password": "correct horse", "username": "Beat"});
        let beat = users::register(database, &of(other), now).unwrap().id;
        users::authenticate(database, &serde_json::from_value(sign_up).unwrap()).unwrap();
        let change =
            json!({"username": "Anna", "current_password": "correct horse", "password": "battery staple"});
        users::update(database, anna, &serde_json::from_value(change).unwrap()).unwrap();
        let flyer: flyers::NewFlyer = serde_json::from_value(json!({
            "title": "Bread", "description": "", "location_address": "Zürich", "latitude": 47.4, "longitude": 8.5,
            "valid_from": now.and_utc(), "valid_until": (now + chrono::TimeDelta::days(7)).and_utc(),
            "categories": ["service"], "images": [{"url": "https://images.example.org/a.jpg"}],
        }))
        .unwrap();
        database
            .write(|c| {
                let bread = flyers::publish(c, anna, &flyer, now)?;
                let change =
                    json!({"title": "Cake", "images": [{"url": "https://images.example.org/b.jpg"}]});
                flyers::update(c, anna, bread, &serde_json::from_value(change).unwrap(), now)?;
                for _ in 0..2 {
                    favorites::favorite(c, beat, bread, now)?;
                    follows::follow(c, beat, anna, now)?;
                }
                let page = PageRequest { start: Start::Page(1), size: 1 };
                favorites::list(c, beat, &page)?;
                follows::list(c, beat, &page)?;
                follows::statuses(c, Some(beat), &[anna])?;
                users::own_profile(c, beat)?;
                profiles::load(c, anna, Some(beat), now)?;
                users::require(c, Some(beat))?;
                validator::current(c, Some(beat), now)?;
                feed::load_one(c, bread, Some(beat), now)?;
                let listing = Listing { search: Some("cake".to_owned()), ..Feed::Following(beat).into() };
                assert_eq!(feed::load(c, &FeedRequest { listing, page, now })?.items.len(), 1);
                favorites::unfavorite(c, beat, bread)?;
                follows::unfollow(c, beat, anna)?;
                flyers::delete(c, anna, bread)?;
                users::delete(c, anna)
            })
            .unwrap();
        sweep::sweep(database).unwrap();

        let own =
            ["BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "PRAGMA", "SET ", "SELECT pg_advisory", "LOCK TABLE"];
        let sent = SENT.lock().unwrap();
        let nameless =
            |text: &&String| !text.starts_with("/* ") && !own.iter().any(|own| text.starts_with(own));
        assert_eq!(sent.iter().filter(nameless).collect::<Vec<_>>(), Vec::<&String>::new());
        assert!(sent.len() > 40, "{}", sent.len());
    });
}
