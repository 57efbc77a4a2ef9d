//! Favoriting flyers.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::favorites::{self, ListedFavorite, NewFavorite};
use feed_core::models::Favorite;

use super::pages::{self, Cost, PageBody};
use crate::auth::Caller;
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::query::{PageParams, Query};
use crate::state::State;

/// Adds a flyer to the caller's favorites.
///
/// The flyer may be expired or not yet valid.
#[utoipa::path(
    post,
    path = "/api/favorites/",
    tag = "favorites",
    operation_id = "favorite",
    request_body = NewFavorite,
    responses(
        (status = 201, description = "The flyer is a favorite now.", body = Favorite),
        (status = 200, description = "The flyer was a favorite already.", body = Favorite),
        (status = 404, description = "There is no such flyer."),
    ),
    security(("token" = [])),
)]
pub(super) async fn favorite(
    state: Data<State>,
    caller: Caller,
    Body(new): Body<NewFavorite>,
) -> Result<HttpResponse, ApiError> {
    put(state, caller, PathId(new.flyer_id)).await
}

/// Adds a flyer to the caller's favorites, with the flyer's id in the path.
#[utoipa::path(
    put,
    path = "/api/favorites/{id}/",
    tag = "favorites",
    operation_id = "put_favorite",
    params(("id" = i64, Path, minimum = 1, description = "The flyer's id.")),
    responses(
        (status = 201, description = "The flyer is a favorite now.", body = Favorite),
        (status = 200, description = "The flyer was a favorite already.", body = Favorite),
        (status = 404, description = "There is no such flyer."),
    ),
    security(("token" = [])),
)]
pub(super) async fn put(
    state: Data<State>,
    Caller(caller): Caller,
    PathId(flyer): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let (favorite, is_new) = state.write(move |c| favorites::favorite(c, caller, flyer, now)).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(favorite))
}

/// Removes a flyer from the caller's favorites.
///
/// If it is not a favorite, nothing happens.
#[utoipa::path(
    delete,
    path = "/api/favorites/{id}/",
    tag = "favorites",
    operation_id = "unfavorite",
    params(("id" = i64, Path, minimum = 1, description = "The flyer's id.")),
    responses((status = 204, description = "The flyer is not a favorite any more.")),
    security(("token" = [])),
)]
pub(super) async fn unfavorite(
    state: Data<State>,
    Caller(caller): Caller,
    PathId(flyer): PathId,
) -> Result<HttpResponse, ApiError> {
    state.write(move |c| favorites::unfavorite(c, caller, flyer)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Lists the caller's favorites, most recent first, including expired flyers.
#[utoipa::path(
    get,
    path = "/api/favorites/",
    tag = "favorites",
    operation_id = "favorites",
    params(PageParams),
    responses(
        (status = 200, description = "A page of favorites.", body = PageBody<ListedFavorite>),
    ),
    security(("token" = [])),
)]
pub(super) async fn list(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let scope = favorites::cursor_scope(caller.id);
    pages::answer(&state, &request, &query, Some(caller), &scope, Cost::Fixed, move |c, page, _| {
        favorites::list(c, caller.id, page)
    })
    .await
}
