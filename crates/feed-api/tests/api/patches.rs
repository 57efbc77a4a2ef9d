//! Changing flyers.

use chrono::TimeDelta;
use feed_test::app::{App, User, on_both, rfc3339};
use serde_json::{Value, json};

use crate::feeds::reader;

fn path(flyer: i64) -> String {
    format!("/api/flyers/{flyer}/")
}

#[test]
fn each_field_changes_alone() {
    on_both(|app| {
        let user = app.user("anna");
        let flyer = app.publish(&user, "Bread");
        let mut expected = app.get(&path(flyer), Some(&user)).expect(200).json();
        let images = json!([{"url": "https://a.example/3.jpg"}, {"url": "https://a.example/1.jpg"}]);
        let ordered = json!([
            {"url": "https://a.example/3.jpg", "order": 1}, {"url": "https://a.example/1.jpg", "order": 2},
        ]);
        for (field, value, shown) in [
            ("title", json!(" Cake "), json!("Cake")),
            ("description", json!(""), json!("")),
            ("location_address", json!("Gasse 2"), json!("Gasse 2")),
            ("latitude", json!(-90), json!(-90.0)),
            ("longitude", json!(180.0), json!(180.0)),
            ("valid_from", json!("2026-06-01T14:00:00+02:00"), json!("2026-06-01T12:00:00Z")),
            ("valid_until", json!("2026-06-02T12:00:00.5Z"), json!("2026-06-02T12:00:00.500Z")),
            ("categories", json!(["nightlife"]), json!(["nightlife"])),
            ("images", images, ordered),
            (
                "images",
                json!([{"url": "http://b.example/"}]),
                json!([{"url": "http://b.example/", "order": 1}]),
            ),
        ] {
            let card = app.patch(&path(flyer), &user, json!({field: value})).expect(200).json();
            expected[field] = shown;
            pretty_assertions::assert_eq!(card, expected);
            assert_eq!(app.get(&path(flyer), Some(&user)).expect(200).json(), expected);
        }
        assert_eq!(app.patch(&path(flyer), &user, json!({})).expect(200).json(), expected);
        let fixed = json!({"id": 1, "created_at": "2020-01-01T00:00:00Z", "creator_id": 1, "unknown": null});
        assert_eq!(app.patch(&path(flyer), &user, fixed).expect(200).json(), expected);
    });
}

#[test]
fn bad_values_name_their_field_and_change_nothing() {
    on_both(|app| {
        let user = app.user("anna");
        let flyer = app.publish(&user, "Bread");
        let before = app.get(&path(flyer), None).json();
        for (field, value) in [
            ("title", json!("  ")),
            ("title", json!("ä".repeat(201))),
            ("description", json!("x".repeat(2_001))),
            ("location_address", json!("")),
            ("location_address", json!("x".repeat(501))),
            ("latitude", json!(90.000_001)),
            ("latitude", json!("47")),
            ("longitude", json!(-181)),
            ("valid_from", json!("yesterday")),
            ("valid_until", json!("2026-06-02T12:00:00")),
            ("categories", json!([])),
            ("categories", json!("events")),
            ("images", json!([])),
            ("images", json!(vec![json!({"url": "https://a.example/b.jpg"}); 6])),
        ] {
            app.patch(&path(flyer), &user, json!({"title": "Other", field: value})).expect_invalid(field);
        }
        for field in before.as_object().unwrap().keys() {
            if app.flyer("").get(field).is_some() {
                app.patch(&path(flyer), &user, json!({field: null})).expect_invalid(field);
            }
        }
        app.patch(&path(flyer), &user, json!({"images": [{"url": "/x"}]})).expect_invalid("images[0].url");
        app.patch(&path(flyer), &user, json!({"title": "a\0b"})).expect_problem(400);
        app.patch(&path(flyer), &user, json!([])).expect_problem(400);
        assert_eq!(app.get(&path(flyer), None).json(), before);
    });
}

