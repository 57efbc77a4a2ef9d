//! The relations table of the contract, a row a test.

use std::sync::Barrier;

use feed_test::app::{App, User, on_both};
use serde_json::json;

/// Ids that are no positive 64-bit integer.
const BAD_IDS: [&str; 9] = ["0", "-1", "+1", "x", "1.5", "1e3", "9223372036854775808", "%20", "%D9%A1"];

fn bad_bodies(app: &App, path: &str, user: &User, field: &str) {
    for value in [json!(0), json!(-1), json!("1"), json!(1.5), json!(null), json!([1]), json!(u64::MAX)] {
        app.post(path, Some(user), json!({field: value})).expect_invalid(field);
    }
    app.post(path, Some(user), json!({})).expect_invalid(field);
    let token = format!("Bearer {}", user.token);
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    for body in ["", "{", "[1]", "7", "null", "{\"a\": 1}x"] {
        app.send_raw("POST", path, &headers, body).expect_problem(400);
    }
    app.send_raw("POST", path, &headers[..1], "{}").expect_problem(415);
    let text = [headers[0], ("content-type", "text/plain")];
    app.send_raw("POST", path, &text, "{}").expect_problem(415);
    let huge = format!("{{\"{field}\": 1, \"x\": \"{}\"}}", "x".repeat(140_000));
    app.send_raw("POST", path, &headers, &huge).expect_problem(413);
}

#[test]
fn post_favorites() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let flyer = app.publish(&creator, "Bread");
        let made = app.post("/api/favorites/", Some(&user), json!({"flyer_id": flyer})).expect(201).json();
        let expected =
            json!({"user_id": user.id, "flyer_id": flyer, "created_at": "2026-06-01T12:00:00.250000Z"});
        assert_eq!(made, expected);
        app.pass(chrono::TimeDelta::minutes(1));
        let there = app.post("/api/favorites", Some(&user), json!({"flyer_id": flyer})).expect(200).json();
        assert_eq!(there, expected);
        let put = app.send("PUT", &format!("/api/favorites/{flyer}/"), Some(&user), None).expect(200).json();
        assert_eq!(put, expected);

        app.post("/api/favorites/", Some(&user), json!({"flyer_id": flyer + 1})).expect_problem(404);
        app.post("/api/favorites/", None, json!({"flyer_id": flyer})).expect_problem(401);
        bad_bodies(app, "/api/favorites/", &user, "flyer_id");
    });
}

#[test]
fn put_and_delete_favorites() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let flyer = app.publish(&creator, "Bread");
        let path = format!("/api/favorites/{flyer}/");
        app.send("DELETE", &path, Some(&user), None).expect(204);
        app.send("PUT", &path, Some(&user), None).expect(201);
        assert_eq!(app.ids("/api/favorites/feed/", Some(&user)), [flyer]);
        let gone = app.send("DELETE", &path, Some(&user), None).expect(204);
        assert_eq!(gone.text, "");
        assert!(app.ids("/api/favorites/feed/", Some(&user)).is_empty());
        app.send("DELETE", &path, Some(&user), None).expect(204);
        app.send("DELETE", &format!("/api/favorites/{}/", flyer + 1), Some(&user), None).expect(204);
        app.send("PUT", &format!("/api/favorites/{}/", flyer + 1), Some(&user), None).expect_problem(404);
        for method in ["PUT", "DELETE"] {
            app.send(method, &path, None, None).expect_problem(401);
            for id in BAD_IDS {
                app.send(method, &format!("/api/favorites/{id}/"), Some(&user), None).expect_invalid("id");
            }
        }
    });
}

#[test]
fn an_expired_flyer_can_be_favorited() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let flyer = app.publish(&creator, "Bread");
        app.pass(chrono::TimeDelta::weeks(2));
        app.favorite(&user, flyer);
        assert!(app.ids("/api/favorites/feed/", Some(&user)).is_empty());
    });
}

