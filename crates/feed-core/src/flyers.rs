//! Flyers: publishing, changing and deleting them.

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
use crate::users::Identity;

/// A new flyer. White space around texts is removed.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct NewFlyer {
    /// The title: 1 to 200 characters.
    #[garde(custom(rules::characters(1, 200)))]
    #[schema(
        value_type = String,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000]*\S[^\u0000]*$",
        example = "Fresh bread"
    )]
    pub title: Trimmed,
    /// The text: at most 2,000 characters.
    #[garde(custom(rules::characters(0, 2_000)))]
    #[schema(
        value_type = String,
        max_length = 2000,
        pattern = r"^[^\u0000]*$",
        example = "Every day from six."
    )]
    pub description: Trimmed,
    /// The address: 1 to 500 characters.
    #[garde(custom(rules::characters(1, 500)))]
    #[schema(
        value_type = String,
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000]*\S[^\u0000]*$",
        example = "Bahnhofstrasse 1, Zürich"
    )]
    pub location_address: Trimmed,
    /// The latitude in WGS 84 degrees.
    #[garde(custom(rules::degrees(90.0)))]
    #[schema(minimum = -90, maximum = 90, example = 47.3769)]
    pub latitude: f64,
    /// The longitude in WGS 84 degrees.
    #[garde(custom(rules::degrees(180.0)))]
    #[schema(minimum = -180, maximum = 180, example = 8.5417)]
    pub longitude: f64,
    /// When feeds begin to show the flyer: at most a year in the future.
    #[serde(deserialize_with = "rules::utc")]
    #[garde(skip)]
    #[schema(value_type = DateTime<Utc>, example = "2026-01-01T06:00:00Z")]
    pub valid_from: NaiveDateTime,
    /// When feeds stop showing the flyer: after `valid_from`.
    #[serde(deserialize_with = "rules::utc")]
    #[garde(custom(rules::after(self.valid_from)))]
    #[schema(value_type = DateTime<Utc>, example = "2035-12-31T18:00:00Z")]
    pub valid_until: NaiveDateTime,
    /// 1 to 3 categories.
    #[serde(deserialize_with = "rules::list::<1, 3, _, _>")]
    #[garde(custom(rules::entries(1, 3)))]
    #[schema(min_items = 1, max_items = 3, example = json!(["service"]))]
    pub categories: Vec<Category>,
    /// 1 to 5 images, in the order in which they are shown.
    #[serde(deserialize_with = "rules::list::<1, 5, _, _>")]
    #[garde(custom(rules::entries(1, 5)), dive)]
    #[schema(min_items = 1, max_items = 5)]
    pub images: Vec<NewImage>,
}

/// An image of a new flyer.
#[derive(Debug, Clone, Deserialize, Validate, ToSchema)]
pub struct NewImage {
    /// An absolute http or https URL of at most 2,048 bytes.
    #[garde(custom(rules::http_url))]
    #[schema(
        value_type = String,
        format = Uri,
        pattern = r"^https?://",
        max_length = 2048,
        example = "https://images.example.org/bread.jpg"
    )]
    pub url: Trimmed,
}

