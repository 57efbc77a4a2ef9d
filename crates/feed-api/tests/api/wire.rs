//! HEAD, compression, caching and refusals, on every route.

use feed_test::app::{App, Reply, User, on_both};
use serde_json::json;

use crate::feeds::reader;

/// Every route with GET; the caller may see them all.
fn readable(app: &App, creator: &User, flyer: i64) -> Vec<String> {
    let mut paths = vec![
        format!("/api/flyers/{flyer}/"),
        format!("/api/users/{}/", creator.id),
        format!("/api/users/{}/flyers/", creator.id),
        format!("/api/follows/status/?user_id={}", creator.id),
    ];
    for path in
        ["/healthz", "/readyz", "/api/feed/?page_size=1", "/api/flyers/", "/api/flyers/?filter=following"]
    {
        paths.push(path.to_owned());
    }
    for path in
        ["/api/favorites/feed/", "/api/following/feed/", "/api/favorites/", "/api/follows/", "/api/users/me/"]
    {
        paths.push(path.to_owned());
    }
    for path in ["/api/feed/?page=0", "/api/flyers/999999/", "/api/users/0/", "/nothing/"] {
        paths.push(path.to_owned());
    }
    paths.iter().map(|path| app.url(path)).collect()
}

/// The headers that say something of the answer.
fn telling(reply: &Reply) -> Vec<(&str, &str)> {
    ["content-type", "etag", "link", "cache-control", "vary", "content-length"]
        .map(|name| (name, reply.header(name)))
        .to_vec()
}

#[test]
fn head_is_get_without_its_body() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 3);
        for path in readable(app, &creator, flyers[0]) {
            for viewer in [Some(&user), None] {
                let (get, head) = (app.get(&path, viewer), app.send("HEAD", &path, viewer, None));
                assert_eq!((head.status, telling(&head)), (get.status, telling(&get)), "{path}");
                assert_eq!(head.text, "");
            }
        }
    });
}

#[test]
fn every_answer_says_who_may_keep_it() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 3);
        let token = format!("Bearer {}", user.token);
        for (headers, policy) in [
            (vec![], "public, max-age=0, must-revalidate"),
            (vec![("authorization", token.as_str())], "private, no-cache"),
            (vec![("authorization", "Bearer bad")], "private, no-cache"),
        ] {
            let check = |reply: Reply| {
                assert_eq!(reply.header("cache-control"), policy, "{reply:?}");
                assert_eq!(reply.header("vary"), "Authorization, Accept-Encoding", "{reply:?}");
            };
            for path in readable(app, &creator, flyers[0]) {
                check(app.send_raw("GET", &path, &headers, ""));
            }
            check(app.send_raw("BREW", "/api/feed/", &headers, ""));
            check(app.send_raw("PUT", "/api/favorites/0/", &headers, ""));
            check(app.send_raw("POST", "/api/favorites/", &headers, "{}"));
            check(app.send_raw("DELETE", "/api/follows/999999/", &headers, ""));
            let mut encoding = headers.clone();
            encoding.push(("accept-encoding", "identity;q=0"));
            check(app.send_raw("GET", "/healthz", &encoding, ""));
        }
    });
}

#[test]
fn answers_are_compressed_as_the_caller_takes_them() {
    on_both(|app| {
        reader(app, 20);
        let get = |encoding: &str| app.send_raw("GET", "/api/feed/", &[("accept-encoding", encoding)], "");
        let plain = get("identity").expect(200);
        assert_eq!(plain.header("content-encoding"), "");
        let tag = plain.header("etag");
        for (accepted, encoding, magic) in [
            ("gzip", "gzip", &[0x1f, 0x8b][..]),
            ("zstd", "zstd", &[0x28, 0xb5, 0x2f, 0xfd]),
            // Brotli has no magic.
            ("br", "br", &[]),
            ("gzip;q=0.5, zstd;q=0.1", "gzip", &[0x1f, 0x8b]),
        ] {
            let reply = get(accepted).expect(200);
            assert_eq!(reply.header("content-encoding"), encoding);
            assert!(
                reply.bytes.starts_with(magic) && reply.bytes.len() < plain.bytes.len() / 4,
                "{encoding}"
            );
            assert_eq!((reply.header("etag"), reply.header("vary")), (tag, "Authorization, Accept-Encoding"));
            let headers = [("accept-encoding", accepted), ("if-none-match", tag)];
            let known = app.send_raw("GET", "/api/feed/", &headers, "").expect(304);
            assert_eq!((known.header("content-encoding"), known.bytes.len()), ("", 0));
        }
        for unknown in ["compress", "x-unknown", "", "gzip;q=0"] {
            let reply = get(unknown).expect(200);
            assert_eq!((reply.header("content-encoding"), &reply.text), ("", &plain.text), "{unknown}");
        }
    });
}

