//! Measures writes: favorite, follow and publish, each in a transaction of its own, including the commit.
//!
//! Each engine has a new database with demo data. Relations are removed again outside the measured time, so that
//! every iteration does the same write. Flyers stay, because SQLite writes its text index with every
//! 16th new flyer. If each were deleted again, the index would never be written.
#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]

use std::cell::LazyCell;

use chrono::{Days, NaiveDateTime};
use criterion::{BatchSize, BenchmarkGroup, Criterion, measurement::WallTime};
use diesel::prelude::*;
use feed_core::clock::Clock;
use feed_core::db::{Database, Db, Engine};
use feed_core::error::Result;
use feed_core::flyers::{self, NewFlyer};
use feed_core::schema::flyers::{creator_id, id, table as flyers_table};
use feed_core::testing::TestDatabase;
use feed_core::users::Identity;
use feed_core::{favorites, follows, seed, users};
use feed_test::bench::pages::WRITES_GROUP;
use feed_test::bench::run;
use serde_json::json;

/// The database and the rows that a write needs.
struct Scene {
    test: TestDatabase,
    now: NaiveDateTime,
    /// The account that writes. At first it has no favorites, follows and flyers.
    user: Identity,
    /// The flyer that it favorites.
    flyer: i64,
    /// The user whom it follows.
    creator: i64,
}

impl Scene {
    fn new(engine: Engine) -> Self {
        let test = TestDatabase::new(engine);
        let now = Clock::default().now();
        let plan = seed::Plan { users: 1_000, flyers: 10_000, seed: 1, follows_max: 200 };
        seed::seed(&test.database, &plan, now, false, &mut |_| {}).unwrap();
        let read = |c: &mut Db| {
            let user = users::by_email(c, seed::NEW)?;
            let creator = users::by_email(c, seed::CREATOR)?.id;
            let flyer = flyers_table.filter(creator_id.eq(creator)).select(id).first(c)?;
            Ok((user, creator, flyer))
        };
        let (user, creator, flyer) = test.database.read(read).unwrap();
        Self { test, now, user, flyer, creator }
    }
}

fn new_flyer(now: NaiveDateTime) -> NewFlyer {
    let flyer = json!({
        "title": "Sommerfest im Hof",
        "description": "Musik, Kuchen und eine Werkstatt für Fahrräder: kommt vorbei, auch wenn es regnet.",
        "location_address": "Bahnhofstrasse 12, 8001 Zürich",
        "latitude": 47.3769,
        "longitude": 8.5417,
        "valid_from": now.and_utc(),
        "valid_until": (now + Days::new(7)).and_utc(),
        "categories": ["events"],
        "images": [{ "url": "https://images.example.org/1.jpg" }, { "url": "https://images.example.org/2.jpg" }],
    });
    serde_json::from_value(flyer).unwrap()
}

fn main() {
    let mut criterion = run::criterion();
    for engine in run::engines() {
        writes(&mut criterion, engine);
    }
    criterion.final_summary();
}

fn writes(criterion: &mut Criterion, engine: Engine) {
    let scene = LazyCell::new(|| Scene::new(engine));
    let mut group = criterion.benchmark_group(run::group(engine, WRITES_GROUP));
    bench(
        &mut group,
        "favorite",
        &scene,
        |c, s| favorites::unfavorite(c, s.user, s.flyer),
        |c, s| favorites::favorite(c, s.user, s.flyer, s.now).map(|(_, is_new)| assert!(is_new)),
    );
    bench(
        &mut group,
        "follow",
        &scene,
        |c, s| follows::unfollow(c, s.user, s.creator),
        |c, s| follows::follow(c, s.user, s.creator, s.now).map(|(_, is_new)| assert!(is_new)),
    );
    let flyer = LazyCell::new(|| new_flyer(scene.now));
    bench(
        &mut group,
        "publish",
        &scene,
        |_, _| Ok(()),
        |c, s| flyers::publish(c, s.user, &flyer, s.now).map(|_| ()),
    );
}

/// Measures `write`. Before each iteration, outside the measured time, `undo` removes what the last one wrote.
fn bench<S: std::ops::Deref<Target = Scene>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    scene: &S,
    undo: impl Fn(&mut Db, &Scene) -> Result<()>,
    write: impl Fn(&mut Db, &Scene) -> Result<()>,
) {
    group.bench_function(name, |b| {
        let scene: &Scene = scene;
        let database: &Database = &scene.test.database;
        b.iter_batched(
            || database.write(|c| undo(c, scene)).unwrap(),
            |()| database.write(|c| write(c, scene)).unwrap(),
            BatchSize::PerIteration,
        );
    });
}
