//! The API's document and the pages that show it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use feed_api::routes::{self, openapi};
use feed_test::app::{App, Reply, on_both};
use serde_json::Value;

use feed_core::db::Engine;

/// Where a developer finds the document without a running service.
fn kept() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json")
}

/// `FEED_OPENAPI=write` writes the file.
#[test]
fn the_kept_document_is_the_codes() {
    let document = openapi::json("") + "\n";
    if std::env::var_os("FEED_OPENAPI").is_some_and(|value| value == "write") {
        std::fs::write(kept(), &document).unwrap();
    }
    let kept = std::fs::read_to_string(kept()).unwrap();
    assert!(kept == document, "openapi.json is behind the code: FEED_OPENAPI=write writes it");
}

#[test]
fn a_service_hands_out_its_document() {
    on_both(|app| {
        for path in ["/api/openapi.json", "/api/openapi.json/"] {
            let reply = app.send_raw("GET", path, &[("authorization", "Bearer expired")], "").expect(200);
            assert_eq!(reply.header("content-type"), "application/json");
            let document = reply.json();
            assert_eq!(document["openapi"], "3.1.0");
            assert_eq!(document, serde_json::from_str::<Value>(&openapi::json("")).unwrap());
        }
    });
}

#[test]
fn the_document_has_every_route_and_method_and_no_other() {
    let document = serde_json::from_str::<Value>(&openapi::json("")).unwrap();
    let documented: BTreeSet<_> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| (path, method)))
        .map(|(path, method)| format!("{} {}", method.to_uppercase(), path.trim_end_matches('/')))
        .collect();
    let routed: BTreeSet<_> = routes::paths()
        .into_iter()
        .filter(|(path, _)| !path.starts_with("/api/docs") && *path != "/api/openapi.json")
        .flat_map(|(path, methods)| methods.into_iter().map(move |method| format!("{method} {path}")))
        .collect();
    pretty_assertions::assert_eq!(documented, routed);
}

#[test]
fn the_document_explains_every_problem_type() {
    on_both(|app| {
        let document = serde_json::from_str::<Value>(&openapi::json("")).unwrap();
        let text = document["info"]["description"].as_str().unwrap();
        for problem in [
            app.get("/nothing/", None),
            app.get("/api/favorites/feed/", None),
            app.get("/api/feed/?page=0", None),
            app.post("/api/auth/login/", None, serde_json::json!({"email": "a@b.ch", "password": "x"})),
            app.send("PUT", "/api/feed/", None, None),
        ] {
            let kind = problem.json()["type"].as_str().unwrap().to_owned();
            assert!(text.contains(&format!("| `{kind}` | {} |", problem.status)), "{kind}");
        }
    });
}

#[test]
fn the_docs_and_all_they_need_come_from_the_binary() {
    on_both(|app| {
        for path in ["/api/docs", "/api/docs/"] {
            let page = app.send_raw("GET", path, &[("authorization", "nonsense")], "").expect(200);
            assert!(page.header("content-type").starts_with("text/html"));
            for asset in assets(&page.text) {
                assert!(asset.starts_with("/api/docs/"), "{asset} is found wherever the page is");
                is_guarded(&app.get(&asset, None).expect(200));
            }
            is_guarded(&page);
        }
        let start = app.get("/api/docs/swagger-initializer.js", None).expect(200).text;
        assert!(start.contains("\"/api/openapi.json\""), "{start}");
        app.get("/api/docs/nothing.js", None).expect_problem(404);
        app.get("/api/docs/..%2Fsecret", None).expect_problem(404);
    });
}

/// What a page loads.
fn assets(page: &str) -> Vec<String> {
    let is_asset = |text: &&str| matches!(text.rsplit_once('.'), Some((_, "js" | "css" | "png")));
    let assets: Vec<_> = page.split('"').filter(is_asset).map(str::to_owned).collect();
    assert!(assets.len() >= 6, "{assets:?}");
    assets
}

/// Asserts that a page may do nothing but show itself and call its own service.
#[track_caller]
fn is_guarded(reply: &Reply) {
    assert_eq!(reply.header("x-content-type-options"), "nosniff");
    assert_eq!(reply.header("referrer-policy"), "no-referrer");
    let policy = reply.header("content-security-policy");
    let directives: Vec<_> = policy.split(';').map(str::trim).collect();
    for directive in ["default-src 'none'", "script-src 'self'", "base-uri 'none'", "frame-ancestors 'none'"]
    {
        assert!(directives.contains(&directive), "{directive} in {policy}");
    }
}

#[test]
fn the_docs_do_not_believe_a_callers_host() {
    on_both(|app| {
        for path in ["/api/docs", "/api/docs/", "/api/docs/index.html"] {
            let page = app.send_raw("GET", path, &[("host", "evil.example")], "").expect(200);
            assert!(!page.text.contains("evil") && !page.text.contains("<base"), "{}", page.text);
        }
    });
}

#[test]
fn the_docs_of_a_service_below_a_path_load_what_lies_there() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = App::start_with(engine, &["--public-url", "https://example.org/flyers/"]);
        // A proxy takes the path off before it asks.
        let own = |path: &str| path.strip_prefix("/flyers").unwrap().to_owned();
        for asset in assets(&app.get("/api/docs/", None).expect(200).text) {
            app.get(&own(&asset), None).expect(200);
        }
        let start = app.get("/api/docs/swagger-initializer.js", None).expect(200).text;
        assert!(start.contains("\"/flyers/api/openapi.json\""), "{start}");
        let document = app.get("/api/openapi.json", None).expect(200).json();
        assert_eq!(document["servers"], serde_json::json!([{"url": "/flyers"}]));
    }
}

#[test]
fn no_answer_is_taken_for_another_type() {
    on_both(|app| {
        for path in ["/api/openapi.json", "/api/feed/", "/nothing", "/healthz", "/api/favorites/"] {
            assert_eq!(app.get(path, None).header("x-content-type-options"), "nosniff", "{path}");
        }
    });
}

#[test]
fn the_walk_through_prints_what_the_readme_shows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let readme = std::fs::read_to_string(root.join("README.md")).unwrap();
    on_both(|app| {
        let walk = Command::new("bash")
            .arg(root.join("examples/walkthrough.sh"))
            .arg(format!("http://{}", app.address))
            .output()
            .unwrap();
        let printed = String::from_utf8(walk.stdout).unwrap();
        assert!(walk.status.success(), "{printed}{}", String::from_utf8_lossy(&walk.stderr));
        assert!(!printed.is_empty() && readme.contains(&printed), "README.md does not show\n{printed}");
    });
}
