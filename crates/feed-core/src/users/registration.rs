//! Registration of accounts.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use super::account::Account;
use super::email::{email_key, local_part};
use super::password_rule::refuse_own;
use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::password;
use crate::rules::{self, Trimmed};
use crate::schema::{user_texts, users};
use crate::sql::Name as _;
use crate::text::UserText;

/// A new account.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct Registration {
    /// The e-mail address. It must be unique regardless of case.
    #[garde(custom(rules::email))]
    #[schema(value_type = String, format = Email, max_length = 254, example = "anna@example.org")]
    pub email: Trimmed,
    /// 8 to 128 characters, not trimmed. It must not be a common password, nor the account's e-mail or name.
    #[garde(custom(rules::characters(8, 128)), custom(rules::uncommon))]
    #[schema(
        min_length = 8,
        max_length = 128,
        pattern = r"^\s*\S[^\u0000]{6,}\S\s*$",
        example = "correct horse"
    )]
    pub password: String,
    /// The user's name. If it is missing, it is made from the part of the e-mail before the @.
    #[serde(default)]
    #[garde(inner(custom(rules::username)))]
    #[schema(
        value_type = Option<String>,
        min_length = 1,
        max_length = 150,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
        example = "anna"
    )]
    pub username: Option<Trimmed>,
}

/// How many accounts with the same local part of an e-mail get numbered names. Later ones get a random suffix.
const NUMBERED_NAMES: u32 = 20;

/// Creates an account. The password is hashed before the write lock is taken.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule; [`Error::Taken`] for an e-mail or a username in use. If both are in
/// use, the error names the e-mail.
pub fn register(database: &Database, registration: &Registration, now: NaiveDateTime) -> Result<Account> {
    registration.validate()?;
    let own = [Some(registration.email.as_ref()), registration.username.as_ref().map(AsRef::as_ref)];
    refuse_own(&registration.password, own)?;
    let password_hash = password::hash(&registration.password)?;
    let email = registration.email.as_ref();
    let create = |username: &str| {
        database.write(|connection| create(connection, email, username, &password_hash, now))
    };
    let created = match &registration.username {
        Some(name) => create(name.as_ref()),
        None => match create(&database.read(|connection| free_username(connection, email))?) {
            // Another registration took the name between the read and the insert.
            Err(Error::Taken("username")) => create(&random_username(email)),
            other => other,
        },
    };
    match created {
        // The engines check the two unique indexes in no particular order.
        Err(Error::Taken(_)) if database.read(|connection| is_registered(connection, email))? => {
            Err(Error::Taken("email"))
        }
        other => other,
    }
}

fn create(
    connection: &mut Db,
    email: &str,
    username: &str,
    password_hash: &str,
    now: NaiveDateTime,
) -> Result<Account> {
    let key = rand::random();
    let inserted = diesel::insert_into(users::table)
        .values((
            users::email.eq(email),
            users::email_key.eq(email_key(email)),
            users::username.eq(username),
            users::password_hash.eq(password_hash),
            users::created_at.eq(now),
            users::token_key.eq(key),
        ))
        .returning(users::id)
        .named("register")
        .get_result(connection);
    match inserted {
        Ok(id) => {
            let text = UserText::new(id, username);
            diesel::insert_into(user_texts::table).values(text).named("register_text").execute(connection)?;
            Ok(Account { id, username: username.to_owned(), email: email.to_owned(), key })
        }
        Err(error) if Error::is_duplicate(&error) => Err(Error::Taken("username")),
        Err(error) => Err(error.into()),
    }
}

fn is_registered(connection: &mut Db, email: &str) -> Result<bool> {
    let same = users::table.filter(users::email_key.eq(email_key(email))).select(users::id);
    Ok(same.named("is_registered").get_result::<i64>(connection).optional()?.is_some())
}

/// The local part of the e-mail, with a number appended if it is taken.
fn free_username(connection: &mut Db, email: &str) -> Result<String> {
    let local = local_part(email);
    let candidates: Vec<_> = (1..=NUMBERED_NAMES).map(|n| numbered(local, n)).collect();
    let taken: Vec<String> = users::table
        .filter(users::username.eq_any(&candidates))
        .select(users::username)
        .named("usernames_taken")
        .load(connection)?;
    let free = candidates.into_iter().find(|name| !taken.contains(name));
    Ok(free.unwrap_or_else(|| random_username(email)))
}

fn random_username(email: &str) -> String {
    format!("{}-{:016x}", local_part(email), rand::random::<u64>())
}

fn numbered(local: &str, n: u32) -> String {
    if n == 1 { local.to_owned() } else { format!("{local}{n}") }
}
