//! The acceptance tests of the requirement that the feeds were written for, one test a point.
//!
//! All on 100,000 flyers, on both engines. What the requirement asks as a time it asks once: 100 ms. The feeds
//! take a hundredth of that, so the limit tells a broken feed and not a busy machine; everything finer is
//! counted.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod catalogue;
mod feeds;
mod guard;
mod shapes;

use std::time::{Duration, Instant};

use catalogue::Catalogue;
use feed_core::db::{Db, Engine};
use feed_core::feed::{self, FeedRequest};
use feed_core::page::{PageRequest, Start};
use feed_perf::log;
use feeds::{PAGE_SIZE, Rows, Spot, Variant};
use guard::{load, product};
use shapes::{Data, SIZES, Shape};

/// The one absolute time of the requirement.
const LIMIT: Duration = Duration::from_millis(100);

/// How often a time is taken; an odd number has a median.
const CALLS: usize = 15;

fn on_both(test: impl Fn(&Data, &mut Db)) {
    log::install();
    shapes::on_both(SIZES[1], false, |data| {
        data.database
            .with_writer(|c| {
                test(data, c);
                Ok(())
            })
            .unwrap();
    });
}

/// The times of repeated calls, shortest first.
fn times(mut call: impl FnMut()) -> [Duration; CALLS] {
    let mut times = [Duration::ZERO; CALLS];
    for time in &mut times {
        let started = Instant::now();
        call();
        *time = started.elapsed();
    }
    times.sort_unstable();
    times
}

/// The median is within the limit.
fn assert_in_time(c: &mut Db, request: &FeedRequest, what: &str) {
    let median = times(|| drop(feed::load(c, request).unwrap()))[CALLS / 2];
    eprintln!("{what}: {median:?}");
    assert!(median < LIMIT, "{what}: {median:?}");
}

/// First page, middle and last hold the right rows, in three statements at most, within the limit.
fn feed_is_right_and_fast(c: &mut Db, shape: Shape) {
    let rows = Rows::read(c, shape);
    for variant in [Variant::PLAIN, Variant::NEAR] {
        let rows = rows.in_order(variant);
        assert!(rows.len() >= 100, "{} has only {} rows", shape.name(), rows.len());
        for spot in [Spot::First, Spot::Middle, Spot::Last] {
            let asked = rows.page(spot, PAGE_SIZE);
            assert_eq!(asked.expected.len(), PAGE_SIZE as usize);
            let work = load(c, product, &asked).unwrap();
            assert!(guard::statements(&work) <= 3, "{work}");
            assert_in_time(c, &asked.request, &format!("{} {} {spot:?}", shape.name(), variant.name()));
        }
    }
}

/// Favorites feed with 100+ favorites.
///
/// Expected: 0.2 ms on SQLite, 1 ms on PostgreSQL (DESIGN.md's table), the same for 100 and for 10,000: a page is
/// one range of one index, so the number of favorites has no part in it.
#[test]
fn favorites_feed_with_more_than_100_favorites() {
    on_both(|_, c| {
        for shape in [Shape::Favorites100, Shape::Favorites1000, Shape::Favorites10000] {
            feed_is_right_and_fast(c, shape);
        }
    });
}

/// Following feed with 100+ follows among 100,000 flyers.
///
/// Expected: 0.2 ms and 1 ms for 100 follows, 1 ms and 5 ms for 1,000 (DESIGN.md's table): one probe of an index a
/// follow, and the page's rows.
#[test]
fn following_feed_with_more_than_100_follows() {
    on_both(|_, c| {
        for shape in [Shape::Follows100, Shape::Follows1000, Shape::Follows10000] {
            feed_is_right_and_fast(c, shape);
        }
    });
}

/// Every index that a query needs is there, by the live catalogue, the composite ones column by column.
///
/// Expected: exact. The list is the requirement's, then that of the feeds.
#[test]
fn every_index_is_there() {
    on_both(|_, c| {
        let catalogue = Catalogue::read(c);
        // SQLite's indexes of flyers have the id under another name: see the migration.
        let id = if c.engine() == Engine::Sqlite { "id_key" } else { "id" };
        for (table, columns) in [
            ("favorites", &["user_id", "created_at"] as &[_]),
            ("favorites", &["flyer_id", "created_at"]),
            ("favorites", &["user_id", "flyer_id"]),
            ("follows", &["follower_id", "created_at"]),
            ("follows", &["follower_id", "followed_id"]),
            ("follows", &["followed_id"]),
            ("flyers", &["created_at", id]),
            ("flyers", &["creator_id", "created_at", id]),
            ("flyers", &["creator_id"]),
            ("flyer_images", &["flyer_id", "position"]),
            ("users", &["email_key"]),
            ("users", &["username"]),
        ] {
            assert!(catalogue.has_index(table, columns), "no index on {table} {columns:?}: {catalogue:#?}");
        }
        for name in catalogue::INDEXES {
            assert!(catalogue.indexes.iter().any(|i| i.name == *name), "{name} is not there: {catalogue:#?}");
        }
    });
}

/// No foreign key without an index over all rows that begins with its column.
///
/// Expected: exact. Without one, deleting a user or a flyer reads whole tables.
#[test]
fn every_foreign_key_is_indexed() {
    on_both(|_, c| {
        let catalogue = Catalogue::read(c);
        assert!(catalogue.foreign_keys.len() >= 6, "{catalogue:#?}");
        for (table, column) in &catalogue.foreign_keys {
            let is_indexed = catalogue.indexes.iter().any(|index| {
                index.table == *table && !index.is_partial && index.columns.first() == Some(column)
            });
            assert!(is_indexed, "{table}.{column} has no index: {catalogue:#?}");
        }
    });
}

