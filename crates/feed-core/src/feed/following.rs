//! The SQL of the following feed: a merge of the followed creators' lists, and a look that often saves it.
//!
//! Who follows many creators finds the page among the newest flyers of all. The *look* walks those and tests
//! whether their creator is followed, over as many flyers as there are follows: a step of it costs less than
//! a probe, so that it never costs more than the merge that it may save. Where it does not find a whole page,
//! the merge runs. Both are one statement.
//!
//! The *merge* reads of each list what can be on the page and little more, however many flyers there are. It
//! probes each list for the row that lies `depth` rows down, the *mark*. Where q lists have their mark at a
//! moment or before it in the feed's order, q * (depth + 1) rows lie there: enough marks name a moment, the
//! *bound*, behind which no row of the page lies. For a page of few rows the depth is 0, the marks are the
//! lists' heads, and only the lists whose head lies before the bound are read on. A page that starts deep,
//! by its number, takes deeper marks: one row of each list alone would bound nothing.

use super::keys::{Way, by_index, id_key, unmarked};
use crate::db::Engine;

/// The look covers so many flyers at most: follows beyond this make the page likelier to be among them.
const LOOK: u32 = 2_000;

/// The flyer `f` is of a followed creator: one probe of the primary key.
///
/// Not EXISTS: PostgreSQL would turn it into a join, and the walk into a hash and a sort.
const FOLLOWED: &str =
    "(SELECT TRUE FROM follows w WHERE w.follower_id = :viewer AND w.followed_id = f.creator_id)";

/// How many creators the viewer follows.
const COUNTED: &str =
    "counted AS MATERIALIZED (SELECT count(*) AS follows FROM follows w WHERE w.follower_id = :viewer)";

/// How far down the marks lie: twice as far as they would if every list had as many rows before the bound.
const DEPTH: &str = "(SELECT 2 * :reach / (follows + 1) FROM counted)";

/// Whether the look found a whole page.
const IS_RECENT: &str = "(SELECT count(*) FROM recent) = :reach";

/// The look: the first `:reach` rows behind `(:at, {id})`, as far as it goes.
fn recent(engine: Engine, way: &Way, shown: &str, id: &str) -> String {
    let Way { order, behind, before, .. } = way;
    let (flyers, unmarked) = (by_index(engine, "flyers f", "flyers_feed"), unmarked("f."));
    let key = id_key(engine);
    let from = format!("FROM {flyers} WHERE {unmarked} AND (f.created_at, {key}) {behind} (:at, {id})");
    let by = format!("ORDER BY f.created_at {order}, {key} {order}");
    format!(
        "recent AS MATERIALIZED (SELECT f.id, f.created_at {from} AND f.created_at {before} coalesce((\
         SELECT f.created_at {from} {by} LIMIT 1 OFFSET (\
         SELECT CASE WHEN follows < {LOOK} THEN follows ELSE {LOOK} END FROM counted)), :end) \
         AND {shown} AND {FOLLOWED} {by} LIMIT :reach)"
    )
}

/// One list: the flyers of a creator, of whom `more` holds.
fn list(engine: Engine, creator: &str, shown: &str, more: &str) -> String {
    let flyers = by_index(engine, "flyers f", "flyers_creator_feed");
    format!("{flyers} WHERE f.creator_id = {creator} AND {more} AND {shown}")
}

/// The `(id, created_at)` of the page's rows in `lists (creator_id, mark)`, where `list` is what is left of a
/// list; what sorts them also takes the first `:reach`.
///
/// SQLite's sorter then leaves a list at the first row that does not make the page. PostgreSQL is told.
fn merge(engine: Engine, way: &Way, list: &str) -> String {
    let Way { order, before, .. } = way;
    let bound = format!(
        "coalesce((SELECT mark FROM lists WHERE mark IS NOT NULL ORDER BY mark {order} \
         LIMIT 1 OFFSET (:reach - 1) / ({DEPTH} + 1)), :end)"
    );
    let rows = format!("{list} AND f.created_at {before}= {bound}");
    let lists = format!("(SELECT creator_id FROM lists WHERE mark {before}= {bound} OR {DEPTH} > 0) l");
    let key = id_key(engine);
    match engine {
        Engine::Sqlite => format!("SELECT {key}, f.created_at FROM {lists} CROSS JOIN {rows}"),
        Engine::Postgres => {
            let by = format!("ORDER BY f.created_at {order}, {key} {order} LIMIT :reach");
            format!(
                "(SELECT f.id, f.created_at FROM {lists} \
                 CROSS JOIN LATERAL (SELECT f.created_at, f.id FROM {rows} {by}) f {by})"
            )
        }
    }
}

