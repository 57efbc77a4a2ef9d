//! Checks that the guard's data sets have the rows that their shapes describe.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use feed_core::db::{Db, Engine};
use feed_core::feed::Feed;
use feed_core::schema::{favorites, flyer_images, flyers, follows, users};
use feed_core::sweep::{Swept, sweep_batch};
use feed_test::shapes::{self, Data, Shape, before_schedule, now, on_both};

const SIZE: u32 = shapes::SIZES[0];

/// The result of `SELECT count(*)` followed by `rest`.
fn count(data: &Data, rest: &str) -> i64 {
    let select = format!("(SELECT count(*) {rest})");
    data.database.read(|c| Ok(diesel::select(sql::<BigInt>(&select)).get_result(c)?)).unwrap()
}

/// An SQL condition: the flyer `f` is valid at a time.
fn valid(at: NaiveDateTime) -> String {
    format!("f.valid_from <= '{at}' AND f.valid_until > '{at}'")
}

/// For each shape: its name, the number of relations, of flyers that they lead to, and of those that are valid at the
/// time of the request.
const EXPECTED: [(&str, i64, i64, i64); 20] = [
    ("all", 0, 0, 0),
    ("all_scheduled", 0, 0, 0),
    ("follows_0", 0, 0, 0),
    ("follows_1", 1, 30, 30),
    ("follows_100", 100, 3_000, 3_000),
    ("recent_100", 100, 700, 700),
    ("quiet_100", 100, 500, 500),
    ("empty_100", 100, 0, 0),
    ("empty_1000", 1_000, 0, 0),
    ("prolific_10", 5, 1_000, 1_000),
    ("expired_100", 10, 1_000, 2),
    ("valid_100", 10, 1_000, 1_000),
    ("second_100", 100, 1_000, 1_000),
    ("scheduled_100", 100, 700, 200),
    ("unswept_100", 10, 200, 100),
    ("favorites_0", 0, 0, 0),
    ("favorites_1", 1, 1, 1),
    ("favorites_100", 100, 100, 100),
    ("favorites_1000", 1_000, 1_000, 1_000),
    ("favorites_expired", 1_000, 1_000, 2),
];

#[test]
fn every_shape_has_its_relations_and_flyers() {
    on_both(SIZE, false, |data| {
        let shapes = Shape::ALL.into_iter().filter(|shape| shape.exists_at(SIZE));
        let found: Vec<_> = shapes
            .map(|shape| {
                let viewer = shape.viewer();
                assert_eq!(shape.feed().viewer(), Some(viewer));
                let (relations, related) = match shape.feed() {
                    Feed::Following(_) => (
                        format!("FROM follows WHERE follower_id = {viewer}"),
                        format!("FROM follows w JOIN flyers f ON f.creator_id = w.followed_id WHERE w.follower_id = {viewer}"),
                    ),
                    _ => (
                        format!("FROM favorites WHERE user_id = {viewer}"),
                        format!("FROM favorites v JOIN flyers f ON f.id = v.flyer_id WHERE v.user_id = {viewer}"),
                    ),
                };
                let relations = count(data, &relations);
                assert_eq!(relations, i64::from(shape.relations(SIZE)), "{shape:?}");
                let valid = count(data, &format!("{related} AND {}", valid(shape.now())));
                (shape.name(), relations, count(data, &related), valid)
            })
            .collect();
        let (second, others) = found.split_last().unwrap();
        assert_eq!(others, EXPECTED);
        assert_eq!(*second, ("favorites_second", 1_000, 1_000, 1_000));
    });
}

#[test]
fn a_data_set_has_its_size() {
    on_both(SIZE, false, |data| {
        assert_eq!(count(data, "FROM flyers"), i64::from(SIZE));
        assert_eq!(count(data, "FROM flyers WHERE id BETWEEN 1 AND 10000"), i64::from(SIZE));
        let later = "FROM flyers f JOIN flyers g ON g.id = f.id + 1 WHERE f.created_at > g.created_at";
        assert_eq!(count(data, later), 0, "ids follow the times of publication");
        let images = "FROM flyers f WHERE (SELECT count(*) FROM flyer_images i WHERE i.flyer_id = f.id)";
        let two = count(data, &format!("{images} = 2"));
        assert!((4_500..5_500).contains(&two), "{two} flyers have two images");
        assert_eq!(count(data, &format!("{images} = 1")), i64::from(SIZE) - two);
    });
}