/// No plan of a feed reads a table without an index, or sorts more rows than the page and its ties; first page,
/// middle and last, under PostgreSQL's generic and custom plans.
///
/// Expected: main feed and favorites sort the 21 rows of a page and no others; a page that is ordered by distance
/// sorts its last second too, here two rows at most. The following feed's merge also sorts one row a follow, and the
/// rows before its bound: for 100 follows 21 lists of 30 flyers at most.
#[test]
fn plans_have_neither_scans_nor_large_sorts() {
    on_both(|_, c| {
        for (shape, sorted) in [
            (Shape::All, 100),
            (Shape::Favorites1000, 100),
            (Shape::Favorites10000, 100),
            (Shape::Follows100, 21 * 30),
        ] {
            let rows = Rows::read(c, shape);
            for variant in Variant::all(shape) {
                let rows = rows.in_order(variant);
                for spot in Spot::BUDGETED {
                    guard::plans(c, product, &rows.page(spot, PAGE_SIZE), sorted)
                        .unwrap_or_else(|red| panic!("{} {}: {red}", shape.name(), variant.name()));
                }
            }
        }
    });
}

/// No N+1: as many statements for 50 rows as for one, in any feed, signed in and not.
///
/// Expected: three at most, page, images and count; with the caller's own row four, which the target `handlers`
/// counts from outside.
#[test]
fn no_feed_has_an_n_plus_one() {
    on_both(|_, c| {
        for shape in [Shape::All, Shape::Favorites1000, Shape::Follows1000] {
            let rows = Rows::read(c, shape);
            for variant in Variant::all(shape) {
                let rows = rows.in_order(variant);
                for spot in [Spot::First, Spot::Middle] {
                    guard::counts(c, product, |size| rows.page(spot, size), 3)
                        .unwrap_or_else(|red| panic!("{} {}: {red}", shape.name(), variant.name()));
                }
            }
            let rows = rows.in_order(Variant::PLAIN);
            if shape == Shape::All {
                let anonymous = |size| {
                    let mut asked = rows.page(Spot::First, size);
                    asked.request.listing.feed = feed::Feed::All(None);
                    asked
                };
                guard::counts(c, product, anonymous, 3).unwrap();
            }
        }
    });
}

/// No slowdown by cursor: 1,000 pages down (or as far as the feed goes) the work is at most 1.2 times page 1's.
///
/// Expected: equal but for the height of a B-tree; a cursor is a position in an index.
#[test]
fn deep_pages_by_cursor_cost_what_page_one_costs() {
    on_both(|_, c| {
        for shape in [Shape::All, Shape::Favorites10000, Shape::Follows1000, Shape::Prolific10] {
            let rows = Rows::read(c, shape);
            for variant in [Variant::PLAIN, Variant::NEAR] {
                let rows = rows.in_order(variant);
                let deep = rows.clear_of_crowds((999 * PAGE_SIZE as usize).min(rows.len() * 4 / 5));
                let [first, deep] =
                    [0, deep].map(|n| load(c, product, &rows.page(Spot::Behind(n), PAGE_SIZE)).unwrap());
                guard::ratio(&first, &deep, 1.2)
                    .unwrap_or_else(|red| panic!("{} {}: {red}", shape.name(), variant.name()));
            }
        }
    });
}

/// The deepest pages that a number reaches (`page=500` of 20 rows, `page=200` of 50) are within the limit.
///
/// Expected: 2 to 50 ms, since the rows before the page are passed over in an index; hence the limit of the number.
/// That is too near to the limit of time for a median on a busy machine: it is asked of the fastest call, which others
/// have slowed down least.
#[test]
fn the_deepest_numbered_pages_are_within_the_limit() {
    on_both(|_, c| {
        for shape in [Shape::All, Shape::Favorites10000, Shape::Follows1000, Shape::Follows100] {
            for (number, size) in [(500, 20), (200, 50)] {
                let page = PageRequest { start: Start::Page(number), size };
                let listing = Variant::PLAIN.listing(shape);
                let request = FeedRequest { listing, page, now: shape.now() };
                let fastest = times(|| drop(feed::load(c, &request).unwrap()))[0];
                eprintln!("{}, page {number} of {size}: {fastest:?}", shape.name());
                assert!(fastest < LIMIT, "{}, page {number} of {size}: {fastest:?}", shape.name());
            }
        }
    });
}

/// Both feeds within 100 ms, for every kind of user with up to 1,000 relations that the data has.
///
/// Expected: 0.1 to 5 ms (DESIGN.md's table), 20 ms where 10,000 flyers of one second are ordered by distance; the
/// limit is the requirement's.
#[test]
fn both_feeds_are_within_the_limit_for_every_shape() {
    on_both(|data, c| {
        for shape in Shape::ALL.into_iter().filter(|shape| shape.relations(data.size) <= 1_000) {
            if !shape.exists_at(data.size) {
                continue;
            }
            for variant in [Variant::PLAIN, Variant::NEAR] {
                let page = PageRequest { start: Start::Page(1), size: PAGE_SIZE };
                let request = FeedRequest { listing: variant.listing(shape), page, now: shape.now() };
                assert_in_time(c, &request, &format!("{} {}", shape.name(), variant.name()));
            }
        }
    });
}
