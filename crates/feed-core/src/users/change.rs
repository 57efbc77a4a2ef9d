//! Changes of an account by its owner.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use super::account::{OwnProfile, own_profile};
use super::identity::{Identity, lock, row_of};
use super::password_rule::refuse_own;
use crate::attempts::{Attempts, Subject};
use crate::db::Database;
use crate::error::{Error, Result};
use crate::models::User;
use crate::password;
use crate::rules::{self, Trimmed};
use crate::schema::users;
use crate::sql::Name as _;
use crate::text::{self, UserText};

/// A change of an account. Missing fields stay as they are.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
pub struct AccountChange {
    /// The new name: 1 to 150 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::username)))]
    #[schema(
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 150,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
        example = "anna"
    )]
    pub username: Option<Trimmed>,
    /// An absolute http or https URL of at most 2,048 bytes; null removes the picture.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(inner(custom(rules::http_url))))]
    #[schema(
        value_type = Option<String>,
        format = Uri,
        pattern = r"^https?://",
        max_length = 2048,
        example = "https://images.example.org/anna.jpg"
    )]
    pub profile_picture_url: Option<Option<Trimmed>>,
    /// 8 to 128 characters, not trimmed. It must not be a common password, nor the account's e-mail or name.
    /// `current_password` is required with it.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(8, 128)), custom(rules::uncommon)))]
    #[schema(
        value_type = String,
        required = false,
        min_length = 8,
        max_length = 128,
        pattern = r"^\s*\S[^\u0000]{6,}\S\s*$"
    )]
    pub password: Option<String>,
    /// The password that is being replaced.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(skip)]
    #[schema(value_type = String, required = false)]
    pub current_password: Option<String>,
}

/// Changes the account of `caller`.
///
/// A new password revokes all tokens, so the result then contains the caller's new identity. No connection is held
/// while passwords are checked and hashed.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule and for a wrong `current_password`; [`Error::TooManyFailures`] after
/// too many wrong ones in a row; [`Error::Taken`] for a username in use; [`Error::UnknownCaller`].
pub fn update(
    database: &Database,
    attempts: &Attempts,
    caller: Identity,
    change: &AccountChange,
    now: NaiveDateTime,
) -> Result<(OwnProfile, Option<Identity>)> {
    change.validate()?;
    let replace = |new: &String| replacement(database, attempts, caller, change, new, now);
    let hash = change.password.as_ref().map(replace).transpose()?;
    let renewed = hash.as_ref().map(|_| Identity { key: rand::random(), ..caller });
    let profile = database.write(|connection| {
        // If another request has replaced the password since the check, the key has changed too, and this fails.
        let user = lock(connection, caller)?;
        // Write only what differs: writing a name or picture moves the version of everybody's feeds.
        let before = own_profile(connection, caller)?;
        let name = change.username.as_ref().map(AsRef::as_ref).filter(|name| *name != before.username);
        let picture = change.profile_picture_url.as_ref().map(|url| url.as_ref().map(AsRef::as_ref));
        let picture = picture.filter(|url| *url != before.profile_picture_url.as_deref());
        let changed = (
            name.map(|name| users::username.eq(name)),
            picture.map(|url| users::profile_picture_url.eq(url)),
            hash.as_ref().map(|hash| users::password_hash.eq(hash)),
            renewed.map(|renewed| users::token_key.eq(renewed.key)),
        );
        if matches!(changed, (None, None, None, None)) {
            return Ok(before);
        }
        let updated =
            diesel::update(users::table.find(user)).set(changed).named("account_change").execute(connection);
        match updated {
            Err(error) if Error::is_duplicate(&error) => return Err(Error::Taken("username")),
            other => other?,
        };
        if let Some(name) = name {
            text::write_user(connection, UserText::new(user, name))?;
        }
        own_profile(connection, renewed.unwrap_or(caller))
    })?;
    Ok((profile, renewed))
}

/// Checks the current password, and returns the hash of the new one.
fn replacement(
    database: &Database,
    attempts: &Attempts,
    caller: Identity,
    change: &AccountChange,
    new: &str,
    now: NaiveDateTime,
) -> Result<String> {
    let Some(current) = &change.current_password else {
        return Err(Error::invalid("current_password", "must be given together with password"));
    };
    let user: Option<User> = database
        .read(|connection| Ok(row_of(caller).named("password").get_result(connection).optional()?))?;
    let user = user.ok_or(Error::UnknownCaller)?;
    let subject = Subject { email_key: &user.email_key, lifts: user.lifts, is_holder: true };
    if !attempts.judge(&subject, now, || password::matches(current, Some(&user.password_hash)))? {
        return Err(wrong_current_password());
    }
    let name = change.username.as_ref().map_or(user.username.as_str(), AsRef::as_ref);
    refuse_own(new, [Some(&user.email), Some(name)])?;
    password::hash(new)
}

fn wrong_current_password() -> Error {
    Error::invalid("current_password", "is not the password of this account")
}
