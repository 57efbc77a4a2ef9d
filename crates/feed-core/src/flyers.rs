//! Publishing, changing and taking back flyers.

use chrono::{Months, NaiveDateTime, SubsecRound};
use diesel::prelude::*;
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::feed::FlyerImage;
use crate::models::{Categories, Category, Flyer};
use crate::rules::{self, Trimmed};
use crate::schema::{flyer_images, flyer_texts, flyers};
use crate::sql::Name as _;
use crate::text::{self, FlyerText};

/// What a new flyer is made of. Text is trimmed.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct NewFlyer {
    /// 1 to 200 characters.
    #[garde(custom(rules::characters(1, 200)))]
    #[schema(value_type = String, min_length = 1, max_length = 200, pattern = r"^[^\u0000]*\S[^\u0000]*$", example = "Fresh bread")]
    pub title: Trimmed,
    /// At most 2,000 characters.
    #[garde(custom(rules::characters(0, 2_000)))]
    #[schema(value_type = String, max_length = 2000, pattern = r"^[^\u0000]*$", example = "Every day from six.")]
    pub description: Trimmed,
    /// 1 to 500 characters.
    #[garde(custom(rules::characters(1, 500)))]
    #[schema(value_type = String, min_length = 1, max_length = 500, pattern = r"^[^\u0000]*\S[^\u0000]*$", example = "Bahnhofstrasse 1, Zürich")]
    pub location_address: Trimmed,
    /// WGS 84 degrees.
    #[garde(custom(rules::degrees(90.0)))]
    #[schema(minimum = -90, maximum = 90, example = 47.3769)]
    pub latitude: f64,
    /// WGS 84 degrees.
    #[garde(custom(rules::degrees(180.0)))]
    #[schema(minimum = -180, maximum = 180, example = 8.5417)]
    pub longitude: f64,
    /// At most a year ahead.
    #[serde(deserialize_with = "rules::utc")]
    #[garde(skip)]
    #[schema(value_type = DateTime<Utc>, example = "2026-01-01T06:00:00Z")]
    pub valid_from: NaiveDateTime,
    /// After `valid_from`.
    #[serde(deserialize_with = "rules::utc")]
    #[garde(custom(rules::after(self.valid_from)))]
    #[schema(value_type = DateTime<Utc>, example = "2035-12-31T18:00:00Z")]
    pub valid_until: NaiveDateTime,
    /// 1 to 3.
    #[garde(custom(rules::entries(1, 3)))]
    #[schema(min_items = 1, max_items = 3, example = json!(["service"]))]
    pub categories: Vec<Category>,
    /// 1 to 5, in order.
    #[garde(custom(rules::entries(1, 5)), dive)]
    #[schema(min_items = 1, max_items = 5)]
    pub images: Vec<NewImage>,
}

/// An image of a new flyer.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct NewImage {
    /// Absolute, http or https, at most 2,048 bytes.
    #[garde(custom(rules::http_url))]
    #[schema(value_type = String, format = Uri, pattern = r"^https?://", max_length = 2048, example = "https://images.example.org/bread.jpg")]
    pub url: Trimmed,
}

