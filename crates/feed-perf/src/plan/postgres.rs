//! PostgreSQL's plans, with the measured work of running them.

use std::sync::atomic::{AtomicU64, Ordering};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Text};
use serde_json::Value as Json;

use super::literal::literal;
use super::{Execution, Plan, Planner, Scan, Sort};
use crate::binds;
use crate::error::Error;
use crate::log::{Statement, recorder};

/// The generic and the custom plan of one statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plans {
    /// The plan for any values of the binds. A prepared statement usually gets it after a few runs.
    pub generic: Plan,
    /// The plan for the values of this statement.
    pub custom: Plan,
}

/// Explains `statement`, and measures it by running it twice more: with its generic and with its custom plan.
///
/// It prepares the statement under another name. The parameter types are those that `connection` has declared for it.
/// For a statement that Diesel does not keep prepared (`sql_query`, and the result of [`unsent()`](super::unsent())),
/// PostgreSQL infers them. The values are literals. They are parsed from Diesel's debug text of the binds and checked
/// against those types.
///
/// Everything happens in one transaction (or savepoint), which is rolled back. So writes are undone, except the
/// advance of sequences, and all settings stay. It is not recorded in any log.
///
/// # Errors
/// [`Error::Binds`] for a bind that is not a number, boolean, string, time, bytes or list of these, or does not fit its
/// parameter; [`Error::Plan`]; [`Error::Database`].
pub fn postgres(connection: &mut PgConnection, statement: &Statement) -> Result<Plans, Error> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = format!("feed_perf_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let (plans, _) = recorder::in_scope(true, || {
        let mut plans = None;
        let undone = connection.transaction(|connection| {
            plans = Some(explain(connection, statement, &name));
            Err::<(), _>(diesel::result::Error::RollbackTransaction)
        });
        // A rollback does not remove prepared statements.
        let is_prepared = plans.as_ref().is_some_and(|(is_prepared, _)| *is_prepared);
        if is_prepared {
            connection.batch_execute(&format!("DEALLOCATE {name}")).map_err(Error::database("DEALLOCATE"))?;
        }
        match (plans, undone) {
            (Some((_, plans)), Err(diesel::result::Error::RollbackTransaction)) => plans,
            (Some((_, Err(first))), _) => Err(first),
            (_, Err(source)) => {
                Err(Error::Database { doing: "the transaction around EXPLAIN".into(), source })
            }
            (_, Ok(())) => unreachable!("the transaction is always rolled back"),
        }
    });
    plans
}

/// Prepares and explains the statement. Returns whether it was prepared, and its plans.
fn explain(connection: &mut PgConnection, statement: &Statement, name: &str) -> (bool, Result<Plans, Error>) {
    let prepared = declared_types(connection, &statement.sql).and_then(|types| {
        let types = if types.is_empty() { String::new() } else { format!(" ({})", types.join(", ")) };
        let prepare = format!("PREPARE {name}{types} AS {}", statement.sql);
        connection.batch_execute(&prepare).map_err(Error::database(prepare))
    });
    if let Err(error) = prepared {
        return (false, Err(error));
    }
    let plans = execute_text(connection, statement, name).and_then(|execute| {
        let custom = explain_execute(connection, &execute, Planner::Custom)?;
        let generic = explain_execute(connection, &execute, Planner::Generic)?;
        Ok(Plans { generic, custom })
    });
    (true, plans)
}

/// The parameter types of a statement that the connection has prepared. Empty if it has not.
fn declared_types(connection: &mut PgConnection, sql: &str) -> Result<Vec<String>, Error> {
    // The log trims the text of a statement, Diesel does not. So compare trimmed texts.
    let mut found = diesel::sql_query(
        "SELECT DISTINCT parameter_types::text[] AS types FROM pg_prepared_statements \
         WHERE btrim(statement, E' \\t\\r\\n') = btrim($1, E' \\t\\r\\n') AND name NOT LIKE 'feed\\_perf\\_%'",
    )
    .bind::<Text, _>(sql)
    .load::<Types>(connection)
    .map_err(Error::database("pg_prepared_statements"))?;
    if found.len() > 1 {
        return Err(Error::plan(format!(
            "the statement is prepared several times with different parameter types: {sql}"
        )));
    }
    Ok(found.pop().map(|row| row.types).unwrap_or_default())
}

