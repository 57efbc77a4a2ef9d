//! A caller who goes on when calls fail.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

static CALLERS: AtomicUsize = AtomicUsize::new(0);

/// An account at a service.
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
        let email = format!("caller-{}@example.org", CALLERS.fetch_add(1, Ordering::Relaxed));
        let account = json!({"email": email, "password": "correct horse"});
        let (status, session) = client.post("/api/auth/register/", &account).unwrap();
        assert_eq!(status, 201, "{session}");
        Self { token: session["token"].as_str().unwrap().to_owned(), ..client }
    }

    /// The same caller, when the service is elsewhere.
    pub fn at(self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self }
    }

    fn post(&self, path: &str, body: &Value) -> Option<(u16, Value)> {
        let request = self.agent.post(format!("http://{}{path}", self.address));
        let reply = request.header("authorization", format!("Bearer {}", self.token)).send_json(body).ok()?;
        Some((reply.status().as_u16(), reply.into_body().read_json().ok()?))
    }

    /// Publishes a flyer, and returns its id where that is acknowledged.
    pub fn publish(&self) -> Option<i64> {
        let flyer = json!({
            "title": "Flyer", "description": "x".repeat(2_000), "location_address": "Bahnhofstrasse 1, Zürich",
            "latitude": 47.4, "longitude": 8.5, "categories": ["events"],
            "valid_from": "2020-01-01T00:00:00Z", "valid_until": "2099-01-01T00:00:00Z",
            "images": [{"url": "https://images.example.org/a.jpg"}],
        });
        let (status, reply) = self.post("/api/flyers/", &flyer)?;
        assert!([201, 500, 503].contains(&status), "{reply}");
        (status == 201).then(|| reply["id"].as_i64().unwrap())
    }

    /// The status of an answer.
    pub fn status(&self, path: &str) -> u16 {
        self.agent.get(format!("http://{}{path}", self.address)).call().unwrap().status().as_u16()
    }

    /// Asserts a 503 in the contract's shape, which says when to come again and nothing of the inside.
    #[track_caller]
    pub fn refused(&self, path: &str) {
        let mut reply = self.agent.get(format!("http://{}{path}", self.address)).call().unwrap();
        assert_eq!(reply.status().as_u16(), 503, "{path}");
        assert_eq!(reply.headers()["retry-after"], "1");
        let problem: Value = reply.body_mut().read_json().unwrap();
        assert!(problem["type"].as_str().unwrap().starts_with("urn:pockitflyer:problem:"), "{problem}");
        assert!(!problem.to_string().contains("PGSQL"), "{problem}");
    }

    /// Waits until the service is ready and serves feeds.
    pub fn comes_back(&self) {
        while self.status("/readyz") != 200 || self.status("/api/feed/") != 200 {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}
