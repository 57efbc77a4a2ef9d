//! Registering and signing in.

use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::users::{self, Account, Credentials, Registration};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::{Caller, Confirmed, Holder};
use crate::extract::Body;
use crate::problem::ApiError;
use crate::state::State;

/// A token, and the account that it is for.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// The token that other requests send in `Authorization: Bearer`.
    token: String,
    /// Always `Bearer`.
    #[schema(pattern = "^Bearer$", example = "Bearer")]
    token_type: &'static str,
    /// Seconds until the token expires.
    #[schema(minimum = 1, example = 2_592_000)]
    expires_in: u32,
    user: Account,
}

impl Session {
    fn open(state: &State, user: Account) -> Result<Self, ApiError> {
        let identity = user.identity();
        let token = state.tokens.issue(identity, state.clock.now())?;
        state.callers.confirm(identity);
        Ok(Self { token, token_type: "Bearer", expires_in: state.tokens.ttl(), user })
    }
}

/// Creates an account and signs in.
///
/// Without a username, one is made from the e-mail's local part.
#[utoipa::path(
    post,
    path = "/api/auth/register/",
    tag = "accounts",
    operation_id = "register",
    request_body = Registration,
    responses(
        (status = 201, description = "The new account and a token.", body = Session),
        (status = 409, description = "Another account has the e-mail or the username."),
    ),
)]
pub(super) async fn register(
    state: Data<State>,
    Body(registration): Body<Registration>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let user = state.hash(move |database| users::register(database, &registration, now)).await?;
    Ok(HttpResponse::Created().json(Session::open(&state, user)?))
}

/// Signs in.
///
/// An app that has an old token of the account, even an expired one, should send it as `Authorization`. Then wrong
/// passwords that others have tried do not keep the owner out. No `Authorization` is refused here.
#[utoipa::path(
    post,
    path = "/api/auth/login/",
    tag = "accounts",
    operation_id = "login",
    request_body = Credentials,
    responses(
        (status = 200, description = "The account and a token.", body = Session),
        (status = 401, description = "The password is wrong, or no account has this e-mail."),
    ),
)]
pub(super) async fn login(
    state: Data<State>,
    Holder(holder): Holder,
    Body(credentials): Body<Credentials>,
) -> Result<HttpResponse, ApiError> {
    let (now, attempts) = (state.clock.now(), state.attempts.clone());
    let work = move |database: &_| users::authenticate(database, &attempts, &credentials, holder, now);
    let user = state.hash(work).await?;
    Ok(HttpResponse::Ok().json(Session::open(&state, user)?))
}

/// Signs out everywhere: revokes all tokens of the account.
#[utoipa::path(
    post,
    path = "/api/auth/logout/",
    tag = "accounts",
    operation_id = "logout",
    responses((status = 204, description = "All tokens of the account are revoked.")),
    security(("token" = [])),
)]
pub(super) async fn logout(
    state: Data<State>,
    request: HttpRequest,
    Caller(caller): Caller,
) -> Result<HttpResponse, ApiError> {
    state.write(move |c| users::sign_out(c, caller)).await?;
    Confirmed::end(&request, &state, caller);
    Ok(HttpResponse::NoContent().finish())
}
