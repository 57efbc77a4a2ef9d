//! The three feeds, each at a path of its own and all on one endpoint, and a creator's flyers.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::Error;
use feed_core::feed::{self, Feed, FeedRequest};

use super::pages;
use crate::auth::{Caller, Viewer};
use crate::extract::PathId;
use crate::problem::ApiError;
use crate::query::Query;
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

pub(super) async fn of_creator(
    state: Data<State>,
    request: HttpRequest,
    Viewer(viewer): Viewer,
    PathId(creator): PathId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &request, Feed::Creator { creator, viewer }, &query).await
}

async fn answer(
    state: &State,
    request: &HttpRequest,
    feed: Feed,
    query: &Query,
) -> Result<HttpResponse, ApiError> {
    let listing = query.listing(feed)?;
    let scope = listing.cursor_scope();
    pages::answer(state, request, query, feed.viewer(), &scope, move |c, page, now| {
        feed::load(c, &FeedRequest { listing: listing.clone(), page: *page, now })
    })
    .await
}
