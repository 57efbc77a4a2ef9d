//! How many statements a feed request takes: the same whatever the number of rows.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use chrono::{DateTime, NaiveDateTime};
use feed_core::db::Db;
use feed_core::feed::{self, Feed, FeedRequest, Listing};
use feed_core::geo::Location;
use feed_core::page::{PageRequest, Start};
use feed_core::testing::on_both;
use feed_core::{seed, users};
use feed_perf::QueryLog;

fn now() -> NaiveDateTime {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap().naive_utc()
}

/// What a handler asks of the domain for one page.
fn request(c: &mut Db, feed: Feed, location: Option<Location>, page: PageRequest) -> (usize, Option<Start>) {
    users::require(c, feed.viewer()).unwrap();
    let page = feed::load(
        c,
        &FeedRequest { listing: Listing { feed, location, categories: None }, page, now: now() },
    )
    .unwrap();
    (page.items.len(), page.next.map(Start::Cursor))
}

#[test]
fn a_feed_request_takes_four_statements_at_most() {
    on_both(|test| {
        let plan = seed::Plan { users: 600, flyers: 1_000, seed: 1, follows_max: 50 };
        seed::seed(&test.database, &plan, now(), false, &mut |_| {}).unwrap();
        test.database
            .with_writer(|c| {
                let power = users::id_by_email(c, seed::POWER)?;
                let place = Location { latitude: 47.0, longitude: 8.0 };
                let log = QueryLog::attach(c);
                for feed in
                    [Feed::All(None), Feed::All(Some(power)), Feed::Favorites(power), Feed::Following(power)]
                {
                    let caller = usize::from(feed.viewer().is_some());
                    for location in [None, Some(place)] {
                        for size in [1, 50] {
                            let (rows, next) =
                                request(c, feed, location, PageRequest { start: Start::Page(1), size });
                            assert_eq!(rows, size as usize, "the page is full");
                            let first = log.take();
                            assert_eq!(first.len(), caller + 3, "{feed:?}, {size} rows: {first:#?}");

                            let page = PageRequest { start: next.expect("a second page"), size };
                            request(c, feed, location, page);
                            let second = log.take();
                            assert_eq!(second.len(), caller + 2, "{feed:?}, by cursor: {second:#?}");
                        }
                    }
                }
                Ok(())
            })
            .unwrap();
    });
}
