//! The feeds table of the contract: who may read what, parameters, shape and links.

use chrono::TimeDelta;
use feed_test::app::{App, User, ids, on_both};
use serde_json::{Value, json};

const FEEDS: [&str; 3] = ["/api/feed/", "/api/favorites/feed/", "/api/following/feed/"];

/// A user with `flyers` favorites of a creator whom they follow, a second apart.
pub fn reader(app: &App, flyers: usize) -> (User, User, Vec<i64>) {
    let (creator, user) = (app.user("creator"), app.user("reader"));
    app.follow(&user, &creator);
    let mut published = Vec::new();
    for n in 0..flyers {
        let flyer = app.publish(&creator, &format!("Flyer {n}"));
        app.favorite(&user, flyer);
        published.insert(0, flyer);
        app.pass(TimeDelta::seconds(1));
    }
    (creator, user, published)
}

#[test]
fn a_card_has_the_contracts_shape() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 1);
        let page = app.get("/api/feed/?lat=47.3769&lng=8.5500", Some(&user)).expect(200).json();
        let expected = json!({
            "count": 1, "count_exact": true, "next": null, "previous": null,
            "results": [{
                "id": flyers[0],
                "title": "Flyer 0",
                "description": "Every day from six.",
                "creator": {
                    "id": creator.id, "username": "creator", "profile_picture_url": null, "is_following": true,
                },
                "images": [
                    {"url": "https://images.example.org/a.jpg", "order": 1},
                    {"url": "http://images.example.org/b.jpg", "order": 2},
                ],
                "categories": ["events", "service"],
                "location_address": "Bahnhofstrasse 1, Zürich",
                "latitude": 47.3769,
                "longitude": 8.5417,
                "distance_km": 0.62,
                "valid_from": "2026-06-01T11:00:00.250Z",
                "valid_until": "2026-06-08T12:00:00.250Z",
                "is_valid": true,
                "is_favorited": true,
                "created_at": "2026-06-01T12:00:00Z",
            }],
        });
        pretty_assertions::assert_eq!(page, expected);

        let anonymous = app.get("/api/feed/", None).expect(200).json();
        let card = &anonymous["results"][0];
        for member in [&card["is_favorited"], &card["creator"]["is_following"], &card["distance_km"]] {
            assert_eq!(*member, Value::Null);
        }
        let other = app.user("other");
        let card = &app.get("/api/feed/", Some(&other)).expect(200).json()["results"][0];
        assert_eq!((&card["is_favorited"], &card["creator"]["is_following"]), (&json!(false), &json!(false)));
        assert!(app.ids("/api/favorites/feed/", Some(&other)).is_empty());
        assert!(app.ids("/api/following/feed/", Some(&other)).is_empty());
    });
}

#[test]
fn the_feeds_on_one_endpoint_are_the_same() {
    on_both(|app| {
        let (_, user, _) = reader(app, 3);
        let other = app.user("other");
        app.publish(&other, "Elsewhere");
        for (path, filter) in [
            ("/api/feed/", "all"),
            ("/api/favorites/feed/", "favorites"),
            ("/api/following/feed/", "following"),
        ] {
            let own = app.get(path, Some(&user)).expect(200).json();
            let filtered = app.get(&format!("/api/flyers/?filter={filter}"), Some(&user)).expect(200).json();
            assert_eq!(own, filtered);
        }
        assert_eq!(app.ids("/api/flyers/", None), app.ids("/api/feed", None));
        app.get("/api/flyers/?filter=mine", None).expect_invalid("filter");
        app.get("/api/flyers/?filter=", None).expect_invalid("filter");
        for path in [
            "/api/favorites/feed/",
            "/api/following/feed/",
            "/api/flyers/?filter=favorites",
            "/api/flyers/?filter=following",
        ] {
            app.get(path, None).expect_problem(401);
        }
    });
}

