//! Registering, signing in, and tokens.

use base64::Engine as _;
use chrono::TimeDelta;
use feed_core::db::Engine;
use feed_core::feed::{Feed, Listing};
use feed_core::page::{Count, Cursor, CursorKey, Direction, Position};
use feed_core::sql::Value as Bind;
use feed_core::users::Identity;
use feed_test::SECRET;
use feed_test::app::{App, User, now, on_both};
use serde_json::json;

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
        register("a@example.org", "äöüßéèçà", &long[1..]).expect(201);
        register("b@example.org", &"äöüßéèçà".repeat(16), "b").expect(201);
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

/// What a token says.
fn claims(user: &User) -> serde_json::Value {
    let payload = user.token.split('.').nth(1).unwrap();
    serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap())
        .unwrap()
}

/// Who a token says calls.
fn identity(user: &User) -> Identity {
    let key = claims(user)["key"].as_str().unwrap().to_owned();
    Identity { id: user.id, key: u64::from_str_radix(&key, 16).unwrap().cast_signed() }
}

/// The same account with a token of this header and these claims, signed with the service's secret.
fn with_claims(user: &User, header: &jsonwebtoken::Header, claims: &serde_json::Value) -> User {
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    User { id: user.id, token: jsonwebtoken::encode(header, claims, &key).unwrap() }
}

