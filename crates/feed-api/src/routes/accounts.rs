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

/// A signed-in account.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    /// What `Authorization: Bearer` takes.
    token: String,
    /// Always `Bearer`.
    #[schema(pattern = "^Bearer$", example = "Bearer")]
    token_type: &'static str,
    /// Seconds.
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

/// Opens an account and signs in.
///
/// Without a username one is made of the e-mail's local part.
#[utoipa::path(
    post,
    path = "/api/auth/register/",
    tag = "accounts",
    operation_id = "register",
    request_body = Registration,
    responses(
        (status = 201, description = "The account and a token.", body = Session),
        (status = 409, description = "The e-mail or the username is taken."),
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
/// No `Authorization` is refused here. Whoever sends a token of the account, even an expired one, is not kept waiting
/// for the wrong passwords of others.
#[utoipa::path(
    post,
    path = "/api/auth/login/",
    tag = "accounts",
    operation_id = "login",
    request_body = Credentials,
    responses(
        (status = 200, description = "A token.", body = Session),
        (status = 401, description = "The password is wrong, or there is no such account."),
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

/// Signs out everywhere: all tokens of the account end.
#[utoipa::path(
    post,
    path = "/api/auth/logout/",
    tag = "accounts",
    operation_id = "logout",
    responses((status = 204, description = "No token of the account is valid any more.")),
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
