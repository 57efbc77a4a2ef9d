//! Writes values as SQL literals for PostgreSQL, and checks each against the type of its parameter.

use crate::binds::{DateTime, Value};

/// The literal for `value` as a parameter of the type `type_name`, which is written as `regtype` prints it.
///
/// Every literal is quoted and has no type of its own. So PostgreSQL parses it with the input function of the
/// parameter's type, and gets exactly the value that Diesel sends in binary.
pub(super) fn literal(value: &Value, type_name: &str) -> Result<String, String> {
    Ok(match text(value, type_name)? {
        None => "NULL".to_owned(),
        Some(text) => quoted(&text),
    })
}

/// The text of a value before quoting, or `None` for NULL.
fn text(value: &Value, type_name: &str) -> Result<Option<String>, String> {
    let fits = |types: &[&str]| types.contains(&type_name);
    Ok(Some(match value {
        Value::Null => return Ok(None),
        Value::Bool(value) if fits(&["boolean"]) => value.to_string(),
        Value::Int(value) if fits(&["smallint", "integer", "bigint", "oid"]) => value.to_string(),
        Value::Float(text) if fits(&["real", "double precision"]) => text.replace("inf", "Infinity"),
        Value::Text(text) if fits(&["text", "character varying", "character", "citext", "name"]) => {
            text.clone()
        }
        Value::DateTime(value) => date_time(value, type_name)?,
        Value::List(values) if fits(&["bytea"]) => {
            let hex = values.iter().map(|value| match value {
                Value::Int(byte @ 0..=255) => Ok(format!("{byte:02x}")),
                _ => Err(format!("{value:?} is not a byte")),
            });
            format!(r"\x{}", hex.collect::<Result<String, _>>()?)
        }
        Value::List(values) if let Some(element) = type_name.strip_suffix("[]") => array(values, element)?,
        _ => return Err(format!("{value:?} does not fit a parameter of the type {type_name}")),
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

fn date_time(value: &DateTime, type_name: &str) -> Result<String, String> {
    let DateTime { date, time, offset } = value;
    let fail = || Err(format!("{value:?} does not fit a parameter of the type {type_name}"));
    match (type_name, date, time, offset) {
        ("date", Some(date), None, None) => Ok(date.clone()),
        ("time without time zone", None, Some(time), None) => Ok(microseconds(time).to_owned()),
        ("timestamp without time zone", Some(date), Some(time), None)
        | ("timestamp with time zone", Some(date), Some(time), _) => {
            // Diesel sends the microseconds since the year 2000 and truncates that number towards 0. Before 2000 that
            // is not the same as cutting off digits of the time.
            if microseconds(time).len() < time.len() && date.as_str() < "2001" {
                return Err(format!(
                    "{date} {time} has nanoseconds, which are supported from the year 2001 on only"
                ));
            }
            // Diesel treats a time without an offset as UTC.
            let offset = if type_name == "timestamp without time zone" {
                ""
            } else {
                offset.as_deref().unwrap_or("Z")
            };
            Ok(format!("{date} {}{offset}", microseconds(time)))
        }
        _ => fail(),
    }
}

/// `time` cut off after the microseconds, as Diesel does. PostgreSQL would round it.
fn microseconds(time: &str) -> &str {
    &time[..time.len().min("hh:mm:ss.ffffff".len())]
}

/// Quotes a string as libpq does. The result means the same with `standard_conforming_strings` on and off.
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
