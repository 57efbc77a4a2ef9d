//! Validation rules for input, which types declare on their fields.
//!
//! Lengths are in Unicode scalar values, after trimming. Texts that are stored trimmed have the type [`Trimmed`].
//! Passwords are stored untrimmed.

#![expect(clippy::trivially_copy_pass_by_ref, reason = "rules have the signature that garde calls")]

use std::fmt;
use std::marker::PhantomData;

use chrono::{Datelike, NaiveDateTime, SubsecRound, Timelike, Utc};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::password;

/// Text without white space around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed(pub String);

impl<'de> Deserialize<'de> for Trimmed {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let trimmed = text.trim();
        Ok(Self(if trimmed.len() == text.len() { text } else { trimmed.to_owned() }))
    }
}

impl AsRef<str> for Trimmed {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Text of `min` to `max` characters.
pub(crate) fn characters<T: AsRef<str>>(min: usize, max: usize) -> impl Fn(&T, &()) -> garde::Result {
    move |text, ()| {
        let count = text.as_ref().trim().chars().count();
        check((min..=max).contains(&count), || match min {
            0 => format!("must have at most {max} characters"),
            _ => format!("must have {min} to {max} characters"),
        })
    }
}

/// A list of `min` to `max` entries. [`list`] already checks `max` while it reads the list.
pub(crate) fn entries<T>(min: usize, max: usize) -> impl Fn(&Vec<T>, &()) -> garde::Result {
    move |list, ()| check((min..=max).contains(&list.len()), || entries_message(min, max))
}

fn entries_message(min: usize, max: usize) -> String {
    format!("must have {min} to {max} entries")
}

/// Like [`entries`], for a list that may be missing.
pub(crate) fn some_entries<T>(min: usize, max: usize) -> impl Fn(&Option<Vec<T>>, &()) -> garde::Result {
    move |list, ()| list.as_ref().map_or(Ok(()), |list| entries(min, max)(list, &()))
}

/// A number of degrees from -`max` to `max`.
pub(crate) fn degrees(max: f64) -> impl Fn(&f64, &()) -> garde::Result {
    move |value, ()| check((-max..=max).contains(value), || format!("must lie between -{max} and {max}"))
}

/// A time after `from`, which is the value of the field `valid_from`.
pub(crate) fn after(from: NaiveDateTime) -> impl Fn(&NaiveDateTime, &()) -> garde::Result {
    move |time, ()| check(*time > from, || "must lie after valid_from".to_owned())
}

/// An absolute http or https URL of at most 2,048 bytes in the syntax of RFC 3986.
///
/// The URL is stored as it was written, so every parser must accept it. The `url` crate alone is too lenient. It
/// follows browsers, which repair missing slashes, backslashes and white space, and encode non-ASCII characters.
pub(crate) fn http_url<T: AsRef<str>>(text: &T, (): &()) -> garde::Result {
    let text = text.as_ref();
    let (scheme, rest) = text.split_at(text.find("://").map_or(0, |i| i + 3));
    let is_http = scheme.eq_ignore_ascii_case("http://") || scheme.eq_ignore_ascii_case("https://");
    let is_clean = |c: char| c.is_ascii_graphic() && !"\"<>\\^`{|}".contains(c);
    let is_whole = !rest.starts_with('/') && rest.chars().all(is_clean) && url::Url::parse(text).is_ok();
    check(text.len() <= 2_048 && is_http && is_whole, || {
        "must be an absolute http or https URL of at most 2,048 bytes, with non-ASCII characters percent-encoded"
            .to_owned()
    })
}

/// A well-formed e-mail address of at most 254 bytes.
pub(crate) fn email<T: AsRef<str>>(text: &T, (): &()) -> garde::Result {
    let text = text.as_ref();
    // The crate also accepts quoted local parts and comments of RFC 5322. No mail service assigns such addresses.
    let plain = !text.contains(['"', '(', ')', '<', '>', '[', ']', ' ']);
    let dotted = text.rsplit_once('@').is_some_and(|(_, domain)| domain.contains('.'));
    check(text.len() <= 254 && plain && dotted && email_address::EmailAddress::is_valid(text), || {
        "must be an e-mail address".to_owned()
    })
}

/// A user's name of 1 to 150 characters without control characters.
pub(crate) fn username<T: AsRef<str>>(text: &T, (): &()) -> garde::Result {
    characters(1, 150)(text, &())?;
    check(!text.as_ref().contains(char::is_control), || "must not contain control characters".to_owned())
}

/// A password that is not a common one.
pub(crate) fn uncommon<T: AsRef<str>>(text: &T, (): &()) -> garde::Result {
    check(!password::is_common(text.as_ref()), || "must not be a common password".to_owned())
}

/// A positive id.
pub(crate) fn id(value: &i64, (): &()) -> garde::Result {
    check(*value > 0, || "must be a positive integer".to_owned())
}

fn check(holds: bool, message: impl FnOnce() -> String) -> garde::Result {
    if holds { Ok(()) } else { Err(garde::Error::new(message())) }
}

/// Reads an integer of JSON. Numbers such as 7.0 are integers too.
pub(crate) fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Integer(i64),
        Float(f64),
    }
    /// 2^53. Floats represent every integer up to here.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match Number::deserialize(from) {
        Ok(Number::Integer(integer)) => Ok(integer),
        #[expect(clippy::cast_possible_truncation, reason = "a whole number that a float represents exactly")]
        Ok(Number::Float(float)) if float.fract() == 0.0 && float.abs() <= EXACT => Ok(float as i64),
        _ => Err(serde::de::Error::custom("must be a 64-bit integer")),
    }
}

