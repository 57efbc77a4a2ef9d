//! PostgreSQL's index of trigrams: GIN, which has no order.
//!
//! The index also knows a *slice* of each text: about six days of `created_at`. A page is first sought in the cursor's
//! slice and the next one (`sliced`), and only where these do not fill it among all texts. That suits searches that
//! match few texts: see [`crate::feed::AccessPath`].

use chrono::{DateTime, NaiveDateTime};

use super::Search;
use crate::engine::Engine;
use crate::feed::sql::terms::{ScanOrder, flyer_by_id, not_expired};
use crate::page::Direction;
use crate::sql::{Value, by_index};
use crate::text;

/// The seconds of a slice.
const SLICE: i64 = 524_288;

pub(super) fn binds(search: &str) -> Vec<(&'static str, Value)> {
    vec![("pattern", Value::Text(text::pattern(search)))]
}

pub(super) fn cursor_binds(
    direction: Direction,
    at: NaiveDateTime,
    now: NaiveDateTime,
) -> Vec<(&'static str, Value)> {
    let seconds = at.and_utc().timestamp();
    // Forward from the far future, where the first page starts, all slices down to now's are empty.
    let slice = match direction {
        Direction::Forward => seconds.min(now.and_utc().timestamp()) / SLICE,
        Direction::Backward => seconds / SLICE,
    };
    let next = if direction == Direction::Forward { slice - 1 } else { slice + 1 };
    let end = DateTime::from_timestamp((slice + 1) * SLICE, 0).map_or(at, |end| end.naive_utc());
    vec![("slice", Value::Int(slice)), ("nextslice", Value::Int(next)), ("sliceend", Value::Time(end))]
}

/// Visible flyers `f` that match, as tables with the beginning of a condition.
pub(super) fn matches(search: &Search<'_>) -> String {
    let like = like("t.text", search.has_trigrams);
    let flyer = flyer_by_id(Engine::Postgres, "t.flyer_id").and(&like);
    format!("flyer_texts t {flyer} AND {} AND", search.visible)
}

/// A SELECT of the `key` of each creator `u` whose name matches.
pub(super) fn names(has_trigrams: bool) -> String {
    format!("SELECT u.user_id AS key FROM user_texts u WHERE {}", like("u.text", has_trigrams))
}

/// The tables `sliced`, `enough` and `texts`.
pub(super) fn texts(search: &Search<'_>, id: &str, with_cursors_second: bool) -> String {
    let after = search.scan.after;
    let matches = matches(search);
    let slice = "(CAST(extract(epoch FROM t.created_at) AS bigint) / 524288)";
    let full = format!("(SELECT count(*) FROM sliced WHERE (created_at, id) {after} (:at, {id})) >= :reach");
    let enough = match search.scan {
        // Forward, a full page is not enough while there are flyers of a later slice: their `created_at` lies ahead of
        // our clock.
        ScanOrder { after: "<", .. } => format!(
            "{full} AND NOT coalesce((SELECT TRUE FROM {} \
             WHERE {} AND f.created_at >= :sliceend AND f.created_at {after}= :at \
             ORDER BY f.created_at DESC, f.id DESC LIMIT 1), FALSE)",
            by_index(Engine::Postgres, "flyers f", "flyers_feed"),
            not_expired("f.")
        ),
        // Backward, the slices follow each other from the cursor's on.
        _ => full,
    };
    let from = if with_cursors_second {
        format!("t.created_at {after}= :at")
    } else {
        format!("(t.created_at, t.flyer_id) {after} (:at, {id})")
    };
    let row = "SELECT f.id, f.created_at FROM";
    format!(
        "sliced AS MATERIALIZED ({row} {matches} {slice} IN (:slice, :nextslice) AND {from}), \
         enough AS MATERIALIZED (SELECT {enough} AS is_so), \
         texts AS MATERIALIZED (SELECT id, created_at FROM sliced WHERE (SELECT is_so FROM enough) \
         UNION ALL {row} {matches} {from} AND NOT (SELECT is_so FROM enough))"
    )
}

/// Whether a text is like `:pattern`. The collation keeps a search without trigrams from the index, which would return
/// all texts for it.
fn like(column: &str, has_trigrams: bool) -> String {
    if has_trigrams {
        format!("{column} LIKE :pattern")
    } else {
        format!("({column} COLLATE \"C\") LIKE :pattern")
    }
}
