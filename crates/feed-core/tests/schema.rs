//! The migrations of both engines, and the rules that the database enforces.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Database, Db, Engine};
use feed_core::feed::FlyerImage;
use feed_core::migrate;
use feed_core::models::{Favorite, Flyer, Follow, User};
use feed_core::schema::{favorites, flyer_images, flyers, follows, users};
use feed_core::sql::Value;
use feed_core::testing::{TestDatabase, on_both, with_database};
use pretty_assertions::assert_eq;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Every object of the schema, from the engine's catalogue, a line each.
fn catalogue(c: &mut Db) -> BTreeSet<String> {
    let query = match c.engine() {
        Engine::Sqlite => "SELECT type || ' ' || name || ' ' || coalesce(sql, '') AS line FROM sqlite_schema",
        Engine::Postgres => {
            "SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default, is_identity) \
             AS line FROM information_schema.columns WHERE table_schema = 'public' \
             UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' \
             UNION ALL SELECT concat_ws(' ', conrelid::regclass, conname, pg_get_constraintdef(oid)) \
             FROM pg_constraint WHERE connamespace = 'public'::regnamespace \
             UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal \
             UNION ALL SELECT pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        }
    };
    diesel::sql_query(query).load::<Line>(c).unwrap().into_iter().map(|l| l.line).collect()
}

#[test]
fn up_down_up_leaves_the_same_schema() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let database = TestDatabase::unmigrated(engine);
        database
            .database
            .with_writer(|c| {
                assert!(migrate::is_pending(c)?);
                let ran = migrate::run(c)?;
                assert!(!ran.is_empty() && !migrate::is_pending(c)?);
                let up = catalogue(c);
                assert!(
                    up.iter().any(|line| line.contains("favorites_feed")),
                    "the catalogue is read: {up:?}"
                );

                let mut reverted = migrate::revert(c)?;
                reverted.reverse();
                assert_eq!(reverted, ran);
                let down = catalogue(c);
                assert!(
                    !down.iter().any(|line| line.contains("flyer") || line.contains("users")),
                    "{down:?}"
                );

                assert_eq!(migrate::run(c)?, ran);
                assert_eq!(catalogue(c), up);
                assert!(migrate::run(c)?.is_empty());
                Ok(())
            })
            .unwrap();
    }
}

