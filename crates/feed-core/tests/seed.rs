//! Demo data is the same on both engines, obeys the rules, and does not affect other data.
#![expect(clippy::unwrap_used, reason = "a panic in a test's helper is the report, too")]

use chrono::{Days, NaiveDate, NaiveDateTime};
use diesel::prelude::*;
use feed_core::db::{Database, Db, Engine};
use feed_core::feed::{Feed, FeedRequest};
use feed_core::flyers::{NewFlyer, NewImage};
use feed_core::models::{Favorite, Flyer, Follow, User};
use feed_core::page::{PageRequest, Start};
use feed_core::rules::Trimmed;
use feed_core::schema::{favorites, flyer_images, flyers, follows, users};
use feed_core::seed::{self, Added, Outcome, Plan};
use feed_core::testing::{TestDatabase, on_both};
use feed_core::users::{Credentials, Identity, Registration};
use feed_core::{Error, feed};
use garde::Validate;
use pretty_assertions::assert_eq;

const SMALL: Plan = Plan { users: 40, flyers: 200, seed: 1, follows_max: 20 };

const DEMO: Plan = Plan { users: 1_500, flyers: 2_000, seed: 1, follows_max: 300 };

fn now() -> NaiveDateTime {
    NaiveDate::from_ymd_opt(2026, 3, 14).unwrap().and_hms_opt(15, 9, 26).unwrap()
}

fn seed(database: &Database, plan: &Plan) -> Outcome {
    seed::seed(database, plan, now(), false, &mut |_| {}).unwrap()
}

/// The columns of an image: the model of images cannot be selected without its flyer.
type Image = (i64, i16, String);

/// All rows of these tables.
#[derive(Debug, Clone, PartialEq)]
struct Rows {
    users: Vec<User>,
    flyers: Vec<Flyer>,
    images: Vec<Image>,
    follows: Vec<Follow>,
    favorites: Vec<Favorite>,
}

impl Rows {
    fn of(database: &Database) -> Self {
        let read = |connection: &mut Db| {
            Ok(Self {
                users: users::table.order(users::id).load(connection)?,
                flyers: flyers::table.order(flyers::id).load(connection)?,
                images: flyer_images::table
                    .order((flyer_images::flyer_id, flyer_images::position))
                    .load(connection)?,
                follows: follows::table
                    .order((follows::follower_id, follows::followed_id))
                    .load(connection)?,
                favorites: favorites::table
                    .order((favorites::user_id, favorites::flyer_id))
                    .load(connection)?,
            })
        };
        database.read(read).unwrap()
    }

    fn counts(&self) -> Added {
        Added {
            users: self.users.len(),
            flyers: self.flyers.len(),
            flyer_images: self.images.len(),
            follows: self.follows.len(),
            favorites: self.favorites.len(),
        }
    }

    fn user(&self, email: &str) -> &User {
        self.users.iter().find(|user| user.email == email).unwrap()
    }

    fn followed_by(&self, email: &str) -> usize {
        let id = self.user(email).id;
        self.follows.iter().filter(|follow| follow.follower_id == id).count()
    }

    fn favored_by(&self, email: &str) -> usize {
        let id = self.user(email).id;
        self.favorites.iter().filter(|favorite| favorite.user_id == id).count()
    }

    fn published_by(&self, email: &str) -> usize {
        let id = self.user(email).id;
        self.flyers.iter().filter(|flyer| flyer.creator_id == id).count()
    }
}