/// The generator turns SQLite's check of foreign keys off while it writes rows.
#[test]
fn every_foreign_key_refers_to_a_row() {
    on_both(SIZE, false, |data| {
        for (table, column, other) in [
            ("flyers", "creator_id", "users"),
            ("flyer_images", "flyer_id", "flyers"),
            ("favorites", "user_id", "users"),
            ("favorites", "flyer_id", "flyers"),
            ("follows", "follower_id", "users"),
            ("follows", "followed_id", "users"),
        ] {
            let lost = format!("FROM {table} WHERE {column} NOT IN (SELECT id FROM {other})");
            assert_eq!(count(data, &lost), 0, "{table}.{column}");
        }
    });
}

#[test]
fn expired_flyers_are_marked_except_those_of_one_shape() {
    on_both(SIZE, false, |data| {
        let (now, before) = (now(), before_schedule());
        let hour = TimeDelta::hours(1);
        assert_eq!(
            count(data, &format!("FROM flyers f WHERE expired AND f.valid_until >= '{}'", now - hour)),
            0
        );
        let unmarked = format!("FROM flyers f WHERE NOT expired AND f.valid_until < '{}'", now - hour);
        assert_eq!(count(data, &unmarked), 100);
        let followed = format!(
            "{unmarked} AND creator_id IN (SELECT followed_id FROM follows WHERE follower_id = {})",
            Shape::Unswept100.viewer()
        );
        assert_eq!(count(data, &followed), 100);
        let ends = format!("FROM flyers f WHERE f.valid_until BETWEEN '{before}' AND '{}'", now + hour);
        assert_eq!(count(data, &ends), 0, "no flyer expires around the times of the requests");
    });
}

/// Runs the real sweeper and rolls it back: it finds the hundred unmarked flyers and no others. Only on SQLite, where a
/// rollback leaves the file as it was. PostgreSQL has the same rows.
#[test]
fn the_sweeper_finds_only_the_unmarked_flyers() {
    let data = Data::open(Engine::Sqlite, SIZE, false);
    let swept = data.database.with_writer(|c| Ok(c.test_transaction(|c| sweep_batch(c, now())))).unwrap();
    assert_eq!(swept, Swept { marked: 100, cleared: 0 });
}

#[test]
fn favorites_carry_copies_and_times_of_their_own() {
    on_both(SIZE, false, |data| {
        let same = "FROM favorites v JOIN flyers f ON f.id = v.flyer_id WHERE v.flyer_created_at = f.created_at \
                    AND v.flyer_valid_from = f.valid_from AND v.flyer_valid_until = f.valid_until \
                    AND v.flyer_categories = f.categories AND v.flyer_expired = f.expired";
        assert_eq!(count(data, same), count(data, "FROM favorites"));
        let by = |order: &str| -> Vec<i64> {
            let viewer = Shape::Favorites1000.viewer();
            let query = favorites::table.filter(favorites::user_id.eq(viewer)).select(favorites::flyer_id);
            data.database.read(|c| Ok(query.order(sql::<Text>(order)).load(c)?)).unwrap()
        };
        assert!(by("created_at") != by("flyer_created_at"));
        let times: HashSet<NaiveDateTime> = data
            .database
            .read(|c| {
                let mine = favorites::user_id.eq(Shape::Favorites1000.viewer());
                Ok(favorites::table.filter(mine).select(favorites::created_at).load(c)?)
            })
            .unwrap()
            .into_iter()
            .collect();
        assert_eq!(times.len(), 1_000, "all times are distinct");
    });
}

#[test]
fn the_newest_flyers_are_the_scheduled_ones() {
    on_both(SIZE, false, |data| {
        let (now, before) = (now(), before_schedule());
        let starts = now - TimeDelta::hours(1);
        let newest = "(SELECT * FROM flyers ORDER BY created_at DESC, id DESC LIMIT 1000) f";
        let scheduled = format!("f.valid_from = '{starts}'");
        assert_eq!(
            count(data, &format!("FROM {newest} WHERE {scheduled} AND f.created_at < '{before}'")),
            1_000
        );
        assert_eq!(count(data, &format!("FROM flyers f WHERE {scheduled}")), 1_000);
        let others = format!(
            "FROM flyers f WHERE NOT {scheduled} AND f.valid_from > '{}'",
            before - TimeDelta::hours(12)
        );
        assert_eq!(count(data, &others), 0);
        // How many valid flyers of followed creators are among the newest, as many as there are follows.
        let found = |shape: Shape| {
            let follows = format!("SELECT followed_id FROM follows WHERE follower_id = {}", shape.viewer());
            let newest = newest.replace("1000", &shape.relations(SIZE).to_string());
            count(
                data,
                &format!("FROM {newest} WHERE {} AND f.creator_id IN ({follows})", valid(shape.now())),
            )
        };
        assert_eq!(found(Shape::Recent100), 50, "a scan of the newest flyers finds full pages");
        for shape in [Shape::Scheduled100, Shape::Follows100, Shape::Quiet100, Shape::Valid100] {
            assert_eq!(found(shape), 0, "{shape:?}");
        }
    });
}

