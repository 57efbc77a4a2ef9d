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
    /// To the embedded file.
    Sqlite(SqliteConnection),
    /// To the server.
    Postgres(PgConnection),
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Db").field(&self.engine()).finish()
    }
}

impl Db {
    /// The engine at the other end.
    #[must_use]
    pub fn engine(&self) -> Engine {
        match self {
            Self::Sqlite(_) => Engine::Sqlite,
            Self::Postgres(_) => Engine::Postgres,
        }
    }

    /// Runs `work` in one transaction: all of it is kept, or nothing.
    ///
    /// On SQLite it takes the write lock at once (`BEGIN IMMEDIATE`): a transaction that reads
    /// before it writes could otherwise find that it may not write any more.
    ///
    /// # Errors
    /// What `work` returns, or the database's refusal to begin or commit.
    pub fn write<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.begin()?;
        self.commit_after(work)
    }

    /// Keeps others who change rows of many users, and ask here too, out until the transaction ends.
    ///
    /// Each of them alone locks rows in an order that suits everybody else; two of them could wait for each other.
    pub(crate) fn exclude_other_bulk_changes(&mut self) -> Result<()> {
        match self {
            // The transaction holds the only write lock already.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(c) => Ok(c.batch_execute("SELECT pg_advisory_xact_lock(2)")?),
        }
    }

    /// Keeps other writers out until the transaction ends; readers go on.
    ///
    /// Whoever writes locks a row of `users` before anything else, but for the sweeper, who asks as we do here: so
    /// nobody is stopped who already holds what we want.
    pub(crate) fn exclude_other_writers(&mut self) -> Result<()> {
        self.exclude_other_bulk_changes()?;
        match self {
            // The transaction holds the only write lock already.
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
                // The first error tells more; a connection that cannot roll back leaves the pool.
                if let Err(rollback) = <Self as Connection>::TransactionManager::rollback_transaction(self) {
                    tracing::warn!(error = %rollback, "rollback failed");
                }
                Err(error)
            }
        }
    }
}
