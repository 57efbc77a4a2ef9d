//! The survey that chooses an access path: see [`crate::feed::AccessPath`].

use diesel::sql_types::BigInt;

use super::merge::Lists;
use super::page::listing_binds;
use super::terms::{flyer_by_id, is_near, not_expired};
use crate::engine::Engine;
use crate::feed::access_path::{FEW_PLACES, HARDLY_ANY, MANY_FOLLOWS, MANY_ROWS, SAMPLE};
use crate::feed::listing::{Feed, Listing};
use crate::sql::{Statement, Value, by_index};
use crate::text;

/// The columns of a survey, in the order of [`Survey`](crate::feed::Survey)'s fields.
pub type SurveyColumns = (BigInt, BigInt, BigInt, BigInt);

/// One row. It costs some thousand index rows; a circle of hundreds of kilometres at a pole has ten thousand cells.
pub(in crate::feed) fn survey(engine: Engine, listing: &Listing) -> Statement<SurveyColumns> {
    let relations = relations(engine, listing.feed);
    let mut binds = listing_binds(engine, listing, chrono::NaiveDateTime::default());
    let around = listing.circle().map_or_else(
        || "0".to_owned(),
        |circle| {
            let cover = circle.cover();
            binds.push(("cells", Value::Text(Lists::cells(engine, &cover.cells))));
            let flyers = Lists::Cells(cover.grid).all(engine, &not_expired("f."));
            let limit = match listing.search {
                None => MANY_ROWS.to_string(),
                Some(_) => format!(
                    "(SELECT CASE WHEN searched < {HARDLY_ANY} THEN {FEW_PLACES} ELSE {MANY_ROWS} END FROM s LIMIT 1)"
                ),
            };
            format!("(SELECT count(*) FROM (SELECT 1 FROM {flyers} LIMIT {limit}) f)")
        },
    );
    let (few, sample) = (listing.few_relations(), sample(engine, listing));
    Statement::new(
        format!(
            "WITH r AS MATERIALIZED (SELECT {relations} AS n), \
             s AS MATERIALIZED (SELECT coalesce(sum(near) * {SAMPLE} / count(*), 0) AS near, \
             coalesce(sum(searched) * {SAMPLE} / count(*), 0) AS searched FROM {sample} HAVING count(*) > 0 \
             UNION ALL SELECT 0, 0), \
             p AS MATERIALIZED (SELECT CASE WHEN n < {few} THEN 0 ELSE {around} END AS n FROM r) \
             SELECT CAST(r.n AS bigint), CAST(p.n AS bigint), CAST(s.near AS bigint), CAST(s.searched AS bigint) \
             FROM r, p, s LIMIT 1"
        ),
        &binds,
    )
    .named("feed_survey")
}

/// The number of flyers that a feed's relations lead to, up to [`MANY_ROWS`].
fn relations(engine: Engine, feed: Feed) -> String {
    match feed {
        Feed::All(_) => MANY_ROWS.to_string(),
        Feed::Favorites(_) => {
            let favorites = by_index(engine, "favorites v", "favorites_feed");
            format!(
                "(SELECT count(*) FROM (SELECT 1 FROM {favorites} WHERE v.user_id = :viewer \
                 AND v.flyer_expired = FALSE LIMIT {MANY_ROWS}) v)"
            )
        }
        Feed::Following(_) => {
            let follows = format!("{} LIMIT {MANY_FOLLOWS}", Lists::Followed.keys(engine, ""));
            let list = format!(
                "{} WHERE f.creator_id = w.key AND f.expired = FALSE",
                by_index(engine, "flyers f", "flyers_creator_feed")
            );
            let flyers = match engine {
                Engine::Sqlite => format!("({follows}) w CROSS JOIN {list}"),
                Engine::Postgres => {
                    format!("({follows}) w CROSS JOIN LATERAL (SELECT 1 FROM {list} OFFSET 0) f")
                }
            };
            format!(
                "CASE WHEN (SELECT count(*) FROM ({follows}) w) = {MANY_FOLLOWS} THEN {MANY_ROWS} ELSE \
                 (SELECT count(*) FROM (SELECT 1 FROM {flyers} LIMIT {MANY_ROWS}) f) END"
            )
        }
        Feed::Creator { .. } => {
            let flyers = by_index(engine, "flyers f", "flyers_creator_feed");
            format!(
                "(SELECT count(*) FROM (SELECT 1 FROM {flyers} WHERE f.creator_id = :creator AND f.expired = FALSE \
                 LIMIT {MANY_ROWS}) f)"
            )
        }
    }
}

/// A sample of flyers, spread over all ids that were given. Each row tells as 1 or 0 whether the flyer is `near` and
/// whether it matches the search, `searched`.
///
/// The sample is empty where the relations are few. It is smaller where flyers have expired or were deleted.
fn sample(engine: Engine, listing: &Listing) -> String {
    let (last, few) = (SAMPLE - 1, listing.few_relations());
    let numbers = match engine {
        Engine::Sqlite => format!(
            "(WITH RECURSIVE n (i) AS (SELECT 0 FROM r WHERE r.n >= {few} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
             SELECT i FROM n) n"
        ),
        Engine::Postgres => {
            format!("generate_series(0, (SELECT {last} FROM r WHERE r.n >= {few})) AS n (i)")
        }
    };
    let end = |sort: &str| format!("(SELECT f.id FROM flyers f ORDER BY f.id {sort} LIMIT 1)");
    let ends = format!("(SELECT {} AS first, {} AS last LIMIT 1) e", end("ASC"), end("DESC"));
    // Steps by the golden ratio. Equal steps could coincide with something that recurs at equal intervals.
    let id = "e.first + CAST((e.last - e.first) * (n.i * 618034 % 1000000 / 1000000.0) AS bigint)";
    let flyer = flyer_by_id(engine, id).and(&not_expired("f."));
    let as_number = |condition: String| format!("CASE WHEN {condition} THEN 1 ELSE 0 END");
    let none = || "0".to_owned();
    let near = listing.circle().map_or_else(none, |_| as_number(is_near(engine)));
    let searched = listing.search.as_ref().map_or_else(none, |_| as_number(text::finds(engine)));
    format!("(SELECT {near} AS near, {searched} AS searched FROM {ends} CROSS JOIN {numbers} {flyer}) f")
}
