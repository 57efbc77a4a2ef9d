//! Measures the overhead of our code: pages by the feeds' loader, and the same statements by the C libraries alone.
#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]

mod bare_driver;

use criterion::{BenchmarkId, Criterion};
use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Db, Engine};
use feed_core::feed::{self, FeedRequest};
use feed_perf::log::QueryLog;
use feed_test::bench::pages::{DRIVEN, OVERHEAD_GROUP, Page};
use feed_test::bench::reader::Reader;
use feed_test::bench::run;
use feed_test::shapes::Data;

use bare_driver::{Bare, Sent};

fn main() {
    let mut criterion = run::criterion();
    for engine in run::engines() {
        let mut reader = Reader::new(engine);
        for page in DRIVEN.iter().filter(|page| page.shape.exists_at(run::size())) {
            overhead(&mut criterion, engine, &mut reader, *page);
        }
    }
    criterion.final_summary();
}

fn overhead(criterion: &mut Criterion, engine: Engine, reader: &mut Reader, page: Page) {
    let mut group = criterion.benchmark_group(run::group(engine, OVERHEAD_GROUP));
    let mut request = None;
    group.bench_function(BenchmarkId::new(page.full_id(), "ours"), |b| {
        let request = request.get_or_insert_with(|| reader.request(page));
        reader.bench(b, |c| feed::load(c, request).unwrap());
    });
    let mut bare = None;
    group.bench_function(BenchmarkId::new(page.full_id(), "bare"), |b| {
        let bare = bare.get_or_insert_with(|| {
            let request = reader.request(page);
            bare_driver(reader.data(), &request)
        });
        b.iter(|| bare.read());
    });
}

/// The bare driver, with the statements of a page and the settings of our connections.
fn bare_driver(data: &Data, request: &FeedRequest) -> Bare {
    // A pool of its own, so that the connection that is measured has no query log.
    let logged = Data::open(data.engine, data.size, data.analyzed);
    let prepared = logged.database.with_writer(|c| {
        let settings = settings(c)?;
        let log = QueryLog::attach(c);
        let cards = feed::load(c, request)?.items;
        let sent = log.take().statements.iter().map(|s| Sent::read(&s.sql, &s.binds)).collect();
        let mut bare = Bare::open(&data.url, &settings, sent);
        let images: usize = cards.iter().map(|card| card.images.len()).sum();
        // If there is a next page, the page statement returns one row more than the page has.
        let rows = bare.read();
        assert!((cards.len() + images..=cards.len() + 1 + images).contains(&rows), "{rows} rows");
        Ok(bare)
    });
    prepared.unwrap()
}

/// The settings of one of our connections, as statements that set them.
fn settings(c: &mut Db) -> feed_core::Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Setting {
        #[diesel(sql_type = Text)]
        statement: String,
    }
    let statements = match c.engine() {
        Engine::Sqlite => "SELECT 'PRAGMA cache_size = ' || cache_size AS statement FROM pragma_cache_size",
        Engine::Postgres => {
            "SELECT 'SET ' || name || ' = ' || quote_literal(setting) AS statement FROM pg_settings \
             WHERE source = 'session'"
        }
    };
    let settings: Vec<Setting> = diesel::sql_query(statements).load(c)?;
    Ok(settings.into_iter().map(|setting| setting.statement).collect())
}
