//! What every request shares.

use std::sync::Arc;

use actix_web::web;
use feed_core::clock::Clock;
use feed_core::db::{Database, Db};
use feed_core::page::CursorKey;
use feed_core::validator::TagKey;
use tokio::sync::Semaphore;

use crate::auth::Tokens;
use crate::problem::ApiError;

/// The open database, the keys and the clock. Clones share them.
#[derive(Debug, Clone)]
pub struct State {
    /// The database.
    pub database: Database,
    /// Signs and reads tokens.
    pub tokens: Tokens,
    /// Signs cursors.
    pub cursors: CursorKey,
    /// Makes the tags of pages.
    pub tags: TagKey,
    /// Judges validity.
    pub clock: Clock,
    /// Lets so many passwords be hashed at once; see [`State::hash`].
    pub hashing: Arc<Semaphore>,
    /// What links start with, without a slash at the end; none takes the request's Host.
    pub public_url: Option<String>,
}

impl State {
    /// Runs `work` with a reading connection on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Db) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(move |database| database.read(work)).await
    }

    /// Runs `work` in a transaction on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Db) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(move |database| database.write(work)).await
    }

    /// Runs `work` that hashes a password: as many at once as there are cores, so that a storm of sign-ins
    /// takes neither the memory (19 MiB each) nor the threads that the feeds need.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = self.hashing.clone().acquire_owned().await;
        let permit = permit.map_err(|e| feed_core::Error::Internal(Box::new(e)))?;
        self.block(move |database| {
            // With the work: who hangs up ends the waiting for it, and not the work itself.
            let _permit = permit;
            work(database)
        })
        .await
    }

    /// Runs `work` on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns.
    pub async fn block<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let database = self.database.clone();
        let done = web::block(move || work(&database)).await;
        Ok(done.map_err(|e| feed_core::Error::Internal(Box::new(e)))??)
    }
}
