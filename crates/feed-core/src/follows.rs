//! Who follows whom.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::models::Follow;
use crate::rules;
use crate::schema::{follows, users};
use crate::sql::OnConflictDoNothing;

/// Whom to follow.
#[derive(Debug, Clone, Copy, Deserialize, Validate)]
pub struct NewFollow {
    /// The creator's id.
    #[garde(custom(rules::id))]
    pub followed_id: i64,
}

/// Whether somebody follows a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct FollowStatus {
    /// False for anonymous callers.
    pub is_following: bool,
    /// The user who was asked about.
    pub followed_user_id: i64,
}

/// Makes `follower` follow `followed`, in a transaction of the caller's; true where that is new.
///
/// Any number of concurrent calls leave one row, and all answer with it.
///
/// # Errors
/// [`Error::OwnFollow`], [`Error::NotFound`] when there is no such creator, [`Error::UnknownCaller`].
pub fn follow(
    connection: &mut Db,
    follower: i64,
    followed: i64,
    now: NaiveDateTime,
) -> Result<(Follow, bool)> {
    crate::users::lock(connection, follower)?;
    if follower == followed {
        return Err(Error::OwnFollow);
    }
    let follow = Follow { follower_id: follower, followed_id: followed, created_at: now };
    let insert = diesel::insert_into(follows::table).values(follow.clone());
    let inserted = match OnConflictDoNothing(insert).execute(connection) {
        Err(error) if Error::is_missing_reference(&error) => return Err(Error::NotFound("user")),
        other => other?,
    };
    if inserted == 1 {
        return Ok((follow, true));
    }
    // The row was there, and goes only with the creator: the follower's own calls wait for this one.
    let existing = follows::table.find((follower, followed)).first(connection).optional()?;
    Ok((existing.ok_or(Error::NotFound("user"))?, false))
}

/// Ends a follow, where there is one: one DELETE.
///
/// # Errors
/// [`Error::UnknownCaller`].
pub fn unfollow(connection: &mut Db, follower: i64, followed: i64) -> Result<()> {
    crate::users::lock(connection, follower)?;
    diesel::delete(follows::table.find((follower, followed))).execute(connection)?;
    Ok(())
}

/// Whether `follower` follows `followed`: one SELECT over two primary keys.
///
/// # Errors
/// [`Error::NotFound`] when there is no such user.
pub fn status(connection: &mut Db, follower: Option<i64>, followed: i64) -> Result<FollowStatus> {
    let is_following: Option<bool> = users::table
        .find(followed)
        .select(diesel::dsl::exists(follows::table.find((follower.unwrap_or_default(), followed))))
        .first(connection)
        .optional()?;
    let is_following = is_following.ok_or(Error::NotFound("user"))?;
    Ok(FollowStatus { is_following, followed_user_id: followed })
}
