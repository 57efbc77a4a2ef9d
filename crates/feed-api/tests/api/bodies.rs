//! Bodies as they may come, and how much an answer may be of what was sent.

use feed_api::routes::openapi;
use feed_core::db::Engine;
use feed_test::app::{App, Reply, User, on_both};
use serde_json::{Value, json};

/// Bytes of an answer to a bad request at most.
const LONGEST: usize = 8_192;

/// Every method and path of the API's document; those that take a body are told.
fn operations() -> Vec<(String, String, bool)> {
    let document = serde_json::from_str::<Value>(&openapi::json("")).unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let path = path.clone();
        let methods = methods.as_object().unwrap().clone();
        methods.into_iter().map(move |(method, operation)| {
            (method.to_uppercase(), path.replace("{id}", "1"), operation.get("requestBody").is_some())
        })
    };
    document["paths"].as_object().unwrap().iter().flat_map(of_path).collect()
}

fn send(app: &App, method: &str, path: &str, user: &User, headers: &[(&str, &str)], body: &str) -> Reply {
    let token = format!("Bearer {}", user.token);
    let own = [("authorization", token.as_str()), ("content-type", "application/json")];
    app.send_raw(method, path, &[&own, headers].concat(), body)
}

#[test]
fn an_encoded_body_is_refused_on_every_route() {
    on_both(|app| {
        let user = app.user("anna");
        let others = ["/nothing/", "/api/docs/", "/api/openapi.json", "/api/%61uth/login/"];
        let others = others.map(|path| ("POST".to_owned(), path.to_owned(), true));
        for (method, path, _) in operations().into_iter().chain(others) {
            for coding in
                ["gzip", "br", "zstd", "deflate", "GZIP", "unknown", "identity, gzip", "gzip,", "é", ";"]
            {
                let reply = send(app, &method, &path, &user, &[("content-encoding", coding)], "x");
                let refused = if method == "HEAD" { reply } else { reply.expect_problem(415) };
                assert_eq!(refused.header("accept-encoding"), "identity", "{method} {path} {coding}");
                assert_eq!(refused.json()["type"], "urn:pockitflyer:problem:encoded-body");
            }
            let twice = [("content-encoding", "identity"), ("content-encoding", "br")];
            send(app, &method, &path, &user, &twice, "x").expect_problem(415);
        }
    });
}

#[test]
fn a_body_that_names_no_coding_is_as_any_other() {
    on_both(|app| {
        let user = app.user("anna");
        let flyer = app.flyer("Bread").to_string();
        for coding in ["identity", "Identity", "", " , ", "identity ,identity"] {
            send(app, "POST", "/api/flyers/", &user, &[("content-encoding", coding)], &flyer).expect(201);
        }
        let twice = [("content-encoding", "identity"), ("content-encoding", "")];
        send(app, "POST", "/api/flyers/", &user, &twice, &flyer).expect(201);
    });
}

#[test]
fn what_is_refused_is_counted() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--rate-limit", "3"]);
        let user = app.user("anna");
        for left in (0..3).rev() {
            let gzip = [("content-encoding", "gzip")];
            let refused = send(&app, "PATCH", "/api/users/me/", &user, &gzip, "x").expect_problem(415);
            let header = refused.header("ratelimit");
            assert!(header.starts_with(&format!("\"caller\";r={left};")), "{header}");
        }
        app.get("/api/users/me/", Some(&user)).expect_problem(429);
    }
}

