//! Publishing and taking back flyers.

use chrono::{Months, NaiveDateTime, SubsecRound};
use diesel::prelude::*;
use garde::Validate;
use serde::Deserialize;

use crate::db::Db;
use crate::error::{Error, Result};
use crate::models::{Categories, Category, FlyerImage};
use crate::rules::{self, Trimmed};
use crate::schema::{flyer_images, flyers};

/// What a new flyer is made of.
#[derive(Debug, Clone, Deserialize, Validate)]
pub struct NewFlyer {
    /// 1 to 200 characters.
    #[garde(custom(rules::characters(1, 200)))]
    pub title: Trimmed,
    /// At most 2,000 characters.
    #[garde(custom(rules::characters(0, 2_000)))]
    pub description: Trimmed,
    /// 1 to 500 characters.
    #[garde(custom(rules::characters(1, 500)))]
    pub location_address: Trimmed,
    /// WGS 84 degrees.
    #[garde(custom(rules::degrees(90.0)))]
    pub latitude: f64,
    /// WGS 84 degrees.
    #[garde(custom(rules::degrees(180.0)))]
    pub longitude: f64,
    /// At most a year ahead.
    #[serde(deserialize_with = "rules::utc")]
    #[garde(skip)]
    pub valid_from: NaiveDateTime,
    /// After `valid_from`.
    #[serde(deserialize_with = "rules::utc")]
    #[garde(custom(rules::after(self.valid_from)))]
    pub valid_until: NaiveDateTime,
    /// 1 to 3.
    #[garde(custom(rules::entries(1, 3)))]
    pub categories: Vec<Category>,
    /// 1 to 5, in order.
    #[garde(custom(rules::entries(1, 5)), dive)]
    pub images: Vec<NewImage>,
}

/// An image of a new flyer.
#[derive(Debug, Clone, Deserialize, Validate)]
pub struct NewImage {
    /// Absolute, http or https, at most 2,048 bytes.
    #[garde(custom(rules::http_url))]
    pub url: Trimmed,
}

/// Publishes a flyer of `creator`, in a transaction of the caller's, and returns its id.
///
/// # Errors
/// [`Error::Invalid`] for input that breaks a rule, [`Error::UnknownCaller`].
pub fn publish(connection: &mut Db, creator: i64, flyer: &NewFlyer, now: NaiveDateTime) -> Result<i64> {
    flyer.validate()?;
    if flyer.valid_from > now.checked_add_months(Months::new(12)).unwrap_or(NaiveDateTime::MAX) {
        return Err(Error::invalid("valid_from", "must lie at most a year ahead"));
    }
    crate::users::lock(connection, creator)?;
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
            flyers::created_at.eq(now.trunc_subsecs(0)),
        ))
        .returning(flyers::id)
        .get_result(connection)?;
    for (position, image) in (1..).zip(&flyer.images) {
        diesel::insert_into(flyer_images::table)
            .values(FlyerImage { flyer_id: id, position, url: image.url.0.clone() })
            .execute(connection)?;
    }
    Ok(id)
}

/// Deletes a flyer of `caller` with its images and favorites, in a transaction of the caller's.
///
/// # Errors
/// [`Error::NotFound`] when there is none, [`Error::NotOwner`] when it is another's,
/// [`Error::UnknownCaller`].
pub fn delete(connection: &mut Db, caller: i64, flyer_id: i64) -> Result<()> {
    crate::users::lock(connection, caller)?;
    let creator: Option<i64> =
        flyers::table.find(flyer_id).select(flyers::creator_id).first(connection).optional()?;
    match creator {
        None => Err(Error::NotFound("flyer")),
        Some(creator) if creator != caller => Err(Error::NotOwner("flyer")),
        Some(_) => {
            diesel::delete(flyers::table.find(flyer_id)).execute(connection)?;
            Ok(())
        }
    }
}
