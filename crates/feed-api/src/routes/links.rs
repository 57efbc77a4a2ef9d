//! The base of absolute links: scheme and host.

use std::net::SocketAddr;

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;

use crate::state::State;

/// The address that the server listens on, as app data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LocalAddress(pub SocketAddr);

/// Bytes of a host name and port at most. A DNS name has at most 253.
const MAX_HOST: usize = 260;

/// The configured public URL, or the scheme and host that the request was sent to.
///
/// A trusted proxy tells them in `X-Forwarded-Proto` and `X-Forwarded-Host`. From anybody else these headers are
/// ignored, because anybody can send them.
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

/// Parses a host and optional port for links.
///
/// A user name is refused, and so is a long host: it would be repeated several times in one response.
fn authority(text: &str) -> Option<Authority> {
    let authority = text.parse::<Authority>().ok();
    authority.filter(|authority| !authority.as_str().contains('@') && authority.as_str().len() <= MAX_HOST)
}
