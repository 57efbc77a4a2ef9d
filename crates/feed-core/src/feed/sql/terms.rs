//! Conditions and joins that several queries share.

use crate::engine::Engine;
use crate::feed::listing::{Feed, Listing};
use crate::geo;
use crate::page::{Direction, Position};
use crate::text;

/// The parts of a query that depend on the direction of travel.
pub(super) struct ScanOrder {
    /// Sort direction of `sorted_at` and `id`.
    pub(super) sort: &'static str,
    /// Sort direction of `distance`, which is the opposite one.
    pub(super) distance_sort: &'static str,
    /// Aggregate function that returns the last of several times.
    pub(super) last_of: &'static str,
    /// Comparison operator for rows after the cursor.
    pub(super) after: &'static str,
    /// Comparison operator for rows before the cursor. Distance sorts the opposite way, so for distance it means after.
    pub(super) before: &'static str,
    /// An id after all ids of the same second.
    pub(super) after_all_ids: i64,
    /// A position after all rows.
    pub(super) end: Position,
}

impl ScanOrder {
    pub(super) fn of(direction: Direction) -> Self {
        match direction {
            Direction::Forward => Self {
                sort: "DESC",
                distance_sort: "ASC",
                last_of: "min",
                after: "<",
                before: ">",
                after_all_ids: 0,
                end: Position::END,
            },
            Direction::Backward => Self {
                sort: "ASC",
                distance_sort: "DESC",
                last_of: "max",
                after: ">",
                before: "<",
                after_all_ids: i64::MAX,
                end: Position::START,
            },
        }
    }
}

/// The id of the flyer `f` as the second key of an index.
///
/// SQLite can start an index scan at `(created_at, id)` only where the id is an ordinary column, not the rowid. With
/// the rowid, a page after 10,000 flyers of one second would skip them one by one.
pub(super) fn id_key(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "f.id_key",
        Engine::Postgres => "f.id",
    }
}

/// The condition of the feeds' partial indexes.
///
/// It has the indexes' own words and no bind: a partial index serves a query only where the text implies its condition.
/// It is an equation: SQLite then knows the column's value and does not read the row for it.
pub(super) fn not_expired(prefix: &str) -> String {
    format!("{prefix}expired = FALSE")
}

/// Valid now and of a wanted category. The feed's index has all columns that this reads.
///
/// `IS TRUE` changes nothing in the result. It keeps PostgreSQL from scanning the index on `valid_from`, which holds
/// nearly all flyers, where it expects few matches of the other conditions.
pub(super) fn visible(engine: Engine, listing: &Listing, prefix: &str) -> String {
    let valid = if listing.feed.is_own() {
        "TRUE".to_owned()
    } else {
        let not_expired = not_expired(prefix);
        let is_now = match engine {
            // `+` takes the column's numeric affinity away. With it, SQLite tries to read both texts as numbers for every row.
            Engine::Sqlite => format!("+{prefix}valid_from <= :now AND +{prefix}valid_until > :now"),
            Engine::Postgres => {
                format!("({prefix}valid_from <= :now) IS TRUE AND {prefix}valid_until > :now")
            }
        };
        format!("{not_expired} AND {is_now}")
    };
    match listing.categories {
        None => valid,
        Some(_) => format!("{valid} AND {prefix}categories & :categories <> 0"),
    }
}

/// Place and search as conditions on the flyer `f`, with AND before them; empty where neither is asked.
///
/// `lookup` wraps the conditions where `f` is not a table of the query. `with_search` is false where the index of
/// trigrams has already compared the text.
pub(super) fn filters(
    engine: Engine,
    listing: &Listing,
    with_search: bool,
    lookup: impl Fn(String) -> String,
) -> String {
    let mut filters = Vec::new();
    if listing.circle().is_some() {
        filters.push(is_near(engine));
    }
    if with_search && listing.search.is_some() {
        filters.push(text::finds(engine));
    }
    if filters.is_empty() { String::new() } else { format!(" AND {}", lookup(filters.join(" AND "))) }
}