#[test]
fn one_second_holds_a_thousand_flyers_at_many_places() {
    on_both(SIZE, false, |data| {
        // With a bind, because SQLite compares times as text.
        let in_second = flyers::created_at.eq(shapes::second());
        let places: Vec<(f64, f64)> = data
            .database
            .read(|c| {
                Ok(flyers::table.filter(in_second).select((flyers::latitude, flyers::longitude)).load(c)?)
            })
            .unwrap();
        assert_eq!(places.len(), 1_000);
        let distinct: HashSet<_> = places.iter().map(|(lat, lng)| (lat.to_bits(), lng.to_bits())).collect();
        assert_eq!(distinct.len(), 980);
    });
}

#[test]
fn the_expired_and_the_valid_shape_differ_only_in_validity() {
    on_both(SIZE, false, |data| {
        let times = |shape: Shape| -> Vec<NaiveDateTime> {
            let followed =
                follows::table.filter(follows::follower_id.eq(shape.viewer())).select(follows::followed_id);
            let theirs = flyers::table.filter(flyers::creator_id.eq_any(followed)).select(flyers::created_at);
            data.database
                .read(|c| Ok(theirs.order((flyers::creator_id, flyers::created_at)).load(c)?))
                .unwrap()
        };
        assert_eq!(times(Shape::Expired100), times(Shape::Valid100));
    });
}

/// Diesel writes a time to SQLite with 19 characters, or with 26 if it has microseconds.
#[test]
fn sqlite_keeps_times_as_diesel_writes_them() {
    let data = Data::open(Engine::Sqlite, SIZE, false);
    let odd = "FROM flyers WHERE length(created_at) + length(valid_from) + length(valid_until) <> 57";
    assert_eq!(count(&data, odd), 0);
    for table in ["favorites", "follows"] {
        assert_eq!(count(&data, &format!("FROM {table} WHERE length(created_at) <> 26")), 0);
        assert_eq!(count(&data, &format!("FROM {table} WHERE created_at LIKE '%000'")), 0);
    }
}

type Flyer =
    ((i64, i64, String, String, String, f64, f64), (i16, NaiveDateTime, NaiveDateTime, NaiveDateTime, bool));

#[test]
fn both_engines_hold_the_same_rows() {
    for analyzed in [false, true] {
        let [sqlite, postgres] =
            [Engine::Sqlite, Engine::Postgres].map(|e| Data::open(e, SIZE, analyzed).database);
        let same = |what: &str, is_same: bool| assert!(is_same, "{what} differ");
        macro_rules! same {
            ($table:ident, $columns:expr, $row:ty) => {{
                let rows = |c: &mut Db| {
                    Ok($table::table.select($columns).order($table::all_columns).load::<$row>(c)?)
                };
                let (a, b) = (sqlite.read(rows).unwrap(), postgres.read(rows).unwrap());
                same(stringify!($table), a == b && !a.is_empty());
            }};
        }
        let flyer = (
            (
                flyers::id,
                flyers::creator_id,
                flyers::title,
                flyers::description,
                flyers::location_address,
                flyers::latitude,
                flyers::longitude,
            ),
            (
                flyers::categories,
                flyers::valid_from,
                flyers::valid_until,
                flyers::created_at,
                flyers::expired,
            ),
        );
        same!(flyers, flyer, Flyer);
        same!(
            users,
            users::all_columns,
            (i64, String, String, String, String, Option<String>, NaiveDateTime, i64, i64, i32)
        );
        same!(flyer_images, flyer_images::all_columns, (i64, i16, String));
        same!(follows, follows::all_columns, (i64, i64, NaiveDateTime));
        same!(
            favorites,
            favorites::all_columns,
            (i64, i64, NaiveDateTime, NaiveDateTime, NaiveDateTime, NaiveDateTime, i16, bool)
        );
    }
}

