#![doc = include_str!("../README.md")]
// The service must not block on a terminal. It logs by `tracing`, which never waits.
#![deny(clippy::print_stdout, clippy::print_stderr, clippy::dbg_macro)]

pub mod attempts;
pub mod clock;
pub mod db;
pub mod engine;
pub mod error;
pub mod favorites;
pub mod feed;
pub mod flyers;
pub mod follows;
pub mod geo;
pub mod migrate;
pub mod models;
pub mod page;
pub mod password;
pub mod profiles;
pub mod relations;
pub mod rules;
#[expect(missing_docs, reason = "printed by the diesel CLI")]
pub mod schema;
pub mod seed;
mod signing;
pub mod sql;
mod stored_time;
pub mod sweep;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::print_stderr, reason = "tests may print")]
pub mod testing;
pub mod text;
pub mod users;
pub mod validator;

pub use error::{Error, Result};
