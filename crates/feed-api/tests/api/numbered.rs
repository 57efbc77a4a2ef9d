//! Pages by number, as the shipped app asks for them: whoever asks page after page gets what `next` would give.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use clap::Parser;
use feed_api::config::ServeConfig;
use feed_api::server::{self, Server};
use feed_core::db::Engine;
use feed_core::sql::Value as Bind;
use serde_json::{Value, json};

use crate::feeds::reader;
use feed_test::SECRET;
use feed_test::app::{App, Reply, User, feeds, ids, on_both};

/// Publishes a flyer that is newer than all others, and favorites it.
fn add(app: &App, creator: &User, user: &User) -> i64 {
    let flyer = app.publish(creator, "New");
    app.favorite(user, flyer);
    app.pass(TimeDelta::seconds(1));
    flyer
}

fn delete(app: &App, creator: &User, flyer: i64) {
    app.delete(&format!("/api/flyers/{flyer}/"), creator).expect(204);
}

/// The ids on a page of a feed, or of the list of favorites.
fn rows(page: &Value) -> Vec<i64> {
    let id = |row: &Value| row.get("id").or(row.get("flyer_id")).unwrap().as_i64().unwrap();
    page["results"].as_array().unwrap().iter().map(id).collect()
}

/// Every list whose rows are the flyers of [`reader`].
fn lists(creator: &User) -> Vec<String> {
    let near = "lat=47.3&lng=8.5&radius_km=50&";
    let mut lists = feeds(creator).to_vec();
    lists.extend(feeds(creator).map(|feed| format!("{feed}{near}")));
    lists.push("/api/feed/?search=day&".to_owned());
    lists.push("/api/favorites/?".to_owned());
    lists
}

#[test]
fn page_after_page_is_what_next_gives_while_others_write() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 9);
        for list in lists(&creator) {
            let top = [add(app, &creator, &user), add(app, &creator, &user)];
            let mut gone = top.to_vec();
            let (mut seen, mut next) = (Vec::new(), Value::Null);
            for number in 1.. {
                let path = format!("{list}page_size=2&page={number}");
                let page = app.get(&path, Some(&user)).expect(200).json();
                if let Some(next) = next.as_str() {
                    let by_cursor = app.get(next, Some(&user)).expect(200).json();
                    for member in ["results", "count", "next", "previous"] {
                        assert_eq!(page[member], by_cursor[member], "{member} of {path}");
                    }
                }
                seen.extend(rows(&page));
                next = page["next"].clone();
                if next.is_null() {
                    let past = app.get(&format!("{list}page_size=2&page={}", number + 1), Some(&user));
                    let past = past.expect(200).json();
                    assert_eq!((&past["results"], &past["next"]), (&json!([]), &Value::Null));
                    assert_eq!(past["count"], page["count"]);
                    break;
                }
                // Two come on top of the list, then two go that were seen: counted rows would move to and fro.
                for _ in 0..2 {
                    if number % 2 == 1 {
                        gone.push(add(app, &creator, &user));
                    } else {
                        delete(app, &creator, gone.remove(0));
                    }
                }
            }
            for flyer in gone {
                delete(app, &creator, flyer);
            }
            let expected = [&[top[1], top[0]], &flyers[..]].concat();
            assert_eq!(seen, expected, "{list}");
        }
    });
}

#[test]
fn follows_are_walked_by_number_too() {
    on_both(|app| {
        let user = app.user("user");
        let follow = |name: String| {
            let creator = app.user(&name);
            app.follow(&user, &creator);
            app.pass(TimeDelta::seconds(1));
            creator.id
        };
        let mut expected: Vec<_> = (0..5).map(|n| follow(format!("creator{n}"))).collect();
        expected.reverse();
        let mut seen = Vec::new();
        for number in 1..=3 {
            let path = format!("/api/follows/?page_size=2&page={number}");
            let page = app.get(&path, Some(&user)).expect(200).json();
            seen.extend(
                page["results"].as_array().unwrap().iter().map(|row| row["followed_id"].as_i64().unwrap()),
            );
            follow(format!("new{number}"));
        }
        assert_eq!(seen, expected);
    });
}

#[derive(Parser)]
struct ServeOnly {
    #[command(flatten)]
    config: ServeConfig,
}

