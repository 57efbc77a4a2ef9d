//! Favorites: creating, deleting and listing them.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::{Db, Engine};
use crate::error::{Error, Result};
use crate::models::{Favorite, FlyerCopy};
use crate::page::{Page, PageRequest};
use crate::relations::{self, RelationColumns};
use crate::rules;
use crate::schema::{favorites, flyers};
use crate::sql::{Name as _, OnConflictDoNothing, Statement};
use crate::users::Identity;

/// A request to favorite a flyer.
#[derive(Debug, Clone, Copy, Deserialize, Validate, ToSchema)]
pub struct NewFavorite {
    /// The flyer's id.
    #[serde(deserialize_with = "rules::integer")]
    #[garde(custom(rules::id))]
    #[schema(minimum = 1, example = 2000)]
    pub flyer_id: i64,
}

/// Makes a flyer a favorite of `caller`. Returns the favorite, and whether it is new. It must run in a transaction.
///
/// Any number of concurrent calls create one row, and all return it.
///
/// # Errors
/// [`Error::NotFound`] when there is no such flyer; [`Error::UnknownCaller`].
pub fn favorite(
    connection: &mut Db,
    caller: Identity,
    flyer: i64,
    now: NaiveDateTime,
) -> Result<(Favorite, bool)> {
    let user = crate::users::lock(connection, caller)?;
    let favorite = copy(connection, flyer)?.favorite_of(user, now);
    let insert = diesel::insert_into(favorites::table).values(favorite.clone());
    let inserted = match OnConflictDoNothing(insert).named("favorite").execute(connection) {
        // The flyer was deleted since it was read.
        Err(error) if Error::is_missing_reference(&error) => return Err(Error::NotFound("flyer")),
        other => other?,
    };
    if inserted == 1 {
        relations::move_relations_version(connection, user)?;
        return Ok((favorite, true));
    }
    // The row existed already. Only a deletion of its flyer can remove it now: the user's own calls wait for the lock.
    let existing =
        favorites::table.find((user, flyer)).named("favorite_that_was").get_result(connection).optional()?;
    Ok((existing.ok_or(Error::NotFound("flyer"))?, false))
}

/// The fields of the flyer that a favorite copies. The flyer cannot change until the transaction ends.
fn copy(connection: &mut Db, flyer: i64) -> Result<FlyerCopy> {
    let row = flyers::table.find(flyer);
    let found: Option<FlyerCopy> = match connection {
        // The transaction already holds the only write lock.
        Db::Sqlite(c) => {
            row.select(FlyerCopy::as_select()).named("favorited_flyer").get_result(c).optional()?
        }
        // Lock the row: a change of the flyer that commits before this favorite would find no copy to update.
        Db::Postgres(c) => row
            .for_share()
            .select(FlyerCopy::as_select())
            .named("favorited_flyer")
            .get_result(c)
            .optional()?,
    };
    found.ok_or(Error::NotFound("flyer"))
}

/// Removes a flyer from the favorites of `caller`, if it is one: one DELETE.
///
/// # Errors
/// [`Error::UnknownCaller`].
pub fn unfavorite(connection: &mut Db, caller: Identity, flyer: i64) -> Result<()> {
    let user = crate::users::lock(connection, caller)?;
    match diesel::delete(favorites::table.find((user, flyer))).named("unfavorite").execute(connection)? {
        0 => Ok(()),
        _ => relations::move_relations_version(connection, user),
    }
}

/// A favorite in the list of all favorites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedFavorite {
    /// The flyer's id. The flyer may have expired.
    #[schema(minimum = 1)]
    pub flyer_id: i64,
    /// When the flyer was favorited, in UTC with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
}

/// The query for a page of [`list`].
#[must_use]
pub fn list_query(engine: Engine, user: i64, request: &PageRequest) -> Statement<RelationColumns> {
    relations::FAVORITES.page_query(engine, user, request)
}

/// The number of favorites of `user`. It counts at most one more than [`crate::page::COUNT_LIMIT`].
#[must_use]
pub fn count_query(engine: Engine, user: i64) -> Statement<BigInt> {
    relations::FAVORITES.count_query(engine, user)
}

/// The scope that cursors of [`list`] are signed for.
#[must_use]
pub fn cursor_scope(user: i64) -> String {
    format!("favorites of {user}")
}

/// Loads a page of all favorites of `user`, most recent first.
///
/// It takes one range of the index `favorites_user_recent`, and a count where no cursor carries it.
///
/// # Errors
/// From the database.
pub fn list(connection: &mut Db, user: i64, request: &PageRequest) -> Result<Page<ListedFavorite>> {
    relations::FAVORITES
        .page(connection, user, request, |flyer_id, created_at| ListedFavorite { flyer_id, created_at })
}
