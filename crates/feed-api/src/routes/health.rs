//! Whether the process is up, and whether it can work.

use actix_web::HttpResponse;
use actix_web::web::Data;
use feed_core::migrate;
use serde_json::json;

use crate::problem::ApiError;
use crate::state::State;

pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({"status": "ok"}))
}

/// Ready when the database answers and has every migration.
pub(super) async fn ready(state: Data<State>) -> Result<HttpResponse, ApiError> {
    let is_pending = state.read(migrate::is_pending).await;
    match is_pending {
        Ok(false) => Ok(HttpResponse::Ok().json(json!({"status": "ready"}))),
        Ok(true) => Err(feed_core::Error::Unavailable("the database lacks migrations".into()).into()),
        Err(ApiError::Domain(error)) => Err(feed_core::Error::Unavailable(Box::new(error)).into()),
        Err(error) => Err(error),
    }
}
