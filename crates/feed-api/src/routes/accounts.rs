//! Registering and signing in.

use actix_web::HttpResponse;
use actix_web::web::Data;
use feed_core::users::{self, Account, Credentials, Registration};
use serde::Serialize;

use crate::extract::Body;
use crate::problem::ApiError;
use crate::state::State;

#[derive(Serialize)]
struct Session {
    token: String,
    token_type: &'static str,
    expires_in: u32,
    user: Account,
}

impl Session {
    fn open(state: &State, user: Account) -> Result<Self, ApiError> {
        let token = state.tokens.issue(user.id, state.clock.now())?;
        Ok(Self { token, token_type: "Bearer", expires_in: state.tokens.ttl(), user })
    }
}

pub(super) async fn register(
    state: Data<State>,
    Body(registration): Body<Registration>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let user = state.hash(move |database| users::register(database, &registration, now)).await?;
    Ok(HttpResponse::Created().json(Session::open(&state, user)?))
}

pub(super) async fn login(
    state: Data<State>,
    Body(credentials): Body<Credentials>,
) -> Result<HttpResponse, ApiError> {
    let user = state.hash(move |database| users::authenticate(database, &credentials)).await?;
    Ok(HttpResponse::Ok().json(Session::open(&state, user)?))
}
