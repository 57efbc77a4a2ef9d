//! Calls the handlers of the real service over HTTP, and checks that they send the statements that the guard measures.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDateTime};
use diesel::prelude::*;
use feed_api::config::{
    AdminConfig, DatabaseConfig, LimitConfig, RateConfig, Secret, ServeConfig, TokenConfig,
};
use feed_api::server::{self, Server};
use feed_api::tokens::Tokens;
use feed_core::clock::Clock;
use feed_core::db::Db;
use feed_core::feed::{self, Feed, FeedRequest, Listing, Order};
use feed_core::geo::Location;
use feed_core::page::{Count, PageRequest, Start};
use feed_core::schema::flyers;
use feed_core::testing::{TestDatabase, on_both};
use feed_core::users::Identity;
use feed_core::{seed, users, validator};
use feed_perf::log::{self, Kind, Log, QueryLog};

const SECRET: &str = "the secret of a server that serves one test";
const PLACE: Location = Location { latitude: 47.0, longitude: 8.0 };

fn now() -> NaiveDateTime {
    DateTime::from_timestamp(1_780_000_000, 0).unwrap().naive_utc()
}

/// A running service with demo data, and the log of the statements that it sends.
struct Service {
    address: String,
    power: Identity,
    token: String,
    log: QueryLog,
}

impl Service {
    fn start(test: &TestDatabase) -> Self {
        let plan = seed::Plan { users: 600, flyers: 8_000, seed: 1, follows_max: 50 };
        seed::seed(&test.database, &plan, now(), false, &mut |_| {}).unwrap();
        let power = test.database.read(|c| users::by_email(c, seed::POWER)).unwrap();
        let config = ServeConfig {
            bind: "127.0.0.1:0".to_owned(),
            database: DatabaseConfig { database_url: test.url.clone(), database_connections: 4 },
            migrate: false,
            tokens: TokenConfig::new(Secret::from(SECRET), 60),
            public_url: None,
            cors_origins: None,
            cors_headers: None,
            workers: Some(1),
            // Long, so that no request times out on a busy machine.
            limits: LimitConfig {
                statement_timeout: 60_000,
                connection_timeout: 60_000,
                ..LimitConfig::default()
            },
            rates: RateConfig::off(),
            admin: AdminConfig::default(),
            sweep_interval: 0,
        };
        let listener = server::bind(&config.bind).unwrap();
        let database = test.database.clone();
        let server = Server::build(&config, listener, database, Clock::fixed(now())).unwrap();
        let address = format!("http://{}", server.address().unwrap());
        std::thread::spawn(move || actix_web::rt::System::new().block_on(server.run()));
        let token = Tokens::new(SECRET.as_bytes(), 60).issue(power, now()).unwrap();
        Self { address, power, token, log: QueryLog::of_process() }
    }

    /// Sends a GET, and returns the body and the statements.
    fn get(&self, path: &str, is_signed_in: bool) -> (serde_json::Value, Log) {
        let (mut response, log) = self.get_unless(path, is_signed_in, None);
        (response.body_mut().read_json().unwrap(), log)
    }

    /// Sends a GET with this ETag in `If-None-Match`, and returns the response and the statements.
    fn get_unless(
        &self,
        path: &str,
        is_signed_in: bool,
        tag: Option<&str>,
    ) -> (ureq::http::Response<ureq::Body>, Log) {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.address) };
        let _ = self.log.take();
        let mut request = ureq::get(&url);
        if is_signed_in {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if let Some(tag) = tag {
            request = request.header("if-none-match", tag);
        }
        let response = request.call().unwrap();
        let mut log = self.log.take();
        // The pool may open a connection at any time, and the metrics read the sizes of tables once a minute. Neither
        // belongs to the request.
        log.statements.retain(|statement| {
            statement.kind != Kind::Other && !statement.sql.contains("pg_stat_user_tables")
        });
        (response, log)
    }
}

/// The creator with the most flyers.
fn prolific(c: &mut Db) -> i64 {
    let creators = flyers::table.group_by(flyers::creator_id).select(flyers::creator_id);
    creators.order(diesel::dsl::count_star().desc()).first(c).unwrap()
}

/// Every feed: its path, whether the caller is signed in, and the listing that its handler loads.
fn feeds(test: &TestDatabase) -> [(String, bool, Listing); 7] {
    let power = test.database.read(|c| users::by_email(c, seed::POWER)).unwrap().id;
    let creator = test.database.read(|c| Ok(prolific(c))).unwrap();
    let of_creator = format!("/api/users/{creator}/flyers/?");
    let favorited = Listing { order: Order::Favorited, ..Feed::Favorites(power).into() };
    [
        ("/api/feed/?".to_owned(), false, Feed::All(None).into()),
        ("/api/feed/?".to_owned(), true, Feed::All(Some(power)).into()),
        ("/api/favorites/feed/?".to_owned(), true, Feed::Favorites(power).into()),
        ("/api/favorites/feed/?order=favorited&".to_owned(), true, favorited),
        ("/api/following/feed/?".to_owned(), true, Feed::Following(power).into()),
        (of_creator.clone(), false, Feed::Creator { creator, viewer: None }.into()),
        (of_creator, true, Feed::Creator { creator, viewer: Some(power) }.into()),
    ]
}

