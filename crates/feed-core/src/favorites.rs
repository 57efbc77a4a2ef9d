//! Who favorited what.

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

/// What to favorite.
#[derive(Debug, Clone, Copy, Deserialize, Validate, ToSchema)]
pub struct NewFavorite {
    /// The flyer's id.
    #[serde(deserialize_with = "rules::integer")]
    #[garde(custom(rules::id))]
    #[schema(minimum = 1, example = 2000)]
    pub flyer_id: i64,
}

/// Makes a flyer a favorite of `caller`, in a transaction of the caller's; true where that is new.
///
/// Any number of concurrent calls leave one row, and all answer with it.
///
/// # Errors
/// [`Error::NotFound`] when there is no such flyer, [`Error::UnknownCaller`].
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
        // Deleted since it was looked at.
        Err(error) if Error::is_missing_reference(&error) => return Err(Error::NotFound("flyer")),
        other => other?,
    };
    if inserted == 1 {
        crate::users::move_relations_version(connection, user)?;
        return Ok((favorite, true));
    }
    // The row was there, and goes only with its flyer: the user's own calls wait for this one.
    let existing =
        favorites::table.find((user, flyer)).named("favorite_that_was").get_result(connection).optional()?;
    Ok((existing.ok_or(Error::NotFound("flyer"))?, false))
}

/// What a favorite copies of the flyer, which stays as it is until the transaction ends.
fn copy(connection: &mut Db, flyer: i64) -> Result<FlyerCopy> {
    let row = flyers::table.find(flyer);
    let found: Option<FlyerCopy> = match connection {
        // The transaction holds the only write lock already.
        Db::Sqlite(c) => {
            row.select(FlyerCopy::as_select()).named("favorited_flyer").get_result(c).optional()?
        }
        // A change of the flyer that commits before this favorite would find no copy to bring up to date.
        Db::Postgres(c) => row
            .for_share()
            .select(FlyerCopy::as_select())
            .named("favorited_flyer")
            .get_result(c)
            .optional()?,
    };
    found.ok_or(Error::NotFound("flyer"))
}

/// Takes a flyer off the favorites of `caller`, where it is one: one DELETE.
///
/// # Errors
/// [`Error::UnknownCaller`].
pub fn unfavorite(connection: &mut Db, caller: Identity, flyer: i64) -> Result<()> {
    let user = crate::users::lock(connection, caller)?;
    match diesel::delete(favorites::table.find((user, flyer))).named("unfavorite").execute(connection)? {
        0 => Ok(()),
        _ => crate::users::move_relations_version(connection, user),
    }
}

/// A favorite in the list of all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedFavorite {
    /// The flyer, valid or not.
    #[schema(minimum = 1)]
    pub flyer_id: i64,
    /// When it was favorited: UTC, with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
}

/// The rows of a page of [`list`].
#[must_use]
pub fn list_query(engine: Engine, user: i64, request: &PageRequest) -> Statement<RelationColumns> {
    relations::FAVORITES.page_query(engine, user, request)
}

/// How many favorites `user` has, looking at [`crate::page::COUNT_LIMIT`] and one at most.
#[must_use]
pub fn count_query(engine: Engine, user: i64) -> Statement<BigInt> {
    relations::FAVORITES.count_query(engine, user)
}

/// What cursors of [`list`] are bound to.
#[must_use]
pub fn cursor_scope(user: i64) -> String {
    format!("favorites of {user}")
}

/// A page of all favorites of `user`, most recent first: one range of the index `favorites_user_recent`, and its
/// count where no cursor carries it.
///
/// # Errors
/// From the database.
pub fn list(connection: &mut Db, user: i64, request: &PageRequest) -> Result<Page<ListedFavorite>> {
    relations::FAVORITES
        .page(connection, user, request, |flyer_id, created_at| ListedFavorite { flyer_id, created_at })
}
