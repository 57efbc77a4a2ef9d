//! In every state of the tables a statement has the same plan.

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Db, Engine};
use feed_core::testing::TestDatabase;
use pretty_assertions::assert_eq;
use serde_json::Value as Json;

use super::base::{FORGET_STATISTICS, State};
use super::statements;

/// What a plan does, in order: how each table is read, by which index and in which direction, and what joins and sorts.
type Plan = Vec<String>;

/// The generic plans of all statements, by their names.
fn plans(c: &mut PgConnection, setting: &str) -> BTreeMap<String, Plan> {
    let mut plans = BTreeMap::new();
    c.test_transaction(|c| {
        c.batch_execute("SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL jit = off")?;
        c.batch_execute(setting)?;
        for statement in statements::of("postgres", '$') {
            let name = statement.name;
            let binds = vec!["NULL"; statement.types.len()].join(", ");
            c.batch_execute(&format!(
                "PREPARE {name} ({}) AS {}",
                statement.types.join(", "),
                statement.text
            ))?;
            let explain = format!("EXPLAIN (FORMAT JSON) EXECUTE {name} ({binds})");
            let json: Json = serde_json::from_str(&sql::<Text>(&explain).get_result::<String>(c)?).unwrap();
            let mut plan = Plan::new();
            add_steps(&json[0]["Plan"], 0, &mut plan);
            plans.insert(name, plan);
        }
        // A rollback leaves prepared statements where they are.
        c.batch_execute("DEALLOCATE ALL")?;
        QueryResult::Ok(())
    });
    plans
}

fn add_steps(node: &Json, depth: usize, plan: &mut Plan) {
    let text = |key: &str| node[key].as_str();
    let kind = text("Node Type").unwrap();
    // Memoize keeps what was read, and the other one passes rows on: neither changes what is read, nor its order.
    let depth = if matches!(kind, "Memoize" | "Subquery Scan") {
        depth
    } else {
        // `CTE recent`; the numbers of other subplans say nothing.
        let subplan = text("Subplan Name").map(|name| name.strip_prefix("CTE ").unwrap_or("subplan"));
        let keys = ["Join Type", "Relation Name", "Index Name", "Scan Direction", "CTE Name", "Strategy"];
        let words = keys.iter().filter_map(|key| text(key));
        let step = subplan.into_iter().chain([kind]).chain(words).collect::<Vec<_>>().join(" ");
        plan.push(format!("{:1$}{step}", "", 2 * depth));
        depth + 1
    };
    // A filter's subqueries are in the order in which they are tried, cheap ones first: that is not how a table is read.
    let children = node["Plans"].as_array().map_or(&[][..], Vec::as_slice);
    let is_filter = |child: &&Json| child["Parent Relationship"] == "SubPlan";
    let mut filters: Vec<Plan> = Vec::new();
    for child in children.iter().filter(is_filter) {
        let mut filter = Plan::new();
        add_steps(child, depth, &mut filter);
        filters.push(filter);
    }
    filters.sort();
    for child in children.iter().filter(|child| !is_filter(child)) {
        add_steps(child, depth, plan);
    }
    plan.extend(filters.into_iter().flatten());
}

/// The statistics of columns with one value only, of the table or index `relation`.
fn one_value(relation: &str) -> String {
    format!(
        "UPDATE pg_statistic SET stadistinct = 1, stakind1 = 0, stakind2 = 0, stakind3 = 0, stakind4 = 0, stakind5 = 0 \
         WHERE starelid = CAST('{relation}' AS regclass)"
    )
}

