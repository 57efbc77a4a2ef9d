//! The feeds: all flyers, a user's favorites, those of followed creators, and one creator's.
//!
//! A page takes one statement. It costs the same at any depth: narrow indexes find its flyers, and only those are
//! fetched, with creator, flags and images. A list that is searched or asked near a place may take one statement more,
//! which chooses the index: see [`AccessPath`].
//!
//! `listing` says what is listed, `access_path` which index finds it, `sql` writes the statements, `card` is what comes
//! back, and `moved` loads the page of a viewer who has moved since the page before.

mod access_path;
mod card;
mod listing;
mod moved;
mod sql;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::db::{Db, Engine};
use crate::error::Result;
use crate::page::{Count, Page, PageEnd, Position, Start};
use crate::sql::Statement;

pub use access_path::{AccessPath, AccessPaths, Survey};
pub use card::{CardColumns, CardRow, Creator, FlyerCard, FlyerImage, Image};
pub use listing::{Feed, FeedRequest, Listing, Order};
pub use sql::survey::SurveyColumns;

/// Loads a page of a feed.
///
/// It takes one statement, a second for the count where the request does not carry it, and a survey where the list has
/// several access paths.
///
/// # Errors
/// [`crate::Error::NotFound`] for a creator who is not there;
/// [`crate::Error::Unavailable`] or [`crate::Error::Internal`] from the database.
pub fn load(connection: &mut Db, request: &FeedRequest) -> Result<Page<FlyerCard>> {
    let paths = access_paths(connection, &request.listing)?;
    load_by(connection, request, paths)
}

/// The access paths of a list: as the request tells them, or by a survey.
fn access_paths(connection: &mut Db, listing: &Listing) -> Result<AccessPaths> {
    let engine = connection.engine();
    if let Some(paths) = listing.access_paths() {
        return Ok(paths);
    }
    let survey: Survey = survey_query(engine, listing).get_result(connection)?;
    Ok(listing.access_paths_by(engine, survey))
}

/// Loads a page of a feed as [`load`] does, by given access paths. Every path gives the same page.
///
/// # Errors
/// As [`load`].
pub fn load_by(connection: &mut Db, request: &FeedRequest, paths: AccessPaths) -> Result<Page<FlyerCard>> {
    let page = match request.page.start {
        Start::After { end, skip: 0 } if request.listing.is_sorted_anew_after(&end) => {
            moved::page(connection, request, end, paths)?
        }
        _ => {
            let rows = load_rows(connection, request, paths)?;
            let page = Page::assemble(&request.page, positioned(rows), || {
                let rows: i64 = count_query(connection.engine(), &request.listing, request.now, paths.count)
                    .get_result(connection)?;
                Ok::<_, crate::Error>(Count::from(rows))
            })?;
            let location = request.listing.location;
            Page { end: page.end.map(|end| PageEnd { location, ..end }), ..page }
        }
    };
    if let (Feed::Creator { creator, .. }, []) = (request.listing.feed, &page.items[..]) {
        // Only an empty page can be that of a creator who does not exist.
        crate::users::exists(connection, creator)?;
    }
    let viewer = request.listing.feed.viewer();
    Ok(page.map(|row| row.into_card(viewer, request.now)))
}

/// The rows of a page and one more, in the direction of travel.
fn load_rows(connection: &mut Db, request: &FeedRequest, paths: AccessPaths) -> Result<Vec<CardRow>> {
    Ok(page_query(connection.engine(), request, paths.page).load(connection)?)
}

fn positioned(rows: Vec<CardRow>) -> Vec<(Position, CardRow)> {
    rows.into_iter().map(|row| (row.position(), row)).collect()
}

/// Loads one flyer as a card, whatever its validity: one statement.
///
/// # Errors
/// [`crate::Error::NotFound`] when there is none.
pub fn load_one(
    connection: &mut Db,
    flyer_id: i64,
    viewer: Option<i64>,
    now: NaiveDateTime,
) -> Result<FlyerCard> {
    let row: Option<CardRow> =
        flyer_query(connection.engine(), flyer_id, viewer).get_result(connection).optional()?;
    row.map(|row| row.into_card(viewer, now)).ok_or(crate::Error::NotFound("flyer"))
}

/// The card of one flyer, whatever its validity: two probes of primary keys, one for each flag, and its images.
#[must_use]
pub fn flyer_query(engine: Engine, flyer_id: i64, viewer: Option<i64>) -> Statement<CardColumns> {
    sql::cards::flyer(engine, flyer_id, viewer)
}

/// The cards of a page and one more, in the direction of travel.
///
/// An access path that the list does not have is taken for [`AccessPath::Feed`].
#[must_use]
pub fn page_query(engine: Engine, request: &FeedRequest, path: AccessPath) -> Statement<CardColumns> {
    sql::page::page(engine, request, path)
}

/// The number of flyers in a list, up to [`COUNT_LIMIT`](crate::page::COUNT_LIMIT) and one more.
#[must_use]
pub fn count_query(
    engine: Engine,
    listing: &Listing,
    now: NaiveDateTime,
    path: AccessPath,
) -> Statement<BigInt> {
    sql::page::count(engine, listing, now, path)
}

/// The survey of a list: one row that tells which access path is the cheapest.
///
/// It costs some thousand index rows, and ten thousand for a circle of hundreds of kilometres at a pole.
#[must_use]
pub fn survey_query(engine: Engine, listing: &Listing) -> Statement<SurveyColumns> {
    sql::survey::survey(engine, listing)
}
