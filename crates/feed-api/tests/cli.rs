//! The binary as an operator meets it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::SECRET;
use feed_test::binary::{self, Running, signal};
use pretty_assertions::assert_eq;

/// The binary, without the configuration of whoever runs the tests.
fn feed_api(arguments: &[&str]) -> Command {
    binary::command(env!("CARGO_BIN_EXE_feed-api"), arguments)
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
fn what_is_no_database_or_would_lose_a_file_is_not_copied() {
    let folder = tempfile::tempdir().unwrap();
    let letter = folder.path().join("letter.txt");
    std::fs::write(&letter, "Dear Anna, this is no database. ".repeat(100)).unwrap();
    let url = |name: &str| format!("sqlite://{}/{name}", folder.path().display());
    let copy = |url: &str, file: &str| {
        let mut command = feed_api(&["backup", file]);
        refused(&command.current_dir(&folder).env("DATABASE_URL", url).output().unwrap())
    };
    for (url, file, told) in [
        (url("nowhere.db"), "copy.db", "nowhere.db: No such file"),
        (url("letter.txt"), "copy.db", "not a database"),
        (url("letter.txt"), "missing/copy.db", "missing/copy.db: No such file"),
        (url("nowhere.db"), "letter.txt", "letter.txt is there already"),
        ("postgres://nobody:hunter2@127.0.0.1:1/x".to_owned(), "copy.db", "pg_dump"),
    ] {
        let line = copy(&url, file);
        assert!(line.contains(told), "{line}");
    }
    let left: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["letter.txt"]);
}

#[test]
fn a_copy_has_the_name_that_was_asked_for_and_leaves_the_files_of_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        let mut command = feed_api(arguments);
        command.current_dir(&folder).env("DATABASE_URL", "sqlite://a.db").output().unwrap()
    };
    assert!(run(&["migrate"]).status.success());
    let others = folder.path().join("file:copy.db.part");
    std::fs::write(&others, "somebody else's").unwrap();
    // SQLite would take it for a URI.
    let copied = run(&["backup", "file:copy.db"]);
    assert!(copied.status.success(), "{copied:?}");
    let bytes = std::fs::read(folder.path().join("file:copy.db")).unwrap();
    assert!(bytes.starts_with(b"SQLite format 3"), "{} bytes", bytes.len());
    assert_eq!(std::fs::read_to_string(others).unwrap(), "somebody else's");
    let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.filter(|name| name.to_string_lossy().starts_with("file:")).count(), 2);
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
fn files_with_accounts_in_them_are_their_owners_alone_whatever_the_umask() {
    let with_umask = |umask: &str, arguments: &[&str], folder: &Path| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_feed-api")]);
        command.args(arguments).current_dir(folder).env_clear().env("PATH", std::env::var("PATH").unwrap());
        command.env("FEED_JWT_SECRET", SECRET);
        command
    };
    let modes = |folder: &Path| -> BTreeMap<String, u32> {
        let entries = folder.read_dir().unwrap().map(Result::unwrap);
        let modes = entries.map(|entry| {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o7777;
            (entry.file_name().into_string().unwrap(), mode)
        });
        modes.collect()
    };
    let files = ["pockitflyer.db", "pockitflyer.db-shm", "pockitflyer.db-wal"];
    for umask in ["000", "022", "777"] {
        let folder = tempfile::tempdir().unwrap();
        let serve = ["serve", "--bind", "127.0.0.1:0"];
        let server = Running::start(&mut with_umask(umask, &serve, folder.path()));
        assert_eq!(server.status("/readyz"), 200);
        let backup = with_umask(umask, &["backup", "copy.db"], folder.path()).output().unwrap();
        assert!(backup.status.success(), "{backup:?}");
        let expected = files.into_iter().chain(["copy.db"]).map(|name| (name.to_owned(), 0o600)).collect();
        assert_eq!(modes(folder.path()), expected, "umask {umask}");
    }
    // Where a link leads to, and by every command that makes a database.
    for arguments in [&["migrate"][..], &["seed", "--users", "20", "--flyers", "30"], &["sweep"]] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("volume")).unwrap();
        std::os::unix::fs::symlink("volume/data.db", folder.path().join("pockitflyer.db")).unwrap();
        let done = with_umask("000", arguments, folder.path()).output().unwrap();
        assert!(done.status.success(), "{done:?}");
        assert_eq!(modes(&folder.path().join("volume"))["data.db"], 0o600, "{arguments:?}");
    }
}

