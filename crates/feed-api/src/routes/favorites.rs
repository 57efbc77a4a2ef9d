//! Favoriting flyers.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::favorites::{self, NewFavorite};

use super::pages;
use crate::auth::Caller;
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::query::Query;
use crate::state::State;

pub(super) async fn favorite(
    state: Data<State>,
    caller: Caller,
    Body(new): Body<NewFavorite>,
) -> Result<HttpResponse, ApiError> {
    put(state, caller, PathId(new.flyer_id)).await
}

pub(super) async fn put(
    state: Data<State>,
    Caller(user): Caller,
    PathId(flyer): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let (favorite, is_new) = state.write(move |c| favorites::favorite(c, user, flyer, now)).await?;
    Ok(super::created_or_there(is_new, &favorite))
}

pub(super) async fn unfavorite(
    state: Data<State>,
    Caller(user): Caller,
    PathId(flyer): PathId,
) -> Result<HttpResponse, ApiError> {
    state.write(move |c| favorites::unfavorite(c, user, flyer)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn list(
    state: Data<State>,
    request: HttpRequest,
    Caller(user): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let scope = favorites::cursor_scope(user);
    pages::answer(&state, &request, &query, Some(user), &scope, move |c, page, _| {
        favorites::list(c, user, page)
    })
    .await
}
