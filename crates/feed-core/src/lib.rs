//! The domain of PockitFlyer's feeds: schema, queries, relations and accounts, without HTTP.
//!
//! Everything here runs on embedded SQLite and on PostgreSQL alike and answers the same on both.
//! Functions that touch the database take the connection first; a [`db::Database`] lends it.
// The service uses this: what it has to say, it says by `tracing`, which never waits.
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
pub mod sweep;
#[cfg(any(test, feature = "testing"))]
#[expect(clippy::print_stderr, reason = "a test's output is its own")]
pub mod testing;
pub mod text;
pub mod users;
pub mod validator;

pub use error::{Error, Result};
