//! Answers with pages of lists: links to the neighbouring pages, and 304 where the caller has the page already.

use actix_web::http::Method;
use actix_web::http::header::{ETAG, EntityTag, Header, IfNoneMatch, LINK};
use actix_web::{HttpMessage, HttpRequest, HttpResponse};
use chrono::NaiveDateTime;
use feed_core::db::Db;
use feed_core::page::{Cursor, MAX_PAGE_ROWS, Page, PageRequest, Start};
use feed_core::users::Identity;
use feed_core::{Error, validator};
use serde::Serialize;
use utoipa::ToSchema;

use super::links;
use crate::caller::CallerKey;
use crate::counts;
use crate::page_memory::{GivenPage, Known, PageKey};
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

/// The page, or that the caller has it already, and what to remember of it.
enum Answer<T> {
    Page(EntityTag, Page<T>, Option<GivenPage>),
    NotModified(EntityTag, Option<GivenPage>),
}

/// A list, as far as its pages depend on it.
pub(super) struct List {
    /// What its cursors are bound to.
    pub(super) scope: String,
    /// What its pages by number have in common; none where it is `scope`.
    pub(super) walk_scope: Option<String>,
    pub(super) cost: Cost,
}

impl List {
    /// What the pages by number and the counts of this list have in common.
    fn walk_scope(&self) -> &str {
        self.walk_scope.as_deref().unwrap_or(&self.scope)
    }
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
/// `viewer` is confirmed by the database first. `load` reads the page as of the time that it is given.
pub(super) async fn answer<T: Serialize + Send + 'static>(
    state: &State,
    request: &HttpRequest,
    query: &Query,
    viewer: Option<Identity>,
    list: &List,
    load: impl Fn(&mut Db, &PageRequest, NaiveDateTime) -> feed_core::Result<Page<T>> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let asked = query.page(&state.cursors, &list.scope)?;
    let numbered = numbered(state, request, viewer, list, &asked, now);
    let wanted = found(&asked, numbered.as_ref().and_then(|(_, known)| known.start))?;
    state.metrics.page_found(&wanted.start);
    let base = links::base(state, request);
    let tag = {
        // Everything that decides the body, except the content that the validator covers.
        let viewer = viewer.map(|viewer| viewer.id);
        let version = env!("CARGO_PKG_VERSION");
        let start = match wanted.start {
            Start::After { .. } => format!("{:?}", wanted.start),
            // The URI tells it.
            Start::Page(_) | Start::Cursor(_) => String::new(),
        };
        let asked = format!("{version} {base} {} {viewer:?} {start}", request.uri());
        let tags = state.tags.clone();
        move |validator: &validator::Validator| EntityTag::new_weak(tags.tag(&asked, validator))
    };
    let if_none_match = IfNoneMatch::parse(request).unwrap_or(IfNoneMatch::Items(Vec::new()));
    let is_head = request.method() == Method::HEAD;
    let memory = state.page_memory.clone();
    let (counts, keys, counted) = (state.counts.clone(), state.tags.clone(), list.walk_scope().to_owned());
    let read = move |c: &mut Db| {
        let state = validator::current(c, viewer, now)?;
        let tag = tag(&state);
        let is_current = match &if_none_match {
            IfNoneMatch::Items(tags) => tags.iter().any(|known| known.weak_eq(&tag)),
            // `*` matches any page that exists.
            IfNoneMatch::Any => false,
        };
        let numbered = memory.as_deref().zip(numbered);
        if is_current {
            let again = numbered.map(|(memory, (key, known))| memory.given_again(key, &known, tag.tag()));
            // Where the page is not remembered, it is loaded to find its end: the caller may ask for the next one.
            if is_head || again.is_none_or(|again| again.is_some()) {
                return Ok(Answer::NotModified(tag, again.flatten()));
            }
        }
        let list = counts::Key::of(&keys, &counted, &state);
        let page = load(c, &PageRequest { count: counts.get(list), ..wanted }, now)?;
        if matches!(wanted.start, Start::Page(_)) {
            counts.put(list, page.count);
        }
        let given = numbered.zip(page.end).map(|((memory, (key, _)), end)| memory.given(key, tag.tag(), end));
        match &if_none_match {
            IfNoneMatch::Items(_) if !is_current => Ok(Answer::Page(tag, page, given)),
            _ => Ok(Answer::NotModified(tag, given)),
        }
    };
    let answer = match list.cost {
        Cost::Fixed => state.read(read).await?,
        Cost::Search => state.search(Searcher::of(request, &state.callers), read).await?,
    };
    let (Answer::Page(_, _, given) | Answer::NotModified(_, given)) = &answer;
    if let Some(given) = given {
        request.extensions_mut().insert(*given);
    }
    let (tag, page) = match answer {
        Answer::NotModified(tag, _) => {
            return Ok(HttpResponse::NotModified().insert_header((ETAG, tag.to_string())).finish());
        }
        Answer::Page(tag, page, _) => (tag, page),
    };
    let scope = &list.scope;
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

/// A page that is asked by number, and what is remembered of it; none for cursors and where there is no memory.
fn numbered(
    state: &State,
    request: &HttpRequest,
    viewer: Option<Identity>,
    list: &List,
    asked: &PageRequest,
    now: NaiveDateTime,
) -> Option<(PageKey, Known)> {
    let (Start::Page(number), Some(memory)) = (asked.start, &state.page_memory) else { return None };
    // The account of any token. Limits count a token as its account only from its second request on, but what is
    // remembered is neither told nor changed before the database has confirmed the token.
    let caller = match viewer {
        Some(viewer) => CallerKey::Account(viewer.id),
        None => state.callers.of(request).key()?,
    };
    let key = memory.key(caller, list.walk_scope(), asked.size, number);
    Some((key, memory.find(&key, now)))
}

/// The page that is asked, from where it is known to start.
///
/// # Errors
/// 400 where that is not known and the page lies too deep to be found by its number.
fn found(asked: &PageRequest, known: Option<Start>) -> Result<PageRequest, Error> {
    match known {
        Some(start) => Ok(PageRequest { start, ..*asked }),
        None if asked.offset() < MAX_PAGE_ROWS => Ok(*asked),
        None => Err(Error::invalid(
            "page",
            format!(
                "is found among the first {MAX_PAGE_ROWS} rows, or right after the page before it; follow `next`, \
                 which has no limit"
            ),
        )),
    }
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
