//! Health checks: whether the process is up, and whether it can serve requests.

use actix_web::HttpResponse;
use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::problem::ApiError;
use crate::state::State;

/// The result of a successful health check.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// `ok` or `ready`.
    #[schema(example = "ok")]
    status: &'static str,
}

/// Shows whether the process is up.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "operations",
    operation_id = "healthz",
    responses((status = 200, description = "The process is up.", body = Health)),
)]
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(Health { status: "ok" })
}

/// Shows whether the service is ready: the database answers and has all migrations, and the service is not stopping.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "operations",
    operation_id = "readyz",
    responses(
        (status = 200, description = "The service is ready.", body = Health),
        (status = 503, description = "The service is not ready."),
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