#[test]
fn a_feed_request_takes_three_statements_at_most_and_as_many_for_one_row_as_for_fifty() {
    log::install();
    on_both(|test| {
        let service = Service::start(test);
        for (path, is_signed_in, feed) in feeds(test) {
            for query in ["", "lat=47&lng=8&", "categories=events,service&"] {
                let ask = |size: usize| {
                    let (first, by_number) =
                        service.get(&format!("{path}{query}page_size={size}"), is_signed_in);
                    assert_eq!(first["results"].as_array().unwrap().len(), size, "the page is full");
                    let (_, by_cursor) = service.get(first["next"].as_str().unwrap(), is_signed_in);
                    (by_number, by_cursor)
                };
                let ((one, one_by_cursor), (fifty, fifty_by_cursor)) = (ask(1), ask(50));
                log::assert_no_growth(&one, &fifty);
                log::assert_no_growth(&one_by_cursor, &fifty_by_cursor);
                // Caller and ETag state, page, count. The count is remembered for the next request, also for one from
                // another place.
                let count = usize::from(query != "lat=47&lng=8&");
                assert_eq!(one.len(), 2 + count, "{feed:?} {query}\n{one}");
                assert_eq!(fifty.len(), 2, "{feed:?} {query}\n{fifty}");
                assert_eq!(fifty_by_cursor.len(), 2, "{feed:?} {query}\n{fifty_by_cursor}");
            }
        }
    });
}

#[test]
fn a_search_or_radius_takes_one_more_statement_at_most() {
    log::install();
    on_both(|test| {
        let service = Service::start(test);
        let mut most = 0;
        for (path, is_signed_in, feed) in feeds(test) {
            for query in [
                "search=en&",
                "search=kon&",
                "lat=47&lng=8&radius_km=500&",
                "search=kon&lat=47&lng=8&radius_km=500&",
            ] {
                let ask = |size: usize| service.get(&format!("{path}{query}page_size={size}"), is_signed_in);
                let ((first, one), (many, fifty)) = (ask(1), ask(50));
                log::assert_no_growth(&one, &fifty);
                assert_eq!(first["results"].as_array().unwrap().len(), 1, "{feed:?} {query}");
                assert!(many["results"].as_array().unwrap().len() > 1, "{feed:?} {query}");
                most = most.max(one.len());
                let (_, by_cursor) = service.get(first["next"].as_str().unwrap(), is_signed_in);
                assert_eq!(
                    by_cursor.len(),
                    one.len() - 1,
                    "all but the count: {feed:?} {query}\n{by_cursor}"
                );
            }
        }
        assert_eq!(most, 4, "caller and ETag state, survey, page, count");
    });
}

#[test]
fn handlers_send_the_statements_that_have_budgets() {
    log::install();
    on_both(|test| {
        let service = Service::start(test);
        for (path, is_signed_in, feed) in feeds(test) {
            let (location, radius_mm) = (Some(PLACE), Some(500_000_000));
            for (query, listing) in [
                ("", feed.clone()),
                ("lat=47&lng=8", Listing { location, ..feed.clone() }),
                ("search=Kon", Listing { search: Some("kon".to_owned()), ..feed.clone() }),
                ("lat=47&lng=8&radius_km=500", Listing { location, radius_mm, ..feed.clone() }),
            ] {
                let (_, sent) = service.get(&format!("{path}{query}"), is_signed_in);
                // The place does not change the count, which is remembered from the first request.
                let count = (query == "lat=47&lng=8").then(|| Count::of(0));
                let page = PageRequest { start: Start::Page(1), size: 20, count };
                let load = || {
                    test.database
                        .read(|c| {
                            validator::current(c, feed.feed.viewer().map(|_| service.power), now())?;
                            feed::load(c, &FeedRequest { listing: listing.clone(), page, now: now() })
                        })
                        .unwrap()
                };
                let (_, measured) = log::record(load);
                let texts = |log: &Log| log.statements.iter().map(|s| s.sql.clone()).collect::<BTreeSet<_>>();
                pretty_assertions::assert_eq!(texts(&sent), texts(&measured), "{feed:?} {query}");
            }
        }
    });
}

#[test]
fn an_unchanged_page_takes_one_statement() {
    log::install();
    on_both(|test| {
        let service = Service::start(test);
        for (path, is_signed_in, _) in feeds(test) {
            let (first, _) = service.get_unless(&path, is_signed_in, None);
            let tag = first.headers()["etag"].to_str().unwrap();
            let (again, log) = service.get_unless(&path, is_signed_in, Some(tag));
            assert_eq!(again.status(), 304, "{path}");
            assert_eq!(log.len(), 1, "{path}\n{log}");
        }
    });
}

#[test]
fn a_page_by_number_after_a_walk_sends_what_next_sends_at_any_depth() {
    log::install();
    on_both(|test| {
        let service = Service::start(test);
        for (path, is_signed_in) in
            [("/api/feed/?", false), ("/api/feed/?lat=47&lng=8&", false), ("/api/favorites/feed/?", true)]
        {
            let (mut next, mut depth) = (String::new(), 0);
            for number in 1..=400 {
                let (page, by_number) =
                    service.get(&format!("{path}page_size=1&page={number}"), is_signed_in);
                if [2, 10, 400].contains(&number) {
                    let (_, by_cursor) = service.get(&next, is_signed_in);
                    let sent = |log: &Log| -> Vec<_> {
                        log.statements.iter().map(|s| (s.sql.clone(), s.binds.clone())).collect()
                    };
                    pretty_assertions::assert_eq!(sent(&by_number), sent(&by_cursor), "{path} {number}");
                    // Caller and ETag state, page.
                    assert_eq!(by_number.len(), 2, "{by_number}");
                    depth = number;
                }
                match page["next"].as_str() {
                    Some(link) => next = link.to_owned(),
                    None => break,
                }
            }
            assert_eq!(depth, 400, "{path}");
        }
    });
}
