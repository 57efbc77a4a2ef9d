//! SQLite's plans.

use diesel::prelude::*;
use diesel::query_builder::BoxedSqlQuery;
use diesel::sql_types::{BigInt, Binary, Double, Integer, Nullable, Text};
use diesel::sqlite::Sqlite;

use super::{Plan, Planner, Scan, Sort};
use crate::binds::{self, DateTime, Value};
use crate::error::Error;
use crate::log::{Statement, recorder};
use crate::sql::has_alias;

/// Explains `statement` as `connection` would run it now, without running it.
///
/// It binds the values again, parsed from their debug text. SQLite's planner uses them (for statistics of a column, the
/// pattern of a LIKE, the condition of a partial index), unless it was built with `SQLITE_ENABLE_QPSG`.
///
/// Cost: it prepares the statement once. It is not recorded in any log.
///
/// # Errors
/// [`Error::Binds`] for a bind that is not a number, boolean, string, time or bytes; [`Error::Database`].
pub fn sqlite(connection: &mut SqliteConnection, statement: &Statement) -> Result<Plan, Error> {
    let values = binds::parse(&statement.binds)?;
    let mut query = diesel::sql_query(format!("EXPLAIN QUERY PLAN {}", statement.sql)).into_boxed::<Sqlite>();
    for value in values {
        query = bind(query, value)
            .map_err(|reason| Error::Binds { binds: statement.binds.clone(), reason: reason.to_owned() })?;
    }
    let (rows, _) = recorder::in_scope(true, || query.load::<Row>(connection));
    let rows = rows.map_err(Error::database(format!("EXPLAIN QUERY PLAN {}", statement.sql)))?;
    Ok(plan(&rows, &statement.sql))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Integer)]
    id: i32,
    #[diesel(sql_type = Integer)]
    parent: i32,
    #[diesel(sql_type = Text)]
    detail: String,
}

/// Binds a value as Diesel binds it.
fn bind(
    query: BoxedSqlQuery<'static, Sqlite, diesel::query_builder::SqlQuery>,
    value: Value,
) -> Result<BoxedSqlQuery<'static, Sqlite, diesel::query_builder::SqlQuery>, &'static str> {
    Ok(match value {
        Value::Null => query.bind::<Nullable<Text>, _>(None::<String>),
        Value::Bool(value) => query.bind::<BigInt, _>(i64::from(value)),
        Value::Int(value) => query.bind::<BigInt, _>(value),
        Value::Float(text) => {
            query.bind::<Double, _>(text.parse::<f64>().map_err(|_| "a float cannot be parsed")?)
        }
        Value::Text(text) => query.bind::<Text, _>(text),
        Value::DateTime(value) => query.bind::<Text, _>(date_time_text(value)),
        Value::List(values) => {
            let bytes: Option<Vec<u8>> = values
                .iter()
                .map(|value| if let Value::Int(byte) = value { u8::try_from(*byte).ok() } else { None })
                .collect();
            query.bind::<Binary, _>(bytes.ok_or("a list has elements that are not bytes")?)
        }
    })
}

fn date_time_text(value: DateTime) -> String {
    let offset = value.offset.map(|offset| if offset == "Z" { "+00:00".to_owned() } else { offset });
    let local = [value.date, value.time].into_iter().flatten().collect::<Vec<_>>().join(" ");
    local + offset.as_deref().unwrap_or_default()
}

fn plan(rows: &[Row], sql: &str) -> Plan {
    let mut plan = Plan::new(Planner::Sqlite);
    let derived: Vec<&str> = rows
        .iter()
        .filter_map(|row| {
            row.detail.strip_prefix("CO-ROUTINE ").or_else(|| row.detail.strip_prefix("MATERIALIZE "))
        })
        .collect();
    let is_derived = |name: &str| derived.iter().any(|query| *query == name || has_alias(sql, query, name));
    for row in rows {
        plan.steps.push((depth(row, rows), row.detail.clone()));
        if let Some(table) = scanned(&row.detail).filter(|table| !is_derived(table)) {
            plan.scans.push(Scan { table: table.to_owned(), step: row.detail.clone() });
        }
        if row.detail.contains("USE TEMP B-TREE") || row.detail.contains("USING TEMP B-TREE") {
            plan.sorts.push(Sort { step: row.detail.clone(), rows: None });
        }
        if let Some(index) = used_index(&row.detail) {
            plan.add_index(index);
        }
    }
    plan
}

fn depth(row: &Row, rows: &[Row]) -> usize {
    std::iter::successors(Some(row), |row| rows.iter().find(|other| other.id == row.parent)).count() - 1
}

/// The table that a plan node scans without an index. It may be the name of a subquery.
fn scanned(step: &str) -> Option<&str> {
    let has_index = |rest: &str| rest.contains(" USING INDEX ") || rest.contains(" USING COVERING INDEX ");
    let rest = match step.strip_prefix("SCAN ") {
        Some(rest) if has_index(rest) => return None,
        Some(rest) => rest,
        None => step.strip_prefix("SEARCH ").filter(|rest| rest.contains(" USING AUTOMATIC "))?,
    };
    // Not tables: `SCAN CONSTANT ROW`, `SCAN 3 CONSTANT ROWS`, `SCAN (subquery-1)`.
    let is_table =
        !rest.contains("CONSTANT ROW") && !rest.contains(" VIRTUAL TABLE ") && !rest.starts_with('(');
    let end = [" USING ", " LEFT-JOIN", " EXISTS"].iter().filter_map(|suffix| rest.find(suffix)).min();
    is_table.then(|| &rest[..end.unwrap_or(rest.len())])
}

/// The name after `USING INDEX` or `USING COVERING INDEX`.
fn used_index(step: &str) -> Option<&str> {
    let after = ["USING INDEX ", "USING COVERING INDEX "]
        .iter()
        .find_map(|words| step.split_once(words).map(|(_, after)| after))?;
    let end = [" (", " LEFT-JOIN", " FOR IN-OPERATOR"].iter().filter_map(|suffix| after.find(suffix)).min();
    Some(&after[..end.unwrap_or(after.len())])
}

#[cfg(test)]
mod tests {
    use super::{scanned, used_index};

    #[test]
    fn steps() {
        for (step, scan, index) in [
            ("SCAN t", Some("t"), None),
            ("SCAN t LEFT-JOIN", Some("t"), None),
            ("SCAN t USING INDEX a", None, Some("a")),
            ("SCAN t USING COVERING INDEX a b", None, Some("a b")),
            ("SEARCH t USING INDEX a (x=? AND y>?) LEFT-JOIN", None, Some("a")),
            ("SEARCH t EXISTS USING INTEGER PRIMARY KEY (rowid=?)", None, None),
            ("SEARCH t USING AUTOMATIC COVERING INDEX (x=?)", Some("t"), None),
            ("USING INDEX a FOR IN-OPERATOR", None, Some("a")),
            ("SCAN CONSTANT ROW", None, None),
            ("SCAN 2 CONSTANT ROWS", None, None),
            ("SCAN (subquery-1)", None, None),
            ("SCAN json_each VIRTUAL TABLE INDEX 1:", None, None),
        ] {
            assert_eq!((scanned(step), used_index(step)), (scan, index), "{step}");
        }
    }
}
