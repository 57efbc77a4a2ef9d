//! What every answer keeps to: paths, methods, ids, caching, health.

use std::time::{Duration, Instant};

use feed_core::db::Engine;
use feed_test::app::{App, on_both};

#[test]
fn paths_work_with_and_without_their_slash() {
    on_both(|app| {
        let user = app.user("anna");
        for path in
            ["/api/feed", "/api/flyers", "/api/favorites/feed", "/api/following/feed", "/healthz", "/readyz"]
        {
            app.get(path, Some(&user)).expect(200);
            app.get(&format!("{path}/"), Some(&user)).expect(200);
        }
    });
}

#[test]
fn unknown_paths_and_methods_are_problems() {
    on_both(|app| {
        for path in ["/", "/api", "/api/nothing/", "/api/feed/x", "/favicon.ico", "/api/flyers/1/2"] {
            app.get(path, None).expect_problem(404);
        }
        for (method, path, allowed) in [
            ("POST", "/api/feed/", "GET, HEAD"),
            ("DELETE", "/api/flyers/", "GET, HEAD, POST"),
            ("PATCH", "/api/favorites/1/", "PUT, DELETE"),
            ("GET", "/api/auth/login/", "POST"),
            ("OPTIONS", "/api/feed/", "GET, HEAD"),
            ("TRACE", "/api/follows/status/", "GET, HEAD"),
            ("PUT", "/healthz", "GET, HEAD"),
        ] {
            let reply = app.send(method, path, None, None).expect_problem(405);
            assert_eq!(reply.header("allow"), allowed);
        }
    });
}

#[test]
fn every_answer_has_a_request_id() {
    on_both(|app| {
        let sent = app.send_raw("GET", "/api/feed/", &[("x-request-id", "app-1.2_3")], "");
        assert_eq!(sent.header("x-request-id"), "app-1.2_3");
        let long = "x".repeat(129);
        for insane in ["", "a b", "a;b", "<script>", &long] {
            let reply = app.send_raw("GET", "/nothing", &[("x-request-id", insane)], "");
            let id = reply.header("x-request-id");
            assert!(id.len() == 32 && id != insane, "{id}");
        }
    });
}

#[test]
fn answers_say_who_may_keep_them() {
    on_both(|app| {
        let user = app.user("anna");
        let signed_in = app.get("/api/feed/", Some(&user));
        assert_eq!(signed_in.header("cache-control"), "private, no-cache");
        let anonymous = app.get("/api/feed/", None);
        assert_eq!(anonymous.header("cache-control"), "public, max-age=0, must-revalidate");
        for reply in [signed_in, anonymous, app.get("/api/favorites/feed/", None)] {
            assert_eq!(reply.header("vary"), "Authorization, Accept-Encoding");
        }
        let login = app.post("/api/auth/login/", None, serde_json::json!({}));
        assert_eq!(login.header("cache-control"), "no-store");
    });
}

#[test]
fn limits_headers_and_metrics_go_by_the_route_however_its_path_is_spelt() {
    let spellings = [
        "/api/auth/login/",
        "/api/auth/login",
        "/api/%61uth/login/",
        "/%61pi/auth/l%6Fgin/",
        "/api/aut%68/login",
    ];
    let limits = ["--rate-limit", "1000", "--auth-rate-limit", "4", "--admin-bind", "127.0.0.1:0"];
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &limits);
        let json = [("content-type", "application/json")];
        let replies = spellings.map(|path| app.send_raw("POST", path, &json, "{}"));
        assert_eq!(replies.each_ref().map(|reply| reply.status), [400, 400, 400, 400, 429]);
        for reply in &replies {
            assert_eq!(reply.header("cache-control"), "no-store");
            assert!(reply.header("ratelimit-policy").starts_with("\"sign-in\""));
        }
        let counted =
            "feed_http_requests_total{route=\"/api/auth/login\",method=\"POST\",status=\"400\"} 4\n";
        assert!(app.metrics().contains(counted));
        for path in ["/healthz", "/%68ealthz/", "/readyz", "/read%79z"] {
            assert!(app.get(path, None).expect(200).header("ratelimit").is_empty());
        }
    }
}

#[test]
fn readiness_follows_the_schema() {
    on_both(|app| {
        app.get("/healthz", None).expect(200);
        app.get("/readyz", None).expect(200);
        app.database.database.with_writer(feed_core::migrate::revert).unwrap();
        app.get("/readyz", None).expect_problem(503);
        app.get("/healthz", None).expect(200);
        let failed = app.get("/api/feed/", None).expect_problem(500);
        assert!(!failed.text.contains("flyers"), "nothing internal leaks: {}", failed.text);
    });
}

#[test]
fn a_server_sweeps_at_its_interval() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--sweep-interval", "1"]);
        // Valid by the service's clock, which this test sets; over by the database's, which the sweeper asks.
        app.publish(&app.user("creator"), "Flyer");
        let started = Instant::now();
        while !app.ids("/api/feed/", None).is_empty() {
            assert!(started.elapsed() < Duration::from_secs(20), "nothing was swept on {engine:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
