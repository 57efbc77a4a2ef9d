//! The routes, a file an area.

mod accounts;
mod favorites;
mod feeds;
mod flyers;
mod follows;
mod health;
mod links;
mod pages;
mod users;

use actix_web::http::Method;
use actix_web::{HttpResponse, Resource, Route, guard, web};
use serde::Serialize;

use crate::problem::ApiError;

/// Registers every route.
///
/// Paths stand without the slash at their end: it is trimmed before they are matched.
pub fn configure(app: &mut web::ServiceConfig) {
    app.service(resource("/healthz", [(Method::GET, web::to(health::live))]))
        .service(resource("/readyz", [(Method::GET, web::to(health::ready))]))
        .service(resource("/api/auth/register", [(Method::POST, web::to(accounts::register))]))
        .service(resource("/api/auth/login", [(Method::POST, web::to(accounts::login))]))
        .service(resource("/api/feed", [(Method::GET, web::to(feeds::main))]))
        .service(resource("/api/favorites/feed", [(Method::GET, web::to(feeds::favorites))]))
        .service(resource("/api/following/feed", [(Method::GET, web::to(feeds::following))]))
        .service(resource(
            "/api/flyers",
            [(Method::GET, web::to(feeds::filtered)), (Method::POST, web::to(flyers::publish))],
        ))
        .service(resource(
            "/api/flyers/{id}",
            [
                (Method::GET, web::to(flyers::show)),
                (Method::PATCH, web::to(flyers::update)),
                (Method::DELETE, web::to(flyers::delete)),
            ],
        ))
        .service(resource(
            "/api/favorites",
            [(Method::GET, web::to(favorites::list)), (Method::POST, web::to(favorites::favorite))],
        ))
        .service(resource(
            "/api/favorites/{id}",
            [(Method::PUT, web::to(favorites::put)), (Method::DELETE, web::to(favorites::unfavorite))],
        ))
        .service(resource(
            "/api/follows",
            [(Method::GET, web::to(follows::list)), (Method::POST, web::to(follows::follow))],
        ))
        .service(resource("/api/follows/status", [(Method::GET, web::to(follows::status))]))
        .service(resource(
            "/api/follows/{id}",
            [(Method::PUT, web::to(follows::put)), (Method::DELETE, web::to(follows::unfollow))],
        ))
        .service(resource(
            "/api/users/me",
            [
                (Method::GET, web::to(users::me)),
                (Method::PATCH, web::to(users::update)),
                (Method::DELETE, web::to(users::delete)),
            ],
        ))
        .service(resource("/api/users/{id}", [(Method::GET, web::to(users::show))]))
        .service(resource("/api/users/{id}/flyers", [(Method::GET, web::to(feeds::of_creator))]))
        .default_service(web::to(async || Err::<&str, _>(ApiError::NoRoute)));
}

/// A path with its methods, HEAD wherever there is GET; all others are 405 with `Allow`.
fn resource<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
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
