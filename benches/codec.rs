//! Measures what happens between the database and the socket: cursors, and writing a page as JSON.
#![expect(clippy::unwrap_used, reason = "a panic is how a bench fails")]

use std::hint::black_box;

use feed_core::db::Engine;
use feed_core::feed::{self, FeedRequest, Listing};
use feed_core::page::{Cursor, CursorKey, DEFAULT_PAGE_SIZE, PageRequest, Start};
use feed_test::bench::run;
use feed_test::shapes::{Data, PLACE, SIZES, Shape};

fn main() {
    let mut criterion = run::criterion();
    let shape = Shape::Follows100;
    let listing = Listing { location: Some(PLACE), ..shape.feed().into() };
    let page = PageRequest { start: Start::Page(1), size: DEFAULT_PAGE_SIZE };
    let request = FeedRequest { listing: listing.clone(), page, now: shape.now() };
    let data = Data::open(Engine::Sqlite, SIZES[0], false);
    let page = data.database.read(|c| feed::load(c, &request)).unwrap();

    let key = CursorKey::derive(b"what a server keeps to itself: 32 bytes or more");
    let scope = listing.cursor_scope();
    let cursor = page.next.unwrap();
    let text = cursor.encode(&key, &scope);

    let mut group = criterion.benchmark_group("codec");
    group.bench_function("encode a cursor", |b| b.iter(|| black_box(cursor).encode(&key, &scope)));
    group.bench_function("decode a cursor", |b| {
        b.iter(|| Cursor::decode(black_box(&text), &key, &scope).unwrap());
    });
    group.bench_function("serialise 20 cards", |b| {
        b.iter(|| serde_json::to_vec(black_box(&page.items)).unwrap());
    });
    group.finish();
    criterion.final_summary();
}
