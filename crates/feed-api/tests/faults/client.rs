//! A caller who goes on when calls fail.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

static CALLERS: AtomicUsize = AtomicUsize::new(0);

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is to stay, and has this id.
    Kept(i64),
    /// The service said that it cannot, for the moment.
    Refused,
    /// No answer came.
    Silence,
}

/// An account at a service.
#[derive(Clone)]
pub struct Client {
    address: String,
    token: String,
    agent: ureq::Agent,
}

impl Client {
    /// Opens an account.
    pub fn register(address: &str) -> Self {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let client = Self { address: address.to_owned(), token: String::new(), agent };
        // Of this process alone, since a database may have seen others.
        let number = CALLERS.fetch_add(1, Ordering::Relaxed);
        let email = format!("caller-{number}-{}@example.org", std::process::id());
        let account = json!({"email": email, "password": "correct horse"});
        let (status, session) = client.post("/api/auth/register/", &account).unwrap();
        assert_eq!(status, 201, "{session}");
        Self { token: session["token"].as_str().unwrap().to_owned(), ..client }
    }

    /// The same caller, when the service is elsewhere.
    pub fn at(&self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self.clone() }
    }

    /// The same caller, who keeps no connection open between requests.
    pub fn on_new_connections(&self) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false).max_idle_connections(0);
        Self { agent: config.build().new_agent(), ..self.clone() }
    }

    fn authorization(&self) -> String {
        format!("Bearer {}", self.token)
    }

    fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("http://{}{path}", self.address));
        let reply = request.header("authorization", self.authorization()).send_json(body).ok()?;
        Some((reply.status().as_u16(), reply.into_body().read_json().ok()?))
    }

    /// Writes something, and asserts that the answer is one that a fault may cause.
    #[track_caller]
    fn write(&self, path: &str, body: &Value, id: &str) -> Outcome {
        match self.post(path, body) {
            None => Outcome::Silence,
            Some((200 | 201, reply)) => Outcome::Kept(reply[id].as_i64().unwrap()),
            Some((503, reply)) => {
                assert!(reply["type"].as_str().unwrap().starts_with("urn:pockitflyer:problem:"), "{reply}");
                Outcome::Refused
            }
            Some((status, reply)) => panic!("{status} {reply}"),
        }
    }

    /// Publishes a flyer.
    #[track_caller]
    pub fn send_flyer(&self) -> Outcome {
        let flyer = json!({
            "title": "Flyer", "description": "x".repeat(2_000), "location_address": "Bahnhofstrasse 1, Zürich",
            "latitude": 47.4, "longitude": 8.5, "categories": ["events"],
            "valid_from": "2020-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z",
            "images": [{"url": "https://images.example.org/a.jpg"}],
        });
        self.write("/api/flyers/", &flyer, "id")
    }

    /// Favorites a flyer.
    #[track_caller]
    pub fn favorite(&self, flyer: i64) -> Outcome {
        self.write("/api/favorites/", &json!({"flyer_id": flyer}), "flyer_id")
    }

    /// Publishes a flyer, and returns its id where that is acknowledged.
    #[track_caller]
    pub fn publish(&self) -> Option<i64> {
        match self.send_flyer() {
            Outcome::Kept(id) => Some(id),
            Outcome::Refused | Outcome::Silence => None,
        }
    }

    fn get(&self, path: &str) -> Option<(u16, Value)> {
        let request = self.agent.get(format!("http://{}{path}", self.address));
        let reply = request.header("authorization", self.authorization()).call().ok()?;
        Some((reply.status().as_u16(), reply.into_body().read_json().unwrap_or_default()))
    }

    /// The status of an answer.
    #[track_caller]
    pub fn status(&self, path: &str) -> u16 {
        self.get(path).expect("an answer").0
    }

    /// The token of the account.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// A cursor of the main feed, which has two flyers at least.
    pub fn cursor(&self) -> String {
        let (_, page) = self.get("/api/feed/?page_size=1").unwrap();
        page["next"].as_str().unwrap().split_once("cursor=").unwrap().1.to_owned()
    }

    /// Asks for the main feed: whether it came. All that it may be instead is a 503.
    #[track_caller]
    pub fn feed(&self) -> bool {
        match self.get("/api/feed/").expect("an answer") {
            (200, page) => {
                assert!(page["results"].is_array(), "{page}");
                true
            }
            (503, _) => false,
            (status, problem) => panic!("{status} {problem}"),
        }
    }

    /// The flyers that the caller has favorited, from all pages of the list.
    pub fn favorites(&self) -> HashSet<i64> {
        let mut favorites = HashSet::new();
        let mut path = "/api/favorites/?page_size=50".to_owned();
        loop {
            let (status, page) = self.get(&path).unwrap();
            assert_eq!(status, 200, "{page}");
            favorites
                .extend(page["results"].as_array().unwrap().iter().map(|f| f["flyer_id"].as_i64().unwrap()));
            let Some(next) = page["next"].as_str() else { return favorites };
            next[next.find("/api/").unwrap()..].clone_into(&mut path);
        }
    }

    /// Asserts a 503 in the contract's shape, which says when to come again and nothing of the inside, and tells its
    /// kind.
    #[track_caller]
    pub fn refused(&self, path: &str) -> String {
        let request = self.agent.get(format!("http://{}{path}", self.address));
        kind(path, request.header("authorization", self.authorization()).call().unwrap())
    }

    /// The same of a write.
    #[track_caller]
    pub fn refuses_a_write(&self) {
        let request = self.agent.put(format!("http://{}/api/favorites/1/", self.address));
        kind("a write", request.header("authorization", self.authorization()).send_empty().unwrap());
    }

    /// Waits until the service is ready and serves feeds.
    pub fn comes_back(&self) {
        while self.status("/readyz") != 200 || !self.feed() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Asserts that the service is ready and serves feeds within `seconds`, as is promised to operators.
    #[track_caller]
    pub fn is_back_within(&self, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        while self.status("/readyz") != 200 || !self.feed() {
            assert!(Instant::now() < end, "not back after {seconds} s");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The kind of a 503.
#[track_caller]
fn kind(asked: &str, mut reply: ureq::http::Response<ureq::Body>) -> String {
    assert_eq!(reply.status().as_u16(), 503, "{asked}");
    assert_eq!(reply.headers()["retry-after"], "1");
    let problem: Value = reply.body_mut().read_json().unwrap();
    assert!(!problem.to_string().contains("SQL"), "{problem}");
    let kind = problem["type"].as_str().unwrap().strip_prefix("urn:pockitflyer:problem:");
    kind.unwrap_or_else(|| panic!("{problem}")).to_owned()
}
