//! The SQL of the feeds: which flyers are on a page, and what a card shows of them.
//!
//! Every page query has the same two layers. The inner one, the *keys*, walks narrow indexes from a
//! position in one direction and yields `(id, created_at, distance)` of the page's rows and no more. The
//! outer one fetches those rows with creator and flags. A position is always there: the first page starts
//! at [`Position::START`](crate::page::Position::START), so there is one form for every page.
//!
//! Without a location the order is that of the indexes, `(created_at, id)`. With one, flyers of the same
//! second are ordered by distance, which no index knows. Then the keys take two steps: walk by
//! `(created_at, id)` to find the second in which the page ends, the *edge*; then take everything from the
//! position's second to the edge, compute the distances of those only, sort and cut.
//!
//! The following feed is in [`following`].

use chrono::NaiveDateTime;
use diesel::sql_types::BigInt;

use super::{CardColumns, Feed, FeedRequest, following};
use crate::db::Engine;
use crate::geo;
use crate::page::{COUNT_LIMIT, Direction, MAX_PAGE_SIZE, Position};
use crate::sql::{Statement, Value};

/// Valid now: judged by the clock in every query.
pub(super) const VALID: &str = "f.valid_from <= :now AND f.valid_until > :now";

/// The words that turn a query round.
pub(super) struct Way {
    /// Order of `created_at` and `id`.
    pub(super) order: &'static str,
    /// Order of `distance`, which is sorted the other way.
    pub(super) distance_order: &'static str,
    /// What a key is to the position it lies behind.
    pub(super) behind: &'static str,
    /// What a key is to a position that it lies before; a distance, which is sorted the other way, to one
    /// that it lies behind.
    pub(super) before: &'static str,
    /// An id behind all others of its second.
    pub(super) beyond: i64,
    /// A position behind all rows.
    pub(super) end: Position,
}

impl Way {
    fn of(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self {
                order: "DESC",
                distance_order: "ASC",
                behind: "<",
                before: ">",
                beyond: 0,
                end: Position::END,
            },
            Direction::Backward => Self {
                order: "ASC",
                distance_order: "DESC",
                behind: ">",
                before: "<",
                beyond: i64::MAX,
                end: Position::START,
            },
        }
    }
}

pub(super) fn page(engine: Engine, request: &FeedRequest) -> Statement<CardColumns> {
    let way = Way::of(request.page.direction());
    let position = request.page.position();
    let mut binds = vec![
        ("now", Value::Time(request.now)),
        ("viewer", Value::Int(request.feed.viewer().unwrap_or_default())),
        ("at", Value::Time(position.at)),
        ("id", Value::Int(position.id)),
        ("limit", Value::Int(request.page.limit().into())),
        ("offset", Value::Int(request.page.offset().into())),
        ("reach", Value::Int((request.page.offset() + request.page.limit()).into())),
        ("end", Value::Time(way.end.at)),
    ];
    let keys = match request.location {
        None => format!(
            "SELECT id, created_at, CAST(NULL AS bigint) AS distance FROM ({}) k",
            walk(engine, request.feed, &way, ":id", ":limit OFFSET :offset"),
        ),
        Some(location) => {
            binds.extend([
                ("lat", Value::Real(location.latitude)),
                ("lng", Value::Real(location.longitude)),
                ("distance", Value::Int(position.distance)),
                ("beyond", Value::Int(way.beyond)),
                ("last", Value::Int((request.page.offset() + request.page.limit() - 1).into())),
            ]);
            by_distance(engine, request.feed, &way)
        }
    };
    // The literal limit says nothing new to the result, but to PostgreSQL: it guesses a bound limit to be
    // a tenth of all rows, and would fetch those by whole tables.
    let max = MAX_PAGE_SIZE + 1;
    let Way { order, distance_order, .. } = way;
    cards(
        &format!("(SELECT * FROM ({keys}) k LIMIT {max}) k"),
        &format!("k.created_at {order}, k.distance {distance_order}, k.id {order}"),
        &binds,
    )
}

/// One flyer by its id.
pub(super) fn single(flyer_id: i64, viewer: Option<i64>) -> Statement<CardColumns> {
    cards(
        "(SELECT CAST(:id AS bigint) AS id, CAST(NULL AS bigint) AS distance) k",
        "k.id",
        &[("id", Value::Int(flyer_id)), ("viewer", Value::Int(viewer.unwrap_or_default()))],
    )
}

