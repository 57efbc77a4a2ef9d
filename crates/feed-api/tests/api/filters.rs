//! `radius_km` and `search`, alone and together with everything else, in every feed.

use chrono::TimeDelta;
use feed_test::app::{App, User, feeds, on_both};
use serde_json::{Value, json};

/// A creator whom the reader follows.
fn followed(app: &App) -> (User, User) {
    let (creator, user) = (app.user("creator"), app.user("reader"));
    app.follow(&user, &creator);
    (creator, user)
}

/// Publishes a flyer a second later than the one before, and makes it a favorite.
fn publish(app: &App, creator: &User, user: &User, title: &str, members: &Value) -> i64 {
    app.pass(TimeDelta::seconds(1));
    let id = app.publish_with(creator, title, members);
    app.favorite(user, id);
    id
}

fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn bad_radii_and_searches_are_named() {
    on_both(|app| {
        let (creator, user) = followed(app);
        for feed in feeds(&creator) {
            for radius in
                ["0", "-0", "-1", "500.000001", "501", "nan", "NaN", "inf", "text", "", "1km", "%2B", "1%00"]
            {
                eprintln!("{feed} {radius}");
                app.get(&format!("{feed}lat=1&lng=1&radius_km={radius}"), Some(&user))
                    .expect_invalid("radius_km");
            }
            app.get(&format!("{feed}radius_km=1"), Some(&user)).expect_invalid("radius_km");
            app.get(&format!("{feed}radius_km=1&lat=1"), Some(&user)).expect_problem(400);
            app.get(&format!("{feed}radius_km=1&radius_km=1&lat=1&lng=1"), Some(&user))
                .expect_invalid("radius_km");
            for radius in ["0.1", "500", "1e2", "0.0001"] {
                app.get(&format!("{feed}lat=1&lng=1&radius_km={radius}"), Some(&user)).expect(200);
            }
            for search in [encoded(&"ä".repeat(101)), "a%00b".to_owned(), "a&search=b".to_owned()] {
                app.get(&format!("{feed}search={search}"), Some(&user)).expect_invalid("search");
            }
            let padded = encoded(&format!("  {}  ", "😀".repeat(100)));
            app.get(&format!("{feed}search={padded}"), Some(&user)).expect(200);
        }
    });
}

#[test]
fn a_radius_keeps_what_lies_within_it() {
    on_both(|app| {
        let (creator, user) = followed(app);
        let at = |title: &str, latitude: f64, longitude: f64| {
            publish(app, &creator, &user, title, &json!({"latitude": latitude, "longitude": longitude}))
        };
        let origin = at("Origin", 0.0, 0.0);
        // A millionth of a degree is 111.2 mm.
        let near = at("A hundred meters", 0.0, 0.000_899);
        let far = at("Almost 500 km", 4.496, 0.0);
        let (east, west) = (at("East", 0.0, 179.999), at("West", 0.0, -179.999));
        let (north, south) = (at("North", 90.0, 12.0), at("South", -89.999, 0.0));
        for feed in feeds(&creator) {
            let within = |lat: f64, lng: f64, km: f64| {
                let path = format!("{feed}lat={lat}&lng={lng}&radius_km={km}");
                let page = app.get(&path, Some(&user)).expect(200).json();
                assert_eq!(page["count"], page["results"].as_array().unwrap().len());
                let mut ids = feed_test::app::ids(&page);
                ids.sort_unstable();
                ids
            };
            assert_eq!(within(0.0, 0.0, 0.000_001), [origin]);
            assert_eq!(within(0.0, 0.0, 0.1), [origin, near]);
            assert_eq!(within(0.0, 0.0, 0.099_9), [origin]);
            // The distance is 99.964... m, which compares in whole millimetres.
            assert_eq!(within(0.0, 0.0, 0.099_964), [origin, near]);
            assert_eq!(within(0.0, 0.0, 0.099_963), [origin]);
            assert_eq!(within(0.0, 0.0, 499.9), [origin, near]);
            assert_eq!(within(0.0, 0.0, 500.0), [origin, near, far]);
            assert_eq!(within(0.0, 180.0, 0.2), [east, west], "across the 180th meridian");
            assert_eq!(within(0.0, -180.0, 0.2), [east, west]);
            assert_eq!(within(0.0, 179.999, 0.2), [east]);
            assert_eq!(within(90.0, -150.0, 0.1), [north], "at a pole every longitude is one place");
            assert_eq!(within(-90.0, 77.0, 0.2), [south]);
        }
    });
}

