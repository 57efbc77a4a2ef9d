//! Errors as callers see them, in the format `application/problem+json` (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use actix_web::{HttpResponse, ResponseError};
use feed_core::error::{FieldError, MAX_TOLD};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// An error of the domain.
    #[error(transparent)]
    Domain(#[from] feed_core::Error),
    /// The route is for signed-in callers.
    #[error("sign in first: this request needs an `Authorization: Bearer` header with a token")]
    NoToken,
    /// The token is forged, damaged or expired.
    #[error("the token is invalid or has expired; sign in again")]
    BadToken,
    /// No route has this path.
    #[error("the API has no such path")]
    NoRoute,
    /// The path exists, but not with this method.
    #[error("this path supports only the methods {0}")]
    Method(String),
    /// The body is not declared as JSON.
    #[error("the body must be JSON, with `Content-Type: application/json`")]
    MediaType,
    /// The body is compressed, or encoded in another way.
    #[error("the body must not be compressed: send it without a `Content-Encoding`")]
    Encoded,
    /// The body is over the limit.
    #[error("the body is too large: at most {0} bytes are allowed")]
    TooLarge(usize),
    /// The body is not a JSON object, or is incomplete.
    #[error("{0}")]
    Body(String),
    /// The body took too long to arrive.
    #[error("the body did not arrive in time")]
    SlowBody,
    /// A concurrency limit is reached.
    #[error("the service is overloaded at the moment; try again soon")]
    Busy(Busy),
    /// A newer search of the same account has replaced this one, or its client hung up.
    #[error("a newer search has replaced this one")]
    Superseded,
    /// The search takes longer than a request may.
    #[error("this search takes too long: try more letters, another word or a smaller radius")]
    TooBroad,
    /// The caller's rate limit is used up. It allows another request after so many seconds.
    #[error("too many requests; try again in {0} s")]
    TooMany(u64),
    /// The caller has too many requests in flight, or their bodies are too large together.
    #[error("you have sent too many requests at once; try again when one of them has finished")]
    TooManyAtOnce,
    /// A library has refused the request: no acceptable encoding, or a CORS preflight from an unknown origin.
    #[error("the request's headers ask for something that this service does not offer")]
    Refused(StatusCode),
}

/// The concurrency limit that is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// Requests in flight.
    Requests,
    /// Reads.
    Reads,
    /// Lists with a search text or a radius.
    Searches,
    /// Writes.
    Writes,
    /// Passwords to hash.
    Passwords,
    /// Bytes of bodies that are still arriving.
    Bodies,
}

impl Busy {
    /// The limit's name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::Reads => "reads",
            Self::Searches => "searches",
            Self::Writes => "writes",
            Self::Passwords => "passwords",
            Self::Bodies => "bodies",
        }
    }
}

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// The prefix of every `type`.
pub(crate) const TYPE_PREFIX: &str = "urn:pockitflyer:problem:";

/// An error, in the format of RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// The kind of problem, for programs. It does not change between versions.
    #[schema(example = "urn:pockitflyer:problem:invalid-input")]
    r#type: String,
    /// The kind of problem in words.
    #[schema(example = "Invalid input")]
    title: &'static str,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599, example = 400)]
    status: u16,
    /// What is wrong with this request.
    #[schema(example = "page_size must be a positive integer")]
    detail: String,
    /// The same text as `detail`: a sentence to show to people.
    #[schema(example = "page_size must be a positive integer")]
    error: String,
    /// Each rule that the input breaks, at most 20 of them. `error` says how many more there are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 20)]
    errors: Vec<FieldError>,
}

