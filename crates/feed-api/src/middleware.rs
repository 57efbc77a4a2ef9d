//! Middleware: admission of requests, errors in one shape, caching headers, CORS.

use actix_cors::Cors;
use actix_http::ConnectionType;
use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG,
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LINK, LOCATION, RETRY_AFTER, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};

use crate::auth::{Confirmed, Viewer};
use crate::caller::Caller;
use crate::compression::Constant;
use crate::config::{CorsOrigins, CorsPolicy};
use crate::held_body::HeldBody;
use crate::in_flight::InFlightRequest;
use crate::problem::{ApiError, PROBLEM_JSON};
use crate::rate::{RATELIMIT, RATELIMIT_POLICY};
use crate::route_class::RouteClass;
use crate::state::State;
use crate::telemetry::{REQUEST_ID, SERVER_TIMING};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// Admits a request: its caller is within the rate limit and the limit of requests in flight, and its body is not
/// encoded.
///
/// Health checks have no limit. A request is counted before it is refused, so it costs its caller as much as an
/// admitted one. This wraps each route and not the app, so that it knows the route that was matched.
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
    let token = Viewer::of(request.request()).ok().and_then(|viewer| viewer.0);
    let caller = state.callers.identify(request.request(), token);
    let (left, allowed) = match state.limiter.as_ref().and_then(|limiter| limiter.count(class, caller)) {
        None => (None, Ok(())),
        Some(Ok(left)) => (Some(left), Ok(())),
        Some(Err(exhausted)) => (Some(exhausted.left()), Err(exhausted.problem())),
    };
    let admitted =
        allowed.and_then(|()| plain_body(request.headers())).and_then(|()| state.in_flight.begin(caller));
    let mut response = match admitted {
        Ok(in_flight) => {
            let response = handle(&state, request, next).await?;
            counted_until_sent(&state, caller, in_flight, response)
        }
        Err(problem) => request.error_response(problem),
    };
    if let Some(left) = left {
        left.write(response.headers_mut());
    }
    Ok(response)
}

/// Counts a browser's preflight against the caller's network: it is answered before any route is matched.
pub(crate) async fn count_preflights(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let state = request.app_data::<web::Data<State>>().cloned().filter(|_| is_preflight);
    let counted = state.and_then(|state| {
        state.limiter.as_ref()?.count(RouteClass::Standard, state.callers.of(request.request()))
    });
    match counted {
        Some(Err(spent)) => Ok(request.error_response(spent.problem())),
        _ => Ok(next.call(request).await?.map_into_boxed_body()),
    }
}

/// Closes the connection after a 429, so that a caller who tries again has to open another one. A trusted proxy keeps
/// its connection, because other callers use it too.
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

/// Counts the request as in flight, and the bytes of a long response, until the response was sent.
///
/// A caller who does not read responses would otherwise hold as many as it has connections, whatever their length.
fn counted_until_sent(
    state: &State,
    caller: Caller,
    request: InFlightRequest,
    response: ServiceResponse<BoxBody>,
) -> ServiceResponse<BoxBody> {
    // All responses share the bytes of a constant body.
    let is_shared = response.response().extensions().contains::<Constant>();
    let bytes = match response.response().body().size() {
        BodySize::Sized(bytes) if !is_shared => usize::try_from(bytes).unwrap_or(usize::MAX),
        _ => 0,
    };
    match state.in_flight.response(caller, bytes) {
        Ok(leaving) => response.map_body(|_, body| BoxBody::new(HeldBody::new(body, (request, leaving)))),
        Err(problem) => response.into_response(problem.error_response()),
    }
}

/// Calls the handler, and notes whether the database has confirmed or refuted the caller's token.
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

/// Refuses a body with a `Content-Encoding`: a small compressed body may inflate to any size.
///
/// An empty list names no coding (RFC 9110, 5.6.1), and `identity` means none.
fn plain_body(headers: &HeaderMap) -> Result<(), ApiError> {
    let is_none = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    let is_plain = |line: &HeaderValue| {
        line.to_str().is_ok_and(|line| line.split(',').all(|coding| is_none(coding.trim())))
    };
    if headers.get_all(CONTENT_ENCODING).all(is_plain) { Ok(()) } else { Err(ApiError::Encoded) }
}

/// Adds `Cache-Control` and `Vary`: caches must revalidate every response, and only the caller's own cache may keep the
/// response to a request with a token. Routes that handle secrets are not cached at all.
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

/// Turns the errors of libraries into `application/problem+json`, the shape of all other errors.
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
    // Only the body and the headers that describe it are replaced.
    for (name, value) in said.into_iter().filter(|(name, _)| !name.as_str().starts_with("content-")) {
        problem.headers_mut().append(name, value);
    }
    Ok(problem.map_into_boxed_body())
}

/// The CORS middleware: allows web pages of these origins to call the API and read its responses.
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
            // OpenTelemetry adds these to each request of a web page.
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