#[test]
fn an_answer_is_short_whatever_was_sent() {
    on_both(|app| {
        let user = app.user("anna");
        assert_eq!(app.publish(&user, "Bread"), 1, "the flyer that paths name");
        let repeat = |text: &str, times: usize| vec![text; times].join(",");
        let deep = |times: usize| format!("{}1{}", "[".repeat(times), "]".repeat(times));
        let long = "x".repeat(20_000);
        let digits = "9".repeat(20_000);
        let names = [
            "title",
            "description",
            "location_address",
            "latitude",
            "longitude",
            "valid_from",
            "valid_until",
            "categories",
            "images",
            "email",
            "password",
            "current_password",
            "username",
            "profile_picture_url",
            "flyer_id",
            "followed_id",
        ];
        let all = |value: &str| {
            let members: Vec<_> = names.iter().map(|name| format!("\"{name}\": {value}")).collect();
            format!("{{{}}}", members.join(","))
        };
        let mut bodies = vec![
            format!("{{\"images\": [{}]}}", repeat(r#"{"url":""}"#, 11_800)),
            format!("{{\"categories\": [{}]}}", repeat(r#""events""#, 12_000)),
            format!("{{{}}}", repeat("\"x\": 0", 18_000)),
            format!("{{\"{long}\": 0}}"),
            format!("{{\"{long}"),
            long.clone(),
            format!("[{}]", repeat("{}", 40_000)),
        ];
        // Serde repeats what it does not expect, and what it does.
        for value in [
            format!("[\"{long}\"]"),
            format!("\"{long}\""),
            format!("[\", expected {long}\"]"),
            format!("\", expected {long}\""),
            format!("{{\"{long}\": 1}}"),
            format!("{{\"url\": \"{long}\"}}"),
            format!("[{{\"url\": \"{long}\"}}]"),
            digits.clone(),
            format!("-{digits}.5e-{digits}"),
            deep(100),
            deep(10_000),
        ] {
            bodies.extend(names.iter().map(|name| format!("{{\"{name}\": {value}}}")));
        }
        for value in
            ["\"\"", "0", "[]", "{}", "null", "\"\\u0001\\u0001\\u0001\"", "[{\"url\":\"\"},{\"url\":\"\"}]"]
        {
            bodies.push(all(value));
        }
        let taking = operations().into_iter().filter(|(.., takes_body)| *takes_body);
        let taking: Vec<_> = taking.collect();
        assert!(taking.len() >= 7, "{taking:?}");
        for (method, path, _) in taking {
            for body in &bodies {
                let reply = send(app, &method, &path, &user, &[], body);
                let (status, length) = (reply.status, reply.text.len());
                let start: String = body.chars().take(60).collect();
                assert!(
                    status < 500 && length <= LONGEST,
                    "{method} {path} {start}: {status}, {length} bytes"
                );
                if status == 400 {
                    let told = reply.json()["errors"].as_array().map_or(0, Vec::len);
                    assert!(told <= 20, "{told} errors");
                }
            }
        }
    });
}

#[test]
fn the_length_of_a_list_is_told_before_what_is_in_it() {
    on_both(|app| {
        let user = app.user("anna");
        let flyer = app.publish(&user, "Bread");
        for (name, entry, rule) in [
            ("images", json!({"url": ""}), "must have 1 to 5 entries"),
            ("categories", json!("x"), "must have 1 to 3 entries"),
        ] {
            let list = vec![entry; 1_000];
            let mut new = app.flyer("Bread");
            new[name] = json!(list);
            for reply in [
                app.patch(&format!("/api/flyers/{flyer}/"), &user, json!({name: list})),
                app.post("/api/flyers/", Some(&user), new),
            ] {
                let body = reply.expect_problem(400).json();
                assert_eq!(body["errors"], json!([{"field": name, "message": rule}]));
                assert_eq!(body["error"], format!("{name} {rule}"));
            }
        }
    });
}

#[test]
fn links_repeat_what_a_list_knows_and_a_part_of_the_rest() {
    on_both(|app| {
        let user = app.user("anna");
        for n in 0..3 {
            let flyer = app.publish(&user, &format!("Bread {n}"));
            app.favorite(&user, flyer);
        }
        let long = "x".repeat(30_000);
        let many = "a=b&".repeat(7_000);
        for path in ["/api/feed/", "/api/flyers/", "/api/favorites/feed/", "/api/favorites/"] {
            for unknown in
                [format!("unknown={long}"), format!("{long}=1"), many.trim_end_matches('&').to_owned()]
            {
                let query = format!("{unknown}&lat=1&lng=2&search=bread&kept=1&page_size=1");
                let reply = app.get(&format!("{path}?{query}"), Some(&user)).expect(200);
                let length = reply.text.len() + reply.header("link").len();
                assert!(length < 4 * LONGEST, "{path}: {length} bytes");
                let next = reply.json()["next"].as_str().unwrap().to_owned();
                let is_kept = next.contains("page_size=1") && next.contains("cursor=");
                assert!(is_kept && (unknown.starts_with("a=") || next.contains("kept=1")), "{next}");
                if path != "/api/favorites/" {
                    assert!(next.contains("lat=1&lng=2&search=bread&"), "{next}");
                }
                app.get(&next, Some(&user)).expect(200);
            }
        }
        for name in
            ["lat", "lng", "search", "categories", "radius_km", "order", "cursor", "page_size", "page"]
        {
            let reply = app.get(&format!("/api/feed/?{name}={}", "1".repeat(30_000)), Some(&user));
            assert!(reply.expect_invalid(name).text.len() < LONGEST);
        }
        let reply = app.get(&format!("/api/feed/?{long}=%00"), None).expect_problem(400);
        assert!(reply.text.len() < LONGEST);
        let host = format!("{}.example.org", "a.".repeat(15_000));
        let reply = app.send_raw("GET", "/api/feed/?page_size=1", &[("host", &host)], "").expect(200);
        assert!(reply.json()["next"].as_str().unwrap().starts_with(&app.url("/")), "{}", reply.text.len());
    });
}