/// What is changed of a flyer: what is missing stays.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
pub struct FlyerChange {
    /// 1 to 200 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(1, 200))))]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 200, pattern = r"^[^\u0000]*\S[^\u0000]*$", example = "Fresh bread")]
    pub title: Option<Trimmed>,
    /// At most 2,000 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(0, 2_000))))]
    #[schema(value_type = String, required = false, max_length = 2000, pattern = r"^[^\u0000]*$", example = "Every day from six.")]
    pub description: Option<Trimmed>,
    /// 1 to 500 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(1, 500))))]
    #[schema(value_type = String, required = false, min_length = 1, max_length = 500, pattern = r"^[^\u0000]*\S[^\u0000]*$", example = "Bahnhofstrasse 1, Zürich")]
    pub location_address: Option<Trimmed>,
    /// WGS 84 degrees.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::degrees(90.0))))]
    #[schema(value_type = f64, required = false, minimum = -90, maximum = 90, example = 47.3769)]
    pub latitude: Option<f64>,
    /// WGS 84 degrees.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::degrees(180.0))))]
    #[schema(value_type = f64, required = false, minimum = -180, maximum = 180, example = 8.5417)]
    pub longitude: Option<f64>,
    /// At most a year ahead.
    #[serde(default, deserialize_with = "rules::given_utc")]
    #[garde(skip)]
    #[schema(value_type = DateTime<Utc>, required = false, example = "2026-01-01T06:00:00Z")]
    pub valid_from: Option<NaiveDateTime>,
    /// After `valid_from`, be it given too or as it was.
    #[serde(default, deserialize_with = "rules::given_utc")]
    #[garde(skip)]
    #[schema(value_type = DateTime<Utc>, required = false, example = "2035-12-31T18:00:00Z")]
    pub valid_until: Option<NaiveDateTime>,
    /// 1 to 3.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::entries(1, 3))))]
    #[schema(value_type = Vec<Category>, required = false, min_items = 1, max_items = 3, example = json!(["service"]))]
    pub categories: Option<Vec<Category>>,
    /// 1 to 5, in order, in the place of all there were.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(custom(rules::some_entries(1, 5)), dive)]
    #[schema(value_type = Vec<NewImage>, required = false, min_items = 1, max_items = 5)]
    pub images: Option<Vec<NewImage>>,
}

/// Publishes a flyer of `creator`, in a transaction of the caller's, and returns its id.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule, [`Error::UnknownCaller`].
pub fn publish(connection: &mut Db, creator: i64, flyer: &NewFlyer, now: NaiveDateTime) -> Result<i64> {
    flyer.validate()?;
    begins_within_a_year(flyer.valid_from, now)?;
    crate::users::lock(connection, creator)?;
    let created_at = now.trunc_subsecs(0);
    let id: i64 = diesel::insert_into(flyers::table)
        .values((
            flyers::creator_id.eq(creator),
            flyers::title.eq(flyer.title.as_ref()),
            flyers::description.eq(flyer.description.as_ref()),
            flyers::location_address.eq(flyer.location_address.as_ref()),
            flyers::latitude.eq(flyer.latitude),
            flyers::longitude.eq(flyer.longitude),
            flyers::categories.eq(i16::from(Categories::from(flyer.categories.clone()))),
            flyers::valid_from.eq(flyer.valid_from),
            flyers::valid_until.eq(flyer.valid_until),
            flyers::created_at.eq(created_at),
        ))
        .returning(flyers::id)
        .named("publish")
        .get_result(connection)?;
    let text = text::of_flyer(&flyer.title.0, &flyer.description.0, &flyer.location_address.0);
    diesel::insert_into(flyer_texts::table)
        .values(FlyerText { flyer_id: id, created_at, text })
        .named("publish_text")
        .execute(connection)?;
    insert_images(connection, id, &flyer.images)?;
    Ok(id)
}

fn insert_images(connection: &mut Db, flyer_id: i64, images: &[NewImage]) -> Result<()> {
    for (position, image) in (1..).zip(images) {
        diesel::insert_into(flyer_images::table)
            .values(FlyerImage { flyer_id, position, url: image.url.0.clone() })
            .named("flyer_image")
            .execute(connection)?;
    }
    Ok(())
}

fn begins_within_a_year(valid_from: NaiveDateTime, now: NaiveDateTime) -> Result<()> {
    if valid_from > now.checked_add_months(Months::new(12)).unwrap_or(NaiveDateTime::MAX) {
        return Err(Error::invalid("valid_from", "must lie at most a year ahead"));
    }
    Ok(())
}