#[test]
fn only_analyzed_data_sets_have_statistics() {
    for analyzed in [false, true] {
        on_both(SIZE, analyzed, |data| {
            let statistics = match data.engine {
                Engine::Sqlite => "FROM sqlite_schema WHERE name = 'sqlite_stat1'",
                Engine::Postgres => "FROM pg_stats WHERE tablename = 'flyers' AND attname = 'id'",
            };
            assert_eq!(count(data, statistics), i64::from(analyzed));
        });
    }
}

/// New rows get ids after those of the generated rows.
#[test]
fn sequences_continue_after_the_last_row() {
    on_both(SIZE, false, |data| {
        for table in ["users", "flyers"] {
            let last = match data.engine {
                Engine::Sqlite => format!("SELECT seq FROM sqlite_sequence WHERE name = '{table}'"),
                Engine::Postgres => format!("SELECT last_value FROM {table}_id_seq"),
            };
            assert_eq!(count(data, &format!("FROM {table} WHERE id = ({last})")), 1);
            assert_eq!(count(data, &format!("FROM {table} WHERE id > ({last})")), 0);
        }
    });
}

#[derive(QueryableByName)]
struct SqliteStep {
    #[diesel(sql_type = Text)]
    detail: String,
}

#[derive(QueryableByName)]
struct PostgresStep {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

/// Whether the plan for the user's newest follow uses the index `follows_follower_recent`.
fn uses_index(c: &mut Db) -> bool {
    let viewer = Shape::Follows100.viewer();
    let named = match c {
        Db::Sqlite(_) => "",
        Db::Postgres(_) => "AND by_index('follows_follower_recent', follower_id) ",
    };
    let query = format!(
        "SELECT followed_id FROM follows WHERE follower_id = {viewer} {named}\
         ORDER BY created_at DESC, followed_id DESC LIMIT 1"
    );
    let plan: Vec<String> = match c {
        Db::Sqlite(c) => {
            let steps =
                diesel::sql_query(format!("EXPLAIN QUERY PLAN {query}")).load::<SqliteStep>(c).unwrap();
            steps.into_iter().map(|step| step.detail).collect()
        }
        Db::Postgres(c) => {
            let steps = diesel::sql_query(format!("EXPLAIN {query}")).load::<PostgresStep>(c).unwrap();
            steps.into_iter().map(|step| step.line).collect()
        }
    };
    // PostgreSQL's plan also has the name in a filter, where the index is not used.
    let read = ["INDEX follows_follower_recent", "using follows_follower_recent"];
    plan.iter().any(|step| read.iter().any(|read| step.contains(read)))
}

#[test]
fn ddl_is_rolled_back_after_its_work() {
    const DROP: &str = "DROP INDEX follows_follower_recent";
    on_both(SIZE, true, |data| {
        let other = Data::open(data.engine, SIZE, true);
        // A prepared statement that stays on the connection that also runs the DDL.
        let newest = |c: &mut Db| {
            let theirs = follows::table.filter(follows::follower_id.eq(Shape::Follows100.viewer()));
            let newest = theirs.order(follows::created_at.desc()).select(follows::followed_id);
            Ok(newest.first::<i64>(c)?)
        };
        let expected = data.database.with_writer(newest).unwrap();
        assert!(data.database.with_writer(|c| Ok(uses_index(c))).unwrap());

        std::thread::scope(|threads| {
            // Other readers are answered at once on SQLite, and after the rollback on PostgreSQL. Other DDL waits.
            let (reader, other_ddl) = data.with_ddl(DROP, |c| {
                let reader = threads.spawn(|| other.database.read(|c| Ok(uses_index(c))).unwrap());
                let other_ddl =
                    threads.spawn(|| Data::open(data.engine, SIZE, true).with_ddl(DROP, uses_index));
                std::thread::sleep(Duration::from_millis(300));
                assert!(!other_ddl.is_finished());
                assert_eq!(reader.is_finished(), data.engine == Engine::Sqlite);
                assert_eq!(newest(c).unwrap(), expected);
                assert!(!uses_index(c), "the index is dropped");
                (reader, other_ddl)
            });
            assert!(reader.join().unwrap(), "other connections have the index");
            assert!(!other_ddl.join().unwrap());
        });
        assert!(data.database.with_writer(|c| Ok(uses_index(c))).unwrap(), "the index is back");
        assert_eq!(data.database.with_writer(newest).unwrap(), expected);
    });
}

#[test]
fn the_data_is_in_the_folder_that_cargo_tells() {
    assert_eq!(Some(feed_test::target_folder().as_path()), Path::new(env!("CARGO_TARGET_TMPDIR")).parent());
}
