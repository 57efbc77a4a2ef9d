//! What happens when there is more to do than can be done.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;

use clap::Parser;
use feed_api::config::ServeConfig;
use feed_api::metrics::Metrics;
use feed_api::problem::{ApiError, Busy};
use feed_api::state::State;
use feed_api::tokens::Tokens;
use feed_core::clock::Clock;
use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_test::SECRET;
use feed_test::app::{App, Reply, User};
use serde_json::json;

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// Takes the locks that every write of an account needs.
const LOCK: &str = "UPDATE users SET username = username";

/// Longer than any test.
const LONG: &str = "3600000";

/// A service where nothing is given up, with these limits besides.
fn patient(engine: Engine, limits: &[&str]) -> (App, User, i64) {
    let patient = ["--statement-timeout", "0", "--connection-timeout", LONG, "--request-timeout", LONG];
    let app = App::start_with(engine, &[&patient, limits].concat());
    let user = app.user("anna");
    let flyer = app.publish(&user, "Flyer");
    (app, user, flyer)
}

/// Asserts that a call was sent away since there is too much to do.
#[track_caller]
fn overloaded(reply: Reply) {
    let reply = reply.expect_problem(503);
    assert_eq!(reply.json()["type"], "urn:pockitflyer:problem:overloaded");
    assert_eq!(reply.header("retry-after"), "1");
}

#[test]
fn a_write_that_finds_a_lock_taken_is_told_to_come_again() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--statement-timeout", "300"]);
        let user = app.user("anna");
        let flyer = app.publish(&user, "Flyer");
        app.database.while_locked(LOCK, || {
            let refused = app.put(&format!("/api/favorites/{flyer}/"), &user).expect_problem(503);
            assert_eq!(refused.json()["type"], "urn:pockitflyer:problem:unavailable");
            assert_eq!(refused.header("retry-after"), "1");
            app.get("/api/feed/", None).expect(200);
        });
        app.favorite(&user, flyer);
    }
}

#[test]
fn a_feed_that_finds_its_table_locked_is_told_to_come_again() {
    let app = App::start_with(Engine::Postgres, &["--statement-timeout", "300"]);
    app.database.while_locked("LOCK TABLE flyers IN ACCESS EXCLUSIVE MODE", || {
        let refused = app.get("/api/feed/", None).expect_problem(503);
        // No slow statement: it would have been fast.
        assert_eq!(refused.json()["type"], "urn:pockitflyer:problem:unavailable");
        app.get("/healthz", None).expect(200);
    });
    app.get("/api/feed/", None).expect(200);
}

#[test]
fn an_account_is_deleted_however_long_it_takes() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--statement-timeout", "300", "--connection-timeout", "2000"]);
        let (leaving, user) = (app.user("anna"), app.user("bea"));
        let flyer = app.publish(&user, "Flyer");
        std::thread::scope(|scope| {
            let deletion = app.database.while_locked(LOCK, || {
                let (app, leaving) = (&app, &leaving);
                let deletion = scope.spawn(move || app.delete("/api/users/me/", leaving));
                // Longer than a statement may take, whichever of the two came first, and not as long as SQLite waits
                // for a lock at the most.
                for _ in 0..2 {
                    app.put(&format!("/api/favorites/{flyer}/"), &user).expect_problem(503);
                }
                assert!(!deletion.is_finished());
                deletion
            });
            deletion.join().unwrap().expect(204);
        });
        app.get("/api/users/me/", Some(&leaving)).expect_problem(401);
    }
}

#[test]
fn work_over_its_time_is_given_up() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--statement-timeout", "60000", "--request-timeout", "2000"]);
        let user = app.user("anna");
        app.database.while_locked(LOCK, || {
            let refused = app.patch("/api/users/me/", &user, json!({"username": "bea"})).expect_problem(503);
            assert_eq!(refused.json()["type"], "urn:pockitflyer:problem:timed-out");
        });
    }
}

