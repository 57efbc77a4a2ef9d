//! Keyset pagination: pages of a totally ordered list, and the cursors that link them.
//!
//! A cursor points at a gap between two rows. It holds the sort keys of the row before or after the gap, and the
//! direction of travel. It holds no row number. So rows that are added or deleted do not move it, and it stays valid
//! when its own row is deleted.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, NaiveDateTime};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::signing;

/// The page size that applies if the request names none.
pub const DEFAULT_PAGE_SIZE: u32 = 20;
/// The largest page size.
pub const MAX_PAGE_SIZE: u32 = 50;
/// How many rows can be reached by page number (`page=N`). Cursors have no limit.
pub const MAX_PAGE_ROWS: u32 = 10_000;
/// Counts are exact up to this number.
pub const COUNT_LIMIT: u32 = 1_000;

/// The direction in which a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// In the list's order, as by a `next` link.
    Forward,
    /// Against the list's order, as by a `previous` link.
    Backward,
}

impl Direction {
    /// The opposite direction.
    #[must_use]
    pub fn reversed(self) -> Self {
        match self {
            Self::Forward => Self::Backward,
            Self::Backward => Self::Forward,
        }
    }
}

/// The sort keys of a row: newest `at` first, then the smaller `distance`, then the larger `id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The time that the list is sorted by.
    pub at: NaiveDateTime,
    /// The distance in whole millimetres; 0 if the list is not sorted by distance.
    pub distance: i64,
    /// The id, which breaks ties.
    pub id: i64,
}

impl Position {
    /// The position before all rows. The year 9999 is the last that both engines and RFC 3339 can represent.
    pub const START: Self = Self { at: micros(253_402_300_799_000_000), distance: -1, id: i64::MAX };
    /// The position after all rows, in the year 1.
    pub const END: Self = Self { at: micros(-62_135_596_800_000_000), distance: i64::MAX, id: 0 };
}

const fn micros(micros: i64) -> NaiveDateTime {
    match DateTime::from_timestamp_micros(micros) {
        Some(time) => time.naive_utc(),
        None => panic!("chrono cannot represent the time"),
    }
}

/// The number of rows in the whole list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The count, at most [`COUNT_LIMIT`].
    pub value: u32,
    /// False if the list has more rows.
    pub exact: bool,
}

impl Count {
    /// The count of a list of `rows` rows.
    #[must_use]
    pub fn of(rows: u32) -> Self {
        Self { value: rows.min(COUNT_LIMIT), exact: rows <= COUNT_LIMIT }
    }
}

/// The count for a number of rows that the database counted.
impl From<i64> for Count {
    fn from(rows: i64) -> Self {
        Self::of(u32::try_from(rows).unwrap_or(u32::MAX))
    }
}

/// A position in a list and a direction to read from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The direction to read in.
    pub direction: Direction,
    /// The page begins with the first row after this position, in the direction. The position itself is excluded.
    pub position: Position,
    /// The count of the first page that was read. The cursors carry it, so that it is counted once.
    pub count: Count,
}

impl Cursor {
    /// The cursor at the same gap in the opposite direction.
    ///
    /// The row of the position was excluded and must now be included. Moving the id by one does that, because the ids of
    /// equal times descend in every list.
    fn reversed(self) -> Self {
        let id = match self.direction {
            Direction::Forward => self.position.id.saturating_sub(1),
            Direction::Backward => self.position.id.saturating_add(1),
        };
        Self { direction: self.direction.reversed(), position: Position { id, ..self.position }, ..self }
    }

    /// Encodes the cursor as opaque text, signed for lists with this `scope` only.
    #[must_use]
    pub fn encode(&self, key: &CursorKey, scope: &str) -> String {
        let mut bytes = [0; Self::LENGTH];
        bytes[0] = Self::VERSION;
        bytes[1] = u8::from(self.direction == Direction::Backward) | u8::from(self.count.exact) << 1;
        bytes[2..10].copy_from_slice(&self.position.at.and_utc().timestamp_micros().to_be_bytes());
        bytes[10..18].copy_from_slice(&self.position.distance.to_be_bytes());
        bytes[18..26].copy_from_slice(&self.position.id.to_be_bytes());
        bytes[26..30].copy_from_slice(&self.count.value.to_be_bytes());
        let signature = key.sign(scope, &bytes[..Self::SIGNED]).finalize().into_bytes();
        bytes[Self::SIGNED..].copy_from_slice(&signature[..Self::LENGTH - Self::SIGNED]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Decodes a text that [`Cursor::encode`] returned for the same `key` and `scope`.
    ///
    /// # Errors
    /// [`BadCursor`] when the text is damaged, forged, or has another scope.
    pub fn decode(text: &str, key: &CursorKey, scope: &str) -> Result<Self, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let bytes: [u8; Self::LENGTH] = bytes.try_into().map_err(|_| BadCursor)?;
        let (signed, signature) = bytes.split_at(Self::SIGNED);
        key.verify(scope, signed, signature)?;
        if bytes[0] != Self::VERSION {
            return Err(BadCursor);
        }
        let long = |from: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[from..from + 8]);
            i64::from_be_bytes(word)
        };
        let at = DateTime::from_timestamp_micros(long(2)).ok_or(BadCursor)?.naive_utc();
        let value = u32::from_be_bytes([bytes[26], bytes[27], bytes[28], bytes[29]]);
        Ok(Self {
            direction: if bytes[1] & 1 == 0 { Direction::Forward } else { Direction::Backward },
            position: Position { at, distance: long(10), id: long(18) },
            count: Count { value, exact: bytes[1] & 2 != 0 },
        })
    }

    const VERSION: u8 = 1;
    const SIGNED: usize = 30;
    const LENGTH: usize = Self::SIGNED + 16;
}

