//! Authentication: extractors for the caller of a request.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use feed_core::users::Identity;

use crate::problem::ApiError;
use crate::state::State;

/// Extracts the signed-in caller; 401 without a valid token.
///
/// The extractor does not ask the database. A handler calls functions of the domain that take the whole identity; these
/// compare the account's key.
#[derive(Debug, Clone, Copy)]
pub struct Caller(pub Identity);

/// Extracts the caller, if any: none without a token, 401 with an invalid one.
#[derive(Debug, Clone, Copy)]
pub struct Viewer(pub Option<Identity>);

impl Viewer {
    /// Returns the signed-in caller.
    ///
    /// # Errors
    /// [`ApiError::NoToken`].
    pub fn required(self) -> Result<Identity, ApiError> {
        self.0.ok_or(ApiError::NoToken)
    }

    /// Reads the caller from the request's token. The database has not confirmed it.
    ///
    /// A valid token is stored with the request, so it is not verified twice.
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
        let viewer = Self(Some(caller));
        request.extensions_mut().insert(viewer);
        Ok(viewer)
    }

    /// As [`of`](Self::of), for a handler. A handler answers with success only after the database has confirmed the
    /// caller.
    fn for_handler(request: &HttpRequest) -> Result<Self, ApiError> {
        let viewer = Self::of(request)?;
        request.extensions_mut().insert(Confirmed(viewer.0));
        Ok(viewer)
    }
}

/// The caller whom the database has confirmed if the request succeeds. Stored in the request's extensions.
///
/// A handler that changes the account's key replaces it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Confirmed(pub Option<Identity>);

impl Confirmed {
    /// Notes that the request has revoked all tokens of its caller.
    pub(crate) fn end(request: &HttpRequest, state: &State, caller: Identity) {
        state.callers.refute(caller);
        request.extensions_mut().insert(Self(None));
    }
}

/// Extracts who the request's token was issued to, even if the token has expired.
#[derive(Debug, Clone, Copy)]
pub struct Holder(pub Option<Identity>);

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

/// The token after the scheme's name, which is case-insensitive (RFC 9110).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

impl FromRequest for Viewer {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::for_handler(request))
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Viewer::for_handler(request).and_then(Viewer::required).map(Self))
    }
}
