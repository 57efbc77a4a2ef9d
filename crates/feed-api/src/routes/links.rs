//! Links from a page to its neighbours.

use actix_web::http::header::{HOST, LINK};
use actix_web::http::uri::Authority;
use actix_web::{HttpRequest, HttpResponse};
use feed_core::page::{Cursor, Page};
use serde::Serialize;

use crate::state::State;

/// What absolute links start with: the configured public URL, or the host that the request named.
///
/// `X-Forwarded-*` is not believed: anybody can send it.
pub(super) fn base(state: &State, request: &HttpRequest) -> String {
    if let Some(url) = &state.public_url {
        return url.clone();
    }
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let named = host.and_then(|host| host.parse::<Authority>().ok()).filter(|a| !a.as_str().contains('@'));
    match named {
        Some(authority) => format!("http://{authority}"),
        None => format!("http://{}", request.app_config().local_addr()),
    }
}

/// The links of a page, in its body and as a `Link` header (RFC 8288).
pub(super) struct Links {
    next: Option<String>,
    previous: Option<String>,
}

#[derive(Serialize)]
struct Body<T> {
    count: u32,
    count_exact: bool,
    next: Option<String>,
    previous: Option<String>,
    results: Vec<T>,
}

impl Links {
    pub(super) fn around<T>(page: &Page<T>, url: impl Fn(&Cursor) -> String) -> Self {
        Self { next: page.next.as_ref().map(&url), previous: page.previous.as_ref().map(&url) }
    }

    pub(super) fn answer<T: Serialize>(self, page: Page<T>) -> HttpResponse {
        let links = [(&self.next, "next"), (&self.previous, "prev")];
        let header: Vec<_> = links
            .iter()
            .filter_map(|(url, rel)| url.as_ref().map(|url| format!("<{url}>; rel=\"{rel}\"")))
            .collect();
        let mut response = HttpResponse::Ok();
        if !header.is_empty() {
            response.insert_header((LINK, header.join(", ")));
        }
        response.json(Body {
            count: page.count.value,
            count_exact: page.count.exact,
            next: self.next,
            previous: self.previous,
            results: page.items,
        })
    }
}
