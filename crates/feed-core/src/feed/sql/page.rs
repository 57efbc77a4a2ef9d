//! The statements of a page and of its count: from an access path to the finished text with its binds.

use chrono::NaiveDateTime;
use diesel::sql_types::BigInt;

use super::cards::cards;
use super::merge::{Lists, Merge};
use super::range::Range;
use super::search::{self, Search};
use super::terms::{ScanOrder, is_followed, visible_flyer, visible_in_feed};
use crate::engine::Engine;
use crate::feed::access_path::AccessPath;
use crate::feed::card::CardColumns;
use crate::feed::listing::{Feed, FeedRequest, Listing};
use crate::geo;
use crate::page::{COUNT_LIMIT, Direction, MAX_PAGE_SIZE};
use crate::sql::{Statement, Value};
use crate::text;

/// Where the keys of a page come from.
enum Keys {
    /// One index range.
    Range(Range),
    /// Many lists.
    Merge { lists: Lists, visible: String },
    /// An index of trigrams.
    Search { visible: String, published_by: String, has_trigrams: bool },
}

impl Keys {
    /// The keys of an access path, with the bind that it needs. A path that the list does not have is `Feed`.
    fn of(engine: Engine, listing: &Listing, path: AccessPath) -> (Self, Option<(&'static str, Value)>) {
        let path = if listing.has_other_paths() { path } else { AccessPath::Feed };
        let (keys, bind) = match (path, listing.circle(), &listing.search) {
            (AccessPath::Place, Some(circle), _) => {
                let cover = circle.cover();
                let cells = Lists::cells(engine, &cover.cells);
                let visible = visible_in_feed(engine, listing, true);
                (
                    Self::Merge { lists: Lists::Cells(cover.grid), visible },
                    Some(("cells", Value::Text(cells))),
                )
            }
            (AccessPath::Text, _, Some(search)) => {
                let visible = visible_in_feed(engine, listing, false);
                let published_by = match listing.feed {
                    Feed::Following(_) => is_followed(engine, "u.user_id"),
                    Feed::Creator { .. } => "u.user_id = :creator".to_owned(),
                    _ => "TRUE".to_owned(),
                };
                let has_trigrams = text::has_trigrams(engine, search);
                (Self::Search { visible, published_by, has_trigrams }, None)
            }
            _ => {
                let keys = Range::of(engine, listing).map_or_else(
                    || Self::Merge { lists: Lists::Followed, visible: visible_flyer(engine, listing, true) },
                    Self::Range,
                );
                (keys, None)
            }
        };
        match &keys {
            Self::Merge { .. } | Self::Search { .. } if listing.is_by_favorite() => {
                (Self::Range(Range::of_favorites_among(engine, &keys.all(engine, "f.id"))), bind)
            }
            _ => (keys, bind),
        }
    }

    /// Everything that is listed, in no order: a SELECT of `column` of each row.
    fn all(&self, engine: Engine, column: &str) -> String {
        match self {
            Self::Range(range) => range.all(column),
            Self::Merge { lists, visible } => format!("SELECT {column} FROM {}", lists.all(engine, visible)),
            Self::Search { visible, published_by, has_trigrams } => {
                let scan = ScanOrder::of(Direction::Forward);
                Search { engine, scan: &scan, visible, published_by, has_trigrams: *has_trigrams }.all(column)
            }
        }
    }

    /// The `(id, sorted_at)` of the listed flyers after the cursor, in order, up to `limit`.
    fn after_cursor(&self, engine: Engine, scan: &ScanOrder, limit: &str) -> String {
        match self {
            Self::Range(range) => range.after_cursor(scan, ":id", limit),
            Self::Merge { lists, visible } => {
                Merge { engine, scan, lists: *lists, visible }.after_cursor(":id", limit)
            }
            Self::Search { visible, published_by, has_trigrams } => {
                Search { engine, scan, visible, published_by, has_trigrams: *has_trigrams }
                    .after_cursor(":id", limit)
            }
        }
    }

    /// The `(id, sorted_at, distance)` of the listed flyers from the cursor's second to the second in which the page
    /// ends.
    fn to_last_second(&self, engine: Engine, scan: &ScanOrder) -> String {
        let distance = geo::distance_expression(engine);
        match self {
            Self::Range(range) => range.to_last_second(engine, scan),
            Self::Merge { lists, visible } => {
                Merge { engine, scan, lists: *lists, visible }.to_last_second(distance)
            }
            Self::Search { visible, published_by, has_trigrams } => {
                Search { engine, scan, visible, published_by, has_trigrams: *has_trigrams }
                    .to_last_second(distance)
            }
        }
    }

    /// The keys in the order of a list that is sorted by distance within a second.
    fn by_distance(&self, engine: Engine, scan: &ScanOrder) -> String {
        let ScanOrder { sort, distance_sort, after, before, .. } = scan;
        let rows = self.to_last_second(engine, scan);
        format!(
            "SELECT id, sorted_at, distance FROM ({rows}) f \
             WHERE sorted_at <> :at OR distance {before} :distance OR (distance = :distance AND id {after} :id) \
             ORDER BY sorted_at {sort}, distance {distance_sort}, id {sort} \
             LIMIT :limit OFFSET :offset"
        )
    }
}

/// The binds of a list, in its pages, counts and surveys.
pub(super) fn listing_binds(
    engine: Engine,
    listing: &Listing,
    now: NaiveDateTime,
) -> Vec<(&'static str, Value)> {
    let mut binds =
        vec![("now", Value::Time(now)), ("viewer", Value::Int(listing.feed.viewer().unwrap_or_default()))];
    binds.extend(listing.categories.map(|set| ("categories", Value::Int(i16::from(set).into()))));
    if let Some(circle) = listing.circle() {
        let (south, north) = circle.latitudes();
        binds.extend([
            ("radius", Value::Int(circle.radius_mm)),
            ("south", Value::Real(south)),
            ("north", Value::Real(north)),
        ]);
    }
    if let Some(search) = &listing.search {
        binds.extend(search::binds(engine, search));
    }
    if let Feed::Creator { creator, .. } = listing.feed {
        binds.push(("creator", Value::Int(creator)));
    }
    if let Some(location) = listing.location {
        binds.extend([("lat", Value::Real(location.latitude)), ("lng", Value::Real(location.longitude))]);
    }
    binds
}

/// The rows of a page and one more, in the direction of travel.
pub(in crate::feed) fn page(
    engine: Engine,
    request: &FeedRequest,
    path: AccessPath,
) -> Statement<CardColumns> {
    let FeedRequest { listing, page, now } = request;
    let scan = ScanOrder::of(page.direction());
    let position = page.position();
    let (keys, bind) = Keys::of(engine, listing, path);
    let mut binds = listing_binds(engine, listing, *now);
    binds.extend(bind);
    if let Keys::Search { .. } = keys {
        binds.extend(search::cursor_binds(engine, page.direction(), position.at, *now));
    }
    binds.extend([
        ("at", Value::Time(position.at)),
        ("id", Value::Int(position.id)),
        ("limit", Value::Int(page.limit().into())),
        ("offset", Value::Int(page.offset().into())),
        ("reach", Value::Int((page.offset() + page.limit()).into())),
        ("end", Value::Time(scan.end.at)),
    ]);
    let (keys, distance) = if listing.is_sorted_by_distance() {
        binds.extend([
            ("distance", Value::Int(position.distance)),
            ("beyond", Value::Int(scan.after_all_ids)),
            ("last", Value::Int((page.offset() + page.limit() - 1).into())),
        ]);
        (keys.by_distance(engine, &scan), "k.distance")
    } else {
        let keys = keys.after_cursor(engine, &scan, ":limit OFFSET :offset");
        let distance = match listing.location {
            Some(_) => geo::distance_expression(engine),
            None => "CAST(NULL AS bigint)",
        };
        (format!("SELECT id, sorted_at, 0 AS distance FROM ({keys}) k"), distance)
    };
    // The literal limit changes nothing in the result. PostgreSQL takes a bound limit for a tenth of all rows, and
    // would fetch those by scans of whole tables.
    let max = MAX_PAGE_SIZE + 1;
    let ScanOrder { sort, distance_sort, .. } = scan;
    cards(
        engine,
        &format!("(SELECT * FROM ({keys}) k LIMIT {max}) k"),
        distance,
        &format!("k.sorted_at {sort}, k.distance {distance_sort}, k.id {sort}"),
        &binds,
    )
    .named("feed_page")
}

/// The number of listed flyers, up to the limit of exact counts and one more.
pub(in crate::feed) fn count(
    engine: Engine,
    listing: &Listing,
    now: NaiveDateTime,
    path: AccessPath,
) -> Statement<BigInt> {
    let limit = COUNT_LIMIT + 1;
    let (keys, bind) = Keys::of(engine, listing, path);
    let text = format!("SELECT count(*) FROM ({} LIMIT {limit}) f", keys.all(engine, "1"));
    let mut binds = listing_binds(engine, listing, now);
    binds.extend(bind);
    Statement::new(text, &binds).named("feed_count")
}
