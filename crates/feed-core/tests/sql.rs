//! Compares the SQL that requests send with readable files in `sql/sqlite` and `sql/postgres`.
//!
//! `statements.txt` lists every statement with the hash of its text. A file for each kind of statement shows its text,
//! a clause a line and with `:name` for each bind. Variants of a kind (another grid, one more category) are in the list
//! only. `FEED_SQL=write` writes all files again. Read the changes before you commit them.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use chrono::NaiveDateTime;
use feed_core::attempts::Attempts;
use feed_core::db::{Db, Engine};
use feed_core::feed::{self, AccessPath, Feed, FeedRequest, Listing, Order};
use feed_core::geo::Location;
use feed_core::models::{Categories, Category};
use feed_core::page::{Count, Cursor, Direction, PageRequest, Position, Start};
use feed_core::testing::{TestDatabase, statements};
use feed_core::users::Identity;
use feed_core::{favorites, flyers, follows, profiles, sweep, users, validator};
use pretty_assertions::assert_eq;
use serde::de::DeserializeOwned;
use serde_json::json;

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

const VIEWER: i64 = 7;

fn now() -> NaiveDateTime {
    "2026-06-01T12:00:00".parse().unwrap()
}

/// Every statement by its name.
#[derive(Default)]
struct Catalogue {
    /// The text by name, and whether it has a file of its own.
    texts: BTreeMap<String, (String, bool)>,
    seen: BTreeSet<String>,
}

impl Catalogue {
    /// Adds a statement, unless an earlier one has the same text.
    fn add(&mut self, name: &str, text: String, has_file: bool) {
        if self.seen.insert(statements::shape(&text)) {
            let before = self.texts.insert(name.to_owned(), (text, has_file));
            assert!(before.is_none(), "two texts are named {name}");
        }
    }
}

fn page(direction: Direction) -> PageRequest {
    let count = Count { value: 1, exact: true };
    let cursor = Cursor { direction, position: Position::START, count };
    PageRequest { start: Start::Cursor(cursor), size: 20, count: None }
}

/// The feeds of a signed-in caller. Anonymous callers get the same statements with a viewer of 0.
const FEEDS: [(&str, Feed, Order); 6] = [
    ("all", Feed::All(Some(VIEWER)), Order::Newest),
    ("favorites", Feed::Favorites(VIEWER), Order::Newest),
    ("favorited", Feed::Favorites(VIEWER), Order::Favorited),
    ("following", Feed::Following(VIEWER), Order::Newest),
    ("creator", Feed::Creator { creator: 8, viewer: Some(VIEWER) }, Order::Newest),
    ("own", Feed::Creator { creator: VIEWER, viewer: Some(VIEWER) }, Order::Newest),
];

/// Radii in kilometres, one for each of the three grids that cover a circle.
const RADII: [(&str, i64); 3] = [("small", 1), ("medium", 50), ("large", 300)];

const SEARCHES: [(&str, Option<&str>); 3] =
    [("", None), ("_search", Some("konzert")), ("_short_search", Some("zz"))];

const PATHS: [(&str, AccessPath); 3] =
    [("_by_feed", AccessPath::Feed), ("_by_place", AccessPath::Place), ("_by_text", AccessPath::Text)];

/// Adds the pages, counts and surveys of every possible list.
fn lists(engine: Engine, catalogue: &mut Catalogue) {
    let location = Location { latitude: 47.4, longitude: 8.5 };
    let places = [("", None, None), ("_located", Some(location), None)].into_iter();
    let near = RADII.map(|(grid, km)| (grid, Some(location), Some(km * 1_000_000)));
    let places: Vec<_> = places.chain(near).collect();
    for (feed_name, feed, order) in FEEDS {
        for (place, location, radius_mm) in &places {
            for (searched, search) in SEARCHES {
                for (of_category, categories) in
                    [("", None), ("_category", Some(Categories::from(vec![Category::Events])))]
                {
                    let search = search.map(str::to_owned);
                    let listing = Listing {
                        feed,
                        order,
                        location: *location,
                        categories,
                        radius_mm: *radius_mm,
                        search,
                    };
                    let near = if radius_mm.is_some() { "_near" } else { place };
                    let grid = if radius_mm.is_some() { format!("_{place}") } else { String::new() };
                    let what = format!("{feed_name}{near}{searched}{of_category}");
                    // Variants without a file: a category adds one condition, and grids differ in the name of an index.
                    let is_plain = categories.is_none() && (radius_mm.is_none() || *place == "medium");
                    if listing.access_paths().is_none() {
                        let survey = feed::survey_query(engine, &listing).to_string();
                        catalogue.add(&format!("feed_survey_{what}{grid}"), survey, is_plain);
                    }
                    for (by, path) in PATHS {
                        // If a list has one access path, it is not part of the name.
                        let by = if listing.access_paths().is_some() && path == AccessPath::Feed {
                            ""
                        } else {
                            by
                        };
                        let mut add = |kind: &str, text: String, is_shown: bool| {
                            catalogue.add(&format!("{kind}_{what}{by}{grid}"), text, is_shown);
                        };
                        for (direction, kind) in
                            [(Direction::Forward, "feed_page"), (Direction::Backward, "feed_page_back")]
                        {
                            let request =
                                FeedRequest { listing: listing.clone(), page: page(direction), now: now() };
                            // Backward, a search or a circle changes the same parts as in a plain feed.
                            let is_shown = is_plain
                                && (direction == Direction::Forward
                                    || (near != "_near" && searched.is_empty()));
                            add(kind, feed::page_query(engine, &request, path).to_string(), is_shown);
                        }
                        let count = feed::count_query(engine, &listing, now(), path).to_string();
                        add("feed_count", count, is_plain);
                    }
                }
            }
        }
    }
}

