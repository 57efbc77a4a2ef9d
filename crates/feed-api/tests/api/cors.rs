//! Whose web pages may call the API.

use feed_core::db::Engine;
use feed_test::app::{App, Reply, on_both};

const ORIGINS: &str = "https://app.example.org,https://b.example.org";

fn preflight(app: &App, origin: &str, method: &str, headers: &str) -> Reply {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", headers),
    ];
    app.send_raw("OPTIONS", "/api/favorites/1/", &asked, "")
}

fn list(header: &str) -> Vec<String> {
    let mut list: Vec<_> = header.split(',').map(|name| name.trim().to_lowercase()).collect();
    list.sort_unstable();
    list
}

fn on_both_with(origins: &str, test: impl Fn(&App)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        test(&App::start_with(engine, &["--cors-origins", origins]));
    }
}

#[test]
fn pages_of_listed_origins_call_and_read() {
    on_both_with(ORIGINS, |app| {
        for origin in ORIGINS.split(',') {
            for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
                let headers = "authorization, content-type, if-match, if-none-match, idempotency-key, x-request-id, \
                               traceparent, tracestate, baggage";
                let reply = preflight(app, origin, method, headers);
                assert!([200, 204].contains(&reply.status), "{reply:?}");
                assert_eq!(reply.header("access-control-allow-origin"), origin);
                let allowed = list(reply.header("access-control-allow-methods"));
                assert!(allowed.contains(&method.to_lowercase()), "{allowed:?}");
                let allowed = list(reply.header("access-control-allow-headers"));
                for header in list(headers) {
                    assert!(allowed.contains(&header), "{header} in {allowed:?}");
                }
            }
            for (path, status) in
                [("/api/feed/", 200), ("/api/favorites/", 401), ("/nothing/", 404), ("/api/auth/login/", 405)]
            {
                let reply = app.send_raw("GET", path, &[("origin", origin)], "").expect(status);
                assert_eq!(reply.header("access-control-allow-origin"), origin, "{path}");
                let exposed = list(reply.header("access-control-expose-headers"));
                for header in
                    ["etag", "idempotency-replayed", "link", "location", "retry-after", "x-request-id"]
                {
                    assert!(exposed.iter().any(|name| name == header), "{header} in {exposed:?}");
                }
                let vary = reply
                    .headers
                    .get_all("vary")
                    .iter()
                    .map(|v| v.to_str().unwrap())
                    .collect::<Vec<_>>()
                    .join(", ");
                for header in ["authorization", "accept-encoding", "origin"] {
                    assert!(list(&vary).iter().any(|name| name == header), "{path}: {header} in {vary}");
                }
            }
        }
    });
}

#[test]
fn further_headers_are_allowed_where_they_are_listed() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let origin = "https://app.example.org";
        let headers = "X-App-Version, x-device";
        let app = App::start_with(engine, &["--cors-origins", origin, "--cors-headers", headers]);
        for asked in ["x-app-version", "X-Device,authorization", "baggage,x-device"] {
            let reply = preflight(&app, origin, "POST", asked);
            assert!([200, 204].contains(&reply.status), "{reply:?}");
        }
        preflight(&app, origin, "POST", "x-other").expect_problem(400);
    }
}

#[test]
fn pages_of_other_origins_are_told_nothing() {
    on_both_with(ORIGINS, |app| {
        for origin in
            ["https://evil.example", "http://app.example.org", "https://app.example.org:444", "null"]
        {
            let refused = preflight(app, origin, "GET", "authorization").expect_problem(400);
            assert_eq!(refused.header("access-control-allow-origin"), "");
            let reply = app.send_raw("GET", "/api/feed/", &[("origin", origin)], "");
            assert_eq!(reply.header("access-control-allow-origin"), "", "{origin}");
        }
        let listed = "https://app.example.org";
        preflight(app, listed, "TRACE", "authorization").expect_problem(400);
        preflight(app, listed, "GET", "x-other").expect_problem(400);
        app.send_raw("GET", "/api/feed/", &[], "").expect(200);
    });
}

#[test]
fn a_star_stands_for_all_origins() {
    on_both_with("*", |app| {
        for origin in ["https://any.example", "http://localhost:3000"] {
            let reply = preflight(app, origin, "DELETE", "authorization");
            assert!([200, 204].contains(&reply.status), "{reply:?}");
            let reply = app.send_raw("GET", "/api/feed/", &[("origin", origin)], "").expect(200);
            assert!(["*", origin].contains(&reply.header("access-control-allow-origin")), "{reply:?}");
            assert_eq!(reply.header("access-control-allow-credentials"), "", "tokens are no cookies");
        }
    });
}

#[test]
fn without_origins_no_page_may_call() {
    on_both(|app| {
        preflight(app, "https://app.example.org", "GET", "authorization").expect_problem(405);
        let reply =
            app.send_raw("GET", "/api/feed/", &[("origin", "https://app.example.org")], "").expect(200);
        assert!(reply.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{reply:?}");
    });
}
