//! The page of a viewer who has moved since the page before.
//!
//! Distance breaks ties within a second. So in another place, the flyers of one second have another order. A position
//! within a second then no longer tells which of its flyers were on the pages before. Everything else keeps its order.

use std::cmp::Reverse;

use super::card::CardRow;
use super::{AccessPaths, FeedRequest, Listing, load_rows, positioned};
use crate::db::Db;
use crate::error::Result;
use crate::page::{Cursor, Direction, Page, PageEnd, PageRequest, Position, Start};

/// Loads the page after `end`, which was sorted by another location, without loss and repetition: one or two SELECTs.
///
/// The old order tells what is left of the second in which the page before ended. That comes first, sorted by distance
/// from the new location. Then come the flyers of later seconds. Where more than a page is left of that second, the page
/// has the first ones by the old order, and so do the pages that follow, until none is left.
pub(super) fn page(
    connection: &mut Db,
    request: &FeedRequest,
    end: PageEnd,
    paths: AccessPaths,
) -> Result<Page<CardRow>> {
    let FeedRequest { listing, page: PageRequest { size, .. }, now } = request;
    let size_of_page = *size as usize;
    let rows = if end.is_tied { left_of_second(connection, request, end, paths)? } else { Vec::new() };
    let last_of_page = rows.get(size_of_page - 1).map(CardRow::position);
    let mut rows: Vec<_> = rows.into_iter().map(|row| row.seen_from(listing.location)).collect();
    let no_count = || Ok::<_, crate::Error>(end.count);

    if let Some(last) = last_of_page.filter(|_| rows.len() > size_of_page) {
        sort_by_distance(&mut rows[..size_of_page]);
        let page = Page::assemble(&request.page, positioned(rows), no_count)?;
        // A cursor knows only the new order. The one that repeats flyers rather than losing some begins the second anew.
        let second = Position { distance: -1, id: i64::MAX, ..end.position };
        let next = Cursor { direction: Direction::Forward, position: second, count: end.count };
        return Ok(Page { next: Some(next), end: Some(PageEnd { position: last, ..end }), ..page });
    }

    sort_by_distance(&mut rows);
    let tied = rows.len();
    let after_second = Position { distance: i64::MAX, id: 0, ..end.position };
    let next_second = PageEnd { position: after_second, is_tied: false, location: listing.location, ..end };
    let start = Start::After { end: next_second, skip: 0 };
    #[expect(clippy::cast_possible_truncation, reason = "at most a page of rows")]
    let rest = PageRequest { start, size: size - tied as u32, ..request.page };
    rows.extend(load_rows(
        connection,
        &FeedRequest { listing: listing.clone(), page: rest, now: *now },
        paths,
    )?);
    let page = Page::assemble(&PageRequest { start, ..request.page }, positioned(rows), no_count)?;
    let ends_with_second = tied > 0 && page.items.len() == tied;
    let page_end = if ends_with_second { Some(next_second) } else { page.end };
    let page_end = page_end.map(|end| PageEnd { location: listing.location, ..end });
    let next = page.next.map(|next| match page_end {
        Some(end) if ends_with_second => Cursor { position: end.position, ..next },
        _ => next,
    });
    Ok(Page { next, end: page_end, ..page })
}

/// What is left of the second of `end`, in the order of `end`: a page and one more at most.
fn left_of_second(
    connection: &mut Db,
    request: &FeedRequest,
    end: PageEnd,
    paths: AccessPaths,
) -> Result<Vec<CardRow>> {
    let listing = Listing { location: end.location, ..request.listing.clone() };
    let mut rows = load_rows(connection, &FeedRequest { listing, ..*request }, paths)?;
    rows.retain(|row| row.position().at == end.position.at);
    Ok(rows)
}

/// Sorts flyers of one second.
fn sort_by_distance(rows: &mut [CardRow]) {
    rows.sort_by_key(|row| (row.position().distance, Reverse(row.position().id)));
}