/// All kinds of problems: the end of their `type`, the status, the title, and what callers can do.
///
/// The OpenAPI document has them as a table.
pub(crate) const KINDS: &[(&str, u16, &str, &str)] = &[
    ("invalid-input", 400, "Invalid input", "A parameter or field breaks a rule; `errors` lists them."),
    ("own-follow", 400, "Own follow", "Users cannot follow themselves."),
    ("malformed-body", 400, "Malformed body", "The body is not a JSON object, or is incomplete."),
    ("token-required", 401, "Token required", "This request needs a token: sign in, and send it."),
    (
        "invalid-token",
        401,
        "Invalid token",
        "The token is damaged, expired or revoked, or its account was deleted: sign in again.",
    ),
    ("wrong-credentials", 401, "Wrong credentials", "No account has this e-mail and password."),
    ("not-owner", 403, "Not the owner", "Only the flyer's creator may change it."),
    ("not-found", 404, "Not found", "There is no such flyer or user, or it was deleted."),
    ("no-route", 404, "No such path", "The API has no such path."),
    ("method-not-allowed", 405, "Method not allowed", "The path supports other methods; `Allow` lists them."),
    (
        "refused",
        406,
        "Refused",
        "The headers ask for something that the service does not offer. Other 4xx statuses can have this type too.",
    ),
    ("slow-body", 408, "Slow body", "The body did not arrive in time: send it again."),
    (
        "superseded",
        409,
        "Superseded",
        "The limit of searches was reached, and a newer list with `search` or `radius_km` of the same account has replaced \
         this one: show the newer one, and do not repeat this one automatically.",
    ),
    ("taken", 409, "Already taken", "Another account has this e-mail or username; `errors` says which."),
    ("body-too-large", 413, "Body too large", "A body may have at most 131,072 bytes."),
    ("not-json", 415, "Not JSON", "A body needs `Content-Type: application/json`."),
    (
        "encoded-body",
        415,
        "Encoded body",
        "A body must not be compressed: send it without a `Content-Encoding`.",
    ),
    (
        "too-many-requests",
        429,
        "Too many requests",
        "The caller's rate limit is used up, or the caller has too many requests at once: try again after `Retry-After` \
         seconds. `RateLimit` says how many requests are left.",
    ),
    (
        "too-many-failures",
        429,
        "Too many failures",
        "The password was wrong too often in a row: try again after `Retry-After` seconds. An app that has an old token of \
         the account, even an expired one, should send it.",
    ),
    (
        "internal",
        500,
        "Internal error",
        "A fault of the service; its log has the details under the `x-request-id`.",
    ),
    (
        "unavailable",
        503,
        "Unavailable",
        "The database is not available: try again after `Retry-After` seconds.",
    ),
    ("overloaded", 503, "Overloaded", "The service is overloaded: try again after `Retry-After` seconds."),
    (
        "search-too-broad",
        503,
        "Search too broad",
        "This search takes too long: try more letters, another word or a smaller radius.",
    ),
    (
        "timed-out",
        503,
        "Timed out",
        "The request took too long: try again after `Retry-After` seconds, or ask for less.",
    ),
];

impl ApiError {
    /// The last part of the problem's `type`.
    fn kind(&self) -> &'static str {
        use feed_core::Error as Domain;
        match self {
            Self::Domain(Domain::Invalid(_)) => "invalid-input",
            Self::Domain(Domain::OwnFollow) => "own-follow",
            Self::Domain(Domain::UnknownCaller) | Self::BadToken => "invalid-token",
            Self::Domain(Domain::WrongCredentials) => "wrong-credentials",
            Self::Domain(Domain::TooManyFailures(_)) => "too-many-failures",
            Self::Domain(Domain::NotOwner(_)) => "not-owner",
            Self::Domain(Domain::NotFound(_)) => "not-found",
            Self::Domain(Domain::Taken(_)) => "taken",
            Self::Domain(Domain::Unavailable(_)) => "unavailable",
            Self::Domain(Domain::TimedOut(_)) => "timed-out",
            Self::Domain(Domain::Internal(_)) => "internal",
            Self::SlowBody => "slow-body",
            Self::Busy(_) => "overloaded",
            Self::TooBroad => "search-too-broad",
            Self::TooMany(_) | Self::TooManyAtOnce => "too-many-requests",
            Self::Superseded => "superseded",
            Self::NoToken => "token-required",
            Self::NoRoute => "no-route",
            Self::Method(_) => "method-not-allowed",
            Self::TooLarge(_) => "body-too-large",
            Self::MediaType => "not-json",
            Self::Encoded => "encoded-body",
            Self::Body(_) => "malformed-body",
            Self::Refused(_) => "refused",
        }
    }

    /// The error for a list with a search text or a radius: there a timeout means that the search is too broad.
    pub(crate) fn of_search(self) -> Self {
        match self {
            Self::Domain(feed_core::Error::TimedOut(_)) => Self::TooBroad,
            other => other,
        }
    }

    /// The name of the limit that has refused the request, if the error is such a refusal.
    pub(crate) fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Busy(what) => Some(what.name()),
            Self::TooMany(_) => Some("rate"),
            Self::TooManyAtOnce => Some("caller"),
            Self::Superseded => Some("superseded"),
            Self::Domain(feed_core::Error::TooManyFailures(_)) => Some("failures"),
            _ => None,
        }
    }

    /// The status and title of its kind.
    fn status_and_title(&self) -> (StatusCode, &'static str) {
        let kind = self.kind();
        let listed = KINDS.iter().find(|(name, ..)| *name == kind);
        let status = match self {
            Self::Refused(status) => Some(*status),
            _ => listed.and_then(|(_, status, ..)| StatusCode::from_u16(*status).ok()),
        };
        // A test checks every variant, so each has its kind in the table.
        (status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), listed.map_or("", |(_, _, title, _)| title))
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Domain(feed_core::Error::Invalid(fields)) => {
                fields.iter().take(MAX_TOLD).cloned().collect()
            }
            Self::Domain(error @ feed_core::Error::Taken(field)) => {
                vec![FieldError { field: (*field).to_owned(), message: error.to_string() }]
            }
            Self::Domain(error @ feed_core::Error::OwnFollow) => {
                vec![FieldError { field: "followed_id".to_owned(), message: error.to_string() }]
            }
            _ => Vec::new(),
        }
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status_and_title().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, title) = self.status_and_title();
        let detail = self.to_string();
        let problem = Problem {
            r#type: format!("{TYPE_PREFIX}{}", self.kind()),
            title,
            status: status.as_u16(),
            error: detail.clone(),
            detail,
            errors: self.fields(),
        };
        let mut response = HttpResponse::build(status);
        match self {
            Self::Method(allowed) => {
                response.insert_header((ALLOW, allowed.as_str()));
            }
            // The accepted encoding, as RFC 9110 15.5.16 requires.
            Self::Encoded => {
                response.insert_header((ACCEPT_ENCODING, "identity"));
            }
            Self::TooManyAtOnce => {
                response.insert_header((RETRY_AFTER, "1"));
            }
            Self::TooMany(seconds) | Self::Domain(feed_core::Error::TooManyFailures(seconds)) => {
                response.insert_header((RETRY_AFTER, seconds.to_string()));
            }
            _ if status == StatusCode::UNAUTHORIZED => {
                response.insert_header((WWW_AUTHENTICATE, "Bearer"));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                response.insert_header((RETRY_AFTER, "1"));
            }
            _ => {}
        }
        let mut response = response.json(problem);
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        response
    }
}