#[test]
fn writes_behind_a_lock_leave_the_feeds_alone_and_their_line_is_short() {
    for engine in ENGINES {
        let (app, user, flyer) = patient(engine, &["--waiting-writes", "3"]);
        // As many as may write at once, the line, and as many more.
        let (writing, surplus) = (if engine == Engine::Sqlite { 2 } else { 4 } + 3, 7);
        let path = format!("/api/favorites/{flyer}/");
        let (done, replies) = mpsc::channel();
        std::thread::scope(|scope| {
            app.database.while_locked(LOCK, || {
                for _ in 0..writing + surplus {
                    let (app, user, path, done) = (&app, &user, &path, done.clone());
                    scope.spawn(move || done.send(app.put(path, user)).unwrap());
                }
                for _ in 0..surplus {
                    overloaded(replies.recv().unwrap());
                }
                app.get("/api/feed/", None).expect(200);
                app.get("/api/favorites/feed/", Some(&user)).expect(200);
                assert!(replies.try_recv().is_err(), "the others wait for their turn");
            });
            let mut answers: Vec<_> = replies.iter().take(writing).map(|reply| reply.status).collect();
            answers.sort_unstable();
            assert_eq!((answers[0], answers[writing - 1]), (200, 201), "{answers:?}");
        });
    }
}

#[test]
fn over_the_limit_of_requests_health_stays_up_and_the_others_come_again() {
    for engine in ENGINES {
        let (app, user, flyer) = patient(engine, &["--max-requests", "1", "--admin-bind", "127.0.0.1:0"]);
        std::thread::scope(|scope| {
            let waiting = app.database.while_locked(LOCK, || {
                let path = format!("/api/favorites/{flyer}/");
                let (app, user) = (&app, &user);
                // Again until it gets in: the reads below may be there first.
                let waiting = scope.spawn(move || {
                    std::iter::repeat_with(|| app.put(&path, user)).find(|reply| reply.status != 503).unwrap()
                });
                // Until the write is under way, reads get in.
                while app.get("/api/feed/", None).status == 200 {}
                overloaded(app.get("/api/feed/", None));
                let credentials = json!({"email": "anna@example.org", "password": "correct horse"});
                overloaded(app.post("/api/auth/login/", None, credentials));
                // What needs no work is done all the same.
                app.get("/api/openapi.json", None).expect(200);
                app.post("/api/auth/login/", None, json!({})).expect_problem(400);
                app.get("/healthz", None).expect(200);
                app.get("/readyz", None).expect(200);
                waiting
            });
            waiting.join().unwrap().expect(201);
        });
        app.get("/api/feed/", None).expect(200);
        assert!(app.metrics().contains("feed_requests_refused_total{reason=\"requests\"} "));
    }
}

#[test]
fn a_caller_has_so_many_requests_under_way_and_is_refused_at_their_expense() {
    for engine in ENGINES {
        let limits =
            ["--max-requests-per-caller", "1", "--rate-limit", "1000", "--admin-bind", "127.0.0.1:0"];
        let (app, user, flyer) = patient(engine, &limits);
        let other = app.user("bea");
        std::thread::scope(|scope| {
            let waiting = app.database.while_locked(LOCK, || {
                let path = format!("/api/favorites/{flyer}/");
                let (app, user) = (&app, &user);
                let waiting = scope.spawn(move || {
                    std::iter::repeat_with(|| app.put(&path, user)).find(|reply| reply.status != 429).unwrap()
                });
                while app.get("/api/feed/", Some(user)).status == 200 {}
                let refused = app.get("/api/feed/", Some(user)).expect_problem(429);
                assert_eq!(refused.json()["type"], "urn:pockitflyer:problem:too-many-requests");
                assert_eq!(refused.header("retry-after"), "1");
                let left = refused.header("ratelimit");
                assert!(left.starts_with("\"caller\";r="), "it was counted, and not out of its rate: {left}");
                assert!(!left.starts_with("\"caller\";r=0;"), "{left}");
                app.get("/api/feed/", Some(&other)).expect(200);
                app.get("/api/feed/", None).expect(200);
                waiting
            });
            waiting.join().unwrap().expect(201);
        });
        app.get("/api/feed/", Some(&user)).expect(200);
        assert!(app.metrics().contains("feed_requests_refused_total{reason=\"caller\"} "));
    }
}

