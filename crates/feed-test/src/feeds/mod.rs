//! Test requests for the pages of a shape's feed, and the rows that they must return.
//!
//! The expected rows come from a plain join over the whole feed, sorted here. They do not depend on the product's
//! queries.

pub mod searches;

use std::cmp::Reverse;

use chrono::NaiveDateTime;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use feed_core::db::Db;
use feed_core::feed::{Feed, FeedRequest, Listing, Order};
use feed_core::models::{Categories, Category};
use feed_core::page::{Count, Cursor, Direction, PageRequest, Position, Start};
use feed_core::schema::{favorites, flyers, follows};

use crate::shapes::{PLACE, Shape};

/// The page size of tests that do not choose another.
pub const PAGE_SIZE: u32 = 20;

/// How many rows of the main feed are read from each end. Page 1,000 is among them.
const REACH: i64 = 30_000;

/// The parameters of a feed request, apart from the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Variant {
    /// With a location.
    pub near: bool,
    /// Only flyers of one category. About half of all flyers have it.
    pub of_category: bool,
    /// Most recently favorited first.
    pub favorited: bool,
}

impl Variant {
    /// Without location, category or order.
    pub const PLAIN: Self = Self { near: false, of_category: false, favorited: false };
    /// With a location.
    pub const NEAR: Self = Self { near: true, ..Self::PLAIN };

    /// All variants that a shape's feed supports.
    pub fn all(shape: Shape) -> Vec<Self> {
        let orders: &[bool] =
            if matches!(shape.feed(), Feed::Favorites(_)) { &[false, true] } else { &[false] };
        let mut all = Vec::new();
        for &favorited in orders {
            for near in [false, true] {
                for of_category in [false, true] {
                    all.push(Self { near, of_category, favorited });
                }
            }
        }
        all
    }

    /// The name in `budgets.toml`: empty for [`Self::PLAIN`].
    pub fn name(self) -> String {
        let words = [(self.favorited, "favorited"), (self.near, "near"), (self.of_category, "category")];
        let words: Vec<_> = words.into_iter().filter_map(|(is, word)| is.then_some(word)).collect();
        words.join(" ")
    }

    fn categories(self) -> Option<Categories> {
        self.of_category.then(|| Categories::from(vec![Category::Events]))
    }

    /// The list that is requested, for the feed of a shape.
    pub fn listing(self, shape: Shape) -> Listing {
        let order = if self.favorited { Order::Favorited } else { Order::Newest };
        let location = self.near.then_some(PLACE);
        Listing { order, location, categories: self.categories(), ..shape.feed().into() }
    }
}

/// The position of a page in its feed, and the direction in which it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PagePosition {
    /// Page 1, by its number. Its request counts the rows too, because no cursor carries the count.
    First,
    /// By cursor, the page after the first half of the rows.
    Middle,
    /// By cursor, the last full page.
    Last,
    /// By cursor and backward, the page before the second half of the rows.
    BackFromMiddle,
    /// By cursor and backward, from the end of the feed.
    BackFromEnd,
    /// By cursor, the page after so many rows.
    Behind(usize),
}

impl PagePosition {
    /// The positions that have a budget.
    pub const BUDGETED: [Self; 5] =
        [Self::First, Self::Middle, Self::Last, Self::BackFromMiddle, Self::BackFromEnd];

    /// The name in `budgets.toml`.
    pub fn name(self) -> String {
        match self {
            Self::First => "first".to_owned(),
            Self::Middle => "middle".to_owned(),
            Self::Last => "last".to_owned(),
            Self::BackFromMiddle => "back_from_middle".to_owned(),
            Self::BackFromEnd => "back_from_end".to_owned(),
            Self::Behind(rows) => format!("behind_{rows}"),
        }
    }
}

/// A request for a page, and the ids that the page must have.
#[derive(Debug, Clone)]
pub struct PageCase {
    /// The request.
    pub request: FeedRequest,
    /// The ids of the page's flyers, in its order.
    pub expected: Vec<i64>,
}

type Row = (i64, NaiveDateTime, f64, f64, i16, Option<NaiveDateTime>);

/// The rows of a shape's feed, not yet sorted or filtered by a variant.
#[derive(Debug)]
pub struct Rows {
    shape: Shape,
    /// All rows; of the main feed the newest [`REACH`].
    newest: Vec<Row>,
    /// The oldest [`REACH`] rows of the main feed. Empty for other feeds.
    oldest: Vec<Row>,
}

