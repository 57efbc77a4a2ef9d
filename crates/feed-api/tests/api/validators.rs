//! `ETag` and `If-None-Match`: who has a page gets it again exactly when it is another.

use std::cell::RefCell;

use chrono::TimeDelta;
use feed_test::app::{App, Reply, User, feeds, on_both, rfc3339};
use serde_json::json;

use crate::feeds::reader;

#[test]
fn a_known_page_is_not_sent_again() {
    on_both(|app| {
        let (creator, user, _) = reader(app, 3);
        let lists = ["/api/favorites/?".to_owned(), "/api/follows/?".to_owned()];
        for path in feeds(&creator).iter().chain(&lists) {
            let page = app.get(path, Some(&user)).expect(200);
            let tag = page.header("etag");
            assert!(tag.starts_with("W/\"") && tag.ends_with('"') && tag.len() > 8, "{tag}");
            assert_eq!(app.get(path, Some(&user)).header("etag"), tag, "the same page has the same tag");
            let strong = tag.trim_start_matches("W/");
            for known in [tag, strong, "*", &format!("\"a\", {tag}"), &format!("W/\"x\",{tag} , \"y\"")] {
                let reply = app.get_known(path, Some(&user), known).expect(304);
                assert_eq!((reply.text.as_str(), reply.header("etag")), ("", tag), "{known}");
                assert_eq!(reply.header("cache-control"), "private, no-cache");
                assert_eq!(reply.header("vary"), "Authorization, Accept-Encoding");
                assert_eq!(reply.header("content-encoding"), "");
            }
            let other = format!("W/\"x{}", &tag[3..]);
            for unknown in
                ["\"\"", "W/\"\"", "garbage", "", ",", "\"", "W/", "W/*", tag.trim_matches('"'), &other]
            {
                let reply = app.get_known(path, Some(&user), unknown).expect(200);
                assert_eq!(reply.text, page.text, "{unknown}");
            }
        }
        let tag = app.get("/api/feed/", None).header("etag").to_owned();
        let reply = app.get_known("/api/feed/", None, &tag).expect(304);
        assert_eq!(reply.header("cache-control"), "public, max-age=0, must-revalidate");
    });
}

#[test]
fn a_tag_is_of_one_caller_and_one_question() {
    on_both(|app| {
        let (creator, user, _) = reader(app, 3);
        let other = app.user("other");
        let tags: Vec<_> = [None, Some(&user), Some(&other), Some(&creator)]
            .into_iter()
            .flat_map(|viewer| {
                let paths =
                    ["/api/feed/", "/api/feed/?page_size=2", "/api/feed/?page=2", "/api/feed/?lat=1&lng=1"];
                let more = ["/api/flyers/?filter=all", "/api/feed/?search=x", "/api/feed/?categories=events"];
                paths
                    .into_iter()
                    .chain(more)
                    .map(move |path| app.get(path, viewer).expect(200).header("etag").to_owned())
            })
            .collect();
        let different: std::collections::BTreeSet<_> = tags.iter().collect();
        assert_eq!(different.len(), tags.len());
        let tag = app.get("/api/feed/", Some(&user)).header("etag").to_owned();
        app.get_known("/api/feed/", None, &tag).expect(200);
        app.get_known("/api/feed/", Some(&other), &tag).expect(200);
    });
}

#[test]
fn whoever_may_not_see_a_page_is_not_told_that_it_is_the_same() {
    on_both(|app| {
        let user = app.user("anna");
        app.get_known("/api/favorites/feed/", None, "*").expect_problem(401);
        app.get_known("/api/feed/?page=0", Some(&user), "*").expect_problem(400);
        app.get_known("/api/users/999999/flyers/", None, "*").expect_problem(404);
        app.delete("/api/users/me/", &user).expect(204);
        app.get_known("/api/feed/", Some(&user), "*").expect_problem(401);
    });
}

/// All pages that a write may show on, each as one caller has it.
struct Pages<'a> {
    app: &'a App,
    asked: Vec<(String, Option<&'a User>)>,
    known: RefCell<Vec<Reply>>,
}