#[test]
fn the_same_seed_gives_the_same_rows_on_both_engines() {
    let rows = |engine, plan| {
        let test = TestDatabase::new(engine);
        seed(&test.database, &plan);
        let mut rows = Rows::of(&test.database);
        let keys: std::collections::BTreeSet<_> =
            rows.users.iter_mut().map(|user| std::mem::take(&mut user.token_key)).collect();
        assert_eq!(keys.len(), rows.users.len(), "each account has a key of its own");
        let hashes = rows.users.iter_mut().map(|user| std::mem::take(&mut user.password_hash));
        assert!(hashes.reduce(|a, b| if a == b { a } else { String::new() }).is_some_and(|h| !h.is_empty()));
        rows
    };
    let sqlite = rows(Engine::Sqlite, SMALL);
    // `assert!`, because `assert_eq!` would print thousands of lines.
    assert!(sqlite == rows(Engine::Postgres, SMALL), "the engines differ");
    assert!(sqlite == rows(Engine::Sqlite, SMALL), "two runs differ");
    let other = rows(Engine::Sqlite, Plan { seed: 2, ..SMALL });
    assert_eq!(sqlite.counts().flyers, other.counts().flyers);
    assert!(sqlite.flyers != other.flyers, "another seed gives the same");
}

#[test]
fn the_personas_have_their_numbers_of_relations_and_can_sign_in() {
    on_both(|test| {
        let Outcome::Added(added) = seed(&test.database, &DEMO) else { panic!("nothing was added") };
        let rows = Rows::of(&test.database);
        assert_eq!(added, rows.counts());
        assert_eq!((added.users, added.flyers), (1_500, 2_000));

        let of = |email| (rows.followed_by(email), rows.favored_by(email), rows.published_by(email));
        let publishing = rows.users.iter().filter(|user| rows.published_by(&user.email) > 0).count();
        assert!((850..=950).contains(&publishing), "{publishing} publish");
        assert_eq!(of(seed::NEW), (0, 0, 0));
        assert_eq!(of(seed::ACTIVE), (5, 10, 0));
        assert_eq!(of(seed::POWER), (publishing, 1_000, 0));
        assert_eq!(of(seed::CREATOR).2, 20);

        for email in seed::PERSONAS {
            let credentials =
                Credentials { email: Trimmed(email.to_owned()), password: seed::PASSWORD.to_owned() };
            let attempts = feed_core::attempts::Attempts::default();
            let account =
                feed_core::users::authenticate(&test.database, &attempts, &credentials, None, now()).unwrap();
            assert_eq!(Some(account.username.as_str()), email.split('@').next());
        }
    });
}

#[test]
fn every_row_obeys_the_rules() {
    on_both(|test| {
        seed(&test.database, &Plan { users: 300, ..DEMO });
        let Rows { users, flyers, images, follows, favorites } = Rows::of(&test.database);
        let today = now().date().and_hms_opt(0, 0, 0).unwrap();
        let user = |id| &users[users.binary_search_by_key(&id, |user| user.id).unwrap()];
        assert!(
            flyers.is_sorted_by_key(|flyer| (flyer.created_at, flyer.id)),
            "ids follow the order of publication"
        );

        for user in &users {
            let email = user.email.as_str();
            assert!(email.ends_with(seed::DOMAIN) && email == user.email_key, "{email}");
            let registration = Registration {
                email: Trimmed(email.to_owned()),
                password: seed::PASSWORD.to_owned(),
                username: Some(Trimmed(user.username.clone())),
            };
            registration.validate().unwrap();
            assert!(user.created_at < today);
        }

        let mut images = images.into_iter().peekable();
        for flyer in flyers.clone() {
            assert!(flyer.created_at < today && user(flyer.creator_id).created_at < flyer.created_at);
            assert!(flyer.valid_from <= flyer.created_at + Days::new(365));
            let mut urls = Vec::new();
            while let Some((_, position, url)) = images.next_if(|(id, ..)| *id == flyer.id) {
                urls.push(url);
                assert_eq!(usize::try_from(position).unwrap(), urls.len());
            }
            let new = NewFlyer {
                title: Trimmed(flyer.title),
                description: Trimmed(flyer.description),
                location_address: Trimmed(flyer.location_address),
                latitude: flyer.latitude,
                longitude: flyer.longitude,
                valid_from: flyer.valid_from,
                valid_until: flyer.valid_until,
                categories: flyer.categories.into(),
                images: urls.into_iter().map(|url| NewImage { url: Trimmed(url) }).collect(),
            };
            new.validate().unwrap();
        }

        for follow in follows {
            let since = user(follow.follower_id).created_at.max(user(follow.followed_id).created_at);
            assert!(since < follow.created_at && follow.created_at < today);
        }
        for favorite in favorites {
            let flyer = &flyers[flyers.binary_search_by_key(&favorite.flyer_id, |f| f.id).unwrap()];
            assert_eq!(favorite.flyer_created_at, flyer.created_at);
            assert!(flyer.created_at < favorite.created_at && favorite.created_at < today);
            assert!(user(favorite.user_id).created_at < favorite.created_at);
        }

        let valid = flyers.iter().filter(|f| f.valid_from <= now() && now() < f.valid_until).count();
        let scheduled = flyers.iter().filter(|f| f.valid_from > now()).count();
        assert!((1_500..1_750).contains(&valid), "{valid} of 2,000 are valid");
        assert!((10..100).contains(&scheduled), "{scheduled} of 2,000 are scheduled");
    });
}

