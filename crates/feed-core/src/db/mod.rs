//! Connections to both engines, and the connection pools.
//!
//! A [`Database`] owns the pools. [`Database::read`] and [`Database::write`] take a connection from a pool, apply the
//! time limits and run a closure with it.

mod backup;
mod cancel;
mod connection;
mod database;
mod deadline;
mod failure;
mod limits;
mod manager;
mod meter;
mod pooled;
mod private;
mod rows;
mod session;
mod sqlite_build;
mod url;
mod wal;

pub use crate::engine::Engine;
pub use backup::{BackupError, back_up};
pub use cancel::CancelToken;
pub use connection::{Db, MultiBackend};
pub use database::{Database, OpenError, PoolState};
pub use limits::Limits;
pub use manager::WAL_LIMIT;
pub use meter::{Usage, measured};
pub use private::open_to_all;
pub use rows::TableRows;
pub use sqlite_build::missing_build_options;
#[cfg(feature = "testing")]
pub(crate) use url::Parts;
pub use url::{BadDatabaseUrl, DatabaseUrl};