/// Adds the other statements in SQL text: further reads of requests, and the writes of the sweeper.
fn others(engine: Engine, catalogue: &mut Catalogue) {
    let mut add = |name: &str, text: String| catalogue.add(name, text, true);
    add("flyer", feed::flyer_query(engine, 1, Some(VIEWER)).to_string());
    add("validator", validator::query(engine, Some(Identity { id: VIEWER, key: 1 }), now()).to_string());
    add("profile", profiles::query(engine, 8, Some(VIEWER)).to_string());
    for (suffix, direction) in [("", Direction::Forward), ("_back", Direction::Backward)] {
        let page = page(direction);
        add(&format!("favorites_page{suffix}"), favorites::list_query(engine, VIEWER, &page).to_string());
        add(&format!("follows_page{suffix}"), follows::list_query(engine, VIEWER, &page).to_string());
    }
    add("favorites_count", favorites::count_query(engine, VIEWER).to_string());
    add("follows_count", follows::count_query(engine, VIEWER).to_string());
    add("sweep_mark", sweep::mark_query(engine, now()).to_string());
    add("sweep_clear", sweep::clear_query(engine, now()).to_string());
    if engine == Engine::Postgres {
        add("sweep_transactions", sweep::transactions_query().to_string());
        add("sweep_visit", sweep::visit_query(&[1]).to_string());
    }
}

/// Adds the statements that are written in Diesel's query language: all writes of requests.
fn writes(engine: Engine, catalogue: &mut Catalogue) {
    for text in sent_by_writes(engine) {
        let Some((name, _)) = text.strip_prefix("/* ").and_then(|text| text.split_once(" */")) else {
            continue;
        };
        let number =
            catalogue.texts.keys().filter(|known| known.trim_end_matches(char::is_numeric) == name).count();
        let name = if number == 0 { name.to_owned() } else { format!("{name}{}", number + 1) };
        catalogue.add(&name, text, true);
    }
}

