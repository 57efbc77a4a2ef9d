//! Publishing, showing, changing and taking back flyers.

use actix_web::http::header::LOCATION;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::flyers::{self, FlyerChange, NewFlyer};
use feed_core::{feed, users};

use super::links;
use crate::auth::{Caller, Viewer};
use crate::extract::{Body, PathId};
use crate::problem::ApiError;
use crate::state::State;

pub(super) async fn publish(
    state: Data<State>,
    request: HttpRequest,
    Caller(creator): Caller,
    Body(new): Body<NewFlyer>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let card = state
        .write(move |c| {
            let id = flyers::publish(c, creator, &new, now)?;
            feed::load_one(c, id, Some(creator), now)
        })
        .await?;
    let location = format!("{}/api/flyers/{}/", links::base(&state, &request), card.id);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(card))
}

pub(super) async fn show(
    state: Data<State>,
    Viewer(viewer): Viewer,
    PathId(id): PathId,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let card = state
        .read(move |c| {
            users::require(c, viewer)?;
            feed::load_one(c, id, viewer, now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(card))
}

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
            feed::load_one(c, id, Some(caller), now)
        })
        .await?;
    Ok(HttpResponse::Ok().json(card))
}

pub(super) async fn delete(
    state: Data<State>,
    Caller(caller): Caller,
    PathId(id): PathId,
) -> Result<HttpResponse, ApiError> {
    state.write(move |c| flyers::delete(c, caller, id)).await?;
    Ok(HttpResponse::NoContent().finish())
}
