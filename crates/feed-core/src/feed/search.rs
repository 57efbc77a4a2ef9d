//! The SQL of pages to which a search leads: flyers by the trigrams of their texts, and by their creators' names.
//!
//! The *texts* of the engine's index hold the search's trigrams; each is compared with the search itself, and kept
//! where its flyer is of the feed and shown. The table `texts` has all that are found from the position's second on,
//! at least down to the second in which the page ends.
//! - SQLite's index is read in the order of its rowids, which is that of the feeds but for the order within two hours
//!   (see the migration). So it is read from the position's two hours on until a page is full, and then to the end of the
//!   two hours that it has come to. A frequent word fills the page at once; the search that costs most is one whose
//!   trigrams are frequent and never in one text: it reads the whole list of each.
//!   A few of the last texts are not in it yet (see the migration): these are looked at one by one. One or two characters
//!   are wherever a trigram begins with them: those places are gathered first.
//! - PostgreSQL's index knows no order. It finds what was published within a *slice* of six days and the one behind it,
//!   for its index can tell that too, and where that does not fill the page, all there is. That is for searches that
//!   few texts hold: see [`super::lead`].
//!
//! The *named*, those whose name holds the search, are found by an index of names; their lists are merged as those of
//! followed creators are, see [`super::merge`]. A new name is one row in that index, however many flyers bear it.

use chrono::{DateTime, NaiveDateTime};

use super::keys::Way;
use super::merge::{Lists, Merge};
use crate::db::Engine;
use crate::page::Direction;
use crate::sql::Value;
use crate::text;

/// As many bits of a rowid of SQLite's index are the flyer's id.
const ID_BITS: u32 = 38;
/// A rowid's other bits are the flyer's time by so many seconds.
const BUCKET: i64 = 8_192;
/// A slice of PostgreSQL's index in seconds.
const SLICE: i64 = 524_288;

/// The flyers that a search finds, in a direction of travel, behind a position.
pub(super) struct Search<'a> {
    pub(super) engine: Engine,
    pub(super) way: &'a Way,
    /// A condition on the flyer `f`, the search apart.
    pub(super) shown: &'a str,
    /// A condition on the creator `u` of such flyers.
    pub(super) published_by: &'a str,
    /// Whether the engine's index can find it: else it is short.
    pub(super) is_long: bool,
}

/// The binds of what is searched.
pub(super) fn binds(engine: Engine, search: &str) -> Vec<(&'static str, Value)> {
    let bind = |name, text| (name, Value::Text(text));
    let mut binds = vec![bind("search", search.to_owned())];
    match engine {
        Engine::Postgres => binds.push(bind("pattern", text::pattern(search))),
        Engine::Sqlite if text::has_trigrams(engine, search) => {
            binds.push(bind("terms", text::trigrams(search)));
        }
        Engine::Sqlite => {
            let (first, last) = text::trigrams_from(search);
            binds.extend([bind("firstterm", first), bind("lastterm", last)]);
        }
    }
    binds
}

/// The binds of where a page of it begins.
pub(super) fn position_binds(
    engine: Engine,
    direction: Direction,
    at: NaiveDateTime,
    now: NaiveDateTime,
) -> Vec<(&'static str, Value)> {
    let seconds = at.and_utc().timestamp();
    match engine {
        Engine::Sqlite => {
            let first = (seconds / BUCKET) << ID_BITS;
            let last = first | ((1 << ID_BITS) - 1);
            let end = if direction == Direction::Forward { last } else { first };
            vec![("bucket", Value::Int(first)), ("bucketend", Value::Int(last)), ("upto", Value::Int(end))]
        }
        Engine::Postgres => {
            // Forward from the future, all slices up to now's would be empty.
            let slice = match direction {
                Direction::Forward => seconds.min(now.and_utc().timestamp()) / SLICE,
                Direction::Backward => seconds / SLICE,
            };
            let next = if direction == Direction::Forward { slice - 1 } else { slice + 1 };
            let end = DateTime::from_timestamp((slice + 1) * SLICE, 0).map_or(at, |end| end.naive_utc());
            vec![
                ("slice", Value::Int(slice)),
                ("nextslice", Value::Int(next)),
                ("sliceend", Value::Time(end)),
            ]
        }
    }
}