/// The texts of all statements in Diesel's query language, recorded while every kind of write runs.
///
/// Each text begins with a name, which links the database's log and statistics to the code.
fn sent_by_writes(engine: Engine) -> BTreeSet<String> {
    let test = TestDatabase::new(engine);
    let database = &test.database;
    let now = feed_core::clock::Clock::default().now();
    let attempts = Attempts::default();
    drop(statements::take_noted());

    let sign_up = json!({"email": "anna@example.org", "password": "correct horse"});
    let anna = users::register(database, &from(sign_up.clone()), now).unwrap().identity();
    let other = json!({"email": "beat@example.org", "password": "correct horse", "username": "Beat"});
    let beat = users::register(database, &from(other.clone()), now).unwrap().identity();
    users::register(database, &from(other), now).unwrap_err();
    users::authenticate(database, &attempts, &from(sign_up), None, now).unwrap();
    let change =
        json!({"username": "Anna", "current_password": "correct horse", "password": "battery staple"});
    let (_, anna) = users::update(database, &attempts, anna, &from(change), now).unwrap();
    let anna = anna.unwrap();
    let flyer: flyers::NewFlyer = from(json!({
        "title": "Bread", "description": "", "location_address": "Zürich", "latitude": 47.4, "longitude": 8.5,
        "valid_from": now.and_utc(), "valid_until": (now + chrono::TimeDelta::days(7)).and_utc(),
        "categories": ["service"], "images": [{"url": "https://images.example.org/a.jpg"}],
    }));
    let work = |c: &mut Db| {
        users::by_email(c, "anna@example.org")?;
        let bread = flyers::publish(c, anna, &flyer, now)?;
        let change = json!({"title": "Cake", "images": [{"url": "https://images.example.org/b.jpg"}]});
        flyers::update(c, anna, bread, &from(change), now)?;
        for _ in 0..2 {
            favorites::favorite(c, beat, bread, now)?;
            follows::follow(c, beat, anna.id, now)?;
        }
        follows::statuses(c, Some(beat.id), &[anna.id])?;
        users::own_profile(c, beat)?;
        users::require(c, Some(beat))?;
        feed::load(
            c,
            &FeedRequest {
                listing: Feed::Creator { creator: beat.id, viewer: None }.into(),
                page: PageRequest { start: Start::Page(1), size: 1, count: None },
                now,
            },
        )?;
        favorites::unfavorite(c, beat, bread)?;
        follows::unfollow(c, beat, anna.id)?;
        flyers::delete(c, anna, bread)?;
        users::sign_out(c, beat)?;
        users::sign_out_by_email(c, "beat@example.org")?;
        users::lift_limit(c, "beat@example.org")?;
        users::delete(c, anna)
    };
    database.write(work).unwrap();
    users::reset_password(database, "beat@example.org").unwrap();
    sweep::sweep(database).unwrap();

    let own = [
        "BEGIN",
        "ROLLBACK",
        "COMMIT",
        "SAVEPOINT",
        "RELEASE",
        "PRAGMA",
        "SET ",
        "SELECT pg_advisory",
        "LOCK TABLE",
        "DO ",
    ];
    let (named, others): (BTreeSet<_>, BTreeSet<_>) =
        statements::take_noted().into_iter().partition(|text| text.starts_with("/* "));
    let nameless: Vec<_> =
        others.into_iter().filter(|text| !own.iter().any(|own| text.starts_with(own))).collect();
    assert_eq!(nameless, [""; 0], "statements without a name");
    assert!(named.len() > 30, "{}", named.len());
    named
}

