//! Reads from the text of a statement what kind it is, and normalizes it to group similar statements.

/// What kind of statement it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Reads rows: SELECT, VALUES, TABLE, and WITH over these.
    Read,
    /// Writes rows: INSERT, UPDATE, DELETE, REPLACE, MERGE, COPY, and WITH over these.
    Write,
    /// Anything else: PRAGMA, EXPLAIN, CREATE and the like.
    Other,
}

/// The [`Kind`] of a statement, or `None` for transaction control and SET.
pub(crate) fn kind(sql: &str) -> Option<Kind> {
    let words: Vec<String> = tokens(sql)
        .into_iter()
        .filter(|token| token.class == Class::Word)
        .map(|token| token.text.to_ascii_uppercase())
        .collect();
    let is_write = |word: &str| matches!(word, "INSERT" | "UPDATE" | "DELETE" | "MERGE");
    match words.first().map_or("", String::as_str) {
        "SELECT" | "VALUES" | "TABLE" => Some(Kind::Read),
        "WITH" => {
            // FOR UPDATE and FOR NO KEY UPDATE only lock rows.
            let writes = words.windows(2).any(|pair| {
                is_write(&pair[1]) && !(pair[1] == "UPDATE" && matches!(pair[0].as_str(), "FOR" | "KEY"))
            });
            Some(if writes { Kind::Write } else { Kind::Read })
        }
        "REPLACE" | "COPY" => Some(Kind::Write),
        "BEGIN" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "SET" => None,
        word if is_write(word) => Some(Kind::Write),
        _ => Some(Kind::Other),
    }
}

/// The normalized text of a statement. It is the same for statements that differ only in white space, comments,
/// literals and the length of lists.
pub(crate) fn normalize(sql: &str) -> String {
    let tokens = tokens(sql);
    let mut out = String::with_capacity(sql.len());
    let mut next = 0;
    let mut opens_list = false;
    while let Some(token) = tokens.get(next) {
        if token.is_spaced && !out.is_empty() {
            out.push(' ');
        }
        let is_values = token.is_word("VALUES");
        if opens_list && let Some(end) = list_end(&tokens, next) {
            out.push_str("(…)");
            next = end;
        } else {
            out.push_str(if token.class == Class::Value { "?" } else { token.text });
            next += 1;
        }
        // Keep only the first row of VALUES.
        if is_values && let Some(mut end) = list_end(&tokens, next) {
            while tokens.get(end).is_some_and(|comma| comma.text == ",")
                && let Some(row) = list_end(&tokens, end + 1)
            {
                end = row;
            }
            out.push_str(" (…)");
            next = end;
        }
        opens_list = token.is_word("IN");
    }
    out
}

/// Whether `sql` gives `table` the alias `alias`.
pub(crate) fn has_alias(sql: &str, table: &str, alias: &str) -> bool {
    let tokens = tokens(sql);
    (0..tokens.len()).any(|i| {
        let as_word = usize::from(tokens.get(i + 1).is_some_and(|token| token.is_word("AS")));
        tokens[i].is_name(table) && tokens.get(i + 1 + as_word).is_some_and(|token| token.is_name(alias))
    })
}

/// The index after the parenthesized list of values that starts at `start`, or `None` if there is no such list.
fn list_end(tokens: &[Token<'_>], start: usize) -> Option<usize> {
    if tokens.get(start)?.text != "(" {
        return None;
    }
    let inside = tokens[start + 1..].iter().take_while(|token| token.is_value_or_comma()).count();
    let end = start + 1 + inside;
    (inside > 0 && tokens.get(end)?.text == ")").then_some(end + 1)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Word,
    /// An identifier in quotes.
    Quoted,
    /// A literal or a placeholder.
    Value,
    Punctuation,
}

#[derive(Debug, Clone, Copy)]
struct Token<'a> {
    class: Class,
    text: &'a str,
    /// Whether white space or a comment precedes it.
    is_spaced: bool,
}

impl Token<'_> {
    fn is_word(&self, word: &str) -> bool {
        self.class == Class::Word && self.text.eq_ignore_ascii_case(word)
    }

    fn is_name(&self, name: &str) -> bool {
        match self.class {
            Class::Word => self.text.eq_ignore_ascii_case(name),
            Class::Quoted => {
                self.text[1..].strip_suffix(['"', '`']).is_some_and(|n| n.eq_ignore_ascii_case(name))
            }
            Class::Value | Class::Punctuation => false,
        }
    }

    fn is_value_or_comma(&self) -> bool {
        self.class == Class::Value
            || [",", "+", "-"].contains(&self.text)
            || ["NULL", "TRUE", "FALSE", "DEFAULT"].iter().any(|word| self.is_word(word))
    }
}

fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = sql;
    let mut is_spaced = false;
    while let Some(first) = rest.chars().next() {
        let blank = blank_length(rest);
        if blank > 0 {
            is_spaced = true;
            rest = &rest[blank..];
            continue;
        }
        let (class, length) = token(rest, first);
        let (text, after) = rest.split_at(length);
        tokens.push(Token { class, text, is_spaced });
        is_spaced = false;
        rest = after;
    }
    tokens
}

/// The length of the white space or comment at the start, or 0.
fn blank_length(rest: &str) -> usize {
    if rest.starts_with("--") {
        rest.find('\n').unwrap_or(rest.len())
    } else if rest.starts_with("/*") {
        rest.find("*/").map_or(rest.len(), |end| end + 2)
    } else {
        rest.len() - rest.trim_start().len()
    }
}

