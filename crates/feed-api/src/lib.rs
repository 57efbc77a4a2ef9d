//! The HTTP service of PockitFlyer's feeds: configuration, routes, tokens and errors.
//!
//! What the service answers is decided in `feed_core`; here it is asked for and written down.

pub mod auth;
pub mod caller;
mod checkpoints;
pub mod commands;
pub mod config;
pub mod extract;
pub mod gate;
pub mod metrics;
mod middleware;
pub mod openapi;
mod patient;
pub mod problem;
pub mod query;
pub mod rate;
pub mod routes;
pub mod searches;
pub mod server;
pub mod state;
mod stop;
pub mod telemetry;
pub mod usage;