#[test]
fn bad_parameters_are_named() {
    on_both(|app| {
        let user = app.user("user");
        for path in FEEDS {
            let get = |query: &str| app.get(&format!("{path}?{query}"), Some(&user));
            for (query, field) in [
                ("lat=1", "lng"),
                ("lng=1", "lat"),
                ("lat=91&lng=0", "lat"),
                ("lat=0&lng=-180.1", "lng"),
                ("lat=NaN&lng=0", "lat"),
                ("lat=0&lng=inf", "lng"),
                ("lat=&lng=", "lat"),
                ("lat=x&lng=0", "lat"),
                ("lat=1&lat=2&lng=0", "lat"),
                ("page=0", "page"),
                ("page=-1", "page"),
                ("page=x", "page"),
                ("page=", "page"),
                ("page=1.5", "page"),
                ("page=%2B1", "page"),
                ("page=1%00", "page"),
                ("page=501", "page"),
                ("page=99999999999999999999", "page"),
                ("page=201&page_size=50", "page"),
                ("page_size=0", "page_size"),
                ("page_size=-5", "page_size"),
                ("page_size=ten", "page_size"),
                ("cursor=", "cursor"),
                ("cursor=AAAA", "cursor"),
                ("page=1&cursor=AAAA", "cursor"),
                ("order=oldest", "order"),
                ("categories=", "categories"),
                ("categories=events,", "categories"),
                ("categories=Events", "categories"),
                ("categories=events,music", "categories"),
            ] {
                eprintln!("{path}?{query}");
                get(query).expect_invalid(field);
            }
            for query in [
                "lat=-90&lng=180",
                "lat=90&lng=-180",
                "page=500",
                "page=200&page_size=50",
                "page_size=99999999999999999999",
                "order=newest",
                "categories=events,nightlife,service,events",
                "unknown=%FF&x",
                "",
            ] {
                get(query).expect(200);
            }
        }
    });
}

#[test]
fn page_sizes_default_to_twenty_and_end_at_fifty() {
    on_both(|app| {
        let (_, user, flyers) = reader(app, 52);
        for path in FEEDS {
            assert_eq!(app.ids(path, Some(&user)), flyers[..20]);
            assert_eq!(app.ids(&format!("{path}?page_size=1"), Some(&user)), flyers[..1]);
            assert_eq!(app.ids(&format!("{path}?page_size=1000"), Some(&user)), flyers[..50]);
            let last = app.get(&format!("{path}?page=2&page_size=50"), Some(&user)).expect(200).json();
            assert_eq!(ids(&last), flyers[50..]);
            assert_eq!((&last["count"], &last["next"]), (&json!(52), &Value::Null));
        }
    });
}

#[test]
fn links_lead_through_the_feed_and_back() {
    on_both(|app| {
        let (_, user, flyers) = reader(app, 10);
        for path in FEEDS {
            let first = format!("{path}?page_size=4&lat=47.3&lng=8.5&keep=me");
            let mut page = app.get(&first, Some(&user)).expect(200);
            let mut seen = ids(&page.json());
            assert_eq!(page.json()["previous"], Value::Null);
            while let Some(next) = page.json()["next"].as_str() {
                assert!(next.starts_with(&app.url(path)), "{next}");
                assert!(next.contains("page_size=4&lat=47.3&lng=8.5&keep=me&cursor="), "{next}");
                assert!(page.header("link").contains(&format!("<{next}>; rel=\"next\"")));
                page = app.get(next, Some(&user)).expect(200);
                assert_eq!(page.json()["count"], 10);
                seen.extend(ids(&page.json()));
            }
            assert_eq!(seen, flyers);
            let mut back = ids(&page.json());
            while let Some(previous) = page.json()["previous"].as_str() {
                assert!(page.header("link").contains(&format!("<{previous}>; rel=\"prev\"")));
                page = app.get(previous, Some(&user)).expect(200);
                assert!(page.json()["next"].is_string(), "the way back is there");
                back.splice(0..0, ids(&page.json()));
            }
            assert_eq!(back, flyers);
        }
    });
}