impl<'a> Pages<'a> {
    fn of(app: &'a App, creator: &'a User, user: &'a User) -> Self {
        let mut asked = vec![
            ("/api/feed/".to_owned(), None),
            ("/api/feed/?lat=47&lng=8&radius_km=100&search=flyer&categories=events".to_owned(), None),
            ("/api/feed/?search=creator".to_owned(), None),
            ("/api/flyers/?page=2&page_size=1".to_owned(), None),
            (format!("/api/users/{}/flyers/", creator.id), None),
            (format!("/api/users/{}/flyers/", creator.id), Some(creator)),
            ("/api/favorites/".to_owned(), Some(user)),
            ("/api/follows/".to_owned(), Some(user)),
        ];
        asked.extend(feeds(creator).map(|feed| (feed, Some(user))));
        let pages = Self { app, asked, known: RefCell::default() };
        pages.known.replace(pages.load());
        pages
    }

    fn load(&self) -> Vec<Reply> {
        self.asked.iter().map(|(path, viewer)| self.app.get(path, *viewer).expect(200)).collect()
    }

    /// Writes, and asserts that who has a page from before gets it again where it changed: on `changed` pages at least.
    fn write(&self, what: &str, changed: usize, write: impl FnOnce()) {
        write();
        let (fresh, mut different) = (self.load(), 0);
        for (((path, viewer), old), new) in self.asked.iter().zip(self.known.borrow().iter()).zip(&fresh) {
            let again = self.app.get_known(path, *viewer, old.header("etag"));
            if old.text == new.text {
                assert!([200, 304].contains(&again.status), "{what}: {path}");
                continue;
            }
            different += 1;
            assert_ne!(old.header("etag"), new.header("etag"), "{what}: another page, the same tag: {path}");
            assert_eq!((again.status, &again.text), (200, &new.text), "{what}: {path}");
        }
        assert!(different >= changed, "{what}: {different} pages changed");
        self.known.replace(fresh);
    }
}

#[test]
fn every_write_and_every_moment_that_changes_a_page_changes_its_tag() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 3);
        let (other, silent, rival) = (app.user("other"), app.user("silent"), app.user("rival"));
        let rivals = app.publish(&rival, "Rival");
        app.favorite(&user, rivals);
        for followed in [&silent, &rival] {
            app.follow(&user, followed);
        }
        let pages = Pages::of(app, &creator, &user);
        let flyer = format!("/api/flyers/{}/", flyers[1]);
        let at = |hours| rfc3339(app.clock.now() + TimeDelta::hours(hours));
        pages.write("publish", 5, || {
            app.publish(&creator, "New");
        });
        for (field, value) in [
            ("title", json!("Flyer, the other")),
            ("description", json!("Never.")),
            ("location_address", json!("Elsewhere")),
            ("latitude", json!(47.5)),
            ("longitude", json!(8.25)),
            ("categories", json!(["nightlife"])),
            ("images", json!([{"url": "https://a.example/new.jpg"}])),
            ("valid_from", json!(at(-5))),
            ("valid_until", json!(at(50))),
            ("valid_until", json!(at(-1))),
            ("valid_until", json!(at(100))),
            ("valid_from", json!(at(1))),
        ] {
            pages.write(field, 5, || drop(app.patch(&flyer, &creator, json!({field: value})).expect(200)));
        }
        pages.write("a validity begins", 5, || app.pass(TimeDelta::hours(1)));
        pages.write("a title within a validity", 5, || {
            app.patch(&flyer, &creator, json!({"title": "Flyer, later"})).expect(200);
        });

        let favorite = format!("/api/favorites/{}/", flyers[0]);
        pages.write("unfavorite", 5, || drop(app.delete(&favorite, &user).expect(204)));
        pages.write("favorite", 5, || drop(app.put(&favorite, &user).expect(201)));
        pages.write("favorite again", 0, || drop(app.put(&favorite, &user).expect(200)));
        let follow = format!("/api/follows/{}/", creator.id);
        pages.write("unfollow", 5, || drop(app.delete(&follow, &user).expect(204)));
        pages.write("follow", 5, || drop(app.put(&follow, &user).expect(201)));
        pages.write("follow again", 0, || drop(app.put(&follow, &user).expect(200)));
        pages.write("relations of others", 0, || {
            app.put(&favorite, &other).expect(201);
            app.put(&follow, &other).expect(201);
        });

        let me = |body| drop(app.patch("/api/users/me/", &creator, body).expect(200));
        let picture = "https://a.example/me.jpg";
        pages.write("picture", 5, || me(json!({"profile_picture_url": picture})));
        pages.write("no picture", 5, || me(json!({"profile_picture_url": null})));
        pages.write("username", 5, || me(json!({"username": "creatrix"})));

        pages.write("a validity ends", 5, || app.pass(TimeDelta::hours(99)));
        let sweep = || {
            let now = app.clock.now();
            app.database.database.write(|c| feed_core::sweep::sweep_batch(c, now)).unwrap().marked
        };
        pages.write("a sweep alone", 0, || assert_eq!(sweep(), 0));
        app.pass(TimeDelta::hours(2));
        pages.write("a sweep that marks", 0, || assert_eq!(sweep(), 1));
        pages.write("a new end takes the mark off", 5, || {
            app.patch(&flyer, &creator, json!({"valid_until": at(1)})).expect(200);
        });
        pages.write("an end with a sweep behind it", 5, || {
            app.pass(TimeDelta::hours(3));
            assert_eq!(sweep(), 1);
        });
        pages.write("delete a flyer", 5, || {
            drop(app.delete(&format!("/api/flyers/{}/", flyers[0]), &creator).expect(204));
        });
        let goes = |who: &User| drop(app.delete("/api/users/me/", who).expect(204));
        pages.write("an account without flyers goes", 1, || goes(&silent));
        pages.write("an account with flyers goes", 5, || goes(&rival));
        pages.write("an account that nobody knows goes", 0, || goes(&other));
    });
}