/// The cursor was not made by this service, or was made for another list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not belong to this list: take it from a `next` or `previous` link of the same list")]
pub struct BadCursor;

/// The key that signs cursors. It is derived from the service's secret.
#[derive(Clone)]
pub struct CursorKey {
    signing: Hmac<Sha256>,
    /// The key of an earlier secret. Cursors that it signed stay valid.
    previous: Option<Hmac<Sha256>>,
}

impl std::fmt::Debug for CursorKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorKey { … }")
    }
}

impl CursorKey {
    /// Derives the key from the service's secret.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self { signing: signing::derive(secret, LABEL), previous: None }
    }

    /// The same key, which also accepts cursors that were signed with an earlier secret, if there is one.
    #[must_use]
    pub fn with_previous(self, secret: Option<&[u8]>) -> Self {
        Self { previous: secret.map(|secret| signing::derive(secret, LABEL)), ..self }
    }

    fn sign(&self, scope: &str, signed: &[u8]) -> Hmac<Sha256> {
        mac(&self.signing, scope, signed)
    }

    fn verify(&self, scope: &str, signed: &[u8], signature: &[u8]) -> Result<(), BadCursor> {
        let is_of = |key| mac(key, scope, signed).verify_truncated_left(signature).is_ok();
        let is_ours = is_of(&self.signing) || self.previous.as_ref().is_some_and(is_of);
        if is_ours { Ok(()) } else { Err(BadCursor) }
    }
}

const LABEL: &str = "pockitflyer cursor v1";

fn mac(key: &Hmac<Sha256>, scope: &str, signed: &[u8]) -> Hmac<Sha256> {
    // The signed part has a fixed length. So no bytes can move between it and the scope without changing the MAC.
    key.clone().chain_update(signed).chain_update(scope)
}

/// Where a page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The page with this number, from 1.
    Page(u32),
    /// A cursor.
    Cursor(Cursor),
}

/// A request for a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Where the page starts.
    pub start: Start,
    /// The number of rows, 1 to [`MAX_PAGE_SIZE`].
    pub size: u32,
}

impl PageRequest {
    /// The direction to read in.
    #[must_use]
    pub fn direction(&self) -> Direction {
        match self.start {
            Start::Page(_) => Direction::Forward,
            Start::Cursor(cursor) => cursor.direction,
        }
    }

    /// The position to read from, which is excluded.
    #[must_use]
    pub fn position(&self) -> Position {
        match self.start {
            Start::Page(_) => Position::START,
            Start::Cursor(cursor) => cursor.position,
        }
    }

    /// The number of rows to skip: 0 with a cursor.
    #[must_use]
    pub fn offset(&self) -> u32 {
        match self.start {
            Start::Page(page) => (page - 1).saturating_mul(self.size),
            Start::Cursor(_) => 0,
        }
    }

    /// The number of rows to fetch: one more than the page size, to find out whether more rows follow.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.size + 1
    }
}

/// A page of a list, with cursors to the pages around it.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The rows in the list's order.
    pub items: Vec<T>,
    /// The count of the whole list.
    pub count: Count,
    /// The cursor to the next page. If the page was read forward, it is none exactly when no row follows.
    pub next: Option<Cursor>,
    /// The cursor to the previous page. It is none on page number 1. If the page was read backward, it is none exactly
    /// when no row precedes.
    pub previous: Option<Cursor>,
}

impl<T> Page<T> {
    /// Builds a page from the rows after [`PageRequest::position`], at most [`PageRequest::limit`] of them.
    ///
    /// `count` is called only if no cursor carries the count and the rows do not show it.
    ///
    /// # Errors
    /// What `count` returns.
    pub fn assemble<E>(
        request: &PageRequest,
        mut rows: Vec<(Position, T)>,
        count: impl FnOnce() -> Result<Count, E>,
    ) -> Result<Self, E> {
        let size = request.size as usize;
        let has_more = rows.len() > size;
        rows.truncate(size);
        let count = match request.start {
            Start::Cursor(cursor) => cursor.count,
            Start::Page(page) if !has_more && (page == 1 || !rows.is_empty()) => {
                #[expect(clippy::cast_possible_truncation, reason = "at most a page of rows")]
                let rows = rows.len() as u32;
                Count::of(request.offset() + rows)
            }
            Start::Page(_) => count()?,
        };
        let direction = request.direction();
        let onward =
            rows.last().filter(|_| has_more).map(|(last, _)| Cursor { direction, position: *last, count });
        let back = match (rows.first(), request.start) {
            (Some((first, _)), _) => Cursor { direction: direction.reversed(), position: *first, count },
            (None, Start::Cursor(cursor)) => cursor.reversed(),
            (None, Start::Page(_)) => {
                Cursor { direction: Direction::Backward, position: Position::END, count }
            }
        };
        let (next, previous) = match direction {
            Direction::Forward => (onward, (request.start != Start::Page(1)).then_some(back)),
            Direction::Backward => {
                rows.reverse();
                (Some(back), onward)
            }
        };
        Ok(Self { items: rows.into_iter().map(|(_, item)| item).collect(), count, next, previous })
    }
}
