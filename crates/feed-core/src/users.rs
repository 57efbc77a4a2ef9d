//! Accounts.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::models::User;
use crate::password;
use crate::rules::{self, Trimmed};
use crate::schema::{favorites, flyers, follows, user_texts, users};
use crate::sql::Name as _;
use crate::text::{self, UserText};

/// What a new account is made of.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct Registration {
    /// Unique whatever its case.
    #[garde(custom(rules::email))]
    #[schema(value_type = String, format = Email, max_length = 254, example = "anna@example.org")]
    pub email: Trimmed,
    /// 8 to 128 characters; not trimmed.
    #[garde(custom(rules::characters(8, 128)))]
    #[schema(
        min_length = 8,
        max_length = 128,
        pattern = r"^\s*\S[^\u0000]{6,}\S\s*$",
        example = "correct horse"
    )]
    pub password: String,
    /// Made from the e-mail's local part where it is missing.
    #[serde(default)]
    #[garde(inner(custom(rules::username)))]
    #[schema(value_type = Option<String>, min_length = 1, max_length = 150, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$", example = "anna")]
    pub username: Option<Trimmed>,
}

/// What somebody signs in with.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct Credentials {
    /// In any case.
    #[garde(skip)]
    #[schema(value_type = String, example = "anna@example.org")]
    pub email: Trimmed,
    /// As it was given at registration.
    #[garde(skip)]
    #[schema(example = "correct horse")]
    pub password: String,
}

/// An account as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Account {
    /// The user's id.
    #[schema(minimum = 1, example = 7)]
    pub id: i64,
    /// The user's name.
    #[schema(example = "anna")]
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
        .named("register")
        .get_result(connection);
    match inserted {
        Ok(id) => {
            let text = UserText::new(id, username);
            diesel::insert_into(user_texts::table).values(text).named("register_text").execute(connection)?;
            Ok(Account { id, username: username.to_owned(), email: email.to_owned() })
        }
        Err(error) if Error::is_duplicate(&error) => Err(Error::Taken("username")),
        Err(error) => Err(error.into()),
    }
}

fn is_registered(connection: &mut Db, email: &str) -> Result<bool> {
    let same = users::table.filter(users::email_key.eq(email_key(email))).select(users::id);
    Ok(same.named("is_registered").get_result::<i64>(connection).optional()?.is_some())
}

/// The e-mail's local part, with a number behind it where it is taken.
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
        Ok(users::table
            .filter(users::email_key.eq(&key))
            .named("sign_in")
            .get_result(connection)
            .optional()?)
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
    let user = users::table
        .filter(users::email_key.eq(email_key(email)))
        .select(users::id)
        .named("id_by_email")
        .get_result(connection);
    user.optional()?.ok_or(Error::NotFound("user"))
}

/// Makes sure that the caller's account, where there is a caller, is there: one probe of the primary key.
///
/// # Errors
/// [`Error::UnknownCaller`] when it is not.
pub fn require(connection: &mut Db, caller: Option<i64>) -> Result<()> {
    match caller {
        Some(caller) if !is_there(connection, caller)? => Err(Error::UnknownCaller),
        _ => Ok(()),
    }
}

/// Makes sure that a user is there: one probe of the primary key.
///
/// # Errors
/// [`Error::NotFound`] when they are not.
pub(crate) fn exists(connection: &mut Db, user: i64) -> Result<()> {
    if is_there(connection, user)? { Ok(()) } else { Err(Error::NotFound("user")) }
}

fn is_there(connection: &mut Db, user: i64) -> Result<bool> {
    let found: Option<i64> =
        users::table.find(user).select(users::id).named("user_is_there").get_result(connection).optional()?;
    Ok(found.is_some())
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
        Db::Sqlite(c) => row.named("lock_caller").get_result(c).optional()?,
        // The weakest lock that excludes itself: foreign keys to the row can still be checked.
        Db::Postgres(c) => row.for_no_key_update().named("lock_caller").get_result(c).optional()?,
    };
    found.map(|_| ()).ok_or(Error::UnknownCaller)
}

/// Says, in the transaction that changed them, that the favorites or follows of a user are others now.
///
/// By a step of chance: see the migration that made the versions.
pub(crate) fn move_relations_version(connection: &mut Db, user: i64) -> Result<()> {
    let step = 1 + i64::from(rand::random::<u32>() >> 12);
    diesel::update(users::table.find(user))
        .set(users::relations_version.eq(users::relations_version + step))
        .named("move_relations_version")
        .execute(connection)?;
    Ok(())
}