#[test]
fn a_token_needs_no_more_than_the_contract_says() {
    on_both(|app| {
        let user = app.user("fritz");
        let key = claims(&user)["key"].clone();
        let raw = |claims: serde_json::Value| {
            let user = with_claims(&user, &jsonwebtoken::Header::default(), &claims);
            app.get("/api/favorites/feed/", Some(&user)).status
        };
        let status = |mut claims: serde_json::Value| {
            claims["key"] = key.clone();
            raw(claims)
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
        for key in [json!(null), json!(""), json!("0"), json!("x"), json!("0000000000000000"), json!(7)] {
            assert_eq!(raw(json!({"sub": user.id, "exp": exp, "key": key})), 401, "{key}");
        }
        assert_eq!(raw(json!({"sub": user.id.to_string(), "exp": exp})), 401, "as tokens were without keys");
    });
}

#[test]
fn a_token_with_an_extension_that_nobody_knows_is_refused() {
    let app = App::start(Engine::Sqlite);
    let user = app.user("anna");
    let status = |header: jsonwebtoken::Header| {
        app.get("/api/feed/", Some(&with_claims(&user, &header, &claims(&user)))).status
    };
    let plain = jsonwebtoken::Header::default();
    assert_eq!(status(plain.clone()), 200);
    let mut described = plain.clone();
    described.kid = Some("1".to_owned());
    described.extras.insert("note", "not critical");
    assert_eq!(status(described), 200);
    for critical in [vec!["b64"], vec!["exp"], vec!["http://example.org/x"], vec![]] {
        let crit = critical.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(status(jsonwebtoken::Header { crit: Some(crit), ..plain.clone() }), 401, "{critical:?}");
    }
    let mut unencoded = plain;
    unencoded.extras.insert("b64", false);
    assert_eq!(status(unencoded), 401);
}

/// Asserts that a token opens nothing, wherever it is sent.
#[track_caller]
fn opens_nothing(app: &App, user: &User) {
    for (method, path, body) in [
        ("GET", "/api/feed/", None),
        ("GET", "/api/favorites/feed/", None),
        ("GET", "/api/flyers/1/", None),
        ("GET", "/api/users/1/", None),
        ("GET", "/api/users/me/", None),
        ("GET", "/api/follows/status/?user_id=1", None),
        ("GET", "/api/favorites/", None),
        ("PUT", "/api/follows/1/", None),
        ("DELETE", "/api/favorites/1/", None),
        ("DELETE", "/api/flyers/1/", None),
        ("PATCH", "/api/users/me/", Some(json!({"username": "other"}))),
        (
            "PATCH",
            "/api/users/me/",
            Some(json!({"password": "battery staple", "current_password": "correct horse"})),
        ),
        ("POST", "/api/flyers/", Some(app.flyer("Bread"))),
        ("POST", "/api/auth/logout/", None),
        ("DELETE", "/api/users/me/", None),
    ] {
        eprintln!("{method} {path}");
        app.send(method, path, Some(user), body).expect_problem(401);
    }
}

/// A session of the account of this name.
fn sign_in(app: &App, name: &str, password: &str) -> User {
    let credentials = json!({"email": format!("{name}@example.org"), "password": password});
    let session = app.post("/api/auth/login/", None, credentials).expect(200).json();
    User { id: session["user"]["id"].as_i64().unwrap(), token: session["token"].as_str().unwrap().to_owned() }
}

#[test]
fn signing_out_ends_all_tokens_of_the_account() {
    on_both(|app| {
        let (anna, bea) = (app.user("anna"), app.user("bea"));
        let phone = sign_in(app, "anna", "correct horse");
        app.send("POST", "/api/auth/logout/", None, None).expect_problem(401);
        let left = app.send("POST", "/api/auth/logout/", Some(&anna), None).expect(204);
        assert_eq!((left.text.as_str(), left.header("cache-control")), ("", "no-store"));
        opens_nothing(app, &anna);
        opens_nothing(app, &phone);
        app.get("/api/users/me/", Some(&bea)).expect(200);
        let again = sign_in(app, "anna", "correct horse");
        app.get("/api/users/me/", Some(&again)).expect(200);
    });
}

#[test]
fn another_password_ends_all_tokens_and_gives_a_fresh_one() {
    on_both(|app| {
        let anna = app.user("anna");
        let change = |user: &User, body| app.patch("/api/users/me/", user, body).expect(200);
        let named = change(&anna, json!({"username": "anne"})).json();
        assert!(named.get("token").is_none() && named.get("expires_in").is_none(), "{named}");
        let change =
            change(&anna, json!({"password": "battery staple", "current_password": "correct horse"}));
        assert_eq!(change.header("cache-control"), "no-store", "it holds a token");
        let changed = change.json();
        assert_eq!(
            (&changed["username"], &changed["expires_in"]),
            (&json!("anne"), &json!(30 * 24 * 60 * 60))
        );
        let fresh = User { id: anna.id, token: changed["token"].as_str().unwrap().to_owned() };
        opens_nothing(app, &anna);
        app.get("/api/users/me/", Some(&fresh)).expect(200);
        app.get("/api/users/me/", Some(&sign_in(app, "anna", "battery staple"))).expect(200);
    });
}

#[test]
fn a_token_opens_nobody_elses_account_after_a_backup_is_put_back() {
    on_both(|app| {
        let (anna, bea) = (app.user("anna"), app.user("bea"));
        app.publish(&bea, "Bread");
        // The account is lost with the history that follows the backup; its id is given to the next who registers.
        app.delete("/api/users/me/", &anna).expect(204);
        let insert = "INSERT INTO users (id, email, email_key, username, password_hash, created_at) \
                      VALUES (:id, 'new@example.org', 'new@example.org', 'new', '', :now)";
        let binds = [("id", Bind::Int(anna.id)), ("now", Bind::Time(app.clock.now()))];
        assert_eq!(app.database.execute(insert, &binds), 1);
        opens_nothing(app, &anna);
        app.get(&format!("/api/users/{}/", anna.id), None).expect(200);
    });
}

#[test]
fn what_an_earlier_secret_signed_stays_valid_where_it_is_named() {
    const OLD: &str = "an older secret of these tests, 32 bytes";
    let tokens = feed_api::tokens::Tokens::new(OLD.as_bytes(), 60);
    let with_old = ["--jwt-secret-previous", OLD];
    for (options, expected) in [(&with_old[..], 200), (&[][..], 401)] {
        let app = App::start_with(Engine::Sqlite, options);
        let user = app.user("anna");
        let old = User { id: user.id, token: tokens.issue(identity(&user), now()).unwrap() };
        assert_eq!(app.get("/api/feed/", Some(&old)).status, expected);
        let cursor = Cursor { direction: Direction::Forward, position: Position::START, count: Count::of(0) };
        let scope = Listing::from(Feed::All(None)).cursor_scope();
        let cursor = cursor.encode(&CursorKey::derive(OLD.as_bytes()), &scope);
        let page = app.get(&format!("/api/feed/?cursor={cursor}"), None);
        assert_eq!(page.status, if expected == 200 { 200 } else { 400 }, "{}", page.text);
        // It signs nothing any more.
        let fresh = sign_in(&app, "anna", "correct horse");
        app.get("/api/feed/", Some(&fresh)).expect(200);
        let key = jsonwebtoken::DecodingKey::from_secret(SECRET.as_bytes());
        let validation =
            jsonwebtoken::Validation { validate_exp: false, ..jsonwebtoken::Validation::default() };
        jsonwebtoken::decode::<serde_json::Value>(&fresh.token, &key, &validation).unwrap();
    }
}

#[test]
fn passwords_that_many_people_have_are_refused() {
    on_both(|app| {
        let register = |email: &str, username: Option<&str>, password: &str| {
            let mut body = json!({"email": email, "password": password});
            if let Some(username) = username {
                body["username"] = json!(username);
            }
            app.post("/api/auth/register/", None, body)
        };
        for password in
            ["password", "12345678", "PASSWORD", "pockitflyer", "PockitFlyer1", "ｐａｓｓｗｏｒｄ"]
        {
            register("anna@example.org", Some("anna"), password).expect_invalid("password");
        }
        for password in ["anna.long@example.org", "Anna.Long@Example.org", "ANNA.LONG"] {
            register("anna.long@example.org", None, password).expect_invalid("password");
        }
        register("anna@example.org", Some("Anna the First"), "anna the first").expect_invalid("password");

        let user = app.user("annabell");
        let change = |body: serde_json::Value| app.patch("/api/users/me/", &user, body);
        for password in ["iloveyou", "annabell", "AnnaBell@example.org"] {
            change(json!({"password": password, "current_password": "correct horse"}))
                .expect_invalid("password");
        }
        change(json!({"password": "Anna the Next", "username": "anna the next", "current_password": "correct horse"}))
            .expect_invalid("password");
        assert_eq!(app.get("/api/users/me/", Some(&user)).expect(200).json()["username"], "annabell");
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
        let tokens = feed_api::tokens::Tokens::new(SECRET.as_bytes(), 60);
        let forged = feed_api::tokens::Tokens::new(b"another secret of thirty-two bytes", 60);
        let identity = identity(&user);
        let no_such_user = tokens.issue(Identity { id: user.id + 1_000, ..identity }, now()).unwrap();
        let no_such_key = tokens.issue(Identity { key: identity.key + 1, ..identity }, now()).unwrap();
        let forged = forged.issue(identity, now()).unwrap();
        // {"alg":"none"}
        let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", user.token.split('.').nth(1).unwrap());
        for token in [
            no_such_user.as_str(),
            no_such_key.as_str(),
            forged.as_str(),
            unsigned.as_str(),
            "",
            "x",
            "a.b.c",
        ] {
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

#[test]
fn only_a_token_that_the_account_has_not_ended_tells_its_owner_from_strangers() {
    on_both(|app| {
        let thief = app.user("anna");
        app.post("/api/auth/logout/", Some(&thief), json!({})).expect(204);
        let owner = sign_in(app, "anna", "correct horse");
        let login = |user: Option<&User>, password: &str| {
            app.post("/api/auth/login/", user, json!({"email": "anna@example.org", "password": password}))
        };
        let failures = std::iter::repeat_with(|| login(Some(&thief), "wrong horse").status);
        assert_eq!(failures.take_while(|status| *status == 401).count(), 50);
        login(None, "correct horse").expect_problem(429);
        let tokens = feed_api::tokens::Tokens::new(SECRET.as_bytes(), 60);
        let expired = tokens.issue(identity(&owner), now() - TimeDelta::days(40)).unwrap();
        let returning = User { token: expired, ..owner.clone() };
        app.get("/api/feed/", Some(&returning)).expect_problem(401);
        for owner in [owner, returning] {
            login(Some(&owner), "correct horse").expect(200);
        }
    });
}
