//! Parses the values of binds from Diesel's debug text.
//!
//! Diesel gives an instrumentation only the `Debug` text of the binds, not their values. The text is enough for
//! numbers, booleans, strings, bytes, chrono's dates and times, and lists of these. Text that could also be something
//! else is an error.

use crate::error::Error;

/// The value of a bind, parsed from its debug text. Floats and times stay text, so that they lose no digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Float(String),
    Text(String),
    DateTime(DateTime),
    List(Vec<Value>),
}

/// A date, a time of day, or both. chrono writes both with `T` between them and an optional offset after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DateTime {
    pub date: Option<String>,
    pub time: Option<String>,
    /// The offset from UTC: `Z` or `±hh:mm`.
    pub offset: Option<String>,
}

/// Splits the `Debug` text of a [`diesel::query_builder::DebugQuery`] into SQL and binds. A batch has no binds: its
/// debug text is a string.
pub(crate) fn split_debug_query(debug: &str) -> Option<(String, String)> {
    let mut reader = Reader { rest: debug };
    if !reader.skip("Query { sql: ") {
        let sql = reader.string().ok()?;
        return reader.rest.is_empty().then(|| (sql.trim().to_owned(), "[]".to_owned()));
    }
    let sql = reader.string().ok()?;
    let binds = reader.rest.strip_prefix(", binds: ")?.strip_suffix(" }")?;
    Some((sql.trim().to_owned(), binds.to_owned()))
}

