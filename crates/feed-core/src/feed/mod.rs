//! The feeds: all flyers, a user's favorites, those of the creators whom a user follows, and one creator's.
//!
//! A page is one SELECT for the cards with creator and flags, and one for their images. What the page
//! costs does not depend on how deep it lies: the module `keys` finds the page's flyers over narrow indexes, and
//! only those are fetched. Where a feed is searched, or asked near a place, one SELECT before may say by which index:
//! see [`Lead`].

mod keys;
mod lead;
mod merge;
mod search;

use chrono::NaiveDateTime;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Double, Nullable, SmallInt, Text, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::{Db, Engine};
use crate::error::Result;
use crate::geo::{Circle, Location};
use crate::models::{Categories, FlyerImage};
use crate::page::{Count, Page, PageRequest, Position};
use crate::schema::flyers;
use crate::sql::Statement;

pub use lead::{Lead, Leads, Survey, SurveyColumns, survey_query};

/// Which flyers a feed shows, and to whom: those that are valid now, and to a creator all of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Feed {
    /// Every flyer, to anyone: with a user's flags, or without.
    All(Option<i64>),
    /// The flyers that this user favorited, the newest flyer first.
    Favorites(i64),
    /// The same, the most recently favorited first.
    Favorited(i64),
    /// The flyers of the creators whom this user follows.
    Following(i64),
    /// The flyers of one creator.
    Creator {
        /// Who published them: they also see those that are not yet valid or over.
        creator: i64,
        /// Who looks.
        viewer: Option<i64>,
    },
}

impl Feed {
    /// The user whose flags the cards carry.
    #[must_use]
    pub fn viewer(self) -> Option<i64> {
        match self {
            Self::All(viewer) | Self::Creator { viewer, .. } => viewer,
            Self::Favorites(viewer) | Self::Favorited(viewer) | Self::Following(viewer) => Some(viewer),
        }
    }

    /// What cursors call it: its name and its order.
    fn name(self) -> String {
        match self {
            Self::All(_) => "all/newest".to_owned(),
            Self::Favorites(_) => "favorites/newest".to_owned(),
            Self::Favorited(_) => "favorites/favorited".to_owned(),
            Self::Following(_) => "following/newest".to_owned(),
            Self::Creator { creator, .. } => format!("creator {creator}/newest"),
        }
    }

    /// Whether a creator looks at their own flyers, valid or not.
    fn is_own(self) -> bool {
        matches!(self, Self::Creator { creator, viewer } if viewer == Some(creator))
    }
}

/// A list of flyers in its order, of which a page is one part.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The feed and its viewer.
    pub feed: Feed,
    /// Where the viewer is: cards tell the distance, and flyers of the same second are ordered by it.
    pub location: Option<Location>,
    /// Only flyers with any of these.
    pub categories: Option<Categories>,
    /// Only flyers within so many millimetres of the location, without which this is not asked.
    pub radius_mm: Option<i64>,
    /// Only flyers with this text, [folded](crate::text::fold), in title, description, address or their creator's
    /// name.
    pub search: Option<String>,
}

impl From<Feed> for Listing {
    fn from(feed: Feed) -> Self {
        Self { feed, location: None, categories: None, radius_mm: None, search: None }
    }
}

impl Listing {
    /// What cursors of this list are bound to: they lead nowhere in another one.
    #[must_use]
    pub fn cursor_scope(&self) -> String {
        let viewer = self.feed.viewer().unwrap_or_default();
        // The bits of the floats: two places that print alike are two places.
        let bits = |l: Location| (l.latitude.to_bits(), l.longitude.to_bits());
        let categories = self.categories.map(i16::from);
        let Self { radius_mm, search, .. } = self;
        let place = self.location.map(bits);
        format!("{}/{viewer}/{place:x?}/{categories:?}/{radius_mm:?}/{search:?}", self.feed.name())
    }

    /// Around where flyers are wanted, where that is asked.
    fn circle(&self) -> Option<Circle> {
        let (center, radius_mm) = self.location.zip(self.radius_mm)?;
        Some(Circle { center, radius_mm })
    }

    /// A favorite's time has microseconds: there are no ties for a distance to break.
    fn is_sorted_by_distance(&self) -> bool {
        self.location.is_some() && !matches!(self.feed, Feed::Favorited(_))
    }
}

/// A page of a feed, as it is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct FeedRequest {
    /// Of which list.
    pub listing: Listing,
    /// Which page.
    pub page: PageRequest,
    /// The moment at which validity is judged.
    pub now: NaiveDateTime,
}

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

/// The columns of [`page_query`].
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

/// The columns of [`images_query`].
pub type ImageColumns = (BigInt, SmallInt, Text);