#[test]
fn a_search_finds_text_whatever_its_case() {
    on_both(|app| {
        let (creator, user) = followed(app);
        app.patch("/api/users/me/", &creator, json!({"username": "Jürg O'Brien"})).expect(200);
        let bakery = publish(app, &creator, &user, "Bäckerei Straße", &json!({"location_address": "Chur"}));
        let odd = publish(
            app,
            &creator,
            &user,
            "100%_\\\"'",
            &json!({"description": "ΟΔΟΣ a_b", "location_address": "Bern"}),
        );
        let both = vec![odd, bakery];
        for feed in feeds(&creator) {
            let find = |text: &str| app.ids(&format!("{feed}search={}", encoded(text)), Some(&user));
            for (text, found) in [
                ("BÄCKEREI", vec![bakery]),
                ("bäckerei", vec![bakery]),
                ("äck", vec![bakery]),
                ("backerei", vec![]),
                ("STRASSE", vec![bakery]),
                ("  ei str ", vec![bakery]),
                ("every DAY", vec![bakery]),
                ("οδος", vec![odd]),
                ("chur", vec![bakery]),
                ("bern", vec![odd]),
                ("jÜRG o'b", both.clone()),
                ("100%", vec![odd]),
                ("%", vec![odd]),
                ("_", vec![odd]),
                ("a_b", vec![odd]),
                ("a%b", vec![]),
                ("1_0", vec![]),
                ("\\", vec![odd]),
                ("\"", vec![odd]),
                ("\"'", vec![odd]),
                ("'; DROP TABLE flyers; --", vec![]),
                ("*", vec![]),
                (":search", vec![]),
                ("chur bern", vec![]),
                ("", both.clone()),
                (" \t ", both.clone()),
                ("creator@example.org", vec![]),
            ] {
                if feed.contains("order") {
                    let newest: Vec<_> = both.iter().copied().filter(|id| found.contains(id)).collect();
                    assert_eq!(find(text), newest, "{feed} {text}");
                } else {
                    assert_eq!(find(text), found, "{feed} {text}");
                }
            }
        }
    });
}

#[test]
fn filters_and_order_go_together_page_by_page() {
    on_both(|app| {
        let (creator, user) = followed(app);
        let mut wanted = Vec::new();
        for n in 0..24 {
            // Four a second, so that the distance breaks ties.
            if n % 4 == 0 {
                app.pass(TimeDelta::seconds(1));
            }
            app.pass(TimeDelta::microseconds(1));
            let id = app.publish_with(
                &creator,
                if n % 2 == 0 { "Brötchen" } else { "Kuchen" },
                &json!({
                    "categories": [if n % 3 == 0 { "nightlife" } else { "service" }],
                    "latitude": if n % 8 == 0 { 10.0 } else { 47.0 + f64::from(n % 5) / 1_000.0 },
                    "longitude": 8.0,
                }),
            );
            app.favorite(&user, id);
            if n % 2 == 0 && n % 3 != 0 && n % 8 != 0 {
                wanted.push(id);
            }
        }
        wanted.sort_unstable();
        let filters = "categories=service,events&lat=47&lng=8&radius_km=10&search=BR%C3%96T";
        for feed in feeds(&creator) {
            for size in [1, 2, 3, 5, 50] {
                let rows = app.walk(&format!("{feed}{filters}&page_size={size}"), Some(&user));
                let mut ids: Vec<_> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
                let keys: Vec<_> = rows
                    .iter()
                    .map(|row| {
                        let meters = (row["distance_km"].as_f64().unwrap() * 100.0).round();
                        (row["created_at"].to_string(), -meters, row["id"].as_i64().unwrap())
                    })
                    .collect();
                if feed.contains("order=favorited") {
                    assert!(ids.is_sorted_by(|a, b| a > b), "{ids:?}");
                } else {
                    assert!(keys.is_sorted_by(|a, b| a >= b), "{keys:?}");
                }
                ids.sort_unstable();
                assert_eq!(ids, wanted, "{feed}");
                let page = app.get(&format!("{feed}{filters}&page_size={size}"), Some(&user)).json();
                assert_eq!(page["count"], wanted.len());
            }
        }
    });
}
