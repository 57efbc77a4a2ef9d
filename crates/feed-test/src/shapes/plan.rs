//! Drafts of the flyers: the creator of each, its publication time and its validity, as integers.
//!
//! The drafts are rows of a temporary table. Integers only: SQL about them means the same on both engines.

use chrono::NaiveDateTime;

use super::crowd::{Crowd, scheduled, surely_published};
use super::{DAY, HOUR, NOW, time};

/// Publication times are spread over `START` to `END`. The scheduled flyers are later.
const START: i64 = NOW - 730 * DAY;
const END: i64 = NOW - 2 * DAY;

/// The condition under which the sweeper has marked a flyer as expired. No flyer expires within the hour before now.
fn swept() -> String {
    format!("valid_until < {}", NOW - HOUR)
}

/// The publication time of all flyers of [`Crowd::Second`], in seconds since 1970.
const SECOND: i64 = NOW - 100 * DAY;

/// The second in which all flyers of [`Crowd::Second`] were published.
pub fn second() -> NaiveDateTime {
    time(SECOND)
}

/// A WITH clause of a table `numbers(n)` with the rows 0 to `count` - 1.
pub(super) fn numbers(count: u32) -> String {
    format!(
        "WITH RECURSIVE numbers(n) AS (SELECT CAST(0 AS BIGINT) UNION ALL \
         SELECT n + 1 FROM numbers WHERE n + 1 < {count})"
    )
}

/// An SQL expression for a pseudorandom number below `modulus`, from a column of numbers up to some millions.
///
/// It squares its input, so that two salts give independent numbers and not a shifted sequence. Every step stays within
/// 63 bits.
pub(super) fn scatter(n: &str, salt: i64, modulus: i64) -> String {
    format!("(({n} + {salt}) * ({n} + {salt}) % 2147483647 * 48271 % 2147483629 % {modulus})")
}

/// The statements that create the table `drafts` and fill it with all flyers of a data set: at most one for each crowd,
/// and one for the scheduled flyers.
pub(super) fn drafts(size: u32) -> Vec<String> {
    let create = "CREATE TEMPORARY TABLE drafts (nth BIGINT, creator_id BIGINT, created BIGINT, valid_from BIGINT, \
                  valid_until BIGINT, expired BOOLEAN)";
    let crowds = Crowd::ALL.into_iter().filter(|crowd| crowd.flyers(size) > 0);
    std::iter::once(create.to_owned())
        .chain(crowds.map(|crowd| Draft::of(crowd, size).insert()))
        .chain([Draft::scheduled(size).insert()])
        .collect()
}

/// `count` flyers, as SQL expressions over `n`, which runs from 0 to `count` - 1. `valid_from`, `valid_until` and
/// `expired` may also use `created`.
struct Draft {
    count: u32,
    creator: String,
    created: String,
    valid_from: String,
    valid_until: String,
    expired: String,
}

impl Draft {
    fn of(crowd: Crowd, size: u32) -> Self {
        let each = crowd.each(size);
        let spread = |to: i64| {
            // Both crowds get the same times.
            let salt = if crowd == Crowd::Valid { Crowd::Expired.first() } else { crowd.first() };
            // Divide the time into `each` equal parts, with one flyer in each. So a creator's times do not depend on
            // the number of other creators.
            let span = to - START;
            format!("{START} + (n % {each} * {span} + {}) / {each}", scatter("n", salt, span))
        };
        let valid = valid();
        let ended = "created + 14 * 86400";
        let (created, valid_until) = match crowd {
            Crowd::Active | Crowd::Recent | Crowd::Prolific | Crowd::Silent => (spread(END), valid),
            Crowd::Quiet => (spread(NOW - 366 * DAY), valid),
            Crowd::Expired => {
                (spread(NOW - 30 * DAY), format!("CASE WHEN n % 500 = 250 THEN {valid} ELSE {ended} END"))
            }
            Crowd::Valid => (spread(NOW - 30 * DAY), valid),
            Crowd::Unswept => {
                (spread(NOW - 30 * DAY), format!("CASE WHEN n % 2 = 0 THEN {valid} ELSE {ended} END"))
            }
            Crowd::Second => (SECOND.to_string(), valid),
            Crowd::Background => (
                // Every fiftieth is of the same second as the one before it.
                format!("{START} + {}", scatter("(n - n % 50 / 49)", 2, END - START)),
                // Flyers of the last two months stay valid. Of the older ones 76 % have expired, which is 70 % of all.
                format!(
                    "CASE WHEN created < {} AND {} < 76 THEN created + 3 * 86400 + {} ELSE {valid} END",
                    NOW - 60 * DAY,
                    scatter("n", 3, 100),
                    scatter("n", 4, 27 * DAY),
                ),
            ),
        };
        let creator = match crowd {
            Crowd::Background => {
                let sure = surely_published(size);
                format!("CASE WHEN n < {sure} THEN {} + n ELSE {} END", crowd.first(), anyone(size))
            }
            _ => format!("{} + n / {each}", crowd.first()),
        };
        Self {
            count: crowd.flyers(size),
            creator,
            created,
            valid_from: format!("created + {}", scatter("n", 5, HOUR)),
            valid_until,
            expired: if crowd == Crowd::Unswept { "FALSE".to_owned() } else { swept() },
        }
    }

    /// The newest flyers of all, spread evenly from 25 to 3 hours before now.
    fn scheduled(size: u32) -> Self {
        let count = scheduled(size);
        let recent = Crowd::Recent;
        Self {
            count,
            creator: format!(
                "CASE WHEN n % 2 = 0 THEN {} + n / 2 * 37 % {} ELSE {} END",
                recent.first(),
                recent.people(size),
                anyone(size),
            ),
            created: format!("{} + n * {} / {count}", NOW - 25 * HOUR, 22 * HOUR),
            valid_from: (NOW - HOUR).to_string(),
            valid_until: valid(),
            expired: swept(),
        }
    }

    fn insert(&self) -> String {
        let Self { count, creator, created, valid_from, valid_until, expired } = self;
        let numbers = numbers(*count);
        format!(
            "INSERT INTO drafts {numbers} \
             SELECT n, creator_id, created, valid_from, valid_until, {expired} FROM (\
             SELECT n, {creator} AS creator_id, created, {valid_from} AS valid_from, {valid_until} AS valid_until \
             FROM (SELECT n, {created} AS created FROM numbers) d) d"
        )
    }
}

/// An SQL expression for the `valid_until` of valid flyers: 3 to 363 days after now.
fn valid() -> String {
    format!("{} + {}", NOW + 3 * DAY, scatter("n", 1, 360 * DAY))
}

/// An SQL expression for a pseudorandom user of the background. The square favours the first users: of 900,000 flyers
/// the first user has about 7,000, the last one 20.
fn anyone(size: u32) -> String {
    let crowd = Crowd::Background;
    let lot = scatter("n", 6, 65_536);
    format!("{} + {lot} * {lot} / 65536 * {} / 65536", crowd.first(), crowd.people(size))
}
