//! What absolute links start with.

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;

use crate::server::LocalAddress;
use crate::state::State;

/// The configured public URL, or the host that the request named.
///
/// `X-Forwarded-*` is not believed: anybody can send it.
pub(super) fn base(state: &State, request: &HttpRequest) -> String {
    if let Some(url) = &state.public_url {
        return url.clone();
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let named = host.and_then(|host| host.parse::<Authority>().ok()).filter(|a| !a.as_str().contains('@'));
    if let Some(authority) = named {
        return format!("http://{authority}");
    }
    let own = request.app_data::<LocalAddress>().map(|LocalAddress(address)| *address);
    format!("http://{}", own.unwrap_or(request.app_config().local_addr()))
}
