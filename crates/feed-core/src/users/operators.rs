//! What operators do with an account, which they name by its e-mail.

use diesel::prelude::*;

use super::email::email_key;
use super::identity::Identity;
use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::password;
use crate::schema::users;
use crate::sql::Name as _;

/// The identity of the account with this e-mail.
///
/// # Errors
/// [`Error::NotFound`] when there is no such account.
pub fn by_email(connection: &mut Db, email: &str) -> Result<Identity> {
    let user = users::table
        .filter(users::email_key.eq(email_key(email)))
        .select((users::id, users::token_key))
        .named("by_email")
        .get_result(connection);
    let (id, key) = user.optional()?.ok_or(Error::NotFound("user"))?;
    Ok(Identity { id, key })
}

/// Revokes all tokens of the account with this e-mail. For operators.
///
/// # Errors
/// [`Error::NotFound`] when there is no such account.
pub fn sign_out_by_email(connection: &mut Db, email: &str) -> Result<()> {
    let user = users::table.filter(users::email_key.eq(email_key(email)));
    let key: i64 = rand::random();
    let ended =
        diesel::update(user).set(users::token_key.eq(key)).named("sign_out_by_email").execute(connection)?;
    if ended == 1 { Ok(()) } else { Err(Error::NotFound("user")) }
}

/// Resets the counter of failed sign-ins of the account with this e-mail, in all processes. For operators.
///
/// # Errors
/// [`Error::NotFound`] when there is no such account.
pub fn lift_limit(connection: &mut Db, email: &str) -> Result<()> {
    let user = users::table.filter(users::email_key.eq(email_key(email)));
    let lifted = diesel::update(user)
        .set(users::lifts.eq(users::lifts + 1))
        .named("lift_limit")
        .execute(connection)?;
    if lifted == 1 { Ok(()) } else { Err(Error::NotFound("user")) }
}

/// Sets a new password of 80 random bits for the account with this e-mail, and returns it. For operators.
///
/// It revokes all tokens and resets the counter of failed sign-ins.
///
/// # Errors
/// [`Error::NotFound`] when there is no such account.
pub fn reset_password(database: &Database, email: &str) -> Result<String> {
    let password = password::random();
    let hash = password::hash(&password)?;
    database.write(|connection| {
        let user = users::table.filter(users::email_key.eq(email_key(email)));
        diesel::update(user)
            .set(users::password_hash.eq(&hash))
            .named("reset_password")
            .execute(connection)?;
        sign_out_by_email(connection, email)?;
        lift_limit(connection, email)
    })?;
    Ok(password)
}
