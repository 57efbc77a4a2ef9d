//! The migrations of both engines.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Db, Engine};
use feed_core::feed::FlyerImage;
use feed_core::migrate;
use feed_core::models::{Favorite, Flyer, Follow, User};
use feed_core::schema::{favorites, flyer_images, flyers, follows, users};
use feed_core::testing::{TestDatabase, on_both};
use pretty_assertions::assert_eq;

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    line: String,
}

/// Everything that the catalogue knows of the schema, a line each.
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
fn the_database_keeps_the_rules_too() {
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
        assert_eq!(left, 0, "what a user made goes with them");
    });
}
