//! The SQL of feeds that are many lists: a merge of the lists, and a look that often saves it.
//!
//! The flyers of the creators whom somebody follows are a list a creator; those around a place are a list a cell. Each
//! list is a range of an index, in the feed's order.
//!
//! Whose lists are many finds the page among the newest flyers of all. The *look* walks those and tests whether
//! they are in the feed, over as many flyers as there are lists: a step of it costs less than a probe, so that
//! it never costs more than the merge that it may save. Often it would be in vain, so that it begins with a
//! *sample*, an eighth of it: where that does not have an eighth of a page, it goes no further.
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
//! That bounds the merge to a probe a list and L rows of L lists, however many flyers there are. What sorts the
//! rows takes the first L, and leaves a list at the first row that does not make the page. (A list is walked further
//! only past flyers that are in it and not shown: not valid, of another category, without the text that is searched,
//! or in a cell that the circle around the place cuts.)

use super::keys::{Way, id_key, unmarked};
use crate::db::Engine;
use crate::geo::Grid;
use crate::sql::by_index;

/// The look covers so many flyers at most: lists beyond this make the page likelier to be among them.
const LOOK: u32 = 2_000;

/// Whether the look found a whole page, or all that is left.
const IS_RECENT: &str = "((SELECT count(*) FROM recent) = :reach OR (SELECT created_at FROM looked) = :end)";

/// What a feed's lists are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// The flyers of each creator whom `:viewer` follows.
    Followed,
    /// The flyers in each of the `:cells` of a grid.
    Cells(Grid),
    /// The flyers of each creator whose id is a `key` of the table `named`. There is no look: it would be in vain.
    Named,
}

impl Lists {
    /// What says which list the flyer `f` is in.
    fn key(self, engine: Engine) -> String {
        match self {
            Self::Followed | Self::Named => "f.creator_id".to_owned(),
            Self::Cells(grid) => grid.cell(engine),
        }
    }

    /// The index that has each list in order.
    fn index(self) -> &'static str {
        match self {
            Self::Followed | Self::Named => "flyers_creator_feed",
            Self::Cells(grid) => grid.index(),
        }
    }

    /// A SELECT of the `key` of each list; of none where the end of another SELECT, `when`, finds no row.
    fn keys(self, engine: Engine, when: &str) -> String {
        let given =
            |bind: &str| if when.is_empty() { bind.to_owned() } else { format!("(SELECT {bind} {when})") };
        match (self, engine) {
            (Self::Followed, _) => {
                format!(
                    "SELECT w.followed_id AS key FROM follows w WHERE w.follower_id = {}",
                    given(":viewer")
                )
            }
            (Self::Cells(_), Engine::Sqlite) => {
                format!("SELECT w.value AS key FROM json_each({}) w", given("CAST(:cells AS TEXT)"))
            }
            (Self::Cells(_), Engine::Postgres) => {
                format!(
                    "SELECT w.key FROM unnest(CAST({} AS bigint[])) AS w (key)",
                    given("CAST(:cells AS TEXT)")
                )
            }
            (Self::Named, _) => format!("SELECT w.key FROM named w WHERE {}", given("TRUE")),
        }
    }

    /// How a bind names the keys of cells.
    pub(super) fn cells(engine: Engine, cells: &[i64]) -> String {
        let numbers: Vec<_> = cells.iter().map(i64::to_string).collect();
        let (open, close) = if engine == Engine::Sqlite { ('[', ']') } else { ('{', '}') };
        format!("{open}{}{close}", numbers.join(","))
    }

    /// What more a flyer `f` that is shown must be to be in one of the lists, behind an AND.
    fn holds(self, engine: Engine) -> String {
        match self {
            // SQLite's EXISTS is one more table of the join, whose rows are only looked up: less than a subquery.
            Self::Followed => {
                let exists = if engine == Engine::Sqlite { "EXISTS " } else { "" };
                format!(" AND {exists}{}", is_followed("f.creator_id"))
            }
            // Where it is says so already.
            Self::Cells(_) => String::new(),
            Self::Named => " AND f.creator_id IN (SELECT key FROM named)".to_owned(),
        }
    }

    /// All flyers `f` of all lists of whom `shown` holds, as a table.
    ///
    /// PostgreSQL might rather join the lists with all flyers: OFFSET 0 keeps it to a list at a time.
    pub(super) fn all(self, engine: Engine, shown: &str) -> String {
        let flyers = by_index(engine, "flyers f", self.index());
        let list = format!("{flyers} WHERE {} = l.key AND {shown}", self.key(engine));
        let keys = self.keys(engine, "");
        match engine {
            Engine::Sqlite => format!("({keys}) l CROSS JOIN {list}"),
            Engine::Postgres => format!("({keys}) l CROSS JOIN LATERAL (SELECT f.id FROM {list} OFFSET 0) f"),
        }
    }
}

