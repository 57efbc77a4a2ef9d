//! The service over TCP, on both engines.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod accounts;
mod app;
mod docs;
mod feeds;
mod flyers;
mod protocol;
mod relations;