impl Rows {
    /// Reads the rows with simple queries, which may be slow.
    pub fn read(c: &mut Db, shape: Shape) -> Self {
        let now = shape.now();
        let is_valid = flyers::valid_from.le(now).and(flyers::valid_until.gt(now));
        let none = sql::<diesel::sql_types::Nullable<diesel::sql_types::Timestamp>>("NULL");
        let columns =
            (flyers::id, flyers::created_at, flyers::latitude, flyers::longitude, flyers::categories, none);
        let (newest, oldest) = match shape.feed() {
            Feed::Creator { .. } => unreachable!("no shape loads a creator's feed"),
            Feed::All(_) => {
                // This condition lets the database use a partial index; without it the read takes a minute. That the
                // mark agrees with the clock is checked at the smaller sizes.
                let all =
                    flyers::table.filter(sql::<Bool>("expired = FALSE")).filter(is_valid).select(columns);
                let newest = all.clone().order((flyers::created_at.desc(), flyers::id.desc())).limit(REACH);
                let oldest = all.order((flyers::created_at, flyers::id)).limit(REACH);
                (newest.load(c).unwrap(), oldest.load(c).unwrap())
            }
            Feed::Favorites(viewer) => {
                let columns = (
                    flyers::id,
                    flyers::created_at,
                    flyers::latitude,
                    flyers::longitude,
                    flyers::categories,
                    favorites::created_at.nullable(),
                );
                let all = favorites::table
                    .inner_join(flyers::table.on(flyers::id.eq(favorites::flyer_id)))
                    .filter(favorites::user_id.eq(viewer))
                    .filter(is_valid)
                    .select(columns);
                (all.load(c).unwrap(), Vec::new())
            }
            Feed::Following(viewer) => {
                let all = follows::table
                    .inner_join(flyers::table.on(flyers::creator_id.eq(follows::followed_id)))
                    .filter(follows::follower_id.eq(viewer))
                    .filter(is_valid)
                    .select(columns);
                (all.load(c).unwrap(), Vec::new())
            }
        };
        Self { shape, newest, oldest }
    }

    /// The rows of a variant, in its order.
    pub fn in_order(&self, variant: Variant) -> Ordered {
        let newest = positions(&self.newest, variant);
        let tail = (!self.oldest.is_empty()).then(|| positions(&self.oldest, variant));
        Ordered { listing: variant.listing(self.shape), now: self.shape.now(), newest, tail }
    }
}

/// The rows of a list, in its order.
#[derive(Debug)]
pub struct Ordered {
    listing: Listing,
    now: NaiveDateTime,
    newest: Vec<Position>,
    /// The last rows of the list, if `newest` does not have all rows.
    tail: Option<Vec<Position>>,
}

impl Ordered {
    /// The number of rows that were read from the start of the list.
    pub fn count(&self) -> usize {
        self.newest.len()
    }

    /// The largest row number up to `n` at which no page nearby lies within a single second.
    ///
    /// A page that is ordered by distance reads all rows of its second, so such a second costs more at any depth.
    pub fn clear_of_crowds(&self, n: usize) -> usize {
        let page = PAGE_SIZE as usize;
        let is_crowded = |from: usize| {
            let second = |n: usize| self.newest.get(n).map(|p| p.at);
            second(from).is_some() && second(from) == second(from + page)
        };
        let is_clear = |n: &usize| !(n.saturating_sub(page)..=n + page).any(is_crowded);
        (0..=n).rev().find(is_clear).unwrap_or_default()
    }

    /// The request for the page at a position, with the ids that it must return.
    pub fn page(&self, spot: PagePosition, size: u32) -> PageCase {
        let rows = &self.newest;
        let tail = self.tail.as_ref().unwrap_or(rows);
        let middle = rows.len() / 2;
        let last = tail.len().saturating_sub(size as usize);
        let (rows, start, first) = match spot {
            PagePosition::First => (rows, Start::Page(1), 0),
            PagePosition::Middle => (rows, behind(rows, middle), middle),
            PagePosition::Behind(n) => (rows, behind(rows, n), n),
            PagePosition::Last => (tail, behind(tail, last), last),
            PagePosition::BackFromEnd => (tail, cursor(Direction::Backward, Position::END), last),
            PagePosition::BackFromMiddle => {
                let from = rows.get(middle).copied().unwrap_or(Position::END);
                (rows, cursor(Direction::Backward, from), middle.saturating_sub(size as usize))
            }
        };
        let end = if spot == PagePosition::BackFromMiddle { middle } else { first + size as usize };
        let range = first.min(rows.len())..end.min(rows.len());
        PageCase {
            request: FeedRequest {
                listing: self.listing.clone(),
                page: PageRequest { start, size, count: None },
                now: self.now,
            },
            expected: rows[range].iter().map(|p| p.id).collect(),
        }
    }
}

/// The cursor after so many rows.
fn behind(rows: &[Position], count: usize) -> Start {
    let last = count.checked_sub(1).and_then(|last| rows.get(last)).copied();
    cursor(Direction::Forward, last.unwrap_or(Position::START))
}

fn cursor(direction: Direction, position: Position) -> Start {
    Start::Cursor(Cursor { direction, position, count: Count::of(1) })
}

/// The sort keys of a variant's rows, in its order.
fn positions(rows: &[Row], variant: Variant) -> Vec<Position> {
    let wanted = variant.categories().map(i16::from);
    let is_wanted = |categories: i16| wanted.is_none_or(|wanted| wanted & categories != 0);
    let mut positions: Vec<_> = rows
        .iter()
        .filter(|row| is_wanted(row.4))
        .map(|&(id, created_at, latitude, longitude, _, favorited)| {
            let place = feed_core::geo::Location { latitude, longitude };
            match favorited {
                Some(at) if variant.favorited => Position { at, distance: 0, id },
                _ if variant.near => Position { at: created_at, distance: PLACE.distance_mm(place), id },
                _ => Position { at: created_at, distance: 0, id },
            }
        })
        .collect();
    positions.sort_unstable_by_key(|p| (Reverse(p.at), p.distance, Reverse(p.id)));
    positions
}
