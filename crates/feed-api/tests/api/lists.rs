//! Lists of the relations themselves, and the status of many follows at once.

use chrono::TimeDelta;
use feed_test::app::{App, User, cursor, on_both};
use serde_json::{Value, json};

/// A user who favorited five flyers and follows their five creators, each in another order than they were made.
fn related(app: &App) -> (User, Vec<User>, Vec<i64>) {
    let user = app.user("user");
    let creators: Vec<_> = (0..5).map(|n| app.user(&format!("creator{n}"))).collect();
    let flyers: Vec<_> = creators.iter().map(|creator| app.publish(creator, "Bread")).collect();
    for n in [2, 4, 0, 3, 1] {
        app.pass(TimeDelta::microseconds(1));
        app.favorite(&user, flyers[n]);
        app.follow(&user, &creators[n]);
    }
    (user, creators, flyers)
}

#[test]
fn relations_are_listed_newest_first() {
    on_both(|app| {
        let (user, creators, flyers) = related(app);
        // Lists are of what was favorited, valid or not.
        app.pass(TimeDelta::weeks(2));
        let now = app.clock.now();
        app.database.database.write(|c| feed_core::sweep::sweep_batch(c, now)).unwrap();
        let followed: Vec<_> = creators.iter().map(|creator| creator.id).collect();
        for (path, id, of) in
            [("/api/favorites/", "flyer_id", flyers), ("/api/follows/", "followed_id", followed)]
        {
            let expected: Vec<_> = [1, 3, 0, 4, 2]
                .iter()
                .zip((1..=5).rev())
                .map(|(&n, at)| json!({id: of[n], "created_at": format!("2026-06-01T12:00:00.25000{at}Z")}))
                .collect();
            let whole = json!({
                "count": 5, "count_exact": true, "next": null, "previous": null, "results": expected,
            });
            assert_eq!(app.get(path, Some(&user)).expect(200).json(), whole);
            assert_eq!(app.walk(&format!("{path}?page_size=2"), Some(&user)), expected);
            let second = app.get(&format!("{path}?page=2&page_size=2&keep=me"), Some(&user)).expect(200);
            let page = second.json();
            assert_eq!(page["results"], json!(expected[2..4]));
            let next = page["next"].as_str().unwrap();
            assert!(next.starts_with(&app.url(&format!("{path}?page_size=2&keep=me&cursor="))), "{next}");
            let previous = page["previous"].as_str().unwrap();
            assert_eq!(second.header("link"), format!("<{next}>; rel=\"next\", <{previous}>; rel=\"prev\""));
            assert_eq!(app.get(previous, Some(&user)).json()["results"], json!(expected[..2]));
            let beyond = app.get(&format!("{path}?page=4&page_size=2"), Some(&user)).expect(200).json();
            assert_eq!((&beyond["count"], &beyond["results"]), (&json!(5), &json!([])));
            assert_eq!(beyond["next"], Value::Null);
            let last = app.get(beyond["previous"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(last["results"], json!(expected[3..]));
        }
    });
}

#[test]
fn lists_are_their_callers_own() {
    on_both(|app| {
        let (user, creators, flyers) = related(app);
        let other = app.user("other");
        app.favorite(&other, flyers[0]);
        app.favorite(&other, flyers[1]);
        app.follow(&other, &creators[0]);
        for path in ["/api/favorites/", "/api/follows/"] {
            app.get(path, None).expect_problem(401);
            for (query, field) in [
                ("page=0", "page"),
                ("page=501", "page"),
                ("page_size=0", "page_size"),
                ("page_size=x", "page_size"),
                ("cursor=AAAA", "cursor"),
                ("page=1&page=1", "page"),
            ] {
                app.get(&format!("{path}?{query}"), Some(&user)).expect_invalid(field);
            }
            let page = app.get(&format!("{path}?page_size=1"), Some(&user)).expect(200).json();
            let own = cursor(&page["next"]);
            app.get(&format!("{path}?page=2&cursor={own}"), Some(&user)).expect_invalid("cursor");
            app.get(&format!("{path}?cursor={own}"), Some(&other)).expect_invalid("cursor");
            for elsewhere in ["/api/favorites/", "/api/follows/", "/api/favorites/feed/", "/api/feed/"] {
                let reply = app.get(&format!("{elsewhere}?cursor={own}"), Some(&user));
                if elsewhere == path {
                    reply.expect(200)
                } else {
                    reply.expect_invalid("cursor")
                };
            }
        }
        assert_eq!(app.get("/api/favorites/", Some(&other)).json()["count"], 2);
        assert_eq!(app.get("/api/follows/", Some(&other)).json()["count"], 1);
    });
}

#[test]
fn a_cursor_of_a_list_survives_its_row() {
    on_both(|app| {
        let (user, creators, flyers) = related(app);
        for (path, row) in [("favorites", flyers[3]), ("follows", creators[3].id)] {
            let page = app.get(&format!("/api/{path}/?page_size=2"), Some(&user)).expect(200).json();
            app.delete(&format!("/api/{path}/{row}/"), &user).expect(204);
            let next = app.get(page["next"].as_str().unwrap(), Some(&user)).expect(200).json();
            let rest = app.get(next["next"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(next["results"].as_array().unwrap().len(), 2);
            assert_eq!(rest["results"].as_array().unwrap().len(), 1);
            let back = app.get(next["previous"].as_str().unwrap(), Some(&user)).expect(200).json();
            assert_eq!(back["results"], json!([page["results"][0]]), "the row is gone, its place is not");
        }
    });
}

#[test]
fn the_status_of_many_comes_in_the_order_asked() {
    on_both(|app| {
        let (user, _, _) = related(app);
        let other = app.user("other");
        let followed =
            app.get("/api/follows/", Some(&user)).json()["results"][0]["followed_id"].as_i64().unwrap();
        let get = |list: &str, viewer| app.get(&format!("/api/follows/status/?user_id={list}"), viewer);
        let yes = json!({"is_following": true, "followed_user_id": followed});
        let no = json!({"is_following": false, "followed_user_id": other.id});
        let (a, b) = (followed, other.id);
        assert_eq!(get(&format!("{a},{b}"), Some(&user)).expect(200).json(), json!([yes, no]));
        assert_eq!(get(&format!("{b},999999,{a}"), Some(&user)).expect(200).json(), json!([no, yes]));
        assert_eq!(get(&format!("{a},{a}"), Some(&user)).expect(200).json(), json!([yes, yes]));
        assert_eq!(get(&format!("{b}%2C999999"), Some(&user)).expect(200).json(), json!([no]));
        assert_eq!(get("999998,999999", None).expect(200).json(), json!([]));
        let anonymous = get(&format!("{a},{b}"), None).expect(200).json();
        assert_eq!(anonymous[0]["is_following"], false);
        let list = |n: usize| vec![a.to_string(); n].join(",");
        assert_eq!(get(&list(100), None).expect(200).json().as_array().unwrap().len(), 100);
        for bad in [
            list(101),
            ",".to_owned(),
            "1,".to_owned(),
            ",1".to_owned(),
            "1,,2".to_owned(),
            "1,0".to_owned(),
            "1,%202".to_owned(),
            "1,x".to_owned(),
            "1;2".to_owned(),
            "1%00".to_owned(),
            "1&user_id=2".to_owned(),
        ] {
            get(&bad, None).expect_invalid("user_id");
        }
    });
}
