//! Times as the database stores them, read without the cost of a general parser.

use chrono::{NaiveDate, NaiveDateTime};
use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::pg::{Pg, PgValue};
use diesel::sql_types::Timestamp;
use diesel::sqlite::{Sqlite, SqliteValue};

use crate::db::MultiBackend;

/// A time in UTC, as a column of type `TIMESTAMP` has it.
///
/// SQLite stores times as text. Diesel parses that text by format strings that it interprets for each value; a page has
/// more than eighty times, and reading them so takes longer than reading all other columns. This type reads the one form
/// that this service writes, `2026-11-24 23:52:55` with or without decimals, and leaves all others to Diesel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromSqlRow)]
#[diesel(sql_type = Timestamp)]
pub struct StoredTime(NaiveDateTime);

impl From<StoredTime> for NaiveDateTime {
    fn from(time: StoredTime) -> Self {
        time.0
    }
}

impl FromSql<Timestamp, Sqlite> for StoredTime {
    fn from_sql(mut value: SqliteValue<'_, '_, '_>) -> deserialize::Result<Self> {
        match parse(value.read_text().as_bytes()) {
            Some(time) => Ok(Self(time)),
            None => FromSql::<Timestamp, Sqlite>::from_sql(value).map(Self),
        }
    }
}

impl FromSql<Timestamp, Pg> for StoredTime {
    fn from_sql(value: PgValue<'_>) -> deserialize::Result<Self> {
        FromSql::<Timestamp, Pg>::from_sql(value).map(Self)
    }
}

impl FromSql<Timestamp, MultiBackend> for StoredTime {
    fn from_sql(value: <MultiBackend as Backend>::RawValue<'_>) -> deserialize::Result<Self> {
        value.from_sql::<Self, Timestamp>()
    }
}

/// The time of a text `YYYY-MM-DD HH:MM:SS`, with up to nine decimals after a point; none for any other text.
fn parse(text: &[u8]) -> Option<NaiveDateTime> {
    let (time, fraction) = text.split_at_checked(19)?;
    let is_separated = [(4, b'-'), (7, b'-'), (10, b' '), (13, b':'), (16, b':')];
    if is_separated.iter().any(|&(at, separator)| time[at] != separator) {
        return None;
    }
    let nanos = match fraction {
        [] => 0,
        [b'.', digits @ ..] if (1..=9).contains(&digits.len()) => {
            #[expect(clippy::cast_possible_truncation, reason = "at most nine digits")]
            let missing = 9 - digits.len() as u32;
            number(digits)? * 10_u32.pow(missing)
        }
        _ => return None,
    };
    let year = i32::try_from(number(&time[..4])?).ok()?;
    let date = NaiveDate::from_ymd_opt(year, number(&time[5..7])?, number(&time[8..10])?)?;
    date.and_hms_nano_opt(number(&time[11..13])?, number(&time[14..16])?, number(&time[17..19])?, nanos)
}

/// The number that at most nine decimal digits write; none where there is anything else.
fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |number, &digit| digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::{NaiveDateTime, parse};

    #[test]
    fn reads_what_diesel_writes() {
        let formats = ["%F %T%.f", "%F %T%.3f", "%F %T%.6f", "%F %T%.9f"];
        for text in [
            "2026-11-24T23:52:55",
            "0001-01-01T00:00:00",
            "9999-12-31T23:59:59.999999",
            "2024-02-29T12:00:00.05",
        ] {
            let time: NaiveDateTime = text.parse().unwrap();
            assert_eq!(parse(time.format(formats[0]).to_string().as_bytes()), Some(time));
            for format in &formats[2..] {
                assert_eq!(
                    parse(time.format(format).to_string().as_bytes()),
                    Some(time),
                    "{text} by {format}"
                );
            }
        }
    }

    #[test]
    fn leaves_other_texts_alone() {
        for text in [
            "",
            "2026-11-24",
            "2026-11-24T23:52:55",
            "2026-11-24 23:52:55Z",
            "2026-11-24 23:52:55.",
            "2026-11-24 23:52:5x",
            "2026-11-24 23:52:55.1234567890",
            "2026-02-30 00:00:00",
            "2026-11-24 24:00:00",
            "+026-11-24 23:52:55",
            "2026-11-24 23:52:55+00:00",
            "12026-11-24 23:52:55",
            "2460000.5",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }
}