/// Fetches what a card shows of the flyers that `keys` names.
///
/// CROSS JOIN holds SQLite to this order: keys, flyers and creators by their primary keys. The flags are no
/// EXISTS: PostgreSQL would read all favorites and follows of the viewer into a hash for it.
fn cards(keys: &str, order: &str, binds: &[(&str, Value)]) -> Statement<CardColumns> {
    Statement::new(
        format!(
            "SELECT f.id, f.title, f.description, f.location_address, f.latitude, f.longitude, f.categories, \
             f.valid_from, f.valid_until, f.created_at, u.id, u.username, u.profile_picture_url, \
             coalesce((SELECT TRUE FROM favorites v WHERE v.user_id = :viewer AND v.flyer_id = f.id), FALSE), \
             coalesce((SELECT TRUE FROM follows w WHERE w.follower_id = :viewer AND w.followed_id = u.id), FALSE), \
             k.distance \
             FROM {keys} CROSS JOIN flyers f CROSS JOIN users u \
             WHERE f.id = k.id AND u.id = f.creator_id ORDER BY {order}"
        ),
        binds,
    )
}

/// The `(id, created_at)` of the feed's flyers behind `(:at, {id})`, by `(created_at, id)`, up to `limit`.
fn walk(engine: Engine, feed: Feed, way: &Way, id: &str, limit: &str) -> String {
    let Way { order, behind, .. } = way;
    match feed {
        Feed::All(_) => format!(
            "SELECT f.id, f.created_at FROM flyers f \
             WHERE (f.created_at, f.id) {behind} (:at, {id}) AND {VALID} \
             ORDER BY f.created_at {order}, f.id {order} LIMIT {limit}"
        ),
        Feed::Favorites(_) => format!(
            "SELECT v.flyer_id AS id, v.flyer_created_at AS created_at FROM favorites v CROSS JOIN flyers f \
             WHERE f.id = v.flyer_id AND v.user_id = :viewer \
             AND (v.flyer_created_at, v.flyer_id) {behind} (:at, {id}) AND {VALID} \
             ORDER BY v.flyer_created_at {order}, v.flyer_id {order} LIMIT {limit}"
        ),
        Feed::Following(_) => following::walk(engine, way, id, limit),
    }
}

/// The keys in the order of a feed with a location: see the module's text.
fn by_distance(engine: Engine, feed: Feed, way: &Way) -> String {
    let Way { order, distance_order, behind, before, .. } = way;
    let distance = geo::distance_expression(engine);
    let rows = match feed {
        Feed::Following(_) => following::down_to_the_edge(engine, way, distance),
        Feed::All(_) | Feed::Favorites(_) => {
            // Rows of the position's own second come on top of these: the edge is never too near.
            let edge = walk(engine, feed, way, ":beyond", "1 OFFSET :last");
            let (from, at) = source(feed);
            format!(
                "SELECT f.id, f.created_at, {distance} AS distance FROM {from} {at} {behind}= :at \
                 AND {at} {before}= coalesce((SELECT created_at FROM ({edge}) e), :end) AND {VALID}"
            )
        }
    };
    format!(
        "SELECT id, created_at, distance FROM ({rows}) f \
         WHERE created_at <> :at OR distance {before} :distance OR (distance = :distance AND id {behind} :id) \
         ORDER BY created_at {order}, distance {distance_order}, id {order} LIMIT :limit OFFSET :offset"
    )
}

/// Counts the feed's valid flyers up to the limit of exact counts and one.
pub(super) fn count(feed: Feed, now: NaiveDateTime) -> Statement<BigInt> {
    let (from, _) = source(feed);
    let limit = COUNT_LIMIT + 1;
    Statement::new(
        format!("SELECT count(*) FROM (SELECT 1 FROM {from} {VALID} LIMIT {limit}) f"),
        &[("now", Value::Time(now)), ("viewer", Value::Int(feed.viewer().unwrap_or_default()))],
    )
}

/// The tables of a feed with the start of their condition, and the column that its index sorts by.
fn source(feed: Feed) -> (&'static str, &'static str) {
    match feed {
        Feed::All(_) => ("flyers f WHERE", "f.created_at"),
        Feed::Favorites(_) => (
            "favorites v CROSS JOIN flyers f WHERE f.id = v.flyer_id AND v.user_id = :viewer AND",
            "v.flyer_created_at",
        ),
        Feed::Following(_) => (
            "follows w CROSS JOIN flyers f WHERE f.creator_id = w.followed_id AND w.follower_id = :viewer AND",
            "f.created_at",
        ),
    }
}
