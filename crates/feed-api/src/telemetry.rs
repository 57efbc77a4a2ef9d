//! Observes every request: the request id, the log line, the metrics and `Server-Timing`.

use std::time::{Duration, Instant};

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, web};

use crate::problem::ApiError;
use crate::route_class::RouteClass;
use crate::state::State;
use crate::usage::{self, RequestUsage};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(crate) const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// Middleware that observes a request, and gives the response the caller's request id or a new one.
///
/// # Errors
/// Those of the inner service.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let started = Instant::now();
    let given = request.headers().get(REQUEST_ID).filter(|id| is_sane(id)).cloned();
    let id = given.unwrap_or_else(fresh_id);
    let state = request.app_data::<web::Data<State>>().cloned();
    let under_way = state.as_ref().map(|state| state.metrics.begin());
    let (response, used) = usage::of(next.call(request)).await;
    drop(under_way);
    let mut response = response?;
    let time = started.elapsed();
    let route = response.request().match_pattern();
    let line = state.as_ref().map_or(Some(0), |state| line(&response, state));
    if let Some(repeated) = line {
        log(&response, &id, route.as_deref(), time, used, repeated);
    }
    if let Some(state) = state {
        let method = known(response.request().method());
        let error = response.response().error().and_then(|error| error.as_error::<ApiError>());
        if let Some(reason) = error.and_then(ApiError::refusal) {
            state.metrics.refused(reason);
        }
        state.metrics.answered(route.as_deref(), method, response.status().as_u16(), time, used);
        if state.server_timing
            && let Ok(timing) = HeaderValue::try_from(server_timing(time, used))
        {
            response.headers_mut().insert(SERVER_TIMING, timing);
        }
    }
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

/// Decides whether a request is logged. If so, returns how many similar lines were left out since the last one.
///
/// Refused requests (429, 503) and health checks have one line a second for each caller. Otherwise a caller who goes on
/// although they are refused, or whom no limit refuses, would fill the disk.
fn line(response: &ServiceResponse<impl MessageBody>, state: &State) -> Option<u64> {
    let request = response.request();
    let is_health = request.extensions().get() == Some(&RouteClass::Health);
    let status = response.status();
    if !is_health && !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return Some(0);
    }
    let caller = state.callers.of(request).key();
    let repeated = state.log_throttle.count(&(caller, is_health, status));
    if repeated.is_none() {
        state.metrics.suppressed_line();
    }
    repeated
}

/// Logs a request in one line. The path, which callers choose freely, is logged only with a status of 500 or above.
fn log(
    response: &ServiceResponse<impl MessageBody>,
    id: &HeaderValue,
    route: Option<&str>,
    time: Duration,
    used: RequestUsage,
    repeated: u64,
) {
    let repeated = Some(repeated).filter(|n| *n > 0);
    let request_id = id.to_str().unwrap_or_default();
    let method = known(response.request().method());
    let status = response.status().as_u16();
    let (total_ms, database_ms) = (ms(time), ms(used.usage.database));
    let waiting_ms = ms(used.usage.waiting);
    let statements = used.usage.statements;
    let error = response.response().error().filter(|_| status >= 500).map(error_with_causes);
    let path = error.as_ref().map(|_| response.request().path());
    macro_rules! log {
        ($level:ident, $message:literal) => {
            tracing::$level!(
                request_id,
                method,
                route,
                path,
                status,
                total_ms,
                statements,
                database_ms,
                waiting_ms,
                repeated,
                error,
                $message
            )
        };
    }
    match status {
        // Temporary, and also the response of `/readyz` while the server stops.
        503 => log!(warn, "request refused for now"),
        500.. => log!(error, "request failed"),
        _ => log!(info, "request"),
    }
}

/// Milliseconds, exact to the microsecond.
fn ms(time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "a request takes no centuries")]
    let microseconds = time.as_micros() as f64;
    microseconds / 1_000.0
}

fn server_timing(time: Duration, used: RequestUsage) -> String {
    let RequestUsage { usage, .. } = used;
    format!(
        "total;dur={}, db;dur={};desc=\"{} statements\", wait;dur={}",
        ms(time),
        ms(usage.database),
        usage.statements,
        ms(usage.waiting)
    )
}

/// The method, if it is one that HTTP defines and routes use. Callers can make up any number of others.
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
