//! Measures a page of a feed in the database: the page statement and its images. Also measures the count alone.
#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]

use criterion::{BenchmarkId, Criterion};
use diesel::prelude::*;
use feed_core::db::Engine;
use feed_core::feed;
use feed_test::bench::pages::{CELLS, COUNT_ID, COUNTED, Cell};
use feed_test::bench::reader::Reader;
use feed_test::bench::run;
use feed_test::feeds::Variant;
use feed_test::shapes::Shape;

fn main() {
    let mut criterion = run::criterion();
    for engine in run::engines() {
        let mut reader = Reader::new(engine);
        let exists = |shape: Shape| shape.exists_at(run::size());
        for cell in CELLS.iter().filter(|cell| exists(cell.shape)) {
            pages(&mut criterion, engine, &mut reader, cell);
        }
        for shape in COUNTED.iter().copied().filter(|shape| exists(*shape)) {
            count(&mut criterion, engine, &mut reader, shape);
        }
    }
    criterion.final_summary();
}

fn pages(criterion: &mut Criterion, engine: Engine, reader: &mut Reader, cell: &Cell) {
    let mut group = criterion.benchmark_group(run::group(engine, cell.shape.name()));
    for page in cell.pages() {
        let mut request = None;
        group.bench_function(BenchmarkId::from_parameter(page.id()), |b| {
            let request = request.get_or_insert_with(|| reader.request(page));
            reader.bench(b, |c| feed::load(c, request).unwrap());
        });
    }
}

fn count(criterion: &mut Criterion, engine: Engine, reader: &mut Reader, shape: Shape) {
    let listing = Variant::PLAIN.listing(shape);
    criterion.benchmark_group(run::group(engine, shape.name())).bench_function(COUNT_ID, |b| {
        reader.bench(b, |c| -> i64 {
            feed::count_query(engine, &listing, shape.now(), feed::AccessPath::Feed).get_result(c).unwrap()
        });
    });
}