/// The base URL of another process that serves the same database.
fn another_process(app: &App) -> String {
    let arguments = ["serve", "--bind", "127.0.0.1:0", "--jwt-secret", SECRET, "--rate-limit", "off"];
    let patient = ["--statement-timeout", "60000", "--connection-timeout", "60000", "--sweep-interval", "0"];
    let config = ServeOnly::parse_from(arguments.iter().chain(&patient)).config;
    let listener = server::bind(&config.bind).unwrap();
    let server = Server::build(&config, listener, app.database.database.clone(), app.clock.clone()).unwrap();
    let address = server.address().unwrap();
    std::thread::spawn(move || actix_web::rt::System::new().block_on(server.run()));
    format!("http://{address}")
}

/// Publishes so many more flyers like this one, at once.
fn copy(app: &App, flyer: i64, copies: i64) {
    let binds = [
        ("flyer", Bind::Int(flyer)),
        ("copies", Bind::Int(copies)),
        ("url", Bind::Text("https://a.example/".into())),
    ];
    let copied = "INSERT INTO flyers (creator_id, title, description, location_address, latitude, longitude, categories, \
                  valid_from, valid_until, created_at) \
                  SELECT creator_id, title, description, location_address, latitude, longitude, categories, \
                  valid_from, valid_until, created_at FROM flyers f CROSS JOIN \
                  (WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :copies) SELECT i FROM n) n \
                  WHERE f.id = :flyer";
    let inserted = app.database.execute(copied, &binds);
    assert_eq!(i64::try_from(inserted).unwrap(), copies);
    let images = "INSERT INTO flyer_images (flyer_id, position, url) \
                  SELECT id, 1, :url FROM flyers WHERE id > :flyer";
    assert!(app.database.execute(images, &binds) > 0);
}

#[test]
fn there_is_no_end_at_10_000_rows_for_whoever_walked_there() {
    on_both(|app| {
        let (_, user, flyers) = reader(app, 1);
        copy(app, flyers[0], 10_070);
        let get = |base: &str, page: u32, size: u32| {
            app.get(&format!("{base}/api/feed/?page={page}&page_size={size}"), None)
        };
        get("", 201, 50).expect_invalid("page");
        let (mut pages, mut number) = (Vec::new(), 0);
        while pages.last().is_none_or(|page: &Value| page["next"].is_string()) {
            number += 1;
            pages.push(get("", number, 50).expect(200).json());
        }
        assert_eq!(number, 202);
        let all: Vec<_> = pages.iter().flat_map(ids).collect();
        assert_eq!(all.len(), 10_071);
        assert!(all.is_sorted_by(|a, b| a > b), "the larger id first within a second");
        for past in 203..=205 {
            let page = get("", past, 50).expect(200).json();
            assert_eq!((ids(&page), &page["next"], &page["count"]), (vec![], &Value::Null, &json!(1000)));
            let last = app.get(page["previous"].as_str().unwrap(), None).expect(200).json();
            assert_eq!(ids(&last), all[10_021..]);
        }
        // Not for another page size, or another caller.
        get("", 501, 20).expect_invalid("page");
        app.get("/api/feed/?page=201&page_size=50", Some(&user)).expect_invalid("page");

        // Another process finds a page by counting, and goes on from there.
        let other = another_process(app);
        let refused = get(&other, 201, 50).expect_invalid("page").text;
        assert!(refused.contains("follow `next`"), "{refused}");
        for number in 200..=202 {
            assert_eq!(
                get(&other, number, 50).expect(200).json()["results"],
                pages[number as usize - 1]["results"]
            );
        }
        // A jump shortly behind a page that is remembered starts from that.
        get(&other, 222, 50).expect(200);
        get(&other, 300, 50).expect_invalid("page");
    });
}