#[derive(Parser)]
struct ServeOnly {
    #[command(flatten)]
    config: ServeConfig,
}

#[test]
fn a_turn_lasts_as_long_as_the_work_of_who_hung_up() {
    let test = TestDatabase::new(Engine::Sqlite);
    let arguments = ["serve", "--jwt-secret", SECRET, "--waiting-passwords", "0"];
    let config = ServeOnly::parse_from(arguments).config;
    actix_web::rt::System::new().block_on(async {
        let state =
            State::new(&config, &test.database, Clock::default(), Metrics::new(&test.database, [])).unwrap();
        let turns = std::thread::available_parallelism().unwrap().get();
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = std::sync::Arc::new(std::sync::Mutex::new(released));
        let callers: Vec<_> = (0..turns)
            .map(|_| {
                let (state, started, released) = (state.clone(), started.clone(), released.clone());
                actix_web::rt::spawn(async move {
                    let work = move |_: &_| {
                        started.send(()).unwrap();
                        let _ = released.lock().unwrap().recv();
                        Ok(())
                    };
                    state.hash(work).await
                })
            })
            .collect();
        for _ in 0..turns {
            while has_started.try_recv().is_err() {
                actix_web::rt::task::yield_now().await;
            }
        }
        for caller in callers {
            caller.abort();
            assert!(caller.await.unwrap_err().is_cancelled());
        }
        let refused = state.hash(|_| Ok(())).await;
        assert!(matches!(refused, Err(ApiError::Busy(Busy::Passwords))), "their work goes on");
        drop(release);
        while state.hash(|_| Ok(())).await.is_err() {
            actix_web::rt::task::yield_now().await;
        }
    });
}

#[test]
fn callers_have_so_many_requests_a_minute_each() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--rate-limit", "4", "--auth-rate-limit", "2"]);
        let user = app.user("anna");
        for left in (0..4).rev() {
            let reply = app.get("/api/feed/", None).expect(200);
            assert_eq!(reply.header("ratelimit-policy"), "\"caller\";q=4;w=60");
            assert!(reply.header("ratelimit").starts_with(&format!("\"caller\";r={left};t=")), "{reply:?}");
        }
        for path in ["/api/feed/", "/api/users/1/", "/nothing"] {
            let refused = app.get(path, None).expect_problem(429);
            assert!((1..=15).contains(&refused.header("retry-after").parse().unwrap()), "{refused:?}");
            assert!(refused.header("ratelimit").starts_with("\"caller\";r=0;"), "{refused:?}");
        }
        // A token that is none is no account.
        let headers = [("authorization", "Bearer forged")];
        app.send_raw("GET", "/api/feed/", &headers, "").expect_problem(429);
        let own = app.get("/api/feed/", Some(&user)).expect(200);
        assert!(own.header("ratelimit").starts_with("\"caller\";r=3;"), "{own:?}");

        let login = || app.post("/api/auth/login/", None, json!({"email": "a@b.ch", "password": "x"}));
        let last = login().expect_problem(401);
        assert!(last.header("ratelimit").starts_with("\"sign-in\";r=0;"), "registering counted: {last:?}");
        let refused = login().expect_problem(429);
        assert!((1..=30).contains(&refused.header("retry-after").parse().unwrap()), "{refused:?}");
        for _ in 0..10 {
            app.get("/healthz", None).expect(200);
            app.get("/readyz", None).expect(200);
        }
    }
}

