//! The SQL of the following feed: a merge of the followed creators' lists, and a look that often saves it.
//!
//! Who follows many creators finds the page among the newest flyers of all. The *look* walks those and tests
//! whether their creator is followed, over as many flyers as there are follows: a step of it costs less than
//! a probe, so that it never costs more than the merge that it may save. Often it would be in vain, so that it
//! begins with a *sample*, an eighth of it: where that does not have an eighth of a page, it goes no further.
//!
//! Where the look does not find a whole page, nor comes to the end of all flyers, the *merge* runs; both are one
//! statement. It probes each list once for its *head*, the first row behind the position, and keeps the lists
//! with the best heads and no others: L rows are in the L lists whose heads come first. (L is the page's size and one,
//! and where the page is given by its number, the rows before it too.) The heads are compared by their second, which
//! leaves two cases to care for:
//! - The head is sought from the beginning of the position's second, so that the probe is a plain range. A list
//!   whose head is of that second may have nothing more to offer, so that there are so many lists more to keep.
//! - One more list is kept than that. The head of the last kept is the *bound*: the page ends before it, or in its
//!   second. That is the case only where another kept list has the same head; then lists that were not kept may
//!   have it too, and all are merged.
//!
//! That bounds the merge to a probe a follow and L rows of L lists, however many flyers there are. What sorts the
//! rows takes the first L, and leaves a list at the first row that does not make the page.

use super::keys::{Way, id_key, unmarked};
use crate::db::Engine;
use crate::sql::by_index;

/// The look covers so many flyers at most: follows beyond this make the page likelier to be among them.
const LOOK: u32 = 2_000;

/// How many creators the viewer follows.
const COUNTED: &str =
    "counted AS MATERIALIZED (SELECT count(*) AS follows FROM follows w WHERE w.follower_id = :viewer)";

/// Whether the look found a whole page, or all that is left.
const IS_RECENT: &str = "((SELECT count(*) FROM recent) = :reach OR (SELECT created_at FROM looked) = :end)";

/// The feed in a direction of travel, behind a position.
struct Following<'a> {
    engine: Engine,
    way: &'a Way,
    /// A condition on the flyer `f`.
    shown: &'a str,
}

impl Following<'_> {
    /// The order of flyers.
    fn by(&self) -> String {
        let (order, key) = (self.way.order, id_key(self.engine));
        format!("ORDER BY f.created_at {order}, {key} {order}")
    }

    /// What is behind `(:at, {id})`.
    fn behind(&self, id: &str) -> String {
        format!("(f.created_at, {}) {} (:at, {id})", id_key(self.engine), self.way.behind)
    }

    /// The newest flyers of all, of whom `more` holds, marked ones apart.
    fn newest(&self, more: &str) -> String {
        format!("{} WHERE {} AND {more}", by_index(self.engine, "flyers f", "flyers_feed"), unmarked("f."))
    }

    /// Those of them that are in the feed.
    ///
    /// One probe of a primary key each: of a join that stops at the first row on SQLite, which is its EXISTS. Not so
    /// on PostgreSQL, which would turn the walk into a hash and a sort for it.
    fn followed(&self, more: &str) -> String {
        let exists = match self.engine {
            Engine::Sqlite => "EXISTS ",
            Engine::Postgres => "",
        };
        format!(
            "{} AND {} AND {exists}(SELECT TRUE FROM follows w \
             WHERE w.follower_id = :viewer AND w.followed_id = f.creator_id)",
            self.newest(more),
            self.shown
        )
    }

    /// One list: the flyers of a creator, of whom `more` holds.
    fn list(&self, creator: &str, more: &str) -> String {
        let flyers = by_index(self.engine, "flyers f", "flyers_creator_feed");
        format!("{flyers} WHERE f.creator_id = {creator} AND {more} AND {}", self.shown)
    }

    /// The look: `recent`, the first `:reach` rows behind `(:at, {id})`, before the second where it ended, `looked`.
    fn look(&self, id: &str) -> String {
        let Way { behind, before, .. } = self.way;
        let by = self.by();
        // So many flyers on; from the beginning of the position's second, so that it only counts.
        let second = |flyers: &str| {
            let flyers_on = self.newest(&format!("f.created_at {behind}= :at"));
            format!("coalesce((SELECT f.created_at FROM {flyers_on} {by} LIMIT 1 OFFSET ({flyers})), :end)")
        };
        let most = format!("CASE WHEN follows < {LOOK} THEN follows ELSE {LOOK} END");
        let sample = second(&format!("SELECT {most} / 8 FROM counted"));
        let looked = second(&format!(
            "SELECT CASE WHEN 8 * hits >= :reach THEN {most} ELSE 0 END FROM counted, sample"
        ));
        let rows = |end: &str| self.followed(&format!("{} AND f.created_at {before} {end}", self.behind(id)));
        let (sampled, recent) = (rows(&sample), rows("(SELECT created_at FROM looked)"));
        format!(
            "{COUNTED}, sample AS MATERIALIZED (SELECT count(*) AS hits FROM (SELECT 1 FROM {sampled} {by} LIMIT :reach) f), \
             looked AS MATERIALIZED (SELECT {looked} AS created_at), \
             recent AS MATERIALIZED (SELECT f.id, f.created_at FROM {recent} {by} LIMIT :reach)"
        )
    }

    /// Which lists are merged, `lists`, and down to which second, `bound`; none where the look was enough.
    fn lists(&self) -> String {
        let Way { order, behind, last, .. } = self.way;
        let (own, list) = (
            self.newest("f.created_at = :at"),
            self.list("w.followed_id", &format!("f.created_at {behind}= :at")),
        );
        let by = self.by();
        format!(
            "enough AS MATERIALIZED (SELECT :reach + 1 + count(*) AS lists FROM \
             (SELECT 1 FROM {own} LIMIT (SELECT follows FROM counted)) f), \
             best AS MATERIALIZED (SELECT w.followed_id AS creator_id, \
             (SELECT f.created_at FROM {list} {by} LIMIT 1) AS head \
             FROM follows w WHERE w.follower_id = (SELECT :viewer WHERE NOT {IS_RECENT}) \
             ORDER BY head {order} NULLS LAST LIMIT (SELECT lists FROM enough)), \
             bound AS MATERIALIZED (SELECT CASE WHEN count(head) = (SELECT lists FROM enough) THEN {last}(head) \
             ELSE :end END AS created_at FROM best), \
             lists AS MATERIALIZED (SELECT creator_id FROM best UNION ALL SELECT w.followed_id FROM follows w \
             WHERE w.follower_id = (SELECT :viewer FROM best \
             WHERE head = (SELECT created_at FROM bound) LIMIT 1 OFFSET 1) \
             AND w.followed_id NOT IN (SELECT creator_id FROM best))"
        )
    }

    /// The `(id, created_at)` of the page's rows in what the look found or in `lists`, of whom `behind` holds;
    /// what sorts them also takes the first `:reach`.
    ///
    /// SQLite's sorter then leaves a list at the first row that does not make the page. PostgreSQL is told.
    fn rows(&self, behind: &str) -> String {
        let before = self.way.before;
        let rows = self.list(
            "l.creator_id",
            &format!("{behind} AND f.created_at {before}= (SELECT created_at FROM bound)"),
        );
        let by = self.by();
        let merge = match self.engine {
            Engine::Sqlite => {
                format!("SELECT {}, f.created_at FROM lists l CROSS JOIN {rows}", id_key(self.engine))
            }
            Engine::Postgres => format!(
                "(SELECT f.id, f.created_at FROM lists l \
                 CROSS JOIN LATERAL (SELECT f.created_at, f.id FROM {rows} {by} LIMIT :reach) f {by} LIMIT :reach)"
            ),
        };
        format!("(SELECT id, created_at FROM recent WHERE {IS_RECENT} UNION ALL {merge}) f")
    }
}

