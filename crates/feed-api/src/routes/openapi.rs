//! The OpenAPI 3.1 document, generated from the handlers and their types.
//!
//! `crates/feed-api/openapi.json` is a copy for developers of clients. A test compares the two.

use std::fmt::Write as _;

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref, RefOr, Response, Server};
use utoipa::{Modify, OpenApi as _};

use super::{accounts, favorites, feeds, flyers, follows, health, users};
use crate::problem::{KINDS, PROBLEM_JSON, Problem, TYPE_PREFIX};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "PockitFlyer", license(name = "MIT", identifier = "MIT")),
    paths(
        feeds::main, feeds::favorites, feeds::following, feeds::filtered, feeds::of_creator,
        favorites::list, favorites::favorite, favorites::put, favorites::unfavorite,
        follows::list, follows::follow, follows::status, follows::put, follows::unfollow,
        flyers::publish, flyers::show, flyers::update, flyers::delete,
        accounts::register, accounts::login, accounts::logout,
        users::me, users::update, users::delete, users::show,
        health::live, health::ready,
    ),
    components(schemas(Problem)),
    tags(
        (name = "feeds", description = "Pages of flyers. Follow the `next` links: they have no limit, every page costs the \
            same, and no flyer is skipped or repeated."),
        (name = "favorites", description = "The flyers that the caller has favorited."),
        (name = "follows", description = "The creators whom the caller follows."),
        (name = "flyers", description = "Publishing, changing and deleting flyers."),
        (name = "accounts", description = "Registering and signing in. Other requests send the token in \
            `Authorization: Bearer`."),
        (name = "users", description = "Accounts and public profiles."),
        (name = "operations", description = "Health checks for operators."),
    ),
    modifiers(&Introduction, &Scheme, &ImpliedResponses),
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    Document::openapi()
}

/// The document as indented JSON. `base_path` is the path before the API's own paths, such as `/flyers`; it may be
/// empty.
///
/// # Panics
/// Never: all keys of its maps are strings.
#[must_use]
pub fn json(base_path: &str) -> String {
    let mut document = document();
    if !base_path.is_empty() {
        document.servers = Some(vec![Server::new(base_path)]);
    }
    serde_json::to_string_pretty(&document).expect("a document is JSON")
}

const INTRODUCTION: &str = "\
Every path works with and without a slash at its end, and supports HEAD where it supports GET. Bodies are JSON in UTF-8. \
Times are RFC 3339 in UTC. Ids are positive 64-bit integers. Text is trimmed, and its length counts Unicode characters. \
Unknown query parameters and unknown members of bodies are ignored. Every response has an `x-request-id`: the caller's \
own if the request has one.

Feeds and lists have a weak `ETag`. Send it as `If-None-Match` to get a 304 without a body if the page has not changed.

The number of requests a minute is limited, and that of sign-ins is limited further. `RateLimit` says how many requests \
are left (`r`) and after how many seconds the full number is available again (`t`). 429 and 503 have a `Retry-After`, in \
seconds. Bodies must not be compressed: one with a `Content-Encoding` is refused with 415.

Errors are `application/problem+json` (RFC 9457). Their member `error` is a sentence to show to people. `type` is one of:

| type | status | meaning |
| --- | --- | --- |
";

struct Introduction;

impl Modify for Introduction {
    fn modify(&self, document: &mut OpenApi) {
        let mut text = INTRODUCTION.to_owned();
        for (kind, status, _, meaning) in KINDS {
            let _ = writeln!(text, "| `{TYPE_PREFIX}{kind}` | {status} | {meaning} |");
        }
        document.info.description = Some(text);
    }
}

struct Scheme;

impl Modify for Scheme {
    fn modify(&self, document: &mut OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(scheme));
    }
}

/// Adds the responses that follow from an operation's parameters, body and security, so that no handler repeats them.
struct ImpliedResponses;

impl Modify for ImpliedResponses {
    fn modify(&self, document: &mut OpenApi) {
        for item in document.paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                add_implied_responses(operation);
            }
        }
    }
}

fn add_implied_responses(operation: &mut Operation) {
    let parameters = operation.parameters.as_deref().unwrap_or_default();
    let takes_parameters = !parameters.is_empty();
    let has = |name: &str| parameters.iter().any(|p| matches!(p, RefOr::T(p) if p.name == name));
    let (is_paged, is_searched) = (has("cursor"), has("search"));
    let takes_body = operation.request_body.is_some();
    let takes_token = operation.security.is_some();
    let is_health = operation.tags.iter().flatten().any(|tag| tag == "operations");
    let mut add = |status: &str, meaning: &str| {
        let responses = &mut operation.responses.responses;
        responses.entry(status.to_owned()).or_insert_with(|| RefOr::T(problem(meaning)));
    };
    if takes_parameters || takes_body {
        add("400", "The input breaks a rule; `errors` says which.");
    }
    if takes_token {
        add("401", "A token is needed and missing, or the token is invalid.");
    }
    if takes_body {
        add("408", "The body did not arrive in time.");
        add("413", "The body is too large.");
        add("415", "The body is not declared as JSON, or is compressed.");
    }
    if is_searched {
        add("409", "A newer list with `search` or `radius_km` of the same account has replaced this one.");
    }
    if !is_health {
        add("429", "The caller has sent too many requests: try again later.");
        add("500", "A fault of the service.");
        add("503", "The database is not available, or the service is overloaded: try again.");
    }
    if is_paged {
        paged(operation);
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        // A handler describes its own errors. They have the format of all others.
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            *response = problem(&response.description);
        }
        if let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM_JSON) {
            content.example = example(status, &response.description, is_searched);
        }
    }
}

/// An example of a problem with this status.
fn example(status: &str, detail: &str, is_searched: bool) -> Option<Value> {
    let mut kinds = KINDS.iter().filter(|(kind, ..)| is_searched || *kind != "superseded");
    let (kind, status, title, _) = kinds.find(|(_, code, ..)| code.to_string() == status)?;
    let kind = format!("{TYPE_PREFIX}{kind}");
    Some(json!({"type": kind, "title": title, "status": status, "detail": detail, "error": detail}))
}

fn problem(meaning: &str) -> Response {
    let schema = Ref::from_schema_name("Problem");
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(meaning).content(PROBLEM_JSON, content).build()
}

/// Adds the headers of a page and the response 304.
fn paged(operation: &mut Operation) {
    let header = |meaning: &str| HeaderBuilder::new().description(Some(meaning)).build();
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(page)) = responses.get_mut("200") {
        page.headers.insert(
            "etag".to_owned(),
            header("Send it as `If-None-Match` to ask whether the page has changed.").into(),
        );
        page.headers
            .insert("link".to_owned(), header("`next` and `prev`, as in the body (RFC 8288).").into());
    }
    let unchanged = ResponseBuilder::new()
        .description("The page has not changed since the one whose `ETag` was sent as `If-None-Match`.")
        .build();
    responses.insert("304".to_owned(), RefOr::T(unchanged));
}