#[test]
fn a_token_that_was_ended_spends_nothing_of_its_owners() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--rate-limit", "4"]);
        let stolen = app.user("anna");
        app.send("POST", "/api/auth/logout/", Some(&stolen), None).expect(204);
        let credentials = json!({"email": "anna@example.org", "password": "correct horse"});
        let session = app.post("/api/auth/login/", None, credentials).expect(200).json();
        let token = session["token"].as_str().unwrap().to_owned();
        let owner = User { token, ..stolen.clone() };
        for _ in 0..4 {
            app.get("/api/feed/", Some(&stolen)).expect_problem(401);
        }
        app.get("/api/feed/", Some(&stolen)).expect_problem(429);
        // One went to the sign-out.
        let own = app.get("/api/feed/", Some(&owner)).expect(200);
        assert!(own.header("ratelimit").starts_with("\"caller\";r=2;"), "{own:?}");
    }
}

#[test]
fn a_caller_whom_the_database_has_not_confirmed_counts_against_their_network() {
    let app = App::start_with(Engine::Sqlite, &["--rate-limit", "4"]);
    let registration = json!({"email": "anna@example.org", "password": "correct horse"});
    let registration = serde_json::from_value(registration).unwrap();
    let account = feed_core::users::register(&app.database.database, &registration, app.clock.now()).unwrap();
    let token = Tokens::new(SECRET.as_bytes(), 60).issue(account.identity(), app.clock.now()).unwrap();
    let user = User { id: account.id, token };
    let left = |user: Option<&User>, path: &str| {
        let reply = app.get(path, user);
        reply.header("ratelimit")[11..12].to_owned()
    };
    assert_eq!(left(None, "/api/feed/"), "3");
    // Nobody asks the database for these.
    assert_eq!(left(Some(&user), "/api/openapi.json"), "2");
    assert_eq!(left(Some(&user), "/api/feed/?page=0"), "1");
    assert_eq!(left(Some(&user), "/api/users/me/"), "0");
    assert_eq!(left(Some(&user), "/api/openapi.json"), "3");
}

#[test]
fn behind_a_proxy_each_address_is_a_caller() {
    let app = App::start_with(Engine::Sqlite, &["--rate-limit", "1", "--proxies", "1"]);
    let get = |forwarded: &str| app.send_raw("GET", "/api/feed/", &[("x-forwarded-for", forwarded)], "");
    get("192.0.2.1").expect(200);
    get("192.0.2.2").expect(200);
    get("192.0.2.2, 192.0.2.1").expect_problem(429);
    for with_port in
        ["192.0.2.3:40006", "[2001:db8::1]:443", "[2001:db8:0:1::1]", "\"[2001:db8:0:2::1]:443\""]
    {
        get(with_port).expect(200);
    }
    get("192.0.2.3").expect_problem(429);
    get("2001:db8::2").expect_problem(429);
    // What names nobody counts against the proxy, all of it together.
    get("unknown").expect(200);
    get("_hidden").expect_problem(429);
    let app = App::start_with(Engine::Sqlite, &["--rate-limit", "1"]);
    let get = |forwarded: &str| app.send_raw("GET", "/api/feed/", &[("x-forwarded-for", forwarded)], "");
    get("192.0.2.1").expect(200);
    get("192.0.2.2").expect_problem(429);
}

/// Pipelined requests of one address, of which it may send so many.
fn pipeline(allowed: &str, proxies: &str) -> (Vec<String>, App) {
    let options = ["--rate-limit", allowed, "--proxies", proxies, "--admin-bind", "127.0.0.1:0"];
    let app = App::start_with(Engine::Sqlite, &options);
    let request = "GET /api/users/1/ HTTP/1.1\r\nhost: a\r\nx-forwarded-for: 192.0.2.1\r\n\r\n";
    let last = "GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let replies = exchange(&app, [request.repeat(200), last.to_owned()].concat().as_bytes());
    let replies: Vec<_> = replies.split("HTTP/1.1 ").skip(1).map(str::to_owned).collect();
    (replies, app)
}

