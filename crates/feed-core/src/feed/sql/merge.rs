//! Keys out of many lists: the flyers of each followed creator, or of each grid cell around a place.
//!
//! Each list is a range of an index, in the feed's order. A page is found in one statement of up to three steps.
//!
//! 1. The *sample* (`sample`) scans the newest flyers of all and tests which of them are in the feed. It covers an
//!    eighth as many flyers as there are lists, and [`RECENT_SCAN`] / 8 at most. Where it finds less than an eighth of
//!    a page, step 2 is skipped.
//! 2. The *recent scan* (`looked`, `recent`) does the same over as many flyers as there are lists. One of its steps
//!    costs less than a probe of a list, so it never costs more than the merge that it may save.
//! 3. Where the recent scan fell short of a page, the lists are *merged*. Each list is probed once for its *head*, the
//!    first row from the cursor's second on. Only the lists with the best heads are kept (`best`): the first L rows are
//!    in the L lists whose heads come first. L is the page's size and one more, and the rows before it where a page is
//!    asked by number.
//!
//! All of this is in the order of `created_at`, which has few flyers in a second. In an order with many ties, all lists
//! would be merged.
//!
//! Heads are compared by their second alone. That leaves two cases:
//! - A head in the cursor's own second may lie before the cursor, and its list may have nothing after it. As many more
//!   lists are kept as the cursor's second has flyers (`kept`).
//! - One more list is kept than that. The head of the last one is the *bound*: the page ends before it or in its
//!   second. The page can end in that second only where another kept list has the same head. Lists that were not kept
//!   may have it as well, so in that case all lists are merged (`lists`).
//!
//! This bounds the merge to one probe a list and L rows of L lists, however many flyers there are. A list is read
//! further only past flyers that are in it and not visible: not valid, of another category, without the search's text,
//! or in a cell that the circle cuts.

use super::terms::{ScanOrder, id_key, is_followed, not_expired};
use crate::engine::Engine;
use crate::geo::Grid;
use crate::sql::by_index;

/// The recent scan covers this many flyers at most. With more lists, a page is likely to be among them.
const RECENT_SCAN: u32 = 2_000;

/// Whether the recent scan found a whole page, or everything that is left.
const RECENT_SUFFICES: &str =
    "((SELECT count(*) FROM recent) = :reach OR (SELECT created_at FROM looked) = :end)";

/// The lists of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lists {
    /// The flyers of each creator whom `:viewer` follows.
    Followed,
    /// The flyers of each cell in `:cells`, of a grid.
    Cells(Grid),
    /// The flyers of each creator whose id is a `key` of the table `named`. These have no recent scan: it would find
    /// too little.
    Named,
}

impl Lists {
    /// The key of the list that the flyer `f` is in.
    fn key(self, engine: Engine) -> String {
        match self {
            Self::Followed | Self::Named => "f.creator_id".to_owned(),
            Self::Cells(grid) => grid.cell(engine, "f"),
        }
    }

