//! What a Diesel project's queries cost, for its tests: how many statements some code sends, how the database
//! plans them, and how much work they are. It knows SQLite and PostgreSQL, alone or in one
//! [`MultiConnection`](diesel::MultiConnection).
//!
//! - [`log`] records statements: [`assert_queries`](log::assert_queries) counts them,
//!   [`assert_no_growth`](log::assert_no_growth) finds the N+1.
//! - [`plan`] explains what was sent: scans without an index, sorts, the indexes in use.
//! - [`work`] measures without a clock: [`measure`](work::measure) gives steps of SQLite's virtual machine or
//!   PostgreSQL's buffers, which are equal from run to run.
//!
//! ```
//! use diesel::connection::SimpleConnection;
//! use diesel::prelude::*;
//! use feed_perf::{log, plan, work};
//!
//! diesel::table! { notes { id -> Integer, author -> Integer, text -> Text } }
//!
//! // Before the first connection is opened: each one reports from its start.
//! log::install();
//! let mut connection = SqliteConnection::establish(":memory:")?;
//! connection.batch_execute(
//!     "CREATE TABLE notes (id INTEGER PRIMARY KEY NOT NULL, author INTEGER NOT NULL, text TEXT NOT NULL);
//!      CREATE INDEX notes_author ON notes (author);",
//! )?;
//!
//! // How many statements?
//! let by_author = notes::table.filter(notes::author.eq(7));
//! log::assert_queries(1, || by_author.count().get_result::<i64>(&mut connection))?;
//!
//! // Which, and how are they planned?
//! let (_, sent) = log::record(|| by_author.select(notes::text).load::<String>(&mut connection));
//! let plan = plan::sqlite(&mut connection, &sent.statements[0])?;
//! assert!(plan.uses_index("notes_author"), "{plan}");
//! assert_eq!((plan.scans.len(), plan.sorts.len()), (0, 0), "{plan}");
//!
//! // How much work is it?
//! let load = |c: &mut SqliteConnection| by_author.select(notes::text).load::<String>(c);
//! let (_, work) = work::measure(&mut connection, |c| work::Target::Sqlite(c), load)?;
//! assert!(work.total().units < 30, "{work}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! All of it is for tests: plans and statements are read from the debug text of Diesel 2.3, whose form Diesel
//! does not promise to keep, and what cannot be read is an error.

mod binds;
mod error;
pub mod log;
pub mod plan;
mod sql;
mod sqlite_trace;
pub mod work;

pub use error::Error;
pub use log::{QueryLog, Statement};