#[derive(QueryableByName)]
struct Types {
    #[diesel(sql_type = Array<Text>)]
    types: Vec<String>,
}

/// The arguments of EXECUTE: `name(literals)`.
fn execute_text(connection: &mut PgConnection, statement: &Statement, name: &str) -> Result<String, Error> {
    let types = diesel::sql_query(
        "SELECT parameter_types::text[] AS types FROM pg_prepared_statements WHERE name = $1",
    )
    .bind::<Text, _>(name)
    .get_result::<Types>(connection)
    .map_err(Error::database("pg_prepared_statements"))?
    .types;
    let values = binds::parse(&statement.binds)?;
    let fail = |reason: String| Error::Binds { binds: statement.binds.clone(), reason };
    if values.len() != types.len() {
        return Err(fail(format!("{} values for {} parameters", values.len(), types.len())));
    }
    let literals = values
        .iter()
        .zip(&types)
        .map(|(value, type_name)| literal(value, type_name))
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    Ok(if literals.is_empty() { name.to_owned() } else { format!("{name}({})", literals.join(", ")) })
}

fn explain_execute(connection: &mut PgConnection, execute: &str, planner: Planner) -> Result<Plan, Error> {
    let mode = if planner == Planner::Generic { "force_generic_plan" } else { "force_custom_plan" };
    let set = format!("SET LOCAL plan_cache_mode = {mode}");
    connection.batch_execute(&set).map_err(Error::database(set))?;
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) EXECUTE {execute}");
    let json = diesel::dsl::sql::<Text>(&explain)
        .get_result::<String>(connection)
        .map_err(Error::database(explain))?;
    let json: Json = serde_json::from_str(&json).map_err(|error| Error::plan(error.to_string()))?;
    let root = json
        .pointer("/0/Plan")
        .ok_or_else(|| Error::plan(format!("the output of EXPLAIN has no plan: {json}")))?;
    plan(root, planner)
}

fn plan(root: &Json, planner: Planner) -> Result<Plan, Error> {
    let mut plan = Plan::new(planner);
    let mut execution = Execution { buffers: buffers(root)?, returned: rows(root)?, ..Execution::default() };
    let mut open = vec![(0, root)];
    while let Some((depth, node)) = open.pop() {
        let step = step(node)?;
        let children = node["Plans"].as_array().map_or(&[][..], Vec::as_slice);
        let node_type = text(node, "Node Type");
        if let Some(index) = text(node, "Index Name") {
            plan.add_index(index);
        }
        if let (Some("Seq Scan"), Some(table)) = (node_type, text(node, "Relation Name")) {
            plan.scans.push(Scan { table: table.to_owned(), step: step.clone() });
        }
        if let (Some("Sort" | "Incremental Sort"), Some(input)) = (node_type, children.first()) {
            let rows = rows(input)?;
            execution.sorted += rows;
            plan.sorts.push(Sort { step: step.clone(), rows: Some(rows) });
        }
        let filtered = times_loops(node, "Rows Removed by Filter")?;
        execution.removed += filtered + times_loops(node, "Rows Removed by Join Filter")?;
        if text(node, "Relation Name").is_some() || text(node, "Index Name").is_some() {
            execution.visited += rows(node)? + filtered + times_loops(node, "Rows Removed by Index Recheck")?;
        }
        plan.steps.push((depth, step));
        open.extend(children.iter().rev().map(|child| (depth + 1, child)));
    }
    plan.execution = Some(execution);
    Ok(plan)
}

