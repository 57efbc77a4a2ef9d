//! A connection to either engine.
#![expect(missing_docs, reason = "the derive makes public items without doc comments")]

use std::fmt;

use diesel::connection::{AnsiTransactionManager, SimpleConnection, TransactionManager};
use diesel::{Connection, PgConnection, SqliteConnection};

use crate::engine::Engine;
use crate::error::Result;

/// A connection to either engine.
#[derive(diesel::MultiConnection)]
pub enum Db {
    /// A connection to an embedded SQLite file.
    Sqlite(SqliteConnection),
    /// A connection to a PostgreSQL server.
    Postgres(PgConnection),
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.engine()).finish()
    }
}

impl Db {
    /// The engine that it is connected to.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs `work` in one transaction, and commits it if `work` succeeds.
    ///
    /// On SQLite the transaction takes the write lock at once (`BEGIN IMMEDIATE`). Otherwise a transaction that reads
    /// before it writes could be refused when it writes.
    ///
    /// # Errors
    /// What `work` returns, and what the database returns when it cannot begin or commit.
    pub fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin()?;
        self.commit_after(work)
    }

    /// Excludes other bulk changes until the transaction ends.
    ///
    /// A bulk change is a transaction that locks rows of several users.
    /// One bulk change at a time locks rows in an order that cannot deadlock with single writes. Two of them could
    /// deadlock with each other, so each calls this first.
    pub(crate) fn exclude_other_bulk_changes(&mut self) -> Result<()> {
        match self {
            // The transaction already holds the only write lock.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(c) => Ok(c.batch_execute("SELECT pg_advisory_xact_lock(2)")?),
        }
    }

    /// Excludes all other writers until the transaction ends. Readers are not blocked.
    ///
    /// Every writer locks a row of `users` first, except the sweeper, which calls
    /// [`Db::exclude_other_bulk_changes`]. So no writer that waits here already holds a lock that this transaction
    /// needs.
    pub(crate) fn exclude_other_writers(&mut self) -> Result<()> {
        self.exclude_other_bulk_changes()?;
        match self {
            // The transaction already holds the only write lock.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(c) => Ok(c.batch_execute("LOCK TABLE users IN EXCLUSIVE MODE")?),
        }
    }

    pub(super) fn begin(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(c) => AnsiTransactionManager::begin_transaction_sql(c, "BEGIN IMMEDIATE")?,
            Self::Postgres(c) => AnsiTransactionManager::begin_transaction(c)?,
        }
        Ok(())
    }

    pub(super) fn commit_after<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match work(self) {
            Ok(value) => {
                <Self as Connection>::TransactionManager::commit_transaction(self)?;
                Ok(value)
            }
            Err(error) => {
                // Return the first error, which tells more. The pool drops a connection that cannot roll back.
                if let Err(rollback) = <Self as Connection>::TransactionManager::rollback_transaction(self) {
                    tracing::warn!(error = %rollback, "rollback failed");
                }
                Err(error)
            }
        }
    }
}
