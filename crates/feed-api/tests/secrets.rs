//! Secrets on the command line, in the environment and in files, and what an operator does for an account.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::SECRET;
use feed_test::binary::{self, Running};
use pretty_assertions::assert_eq;
use serde_json::json;

const OLDER: &str = "an older secret of these tests, 32 bytes";

/// The binary, without the configuration of whoever runs the tests.
fn feed_api(arguments: &[&str]) -> Command {
    binary::command(env!("CARGO_BIN_EXE_feed-api"), arguments)
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// What `serve` says until it listens.
fn told(command: &mut Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let running = Running { child, address: String::new(), metrics: String::new() };
    let mut told = String::new();
    for line in lines {
        let line = line.unwrap();
        let is_last = line.contains("listening on");
        told = format!("{told}{line}\n");
        if is_last {
            break;
        }
    }
    drop(running);
    told
}

#[test]
fn a_file_has_the_secret_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let test = TestDatabase::new(Engine::Sqlite);
    let database = &test.database;
    let registration = json!({"email": "anna@example.org", "password": "correct horse"});
    let now = feed_core::clock::Clock::default().now();
    feed_core::users::register(database, &serde_json::from_value(registration).unwrap(), now).unwrap();
    let token = |variables: &[(&str, &str)]| {
        let mut command = feed_api(&["token", "--email", "anna@example.org"]);
        command.env("DATABASE_URL", &test.url).envs(variables.iter().copied()).output().unwrap()
    };
    let opens = |variables: &[(&str, &str)], token: &str| {
        let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0"]);
        let server = Running::start(command.env("DATABASE_URL", &test.url).envs(variables.iter().copied()));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let me = agent.get(format!("http://{}/api/users/me/", server.address));
        me.header("authorization", format!("Bearer {}", token.trim())).call().unwrap().status().as_u16()
    };
    // One line end does not count, the service's token command and `serve` agree on it.
    let given = token(&[("FEED_JWT_SECRET", SECRET)]);
    let given = String::from_utf8(given.stdout).unwrap();
    for (name, end) in [("plain", ""), ("line", "\n"), ("crlf", "\r\n")] {
        let path = file(name, &format!("{SECRET}{end}"));
        assert_eq!(opens(&[("FEED_JWT_SECRET_FILE", &path)], &given), 200, "{name}");
    }
    let two_ends = file("two", &format!("{SECRET}\n\n"));
    assert_eq!(opens(&[("FEED_JWT_SECRET_FILE", &two_ends)], &given), 401);
    let new = ("FEED_JWT_SECRET", OLDER);
    assert_eq!(opens(&[new], &given), 401);
    assert_eq!(opens(&[new, ("FEED_JWT_SECRET_PREVIOUS", SECRET)], &given), 200);
    let previous = file("previous", SECRET);
    assert_eq!(opens(&[new, ("FEED_JWT_SECRET_PREVIOUS_FILE", &previous)], &given), 200);

    let short = file("short", "short and secret\n");
    let (there, missing) = (file("there", SECRET), folder.path().join("missing"));
    let refused = |variables: &[(&str, &str)], expected: &str| {
        let output = token(variables);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.lines().count() == 1 && text.contains(expected), "{text}");
        assert!(!text.contains("short and secret") && !text.contains(SECRET), "{text}");
    };
    refused(&[], "FEED_JWT_SECRET is not set, nor is FEED_JWT_SECRET_FILE");
    let secret = ("FEED_JWT_SECRET", SECRET);
    refused(
        &[secret, ("FEED_JWT_SECRET_FILE", &there)],
        "FEED_JWT_SECRET and FEED_JWT_SECRET_FILE are both set",
    );
    refused(&[("FEED_JWT_SECRET_FILE", &short)], "FEED_JWT_SECRET_FILE has 16 bytes and needs at least 32");
    refused(&[("FEED_JWT_SECRET_FILE", missing.to_str().unwrap())], "missing: No such file");
    refused(&[secret, ("FEED_JWT_SECRET_PREVIOUS", "short")], "FEED_JWT_SECRET_PREVIOUS has 5 bytes");
    refused(
        &[secret, ("FEED_JWT_SECRET_PREVIOUS", OLDER), ("FEED_JWT_SECRET_PREVIOUS_FILE", &there)],
        "FEED_JWT_SECRET_PREVIOUS and FEED_JWT_SECRET_PREVIOUS_FILE are both set",
    );
}