/// The line of one plan node.
fn step(node: &Json) -> Result<String, Error> {
    let node_type =
        text(node, "Node Type").ok_or_else(|| Error::plan(format!("a plan node has no type: {node}")))?;
    let mut words = Vec::new();
    // For example `InitPlan 1 (returns $0)`.
    words.extend(text(node, "Subplan Name").map(|name| format!("{name}:")));
    words.push(node_type.to_owned());
    let names =
        [("using", "Index Name"), ("on", "Relation Name"), ("on", "CTE Name"), ("on", "Function Name")];
    words.extend(names.iter().filter_map(|(word, key)| Some(format!("{word} {}", text(node, key)?))));
    let alias = text(node, "Alias").filter(|alias| text(node, "Relation Name") != Some(alias));
    words.extend(alias.map(str::to_owned));

    let conditions = ["Index Cond", "Recheck Cond", "Hash Cond", "Merge Cond", "Join Filter", "Filter"];
    let conditions = conditions.iter().filter_map(|key| Some((key, text(node, key)?.to_owned())));
    let keys = ["Sort Key", "Presorted Key", "Group Key"].iter().filter_map(|key| {
        let columns: Vec<&str> = node[key].as_array()?.iter().filter_map(Json::as_str).collect();
        Some((key, columns.join(", ")))
    });
    let mut clauses = vec![words.join(" ")];
    clauses.extend(conditions.chain(keys).map(|(key, text)| format!("{}: {text}", key.to_lowercase())));
    Ok(format!("{}  ({})", clauses.join(", "), counts(node)?))
}

/// The rows and buffers of a plan node, over all of its loops.
fn counts(node: &Json) -> Result<String, Error> {
    let loops = number(node, "Actual Loops")?;
    if loops == 0 {
        return Ok("never run".to_owned());
    }
    let mut counts = vec![format!("rows {}", rows(node)?), format!("expected {} a loop", node["Plan Rows"])];
    if loops > 1 {
        counts.push(format!("loops {loops}"));
    }
    for (by, key) in [
        ("filter", "Rows Removed by Filter"),
        ("join filter", "Rows Removed by Join Filter"),
        ("recheck", "Rows Removed by Index Recheck"),
    ] {
        let removed = times_loops(node, key)?;
        if removed > 0 {
            counts.push(format!("removed by {by} {removed}"));
        }
    }
    counts.push(format!("buffers {}", buffers(node)?));
    Ok(counts.join(", "))
}

/// The shared buffers of a plan node, including the nodes below it.
fn buffers(node: &Json) -> Result<u64, Error> {
    Ok(number(node, "Shared Hit Blocks")? + number(node, "Shared Read Blocks")?)
}

fn text<'a>(node: &'a Json, key: &str) -> Option<&'a str> {
    node[key].as_str()
}

/// A whole number, or 0 if PostgreSQL leaves it out.
fn number(node: &Json, key: &str) -> Result<u64, Error> {
    match &node[key] {
        Json::Null => Ok(0),
        value => value.as_u64().ok_or_else(|| Error::plan(format!("{key} is {value}"))),
    }
}

/// A total over all loops: PostgreSQL reports the mean, which is multiplied by the number of loops.
fn times_loops(node: &Json, key: &str) -> Result<u64, Error> {
    let loops = number(node, "Actual Loops")?;
    match &node[key] {
        Json::Null => Ok(0),
        // PostgreSQL 18 and later report fractions.
        Json::Number(mean) if mean.is_f64() => {
            let total =
                mean.as_f64().zip(u32::try_from(loops).ok()).map(|(mean, loops)| mean * f64::from(loops));
            total
                .and_then(|total| format!("{total:.0}").parse().ok())
                .ok_or_else(|| Error::plan(format!("{key} is {mean}")))
        }
        _ => Ok(number(node, key)? * loops),
    }
}

/// The rows that a plan node returned, over all of its loops.
fn rows(node: &Json) -> Result<u64, Error> {
    times_loops(node, "Actual Rows")
}
