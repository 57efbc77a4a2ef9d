//! The binary as an operator meets it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use pretty_assertions::assert_eq;

const SECRET: &str = "a secret of the tests, 32 bytes and more";

/// The binary without any of the caller's configuration.
fn feed_api(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_feed-api"));
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FEED_") || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command
}

/// Asserts exit code 1 with one line on stderr, and returns it.
#[track_caller]
fn refused(output: &Output) -> String {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("error: ") && !text.contains("panicked"), "{text}");
    text
}

/// A server that is stopped when the test ends.
struct Running {
    child: Child,
    address: String,
}

impl Running {
    /// Starts `serve` on a free port and waits until it says where.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let line = lines.find(|l| l.as_ref().unwrap().contains("listening")).expect("it listens").unwrap();
        let address = line.split("http://").nth(1).unwrap().trim().to_owned();
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    fn status(&self, path: &str) -> u16 {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        agent.get(format!("http://{}{path}", self.address)).call().unwrap().status().as_u16()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn bad_databases_are_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
    std::fs::write(folder.path().join("letter.txt"), "Dear Anna, this is no database. ".repeat(100)).unwrap();
    for (url, told) in [
        ("", "sqlite://PATH"),
        ("pockitflyer.db", "sqlite://PATH"),
        (":memory:", "sqlite://PATH"),
        ("mysql://localhost/x", "sqlite://PATH"),
        (path("missing/a.db").as_str(), "there is no folder"),
        (path("").as_str(), "cannot open the database"),
        (path("letter.txt").as_str(), "not a database"),
        ("postgres://nobody:hunter2@127.0.0.1:1/x", "Connection refused"),
    ] {
        for command in ["serve", "migrate", "seed"] {
            let mut command = feed_api(&[command]);
            // The default address may be taken, by a demo for one.
            command.env("DATABASE_URL", url).env("FEED_JWT_SECRET", SECRET).env("FEED_BIND", "127.0.0.1:0");
            let line = refused(&command.output().unwrap());
            assert!(line.contains(told) && !line.contains("hunter2"), "{url}: {line}");
        }
    }
}

#[test]
fn serve_wants_a_secret_and_a_free_address() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |secret: Option<&str>, bind: &str| {
        let mut command = feed_api(&["serve", "--bind", bind]);
        command.current_dir(folder.path());
        if let Some(secret) = secret {
            command.env("FEED_JWT_SECRET", secret);
        }
        refused(&command.output().unwrap())
    };
    assert!(serve(None, "127.0.0.1:0").contains("FEED_JWT_SECRET is not set"));
    let short = serve(Some("short and secret"), "127.0.0.1:0");
    assert!(short.contains("at least 32") && !short.contains("short and secret"), "{short}");
    assert!(!folder.path().join("pockitflyer.db").exists(), "the database is not touched");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert!(serve(Some(SECRET), &taken.local_addr().unwrap().to_string()).contains("cannot listen on"));
    assert!(serve(Some(SECRET), "nowhere").contains("cannot listen on"));
}

#[test]
fn serve_migrates_an_embedded_file_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0"]);
    let server = Running::start(command.current_dir(folder.path()).env("FEED_JWT_SECRET", SECRET));
    assert_eq!(server.status("/readyz"), 200);
    assert_eq!(server.status("/api/feed/"), 200);
    assert!(folder.path().join("pockitflyer.db").exists(), "the default is a file where it was started");
}

