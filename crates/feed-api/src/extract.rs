//! Extractors for JSON bodies and for ids in paths.

use std::future::{Future, Ready, poll_fn, ready};
use std::pin::{Pin, pin};

use actix_web::body::{BodyStream, MessageBody};
use actix_web::dev::Payload;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use actix_web::rt::time::timeout;
use actix_web::{FromRequest, HttpRequest, web};
use feed_core::Error;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::ids::{POSITIVE, positive};
use crate::in_flight::ArrivingBody;
use crate::problem::ApiError;
use crate::state::State;

/// Bytes of a body at most. The longest flyer has 94 kB if every character is escaped.
pub const BODY_LIMIT: usize = 128 * 1024;

/// Extracts a JSON body and validates it by the rules of its type.
///
/// All bodies are read by this extractor, within the limits of [`crate::in_flight`].
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + garde::Validate<Context = ()> + 'static> FromRequest for Body<T> {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        if !is_json(request) {
            return Box::pin(ready(Err(ApiError::MediaType)));
        }
        if declared_length(request).is_some_and(|length| length > BODY_LIMIT as u64) {
            return Box::pin(ready(Err(ApiError::TooLarge(BODY_LIMIT))));
        }
        let Some(state) = request.app_data::<web::Data<State>>() else {
            return Box::pin(ready(Err(Error::Internal("no state".into()).into())));
        };
        let (time, mut arriving) = (state.receive, state.in_flight.body(state.callers.of(request)));
        let payload = payload.take();
        Box::pin(async move {
            let bytes = timeout(time, receive(payload, &mut arriving)).await;
            let body: T = parse(&bytes.map_err(|_| ApiError::SlowBody)??)?;
            body.validate().map_err(Error::from)?;
            Ok(Self(body))
        })
    }
}

fn declared_length(request: &HttpRequest) -> Option<u64> {
    request.headers().get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Reads all bytes of a body, as they were sent.
async fn receive(payload: Payload, arriving: &mut ArrivingBody) -> Result<Vec<u8>, ApiError> {
    let mut body = pin!(BodyStream::new(payload));
    let mut bytes = Vec::new();
    while let Some(part) = poll_fn(|context| body.as_mut().poll_next(context)).await {
        let part = part.map_err(|_| {
            ApiError::Body(
                "the body is incomplete: the connection ended before all of it had arrived".to_owned(),
            )
        })?;
        if bytes.len() + part.len() > BODY_LIMIT {
            return Err(ApiError::TooLarge(BODY_LIMIT));
        }
        arriving.add(part.len())?;
        // Copied, because the part would keep the connection's whole buffer in memory.
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn is_json(request: &HttpRequest) -> bool {
    let essence = request.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    essence
        .and_then(|v| v.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Parsed to a tree first, to find U+0000 in any string: PostgreSQL cannot store it.
    let tree: Value = serde_json::from_slice(bytes).map_err(|e| ApiError::Body(unreadable(&e)))?;
    if !tree.is_object() {
        return Err(ApiError::Body("the body must be a JSON object".to_owned()));
    }
    if holds_nul(&tree) {
        return Err(ApiError::Body("the body must not contain the character U+0000".to_owned()));
    }
    serde_path_to_error::deserialize(tree).map_err(|e| field_error(&e).into())
}

fn holds_nul(tree: &Value) -> bool {
    match tree {
        Value::String(text) => text.contains('\0'),
        Value::Array(list) => list.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Says where the body stops being valid JSON, or has a number out of range.
fn unreadable(error: &serde_json::Error) -> String {
    let place = format!("line {}, column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof if error.column() == 0 => "the body is empty".to_owned(),
        serde_json::error::Category::Eof => format!("the body's JSON ends too early, at {place}"),
        _ => format!("the body is not valid JSON at {place}"),
    }
}

/// Names the field that does not parse. Serde names a missing field only in its message.
fn field_error(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let message = error.inner().to_string();
    let path = match error.path().to_string() {
        path if path == "." => String::new(),
        path => path,
    };
    match message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        Some(field) if path.is_empty() => Error::invalid(field, "is missing"),
        Some(field) => Error::invalid(format!("{path}.{field}"), "is missing"),
        None => Error::invalid(path, expectation(&message)),
    }
}

/// Says what was expected. Serde's own message repeats the input and names Rust types.
fn expectation(message: &str) -> String {
    // The last match: the input comes before it and may contain the same words.
    let expected = match message.rsplit_once(", expected ") {
        None => return message.to_owned(),
        Some((_, "i64")) => "a 64-bit integer",
        Some((_, "f64")) => "a number",
        Some((_, "a sequence")) => "a list",
        Some((_, rest)) if rest.starts_with("struct ") => "an object",
        Some((_, rest)) => &rest.replace('`', ""),
    };
    format!("must be {expected}")
}

/// Extracts the id in a path: a positive 64-bit integer.
#[derive(Debug, Clone, Copy)]
pub struct PathId(pub i64);

impl FromRequest for PathId {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(positive);
        ready(id.map(Self).ok_or_else(|| Error::invalid("id", POSITIVE).into()))
    }
}
