//! Following creators.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::follows::{self, NewFollow};
use feed_core::{Error, users};

use super::pages;
use crate::auth::{Caller, Viewer};
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::query::Query;
use crate::state::State;

pub(super) async fn follow(
    state: Data<State>,
    caller: Caller,
    Body(new): Body<NewFollow>,
) -> Result<HttpResponse, ApiError> {
    put(state, caller, PathId(new.followed_id)).await
}

pub(super) async fn put(
    state: Data<State>,
    Caller(follower): Caller,
    PathId(followed): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let (follow, is_new) = state.write(move |c| follows::follow(c, follower, followed, now)).await?;
    Ok(super::created_or_there(is_new, &follow))
}

pub(super) async fn unfollow(
    state: Data<State>,
    Caller(follower): Caller,
    PathId(followed): PathId,
) -> Result<HttpResponse, ApiError> {
    state.write(move |c| follows::unfollow(c, follower, followed)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn status(
    state: Data<State>,
    Viewer(viewer): Viewer,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let asked = query.ids("user_id")?;
    let is_list = asked.len() > 1;
    let statuses = state
        .read(move |c| {
            users::require(c, viewer)?;
            follows::statuses(c, viewer, &asked)
        })
        .await?;
    match statuses.first() {
        _ if is_list => Ok(HttpResponse::Ok().json(statuses)),
        Some(status) => Ok(HttpResponse::Ok().json(status)),
        None => Err(Error::NotFound("user").into()),
    }
}

pub(super) async fn list(
    state: Data<State>,
    request: HttpRequest,
    Caller(follower): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let scope = follows::cursor_scope(follower);
    pages::answer(&state, &request, &query, Some(follower), &scope, move |c, page, _| {
        follows::list(c, follower, page)
    })
    .await
}
