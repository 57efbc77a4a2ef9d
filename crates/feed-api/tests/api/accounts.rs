//! Registering, signing in, and tokens.

use chrono::TimeDelta;
use serde_json::json;

use crate::app::{SECRET, User, now, on_both};

#[test]
fn registering_opens_a_session() {
    on_both(|app| {
        let body = json!({"email": "Anna@Example.org", "password": "correct horse", "username": " Anna "});
        let session = app.post("/api/auth/register/", None, body).expect(201).json();
        assert_eq!(session["token_type"], "Bearer");
        assert_eq!(session["expires_in"], 30 * 24 * 60 * 60);
        assert_eq!(session["user"]["username"], "Anna");
        assert_eq!(session["user"]["email"], "Anna@Example.org");
        let user = User {
            id: session["user"]["id"].as_i64().unwrap(),
            token: session["token"].as_str().unwrap().to_owned(),
        };
        app.get("/api/favorites/feed/", Some(&user)).expect(200);
    });
}

#[test]
fn registering_with_bad_input_names_the_field() {
    on_both(|app| {
        let long = "a".repeat(151);
        let register = |email: &str, password: &str, username: &str| {
            let body = json!({"email": email, "password": password, "username": username});
            app.post("/api/auth/register/", None, body)
        };
        register("no address", "correct horse", "a").expect_invalid("email");
        register("", "correct horse", "a").expect_invalid("email");
        register("a@example.org", "short", "a").expect_invalid("password");
        register("a@example.org", " 1234567 ", "a").expect_invalid("password");
        register("a@example.org", &"x".repeat(129), "a").expect_invalid("password");
        register("a@example.org", "correct horse", "   ").expect_invalid("username");
        register("a@example.org", "correct horse", &long).expect_invalid("username");
        register("a@example.org", "correct horse", "a\nb").expect_invalid("username");
        app.post("/api/auth/register/", None, json!({"password": "correct horse"})).expect_invalid("email");
        app.post("/api/auth/register/", None, json!({"email": 7, "password": "correct horse"}))
            .expect_invalid("email");
        register("a@example.org", "correct\0horse", "a").expect_problem(400);
        // The limits themselves are inside: 8 and 128 characters, not bytes.
        register("a@example.org", "äöüäöüäö", &long[1..]).expect(201);
        register("b@example.org", &"ü".repeat(128), "b").expect(201);
    });
}

#[test]
fn emails_and_usernames_are_unique() {
    on_both(|app| {
        app.user("anna");
        let register = |email: &str, username: &str| {
            let body = json!({"email": email, "password": "correct horse", "username": username});
            app.post("/api/auth/register/", None, body)
        };
        let taken = register("ANNA@example.ORG", "other").expect_problem(409).json();
        assert_eq!(taken["errors"][0]["field"], "email");
        let taken = register("other@example.org", "anna").expect_problem(409).json();
        assert_eq!(taken["errors"][0]["field"], "username");
        let taken = register("anna@example.org", "anna").expect_problem(409).json();
        assert_eq!(taken["errors"][0]["field"], "email", "the e-mail where both are taken");
    });
}

#[test]
fn a_missing_username_is_made_from_the_email() {
    on_both(|app| {
        let name = |email: &str| {
            let body = json!({"email": email, "password": "correct horse"});
            app.post("/api/auth/register/", None, body).expect(201).json()["user"]["username"].clone()
        };
        assert_eq!(name("bea@example.org"), "bea");
        assert_eq!(name("bea@example.net"), "bea2");
        assert_eq!(name("bea@example.com"), "bea3");
        let names: std::collections::BTreeSet<_> = std::thread::scope(|scope| {
            let name = &name;
            let calls: Vec<_> = (0..20)
                .map(|n| scope.spawn(move || name(&format!("carl@{n}.example.org")).to_string()))
                .collect();
            calls.into_iter().map(|call| call.join().unwrap()).collect()
        });
        assert_eq!(names.len(), 20, "also where many ask at once");
    });
}

