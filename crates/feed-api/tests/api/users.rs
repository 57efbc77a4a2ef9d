//! Accounts: one's own, and what others see of them.

use chrono::TimeDelta;
use feed_core::sql::Value as Bind;
use feed_test::app::{App, User, ids, on_both, rfc3339};
use serde_json::{Value, json};

const ME: &str = "/api/users/me/";

fn signs_in(app: &App, name: &str, password: &str) -> u16 {
    let credentials = json!({"email": format!("{name}@example.org"), "password": password});
    app.post("/api/auth/login/", None, credentials).status
}

#[test]
fn callers_see_their_own_account() {
    on_both(|app| {
        let user = app.user("anna");
        let expected = json!({
            "id": user.id, "username": "anna", "email": "anna@example.org", "profile_picture_url": null,
        });
        assert_eq!(app.get(ME, Some(&user)).expect(200).json(), expected);
        for method in ["GET", "PATCH", "DELETE"] {
            app.send(method, ME, None, Some(json!({}))).expect_problem(401);
        }
    });
}

#[test]
fn a_name_is_changed_unless_it_is_taken() {
    on_both(|app| {
        let (anna, _) = (app.user("anna"), app.user("bea"));
        let taken = app.patch(ME, &anna, json!({"username": "bea"})).expect_problem(409).json();
        assert_eq!(taken["errors"][0]["field"], "username");
        assert_eq!(app.patch(ME, &anna, json!({"username": "anna"})).expect(200).json()["username"], "anna");
        let changed = app.patch(ME, &anna, json!({"username": " Änne "})).expect(200).json();
        assert_eq!((&changed["username"], &changed["id"]), (&json!("Änne"), &json!(anna.id)));
        assert_eq!(app.get(ME, Some(&anna)).json(), changed);
        for bad in [json!(""), json!("  "), json!("x".repeat(151)), json!("a\tb"), json!(7), json!(null)] {
            app.patch(ME, &anna, json!({"username": bad})).expect_invalid("username");
        }
        app.patch(ME, &anna, json!({"username": "a\0b"})).expect_problem(400);
        assert_eq!(app.patch(ME, &anna, json!({})).expect(200).json(), changed);
        app.patch(ME, &anna, json!({"username": "ü".repeat(150)})).expect(200);
    });
}

#[test]
fn a_password_is_changed_by_who_knows_it() {
    on_both(|app| {
        let user = app.user("anna");
        let change = |body: Value| app.patch(ME, &user, body);
        let new = "battery staple";
        change(json!({"password": new})).expect_invalid("current_password");
        change(json!({"password": new, "current_password": "wrong horse"}))
            .expect_invalid("current_password");
        change(json!({"password": new, "current_password": null})).expect_invalid("current_password");
        for bad in [json!("short"), json!("x".repeat(129)), json!(null)] {
            change(json!({"password": bad, "current_password": "correct horse"})).expect_invalid("password");
        }
        let refused = json!({"password": new, "current_password": "wrong horse", "username": "other"});
        change(refused).expect_problem(400);
        assert_eq!(app.get(ME, Some(&user)).json()["username"], "anna", "all or nothing");
        assert_eq!(signs_in(app, "anna", "correct horse"), 200);

        let changed = change(json!({"password": new, "current_password": "correct horse"})).expect(200);
        assert!(!changed.text.contains("password"), "{}", changed.text);
        assert_eq!((signs_in(app, "anna", "correct horse"), signs_in(app, "anna", new)), (401, 200));
        app.get(ME, Some(&user)).expect_problem(401);
    });
}

#[test]
fn a_picture_is_set_and_taken_off() {
    on_both(|app| {
        let user = app.user("anna");
        let flyer = app.publish(&user, "Bread");
        let shown = || {
            let card = app.get(&format!("/api/flyers/{flyer}/"), None).json();
            let profile = app.get(&format!("/api/users/{}/", user.id), None).json();
            let feed = app.get("/api/feed/", None).json();
            assert_eq!(card["creator"]["profile_picture_url"], profile["profile_picture_url"]);
            assert_eq!(feed["results"][0]["creator"]["profile_picture_url"], profile["profile_picture_url"]);
            profile["profile_picture_url"].clone()
        };
        let url = format!("https://a.example/{}", "p".repeat(2_048 - 18));
        let changed = app.patch(ME, &user, json!({"profile_picture_url": url})).expect(200).json();
        assert_eq!(changed["profile_picture_url"], url);
        assert_eq!(shown(), url);
        for bad in ["", "/a.jpg", "ftp://a/b", "javascript:alert(1)", "http:a", &format!("{url}p")] {
            app.patch(ME, &user, json!({"profile_picture_url": bad})).expect_invalid("profile_picture_url");
        }
        app.patch(ME, &user, json!({"profile_picture_url": 7})).expect_invalid("profile_picture_url");
        app.patch(ME, &user, json!({"username": "anna2"})).expect(200);
        assert_eq!(shown(), url, "what is missing stays");
        app.patch(ME, &user, json!({"profile_picture_url": null})).expect(200);
        assert_eq!(shown(), Value::Null);
    });
}

