//! Answers with pages of lists: links to the neighbouring pages, and 304 where the caller has the page already.

use actix_web::http::header::{ETAG, EntityTag, Header, IfNoneMatch, LINK};
use actix_web::{HttpRequest, HttpResponse};
use chrono::NaiveDateTime;
use feed_core::db::Db;
use feed_core::page::{Cursor, Page, PageRequest};
use feed_core::users::Identity;
use feed_core::validator;
use serde::Serialize;
use utoipa::ToSchema;

use super::links;
use crate::problem::ApiError;
use crate::query::Query;
use crate::searches::Searcher;
use crate::state::State;
use crate::usage;

/// A page of a list, with links to the next and previous page.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageBody<T> {
    /// Number of rows in the whole list, counted up to 1,000.
    #[schema(minimum = 0, maximum = 1000, example = 137)]
    count: u32,
    /// False if the list has more rows than `count`.
    #[schema(example = true)]
    count_exact: bool,
    /// Link to the next page; null if this is the last one.
    #[schema(format = Uri, required = true)]
    next: Option<String>,
    /// Link to the previous page; null on the first page.
    #[schema(format = Uri, required = true)]
    previous: Option<String>,
    /// The rows of this page, in the list's order.
    #[schema(max_items = 50)]
    results: Vec<T>,
}

/// The page, or that the caller has it already.
enum Answer<T> {
    Page(EntityTag, Page<T>),
    NotModified(EntityTag),
}

/// How the cost of a page depends on the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cost {
    /// It is bounded whatever data there is.
    Fixed,
    /// It grows with the data: the list has a search text or a radius.
    Search,
}

/// Answers with the page of a list that the query asks for.
///
/// `scope` binds the list's cursors. `viewer` is confirmed by the database first. `load` reads the page as of the time
/// that it is given.
pub(super) async fn answer<T: Serialize + Send + 'static>(
    state: &State,
    request: &HttpRequest,
    query: &Query,
    viewer: Option<Identity>,
    scope: &str,
    cost: Cost,
    load: impl Fn(&mut Db, &PageRequest, NaiveDateTime) -> feed_core::Result<Page<T>> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let wanted = query.page(&state.cursors, scope)?;
    let now = state.clock.now();
    let base = links::base(state, request);
    let tag = {
        // Everything that decides the body, except the content that the validator covers.
        let viewer = viewer.map(|viewer| viewer.id);
        let asked = format!("{} {base} {} {viewer:?}", env!("CARGO_PKG_VERSION"), request.uri());
        let tags = state.tags.clone();
        move |validator: &validator::Validator| EntityTag::new_weak(tags.tag(&asked, validator))
    };
    let known = IfNoneMatch::parse(request).unwrap_or(IfNoneMatch::Items(Vec::new()));
    let read = move |c: &mut Db| {
        let tag = tag(&validator::current(c, viewer, now)?);
        match &known {
            IfNoneMatch::Items(tags) if tags.iter().any(|known| known.weak_eq(&tag)) => {
                Ok(Answer::NotModified(tag))
            }
            IfNoneMatch::Items(_) => Ok(Answer::Page(tag, load(c, &wanted, now)?)),
            // `*` matches any page that exists.
            IfNoneMatch::Any => load(c, &wanted, now).map(|_| Answer::NotModified(tag)),
        }
    };
    let answer = match cost {
        Cost::Fixed => state.read(read).await?,
        Cost::Search => state.search(Searcher::of(request, &state.callers), read).await?,
    };
    let (tag, page) = match answer {
        Answer::NotModified(tag) => {
            return Ok(HttpResponse::NotModified().insert_header((ETAG, tag.to_string())).finish());
        }
        Answer::Page(tag, page) => (tag, page),
    };
    let link = |cursor: &Cursor| {
        let cursor = cursor.encode(&state.cursors, scope);
        format!("{base}{}/?{}", request.path(), query.with_cursor(&cursor))
    };
    usage::rows(page.items.len());
    let body = PageBody {
        count: page.count.value,
        count_exact: page.count.exact,
        next: page.next.as_ref().map(link),
        previous: page.previous.as_ref().map(link),
        results: page.items,
    };
    let mut response = HttpResponse::Ok();
    response.insert_header((ETAG, tag.to_string()));
    if let Some(link) = link_header(&body) {
        response.insert_header((LINK, link));
    }
    Ok(response.json(body))
}

/// The `Link` header (RFC 8288).
fn link_header<T>(body: &PageBody<T>) -> Option<String> {
    let links = [(&body.next, "next"), (&body.previous, "prev")];
    let links: Vec<_> = links
        .iter()
        .filter_map(|(url, rel)| url.as_ref().map(|url| format!("<{url}>; rel=\"{rel}\"")))
        .collect();
    (!links.is_empty()).then(|| links.join(", "))
}
