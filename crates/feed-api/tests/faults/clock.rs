//! A clock that jumps, as when a machine finds out what time it is.
//!
//! Nobody can set the clock of the real binary alone: here the service runs in the test's process, with a clock of the
//! test's. The limits of callers go by a clock that does not jump, the machine's own.

use chrono::TimeDelta;
use feed_core::db::Engine;
use feed_test::app::{App, User, feeds, ids};
use pretty_assertions::assert_eq;
use serde_json::json;

use crate::ENGINES;
use crate::report::Report;

const TOKENS_LIVE: i64 = 2 * 60 * 60;

fn service(engine: Engine, limit: &str) -> App {
    App::start_with(engine, &["--token-ttl", &TOKENS_LIVE.to_string(), "--rate-limit", limit])
}

/// Walks a feed to its end, with the clock jumping before every second page, and a flyer more in each new time.
fn walk(app: &App, feed: &str, creator: &User, user: &User, jumps: [TimeDelta; 2]) -> (usize, Vec<i64>) {
    let mut page = app.get(&format!("{feed}page_size=2"), Some(user)).expect(200).json();
    let (mut seen, mut added, mut pages) = (ids(&page), Vec::new(), 1);
    while let Some(next) = page["next"].as_str() {
        app.pass(jumps[pages % 2]);
        let new = app.publish(creator, "New");
        app.favorite(user, new);
        added.push(new);
        page = app.get(next, Some(user)).expect(200).json();
        seen.extend(ids(&page));
        pages += 1;
    }
    for flyer in added {
        // What came meanwhile may be seen or not, by its time; once at most.
        assert!(seen.iter().filter(|id| **id == flyer).count() <= 1, "{feed}: {seen:?}");
        seen.retain(|id| *id != flyer);
        app.delete(&format!("/api/flyers/{flyer}/"), creator).expect(204);
    }
    (pages, seen)
}

#[test]
fn cursors_and_tokens_outlive_a_clock_that_jumps() {
    for engine in ENGINES {
        let mut report = Report::of("clock jumps by an hour and more", engine);
        let app = service(engine, "off");
        let (creator, user) = (app.user("creator"), app.user("reader"));
        app.send("PUT", &format!("/api/follows/{}/", creator.id), Some(&user), None).expect(201);
        let mut flyers = Vec::new();
        for n in 0..9 {
            let flyer = app.publish(&creator, &format!("Flyer {n}"));
            app.favorite(&user, flyer);
            flyers.insert(0, flyer);
            app.pass(TimeDelta::seconds(1));
        }
        let (hour, life) = (TimeDelta::hours(1), TimeDelta::seconds(TOKENS_LIVE));
        let mut pages = 0;
        for jumps in [[-hour, hour], [hour, -hour]] {
            for feed in feeds(&creator) {
                let before = app.clock.now();
                let (read, seen) = walk(&app, &feed, &creator, &user, jumps);
                assert_eq!(seen, flyers, "{feed}: none twice, none left out");
                app.clock.set(before);
                pages += read;
            }
        }

        let (now, next) = (app.clock.now(), app.get("/api/feed/?page_size=2", None).json()["next"].clone());
        for (jump, status) in [
            // To before they were made: whoever signed in last must not have to again.
            (-hour, 200),
            (-life * 10, 200),
            (hour, 200),
            (life - TimeDelta::minutes(1), 200),
            (life, 401),
            (TimeDelta::days(3_000_000), 401),
            (TimeDelta::zero(), 200),
        ] {
            app.clock.set(now + jump);
            assert_eq!(app.get("/api/users/me/", Some(&user)).status, status, "{jump}");
            let account = json!({"email": "reader@example.org", "password": "correct horse"});
            let session = app.post("/api/auth/login/", None, account).expect(200).json();
            let again = User { token: session["token"].as_str().unwrap().to_owned(), ..user.clone() };
            app.get("/api/users/me/", Some(&again)).expect(200);
            app.get(next.as_str().unwrap(), None).expect(200);
        }
        let found =
            format!("{pages} pages of {} flyers, none twice or left out; tokens live on", flyers.len());
        report.tell(flyers.len(), flyers.len(), found);
    }
}

#[test]
fn nobody_stays_over_the_limit_since_a_clock_jumped() {
    for engine in ENGINES {
        let mut report = Report::of("clock jumps at a limit", engine);
        // One more every twentieth of a second.
        let app = service(engine, "1200");
        let is_served_again = || (0..20_000).any(|_| app.get("/api/feed/", None).status == 200);
        let (mut refused, mut served) = (0, 0);
        let now = app.clock.now();
        for jump in [-1, 1, -24 * 365, 24 * 365] {
            // Until nothing is left, whatever comes back meanwhile.
            let spent =
                std::iter::repeat_with(|| app.get("/api/feed/", None)).find(|reply| reply.status == 429);
            let wait = spent.unwrap().header("retry-after").parse::<u64>().unwrap();
            assert!(wait <= 60, "{wait} s");
            refused += 1;
            app.clock.set(now + TimeDelta::hours(jump));
            served += i32::from(is_served_again());
        }
        assert_eq!(served, refused, "everybody has some left after a while");
        report.tell(refused, 0, format!("{refused} times 429, and served again after each jump"));
    }
}
