//! The binary `feed-api` as a process.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A command that runs the program at `path`, without the configuration of whoever runs the tests.
///
/// Only the tests of feed-api know where its binary is: they pass `env!("CARGO_BIN_EXE_feed-api")`.
pub fn command(path: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(path);
    command.args(arguments);
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("FEED_") || name == "DATABASE_URL")
    {
        command.env_remove(name);
    }
    command
}

/// A server that is stopped when the test ends.
pub struct Running {
    /// The process.
    pub child: Child,
    /// The address that it listens on.
    pub address: String,
    /// The URL of the metrics, with `--admin-bind`.
    pub metrics: String,
}

impl Running {
    /// Starts `serve` on a free port and waits until it says where.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (mut address, mut metrics) = (None, String::new());
        while address.is_none() {
            let line = lines.next().expect("it listens").unwrap();
            if let Some((_, url)) = line.split_once("metrics on ") {
                url.trim().clone_into(&mut metrics);
            }
            address = line.split_once("listening on http://").map(|(_, address)| address.trim().to_owned());
        }
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: address.unwrap(), metrics }
    }

    /// The number of requests that have no response yet.
    pub fn under_way(&self) -> usize {
        self.metric("feed_requests_under_way ")
    }

    /// The value of a metric: of the first line that begins with `start`.
    pub fn metric(&self, start: &str) -> usize {
        let text = ureq::get(&self.metrics).call().unwrap().into_body().read_to_string().unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(start));
        value.unwrap().parse().unwrap()
    }

    /// Sends a GET, and returns the status.
    pub fn status(&self, path: &str) -> u16 {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        agent.get(format!("http://{}{path}", self.address)).call().unwrap().status().as_u16()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process.
pub fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}
