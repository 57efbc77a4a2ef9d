//! Test requests for feeds with a search text or a radius, and the rows that they must return.
//!
//! The expected rows come from a plain join and a plain comparison of text, as in the parent module.

use std::cmp::Reverse;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_query;
use diesel::sql_types::{BigInt, Double, Timestamp};
use feed_core::db::Db;
use feed_core::feed::{Feed, Listing, Order};
use feed_core::geo::Location;
use feed_core::page::Position;
use feed_core::text;

use super::Ordered;
use crate::shapes::{PLACE, RARE_WORD, Shape};

/// A place without flyers: in the Atlantic.
const SEA: Location = Location { latitude: 45.0, longitude: -30.0 };

/// A search text, a radius around a place, or both.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchCase {
    /// The name in `budgets.toml`, in test output and for [`Self::by_name`].
    pub name: &'static str,
    search: Option<&'static str>,
    /// The centre and the radius in kilometres.
    circle: Option<(Location, i64)>,
}

const fn case(
    name: &'static str,
    search: Option<&'static str>,
    circle: Option<(Location, i64)>,
) -> SearchCase {
    SearchCase { name, search, circle }
}

/// All cases. The first [`SELECTIVE`] of them match few flyers, or flyers of a known place.
pub const SEARCH_CASES: [SearchCase; 9] = [
    case("rare", Some(RARE_WORD), None),
    case("nowhere", Some("xqzvw"), None),
    case("city", None, Some((PLACE, 2))),
    case("country", None, Some((PLACE, 500))),
    case("sea", None, Some((SEA, 500))),
    case("rare in the city", Some(RARE_WORD), Some((PLACE, 2))),
    case("frequent in the city", Some("WORKSHOP"), Some((PLACE, 2))),
    case("frequent", Some("WORKSHOP"), None),
    case("two letters", Some("qz"), None),
];

/// The first so many of [`SEARCH_CASES`] are selective for every viewer.
pub const SELECTIVE: usize = SEARCH_CASES.len() - 2;

/// The shapes that search: the main feed, and viewers with few and with many relations.
pub const SEARCHERS: [Shape; 5] =
    [Shape::All, Shape::Follows100, Shape::Follows10000, Shape::Favorites100, Shape::Favorites10000];

#[derive(QueryableByName)]
struct Found {
    #[diesel(sql_type = BigInt)]
    id: i64,
    /// The time by which the feed is sorted.
    #[diesel(sql_type = Timestamp)]
    at: NaiveDateTime,
    #[diesel(sql_type = Double)]
    latitude: f64,
    #[diesel(sql_type = Double)]
    longitude: f64,
}

impl SearchCase {
    /// The case with this name.
    pub fn by_name(name: &str) -> Self {
        *SEARCH_CASES.iter().find(|case| case.name == name).expect("a case of this name exists")
    }

    /// The list that is requested, for the feed of a shape.
    pub fn listing(self, shape: Shape) -> Listing {
        let radius_mm = self.circle.map(|(_, km)| km * 1_000_000);
        let location = self.circle.map(|(center, _)| center);
        Listing { location, radius_mm, search: self.search.map(text::fold), ..shape.feed().into() }
    }

    /// The rows of that list, in its order.
    pub fn rows(self, c: &mut Db, shape: Shape) -> Ordered {
        self.rows_of(c, shape, self.listing(shape))
    }

    /// The rows of the shape's favorites, most recently favorited first.
    pub fn favorited(self, c: &mut Db, shape: Shape) -> Ordered {
        self.rows_of(c, shape, Listing { order: Order::Favorited, ..self.listing(shape) })
    }

    fn rows_of(self, c: &mut Db, shape: Shape, listing: Listing) -> Ordered {
        let is_favorited = listing.order == Order::Favorited;
        let at = if is_favorited { "w.created_at" } else { "f.created_at" };
        let from = match shape.feed() {
            Feed::All(_) => "flyers f",
            Feed::Following(_) => "follows w JOIN flyers f ON f.creator_id = w.followed_id",
            Feed::Favorites(_) => "favorites w JOIN flyers f ON f.id = w.flyer_id",
            Feed::Creator { .. } => unreachable!("no shape loads a creator's feed"),
        };
        let related = match shape.feed() {
            Feed::Following(viewer) => format!("w.follower_id = {viewer}"),
            Feed::Favorites(viewer) => format!("w.user_id = {viewer}"),
            _ => "TRUE".to_owned(),
        };
        let word = self.search.map(str::to_lowercase).unwrap_or_default();
        let columns = ["f.title", "f.description", "f.location_address", "u.username"];
        let has = columns.map(|column| format!("lower({column}) LIKE '%{word}%'")).join(" OR ");
        let [from_now, until_now] = match c {
            Db::Sqlite(_) => ["?", "?"],
            Db::Postgres(_) => ["$1", "$2"],
        };
        let query = format!(
            "SELECT f.id, {at} AS at, f.latitude, f.longitude FROM {from} JOIN users u ON u.id = f.creator_id \
             WHERE {related} AND f.valid_from <= {from_now} AND f.valid_until > {until_now} AND ({has})"
        );
        let now = shape.now();
        let found: Vec<Found> =
            sql_query(query).bind::<Timestamp, _>(now).bind::<Timestamp, _>(now).load(c).unwrap();
        let mut newest: Vec<Position> = found
            .into_iter()
            .filter_map(|row| {
                let place = Location { latitude: row.latitude, longitude: row.longitude };
                let distance = self.circle.map(|(center, km)| (center.distance_mm(place), km * 1_000_000));
                let is_near = distance.is_none_or(|(mm, most)| mm <= most);
                let distance = distance.filter(|_| !is_favorited).map(|(mm, _)| mm).unwrap_or_default();
                is_near.then_some(Position { at: row.at, distance, id: row.id })
            })
            .collect();
        newest.sort_unstable_by_key(|p| (Reverse(p.at), p.distance, Reverse(p.id)));
        Ordered { listing, now, newest, tail: None }
    }
}
