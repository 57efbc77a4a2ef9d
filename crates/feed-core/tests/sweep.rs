//! The sweeper's mark on expired flyers, and the copies of a flyer's columns in its favorites.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::sync::mpsc;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use feed_core::db::Db;
use feed_core::favorites;
use feed_core::models::FlyerCopy;
use feed_core::schema::{self, flyers};
use feed_core::sweep::{self, MARGIN, Swept, sweep};
use feed_core::testing::on_both;
use feed_core::users::Identity;
use pretty_assertions::assert_eq;

const USER: i64 = 1;
const CALLER: Identity = Identity { id: USER, key: 7 };

fn now() -> NaiveDateTime {
    Utc::now().naive_utc()
}

fn add_user(c: &mut Db) {
    c.batch_execute(
        "INSERT INTO users (id, email, email_key, username, password_hash, created_at, token_key) \
         VALUES (1, 'a@b.c', 'a@b.c', 'a', '', '2026-01-01 00:00:00', 7)",
    )
    .unwrap();
}

fn add_flyer(c: &mut Db, valid_until: NaiveDateTime) -> i64 {
    diesel::insert_into(flyers::table)
        .values((
            flyers::creator_id.eq(USER),
            flyers::title.eq("t"),
            flyers::description.eq(""),
            flyers::location_address.eq("a"),
            flyers::latitude.eq(0.0),
            flyers::longitude.eq(0.0),
            flyers::categories.eq(1i16),
            flyers::valid_from.eq(valid_until - TimeDelta::days(400)),
            flyers::valid_until.eq(valid_until),
            flyers::created_at.eq("2026-01-01T00:00:00".parse::<NaiveDateTime>().unwrap()),
        ))
        .returning(flyers::id)
        .get_result(c)
        .unwrap()
}

fn marked(c: &mut Db) -> Vec<i64> {
    flyers::table.filter(flyers::expired).select(flyers::id).order(flyers::id).load(c).unwrap()
}

/// For every favorite: its copies, and the flyer's own columns.
fn copies(c: &mut Db) -> Vec<(FlyerCopy, FlyerCopy)> {
    let favorites: Vec<feed_core::models::Favorite> = schema::favorites::table.load(c).unwrap();
    favorites
        .into_iter()
        .map(|v| {
            let flyer: FlyerCopy =
                flyers::table.find(v.flyer_id).select(FlyerCopy::as_select()).first(c).unwrap();
            let copy = FlyerCopy {
                id: v.flyer_id,
                created_at: v.flyer_created_at,
                valid_from: v.flyer_valid_from,
                valid_until: v.flyer_valid_until,
                categories: v.flyer_categories,
                expired: v.flyer_expired,
            };
            (copy, flyer)
        })
        .collect()
}

#[test]
fn flyers_that_expired_long_ago_are_marked_and_so_are_their_favorites() {
    on_both(|test| {
        let database = &test.database;
        let [over, ending, valid] = database
            .write(|c| {
                add_user(c);
                let untils = [-MARGIN - TimeDelta::minutes(1), -TimeDelta::minutes(1), TimeDelta::days(1)];
                let ids = untils.map(|until| add_flyer(c, now() + until));
                for id in ids {
                    favorites::favorite(c, CALLER, id, now())?;
                }
                Ok(ids)
            })
            .unwrap();
        assert_eq!(sweep(database).unwrap(), Swept { marked: 1, cleared: 0 });
        assert_eq!(sweep(database).unwrap(), Swept::default(), "marked flyers are left alone");
        database
            .read(|c| {
                assert_eq!(marked(c), [over]);
                let copies = copies(c);
                assert_eq!(copies.len(), 3);
                assert!(copies.iter().all(|(copy, flyer)| copy == flyer), "{copies:#?}");
                Ok(())
            })
            .unwrap();

        // Wrong marks: one set by a clock that was ahead, and one of a flyer whose validity was extended.
        database
            .write(|c| {
                diesel::update(flyers::table.find(valid)).set(flyers::expired.eq(true)).execute(c)?;
                let longer = flyers::valid_until.eq(now() + TimeDelta::days(1));
                diesel::update(flyers::table.find(over)).set(longer).execute(c)?;
                Ok(())
            })
            .unwrap();
        assert_eq!(sweep(database).unwrap(), Swept { marked: 0, cleared: 2 });
        database
            .read(|c| {
                assert_eq!(marked(c), Vec::<i64>::new());
                assert!(copies(c).iter().all(|(copy, flyer)| copy == flyer));
                Ok(())
            })
            .unwrap();
        let later = now() + MARGIN;
        assert_eq!(
            database.write(|c| sweep::sweep_batch(c, later)).unwrap(),
            Swept { marked: 1, cleared: 0 },
            "{ending} has expired by then"
        );
    });
}

#[test]
fn a_backlog_is_marked_in_batches_by_any_number_of_sweepers() {
    on_both(|test| {
        let database = &test.database;
        database
            .write(|c| {
                add_user(c);
                (0..2_500).for_each(|n| {
                    add_flyer(c, now() - MARGIN - TimeDelta::minutes(n + 1));
                });
                Ok(())
            })
            .unwrap();
        let batch = database.write(|c| sweep::sweep_batch(c, now())).unwrap();
        assert_eq!(batch.marked, 1_000, "one transaction marks one batch");
        let swept: usize = std::thread::scope(|scope| {
            let sweepers = [0; 3].map(|_| scope.spawn(|| sweep(database).unwrap().marked));
            sweepers.into_iter().map(|s| s.join().unwrap()).sum()
        });
        assert_eq!(swept, 1_500, "each flyer is marked once");
        assert_eq!(database.read(|c| Ok(marked(c).len())).unwrap(), 2_500);
    });
}

#[test]
fn a_favorite_waits_for_a_change_of_its_flyer() {
    on_both(|test| {
        let database = &test.database;
        let flyer = database
            .write(|c| {
                add_user(c);
                Ok(add_flyer(c, now()))
            })
            .unwrap();
        let (changed, is_changed) = mpsc::channel();
        std::thread::scope(|scope| {
            let favoriting = scope.spawn(move || {
                is_changed.recv().unwrap();
                database.write(|c| favorites::favorite(c, CALLER, flyer, now())).unwrap();
            });
            database
                .write(|c| {
                    let longer = flyers::valid_until.eq(now() + TimeDelta::days(1));
                    diesel::update(flyers::table.find(flyer)).set(longer).execute(c)?;
                    changed.send(()).unwrap();
                    // Long enough for a favorite that does not wait.
                    std::thread::sleep(Duration::from_millis(300));
                    Ok(())
                })
                .unwrap();
            favoriting.join().unwrap();
        });
        let copies = database.read(|c| Ok(copies(c))).unwrap();
        assert_eq!(copies.len(), 1);
        assert_eq!(copies[0].0, copies[0].1);
    });
}
