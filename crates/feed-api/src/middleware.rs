//! What every request passes, and what every answer carries.

use actix_cors::Cors;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH, LINK, LOCATION,
    RETRY_AFTER, VARY,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, ResponseError, web};

use crate::auth::Confirmed;
use crate::config::CorsOrigins;
use crate::problem::{ApiError, PROBLEM_JSON};
use crate::rate::{RATELIMIT, RATELIMIT_POLICY};
use crate::routes::RouteClass;
use crate::state::State;
use crate::telemetry::{REQUEST_ID, SERVER_TIMING};

/// Lets a request in where there is room and the caller has one left; health always gets in.
///
/// It wraps each route and not the app, so that it goes by the route that was matched.
pub(crate) async fn admit(
    class: RouteClass,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    request.extensions_mut().insert(class);
    let state = request.app_data::<web::Data<State>>().cloned();
    let Some(state) = state.filter(|_| class != RouteClass::Health) else {
        return Ok(next.call(request).await?.map_into_boxed_body());
    };
    let _turn = match state.gates.requests.enter_now() {
        Ok(turn) => turn,
        Err(busy) => return Ok(request.error_response(busy)),
    };
    let caller = state.callers.identify(&request);
    request.extensions_mut().insert(caller);
    let (mut response, left) = match state.limiter.as_ref().and_then(|limiter| limiter.count(class, &caller))
    {
        None => return handle(&state, request, next).await,
        Some(Ok(left)) => (handle(&state, request, next).await?, left),
        Some(Err(spent)) => (request.error_response(spent.problem()), spent.left()),
    };
    left.write(response.headers_mut());
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
