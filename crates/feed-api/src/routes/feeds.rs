//! The three feeds, each at a path of its own and all on one endpoint.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::feed::{self, Feed, FeedRequest};
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
    if query.get("order")?.is_some_and(|order| order != "newest") {
        return Err(Error::invalid("order", "must be newest").into());
    }
    let location = query.location()?;
    let scope = feed::cursor_scope(feed, location);
    let page = query.page(&state.cursors, &scope)?;
    let wanted = FeedRequest { feed, location, page, now: state.clock.now() };
    let page = state
        .read(move |c| {
            feed.viewer().map(|caller| users::require(c, caller)).transpose()?;
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
