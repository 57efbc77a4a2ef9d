//! The rows of the tables.
//!
//! Each has a value for every column (`treat_none_as_default_value = false`): COPY knows no defaults.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::feed::CardRow;
use crate::schema::{favorites, flyer_images, flyers, follows, users};

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
}

/// An image of a flyer.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Identifiable, Associations, Insertable, Selectable)]
#[diesel(table_name = flyer_images, primary_key(flyer_id, position), belongs_to(CardRow, foreign_key = flyer_id), treat_none_as_default_value = false)]
pub struct FlyerImage {
    /// Its flyer.
    pub flyer_id: i64,
    /// 1 to 5, in the order that the creator gave.
    pub position: i16,
    /// Absolute, http or https.
    pub url: String,
}

/// A user's favorite.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize)]
#[diesel(table_name = favorites, treat_none_as_default_value = false)]
pub struct Favorite {
    /// Whose it is.
    pub user_id: i64,
    /// The flyer.
    pub flyer_id: i64,
    /// UTC, with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
    /// The flyer's `created_at`.
    #[serde(skip)]
    pub flyer_created_at: NaiveDateTime,
}

/// A user who follows a creator.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Insertable, Serialize)]
#[diesel(table_name = follows, treat_none_as_default_value = false)]
pub struct Follow {
    /// Who follows.
    pub follower_id: i64,
    /// Who is followed: never the same.
    pub followed_id: i64,
    /// UTC, with microseconds.
    #[serde(serialize_with = "crate::clock::serialize_utc_micros")]
    pub created_at: NaiveDateTime,
}

/// What a flyer can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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

    fn bit(self) -> i16 {
        match self {
            Self::Events => 1,
            Self::Nightlife => 2,
            Self::Service => 4,
        }
    }
}

/// A set of categories, stored as bits; in JSON a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Category>", into = "Vec<Category>")]
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
