//! Accounts: whether one is there, and what its owner sees of it.

use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;

use super::identity::{Identity, row_of};
use crate::db::Db;
use crate::error::{Error, Result};
use crate::models::User;
use crate::schema::users;
use crate::sql::Name as _;

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    /// The user's id.
    #[schema(minimum = 1, example = 7)]
    pub id: i64,
    /// The user's name.
    #[schema(example = "anna")]
    pub username: String,
    /// The e-mail address, as the user wrote it.
    pub email: String,
    #[serde(skip)]
    #[schema(ignore)]
    pub(super) key: i64,
}

impl Account {
    /// The identity to put into a token.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { id: self.id, key: self.key }
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { id: user.id, username: user.username, email: user.email, key: user.token_key }
    }
}

/// An account with the fields that its owner may change.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Serialize, ToSchema)]
pub struct OwnProfile {
    /// The user's id.
    #[schema(minimum = 1, example = 7)]
    pub id: i64,
    /// The user's name.
    #[schema(example = "anna")]
    pub username: String,
    /// The e-mail address, as the user wrote it.
    pub email: String,
    /// The absolute URL of the profile picture, or null.
    #[schema(required = true, format = Uri)]
    pub profile_picture_url: Option<String>,
}

/// The account of `caller`: one probe of the primary key.
///
/// # Errors
/// [`Error::UnknownCaller`] if the account was deleted or the token has been revoked.
pub fn own_profile(connection: &mut Db, caller: Identity) -> Result<OwnProfile> {
    let columns = (users::id, users::username, users::email, users::profile_picture_url);
    let found = row_of(caller).select(columns).named("own_profile").get_result(connection).optional()?;
    found.ok_or(Error::UnknownCaller)
}

/// Checks that a user exists: one probe of the primary key.
///
/// # Errors
/// [`Error::NotFound`] when the user does not exist.
pub(crate) fn exists(connection: &mut Db, user: i64) -> Result<()> {
    let found: Option<i64> =
        users::table.find(user).select(users::id).named("user_is_there").get_result(connection).optional()?;
    found.map(|_| ()).ok_or(Error::NotFound("user"))
}
