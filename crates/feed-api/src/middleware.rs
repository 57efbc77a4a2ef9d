//! What every request passes, and what every answer carries.

use actix_cors::Cors;
use actix_http::ConnectionType;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};

use crate::auth::Confirmed;
use crate::config::{CorsOrigins, CorsPolicy};
use crate::problem::{ApiError, PROBLEM_JSON};
use crate::rate::{RATELIMIT, RATELIMIT_POLICY};
use crate::routes::RouteClass;
use crate::state::State;
use crate::telemetry::{REQUEST_ID, SERVER_TIMING};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Lets a request in whose caller has one left and not too many under way, and whose body comes as it is.
///
/// Health checks have no limit. A request that is refused was counted before: it costs its caller what one that is let
/// in costs. It wraps each route and not the app, so that it goes by the route that was matched.
pub(crate) async fn admit(
    class: RouteClass,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    request.extensions_mut().insert(class);
    let state = request.app_data::<web::Data<State>>().cloned();
    let Some(state) = state.filter(|_| class != RouteClass::Health) else {
        return match plain_body(request.headers()) {
            Ok(()) => Ok(next.call(request).await?.map_into_boxed_body()),
            Err(problem) => Ok(request.error_response(problem)),
        };
    };
    let caller = state.callers.identify(&request);
    request.extensions_mut().insert(caller);
    let (left, allowed) = match state.limiter.as_ref().and_then(|limiter| limiter.count(class, &caller)) {
        None => (None, Ok(())),
        Some(Ok(left)) => (Some(left), Ok(())),
        Some(Err(spent)) => (Some(spent.left()), Err(spent.problem())),
    };
    let admitted =
        allowed.and_then(|()| plain_body(request.headers())).and_then(|()| state.in_flight.begin(&caller));
    let mut response = match admitted {
        Ok(_in_flight) => handle(&state, request, next).await?,
        Err(problem) => request.error_response(problem),
    };
    if let Some(left) = left {
        left.write(response.headers_mut());
    }
    Ok(response)
}

/// Ends a connection behind a 429: who asks again pays for another one. A proxy keeps its own, which others need.
pub(crate) async fn close_after_429(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let mut response = next.call(request).await?;
    let is_direct = state.is_some_and(|state| !state.callers.are_behind_proxies());
    if response.status() == StatusCode::TOO_MANY_REQUESTS && is_direct {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
    Ok(response)
}

/// Lets a request be handled, and remembers what the database said of its caller.
async fn handle(
    state: &State,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let response = next.call(request).await?.map_into_boxed_body();
    let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
    let is_refuted = matches!(error, Some(ApiError::Domain(feed_core::Error::UnknownCaller)));
    let is_success = response.status().is_success() || response.status() == StatusCode::NOT_MODIFIED;
    if let Some(Confirmed(Some(caller))) = response.request().extensions().get() {
        if is_refuted {
            state.callers.refute(*caller);
        } else if is_success {
            state.callers.confirm(*caller);
        }
    }
    Ok(response)
}

/// Makes sure that the body is not encoded: a small one may inflate to any size.
///
/// A list without entries names no coding (RFC 9110, 5.6.1), and `identity` stands for none.
fn plain_body(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_none = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    let is_plain = |line: &HeaderValue| {
        line.to_str().is_ok_and(|line| line.split(',').all(|coding| is_none(coding.trim())))
    };
    if headers.get_all(CONTENT_ENCODING).all(is_plain) { Ok(()) } else { Err(ApiError::Encoded) }
}

/// Says who may keep an answer: nobody without asking again, and the signed-in caller's only the caller.
pub(crate) async fn cache_headers(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let mut response = next.call(request).await?;
    let request = response.request();
    let is_secret = request.extensions().get().is_some_and(|class: &RouteClass| class.is_secret());
    let policy = if is_secret {
        "no-store"
    } else if request.headers().contains_key(AUTHORIZATION) {
        "private, no-cache"
    } else {
        "public, max-age=0, must-revalidate"
    };
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
pub(crate) fn cors(policy: Option<&CorsPolicy>) -> Cors {
    let cors = Cors::default()
        .allowed_methods([
            Method::GET,
            Method::HEAD,
            Method::POST,
            Method::PUT,
            Method::PATCH,
            Method::DELETE,
        ])
        .allowed_headers([
            AUTHORIZATION,
            CONTENT_TYPE,
            IDEMPOTENCY_KEY,
            IF_MATCH,
            IF_NONE_MATCH,
            REQUEST_ID,
            // What OpenTelemetry adds to each request of a page.
            HeaderName::from_static("traceparent"),
            HeaderName::from_static("tracestate"),
            HeaderName::from_static("baggage"),
        ])
        .allowed_headers(policy.map(|policy| policy.headers.clone()).unwrap_or_default())
        .expose_headers([
            ETAG,
            IDEMPOTENCY_REPLAYED,
            LINK,
            LOCATION,
            RETRY_AFTER,
            REQUEST_ID,
            SERVER_TIMING,
            RATELIMIT,
            RATELIMIT_POLICY,
        ])
        .max_age(3_600);
    match policy.map(|policy| &policy.origins) {
        None => cors,
        Some(CorsOrigins::Any) => cors.allow_any_origin(),
        Some(CorsOrigins::These(list)) => list.iter().fold(cors, |cors, origin| cors.allowed_origin(origin)),
    }
}
