//! Publishing, showing, changing and deleting flyers.

use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::feed::{self, FlyerCard};
use feed_core::flyers::{self, FlyerChange, NewFlyer};
use feed_core::users;

use super::links;
use crate::auth::{Caller, Viewer};
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::state::State;

/// Publishes a flyer.
#[utoipa::path(
    post,
    path = "/api/flyers/",
    tag = "flyers",
    operation_id = "publish",
    request_body = NewFlyer,
    responses(
        (
            status = 201,
            description = "The flyer, as feeds show it.",
            body = FlyerCard,
            headers(("location" = String, description = "The flyer's path.")),
        ),
    ),
    security(("token" = [])),
)]
pub(super) async fn publish(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
    Body(new): Body<NewFlyer>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let card = state
        .write(move |c| {
            let id = flyers::publish(c, caller, &new, now)?;
            feed::load_one(c, id, Some(caller.id), now)
        })
        .await?;
    let location = format!("{}/api/flyers/{}/", links::base(&state, &request), card.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(card))
}

/// Shows one flyer, which may be expired or not yet valid.
#[utoipa::path(
    get,
    path = "/api/flyers/{id}/",
    tag = "flyers",
    operation_id = "flyer",
    params(("id" = i64, Path, minimum = 1, description = "The flyer's id.")),
    responses(
        (status = 200, description = "The flyer.", body = FlyerCard),
        (status = 404, description = "There is no such flyer."),
    ),
    security((), ("token" = [])),
)]
pub(super) async fn show(
    state: Data<State>,
    Viewer(viewer): Viewer,
    PathId(id): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let card = state
        .read(move |c| {
            users::require(c, viewer)?;
            feed::load_one(c, id, viewer.map(|viewer| viewer.id), now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(card))
}

/// Changes one of the caller's own flyers.
#[utoipa::path(
    patch,
    path = "/api/flyers/{id}/",
    tag = "flyers",
    operation_id = "update_flyer",
    params(("id" = i64, Path, minimum = 1, description = "The flyer's id.")),
    request_body = FlyerChange,
    responses(
        (status = 200, description = "The changed flyer.", body = FlyerCard),
        (status = 403, description = "The flyer belongs to another user."),
        (status = 404, description = "There is no such flyer."),
    ),
    security(("token" = [])),
)]
pub(super) async fn update(
    state: Data<State>,
    Caller(caller): Caller,
    PathId(id): PathId,
    Body(change): Body<FlyerChange>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let card = state
        .write(move |c| {
            flyers::update(c, caller, id, &change, now)?;
            feed::load_one(c, id, Some(caller.id), now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(card))
}

/// Deletes one of the caller's own flyers, with its images and all favorites of it.
#[utoipa::path(
    delete,
    path = "/api/flyers/{id}/",
    tag = "flyers",
    operation_id = "delete_flyer",
    params(("id" = i64, Path, minimum = 1, description = "The flyer's id.")),
    responses(
        (status = 204, description = "The flyer is deleted."),
        (status = 403, description = "The flyer belongs to another user."),
        (status = 404, description = "There is no such flyer."),
    ),
    security(("token" = [])),
)]
pub(super) async fn delete(
    state: Data<State>,
    Caller(caller): Caller,
    PathId(id): PathId,
) -> Result<HttpResponse, ApiError> {
    state.write(move |c| flyers::delete(c, caller, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
