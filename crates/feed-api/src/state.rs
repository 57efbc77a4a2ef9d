//! What every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::time::timeout;
use actix_web::web;
use feed_core::Error;
use feed_core::attempts::Attempts;
use feed_core::clock::Clock;
use feed_core::db::{self, Database, Db, Engine, Usage};
use feed_core::page::CursorKey;
use feed_core::validator::TagKey;

use crate::auth::Tokens;
use crate::caller::Callers;
use crate::config::{Secret, Secrets, ServeConfig, StartError};
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::problem::{ApiError, Busy};
use crate::rate::Limiter;
use crate::usage;

/// The open database, the keys, the clock and the limits. Clones share them.
#[derive(Debug, Clone)]
pub struct State {
    /// The database, with the limits of requests.
    pub database: Database,
    /// Signs and reads tokens.
    pub tokens: Tokens,
    /// Wrong passwords in a row.
    pub attempts: Arc<Attempts>,
    /// Signs cursors.
    pub cursors: CursorKey,
    /// Makes the tags of pages.
    pub tags: TagKey,
    /// Judges validity.
    pub clock: Clock,
    /// What links start with, without a slash at the end; none takes the request's Host.
    pub public_url: Option<String>,
    /// Who may come in, and how many do what at once.
    pub gates: Gates,
    /// Tells callers apart.
    pub callers: Arc<Callers>,
    /// How often a caller may ask; none for as often as they like.
    pub limiter: Option<Arc<Limiter>>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Whether `Server-Timing` tells what an answer took.
    pub server_timing: bool,
    /// How long a body may take to arrive.
    pub receive: Duration,
    /// How long the work of a request may take when its turn has come.
    work: Duration,
    /// The server is about to stop.
    stopping: Arc<AtomicBool>,
}

/// How many do what at once.
///
/// Work that waits holds no thread here: writes behind a lock and passwords to hash leave those alone that feeds need.
#[derive(Debug, Clone)]
pub struct Gates {
    /// Requests under way.
    pub requests: Gate,
    /// Reads: as many as there are connections.
    reads: Gate,
    /// Writes: on an embedded file one, and one that is ready when it ends; on a server half of the connections, so
    /// that reads have the others while writes wait for locks.
    writes: Gate,
    /// Hashes of passwords: as many as there are cores, 19 MiB and 20 ms each.
    passwords: Gate,
}

impl Gates {
    fn new(config: &ServeConfig, engine: Engine) -> Self {
        let limits = &config.limits;
        let [requests, connections, waiting_writes, waiting_passwords] = [
            limits.max_requests,
            config.database.database_connections,
            limits.waiting_writes,
            limits.waiting_passwords,
        ]
        .map(|n| n as usize);
        let writers = match engine {
            Engine::Sqlite => 2,
            Engine::Postgres => connections.div_ceil(2),
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let gate = |what, permits, places| Gate::new(what, permits, places, limits.turn());
        Self {
            requests: gate(Busy::Requests, requests, 0),
            reads: gate(Busy::Reads, connections, requests),
            writes: gate(Busy::Writes, writers, waiting_writes),
            passwords: gate(Busy::Passwords, cores, waiting_passwords),
        }
    }
}

impl State {
    /// What a configuration says, over an open database.
    ///
    /// # Errors
    /// When the secret is missing or short, or the public URL is none.
    pub fn new(config: &ServeConfig, database: &Database, clock: Clock) -> Result<Self, StartError> {
        let Secrets { current, previous } = &config.tokens.secrets()?;
        let previous = previous.as_ref().map(Secret::as_bytes);
        let secret = current.as_bytes();
        Ok(Self {
            database: database.limited(config.limits.database()),
            tokens: Tokens::new(secret, config.tokens.token_ttl).with_previous(previous),
            attempts: Arc::default(),
            cursors: CursorKey::derive(secret).with_previous(previous),
            tags: TagKey::derive(secret),
            clock,
            public_url: config.public_url()?,
            gates: Gates::new(config, database.engine()),
            callers: Arc::new(Callers::new(config.rates.proxies)),
            limiter: Limiter::new(&config.rates).map(Arc::new),
            metrics: Arc::new(Metrics::new(database)),
            server_timing: config.admin.server_timing,
            receive: config.limits.receive(),
            work: config.limits.work(),
            stopping: Arc::default(),
        })
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Says that the server is about to stop.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    /// Runs `work` with a reading connection on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`].
    pub async fn read<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Db) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.gates.reads, move |database| database.read(work)).await
    }

    /// Runs `work` in a transaction on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`].
    pub async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Db) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.change(move |database| database.write(work)).await
    }

    /// Runs `work` that begins its transactions itself, on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`].
    pub async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.gates.writes, work).await
    }

    /// Runs `work` that hashes a password, on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`].
    pub async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.gates.passwords, work).await
    }

    /// Waits for a turn, then runs `work` on a thread that may block, and gives it up when its time is over.
    async fn block<T: Send + 'static>(
        &self,
        gate: &Gate,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let started = Instant::now();
        let turn = gate.enter().await;
        usage::add(Usage { waiting: started.elapsed(), ..Usage::default() });
        let turn = turn?;
        let database = self.database.clone();
        let done = web::block(move || {
            // With the work: who hangs up, or has waited long enough, ends the waiting for it and not the work itself.
            let _turn = turn;
            db::measured(|| work(&database))
        });
        let done = timeout(self.work, done).await.map_err(|e| Error::TimedOut(Box::new(e)))?;
        let (value, taken) = done.map_err(|e| Error::Internal(Box::new(e)))?;
        usage::add(taken);
        Ok(value?)
    }
}
