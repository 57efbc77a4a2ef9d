//! The OpenAPI document, and the interactive docs (Swagger UI).

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};

use actix_web::HttpResponse;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, ContentType, REFERRER_POLICY};
use actix_web::web::{Bytes, Data, Path};
use utoipa_swagger_ui::Config;

use super::openapi;
use crate::compression::Constant;
use crate::problem::ApiError;
use crate::state::State;

static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::json(""));

/// The HTML page. Its links are absolute paths, because the page works with and without a slash at the end of its path.
/// They begin with the path of the public URL, and do not depend on the caller's `Host`.
const PAGE: &str = include_str!("docs.html");

/// The page's Content-Security-Policy: it loads only files of this service, runs no inline scripts, and cannot be
/// framed.
///
/// Swagger UI adds a style element of its own, and its stylesheet has `data:` images, so both are allowed.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

pub(super) async fn document(state: Data<State>) -> HttpResponse {
    let document = match base_path(&state) {
        "" => Cow::Borrowed(DOCUMENT.as_str()),
        path => Cow::Owned(openapi::json(path)),
    };
    let document = match document {
        Cow::Borrowed(document) => Bytes::from_static(document.as_bytes()),
        Cow::Owned(document) => Bytes::from(document),
    };
    constant(HttpResponse::Ok().insert_header(ContentType::json()).body(document), "openapi.json")
}

pub(super) async fn index(state: Data<State>) -> HttpResponse {
    let page = PAGE.replace("{docs}", &format!("{}/api/docs", base_path(&state)));
    answer("text/html; charset=utf-8", Bytes::from(page))
}

pub(super) async fn asset(state: Data<State>, name: Path<String>) -> Result<HttpResponse, ApiError> {
    if *name == "index.html" {
        return Ok(index(state).await);
    }
    // The browser remembers a token that was entered.
    let config = Config::new([format!("{}/api/openapi.json", base_path(&state))]);
    let config = config.persist_authorization(true).try_it_out_enabled(true).validator_url("none");
    let found = utoipa_swagger_ui::serve(&name, Arc::new(config));
    let found = found.map_err(|e| feed_core::Error::Internal(e.to_string().into()))?;
    let file = found.ok_or(ApiError::NoRoute)?;
    let bytes = match file.bytes {
        // The binary's own: all responses share them.
        Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        Cow::Owned(bytes) => Bytes::from(bytes),
    };
    Ok(constant(answer(&file.content_type, bytes), &name))
}

/// Marks a response whose body is the same for every caller.
fn constant(mut response: HttpResponse, name: &str) -> HttpResponse {
    response.extensions_mut().insert(Constant(name.to_owned()));
    response
}

fn answer(content_type: &str, bytes: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(content_type)
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((REFERRER_POLICY, "no-referrer"))
        .body(bytes)
}

/// The public URL's path, which comes before the API's own paths, without a slash at its end.
fn base_path(state: &State) -> &str {
    let behind_scheme =
        state.public_url.as_deref().and_then(|url| url.split_once("://")).map(|(_, rest)| rest);
    behind_scheme.and_then(|rest| rest.find('/').map(|start| &rest[start..])).unwrap_or_default()
}
