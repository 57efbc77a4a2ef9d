//! A database with demo data up to now, and viewers whose lists are asked for.
//!
//! It is built for each run: the service goes by the real clock, so data of another day would be other data.

use std::fs;

use chrono::NaiveDateTime;
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use feed_core::clock::Clock;
use feed_core::db::{Database, Db, Engine};
use feed_core::feed::{self, Feed, FeedRequest};
use feed_core::page::{PageRequest, Start};
use feed_core::schema::flyers;
use feed_core::seed::{self, Plan};
use feed_core::testing::TestDatabase;
use feed_core::users::{self, Identity, Registration};
use feed_core::{favorites, follows, migrate, sweep};
use feed_test::bench::run;

use crate::service::{self, thread_cpu};

/// Rows of each page.
pub const PAGE_SIZE: u32 = 20;

/// How many of a hundred flyers end at once in [`Data::live`].
const ENDED: i32 = 15;

/// Who looks at which list.
const VIEWERS: [(&str, Relations); 6] = [
    ("main feed", Relations::None),
    ("favorites, 100", Relations::Favorites(100)),
    ("favorites, 1,000", Relations::Favorites(1_000)),
    ("favorites, 10,000", Relations::Favorites(10_000)),
    ("following 100", Relations::Follows(100)),
    ("following 1,000", Relations::Follows(1_000)),
];

/// The main feed, whose page 400 is asked for.
pub const MAIN: usize = 0;

#[derive(Clone, Copy)]
enum Relations {
    None,
    Favorites(usize),
    Follows(usize),
}

/// The first page of a list.
pub struct List {
    pub name: &'static str,
    /// Where the service has it, without the number of a page.
    pub path: String,
    pub token: String,
    feed: Feed,
}

/// A database and the lists in it.
pub struct Data {
    pub url: String,
    pub lists: Vec<List>,
    database: Database,
    /// PostgreSQL's is dropped at the end.
    _server: Option<TestDatabase>,
}

impl Data {
    /// Builds the database: a minute for 100,000 flyers.
    pub fn build(engine: Engine) -> Self {
        let server = (engine == Engine::Postgres).then(|| TestDatabase::unmigrated(engine));
        let url = server.as_ref().map_or_else(empty_file, |server| server.url.clone());
        let database = Database::open(&url.parse().unwrap(), 4).unwrap();
        database.with_writer(migrate::run).unwrap();
        let plan = Plan { users: run::size() / 10, flyers: run::size(), seed: 1, follows_max: 200 };
        let now = Clock::default().now();
        seed::seed(&database, &plan, now, false, &mut |_| {}).unwrap();
        let identities = VIEWERS.map(|(name, relations)| viewer(&database, name, relations, now));
        let at_rest = match engine {
            Engine::Sqlite => "ANALYZE",
            Engine::Postgres => "VACUUM (ANALYZE)",
        };
        database.with_writer(|c| Ok(c.batch_execute(at_rest)?)).unwrap();
        let lists = VIEWERS.into_iter().zip(identities).map(|((name, relations), Identity { id, .. })| {
            let (path, feed) = match relations {
                Relations::None => ("/api/feed/", Feed::All(Some(id))),
                Relations::Favorites(_) => ("/api/favorites/feed/", Feed::Favorites(id)),
                Relations::Follows(_) => ("/api/following/feed/", Feed::Following(id)),
            };
            let path = format!("{path}?page_size={PAGE_SIZE}");
            List { name, path, token: service::token(&url, &email(name)), feed }
        });
        let lists = lists.collect();
        Self { url, lists, database, _server: server }
    }

    /// Lets a part of all flyers end, and sweeps. Nothing is vacuumed and nothing analyzed afterwards.
    pub fn live(&self) {
        let end = format!(
            "UPDATE flyers SET valid_from = '2020-01-01 00:00:00', valid_until = '2020-01-02 00:00:00' \
             WHERE id % 100 < {ENDED}"
        );
        self.database.with_writer(|c| Ok(c.batch_execute(&end)?)).unwrap();
        assert!(sweep::sweep(&self.database).unwrap().marked > 0);
    }

    /// The CPU time that `feed::load` and its cards as JSON take in this process, in seconds.
    pub fn load_cpu(&self, list: &List, times: u32) -> f64 {
        let page = PageRequest { start: Start::Page(1), size: PAGE_SIZE, count: None };
        let request = FeedRequest { listing: list.feed.into(), page, now: Clock::default().now() };
        let load = |c: &mut Db| -> feed_core::Result<()> {
            let page = feed::load(c, &request)?;
            assert_eq!(page.items.len(), PAGE_SIZE as usize, "{}", list.name);
            std::hint::black_box(serde_json::to_vec(&page.items).unwrap());
            Ok(())
        };
        let measured = self.database.with_writer(|c| {
            // The first ones prepare the statements.
            (0..10).try_for_each(|_| load(c))?;
            let started = thread_cpu();
            (0..times).try_for_each(|_| load(c))?;
            Ok(thread_cpu() - started)
        });
        measured.unwrap() / f64::from(times)
    }
}

/// The URL of an SQLite file that does not exist yet.
fn empty_file() -> String {
    let folder = feed_test::target_folder().join("perf");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("http.db").display().to_string();
    for suffix in ["", "-wal", "-shm"] {
        // There is one where there was a run before.
        let _ = fs::remove_file(format!("{file}{suffix}"));
    }
    format!("sqlite://{file}")
}

fn email(name: &str) -> String {
    format!("{}@bench.example.org", name.replace([' ', ','], ""))
}

/// Registers an account with these relations, spread evenly over what there is.
fn viewer(database: &Database, name: &str, relations: Relations, now: NaiveDateTime) -> Identity {
    let registration = serde_json::json!({ "email": email(name), "password": "correct horse battery" });
    let registration: Registration = serde_json::from_value(registration).unwrap();
    let identity = users::register(database, &registration, now).unwrap().identity();
    let written = database.write(|c| {
        let valid = flyers::table.filter(flyers::valid_from.le(now)).filter(flyers::valid_until.gt(now));
        match relations {
            Relations::None => {}
            Relations::Favorites(count) => {
                let all: Vec<i64> = valid.select(flyers::id).order(flyers::id).load(c)?;
                for flyer in evenly(&all, count) {
                    favorites::favorite(c, identity, flyer, now)?;
                }
            }
            Relations::Follows(count) => {
                let creators = valid.select(flyers::creator_id).distinct();
                let all: Vec<i64> = creators.order(flyers::creator_id).load(c)?;
                for creator in evenly(&all, count) {
                    follows::follow(c, identity, creator, now)?;
                }
            }
        }
        Ok(())
    });
    written.unwrap();
    identity
}

/// So many of them, evenly from the first to the last.
fn evenly(all: &[i64], count: usize) -> impl Iterator<Item = i64> {
    assert!(all.len() >= count, "{count} of {}", all.len());
    (0..count).map(move |n| all[n * all.len() / count])
}
