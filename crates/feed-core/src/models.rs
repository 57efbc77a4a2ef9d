//! Row types of the tables.
//!
//! Inserts write every column (`treat_none_as_default_value = false`), because COPY does not apply defaults.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::schema::{favorites, flyers, follows, users};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Identifiable, Insertable)]
#[diesel(table_name = users, treat_none_as_default_value = false)]
pub struct User {
    /// The id. It is never used again, not even after a deletion.
    pub id: i64,
    /// The e-mail address, as the user wrote it.
    pub email: String,
    /// The e-mail address in lower case: unique.
    pub email_key: String,
    /// The user's name: unique.
    pub username: String,
    /// The argon2id hash in the PHC string format.
    pub password_hash: String,
    /// The absolute http or https URL of the profile picture.
    pub profile_picture_url: Option<String>,
    /// The time of registration in UTC.
    pub created_at: NaiveDateTime,
    /// A version that every change of the user's favorites and follows moves: see [`crate::validator`].
    pub relations_version: i64,
    /// The key that the account's tokens contain: see [`crate::users::Identity`].
    pub token_key: i64,
    /// How often an operator lifted the limit of failed sign-ins: see [`crate::attempts`].
    pub lifts: i32,
}

/// A digital flyer.
#[derive(Debug, Clone, PartialEq, Queryable, Identifiable, Insertable)]
#[diesel(table_name = flyers, treat_none_as_default_value = false)]
pub struct Flyer {
    /// The id. Ids ascend in the order of publication.
    pub id: i64,
    /// The user who published the flyer.
    pub creator_id: i64,
    /// The title: 1 to 200 characters.
    pub title: String,
    /// The text: at most 2,000 characters.
    pub description: String,
    /// The address: 1 to 500 characters.
    pub location_address: String,
    /// The latitude in WGS 84 degrees.
    pub latitude: f64,
    /// The longitude in WGS 84 degrees.
    pub longitude: f64,
    /// The flyer's categories.
    #[diesel(serialize_as = i16, deserialize_as = i16)]
    pub categories: Categories,
    /// The time, in UTC, from which feeds show the flyer.
    pub valid_from: NaiveDateTime,
    /// The time, in UTC, before which feeds show the flyer.
    pub valid_until: NaiveDateTime,
    /// The time of publication in UTC and whole seconds. It never changes.
    pub created_at: NaiveDateTime,
    /// Whether the sweeper has marked the flyer as expired. No feed shows it then.
    pub expired: bool,
}

/// A user's favorite.
// It has copies of the flyer's columns that the feed of favorites filters and sorts by. Triggers in the database update
// them when the flyer changes. The doc comment does not say so, because it becomes text of the OpenAPI document.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize, ToSchema)]
#[diesel(table_name = favorites, treat_none_as_default_value = false)]
pub struct Favorite {
    /// The id of the user who favorited the flyer.
    #[schema(minimum = 1)]
    pub user_id: i64,
    /// The flyer's id.
    #[schema(minimum = 1)]
    pub flyer_id: i64,
    /// When the flyer was favorited, in UTC with microseconds.
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

/// The columns of a flyer that a favorite copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = flyers)]
pub struct FlyerCopy {
    /// The flyer's id.
    pub id: i64,
    /// The flyer's `created_at`, in UTC and whole seconds.
    pub created_at: NaiveDateTime,
    /// The flyer's `valid_from`, in UTC.
    pub valid_from: NaiveDateTime,
    /// The flyer's `valid_until`, in UTC.
    pub valid_until: NaiveDateTime,
    /// The flyer's categories.
    #[diesel(deserialize_as = i16)]
    pub categories: Categories,
    /// Whether the sweeper has marked the flyer as expired.
    pub expired: bool,
}

impl FlyerCopy {
    /// A favorite of `user` for this flyer, created at `created_at`.
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

/// A follow: a user follows a creator.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize, ToSchema)]
#[diesel(table_name = follows, treat_none_as_default_value = false)]
pub struct Follow {
    /// The id of the user who follows.
    #[schema(minimum = 1)]
    pub follower_id: i64,
    /// The id of the creator who is followed.
    #[schema(minimum = 1)]
    pub followed_id: i64,
    /// When the follow began, in UTC with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
}

/// A category of flyers.
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
    /// All categories, in the order in which JSON lists them.
    pub const ALL: [Self; 3] = [Self::Events, Self::Nightlife, Self::Service];

    /// The name in JSON and in query parameters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Nightlife => "nightlife",
            Self::Service => "service",
        }
    }

    /// The category with this name.
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

/// A set of categories.
// The database stores it as bits. The doc comment does not say so, because it becomes text of the OpenAPI document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(from = "Vec<Category>", into = "Vec<Category>")]
#[schema(value_type = Vec<Category>)]
pub struct Categories(i16);

impl Categories {
    /// Whether the set is empty.
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
