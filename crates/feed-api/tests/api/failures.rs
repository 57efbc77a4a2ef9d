//! Wrong passwords in a row.

use chrono::TimeDelta;
use feed_core::attempts::LIMIT;
use feed_core::db::Engine;
use feed_core::users;
use feed_test::app::{App, Reply, User, on_both};
use serde_json::{Value, json};

const ME: &str = "/api/users/me/";

fn login(app: &App, email: &str, password: &str, token: Option<&User>) -> Reply {
    app.post("/api/auth/login/", token, json!({"email": email, "password": password}))
}

/// Fails as often as the limit allows; then asserts that whoever comes is to wait.
#[track_caller]
fn exhaust(app: &App, email: &str) {
    for _ in 0..LIMIT {
        login(app, email, "wrong horse", None).expect_problem(401);
    }
    let refused = login(app, email, "wrong horse", None).expect_problem(429);
    assert_eq!(refused.header("retry-after"), "60");
    assert_eq!(refused.json()["type"], "urn:pockitflyer:problem:too-many-failures");
}

#[test]
fn failures_in_a_row_are_limited_by_account_wherever_they_come_from() {
    let app = &App::start(Engine::Sqlite);
    let (anna, bea) = (app.user("anna"), app.user("bea"));
    let email = "anna@example.org";
    exhaust(app, email);
    let known = login(app, "ANNA@example.org", "correct horse", None).expect_problem(429);
    login(app, "bea@example.org", "correct horse", None).expect(200);

    // The owner gets in where they have signed in before. A token that they have ended may be in anybody's hands.
    login(app, email, "correct horse", Some(&anna)).expect(200);
    login(app, email, "correct horse", Some(&bea)).expect_problem(429);
    app.send("POST", "/api/auth/logout/", Some(&anna), None).expect(204);
    app.pass(TimeDelta::seconds(59));
    let waiting = login(app, email, "correct horse", None).expect_problem(429);
    assert_eq!(waiting.header("retry-after"), "1");
    login(app, email, "correct horse", Some(&anna)).expect_problem(429);

    // All strangers together have one try a minute, and a success ends it.
    app.pass(TimeDelta::seconds(1));
    login(app, email, "wrong horse", None).expect_problem(401);
    login(app, email, "correct horse", None).expect_problem(429);
    app.pass(TimeDelta::seconds(60));
    for _ in 0..2 {
        login(app, email, "correct horse", None).expect(200);
    }
    // No such account is the same.
    exhaust(app, "nobody@example.org");
    let unknown = login(app, "nobody@example.org", "correct horse", None).expect_problem(429);
    assert_eq!(known.text, unknown.text);
    assert_eq!(known.header("retry-after"), unknown.header("retry-after"));
    app.pass(TimeDelta::days(40));
    login(app, email, "correct horse", Some(&anna)).expect(200);
}

#[test]
fn an_operator_lifts_the_limit_from_another_process() {
    on_both(|app| {
        app.user("anna");
        exhaust(app, "anna@example.org");
        app.database.database.write(|c| users::lift_limit(c, "Anna@example.org")).unwrap();
        login(app, "anna@example.org", "correct horse", None).expect(200);
    });
}

#[test]
fn wrong_current_passwords_are_limited_as_sign_ins_are() {
    let app = &App::start(Engine::Sqlite);
    let anna = app.user("anna");
    let change = |current: &str, new: Value| {
        app.patch(ME, &anna, json!({"password": new, "current_password": current}))
    };
    for _ in 0..LIMIT {
        change("wrong horse", json!("battery staple")).expect_invalid("current_password");
    }
    let refused = change("correct horse", json!("battery staple")).expect_problem(429);
    assert_eq!(refused.header("retry-after"), "60");
    login(app, "anna@example.org", "correct horse", Some(&anna)).expect_problem(429);
    // Who has the token and not the password keeps nobody else out.
    login(app, "anna@example.org", "correct horse", None).expect(200);
    app.patch(ME, &anna, json!({"username": "anne"})).expect(200);
    app.pass(TimeDelta::seconds(60));
    change("correct horse", json!("battery staple")).expect(200);
}