/// Whether `:viewer` follows the user with this id: one probe of a primary key.
///
/// No EXISTS: PostgreSQL would turn a walk into a hash and a sort for it, and SQLite makes it one more table of the
/// join, behind which it no longer sees that the walk is in order.
pub(super) fn is_followed(user: &str) -> String {
    format!("(SELECT TRUE FROM follows w WHERE w.follower_id = :viewer AND w.followed_id = {user})")
}

/// The feed in a direction of travel, behind a position.
pub(super) struct Merge<'a> {
    pub(super) engine: Engine,
    pub(super) way: &'a Way,
    pub(super) lists: Lists,
    /// A condition on the flyer `f`.
    pub(super) shown: &'a str,
}

impl Merge<'_> {
    /// The order of flyers.
    fn by(&self) -> String {
        let (order, key) = (self.way.order, id_key(self.engine));
        format!("ORDER BY f.created_at {order}, {key} {order}")
    }

    /// What is behind `(:at, {id})`.
    pub(super) fn behind(&self, id: &str) -> String {
        format!("(f.created_at, {}) {} (:at, {id})", id_key(self.engine), self.way.behind)
    }

    /// The newest flyers of all, of whom `more` holds, marked ones apart.
    fn newest(&self, more: &str) -> String {
        format!("{} WHERE {} AND {more}", by_index(self.engine, "flyers f", "flyers_feed"), unmarked("f."))
    }

    /// Those of them that are in the feed, in its order.
    ///
    /// PostgreSQL thinks a test of each flyer so dear that it would rather go through an index that has fewer by its
    /// guess, in another order and without end. OFFSET 0 has it walk first, and test what comes.
    fn newest_of_feed(&self, more: &str) -> String {
        let (newest, shown, holds) = (self.newest(more), self.shown, self.lists.holds(self.engine));
        match self.engine {
            Engine::Sqlite => format!("{newest} AND {shown}{holds}"),
            Engine::Postgres => format!(
                "(SELECT f.id, f.created_at, f.creator_id, f.valid_from, f.valid_until, f.categories, f.latitude, \
                 f.longitude, FALSE AS expired FROM {newest} {} OFFSET 0) f WHERE {shown}{holds}",
                self.by()
            ),
        }
    }

    /// One list: the flyers with a key, of whom `more` holds.
    pub(super) fn list(&self, key: &str, more: &str) -> String {
        let flyers = by_index(self.engine, "flyers f", self.lists.index());
        format!("{flyers} WHERE {} = {key} AND {more} AND {}", self.lists.key(self.engine), self.shown)
    }

    fn has_look(&self) -> bool {
        self.lists != Lists::Named
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
        let most = format!("CASE WHEN lists < {LOOK} THEN lists ELSE {LOOK} END");
        let sample = second(&format!("SELECT {most} / 8 FROM counted"));
        let looked = second(&format!(
            "SELECT CASE WHEN 8 * hits >= :reach THEN {most} ELSE 0 END FROM counted, sample"
        ));
        let rows =
            |end: &str| self.newest_of_feed(&format!("{} AND f.created_at {before} {end}", self.behind(id)));
        let (sampled, recent) = (rows(&sample), rows("(SELECT created_at FROM looked)"));
        format!(
            "sample AS MATERIALIZED (SELECT count(*) AS hits FROM (SELECT 1 FROM {sampled} {by} LIMIT :reach) f), \
             looked AS MATERIALIZED (SELECT {looked} AS created_at), \
             recent AS MATERIALIZED (SELECT f.id, f.created_at FROM {recent} {by} LIMIT :reach), "
        )
    }

    /// The tables of the merge: which lists are merged, `lists`, and down to which second, `bound`; none where the look
    /// was enough.
    pub(super) fn tables(&self, id: &str) -> String {
        let Way { order, behind, last, .. } = self.way;
        let own = self.newest("f.created_at = :at");
        let list = self.list("w.key", &format!("f.created_at {behind}= :at"));
        let by = self.by();
        let (look, when) = if self.has_look() {
            (self.look(id), format!("WHERE NOT {IS_RECENT}"))
        } else {
            (String::new(), String::new())
        };
        let keys = |when: &str| self.lists.keys(self.engine, when);
        let (all, merged, more) = (
            keys(""),
            keys(&when),
            keys("FROM best WHERE head = (SELECT created_at FROM bound) LIMIT 1 OFFSET 1"),
        );
        format!(
            "counted AS MATERIALIZED (SELECT count(*) AS lists FROM ({all}) w), {look}\
             kept AS MATERIALIZED (SELECT :reach + 1 + count(*) AS lists FROM \
             (SELECT 1 FROM {own} LIMIT (SELECT lists FROM counted)) f), \
             best AS MATERIALIZED (SELECT w.key, (SELECT f.created_at FROM {list} {by} LIMIT 1) AS head \
             FROM ({merged}) w ORDER BY head {order} NULLS LAST LIMIT (SELECT lists FROM kept)), \
             bound AS MATERIALIZED (SELECT CASE WHEN count(head) = (SELECT lists FROM kept) THEN {last}(head) \
             ELSE :end END AS created_at FROM best), \
             lists AS MATERIALIZED (SELECT key FROM best WHERE head IS NOT NULL UNION ALL \
             SELECT w.key FROM ({more}) w \
             WHERE w.key NOT IN (SELECT key FROM best))"
        )
    }

    /// The `(id, created_at)` of the page's rows in what the look found or in `lists`, of whom `behind` holds;
    /// what sorts them also takes the first `:reach`.
    ///
    /// SQLite's sorter then leaves a list at the first row that does not make the page. PostgreSQL is told.
    pub(super) fn rows(&self, behind: &str) -> String {
        let before = self.way.before;
        let rows = self
            .list("l.key", &format!("{behind} AND f.created_at {before}= (SELECT created_at FROM bound)"));
        let by = self.by();
        let merge = match self.engine {
            Engine::Sqlite => {
                format!("SELECT {} AS id, f.created_at FROM lists l CROSS JOIN {rows}", id_key(self.engine))
            }
            Engine::Postgres => format!(
                "(SELECT f.id, f.created_at FROM lists l \
                 CROSS JOIN LATERAL (SELECT f.created_at, f.id FROM {rows} {by} LIMIT :reach) f {by} LIMIT :reach)"
            ),
        };
        if self.has_look() {
            format!("(SELECT id, created_at FROM recent WHERE {IS_RECENT} UNION ALL {merge}) f")
        } else {
            format!("({merge}) f")
        }
    }

    /// The `(id, sorted_at)` of the feed's flyers behind `(:at, {id})`, by `(created_at, id)`, up to `limit`.
    pub(super) fn walk(&self, id: &str, limit: &str) -> String {
        let (tables, rows) = (self.tables(id), self.rows(&self.behind(id)));
        let order = self.way.order;
        format!(
            "WITH {tables} SELECT f.id, f.created_at AS sorted_at FROM {rows} \
             ORDER BY f.created_at {order}, f.id {order} LIMIT {limit}"
        )
    }

    /// The columns `row` of the flyers `f` of `lists` from the position's second to `edge`.
    pub(super) fn merged_down_to(&self, edge: &str, row: &str) -> String {
        let list = self.list("l.key", &self.page(edge));
        // PostgreSQL may rather read all flyers of the page's seconds: OFFSET 0 keeps it to a list at a time.
        match self.engine {
            Engine::Sqlite => format!("SELECT {row} FROM lists l CROSS JOIN {list}"),
            Engine::Postgres => {
                format!("SELECT f.* FROM lists l CROSS JOIN LATERAL (SELECT {row} FROM {list} OFFSET 0) f")
            }
        }
    }

    fn page(&self, edge: &str) -> String {
        let Way { behind, before, .. } = self.way;
        format!("f.created_at {behind}= :at AND f.created_at {before}= {edge}")
    }

    /// The `(id, sorted_at, distance)` of the feed's flyers from the position's second to the one in which the
    /// page ends, the `edge`.
    ///
    /// They are all in `lists`: a head of the position's own second counts too.
    pub(super) fn down_to_the_edge(&self, distance: &str) -> String {
        let Way { order, behind, .. } = self.way;
        let tables = self.tables(":beyond");
        let rows = self.rows(&format!("f.created_at {behind} :at"));
        let edge = "coalesce((SELECT created_at FROM edge), :end)";
        // No second at all where the look failed: a range that nothing is in, and no walk that a condition ends.
        let recent = self.newest_of_feed(&self.page(&format!("(SELECT {edge} WHERE {IS_RECENT})")));
        let row = format!("f.id, f.created_at AS sorted_at, {distance} AS distance");
        let merged = self.merged_down_to(edge, &row);
        // With the id: SQLite leaves lists early only where it may sort within the merge.
        format!(
            "WITH {tables}, \
             edge AS MATERIALIZED (SELECT f.id, f.created_at FROM {rows} \
             ORDER BY f.created_at {order}, f.id {order} LIMIT 1 OFFSET :last) \
             SELECT {row} FROM {recent} UNION ALL {merged}"
        )
    }
}
