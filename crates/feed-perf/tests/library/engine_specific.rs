//! Tests of what only one of the engines does.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};
use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use feed_perf::log;
use feed_perf::plan::{self, Plan};
use feed_perf::{Error, Statement};

use super::{PostgresSchema, sqlite};

diesel::table! {
    kinds {
        id -> Integer,
        small -> SmallInt,
        big -> BigInt,
        real -> Float,
        double -> Double,
        flag -> Bool,
        text -> Text,
        stamp -> Timestamp,
        stamp_tz -> Timestamptz,
        day -> Date,
        hour -> Time,
        bytes -> Binary,
        bigs -> Array<Nullable<BigInt>>,
        texts -> Array<Text>,
        nothing -> Nullable<BigInt>,
    }
}

#[derive(Debug, Clone, Insertable)]
#[diesel(table_name = kinds)]
struct Kinds {
    id: i32,
    small: i16,
    big: i64,
    real: f32,
    double: f64,
    flag: bool,
    text: String,
    stamp: NaiveDateTime,
    stamp_tz: DateTime<Utc>,
    day: NaiveDate,
    hour: NaiveTime,
    bytes: Vec<u8>,
    bigs: Vec<Option<i64>>,
    texts: Vec<String>,
    nothing: Option<i64>,
}

fn returned(plan: &Plan) -> u64 {
    plan.execution.unwrap().returned
}

/// Runs `work`, which must send exactly one statement, and returns that statement.
fn sent<T>(work: impl FnOnce() -> QueryResult<T>) -> Statement {
    let (answer, mut log) = log::record(work);
    answer.map(drop).unwrap();
    assert_eq!(log.len(), 1, "{log}");
    log.statements.remove(0)
}

#[test]
fn literals_of_every_kind_find_the_row_that_diesel_wrote() {
    let mut server = PostgresSchema::new();
    let c = server.postgres();
    c.batch_execute(
        "CREATE TABLE kinds (id int, small smallint, big bigint, real real, double double precision, flag boolean,
            text text, stamp timestamp, stamp_tz timestamptz, day date, hour time, bytes bytea, bigs bigint[],
            texts text[], nothing bigint);
         SET timezone = 'Asia/Tokyo';",
    )
    .unwrap();
    let stamps = [
        "2026-05-28T20:26:40.000001",
        "1999-12-31T23:59:59.999999",
        "1970-01-01T00:00:00",
        "2026-05-28T20:26:40.123456789",
    ];
    let doubles = [0.1 + 0.2, f64::MIN_POSITIVE, -f64::MAX, f64::NAN, f64::NEG_INFINITY];
    let texts = ["", "it's", r"\' back\\slash", "line\nbreak\t\u{1}", "é\u{301}🦀", "$1 -- \" {,} NULL"];
    let bytes: [&[u8]; 3] = [&[], &[0, 39, 92, 255], b"bytes"];
    for i in 0..6 {
        let stamp: NaiveDateTime = stamps[i % 4].parse().unwrap();
        let row = Kinds {
            id: i32::try_from(i).unwrap(),
            small: i16::MIN,
            big: i64::MAX,
            real: [0.1, -1e-40, f32::INFINITY][i % 3],
            double: doubles[i % 5],
            flag: i % 2 == 0,
            text: texts[i].to_owned(),
            stamp,
            stamp_tz: stamp.and_utc(),
            day: stamp.date(),
            hour: stamp.time(),
            bytes: bytes[i % 3].to_vec(),
            bigs: [vec![], vec![Some(i64::MIN), None]][i % 2].clone(),
            texts: texts[..i].iter().map(|&text| text.to_owned()).collect(),
            nothing: None,
        };
        diesel::insert_into(kinds::table).values(&row).execute(c).unwrap();
        let filter = kinds::id
            .eq(row.id)
            .and(kinds::small.eq(row.small))
            .and(kinds::big.eq(row.big))
            .and(kinds::real.eq(row.real))
            .and(kinds::double.eq(row.double))
            .and(kinds::flag.eq(row.flag))
            .and(kinds::text.eq(&row.text))
            .and(kinds::stamp.eq(row.stamp))
            .and(kinds::stamp_tz.eq(row.stamp_tz))
            .and(kinds::day.eq(row.day))
            .and(kinds::hour.eq(row.hour))
            .and(kinds::bytes.eq(&row.bytes))
            .and(kinds::bigs.eq(&row.bigs))
            .and(kinds::texts.eq(&row.texts))
            .and(kinds::nothing.is_not_distinct_from(row.nothing));
        let statement = sent(|| {
            let count = kinds::table.filter(filter).select(kinds::id).load::<i32>(c)?.len();
            assert_eq!(count, 1, "Diesel's own binds find the row");
            Ok(())
        });
        let plans = plan::postgres(c, &statement).unwrap();
        assert_eq!(
            (returned(&plans.generic), returned(&plans.custom)),
            (1, 1),
            "{statement:?}\n{}",
            plans.custom
        );
    }
}

