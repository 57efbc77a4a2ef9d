//! The caller's own account, and public profiles.

use actix_web::web::Data;
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use feed_core::profiles::{self, Profile};
use feed_core::users::{self, AccountChange, OwnProfile};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Caller, Confirmed, Viewer};
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::route_class::RouteClass;
use crate::state::State;

/// Shows the caller's account.
#[utoipa::path(
    get,
    path = "/api/users/me/",
    tag = "users",
    operation_id = "me",
    responses((status = 200, description = "The account.", body = OwnProfile)),
    security(("token" = [])),
)]
pub(super) async fn me(state: Data<State>, Caller(caller): Caller) -> Result<HttpResponse, ApiError> {
    let profile = state.read(move |c| users::own_profile(c, caller)).await?;
    Ok(HttpResponse::Ok().json(profile))
}

/// Changes the caller's account.
///
/// A new password revokes all tokens of the account. The response then has a new token.
#[utoipa::path(
    patch,
    path = "/api/users/me/",
    tag = "users",
    operation_id = "update_me",
    request_body = AccountChange,
    responses(
        (status = 200, description = "The changed account.", body = ChangedProfile),
        (status = 409, description = "Another account has the username."),
    ),
    security(("token" = [])),
)]
pub(super) async fn update(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    Body(change): Body<AccountChange>,
) -> Result<HttpResponse, ApiError> {
    let hashes = change.password.is_some();
    if hashes {
        // It costs two hashes. One caller must not keep the others from signing in.
        state.count_sign_in(&request)?;
    }
    let (now, attempts) = (state.clock.now(), state.attempts.clone());
    let work = move |database: &_| users::update(database, &attempts, caller, &change, now);
    let (profile, renewed) = if hashes { state.hash(work).await? } else { state.change(work).await? };
    let mut changed = ChangedProfile { profile, token: None, expires_in: None };
    if let Some(renewed) = renewed {
        request.extensions_mut().insert(Confirmed(Some(renewed)));
        // The response has a token, so it must not be stored.
        request.extensions_mut().insert(RouteClass::Session);
        changed.token = Some(state.tokens.issue(renewed, now)?);
        changed.expires_in = Some(state.tokens.ttl());
    }
    Ok(HttpResponse::Ok().json(changed))
}

/// The account after a change.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChangedProfile {
    #[serde(flatten)]
    profile: OwnProfile,
    /// The new token, to send in `Authorization: Bearer` from now on. Only after a change of password.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token: Option<String>,
    /// Seconds until the new token expires. Only together with `token`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u32, required = false, minimum = 1, example = 2_592_000)]
    expires_in: Option<u32>,
}

/// Deletes the caller's account with their flyers, their favorites, and all follows of and by them.
#[utoipa::path(
    delete,
    path = "/api/users/me/",
    tag = "users",
    operation_id = "delete_me",
    responses((status = 204, description = "The account is deleted, and its tokens are revoked.")),
    security(("token" = [])),
)]
pub(super) async fn delete(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
) -> Result<HttpResponse, ApiError> {
    // Without a time limit: an account with much data would exceed it at every try and could never be deleted.
    state.change(move |database| database.unhurried().write(|c| users::delete(c, caller))).await?;
    Confirmed::end(&request, &state, caller);
    Ok(HttpResponse::NoContent().finish())
}

/// Shows the public profile of a user.
#[utoipa::path(
    get,
    path = "/api/users/{id}/",
    tag = "users",
    operation_id = "user",
    params(("id" = i64, Path, minimum = 1, description = "The user's id.")),
    responses(
        (status = 200, description = "The user.", body = Profile),
        (status = 404, description = "There is no such user."),
    ),
    security((), ("token" = [])),
)]
pub(super) async fn show(
    state: Data<State>,
    Viewer(viewer): Viewer,
    PathId(id): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let profile = state
        .read(move |c| {
            users::require(c, viewer)?;
            profiles::load(c, id, viewer.map(|viewer| viewer.id), now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(profile))
}
