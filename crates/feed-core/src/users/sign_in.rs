//! Signing in and out.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use super::account::Account;
use super::email::email_key;
use super::identity::{Identity, row_of};
use crate::attempts::{Attempts, Subject};
use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::models::User;
use crate::password;
use crate::rules::Trimmed;
use crate::schema::users;
use crate::sql::Name as _;

/// E-mail and password to sign in with.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct Credentials {
    /// The e-mail address, in upper or lower case.
    #[garde(skip)]
    #[schema(value_type = String, example = "anna@example.org")]
    pub email: Trimmed,
    /// The password, exactly as it was set.
    #[garde(skip)]
    #[schema(example = "correct horse")]
    pub password: String,
}

/// Finds the account with these credentials. An unknown e-mail takes as long as a wrong password.
///
/// No connection is held while the password is checked. `holder` is who the caller's token names, even an expired one.
/// It decides which failure counter applies: see [`crate::attempts`]. A token that the account has ended makes nobody
/// its holder. Otherwise whoever stole one could lock the owner out.
///
/// # Errors
/// [`Error::WrongCredentials`], [`Error::TooManyFailures`].
pub fn authenticate(
    database: &Database,
    attempts: &Attempts,
    credentials: &Credentials,
    holder: Option<Identity>,
    now: NaiveDateTime,
) -> Result<Account> {
    let key = email_key(credentials.email.as_ref());
    let user: Option<User> = database.read(|connection| {
        Ok(users::table
            .filter(users::email_key.eq(&key))
            .named("sign_in")
            .get_result(connection)
            .optional()?)
    })?;
    let hash = user.as_ref().map(|u| u.password_hash.as_str());
    let subject = Subject {
        email_key: &key,
        lifts: user.as_ref().map_or(0, |u| u.lifts),
        is_holder: user.as_ref().is_some_and(|u| holder == Some(Identity { id: u.id, key: u.token_key })),
    };
    let right = attempts.judge(&subject, now, || password::matches(&credentials.password, hash))?;
    user.filter(|_| right).map(Account::from).ok_or(Error::WrongCredentials)
}

/// Revokes all tokens of the caller's account, including the one of this request: one UPDATE.
///
/// # Errors
/// [`Error::UnknownCaller`] if the account was deleted or the token has already been revoked.
pub fn sign_out(connection: &mut Db, caller: Identity) -> Result<()> {
    let key: i64 = rand::random();
    let ended =
        diesel::update(row_of(caller)).set(users::token_key.eq(key)).named("sign_out").execute(connection)?;
    if ended == 1 { Ok(()) } else { Err(Error::UnknownCaller) }
}
