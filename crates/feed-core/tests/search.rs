//! Results of searches and of circles right after a write, by every access path.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use chrono::{NaiveDateTime, TimeDelta};
use feed_core::attempts::Attempts;
use feed_core::db::{Database, Db};
use feed_core::feed::{self, AccessPath, AccessPaths, Feed, FeedRequest, Listing};
use feed_core::flyers::{self, FlyerChange, NewFlyer};
use feed_core::geo::Location;
use feed_core::page::{PageRequest, Start};
use feed_core::testing::{TestDatabase, on_both};
use feed_core::users::{self, AccountChange, Identity};
use feed_core::{favorites, follows, text, validator};
use pretty_assertions::assert_eq;
use serde_json::json;

fn now() -> NaiveDateTime {
    "2026-06-01T12:00:00".parse().unwrap()
}

fn register(database: &Database, name: &str) -> Identity {
    let email = format!("{name}@example.org");
    let registration = json!({"email": email, "password": "correct horse", "username": name});
    users::register(database, &serde_json::from_value(registration).unwrap(), now()).unwrap().identity()
}

fn publish(database: &Database, creator: Identity, title: &str) -> i64 {
    let flyer = json!({
        "title": title,
        "description": "Every day from six.",
        "location_address": "Bahnhofstrasse 1, Zürich",
        "latitude": 47.3769,
        "longitude": 8.5417,
        "valid_from": now().and_utc(),
        "valid_until": (now() + TimeDelta::days(7)).and_utc(),
        "categories": ["service"],
        "images": [{ "url": "https://images.example.org/bread.jpg" }],
    });
    let flyer: NewFlyer = serde_json::from_value(flyer).unwrap();
    database.write(|c| flyers::publish(c, creator, &flyer, now())).unwrap()
}

fn change(database: &Database, creator: Identity, flyer: i64, members: &serde_json::Value) {
    let change: FlyerChange = serde_json::from_value(members.clone()).unwrap();
    database.write(|c| flyers::update(c, creator, flyer, &change, now())).unwrap();
}

/// The ids of a list. Every access path must find the same.
fn found(test: &TestDatabase, listing: &Listing) -> Vec<i64> {
    let page = PageRequest { start: Start::Page(1), size: 10, count: None };
    let request = FeedRequest { listing: listing.clone(), page, now: now() };
    let ids = |c: &mut Db, paths: Option<AccessPaths>| {
        let page = match paths {
            None => feed::load(c, &request),
            Some(paths) => feed::load_by(c, &request, paths),
        }?;
        assert_eq!(page.count.value as usize, page.items.len());
        Ok(page.items.iter().map(|card| card.id).collect::<Vec<_>>())
    };
    let chosen = test.database.read(|c| ids(c, None)).unwrap();
    for path in [AccessPath::Feed, AccessPath::Place, AccessPath::Text] {
        let by_path = test.database.read(|c| ids(c, Some(path.into()))).unwrap();
        assert_eq!(by_path, chosen, "{path:?} of {listing:?}");
    }
    chosen
}

/// The results of a search in the main feed, by every access path.
fn searched(test: &TestDatabase, search: &str) -> Vec<i64> {
    found(test, &Listing { search: Some(text::fold(search)), ..Feed::All(None).into() })
}

/// The feeds of `viewer`, who follows `creator` and favorited all of their flyers.
fn feeds(creator: Identity, viewer: Identity) -> [Feed; 4] {
    let (creator, viewer) = (creator.id, viewer.id);
    let by_creator = Feed::Creator { creator, viewer: Some(viewer) };
    [Feed::All(None), Feed::Favorites(viewer), Feed::Following(viewer), by_creator]
}

#[test]
fn a_write_shows_in_the_next_search() {
    on_both(|test| {
        let database = &test.database;
        let (creator, viewer) = (register(database, "Jürg"), register(database, "viewer"));
        database.write(|c| follows::follow(c, viewer, creator.id, now())).unwrap();
        let flyer = publish(database, creator, "Bäckerei");
        database.write(|c| favorites::favorite(c, viewer, flyer, now())).unwrap();
        let search = |text: &str| {
            let find = |feed: Feed| found(test, &Listing { search: Some(text::fold(text)), ..feed.into() });
            let results = feeds(creator, viewer).map(find);
            assert!(results.iter().all(|ids| *ids == results[0]), "{text}: {results:?}");
            results[0] == [flyer]
        };
        assert!(search("BÄCKEREI") && search("ä") && search("jürg") && search("ü") && search("zürich"));
        assert!(!search("Zopf") && !search("xq") && !search("Reto"));

        change(database, creator, flyer, &json!({"title": "Zopf"}));
        assert!(search("zopf") && search("every day") && !search("bäckerei"));
        change(database, creator, flyer, &json!({"description": "Im Hof.", "location_address": "Chur"}));
        assert!(search("im hof") && search("CHUR") && !search("zürich") && !search("every"));

        let rename: AccountChange = serde_json::from_value(json!({"username": "Reto"})).unwrap();
        users::update(database, &Attempts::default(), creator, &rename, now()).unwrap();
        assert!(search("RETO") && !search("jürg"));

        database.write(|c| flyers::delete(c, creator, flyer)).unwrap();
        assert!(!search("zopf") && !search("reto"));
    });
}