impl Search<'_> {
    /// What SQLite calls the places of texts in its index; of `x`, see [`Search::found`].
    fn place(&self) -> &'static str {
        if self.is_long { "x.rowid" } else { "x.place" }
    }

    /// The table `short` of the places that a short search may be at, on SQLite, behind a comma; nothing else.
    fn short(&self) -> &'static str {
        match (self.engine, self.is_long) {
            (Engine::Sqlite, false) => {
                "short AS MATERIALIZED (SELECT DISTINCT doc AS place FROM flyer_trigram_places \
                 WHERE term >= :firstterm AND term <= :lastterm), "
            }
            _ => "",
        }
    }

    /// Flyers `f` that are shown and whose texts hold the search, as tables with a condition that lacks its end.
    fn found(&self) -> String {
        let holds = text::holds(self.engine, "t.text");
        let shown = self.shown;
        match (self.engine, self.is_long) {
            (Engine::Sqlite, is_long) => {
                let (index, matches) = if is_long {
                    ("flyer_trigrams", "x.flyer_trigrams MATCH :terms AND ")
                } else {
                    ("short", "")
                };
                let id = format!("({} & {})", self.place(), (1_i64 << ID_BITS) - 1);
                format!(
                    "{index} x CROSS JOIN flyers f CROSS JOIN flyer_texts t WHERE {matches}f.id = {id} AND {shown} \
                     AND t.flyer_id = f.id AND {holds} AND"
                )
            }
            (Engine::Postgres, is_long) => format!(
                "flyer_texts t CROSS JOIN LATERAL (SELECT * FROM flyers f WHERE f.id = t.flyer_id OFFSET 0) f \
                 WHERE {} AND {shown} AND",
                like("t.text", is_long)
            ),
        }
    }

    /// The same of the texts that SQLite's index does not have yet.
    fn to_index(&self) -> String {
        let (holds, shown) = (text::holds(self.engine, "t.text"), self.shown);
        format!(
            "flyer_texts_to_index i CROSS JOIN flyers f CROSS JOIN flyer_texts t \
             WHERE f.id = i.flyer_id AND {shown} AND t.flyer_id = f.id AND {holds} AND"
        )
    }

    /// The table `named`.
    fn named(&self) -> String {
        let select = match (self.engine, self.is_long) {
            (Engine::Sqlite, true) => format!(
                "SELECT u.user_id AS key FROM user_trigrams y CROSS JOIN user_texts u \
                 WHERE y.user_trigrams MATCH :terms AND u.user_id = y.rowid AND {}",
                text::holds(self.engine, "u.text")
            ),
            (Engine::Sqlite, false) => format!(
                "SELECT u.user_id AS key FROM user_texts u WHERE {}",
                text::holds(self.engine, "u.text")
            ),
            (Engine::Postgres, is_long) => {
                format!("SELECT u.user_id AS key FROM user_texts u WHERE {}", like("u.text", is_long))
            }
        };
        format!("named AS MATERIALIZED ({select} AND {})", self.published_by)
    }

    /// The tables of `texts`, behind `(:at, {id})`; `with_own_second` also of the position's own second.
    fn texts(&self, id: &str, with_own_second: bool) -> String {
        let Way { order, behind, before, last, .. } = self.way;
        let found = self.found();
        let is_behind = |f: &str| format!("({f}created_at, {f}id) {behind} (:at, {id})");
        match self.engine {
            Engine::Sqlite => {
                let is_behind = is_behind("f.");
                // To the end of the bucket in which the last of a full page was found.
                let end = match *behind {
                    "<" => format!("(b.place >> {ID_BITS} << {ID_BITS})"),
                    _ => format!("(b.place | {})", (1_i64 << ID_BITS) - 1),
                };
                let row = "SELECT f.id, f.created_at FROM";
                let (to_index, place, short) = (self.to_index(), self.place(), self.short());
                let (from, own) = if with_own_second {
                    (
                        format!("f.created_at {behind}= :at"),
                        format!(
                            " UNION ALL {row} {found} {place} BETWEEN :bucket AND :bucketend AND f.created_at = :at"
                        ),
                    )
                } else {
                    (is_behind.clone(), String::new())
                };
                format!(
                    "{short}found AS MATERIALIZED (SELECT {place} AS place, f.id, f.created_at FROM {found} \
                     {place} {behind}= :upto AND {is_behind} ORDER BY {place} {order} LIMIT :reach), \
                     texts AS MATERIALIZED (SELECT id, created_at FROM found UNION ALL \
                     {row} {to_index} {from} UNION ALL \
                     {row} (SELECT {last}(place) AS place FROM found HAVING count(*) = :reach) b CROSS JOIN {found} \
                     {place} {behind} b.place AND {place} {before}= {end} AND {is_behind}{own})"
                )
            }
            Engine::Postgres => {
                let slice = "(CAST(extract(epoch FROM t.created_at) AS bigint) / 524288)";
                // A page that is not full may have its other rows anywhere; so may the first one, while there are
                // flyers of days to come.
                let enough = format!(
                    "(SELECT count(*) FROM sliced WHERE {}) >= :reach AND NOT coalesce((SELECT TRUE FROM flyers f \
                     WHERE {} AND f.created_at >= :sliceend AND f.created_at {behind}= :at \
                     ORDER BY f.created_at DESC, f.id DESC LIMIT 1), FALSE)",
                    is_behind(""),
                    super::keys::unmarked("f.")
                );
                // Going back, the slices follow each other from the position's on.
                let enough = match *behind {
                    "<" => enough,
                    _ => format!("(SELECT count(*) FROM sliced WHERE {}) >= :reach", is_behind("")),
                };
                let from = if with_own_second {
                    format!("t.created_at {behind}= :at")
                } else {
                    format!("(t.created_at, t.flyer_id) {behind} (:at, {id})")
                };
                let row = "SELECT f.id, f.created_at FROM";
                format!(
                    "sliced AS MATERIALIZED ({row} {found} {slice} IN (:slice, :nextslice) AND {from}), \
                     enough AS MATERIALIZED (SELECT {enough} AS is_so), \
                     texts AS MATERIALIZED (SELECT id, created_at FROM sliced WHERE (SELECT is_so FROM enough) \
                     UNION ALL {row} {found} {from} AND NOT (SELECT is_so FROM enough))"
                )
            }
        }
    }

    fn merge(&self) -> Merge<'_> {
        Merge { engine: self.engine, way: self.way, lists: Lists::Named, shown: self.shown }
    }

    /// All tables, and what is found behind the position without regard to distances: the first `:reach` of the named
    /// among them.
    fn both(&self, id: &str, with_own_second: bool) -> (String, String) {
        let order = self.way.order;
        let merge = self.merge();
        let tables = format!("{}, {}, {}", self.texts(id, with_own_second), self.named(), merge.tables(id));
        let named = merge.rows(&merge.behind(id));
        let rows = format!(
            "(SELECT id, created_at FROM texts UNION SELECT id, created_at FROM (SELECT f.id, f.created_at FROM {named} \
             ORDER BY f.created_at {order}, f.id {order} LIMIT :reach) f) f"
        );
        (tables, rows)
    }

    /// The `(id, sorted_at)` of what is found behind `(:at, {id})`, by `(created_at, id)`, up to `limit`.
    pub(super) fn walk(&self, id: &str, limit: &str) -> String {
        let order = self.way.order;
        let (tables, rows) = self.both(id, false);
        format!(
            "WITH {tables} SELECT f.id, f.created_at AS sorted_at FROM {rows} \
             ORDER BY f.created_at {order}, f.id {order} LIMIT {limit}"
        )
    }

    /// The `(id, sorted_at, distance)` of what is found from the position's second to the one in which the page ends.
    pub(super) fn down_to_the_edge(&self, distance: &str) -> String {
        let Way { order, behind, before, .. } = self.way;
        let (tables, rows) = self.both(":beyond", true);
        let edge = "coalesce((SELECT created_at FROM edge), :end)";
        let named = self.merge().merged_down_to(edge, "f.id");
        let flyer = match self.engine {
            Engine::Sqlite => "CROSS JOIN flyers f WHERE f.id = m.id",
            Engine::Postgres => "CROSS JOIN LATERAL (SELECT * FROM flyers f WHERE f.id = m.id OFFSET 0) f",
        };
        format!(
            "WITH {tables}, edge AS MATERIALIZED (SELECT f.created_at FROM {rows} WHERE f.created_at {behind} :at \
             ORDER BY f.created_at {order}, f.id {order} LIMIT 1 OFFSET :last) \
             SELECT f.id, f.created_at AS sorted_at, {distance} AS distance FROM \
             (SELECT id FROM texts WHERE created_at {before}= {edge} UNION {named}) m {flyer}"
        )
    }

    /// All that is found, in no order: a SELECT of the `column` of each flyer `f`.
    pub(super) fn all(&self, column: &str) -> String {
        let (found, shown) = (self.found(), self.shown);
        let text = text::holds(self.engine, "(SELECT t.text FROM flyer_texts t WHERE t.flyer_id = f.id)");
        let of_named = Lists::Named.all(self.engine, &format!("{shown} AND NOT coalesce({text}, FALSE)"));
        let mut lists = vec![format!("{found} TRUE"), of_named];
        if self.engine == Engine::Sqlite {
            lists.push(format!("{} TRUE", self.to_index()));
        }
        let rows: Vec<_> = lists.iter().map(|list| format!("SELECT {column} FROM {list}")).collect();
        format!("WITH {}{} {}", self.short(), self.named(), rows.join(" UNION ALL "))
    }
}

/// Whether a text is like `:pattern`: by the index where the search is long enough for it. For a short one, it would
/// name all texts.
fn like(column: &str, is_long: bool) -> String {
    if is_long {
        format!("{column} LIKE :pattern")
    } else {
        format!("({column} COLLATE \"C\") LIKE :pattern")
    }
}