fn from<T: DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// A statement with a clause a line. Newlines replace spaces, and are added inside the parentheses of subqueries.
fn formatted(text: &str) -> String {
    const CLAUSES: [&str; 21] = [
        "SELECT ",
        "FROM ",
        "WHERE ",
        "AND ",
        "OR ",
        "ORDER BY ",
        "LIMIT ",
        "OFFSET ",
        "HAVING ",
        "GROUP BY ",
        "UNION ",
        "CROSS JOIN ",
        "LEFT OUTER JOIN ",
        "VALUES ",
        "RETURNING ",
        "SET ",
        "ON CONFLICT ",
        "FOR ",
        "INSERT ",
        "UPDATE ",
        "DELETE ",
    ];
    let mut out = String::new();
    // For each open parenthesis, whether it contains a subquery.
    let mut open: Vec<bool> = Vec::new();
    let indent =
        |open: &[bool]| format!("\n{}", "  ".repeat(open.iter().filter(|is_query| **is_query).count()));
    let mut rest = text;
    let mut in_between = false;
    while let Some(c) = rest.chars().next() {
        let is_inline = open.last() == Some(&false);
        match c {
            '(' => {
                let is_query =
                    ["SELECT ", "WITH ", "(SELECT "].iter().any(|start| rest[1..].starts_with(start));
                open.push(is_query);
                out.push('(');
                if is_query {
                    out.push_str(&indent(&open));
                }
                rest = &rest[1..];
            }
            ')' => {
                if open.pop() == Some(true) {
                    out.push_str(&indent(&open));
                }
                out.push(')');
                rest = &rest[1..];
            }
            ' ' => {
                let next = &rest[1..];
                let is_second = in_between && next.starts_with("AND ");
                if next.starts_with("BETWEEN ") {
                    in_between = true;
                } else if is_second {
                    in_between = false;
                }
                let is_clause =
                    !is_inline && !is_second && CLAUSES.iter().any(|clause| next.starts_with(clause));
                let is_table = !is_inline
                    && out.ends_with(',')
                    && next.split(' ').nth(1) == Some("AS")
                    && next.split(' ').nth(2) == Some("MATERIALIZED");
                if is_clause || is_table || out.ends_with("*/") {
                    out.push_str(&indent(&open));
                } else {
                    out.push(' ');
                }
                rest = next;
            }
            _ => {
                out.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    out.push('\n');
    let back = out.split('\n').map(str::trim_start).collect::<Vec<_>>().join("\n");
    let back = back.trim_end().replace("(\n", "(").replace("\n)", ")").replace('\n', " ");
    assert_eq!(back, text, "the file has the statement's text and nothing else");
    out
}

fn catalogue(engine: Engine) -> Catalogue {
    let mut catalogue = Catalogue::default();
    lists(engine, &mut catalogue);
    others(engine, &mut catalogue);
    writes(engine, &mut catalogue);
    catalogue
}

#[test]
fn every_statement_is_recorded() {
    statements::note_all();
    for engine in ENGINES {
        let catalogue = catalogue(engine);
        let mut files = BTreeMap::new();
        let mut list = String::new();
        for (name, (text, has_file)) in &catalogue.texts {
            writeln!(list, "{} {name}", statements::hash(text)).unwrap();
            if *has_file {
                files.insert(format!("{name}.sql"), formatted(text));
            }
        }
        files.insert("statements.txt".to_owned(), list);

        let folder = statements::folder(engine);
        if std::env::var_os("FEED_SQL").is_some_and(|value| value == "write") {
            let _ = std::fs::remove_dir_all(&folder);
            std::fs::create_dir_all(&folder).unwrap();
            for (name, text) in &files {
                std::fs::write(folder.join(name), text).unwrap();
            }
        }
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        let existing: BTreeSet<_> = entries.map(|name| name.into_string().unwrap()).collect();
        assert_eq!(existing, files.keys().cloned().collect(), "FEED_SQL=write writes the files");
        for (name, text) in &files {
            let written = std::fs::read_to_string(folder.join(name)).unwrap();
            assert_eq!(&written, text, "{name} is outdated: see the head of this test's source");
        }
    }
}

#[test]
fn statements_that_are_not_recorded_are_reported() {
    for engine in ENGINES {
        let one = |text: &str| statements::unknown(engine, &BTreeSet::from([text.to_owned()]));
        assert_eq!(one("/* feed_page */ SELECT 1"), ["/* feed_page */ SELECT 1"]);
        assert_eq!(one("SELECT 1"), [""; 0], "statements of requests have names");
        let flyer = feed::flyer_query(engine, 1, None).to_string();
        assert_eq!(one(&flyer), [""; 0]);
        assert_eq!(one(&flyer.replace("ORDER BY i.position", "ORDER BY i.url")).len(), 1);
    }
}

/// Rows are read by the order of their columns, so the types would not reveal two swapped columns of one type.
#[test]
fn every_column_of_a_card_is_where_its_row_expects_it() {
    for engine in ENGINES {
        let test = TestDatabase::new(engine);
        let database = &test.database;
        let account = |name: &str| {
            let account = json!({"email": format!("{name}@example.org"), "password": "correct horse", "username": name});
            users::register(database, &from(account), now()).unwrap().identity()
        };
        let (viewer, creator) = (account("viewer"), account("creator"));
        let picture = json!({"profile_picture_url": "https://images.example.org/creator.jpg"});
        users::update(database, &Attempts::default(), creator, &from(picture), now()).unwrap();
        let flyer: flyers::NewFlyer = from(json!({
            "title": "title", "description": "description", "location_address": "address",
            "latitude": 1.5, "longitude": 2.5, "categories": ["events", "service"],
            "valid_from": "2026-06-01T01:00:00Z", "valid_until": "2026-06-02T02:00:00Z",
            "images": [{"url": "https://images.example.org/1.jpg"}],
        }));
        let expected = |id: i64, is_favorited: bool, is_following: bool| {
            json!({
                "id": id, "title": "title", "description": "description",
                "creator": {
                    "id": creator.id, "username": "creator", "is_following": is_following,
                    "profile_picture_url": "https://images.example.org/creator.jpg",
                },
                "images": [{"url": "https://images.example.org/1.jpg", "order": 1}],
                "categories": ["events", "service"], "location_address": "address",
                "latitude": 1.5, "longitude": 2.5, "distance_km": 324.16,
                "valid_from": "2026-06-01T01:00:00Z", "valid_until": "2026-06-02T02:00:00Z",
                "is_valid": true, "is_favorited": is_favorited, "created_at": "2026-06-01T12:00:00Z",
            })
        };
        database
            .write(|c| {
                let id = flyers::publish(c, creator, &flyer, now())?;
                let location = Some(Location { latitude: 0.0, longitude: 0.0 });
                let listing = Listing { location, ..Feed::All(Some(viewer.id)).into() };
                let page = PageRequest { start: Start::Page(1), size: 1, count: None };
                let request = FeedRequest { listing, page, now: now() };
                let card = |c: &mut Db| {
                    let card = feed::load(c, &request)?.items.remove(0);
                    Ok::<_, feed_core::Error>(serde_json::to_value(card).unwrap())
                };
                // Set one flag after the other, because they have the same type.
                favorites::favorite(c, viewer, id, now())?;
                assert_eq!(card(c)?, expected(id, true, false));
                favorites::unfavorite(c, viewer, id)?;
                follows::follow(c, viewer, creator.id, now())?;
                assert_eq!(card(c)?, expected(id, false, true));
                Ok(())
            })
            .unwrap();
    }
}
