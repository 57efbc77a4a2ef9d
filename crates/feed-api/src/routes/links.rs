//! What absolute links start with.

use std::net::SocketAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;

use crate::state::State;

/// Where the server listens, as data of the app.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalAddress(pub SocketAddr);

/// Bytes of a host's name and port at most: a name of the DNS has 253.
const MAX_HOST: usize = 260;

/// The configured public URL, or the scheme and host that the request was sent to.
///
/// Behind a proxy that is believed, these are what it says in `X-Forwarded-Proto` and `X-Forwarded-Host`. From others
/// the headers say nothing: anybody can send them.
pub(super) fn base(state: &State, request: &HttpRequest) -> String {
    if let Some(url) = &state.public_url {
        return url.clone();
    }
    let headers = request.headers();
    let told = |name| state.callers.forwarded(headers, name);
    let is_secure = told("x-forwarded-proto").is_some_and(|scheme| scheme.eq_ignore_ascii_case("https"));
    let scheme = if is_secure { "https" } else { "http" };
    let host = || headers.get(HOST).and_then(|host| host.to_str().ok()).and_then(authority);
    if let Some(authority) = told("x-forwarded-host").and_then(authority).or_else(host) {
        return format!("{scheme}://{authority}");
    }
    let own = request.app_data::<LocalAddress>().map(|LocalAddress(address)| *address);
    format!("{scheme}://{}", own.unwrap_or(request.app_config().local_addr()))
}

/// A host that links may begin with, with its port where there is one.
///
/// It has no user. It is not long either: it would come back several times in one answer.
fn authority(text: &str) -> Option<Authority> {
    let authority = text.parse::<Authority>().ok();
    authority.filter(|authority| !authority.as_str().contains('@') && authority.as_str().len() <= MAX_HOST)
}
