//! The API's document, and pages that show it and try it out.

use std::sync::{Arc, LazyLock};

use actix_web::http::header::ContentType;
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use utoipa_swagger_ui::{Config, SwaggerFile};

use super::links;
use crate::openapi;
use crate::problem::ApiError;
use crate::state::State;

static DOCUMENT: LazyLock<String> = LazyLock::new(openapi::json);

/// Swagger UI's settings. A token that was entered stays in the browser.
static CONFIG: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| {
    let config = Config::new(["../openapi.json"]);
    Arc::new(config.persist_authorization(true).try_it_out_enabled(true).validator_url("none"))
});

pub(super) async fn document() -> HttpResponse {
    HttpResponse::Ok().insert_header(ContentType::json()).body(DOCUMENT.as_str())
}

pub(super) async fn index(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    let file = file("index.html")?;
    // What the page names lies below its path with a slash at the end, with which it may not have been asked for.
    let base = format!("<head><base href=\"{}/api/docs/\">", links::base(&state, &request));
    let page = String::from_utf8_lossy(&file.bytes).replacen("<head>", &base, 1);
    Ok(HttpResponse::Ok().content_type(file.content_type).body(page))
}

pub(super) async fn asset(name: Path<String>) -> Result<HttpResponse, ApiError> {
    let file = file(&name)?;
    Ok(HttpResponse::Ok().content_type(file.content_type).body(file.bytes.into_owned()))
}

fn file(name: &str) -> Result<SwaggerFile<'static>, ApiError> {
    let found = utoipa_swagger_ui::serve(name, CONFIG.clone());
    found.map_err(|e| feed_core::Error::Internal(e.to_string().into()))?.ok_or(ApiError::NoRoute)
}
