//! Values as SQL literals for PostgreSQL, each checked against the type of its parameter.

use crate::binds::{Moment, Value};

/// The literal for `value`, where a parameter of the type `of` stands; the type as `regtype` prints it.
///
/// All are in quotes, without a type of their own: then the server reads them by the parameter's input
/// function, which gives back exactly what Diesel would have sent in binary.
pub(super) fn literal(value: &Value, of: &str) -> Result<String, String> {
    Ok(match text(value, of)? {
        None => "NULL".to_owned(),
        Some(text) => quoted(&text),
    })
}

fn text(value: &Value, of: &str) -> Result<Option<String>, String> {
    let fits = |types: &[&str]| types.contains(&of);
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(value) if fits(&["boolean"]) => value.to_string(),
        Value::Int(value) if fits(&["smallint", "integer", "bigint", "oid"]) => value.to_string(),
        Value::Float(text) if fits(&["real", "double precision"]) => text.replace("inf", "Infinity"),
        Value::Text(text) if fits(&["text", "character varying", "character", "citext", "name"]) => {
            text.clone()
        }
        Value::Moment(value) => moment(value, of)?,
        Value::List(values) if fits(&["bytea"]) => {
            let hex = values.iter().map(|value| match value {
                Value::Int(byte @ 0..=255) => Ok(format!("{byte:02x}")),
                _ => Err(format!("{value:?} is no byte")),
            });
            format!(r"\x{}", hex.collect::<Result<String, _>>()?)
        }
        Value::List(values) if let Some(element) = of.strip_suffix("[]") => array(values, element)?,
        _ => return Err(format!("{value:?} does not go into a parameter of the type {of}")),
    }))
}

fn array(values: &[Value], element: &str) -> Result<String, String> {
    let elements = values
        .iter()
        .map(|value| {
            Ok(match text(value, element)? {
                None => "NULL".to_owned(),
                Some(text) => format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#)),
            })
        })
        .collect::<Result<Vec<_>, String>>()?;
    Ok(format!("{{{}}}", elements.join(",")))
}

fn moment(moment: &Moment, of: &str) -> Result<String, String> {
    let Moment { date, time, offset } = moment;
    let fail = || Err(format!("{moment:?} does not go into a parameter of the type {of}"));
    match (of, date, time, offset) {
        ("date", Some(date), None, None) => Ok(date.clone()),
        ("time without time zone", None, Some(time), None) => Ok(microseconds(time).to_owned()),
        ("timestamp without time zone", Some(date), Some(time), None)
        | ("timestamp with time zone", Some(date), Some(time), _) => {
            // Diesel counts from the year 2000 and cuts what is smaller than a microsecond off that count:
            // before, that is not the same as cutting the digits.
            if microseconds(time).len() < time.len() && date.as_str() < "2001" {
                return Err(format!("{date} {time} is before 2001 and finer than a microsecond"));
            }
            // Diesel takes a time without an offset for UTC.
            let offset =
                if of == "timestamp without time zone" { "" } else { offset.as_deref().unwrap_or("Z") };
            Ok(format!("{date} {}{offset}", microseconds(time)))
        }
        _ => fail(),
    }
}

/// `time` without what is smaller than a microsecond: the server would round it, and Diesel cuts it.
fn microseconds(time: &str) -> &str {
    &time[..time.len().min("hh:mm:ss.ffffff".len())]
}

/// Quotes as libpq does, so that it means the same under any `standard_conforming_strings`.
pub(super) fn quoted(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') {
        format!(" E'{}'", doubled.replace('\\', r"\\"))
    } else {
        format!("'{doubled}'")
    }
}

#[cfg(test)]
mod tests {
    use super::literal;
    use crate::binds;

    #[test]
    fn literals() {
        for (debug, of, expected) in [
            ("None", "point", Some("NULL")),
            ("-5", "bigint", Some("'-5'")),
            ("5", "text", None),
            ("5", "numeric", None),
            ("-inf", "real", Some("'-Infinity'")),
            ("\"a'b\\\\c\"", "text", Some(r" E'a''b\\c'")),
            ("\"a\"", "uuid", None),
            (
                "2026-05-28T20:26:40.123456789",
                "timestamp without time zone",
                Some("'2026-05-28 20:26:40.123456'"),
            ),
            ("1999-05-28T20:26:40.123456789", "timestamp without time zone", None),
            ("2026-05-28T20:26:40", "timestamp with time zone", Some("'2026-05-28 20:26:40Z'")),
            ("2026-05-28T20:26:40Z", "timestamp without time zone", None),
            ("2026-05-28", "timestamp without time zone", None),
            ("[1, None]", "bigint[]", Some("'{\"1\",NULL}'")),
            ("[\"a\\\"b\\\\\"]", "text[]", Some(r#" E'{"a\\"b\\\\"}'"#)),
            ("[1, 255]", "bytea", Some(r" E'\\x01ff'")),
            ("[1, 256]", "bytea", None),
            ("[1]", "bigint", None),
        ] {
            let value = binds::parse(&format!("[{debug}]")).unwrap().remove(0);
            assert_eq!(literal(&value, of).ok().as_deref(), expected, "{debug} as {of}");
        }
    }
}
