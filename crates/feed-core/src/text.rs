//! Text search: case folding, the folded texts in the database, and their trigrams.
//!
//! Searches ignore case, in every script. Texts are folded here, once, when they are written. The tables `flyer_texts`
//! and `user_texts` hold the folded texts; they are written in the same transaction as the originals. Each engine has
//! an index of their trigrams, which are all sequences of three characters. A text that contains a search contains all
//! trigrams of the search. The index finds candidates, and each is then compared with the search itself, so that every
//! character counts literally.

use std::fmt::Write;

use chrono::NaiveDateTime;
use diesel::prelude::*;

use crate::db::{Database, Db, Engine};
use crate::error::Result;
use crate::models::Flyer;
use crate::schema::{content_versions, flyer_texts, flyers, user_texts, users};
use crate::sql::Name as _;

/// Separates the parts of a flyer's text. It occurs in no part, so that no search matches across parts.
const SEPARATOR: char = '\u{1f}';

/// The number of characters in a trigram.
const TRIGRAM: usize = 3;

/// Removes differences of case: `BÄCKEREI` and `Bäckerei` become equal, and so do `STRASSE` and `Straße`.
///
/// It maps each character alone. `str::to_lowercase` gives a Greek sigma another form at the end of a word, so a part
/// of a word would not be found in the word. Each character goes to lower case, upper case and lower case again, so
/// that the capital ẞ becomes `ss` as well. The unit separator, which separates the parts of a stored text, becomes a
/// space.
#[must_use]
pub fn fold(text: &str) -> String {
    let text = text.chars().map(|c| if c == SEPARATOR { ' ' } else { c });
    text.flat_map(char::to_lowercase).flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// The folded text of a flyer, as it is stored: title, description and address, each followed by a separator.
///
/// Another separator at the end makes each of the last characters begin a trigram, too.
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

/// The searchable text of a flyer.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = flyer_texts, treat_none_as_default_value = false)]
pub struct FlyerText {
    /// The flyer's id.
    pub flyer_id: i64,
    /// The flyer's `created_at`.
    pub created_at: NaiveDateTime,
    /// The text that [`of_flyer`] returns.
    pub text: String,
}

impl From<&Flyer> for FlyerText {
    fn from(flyer: &Flyer) -> Self {
        let text = of_flyer(&flyer.title, &flyer.description, &flyer.location_address);
        Self { flyer_id: flyer.id, created_at: flyer.created_at, text }
    }
}

/// The searchable text of a user.
#[derive(Debug, Clone, PartialEq, Eq, Insertable)]
#[diesel(table_name = user_texts, treat_none_as_default_value = false)]
pub struct UserText {
    /// The user's id.
    pub user_id: i64,
    /// The name, [folded](fold).
    pub text: String,
}

impl UserText {
    /// The searchable text of a user with this name.
    #[must_use]
    pub fn new(user_id: i64, username: &str) -> Self {
        Self { user_id, text: fold(username) }
    }
}

/// Replaces the searchable text of a changed flyer.
///
/// It must run after the flyer itself is written, because a trigger deletes the text when the flyer changes.
pub(crate) fn write_flyer(connection: &mut Db, text: FlyerText) -> QueryResult<()> {
    diesel::delete(flyer_texts::table.find(text.flyer_id)).named("flyer_text_anew").execute(connection)?;
    diesel::insert_into(flyer_texts::table).values(text).named("flyer_text_anew").execute(connection)?;
    Ok(())
}

/// Replaces the searchable text of a renamed user, after the user's row is written.
pub(crate) fn write_user(connection: &mut Db, text: UserText) -> QueryResult<()> {
    diesel::delete(user_texts::table.find(text.user_id)).named("user_text_anew").execute(connection)?;
    diesel::insert_into(user_texts::table).values(text).named("user_text_anew").execute(connection)?;
    Ok(())
}

/// The number of texts that [`complete`] writes in one transaction.
const BATCH: i64 = 1_000;

/// Writes the missing texts of flyers and users, and returns their number: a scan of the tables' primary keys.
///
/// A text is missing if the row is older than the search feature, or if another program wrote or changed the row.
///
/// # Errors
/// [`crate::Error::Unavailable`] or [`crate::Error::Internal`] from the database; texts that were written stay.
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
    /// All rows with ids up to this one have a text.
    last: i64,
}

impl Batch {
    /// Records a written batch, and moves the version of feeds, because search results have changed.
    fn done(connection: &mut Db, written: usize, last: i64) -> Result<Option<Self>> {
        use content_versions::{shard, table, version};

        diesel::update(table.filter(shard.eq(0)))
            .set(version.eq(version + 1))
            .named("complete_texts")
            .execute(connection)?;
        Ok(Some(Self { written, last }))
    }
}

