//! The rows of the tables.
//!
//! Each has a value for every column (`treat_none_as_default_value = false`): COPY knows no defaults.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{favorites, flyers, follows, users};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Identifiable, Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub struct User {
    /// Never given twice, not even after a deletion.
    pub id: i64,
    /// As the user wrote it.
    pub email: String,
    /// In lower case: unique.
    pub email_key: String,
    /// Unique.
    pub username: String,
    /// Argon2id, in the PHC string format.
    pub password_hash: String,
    /// Absolute, http or https.
    pub profile_picture_url: Option<String>,
    /// UTC.
    pub created_at: NaiveDateTime,
    /// Moved by every change of their favorites and follows: see [`crate::validator`].
    pub relations_version: i64,
    /// What the account's tokens carry: see [`crate::users::Identity`].
    pub token_key: i64,
    /// How often an operator lifted the limit of failed sign-ins: see [`crate::attempts`].
    pub lifts: i32,
}

/// A digital flyer.
#[derive(Debug, Clone, PartialEq, Queryable, Identifiable, Insertable)]
#[diesel(table_name = flyers, treat_none_as_default_value = false)]
pub struct Flyer {
    /// Ascending with the order of publication.
    pub id: i64,
    /// The user who published it.
    pub creator_id: i64,
    /// 1 to 200 characters.
    pub title: String,
    /// At most 2,000 characters.
    pub description: String,
    /// 1 to 500 characters.
    pub location_address: String,
    /// WGS 84 degrees.
    pub latitude: f64,
    /// WGS 84 degrees.
    pub longitude: f64,
    /// What it is about.
    #[diesel(serialize_as = i16, deserialize_as = i16)]
    pub categories: Categories,
    /// Shown in feeds from this moment on; UTC.
    pub valid_from: NaiveDateTime,
    /// And before this one; UTC.
    pub valid_until: NaiveDateTime,
    /// UTC, in whole seconds, and never changed.
    pub created_at: NaiveDateTime,
    /// Marked by the sweeper as over: in no feed.
    pub expired: bool,
}

/// A user's favorite, with copies of all that its feed asks of the flyer.
///
/// The database keeps the copies as the flyer is.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize, ToSchema)]
#[diesel(table_name = favorites, treat_none_as_default_value = false)]
pub struct Favorite {
    /// Whose it is.
    #[schema(minimum = 1)]
    pub user_id: i64,
    /// The flyer.
    #[schema(minimum = 1)]
    pub flyer_id: i64,
    /// UTC, with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
    /// The flyer's `created_at`.
    #[serde(skip)]
    #[schema(ignore)]
    pub flyer_created_at: NaiveDateTime,
    /// The flyer's `valid_from`.
    #[serde(skip)]
    #[schema(ignore)]
    pub flyer_valid_from: NaiveDateTime,
    /// The flyer's `valid_until`.
    #[serde(skip)]
    #[schema(ignore)]
    pub flyer_valid_until: NaiveDateTime,
    /// The flyer's `categories`.
    #[serde(skip)]
    #[schema(ignore)]
    #[diesel(serialize_as = i16, deserialize_as = i16)]
    pub flyer_categories: Categories,
    /// The flyer's `expired`.
    #[serde(skip)]
    #[schema(ignore)]
    pub flyer_expired: bool,
}

/// What a favorite copies of its flyer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = flyers)]
pub struct FlyerCopy {
    /// The flyer's id.
    pub id: i64,
    /// UTC, in whole seconds.
    pub created_at: NaiveDateTime,
    /// UTC.
    pub valid_from: NaiveDateTime,
    /// UTC.
    pub valid_until: NaiveDateTime,
    /// What it is about.
    #[diesel(deserialize_as = i16)]
    pub categories: Categories,
    /// Whether the sweeper marked it.
    pub expired: bool,
}

impl FlyerCopy {
    /// The favorite of `user` that was made of this flyer at `created_at`.
    #[must_use]
    pub fn favorite_of(self, user: i64, created_at: NaiveDateTime) -> Favorite {
        Favorite {
            user_id: user,
            flyer_id: self.id,
            created_at,
            flyer_created_at: self.created_at,
            flyer_valid_from: self.valid_from,
            flyer_valid_until: self.valid_until,
            flyer_categories: self.categories,
            flyer_expired: self.expired,
        }
    }
}

impl From<&Flyer> for FlyerCopy {
    fn from(flyer: &Flyer) -> Self {
        Self {
            id: flyer.id,
            created_at: flyer.created_at,
            valid_from: flyer.valid_from,
            valid_until: flyer.valid_until,
            categories: flyer.categories,
            expired: flyer.expired,
        }
    }
}

/// A user who follows a creator.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize, ToSchema)]
#[diesel(table_name = follows, treat_none_as_default_value = false)]
pub struct Follow {
    /// Who follows.
    #[schema(minimum = 1)]
    pub follower_id: i64,
    /// Who is followed: never the same.
    #[schema(minimum = 1)]
    pub followed_id: i64,
    /// UTC, with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
}

/// What a flyer can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Concerts, markets, talks.
    Events,
    /// Bars and clubs.
    Nightlife,
    /// Shops, bakeries, repairs.
    Service,
}

impl Category {
    /// All, in the order in which they are listed.
    pub const ALL: [Self; 3] = [Self::Events, Self::Nightlife, Self::Service];

    /// As JSON and queries spell it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Nightlife => "nightlife",
            Self::Service => "service",
        }
    }

    /// The category of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|c| c.name() == name)
    }

    fn bit(self) -> i16 {
        match self {
            Self::Events => 1,
            Self::Nightlife => 2,
            Self::Service => 4,
        }
    }
}

/// A set of categories, stored as bits; in JSON a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(from = "Vec<Category>", into = "Vec<Category>")]
#[schema(value_type = Vec<Category>)]
pub struct Categories(i16);

impl Categories {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl From<Vec<Category>> for Categories {
    fn from(list: Vec<Category>) -> Self {
        Self(list.into_iter().fold(0, |bits, category| bits | category.bit()))
    }
}

impl From<Categories> for Vec<Category> {
    fn from(set: Categories) -> Self {
        Category::ALL.into_iter().filter(|c| set.0 & c.bit() != 0).collect()
    }
}

impl From<i16> for Categories {
    fn from(bits: i16) -> Self {
        Self(bits)
    }
}

impl From<Categories> for i16 {
    fn from(set: Categories) -> Self {
        set.0
    }
}