/// States of a planner, as SQL that makes them of a database at rest.
fn states() -> Vec<(&'static str, String)> {
    let class = |set: &str| {
        format!(
            "UPDATE pg_class SET {set} WHERE relkind IN ('r', 'i') AND relnamespace = CAST('public' AS regnamespace)"
        )
    };
    let column = |name: &str| {
        format!(
            " AND staattnum = (SELECT attnum FROM pg_attribute WHERE attrelid = starelid AND attname = '{name}')"
        )
    };
    let cells = ["small", "medium", "large"].map(|grid| one_value(&format!("flyers_{grid}_cell_feed")));
    let places = ["latitude", "longitude"].map(|name| one_value("flyers") + &column(name));
    let all_expired = "UPDATE pg_statistic SET stanumbers1 = '{1}', stavalues1 = array_in('{t}', 16, -1), stadistinct = 1 \
        WHERE stavalues1 IS NOT NULL AND staattnum = (SELECT attnum FROM pg_attribute WHERE attrelid = starelid \
        AND attname IN ('expired', 'flyer_expired'))";
    // No row is correlated with its place: kind 3 is the correlation.
    let uncorrelated = (1..=5)
        .map(|n| format!("UPDATE pg_statistic SET stanumbers{n} = '{{0}}' WHERE stakind{n} = 3"))
        .collect::<Vec<_>>()
        .join("; ");
    vec![
        ("never analyzed", FORGET_STATISTICS.to_owned()),
        ("statistics of an empty table", {
            format!("{FORGET_STATISTICS}; {}", class("reltuples = 0, relpages = 0, relallvisible = 0"))
        }),
        ("no row is visible to all", class("relallvisible = 0")),
        ("half of the rows are visible to all", class("relallvisible = relpages / 2")),
        ("all flyers by one creator", one_value("flyers") + &column("creator_id")),
        ("all follows by one user", one_value("follows") + &column("follower_id")),
        ("all follow one creator", one_value("follows") + &column("followed_id")),
        ("all favorites of one user", one_value("favorites") + &column("user_id")),
        ("all in one town", cells.into_iter().chain(places).collect::<Vec<_>>().join("; ")),
        ("all expired", all_expired.to_owned()),
        ("all at one time", one_value("flyers") + &column("created_at")),
        ("uncorrelated", uncorrelated),
        ("tiny cache", "SET LOCAL effective_cache_size = '8kB'".to_owned()),
        ("huge cache", "SET LOCAL effective_cache_size = '1TB'".to_owned()),
        ("tiny memory", "SET LOCAL work_mem = '64kB'".to_owned()),
        ("huge memory", "SET LOCAL work_mem = '4GB'".to_owned()),
        ("cheap random pages", "SET LOCAL random_page_cost = 1.1".to_owned()),
        (
            "parallel for nothing",
            "SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0; \
             SET LOCAL min_parallel_table_scan_size = 0; SET LOCAL min_parallel_index_scan_size = 0; \
             SET LOCAL max_parallel_workers_per_gather = 4"
                .to_owned(),
        ),
    ]
}

/// Rules for the plan at rest, which all other plans are compared with.
fn check(name: &str, plan: &Plan) {
    for step in plan {
        let step = step.trim();
        assert!(!step.contains("Gather") && !step.contains("Parallel"), "{name}: {step}");
        // The index of trigrams has no order and gives bitmaps. Two letters have no trigram: all texts are read.
        let is_text = step.contains("_texts");
        assert!(is_text || !step.contains("Bitmap"), "{name}: {step}\n{}", plan.join("\n"));
        let may_scan = is_text && name.contains("search") || step.contains("content_versions");
        assert!(may_scan || !step.contains("Seq Scan"), "{name}: {step}\n{}", plan.join("\n"));
    }
}