#[test]
fn a_bind_without_a_literal_is_an_error_and_leaves_nothing_behind() {
    let mut server = PostgresSchema::new();
    let c = server.postgres();
    let settings = |c: &mut PgConnection| {
        diesel::select(sql::<Text>(
            "current_setting('plan_cache_mode') || (SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'feed%')",
        ))
        .get_result::<String>(c)
        .unwrap()
    };
    let before = settings(c);
    let good = sent(|| diesel::select(5_i64.into_sql::<BigInt>()).execute(c));
    let reason =
        |c: &mut PgConnection, statement: &Statement| plan::postgres(c, statement).unwrap_err().to_string();

    c.transaction(|c| {
        plan::postgres(c, &good).unwrap();
        for (binds, expected) in [
            ("[Music]", "\"Music\" is not the debug text"),
            ("[\"five\"]", "does not fit a parameter of the type bigint"),
            ("[5, 6]", "2 values for 1 parameters"),
        ] {
            let bad = Statement { binds: binds.to_owned(), ..good.clone() };
            let reason = reason(c, &bad);
            assert!(reason.contains(expected), "{reason}");
        }
        let wrong =
            Statement { sql: "SELECT nothing FROM nowhere".into(), binds: "[]".into(), ..good.clone() };
        assert!(matches!(plan::postgres(c, &wrong), Err(Error::Database { .. })));
        // The transaction is still usable.
        diesel::sql_query("SELECT 1").execute(c)
    })
    .unwrap();
    assert_eq!(settings(c), before);
}

#[test]
fn parameters_have_the_types_that_diesel_declared() {
    let mut server = PostgresSchema::new();
    let c = server.postgres();
    // PostgreSQL would infer text for both parameters.
    let statement = sent(|| diesel::select((7_i64.into_sql::<BigInt>(), true.into_sql::<Bool>())).execute(c));
    assert_eq!(returned(&plan::postgres(c, &statement).unwrap().custom), 1);
    let not_prepared = Statement { sql: format!("{} -- another text", statement.sql), ..statement };
    let error = plan::postgres(c, &not_prepared).unwrap_err().to_string();
    assert!(error.contains("Int(7) does not fit a parameter of the type text"), "{error}");
}