fn on_server(test: &TestDatabase, statements: &[&str]) {
    test.database
        .with_writer(|c| {
            for statement in statements {
                diesel::sql_query(*statement).execute(c)?;
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn extensions_may_be_in_a_schema_of_their_own() {
    let test = TestDatabase::unmigrated(Engine::Postgres);
    let extensions = ["pg_trgm", "btree_gin"].map(|e| format!("CREATE EXTENSION {e} SCHEMA \"Their own\""));
    on_server(&test, &["CREATE SCHEMA \"Their own\"", &extensions[0], &extensions[1]]);
    test.database.with_writer(migrate::run).unwrap();
    let path = diesel::dsl::sql::<Text>("current_setting('search_path')");
    let path: String = test.database.with_writer(|c| Ok(diesel::select(path).get_result(c)?)).unwrap();
    assert!(!path.contains("Their own"), "the search path is restored: {path}");
    let definition = "SELECT indexdef AS line FROM pg_indexes WHERE indexname = 'flyer_texts_trigrams'";
    let definition: Line = test.database.read(|c| Ok(diesel::sql_query(definition).get_result(c)?)).unwrap();
    assert!(definition.line.contains("\"Their own\".gin_trgm_ops"), "{}", definition.line);
}

/// Missing privileges of an ordinary role, and other reasons why a server may refuse.
#[test]
fn missing_requirements_are_reported_before_the_first_migration() {
    let trigrams = ["CREATE SCHEMA extensions", "CREATE EXTENSION pg_trgm SCHEMA extensions"];
    for (statements, told) in [
        (
            &["REVOKE CREATE ON SCHEMA public FROM pg_database_owner, public"][..],
            "GRANT CREATE ON SCHEMA public TO feed_test",
        ),
        (&["REVOKE CREATE ON DATABASE %NAME FROM feed_test, public"], "GRANT CREATE ON DATABASE"),
        (
            &[trigrams[0], trigrams[1], "REVOKE ALL ON SCHEMA extensions FROM feed_test"],
            "GRANT USAGE ON SCHEMA extensions",
        ),
        (&["ALTER DATABASE %NAME SET search_path = nowhere"], "search path (nowhere)"),
        (&["ALTER DATABASE %NAME SET default_transaction_read_only = on"], "takes no writes"),
    ] {
        let test = TestDatabase::unmigrated(Engine::Postgres);
        let name = test.url.split(['/', '?']).nth(3).unwrap();
        let statements: Vec<_> = statements.iter().map(|s| s.replace("%NAME", name)).collect();
        on_server(&test, &statements.iter().map(String::as_str).collect::<Vec<_>>());
        let again = Database::open(&test.url.parse().unwrap(), 1).unwrap();
        let refused = again.with_writer(migrate::run).unwrap_err();
        let reason = std::error::Error::source(&refused).unwrap().to_string();
        assert!(reason.starts_with("no migration has begun: ") && reason.contains(told), "{reason}");
        let tables =
            "SELECT relname::text AS line FROM pg_class WHERE relkind = 'r' AND NOT relname ~ '^(pg|sql)_'";
        let tables: Vec<Line> = again.read(|c| Ok(diesel::sql_query(tables).load(c)?)).unwrap();
        assert!(tables.is_empty(), "{told}: {}", tables.len());
    }
}

#[test]
fn tables_of_another_role_are_reported_before_a_migration_begins() {
    let test = TestDatabase::new(Engine::Postgres);
    let server = std::env::var("FEED_TEST_POSTGRES").unwrap();
    let name = test.url.split(['/', '?']).nth(3).unwrap();
    let superuser = Database::open(&with_database(&server, name).parse().unwrap(), 1).unwrap();
    superuser
        .with_writer(|c| {
            diesel::sql_query("ALTER TABLE flyers OWNER TO CURRENT_USER").execute(c)?;
            Ok(diesel::sql_query("DELETE FROM __diesel_schema_migrations WHERE version > '20261125'")
                .execute(c)?)
        })
        .unwrap();
    let refused = test.database.with_writer(migrate::run).unwrap_err();
    let reason = std::error::Error::source(&refused).unwrap().to_string();
    assert!(
        reason.contains("the table flyers belongs to postgres, and feed_test may not change it"),
        "{reason}"
    );
}

#[test]
fn both_engines_have_the_same_migrations() {
    let names = |engine: &str| -> BTreeSet<_> {
        let folder = format!("{}/../../migrations/{engine}", env!("CARGO_MANIFEST_DIR"));
        let entries = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap());
        entries.filter(|e| e.path().is_dir()).map(|e| e.file_name()).collect()
    };
    let sqlite = names("sqlite");
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, names("postgres"));
}

/// A table as the diesel CLI prints it.
const PRINTED_TABLE: &str = r"
    SELECT format(E'diesel::table! {\n    %s (%s) {\n%s    }\n}\n', relname, key, columns) AS line
    FROM pg_class,
        LATERAL (
            SELECT string_agg(attname, ', ' ORDER BY array_position(indkey::smallint[], attnum)) AS key
            FROM pg_index JOIN pg_attribute ON attrelid = indrelid AND attnum = ANY (indkey)
            WHERE indrelid = pg_class.oid AND indisprimary
        ) keys,
        LATERAL (
            SELECT string_agg(
                format(
                    E'        %s -> %s,\n',
                    attname,
                    CASE WHEN attnotnull THEN initcap(typname) ELSE format('Nullable<%s>', initcap(typname)) END
                ),
                '' ORDER BY attnum
            ) AS columns
            FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
            WHERE attrelid = pg_class.oid AND attnum > 0 AND NOT attisdropped
        ) columns
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> '__diesel_schema_migrations'
    ORDER BY relname";

/// The foreign keys as the diesel CLI prints them: only those that are the single one between two tables.
const PRINTED_KEY: &str = "
    SELECT format('diesel::joinable!(%s -> %s (%s));', conrelid::regclass, confrelid::regclass, attname) AS line
    FROM (
        SELECT *, count(*) OVER (PARTITION BY conrelid, confrelid) AS keys
        FROM pg_constraint
        WHERE contype = 'f' AND connamespace = 'public'::regnamespace AND conrelid <> confrelid
    ) foreign_keys
    JOIN pg_attribute ON attrelid = conrelid AND conkey = ARRAY[attnum]
    WHERE keys = 1
    ORDER BY conrelid::regclass::text, confrelid::regclass::text";

const PRINTED_NAME: &str = "
    SELECT format(E'    %s,\\n', relname) AS line FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> '__diesel_schema_migrations'
    ORDER BY relname";

/// `scripts/nightly` checks the same with the diesel CLI. `diesel migration run` updates an outdated file.
#[test]
fn schema_rs_matches_the_migrations() {
    let test = TestDatabase::new(Engine::Postgres);
    let lines = |c: &mut Db, query: &str, between: &str| {
        let lines: Vec<Line> = diesel::sql_query(query).load(c).unwrap();
        lines.into_iter().map(|l| l.line).collect::<Vec<_>>().join(between)
    };
    let printed = test.database.read(|c| {
        let (tables, keys) = (lines(c, PRINTED_TABLE, "\n"), lines(c, PRINTED_KEY, "\n"));
        let names = lines(c, PRINTED_NAME, "");
        Ok(format!(
            "// @generated automatically by Diesel CLI.\n\n{tables}\n{keys}\n\n\
             diesel::allow_tables_to_appear_in_same_query!(\n{names});\n"
        ))
    });
    assert_eq!(printed.unwrap(), include_str!("../src/schema.rs"));
}

#[test]
fn every_account_gets_a_key_of_its_own_by_insert_and_by_migration() {
    on_both(|test| {
        let insert = |ids: std::ops::Range<i64>| {
            for id in ids {
                let row = "INSERT INTO users (id, email, email_key, username, password_hash, created_at) VALUES \
                           (:id, 'u' || :id || '@b.c', 'u' || :id || '@b.c', 'u' || :id, '', :now)";
                let now = "2026-01-01T00:00:00".parse().unwrap();
                assert_eq!(test.execute(row, &[("id", Value::Int(id)), ("now", Value::Time(now))]), 1);
            }
        };
        let keys = || -> Vec<i64> {
            test.database.read(|c| Ok(users::table.select(users::token_key).load(c)?)).unwrap()
        };
        insert(1..20);
        let folder = match test.database.engine() {
            Engine::Sqlite => "sqlite",
            Engine::Postgres => "postgres",
        };
        let down = format!(
            "{}/../../migrations/{folder}/2026-11-26-000000_account_keys/down.sql",
            env!("CARGO_MANIFEST_DIR")
        );
        let down = std::fs::read_to_string(down).unwrap();
        let before = keys();
        // Bring the database back to the version without keys, and migrate it.
        test.database
            .with_writer(|c| {
                c.batch_execute(&down)?;
                c.batch_execute("DELETE FROM __diesel_schema_migrations WHERE version = '20261126000000'")?;
                migrate::run(c)
            })
            .unwrap();
        insert(20..40);
        let distinct: BTreeSet<_> = keys().into_iter().chain(before).chain([0]).collect();
        assert_eq!(distinct.len(), 39 + 19 + 1);
    });
}

#[test]
fn every_model_selects() {
    on_both(|test| {
        test.database
            .read(|c| {
                assert_eq!(users::table.load::<User>(c)?, []);
                assert_eq!(flyers::table.load::<Flyer>(c)?, []);
                assert_eq!(flyer_images::table.load::<FlyerImage>(c)?, []);
                assert_eq!(favorites::table.load::<Favorite>(c)?, []);
                assert_eq!(follows::table.load::<Follow>(c)?, []);
                Ok(())
            })
            .unwrap();
    });
}

#[test]
fn the_database_enforces_the_rules_too() {
    on_both(|test| {
        let user = "INSERT INTO users (id, email, email_key, username, password_hash, created_at) \
                    VALUES (1, 'a@b.c', 'a@b.c', 'a', '', '2026-01-01 00:00:00'), \
                    (2, 'b@b.c', 'b@b.c', 'b', '', '2026-01-01 00:00:00')";
        let flyer = |changes: &[(&str, &str)]| {
            let mut columns = vec![
                ("creator_id", "1"),
                ("title", "'t'"),
                ("description", "''"),
                ("location_address", "'a'"),
                ("latitude", "0"),
                ("longitude", "0"),
                ("categories", "1"),
                ("valid_from", "'2026-01-01 00:00:00'"),
                ("valid_until", "'2026-01-02 00:00:00'"),
                ("created_at", "'2026-01-01 00:00:00'"),
            ];
            for (name, value) in changes {
                columns.iter_mut().find(|(n, _)| n == name).unwrap().1 = value;
            }
            let (names, values): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
            format!("INSERT INTO flyers ({}) VALUES ({})", names.join(", "), values.join(", "))
        };
        let execute =
            |sql: &str| test.database.with_writer(|c| Ok(diesel::sql_query(sql).execute(c).is_ok())).unwrap();
        assert!(execute(user));
        assert!(execute(&flyer(&[])));
        for (column, value) in [
            ("creator_id", "99"),
            ("title", "''"),
            ("title", &format!("'{}'", "ä".repeat(201))),
            ("description", &format!("'{}'", "x".repeat(2_001))),
            ("location_address", "''"),
            ("latitude", "90.5"),
            ("longitude", "-180.5"),
            ("categories", "0"),
            ("categories", "8"),
            ("valid_until", "'2026-01-01 00:00:00'"),
            ("created_at", "'2026-01-01 00:00:00.5'"),
        ] {
            assert!(!execute(&flyer(&[(column, value)])), "{column} = {value} was accepted");
        }
        let follow = "INSERT INTO follows VALUES (1, 2, '2026-01-01 00:00:00')";
        assert!(execute(follow));
        assert!(!execute(follow), "a pair is unique");
        assert!(!execute("INSERT INTO follows VALUES (1, 1, '2026-01-01 00:00:00')"));
        assert!(!execute("INSERT INTO follows VALUES (1, 99, '2026-01-01 00:00:00')"));
        assert!(!execute("INSERT INTO flyer_images VALUES (1, 0, 'https://a.b/c')"));
        assert!(!execute("INSERT INTO flyer_images VALUES (1, 6, 'https://a.b/c')"));
        assert!(execute("DELETE FROM users"));
        let left = test.database.read(|c| Ok(flyers::table.count().get_result::<i64>(c)?)).unwrap();
        assert_eq!(left, 0, "flyers are deleted with their creator");
    });
}
