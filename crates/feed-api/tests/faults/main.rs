//! The real binary while things break: its process, its disk, its database and the way there, and its callers.
//!
//! Each fault is held to the same: what was acknowledged is there, what cannot be done is told as a problem and soon,
//! `/healthz` answers, and all is well again when the fault is over, without anybody's help. Each prints a line of the
//! table that `scripts/faults` ends with.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

// What breaks, a module a theme.
mod answers;
mod backup;
mod bodies;
mod callers;
mod clock;
mod connections;
mod crash;
mod disk;
mod locks;
mod log;
mod malformed;
mod readers;
mod searches;
mod start;

// What the tests are made of.
mod client;
mod fuzzer;
mod load;
mod process;
mod proxy;
mod report;
mod server;

use std::process::Command;

use feed_core::db::Engine;
use feed_test::{SECRET, binary};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// The binary, without the configuration of whoever runs the tests.
fn feed_api(arguments: &[&str]) -> Command {
    binary::command(env!("CARGO_BIN_EXE_feed-api"), arguments)
}

fn serve(url: &str, more: &[&str]) -> Command {
    let mut command = feed_api(&["serve", "--bind", "127.0.0.1:0", "--admin-bind", "127.0.0.1:0"]);
    command.args(["--rate-limit", "off"]).args(more);
    command.env("DATABASE_URL", url).env("FEED_JWT_SECRET", SECRET);
    command
}

/// The same command, by a shell that first does `preparation`; the process is that of the command.
fn after(preparation: &str, service: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{preparation} \"$0\" \"$@\"")]);
    command.arg(service.get_program()).args(service.get_args());
    for (name, value) in service.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}