#[test]
fn what_http_refuses_is_a_problem_too() {
    on_both(|app| {
        let user = app.user("anna");
        for encoding in ["identity;q=0", "*;q=0", "compress, identity;q=0"] {
            let reply = app.send_raw("GET", "/api/feed/", &[("accept-encoding", encoding)], "");
            reply.expect_problem(406);
        }
        let token = format!("Bearer {}", user.token);
        for (method, path) in [
            ("POST", "/api/auth/register/"),
            ("POST", "/api/auth/login/"),
            ("POST", "/api/favorites/"),
            ("POST", "/api/follows/"),
            ("POST", "/api/flyers/"),
            ("PATCH", "/api/flyers/1/"),
            ("PATCH", "/api/users/me/"),
        ] {
            let send = |kind: &str, body: &str| {
                let headers = [("authorization", token.as_str()), ("content-type", kind)];
                app.send_raw(method, path, &headers, body)
            };
            for kind in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "json", ""] {
                send(kind, "{}").expect_problem(415);
            }
            let long = format!("{{\"x\": \"{}\"}}", "x".repeat(131_072));
            send("application/json", &long).expect_problem(413);
            let within = format!("{{\"x\": \"{}\"}}", "x".repeat(131_072 - 9));
            assert_ne!(send("application/json; charset=utf-8", &within).status, 413);
            for body in
                ["", " ", "{", "[]", "\"x\"", "null", "{} {}", "{\"x\": \"\\u0000\"}", "{\"\\u0000\": 1}"]
            {
                send("application/json", body).expect_problem(400);
            }
            let deep = format!("{{\"x\": {}1{}}}", "[".repeat(10_000), "]".repeat(10_000));
            send("application/json", &deep).expect_problem(400);
        }
    });
}

#[test]
fn parameters_are_given_once_and_without_nul() {
    on_both(|app| {
        let user = app.user("anna");
        for feed in ["/api/feed/", "/api/flyers/", "/api/favorites/feed/", "/api/following/feed/"] {
            for (name, value) in [
                ("lat", "1"),
                ("lng", "1"),
                ("page", "1"),
                ("page_size", "1"),
                ("cursor", "x"),
                ("categories", "events"),
                ("radius_km", "1"),
                ("search", "x"),
                ("order", "newest"),
            ] {
                let others = match name {
                    "lat" => "lng=1&",
                    "lng" => "lat=1&",
                    "radius_km" => "lat=1&lng=1&",
                    _ => "",
                };
                let get = |query: String| app.get(&format!("{feed}?{others}{query}"), Some(&user));
                get(format!("{name}={value}&{name}={value}")).expect_invalid(name);
                get(format!("{name}={value}&%{:02X}{}={value}", name.as_bytes()[0], &name[1..]))
                    .expect_invalid(name);
                get(format!("{name}={value}%00")).expect_invalid(name);
            }
            app.get(&format!("{feed}?unknown=1&unknown=2"), Some(&user)).expect(200);
        }
        app.get("/api/flyers/?filter=all&filter=all", None).expect_invalid("filter");
        app.get("/api/flyers/?filter=all%00", None).expect_invalid("filter");
        app.get("/api/feed/?nobody_asks=%00", None).expect_invalid("nobody_asks");
        app.get("/api/flyers/1%00/", None).expect_invalid("id");
        app.post("/api/auth/login/", None, json!({"email": "a\0@b.ch", "password": "x"})).expect_problem(400);
    });
}
