//! What every answer carries.

use actix_cors::Cors;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    LINK, LOCATION, RETRY_AFTER, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError};

use crate::config::CorsOrigins;
use crate::problem::{ApiError, PROBLEM_JSON};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Gives every answer the caller's request id, or one of its own, and logs what went wrong under it.
pub(crate) async fn request_id(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let given = request.headers().get(REQUEST_ID).filter(|id| is_sane(id)).cloned();
    let id = given.unwrap_or_else(fresh_id);
    let mut response = next.call(request).await?;
    if response.status().is_server_error() {
        let error = response.response().error().map(error_with_causes).unwrap_or_default();
        tracing::error!(
            request_id = id.to_str().unwrap_or_default(),
            method = %response.request().method(),
            path = response.request().path(),
            status = response.status().as_u16(),
            error,
            "request failed"
        );
    }
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

fn is_sane(id: &HeaderValue) -> bool {
    let bytes = id.as_bytes();
    (1..=128).contains(&bytes.len()) && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

fn fresh_id() -> HeaderValue {
    let id = format!("{:032x}", rand::random::<u128>());
    HeaderValue::try_from(id).unwrap_or_else(|_| HeaderValue::from_static("none"))
}

fn error_with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.as_error::<ApiError>().and_then(|e| std::error::Error::source(e));
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// Says who may keep an answer: nobody without asking again, and the signed-in caller's only the caller.
pub(crate) async fn cache_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let policy = if request.path().starts_with("/api/auth/") {
        "no-store"
    } else if request.headers().contains_key(AUTHORIZATION) {
        "private, no-cache"
    } else {
        "public, max-age=0, must-revalidate"
    };
    let mut response = next.call(request).await?;
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(policy));
    headers.insert(VARY, HeaderValue::from_static("Authorization, Accept-Encoding"));
    Ok(response)
}

/// Gives what a library refuses on its own the shape of all other problems.
pub(crate) async fn problems(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?;
    let status = response.status();
    let is_problem = response.headers().get(CONTENT_TYPE).is_some_and(|t| t == PROBLEM_JSON);
    if is_problem || !(status.is_client_error() || status.is_server_error()) {
        return Ok(response.map_into_boxed_body());
    }
    let said = response.headers().clone();
    let mut problem = response.into_response(ApiError::Refused(status).error_response());
    // Of the answer that is replaced, only the body goes and what describes it.
    for (name, value) in said.into_iter().filter(|(name, _)| !name.as_str().starts_with("content-")) {
        problem.headers_mut().append(name, value);
    }
    Ok(problem.map_into_boxed_body())
}

/// Lets pages of these origins call the API and read its answers; none is asked where there are none.
pub(crate) fn cors(origins: Option<&CorsOrigins>) -> Cors {
    let cors = Cors::default()
        .allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allowed_headers([AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH, REQUEST_ID])
        .expose_headers([ETAG, LINK, LOCATION, RETRY_AFTER, REQUEST_ID])
        .max_age(3_600);
    match origins {
        None => cors,
        Some(CorsOrigins::Any) => cors.allow_any_origin(),
        Some(CorsOrigins::These(list)) => list.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
