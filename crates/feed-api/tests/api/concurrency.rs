//! Everybody at once: nothing fails, nothing waits for itself, and what is left fits together.

use chrono::TimeDelta;
use feed_core::sweep::{Swept, sweep_batch};
use feed_test::app::{App, User, on_both, rfc3339};
use serde_json::json;

const ROUNDS: usize = 12;

/// Asserts that a call answered as one may while its subjects come and go.
fn fine(method: &str, path: &str, app: &App, user: &User, body: Option<serde_json::Value>) {
    let reply = app.send(method, path, Some(user), body);
    assert!(
        [200, 201, 204, 401, 404].contains(&reply.status),
        "{method} {path}: {} {}",
        reply.status,
        reply.text
    );
}

/// One user's calls: on others' flyers and on the user's own.
fn live(app: &App, user: &User, own: &[i64], flyers: &[i64], users: &[User]) {
    for round in 0..ROUNDS {
        let n = round * 5 + usize::try_from(user.id).unwrap();
        let (flyer, other) = (flyers[n % flyers.len()], &users[n % users.len()]);
        fine("PUT", &format!("/api/favorites/{flyer}/"), app, user, None);
        let until = rfc3339(app.clock.now() + TimeDelta::days(1 + i64::try_from(n % 3).unwrap()));
        let change = json!({"valid_until": until, "images": [{"url": "https://a.example/n.jpg"}]});
        fine("PATCH", &format!("/api/flyers/{}/", own[round % own.len()]), app, user, Some(change));
        if other.id != user.id {
            fine("PUT", &format!("/api/follows/{}/", other.id), app, user, None);
        }
        fine("GET", "/api/following/feed/?lat=47&lng=8", app, user, None);
        fine("GET", "/api/favorites/feed/", app, user, None);
        if round % 3 == 0 {
            fine("DELETE", &format!("/api/favorites/{flyer}/"), app, user, None);
            fine("DELETE", &format!("/api/follows/{}/", other.id), app, user, None);
            fine(
                "PATCH",
                "/api/users/me/",
                app,
                user,
                Some(json!({"username": format!("user{}-{round}", user.id)})),
            );
        }
    }
}

/// Marks all that ends within two days, and takes the marks off again.
fn sweep(app: &App) {
    let now = app.clock.now();
    for at in [now + TimeDelta::days(2) + feed_core::sweep::MARGIN, now] {
        app.database.database.write(|c| sweep_batch(c, at)).unwrap();
    }
}

#[test]
fn accounts_and_flyers_come_and_go_while_all_write() {
    on_both(|app| {
        let users: Vec<_> = (0..8).map(|n| app.user(&format!("user{n}"))).collect();
        let own: Vec<Vec<_>> = users
            .iter()
            .map(|user| (0..4).map(|n| app.publish(user, &format!("Flyer {n}"))).collect())
            .collect();
        let flyers: Vec<_> = own.iter().flatten().copied().collect();
        for user in &users {
            for flyer in &flyers {
                app.favorite(user, *flyer);
            }
        }
        let (leaving, staying) = users.split_at(4);
        std::thread::scope(|scope| {
            for (user, own) in users.iter().zip(&own) {
                let (flyers, users) = (&flyers, &users);
                scope.spawn(move || live(app, user, own, flyers, users));
            }
            for user in leaving {
                scope.spawn(move || fine("DELETE", "/api/users/me/", app, user, None));
            }
            for (user, own) in staying.iter().zip(&own[4..]) {
                scope.spawn(move || fine("DELETE", &format!("/api/flyers/{}/", own[0]), app, user, None));
            }
            scope.spawn(|| (0..ROUNDS).for_each(|_| sweep(app)));
        });

        let now = app.clock.now();
        while app.database.database.write(|c| sweep_batch(c, now)).unwrap() != Swept::default() {}
        let kept: Vec<_> = own[4..].iter().flat_map(|own| &own[1..]).copied().rev().collect();
        assert_eq!(app.ids("/api/feed/?page_size=50", None), kept);
        for user in leaving {
            app.get("/api/feed/", Some(user)).expect_problem(401);
            app.get(&format!("/api/users/{}/", user.id), None).expect_problem(404);
        }
        let mut followers = vec![0; staying.len()];
        for user in staying {
            let favorites = app.walk("/api/favorites/", Some(user));
            let mut listed: Vec<_> = favorites.iter().map(|row| row["flyer_id"].as_i64().unwrap()).collect();
            listed.sort_unstable_by(|a, b| b.cmp(a));
            assert_eq!(
                app.ids("/api/favorites/feed/?page_size=50", Some(user)),
                listed,
                "a feed of what is there"
            );
            assert!(listed.iter().all(|flyer| kept.contains(flyer)));
            for follow in app.walk("/api/follows/", Some(user)) {
                let followed = staying.iter().position(|other| follow["followed_id"] == other.id);
                followers[followed.expect("only who is there is followed")] += 1;
            }
        }
        for (user, followers) in staying.iter().zip(followers) {
            let profile = app.get(&format!("/api/users/{}/", user.id), None).expect(200).json();
            assert_eq!(
                (&profile["followers_count"], &profile["flyers_count"]),
                (&json!(followers), &json!(3))
            );
        }
    });
}