#[cfg(test)]
mod tests {
    use actix_web::ResponseError;
    use actix_web::http::StatusCode;
    use feed_core::Error as Domain;

    use super::{ApiError, Busy};

    #[test]
    fn every_error_has_its_status_and_reveals_nothing_internal() {
        let secret = || Box::<dyn std::error::Error + Send + Sync>::from("SELECT secret FROM /srv/file");
        let table = [
            (ApiError::Domain(Domain::invalid("page", "must be a positive integer")), 400, "invalid-input"),
            (ApiError::Domain(Domain::OwnFollow), 400, "own-follow"),
            (ApiError::Body("not JSON".into()), 400, "malformed-body"),
            (ApiError::NoToken, 401, "token-required"),
            (ApiError::BadToken, 401, "invalid-token"),
            (ApiError::Domain(Domain::UnknownCaller), 401, "invalid-token"),
            (ApiError::Domain(Domain::WrongCredentials), 401, "wrong-credentials"),
            (ApiError::Domain(Domain::NotOwner("flyer")), 403, "not-owner"),
            (ApiError::Domain(Domain::NotFound("flyer")), 404, "not-found"),
            (ApiError::NoRoute, 404, "no-route"),
            (ApiError::Method("GET".into()), 405, "method-not-allowed"),
            (ApiError::Domain(Domain::Taken("email")), 409, "taken"),
            (ApiError::TooLarge(1), 413, "body-too-large"),
            (ApiError::MediaType, 415, "not-json"),
            (ApiError::Superseded, 409, "superseded"),
            (ApiError::Domain(Domain::Unavailable(secret())), 503, "unavailable"),
            (ApiError::Domain(Domain::TimedOut(secret())), 503, "timed-out"),
            (ApiError::Domain(Domain::TimedOut(secret())).of_search(), 503, "search-too-broad"),
            (ApiError::NoRoute.of_search(), 404, "no-route"),
            (ApiError::Domain(Domain::Internal(secret())), 500, "internal"),
            (ApiError::SlowBody, 408, "slow-body"),
            (ApiError::Encoded, 415, "encoded-body"),
            (ApiError::TooMany(7), 429, "too-many-requests"),
            (ApiError::TooManyAtOnce, 429, "too-many-requests"),
            (ApiError::Domain(Domain::TooManyFailures(7)), 429, "too-many-failures"),
            (ApiError::Busy(Busy::Writes), 503, "overloaded"),
            (ApiError::Refused(StatusCode::NOT_ACCEPTABLE), 406, "refused"),
        ];
        for (error, status, kind) in table {
            let response = error.error_response();
            assert_eq!(response.status().as_u16(), status, "{error:?}");
            let body = actix_web::rt::System::new()
                .block_on(actix_web::body::to_bytes(response.into_body()))
                .ok()
                .unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["type"], format!("urn:pockitflyer:problem:{kind}"));
            assert_eq!(body["status"], status);
            assert!(body["error"].as_str().is_some_and(|e| !e.is_empty()), "{body}");
            assert!(!body.to_string().contains("secret"), "{body}");
        }
    }
}