#[test]
fn a_database_that_everybody_may_read_stays_so_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pockitflyer.db");
    for (mode, is_told) in [(0o644, true), (0o640, false), (0o600, false)] {
        File::create(&file).unwrap().set_permissions(Permissions::from_mode(mode)).unwrap();
        let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0"]);
        let command = command.current_dir(&folder).env("FEED_JWT_SECRET", SECRET).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        let mut told = lines.take_while(|line| !line.contains("listening on"));
        let is_told_now = told.any(|line| line.contains("WARN") && line.contains("chmod 600 pockitflyer.db"));
        drop(Running { child, address: String::new(), metrics: String::new() });
        assert_eq!(is_told_now, is_told, "{mode:o}");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, mode);
    }
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
fn what_is_misspelt_or_misread_is_told_with_its_name_and_its_form() {
    let folder = tempfile::tempdir().unwrap();
    let refused_with = |name: &str, value: &str| {
        let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0"]);
        command.current_dir(folder.path()).env("FEED_JWT_SECRET", SECRET).env(name, value);
        refused(&command.output().unwrap())
    };
    for (name, value, told) in [
        (
            "FEED_STATMENT_TIMEOUT",
            "1",
            "is not an option of this service; did you mean FEED_STATEMENT_TIMEOUT?",
        ),
        ("FEED_WORKERS", "many", "does not accept \"many\": invalid digit found in string. Help: Threads"),
        ("FEED_WORKERS", "0", "0 is not in 1..=512"),
        ("FEED_STATEMENT_TIMEOUT", "2s", "Help: Milliseconds that a statement"),
        ("FEED_RATE_LIMIT", "0", "neither a positive number nor `off`. Help: Requests a minute"),
        ("FEED_LOG_FORMAT", "xml", "does not accept \"xml\", only human, json. Help: "),
        ("FEED_LOG", "feed_api=loud", "Help: What is logged"),
        ("FEED_MIGRATE", "perhaps", "only true, false. Help: Migrate a server's database"),
        ("FEED_ADMIN_BIND", "0.0.0.0:0", "--admin-public"),
        ("FEED_ADMIN_BIND", "nowhere", "cannot listen on nowhere"),
        ("FEED_PUBLIC_URL", "ftp://a", "absolute http or https URL"),
        ("FEED_CORS_ORIGINS", "a.example", "\"a.example\" is not an origin"),
        ("FEED_CORS_HEADERS", "x-app, x version", "\"x version\" is not the name of a header"),
        ("FEED_CORS_HEADERS", "x-app,", "\"\" is not the name of a header"),
        ("FEED_CORS_HEADERS", "*", "* is not supported"),
        ("FEED_BODY_MEMORY", "0", "Help: MiB of request bodies"),
        ("FEED_MAX_REQUESTS_PER_CALLER", "0", "Help: Requests of one caller at once"),
    ] {
        let line = refused_with(name, value);
        assert!(line.contains(name) || told.contains("cannot listen"), "{name}={value}: {line}");
        assert!(line.contains(told), "{name}={value}: {line}");
    }
    assert!(!folder.path().join("pockitflyer.db").exists(), "the database is not touched");
    let typed = feed_api(&["serve", "--statement-timeout", "soon"]).output().unwrap();
    assert!(refused(&typed).contains("--statement-timeout"), "{typed:?}");
}

#[test]
fn config_prints_what_serve_would_run_with_and_no_secret() {
    let config = |variables: &[(&str, &str)], arguments: &[&str]| {
        let mut command = feed_api(&[&["config"], arguments].concat());
        command.env("FEED_JWT_SECRET", SECRET).envs(variables.iter().copied());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let url = "postgres://feeds:hunter2@db.example/feeds?sslpassword=hunter3";
    let text = config(&[("DATABASE_URL", url), ("FEED_RATE_LIMIT", "off")], &["--workers", "3"]);
    for line in [
        "DATABASE_URL=postgres://feeds:…@db.example/feeds?sslpassword=…  # environment",
        "FEED_JWT_SECRET=…  # environment",
        "FEED_RATE_LIMIT=off  # environment",
        "FEED_WORKERS=3  # command line",
        "FEED_STATEMENT_TIMEOUT=2000  # default",
        "FEED_AUTH_RATE_LIMIT=120  # default",
        "FEED_ADMIN_BIND=  # not set",
        "FEED_LOG_FORMAT=human  # default",
    ] {
        assert!(text.lines().any(|l| l == line), "{line} in {text}");
    }
    assert!(!text.contains("hunter") && !text.contains(SECRET), "{text}");
    // What Kubernetes sets by itself is nobody's mistake.
    config(&[("FEED_API_PORT", "tcp://10.0.0.1:80")], &[]);
}

#[test]
fn logs_are_lines_of_json_where_they_are_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0", "--log-format", "json"]);
    command.current_dir(folder.path()).env("FEED_JWT_SECRET", SECRET);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut running = Running { child, address: String::new(), metrics: String::new() };
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let message = line["message"].as_str().unwrap();
        if let Some((_, address)) = message.split_once("listening on http://") {
            running.address = address.to_owned();
            assert_eq!(running.status("/api/feed/?page_size=7"), 200);
        }
        if message == "request" {
            assert_eq!((&line["route"], &line["method"]), (&"/api/feed".into(), &"GET".into()));
            assert_eq!((&line["status"], &line["statements"]), (&200.into(), &2.into()), "{line}");
            assert_eq!(line["request_id"].as_str().unwrap().len(), 32);
            assert!(line["total_ms"].as_f64().unwrap() >= line["database_ms"].as_f64().unwrap(), "{line}");
            break;
        }
    }
}