#[test]
fn every_statement_of_a_request_has_one_plan() {
    let state = State::new("plans", true);
    let mut c = state.connect();
    let rest = plans(&mut c, "SELECT 1");
    assert!(rest.len() > 100, "{}", rest.len());
    for (name, plan) in &rest {
        check(name, plan);
    }
    for statement in statements::of("postgres", '$') {
        let plan = &rest[&statement.name];
        for index in statement.text.split("by_index('").skip(1).filter_map(|rest| rest.split('\'').next()) {
            let is_used = plan.iter().any(|step| step.contains(&format!(" {index} ")));
            assert!(is_used, "{} names {index} and reads:\n{}", statement.name, plan.join("\n"));
        }
    }
    let mut others = Vec::new();
    for (name, setting) in states() {
        others.push((name.to_owned(), plans(&mut c, &setting)));
        // Without statistics, prices decide more.
        others.push((
            format!("{name}, and no statistics"),
            plans(&mut c, &format!("{FORGET_STATISTICS}; {setting}")),
        ));
    }
    others.push(("as loaded".to_owned(), plans(&mut State::new("plans", false).connect(), "SELECT 1")));
    // The service starts before there are data.
    let empty = TestDatabase::new(Engine::Postgres);
    empty
        .database
        .with_writer(|c| {
            let Db::Postgres(c) = c else { unreachable!("the database is PostgreSQL's") };
            others.push(("empty".to_owned(), plans(c, "SELECT 1")));
            Ok(())
        })
        .unwrap();
    let mut different = BTreeMap::new();
    for (state, plans) in &others {
        for (name, plan) in plans {
            if plan != &rest[name] {
                different.entry(name).or_insert_with(|| (plan, Vec::new())).1.push(state);
            }
        }
    }
    if let Some((name, (plan, _))) = different.first_key_value() {
        let states: BTreeMap<_, _> = different.iter().map(|(name, (_, states))| (name, states)).collect();
        eprintln!("{states:#?}");
        for (name, (plan, _)) in &different {
            eprintln!("{name}:\n{}\nat rest:\n{}", plan.join("\n"), rest[*name].join("\n"));
        }
        assert_eq!(plan.join("\n"), rest[*name].join("\n"), "{name} has another plan");
    }
}

/// SQLite is told each index of flyers, and CROSS JOIN fixes the order of tables. Where the statistics say that a table has a single
/// row, it scans the table instead of finding a row by its id: the service never writes statistics.
#[test]
fn sqlite_has_one_plan_whatever_its_statistics() {
    let test = TestDatabase::new(Engine::Sqlite);
    let plans = |c: &mut SqliteConnection| -> BTreeMap<String, Vec<String>> {
        let all = statements::of("sqlite", '?').into_iter();
        all.map(|statement| {
            let explain = format!("EXPLAIN QUERY PLAN {}", statement.text);
            let steps = diesel::sql_query(explain).load::<Step>(c).unwrap();
            // Each table with its index, in order. Where in the index a scan starts is the condition's business.
            let read = steps.into_iter().filter_map(|step| {
                let (what, rest) = step.detail.split_once(' ')?;
                let by = rest.split(" (").next()?;
                // The statement's own results have some rows only: how these are searched is of no account.
                let is_table = by.contains(" USING ") && !by.contains("AUTOMATIC");
                (matches!(what, "SCAN" | "SEARCH") && is_table).then(|| by.to_owned())
            });
            (statement.name, read.collect())
        })
        .collect()
    };
    test.database
        .with_writer(|c| {
            let Db::Sqlite(c) = c else { unreachable!("the database is SQLite's") };
            let rest = plans(c);
            assert!(rest.len() > 100, "{}", rest.len());
            c.batch_execute("ANALYZE").unwrap();
            for (rows, each) in [(1_000, 100), (1_000_000, 1_000), (1_000_000, 1_000_000)] {
                c.batch_execute(&format!(
                    "DELETE FROM sqlite_stat1; DELETE FROM sqlite_stat4; \
                     INSERT INTO sqlite_stat1 (tbl, idx, stat) SELECT tbl_name, name, \
                     '{rows}' || replace(hex(zeroblob(9)), '00', ' {each}') FROM sqlite_schema WHERE type = 'index'; \
                     ANALYZE sqlite_schema"
                ))
                .unwrap();
                for (name, plan) in plans(c) {
                    assert_eq!(plan, rest[&name], "{name}, statistics of {each} rows a value among {rows}");
                }
            }
            Ok(())
        })
        .unwrap();
}

#[derive(QueryableByName)]
struct Step {
    #[diesel(sql_type = Text)]
    detail: String,
}
