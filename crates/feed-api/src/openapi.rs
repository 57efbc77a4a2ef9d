//! The API's document in OpenAPI 3.1, made of the handlers and their types.
//!
//! It is kept as a file too, `crates/feed-api/openapi.json`, for whoever builds against the service; a test compares.

use std::fmt::Write as _;

use serde_json::{Value, json};
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref, RefOr, Response, Server};
use utoipa::{Modify, OpenApi as _};

use crate::problem::{KINDS, PROBLEM_JSON, Problem, TYPE_PREFIX};
use crate::routes::{accounts, favorites, feeds, flyers, follows, health, users};

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
        (name = "feeds", description = "Pages of flyers. Follow `next`: it has no limit, costs the same however far it \
            leads, and skips and repeats nothing."),
        (name = "favorites", description = "Flyers that the caller keeps."),
        (name = "follows", description = "Creators whom the caller follows."),
        (name = "flyers", description = "Publishing."),
        (name = "accounts", description = "Signing in. The token goes into `Authorization: Bearer` of other requests."),
        (name = "users", description = "Who publishes and who reads."),
        (name = "operations", description = "For whoever runs the service."),
    ),
    modifiers(&Introduction, &Scheme, &Consequences),
)]
struct Document;

/// The document.
#[must_use]
pub fn document() -> OpenApi {
    Document::openapi()
}

/// The document as indented JSON, of a service whose paths begin with `base_path`, such as `/flyers`; it may be empty.
///
/// # Panics
/// Never: it has no map with keys that are no text.
#[must_use]
pub fn json(base_path: &str) -> String {
    let mut document = document();
    if !base_path.is_empty() {
        document.servers = Some(vec![Server::new(base_path)]);
    }
    serde_json::to_string_pretty(&document).expect("a document is JSON")
}

const INTRODUCTION: &str = "\
Every path works with and without the slash at its end, and answers HEAD where it answers GET. Bodies are JSON in UTF-8; \
times are RFC 3339 in UTC; ids are positive 64-bit integers; text is trimmed, and its length counts Unicode characters. \
Unknown query parameters and unknown members of bodies are ignored. Every answer has an `x-request-id`, the caller's own \
where it sent one.

Feeds and lists have a weak `ETag`: ask again with `If-None-Match`, and an unchanged page is a 304 without a body.

Callers have so many requests a minute, and less to sign in: `RateLimit` says how many are left (`r`) and in how many \
seconds all are back (`t`). 429 and 503 have a `Retry-After`, in seconds. Bodies come as they are: one with a \
`Content-Encoding` is 415.

Errors are `application/problem+json` (RFC 9457). Their member `error` is a sentence to show to people; `type` is one of:

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

/// What every operation of a kind answers, so that no handler has to repeat it: what it can refuse follows from what it
/// takes.
struct Consequences;

impl Modify for Consequences {
    fn modify(&self, document: &mut OpenApi) {
        for item in document.paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                consequences(operation);
            }
        }
    }
}

fn consequences(operation: &mut Operation) {
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
        add("400", "The input breaks a rule: `errors` says which.");
    }
    if takes_token {
        add("401", "The token is missing where one is needed, or is bad.");
    }
    if takes_body {
        add("408", "The body did not arrive in time.");
        add("413", "The body is too large.");
        add("415", "The body is not declared as JSON, or is encoded.");
    }
    if is_searched {
        add("409", "A newer search of the same account, or list by radius, took the place of this one.");
    }
    if !is_health {
        add("429", "The caller has no request left: try again later.");
        add("500", "Our fault.");
        add("503", "The database does not answer, or there is too much to do: try again.");
    }
    if is_paged {
        paged(operation);
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        // A handler says what its own refusals mean. Their shape is that of all others.
        if status.starts_with(['4', '5']) && response.content.is_empty() {
            *response = problem(&response.description);
        }
        if let Some(RefOr::T(content)) = response.content.get_mut(PROBLEM_JSON) {
            content.example = example(status, &response.description, is_searched);
        }
    }
}

/// A problem of this status, in an operation that searches or does not.
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

/// The headers of a page, and that the caller may have it already.
fn paged(operation: &mut Operation) {
    let header = |meaning: &str| HeaderBuilder::new().description(Some(meaning)).build();
    let responses = &mut operation.responses.responses;
    if let Some(RefOr::T(page)) = responses.get_mut("200") {
        page.headers.insert("etag".to_owned(), header("What `If-None-Match` takes.").into());
        page.headers
            .insert("link".to_owned(), header("`next` and `prev`, as in the body (RFC 8288).").into());
    }
    let unchanged =
        ResponseBuilder::new().description("The caller has it already: see `If-None-Match`.").build();
    responses.insert("304".to_owned(), RefOr::T(unchanged));
}