#[test]
fn a_server_that_is_told_to_stop_ends_what_it_has_begun() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let test = TestDatabase::new(engine);
        let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"]);
        command.args(["--drain-delay", "2", "--statement-timeout", "60000", "--connection-timeout", "60000"]);
        command.env("DATABASE_URL", &test.url).env("FEED_JWT_SECRET", SECRET);
        let mut server = Running::start(&mut command);
        let address = server.address.clone();
        let url = |path: &str| format!("http://{address}{path}");
        let account = serde_json::json!({"email": "anna@example.org", "password": "correct horse"});
        let session = ureq::post(url("/api/auth/register/")).send_json(account).unwrap();
        let session: serde_json::Value = session.into_body().read_json().unwrap();
        let authorization = format!("Bearer {}", session["token"].as_str().unwrap());

        // A connection that its client keeps for later, and never uses again.
        let _idle = std::net::TcpStream::connect(&address).unwrap();
        std::thread::scope(|scope| {
            let writing = test.while_locked("UPDATE users SET username = username", || {
                let request = ureq::patch(url("/api/users/me/")).header("authorization", &authorization);
                let writing = scope.spawn(move || request.send_json(serde_json::json!({"username": "bea"})));
                while server.under_way() == 0 {}
                signal(&server.child, "-TERM");
                while server.status("/readyz") == 200 {
                    std::thread::yield_now();
                }
                assert_eq!(server.status("/readyz"), 503, "it says so first");
                assert_eq!(server.status("/api/feed/"), 200, "and serves who has not heard it yet");
                while std::net::TcpStream::connect(&address).is_ok() {
                    std::thread::sleep(std::time::Duration::from_millis(20));
                }
                assert!(server.child.try_wait().unwrap().is_none(), "it waits for what is under way");
                writing
            });
            assert_eq!(writing.join().unwrap().unwrap().status().as_u16(), 200, "which does not fail");
        });
        assert!(server.child.wait().unwrap().success());
    }
}

#[test]
fn the_time_to_stop_has_an_end_and_a_second_signal_is_one() {
    let test = TestDatabase::new(Engine::Postgres);
    for (timeout, signals) in [("1", 1), ("3600", 2)] {
        let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"]);
        command.args(["--shutdown-timeout", timeout, "--receive-timeout", "3600000", "--drain-delay", "1"]);
        command.env("DATABASE_URL", &test.url).env("FEED_JWT_SECRET", SECRET);
        let mut server = Running::start(&mut command);
        // A request that never ends: its body does not come.
        let mut stream = std::net::TcpStream::connect(&server.address).unwrap();
        let head = "POST /api/auth/login/ HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n";
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        while server.under_way() == 0 {}
        signal(&server.child, "-INT");
        if signals == 2 {
            while server.status("/readyz") == 200 {}
            signal(&server.child, "-INT");
        }
        assert!(server.child.wait().unwrap().success());
    }
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
    let mut running = Running { child, address: String::new(), metrics: String::new() };
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
    for command in ["serve", "config", "migrate", "seed", "sweep", "token", "account", "demo"] {
        assert!(all.contains(command), "{all}");
    }
    let serve = help(&["serve", "--help"]);
    for name in
        ["FEED_BIND", "DATABASE_URL", "FEED_MIGRATE", "FEED_JWT_SECRET", "FEED_TOKEN_TTL", "FEED_PUBLIC_URL"]
    {
        assert!(serve.contains(name), "{name} in {serve}");
    }
}