fn token(rest: &str, first: char) -> (Class, usize) {
    let word = |text: &str| text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let second = rest[first.len_utf8()..].chars().next().unwrap_or(' ');
    match first {
        '\'' => (Class::Value, quoted_length(rest, '\'', false)),
        'e' | 'E' if second == '\'' => (Class::Value, 1 + quoted_length(&rest[1..], '\'', true)),
        '"' | '`' => (Class::Quoted, quoted_length(rest, first, false)),
        '?' => (Class::Value, 1 + word(&rest[1..])),
        '$' if second.is_ascii_digit() => (Class::Value, 1 + word(&rest[1..])),
        '$' => dollar_quoted(rest).map_or((Class::Punctuation, 1), |length| (Class::Value, length)),
        ':' if second == ':' => (Class::Punctuation, 2),
        ':' | '@' if second.is_alphabetic() => (Class::Value, 1 + word(&rest[1..])),
        c if c.is_ascii_digit() => (Class::Value, number_length(rest)),
        '.' if second.is_ascii_digit() => (Class::Value, number_length(rest)),
        c if c.is_alphabetic() || c == '_' => (Class::Word, word(rest)),
        c => (Class::Punctuation, c.len_utf8()),
    }
}

/// The length of a quoted text, from its first quote to its last. A doubled quote does not end it, and neither does a
/// quote after a backslash if `has_escapes`.
fn quoted_length(rest: &str, quote: char, has_escapes: bool) -> usize {
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if has_escapes && c == '\\' {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + 1;
        }
    }
    rest.len()
}

/// The length of a dollar-quoted string of PostgreSQL: `$tag$…$tag$`.
fn dollar_quoted(rest: &str) -> Option<usize> {
    let tag = 2 + rest[1..].find('$')?;
    let is_tag = rest[1..tag - 1].chars().all(|c| c.is_alphanumeric() || c == '_');
    let length = rest[tag..].find(&rest[..tag])?;
    is_tag.then_some(tag + length + tag)
}

/// The length of a number with its decimal point and exponent, including the exponent's sign.
fn number_length(rest: &str) -> usize {
    let mut before = ' ';
    let is_hex = rest.starts_with("0x") || rest.starts_with("0X");
    rest.find(|c: char| {
        let is_exponent_sign = matches!(c, '+' | '-') && matches!(before, 'e' | 'E') && !is_hex;
        before = c;
        !(c.is_alphanumeric() || c == '.' || c == '_' || is_exponent_sign)
    })
    .unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::{Kind, has_alias, kind, normalize};

    #[test]
    fn similar_statements_have_the_same_normalized_text() {
        for (sql, expected) in [
            ("SELECT  a,\n\tb -- why\n FROM t /* x */ ", "SELECT a, b FROM t"),
            ("SELECT 'it''s', 1.5e-3, $1, ?2, E'\\'' FROM t", "SELECT ?, ?, ?, ?, ? FROM t"),
            ("SELECT a FROM t WHERE a IN (?, ?, ?)", "SELECT a FROM t WHERE a IN (…)"),
            ("SELECT a FROM t WHERE a in ($1,$2) AND b = $3", "SELECT a FROM t WHERE a in (…) AND b = ?"),
            ("SELECT a FROM t WHERE a NOT IN (-1, NULL, 'x')", "SELECT a FROM t WHERE a NOT IN (…)"),
            ("SELECT a FROM t WHERE a IN (SELECT 1)", "SELECT a FROM t WHERE a IN (SELECT ?)"),
            ("SELECT a FROM t WHERE f(?, ?)", "SELECT a FROM t WHERE f(?, ?)"),
            ("INSERT INTO t (a, b) VALUES (?, ?), (?, ?)", "INSERT INTO t (a, b) VALUES (…)"),
            (
                "INSERT INTO t VALUES (?, lower(?)) ON CONFLICT",
                "INSERT INTO t VALUES (?, lower(?)) ON CONFLICT",
            ),
            ("SELECT \"a 1\", `b  2`, $x$ 'q' $x$, a::text", "SELECT \"a 1\", `b  2`, ?, a::text"),
            ("SELECT 'unfinished", "SELECT ?"),
        ] {
            assert_eq!(normalize(sql), expected);
        }
    }

    #[test]
    fn kinds() {
        for (sql, expected) in [
            ("SELECT 1", Some(Kind::Read)),
            ("(SELECT 1) UNION SELECT 2", Some(Kind::Read)),
            ("/* hint */ with a AS (SELECT 1) SELECT * FROM a FOR UPDATE", Some(Kind::Read)),
            ("WITH a AS (SELECT 'DELETE') SELECT \"update\" FROM a", Some(Kind::Read)),
            ("WITH a AS (DELETE FROM t RETURNING *) SELECT * FROM a", Some(Kind::Write)),
            ("insert into t values (1)", Some(Kind::Write)),
            ("PRAGMA foreign_keys", Some(Kind::Other)),
            ("SAVEPOINT s", None),
            ("BEGIN IMMEDIATE", None),
        ] {
            assert_eq!(kind(sql), expected, "{sql}");
        }
    }

    #[test]
    fn aliases() {
        assert!(has_alias("SELECT * FROM recent AS r", "recent", "r"));
        assert!(has_alias("SELECT * FROM `recent` `r`", "recent", "r"));
        assert!(!has_alias("SELECT * FROM recent JOIN r", "recent", "r"));
    }
}
