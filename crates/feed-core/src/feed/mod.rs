//! The feeds: all flyers, a user's favorites, those of followed creators, and one creator's.
//!
//! A page takes two statements: one for the cards with creator and flags, one for their images. A page costs the same
//! at any depth: narrow indexes find its flyers, and only those are fetched. A list that is searched or asked near a
//! place may take one statement more, which chooses the index: see [`AccessPath`].
//!
//! `listing` says what is listed, `access_path` which index finds it, `sql` writes the statements, and `card` is what
//! comes back.

mod access_path;
mod card;
mod listing;
mod sql;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::db::{Db, Engine};
use crate::error::Result;
use crate::page::{Count, Page};
use crate::sql::Statement;

pub use access_path::{AccessPath, AccessPaths, Survey};
pub use card::{CardColumns, CardRow, Creator, FlyerCard, FlyerImage, Image, ImageColumns};
pub use listing::{Feed, FeedRequest, Listing, Order};
pub use sql::survey::SurveyColumns;

/// Loads a page of a feed.
///
/// It takes two statements, a third for the count where no cursor carries it, and a survey where the list has several
/// access paths.
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
    let rows: Vec<CardRow> = page_query(connection.engine(), request, paths.page).load(connection)?;
    if let (Feed::Creator { creator, .. }, []) = (request.listing.feed, &rows[..]) {
        // Only an empty page can be that of a creator who does not exist.
        crate::users::exists(connection, creator)?;
    }
    let rows = rows.into_iter().map(|row| (row.position(), row)).collect();
    let page = Page::assemble(&request.page, rows, || {
        let rows: i64 = count_query(connection.engine(), &request.listing, request.now, paths.count)
            .get_result(connection)?;
        Ok::<_, crate::Error>(Count::from(rows))
    })?;
    let items = into_cards(connection, page.items, request.listing.feed.viewer(), request.now)?;
    Ok(Page { items, count: page.count, next: page.next, previous: page.previous })
}

/// Loads one flyer as a card, whatever its validity: two statements.
///
/// # Errors
/// [`crate::Error::NotFound`] when there is none.
pub fn load_one(
    connection: &mut Db,
    flyer_id: i64,
    viewer: Option<i64>,
    now: NaiveDateTime,
) -> Result<FlyerCard> {
    let rows: Vec<CardRow> = flyer_query(connection.engine(), flyer_id, viewer).load(connection)?;
    into_cards(connection, rows, viewer, now)?.pop().ok_or(crate::Error::NotFound("flyer"))
}

/// The card of one flyer, whatever its validity, without its images: two probes of primary keys, and one for each flag.
#[must_use]
pub fn flyer_query(engine: Engine, flyer_id: i64, viewer: Option<i64>) -> Statement<CardColumns> {
    sql::cards::flyer(engine, flyer_id, viewer)
}

/// Joins the cards with their images: one SELECT over the images' primary key.
///
/// A flyer that was deleted since its row was read has no images any more, and is left out.
fn into_cards(
    connection: &mut Db,
    rows: Vec<CardRow>,
    viewer: Option<i64>,
    now: NaiveDateTime,
) -> Result<Vec<FlyerCard>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let images: Vec<FlyerImage> = images_query(connection.engine(), &ids).load(connection)?;
    let images = images.grouped_by(&rows);
    Ok(rows
        .into_iter()
        .zip(images)
        .filter(|(_, images)| !images.is_empty())
        .map(|(row, images)| row.into_card(images, viewer, now))
        .collect())
}

/// The images of a page's flyers, each flyer's in order: one range of the primary key a flyer.
#[must_use]
pub fn images_query(engine: Engine, flyer_ids: &[i64]) -> Statement<ImageColumns> {
    sql::cards::images(engine, flyer_ids)
}

/// The cards of a page and one more, in the direction of travel, without their images.
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
