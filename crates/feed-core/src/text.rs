//! Text as a search compares it: whatever its case, in every script.

use crate::db::Engine;

/// Text whose case no longer tells: `BÄCKEREI` and `Bäckerei` are one, and so are `STRASSE` and `Straße`.
///
/// Character by character: by its neighbours, a Greek sigma would be another one at the end of a word, and a part of
/// the word would not be found in it.
#[must_use]
pub fn fold(text: &str) -> String {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

diesel::define_sql_function! {
    /// [`fold`], registered on every SQLite connection: its own `lower` knows ASCII only.
    fn folded(text: diesel::sql_types::Text) -> diesel::sql_types::Text;
}

/// Makes `folded` known to a SQLite connection.
///
/// # Errors
/// When SQLite refuses the registration.
pub(crate) fn register(connection: &mut diesel::SqliteConnection) -> diesel::QueryResult<()> {
    folded_utils::register_impl(connection, |text: String| fold(&text))
}

/// SQL for whether a text column, folded, holds what `needle` names, which is folded already; every character of it
/// is literal.
pub(crate) fn contains(engine: Engine, column: &str, needle: &str) -> String {
    match engine {
        Engine::Sqlite => format!("instr(folded({column}), {needle}) > 0"),
        // By Unicode's rules whatever the database's own locale is, `C` included; these see a sigma's neighbours.
        Engine::Postgres => {
            format!("strpos(translate(lower(upper({column} COLLATE \"und-x-icu\")), 'ς', 'σ'), {needle}) > 0")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fold;

    #[test]
    fn case_does_not_tell() {
        for (a, b) in [("BÄCKEREI", "Bäckerei"), ("STRASSE", "Straße"), ("ΟΔΟΣ", "οδος"), ("ÉTÉ", "été")]
        {
            assert_eq!(fold(a), fold(b));
        }
        assert_ne!(fold("Backerei"), fold("Bäckerei"));
        assert!(fold("ΟΔΟΣ ΑΘΗΝΩΝ").contains(&fold("οδοσ")));
    }
}
