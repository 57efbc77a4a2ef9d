//! The amounts of demo data.

use std::ops::RangeInclusive;

use crate::error::{Error, FieldError, Result};

/// The amounts of demo data that [`seed`](super::seed) adds, and the seed of the random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The number of users, including the personas: 10 to 1,000,000. Some 60 % publish, if there are enough flyers.
    pub users: u32,
    /// The number of flyers: 20 to 10,000,000.
    pub flyers: u32,
    /// The seed of the random numbers. Another seed gives other data of the same kind.
    pub seed: u64,
    /// The largest number of creators that a user follows: 1 to 100,000. It does not apply to the personas.
    pub follows_max: u32,
}

const USERS: RangeInclusive<u32> = 10..=1_000_000;
const FLYERS: RangeInclusive<u32> = 20..=10_000_000;
const FOLLOWS_MAX: RangeInclusive<u32> = 1..=100_000;

impl Plan {
    /// Checks that every number is within its bounds.
    ///
    /// # Errors
    /// [`Error::Invalid`] with every field that is out of its bounds.
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
