//! Accounts and what others see of them.

use actix_web::HttpResponse;
use actix_web::web::Data;
use feed_core::users::{self, AccountChange};

use crate::auth::{Caller, Viewer};
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::state::State;

pub(super) async fn me(state: Data<State>, Caller(caller): Caller) -> Result<HttpResponse, ApiError> {
    let profile = state.read(move |c| users::own_profile(c, caller)).await?;
    Ok(HttpResponse::Ok().json(profile))
}

pub(super) async fn update(
    state: Data<State>,
    Caller(caller): Caller,
    Body(change): Body<AccountChange>,
) -> Result<HttpResponse, ApiError> {
    let hashes = change.password.is_some();
    let work = move |database: &_| users::update(database, caller, &change);
    let profile = if hashes { state.hash(work).await? } else { state.block(work).await? };
    Ok(HttpResponse::Ok().json(profile))
}

pub(super) async fn delete(state: Data<State>, Caller(caller): Caller) -> Result<HttpResponse, ApiError> {
    state.write(move |c| users::delete(c, caller)).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub(super) async fn show(
    state: Data<State>,
    Viewer(viewer): Viewer,
    PathId(id): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let profile = state
        .read(move |c| {
            users::require(c, viewer)?;
            users::profile(c, id, viewer, now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(profile))
}