/// An account with what its owner may change.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Serialize, ToSchema)]
pub struct OwnProfile {
    /// The user's id.
    #[schema(minimum = 1, example = 7)]
    pub id: i64,
    /// The user's name.
    #[schema(example = "anna")]
    pub username: String,
    /// As the user wrote it.
    pub email: String,
    /// Absolute, or null.
    #[schema(required = true, format = Uri)]
    pub profile_picture_url: Option<String>,
}

/// The account of `user`: one probe of the primary key.
///
/// # Errors
/// [`Error::UnknownCaller`] when it is gone.
pub fn own_profile(connection: &mut Db, user: i64) -> Result<OwnProfile> {
    let columns = (users::id, users::username, users::email, users::profile_picture_url);
    let found =
        users::table.find(user).select(columns).named("own_profile").get_result(connection).optional()?;
    found.ok_or(Error::UnknownCaller)
}

/// What is changed of an account: what is missing stays.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
pub struct AccountChange {
    /// 1 to 150 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::username)))]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 150, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$", example = "anna")]
    pub username: Option<Trimmed>,
    /// Absolute, http or https, at most 2,048 bytes; null takes it off.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(inner(custom(rules::http_url))))]
    #[schema(value_type = Option<String>, format = Uri, pattern = r"^https?://", max_length = 2048, example = "https://images.example.org/anna.jpg")]
    pub profile_picture_url: Option<Option<Trimmed>>,
    /// 8 to 128 characters; not trimmed. Needs the one it replaces.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(8, 128))))]
    #[schema(value_type = String, required = false, min_length = 8, max_length = 128, pattern = r"^\s*\S[^\u0000]{6,}\S\s*$")]
    pub password: Option<String>,
    /// The password that is replaced.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(skip)]
    #[schema(value_type = String, required = false)]
    pub current_password: Option<String>,
}

/// Changes the account of `user`; passwords are checked and hashed while no connection is held.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule and for a wrong `current_password`, [`Error::Taken`] for a
/// username in use, [`Error::UnknownCaller`].
pub fn update(database: &Database, user: i64, change: &AccountChange) -> Result<OwnProfile> {
    change.validate()?;
    let hashes =
        change.password.as_ref().map(|new| replace_password(database, user, change, new)).transpose()?;
    database.write(|connection| {
        lock(connection, user)?;
        if let Some((checked, _)) = &hashes {
            let current: String = users::table
                .find(user)
                .select(users::password_hash)
                .named("password_again")
                .get_result(connection)?;
            // Replaced by somebody else since it was checked.
            if *checked != current {
                return Err(wrong_current_password());
            }
        }
        // Only what is changed: a name or picture that is written moves the version of everybody's feeds.
        let changed = (
            change.username.as_ref().map(|name| users::username.eq(name.as_ref())),
            change
                .profile_picture_url
                .as_ref()
                .map(|url| users::profile_picture_url.eq(url.as_ref().map(AsRef::as_ref))),
            hashes.as_ref().map(|(_, new)| users::password_hash.eq(new)),
        );
        if matches!(changed, (None, None, None)) {
            return own_profile(connection, user);
        }
        let updated =
            diesel::update(users::table.find(user)).set(changed).named("account_change").execute(connection);
        match updated {
            Err(error) if Error::is_duplicate(&error) => Err(Error::Taken("username")),
            Err(error) => Err(error.into()),
            Ok(_) => {
                if let Some(name) = &change.username {
                    text::write_user(connection, UserText::new(user, name.as_ref()))?;
                }
                own_profile(connection, user)
            }
        }
    })
}

/// The hash that the current password was checked against, and that of the new one.
fn replace_password(
    database: &Database,
    user: i64,
    change: &AccountChange,
    new: &str,
) -> Result<(String, String)> {
    let Some(current) = &change.current_password else {
        return Err(Error::invalid("current_password", "must be given together with password"));
    };
    let hash: Option<String> = database.read(|connection| {
        Ok(users::table
            .find(user)
            .select(users::password_hash)
            .named("password")
            .get_result(connection)
            .optional()?)
    })?;
    let hash = hash.ok_or(Error::UnknownCaller)?;
    if !password::matches(current, Some(&hash)) {
        return Err(wrong_current_password());
    }
    let new = password::hash(new)?;
    Ok((hash, new))
}

fn wrong_current_password() -> Error {
    Error::invalid("current_password", "is not the password of this account")
}

/// Deletes the account of `user` with all that is theirs, in a transaction of the caller's.
///
/// In this order, and at no time with a sweep or another deletion: nobody else takes locks on rows of several users, so
/// that no two transactions wait for each other.
///
/// # Errors
/// [`Error::UnknownCaller`] when it is gone already.
pub fn delete(connection: &mut Db, user: i64) -> Result<()> {
    connection.exclude_other_bulk_changes()?;
    lock(connection, user)?;
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

fn email_key(email: &str) -> String {
    email.to_lowercase()
}