    /// The index that has each list in order.
    fn index(self) -> &'static str {
        match self {
            Self::Followed | Self::Named => "flyers_creator_feed",
            Self::Cells(grid) => grid.index(),
        }
    }

    /// A SELECT of the `key` of each list. `when` is the end of another SELECT: where that finds no row, there is no
    /// key.
    pub(super) fn keys(self, engine: Engine, when: &str) -> String {
        let given =
            |bind: &str| if when.is_empty() { bind.to_owned() } else { format!("(SELECT {bind} {when})") };
        match (self, engine) {
            (Self::Followed, _) => {
                let follows = by_index(engine, "follows w", "follows_follower_recent");
                format!(
                    "SELECT w.followed_id AS key FROM {follows} WHERE w.follower_id = {}",
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

    /// The value of the bind `:cells`.
    pub(super) fn cells(engine: Engine, cells: &[i64]) -> String {
        let numbers: Vec<_> = cells.iter().map(i64::to_string).collect();
        let (open, close) = if engine == Engine::Sqlite { ('[', ']') } else { ('{', '}') };
        format!("{open}{}{close}", numbers.join(","))
    }

    /// The condition on a visible flyer `f` to be in one of the lists, with AND before it.
    fn contain(self, engine: Engine) -> String {
        match self {
            // Here EXISTS is cheaper on SQLite: it becomes one more table of the join, whose rows are only probed.
            Self::Followed => {
                let exists = if engine == Engine::Sqlite { "EXISTS " } else { "" };
                format!(" AND {exists}{}", is_followed(engine, "f.creator_id"))
            }
            // Visible flyers lie within the circle.
            Self::Cells(_) => String::new(),
            Self::Named => " AND f.creator_id IN (SELECT key FROM named)".to_owned(),
        }
    }

    /// All visible flyers `f` of all lists, as a table.
    ///
    /// OFFSET 0 keeps PostgreSQL from joining the lists with all flyers.
    pub(super) fn all(self, engine: Engine, visible: &str) -> String {
        let flyers = by_index(engine, "flyers f", self.index());
        let list = format!("{flyers} WHERE {} = l.key AND {visible}", self.key(engine));
        let keys = self.keys(engine, "");
        match engine {
            Engine::Sqlite => format!("({keys}) l CROSS JOIN {list}"),
            Engine::Postgres => format!("({keys}) l CROSS JOIN LATERAL (SELECT f.id FROM {list} OFFSET 0) f"),
        }
    }
}

/// A merge of lists in a direction of travel.
pub(super) struct Merge<'a> {
    pub(super) engine: Engine,
    pub(super) scan: &'a ScanOrder,
    pub(super) lists: Lists,
    /// The condition on a flyer `f` to be listed.
    pub(super) visible: &'a str,
}

impl Merge<'_> {
    fn order_by(&self) -> String {
        let (sort, key) = (self.scan.sort, id_key(self.engine));
        format!("ORDER BY f.created_at {sort}, {key} {sort}")
    }

    /// The condition for flyers after `(:at, {id})`.
    pub(super) fn after(&self, id: &str) -> String {
        format!("(f.created_at, {}) {} (:at, {id})", id_key(self.engine), self.scan.after)
    }

    /// The newest flyers of all that fulfil a condition.
    fn newest(&self, condition: &str) -> String {
        let flyers = by_index(self.engine, "flyers f", "flyers_feed");
        format!("{flyers} WHERE {} AND {condition}", not_expired("f."))
    }

    /// Those of them that are in the feed, in its order.
    ///
    /// PostgreSQL takes the test of a flyer for so expensive that it would rather scan another index, in another order
    /// and without an end. OFFSET 0 makes it scan first and test what comes.
    fn newest_of_feed(&self, condition: &str) -> String {
        let (newest, visible) = (self.newest(condition), self.visible);
        let contained = self.lists.contain(self.engine);
        match self.engine {
            Engine::Sqlite => format!("{newest} AND {visible}{contained}"),
            Engine::Postgres => format!(
                "(SELECT f.id, f.created_at, f.creator_id, f.valid_from, f.valid_until, f.categories, f.latitude, \
                 f.longitude, FALSE AS expired FROM {newest} {} OFFSET 0) f WHERE {visible}{contained}",
                self.order_by()
            ),
        }
    }

    /// The visible flyers of one list that fulfil a condition.
    fn list(&self, key: &str, condition: &str) -> String {
        let flyers = by_index(self.engine, "flyers f", self.lists.index());
        format!("{flyers} WHERE {} = {key} AND {condition} AND {}", self.lists.key(self.engine), self.visible)
    }

    fn has_recent_scan(&self) -> bool {
        self.lists != Lists::Named
    }

    /// The tables of the recent scan after `(:at, {id})`: `recent` has the first `:reach` rows before the second at
    /// which the scan ended, `looked`.
    fn recent_scan(&self, id: &str) -> String {
        let ScanOrder { after, before, .. } = self.scan;
        let order_by = self.order_by();
        // The second that lies this many flyers after the beginning of the cursor's second.
        let second = |flyers: &str| {
            let from_cursor = self.newest(&format!("f.created_at {after}= :at"));
            format!(
                "coalesce((SELECT f.created_at FROM {from_cursor} {order_by} LIMIT 1 OFFSET ({flyers})), :end)"
            )
        };
        let length = format!("CASE WHEN lists < {RECENT_SCAN} THEN lists ELSE {RECENT_SCAN} END");
        let sample_end = second(&format!("SELECT {length} / 8 FROM counted"));
        let scan_end = second(&format!(
            "SELECT CASE WHEN 8 * hits >= :reach THEN {length} ELSE 0 END FROM counted, sample"
        ));
        let rows =
            |end: &str| self.newest_of_feed(&format!("{} AND f.created_at {before} {end}", self.after(id)));
        let (sampled, recent) = (rows(&sample_end), rows("(SELECT created_at FROM looked)"));
        format!(
            "sample AS MATERIALIZED (SELECT count(*) AS hits FROM (SELECT 1 FROM {sampled} {order_by} LIMIT :reach) f), \
             looked AS MATERIALIZED (SELECT {scan_end} AS created_at), \
             recent AS MATERIALIZED (SELECT f.id, f.created_at FROM {recent} {order_by} LIMIT :reach), "
        )
    }

    /// The tables of the merge: the `lists` to merge and their `bound`. Both are empty where the recent scan suffices.
    pub(super) fn tables(&self, id: &str) -> String {
        let ScanOrder { sort, after, last_of, .. } = self.scan;
        let cursors_second = self.newest("f.created_at = :at");
        let head = self.list("w.key", &format!("f.created_at {after}= :at"));
        let order_by = self.order_by();
        let (recent_scan, when) = if self.has_recent_scan() {
            (self.recent_scan(id), format!("WHERE NOT {RECENT_SUFFICES}"))
        } else {
            (String::new(), String::new())
        };
        let keys = |when: &str| self.lists.keys(self.engine, when);
        let all = keys("");
        let merged = keys(&when);
        let tied = "FROM best WHERE head = (SELECT created_at FROM bound) LIMIT 1 OFFSET 1";
        let all_lists = keys(tied);
        format!(
            "counted AS MATERIALIZED (SELECT count(*) AS lists FROM ({all}) w), \
             {recent_scan}\
             kept AS MATERIALIZED (SELECT :reach + 1 + count(*) AS lists FROM \
             (SELECT 1 FROM {cursors_second} LIMIT (SELECT lists FROM counted)) f), \
             best AS MATERIALIZED (SELECT w.key, (SELECT f.created_at FROM {head} {order_by} LIMIT 1) AS head \
             FROM ({merged}) w ORDER BY head {sort} NULLS LAST LIMIT (SELECT lists FROM kept)), \
             bound AS MATERIALIZED (SELECT CASE WHEN count(head) = (SELECT lists FROM kept) THEN {last_of}(head) \
             ELSE :end END AS created_at FROM best), \
             lists AS MATERIALIZED (SELECT key FROM best WHERE head IS NOT NULL \
             AND NOT coalesce((SELECT TRUE {tied}), FALSE) UNION ALL {all_lists})"
        )
    }

    /// The `(id, created_at)` of the rows of the recent scan or of `lists` that fulfil `after`.
    ///
    /// Whoever sorts these rows also takes the first `:reach`. SQLite's sorter then leaves each list at the first row
    /// that does not make the page. PostgreSQL needs a limit in each list for that.
    pub(super) fn rows(&self, after: &str) -> String {
        let before = self.scan.before;
        let list =
            self.list("l.key", &format!("{after} AND f.created_at {before}= (SELECT created_at FROM bound)"));
        let order_by = self.order_by();
        let merge = match self.engine {
            Engine::Sqlite => {
                format!("SELECT {} AS id, f.created_at FROM lists l CROSS JOIN {list}", id_key(self.engine))
            }
            Engine::Postgres => format!(
                "(SELECT f.id, f.created_at FROM lists l \
                 CROSS JOIN LATERAL (SELECT f.created_at, f.id FROM {list} {order_by} LIMIT :reach) f \
                 {order_by} LIMIT :reach)"
            ),
        };
        let rows = if self.has_recent_scan() {
            format!("SELECT id, created_at FROM recent WHERE {RECENT_SUFFICES} UNION ALL {merge}")
        } else {
            merge
        };
        match self.engine {
            Engine::Sqlite => format!("({rows}) f"),
            // PostgreSQL would sort before or after it puts the two together. OFFSET 0 makes that after.
            Engine::Postgres => format!("(SELECT id, created_at FROM ({rows}) f OFFSET 0) f"),
        }
    }

    /// The `(id, sorted_at)` of the rows after `(:at, {id})`, in order, up to `limit`.
    pub(super) fn after_cursor(&self, id: &str, limit: &str) -> String {
        let (tables, rows) = (self.tables(id), self.rows(&self.after(id)));
        let sort = self.scan.sort;
        format!(
            "WITH {tables} \
             SELECT f.id, f.created_at AS sorted_at FROM {rows} \
             ORDER BY f.created_at {sort}, f.id {sort} \
             LIMIT {limit}"
        )
    }

    /// The columns `row` of the flyers `f` of `lists` from the cursor's second to the second `last`.
    ///
    /// OFFSET 0 keeps PostgreSQL from reading all flyers of those seconds.
    pub(super) fn merged_to(&self, last: &str, row: &str) -> String {
        let list = self.list("l.key", &self.seconds_to(last));
        match self.engine {
            Engine::Sqlite => format!("SELECT {row} FROM lists l CROSS JOIN {list}"),
            Engine::Postgres => {
                format!("SELECT f.* FROM lists l CROSS JOIN LATERAL (SELECT {row} FROM {list} OFFSET 0) f")
            }
        }
    }

    /// The condition for flyers from the cursor's second to the second `last`.
    fn seconds_to(&self, last: &str) -> String {
        let ScanOrder { after, before, .. } = self.scan;
        format!("f.created_at {after}= :at AND f.created_at {before}= {last}")
    }

    /// The `(id, sorted_at, distance)` of the rows from the cursor's second to the second in which the page ends,
    /// `edge`.
    ///
    /// They are all in `lists`, because heads of the cursor's own second count too.
    pub(super) fn to_last_second(&self, distance: &str) -> String {
        let ScanOrder { sort, after, .. } = self.scan;
        let tables = self.tables(":beyond");
        let rows = self.rows(&format!("f.created_at {after} :at"));
        let last = "coalesce((SELECT created_at FROM edge), :end)";
        // If the recent scan fell short, this range is empty and costs nothing.
        let recent =
            self.newest_of_feed(&self.seconds_to(&format!("(SELECT {last} WHERE {RECENT_SUFFICES})")));
        let row = format!("f.id, f.created_at AS sorted_at, {distance} AS distance");
        let merged = self.merged_to(last, &row);
        // The edge selects the id too: SQLite leaves lists early only where it may sort within the merge.
        format!(
            "WITH {tables}, \
             edge AS MATERIALIZED (SELECT f.id, f.created_at FROM {rows} \
             ORDER BY f.created_at {sort}, f.id {sort} LIMIT 1 OFFSET :last) \
             SELECT {row} FROM {recent} \
             UNION ALL {merged}"
        )
    }
}
