//! Accounts and what others see of them.

use actix_web::HttpResponse;
use actix_web::web::Data;
use feed_core::profiles::{self, Profile};
use feed_core::users::{self, AccountChange, OwnProfile};

use crate::auth::{Caller, Viewer};
use crate::extract::{Body, PathId};
use crate::problem::{ApiError, Problem};
use crate::state::State;

/// The caller's account.
#[utoipa::path(get, path = "/api/users/me/", tag = "users", operation_id = "me", responses((status = 200, description = "The account.", body = OwnProfile)), security(("token" = [])))]
pub(super) async fn me(state: Data<State>, Caller(caller): Caller) -> Result<HttpResponse, ApiError> {
    let profile = state.read(move |c| users::own_profile(c, caller)).await?;
    Ok(HttpResponse::Ok().json(profile))
}

/// Changes the caller's account.
///
/// Tokens stay valid when the password changes.
#[utoipa::path(patch, path = "/api/users/me/", tag = "users", operation_id = "update_me", request_body = AccountChange, responses((status = 200, description = "The account as it is now.", body = OwnProfile), (status = 409, description = "The username is taken.", body = Problem, content_type = "application/problem+json")), security(("token" = [])))]
pub(super) async fn update(
    state: Data<State>,
    Caller(caller): Caller,
    Body(change): Body<AccountChange>,
) -> Result<HttpResponse, ApiError> {
    let hashes = change.password.is_some();
    let work = move |database: &_| users::update(database, caller, &change);
    let profile = if hashes { state.hash(work).await? } else { state.change(work).await? };
    Ok(HttpResponse::Ok().json(profile))
}

/// Deletes the caller's account and everything of theirs: flyers, favorites, follows of both sides.
#[utoipa::path(delete, path = "/api/users/me/", tag = "users", operation_id = "delete_me", responses((status = 204, description = "It is gone, and its tokens with it.")), security(("token" = [])))]
pub(super) async fn delete(state: Data<State>, Caller(caller): Caller) -> Result<HttpResponse, ApiError> {
    // However much they have: who was refused once for it would be each time.
    state.change(move |database| database.unhurried().write(|c| users::delete(c, caller))).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What everybody may know of a user.
#[utoipa::path(get, path = "/api/users/{id}/", tag = "users", operation_id = "user", params(("id" = i64, Path, minimum = 1, description = "The user.")), responses((status = 200, description = "The user.", body = Profile), (status = 404, description = "There is no such user.", body = Problem, content_type = "application/problem+json")), security((), ("token" = [])))]
pub(super) async fn show(
    state: Data<State>,
    Viewer(viewer): Viewer,
    PathId(id): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let profile = state
        .read(move |c| {
            users::require(c, viewer)?;
            profiles::load(c, id, viewer, now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(profile))
}
