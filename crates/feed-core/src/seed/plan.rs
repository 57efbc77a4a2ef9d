//! How much demo data there will be.

use std::ops::RangeInclusive;

use crate::error::{Error, FieldError, Result};

/// How much demo data [`seed`](super::seed) makes, and from which seed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// 10 to 1,000,000, the personas included; some 60 % of them publish, where there are flyers for it.
    pub users: u32,
    /// 20 to 10,000,000.
    pub flyers: u32,
    /// Another seed makes other data of the same shape.
    pub seed: u64,
    /// How many creators a user follows at most, but for the personas: 1 to 100,000.
    pub follows_max: u32,
}

const USERS: RangeInclusive<u32> = 10..=1_000_000;
const FLYERS: RangeInclusive<u32> = 20..=10_000_000;
const FOLLOWS_MAX: RangeInclusive<u32> = 1..=100_000;

impl Plan {
    /// Checks that every number lies within its bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] with each field that does not.
    pub fn check(&self) -> Result<()> {
        let fields = [
            ("users", self.users, USERS),
            ("flyers", self.flyers, FLYERS),
            ("follows_max", self.follows_max, FOLLOWS_MAX),
        ];
        let errors: Vec<_> = fields
            .into_iter()
            .filter(|(_, value, bounds)| !bounds.contains(value))
            .map(|(field, _, bounds)| FieldError {
                field: field.to_owned(),
                message: format!("must lie between {} and {}", bounds.start(), bounds.end()),
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(Error::Invalid(errors)) }
    }
}