#[test]
fn the_feeds_load() {
    on_both(|test| {
        seed(&test.database, &SMALL);
        test.database
            .read(|connection| {
                let power = feed_core::users::by_email(connection, seed::POWER)?.id;
                for feed in [Feed::All(None), Feed::Following(power), Feed::Favorites(power)] {
                    let page = PageRequest { start: Start::Page(1), size: 20, count: None };
                    let request = FeedRequest { listing: feed.into(), page, now: now() };
                    let page = feed::load(connection, &request)?;
                    assert_eq!(page.items.len(), 20);
                    assert!(page.items.iter().all(|card| card.is_valid && !card.images.is_empty()));
                }
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn a_second_run_adds_nothing() {
    on_both(|test| {
        seed(&test.database, &SMALL);
        let before = Rows::of(&test.database);
        let other = Plan { seed: 2, ..SMALL };
        assert_eq!(seed(&test.database, &other), Outcome::AlreadyThere);
        assert!(Rows::of(&test.database) == before, "rows have changed");
    });
}

/// Registers a user and publishes a flyer of theirs.
fn foreign_account(database: &Database, username: &str) -> Identity {
    let registration = Registration {
        email: Trimmed(format!("{username}@example.org")),
        password: "not a demo".to_owned(),
        username: Some(Trimmed(username.to_owned())),
    };
    let account = feed_core::users::register(database, &registration, now()).unwrap();
    publish(database, account.identity());
    account.identity()
}

fn publish(database: &Database, creator: Identity) -> i64 {
    let flyer = NewFlyer {
        title: Trimmed("Mine".to_owned()),
        description: Trimmed(String::new()),
        location_address: Trimmed("Here".to_owned()),
        latitude: 47.0,
        longitude: 8.0,
        valid_from: now(),
        valid_until: now() + Days::new(1),
        categories: vec![feed_core::models::Category::Events],
        images: vec![NewImage { url: Trimmed("https://example.org/1.jpg".to_owned()) }],
    };
    database.write(|connection| feed_core::flyers::publish(connection, creator, &flyer, now())).unwrap()
}

#[test]
fn other_accounts_are_refused_unless_forced_and_never_touched() {
    on_both(|test| {
        let database = &test.database;
        foreign_account(database, "power");
        foreign_account(database, "power.demo2");
        let gone = foreign_account(database, "gone").id;
        let deleted = |connection: &mut Db| Ok(diesel::delete(users::table.find(gone)).execute(connection)?);
        assert_eq!(database.write(deleted).unwrap(), 1);
        let before = Rows::of(database);

        let refused = seed::seed(database, &SMALL, now(), false, &mut |_| {}).unwrap_err();
        assert!(matches!(&refused, Error::Invalid(fields) if fields[0].field == "force"), "{refused}");
        assert!(Rows::of(database) == before, "a refusal changed rows");

        let outcome = seed::seed(database, &SMALL, now(), true, &mut |_| {}).unwrap();
        assert!(matches!(outcome, Outcome::Added(Added { users: 40, flyers: 200, .. })));
        let after = Rows::of(database);
        assert_eq!(after.users[..2], before.users);
        assert_eq!(after.flyers[..2], before.flyers);
        assert_eq!(after.images[..2], before.images);
        assert!(after.users[2].id > gone, "the id of a deleted account was used again");
        assert_eq!(after.user(seed::POWER).username, "power.demo3");
        let demo = |id| id >= after.users[2].id;
        assert!(after.follows.iter().all(|follow| demo(follow.follower_id) && demo(follow.followed_id)));
        assert!(after.favorites.iter().all(|favorite| favorite.flyer_id >= after.flyers[2].id));

        let again = seed::seed(database, &SMALL, now(), true, &mut |_| {}).unwrap();
        assert_eq!(again, Outcome::AlreadyThere);
    });
}

#[test]
fn new_rows_get_the_next_ids_after_a_seed() {
    on_both(|test| {
        seed(&test.database, &SMALL);
        let last = Rows::of(&test.database);
        let account = foreign_account(&test.database, "somebody");
        assert_eq!(account.id, last.users[39].id + 1);
        assert_eq!(publish(&test.database, account), last.flyers[199].id + 2);
    });
}

#[test]
fn a_failure_leaves_nothing() {
    on_both(|test| {
        let run = |sql: &str| {
            let run = |connection: &mut Db| Ok(diesel::sql_query(sql).execute(connection)?);
            test.database.with_writer(run).unwrap();
        };
        // Favorites are loaded last, so a failure there comes after all other rows.
        run("ALTER TABLE favorites RENAME COLUMN flyer_created_at TO renamed");
        let failed = seed::seed(&test.database, &SMALL, now(), false, &mut |_| {});
        assert!(matches!(failed, Err(Error::Internal(_))), "{failed:?}");
        run("ALTER TABLE favorites RENAME COLUMN renamed TO flyer_created_at");
        assert_eq!(Rows::of(&test.database).counts(), Added::default());
        assert!(matches!(seed(&test.database, &SMALL), Outcome::Added(_)));
    });
}

#[test]
fn progress_runs_through_every_stage() {
    let test = TestDatabase::new(Engine::Sqlite);
    let mut seen = Vec::new();
    seed::seed(&test.database, &SMALL, now(), false, &mut |progress| seen.push(progress)).unwrap();
    let mut stages: Vec<_> = seen.iter().map(|progress| progress.stage).collect();
    stages.dedup();
    assert_eq!(stages, ["users", "flyers", "follows", "favorites"]);
    for stage in stages {
        let last = seen.iter().rfind(|progress| progress.stage == stage).unwrap();
        assert_eq!(last.done, last.total);
    }
}

#[test]
fn plans_out_of_bounds_are_refused_by_field() {
    let test = TestDatabase::new(Engine::Sqlite);
    let plan = Plan { users: 3, flyers: 0, seed: 0, follows_max: 0 };
    let refused = seed::seed(&test.database, &plan, now(), false, &mut |_| {}).unwrap_err();
    let Error::Invalid(fields) = refused else { panic!("{refused}") };
    let fields: Vec<_> = fields.iter().map(|error| error.field.as_str()).collect();
    assert_eq!(fields, ["users", "flyers", "follows_max"]);
}

#[test]
fn the_smallest_plan_works() {
    on_both(|test| {
        let plan = Plan { users: 10, flyers: 20, seed: u64::MAX, follows_max: 1 };
        assert!(matches!(seed(&test.database, &plan), Outcome::Added(_)));
        let rows = Rows::of(&test.database);
        assert_eq!((rows.users.len(), rows.flyers.len()), (10, 20));
        assert_eq!(rows.published_by(seed::CREATOR), 10);
        assert_eq!(rows.favored_by(seed::POWER), 20);
    });
}
