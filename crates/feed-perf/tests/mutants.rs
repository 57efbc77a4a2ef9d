//! Seeded regressions (mutants): each must make a guard fail, which tests the guards themselves.
//!
//! A mutant is a worse loader, or an index that is dropped in a transaction and restored by its rollback. A mutant
//! returns the right rows and only costs more; other tests catch wrong rows. `scripts/mutants` prints the table of
//! results. It can also run patches of the product's source, which are in `mutants/*.patch`.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::fmt::Write as _;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use feed_core::db::{Db, Engine};
use feed_core::feed::{self, AccessPath, FeedRequest};
use feed_core::page::{PageRequest, Start};
use feed_core::schema::{favorites, flyer_images};
use feed_core::sql::{Statement, Value};
use feed_perf::log;
use feed_test::catalogue::{Catalogue, INDEXES};
use feed_test::feeds::searches::SearchCase;
use feed_test::feeds::{PAGE_SIZE, PagePosition, Rows, Variant};
use feed_test::guard::budgets::{self, Budgets};
use feed_test::guard::{self, Failure, Loader, load, product};
use feed_test::shapes::{self, Data, SIZES, Shape};

/// What a mutant changes.
enum Change {
    /// Another loader in place of the product's.
    Loader(Loader),
    /// A missing index.
    DropIndex(&'static str),
}

/// The guard that must catch the mutant.
enum Guard {
    /// The budget of one of these pages.
    Budget(&'static [(Shape, Variant, PagePosition)]),
    /// The budget of the first page of a case, by its name.
    Found(Shape, &'static str),
    /// The number of statements.
    Counts(Shape),
    /// The list of indexes in the database's catalogue.
    Catalogue,
}

struct Mutant {
    name: &'static str,
    change: Change,
    guard: Guard,
}

const NEAR: Variant = Variant::NEAR;
const PLAIN: Variant = Variant::PLAIN;
const FAVORITED: Variant = Variant { favorited: true, ..Variant::PLAIN };

fn mutants(engine: Engine) -> Vec<Mutant> {
    let worse = |name, loader, guard| Mutant { name, change: Change::Loader(loader), guard };
    let mut all = vec![
        worse(
            "the OR form of the keyset",
            keyset_by_or,
            Guard::Budget(&[(Shape::Favorites10000, PLAIN, PagePosition::Middle)]),
        ),
        worse(
            "OFFSET instead of the cursor",
            offset,
            Guard::Budget(&[(Shape::Favorites10000, PLAIN, PagePosition::Middle)]),
        ),
        worse("images per row", images_per_row, Guard::Counts(Shape::Favorites1000)),
        worse("flags per row", flags_per_row, Guard::Counts(Shape::Follows1000)),
        worse(
            "the unbounded scan of the newest flyers",
            unbounded_scan,
            Guard::Budget(&[
                (Shape::Quiet100, PLAIN, PagePosition::First),
                (Shape::Empty100, PLAIN, PagePosition::First),
            ]),
        ),
        worse(
            "the ORM form of the following query",
            orm_following,
            Guard::Budget(&[
                (Shape::Expired100, PLAIN, PagePosition::First),
                (Shape::Prolific10, PLAIN, PagePosition::First),
            ]),
        ),
        worse(
            "distance sorted in the join",
            distance_in_the_join,
            Guard::Budget(&[(Shape::Prolific10, NEAR, PagePosition::Middle)]),
        ),
        worse(
            "count without cap",
            count_without_cap,
            Guard::Budget(&[(Shape::Favorites10000, PLAIN, PagePosition::First)]),
        ),
        worse(
            "validity without the partial index",
            validity_without_mark,
            Guard::Budget(&[(Shape::FavoritesExpired, PLAIN, PagePosition::First)]),
        ),
        worse("a rare word by the access path Feed", by_feed, Guard::Found(Shape::All, "rare")),
        worse("an empty region by the access path Feed", by_feed, Guard::Found(Shape::All, "sea")),
        worse(
            "few favorites by the access path Place",
            by_place,
            Guard::Found(Shape::Favorites100, "country"),
        ),
        worse(
            "few favorites by the access path Text",
            by_text,
            Guard::Found(Shape::Favorites100, "frequent"),
        ),
    ];
    // The indexes whose absence exceeds a budget.
    let budgeted: [(&str, &'static [_]); 4] = [
        ("flyers_feed", &[(Shape::All, PLAIN, PagePosition::Middle)]),
        ("flyers_creator_feed", &[(Shape::Prolific10, PLAIN, PagePosition::Middle)]),
        ("favorites_feed", &[(Shape::Favorites10000, PLAIN, PagePosition::Middle)]),
        ("favorites_recent_feed", &[(Shape::FavoritesExpired, FAVORITED, PagePosition::First)]),
    ];
    for &index in INDEXES {
        // Without this index PostgreSQL uses the creator's full index. That costs as much when a creator's flyers lie
        // beside each other in the table, as here. So only the catalogue can show that the index is missing.
        let is_replaced = engine == Engine::Postgres && index == "flyers_creator_feed";
        let pages = budgeted.iter().find(|(name, _)| *name == index && !is_replaced);
        let guard = pages.map_or(Guard::Catalogue, |(_, pages)| Guard::Budget(pages));
        all.push(Mutant { name: index, change: Change::DropIndex(index), guard });
        if pages.is_some() {
            all.push(Mutant { name: index, change: Change::DropIndex(index), guard: Guard::Catalogue });
        }
    }
    all
}

/// The name of the guard and its message, if it caught the mutant.
fn caught(mutant: &Mutant, data: &Data, budgets: &Budgets) -> Option<(String, Failure)> {
    let run = |c: &mut Db, loader: Loader| -> Option<(String, Failure)> {
        match &mutant.guard {
            Guard::Budget(pages) => pages.iter().find_map(|&(shape, variant, spot)| {
                let page = budgets::name(shape, variant, spot);
                let asked = Rows::read(c, shape).in_order(variant).page(spot, PAGE_SIZE);
                // If the database returns an error, there is nothing to measure. SQLite does so for a dropped index.
                let refused = loader(c, &asked.request).err().map(|error| format!("{error:?}"));
                let red = refused.or_else(|| {
                    load(c, loader, &asked).and_then(|work| budgets.hold(data.engine, &page, &work)).err()
                })?;
                Some((format!("budget of {}, {}", page.0, page.1), red))
            }),
            Guard::Found(shape, case) => {
                let page = (format!("{} {case}", shape.name()), PagePosition::First.name());
                let asked = SearchCase::by_name(case).rows(c, *shape).page(PagePosition::First, PAGE_SIZE);
                let work = load(c, loader, &asked);
                let red = work.and_then(|work| budgets.hold(data.engine, &page, &work)).err()?;
                Some((format!("budget of {}", page.0), red))
            }
            Guard::Counts(shape) => {
                let rows = Rows::read(c, *shape).in_order(PLAIN);
                let red = guard::counts(c, loader, |size| rows.page(PagePosition::Middle, size), 2).err()?;
                Some((format!("statements of {}", shape.name()), red))
            }
            Guard::Catalogue => {
                let catalogue = Catalogue::read(c);
                let missing =
                    INDEXES.iter().find(|name| !catalogue.indexes.iter().any(|i| i.name == **name))?;
                Some(("catalogue".to_owned(), format!("the index {missing} is missing")))
            }
        }
    };
    match mutant.change {
        Change::Loader(loader) => data.database.with_writer(|c| Ok(run(c, loader))).unwrap(),
        Change::DropIndex(name) => data.with_ddl(&format!("DROP INDEX {name}"), |c| run(c, product)),
    }
}

/// The budgets of the file. On an engine version without budgets, what the product takes now.
fn budgets_for(data: &Data) -> Budgets {
    let mut budgets = Budgets::read();
    let engine = data.engine;
    data.database
        .with_writer(|c| {
            if budgets.of(engine).version == budgets::version(c) {
                return Ok(());
            }
            for mutant in mutants(engine) {
                let Guard::Budget(pages) = mutant.guard else { continue };
                for &(shape, variant, spot) in pages {
                    let asked = Rows::read(c, shape).in_order(variant).page(spot, PAGE_SIZE);
                    let work = load(c, product, &asked).unwrap();
                    budgets.set(engine, budgets::name(shape, variant, spot), &work);
                }
            }
            Ok(())
        })
        .unwrap();
    budgets
}

#[test]
fn every_mutant_is_caught() {
    log::install();
    let mut survivors = Vec::new();
    let mut table = String::from("| mutant | engine | guard that caught it |\n| --- | --- | --- |\n");
    shapes::on_both(SIZES[1], false, |_| {});
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let data = Data::open(engine, SIZES[1], false);
        let budgets = budgets_for(&data);
        for mutant in mutants(engine) {
            let name = match mutant.change {
                Change::Loader(_) => mutant.name.to_owned(),
                Change::DropIndex(index) => format!("without index {index}"),
            };
            let caught = caught(&mutant, &data, &budgets);
            let guard = caught.as_ref().map_or("**survived**", |(guard, _)| guard);
            let _ = writeln!(table, "| {name} | {engine:?} | {guard} |");
            if caught.is_none() {
                survivors.push(format!("{name} on {engine:?}"));
            }
        }
        // Without a mutant, the same guards must pass.
        for mutant in mutants(engine) {
            let none = Mutant { change: Change::Loader(product), ..mutant };
            let red = caught(&none, &data, &budgets);
            assert!(red.is_none(), "a guard fails without any mutant: {red:?}");
        }
    }
    println!("{table}");
    assert!(survivors.is_empty(), "mutants that no guard caught: {survivors:#?}");
}

/// Runs a mutant's own SQL with the binds of the request, and returns the ids.
fn ids(c: &mut Db, request: &FeedRequest, text: String) -> feed_core::Result<Vec<i64>> {
    let position = request.page.position();
    let mut binds = vec![
        ("now", Value::Time(request.now)),
        ("viewer", Value::Int(request.listing.feed.viewer().unwrap_or_default())),
        ("at", Value::Time(position.at)),
        ("id", Value::Int(position.id)),
        ("limit", Value::Int(request.page.size.into())),
    ];
    if let Some(place) = request.listing.location {
        binds.extend([("lat", Value::Real(place.latitude)), ("lng", Value::Real(place.longitude))]);
        binds.push(("distance", Value::Int(position.distance)));
    }
    Ok(Statement::<BigInt>::new(text, &binds).load(c)?)
}

const VALID: &str = "f.expired = FALSE AND f.valid_from <= :now AND f.valid_until > :now";

/// It is fast at page 2. At the middle of the list it reads half of it.
fn keyset_by_or(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let text = "SELECT v.flyer_id FROM favorites v WHERE v.user_id = :viewer AND v.flyer_expired = FALSE \
                AND v.flyer_valid_from <= :now AND v.flyer_valid_until > :now \
                AND (v.flyer_created_at < :at OR (v.flyer_created_at = :at AND v.flyer_id < :id)) \
                ORDER BY v.flyer_created_at DESC, v.flyer_id DESC LIMIT :limit";
    ids(c, request, text.to_owned())
}

/// Loads the middle of 10,000 rows by page number.
fn offset(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let page = PageRequest { start: Start::Page(251), ..request.page };
    product(c, &FeedRequest { page, ..request.clone() })
}

fn images_per_row(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let ids = product(c, request)?;
    for id in &ids {
        let images = flyer_images::table.filter(flyer_images::flyer_id.eq(id));
        images.select(flyer_images::url).load::<String>(c)?;
    }
    Ok(ids)
}

fn flags_per_row(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let ids = product(c, request)?;
    let viewer = request.listing.feed.viewer().unwrap_or_default();
    for &id in &ids {
        let flag = favorites::table.find((viewer, id)).select(favorites::flyer_id);
        flag.first::<i64>(c).optional()?;
    }
    Ok(ids)
}

/// Scans the newest flyers without a bound.
fn unbounded_scan(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let text = format!(
        "SELECT f.id FROM flyers f WHERE (f.created_at, f.id) < (:at, :id) AND {VALID} \
         AND coalesce((SELECT TRUE FROM follows w WHERE w.follower_id = :viewer AND w.followed_id = f.creator_id), \
         FALSE) ORDER BY f.created_at DESC, f.id DESC LIMIT :limit"
    );
    ids(c, request, text)
}

/// The query that an object-relational mapper would write.
fn orm_following(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let text = "SELECT f.id FROM flyers f JOIN follows w ON w.followed_id = f.creator_id \
                WHERE w.follower_id = :viewer AND f.valid_from <= :now AND f.valid_until > :now \
                AND (f.created_at < :at OR (f.created_at = :at AND f.id < :id)) \
                ORDER BY f.created_at DESC, f.id DESC LIMIT :limit";
    ids(c, request, text.to_owned())
}

/// Sorts all flyers of all followed creators, with the distance, in one ORDER BY.
fn distance_in_the_join(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let distance = match c.engine() {
        Engine::Sqlite => "distance_mm(:lat, :lng, f.latitude, f.longitude)",
        // Another formula that gives the same order.
        Engine::Postgres => {
            "CAST(floor(12742.0 * asin(sqrt(least(1.0, power(sin(radians(f.latitude - :lat) / 2.0), 2) \
             + cos(radians(:lat)) * cos(radians(f.latitude)) * power(sin(radians(f.longitude - :lng) / 2.0), 2)))) \
             * 1000000.0 + 0.5) AS bigint)"
        }
    };
    let text = format!(
        "SELECT id FROM (SELECT f.id, f.created_at, {distance} AS distance FROM follows w \
         CROSS JOIN flyers f WHERE w.follower_id = :viewer AND f.creator_id = w.followed_id AND {VALID}) f \
         WHERE created_at < :at OR (created_at = :at AND (distance > :distance OR (distance = :distance \
         AND id < :id))) ORDER BY created_at DESC, distance, id DESC LIMIT :limit"
    );
    ids(c, request, text)
}

fn by_access_path(c: &mut Db, request: &FeedRequest, path: AccessPath) -> feed_core::Result<Vec<i64>> {
    Ok(feed::load_by(c, request, path.into())?.items.iter().map(|card| card.id).collect())
}

fn by_feed(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    by_access_path(c, request, AccessPath::Feed)
}

fn by_place(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    by_access_path(c, request, AccessPath::Place)
}

fn by_text(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    by_access_path(c, request, AccessPath::Text)
}

fn count_without_cap(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let listing = &request.listing;
    let rows: Vec<i64> = feed::page_query(c.engine(), request, AccessPath::Feed)
        .load::<feed::CardRow>(c)?
        .iter()
        .take(request.page.size as usize)
        .map(feed::CardRow::id)
        .collect();
    let viewer = Value::Int(listing.feed.viewer().unwrap_or_default());
    let text = "SELECT count(*) FROM favorites v WHERE v.user_id = :viewer AND v.flyer_expired = FALSE \
                AND v.flyer_valid_from <= :now AND v.flyer_valid_until > :now";
    let binds = [("viewer", viewer), ("now", Value::Time(request.now))];
    Statement::<BigInt>::new(text.to_owned(), &binds).get_result::<i64>(c)?;
    Ok(rows)
}

/// Reads the validity from the flyer by a join, instead of from the copy in `favorites`.
fn validity_without_mark(c: &mut Db, request: &FeedRequest) -> feed_core::Result<Vec<i64>> {
    let text = "SELECT v.flyer_id FROM favorites v CROSS JOIN flyers f WHERE v.user_id = :viewer \
                AND f.id = v.flyer_id AND f.valid_from <= :now AND f.valid_until > :now \
                AND (v.flyer_created_at, v.flyer_id) < (:at, :id) \
                ORDER BY v.flyer_created_at DESC, v.flyer_id DESC LIMIT :limit";
    ids(c, request, text.to_owned())
}