/// Changes a flyer of `caller`, in a transaction of the caller's.
///
/// A change of the validity takes the mark off that a sweep may have set: a flyer with it is in no feed.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule, alone or with what stays; [`Error::NotFound`],
/// [`Error::NotOwner`], [`Error::UnknownCaller`].
pub fn update(
    connection: &mut Db,
    caller: i64,
    flyer_id: i64,
    change: &FlyerChange,
    now: NaiveDateTime,
) -> Result<()> {
    change.validate()?;
    crate::users::lock(connection, caller)?;
    let mut flyer = own(connection, caller, flyer_id)?;
    if let Some(valid_from) = change.valid_from {
        begins_within_a_year(valid_from, now)?;
        flyer.valid_from = valid_from;
    }
    if let Some(valid_until) = change.valid_until {
        flyer.valid_until = valid_until;
        flyer.expired = false;
    }
    if flyer.valid_from >= flyer.valid_until {
        return Err(match change.valid_until {
            Some(_) => Error::invalid("valid_until", "must lie after valid_from"),
            None => Error::invalid("valid_from", "must lie before valid_until"),
        });
    }
    let categories = change.categories.clone().map_or(flyer.categories, Categories::from);
    let new_text =
        |changed: &Option<Trimmed>, old: String| changed.as_ref().map_or(old, |text| text.0.clone());
    flyer.title = new_text(&change.title, flyer.title);
    flyer.description = new_text(&change.description, flyer.description);
    flyer.location_address = new_text(&change.location_address, flyer.location_address);
    diesel::update(flyers::table.find(flyer_id))
        .set((
            flyers::title.eq(&flyer.title),
            flyers::description.eq(&flyer.description),
            flyers::location_address.eq(&flyer.location_address),
            flyers::latitude.eq(change.latitude.unwrap_or(flyer.latitude)),
            flyers::longitude.eq(change.longitude.unwrap_or(flyer.longitude)),
            flyers::categories.eq(i16::from(categories)),
            flyers::valid_from.eq(flyer.valid_from),
            flyers::valid_until.eq(flyer.valid_until),
            flyers::expired.eq(flyer.expired),
        ))
        .named("flyer_change")
        .execute(connection)?;
    if change.title.is_some() || change.description.is_some() || change.location_address.is_some() {
        text::write_flyer(connection, FlyerText::from(&flyer))?;
    }
    if let Some(images) = &change.images {
        diesel::delete(flyer_images::table.filter(flyer_images::flyer_id.eq(flyer_id)))
            .named("flyer_images_anew")
            .execute(connection)?;
        insert_images(connection, flyer_id, images)?;
    }
    Ok(())
}

/// A flyer of `caller`, which nobody else changes until the transaction ends.
fn own(connection: &mut Db, caller: i64, flyer_id: i64) -> Result<Flyer> {
    let row = flyers::table.find(flyer_id);
    let flyer: Option<Flyer> = match connection {
        // The transaction holds the only write lock already.
        Db::Sqlite(c) => row.named("own_flyer").get_result(c).optional()?,
        Db::Postgres(c) => row.for_update().named("own_flyer").get_result(c).optional()?,
    };
    match flyer {
        None => Err(Error::NotFound("flyer")),
        Some(flyer) if flyer.creator_id != caller => Err(Error::NotOwner("flyer")),
        Some(flyer) => Ok(flyer),
    }
}

/// Deletes a flyer of `caller` with its images and favorites, in a transaction of the caller's.
///
/// # Errors
/// [`Error::NotFound`] when there is none, [`Error::NotOwner`] when it is another's,
/// [`Error::UnknownCaller`].
pub fn delete(connection: &mut Db, caller: i64, flyer_id: i64) -> Result<()> {
    crate::users::lock(connection, caller)?;
    own(connection, caller, flyer_id)?;
    diesel::delete(flyers::table.find(flyer_id)).named("flyer_deletion").execute(connection)?;
    Ok(())
}
