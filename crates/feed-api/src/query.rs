//! Query parameters: what is listed, and which page of it.

use std::cell::RefCell;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use feed_core::feed::{Feed, Listing, Order};
use feed_core::geo::Location;
use feed_core::models::{Categories, Category};
use feed_core::page::{
    Cursor, CursorKey, DEFAULT_PAGE_SIZE, MAX_PAGE_ROWS, MAX_PAGE_SIZE, PageRequest, Start,
};
use feed_core::{Error, text};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{IntoParams, ToSchema};

use crate::ids::{POSITIVE, positive};
use crate::problem::ApiError;

/// Ids in one parameter at most.
const MAX_IDS: usize = 100;
/// Kilometres of `radius_km` at most.
const MAX_RADIUS_KM: f64 = 500.0;
/// Characters of `search` at most.
const MAX_SEARCH: usize = 100;

/// Bytes of a parameter's value at most. The longest values are lists of ids.
const MAX_VALUE: usize = 4_096;
/// Bytes of unknown parameters that a list's links keep.
const MAX_UNKNOWN: usize = 2_048;

/// The query's parameters, decoded, in order. None contains U+0000.
#[derive(Debug, Clone)]
pub struct Query {
    pairs: Vec<(String, String)>,
    /// The names of the parameters that the handler has read.
    known: RefCell<Vec<&'static str>>,
}

