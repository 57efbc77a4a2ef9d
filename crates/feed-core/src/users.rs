//! Accounts.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::{Deserialize, Serialize};

use crate::db::{Database, Db};
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
    #[garde(inner(custom(rules::username)))]
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
/// [`Error::Invalid`] for input that breaks a rule, [`Error::Taken`] for an e-mail or a username in use: the
/// e-mail where both are.
pub fn register(database: &Database, registration: &Registration, now: NaiveDateTime) -> Result<Account> {
    registration.validate()?;
    let password_hash = password::hash(&registration.password)?;
    let email = registration.email.as_ref();
    let create = |username: &str| {
        database.write(|connection| create(connection, email, username, &password_hash, now))
    };
    let created = match &registration.username {
        Some(name) => create(name.as_ref()),
        None => match create(&database.read(|connection| free_username(connection, email))?) {
            // Somebody else took the name between the look and the insert.
            Err(Error::Taken("username")) => create(&random_username(email)),
            other => other,
        },
    };
    match created {
        // Which of the two indexes complains first is the engine's whim.
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
    let inserted = diesel::insert_into(users::table)
        .values((
            users::email.eq(email),
            users::email_key.eq(email_key(email)),
            users::username.eq(username),
            users::password_hash.eq(password_hash),
            users::created_at.eq(now),
        ))
        .returning(users::id)
        .get_result(connection);
    match inserted {
        Ok(id) => Ok(Account { id, username: username.to_owned(), email: email.to_owned() }),
        Err(error) if Error::is_duplicate(&error) => Err(Error::Taken("username")),
        Err(error) => Err(error.into()),
    }
}

fn is_registered(connection: &mut Db, email: &str) -> Result<bool> {
    let same = users::table.filter(users::email_key.eq(email_key(email))).select(users::id);
    Ok(same.first::<i64>(connection).optional()?.is_some())
}

/// The e-mail's local part, with a number behind it where it is taken.
fn free_username(connection: &mut Db, email: &str) -> Result<String> {
    let local = local_part(email);
    let candidates: Vec<_> = (1..=NUMBERED_NAMES).map(|n| numbered(local, n)).collect();
    let taken: Vec<String> =
        users::table.filter(users::username.eq_any(&candidates)).select(users::username).load(connection)?;
    let free = candidates.into_iter().find(|name| !taken.contains(name));
    Ok(free.unwrap_or_else(|| random_username(email)))
}

fn random_username(email: &str) -> String {
    format!("{}-{:016x}", local_part(email), rand::random::<u64>())
}

fn local_part(email: &str) -> &str {
    email.split('@').next().unwrap_or(email)
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
pub fn authenticate(database: &Database, credentials: &Credentials) -> Result<Account> {
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

/// Makes sure that the caller's account, where there is a caller, is there: one probe of the primary key.
///
/// # Errors
/// [`Error::UnknownCaller`] when it is not.
pub fn require(connection: &mut Db, caller: Option<i64>) -> Result<()> {
    let Some(caller) = caller else { return Ok(()) };
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
