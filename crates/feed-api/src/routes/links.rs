//! What absolute links start with.

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;

use crate::server::LocalAddress;
use crate::state::State;

/// Bytes of a host's name and port at most: a name of the DNS has 253.
const MAX_HOST: usize = 260;

/// The configured public URL, or the host that the request named.
///
/// `X-Forwarded-*` is not believed: anybody can send it.
pub(super) fn base(state: &State, request: &HttpRequest) -> String {
    if let Some(url) = &state.public_url {
        return url.clone();
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let named = host.and_then(|host| host.parse::<Authority>().ok()).filter(is_host);
    if let Some(authority) = named {
        return format!("http://{authority}");
    }
    let own = request.app_data::<LocalAddress>().map(|LocalAddress(address)| *address);
    format!("http://{}", own.unwrap_or(request.app_config().local_addr()))
}

/// Whether links may begin with it; a long one would come back several times in one answer.
fn is_host(authority: &Authority) -> bool {
    !authority.as_str().contains('@') && authority.as_str().len() <= MAX_HOST
}
