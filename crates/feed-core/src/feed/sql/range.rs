//! Keys out of one index range: feeds that are a single list in the order of an index.

use super::terms::{ScanOrder, filters, flyer_by_id, id_key, visible, visible_flyer};
use crate::engine::Engine;
use crate::feed::listing::{Feed, Listing};
use crate::geo;
use crate::sql::{by_index, seek};

/// A list that one index has in order.
pub(super) struct Range {
    /// The table with the beginning of a condition, which ends in WHERE or AND.
    from: String,
    /// The column that the list is sorted by.
    at: &'static str,
    /// The column that breaks ties.
    id: &'static str,
    /// Which rows are listed.
    visible: String,
    /// The same as `from` for each part of a list that is several ranges of one index; none where it is one.
    parts: Vec<String>,
}

impl Range {
    /// The range of a feed's own index; none for the following feed, which is many lists.
    pub(super) fn of(engine: Engine, listing: &Listing) -> Option<Self> {
        let of_favorites = |index, at| {
            let favorites = by_index(engine, "favorites v", index);
            Self {
                from: format!("{favorites} WHERE v.user_id = :viewer AND"),
                at,
                id: "v.flyer_id",
                visible: visible(engine, listing, "v.flyer_")
                    + &filters(engine, listing, true, |f| {
                        format!("(SELECT {f} FROM flyers f WHERE f.id = v.flyer_id)")
                    }),
                parts: Vec::new(),
            }
        };
        let of_flyers = |from: String| Self {
            from,
            at: "f.created_at",
            id: id_key(engine),
            visible: visible_flyer(engine, listing, true),
            parts: Vec::new(),
        };
        Some(match listing.feed {
            Feed::All(_) => of_flyers(format!("{} WHERE", by_index(engine, "flyers f", "flyers_feed"))),
            Feed::Favorites(_) if listing.is_by_favorite() => {
                of_favorites("favorites_recent_feed", "v.created_at")
            }
            Feed::Favorites(_) => of_favorites("favorites_feed", "v.flyer_created_at"),
            Feed::Following(_) => return None,
            Feed::Creator { .. } if listing.feed.is_own() => {
                // Two ranges of one index. Both engines merge them in order.
                let flyers = match engine {
                    Engine::Sqlite => by_index(engine, "flyers f", "flyers_creator_recent"),
                    Engine::Postgres => "flyers f".to_owned(),
                };
                let creator = seek(engine, ":creator");
                let part = |mark| format!("{flyers} WHERE f.creator_id = {creator} AND f.expired = {mark}");
                let all =
                    ["FALSE", "TRUE"].map(|mark| format!("SELECT * FROM {}", part(mark))).join(" UNION ALL ");
                let parts = match engine {
                    Engine::Sqlite => Vec::new(),
                    // PostgreSQL might read all of both and sort.
                    Engine::Postgres => ["FALSE", "TRUE"].map(|mark| format!("{} AND", part(mark))).into(),
                };
                Self { parts, ..of_flyers(format!("({all}) f WHERE")) }
            }
            Feed::Creator { .. } => {
                let flyers = by_index(engine, "flyers f", "flyers_creator_feed");
                of_flyers(format!("{flyers} WHERE f.creator_id = :creator AND"))
            }
        })
    }

    /// The favorites among the flyers whose ids a SELECT returns, in the order of the favorites.
    ///
    /// No index of flyers has that order: all of them are gathered and sorted.
    pub(super) fn of_favorites_among(engine: Engine, ids: &str) -> Self {
        let favorite = "favorites v WHERE v.user_id = :viewer AND v.flyer_id = g.id";
        let from = match engine {
            Engine::Sqlite => format!("({ids}) g CROSS JOIN {favorite} AND"),
            Engine::Postgres => {
                format!("({ids}) g CROSS JOIN LATERAL (SELECT * FROM {favorite} LIMIT 1) v WHERE")
            }
        };
        Self { from, at: "v.created_at", id: "v.flyer_id", visible: "TRUE".to_owned(), parts: Vec::new() }
    }

    /// The whole list, in no order: a SELECT of `column` of each row.
    pub(super) fn all(&self, column: &str) -> String {
        let Self { from, visible, .. } = self;
        format!("SELECT {column} FROM {from} {visible}")
    }

    /// The `(id, sorted_at)` of the rows after `(:at, {id})`, in order, up to `limit`.
    pub(super) fn after_cursor(&self, scan: &ScanOrder, id: &str, limit: &str) -> String {
        let Self { from, at, id: row_id, visible, parts } = self;
        let ScanOrder { sort, after, .. } = scan;
        let rows = |from: &str, limit: &str| {
            format!(
                "SELECT {row_id} AS id, {at} AS sorted_at FROM {from} {visible} \
                 AND ({at}, {row_id}) {after} (:at, {id}) \
                 ORDER BY {at} {sort}, {row_id} {sort} \
                 LIMIT {limit}"
            )
        };
        if parts.is_empty() {
            return rows(from, limit);
        }
        let parts: Vec<_> = parts.iter().map(|part| format!("({})", rows(part, ":reach"))).collect();
        format!(
            "SELECT id, sorted_at FROM (SELECT id, sorted_at FROM ({}) f OFFSET 0) f \
             ORDER BY sorted_at {sort}, id {sort} LIMIT {limit}",
            parts.join(" UNION ALL ")
        )
    }

    /// The `(id, sorted_at, distance)` of the rows from the cursor's second to the second in which the page ends.
    pub(super) fn to_last_second(&self, engine: Engine, scan: &ScanOrder) -> String {
        let Self { from, at, id, visible, .. } = self;
        let distance = geo::distance_expression(engine);
        let last_of = scan.last_of;
        let walked = self.after_cursor(scan, ":beyond", ":reach");
        let second = |second: &str| {
            format!("SELECT {id} AS id, {at} AS sorted_at FROM {from} {visible} AND {at} = {second}")
        };
        let (first_second, last_second) = (second(":at"), second("(SELECT at FROM edge)"));
        let flyer = flyer_by_id(engine, "k.id").alone();
        // The scan cuts the last second off somewhere, so its rows are read again. No other row is read twice.
        format!(
            "WITH walked AS MATERIALIZED ({walked}), \
             edge AS MATERIALIZED (\
             SELECT CASE WHEN count(*) = :reach THEN {last_of}(sorted_at) END AS at FROM walked) \
             SELECT f.id, k.sorted_at, {distance} AS distance FROM (\
             SELECT id, sorted_at FROM walked WHERE sorted_at <> coalesce((SELECT at FROM edge), :end) \
             UNION ALL {first_second} \
             UNION ALL {last_second}) k {flyer}"
        )
    }
}
