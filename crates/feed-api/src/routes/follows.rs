//! Following creators.

use actix_web::HttpResponse;
use actix_web::web::Data;
use feed_core::follows::{self, NewFollow};
use feed_core::users;

use crate::auth::{Caller, Viewer};
use crate::extract::{Body, PathId, Query};
use crate::problem::ApiError;
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
    let followed = query.id("user_id")?;
    let status = state
        .read(move |c| {
            users::require(c, viewer)?;
            follows::status(c, viewer, followed)
        })
        .await?;
    Ok(HttpResponse::Ok().json(status))
}
