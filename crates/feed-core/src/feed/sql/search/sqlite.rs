//! SQLite's index of trigrams: FTS5, read in the feed's order.
//!
//! A rowid of the index is `bucket << 38 | flyer id`, and a bucket is about two hours of `created_at`. So the order of
//! rowids is the feed's but for the order within a bucket. The index is read from the cursor's bucket on until a page
//! is full (`found`), and then to the end of the bucket in which that happened. A frequent word fills the page at once.
//! The most expensive search is one whose trigrams are frequent but never in one text: it reads the whole list of each.
//!
//! The newest texts are not in the index yet (see the migration of discovery). These few are compared one by one.
//!
//! A search of one or two characters has no trigram. It matches wherever a trigram begins with it, and those places are
//! gathered first (`short`).

use chrono::NaiveDateTime;

use super::Search;
use crate::engine::Engine;
use crate::feed::sql::terms::ScanOrder;
use crate::page::Direction;
use crate::sql::Value;
use crate::text;

/// The low bits of a rowid that are the flyer's id.
const ID_BITS: u32 = 38;
/// The seconds of a bucket.
const BUCKET: i64 = 8_192;

pub(super) fn binds(search: &str) -> Vec<(&'static str, Value)> {
    if text::has_trigrams(Engine::Sqlite, search) {
        return vec![("terms", Value::Text(text::trigrams(search)))];
    }
    let (first, last) = text::trigrams_from(search);
    vec![("firstterm", Value::Text(first)), ("lastterm", Value::Text(last))]
}

pub(super) fn cursor_binds(direction: Direction, at: NaiveDateTime) -> Vec<(&'static str, Value)> {
    let first = (at.and_utc().timestamp() / BUCKET) << ID_BITS;
    let last = first | ((1 << ID_BITS) - 1);
    let from = if direction == Direction::Forward { last } else { first };
    vec![("bucket", Value::Int(first)), ("bucketend", Value::Int(last)), ("upto", Value::Int(from))]
}

/// The column of a match `x` that has its rowid.
fn rowid(search: &Search<'_>) -> &'static str {
    if search.has_trigrams { "x.rowid" } else { "x.place" }
}

/// The table `short` of the rowids that a search without trigrams may match, with a comma after it; empty for others.
pub(super) fn short_table(has_trigrams: bool) -> &'static str {
    if has_trigrams {
        return "";
    }
    "short AS MATERIALIZED (SELECT DISTINCT doc AS place FROM flyer_trigram_places \
     WHERE term >= :firstterm AND term <= :lastterm), "
}

/// Visible flyers `f` that match by the index, as tables with the beginning of a condition.
pub(super) fn matches(search: &Search<'_>) -> String {
    let holds = text::holds(Engine::Sqlite, "t.text");
    let visible = search.visible;
    let (index, matches) = if search.has_trigrams {
        ("flyer_trigrams", "x.flyer_trigrams MATCH :terms AND ")
    } else {
        ("short", "")
    };
    let id = format!("({} & {})", rowid(search), (1_i64 << ID_BITS) - 1);
    format!(
        "{index} x CROSS JOIN flyers f NOT INDEXED CROSS JOIN flyer_texts t WHERE {matches}f.id = {id} AND {visible} \
         AND t.flyer_id = f.id AND {holds} AND"
    )
}

/// The same of the texts that are not in the index yet.
pub(super) fn unindexed_matches(search: &Search<'_>) -> String {
    let (holds, visible) = (text::holds(Engine::Sqlite, "t.text"), search.visible);
    format!(
        "flyer_texts_to_index i CROSS JOIN flyers f NOT INDEXED CROSS JOIN flyer_texts t \
         WHERE f.id = i.flyer_id AND {visible} AND t.flyer_id = f.id AND {holds} AND"
    )
}

/// A SELECT of the `key` of each creator `u` whose name matches.
pub(super) fn names(has_trigrams: bool) -> String {
    let holds = text::holds(Engine::Sqlite, "u.text");
    if has_trigrams {
        format!(
            "SELECT u.user_id AS key FROM user_trigrams y CROSS JOIN user_texts u \
             WHERE y.user_trigrams MATCH :terms AND u.user_id = y.rowid AND {holds}"
        )
    } else {
        format!("SELECT u.user_id AS key FROM user_texts u WHERE {holds}")
    }
}

/// The tables `short`, `found` and `texts`.
pub(super) fn texts(search: &Search<'_>, id: &str, with_cursors_second: bool) -> String {
    let ScanOrder { sort, after, before, last_of, .. } = search.scan;
    let (matches, unindexed) = (matches(search), unindexed_matches(search));
    let (rowid, short_table) = (rowid(search), short_table(search.has_trigrams));
    let is_after = format!("(f.created_at, f.id) {after} (:at, {id})");
    // The end of the bucket in which the last row of a full page was found.
    let bucket_end = match *after {
        "<" => format!("(b.place >> {ID_BITS} << {ID_BITS})"),
        _ => format!("(b.place | {})", (1_i64 << ID_BITS) - 1),
    };
    let row = "SELECT f.id, f.created_at FROM";
    let (from, cursors_second) = if with_cursors_second {
        (
            format!("f.created_at {after}= :at"),
            format!(
                " UNION ALL {row} {matches} {rowid} BETWEEN :bucket AND :bucketend AND f.created_at = :at"
            ),
        )
    } else {
        (is_after.clone(), String::new())
    };
    format!(
        "{short_table}\
         found AS MATERIALIZED (SELECT {rowid} AS place, f.id, f.created_at FROM {matches} \
         {rowid} {after}= :upto AND {is_after} ORDER BY {rowid} {sort} LIMIT :reach), \
         texts AS MATERIALIZED (SELECT id, created_at FROM found \
         UNION ALL {row} {unindexed} {from} \
         UNION ALL {row} (SELECT {last_of}(place) AS place FROM found HAVING count(*) = :reach) b \
         CROSS JOIN {matches} {rowid} {after} b.place AND {rowid} {before}= {bucket_end} AND {is_after}\
         {cursors_second})"
    )
}