/// Parses the list of a statement's binds.
///
/// # Errors
/// [`Error::Binds`] when a bind is of no supported kind.
pub(crate) fn parse(binds: &str) -> Result<Vec<Value>, Error> {
    let fail = |reason: String| Error::Binds { binds: binds.to_owned(), reason };
    let mut reader = Reader { rest: binds };
    match reader.value().map_err(fail)? {
        Value::List(values) if reader.rest.is_empty() => Ok(values),
        _ => Err(fail("the text is not a list".to_owned())),
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip(&mut self, prefix: &str) -> bool {
        match self.rest.strip_prefix(prefix) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn value(&mut self) -> Result<Value, String> {
        if self.rest.starts_with('"') {
            return self.string().map(Value::Text);
        }
        if self.skip("[") {
            return self.list();
        }
        if self.skip("Some(") {
            let value = self.value()?;
            return if self.skip(")") { Ok(value) } else { Err(unknown(self.rest)) };
        }
        let end = self.rest.find([',', ']', ')']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let value = word_value(word).ok_or_else(|| unknown(word))?;
        self.rest = rest;
        Ok(value)
    }

    fn list(&mut self) -> Result<Value, String> {
        let mut values = Vec::new();
        while !self.skip("]") {
            if !values.is_empty() && !self.skip(", ") {
                return Err("a list does not end".to_owned());
            }
            values.push(self.value()?);
        }
        Ok(Value::List(values))
    }

    /// A string in double quotes, with Rust's escapes.
    fn string(&mut self) -> Result<String, String> {
        let unfinished = || "a string does not end".to_owned();
        let mut chars = self.rest.strip_prefix('"').ok_or_else(unfinished)?.chars();
        let mut text = String::new();
        loop {
            match chars.next().ok_or_else(unfinished)? {
                '"' => break,
                '\\' => text.push(escaped(&mut chars).ok_or("a string has an unknown escape")?),
                c => text.push(c),
            }
        }
        self.rest = chars.as_str();
        Ok(text)
    }
}

fn unknown(word: &str) -> String {
    format!("{word:?} is not the debug text of a number, string, time or list")
}

fn escaped(chars: &mut std::str::Chars<'_>) -> Option<char> {
    Some(match chars.next()? {
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        '0' => '\0',
        'u' => {
            let (digits, rest) = chars.as_str().strip_prefix('{')?.split_once('}')?;
            *chars = rest.chars();
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)?
        }
        c @ ('\\' | '"' | '\'') => c,
        _ => return None,
    })
}

fn word_value(word: &str) -> Option<Value> {
    match word {
        "None" => return Some(Value::Null),
        "true" => return Some(Value::Bool(true)),
        "false" => return Some(Value::Bool(false)),
        "NaN" | "inf" | "-inf" => return Some(Value::Float(word.to_owned())),
        _ => {}
    }
    let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && word.chars().all(|c| c.is_ascii_digit() || "-.e".contains(c));
    if is_number && let Ok(int) = word.parse() {
        return Some(Value::Int(int));
    }
    // Rust writes a whole float as 1.0 or 1e16. A number with neither `.` nor `e` is an integer of more than 64 bits.
    if is_number && word.contains(['.', 'e']) && word.parse::<f64>().is_ok() {
        return Some(Value::Float(word.to_owned()));
    }
    date_time(word).map(Value::DateTime)
}

fn date_time(word: &str) -> Option<DateTime> {
    let (date, rest) = match word.split_once('T') {
        Some((date, rest)) => (Some(date), Some(rest)),
        None if word.contains(':') => (None, Some(word)),
        None => (Some(word), None),
    };
    let at = rest.and_then(|rest| rest.find(['Z', '+', '-'])).filter(|_| date.is_some());
    let (time, offset) = match (rest, at) {
        (Some(rest), Some(at)) => (Some(&rest[..at]), Some(&rest[at..])),
        (time, _) => (time, None),
    };
    // Only years of four digits. chrono writes years before 0 and after 9999 with a sign.
    let is_date = |text: &str| has_form(text, "dddd-dd-dd");
    // Second 60 is a leap second. Neither database supports it.
    let is_time = |text: &str| {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        has_form(whole, "dd:dd:dd")
            && !whole.ends_with(":60")
            && !fraction.is_empty()
            && fraction.chars().all(|c| c.is_ascii_digit())
    };
    let is_offset =
        |text: &str| text == "Z" || has_form(text.trim_start_matches(['+', '-']), "dd:dd") && text.len() == 6;
    (date.is_none_or(is_date) && time.is_none_or(is_time) && offset.is_none_or(is_offset)).then(|| DateTime {
        date: date.map(str::to_owned),
        time: time.map(str::to_owned),
        offset: offset.map(str::to_owned),
    })
}

/// Whether `text` has the form `form`, where `d` stands for any digit.
fn has_form(text: &str, form: &str) -> bool {
    text.len() == form.len()
        && text.chars().zip(form.chars()).all(|(c, f)| if f == 'd' { c.is_ascii_digit() } else { c == f })
}

#[cfg(test)]
mod tests {
    use super::{DateTime, Value, parse, split_debug_query};

    fn date_time(date: Option<&str>, time: Option<&str>, offset: Option<&str>) -> Value {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Value::DateTime(DateTime { date: own(date), time: own(time), offset: own(offset) })
    }

    #[test]
    fn values() {
        for (text, expected) in [
            ("None", Value::Null),
            ("Some(None)", Value::Null),
            ("Some(5)", Value::Int(5)),
            ("true", Value::Bool(true)),
            ("-9223372036854775808", Value::Int(i64::MIN)),
            ("-0.1", Value::Float("-0.1".into())),
            ("1e-7", Value::Float("1e-7".into())),
            ("NaN", Value::Float("NaN".into())),
            (
                r#""a\"b\\c\n\u{301}, ] -- binds: [1]""#,
                Value::Text("a\"b\\c\n\u{301}, ] -- binds: [1]".into()),
            ),
            ("2026-05-28T20:26:40", date_time(Some("2026-05-28"), Some("20:26:40"), None)),
            (
                "2026-05-28T20:26:40.000123Z",
                date_time(Some("2026-05-28"), Some("20:26:40.000123"), Some("Z")),
            ),
            ("2026-05-28T20:26:40-02:00", date_time(Some("2026-05-28"), Some("20:26:40"), Some("-02:00"))),
            ("2026-05-28", date_time(Some("2026-05-28"), None, None)),
            ("20:26:40.5", date_time(None, Some("20:26:40.5"), None)),
            ("[1, 2]", Value::List(vec![Value::Int(1), Value::Int(2)])),
            ("[]", Value::List(Vec::new())),
        ] {
            assert_eq!(parse(&format!("[{text}]")).unwrap(), [expected], "{text}");
        }
    }

    #[test]
    fn ambiguous_text_is_an_error() {
        for text in [
            "Music",
            "Title(\"x\")",
            "User { id: 1 }",
            "99999999999999999999",
            "-",
            "1-2",
            "+12026-05-28T20:26:40",
            "-0001-05-28",
            "2026-05-28T23:59:60",
            "2026-05-28T20:26",
            "\"unfinished",
            "[1, 2",
            "1 2",
            "1, ",
        ] {
            assert!(parse(&format!("[{text}]")).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn sql_and_binds_are_split() {
        let split = |debug| split_debug_query(debug).unwrap();
        assert_eq!(
            split(r#"Query { sql: "SELECT ' -- binds: [1] }', \"a\" ", binds: ["}, binds: []"] }"#),
            ("SELECT ' -- binds: [1] }', \"a\"".to_owned(), "[\"}, binds: []\"]".to_owned())
        );
        assert_eq!(split(r#""BEGIN""#), ("BEGIN".to_owned(), "[]".to_owned()));
    }
}
