//! The SQL of the following feed: a merge of the followed creators' lists, and a look that often saves it.
//!
//! The first n rows of a merge of sorted lists come from the n lists with the best heads. So the *merge* looks
//! at the head of each list and then at n rows of n lists, however many flyers there are: one probe of an
//! index a follow. SQLite does this by itself: its sorter for ORDER BY with LIMIT leaves a creator's list at
//! the first row that does not make the page. PostgreSQL is told.
//!
//! Who follows many creators finds the page among the newest flyers of all. The *look* walks those and tests
//! whether their creator is followed, over as many flyers as there are follows: a step of it costs less than
//! a probe, so that it never costs more than the merge that it may save. Where it does not find a whole page,
//! the merge runs. Both are one statement.

use super::keys::Way;
use crate::db::Engine;

/// The look covers so many flyers at most: follows beyond this make the page likelier to be among them.
const LOOK: u32 = 2_000;

/// The flyer `f` is of a followed creator: one probe of the primary key.
///
/// Not EXISTS: PostgreSQL would turn it into a join, and the walk into a hash and a sort.
const FOLLOWED: &str =
    "(SELECT TRUE FROM follows w WHERE w.follower_id = :viewer AND w.followed_id = f.creator_id)";

/// Whether the look found a whole page.
const IS_RECENT: &str = "(SELECT count(*) FROM recent) = :reach";

/// The look: the first `:reach` rows behind `(:at, {id})`, as far as it goes.
fn recent(way: &Way, shown: &str, id: &str) -> String {
    let Way { order, behind, before, .. } = way;
    let from = format!("FROM flyers f WHERE (f.created_at, f.id) {behind} (:at, {id})");
    format!(
        "recent AS MATERIALIZED (SELECT f.id, f.created_at {from} AND f.created_at {before} coalesce((\
         SELECT f.created_at {from} ORDER BY f.created_at {order}, f.id {order} LIMIT 1 OFFSET (\
         SELECT count(*) FROM (SELECT 1 FROM follows w WHERE w.follower_id = :viewer LIMIT {LOOK}) w)), :end) \
         AND {shown} AND {FOLLOWED} ORDER BY f.created_at {order}, f.id {order} LIMIT :reach)"
    )
}

/// The `(id, sorted_at)` of the feed's flyers behind `(:at, {id})`, by `(created_at, id)`, up to `limit`:
/// of those that are `shown`, a condition on the flyer `f`.
pub(super) fn walk(engine: Engine, shown: &str, way: &Way, id: &str, limit: &str) -> String {
    let Way { order, behind, .. } = way;
    let recent = recent(way, shown, id);
    let list = format!(
        "flyers f WHERE f.creator_id = w.followed_id AND (f.created_at, f.id) {behind} (:at, {id}) \
         AND {shown}"
    );
    let by = format!("ORDER BY f.created_at {order}, f.id {order}");
    let follows = format!("w.follower_id = :viewer AND NOT {IS_RECENT}");
    let merge = match engine {
        Engine::Sqlite => format!(
            "SELECT f.id, f.created_at FROM follows w CROSS JOIN {list} AND {follows} {by} LIMIT :reach"
        ),
        Engine::Postgres => format!(
            "SELECT f.id, f.created_at FROM (SELECT w.followed_id FROM follows w \
             CROSS JOIN LATERAL (SELECT f.created_at, f.id FROM {list} {by} LIMIT 1) f \
             WHERE {follows} {by} LIMIT :reach) w \
             CROSS JOIN LATERAL (SELECT f.created_at, f.id FROM {list} {by} LIMIT :reach) f {by} LIMIT :reach"
        ),
    };
    format!(
        "WITH {recent} SELECT f.id, f.created_at AS sorted_at FROM (SELECT id, created_at FROM recent WHERE {IS_RECENT} \
         UNION ALL SELECT id, created_at FROM ({merge}) m) f {by} LIMIT {limit}"
    )
}

/// The `(id, sorted_at, distance)` of the feed's flyers from the position's second to the one in which the
/// page ends.
///
/// The merge probes each list once here too: the lists whose head, seen from the position's second, lies
/// before the edge have no part in the page.
pub(super) fn down_to_the_edge(engine: Engine, shown: &str, way: &Way, distance: &str) -> String {
    let Way { order, behind, before, .. } = way;
    let recent = recent(way, shown, ":beyond");
    let by = format!("ORDER BY f.created_at {order}, f.id {order}");
    let list = |creator: &str, behind: &str| {
        format!("flyers f WHERE f.creator_id = {creator} AND f.created_at {behind} :at AND {shown}")
    };
    let (from_here, from_next) = (list("w.followed_id", &format!("{behind}=")), list("h.creator_id", behind));
    let rows_of_lists = match engine {
        Engine::Sqlite => format!("lists h CROSS JOIN {from_next}"),
        Engine::Postgres => format!(
            "lists h CROSS JOIN LATERAL (SELECT f.created_at, f.id FROM {from_next} {by} LIMIT :reach) f"
        ),
    };
    let page = format!("{before}= coalesce((SELECT created_at FROM edge), :end)");
    let row = format!("SELECT f.id, f.created_at AS sorted_at, {distance} AS distance FROM");
    format!(
        "WITH {recent}, \
         heads AS MATERIALIZED (SELECT w.followed_id AS creator_id, \
         (SELECT f.created_at FROM {from_here} {by} LIMIT 1) AS head \
         FROM follows w WHERE w.follower_id = :viewer AND NOT {IS_RECENT}), \
         lists AS MATERIALIZED (SELECT creator_id FROM (SELECT creator_id, \
         CASE WHEN head {behind} :at THEN head ELSE (SELECT f.created_at FROM {from_next} {by} LIMIT 1) END AS head \
         FROM heads h WHERE head IS NOT NULL) h WHERE head IS NOT NULL ORDER BY head {order} LIMIT :reach), \
         edge AS MATERIALIZED (SELECT created_at FROM (SELECT id, created_at FROM recent WHERE {IS_RECENT} \
         UNION ALL SELECT id, created_at FROM (SELECT f.id, f.created_at FROM {rows_of_lists} {by} LIMIT :reach) m\
         ) f {by} LIMIT 1 OFFSET :last) \
         {row} flyers f WHERE {IS_RECENT} AND f.created_at {behind}= :at AND f.created_at {page} \
         AND {shown} AND {FOLLOWED} \
         UNION ALL {row} heads h CROSS JOIN flyers f WHERE h.head {page} AND f.creator_id = h.creator_id \
         AND f.created_at {behind}= :at AND f.created_at {page} AND {shown}"
    )
}
