//! In every state of the tables a page costs about what it costs after a vacuum.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Timestamp};
use feed_core::db::Db;
use feed_core::feed::{self, Feed, FeedRequest, Listing};
use feed_core::geo::Location;
use feed_core::page::{COUNT_LIMIT, PageRequest, Start};
use feed_core::sweep::{self, MARGIN};
use feed_perf::log;
use feed_perf::plan::Planner;
use feed_perf::work::{Target, measure};

use super::base::{State, now};

const ZURICH: Location = Location { latitude: 47.3769, longitude: 8.5417 };

/// The lists that are asked, of callers by their number of follows.
fn lists(c: &mut Db) -> Vec<(&'static str, Listing)> {
    let mut id = |condition: &str| {
        let Db::Postgres(c) = &mut *c else { unreachable!("the database is PostgreSQL's") };
        sql::<BigInt>(&format!("SELECT {condition}")).get_result::<i64>(c).unwrap()
    };
    let mut persona = |name: &str| id(&format!("id FROM users WHERE email = '{name}@demo.pockitflyer.test'"));
    let [new, active, power, creator] = ["new", "active", "power", "creator"].map(&mut persona);
    let some = id("follower_id FROM follows GROUP BY 1 ORDER BY abs(count(*) - 100), 1 LIMIT 1");
    let near = |km: i64, feed: Feed| Listing {
        location: Some(ZURICH),
        radius_mm: Some(km * 1_000_000),
        ..feed.into()
    };
    vec![
        ("all", Feed::All(Some(power)).into()),
        ("all by distance", Listing { location: Some(ZURICH), ..Feed::All(Some(power)).into() }),
        ("near, 5 km", near(5, Feed::All(Some(power)))),
        ("near, 100 km", near(100, Feed::All(Some(power)))),
        ("following 5", Feed::Following(active).into()),
        ("following 100", Feed::Following(some).into()),
        ("following 1,000", Feed::Following(power).into()),
        ("following 2,000", Feed::Following(new).into()),
        ("following 1,000 by distance", Listing { location: Some(ZURICH), ..Feed::Following(power).into() }),
        ("favorites", Feed::Favorites(power).into()),
        ("a creator's", Feed::Creator { creator, viewer: Some(power) }.into()),
        ("own", Feed::Creator { creator, viewer: Some(creator) }.into()),
    ]
}

/// The blocks that each page takes, the first with its count and the second by cursor.
fn pages(state: &State, now: NaiveDateTime) -> BTreeMap<String, u64> {
    let mut blocks = BTreeMap::new();
    let work = |c: &mut Db| {
        for (name, listing) in lists(c) {
            let mut start = Start::Page(1);
            for number in ["1", "2"] {
                let request = FeedRequest {
                    listing: listing.clone(),
                    page: PageRequest { start, size: 20, count: None },
                    now,
                };
                let measured = measure(
                    c,
                    |c| match c {
                        Db::Sqlite(c) => Target::Sqlite(c),
                        Db::Postgres(c) => Target::Postgres(c),
                    },
                    |c| feed::load(c, &request),
                );
                let (page, work) = measured.unwrap();
                let page = page?;
                assert!(!page.items.is_empty(), "{name} has a page {number}");
                let generic = work.plans().filter(|plan| plan.planner == Planner::Generic);
                let taken = generic.map(|plan| plan.execution.unwrap().buffers).sum();
                blocks.insert(format!("{name}, page {number}"), taken);
                start = Start::Cursor(page.next.expect("another page"));
            }
        }
        Ok(())
    };
    state.database.with_writer(work).unwrap();
    blocks
}

/// The time by which a part of the flyers that are not marked has ended.
fn end_of(state: &State, percent: u32) -> NaiveDateTime {
    let quantile = format!(
        "(SELECT percentile_disc({percent} / 100.0) WITHIN GROUP (ORDER BY valid_until) FROM flyers WHERE NOT expired)"
    );
    diesel::select(sql::<Timestamp>(&quantile)).get_result(&mut state.connect()).unwrap()
}

/// A state without vacuum, and the moment at which its pages are asked.
type Change = fn(&State) -> NaiveDateTime;

fn sweep_percent(state: &State, percent: u32) -> NaiveDateTime {
    let end = end_of(state, percent);
    let swept = sweep::sweep_as_of(&state.database, end + MARGIN).unwrap();
    assert!(swept.marked > 0);
    end
}

fn write(state: &State, statements: &str) -> NaiveDateTime {
    state.execute(statements);
    now()
}

const STATES: [(&str, Change); 6] = [
    ("a tenth swept", |state| sweep_percent(state, 10)),
    ("three tenths swept", |state| sweep_percent(state, 30)),
    ("a fifth edited", |state| write(state, "UPDATE flyers SET title = title || '!' WHERE id % 5 = 0")),
    ("a tenth deleted", |state| write(state, "DELETE FROM flyers WHERE id % 10 = 3")),
    ("a tenth published on top", |state| {
        write(
            state,
            "INSERT INTO flyers (id, creator_id, title, description, location_address, latitude, longitude, categories, \
             valid_from, valid_until, created_at) SELECT id + 100000000, creator_id, title, description, \
             location_address, latitude, longitude, categories, valid_from, valid_until, \
             CAST('2026-06-01' AS timestamp) + id % 10000 * INTERVAL '1 second' FROM flyers \
             WHERE id % 10 = 7 AND NOT expired ORDER BY 11; \
             INSERT INTO flyer_images (flyer_id, position, url) SELECT id, 1, 'https://images.example.org/1.jpg' \
             FROM flyers WHERE id > 100000000",
        )
    }),
    ("in another order than published", |state| {
        write(
            state,
            "CREATE INDEX shuffled ON flyers (md5(CAST(id AS text))); CLUSTER flyers USING shuffled; \
             DROP INDEX shuffled",
        );
        // CLUSTER forgets which pages are visible, which is the first state. Here the order alone is looked at.
        write(state, "VACUUM flyers")
    }),
];

#[test]
fn a_page_costs_at_most_three_times_what_it_costs_at_rest() {
    log::install();
    let mut reds = String::new();
    let mut compare = |name: &str, state: &State, now: NaiveDateTime| {
        let lived = pages(state, now);
        state.execute("VACUUM (ANALYZE)");
        let rested = pages(state, now);
        for (page, blocks) in lived {
            let rest = rested[&page];
            eprintln!("{name}\t{page}\t{rest}\t{blocks}");
            // The count looks at a row where its page is not known as visible, and at no other.
            let counted = if page.ends_with("page 1") { u64::from(COUNT_LIMIT) + 1 } else { 0 };
            if blocks > 3 * rest + counted {
                let _ = writeln!(reds, "{name}: {page} takes {blocks} blocks, and {rest} at rest");
            }
        }
    };
    compare("as loaded", &State::new("loaded", false), now());
    for (name, change) in STATES {
        let state = State::new("work", true);
        let now = change(&state);
        compare(name, &state, now);
    }
    assert!(reds.is_empty(), "{reds}");
}
