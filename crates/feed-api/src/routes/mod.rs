//! The routes, a file an area.

pub(crate) mod accounts;
pub(crate) mod docs;
pub(crate) mod favorites;
pub(crate) mod feeds;
pub(crate) mod flyers;
pub(crate) mod follows;
pub(crate) mod health;
mod links;
pub(crate) mod pages;
pub(crate) mod users;

use actix_web::http::Method;
use actix_web::{HttpResponse, Resource, Route, guard, web};
use serde::Serialize;

use crate::problem::ApiError;

/// A path, and what answers each of its methods; HEAD is answered wherever GET is.
type Row = (&'static str, Vec<(Method, Route)>);

/// Every route, by its path without the slash at the end: it is trimmed before paths are matched.
fn table() -> Vec<Row> {
    vec![
        ("/healthz", vec![(Method::GET, web::to(health::live))]),
        ("/readyz", vec![(Method::GET, web::to(health::ready))]),
        ("/api/openapi.json", vec![(Method::GET, web::to(docs::document))]),
        ("/api/docs", vec![(Method::GET, web::to(docs::index))]),
        ("/api/docs/{file}", vec![(Method::GET, web::to(docs::asset))]),
        ("/api/auth/register", vec![(Method::POST, web::to(accounts::register))]),
        ("/api/auth/login", vec![(Method::POST, web::to(accounts::login))]),
        ("/api/feed", vec![(Method::GET, web::to(feeds::main))]),
        ("/api/favorites/feed", vec![(Method::GET, web::to(feeds::favorites))]),
        ("/api/following/feed", vec![(Method::GET, web::to(feeds::following))]),
        (
            "/api/flyers",
            vec![(Method::GET, web::to(feeds::filtered)), (Method::POST, web::to(flyers::publish))],
        ),
        (
            "/api/flyers/{id}",
            vec![
                (Method::GET, web::to(flyers::show)),
                (Method::PATCH, web::to(flyers::update)),
                (Method::DELETE, web::to(flyers::delete)),
            ],
        ),
        (
            "/api/favorites",
            vec![(Method::GET, web::to(favorites::list)), (Method::POST, web::to(favorites::favorite))],
        ),
        (
            "/api/favorites/{id}",
            vec![(Method::PUT, web::to(favorites::put)), (Method::DELETE, web::to(favorites::unfavorite))],
        ),
        (
            "/api/follows",
            vec![(Method::GET, web::to(follows::list)), (Method::POST, web::to(follows::follow))],
        ),
        ("/api/follows/status", vec![(Method::GET, web::to(follows::status))]),
        (
            "/api/follows/{id}",
            vec![(Method::PUT, web::to(follows::put)), (Method::DELETE, web::to(follows::unfollow))],
        ),
        (
            "/api/users/me",
            vec![
                (Method::GET, web::to(users::me)),
                (Method::PATCH, web::to(users::update)),
                (Method::DELETE, web::to(users::delete)),
            ],
        ),
        ("/api/users/{id}", vec![(Method::GET, web::to(users::show))]),
        ("/api/users/{id}/flyers", vec![(Method::GET, web::to(feeds::of_creator))]),
    ]
}

/// Registers every route.
pub fn configure(app: &mut web::ServiceConfig) {
    for (path, routes) in table() {
        app.service(resource(path, routes));
    }
    app.default_service(web::to(async || Err::<&str, _>(ApiError::NoRoute)));
}

/// Every path with its methods, HEAD left out.
#[must_use]
pub fn paths() -> Vec<(&'static str, Vec<Method>)> {
    let methods = |routes: Vec<(Method, Route)>| routes.into_iter().map(|(method, _)| method).collect();
    table().into_iter().map(|(path, routes)| (path, methods(routes))).collect()
}

/// A path with its methods; all others are 405 with `Allow`.
fn resource(path: &str, routes: Vec<(Method, Route)>) -> Resource {
    let allowed: Vec<_> =
        routes.iter().flat_map(|(method, _)| answered(method)).map(|method| method.to_string()).collect();
    let allowed = allowed.join(", ");
    let resource = web::resource(path).default_service(web::to(move || {
        std::future::ready(Err::<&str, _>(ApiError::Method(allowed.clone())))
    }));
    routes.into_iter().fold(resource, |resource, (method, route)| {
        resource.route(
            route.guard(guard::fn_guard(move |request| answered(&method).contains(&request.head().method))),
        )
    })
}

/// The methods that a route of this one answers: to HEAD, the server leaves out the body.
fn answered(method: &Method) -> Vec<Method> {
    match *method {
        Method::GET => vec![Method::GET, Method::HEAD],
        _ => vec![method.clone()],
    }
}

/// 201 with what was made, or 200 with what was there.
fn created_or_there(is_new: bool, row: &impl Serialize) -> HttpResponse {
    let mut response = if is_new { HttpResponse::Created() } else { HttpResponse::Ok() };
    response.json(row)
}
