//! What a page costs in the database: the three feeds of `power@`, on both engines.
//!
//! `FEED_BENCH_FLYERS` (default 100,000) chooses the size. SQLite's file is built once, under
//! `target/bench`; PostgreSQL takes part where `FEED_TEST_POSTGRES` names a server.

use std::hint::black_box;

use chrono::NaiveDateTime;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use feed_core::db::{Database, Db};
use feed_core::feed::{self, Feed, FeedRequest, Listing};
use feed_core::geo::Location;
use feed_core::page::{PageRequest, Start};
use feed_core::testing::TestDatabase;
use feed_core::{clock::Clock, db::Engine, migrate, seed, users};

const PLACE: Location = Location { latitude: 47.3769, longitude: 8.5417 };
const SIZE: u32 = 20;

/// A database with demo data, and what keeps it.
struct Data {
    engine: Engine,
    database: Database,
    _home: Option<TestDatabase>,
}

fn data() -> Vec<Data> {
    let flyers =
        std::env::var("FEED_BENCH_FLYERS").map_or(100_000, |n| n.parse().expect("a number of flyers"));
    let plan = seed::Plan { users: (flyers / 50).max(2_000), flyers, seed: 1, follows_max: 200 };
    let fill = |database: &Database| {
        database.with_writer(migrate::run).expect("migrations run");
        seed::seed(database, &plan, Clock::default().now(), false, &mut |_| {}).expect("demo data");
    };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/bench");
    std::fs::create_dir_all(folder).expect("a folder for the data");
    let url = format!("sqlite://{folder}/{flyers}.db").parse().expect("a database URL");
    let sqlite = Database::open(&url, 1).expect("the file opens");
    fill(&sqlite);
    let mut all = vec![Data { engine: Engine::Sqlite, database: sqlite, _home: None }];
    if std::env::var_os("FEED_TEST_POSTGRES").is_some() {
        let home = TestDatabase::new(Engine::Postgres);
        fill(&home.database);
        all.push(Data { engine: Engine::Postgres, database: home.database.clone(), _home: Some(home) });
    }
    all
}

struct Walk {
    feed: Feed,
    location: Option<Location>,
    now: NaiveDateTime,
}

impl Walk {
    fn load(&self, c: &mut Db, start: Start) -> feed_core::page::Page<feed::FlyerCard> {
        let page = PageRequest { start, size: SIZE };
        let listing = Listing { feed: self.feed, location: self.location, categories: None };
        let request = FeedRequest { listing, page, now: self.now };
        feed::load(c, &request).expect("a page")
    }

    /// The cursor to the page in the middle of what `page` reaches.
    fn middle(&self, c: &mut Db) -> Start {
        let pages = self.load(c, Start::Page(1)).count.value / SIZE;
        let before = self.load(c, Start::Page((pages / 2).max(1)));
        before.next.map_or(Start::Page(1), Start::Cursor)
    }
}

fn feeds(criterion: &mut Criterion) {
    for Data { engine, database, _home } in data() {
        let mut group = criterion.benchmark_group(format!("{engine:?}"));
        database
            .with_writer(|c| {
                let power = users::id_by_email(c, seed::POWER)?;
                for (name, feed) in [
                    ("all", Feed::All(Some(power))),
                    ("favorites", Feed::Favorites(power)),
                    ("following", Feed::Following(power)),
                ] {
                    for (place, location) in [("", None), (" near", Some(PLACE))] {
                        let walk = Walk { feed, location, now: Clock::default().now() };
                        let middle = walk.middle(c);
                        group.bench_function(BenchmarkId::new(format!("{name}{place}"), "first"), |b| {
                            b.iter(|| black_box(walk.load(c, Start::Page(1))));
                        });
                        group.bench_function(BenchmarkId::new(format!("{name}{place}"), "middle"), |b| {
                            b.iter(|| black_box(walk.load(c, middle)));
                        });
                    }
                }
                Ok(())
            })
            .expect("the database answers");
        group.finish();
    }
}

criterion_group!(benches, feeds);
criterion_main!(benches);
