//! Who a caller is: checks of the identity in a token.

use diesel::prelude::*;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::schema::users;
use crate::sql::Name as _;

/// The identity in a token: an account id and the account's token key.
///
/// The id alone proves nothing. After a restore from a backup, ids are assigned again. And an account that changes its
/// key revokes all of its tokens. So every operation for a caller compares the key, in the statement that reads the
/// caller's row anyway: [`require`], [`own_profile`](super::own_profile), [`crate::validator::current`], and every
/// write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The account's id.
    pub id: i64,
    /// The account's token key: 64 random bits.
    pub key: i64,
}

/// Selects the caller's row: none if the account was deleted or has another token key.
#[diesel::dsl::auto_type(no_type_alias)]
pub(super) fn row_of(caller: Identity) -> _ {
    let id: i64 = caller.id;
    let key: i64 = caller.key;
    users::table.find(id).filter(users::token_key.eq(key))
}

/// Checks that the caller's account and token key are valid, if there is a caller: one probe of the primary key.
///
/// # Errors
/// [`Error::UnknownCaller`] if the account was deleted or the token has been revoked.
pub fn require(connection: &mut Db, caller: Option<Identity>) -> Result<()> {
    let Some(caller) = caller else { return Ok(()) };
    let row = row_of(caller).select(users::id).named("caller");
    let found: Option<i64> = row.get_result(connection).optional()?;
    found.map(|_| ()).ok_or(Error::UnknownCaller)
}

/// Checks the caller and locks their row until the transaction ends; returns the account's id.
///
/// The lock keeps the account and its key unchanged, and serializes the transactions of the same caller.
///
/// # Errors
/// [`Error::UnknownCaller`] if the account was deleted or the token has been revoked.
pub(crate) fn lock(connection: &mut Db, caller: Identity) -> Result<i64> {
    let row = row_of(caller).select(users::id);
    let found: Option<i64> = match connection {
        // The transaction already holds the only write lock.
        Db::Sqlite(c) => row.named("lock_caller").get_result(c).optional()?,
        // The weakest lock that excludes itself. Foreign key checks of the row are not blocked.
        Db::Postgres(c) => row.for_no_key_update().named("lock_caller").get_result(c).optional()?,
    };
    found.ok_or(Error::UnknownCaller)
}