#[test]
fn serve_refuses_an_old_schema_on_a_server_unless_it_may_migrate() {
    let test = TestDatabase::unmigrated(Engine::Postgres);
    let serve = |more: &[&str]| {
        let mut command = feed_api(&[&["serve", "--bind", "127.0.0.1:0"], more].concat());
        command.env("DATABASE_URL", &test.url).env("FEED_JWT_SECRET", SECRET);
        command
    };
    let line = refused(&serve(&[]).output().unwrap());
    assert!(line.contains("feed-api migrate") && line.contains("--migrate"), "{line}");
    assert_eq!(Running::start(&mut serve(&["--migrate"])).status("/readyz"), 200);
    assert_eq!(Running::start(&mut serve(&[])).status("/readyz"), 200);

    let test = TestDatabase::unmigrated(Engine::Postgres);
    let migrate = || {
        let output = feed_api(&["migrate", "--database-url", &test.url]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let told = migrate();
    assert!(told.starts_with("ran ") && told.ends_with(" migration(s): the schema is current\n"), "{told}");
    assert_eq!(migrate(), "the schema is current\n");
}

#[test]
fn seed_and_token_make_a_usable_service() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let test = TestDatabase::new(engine);
        let run = |arguments: &[&str]| {
            let output = feed_api(arguments)
                .env("DATABASE_URL", &test.url)
                .env("FEED_JWT_SECRET", SECRET)
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let seed = ["seed", "--users", "300", "--flyers", "400", "--seed", "7", "--follows-max", "20"];
        let added = run(&seed);
        assert!(added.contains("400 flyers"), "{added}");
        let again = run(&seed);
        assert!(again.contains("nothing"), "{again}");

        let token = run(&["token", "--email", "Active@demo.pockitflyer.test"]);
        let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0"]);
        let server = Running::start(command.env("DATABASE_URL", &test.url).env("FEED_JWT_SECRET", SECRET));
        let feed = ureq::get(format!("http://{}/api/favorites/feed/", server.address))
            .header("authorization", format!("Bearer {}", token.trim()))
            .call();
        assert_eq!(feed.unwrap().status().as_u16(), 200);

        let output = feed_api(&["token", "--email", "nobody@example.org"])
            .env("DATABASE_URL", &test.url)
            .env("FEED_JWT_SECRET", SECRET)
            .output();
        assert!(refused(&output.unwrap()).contains("no such user"));
    }
}

#[test]
fn the_demo_answers_its_own_lines() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = feed_api(&["demo"]);
    // Neither is the demo's business.
    command.env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/x").env("FEED_JWT_SECRET", "short");
    let child =
        command.current_dir(folder.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut running = Running { child, address: String::new() };
    let mut lines = BufReader::new(running.child.stdout.take().unwrap()).lines();
    let curls: Vec<_> =
        lines.by_ref().map(Result::unwrap).filter(|l| l.starts_with("curl ")).take(3).collect();
    assert_eq!(curls.len(), 3, "it prints three lines");
    std::thread::spawn(move || lines.for_each(drop));
    for line in curls {
        let url = line.rsplit('\'').nth(1).unwrap();
        let token = line.split("Bearer ").nth(1).map(|rest| rest.split('\'').next().unwrap());
        let mut request = ureq::get(url);
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut text = String::new();
        request.call().unwrap().body_mut().as_reader().read_to_string(&mut text).unwrap();
        let page: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(page["results"].as_array().unwrap().len(), 2, "{line}: {page}");
        assert!(page["count"].as_i64().unwrap() > 100, "{line}: {page}");
        assert!(url.starts_with("http://127.0.0.1:"), "on this machine only: {url}");
    }
    assert!(folder.path().join(Path::new("target/demo/pockitflyer.db")).exists());
}

#[test]
fn help_explains_every_option() {
    let help = |arguments: &[&str]| {
        let output = feed_api(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&["--help"]);
    for command in ["serve", "migrate", "seed", "token", "demo"] {
        assert!(all.contains(command), "{all}");
    }
    let serve = help(&["serve", "--help"]);
    for name in
        ["FEED_BIND", "DATABASE_URL", "FEED_MIGRATE", "FEED_JWT_SECRET", "FEED_TOKEN_TTL", "FEED_PUBLIC_URL"]
    {
        assert!(serve.contains(name), "{name} in {serve}");
    }
}