#[test]
fn a_change_that_changes_nothing_leaves_every_tag_and_what_was_never_comes_back() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 2);
        let flyer = format!("/api/flyers/{}/", flyers[0]);
        let change = |body: serde_json::Value| app.patch(&flyer, &creator, body).expect(200).json();
        let me = |body| drop(app.patch("/api/users/me/", &creator, body).expect(200));
        me(json!({"profile_picture_url": "https://a.example/me.jpg"}));
        let tags = || -> Vec<String> {
            let tag = |feed: &String| app.get(feed, Some(&user)).expect(200).header("etag").to_owned();
            feeds(&creator).iter().map(tag).collect()
        };
        let before = tags();
        let card = change(json!({}));
        let is_settable = |name: &&str| app.flyer("").get(*name).is_some();
        for name in card.as_object().unwrap().keys().map(String::as_str).filter(is_settable) {
            assert_eq!(change(json!({name: card[name]})), card, "{name}");
        }
        let username = app.get("/api/users/me/", Some(&creator)).json()["username"].clone();
        for same in [
            json!({}),
            json!({"username": username}),
            json!({"username": username, "profile_picture_url": "https://a.example/me.jpg"}),
        ] {
            me(same);
        }
        assert_eq!(tags(), before, "nothing has changed");
        for (feed, tag) in feeds(&creator).iter().zip(&before) {
            app.get_known(feed, Some(&user), tag).expect(304);
        }

        // There and back: each time another tag.
        let images = |url: &str| json!({"images": [{"url": url}]});
        let first = json!({"images": card["images"]});
        let there_and_back = [
            images("https://a.example/1.jpg"),
            images("https://a.example/2.jpg"),
            images("https://a.example/1.jpg"),
            first,
            json!({"title": "Other"}),
            json!({"title": card["title"]}),
        ];
        let mut known = before;
        for body in there_and_back {
            change(body.clone());
            let fresh = tags();
            assert!(fresh.iter().all(|tag| !known.contains(tag)), "{body}");
            known.extend(fresh);
        }
        assert_eq!(change(json!({})), card);
    });
}

/// A mark that a sweep has set is taken off by a new end, not by the one that is over.
#[test]
fn an_end_that_is_given_again_leaves_the_mark_of_a_sweep() {
    on_both(|app| {
        let (creator, user, flyers) = reader(app, 1);
        let flyer = format!("/api/flyers/{}/", flyers[0]);
        app.pass(TimeDelta::weeks(2));
        let now = app.clock.now();
        app.database.database.write(|c| feed_core::sweep::sweep_batch(c, now)).unwrap();
        let tag = || app.get("/api/favorites/feed/", Some(&user)).header("etag").to_owned();
        let before = tag();
        let until = app.get(&flyer, None).json()["valid_until"].clone();
        app.patch(&flyer, &creator, json!({"valid_until": until})).expect(200);
        assert_eq!(tag(), before);
    });
}
