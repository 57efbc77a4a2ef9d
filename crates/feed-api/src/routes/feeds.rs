//! The three feeds, each at a path of its own and all at `/api/flyers/`, and a creator's flyers.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::Error;
use feed_core::feed::{self, Feed, FeedRequest, FlyerCard};
use feed_core::users::Identity;

use super::pages::{self, Cost, List, PageBody};
use crate::auth::{Caller, Viewer};
use crate::extract::PathId;
use crate::problem::ApiError;
use crate::query::{FavoritesOrder, Filter, ListParams, PageParams, Query};
use crate::state::State;

/// Lists all flyers that are valid now.
#[utoipa::path(
    get,
    path = "/api/feed/",
    tag = "feeds",
    operation_id = "feed",
    params(ListParams, PageParams),
    responses((status = 200, description = "A page of flyers.", body = PageBody<FlyerCard>)),
    security((), ("token" = [])),
)]
pub(super) async fn main(
    state: Data<State>,
    request: HttpRequest,
    Viewer(viewer): Viewer,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &request, viewer, Feed::All(id(viewer)), &query).await
}

/// Lists the flyers that the caller has favorited and that are valid now.
#[utoipa::path(
    get,
    path = "/api/favorites/feed/",
    tag = "feeds",
    operation_id = "favorites_feed",
    params(ListParams, FavoritesOrder, PageParams),
    responses((status = 200, description = "A page of flyers.", body = PageBody<FlyerCard>)),
    security(("token" = [])),
)]
pub(super) async fn favorites(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &request, Some(caller), Feed::Favorites(caller.id), &query).await
}

/// Lists the flyers of the creators whom the caller follows, as far as they are valid now.
#[utoipa::path(
    get,
    path = "/api/following/feed/",
    tag = "feeds",
    operation_id = "following_feed",
    params(ListParams, PageParams),
    responses((status = 200, description = "A page of flyers.", body = PageBody<FlyerCard>)),
    security(("token" = [])),
)]
pub(super) async fn following(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    answer(&state, &request, Some(caller), Feed::Following(caller.id), &query).await
}

/// Lists one of the three feeds.
///
/// `filter=favorites` and `filter=following` need a token.
#[utoipa::path(
    get,
    path = "/api/flyers/",
    tag = "feeds",
    operation_id = "flyers",
    params(Filter, ListParams, FavoritesOrder, PageParams),
    responses((status = 200, description = "A page of flyers.", body = PageBody<FlyerCard>)),
    security((), ("token" = [])),
)]
pub(super) async fn filtered(
    state: Data<State>,
    request: HttpRequest,
    viewer: Viewer,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let feed = match query.get("filter")? {
        None | Some("all") => Feed::All(id(viewer.0)),
        Some("favorites") => Feed::Favorites(viewer.required()?.id),
        Some("following") => Feed::Following(viewer.required()?.id),
        Some(_) => return Err(Error::invalid("filter", "must be all, favorites or following").into()),
    };
    answer(&state, &request, viewer.0, feed, &query).await
}

/// Lists the flyers of one creator.
///
/// Creators also see their own flyers that are expired or not yet valid.
#[utoipa::path(
    get,
    path = "/api/users/{id}/flyers/",
    tag = "feeds",
    operation_id = "creators_flyers",
    params(("id" = i64, Path, minimum = 1, description = "The creator's id."), ListParams, PageParams),
    responses(
        (status = 200, description = "A page of flyers.", body = PageBody<FlyerCard>),
        (status = 404, description = "There is no such user."),
    ),
    security((), ("token" = [])),
)]
pub(super) async fn of_creator(
    state: Data<State>,
    request: HttpRequest,
    Viewer(viewer): Viewer,
    PathId(creator): PathId,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let feed = Feed::Creator { creator, viewer: id(viewer) };
    answer(&state, &request, viewer, feed, &query).await
}

fn id(viewer: Option<Identity>) -> Option<i64> {
    viewer.map(|viewer| viewer.id)
}

async fn answer(
    state: &State,
    request: &HttpRequest,
    viewer: Option<Identity>,
    feed: Feed,
    query: &Query,
) -> Result<HttpResponse, ApiError> {
    let listing = query.listing(feed)?;
    let is_search = listing.search.is_some() || listing.radius_mm.is_some();
    let list = List {
        scope: listing.cursor_scope(),
        walk_scope: listing.location.map(|_| listing.walk_scope()),
        cost: if is_search { Cost::Search } else { Cost::Fixed },
    };
    let answer = pages::answer(state, request, query, viewer, &list, move |c, page, now| {
        feed::load(c, &FeedRequest { listing: listing.clone(), page: *page, now })
    });
    answer.await.map_err(|error| if is_search { error.of_search() } else { error })
}
