//! The table of routes. Each area's handlers have a file of their own.

pub(crate) mod accounts;
pub(crate) mod docs;
pub(crate) mod favorites;
pub(crate) mod feeds;
pub(crate) mod flyers;
pub(crate) mod follows;
pub(crate) mod health;
mod links;
pub mod openapi;
pub(crate) mod pages;
pub(crate) mod users;

use actix_web::dev::HttpServiceFactory;
use actix_web::http::Method;
use actix_web::middleware::from_fn;
use actix_web::{Route, guard, web};

pub(crate) use links::LocalAddress;

use crate::problem::ApiError;
use crate::route_class::RouteClass;
use crate::{compression, middleware, telemetry};

/// A path, its class, and the handler of each of its methods. HEAD is supported wherever GET is.
type Row = (&'static str, RouteClass, Vec<(Method, Route)>);

/// All routes, by path without the slash at the end, which is trimmed before paths are matched.
fn table() -> Vec<Row> {
    use RouteClass::{Health, Session, SignIn, Standard};
    vec![
        ("/healthz", Health, vec![(Method::GET, web::to(health::live))]),
        ("/readyz", Health, vec![(Method::GET, web::to(health::ready))]),
        ("/api/openapi.json", Standard, vec![(Method::GET, web::to(docs::document))]),
        ("/api/docs", Standard, vec![(Method::GET, web::to(docs::index))]),
        ("/api/docs/{file}", Standard, vec![(Method::GET, web::to(docs::asset))]),
        ("/api/auth/register", SignIn, vec![(Method::POST, web::to(accounts::register))]),
        ("/api/auth/login", SignIn, vec![(Method::POST, web::to(accounts::login))]),
        ("/api/auth/logout", Session, vec![(Method::POST, web::to(accounts::logout))]),
        ("/api/feed", Standard, vec![(Method::GET, web::to(feeds::main))]),
        ("/api/favorites/feed", Standard, vec![(Method::GET, web::to(feeds::favorites))]),
        ("/api/following/feed", Standard, vec![(Method::GET, web::to(feeds::following))]),
        (
            "/api/flyers",
            Standard,
            vec![(Method::GET, web::to(feeds::filtered)), (Method::POST, web::to(flyers::publish))],
        ),
        (
            "/api/flyers/{id}",
            Standard,
            vec![
                (Method::GET, web::to(flyers::show)),
                (Method::PATCH, web::to(flyers::update)),
                (Method::DELETE, web::to(flyers::delete)),
            ],
        ),
        (
            "/api/favorites",
            Standard,
            vec![(Method::GET, web::to(favorites::list)), (Method::POST, web::to(favorites::favorite))],
        ),
        (
            "/api/favorites/{id}",
            Standard,
            vec![(Method::PUT, web::to(favorites::put)), (Method::DELETE, web::to(favorites::unfavorite))],
        ),
        (
            "/api/follows",
            Standard,
            vec![(Method::GET, web::to(follows::list)), (Method::POST, web::to(follows::follow))],
        ),
        ("/api/follows/status", Standard, vec![(Method::GET, web::to(follows::status))]),
        (
            "/api/follows/{id}",
            Standard,
            vec![(Method::PUT, web::to(follows::put)), (Method::DELETE, web::to(follows::unfollow))],
        ),
        (
            "/api/users/me",
            Standard,
            vec![
                (Method::GET, web::to(users::me)),
                (Method::PATCH, web::to(users::update)),
                (Method::DELETE, web::to(users::delete)),
            ],
        ),
        ("/api/users/{id}", Standard, vec![(Method::GET, web::to(users::show))]),
        ("/api/users/{id}/flyers", Standard, vec![(Method::GET, web::to(feeds::of_creator))]),
    ]
}

/// Registers every route.
pub fn configure(app: &mut web::ServiceConfig) {
    for (path, class, routes) in table() {
        app.service(resource(path, class, routes));
    }
    let no_route = web::to(async || Err::<&str, _>(ApiError::NoRoute));
    let admit = from_fn(|request, next| middleware::admit(RouteClass::Standard, request, next));
    app.default_service(no_route.wrap(from_fn(compression::compress)).wrap(admit));
}

/// Registers only the health checks, for the private listener.
pub(crate) fn configure_health(app: &mut web::ServiceConfig) {
    let health = table().into_iter().filter(|(_, class, _)| *class == RouteClass::Health);
    let checks = health
        .fold(web::scope(""), |checks, (path, class, routes)| checks.service(resource(path, class, routes)));
    app.service(checks.wrap(from_fn(middleware::cache_headers)).wrap(from_fn(telemetry::observe)));
}

/// Every path with its methods, HEAD left out.
#[must_use]
pub fn paths() -> Vec<(&'static str, Vec<Method>)> {
    let methods = |routes: Vec<(Method, Route)>| routes.into_iter().map(|(method, _)| method).collect();
    table().into_iter().map(|(path, _, routes)| (path, methods(routes))).collect()
}

/// The path of every route, as metrics name it.
pub fn patterns() -> impl Iterator<Item = &'static str> {
    table().into_iter().map(|(path, ..)| path)
}

/// A path with its methods. All other methods get 405 with `Allow`.
fn resource(
    path: &str,
    class: RouteClass,
    routes: Vec<(Method, Route)>,
) -> impl HttpServiceFactory + 'static {
    let allowed: Vec<_> =
        routes.iter().flat_map(|(method, _)| answered(method)).map(|method| method.to_string()).collect();
    let allowed = allowed.join(", ");
    let resource = web::resource(path).default_service(web::to(move || {
        std::future::ready(Err::<&str, _>(ApiError::Method(allowed.clone())))
    }));
    let resource = routes.into_iter().fold(resource, |resource, (method, route)| {
        resource.route(
            route.guard(guard::fn_guard(move |request| answered(&method).contains(&request.head().method))),
        )
    });
    // Compression is admitted too: it refuses callers who take no coding at all.
    resource
        .wrap(from_fn(compression::compress))
        .wrap(from_fn(move |request, next| middleware::admit(class, request, next)))
}

/// The methods that a route of this method supports. For HEAD, the server leaves out the body.
fn answered(method: &Method) -> Vec<Method> {
    match *method {
        Method::GET => vec![Method::GET, Method::HEAD],
        _ => vec![method.clone()],
    }
}
