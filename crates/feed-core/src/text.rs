//! Text as a search compares it: folded, so that no case tells, in every script.
//!
//! What is searched is folded once, here, when it is written, and lies in tables of its own, `flyer_texts` and
//! `user_texts`, in the same transaction as what it was made of. Each engine keeps an index of its trigrams: every three
//! characters that follow each other. A text that holds a search holds all its trigrams; whoever finds candidates by
//! those compares them with the text itself, so that every character is literal.

use std::fmt::Write;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::db::{Database, Db, Engine};
use crate::error::Result;
use crate::models::Flyer;
use crate::schema::{content_versions, flyer_texts, flyers, user_texts, users};
use crate::sql::Name as _;

/// Stands between the parts of a flyer's text, and in none of them: no search reaches over it.
const SEPARATOR: char = '\u{1f}';

/// How many characters an index needs of a search.
const TRIGRAM: usize = 3;

/// Text whose case no longer tells: `BÄCKEREI` and `Bäckerei` are one, and so are `STRASSE` and `Straße`.
///
/// Character by character: by its neighbours, a Greek sigma would be another one at the end of a word, and a part of
/// the word would not be found in it. Down, up and down again: the capital ẞ, which is none of ß, is `ss` too then. The
/// unit separator, which separates the parts of a stored text, becomes a space.
#[must_use]
pub fn fold(text: &str) -> String {
    let text = text.chars().map(|c| if c == SEPARATOR { ' ' } else { c });
    text.flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// The text of a flyer, as it is stored.
///
/// Separators behind the end too: there each of the last characters begins a trigram as well.
#[must_use]
pub fn of_flyer(title: &str, description: &str, location_address: &str) -> String {
    let mut text = String::with_capacity(title.len() + description.len() + location_address.len() + 4);
    for part in [title, description, location_address] {
        text.push_str(&fold(part));
        text.push(SEPARATOR);
    }
    text.push(SEPARATOR);
    text
}

/// What a search is compared with of a flyer.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = flyer_texts, treat_none_as_default_value = false)]
pub struct FlyerText {
    /// The flyer.
    pub flyer_id: i64,
    /// The flyer's `created_at`.
    pub created_at: NaiveDateTime,
    /// From [`of_flyer`].
    pub text: String,
}

impl From<&Flyer> for FlyerText {
    fn from(flyer: &Flyer) -> Self {
        let text = of_flyer(&flyer.title, &flyer.description, &flyer.location_address);
        Self { flyer_id: flyer.id, created_at: flyer.created_at, text }
    }
}

/// What a search is compared with of a creator.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = user_texts, treat_none_as_default_value = false)]
pub struct UserText {
    /// The user.
    pub user_id: i64,
    /// The name, [folded](fold).
    pub text: String,
}

impl UserText {
    /// Of a user with this name.
    #[must_use]
    pub fn new(user_id: i64, username: &str) -> Self {
        Self { user_id, text: fold(username) }
    }
}

/// Writes the text of a flyer that has changed: behind the flyer itself, since the database forgets the text when that
/// changes.
pub(crate) fn write_flyer(connection: &mut Db, text: FlyerText) -> QueryResult<()> {
    diesel::delete(flyer_texts::table.find(text.flyer_id)).named("flyer_text_anew").execute(connection)?;
    diesel::insert_into(flyer_texts::table).values(text).named("flyer_text_anew").execute(connection)?;
    Ok(())
}

/// The same for a name.
pub(crate) fn write_user(connection: &mut Db, text: UserText) -> QueryResult<()> {
    diesel::delete(user_texts::table.find(text.user_id)).named("user_text_anew").execute(connection)?;
    diesel::insert_into(user_texts::table).values(text).named("user_text_anew").execute(connection)?;
    Ok(())
}

/// How many texts are written in one transaction.
const BATCH: i64 = 1_000;

/// Writes the texts of flyers and users that have none, since they are older than search or were written or changed by
/// other means, and tells how many there were: a pass over the tables' primary keys.
///
/// # Errors
/// [`crate::Error::Unavailable`] or [`crate::Error::Internal`] from the database; what was written stays.
pub fn complete(database: &Database) -> Result<usize> {
    let mut written = 0;
    for complete in [complete_flyers, complete_users] {
        let mut last = 0;
        while let Some(batch) = database.write(|connection| complete(connection, last))? {
            written += batch.written;
            last = batch.last;
        }
    }
    Ok(written)
}

struct Batch {
    written: usize,
    /// All ids up to this one are done.
    last: i64,
}

impl Batch {
    /// Of so many rows, up to this id. Feeds have changed with them.
    fn done(connection: &mut Db, written: usize, last: i64) -> Result<Option<Self>> {
        use content_versions::{shard, table, version};

        diesel::update(table.filter(shard.eq(0)))
            .set(version.eq(version + 1))
            .named("complete_texts")
            .execute(connection)?;
        Ok(Some(Self { written, last }))
    }
}

fn complete_flyers(connection: &mut Db, behind: i64) -> Result<Option<Batch>> {
    connection.exclude_other_writers()?;
    let lacking = flyers::table
        .left_join(flyer_texts::table)
        .filter(flyers::id.gt(behind).and(flyer_texts::flyer_id.is_null()))
        .order(flyers::id)
        .limit(BATCH)
        .select(flyers::all_columns);
    let rows: Vec<Flyer> = lacking.named("texts_that_lack").load(connection)?;
    let Some(last) = rows.last() else { return Ok(None) };
    for flyer in &rows {
        diesel::insert_into(flyer_texts::table)
            .values(FlyerText::from(flyer))
            .named("complete_texts")
            .execute(connection)?;
    }
    Batch::done(connection, rows.len(), last.id)
}

fn complete_users(connection: &mut Db, behind: i64) -> Result<Option<Batch>> {
    connection.exclude_other_writers()?;
    let lacking = users::table
        .left_join(user_texts::table)
        .filter(users::id.gt(behind).and(user_texts::user_id.is_null()))
        .order(users::id)
        .limit(BATCH)
        .select((users::id, users::username));
    let rows: Vec<(i64, String)> = lacking.named("texts_that_lack").load(connection)?;
    let Some(&(last, _)) = rows.last() else { return Ok(None) };
    for (user_id, username) in &rows {
        let text = UserText::new(*user_id, username);
        diesel::insert_into(user_texts::table).values(text).named("complete_texts").execute(connection)?;
    }
    Batch::done(connection, rows.len(), last)
}

/// SQL for whether a stored text holds the folded `:search`.
pub(crate) fn holds(engine: Engine, text: &str) -> String {
    match engine {
        Engine::Sqlite => format!("instr({text}, :search) > 0"),
        Engine::Postgres => format!("strpos({text}, :search) > 0"),
    }
}

/// SQL for whether a flyer `f` or its creator is found by the folded `:search`: two probes of primary keys.
pub(crate) fn finds(engine: Engine) -> String {
    let flyer = holds(engine, "(SELECT t.text FROM flyer_texts t WHERE t.flyer_id = f.id)");
    let creator = holds(engine, "(SELECT n.text FROM user_texts n WHERE n.user_id = f.creator_id)");
    format!("({flyer} OR {creator})")
}

/// Whether an engine's index can find a folded search. SQLite's has three of any characters; PostgreSQL's has those of
/// words, which are letters and digits (in a database whose locale knows them).
pub(crate) fn has_trigrams(engine: Engine, search: &str) -> bool {
    let characters: Vec<char> = search.chars().collect();
    let mut trigrams = characters.windows(TRIGRAM);
    match engine {
        Engine::Sqlite => trigrams.len() > 0,
        Engine::Postgres => trigrams.any(|trigram| trigram.iter().all(|c| c.is_alphanumeric())),
    }
}

/// The first and the last trigram that begin with a folded search of fewer characters, in the order of SQLite's index,
/// which takes two that are no characters for a third.
pub(crate) fn trigrams_from(search: &str) -> (String, String) {
    let first = search.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    let last = format!("{first}\u{10ffff}\u{10ffff}");
    (first, last)
}

/// The trigrams of a folded search for SQLite's index: every other one, and the last, hold all its characters.
///
/// All of them would leave few candidates less, and take twice the time to find them.
pub(crate) fn trigrams(search: &str) -> String {
    let characters: Vec<char> = search.chars().collect();
    let last = characters.len().saturating_sub(TRIGRAM);
    let starts = (0..last).step_by(2).chain([last]);
    let mut terms = String::new();
    for start in starts {
        let trigram: String = characters.iter().skip(start).take(TRIGRAM).collect();
        // Writing to a String does not fail.
        let _ = write!(terms, "\"{}\" ", trigram.replace('"', "\"\""));
    }
    terms
}

/// A folded search as a pattern for PostgreSQL's LIKE, every character literal.
pub(crate) fn pattern(search: &str) -> String {
    let literal = search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{literal}%")
}

#[cfg(test)]
mod tests {
    use super::{fold, has_trigrams, of_flyer, pattern, trigrams};
    use crate::db::Engine;

    #[test]
    fn case_does_not_tell() {
        for (a, b) in [("BÄCKEREI", "Bäckerei"), ("STRASSE", "Straße"), ("ΟΔΟΣ", "οδος"), ("ÉTÉ", "été")]
        {
            assert_eq!(fold(a), fold(b));
        }
        assert_eq!(fold("STRAẞE"), fold("Straße"));
        assert_ne!(fold("Backerei"), fold("Bäckerei"));
        assert!(fold("ΟΔΟΣ ΑΘΗΝΩΝ").contains(&fold("οδοσ")));
    }

    #[test]
    fn no_character_has_a_case_that_tells() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let all = fold(&c.to_string());
            let lower: String = c.to_lowercase().collect();
            let upper: String = c.to_uppercase().collect();
            assert_eq!((fold(&lower), fold(&upper), fold(&all)), (all.clone(), all.clone(), all), "{c:?}");
        }
    }

    #[test]
    fn no_search_reaches_over_two_parts() {
        let text = of_flyer("Bread", "Fresh\u{1f}bread", "Rome");
        assert_eq!(text, "bread\u{1f}fresh bread\u{1f}rome\u{1f}\u{1f}");
        assert!(!text.contains(&fold("d\u{1f}f")));
    }

    #[test]
    fn what_indexes_are_asked_for() {
        assert_eq!(trigrams("abc").trim(), r#""abc""#);
        assert_eq!(trigrams("abcd").trim(), r#""abc" "bcd""#);
        assert_eq!(trigrams("äbcdef").trim(), r#""äbc" "cde" "def""#);
        assert_eq!(trigrams(r#"a"b"#).trim(), r#""a""b""#);
        for (search, in_sqlite, in_postgres) in [
            ("ab", false, false),
            ("abc", true, true),
            ("кафе", true, true),
            ("!!!", true, false),
            ("ab, cd", true, false),
            ("a b 123", true, true),
        ] {
            assert_eq!(has_trigrams(Engine::Sqlite, search), in_sqlite, "{search}");
            assert_eq!(has_trigrams(Engine::Postgres, search), in_postgres, "{search}");
        }
        assert_eq!(pattern(r"100%_\"), r"%100\%\_\\%");
    }
}
