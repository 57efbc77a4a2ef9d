//! Tokens, and who calls.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use chrono::NaiveDateTime;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use crate::extract::positive;
use crate::problem::ApiError;
use crate::state::State;

/// Signs and reads tokens: JWT with HS256.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    ttl: u32,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("ttl", &self.ttl).finish_non_exhaustive()
    }
}

/// What a token says.
#[derive(Debug, Serialize)]
struct Claims {
    /// The user's id; RFC 7519 wants a string.
    sub: String,
    iat: i64,
    exp: i64,
}

/// What a token must say to be believed, whoever made it with the secret: times are RFC 7519's
/// `NumericDate`s, which may have a fraction.
#[derive(Debug, Deserialize)]
struct Believed {
    sub: Subject,
    exp: f64,
    nbf: Option<f64>,
}

/// A user's id, as a string or as a number.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Subject {
    Text(String),
    Number(i64),
}

impl Tokens {
    /// Signs with `secret`; tokens live `ttl` seconds.
    #[must_use]
    pub fn new(secret: &[u8], ttl: u32) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        // Expiry is judged by the service's clock, in `verify`. Nobody else takes these tokens.
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            ttl,
        }
    }

    /// Seconds that a token lives.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// A token of this user, valid from `now` on.
    ///
    /// # Errors
    /// [`feed_core::Error::Internal`] when it cannot be signed.
    pub fn issue(&self, user: i64, now: NaiveDateTime) -> feed_core::Result<String> {
        let iat = now.and_utc().timestamp();
        let claims = Claims { sub: user.to_string(), iat, exp: iat + i64::from(self.ttl) };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|e| feed_core::Error::Internal(Box::new(e)))
    }

    /// The user of a token that is valid at `now`.
    fn verify(&self, token: &str, now: NaiveDateTime) -> Option<i64> {
        let Believed { sub, exp, nbf } =
            jsonwebtoken::decode(token, &self.decoding, &self.validation).ok()?.claims;
        #[expect(clippy::cast_precision_loss, reason = "seconds of this epoch are exact in a float")]
        let now = now.and_utc().timestamp() as f64;
        let user = match sub {
            Subject::Text(text) => positive(&text)?,
            Subject::Number(id) => id,
        };
        (nbf.is_none_or(|from| from <= now) && now < exp).then_some(user)
    }
}

/// The signed-in caller; 401 without a valid token.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub i64);

/// The caller where there is one: none without a token, 401 with a bad one.
#[derive(Debug, Clone, Copy)]
pub struct Viewer(pub Option<i64>);

impl Viewer {
    /// The caller, who must be signed in.
    ///
    /// # Errors
    /// [`ApiError::NoToken`].
    pub fn required(self) -> Result<i64, ApiError> {
        self.0.ok_or(ApiError::NoToken)
    }

    /// Whoever the request's token names.
    ///
    /// # Errors
    /// [`ApiError::BadToken`].
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        if let Some(known) = request.extensions().get::<Self>() {
            return Ok(*known);
        }
        let Some(header) = request.headers().get(AUTHORIZATION) else {
            return Ok(Self(None));
        };
        let state = request.app_data::<web::Data<State>>().ok_or(ApiError::BadToken)?;
        let token = header.to_str().ok().and_then(bearer).ok_or(ApiError::BadToken)?;
        let user = state.tokens.verify(token, state.clock.now()).ok_or(ApiError::BadToken)?;
        Ok(Self(Some(user)))
    }
}

/// The token behind the scheme's name, which has no case (RFC 9110).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequest for Viewer {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::of(request))
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Viewer::of(request).and_then(Viewer::required).map(Self))
    }
}