#[test]
fn everything_goes_with_an_account() {
    on_both(|app| {
        let (anna, bea) = (app.user("anna"), app.user("bea"));
        let (bread, cake) = (app.publish(&anna, "Bread"), app.publish(&bea, "Cake"));
        for (user, other, flyer) in [(&anna, &bea, cake), (&bea, &anna, bread)] {
            app.follow(user, other);
            app.favorite(user, flyer);
        }
        assert_eq!(app.delete(ME, &anna).expect(204).text, "");

        assert_eq!(app.ids("/api/feed/", None), [cake]);
        app.get(&format!("/api/flyers/{bread}/"), None).expect_problem(404);
        app.get(&format!("/api/users/{}/", anna.id), None).expect_problem(404);
        app.get(&format!("/api/users/{}/flyers/", anna.id), None).expect_problem(404);
        app.get(&format!("/api/follows/status/?user_id={}", anna.id), None).expect_problem(404);
        for list in ["/api/favorites/", "/api/follows/", "/api/favorites/feed/", "/api/following/feed/"] {
            assert_eq!(app.get(list, Some(&bea)).expect(200).json()["count"], 0, "{list}");
        }
        assert_eq!(app.get(&format!("/api/users/{}/", bea.id), None).json()["followers_count"], 0);
        assert_eq!(signs_in(app, "anna", "correct horse"), 401);
        let again = app.user("anna");
        assert!(again.id > bea.id, "name and e-mail are free again, the id is not");
    });
}

#[test]
fn a_token_of_a_deleted_account_opens_nothing() {
    on_both(|app| {
        let (gone, other) = (app.user("gone"), app.user("other"));
        let flyer = app.publish(&other, "Bread");
        app.delete(ME, &gone).expect(204);
        let change = json!({"title": "Cake"});
        for (method, path, body) in [
            ("GET", "/api/feed/".to_owned(), None),
            ("GET", "/api/flyers/".to_owned(), None),
            ("GET", "/api/favorites/feed/".to_owned(), None),
            ("GET", "/api/following/feed/".to_owned(), None),
            ("GET", format!("/api/users/{}/flyers/", other.id), None),
            ("GET", format!("/api/users/{}/", other.id), None),
            ("GET", ME.to_owned(), None),
            ("PATCH", ME.to_owned(), Some(json!({"username": "back"}))),
            (
                "PATCH",
                ME.to_owned(),
                Some(json!({"password": "battery staple", "current_password": "correct horse"})),
            ),
            ("DELETE", ME.to_owned(), None),
            ("GET", "/api/favorites/".to_owned(), None),
            ("POST", "/api/favorites/".to_owned(), Some(json!({"flyer_id": flyer}))),
            ("PUT", format!("/api/favorites/{flyer}/"), None),
            ("DELETE", format!("/api/favorites/{flyer}/"), None),
            ("GET", "/api/follows/".to_owned(), None),
            ("POST", "/api/follows/".to_owned(), Some(json!({"followed_id": other.id}))),
            ("PUT", format!("/api/follows/{}/", other.id), None),
            ("DELETE", format!("/api/follows/{}/", other.id), None),
            ("GET", format!("/api/follows/status/?user_id={}", other.id), None),
            ("GET", format!("/api/flyers/{flyer}/"), None),
            ("POST", "/api/flyers/".to_owned(), Some(app.flyer("Bread"))),
            ("PATCH", format!("/api/flyers/{flyer}/"), Some(change)),
            ("DELETE", format!("/api/flyers/{flyer}/"), None),
        ] {
            eprintln!("{method} {path}");
            app.send(method, &path, Some(&gone), body).expect_problem(401);
        }
    });
}

#[test]
fn a_profile_is_public() {
    on_both(|app| {
        let (anna, bea) = (app.user("anna"), app.user("bea"));
        let path = format!("/api/users/{}/", anna.id);
        app.publish(&anna, "Bread");
        let later = rfc3339(app.clock.now() + TimeDelta::days(1));
        app.publish_with(&anna, "Later", &json!({"valid_from": later}));
        app.follow(&bea, &anna);
        let mut expected = json!({
            "id": anna.id, "username": "anna", "profile_picture_url": null,
            "followers_count": 1, "followers_count_exact": true,
            "flyers_count": 1, "flyers_count_exact": true, "is_following": null,
        });
        assert_eq!(app.get(&path, None).expect(200).json(), expected);
        for (viewer, follows) in [(&bea, true), (&anna, false)] {
            expected["is_following"] = json!(follows);
            assert_eq!(app.get(&path, Some(viewer)).expect(200).json(), expected);
        }
        app.pass(TimeDelta::days(1));
        assert_eq!(app.get(&path, None).json()["flyers_count"], 2);
        app.pass(TimeDelta::weeks(1));
        assert_eq!(app.get(&path, None).json()["flyers_count"], 0);
        app.get("/api/users/999999/", None).expect_problem(404);
        for id in ["0", "-1", "+1", "x", "1.5", "9223372036854775808", "Me"] {
            app.get(&format!("/api/users/{id}/"), None).expect_invalid("id");
            app.get(&format!("/api/users/{id}/flyers/"), None).expect_invalid("id");
        }
    });
}

