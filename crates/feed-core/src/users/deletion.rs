//! Deletion of accounts.

use diesel::prelude::*;

use super::identity::{Identity, lock};
use crate::db::Db;
use crate::error::Result;
use crate::schema::{favorites, flyers, follows, users};
use crate::sql::Name as _;

/// Deletes the account of `caller` with everything that belongs to it. It must run in a transaction.
///
/// The order of the deletions matters, and no sweep or other deletion runs at the same time. No other transaction locks
/// rows of several users, so no deadlock can arise.
///
/// # Errors
/// [`UnknownCaller`](crate::Error::UnknownCaller) if the account was already deleted or the token has been revoked.
pub fn delete(connection: &mut Db, caller: Identity) -> Result<()> {
    connection.exclude_other_bulk_changes()?;
    let user = lock(connection, caller)?;
    diesel::delete(favorites::table.filter(favorites::user_id.eq(user)))
        .named("account_deletion")
        .execute(connection)?;
    diesel::delete(follows::table.filter(follows::follower_id.eq(user)))
        .named("account_deletion")
        .execute(connection)?;
    diesel::delete(follows::table.filter(follows::followed_id.eq(user)))
        .named("account_deletion")
        .execute(connection)?;
    diesel::delete(flyers::table.filter(flyers::creator_id.eq(user)))
        .named("account_deletion")
        .execute(connection)?;
    diesel::delete(users::table.find(user)).named("account_deletion").execute(connection)?;
    Ok(())
}
