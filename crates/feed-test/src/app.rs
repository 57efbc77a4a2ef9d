//! A service in the test's process, with its own database and clock, and a client for it.

use std::net::SocketAddr;

use chrono::{NaiveDateTime, TimeDelta};
use clap::Parser;
use feed_api::config::ServeConfig;
use feed_api::server::{self, Server};
use feed_core::clock::Clock;
use feed_core::db::Engine;
use feed_core::testing::TestDatabase;
use feed_core::testing::statements::OnlyKnown;
use serde_json::{Value, json};

use crate::SECRET;

/// A running service. Dropping it deletes its database.
pub struct App {
    /// The address that it listens on: a free port of loopback.
    pub address: SocketAddr,
    /// The address of the private listener, with `--admin-bind`.
    private: Option<SocketAddr>,
    /// The clock of the service. It stands still until the test sets it.
    pub clock: Clock,
    /// The database of the service.
    pub database: TestDatabase,
    agent: ureq::Agent,
    /// Checks that `crates/feed-core/tests/sql` lists every statement that a request sends.
    _statements: OnlyKnown,
}

/// An account and its token.
#[derive(Debug, Clone)]
pub struct User {
    /// The id of the account.
    pub id: i64,
    /// A token of the account.
    pub token: String,
}

/// A response with its whole body.
#[derive(Debug)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: ureq::http::HeaderMap,
    /// The body.
    pub bytes: Vec<u8>,
    /// The body as text. Bytes that are not UTF-8 are replaced.
    pub text: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e} in {self:?}"))
    }

    /// The value of a header, or an empty text.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    /// Asserts the status, and returns the reply.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Asserts a problem of this status that names `field`.
    #[track_caller]
    pub fn expect_invalid(self, field: &str) -> Self {
        let reply = self.expect_problem(400);
        let body = reply.json();
        let fields: Vec<_> = body["errors"].as_array().unwrap().iter().map(|e| &e["field"]).collect();
        assert!(fields.contains(&&json!(field)), "{field} is not among {fields:?}");
        reply
    }

    /// Asserts a problem in the contract's shape.
    #[track_caller]
    pub fn expect_problem(self, status: u16) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.header("content-type"), "application/problem+json");
        let body = reply.json();
        assert_eq!(body["status"], status);
        for member in ["type", "title", "detail", "error"] {
            assert!(body[member].as_str().is_some_and(|m| !m.is_empty()), "{member} in {body}");
        }
        assert!(!reply.header("x-request-id").is_empty());
        if status == 401 {
            assert_eq!(reply.header("www-authenticate"), "Bearer");
        }
        reply
    }
}

#[derive(Parser)]
struct ServeOnly {
    #[command(flatten)]
    config: ServeConfig,
}

impl App {
    /// Starts a service without rate limit and sweeper, on an empty database.
    pub fn start(engine: Engine) -> Self {
        Self::start_with(engine, &[])
    }

    /// Starts a service with more arguments of `serve`. They replace the defaults of [`App::start`].
    pub fn start_with(engine: Engine, arguments: &[&str]) -> Self {
        let statements = OnlyKnown::from_now_on();
        let database = TestDatabase::new(engine);
        let clock = Clock::fixed(now());
        let fixed = ["serve", "--bind", "127.0.0.1:0", "--jwt-secret", SECRET, "--workers", "2"];
        // The sweeper goes by the database's clock, to which all of a test's flyers are over.
        let unswept = ["--sweep-interval", "0"];
        let unlimited = ["--rate-limit", "off"];
        // However much else the machine has to do.
        let patient = [["--statement-timeout", "60000"], ["--connection-timeout", "60000"]];
        let by_default = [unswept, unlimited, patient[0], patient[1]];
        let by_default = by_default.iter().filter(|option| !arguments.contains(&option[0])).flatten();
        let config = ServeOnly::parse_from(fixed.iter().chain(by_default).chain(arguments)).config;
        let listener = server::bind(&config.bind).unwrap();
        let server = Server::build(&config, listener, database.database.clone(), clock.clone()).unwrap();
        let server = server.with_private(config.admin.listen().unwrap());
        let private = server.private_address().unwrap();
        let address = server.address().unwrap();
        std::thread::spawn(move || actix_web::rt::System::new().block_on(server.run()));
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        Self { address, private, clock, database, agent, _statements: statements }
    }