#[test]
fn a_numbered_page_links_by_cursor() {
    on_both(|app| {
        let (_, user, flyers) = reader(app, 10);
        for path in FEEDS {
            let page = app.get(&format!("{path}?page=2&page_size=4"), Some(&user)).expect(200).json();
            assert_eq!(ids(&page), flyers[4..8]);
            let next = app.get(page["next"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(ids(&next), flyers[8..]);
            assert_eq!(next["next"], Value::Null);
            let previous = app.get(page["previous"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(ids(&previous), flyers[..4]);
            assert_eq!(previous["previous"], Value::Null);

            let beyond = app.get(&format!("{path}?page=9&page_size=4"), Some(&user)).expect(200).json();
            assert_eq!(
                (ids(&beyond), &beyond["count"], &beyond["next"]),
                (Vec::new(), &json!(10), &Value::Null)
            );
            let last = app.get(beyond["previous"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(ids(&last), flyers[6..]);
        }
    });
}

#[test]
fn a_cursor_opens_its_own_list_only() {
    on_both(|app| {
        let (_, user, _) = reader(app, 3);
        let other = app.user("other");
        let cursor_of = |path: &str| {
            let page = app.get(path, Some(&user)).expect(200).json();
            page["next"].as_str().unwrap().split_once("cursor=").unwrap().1.to_owned()
        };
        let cursor = cursor_of("/api/favorites/feed/?page_size=1");
        let get = |path: &str, user: &User| app.get(&format!("{path}cursor={cursor}"), Some(user));
        get("/api/favorites/feed/?", &user).expect(200);
        get("/api/favorites/feed/?page_size=2&", &user).expect(200);
        get("/api/flyers/?filter=favorites&", &user).expect(200);
        get("/api/following/feed/?", &user).expect_invalid("cursor");
        get("/api/feed/?", &user).expect_invalid("cursor");
        get("/api/favorites/feed/?", &other).expect_invalid("cursor");
        get("/api/favorites/feed/?lat=1&lng=1&", &user).expect_invalid("cursor");
        get("/api/favorites/feed/?order=favorited&", &user).expect_invalid("cursor");
        get("/api/favorites/feed/?categories=events&", &user).expect_invalid("cursor");
        get("/api/favorites/feed/?page=1&", &user).expect_invalid("cursor");
        for n in 0..cursor.len() {
            let mut forged = cursor.clone().into_bytes();
            forged[n] = if forged[n] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            app.get(&format!("/api/favorites/feed/?cursor={forged}"), Some(&user)).expect_invalid("cursor");
        }
        let anonymous = cursor_of("/api/feed/?page_size=1");
        app.get(&format!("/api/feed/?cursor={anonymous}"), None).expect_invalid("cursor");
    });
}

#[test]
fn a_cursor_survives_the_deletion_of_its_row() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 6);
        let page = app.get("/api/feed/?page_size=2", Some(&user)).expect(200).json();
        app.send("DELETE", &format!("/api/flyers/{}/", flyers[1]), Some(&creator), None).expect(204);
        let next = app.get(page["next"].as_str().unwrap(), Some(&user)).expect(200).json();
        assert_eq!(ids(&next), flyers[2..4]);
        assert_eq!(ids(&app.get(next["previous"].as_str().unwrap(), Some(&user)).json()), flyers[..1]);
    });
}

#[test]
fn feeds_show_what_is_valid_now() {
    on_both(|app| {
        let (creator, user, _) = reader(app, 0);
        let mut flyer = app.flyer("Concert");
        flyer["valid_from"] = json!("2026-06-01T13:00:00Z");
        flyer["valid_until"] = json!("2026-06-01T15:00:00+01:00");
        let flyer = app.post("/api/flyers/", Some(&creator), flyer).expect(201).json();
        assert_eq!(flyer["is_valid"], false);
        let flyer = flyer["id"].as_i64().unwrap();
        app.favorite(&user, flyer);
        let at = |time: &str, expected: &[i64]| {
            app.clock.set(time.parse().unwrap());
            for path in FEEDS {
                let page = app.get(path, Some(&user)).expect(200).json();
                assert_eq!(ids(&page), expected, "{path} at {time}");
                assert_eq!(page["count"], expected.len());
            }
        };
        at("2026-06-01T12:59:59.999999", &[]);
        at("2026-06-01T13:00:00", &[flyer]);
        at("2026-06-01T13:59:59.999999", &[flyer]);
        at("2026-06-01T14:00:00", &[]);
    });
}

#[test]
fn within_a_second_the_nearest_comes_first() {
    on_both(|app| {
        let (creator, user, _) = reader(app, 0);
        let publish = |latitude: f64| {
            let mut flyer = app.flyer("Near");
            flyer["latitude"] = json!(latitude);
            let id =
                app.post("/api/flyers/", Some(&creator), flyer).expect(201).json()["id"].as_i64().unwrap();
            app.favorite(&user, id);
            id
        };
        let (far, near, same) = (publish(48.0), publish(47.1), publish(47.1));
        app.pass(TimeDelta::seconds(1));
        let newest = publish(60.0);
        for path in FEEDS {
            assert_eq!(app.ids(path, Some(&user)), [newest, same, near, far]);
            assert_eq!(app.ids(&format!("{path}?lat=47&lng=8.5417"), Some(&user)), [newest, same, near, far]);
            assert_eq!(app.ids(&format!("{path}?lat=48&lng=8.5417"), Some(&user)), [newest, far, same, near]);
            let page = app.get(&format!("{path}?lat=48&lng=8.5417&page_size=2"), Some(&user)).json();
            let next = app.get(page["next"].as_str().unwrap(), Some(&user)).json();
            assert_eq!((ids(&page), ids(&next)), (vec![newest, far], vec![same, near]));
        }
    });
}

#[test]
fn links_carry_the_public_url_or_the_requests_host() {
    use feed_core::db::Engine;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--public-url", "https://flyers.example.org/base/"]);
        reader(&app, 2);
        let headers = [("host", "evil.example"), ("x-forwarded-host", "evil.example")];
        let page = app.send_raw("GET", "/api/feed/?page_size=1", &headers, "").expect(200).json();
        let next = page["next"].as_str().unwrap();
        assert!(next.starts_with("https://flyers.example.org/base/api/feed/?page_size=1&cursor="), "{next}");

        let app = App::start(engine);
        reader(&app, 2);
        let headers = [("x-forwarded-host", "evil.example"), ("x-forwarded-proto", "https")];
        let page = app.send_raw("GET", "/api/feed/?page_size=1", &headers, "").expect(200).json();
        assert!(page["next"].as_str().unwrap().starts_with(&app.url("/api/feed/?")));
    }
}

#[test]
fn links_behind_a_proxy_are_what_it_was_asked() {
    use feed_core::db::Engine;
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--proxies", "1"]);
        reader(&app, 2);
        let plain = format!("http://{}", app.address);
        let secure = format!("https://{}", app.address);
        let page = |proto: &str, host: &str| {
            let headers = [("x-forwarded-proto", proto), ("x-forwarded-host", host)];
            let headers: Vec<_> = headers.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            app.send_raw("GET", "/api/feed/?page_size=1", &headers, "").expect(200)
        };
        for (proto, host, base) in [
            ("https", "flyers.example.org", "https://flyers.example.org"),
            ("HTTPS", "flyers.example.org:8443", "https://flyers.example.org:8443"),
            ("http", "flyers.example.org", "http://flyers.example.org"),
            ("", "flyers.example.org", "http://flyers.example.org"),
            ("https", "", secure.as_str()),
            // What stands further left anybody can have sent.
            ("http, https", "evil.example, flyers.example.org", "https://flyers.example.org"),
            // What is none is left out.
            ("javascript", "a@evil.example", plain.as_str()),
            ("https", "evil.example/path", secure.as_str()),
            ("https", "evil example", secure.as_str()),
        ] {
            let reply = page(proto, host);
            let body = reply.json();
            let next = body["next"].as_str().unwrap();
            assert!(next.starts_with(&format!("{base}/api/feed/?page_size=1&cursor=")), "{next}");
            assert!(reply.header("link").contains(next), "{reply:?}");
        }
        let tags = ["https", "http"].map(|proto| page(proto, "").header("etag").to_owned());
        assert_ne!(tags[0], tags[1], "the body is another one");
    }
}

