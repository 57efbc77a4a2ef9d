//! Plans and work in a database that is written to.
//!
//! The other guards look at tables that were just vacuumed. Here they are as an app leaves them: never analyzed, with
//! statistics of other data, swept, edited and filled. In each of these states every statement of a request must have
//! the same plan, and a page must cost about what it costs after a vacuum.
//!
//! `FEED_LIVING_FLYERS` is the number of flyers, 100,000 where it is not set.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod base;
mod plans;
mod statements;
mod work;