/// Writes `rows` followers and as many flyers of `user`.
fn crowd(app: &App, user: &User, from: i64, rows: i64) {
    let now = app.clock.now();
    let numbers = "WITH RECURSIVE n (i) AS (SELECT CAST(:first AS bigint) UNION ALL SELECT i + 1 FROM n WHERE i < :last)";
    let binds = [
        ("first", Bind::Int(from)),
        ("last", Bind::Int(from + rows - 1)),
        ("user", Bind::Int(user.id)),
        ("now", Bind::Time(now)),
        ("second", Bind::Time("2026-06-01T12:00:00".parse().unwrap())),
        ("until", Bind::Time(now + TimeDelta::days(1))),
    ];
    for insert in [
        "INSERT INTO users (id, email, email_key, username, password_hash, created_at) \
         SELECT i, 'crowd' || i, 'crowd' || i, 'crowd' || i, 'none', :now FROM n",
        "INSERT INTO follows (follower_id, followed_id, created_at) SELECT i, :user, :now FROM n",
        "INSERT INTO flyers (id, creator_id, title, description, location_address, latitude, longitude, categories, \
         valid_from, valid_until, created_at) \
         SELECT i, :user, 'Flyer', '', 'Here', 47, 8, 1, :now, :until, :second FROM n",
        "INSERT INTO flyer_images (flyer_id, position, url) SELECT i, 1, 'https' || i FROM n",
    ] {
        let written = app.database.execute(&format!("{numbers} {insert}"), &binds);
        assert_eq!(i64::try_from(written).unwrap(), rows);
    }
}

#[test]
fn counts_are_exact_up_to_a_thousand() {
    on_both(|app| {
        let user = app.user("anna");
        let profile = || {
            let profile = app.get(&format!("/api/users/{}/", user.id), None).expect(200).json();
            ["followers_count", "followers_count_exact", "flyers_count", "flyers_count_exact"]
                .map(|member| profile[member].clone())
        };
        let feeds = || {
            ["/api/feed/".to_owned(), format!("/api/users/{}/flyers/", user.id)].map(|path| {
                let page = app.get(&path, Some(&user)).expect(200).json();
                [page["count"].clone(), page["count_exact"].clone()]
            })
        };
        crowd(app, &user, 100_000, 1_000);
        assert_eq!(profile(), [json!(1_000), json!(true), json!(1_000), json!(true)]);
        assert_eq!(feeds(), [[json!(1_000), json!(true)], [json!(1_000), json!(true)]]);
        crowd(app, &user, 200_000, 1);
        assert_eq!(profile(), [json!(1_000), json!(false), json!(1_000), json!(false)]);
        assert_eq!(feeds(), [[json!(1_000), json!(false)], [json!(1_000), json!(false)]]);
    });
}

#[test]
fn creators_also_see_what_others_do_not() {
    on_both(|app| {
        let (anna, bea) = (app.user("anna"), app.user("bea"));
        let path = format!("/api/users/{}/flyers/?", anna.id);
        let at = |hours| rfc3339(app.clock.now() + TimeDelta::hours(hours));
        let valid = app.publish(&anna, "Valid");
        let later = app.publish_with(&anna, "Later", &json!({"valid_from": at(1)}));
        let over = json!({"valid_from": at(-3), "valid_until": at(-1)});
        let swept = app.publish_with(&anna, "Swept", &over);
        app.publish(&bea, "Another's");
        app.pass(TimeDelta::seconds(1));
        let now = app.clock.now();
        app.database.database.write(|c| feed_core::sweep::sweep_batch(c, now)).unwrap();
        app.pass(TimeDelta::seconds(1));
        let expired = app.publish_with(&anna, "Expired", &over);

        let own = app.get(&path, Some(&anna)).expect(200).json();
        assert_eq!((ids(&own), &own["count"]), (vec![expired, swept, later, valid], &json!(4)));
        let validity: Vec<_> = own["results"].as_array().unwrap().iter().map(|f| &f["is_valid"]).collect();
        assert_eq!(validity, [false, false, false, true]);
        assert_eq!(app.walk(&format!("{path}page_size=1&lat=47&lng=8"), Some(&anna)).len(), 4);
        for viewer in [None, Some(&bea)] {
            let page = app.get(&path, viewer).expect(200).json();
            assert_eq!((ids(&page), &page["count"]), (vec![valid], &json!(1)));
        }
        assert!(app.ids(&format!("{path}categories=nightlife"), Some(&anna)).is_empty());
        assert_eq!(app.ids(&format!("{path}search=swept"), Some(&anna)), [swept]);
        assert!(app.ids(&format!("/api/users/{}/flyers/?search=none", bea.id), None).is_empty());
        app.get("/api/users/999999/flyers/", None).expect_problem(404);
        for (query, field) in
            [("lat=1", "lng"), ("page=0", "page"), ("order=favorited", "order"), ("cursor=x", "cursor")]
        {
            app.get(&format!("{path}{query}"), None).expect_invalid(field);
        }
    });
}