#[test]
fn favorites_by_the_time_of_the_favorite() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("reader"));
        let flyers: Vec<_> = (0..6)
            .map(|n| {
                app.pass(TimeDelta::seconds(1));
                app.publish(&creator, &format!("Flyer {n}"))
            })
            .collect();
        // The middle ones first, and all within a second.
        let favorited: Vec<_> = [2, 4, 0, 5, 1, 3].into_iter().map(|n| flyers[n]).collect();
        for &flyer in &favorited {
            app.pass(TimeDelta::milliseconds(1));
            app.favorite(&user, flyer);
        }
        let newest_first: Vec<_> = favorited.into_iter().rev().collect();
        for path in ["/api/favorites/feed/?", "/api/flyers/?filter=favorites&"] {
            let mut next = app.url(&format!("{path}order=favorited&page_size=4&lat=47.3&lng=8.5"));
            let mut seen = Vec::new();
            while let Some(url) = (!next.is_empty()).then_some(&next) {
                let page = app.get(url, Some(&user)).expect(200).json();
                assert_eq!(page["count"], 6);
                assert!(page["results"][0]["distance_km"].is_f64(), "cards tell the distance all the same");
                seen.extend(ids(&page));
                next = page["next"].as_str().unwrap_or_default().to_owned();
            }
            assert_eq!(seen, newest_first);
        }
        for path in ["/api/feed/", "/api/following/feed/", "/api/flyers/?filter=following"] {
            let joint = if path.contains('?') { '&' } else { '?' };
            app.get(&format!("{path}{joint}order=favorited"), Some(&user)).expect_invalid("order");
        }
    });
}

#[test]
fn categories_choose_flyers_with_any_of_them() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("reader"));
        app.follow(&user, &creator);
        let publish = |categories: Value| {
            app.pass(TimeDelta::seconds(1));
            let mut flyer = app.flyer("Flyer");
            flyer["categories"] = categories;
            let id =
                app.post("/api/flyers/", Some(&creator), flyer).expect(201).json()["id"].as_i64().unwrap();
            app.favorite(&user, id);
            id
        };
        let events = publish(json!(["events"]));
        let night = publish(json!(["nightlife"]));
        let both = publish(json!(["service", "events"]));
        for path in FEEDS {
            let ids = |query: &str| {
                let page = app.get(&format!("{path}?{query}"), Some(&user)).expect(200).json();
                assert_eq!(page["count"], page["results"].as_array().unwrap().len());
                ids(&page)
            };
            assert_eq!(ids("categories=events"), [both, events]);
            assert_eq!(ids("categories=service,nightlife"), [both, night]);
            assert_eq!(ids("categories=nightlife&lat=47&lng=8"), [night]);
            assert_eq!(ids("categories=events,nightlife,service"), [both, night, events]);
        }
    });
}
