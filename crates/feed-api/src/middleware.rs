//! What every request passes, and what every answer carries.

use std::time::{Duration, Instant};

use actix_cors::Cors;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH,
    LINK, LOCATION, RETRY_AFTER, VARY,
};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};

use crate::config::CorsOrigins;
use crate::problem::{ApiError, PROBLEM_JSON};
use crate::rate::{RATELIMIT, RATELIMIT_POLICY};
use crate::state::State;
use crate::usage::{self, Taken};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Gives every answer the caller's request id, or one of its own, and tells the log and the metrics what it took.
///
/// # Errors
/// What lies within.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let given = request.headers().get(REQUEST_ID).filter(|id| is_sane(id)).cloned();
    let id = given.unwrap_or_else(fresh_id);
    let state = request.app_data::<web::Data<State>>().cloned();
    let under_way = state.as_ref().map(|state| state.metrics.begin());
    let (response, taken) = usage::of(next.call(request)).await;
    drop(under_way);
    let mut response = response?;
    let time = started.elapsed();
    let route = response.request().match_pattern();
    log(&response, &id, route.as_deref(), time, taken);
    if let Some(state) = state {
        let method = known(response.request().method());
        let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
        if let Some(reason) = error.and_then(ApiError::refusal) {
            state.metrics.refused(reason);
        }
        state.metrics.answered(route.as_deref(), method, response.status().as_u16(), time, taken);
        if state.server_timing
            && let Ok(timing) = HeaderValue::try_from(server_timing(time, taken))
        {
            response.headers_mut().insert(SERVER_TIMING, timing);
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

/// One line a request; the path itself, which may be anybody's words, only where we failed.
fn log(
    response: &ServiceResponse<impl MessageBody>,
    id: &HeaderValue,
    route: Option<&str>,
    time: Duration,
    taken: Taken,
) {
    let request_id = id.to_str().unwrap_or_default();
    let method = known(response.request().method());
    let status = response.status().as_u16();
    let (total_ms, database_ms) = (ms(time), ms(taken.usage.database));
    let waiting_ms = ms(taken.usage.waiting);
    let statements = taken.usage.statements;
    let error = response.response().error().filter(|_| status >= 500).map(error_with_causes);
    let path = error.as_ref().map(|_| response.request().path());
    match status {
        503 => tracing::warn!(
            request_id,
            method,
            route,
            path,
            status,
            total_ms,
            statements,
            database_ms,
            waiting_ms,
            error,
            "request refused"
        ),
        500.. => tracing::error!(
            request_id,
            method,
            route,
            path,
            status,
            total_ms,
            statements,
            database_ms,
            waiting_ms,
            error,
            "request failed"
        ),
        _ => tracing::info!(
            request_id,
            method,
            route,
            status,
            total_ms,
            statements,
            database_ms,
            waiting_ms,
            "request"
        ),
    }
}

/// Milliseconds to the microsecond.
fn ms(time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a request takes no centuries")]
    let microseconds = time.as_micros() as f64;
    microseconds / 1_000.0
}

fn server_timing(time: Duration, taken: Taken) -> String {
    let Taken { usage, .. } = taken;
    format!(
        "total;dur={}, db;dur={};desc=\"{} statements\", wait;dur={}",
        ms(time),
        ms(usage.database),
        usage.statements,
        ms(usage.waiting)
    )
}

/// The method where it is one of HTTP's: others are anybody's words, and without number.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

/// Lets a request in where there is room and the caller has one left; health always gets in.
pub(crate) async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let Some(state) = state.filter(|_| !matches!(request.path(), "/healthz" | "/readyz")) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let _turn = match state.gates.requests.enter_now() {
        Ok(turn) => turn,
        Err(busy) => return Ok(request.error_response(busy)),
    };
    let (mut response, left) = match state.limiter.as_ref().and_then(|limiter| limiter.count(&request)) {
        None => return Ok(next.call(request).await?.map_into_boxed_body()),
        Some(Ok(left)) => (next.call(request).await?.map_into_boxed_body(), left),
        Some(Err(spent)) => (request.error_response(spent.problem()), spent.left()),
    };
    left.write(response.headers_mut());
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
        .expose_headers([
            ETAG,
            LINK,
            LOCATION,
            RETRY_AFTER,
            REQUEST_ID,
            SERVER_TIMING,
            RATELIMIT,
            RATELIMIT_POLICY,
        ])
        .max_age(3_600);
    match origins {
        None => cors,
        Some(CorsOrigins::Any) => cors.allow_any_origin(),
        Some(CorsOrigins::These(list)) => list.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
