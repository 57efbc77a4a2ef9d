//! Following creators.

use actix_web::http::StatusCode;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::follows::{self, FollowStatus, ListedFollow, NewFollow};
use feed_core::models::Follow;
use feed_core::{Error, users};
use serde::Serialize;
use utoipa::ToSchema;

use super::pages::{self, Cost, PageBody};
use crate::auth::{Caller, Viewer};
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::query::{PageParams, Query, StatusParams};
use crate::state::State;

/// Makes the caller follow a creator.
#[utoipa::path(
    post,
    path = "/api/follows/",
    tag = "follows",
    operation_id = "follow",
    request_body = NewFollow,
    responses(
        (status = 201, description = "The caller follows them now.", body = Follow),
        (status = 200, description = "The caller followed them already.", body = Follow),
        (status = 404, description = "There is no such user."),
    ),
    security(("token" = [])),
)]
pub(super) async fn follow(
    state: Data<State>,
    caller: Caller,
    Body(new): Body<NewFollow>,
) -> Result<HttpResponse, ApiError> {
    put(state, caller, PathId(new.followed_id)).await
}

/// Makes the caller follow a creator, with the creator's id in the path.
#[utoipa::path(
    put,
    path = "/api/follows/{id}/",
    tag = "follows",
    operation_id = "put_follow",
    params(("id" = i64, Path, minimum = 1, description = "The creator's id.")),
    responses(
        (status = 201, description = "The caller follows them now.", body = Follow),
        (status = 200, description = "The caller followed them already.", body = Follow),
        (status = 404, description = "There is no such user."),
    ),
    security(("token" = [])),
)]
pub(super) async fn put(
    state: Data<State>,
    Caller(caller): Caller,
    PathId(followed): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let (follow, is_new) = state.write(move |c| follows::follow(c, caller, followed, now)).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok(HttpResponse::build(status).json(follow))
}

/// Makes the caller unfollow a creator.
///
/// If the caller does not follow them, nothing happens.
#[utoipa::path(
    delete,
    path = "/api/follows/{id}/",
    tag = "follows",
    operation_id = "unfollow",
    params(("id" = i64, Path, minimum = 1, description = "The creator's id.")),
    responses((status = 204, description = "The caller does not follow them any more.")),
    security(("token" = [])),
)]
pub(super) async fn unfollow(
    state: Data<State>,
    Caller(caller): Caller,
    PathId(followed): PathId,
) -> Result<HttpResponse, ApiError> {
    state.write(move |c| follows::unfollow(c, caller, followed)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// One follow status, or a list of them.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Statuses {
    /// The status, if the request has one id.
    One(FollowStatus),
    /// The list, if the request has several ids.
    Several(Vec<FollowStatus>),
}

/// Shows whether the caller follows a user, or each of up to 100 users.
///
/// For callers without a token it is false. Several ids get a list, in the order of the ids; users who do not exist are
/// left out.
#[utoipa::path(
    get,
    path = "/api/follows/status/",
    tag = "follows",
    operation_id = "follow_status",
    params(StatusParams),
    responses(
        (status = 200, description = "One status for one id, a list for several ids.", body = Statuses),
        (status = 404, description = "There is no such user."),
    ),
    security((), ("token" = [])),
)]
pub(super) async fn status(
    state: Data<State>,
    Viewer(viewer): Viewer,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let asked = query.ids("user_id")?;
    let is_one = asked.len() == 1;
    let statuses = state
        .read(move |c| {
            users::require(c, viewer)?;
            follows::statuses(c, viewer.map(|viewer| viewer.id), &asked)
        })
        .await?;
    let answer = if is_one {
        Statuses::One(*statuses.first().ok_or(Error::NotFound("user"))?)
    } else {
        Statuses::Several(statuses)
    };
    Ok(HttpResponse::Ok().json(answer))
}

/// Lists the creators whom the caller follows, most recent first.
#[utoipa::path(
    get,
    path = "/api/follows/",
    tag = "follows",
    operation_id = "follows",
    params(PageParams),
    responses((status = 200, description = "A page of follows.", body = PageBody<ListedFollow>)),
    security(("token" = [])),
)]
pub(super) async fn list(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    query: Query,
) -> Result<HttpResponse, ApiError> {
    let scope = follows::cursor_scope(caller.id);
    pages::answer(&state, &request, &query, Some(caller), &scope, Cost::Fixed, move |c, page, _| {
        follows::list(c, caller.id, page)
    })
    .await
}