#[test]
fn a_connection_ends_behind_a_429_but_that_of_a_proxy_stays() {
    let statuses = |replies: &[String]| replies.iter().map(|reply| reply[..3].to_owned()).collect::<Vec<_>>();
    let (replies, _) = pipeline("3", "0");
    assert_eq!(statuses(&replies), ["404", "404", "404", "429"]);
    let closes: Vec<_> = replies.iter().map(|reply| reply.contains("connection: close\r\n")).collect();
    assert_eq!(closes, [false, false, false, true]);

    let (replies, app) = pipeline("3", "1");
    let statuses = statuses(&replies);
    assert_eq!(statuses.len(), 201, "all are answered");
    assert!(statuses[3..200].iter().all(|status| status == "429") && statuses[200] == "200", "{statuses:?}");
    // A line a second and no more: how many seconds there were, the metrics of what was left out tell.
    let text = app.metrics();
    let suppressed = text.lines().find_map(|line| line.strip_prefix("feed_log_lines_suppressed_total "));
    let suppressed: usize = suppressed.unwrap().parse().unwrap();
    assert!((100..197).contains(&suppressed), "{suppressed} of 197");
}

/// Sends these bytes and no more, and returns what comes back until the server hangs up.
fn exchange(app: &App, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(app.address).unwrap();
    let mut reply = Vec::new();
    // A server that has heard enough may cut a client off that goes on talking.
    let _ = stream.write_all(bytes).and_then(|()| stream.read_to_end(&mut reply));
    String::from_utf8_lossy(&reply).into_owned()
}

#[test]
fn who_is_slow_to_ask_is_not_waited_for() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--receive-timeout", "1000", "--keep-alive", "1"]);
        let head = "POST /api/auth/login/ HTTP/1.1\r\nhost: a\r\n";
        let body = "content-type: application/json\r\ncontent-length: 100\r\n\r\n{\"email\": ";
        let reply = exchange(&app, format!("{head}{body}").as_bytes());
        assert!(reply.starts_with("HTTP/1.1 408 ") && reply.contains("problem:slow-body"), "{reply}");
        let reply = exchange(&app, head.as_bytes());
        assert!(reply.starts_with("HTTP/1.1 408 "), "{reply}");
        app.get("/api/feed/", None).expect(200);
    }
}

#[test]
fn headers_have_their_size() {
    let app = App::start(Engine::Sqlite);
    let head = format!("GET /api/feed/ HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "x".repeat(1 << 20));
    let reply = exchange(&app, head.as_bytes());
    assert!(!reply.starts_with("HTTP/1.1 2"), "{reply}");
    app.get("/api/feed/", None).expect(200);
}

#[test]
fn a_change_of_password_counts_as_a_sign_in() {
    for engine in ENGINES {
        let app = App::start_with(engine, &["--rate-limit", "100", "--auth-rate-limit", "3"]);
        let (user, other) = (app.user("anna"), app.user("bea"));
        let change = |name: &str| {
            let change =
                json!({"username": name, "password": "another horse", "current_password": "correct horse"});
            app.patch("/api/users/me/", &user, change)
        };
        // It is refused for the name, behind two hashes.
        change("bea").expect_problem(409);
        change("bea").expect_problem(429);
        app.patch("/api/users/me/", &user, json!({"username": "carl"})).expect(200);
        app.get("/api/feed/", Some(&other)).expect(200);
    }
}

#[test]
fn what_is_answered_before_a_handler_is_counted_too() {
    let origin = "https://app.example.org";
    let limits = ["--rate-limit", "6", "--auth-rate-limit", "6", "--cors-origins", origin];
    for engine in ENGINES {
        let app = App::start_with(engine, &limits);
        let nothing = [("accept-encoding", "*;q=0")];
        let statuses = || [(); 4].map(|()| app.send_raw("GET", "/api/feed/", &nothing, "").status);
        assert_eq!(statuses(), [406, 406, 406, 406]);
        let refused = app.send_raw("POST", "/api/auth/login/", &nothing, "");
        assert_eq!((refused.header("cache-control"), refused.status == 200), ("no-store", false));
        let preflight = [("origin", origin), ("access-control-request-method", "GET")];
        let preflights = [(); 3].map(|()| app.send_raw("OPTIONS", "/api/feed/", &preflight, "").status);
        assert_eq!(preflights, [200, 200, 429]);
        assert_eq!(statuses(), [429; 4]);
    }
}