#[test]
fn what_the_list_of_processes_shows_is_told_and_config_shows_no_secret() {
    let folder = tempfile::tempdir().unwrap();
    let serve = |arguments: &[&str]| {
        let mut command = feed_api(&[&["serve", "--bind", "127.0.0.1:0"], arguments].concat());
        told(command.current_dir(folder.path()).env("FEED_JWT_SECRET", SECRET))
    };
    let warned = |text: &str, name: &str| text.contains(&format!("{name} was given on the command line"));
    let typed = serve(&["--jwt-secret", SECRET, "--jwt-secret-previous", OLDER]);
    assert!(warned(&typed, "FEED_JWT_SECRET") && warned(&typed, "FEED_JWT_SECRET_PREVIOUS"), "{typed}");
    assert!(!typed.contains(SECRET) && !typed.contains(OLDER), "{typed}");
    let quiet = serve(&["--database-url", "sqlite://other.db", "--workers", "1"]);
    assert!(!quiet.contains("command line"), "{quiet}");
    let with_password =
        feed_api(&["migrate", "--database-url", "postgres://nobody:hunter2@127.0.0.1:1/x"]).output();
    let with_password = stderr(&with_password.unwrap());
    assert!(warned(&with_password, "DATABASE_URL") && !with_password.contains("hunter2"), "{with_password}");

    let variables = [("FEED_JWT_SECRET", SECRET), ("FEED_JWT_SECRET_PREVIOUS", OLDER)];
    let config = feed_api(&["config"]).envs(variables).output().unwrap();
    let text = String::from_utf8(config.stdout).unwrap();
    for (name, _) in variables {
        assert!(text.lines().any(|line| line == format!("{name}=…  # environment")), "{text}");
    }
    assert!(!text.contains(SECRET) && !text.contains(OLDER), "{text}");
}

#[test]
fn an_operator_helps_the_owner_of_an_account() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let test = TestDatabase::new(engine);
        let run = |arguments: &[&str]| {
            feed_api(arguments)
                .env("DATABASE_URL", &test.url)
                .env("FEED_JWT_SECRET", SECRET)
                .output()
                .unwrap()
        };
        let done = |arguments: &[&str]| {
            let output = run(arguments);
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
        };
        let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0"]);
        let server = Running::start(command.env("DATABASE_URL", &test.url).env("FEED_JWT_SECRET", SECRET));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let post = |path: &str, body: serde_json::Value| {
            let reply = agent.post(format!("http://{}{path}", server.address)).send_json(body).unwrap();
            let status = reply.status().as_u16();
            (status, reply.into_body().read_json::<serde_json::Value>().unwrap())
        };
        let me = |token: &str| {
            let me = agent.get(format!("http://{}/api/users/me/", server.address));
            me.header("authorization", format!("Bearer {token}")).call().unwrap().status().as_u16()
        };
        let email = "anna@example.org";
        let credentials = |password: &str| json!({"email": email, "password": password});
        let (_, session) = post("/api/auth/register/", credentials("correct horse"));
        let first = session["token"].as_str().unwrap().to_owned();

        done(&["account", "Anna@example.org", "--sign-out"]);
        assert_eq!(me(&first), 401);
        let token = done(&["token", "--email", email]);
        assert_eq!(me(&token), 200, "nobody was kept out");

        let sign_in = |password: &str| post("/api/auth/login/", credentials(password)).0;
        while sign_in("wrong horse") == 401 {}
        assert_eq!(sign_in("correct horse"), 429);
        done(&["account", email, "--lift"]);
        assert_eq!((sign_in("correct horse"), me(&token)), (200, 200));

        let password = done(&["account", email, "--set-password"]);
        assert_eq!((me(&token), sign_in("correct horse"), sign_in(&password)), (401, 401, 200));

        let unknown = run(&["account", "nobody@example.org", "--set-password"]);
        assert!(stderr(&unknown).contains("no such user"), "{unknown:?}");
        for bad in
            [&["account", email][..], &["account", email, "--lift", "--sign-out"], &["account", "--lift"]]
        {
            assert!(!run(bad).status.success(), "{bad:?}");
        }
    }
}