fn complete_flyers(connection: &mut Db, after: i64) -> Result<Option<Batch>> {
    connection.exclude_other_writers()?;
    let lacking = flyers::table
        .left_join(flyer_texts::table)
        .filter(flyers::id.gt(after).and(flyer_texts::flyer_id.is_null()))
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

fn complete_users(connection: &mut Db, after: i64) -> Result<Option<Batch>> {
    connection.exclude_other_writers()?;
    let lacking = users::table
        .left_join(user_texts::table)
        .filter(users::id.gt(after).and(user_texts::user_id.is_null()))
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

/// SQL for whether a stored text contains the folded `:search`.
pub(crate) fn holds(engine: Engine, text: &str) -> String {
    match engine {
        Engine::Sqlite => format!("instr({text}, :search) > 0"),
        Engine::Postgres => format!("strpos({text}, :search) > 0"),
    }
}

/// SQL for whether the text of a flyer `f` or its creator's name contains the folded `:search`: two probes of primary
/// keys.
pub(crate) fn finds(engine: Engine) -> String {
    let flyer = holds(engine, "(SELECT t.text FROM flyer_texts t WHERE t.flyer_id = f.id)");
    let creator = holds(engine, "(SELECT n.text FROM user_texts n WHERE n.user_id = f.creator_id)");
    format!("({flyer} OR {creator})")
}

/// Whether the engine's trigram index can find a folded search.
///
/// SQLite's index has trigrams of any characters. PostgreSQL's has only those inside words, which are letters and
/// digits (if the database's locale knows them).
pub(crate) fn has_trigrams(engine: Engine, search: &str) -> bool {
    let characters: Vec<char> = search.chars().collect();
    let mut trigrams = characters.windows(TRIGRAM);
    match engine {
        Engine::Sqlite => trigrams.len() > 0,
        Engine::Postgres => trigrams.any(|trigram| trigram.iter().all(|c| c.is_alphanumeric())),
    }
}

/// The first and last trigram that begin with a folded search of one or two characters, in the order of SQLite's index.
///
/// SQLite's index replaces the noncharacters U+FFFE and U+FFFF by U+FFFD.
pub(crate) fn trigrams_from(search: &str) -> (String, String) {
    let first = search.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}");
    let last = format!("{first}\u{10ffff}\u{10ffff}");
    (first, last)
}

/// The trigrams of a folded search to look up in SQLite's index: every second one, and the last.
///
/// Together they cover all characters. All trigrams would exclude few more candidates and take twice the time.
pub(crate) fn trigrams(search: &str) -> String {
    let characters: Vec<char> = search.chars().collect();
    let last = characters.len().saturating_sub(TRIGRAM);
    let starts = (0..last).step_by(2).chain([last]);
    let mut terms = String::new();
    for start in starts {
        let trigram: String = characters.iter().skip(start).take(TRIGRAM).collect();
        // Writing to a String cannot fail.
        let _ = write!(terms, "\"{}\" ", trigram.replace('"', "\"\""));
    }
    terms
}

/// A folded search as a pattern for PostgreSQL's LIKE, with special characters escaped.
pub(crate) fn pattern(search: &str) -> String {
    let literal = search.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{literal}%")
}

#[cfg(test)]
mod tests {
    use super::{fold, has_trigrams, of_flyer, pattern, trigrams};
    use crate::db::Engine;

    #[test]
    fn folding_ignores_case() {
        for (a, b) in [("BÄCKEREI", "Bäckerei"), ("STRASSE", "Straße"), ("ΟΔΟΣ", "οδος"), ("ÉTÉ", "été")]
        {
            assert_eq!(fold(a), fold(b));
        }
        assert_eq!(fold("STRAẞE"), fold("Straße"));
        assert_ne!(fold("Backerei"), fold("Bäckerei"));
        assert!(fold("ΟΔΟΣ ΑΘΗΝΩΝ").contains(&fold("οδοσ")));
    }

    #[test]
    fn every_character_folds_like_its_other_cases() {
        for c in (0..=0x10_ffff).filter_map(char::from_u32) {
            let all = fold(&c.to_string());
            let lower: String = c.to_lowercase().collect();
            let upper: String = c.to_uppercase().collect();
            assert_eq!((fold(&lower), fold(&upper), fold(&all)), (all.clone(), all.clone(), all), "{c:?}");
        }
    }

    #[test]
    fn no_search_matches_across_parts() {
        let text = of_flyer("Bread", "Fresh\u{1f}bread", "Rome");
        assert_eq!(text, "bread\u{1f}fresh bread\u{1f}rome\u{1f}\u{1f}");
        assert!(!text.contains(&fold("d\u{1f}f")));
    }

    #[test]
    fn lookups_in_the_indexes() {
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
