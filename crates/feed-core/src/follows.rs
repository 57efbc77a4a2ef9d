//! Follows: creating, deleting and listing them.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::{Db, Engine};
use crate::error::{Error, Result};
use crate::models::Follow;
use crate::page::{Page, PageRequest};
use crate::relations::{self, RelationColumns};
use crate::rules;
use crate::schema::{follows, users};
use crate::sql::{Name as _, OnConflictDoNothing, Statement};
use crate::users::Identity;

/// A request to follow a creator.
#[derive(Debug, Clone, Copy, Deserialize, Validate, ToSchema)]
pub struct NewFollow {
    /// The creator's id.
    #[serde(deserialize_with = "rules::integer")]
    #[garde(custom(rules::id))]
    #[schema(minimum = 1, example = 7)]
    pub followed_id: i64,
}

/// Whether the caller follows a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct FollowStatus {
    /// Whether the caller follows the user; false for anonymous callers.
    pub is_following: bool,
    /// The user's id.
    #[schema(minimum = 1)]
    pub followed_user_id: i64,
}

/// Makes `caller` follow `followed`. Returns the follow, and whether it is new. It must run in a transaction.
///
/// Any number of concurrent calls create one row, and all return it.
///
/// # Errors
/// [`Error::OwnFollow`]; [`Error::NotFound`] when there is no such creator; [`Error::UnknownCaller`].
pub fn follow(
    connection: &mut Db,
    caller: Identity,
    followed: i64,
    now: NaiveDateTime,
) -> Result<(Follow, bool)> {
    let follower = crate::users::lock(connection, caller)?;
    if follower == followed {
        return Err(Error::OwnFollow);
    }
    let follow = Follow { follower_id: follower, followed_id: followed, created_at: now };
    let insert = diesel::insert_into(follows::table).values(follow.clone());
    let inserted = match OnConflictDoNothing(insert).named("follow").execute(connection) {
        Err(error) if Error::is_missing_reference(&error) => return Err(Error::NotFound("user")),
        other => other?,
    };
    if inserted == 1 {
        relations::move_relations_version(connection, follower)?;
        return Ok((follow, true));
    }
    // The row existed already. Only a deletion of the creator's account can remove it now: the follower's own calls
    // wait for the lock.
    let existing = follows::table
        .find((follower, followed))
        .named("follow_that_was")
        .get_result(connection)
        .optional()?;
    Ok((existing.ok_or(Error::NotFound("user"))?, false))
}

/// Ends a follow, if there is one: one DELETE.
///
/// # Errors
/// [`Error::UnknownCaller`].
pub fn unfollow(connection: &mut Db, caller: Identity, followed: i64) -> Result<()> {
    let follower = crate::users::lock(connection, caller)?;
    match diesel::delete(follows::table.find((follower, followed))).named("unfollow").execute(connection)? {
        0 => Ok(()),
        _ => relations::move_relations_version(connection, follower),
    }
}

/// Whether `follower` follows each of these users: one SELECT over two primary keys.
///
/// The result has the order of `users`, without users that do not exist.
///
/// # Errors
/// From the database.
pub fn statuses(connection: &mut Db, follower: Option<i64>, users: &[i64]) -> Result<Vec<FollowStatus>> {
    let is_followed = follows::table
        .filter(follows::follower_id.eq(follower.unwrap_or_default()))
        .filter(follows::followed_id.eq(users::id));
    let known: Vec<(i64, bool)> = users::table
        .filter(users::id.eq_any(users))
        .select((users::id, diesel::dsl::exists(is_followed)))
        .named("follow_statuses")
        .load(connection)?;
    let known: HashMap<_, _> = known.into_iter().collect();
    let status =
        |id: &i64| known.get(id).map(|&is_following| FollowStatus { is_following, followed_user_id: *id });
    Ok(users.iter().filter_map(status).collect())
}

/// A follow in the list of all follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct ListedFollow {
    /// The creator's id.
    #[schema(minimum = 1)]
    pub followed_id: i64,
    /// When the follow began, in UTC with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
}

/// The query for a page of [`list`].
#[must_use]
pub fn list_query(engine: Engine, follower: i64, request: &PageRequest) -> Statement<RelationColumns> {
    relations::FOLLOWS.page_query(engine, follower, request)
}

/// The number of creators that `follower` follows. It counts at most one more than [`crate::page::COUNT_LIMIT`].
#[must_use]
pub fn count_query(engine: Engine, follower: i64) -> Statement<BigInt> {
    relations::FOLLOWS.count_query(engine, follower)
}

/// The scope that cursors of [`list`] are signed for.
#[must_use]
pub fn cursor_scope(follower: i64) -> String {
    format!("follows of {follower}")
}

/// Loads a page of all follows of `follower`, most recent first.
///
/// It takes one range of the index `follows_follower_recent`, and a count where no cursor carries it.
///
/// # Errors
/// From the database.
pub fn list(connection: &mut Db, follower: i64, request: &PageRequest) -> Result<Page<ListedFollow>> {
    relations::FOLLOWS.page(connection, follower, request, |followed_id, created_at| ListedFollow {
        followed_id,
        created_at,
    })
}
