//! What a cursor is bound to, what it outlives, and what the links around it say.

use chrono::TimeDelta;
use feed_test::app::{cursor, feeds, ids, on_both};
use serde_json::Value;

use crate::feeds::reader;

#[test]
fn a_cursor_is_bound_to_all_that_decides_its_list() {
    on_both(|app| {
        let (creator, user, _) = reader(app, 3);
        let filters = "lat=47.3769&lng=8.5417&radius_km=10&search=flyer&categories=events";
        for feed in feeds(&creator) {
            let page = app.get(&format!("{feed}page_size=1&{filters}"), Some(&user)).expect(200).json();
            let cursor = cursor(&page["next"]);
            let with = |filters: &str| app.get(&format!("{feed}cursor={cursor}&{filters}"), Some(&user));
            with(filters).expect(200);
            with(&format!("{filters}&page_size=2&unknown=1")).expect(200);
            with("search=%20FLYER&lng=8.54170&lat=47.3769&categories=events,events&radius_km=10.0")
                .expect(200);
            for (from, to) in [
                ("lat=47.3769", "lat=47.3768"),
                ("lng=8.5417", "lng=8.5418"),
                ("radius_km=10", "radius_km=11"),
                ("&radius_km=10", ""),
                ("search=flyer", "search=fly"),
                ("&search=flyer", ""),
                ("categories=events", "categories=events,service"),
                ("&categories=events", ""),
            ] {
                with(&filters.replace(from, to)).expect_invalid("cursor");
            }
            for elsewhere in feeds(&creator) {
                let name = |feed: &str| {
                    let order = if feed.contains("favorited") { "favorited" } else { "newest" };
                    let kinds = ["favorites", "following", "users"];
                    (order, kinds.into_iter().find(|kind| feed.contains(kind)))
                };
                let reply = app.get(&format!("{elsewhere}cursor={cursor}&{filters}"), Some(&user));
                if name(&elsewhere) == name(&feed) {
                    reply.expect(200)
                } else {
                    reply.expect_invalid("cursor")
                };
            }
            let reply = app.get(&format!("{feed}cursor={cursor}&{filters}"), Some(&creator));
            reply.expect_invalid("cursor");
        }
    });
}

#[test]
fn a_cursor_of_one_creator_is_none_of_another() {
    on_both(|app| {
        let (creator, user, _) = reader(app, 2);
        let page =
            app.get(&format!("/api/users/{}/flyers/?page_size=1", creator.id), None).expect(200).json();
        let cursor = cursor(&page["next"]);
        let of = |id| format!("/api/users/{id}/flyers/?cursor={cursor}");
        app.get(&of(creator.id), None).expect(200);
        app.get(&of(user.id), None).expect_invalid("cursor");
        app.get(&of(creator.id), Some(&creator)).expect_invalid("cursor");
    });
}

#[test]
fn damaged_and_forged_cursors_are_refused() {
    on_both(|app| {
        let (_, user, _) = reader(app, 2);
        let page = app.get("/api/feed/?page_size=1", None).expect(200).json();
        let good = cursor(&page["next"]);
        let half = &good[..good.len() / 2];
        let other_key = feed_core::page::CursorKey::derive(b"another secret of thirty-two bytes");
        let position = feed_core::page::Position { at: app.clock.now(), distance: 0, id: 1 };
        let forged = feed_core::page::Cursor {
            direction: feed_core::page::Direction::Forward,
            position,
            count: feed_core::page::Count::of(1),
        };
        let forged = forged.encode(&other_key, "all/newest/0/None/None/None/None");
        for bad in [
            half,
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}A"),
            &format!("{good}%3D"),
            &format!("{good}%20"),
            &format!("{good}{good}"),
            &forged,
            "%00",
            "%FF",
            "bnVsbA",
            &"A".repeat(10_000),
        ] {
            app.get(&format!("/api/feed/?cursor={bad}"), None).expect_invalid("cursor");
        }
        app.get(&format!("/api/feed/?cursor={good}&cursor={good}"), None).expect_invalid("cursor");
        app.get(&format!("/api/feed/?cursor={good}&page=1"), None).expect_invalid("cursor");
        app.get(&format!("/api/feed/?cursor={good}"), Some(&user)).expect_invalid("cursor");
        app.get(&format!("/api/feed/?cursor={good}"), None).expect(200);
        app.pass(TimeDelta::days(6));
        assert_eq!(app.get(&format!("/api/feed/?cursor={good}"), None).expect(200).json()["count"], 2);
    });
}

