//! The three feeds, each at a path of its own and all on one endpoint.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::feed::{self, Feed, FeedRequest, Listing};
use feed_core::{Error, users};

use super::links::{self, Links};
use crate::auth::{Caller, Viewer};
use crate::extract::Query;
use crate::problem::ApiError;
use crate::state::State;

pub(super) async fn main(
    state: Data<State>,
    request: HttpRequest,
    Viewer(viewer): Viewer,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &request, Feed::All(viewer), &query).await
}

pub(super) async fn favorites(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &request, Feed::Favorites(caller), &query).await
}

pub(super) async fn following(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &request, Feed::Following(caller), &query).await
}

pub(super) async fn filtered(
    state: Data<State>,
    request: HttpRequest,
    viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let feed = match query.get("filter")? {
        None | Some("all") => Feed::All(viewer.0),
        Some("favorites") => Feed::Favorites(viewer.required()?),
        Some("following") => Feed::Following(viewer.required()?),
        Some(_) => return Err(Error::invalid("filter", "must be all, favorites or following").into()),
    };
    answer(&state, &request, feed, &query).await
}

async fn answer(
    state: &State,
    request: &HttpRequest,
    feed: Feed,
    query: &Query,
) -> Result<HttpResponse, ApiError> {
    let feed = match (query.get("order")?, feed) {
        (None | Some("newest"), feed) => feed,
        (Some("favorited"), Feed::Favorites(viewer)) => Feed::Favorited(viewer),
        (Some(_), Feed::Favorites(_)) => {
            return Err(Error::invalid("order", "must be newest or favorited").into());
        }
        (Some(_), _) => return Err(Error::invalid("order", "must be newest").into()),
    };
    let listing = Listing { feed, location: query.location()?, categories: query.categories()? };
    let scope = listing.cursor_scope();
    let page = query.page(&state.cursors, &scope)?;
    let wanted = FeedRequest { listing, page, now: state.clock.now() };
    let page = state
        .read(move |c| {
            users::require(c, feed.viewer())?;
            feed::load(c, &wanted)
        })
        .await?;
    let links = Links::around(&page, |cursor| {
        let cursor = cursor.encode(&state.cursors, &scope);
        // The route's own path, however the caller wrote it.
        let path = request.match_pattern().unwrap_or_default();
        format!("{}{path}/?{}", links::base(state, request), query.with_cursor(&cursor))
    });
    Ok(links.answer(page))
}