/// Reads a list of at most `MAX` entries. A longer list is refused before more of its entries are read.
///
/// So a request with thousands of bad entries gets one error instead of thousands.
pub(crate) fn list<'de, const MIN: usize, const MAX: usize, T, D>(from: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    from.deserialize_seq(List::<MIN, MAX, T>(PhantomData))
}

/// Like [`list`], for a field that may be missing.
pub(crate) fn given_list<'de, const MIN: usize, const MAX: usize, T, D>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    list::<MIN, MAX, T, D>(from).map(Some)
}

struct List<const MIN: usize, const MAX: usize, T>(PhantomData<T>);

impl<'de, const MIN: usize, const MAX: usize, T: Deserialize<'de>> Visitor<'de> for List<MIN, MAX, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let too_many = || serde::de::Error::custom(entries_message(MIN, MAX));
        if entries.size_hint().is_some_and(|count| count > MAX) {
            return Err(too_many());
        }
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == MAX {
                return Err(too_many());
            }
            list.push(entry);
        }
        Ok(list)
    }
}

/// Reads a field that may be missing, but must not be null.
pub(crate) fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Like [`utc`], for a field that may be missing.
pub(crate) fn given_utc<'de, D: Deserializer<'de>>(from: D) -> Result<Option<NaiveDateTime>, D::Error> {
    utc(from).map(Some)
}

/// Reads an RFC 3339 time, and converts it to UTC in whole microseconds.
///
/// Years are limited to those that both engines store alike.
pub(crate) fn utc<'de, D: Deserializer<'de>>(from: D) -> Result<NaiveDateTime, D::Error> {
    let text = String::deserialize(from)?;
    let time = chrono::DateTime::parse_from_rfc3339(&text).map_err(|_| {
        serde::de::Error::custom("must be an RFC 3339 time with a zone, such as 2026-06-01T18:00:00Z")
    })?;
    let time = time.with_timezone(&Utc).naive_utc().trunc_subsecs(6);
    // The engines store a leap second differently, and most clients cannot read it.
    if time.nanosecond() >= 1_000_000_000 {
        Err(serde::de::Error::custom("must not be a leap second"))
    } else if (1..=9999).contains(&time.year()) {
        Ok(time)
    } else {
        Err(serde::de::Error::custom("must lie within the years 1 to 9999"))
    }
}

#[cfg(test)]
mod tests {
    use super::{email, http_url};

    #[test]
    fn emails() {
        for good in ["a@b.ch", "first.last+tag@sub.example.org", "müller@example.org"] {
            assert!(email(&good, &()).is_ok(), "{good}");
        }
        for bad in
            ["", "a", "a@", "@b.ch", "a@b", "a b@c.ch", "a@b..ch", "\"a b\"@c.ch", "a@b.ch ", "a@@b.ch"]
        {
            assert!(email(&bad, &()).is_err(), "{bad}");
        }
        assert!(email(&format!("{}@example.org", "a".repeat(250)), &()).is_err());
    }

    #[test]
    fn urls() {
        for good in ["http://a/b.jpg", "https://cdn.example.org/x?y=z", "HTTPS://example.org"] {
            assert!(http_url(&good, &()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http:foo",
            "http:/foo",
            "http:///foo",
            "https:\\\\evil\\x",
            "http://exa\nmple.com/x",
            "ht\ttp://a/b",
            "http://a/\u{1}",
            "http://a/b c",
            "http://a/ä.jpg",
            "http://ä.ch/",
            "http://a/\"<>",
            "/a.jpg",
            "a.jpg",
            "ftp://a/b",
            "javascript:alert(1)",
            "data:image/png;base64,AA",
            "http://",
        ] {
            assert!(http_url(&bad, &()).is_err(), "{bad}");
        }
        assert!(http_url(&format!("http://a/{}", "b".repeat(2_048)), &()).is_err());
    }
}