#[test]
fn a_token_needs_no_more_than_the_contract_says() {
    on_both(|app| {
        let user = app.user("fritz");
        let status = |claims: serde_json::Value| {
            let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
            let token = jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, &key).unwrap();
            app.get("/api/favorites/feed/", Some(&User { id: user.id, token })).status
        };
        let exp = now().and_utc().timestamp() + 60;
        assert_eq!(status(json!({"sub": user.id.to_string(), "exp": exp})), 200);
        assert_eq!(status(json!({"sub": user.id, "exp": exp})), 200);
        assert_eq!(status(json!({"sub": user.id, "exp": 0.5 + 1e9 + 1e9, "iat": 1.5, "aud": "app"})), 200);
        assert_eq!(status(json!({"sub": user.id, "exp": exp, "nbf": exp - 10})), 401, "not valid yet");
        assert_eq!(status(json!({"sub": user.id, "exp": exp - 60})), 401, "expired");
        assert_eq!(status(json!({"sub": user.id})), 401, "no end");
        assert_eq!(status(json!({"exp": exp})), 401, "no user");
        for sub in [json!("+1"), json!("x"), json!(""), json!(-1), json!(1.5), json!(null)] {
            assert_eq!(status(json!({"sub": sub, "exp": exp})), 401, "{sub}");
        }
    });
}

#[test]
fn signing_in_takes_the_email_in_any_case() {
    on_both(|app| {
        let user = app.user("carl");
        let login = |email: &str, password: &str| {
            app.post("/api/auth/login/", None, json!({"email": email, "password": password}))
        };
        let session = login("CARL@example.org", "correct horse").expect(200).json();
        assert_eq!(session["user"]["id"], user.id);
        let wrong = login("carl@example.org", "wrong horse").expect_problem(401);
        let unknown = login("nobody@example.org", "correct horse").expect_problem(401);
        assert_eq!(wrong.text, unknown.text, "the answer must not tell which accounts exist");
        app.post("/api/auth/login/", None, json!({"email": "carl@example.org"})).expect_invalid("password");
    });
}

#[test]
fn an_expired_token_does_not_stand_in_the_way_of_signing_in() {
    on_both(|app| {
        let user = app.user("dora");
        app.pass(TimeDelta::days(30) - TimeDelta::seconds(2));
        app.get("/api/feed/", Some(&user)).expect(200);
        app.pass(TimeDelta::seconds(2));
        app.get("/api/feed/", Some(&user)).expect_problem(401);
        let credentials = json!({"email": "dora@example.org", "password": "correct horse"});
        app.post("/api/auth/login/", Some(&user), credentials).expect(200);
        app.get("/healthz", Some(&user)).expect(200);
    });
}

#[test]
fn bad_tokens_are_refused_everywhere() {
    on_both(|app| {
        let user = app.user("emil");
        let tokens = feed_api::auth::Tokens::new(SECRET.as_bytes(), 60);
        let forged = feed_api::auth::Tokens::new(b"another secret of thirty-two bytes", 60);
        let no_such_user = tokens.issue(user.id + 1_000, now()).unwrap();
        let forged = forged.issue(user.id, now()).unwrap();
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", user.token.split('.').nth(1).unwrap());
        for token in [no_such_user.as_str(), forged.as_str(), unsigned.as_str(), "", "x", "a.b.c"] {
            let header = format!("Bearer {token}");
            for path in
                ["/api/feed/", "/api/favorites/feed/", "/api/flyers/1/", "/api/follows/status/?user_id=1"]
            {
                app.send_raw("GET", path, &[("authorization", &header)], "").expect_problem(401);
            }
            let headers = [("authorization", header.as_str()), ("content-type", "application/json")];
            app.send_raw("POST", "/api/favorites/", &headers, r#"{"flyer_id": 1}"#).expect_problem(401);
            app.send_raw("DELETE", "/api/follows/1/", &headers, "").expect_problem(401);
        }
        app.send_raw("GET", "/api/feed/", &[("authorization", "Basic YTpi")], "").expect_problem(401);
        let lower_case = format!("bearer {}", user.token);
        app.send_raw("GET", "/api/feed/", &[("authorization", &lower_case)], "").expect(200);
    });
}