impl Query {
    /// The value of a parameter.
    ///
    /// # Errors
    /// 400 when it is given twice or is too long.
    pub fn get(&self, name: &'static str) -> Result<Option<&str>, Error> {
        self.known.borrow_mut().push(name);
        let mut values = self.pairs.iter().filter(|(n, _)| n == name).map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            return Err(Error::invalid(name, "must be given only once"));
        }
        match value {
            Some(value) if value.len() > MAX_VALUE => {
                Err(Error::invalid(name, format!("must have at most {MAX_VALUE} bytes")))
            }
            value => Ok(value),
        }
    }

    /// A parameter that is a positive 64-bit integer, or up to 100 of them separated by commas.
    ///
    /// # Errors
    /// 400 when it is missing or has another form.
    pub fn ids(&self, name: &'static str) -> Result<Vec<i64>, Error> {
        let value = self.get(name)?.ok_or_else(|| Error::invalid(name, "is missing"))?;
        let ids: Option<Vec<i64>> = value.split(',').map(positive).collect();
        ids.filter(|ids| ids.len() <= MAX_IDS).ok_or_else(|| {
            Error::invalid(
                name,
                format!("must be a positive integer, or up to {MAX_IDS} separated by commas"),
            )
        })
    }

    /// Reads order, location and filters of a feed.
    ///
    /// # Errors
    /// 400 for an invalid value, and for a radius without a location.
    pub fn listing(&self, feed: Feed) -> Result<Listing, Error> {
        let order = match (self.get("order")?, feed) {
            (None | Some("newest"), _) => Order::Newest,
            (Some("favorited"), Feed::Favorites(_)) => Order::Favorited,
            (Some(_), Feed::Favorites(_)) => {
                return Err(Error::invalid("order", "must be newest or favorited"));
            }
            (Some(_), _) => return Err(Error::invalid("order", "must be newest")),
        };
        let location = self.location()?;
        Ok(Listing {
            feed,
            order,
            location,
            categories: self.categories()?,
            radius_mm: self.radius_mm(location)?,
            search: self.search()?,
        })
    }

    /// The location given by `lat` and `lng`. Both or neither must be given.
    fn location(&self) -> Result<Option<Location>, Error> {
        match (self.degrees("lat", 90.0)?, self.degrees("lng", 180.0)?) {
            (Some(latitude), Some(longitude)) => Ok(Some(Location { latitude, longitude })),
            (None, None) => Ok(None),
            (Some(_), None) => Err(Error::invalid("lng", "must be given together with lat")),
            (None, Some(_)) => Err(Error::invalid("lat", "must be given together with lng")),
        }
    }

    fn degrees(&self, name: &'static str, max: f64) -> Result<Option<f64>, Error> {
        let parse = |text: &str| {
            let value = text.parse().ok().filter(|v: &f64| (-max..=max).contains(v));
            value.ok_or_else(|| Error::invalid(name, format!("must be a number from -{max} to {max}")))
        };
        self.get(name)?.map(parse).transpose()
    }

    /// The categories given by `categories`, separated by commas.
    fn categories(&self) -> Result<Option<Categories>, Error> {
        let parse = |text: &str| {
            let set: Option<Vec<Category>> = text.split(',').map(Category::by_name).collect();
            set.map(Categories::from).ok_or_else(|| {
                let names = Category::ALL.map(Category::name).join(", ");
                Error::invalid("categories", format!("must be one or more of {names}, separated by commas"))
            })
        };
        self.get("categories")?.map(parse).transpose()
    }

    /// The radius given by `radius_km`, in millimetres. It needs a location.
    fn radius_mm(&self, from: Option<Location>) -> Result<Option<i64>, Error> {
        let Some(text) = self.get("radius_km")? else { return Ok(None) };
        let range = || format!("must be a number greater than 0 and at most {MAX_RADIUS_KM}");
        let km = text.parse().ok().filter(|km: &f64| *km > 0.0 && *km <= MAX_RADIUS_KM);
        let km = km.ok_or_else(|| Error::invalid("radius_km", range()))?;
        if from.is_none() {
            return Err(Error::invalid("radius_km", "must be given together with lat and lng"));
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 500,000,000")]
        let mm = (km * 1_000_000.0).round() as i64;
        Ok(Some(mm))
    }

    /// The text given by `search`, folded. An empty text means no search.
    fn search(&self) -> Result<Option<String>, Error> {
        let Some(text) = self.get("search")?.map(str::trim).filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        if text.chars().count() > MAX_SEARCH {
            return Err(Error::invalid("search", format!("must have at most {MAX_SEARCH} characters")));
        }
        Ok(Some(text::fold(text)))
    }

    /// The page given by `page` or `cursor`, and `page_size`.
    ///
    /// # Errors
    /// 400 for values out of range, for `page` together with `cursor`, and for a cursor of another `scope`.
    pub fn page(&self, key: &CursorKey, scope: &str) -> Result<PageRequest, Error> {
        let number = |name| -> Result<Option<u32>, Error> {
            let parse = |text: &str| {
                let is_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                // A number that overflows is over the cap in any case.
                let value = text.parse().unwrap_or(u32::MAX);
                if is_digits && value > 0 { Ok(value) } else { Err(Error::invalid(name, POSITIVE)) }
            };
            self.get(name)?.map(parse).transpose()
        };
        let size = number("page_size")?.unwrap_or(DEFAULT_PAGE_SIZE).min(MAX_PAGE_SIZE);
        let page = number("page")?;
        let start = match (page, self.get("cursor")?) {
            (Some(_), Some(_)) => {
                return Err(Error::invalid("cursor", "must not be given together with page"));
            }
            (None, Some(text)) => {
                let cursor = Cursor::decode(text, key, scope);
                Start::Cursor(cursor.map_err(|e| Error::invalid("cursor", e.to_string()))?)
            }
            (page, None) => Start::Page(page.unwrap_or(1)),
        };
        let request = PageRequest { start, size };
        if request.offset() >= MAX_PAGE_ROWS {
            let reach = format!("reaches the first {MAX_PAGE_ROWS} rows; follow `next`, which has no limit");
            return Err(Error::invalid("page", reach));
        }
        Ok(request)
    }

    /// The query string with another cursor and without a page.
    ///
    /// Unknown parameters are kept as far as they fit into 2,048 bytes. A response has four such links, and must not be
    /// many times as long as its request.
    #[must_use]
    pub fn with_cursor(&self, cursor: &str) -> String {
        let known = self.known.borrow();
        let mut room = MAX_UNKNOWN;
        let mut is_kept = |(name, value): &&(String, String)| {
            if known.contains(&name.as_str()) {
                return name != "cursor" && name != "page";
            }
            let left = room.checked_sub(name.len() + value.len() + "&=".len());
            room = left.unwrap_or(room);
            left.is_some()
        };
        let others = self.pairs.iter().filter(|pair| is_kept(pair));
        url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("cursor", cursor)
            .finish()
    }
}

