//! Keys out of the index of trigrams: flyers whose text matches a search, and flyers of creators whose name does.
//!
//! The table `texts` has the flyers whose text matches, from the cursor on, at least to the second in which the page
//! ends. An index of trigrams finds candidates, and each is compared with the search itself. The engines' indexes
//! differ too much for one form: see [`sqlite`] and [`postgres`].
//!
//! The table `named` has the creators whose name matches. Their lists are merged as those of followed creators are, see
//! [`super::merge`]. A name is one row of its index, however many flyers its bearer published.

mod postgres;
mod sqlite;

use chrono::NaiveDateTime;

use super::merge::{Lists, Merge};
use super::terms::{ScanOrder, flyer_by_id};
use crate::engine::Engine;
use crate::page::Direction;
use crate::sql::Value;
use crate::text;

/// The flyers that match a search, in a direction of travel.
pub(super) struct Search<'a> {
    pub(super) engine: Engine,
    pub(super) scan: &'a ScanOrder,
    /// The condition on a flyer `f` to be listed, without the search.
    pub(super) visible: &'a str,
    /// The condition on a creator `u` whose flyers may be listed.
    pub(super) published_by: &'a str,
    /// Whether the index has trigrams of the search. Without them, other means find it.
    pub(super) has_trigrams: bool,
}

/// The binds of the search itself.
pub(super) fn binds(engine: Engine, search: &str) -> Vec<(&'static str, Value)> {
    let mut binds = vec![("search", Value::Text(search.to_owned()))];
    binds.extend(match engine {
        Engine::Sqlite => sqlite::binds(search),
        Engine::Postgres => postgres::binds(search),
    });
    binds
}

/// The binds of the place in the index where a page begins.
pub(super) fn cursor_binds(
    engine: Engine,
    direction: Direction,
    at: NaiveDateTime,
    now: NaiveDateTime,
) -> Vec<(&'static str, Value)> {
    match engine {
        Engine::Sqlite => sqlite::cursor_binds(direction, at),
        Engine::Postgres => postgres::cursor_binds(direction, at, now),
    }
}

impl Search<'_> {
    /// The tables up to `texts` after `(:at, {id})`, or with the whole of the cursor's second.
    fn texts(&self, id: &str, with_cursors_second: bool) -> String {
        match self.engine {
            Engine::Sqlite => sqlite::texts(self, id, with_cursors_second),
            Engine::Postgres => postgres::texts(self, id, with_cursors_second),
        }
    }

    /// The table `named`.
    fn named(&self) -> String {
        let select = match self.engine {
            Engine::Sqlite => sqlite::names(self.has_trigrams),
            Engine::Postgres => postgres::names(self.has_trigrams),
        };
        format!("named AS MATERIALIZED ({select} AND {})", self.published_by)
    }

    fn merge(&self) -> Merge<'_> {
        Merge { engine: self.engine, scan: self.scan, lists: Lists::Named, visible: self.visible }
    }

    /// All tables, and the rows of `texts` together with the first `:reach` rows of the named creators.
    fn tables_and_rows(&self, id: &str, with_cursors_second: bool) -> (String, String) {
        let sort = self.scan.sort;
        let merge = self.merge();
        let tables =
            format!("{}, {}, {}", self.texts(id, with_cursors_second), self.named(), merge.tables(id));
        let named = merge.rows(&merge.after(id));
        let named = format!(
            "SELECT f.id, f.created_at FROM {named} ORDER BY f.created_at {sort}, f.id {sort} LIMIT :reach"
        );
        let (texts, named) =
            ("SELECT id, created_at FROM texts", format!("SELECT id, created_at FROM ({named}) f"));
        let rows = match self.engine {
            Engine::Sqlite => format!("({texts} UNION {named}) f"),
            // PostgreSQL would remove what is there twice by a hash or by a sort. This is a sort, in the page's order.
            Engine::Postgres => format!(
                "(SELECT DISTINCT ON (created_at, id) id, created_at FROM ({texts} UNION ALL {named}) f \
                 ORDER BY created_at {sort}, id {sort}) f"
            ),
        };
        (tables, rows)
    }

    /// The `(id, sorted_at)` of the rows after `(:at, {id})`, in order, up to `limit`.
    pub(super) fn after_cursor(&self, id: &str, limit: &str) -> String {
        let sort = self.scan.sort;
        let (tables, rows) = self.tables_and_rows(id, false);
        format!(
            "WITH {tables} \
             SELECT f.id, f.created_at AS sorted_at FROM {rows} \
             ORDER BY f.created_at {sort}, f.id {sort} \
             LIMIT {limit}"
        )
    }

    /// The `(id, sorted_at, distance)` of the rows from the cursor's second to the second in which the page ends.
    pub(super) fn to_last_second(&self, distance: &str) -> String {
        let ScanOrder { sort, after, before, .. } = self.scan;
        let (tables, rows) = self.tables_and_rows(":beyond", true);
        let last = "coalesce((SELECT created_at FROM edge), :end)";
        let named = self.merge().merged_to(last, "f.id");
        let flyer = flyer_by_id(self.engine, "m.id").alone();
        format!(
            "WITH {tables}, \
             edge AS MATERIALIZED (SELECT f.created_at FROM {rows} WHERE f.created_at {after} :at \
             ORDER BY f.created_at {sort}, f.id {sort} LIMIT 1 OFFSET :last) \
             SELECT f.id, f.created_at AS sorted_at, {distance} AS distance FROM \
             (SELECT id FROM texts WHERE created_at {before}= {last} UNION {named}) m {flyer}"
        )
    }

    /// All matches, in no order: a SELECT of `column` of each flyer `f`.
    pub(super) fn all(&self, column: &str) -> String {
        let text = text::holds(self.engine, "(SELECT t.text FROM flyer_texts t WHERE t.flyer_id = f.id)");
        // Flyers of named creators whose own text does not match: the others are there already.
        let of_named =
            Lists::Named.all(self.engine, &format!("{} AND NOT coalesce({text}, FALSE)", self.visible));
        let (tables, mut lists) = match self.engine {
            Engine::Sqlite => (
                sqlite::short_table(self.has_trigrams),
                vec![format!("{} TRUE", sqlite::matches(self)), of_named],
            ),
            Engine::Postgres => ("", vec![format!("{} TRUE", postgres::matches(self)), of_named]),
        };
        if self.engine == Engine::Sqlite {
            lists.push(format!("{} TRUE", sqlite::unindexed_matches(self)));
        }
        let rows: Vec<_> = lists.iter().map(|list| format!("SELECT {column} FROM {list}")).collect();
        format!("WITH {tables}{} {}", self.named(), rows.join(" UNION ALL "))
    }
}