#[test]
fn a_walk_goes_on_while_others_write() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 9);
        for feed in feeds(&creator) {
            let mut page = app.get(&format!("{feed}page_size=2"), Some(&user)).expect(200).json();
            let mut seen = ids(&page);
            while let Some(next) = page["next"].as_str() {
                // Newer than all of the walk, and gone before the next feed.
                let new = app.publish(&creator, "New");
                app.pass(TimeDelta::seconds(1));
                app.favorite(&user, new);
                page = app.get(next, Some(&user)).expect(200).json();
                assert_eq!(page["count"], 9, "the count of where the walk started");
                seen.extend(ids(&page));
                app.delete(&format!("/api/flyers/{new}/"), &creator).expect(204);
            }
            assert_eq!(seen, flyers, "{feed}");
        }
    });
}

#[test]
fn the_way_back_is_there_when_rows_have_gone() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 6);
        for (n, feed) in feeds(&creator).iter().enumerate() {
            let first = app.get(&format!("{feed}page_size=2"), Some(&user)).expect(200).json();
            let second = app.get(first["next"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(ids(&second), flyers[2..4], "feed {n}");
            let back = app.get(second["previous"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!((ids(&back), &back["previous"]), (flyers[..2].to_vec(), &Value::Null));
            assert_eq!(app.get(back["next"].as_str().unwrap(), Some(&user)).json(), second);
        }
        let pages = feeds(&creator).map(|feed| {
            let first = app.get(&format!("{feed}page_size=3"), Some(&user)).expect(200).json();
            let second = app.get(first["next"].as_str().unwrap(), Some(&user)).expect(200).json();
            [first["next"].clone(), second["previous"].clone()]
        });
        // The first three, then the rest.
        for gone in &flyers[..3] {
            app.delete(&format!("/api/flyers/{gone}/"), &creator).expect(204);
        }
        for [_, previous] in &pages {
            let empty = app.get(previous.as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!((ids(&empty), &empty["previous"]), (vec![], &Value::Null));
            let forth = app.get(empty["next"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(ids(&forth), flyers[3..]);
        }
        for gone in &flyers[4..] {
            app.delete(&format!("/api/flyers/{gone}/"), &creator).expect(204);
        }
        app.delete(&format!("/api/flyers/{}/", flyers[3]), &creator).expect(204);
        for [next, _] in &pages {
            let empty = app.get(next.as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!((ids(&empty), &empty["next"]), (vec![], &Value::Null));
            let back = app.get(empty["previous"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!((ids(&back), &back["previous"]), (vec![], &Value::Null));
        }
    });
}

#[test]
fn next_is_null_exactly_when_nothing_follows() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 4);
        for feed in feeds(&creator) {
            for size in 1..=5 {
                let mut page = app.get(&format!("{feed}page_size={size}"), Some(&user)).expect(200);
                let mut seen = ids(&page.json()).len();
                while let Some(next) = page.json()["next"].as_str() {
                    assert!(seen < flyers.len(), "{feed} by {size}");
                    page = app.get(next, Some(&user)).expect(200);
                    seen += ids(&page.json()).len();
                }
                assert_eq!(seen, flyers.len());
                let last = flyers.len().div_ceil(size);
                let numbered =
                    app.get(&format!("{feed}page={last}&page_size={size}"), Some(&user)).expect(200);
                assert_eq!(numbered.json()["next"], Value::Null);
                assert!(!numbered.header("link").contains("rel=\"next\""));
            }
            assert_eq!(app.get(&feed, Some(&user)).header("link"), "", "a whole list links to nothing");
        }
    });
}
