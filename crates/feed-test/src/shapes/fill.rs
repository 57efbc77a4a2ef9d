//! Writes the rows of a data set with a few statements. Their text is the same on both engines, except for times.

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use feed_core::db::{Db, Engine};

use super::crowd::Crowd;
use super::plan::{self, numbers, scatter};
use super::shape::{Relations, Shape};
use super::{DAY, NOW};

/// Fills an empty, migrated database.
///
/// Creates the indexes after the rows. So each index is as dense as a rebuilt one, and SQLite takes 18 s instead of
/// 26 s for 1,000,000 flyers.
pub(super) fn fill(connection: &mut Db, size: u32) -> QueryResult<()> {
    let engine = connection.engine();
    let indexes: Vec<Index> = diesel::sql_query(indexes(engine)).load(connection)?;
    connection.transaction(|c| {
        for index in &indexes {
            c.batch_execute(&format!("DROP INDEX {}", index.name))?;
        }
        for statement in users(engine, size).chain(plan::drafts(size)) {
            c.batch_execute(&statement)?;
        }
        c.batch_execute(&flyers(engine, size))?;
        c.batch_execute(&texts(engine))?;
        c.batch_execute(&images())?;
        for shape in Shape::ALL.into_iter().filter(|shape| shape.exists_at(size)) {
            for statement in relations(engine, shape, size) {
                c.batch_execute(&statement)?;
            }
        }
        c.batch_execute("DROP TABLE drafts")?;
        for index in &indexes {
            c.batch_execute(&index.sql)?;
        }
        Ok(())
    })
}

#[derive(QueryableByName)]
struct Index {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

/// The query for all indexes that no constraint owns.
fn indexes(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
        }
        Engine::Postgres => {
            "SELECT CAST(indexname AS TEXT) AS name, indexdef AS sql FROM pg_indexes \
             WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint) ORDER BY name"
        }
    }
}

/// An SQL expression for a timestamp, from seconds since 1970. SQLite compares timestamps as text, so there it has the
/// format that Diesel binds.
fn time(engine: Engine, seconds: &str) -> String {
    match engine {
        Engine::Sqlite => format!("datetime({seconds}, 'unixepoch')"),
        Engine::Postgres => format!("TIMESTAMP 'epoch' + ({seconds}) * INTERVAL '1 second'"),
    }
}

/// An SQL expression for the time of a relation: distinct for each 0 ≤ `n` < `count`, with microseconds, and not in the
/// order of `n`. `count` must be a power of ten.
fn relation_time(engine: Engine, n: &str, count: u32) -> String {
    let start = NOW - 30 * DAY;
    // 7,919 and a power of ten have no common divisor, so all times differ.
    let milliseconds = format!("({n} * 7919 % {count} * 1237)");
    match engine {
        // Diesel writes 3 decimals where they suffice, else 6. A last digit that is not 0 makes it always 6.
        Engine::Sqlite => format!(
            "datetime({start} + {milliseconds} / 1000, 'unixepoch') || printf('.%03d001', {milliseconds} % 1000)"
        ),
        Engine::Postgres => {
            format!(
                "TIMESTAMP 'epoch' + ({start}000000 + {milliseconds} * 1000 + 1) * INTERVAL '1 microsecond'"
            )
        }
    }
}

fn users(engine: Engine, size: u32) -> impl Iterator<Item = String> {
    let viewers = (1, u32::try_from(Shape::ALL.len()).expect("a few"));
    let crowds = Crowd::ALL.map(|crowd| (crowd.first(), crowd.people(size)));
    std::iter::once(viewers).chain(crowds).map(move |(first, count)| {
        let registered = time(engine, &format!("{} + id", NOW - 760 * DAY));
        let drawn = scatter("id", 7, 2);
        format!(
            "INSERT INTO users (id, email, email_key, username, password_hash, profile_picture_url, created_at, \
             token_key) {} SELECT id, 'user-' || id || '@example.org', 'user-' || id || '@example.org', 'user-' || id, \
             '$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$' \
             || 'jU8cFnTh2xkzGbQ0mWvD4rY6sLaE1oKpXiNe7uVyH3M', \
             CASE WHEN {drawn} = 0 THEN 'https://images.example.org/people/' || id || '/portrait-256.jpg' END, \
             {registered}, id FROM (SELECT {first} + n AS id FROM numbers) u",
            numbers(count)
        )
    })
}

/// Titles and descriptions are pieces of this text.
const TEXT: &str = "Fresh bread every morning, live music in the yard and an open workshop for repairs of all \
    kinds: bring your bicycle, your radio or your favourite chair. Doors open at seven, entry is free for \
    children and neighbours, and the bar closes when the last guest has gone home. Second-hand books, plants \
    and records are on sale all day long, the kitchen serves soup, and whoever wants to help is welcome";

/// A word that occurs in few flyers.
pub const RARE_WORD: &str = "Theremin";
/// The number of flyers with [`RARE_WORD`], the same at every size.
const RARE_FLYERS: u32 = 100;

/// Fills the tables of folded texts that searches read. `lower()` folds as the product does, because all text is ASCII.
fn texts(engine: Engine) -> String {
    let separator = match engine {
        Engine::Sqlite => "char(31)",
        Engine::Postgres => "chr(31)",
    };
    format!(
        "INSERT INTO user_texts (user_id, text) SELECT id, lower(username) FROM users; \
         INSERT INTO flyer_texts (flyer_id, created_at, text) SELECT id, created_at, \
         lower(title || {separator} || description || {separator} || location_address || {separator} || {separator}) \
         FROM flyers ORDER BY id"
    )
}