/// Whether the flyer `f` lies within the circle. The range of latitudes rules most flyers out without trigonometry.
pub(super) fn is_near(engine: Engine) -> String {
    let distance = geo::distance_expression(engine);
    format!("f.latitude BETWEEN :south AND :north AND {distance} <= :radius")
}

/// Everything that a listing asks of the flyer `f`, but for being in its feed.
pub(super) fn visible_flyer(engine: Engine, listing: &Listing, with_search: bool) -> String {
    visible(engine, listing, "f.") + &filters(engine, listing, with_search, |f| f)
}

/// Everything that a listing asks of the flyer `f`, where an index of places or texts found it.
pub(super) fn visible_in_feed(engine: Engine, listing: &Listing, with_search: bool) -> String {
    let visible = visible_flyer(engine, listing, with_search);
    match listing.feed {
        Feed::All(_) => visible,
        // By favorite, the matches are looked up in the favorites afterwards.
        Feed::Favorites(_) if listing.is_by_favorite() => visible,
        Feed::Favorites(_) => format!("{visible} AND {}", is_favorite(engine, "f.id")),
        Feed::Following(_) => format!("{visible} AND {}", is_followed(engine, "f.creator_id")),
        Feed::Creator { .. } => format!("f.creator_id = :creator AND {visible}"),
    }
}

/// Whether `:viewer` follows this user: one probe of a primary key.
///
/// It is not an EXISTS. PostgreSQL would turn that into a hash join and a sort; SQLite would make it one more table of
/// the join and no longer see that the scan is in order.
pub(super) fn is_followed(engine: Engine, user: &str) -> String {
    let one = one_row(engine);
    format!("(SELECT TRUE FROM follows w WHERE w.follower_id = :viewer AND w.followed_id = {user}{one})")
}

/// Whether this flyer is a favorite of `:viewer`: one probe of a primary key, as in [`is_followed`].
pub(super) fn is_favorite(engine: Engine, flyer: &str) -> String {
    let one = one_row(engine);
    format!("(SELECT TRUE FROM favorites v WHERE v.user_id = :viewer AND v.flyer_id = {flyer}{one})")
}

/// Without statistics, PostgreSQL expects several rows of one primary key, and builds bitmaps. For one row it does not.
/// SQLite needs no hint, and makes a join of an EXISTS only where there is no LIMIT.
fn one_row(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " LIMIT 1",
    }
}

/// One flyer `f` for each row of the tables before it, found by its id.
pub(super) struct FlyerById {
    /// The join, for FROM.
    pub(super) join: String,
    /// The condition that belongs to it, for WHERE; none where the join has it.
    pub(super) condition: Option<String>,
}

/// Joins each row with the flyer `f` that has this id: one probe of the primary key a row.
///
/// Both engines are held to that order: SQLite by CROSS JOIN, PostgreSQL by a LATERAL subquery that OFFSET 0 keeps from
/// being merged into the query. PostgreSQL might otherwise join all flyers first.
pub(super) fn flyer_by_id(engine: Engine, id: &str) -> FlyerById {
    match engine {
        Engine::Sqlite => {
            // NOT INDEXED leaves the rowid. SQLite might take another index if its statistics praise one.
            FlyerById {
                join: "CROSS JOIN flyers f NOT INDEXED".to_owned(),
                condition: Some(format!("f.id = {id}")),
            }
        }
        Engine::Postgres => FlyerById {
            join: format!("CROSS JOIN LATERAL (SELECT * FROM flyers f WHERE f.id = {id} OFFSET 0) f"),
            condition: None,
        },
    }
}

impl FlyerById {
    /// The join, with its condition as the whole WHERE clause.
    pub(super) fn alone(self) -> String {
        match self.condition {
            Some(condition) => format!("{} WHERE {condition}", self.join),
            None => self.join,
        }
    }

    /// The join, with its condition and another one in the WHERE clause.
    pub(super) fn and(self, other: &str) -> String {
        match self.condition {
            Some(condition) => format!("{} WHERE {condition} AND {other}", self.join),
            None => format!("{} WHERE {other}", self.join),
        }
    }
}
