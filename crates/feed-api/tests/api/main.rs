//! The service over TCP, on both engines.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accounts;
mod bodies;
mod concurrency;
mod cors;
mod cursors;
mod docs;
mod failures;
mod feeds;
mod filters;
mod flyers;
mod lists;
mod load;
mod operations;
mod patches;
mod protocol;
mod relations;
mod users;
mod validators;
mod wire;