/// A row of [`page_query`].
#[derive(Debug, Clone, PartialEq, Queryable, Identifiable)]
#[diesel(table_name = flyers)]
pub struct CardRow {
    id: i64,
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
    fn position(&self) -> Position {
        Position { at: self.sorted_at, distance: self.distance_mm.unwrap_or_default(), id: self.id }
    }

    fn into_card(self, images: Vec<FlyerImage>, viewer: Option<i64>, now: NaiveDateTime) -> FlyerCard {
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

/// Loads a page of a feed: two statements, the count where no cursor carries it, and a survey where a list that is
/// searched or asked near a place needs one.
///
/// # Errors
/// [`crate::Error::NotFound`] for a creator who is not there;
/// [`crate::Error::Unavailable`] or [`crate::Error::Internal`] from the database.
pub fn load(connection: &mut Db, request: &FeedRequest) -> Result<Page<FlyerCard>> {
    let leads = leads(connection, &request.listing)?;
    load_by(connection, request, leads)
}

/// What leads to a list: known, or by a survey.
fn leads(connection: &mut Db, listing: &Listing) -> Result<Leads> {
    let engine = connection.engine();
    if let Some(leads) = listing.leads() {
        return Ok(leads);
    }
    let survey: Survey = survey_query(engine, listing).get_result(connection)?;
    Ok(listing.leads_by(engine, survey))
}

/// Loads a page of a feed as [`load`] does, on a given way: all of them lead to the same page.
///
/// # Errors
/// As [`load`].
pub fn load_by(connection: &mut Db, request: &FeedRequest, leads: Leads) -> Result<Page<FlyerCard>> {
    let rows: Vec<CardRow> = page_query(connection.engine(), request, leads.page).load(connection)?;
    if let (Feed::Creator { creator, .. }, []) = (request.listing.feed, &rows[..]) {
        // Only who is there has flyers: no other page needs to ask.
        crate::users::exists(connection, creator)?;
    }
    let rows = rows.into_iter().map(|row| (row.position(), row)).collect();
    let page = Page::assemble(&request.page, rows, || {
        let rows: i64 = count_query(connection.engine(), &request.listing, request.now, leads.count)
            .get_result(connection)?;
        Ok::<_, crate::Error>(Count::from(rows))
    })?;
    let items = into_cards(connection, page.items, request.listing.feed.viewer(), request.now)?;
    Ok(Page { items, count: page.count, next: page.next, previous: page.previous })
}

/// Loads one flyer as a card, whatever its validity: two statements.
///
/// # Errors
/// [`crate::Error::NotFound`] when there is none.
pub fn load_one(
    connection: &mut Db,
    flyer_id: i64,
    viewer: Option<i64>,
    now: NaiveDateTime,
) -> Result<FlyerCard> {
    let rows: Vec<CardRow> = flyer_query(connection.engine(), flyer_id, viewer).load(connection)?;
    into_cards(connection, rows, viewer, now)?.pop().ok_or(crate::Error::NotFound("flyer"))
}

/// The card of one flyer, whatever its validity, without its images: two probes of primary keys, and one for each flag.
#[must_use]
pub fn flyer_query(engine: Engine, flyer_id: i64, viewer: Option<i64>) -> Statement<CardColumns> {
    keys::single(engine, flyer_id, viewer)
}

/// Joins the cards with their images: one SELECT over the images' primary key.
///
/// A flyer that was deleted since its row was read has no images any more, and is left out.
fn into_cards(
    connection: &mut Db,
    rows: Vec<CardRow>,
    viewer: Option<i64>,
    now: NaiveDateTime,
) -> Result<Vec<FlyerCard>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let images: Vec<FlyerImage> = images_query(&ids).load(connection)?;
    let images = images.grouped_by(&rows);
    Ok(rows
        .into_iter()
        .zip(images)
        .filter(|(_, images)| !images.is_empty())
        .map(|(row, images)| row.into_card(images, viewer, now))
        .collect())
}

/// The images of a page's flyers, of each flyer in order: one range of the primary key a flyer.
#[must_use]
pub fn images_query(flyer_ids: &[i64]) -> Statement<ImageColumns> {
    keys::images(flyer_ids)
}

/// The cards of a page, in the direction of travel and one more than it has, without their images.
///
/// A lead that the list does not offer is the feed's own.
#[must_use]
pub fn page_query(engine: Engine, request: &FeedRequest, lead: Lead) -> Statement<CardColumns> {
    keys::page(engine, request, lead)
}

/// How many flyers a list has, looking at [`crate::page::COUNT_LIMIT`] and one at most.
#[must_use]
pub fn count_query(engine: Engine, listing: &Listing, now: NaiveDateTime, lead: Lead) -> Statement<BigInt> {
    keys::count(engine, listing, now, lead)
}
