//! Ids as callers write them, in paths, query parameters and tokens.

/// What is wrong with a text that [`positive`] cannot parse.
pub(crate) const POSITIVE: &str = "must be a positive integer";

/// Parses a positive integer of ASCII digits only: no sign, no spaces, no digits of other scripts.
pub(crate) fn positive(text: &str) -> Option<i64> {
    let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| is_digits && *id > 0)
}

#[cfg(test)]
mod tests {
    use super::positive;

    #[test]
    fn only_ascii_digits_of_a_positive_number_are_an_id() {
        assert_eq!(positive("7"), Some(7));
        assert_eq!(positive("007"), Some(7));
        assert_eq!(positive("9223372036854775807"), Some(i64::MAX));
        for text in ["", "0", "-1", "+1", " 1", "1 ", "1.0", "1e3", "٣", "9223372036854775808"] {
            assert_eq!(positive(text), None, "{text}");
        }
    }
}