/// A change of a flyer. Missing fields stay as they are.
#[derive(Debug, Clone, Default, Deserialize, Validate, ToSchema)]
pub struct FlyerChange {
    /// The title: 1 to 200 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(1, 200))))]
    #[schema(
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 200,
        pattern = r"^[^\u0000]*\S[^\u0000]*$",
        example = "Fresh bread"
    )]
    pub title: Option<Trimmed>,
    /// The text: at most 2,000 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(0, 2_000))))]
    #[schema(
        value_type = String,
        required = false,
        max_length = 2000,
        pattern = r"^[^\u0000]*$",
        example = "Every day from six."
    )]
    pub description: Option<Trimmed>,
    /// The address: 1 to 500 characters.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::characters(1, 500))))]
    #[schema(
        value_type = String,
        required = false,
        min_length = 1,
        max_length = 500,
        pattern = r"^[^\u0000]*\S[^\u0000]*$",
        example = "Bahnhofstrasse 1, Zürich"
    )]
    pub location_address: Option<Trimmed>,
    /// The latitude in WGS 84 degrees.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::degrees(90.0))))]
    #[schema(value_type = f64, required = false, minimum = -90, maximum = 90, example = 47.3769)]
    pub latitude: Option<f64>,
    /// The longitude in WGS 84 degrees.
    #[serde(default, deserialize_with = "rules::given")]
    #[garde(inner(custom(rules::degrees(180.0))))]
    #[schema(value_type = f64, required = false, minimum = -180, maximum = 180, example = 8.5417)]
    pub longitude: Option<f64>,
    /// When feeds begin to show the flyer: at most a year in the future.
    #[serde(default, deserialize_with = "rules::given_utc")]
    #[garde(skip)]
    #[schema(value_type = DateTime<Utc>, required = false, example = "2026-01-01T06:00:00Z")]
    pub valid_from: Option<NaiveDateTime>,
    /// When feeds stop showing the flyer: after `valid_from`, whether that is changed too or stays.
    #[serde(default, deserialize_with = "rules::given_utc")]
    #[garde(skip)]
    #[schema(value_type = DateTime<Utc>, required = false, example = "2035-12-31T18:00:00Z")]
    pub valid_until: Option<NaiveDateTime>,
    /// 1 to 3.
    #[serde(default, deserialize_with = "rules::given_list::<1, 3, _, _>")]
    #[garde(inner(custom(rules::entries(1, 3))))]
    #[schema(
        value_type = Vec<Category>,
        required = false,
        min_items = 1,
        max_items = 3,
        example = json!(["service"])
    )]
    pub categories: Option<Vec<Category>>,
    /// 1 to 5 images, in the order in which they are shown. They replace all previous images.
    #[serde(default, deserialize_with = "rules::given_list::<1, 5, _, _>")]
    #[garde(custom(rules::some_entries(1, 5)), dive)]
    #[schema(value_type = Vec<NewImage>, required = false, min_items = 1, max_items = 5)]
    pub images: Option<Vec<NewImage>>,
}

