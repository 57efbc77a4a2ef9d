//! Flyers as feeds show them: the rows of a page and the cards that are made of them.

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, SmallInt, Text, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::models::Categories;
use crate::page::Position;
use crate::schema::{flyer_images, flyers};

/// A flyer as a feed shows it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FlyerCard {
    /// The flyer's id.
    #[schema(minimum = 1, example = 2000)]
    pub id: i64,
    /// The flyer's title.
    #[schema(example = "Fresh bread")]
    pub title: String,
    /// The flyer's text.
    #[schema(example = "Every day from six.")]
    pub description: String,
    /// Who published it.
    pub creator: Creator,
    /// 1 to 5, in order.
    #[schema(min_items = 1, max_items = 5)]
    pub images: Vec<Image>,
    /// What it is about.
    pub categories: Categories,
    /// Where it is, in words.
    #[schema(example = "Bahnhofstrasse 1, Zürich")]
    pub location_address: String,
    /// WGS 84 degrees.
    #[schema(minimum = -90, maximum = 90, example = 47.3769)]
    pub latitude: f64,
    /// WGS 84 degrees.
    #[schema(minimum = -180, maximum = 180, example = 8.5417)]
    pub longitude: f64,
    /// Kilometres from the viewer, rounded to two decimals; null without a location.
    #[schema(required = true, minimum = 0, example = 1.27)]
    pub distance_km: Option<f64>,
    /// UTC.
    #[serde(serialize_with = "crate::clock::serialize_utc")]
    pub valid_from: NaiveDateTime,
    /// UTC.
    #[serde(serialize_with = "crate::clock::serialize_utc")]
    pub valid_until: NaiveDateTime,
    /// Whether it is valid at the moment of the request.
    pub is_valid: bool,
    /// Whether the caller favorited it; null for anonymous callers.
    #[schema(required = true)]
    pub is_favorited: Option<bool>,
    /// UTC, whole seconds.
    #[serde(serialize_with = "crate::clock::serialize_utc")]
    pub created_at: NaiveDateTime,
}

/// A flyer's creator as a card shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Creator {
    /// The user's id.
    #[schema(minimum = 1, example = 7)]
    pub id: i64,
    /// The user's name.
    #[schema(example = "anna")]
    pub username: String,
    /// Absolute, or null.
    #[schema(required = true, format = Uri)]
    pub profile_picture_url: Option<String>,
    /// Whether the caller follows them; null for anonymous callers.
    #[schema(required = true)]
    pub is_following: Option<bool>,
}

/// An image as a card shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Image {
    /// Absolute.
    #[schema(format = Uri, example = "https://images.example.org/bread.jpg")]
    pub url: String,
    /// 1 to 5.
    #[schema(minimum = 1, maximum = 5)]
    pub order: i16,
}

/// The columns of [`page_query`](super::page_query), in the order of [`CardRow`]'s fields.
pub type CardColumns = (
    BigInt,
    Text,
    Text,
    Text,
    Double,
    Double,
    SmallInt,
    Timestamp,
    Timestamp,
    Timestamp,
    BigInt,
    Text,
    Nullable<Text>,
    Bool,
    Bool,
    Nullable<BigInt>,
    Timestamp,
);

/// The columns of [`images_query`](super::images_query).
pub type ImageColumns = (BigInt, SmallInt, Text);

/// A row of [`page_query`](super::page_query).
#[derive(Debug, Clone, PartialEq, Queryable, Identifiable)]
#[diesel(table_name = flyers)]
pub struct CardRow {
    pub(super) id: i64,
    title: String,
    description: String,
    location_address: String,
    latitude: f64,
    longitude: f64,
    categories: i16,
    valid_from: NaiveDateTime,
    valid_until: NaiveDateTime,
    created_at: NaiveDateTime,
    creator_id: i64,
    username: String,
    profile_picture_url: Option<String>,
    is_favorited: bool,
    is_following: bool,
    distance_mm: Option<i64>,
    sorted_at: NaiveDateTime,
}

impl CardRow {
    /// Where the row lies in the order of its list.
    pub(super) fn position(&self) -> Position {
        Position { at: self.sorted_at, distance: self.distance_mm.unwrap_or_default(), id: self.id }
    }

    /// The card of this row with its images, as `viewer` sees it at `now`.
    pub(super) fn into_card(
        self,
        images: Vec<FlyerImage>,
        viewer: Option<i64>,
        now: NaiveDateTime,
    ) -> FlyerCard {
        FlyerCard {
            id: self.id,
            title: self.title,
            description: self.description,
            creator: Creator {
                id: self.creator_id,
                username: self.username,
                profile_picture_url: self.profile_picture_url,
                is_following: viewer.map(|_| self.is_following),
            },
            images: images.into_iter().map(|i| Image { url: i.url, order: i.position }).collect(),
            categories: self.categories.into(),
            location_address: self.location_address,
            latitude: self.latitude,
            longitude: self.longitude,
            distance_km: self.distance_mm.map(kilometres),
            valid_from: self.valid_from,
            valid_until: self.valid_until,
            is_valid: self.valid_from <= now && now < self.valid_until,
            is_favorited: viewer.map(|_| self.is_favorited),
            created_at: self.created_at,
        }
    }
}

/// Two decimals, rounded half up from whole millimetres.
fn kilometres(mm: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "at most 2,002,000 hundredths")]
    let hundredths = ((mm + 5_000) / 10_000) as f64;
    hundredths / 100.0
}

/// An image of a flyer.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Identifiable, Associations, Insertable, Selectable)]
#[diesel(
    table_name = flyer_images,
    primary_key(flyer_id, position),
    belongs_to(CardRow, foreign_key = flyer_id),
    treat_none_as_default_value = false
)]
pub struct FlyerImage {
    /// Its flyer.
    pub flyer_id: i64,
    /// 1 to 5, in the order that the creator gave.
    pub position: i16,
    /// Absolute, http or https.
    pub url: String,
}