    /// The URL of a path. A whole URL stays as it is.
    pub fn url(&self, path: &str) -> String {
        if path.starts_with("http") { path.to_owned() } else { format!("http://{}{path}", self.address) }
    }

    /// Sends a request, with a token and a body where there are some.
    pub fn send(&self, method: &str, path: &str, user: Option<&User>, body: Option<Value>) -> Reply {
        let authorization = user.map(|u| format!("Bearer {}", u.token));
        let mut headers = Vec::new();
        if let Some(authorization) = &authorization {
            headers.push(("authorization", authorization.as_str()));
        }
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        self.send_raw(method, path, &headers, &body.map(|b| b.to_string()).unwrap_or_default())
    }

    /// Sends a request with these headers and body. The method may be one that HTTP does not define.
    pub fn send_raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = ureq::http::Request::builder().method(method).uri(self.url(path));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body.to_owned()).unwrap();
        let agent = &self.agent;
        let request = agent.configure_request(request).allow_non_standard_methods(true).build();
        let response = agent.run(request).unwrap();
        let (parts, mut body) = response.into_parts();
        let bytes = body.read_to_vec().unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Reply { status: parts.status.as_u16(), headers: parts.headers, bytes, text }
    }

    /// Sends a GET.
    pub fn get(&self, path: &str, user: Option<&User>) -> Reply {
        self.send("GET", path, user, None)
    }

    /// Sends a POST with a JSON body.
    pub fn post(&self, path: &str, user: Option<&User>, body: Value) -> Reply {
        self.send("POST", path, user, Some(body))
    }

    /// Sends a PUT without a body.
    pub fn put(&self, path: &str, user: &User) -> Reply {
        self.send("PUT", path, Some(user), None)
    }

    /// Sends a PATCH with a JSON body.
    pub fn patch(&self, path: &str, user: &User, body: Value) -> Reply {
        self.send("PATCH", path, Some(user), Some(body))
    }

    /// Sends a DELETE.
    pub fn delete(&self, path: &str, user: &User) -> Reply {
        self.send("DELETE", path, Some(user), None)
    }

    /// Sends a GET with the ETags of the copies that the caller has.
    pub fn get_known(&self, path: &str, user: Option<&User>, tags: &str) -> Reply {
        let authorization = user.map(|u| format!("Bearer {}", u.token));
        let mut headers = vec![("if-none-match", tags)];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        self.send_raw("GET", path, &headers, "")
    }

    /// The URL of a path of the private listener.
    pub fn private_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.private.expect("--admin-bind"))
    }

    /// The metrics, from the private listener.
    pub fn metrics(&self) -> String {
        self.get(&self.private_url("/metrics"), None).expect(200).text
    }

    /// Registers an account of this name.
    pub fn user(&self, name: &str) -> User {
        let email = format!("{name}@example.org");
        let body = json!({"email": email, "password": "correct horse", "username": name});
        let session = self.post("/api/auth/register/", None, body).expect(201).json();
        User {
            id: session["user"]["id"].as_i64().unwrap(),
            token: session["token"].as_str().unwrap().to_owned(),
        }
    }

    /// Publishes a flyer that is valid for a week, and returns its id.
    pub fn publish(&self, user: &User, title: &str) -> i64 {
        self.publish_with(user, title, &json!({}))
    }

    /// Publishes a flyer that has these members in place of its own, and returns its id.
    pub fn publish_with(&self, user: &User, title: &str, members: &Value) -> i64 {
        let mut flyer = self.flyer(title);
        flyer.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        self.post("/api/flyers/", Some(user), flyer).expect(201).json()["id"].as_i64().unwrap()
    }

    /// A flyer that is valid for a week.
    pub fn flyer(&self, title: &str) -> Value {
        let now = self.clock.now();
        json!({
            "title": title,
            "description": "Every day from six.",
            "location_address": "Bahnhofstrasse 1, Zürich",
            "latitude": 47.3769,
            "longitude": 8.5417,
            "valid_from": rfc3339(now - TimeDelta::hours(1)),
            "valid_until": rfc3339(now + TimeDelta::weeks(1)),
            "categories": ["service", "events"],
            "images": [{"url": "https://images.example.org/a.jpg"}, {"url": "http://images.example.org/b.jpg"}],
        })
    }

    /// Moves the clock on, or back.
    pub fn pass(&self, time: TimeDelta) {
        self.clock.set(self.clock.now() + time);
    }

    /// Favorites a flyer, which must not be a favorite yet.
    pub fn favorite(&self, user: &User, flyer: i64) {
        self.send("PUT", &format!("/api/favorites/{flyer}/"), Some(user), None).expect(201);
    }

    /// Follows a user, whom the caller must not follow yet.
    pub fn follow(&self, user: &User, followed: &User) {
        self.send("PUT", &format!("/api/follows/{}/", followed.id), Some(user), None).expect(201);
    }

    /// The rows of a list from this page to its end, by `next`; the way back by `previous` shows the same ones.
    #[track_caller]
    pub fn walk(&self, path: &str, user: Option<&User>) -> Vec<Value> {
        let rows = |page: &Value| page["results"].as_array().unwrap().clone();
        let mut page = self.get(path, user).expect(200).json();
        let (count, mut forth) = (page["count"].clone(), rows(&page));
        while let Some(next) = page["next"].as_str() {
            page = self.get(next, user).expect(200).json();
            assert!(!rows(&page).is_empty(), "a link leads to something");
            assert_eq!(page["count"], count, "a walk carries its count");
            forth.extend(rows(&page));
        }
        let mut back = rows(&page);
        while let Some(previous) = page["previous"].as_str() {
            page = self.get(previous, user).expect(200).json();
            back.splice(0..0, rows(&page));
        }
        assert_eq!(back, forth, "{path}");
        forth
    }

    /// The ids on a feed's page.
    pub fn ids(&self, path: &str, user: Option<&User>) -> Vec<i64> {
        ids(&self.get(path, user).expect(200).json())
    }
}