#[test]
fn a_validity_must_hold_together_with_what_stays() {
    on_both(|app| {
        let user = app.user("anna");
        let flyer = app.publish(&user, "Bread");
        let (from, until) = (app.clock.now() - TimeDelta::hours(1), app.clock.now() + TimeDelta::weeks(1));
        let change = |body: Value| app.patch(&path(flyer), &user, body);
        let micro = TimeDelta::microseconds(1);
        change(json!({"valid_from": rfc3339(until)})).expect_invalid("valid_from");
        change(json!({"valid_until": rfc3339(from)})).expect_invalid("valid_until");
        change(json!({"valid_from": rfc3339(until), "valid_until": rfc3339(until)}))
            .expect_invalid("valid_until");
        change(json!({"valid_from": rfc3339(until - micro)})).expect(200);
        change(json!({"valid_from": rfc3339(from)})).expect(200);
        change(json!({"valid_until": rfc3339(from + micro)})).expect(200);
        // Neither holds with what was there.
        change(json!({"valid_from": rfc3339(until), "valid_until": rfc3339(until + micro)})).expect(200);

        let year = json!({"valid_from": "2027-06-01T12:00:00.250Z", "valid_until": "2030-01-01T00:00:00Z"});
        change(year).expect(200);
        change(json!({"valid_from": "2027-06-01T12:00:00.250001Z"})).expect_invalid("valid_from");
    });
}

#[test]
fn only_its_creator_changes_a_flyer() {
    on_both(|app| {
        let (anna, bea) = (app.user("anna"), app.user("bea"));
        let flyer = app.publish(&anna, "Bread");
        let change = json!({"title": "Cake"});
        app.send("PATCH", &path(flyer), None, Some(change.clone())).expect_problem(401);
        app.patch(&path(flyer), &bea, change.clone()).expect_problem(403);
        app.patch(&path(flyer + 1), &anna, change.clone()).expect_problem(404);
        for id in ["0", "-1", "x", "9223372036854775808"] {
            app.patch(&format!("/api/flyers/{id}/"), &anna, change.clone()).expect_invalid("id");
        }
        assert_eq!(app.get(&path(flyer), None).json()["title"], "Bread");
        app.delete("/api/users/me/", &bea).expect(204);
        app.patch(&path(flyer), &bea, change).expect_problem(401);
    });
}

fn favorites(app: &App, user: &User, query: &str) -> [Vec<i64>; 2] {
    ["", "order=favorited&"].map(|order| {
        let path = format!("/api/favorites/feed/?{order}{query}");
        app.ids(&path, Some(user))
    })
}

#[test]
fn the_favorites_feed_sees_a_change_at_once() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 1);
        let change = |body: Value| app.patch(&path(flyers[0]), &creator, body).expect(200);
        let (none, one) = ([const { Vec::<i64>::new() }; 2], [flyers.clone(), flyers.clone()]);
        change(json!({"categories": ["nightlife"]}));
        assert_eq!(favorites(app, &user, "categories=nightlife"), one);
        assert_eq!(favorites(app, &user, "categories=events,service"), none);
        change(json!({"valid_from": rfc3339(app.clock.now() + TimeDelta::seconds(1))}));
        assert_eq!(favorites(app, &user, ""), none);
        change(json!({"valid_from": rfc3339(app.clock.now())}));
        assert_eq!(favorites(app, &user, ""), one);
        change(json!({"valid_from": "2026-01-01T00:00:00Z", "valid_until": rfc3339(app.clock.now())}));
        assert_eq!(favorites(app, &user, ""), none);
        change(json!({"valid_until": rfc3339(app.clock.now() + TimeDelta::seconds(1))}));
        assert_eq!(favorites(app, &user, ""), one);
        change(json!({"title": "Xylophone"}));
        assert_eq!(favorites(app, &user, "search=xylo"), one);
    });
}

#[test]
fn a_flyer_that_was_marked_as_expired_comes_back_with_a_new_end() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 1);
        app.pass(TimeDelta::weeks(2));
        let now = app.clock.now();
        app.database.database.write(|c| feed_core::sweep::sweep_batch(c, now)).unwrap();
        let feeds = feed_test::app::feeds(&creator);
        for feed in &feeds {
            assert!(app.ids(feed, Some(&user)).is_empty(), "{feed}");
        }
        let until = rfc3339(now + TimeDelta::days(1));
        app.patch(&path(flyers[0]), &creator, json!({"valid_until": until})).expect(200);
        for feed in &feeds {
            assert_eq!(app.ids(feed, Some(&user)), flyers, "{feed}");
        }
    });
}