impl FromRequest for Query {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let pairs: Vec<(String, String)> =
            url::form_urlencoded::parse(request.query_string().as_bytes()).into_owned().collect();
        // Unknown parameters are checked too.
        let with_nul = pairs.iter().find(|(name, value)| name.contains('\0') || value.contains('\0'));
        ready(match with_nul {
            Some((name, _)) => {
                Err(Error::invalid(name.replace('\0', ""), "must not contain the character U+0000").into())
            }
            None => Ok(Self { pairs, known: RefCell::default() }),
        })
    }
}

/// Parameters of all feeds, declared for the OpenAPI document. [`Query`] reads and checks them.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListParams {
    /// Latitude of the caller's location, in degrees; together with `lng`. Cards then have a distance, and flyers of
    /// the same second are ordered by distance.
    #[param(minimum = -90, maximum = 90, example = 47.3769)]
    pub lat: Option<f64>,
    /// Longitude of the caller's location, in degrees; together with `lat`.
    #[param(minimum = -180, maximum = 180, example = 8.5417)]
    pub lng: Option<f64>,
    /// Only flyers within so many kilometres of the location; needs `lat` and `lng`.
    #[param(exclusive_minimum = 0, maximum = 500)]
    pub radius_km: Option<f64>,
    /// Only flyers with at least one of these categories, separated by commas.
    #[param(
        pattern = "^(events|nightlife|service)(,(events|nightlife|service))*$",
        example = "events,service"
    )]
    pub categories: Option<String>,
    /// Only flyers with this text in title, description, address or their creator's name. Case is ignored, and every
    /// character is literal.
    #[param(max_length = 100, pattern = "^[^\\u0000]*$")]
    pub search: Option<String>,
}

/// The order of favorites.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FavoritesOrder {
    /// The order: `newest` has the newest flyer first. `favorited` has the most recently favorited first; only
    /// favorites can have it.
    #[param(inline)]
    pub order: Option<OrderBy>,
}

/// The orders of a list.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum OrderBy {
    /// Newest flyer first.
    Newest,
    /// Most recently favorited first.
    Favorited,
}

/// Chooses one of the three feeds.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// The feed: `all`, which is the default, `favorites` or `following`. The latter two need a token.
    #[param(inline)]
    pub filter: Option<FilterBy>,
}

/// The three feeds.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "lowercase")]
pub enum FilterBy {
    /// All flyers.
    All,
    /// The caller's favorites.
    Favorites,
    /// Flyers of the creators whom the caller follows.
    Following,
}

/// Chooses a page of a list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Number of the page, from 1. It reaches only the first 10,000 rows; follow `next` to go further. Not together
    /// with `cursor`.
    #[param(minimum = 1, maximum = 10_000, example = 1)]
    pub page: Option<u32>,
    /// Rows on a page, at most 50; larger values count as 50.
    #[param(schema_with = page_size, required = false, example = 20)]
    pub page_size: Option<u32>,
    /// An opaque position, from a `next` or `previous` link. Not together with `page`.
    pub cursor: Option<String>,
}

/// The schema of `page_size`. It has no maximum, because larger values are accepted and capped.
fn page_size() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::Integer)
        .minimum(Some(1))
        .default(Some(DEFAULT_PAGE_SIZE.into()))
        .build()
}

/// Chooses the users of a follow status.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatusParams {
    /// A user's id, or up to 100 ids separated by commas.
    #[param(pattern = "^0*[1-9][0-9]{0,17}(,0*[1-9][0-9]{0,17}){0,99}$", example = "7")]
    pub user_id: String,
}