/// The `(id, sorted_at)` of the feed's flyers behind `(:at, {id})`, by `(created_at, id)`, up to `limit`:
/// of those that are `shown`, a condition on the flyer `f`.
pub(super) fn walk(engine: Engine, shown: &str, way: &Way, id: &str, limit: &str) -> String {
    let following = Following { engine, way, shown };
    let (look, lists, rows) = (following.look(id), following.lists(), following.rows(&following.behind(id)));
    let order = way.order;
    format!(
        "WITH {look}, {lists} SELECT f.id, f.created_at AS sorted_at FROM {rows} \
         ORDER BY f.created_at {order}, f.id {order} LIMIT {limit}"
    )
}

/// The `(id, sorted_at, distance)` of the feed's flyers from the position's second to the one in which the
/// page ends, the `edge`.
///
/// They are all in `lists`: a head of the position's own second counts too.
pub(super) fn down_to_the_edge(engine: Engine, shown: &str, way: &Way, distance: &str) -> String {
    let Way { order, behind, before, .. } = way;
    let following = Following { engine, way, shown };
    let (look, lists) = (following.look(":beyond"), following.lists());
    let rows = following.rows(&format!("f.created_at {behind} :at"));
    let page = |edge: &str| format!("f.created_at {behind}= :at AND f.created_at {before}= {edge}");
    let edge = "coalesce((SELECT created_at FROM edge), :end)";
    // No second at all where the look failed: a range that nothing is in, and no walk that a condition ends.
    let recent = following.followed(&page(&format!("(SELECT {edge} WHERE {IS_RECENT})")));
    let row = format!("SELECT f.id, f.created_at AS sorted_at, {distance} AS distance FROM");
    let list = following.list("l.creator_id", &page(edge));
    // PostgreSQL may rather read all flyers of the page's seconds: OFFSET 0 keeps it to a list at a time.
    let merged = match engine {
        Engine::Sqlite => format!("{row} lists l CROSS JOIN {list}"),
        Engine::Postgres => format!(
            "SELECT f.id, f.sorted_at, f.distance FROM lists l CROSS JOIN LATERAL ({row} {list} OFFSET 0) f"
        ),
    };
    // With the id: SQLite leaves lists early only where it may sort within the merge.
    format!(
        "WITH {look}, {lists}, \
         edge AS MATERIALIZED (SELECT f.id, f.created_at FROM {rows} \
         ORDER BY f.created_at {order}, f.id {order} LIMIT 1 OFFSET :last) \
         {row} {recent} UNION ALL {merged}"
    )
}