#[test]
fn a_flyer_with_a_new_location_is_found_there() {
    on_both(|test| {
        let database = &test.database;
        let (creator, viewer) = (register(database, "creator"), register(database, "viewer"));
        database.write(|c| follows::follow(c, viewer, creator.id, now())).unwrap();
        let flyer = publish(database, creator, "Bread");
        database.write(|c| favorites::favorite(c, viewer, flyer, now())).unwrap();
        let is_near = |latitude: f64, longitude: f64, km: i64| {
            let location = Some(Location { latitude, longitude });
            let find = |feed: Feed| {
                found(test, &Listing { location, radius_mm: Some(km * 1_000_000), ..feed.into() })
            };
            let results = feeds(creator, viewer).map(find);
            assert!(results.iter().all(|ids| *ids == results[0]), "{results:?}");
            results[0] == [flyer]
        };
        for km in [1, 40, 500] {
            assert!(is_near(47.3769, 8.5417, km));
        }
        let places =
            [(0.0, 180.0), (-90.0, 0.0), (89.99, -179.9), (1e-300, 0.0), (5e-324, 0.0), (-5e-324, 5e-324)];
        for (latitude, longitude) in places {
            change(database, creator, flyer, &json!({"latitude": latitude, "longitude": longitude}));
            for km in [2, 40, 500] {
                // The same location with another number, or one that is as near as numbers can express.
                let other = if longitude == 0.0 { -2.2e-309 } else { -longitude };
                assert!(is_near(latitude, other, km), "{latitude} {longitude} {km}");
                assert!(is_near(latitude, longitude, km), "{latitude} {longitude} {km}");
                assert!(!is_near(47.3769, 8.5417, km));
            }
        }
    });
}

#[test]
fn missing_texts_are_completed() {
    on_both(|test| {
        let database = &test.database;
        let creator = register(database, "Jürg");
        let flyer = publish(database, creator, "Bäckerei");
        assert_eq!(text::complete(database).unwrap(), 0);
        // The state after a migration, or after another program has written.
        assert_eq!(test.execute("DELETE FROM flyer_texts", &[]), 1);
        assert_eq!(test.execute("DELETE FROM user_texts", &[]), 1);
        let search = |text: &str| searched(test, text);
        assert!(search("bäckerei").is_empty());
        assert_eq!(text::complete(database).unwrap(), 2);
        assert_eq!(search("bäckerei"), [flyer]);
        assert_eq!(search("jürg"), [flyer]);
        assert_eq!(text::complete(database).unwrap(), 0);
    });
}

#[test]
fn a_text_is_never_older_than_its_original() {
    on_both(|test| {
        let database = &test.database;
        let creator = register(database, "Jürg");
        let flyer = publish(database, creator, "Bäckerei");
        let search = |text: &str| searched(test, text);
        let key = validator::TagKey::derive(b"of this test");
        let tag = || key.tag("", &database.read(|c| validator::current(c, None, now())).unwrap());

        // The writes of a version of this service without search.
        assert_eq!(test.execute("UPDATE flyers SET title = 'Konditorei'", &[]), 1);
        assert_eq!(test.execute("UPDATE users SET username = 'Beat'", &[]), 1);
        for old in ["bäckerei", "jürg"] {
            assert!(search(old).is_empty(), "{old}");
        }
        let before = tag();
        assert_eq!(text::complete(database).unwrap(), 2);
        assert_ne!(tag(), before, "feeds have changed");
        for new in ["konditorei", "beat"] {
            assert_eq!(search(new), [flyer], "{new}");
        }
        // A change by this version writes the whole text, even if it was missing.
        assert_eq!(test.execute("DELETE FROM flyer_texts", &[]), 1);
        assert_eq!(test.execute("DELETE FROM user_texts", &[]), 1);
        change(database, creator, flyer, &json!({"description": "Torten"}));
        let name: AccountChange = serde_json::from_value(json!({"username": "Reto"})).unwrap();
        users::update(database, &Attempts::default(), creator, &name, now()).unwrap();
        for text in ["torten", "konditorei", "reto"] {
            assert_eq!(search(text), [flyer], "{text}");
        }
        assert_eq!(text::complete(database).unwrap(), 0);
        // A change of other fields keeps the text.
        change(database, creator, flyer, &json!({"latitude": 1.0}));
        assert_eq!(search("torten"), [flyer]);
    });
}

#[test]
fn searches_of_one_and_two_characters_find_unusual_ones() {
    on_both(|test| {
        let database = &test.database;
        let creator = register(database, "creator");
        let odd = publish(database, creator, "\u{ffff}q \u{fffe} \u{10fffd}\"'ж");
        let search = |text: &str| searched(test, text).contains(&odd);
        let finds_them = || {
            for text in [
                "\u{ffff}",
                "\u{ffff}q",
                "q \u{fffe}",
                "\u{fffe}",
                "\u{10fffd}",
                "\"",
                "\"'",
                "'ж",
                "ж",
                "!!",
            ] {
                assert_eq!(search(text), text != "!!", "{text:?}");
            }
            assert!(!search("\u{fffd}") && !search("\u{fffe}q"));
        };
        finds_them();
        // Also when SQLite's index contains them: see the migration.
        for number in 0..16 {
            publish(database, creator, &format!("Bread {number}"));
        }
        finds_them();
    });
}
