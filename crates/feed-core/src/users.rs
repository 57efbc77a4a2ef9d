//! Accounts.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::db::Db;
use crate::error::{Error, Result};
use crate::models::User;
use crate::password;
use crate::rules::{self, Trimmed};
use crate::schema::users;

/// What a new account is made of.
#[derive(Debug, Clone, Deserialize, Validate)]
pub struct Registration {
    /// Unique whatever its case.
    #[garde(custom(rules::email))]
    pub email: Trimmed,
    /// 8 to 128 characters; not trimmed.
    #[garde(custom(rules::characters(8, 128)))]
    pub password: String,
    /// Made from the e-mail's local part where it is missing.
    #[serde(default)]
    #[garde(inner(custom(rules::characters(1, 150))))]
    pub username: Option<Trimmed>,
}

/// What somebody signs in with.
#[derive(Debug, Clone, Deserialize, Validate)]
pub struct Credentials {
    /// In any case.
    #[garde(skip)]
    pub email: Trimmed,
    /// As it was given at registration.
    #[garde(skip)]
    pub password: String,
}

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// The user's id.
    pub id: i64,
    /// The user's name.
    pub username: String,
    /// As the user wrote it.
    pub email: String,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { id: user.id, username: user.username, email: user.email }
    }
}

/// How many accounts may share an e-mail's local part before their names get a random end.
const NUMBERED_NAMES: u32 = 20;

/// Makes an account; hashes the password before it asks for the write lock.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule, [`Error::Taken`] for an e-mail or a username in use.
pub fn register(
    database: &crate::db::Database,
    registration: &Registration,
    now: NaiveDateTime,
) -> Result<Account> {
    registration.validate()?;
    let password_hash = password::hash(&registration.password)?;
    database.write(|connection| create(connection, registration, &password_hash, now))
}

fn create(
    connection: &mut Db,
    registration: &Registration,
    password_hash: &str,
    now: NaiveDateTime,
) -> Result<Account> {
    let email = registration.email.as_ref();
    let email_key = email_key(email);
    let username = match &registration.username {
        Some(name) => name.0.clone(),
        None => free_username(connection, email)?,
    };
    let inserted = diesel::insert_into(users::table)
        .values((
            users::email.eq(email),
            users::email_key.eq(&email_key),
            users::username.eq(&username),
            users::password_hash.eq(password_hash),
            users::created_at.eq(now),
        ))
        .returning(users::id)
        .get_result(connection);
    match inserted {
        Ok(id) => Ok(Account { id, username, email: email.to_owned() }),
        Err(error) if Error::is_duplicate(&error) => {
            // PostgreSQL names the index, SQLite the column in its message.
            let names_email = matches!(&error, diesel::result::Error::DatabaseError(_, info)
                if info.constraint_name().unwrap_or(info.message()).contains("email_key"));
            Err(Error::Taken(if names_email { "email" } else { "username" }))
        }
        Err(error) => Err(error.into()),
    }
}

/// The e-mail's local part, with a number behind it where it is taken.
fn free_username(connection: &mut Db, email: &str) -> Result<String> {
    let local = email.split('@').next().unwrap_or(email);
    let taken: std::collections::HashSet<String> = {
        let candidates: Vec<_> = (1..=NUMBERED_NAMES).map(|n| numbered(local, n)).collect();
        users::table
            .filter(users::username.eq_any(candidates))
            .select(users::username)
            .load(connection)?
            .into_iter()
            .collect()
    };
    let free = (1..=NUMBERED_NAMES).map(|n| numbered(local, n)).find(|name| !taken.contains(name));
    Ok(free.unwrap_or_else(|| format!("{local}-{:08x}", rand::random::<u32>())))
}

fn numbered(local: &str, n: u32) -> String {
    if n == 1 { local.to_owned() } else { format!("{local}{n}") }
}

/// Finds the account that these credentials open; an unknown e-mail takes as long as a wrong password.
///
/// The password is checked while no connection is held.
///
/// # Errors
/// [`Error::WrongCredentials`].
pub fn authenticate(database: &crate::db::Database, credentials: &Credentials) -> Result<Account> {
    let key = email_key(credentials.email.as_ref());
    let user: Option<User> = database.read(|connection| {
        Ok(users::table.filter(users::email_key.eq(&key)).first(connection).optional()?)
    })?;
    let hash = user.as_ref().map(|u| u.password_hash.as_str());
    let right = password::matches(&credentials.password, hash);
    user.filter(|_| right).map(Account::from).ok_or(Error::WrongCredentials)
}

/// The id of the account with this e-mail.
///
/// # Errors
/// [`Error::NotFound`] when there is none.
pub fn id_by_email(connection: &mut Db, email: &str) -> Result<i64> {
    let user = users::table.filter(users::email_key.eq(email_key(email))).select(users::id).first(connection);
    user.optional()?.ok_or(Error::NotFound("user"))
}

/// Makes sure that the caller's account is there: one probe of the primary key.
///
/// # Errors
/// [`Error::UnknownCaller`] when it is not.
pub fn require(connection: &mut Db, caller: i64) -> Result<()> {
    let found: Option<i64> = users::table.find(caller).select(users::id).first(connection).optional()?;
    found.map(|_| ()).ok_or(Error::UnknownCaller)
}

/// Makes sure that the caller's account is there and stays until the transaction ends, and makes
/// transactions of the same caller follow one another.
///
/// # Errors
/// [`Error::UnknownCaller`] when it is not.
pub(crate) fn lock(connection: &mut Db, caller: i64) -> Result<()> {
    let row = users::table.find(caller).select(users::id);
    let found: Option<i64> = match connection {
        // The transaction holds the only write lock already.
        Db::Sqlite(c) => row.first(c).optional()?,
        // The weakest lock that excludes itself: foreign keys to the row can still be checked.
        Db::Postgres(c) => row.for_no_key_update().first(c).optional()?,
    };
    found.map(|_| ()).ok_or(Error::UnknownCaller)
}

fn email_key(email: &str) -> String {
    email.to_lowercase()
}
