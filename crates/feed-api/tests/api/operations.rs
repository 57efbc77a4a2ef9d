//! What the service tells those who look after it.

use feed_core::db::Engine;
use feed_test::app::{App, on_both};

use crate::feeds::reader;

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// The value of a line of the metrics.
#[track_caller]
fn value(text: &str, line: &str) -> f64 {
    let found = text.lines().find_map(|l| l.strip_prefix(line).and_then(|rest| rest.strip_prefix(' ')));
    found.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
}

#[test]
fn metrics_tell_of_requests_statements_and_pools() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--admin-bind", "127.0.0.1:0"]);
        let (_, user, _) = reader(&app, 3);
        let first = app.get("/api/favorites/feed/", Some(&user)).expect(200);
        app.get_known("/api/favorites/feed/", Some(&user), first.header("etag")).expect(304);
        app.get("/api/favorites/feed/?page=0", Some(&user)).expect(400);
        app.get("/nothing/at/all", None).expect(404);
        app.send("BREW", "/nothing", None, None).expect(404);

        let text = app.metrics();
        let answers = |route: &str, method: &str, status: u16| {
            value(
                &text,
                &format!(
                    "feed_http_requests_total{{route=\"{route}\",method=\"{method}\",status=\"{status}\"}}"
                ),
            )
        };
        let feed = "/api/favorites/feed";
        for status in [200, 304, 400] {
            assert!((answers(feed, "GET", status) - 1.0).abs() < 0.1);
        }
        assert!((answers("none", "GET", 404) - 1.0).abs() < 0.1);
        assert!((answers("none", "other", 404) - 1.0).abs() < 0.1);
        let of_feed = |metric: &str| value(&text, &format!("{metric}{{route=\"{feed}\"}}"));
        // Validator and page, which counts itself; the validator alone; and none, which is not measured.
        assert!((of_feed("feed_request_statements_sum") - 3.0).abs() < 0.1);
        assert!((of_feed("feed_request_statements_count") - 2.0).abs() < 0.1);
        assert!((of_feed("feed_request_rows_sum") - 3.0).abs() < 0.1);
        assert!((of_feed("feed_http_request_duration_seconds_count") - 3.0).abs() < 0.1);
        assert!(of_feed("feed_request_database_time_seconds_sum") > 0.0);
        assert!((value(&text, "feed_requests_under_way")).abs() < 0.1);
        let pool = if engine == Engine::Sqlite { "readers" } else { "connections" };
        assert!((value(&text, &format!("feed_pool_connections_max{{pool=\"{pool}\"}}")) - 8.0).abs() < 0.1);
        let log = text.lines().find_map(|line| line.strip_prefix("feed_database_wal_bytes "));
        assert_eq!(log.is_some_and(|bytes| bytes != "0"), engine == Engine::Sqlite, "a server has its own");
        let has_dead_rows = |text: &str| text.contains("feed_table_rows_dead{table=\"flyers\"} ");
        while engine == Engine::Postgres && !has_dead_rows(&app.metrics()) {
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        assert_eq!(has_dead_rows(&app.metrics()), engine == Engine::Postgres, "SQLite has none");
        let database = format!("{engine:?}").to_lowercase();
        assert!(text.contains(&format!("version=\"{}\",database=\"{database}\"", env!("CARGO_PKG_VERSION"))));
        assert!(text.ends_with("# EOF\n"), "whole");
    }
}

#[test]
fn metrics_tell_of_refusals_and_sweeps() {
    for engine in ENGINES {
        let arguments = ["--admin-bind", "127.0.0.1:0", "--rate-limit", "1", "--sweep-interval", "1"];
        let app = App::start_with(engine, &arguments);
        app.get("/api/feed/", None).expect(200);
        app.get("/api/feed/", None).expect(429);
        assert!((value(&app.metrics(), "feed_requests_refused_total{reason=\"rate\"}") - 1.0).abs() < 0.1);
        while !app.metrics().contains("feed_sweeps_total{outcome=\"done\"}") {
            std::thread::yield_now();
        }
        assert!(value(&app.metrics(), "feed_last_sweep_timestamp_seconds") > 1.7e9);
    }
}

#[test]
fn health_is_told_on_the_private_listener_too() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--admin-bind", "127.0.0.1:0"]);
        for path in ["/healthz", "/healthz/", "/readyz"] {
            let [public, private] =
                [app.url(path), app.private_url(path)].map(|url| app.get(&url, None).expect(200));
            assert_eq!(public.text, private.text);
            assert_eq!(public.header("cache-control"), private.header("cache-control"));
            assert!(!private.header("x-request-id").is_empty());
        }
        let refused = app.send_raw("PUT", &app.private_url("/healthz"), &[], "").expect_problem(405);
        assert_eq!(refused.header("allow"), "GET, HEAD");
        app.get(&app.private_url("/api/feed/"), None).expect_problem(404);
        app.database.database.with_writer(feed_core::migrate::revert).unwrap();
        app.get(&app.private_url("/readyz"), None).expect_problem(503);
        app.get(&app.private_url("/healthz"), None).expect(200);
        let counted = "feed_http_requests_total{route=\"/readyz\",method=\"GET\",status=\"503\"}";
        assert!((value(&app.metrics(), counted) - 1.0).abs() < 0.1);
    }
}

#[test]
fn the_inside_is_not_shown_to_the_public() {
    on_both(|app| {
        app.get("/metrics", None).expect_problem(404);
    });
}

#[test]
fn server_timing_is_told_where_it_is_asked_for() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--server-timing"]);
        let (_, user, _) = reader(&app, 3);
        for (path, statements) in
            [("/api/following/feed/?page_size=2", 3), ("/api/users/me/", 1), ("/healthz", 0)]
        {
            let reply = app.get(path, Some(&user)).expect(200);
            let timing = reply.header("server-timing");
            let parts: Vec<_> = timing.split(", ").collect();
            assert!(parts[0].starts_with("total;dur="), "{timing}");
            assert!(parts[1].starts_with("db;dur="), "{timing}");
            assert!(parts[1].ends_with(&format!(";desc=\"{statements} statements\"")), "{path}: {timing}");
            assert!(parts[2].starts_with("wait;dur="), "{timing}");
        }
        let app = App::start(engine);
        assert_eq!(app.get("/api/feed/", None).expect(200).header("server-timing"), "");
    }
}
