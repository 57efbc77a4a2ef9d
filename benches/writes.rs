//! What a write takes, each in a transaction of its own, commit included: favorite, follow, publish.
//!
//! In a database of its own with demo data. A relation is undone outside the measured time, so that it is always the
//! same write. Flyers stay: SQLite's index of texts is written by every 16th, and would never be if each were deleted
//! again.
#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]

mod run;

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
use serde_json::json;

/// What there is before a write.
struct Scene {
    home: TestDatabase,
    now: NaiveDateTime,
    /// Who writes: an account without favorites, follows and flyers.
    user: Identity,
    /// What they favorite.
    flyer: i64,
    /// Whom they follow.
    creator: i64,
}

impl Scene {
    fn set(engine: Engine) -> Self {
        let home = TestDatabase::new(engine);
        let now = Clock::default().now();
        let plan = seed::Plan { users: 1_000, flyers: 10_000, seed: 1, follows_max: 200 };
        seed::seed(&home.database, &plan, now, false, &mut |_| {}).unwrap();
        let read = |c: &mut Db| {
            let user = users::by_email(c, seed::NEW)?;
            let creator = users::by_email(c, seed::CREATOR)?.id;
            let flyer = flyers_table.filter(creator_id.eq(creator)).select(id).first(c)?;
            Ok((user, creator, flyer))
        };
        let (user, creator, flyer) = home.database.read(read).unwrap();
        Self { home, now, user, flyer, creator }
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
    let scene = LazyCell::new(|| Scene::set(engine));
    let mut group = criterion.benchmark_group(run::group(engine, "writes"));
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

/// Measures `write`, before each of which `undo` takes back what the one before must not leave.
fn bench<S: std::ops::Deref<Target = Scene>>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    scene: &S,
    undo: impl Fn(&mut Db, &Scene) -> Result<()>,
    write: impl Fn(&mut Db, &Scene) -> Result<()>,
) {
    group.bench_function(name, |b| {
        let scene: &Scene = scene;
        let database: &Database = &scene.home.database;
        b.iter_batched(
            || database.write(|c| undo(c, scene)).unwrap(),
            |()| database.write(|c| write(c, scene)).unwrap(),
            BatchSize::PerIteration,
        );
    });
}