#[test]
fn a_page_that_starts_elsewhere_is_never_told_to_be_the_same() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 6);
        for feed in feeds(&creator) {
            let path = |number: u32| format!("{feed}page_size=2&page={number}");
            let get = |number| app.get(&path(number), Some(&user)).expect(200);
            assert_eq!(ids(&get(1).json()), flyers[..2]);
            let new = [(); 3].map(|()| add(app, &creator, &user));
            let second = get(2);
            assert_eq!(ids(&second.json()), flyers[2..4]);
            let tag = second.header("etag");
            app.get_known(&path(2), Some(&user), tag).expect(304);
            assert_eq!(ids(&get(1).json()), [new[2], new[1]]);
            let again = app.get_known(&path(2), Some(&user), tag).expect(200);
            assert_eq!(ids(&again.json()), [new[0], flyers[0]], "{feed}");
            app.get_known(&path(2), Some(&user), again.header("etag")).expect(304);
            assert_eq!(ids(&get(3).json()), flyers[1..3]);
            for flyer in new {
                delete(app, &creator, flyer);
            }
        }
    });
}

#[test]
fn a_page_that_the_caller_has_already_is_given_once_more() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 4);
        let first = "/api/feed/?page_size=2";
        let tag = app.get(first, Some(&user)).expect(200).header("etag").to_owned();
        let known = |first: &str, tag: &str| app.get_known(first, Some(&user), tag).expect(304);
        let second = |user| ids(&app.get("/api/feed/?page_size=2&page=2", Some(user)).expect(200).json());
        app.pass(TimeDelta::minutes(50));
        known(first, &tag);
        app.pass(TimeDelta::minutes(50));
        let mut added = vec![add(app, &creator, &user)];
        assert_eq!(second(&user), flyers[2..], "a 304 renews what is remembered");

        for any_page in [true, false] {
            let page = app.get(first, Some(&user)).expect(200);
            app.pass(TimeDelta::hours(2));
            known(first, if any_page { "*" } else { page.header("etag") });
            added.push(add(app, &creator, &user));
            let next = app.get(page.json()["next"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(second(&user), ids(&next), "a 304 remembers what was forgotten");
        }

        app.get(first, Some(&user)).expect(200);
        app.pass(TimeDelta::hours(1));
        add(app, &creator, &user);
        assert_eq!(second(&user), [added[1], added[0]], "an hour later the page is found by counting");
    });
}

#[test]
fn head_and_failures_give_no_page() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 6);
        let authorization = format!("Bearer {}", user.token);
        let send = |method: &str, coding: &str| -> Reply {
            let headers = [("authorization", authorization.as_str()), ("accept-encoding", coding)];
            app.send_raw(method, "/api/feed/?page_size=2&page=1", &headers, "")
        };
        let second = || ids(&app.get("/api/feed/?page_size=2&page=2", Some(&user)).expect(200).json());
        send("GET", "identity").expect(200);
        add(app, &creator, &user);
        let head = send("HEAD", "identity").expect(200);
        assert_eq!(second(), flyers[2..4]);
        let headers = [("authorization", authorization.as_str()), ("if-none-match", head.header("etag"))];
        app.send_raw("HEAD", "/api/feed/?page_size=2&page=1", &headers, "").expect(304);
        assert_eq!(second(), flyers[2..4]);
        send("GET", "*;q=0").expect(406);
        assert_eq!(second(), flyers[2..4]);
        send("GET", "identity").expect(200);
        assert_eq!(second(), flyers[1..3]);
    });
}

#[test]
fn callers_lists_and_page_sizes_are_told_apart() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 8);
        let get = |path: &str, viewer| ids(&app.get(path, viewer).expect(200).json());
        get("/api/feed/?page_size=2", None);
        get("/api/feed/?page_size=3", Some(&user));
        add(app, &creator, &user);
        let counted = &flyers[1..3];
        assert_eq!(get("/api/feed/?page_size=2&page=2", Some(&user)), counted, "another page size");
        assert_eq!(get("/api/feed/?page_size=2&page=2", Some(&creator)), counted, "another caller");
        assert_eq!(get("/api/feed/?page_size=2&page=2&search=day", None), counted, "another list");
        assert_eq!(get("/api/feed/?page_size=2&page=2", None), flyers[2..4]);
        assert_eq!(
            get("/api/flyers/?page_size=3&page=2", Some(&user)),
            flyers[3..6],
            "the same list elsewhere"
        );

        // A jump starts from the nearest page before it.
        get("/api/following/feed/?page_size=2", Some(&user));
        add(app, &creator, &user);
        assert_eq!(get("/api/following/feed/?page_size=2&page=3", Some(&user)), flyers[3..5]);
        assert_eq!(get("/api/following/feed/?page_size=2&page=4", Some(&user)), flyers[5..7]);
    });
}