/// The `(id, sorted_at)` of the feed's flyers behind `(:at, {id})`, by `(created_at, id)`, up to `limit`:
/// of those that are `shown`, a condition on the flyer `f`.
pub(super) fn walk(engine: Engine, shown: &str, way: &Way, id: &str, limit: &str) -> String {
    let Way { order, behind, .. } = way;
    let recent = recent(engine, way, shown, id);
    let key = id_key(engine);
    let by = format!("ORDER BY f.created_at {order}, {key} {order}");
    let behind = format!("(f.created_at, {key}) {behind} (:at, {id})");
    let left = |creator: &str| list(engine, creator, shown, &behind);
    let (all, left) = (left("w.followed_id"), left("l.creator_id"));
    let merge = merge(engine, way, &left);
    format!(
        "WITH {COUNTED}, {recent}, \
         lists AS MATERIALIZED (SELECT w.followed_id AS creator_id, \
         (SELECT f.created_at FROM {all} {by} LIMIT 1 OFFSET {DEPTH}) AS mark \
         FROM follows w WHERE w.follower_id = :viewer AND NOT {IS_RECENT}) \
         SELECT f.id, f.created_at AS sorted_at FROM (SELECT id, created_at FROM recent WHERE {IS_RECENT} \
         UNION ALL {merge}) f ORDER BY f.created_at {order}, f.id {order} LIMIT {limit}"
    )
}

/// The `(id, sorted_at, distance)` of the feed's flyers from the position's second to the one in which the
/// page ends.
///
/// The merge probes each list once here too: a head that lies behind the position's second is the mark, and the
/// lists whose head, seen from that second, lies behind the edge have no part in the page.
pub(super) fn down_to_the_edge(engine: Engine, shown: &str, way: &Way, distance: &str) -> String {
    let Way { order, behind, before, .. } = way;
    let recent = recent(engine, way, shown, ":beyond");
    let by = format!("ORDER BY f.created_at {order}, {} {order}", id_key(engine));
    let from_here = list(engine, "w.followed_id", shown, &format!("f.created_at {behind}= :at"));
    let from_next = |creator: &str| list(engine, creator, shown, &format!("f.created_at {behind} :at"));
    let (all, left) = (from_next("h.creator_id"), from_next("l.creator_id"));
    let merge = merge(engine, way, &left);
    let page = format!("{before}= coalesce((SELECT created_at FROM edge), :end)");
    // No second at all where the look failed: a range that nothing is in, and no walk that a condition ends.
    let recent_page = format!("{before}= (SELECT created_at FROM edge WHERE {IS_RECENT})");
    let row = format!("SELECT f.id, f.created_at AS sorted_at, {distance} AS distance FROM");
    let newest = by_index(engine, "flyers f", "flyers_feed");
    let of_list =
        list(engine, "h.creator_id", shown, &format!("f.created_at {behind}= :at AND f.created_at {page}"));
    // PostgreSQL may rather read all flyers of the page's seconds: OFFSET 0 keeps it to a list a head.
    let of_heads = match engine {
        Engine::Sqlite => format!("{row} heads h CROSS JOIN {of_list} AND h.head {page}"),
        Engine::Postgres => format!(
            "SELECT f.id, f.sorted_at, f.distance FROM heads h \
             CROSS JOIN LATERAL ({row} {of_list} OFFSET 0) f WHERE h.head {page}"
        ),
    };
    format!(
        "WITH {COUNTED}, {recent}, \
         heads AS MATERIALIZED (SELECT w.followed_id AS creator_id, \
         (SELECT f.created_at FROM {from_here} {by} LIMIT 1) AS head \
         FROM follows w WHERE w.follower_id = :viewer AND NOT {IS_RECENT}), \
         lists AS MATERIALIZED (SELECT creator_id, CASE WHEN {DEPTH} = 0 AND head {behind} :at THEN head \
         ELSE (SELECT f.created_at FROM {all} {by} LIMIT 1 OFFSET {DEPTH}) END AS mark \
         FROM heads h WHERE head IS NOT NULL), \
         edge AS MATERIALIZED (SELECT created_at FROM (SELECT id, created_at FROM recent WHERE {IS_RECENT} \
         UNION ALL {merge}) f ORDER BY f.created_at {order}, f.id {order} LIMIT 1 OFFSET :last) \
         {row} {newest} WHERE f.created_at {behind}= :at AND f.created_at {recent_page} \
         AND {shown} AND {FOLLOWED} \
         UNION ALL {of_heads}"
    )
}
