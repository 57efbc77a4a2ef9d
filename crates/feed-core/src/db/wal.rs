//! The write-ahead log of an embedded database, and how it becomes short again.
//!
//! SQLite copies the log into the database every 1,000 pages, and writes it from its beginning again when no reader
//! uses any of it. Where readers overlap, there is no such moment, and the log grows for as long as that lasts. A
//! checkpoint that keeps writers out makes one: readers who come then find everything in the database itself, so that
//! it waits only for those who were there before.

use std::fs;
use std::time::{Duration, Instant};

use diesel::sql_types::Integer;
use diesel::{QueryableByName, RunQueryDsl, sql_query};

use super::deadline::{self, End};
use super::{Access, Database, DatabaseUrl, Manager};
use crate::error::{Error, Result};

/// Bytes of the log that are left alone: twice of what SQLite lets it grow to where no readers overlap.
pub const WAL_LIMIT: u64 = 8 * 1024 * 1024;

impl Database {
    /// The length of an embedded database's write-ahead log in bytes; none of a server's.
    #[must_use]
    pub fn wal_bytes(&self) -> Option<u64> {
        let DatabaseUrl::Sqlite(path) = &self.url else { return None };
        // There is none while nothing was written.
        Some(fs::metadata(format!("{path}-wal")).map_or(0, |file| file.len()))
    }

    /// Copies into an embedded database what no reader has to find in the log any more, while others read and write.
    ///
    /// Returns how many pages of the log are in the database, where a reader needs the others. As long as that number
    /// stays the same, so does the reader, and [`Database::empty_wal`] would wait for it.
    ///
    /// # Errors
    /// From the database; [`Error::Internal`] on a server.
    pub fn copy_wal(&self) -> Result<Option<i32>> {
        let Outcome { log, checkpointed, .. } = self.checkpoint("PASSIVE", End::default())?;
        Ok(Some(checkpointed).filter(|copied| *copied < log))
    }

    /// Copies all of the log into an embedded database, and cuts it to nothing: whether that went.
    ///
    /// Writers wait meanwhile, and readers do not. It waits so long at most for those who read or write already.
    ///
    /// # Errors
    /// From the database; [`Error::Internal`] on a server.
    pub fn empty_wal(&self, patience: Duration) -> Result<bool> {
        let end = End { deadline: Instant::now().checked_add(patience), is_cancelled: None };
        Ok(self.checkpoint("TRUNCATE", end)?.busy == 0)
    }

    /// On a connection of its own, which a long log would keep from others for long.
    fn checkpoint(&self, mode: &str, end: End) -> Result<Outcome> {
        let DatabaseUrl::Sqlite(_) = &self.url else {
            return Err(Error::Internal("a server looks after its log itself".into()));
        };
        let manager = Manager { url: self.url.clone(), access: Access::Write };
        let mut database = manager.connect_bare().map_err(|error| Error::Unavailable(Box::new(error)))?;
        let checkpoint = sql_query(format!("PRAGMA wal_checkpoint({mode})"));
        Ok(deadline::until(end, || checkpoint.get_result(&mut database))?)
    }
}

/// What `PRAGMA wal_checkpoint` answers.
#[derive(Debug, QueryableByName)]
struct Outcome {
    /// Not 0 where a reader or a writer was in the way.
    #[diesel(sql_type = Integer)]
    busy: i32,
    /// Pages in the log.
    #[diesel(sql_type = Integer)]
    log: i32,
    /// Those of them that are in the database.
    #[diesel(sql_type = Integer)]
    checkpointed: i32,
}
