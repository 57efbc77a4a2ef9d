#![doc = include_str!("../README.md")]
// These macros panic when stdout or stderr has no reader any more, and block while the reader pauses. Commands print by
// `commands::output`; everything else goes to the log.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

mod address_limit;
pub mod auth;
pub mod caller;
mod checkpoints;
pub mod commands;
mod compression;
pub mod concurrency;
pub mod config;
mod connection;
pub mod extract;
mod held_body;
mod ids;
pub mod in_flight;
pub mod log_throttle;
pub mod logging;
pub mod metrics;
mod middleware;
mod pipelining;
pub mod problem;
pub mod query;
pub mod rate;
mod route_class;
pub mod routes;
pub mod searches;
pub mod server;
pub mod state;
mod stop;
pub mod telemetry;
pub mod tokens;
pub mod usage;
