//! What a fault did, as a line of the table that `scripts/faults` ends with.

use std::fmt::Display;
use std::fs::File;
use std::io::Write;

use feed_core::db::Engine;

/// Where the lines go, besides the test's output.
const FILE: &str = "FEED_TEST_FAULTS";

/// The line of one fault on one engine. It is written when the test is through with it: a test that fails says so too.
pub struct Report {
    fault: &'static str,
    engine: Engine,
    sent: String,
    acknowledged: String,
    found: String,
}

impl Report {
    /// Nothing is known yet.
    pub fn of(fault: &'static str, engine: Engine) -> Self {
        let unknown = || "-".to_owned();
        Self { fault, engine, sent: unknown(), acknowledged: unknown(), found: unknown() }
    }

    /// What was sent while the fault lasted, what of that was acknowledged, and what was found afterwards.
    pub fn tell(&mut self, sent: impl Display, acknowledged: impl Display, found: impl Display) {
        (self.sent, self.acknowledged, self.found) =
            (sent.to_string(), acknowledged.to_string(), found.to_string());
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let verdict = if std::thread::panicking() { "FAILED" } else { "held" };
        let Self { fault, engine, sent, acknowledged, found } = self;
        let engine = match engine {
            Engine::Sqlite => "SQLite",
            Engine::Postgres => "PostgreSQL",
        };
        let line = format!("{fault:<34} {engine:<10} {sent:>6} {acknowledged:>6}  {found:<66} {verdict}\n");
        eprint!("{line}");
        let Some(file) = std::env::var_os(FILE) else { return };
        // In one write, since the tests are processes of their own.
        let written = File::options()
            .append(true)
            .create(true)
            .open(file)
            .and_then(|mut f| f.write_all(line.as_bytes()));
        if let Err(error) = written {
            eprintln!("the line is lost: {error}");
        }
    }
}