/// Every feed of signed-in callers, and the list of a creator's flyers; each takes more parameters.
pub fn feeds(creator: &User) -> [String; 7] {
    [
        "/api/feed/?".to_owned(),
        "/api/favorites/feed/?".to_owned(),
        "/api/favorites/feed/?order=favorited&".to_owned(),
        "/api/following/feed/?".to_owned(),
        "/api/flyers/?filter=favorites&".to_owned(),
        "/api/flyers/?filter=following&".to_owned(),
        format!("/api/users/{}/flyers/?", creator.id),
    ]
}

/// The cursor in a link.
pub fn cursor(link: &Value) -> String {
    link.as_str().unwrap().split_once("cursor=").unwrap().1.to_owned()
}

/// The ids in a page's body.
pub fn ids(page: &Value) -> Vec<i64> {
    page["results"].as_array().unwrap().iter().map(|f| f["id"].as_i64().unwrap()).collect()
}

/// The moment at which every test starts.
pub fn now() -> NaiveDateTime {
    "2026-06-01T12:00:00.250".parse().unwrap()
}

/// A time as RFC 3339 text.
pub fn rfc3339(time: NaiveDateTime) -> String {
    time.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string()
}

/// Runs a test against a service on each engine.
pub fn on_both(test: impl Fn(&App)) {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        eprintln!("on {engine:?}");
        test(&App::start(engine));
    }
}
