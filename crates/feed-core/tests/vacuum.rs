//! What PostgreSQL does with dead rows: when it vacuums, and what the sweeper leaves behind.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use chrono::{NaiveDateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text};
use feed_core::db::{Db, Engine};
use feed_core::schema::flyers;
use feed_core::sweep::{MARGIN, sweep, visit_query};
use feed_core::testing::{TestDatabase, statements};
use pretty_assertions::assert_eq;

fn with_postgres<T>(test: &TestDatabase, work: impl FnOnce(&mut PgConnection) -> T) -> T {
    let work = |c: &mut Db| match c {
        Db::Postgres(c) => Ok(work(c)),
        Db::Sqlite(_) => unreachable!("the database is PostgreSQL's"),
    };
    test.database.with_writer(work).unwrap()
}

#[derive(QueryableByName)]
struct Table {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Array<Text>)]
    parameters: Vec<String>,
}

#[test]
fn tables_are_vacuumed_and_analyzed_after_a_hundredth_has_changed() {
    let test = TestDatabase::new(Engine::Postgres);
    let tables: Vec<Table> = with_postgres(&test, |c| {
        diesel::sql_query(
            "SELECT CAST(relname AS text) AS name, coalesce(reloptions, CAST('{}' AS text[])) AS parameters \
             FROM pg_class WHERE relkind = 'r' AND relnamespace = CAST('public' AS regnamespace) \
             AND relname <> '__diesel_schema_migrations'",
        )
        .load(c)
        .unwrap()
    });
    let expected: BTreeSet<_> = [
        "autovacuum_vacuum_scale_factor=0.01",
        "autovacuum_vacuum_threshold=100",
        "autovacuum_vacuum_insert_scale_factor=0.01",
        "autovacuum_vacuum_insert_threshold=100",
        "autovacuum_analyze_scale_factor=0.01",
        "autovacuum_analyze_threshold=100",
        "vacuum_index_cleanup=on",
    ]
    .map(str::to_owned)
    .into();
    assert_eq!(tables.len(), 8);
    for Table { name, parameters } in tables {
        assert_eq!(BTreeSet::from_iter(parameters), expected, "{name}");
    }
}

/// Adds flyers that ended at this time, by one creator and each a favorite of theirs.
fn add_flyers(c: &mut PgConnection, count: u64, valid_until: NaiveDateTime) {
    c.batch_execute(&format!(
        "INSERT INTO users (id, email, email_key, username, password_hash, created_at) \
         VALUES (1, 'a@b.c', 'a@b.c', 'a', '', '2026-01-01') ON CONFLICT DO NOTHING; \
         INSERT INTO flyers (creator_id, title, description, location_address, latitude, longitude, categories, \
         valid_from, valid_until, created_at) SELECT 1, 't', 'd', 'a', 47, 8, 1, '2020-01-01', '{valid_until}', \
         '2026-01-01' FROM generate_series(1, {count}); \
         INSERT INTO favorites (user_id, flyer_id, created_at, flyer_created_at, flyer_valid_from, \
         flyer_valid_until, flyer_categories, flyer_expired) SELECT 1, id, created_at, created_at, valid_from, \
         valid_until, categories, expired FROM flyers ON CONFLICT DO NOTHING"
    ))
    .unwrap();
}

/// The entries of an index whose rows a scan of all of it looks at, dead or alive.
fn heap_fetches(c: &mut PgConnection, table: &str, index: &str, column: &str, key: &str) -> u64 {
    let scan = format!(
        "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT {key} FROM {table} \
         WHERE by_index('{index}', {key}) AND {column} = FALSE"
    );
    let json = sql::<Text>(&scan).get_result::<String>(c).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let plan = &json[0]["Plan"];
    assert_eq!(
        (plan["Node Type"].as_str(), plan["Index Name"].as_str()),
        (Some("Index Only Scan"), Some(index))
    );
    plan["Heap Fetches"].as_u64().unwrap()
}

const MARKED: u64 = 1_500;
const VALID: u64 = 20;