/// Ten flyers of one second, each some kilometres north of the one before.
fn of_one_second(app: &App) -> (User, User, BTreeSet<i64>) {
    let (creator, user, _) = reader(app, 0);
    let flyers = (0..10).map(|n| {
        let flyer = app.publish_with(&creator, "Flyer", &json!({"latitude": 47.0 + 0.01 * f64::from(n)}));
        app.favorite(&user, flyer);
        flyer
    });
    let flyers = flyers.collect();
    (creator, user, flyers)
}

#[test]
fn a_phone_moves_while_its_owner_scrolls() {
    on_both(|app| {
        let (creator, user, flyers) = of_one_second(app);
        // Where the phone is on each page.
        let routes: [[f64; 4]; 3] =
            [[47.0, 47.09, 47.045, 47.02], [47.09, 47.0, 47.0, 47.0], [47.05, 47.05, 47.02, 47.09]];
        for feed in feeds(&creator) {
            for route in routes {
                let mut seen = Vec::new();
                for (number, latitude) in (1..).zip(route) {
                    let path = format!("{feed}page_size=3&page={number}&lng=8.5417&lat={latitude}");
                    let page = app.get(&path, Some(&user)).expect(200).json();
                    let flyers = page["results"].as_array().unwrap();
                    let distance = |flyer: &Value| flyer["distance_km"].as_f64().unwrap();
                    let is_nearest_first = flyers.is_sorted_by(|a, b| distance(a) <= distance(b));
                    assert!(is_nearest_first || feed.contains("favorited"), "{path}");
                    for flyer in flyers {
                        let expected = (flyer["latitude"].as_f64().unwrap() - latitude).abs() * 111.194_9;
                        assert!((distance(flyer) - expected).abs() < 0.02, "from here: {flyer}");
                    }
                    assert_eq!(page["next"].is_null(), number == 4);
                    seen.extend(ids(&page));
                }
                assert_eq!(seen.len(), 10, "nothing is repeated: {seen:?}");
                assert_eq!(seen.into_iter().collect::<BTreeSet<_>>(), flyers, "nothing is lost");
            }
        }
    });
}

#[test]
fn another_place_is_another_list_where_it_filters() {
    on_both(|app| {
        let (_, user, _) = of_one_second(app);
        let other = app.user("other");
        let get = |viewer, number: u32, latitude: f64| {
            let path = format!("/api/feed/?page_size=3&page={number}&lng=8.5417&lat={latitude}&radius_km=5");
            ids(&app.get(&path, Some(viewer)).expect(200).json())
        };
        get(&user, 1, 47.0);
        assert_eq!(get(&user, 2, 47.09), get(&other, 2, 47.09), "found by counting");
    });
}

#[test]
fn without_the_memory_a_page_is_found_by_counting() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--page-memory", "0", "--admin-bind", "127.0.0.1:0"]);
        let (creator, user, flyers) = reader(&app, 4);
        let first = app.get("/api/feed/?page_size=2", Some(&user)).expect(200);
        app.get_known("/api/feed/?page_size=2", Some(&user), first.header("etag")).expect(304);
        add(&app, &creator, &user);
        assert_eq!(app.ids("/api/feed/?page_size=2&page=2", Some(&user)), flyers[1..3]);
        assert!(app.metrics().contains("feed_pages_found_total{by=\"count\"} 1"));
    }
}

#[test]
fn metrics_tell_how_pages_are_found() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--admin-bind", "127.0.0.1:0"]);
        for (number, size) in [(1, 2), (2, 2), (3, 2), (9, 2), (2, 1)] {
            app.get(&format!("/api/feed/?page={number}&page_size={size}"), None).expect(200);
        }
        let metrics = app.metrics();
        for line in [
            "feed_pages_found_total{by=\"page_before\"} 2\n",
            "feed_pages_found_total{by=\"page_near\"} 1\n",
            "feed_pages_found_total{by=\"count\"} 1\n",
            "feed_pages_remembered 5\n",
            "feed_page_memory_bytes ",
        ] {
            assert!(metrics.contains(line), "{line}: {metrics}");
        }
    }
}
