//! Checkpoints that keep SQLite's write-ahead log short.
//!
//! SQLite copies the log into the database every 1,000 pages. It starts the log from the beginning when no reader uses
//! any of it. While readers overlap, there is no such moment, and the log grows. A checkpoint that excludes writers
//! (`TRUNCATE`) creates one: new readers find everything in the database itself, so it waits only for the readers that
//! began before it.

use std::fs;
use std::time::{Duration, Instant};

use diesel::sql_types::Integer;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::database::Database;
use super::deadline::{self, StopCondition};
use super::manager::{Access, Manager};
use super::url::DatabaseUrl;
use crate::error::{Error, Result};

impl Database {
    /// The size of SQLite's write-ahead log in bytes; none on PostgreSQL.
    #[must_use]
    pub fn wal_bytes(&self) -> Option<u64> {
        let DatabaseUrl::Sqlite(path) = &self.url else { return None };
        // The file is missing until something is written.
        Some(fs::metadata(format!("{path}-wal")).map_or(0, |file| file.len()))
    }

    /// Copies as much of the log into the database as running reads allow, without blocking readers or writers.
    ///
    /// Returns none when all of it was copied. Otherwise a reader still needs the rest, and the result is the number of
    /// pages that were copied. While that number stays the same, the same reader is still running, and
    /// [`Database::empty_wal`] would wait for it.
    ///
    /// # Errors
    /// From the database; [`Error::Internal`] on PostgreSQL.
    pub fn copy_wal(&self) -> Result<Option<i32>> {
        let Outcome { log, checkpointed, .. } = self.checkpoint("PASSIVE", StopCondition::default())?;
        Ok(Some(checkpointed).filter(|copied| *copied < log))
    }

    /// Copies the whole log into the database and truncates it. Returns whether that succeeded.
    ///
    /// Writers wait meanwhile; readers do not. It waits for running reads and writes, at most for `timeout`.
    ///
    /// # Errors
    /// From the database; [`Error::Internal`] on PostgreSQL.
    pub fn empty_wal(&self, timeout: Duration) -> Result<bool> {
        let stop = StopCondition { deadline: Instant::now().checked_add(timeout), is_cancelled: None };
        Ok(self.checkpoint("TRUNCATE", stop)?.busy == 0)
    }

    /// Runs a checkpoint on a new connection, because a long log would keep a pooled one busy for long.
    fn checkpoint(&self, mode: &str, stop: StopCondition) -> Result<Outcome> {
        let DatabaseUrl::Sqlite(_) = &self.url else {
            return Err(Error::Internal("only SQLite's log is checkpointed by this service".into()));
        };
        let manager = Manager { url: self.url.clone(), access: Access::Write };
        let mut database = manager.connect_bare().map_err(|error| Error::Unavailable(Box::new(error)))?;
        let checkpoint = sql_query(format!("PRAGMA wal_checkpoint({mode})"));
        Ok(deadline::run_until(stop, || checkpoint.get_result(&mut database))?)
    }
}

/// The row that `PRAGMA wal_checkpoint` returns.
#[derive(Debug, QueryableByName)]
struct Outcome {
    /// Not 0 where a reader or a writer blocked the checkpoint.
    #[diesel(sql_type = Integer)]
    busy: i32,
    /// Pages in the log.
    #[diesel(sql_type = Integer)]
    log: i32,
    /// Pages of the log that are copied into the database.
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}
