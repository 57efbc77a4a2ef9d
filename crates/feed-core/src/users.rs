//! Accounts: registration, sign-in, profile changes, tokens, password resets and deletion.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use garde::Validate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::attempts::{Attempts, Subject};
use crate::db::{Database, Db};
use crate::error::{Error, Result};
use crate::models::User;
use crate::password;
use crate::rules::{self, Trimmed};
use crate::schema::{favorites, flyers, follows, user_texts, users};
use crate::sql::Name as _;
use crate::text::{self, UserText};

/// The identity in a token: an account id and the account's token key.
///
/// The id alone proves nothing. After a restore from a backup, ids are assigned again. And an account that changes its
/// key revokes all of its tokens. So every operation for a caller compares the key, in the statement that reads the
/// caller's row anyway: [`require`], [`own_profile`], [`crate::validator::current`], and every write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The account's id.
    pub id: i64,
    /// The account's token key: 64 random bits.
    pub key: i64,
}

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
    #[schema(value_type = Option<String>, min_length = 1, max_length = 150, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$", example = "anna")]
    pub username: Option<Trimmed>,
}

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
    key: i64,
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

fn local_part(email: &str) -> &str {
    email.split('@').next().unwrap_or(email)
}

fn numbered(local: &str, n: u32) -> String {
    if n == 1 { local.to_owned() } else { format!("{local}{n}") }
}

/// Finds the account with these credentials. An unknown e-mail takes as long as a wrong password.
///
/// No connection is held while the password is checked. `holder` is who the caller's token names, even an expired one. It
/// decides which failure counter applies: see [`crate::attempts`]. A token that the account has ended makes nobody its
/// holder. Otherwise whoever stole one could lock the owner out.
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

/// Selects the caller's row: none if the account was deleted or has another token key.
#[diesel::dsl::auto_type(no_type_alias)]
fn row_of(caller: Identity) -> _ {
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

/// Checks that a user exists: one probe of the primary key.
///
/// # Errors
/// [`Error::NotFound`] when the user does not exist.
pub(crate) fn exists(connection: &mut Db, user: i64) -> Result<()> {
    let found: Option<i64> =
        users::table.find(user).select(users::id).named("user_is_there").get_result(connection).optional()?;
    found.map(|_| ()).ok_or(Error::NotFound("user"))
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

/// Moves the version of a user's favorites and follows. It must run in the transaction that changes them.
///
/// The step is random: see the migration that created the versions.
pub(crate) fn move_relations_version(connection: &mut Db, user: i64) -> Result<()> {
    let step = 1 + i64::from(rand::random::<u32>() >> 12);
    diesel::update(users::table.find(user))
        .set(users::relations_version.eq(users::relations_version + step))
        .named("move_relations_version")
        .execute(connection)?;
    Ok(())
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

/// A change of an account. Missing fields stay as they are.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
pub struct AccountChange {
    /// The new name: 1 to 150 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::username)))]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 150, pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$", example = "anna")]
    pub username: Option<Trimmed>,
    /// An absolute http or https URL of at most 2,048 bytes; null removes the picture.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(inner(custom(rules::http_url))))]
    #[schema(value_type = Option<String>, format = Uri, pattern = r"^https?://", max_length = 2048, example = "https://images.example.org/anna.jpg")]
    pub profile_picture_url: Option<Option<Trimmed>>,
    /// 8 to 128 characters, not trimmed. It must not be a common password, nor the account's e-mail or name.
    /// `current_password` is required with it.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(8, 128)), custom(rules::uncommon)))]
    #[schema(value_type = String, required = false, min_length = 8, max_length = 128, pattern = r"^\s*\S[^\u0000]{6,}\S\s*$")]
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

/// Refuses a password that is the account's e-mail, the part of the e-mail before the @, or the name.
fn refuse_own(password: &str, own: [Option<&str>; 2]) -> Result<()> {
    let password = password::compared(password);
    let is_own = |text: &str| {
        let is_same = |text| password::compared(text) == password;
        is_same(text) || is_same(local_part(text))
    };
    if own.into_iter().flatten().any(is_own) {
        return Err(Error::invalid("password", "must not be the e-mail or the name of the account"));
    }
    Ok(())
}

fn wrong_current_password() -> Error {
    Error::invalid("current_password", "is not the password of this account")
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

/// Deletes the account of `caller` with everything that belongs to it. It must run in a transaction.
///
/// The order of the deletions matters, and no sweep or other deletion runs at the same time. No other transaction locks
/// rows of several users, so no deadlock can arise.
///
/// # Errors
/// [`Error::UnknownCaller`] if the account was already deleted or the token has been revoked.
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

fn email_key(email: &str) -> String {
    email.to_lowercase()
}
