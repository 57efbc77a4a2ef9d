//! Errors as callers see them: `application/problem+json` (RFC 9457).

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, ResponseError};
use feed_core::error::FieldError;
use serde::Serialize;

/// Why a request fails.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// What the domain refuses or fails at.
    #[error(transparent)]
    Domain(#[from] feed_core::Error),
    /// The route is for signed-in callers.
    #[error("sign in first: this needs an `Authorization: Bearer` header")]
    NoToken,
    /// The token is forged, damaged or expired.
    #[error("the token is not valid or has expired; sign in again")]
    BadToken,
    /// No route has this path.
    #[error("there is nothing at this path")]
    NoRoute,
    /// The path is there, but not with this method.
    #[error("this path answers {0} only")]
    Method(String),
    /// The body is not declared as JSON.
    #[error("the body must be JSON, with `Content-Type: application/json`")]
    MediaType,
    /// The body is over the limit.
    #[error("the body is too large: at most {0} bytes")]
    TooLarge(usize),
    /// The body is no JSON, or did not arrive whole.
    #[error("{0}")]
    Body(String),
    /// HTTP itself cannot be satisfied: no encoding that the caller takes, or a preflight from an unknown origin.
    #[error("the request's headers ask for what this service does not offer")]
    Refused(StatusCode),
}

/// The media type of RFC 9457.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    /// The shipped app shows this member.
    error: &'a str,
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl ApiError {
    /// The status, the last part of the problem's `type`, and its title.
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        use feed_core::Error as Domain;
        match self {
            Self::Domain(Domain::Invalid(_)) => (StatusCode::BAD_REQUEST, "invalid-input", "Invalid input"),
            Self::Domain(Domain::OwnFollow) => (StatusCode::BAD_REQUEST, "own-follow", "Own follow"),
            Self::Domain(Domain::UnknownCaller) | Self::BadToken => {
                (StatusCode::UNAUTHORIZED, "invalid-token", "Invalid token")
            }
            Self::NoToken => (StatusCode::UNAUTHORIZED, "token-required", "Token required"),
            Self::Domain(Domain::WrongCredentials) => {
                (StatusCode::UNAUTHORIZED, "wrong-credentials", "Wrong credentials")
            }
            Self::Domain(Domain::NotOwner(_)) => (StatusCode::FORBIDDEN, "not-owner", "Not the owner"),
            Self::Domain(Domain::NotFound(_)) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::NoRoute => (StatusCode::NOT_FOUND, "no-route", "No such path"),
            Self::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed"),
            Self::Domain(Domain::Taken(_)) => (StatusCode::CONFLICT, "taken", "Already taken"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Self::MediaType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "Not JSON"),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "malformed-body", "Malformed body"),
            Self::Refused(status) => (*status, "refused", "Refused"),
            Self::Domain(Domain::Unavailable(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable")
            }
            Self::Domain(Domain::Internal(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error")
            }
        }
    }

    fn fields(&self) -> Vec<FieldError> {
        match self {
            Self::Domain(feed_core::Error::Invalid(fields)) => fields.clone(),
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
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let (status, kind, title) = self.kind();
        let detail = self.to_string();
        let problem = Problem {
            r#type: format!("urn:pockitflyer:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: &detail,
            error: &detail,
            errors: &self.fields(),
        };
        let mut response = HttpResponse::build(status);
        match self {
            Self::Method(allowed) => {
                response.insert_header((ALLOW, allowed.as_str()));
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

    use super::ApiError;

    #[test]
    fn every_error_has_its_status_and_tells_nothing_internal() {
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
            (ApiError::Domain(Domain::Unavailable(secret())), 503, "unavailable"),
            (ApiError::Domain(Domain::Internal(secret())), 500, "internal"),
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