/// One end of the transactions of the server that are open.
fn transaction(c: &mut PgConnection, end: &str) -> i64 {
    let number = format!("CAST(CAST(pg_snapshot_{end}(pg_current_snapshot()) AS text) AS bigint)");
    diesel::select(sql::<BigInt>(&number)).get_result(c).unwrap()
}

#[test]
fn nobody_looks_at_rows_that_the_sweeper_has_visited() {
    statements::note_all();
    let test = TestDatabase::new(Engine::Postgres);
    let now = Utc::now().naive_utc();
    with_postgres(&test, |c| {
        // Otherwise a vacuum could come first.
        c.batch_execute(
            "ALTER TABLE flyers SET (autovacuum_enabled = FALSE); \
             ALTER TABLE favorites SET (autovacuum_enabled = FALSE)",
        )
        .unwrap();
        add_flyers(c, MARKED, now - MARGIN - TimeDelta::minutes(1));
        add_flyers(c, VALID, now + TimeDelta::days(1));
    });
    assert_eq!(sweep(&test.database).unwrap().marked, usize::try_from(MARKED).unwrap());
    let visits = statements::take_noted().iter().filter(|text| text.starts_with("/* sweep_visit */")).count();
    assert_eq!(visits, 1, "the sweep visits what it has marked");

    with_postgres(&test, |c| {
        // A visit has no effect while an older transaction is open on the server, as of a test beside this one.
        let next = transaction(c, "xmax");
        while transaction(c, "xmin") < next {
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    });
    let visit = |c: &mut Db| {
        let marked = flyers::table.filter(flyers::expired).select(flyers::id).load::<i64>(c)?;
        Ok(visit_query(&marked).get_result::<i64>(c)?)
    };
    assert_eq!(test.database.read(visit).unwrap(), 0, "no index has a marked flyer");
    with_postgres(&test, |c| {
        let flyers = ["flyers_feed", "flyers_creator_feed"].map(|index| ("flyers", index, "expired", "id"));
        let favorites = ["favorites_feed", "favorites_recent_feed"]
            .map(|index| ("favorites", index, "flyer_expired", "user_id"));
        for (table, index, column, key) in flyers.into_iter().chain(favorites) {
            let fetches = heap_fetches(c, table, index, column, key);
            assert_eq!(fetches, VALID, "{index}: only living rows are looked at");
        }
    });
}

/// Plans depend on no price: see "Plans that hold" in docs/ARCHITECTURE.md. A connection through a pooler has none set.
#[test]
fn the_planner_has_its_own_prices() {
    let test = TestDatabase::new(Engine::Postgres);
    let changed = "CAST(coalesce(string_agg(name, ' ' ORDER BY name), '') AS text) FROM pg_settings \
                   WHERE source = 'session' AND (name LIKE 'enable%' OR name LIKE '%cost%' OR name LIKE '%parallel%' \
                   OR name IN ('effective_cache_size', 'work_mem', 'jit', 'plan_cache_mode', 'cursor_tuple_fraction', \
                   'from_collapse_limit', 'join_collapse_limit'))";
    let changed =
        with_postgres(&test, |c| diesel::select(sql::<Text>(changed)).get_result::<String>(c).unwrap());
    assert_eq!(changed, "jit plan_cache_mode");
}

#[test]
fn dead_rows_are_told() {
    let test = TestDatabase::new(Engine::Postgres);
    with_postgres(&test, |c| {
        add_flyers(c, 50, Utc::now().naive_utc());
        c.batch_execute("UPDATE flyers SET title = 'u'; SELECT pg_stat_force_next_flush()").unwrap();
    });
    let rows = test.database.table_rows().unwrap();
    let flyers = rows.iter().find(|rows| rows.table == "flyers").unwrap();
    assert_eq!((flyers.live, flyers.dead), (50, 50));
    let test = TestDatabase::new(Engine::Sqlite);
    assert_eq!(test.database.table_rows().unwrap(), []);
}
