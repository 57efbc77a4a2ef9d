//! The flyers, as numbers: who published what when, and until when it is valid.
//!
//! A draft is a row of numbers in a temporary table, in SQL that both engines read alike: integers only.

use chrono::NaiveDateTime;

use super::crowd::{Crowd, scheduled, surely_published};
use super::{DAY, HOUR, NOW, time};

/// The time that flyers are spread over; the scheduled ones are later.
const START: i64 = NOW - 730 * DAY;
const END: i64 = NOW - 2 * DAY;

/// The mark of what has ended, as the sweeper left it. Nothing ends within an hour of now.
fn swept() -> String {
    format!("valid_until < {}", NOW - HOUR)
}

/// The second of [`Crowd::Second`].
const SECOND: i64 = NOW - 100 * DAY;

/// The second in which all flyers of the shapes named after it were published.
pub fn second() -> NaiveDateTime {
    time(SECOND)
}

/// The rows 0, 1, … of a table `numbers(n)`, as the start of a SELECT.
pub(super) fn numbers(count: u32) -> String {
    format!(
        "WITH RECURSIVE numbers(n) AS (SELECT CAST(0 AS BIGINT) UNION ALL \
         SELECT n + 1 FROM numbers WHERE n + 1 < {count})"
    )
}

/// A number below `modulus` that looks drawn by lot, from a column of numbers up to some millions.
///
/// A square, so that two salts give two draws and not one shifted; within 63 bits at every step.
pub(super) fn scatter(n: &str, salt: i64, modulus: i64) -> String {
    format!("(({n} + {salt}) * ({n} + {salt}) % 2147483647 * 48271 % 2147483629 % {modulus})")
}

/// Statements that make the table `drafts` with all flyers of a data set, one or two a crowd.
pub(super) fn drafts(size: u32) -> Vec<String> {
    let create = "CREATE TEMPORARY TABLE drafts (nth BIGINT, creator_id BIGINT, created BIGINT, valid_from BIGINT, \
                  valid_until BIGINT, expired BOOLEAN)";
    let crowds = Crowd::ALL.into_iter().filter(|crowd| crowd.flyers(size) > 0);
    std::iter::once(create.to_owned())
        .chain(crowds.map(|crowd| Draft::of(crowd, size).insert()))
        .chain([Draft::scheduled(size).insert()])
        .collect()
}

/// Flyers 0 ≤ n < `count` as expressions over `n`, and over `created` where the others have it.
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
            // The twins draw the same times.
            let salt = if crowd == Crowd::Valid { Crowd::Expired.first() } else { crowd.first() };
            // One in each of `each` equal parts of the time, so that a creator's flyers do not depend on how
            // many others there are.
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
                // Each fiftieth in the same second as the one before it.
                format!("{START} + {}", scatter("(n - n % 50 / 49)", 2, END - START)),
                // Those of the last two months cannot have ended long ago: 76 % of the others, 70 % of all.
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

    /// The newest flyers of all, evenly over the 22 hours until three hours ago.
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

/// The end of what is valid: months ahead.
fn valid() -> String {
    format!("{} + {}", NOW + 3 * DAY, scatter("n", 1, 360 * DAY))
}

/// A user of the background, drawn by lot with a square that favours the first: of 900,000 flyers the first has
/// some 7,000, the last 20.
fn anyone(size: u32) -> String {
    let crowd = Crowd::Background;
    let lot = scatter("n", 6, 65_536);
    format!("{} + {lot} * {lot} / 65536 * {} / 65536", crowd.first(), crowd.people(size))
}
