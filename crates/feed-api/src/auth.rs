//! Tokens, and who calls.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use chrono::NaiveDateTime;
use feed_core::users::Identity;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::extract::positive;
use crate::problem::ApiError;
use crate::state::State;

/// Signs and reads tokens: JWT with HS256.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    /// The secret's, and that of the one before where there is one.
    decoding: Vec<DecodingKey>,
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
    /// The account's key in hexadecimal digits: an integer of 64 bits is none in JavaScript.
    key: String,
    iat: i64,
    exp: i64,
}

/// What a token must say to be believed, whoever made it with the secret: times are RFC 7519's
/// `NumericDate`s, which may have a fraction.
#[derive(Debug, Deserialize)]
struct Believed {
    sub: Subject,
    key: Option<String>,
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
            decoding: vec![DecodingKey::from_secret(secret)],
            validation,
            ttl,
        }
    }

    /// The same, which also reads tokens that an earlier secret signed, where there is one.
    #[must_use]
    pub fn with_previous(mut self, secret: Option<&[u8]>) -> Self {
        self.decoding.extend(secret.map(DecodingKey::from_secret));
        self
    }

    /// Seconds that a token lives.
    #[must_use]
    pub fn ttl(&self) -> u32 {
        self.ttl
    }

    /// A token of this account, valid from `now` on.
    ///
    /// # Errors
    /// [`feed_core::Error::Internal`] when it cannot be signed.
    pub fn issue(&self, account: Identity, now: NaiveDateTime) -> feed_core::Result<String> {
        let iat = now.and_utc().timestamp();
        let claims = Claims {
            sub: account.id.to_string(),
            key: format!("{:016x}", account.key),
            iat,
            exp: iat + i64::from(self.ttl),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(|e| feed_core::Error::Internal(Box::new(e)))
    }

    /// Who a token that is valid at `now` says calls. Whether the account still has this key, the database knows.
    fn verify(&self, token: &str, now: NaiveDateTime) -> Option<Identity> {
        let believed = self.read(token)?;
        #[expect(clippy::cast_precision_loss, reason = "seconds of this epoch are exact in a float")]
        let now = now.and_utc().timestamp() as f64;
        let is_now = believed.nbf.is_none_or(|from| from <= now) && now < believed.exp;
        let key = believed.key.as_deref().filter(|_| is_now)?;
        Some(Identity { id: believed.account()?, key: u64::from_str_radix(key, 16).ok()?.cast_signed() })
    }

    /// The account of a token that one of our secrets has signed, whether it is still valid or not.
    fn holder(&self, token: &str) -> Option<i64> {
        self.read(token)?.account()
    }

    /// What a token says that one of our secrets has signed.
    fn read(&self, token: &str) -> Option<Believed> {
        let read = |key| jsonwebtoken::decode::<Believed>(token, key, &self.validation).ok();
        let read = self.decoding.iter().find_map(read)?;
        // What a header declares as critical must be understood, and we understand nothing (RFC 7515 4.1.11). `b64`
        // changes what is signed (RFC 7797).
        let is_plain = read.header.crit.is_none() && read.header.extras.get::<Value>("b64").ok()?.is_none();
        is_plain.then_some(read.claims)
    }
}

impl Believed {
    fn account(&self) -> Option<i64> {
        match &self.sub {
            Subject::Text(text) => positive(text),
            Subject::Number(id) => Some(*id),
        }
    }
}

/// The signed-in caller; 401 without a valid token.
///
/// What a handler reads or writes for them, it does by a function of the domain that takes the whole identity: that
/// function compares the key.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub Identity);

/// The caller where there is one: none without a token, 401 with a bad one.
#[derive(Debug, Clone, Copy)]
pub struct Viewer(pub Option<Identity>);

impl Viewer {
    /// The caller, who must be signed in.
    ///
    /// # Errors
    /// [`ApiError::NoToken`].
    pub fn required(self) -> Result<Identity, ApiError> {
        self.0.ok_or(ApiError::NoToken)
    }

    /// Whoever the request's token names; the database has not confirmed it.
    ///
    /// # Errors
    /// [`ApiError::BadToken`].
    pub(crate) fn of(request: &HttpRequest) -> Result<Self, ApiError> {
        if let Some(known) = request.extensions().get::<Self>() {
            return Ok(*known);
        }
        if !request.headers().contains_key(AUTHORIZATION) {
            return Ok(Self(None));
        }
        let state = request.app_data::<web::Data<State>>().ok_or(ApiError::BadToken)?;
        let token = token(request).ok_or(ApiError::BadToken)?;
        let caller = state.tokens.verify(token, state.clock.now()).ok_or(ApiError::BadToken)?;
        Ok(Self(Some(caller)))
    }

    /// The same, for a handler: the database confirms the caller before it answers with success.
    fn asked(request: &HttpRequest) -> Result<Self, ApiError> {
        let viewer = Self::of(request)?;
        request.extensions_mut().insert(Confirmed(viewer.0));
        Ok(viewer)
    }
}

/// Who the database has confirmed as the caller, where a request is answered with success.
///
/// A handler whose work changes the account's key replaces it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Confirmed(pub Option<Identity>);

impl Confirmed {
    /// The request has ended all tokens of its caller.
    pub(crate) fn end(request: &HttpRequest, state: &State, caller: Identity) {
        state.callers.refute(caller);
        request.extensions_mut().insert(Self(None));
    }
}

/// The account whose token a request has, valid or not: its holder signed in before.
#[derive(Debug, Clone, Copy)]
pub struct Holder(pub Option<i64>);

impl FromRequest for Holder {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let state = request.app_data::<web::Data<State>>();
        let account = state.zip(token(request)).and_then(|(state, token)| state.tokens.holder(token));
        ready(Ok(Self(account)))
    }
}

fn token(request: &HttpRequest) -> Option<&str> {
    request.headers().get(AUTHORIZATION)?.to_str().ok().and_then(bearer)
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
        ready(Self::asked(request))
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Viewer::asked(request).and_then(Viewer::required).map(Self))
    }
}