#[test]
fn post_follows() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let body = json!({"followed_id": creator.id});
        let made = app.post("/api/follows/", Some(&user), body.clone()).expect(201).json();
        let expected = json!({
            "follower_id": user.id, "followed_id": creator.id, "created_at": "2026-06-01T12:00:00.250000Z",
        });
        assert_eq!(made, expected);
        app.pass(chrono::TimeDelta::minutes(1));
        assert_eq!(app.post("/api/follows/", Some(&user), body.clone()).expect(200).json(), expected);
        let path = format!("/api/follows/{}/", creator.id);
        assert_eq!(app.send("PUT", &path, Some(&user), None).expect(200).json(), expected);

        let own = app.post("/api/follows/", Some(&user), json!({"followed_id": user.id})).expect_problem(400);
        assert_eq!(own.json()["error"], "Cannot follow yourself");
        let unknown = json!({"followed_id": user.id + 1_000});
        app.post("/api/follows/", Some(&user), unknown).expect_problem(404);
        app.post("/api/follows/", None, body).expect_problem(401);
        bad_bodies(app, "/api/follows/", &user, "followed_id");
    });
}

#[test]
fn put_and_delete_follows() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let flyer = app.publish(&creator, "Bread");
        let path = format!("/api/follows/{}/", creator.id);
        app.send("DELETE", &path, Some(&user), None).expect(204);
        app.send("PUT", &path, Some(&user), None).expect(201);
        assert_eq!(app.ids("/api/following/feed/", Some(&user)), [flyer]);
        app.send("DELETE", &path, Some(&user), None).expect(204);
        assert!(app.ids("/api/following/feed/", Some(&user)).is_empty());
        app.send("DELETE", "/api/follows/999999/", Some(&user), None).expect(204);
        app.send("PUT", "/api/follows/999999/", Some(&user), None).expect_problem(404);
        let own = format!("/api/follows/{}/", user.id);
        app.send("PUT", &own, Some(&user), None).expect_problem(400);
        for method in ["PUT", "DELETE"] {
            app.send(method, &path, None, None).expect_problem(401);
            for id in BAD_IDS {
                app.send(method, &format!("/api/follows/{id}/"), Some(&user), None).expect_invalid("id");
            }
        }
    });
}

#[test]
fn follow_status() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let path = format!("/api/follows/status/?user_id={}", creator.id);
        let no = json!({"is_following": false, "followed_user_id": creator.id});
        let yes = json!({"is_following": true, "followed_user_id": creator.id});
        assert_eq!(app.get(&path, Some(&user)).expect(200).json(), no);
        app.follow(&user, &creator);
        assert_eq!(app.get(&path, Some(&user)).expect(200).json(), yes);
        assert_eq!(app.get(&path, None).expect(200).json(), no);
        app.get("/api/follows/status/?user_id=999999", None).expect_problem(404);
        app.get("/api/follows/status/", None).expect_invalid("user_id");
        app.get("/api/follows/status/?user_id=", None).expect_invalid("user_id");
        for id in ["0", "-1", "x", "1.5", "9223372036854775808"] {
            app.get(&format!("/api/follows/status/?user_id={id}"), None).expect_invalid("user_id");
        }
    });
}

#[test]
fn fifty_at_once_leave_one_row() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let flyer = app.publish(&creator, "Bread");
        for (path, body) in [
            ("/api/favorites/", json!({"flyer_id": flyer})),
            ("/api/follows/", json!({"followed_id": creator.id})),
        ] {
            let barrier = Barrier::new(50);
            let replies: Vec<_> = std::thread::scope(|scope| {
                let call = || {
                    barrier.wait();
                    app.post(path, Some(&user), body.clone())
                };
                let calls: Vec<_> = (0..50).map(|_| scope.spawn(call)).collect();
                calls.into_iter().map(|call| call.join().unwrap()).collect()
            });
            let of = |status| replies.iter().filter(|r| r.status == status).count();
            assert_eq!((of(201), of(200)), (1, 49), "{replies:?}");
            assert!(replies.iter().all(|r| r.json() == replies[0].json()));
        }
        assert_eq!(app.ids("/api/favorites/feed/", Some(&user)), [flyer]);
        assert_eq!(app.get("/api/following/feed/", Some(&user)).json()["count"], 1);
    });
}

#[test]
fn favoriting_and_unfavoriting_at_once_never_fails() {
    on_both(|app| {
        let (creator, user) = (app.user("creator"), app.user("user"));
        let flyer = app.publish(&creator, "Bread");
        let path = format!("/api/favorites/{flyer}/");
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (path, user) = (&path, &user);
                scope.spawn(move || {
                    for _ in 0..25 {
                        let method = if n % 2 == 0 { "PUT" } else { "DELETE" };
                        let status = app.send(method, path, Some(user), None).status;
                        assert!([200, 201, 204].contains(&status), "{method} answered {status}");
                    }
                });
            }
        });
    });
}