/// Publishes a flyer of `caller`, and returns its id. It must run in a transaction.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule; [`Error::UnknownCaller`].
pub fn publish(connection: &mut Db, caller: Identity, flyer: &NewFlyer, now: NaiveDateTime) -> Result<i64> {
    flyer.validate()?;
    begins_within_a_year(flyer.valid_from, now)?;
    let creator = crate::users::lock(connection, caller)?;
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

/// Changes a flyer of `caller`. It must run in a transaction.
///
/// Nothing is written if nothing differs. A new `valid_until` clears the mark of an expired flyer, which would keep the
/// flyer out of all feeds.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule, alone or together with fields that stay; [`Error::NotFound`];
/// [`Error::NotOwner`]; [`Error::UnknownCaller`].
pub fn update(
    connection: &mut Db,
    caller: Identity,
    flyer_id: i64,
    change: &FlyerChange,
    now: NaiveDateTime,
) -> Result<()> {
    change.validate()?;
    let user = crate::users::lock(connection, caller)?;
    let before = own(connection, user, flyer_id)?;
    if let Some(valid_from) = change.valid_from {
        begins_within_a_year(valid_from, now)?;
    }
    let flyer = change.applied_to(&before);
    if flyer.valid_from >= flyer.valid_until {
        return Err(match change.valid_until {
            Some(_) => Error::invalid("valid_until", "must lie after valid_from"),
            None => Error::invalid("valid_from", "must lie before valid_until"),
        });
    }
    let images = match &change.images {
        Some(images) if !are_images(connection, flyer_id, images)? => Some(images),
        _ => None,
    };
    // Every write moves the version of everybody's feeds, even if it changes no value.
    if flyer == before && images.is_none() {
        return Ok(());
    }
    // Favorites have copies of these columns, so writing them also writes all favorites of the flyer.
    let copied =
        |flyer: &Flyer| (i16::from(flyer.categories), flyer.valid_from, flyer.valid_until, flyer.expired);
    let is_copied = copied(&flyer) != copied(&before);
    diesel::update(flyers::table.find(flyer_id))
        .set((
            // Always written, so that a change of the images alone moves the version too.
            flyers::title.eq(&flyer.title),
            flyers::description.eq(&flyer.description),
            flyers::location_address.eq(&flyer.location_address),
            flyers::latitude.eq(flyer.latitude),
            flyers::longitude.eq(flyer.longitude),
            is_copied.then_some((
                flyers::categories.eq(i16::from(flyer.categories)),
                flyers::valid_from.eq(flyer.valid_from),
                flyers::valid_until.eq(flyer.valid_until),
                flyers::expired.eq(flyer.expired),
            )),
        ))
        .named("flyer_change")
        .execute(connection)?;
    let texts = |flyer: &Flyer| text::of_flyer(&flyer.title, &flyer.description, &flyer.location_address);
    if texts(&flyer) != texts(&before) {
        text::write_flyer(connection, FlyerText::from(&flyer))?;
    }
    if let Some(images) = images {
        diesel::delete(flyer_images::table.filter(flyer_images::flyer_id.eq(flyer_id)))
            .named("flyer_images_anew")
            .execute(connection)?;
        insert_images(connection, flyer_id, images)?;
    }
    Ok(())
}

impl FlyerChange {
    /// The flyer after the change.
    fn applied_to(&self, before: &Flyer) -> Flyer {
        let text = |new: &Option<Trimmed>, old: &String| new.as_ref().map_or(old, |text| &text.0).clone();
        let valid_until = self.valid_until.unwrap_or(before.valid_until);
        Flyer {
            title: text(&self.title, &before.title),
            description: text(&self.description, &before.description),
            location_address: text(&self.location_address, &before.location_address),
            latitude: self.latitude.unwrap_or(before.latitude),
            longitude: self.longitude.unwrap_or(before.longitude),
            categories: self.categories.clone().map_or(before.categories, Categories::from),
            valid_from: self.valid_from.unwrap_or(before.valid_from),
            valid_until,
            expired: before.expired && valid_until == before.valid_until,
            ..*before
        }
    }
}

/// Whether the flyer has exactly these images.
fn are_images(connection: &mut Db, flyer_id: i64, images: &[NewImage]) -> Result<bool> {
    let urls: Vec<String> = flyer_images::table
        .filter(flyer_images::flyer_id.eq(flyer_id))
        .order(flyer_images::position)
        .select(flyer_images::url)
        .named("flyer_images_that_were")
        .load(connection)?;
    Ok(urls.iter().eq(images.iter().map(|image| &image.url.0)))
}

/// Loads and locks a flyer of `user`. No other transaction can change it until this one ends.
fn own(connection: &mut Db, user: i64, flyer_id: i64) -> Result<Flyer> {
    let row = flyers::table.find(flyer_id);
    let flyer: Option<Flyer> = match connection {
        // The transaction already holds the only write lock.
        Db::Sqlite(c) => row.named("own_flyer").get_result(c).optional()?,
        Db::Postgres(c) => row.for_update().named("own_flyer").get_result(c).optional()?,
    };
    match flyer {
        None => Err(Error::NotFound("flyer")),
        Some(flyer) if flyer.creator_id != user => Err(Error::NotOwner("flyer")),
        Some(flyer) => Ok(flyer),
    }
}

/// Deletes a flyer of `caller` with its images and favorites. It must run in a transaction.
///
/// # Errors
/// [`Error::NotFound`] when there is no such flyer; [`Error::NotOwner`] when it belongs to another user;
/// [`Error::UnknownCaller`].
pub fn delete(connection: &mut Db, caller: Identity, flyer_id: i64) -> Result<()> {
    let user = crate::users::lock(connection, caller)?;
    own(connection, user, flyer_id)?;
    diesel::delete(flyers::table.find(flyer_id)).named("flyer_deletion").execute(connection)?;
    Ok(())
}