/// Ids follow the order of publication, over all creators.
fn flyers(engine: Engine, size: u32) -> String {
    let cut = |text: &str, from: String, length: String| {
        format!("substr('{text}', {}, {})", integer(&from), integer(&length))
    };
    let title = cut(TEXT, format!("1 + {}", scatter("id", 8, 300)), format!("20 + {}", scatter("id", 9, 30)));
    // 100 to 1,900 characters, as people's are: many short ones and few long ones.
    let length = format!("100 + {} * {} / 1800", scatter("id", 11, 1_801), scatter("id", 18, 1_801));
    let long = [TEXT; 6].join(". ");
    let description = cut(&long, format!("1 + {}", scatter("id", 10, 180)), length);
    // The flyers lie all over Europe, on a grid of about ten metres. Every fiftieth is at the place of the one before
    // it. One in twenty is in a city of four by three kilometres around the viewers' location.
    let place = "(id - id % 50 / 49)";
    let degrees = |lowest: &str, salt: i64, count: i64| {
        format!("{lowest} + CAST({} AS DOUBLE PRECISION) / 10000", scatter(place, salt, count))
    };
    let coordinate = |city: &str, lowest: &str, salt: i64, count: i64| {
        let (city, all) = (degrees(city, salt, 400), degrees(lowest, salt, count));
        format!("CASE WHEN {} = 0 THEN {city} ELSE {all} END", scatter(place, 17, 20))
    };
    // The same number of flyers at every size.
    let rare =
        format!("CASE WHEN id * {RARE_FLYERS} % {size} < {RARE_FLYERS} THEN ' {RARE_WORD}' ELSE '' END");
    format!(
        "INSERT INTO flyers (id, creator_id, title, description, location_address, latitude, longitude, \
         categories, valid_from, valid_until, created_at, expired) \
         SELECT id, creator_id, {title} || ' ' || id || {rare}, {description}, \
         'Bahnhofstrasse ' || (1 + id % 180) || ', ' || (1000 + {}) || ' Neustadt', \
         {}, {}, 1 + {}, {}, {}, {}, expired \
         FROM (SELECT row_number() OVER (ORDER BY created, nth, creator_id) AS id, drafts.* FROM drafts) d \
         ORDER BY id",
        scatter(place, 12, 9_000),
        coordinate("47.36", "36", 13, 240_000),
        coordinate("8.52", "-9", 14, 390_000),
        scatter("id", 15, 7),
        time(engine, "valid_from"),
        time(engine, "valid_until"),
        time(engine, "created"),
    )
}

/// One or two images a flyer.
fn images() -> String {
    let has_second = format!("{} = 0", scatter("f.id", 16, 2));
    format!(
        "INSERT INTO flyer_images (flyer_id, position, url) \
         SELECT f.id, p.position, 'https://images.example.org/flyers/' || f.id || '/' || p.position || '-1080.jpg' \
         FROM flyers f CROSS JOIN (SELECT 1 AS position UNION ALL SELECT 2) p \
         WHERE p.position = 1 OR {has_second} ORDER BY 1, 2"
    )
}

fn relations(engine: Engine, shape: Shape, size: u32) -> Vec<String> {
    let viewer = shape.viewer();
    match shape.related() {
        Relations::None => Vec::new(),
        Relations::Follows(crowds) => crowds
            .iter()
            .map(|(crowd, count)| follow(engine, viewer, crowd.first(), crowd.people(size).min(*count)))
            .collect(),
        Relations::Favorites(crowd, _) => {
            vec![favor(engine, viewer, &crowd.contains("creator_id", size), shape.relations(size))]
        }
        Relations::ValidFavorites(count) => {
            vec![favor(engine, viewer, &format!("valid_until > {}", time(engine, &NOW.to_string())), count)]
        }
    }
}

fn follow(engine: Engine, viewer: i64, first: i64, count: u32) -> String {
    // By the creator's id, so that follows of different crowds have distinct times too.
    let at = relation_time(engine, &format!("(n + {first})"), 100_000);
    format!(
        "INSERT INTO follows (follower_id, followed_id, created_at) {} SELECT {viewer}, {first} + n, {at} FROM numbers",
        numbers(count)
    )
}

/// Favorites `count` of the flyers that meet `condition`, spread evenly over all that do.
fn favor(engine: Engine, viewer: i64, condition: &str, count: u32) -> String {
    let at = relation_time(engine, "nth", count);
    format!(
        "INSERT INTO favorites (user_id, flyer_id, created_at, flyer_created_at, flyer_valid_from, \
         flyer_valid_until, flyer_categories, flyer_expired) \
         SELECT {viewer}, id, {at}, created_at, valid_from, valid_until, categories, expired FROM (\
         SELECT f.*, row_number() OVER (ORDER BY id) - 1 AS nth FROM (\
         SELECT f.*, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS places \
         FROM flyers f WHERE {condition}) f WHERE place * {count} % places < {count}) f"
    )
}

/// Casts to INTEGER: PostgreSQL's `substr` does not take a BIGINT.
fn integer(expression: &str) -> String {
    format!("CAST({expression} AS INTEGER)")
}