#[test]
fn the_generic_and_the_custom_plan_differ_where_values_are_skewed() {
    let mut server = PostgresSchema::new();
    let c = server.postgres();
    c.batch_execute(
        "CREATE TABLE skewed AS SELECT i AS id, CASE WHEN i % 1000 = 0 THEN i ELSE 1 END AS kind
            FROM generate_series(1, 50000) AS i;
         CREATE INDEX skewed_kind ON skewed (kind);
         ANALYZE skewed;",
    )
    .unwrap();
    let of_kind =
        |kind: i64| diesel::sql_query("SELECT id FROM skewed WHERE kind = $1").bind::<BigInt, _>(kind);
    let common = sent(|| of_kind(1).execute(c));
    let plans = plan::postgres(c, &common).unwrap();
    assert!(plans.generic.uses_index("skewed_kind"), "{}", plans.generic);
    assert!(plans.generic.to_string().contains("$1"), "{}", plans.generic);
    assert_eq!(plans.custom.scans.len(), 1, "{}", plans.custom);
    assert!(plans.custom.indexes.is_empty(), "{}", plans.custom);
    assert_eq!((returned(&plans.generic), returned(&plans.custom)), (49_950, 49_950));
    assert_eq!(plans.custom.execution.unwrap().removed, 50, "{}", plans.custom);

    let rare = sent(|| of_kind(5000).execute(c));
    let rare = plan::postgres(c, &rare).unwrap();
    assert!(rare.custom.uses_index("skewed_kind"), "{}", rare.custom);
    assert!(rare.custom.execution.unwrap().buffers < 10, "{}", rare.custom);
}

#[test]
fn explaining_a_write_undoes_it() {
    let mut server = PostgresSchema::new();
    let c = server.postgres();
    c.batch_execute("CREATE TABLE notes AS SELECT 1 AS id").unwrap();
    let write = sent(|| diesel::sql_query("INSERT INTO notes VALUES (2)").execute(c));
    plan::postgres(c, &write).unwrap();
    let count = diesel::select(sql::<BigInt>("(SELECT count(*) FROM notes)")).get_result::<i64>(c);
    assert_eq!(count, Ok(2));
}

/// Unless SQLite was built with `ENABLE_QPSG`, which makes it ignore the values. In both cases the explained plan is
/// the one that runs.
#[test]
fn sqlite_plans_with_the_values_of_the_binds() {
    let mut connection = sqlite();
    let c = &mut connection;
    let ignores_values =
        diesel::select(sql::<Bool>("sqlite_compileoption_used('ENABLE_QPSG')")).get_result(c);
    c.batch_execute(
        "CREATE TABLE t (kind TEXT, x INTEGER); CREATE INDEX rare_x ON t (x) WHERE kind = 'rare';",
    )
    .unwrap();
    let mut plan_of = |kind: &str| {
        let statement = sent(|| {
            diesel::sql_query("SELECT * FROM t WHERE kind = ? AND x > ?")
                .bind::<Text, _>(kind)
                .bind::<BigInt, _>(5)
                .execute(c)
        });
        plan::sqlite(c, &statement).unwrap()
    };
    assert_eq!(Ok(!plan_of("rare").uses_index("rare_x")), ignores_values);
    assert_eq!(plan_of("common").scans.len(), 1);
}

#[test]
fn sqlite_counts_what_a_run_takes() {
    let mut connection = sqlite();
    let c = &mut connection;
    c.batch_execute(
        "CREATE TABLE a (x INTEGER); CREATE TABLE b (x INTEGER, y INTEGER);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) INSERT INTO b SELECT i, i FROM n;
         INSERT INTO a SELECT x FROM b;",
    )
    .unwrap();
    let join = sent(|| diesel::sql_query("SELECT a.x, y FROM a JOIN b ON a.x = b.x").execute(c));
    let counters = join.counters.unwrap();
    assert_eq!(counters.automatic_index_rows, 499, "{counters:?}");
    // Diesel's `execute` reads only the first row.
    assert_eq!((counters.rows, counters.sorts), (1, 0), "{counters:?}");
    let plan = plan::sqlite(c, &join).unwrap();
    assert_eq!(plan.scans.len(), 2, "building an automatic index scans the table: {plan}");

    // The counters of a batch are those of all its statements.
    let one = sent(|| c.batch_execute("SELECT x FROM b")).counters.unwrap();
    let two = sent(|| c.batch_execute("SELECT x FROM b; SELECT x FROM b")).counters.unwrap();
    assert_eq!((two.vm_steps, two.rows), (2 * one.vm_steps, 1000));
}
