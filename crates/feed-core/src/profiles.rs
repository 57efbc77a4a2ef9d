//! Public profiles of users.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::{Db, Engine};
use crate::error::{Error, Result};
use crate::feed::{self, AccessPath, Feed, Listing};
use crate::page::{COUNT_LIMIT, Count};
use crate::sql::{Statement, Value, seek};

/// A user as everybody sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Profile {
    /// The user's id.
    #[schema(minimum = 1, example = 7)]
    pub id: i64,
    /// The user's name.
    #[schema(example = "anna")]
    pub username: String,
    /// The absolute URL of the profile picture, or null.
    #[schema(required = true, format = Uri)]
    pub profile_picture_url: Option<String>,
    /// The number of followers, counted up to 1,000.
    #[schema(minimum = 0, maximum = 1000)]
    pub followers_count: u32,
    /// False if there are more than 1,000 followers.
    pub followers_count_exact: bool,
    /// The number of flyers that are valid now, counted up to 1,000.
    #[schema(minimum = 0, maximum = 1000)]
    pub flyers_count: u32,
    /// False if there are more than 1,000 flyers.
    pub flyers_count_exact: bool,
    /// Whether the caller follows this user; null for anonymous callers.
    #[schema(required = true)]
    pub is_following: Option<bool>,
}

/// The columns of [`query`].
pub type ProfileColumns = (Text, Nullable<Text>, Bool, BigInt);

/// A user's name and picture, whether `viewer` follows them, and their number of followers.
///
/// It counts at most one more than [`crate::page::COUNT_LIMIT`] followers.
#[must_use]
pub fn query(engine: Engine, user: i64, viewer: Option<i64>) -> Statement<ProfileColumns> {
    let limit = COUNT_LIMIT + 1;
    Statement::new(
        format!(
            "SELECT u.username, u.profile_picture_url, coalesce((SELECT TRUE FROM follows w \
             WHERE w.follower_id = :viewer AND w.followed_id = u.id LIMIT 1), FALSE), (SELECT count(*) FROM (\
             SELECT 1 FROM follows w WHERE w.followed_id = {} ORDER BY w.created_at DESC LIMIT {limit}) w) \
             FROM users u WHERE u.id = :user",
            seek(engine, ":user")
        ),
        &[("user", Value::Int(user)), ("viewer", Value::Int(viewer.unwrap_or_default()))],
    )
    .named("profile")
}

/// Loads the profile of a user, as `viewer` sees it: two SELECTs, each with a capped count over an index.
///
/// # Errors
/// [`Error::NotFound`] when there is no such user.
pub fn load(connection: &mut Db, user: i64, viewer: Option<i64>, now: NaiveDateTime) -> Result<Profile> {
    let row: Option<(String, Option<String>, bool, i64)> =
        query(connection.engine(), user, viewer).get_result(connection).optional()?;
    let (username, profile_picture_url, is_following, followers) = row.ok_or(Error::NotFound("user"))?;
    let listing = Listing::from(Feed::Creator { creator: user, viewer: None });
    let flyers: i64 =
        feed::count_query(connection.engine(), &listing, now, AccessPath::Feed).get_result(connection)?;
    let (followers, flyers) = (Count::from(followers), Count::from(flyers));
    Ok(Profile {
        id: user,
        username,
        profile_picture_url,
        followers_count: followers.value,
        followers_count_exact: followers.exact,
        flyers_count: flyers.value,
        flyers_count_exact: flyers.exact,
        is_following: viewer.map(|_| is_following),
    })
}
