//! The SQL of the feeds, as text.
//!
//! Every page query has two layers. The inner one finds the page's *keys*: it scans narrow indexes from the cursor in
//! one direction and returns `(id, sorted_at, distance)` of the page's rows. The outer one ([`cards`]) fetches those
//! rows with creator and flags. The first page starts at [`Position::START`](crate::page::Position::START), so there is
//! always a cursor, and one form serves every page.
//!
//! Without a location the order is that of the indexes, `(sorted_at, id)`. With a location, distance breaks ties within
//! a second, and no index knows distances. The keys then take two steps: scan by `(sorted_at, id)` to find the second
//! in which the page ends; then read everything from the cursor's second to that second, compute the distances of those
//! rows only, sort and cut.
//!
//! The files depend on each other in one direction: [`page`] on [`range`], [`merge`], [`search`] and [`cards`], all of
//! them on [`terms`]. The finished statements are in `tests/sql`.

pub(super) mod cards;
mod merge;
pub(super) mod page;
mod range;
mod search;
pub(super) mod survey;
mod terms;
