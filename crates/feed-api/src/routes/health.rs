//! Whether the process is up, and whether it can work.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::ApiError;
use crate::state::State;

/// That all is well.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `ready`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Whether the process is up.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    operation_id = "healthz",
    responses((status = 200, description = "It is.", body = Health)),
)]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// Whether the database answers and has every migration.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    operation_id = "readyz",
    responses(
        (status = 200, description = "It can work.", body = Health),
        (status = 503, description = "It cannot."),
    ),
)]
pub(super) async fn ready(state: Data<State>) -> Result<HttpResponse, ApiError> {
    if state.is_stopping() {
        return Err(feed_core::Error::Unavailable("the server is about to stop".into()).into());
    }
    match state.is_pending().await {
        Ok(false) => Ok(HttpResponse::Ok().json(Health { status: "ready" })),
        Ok(true) => Err(feed_core::Error::Unavailable("the database lacks migrations".into()).into()),
        Err(ApiError::Domain(error)) => Err(feed_core::Error::Unavailable(Box::new(error)).into()),
        Err(error) => Err(error),
    }
}
