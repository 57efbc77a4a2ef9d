//! The state that all requests share, and the ways in which a request uses the database.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::time::timeout;
use actix_web::{HttpRequest, web};
use feed_core::Error;
use feed_core::attempts::Attempts;
use feed_core::clock::Clock;
use feed_core::db::{self, CancelToken, Database, Db, Engine, Usage};
use feed_core::migrate;
use feed_core::page::CursorKey;
use feed_core::validator::TagKey;
use tokio::sync::Mutex;

use crate::caller::Callers;
use crate::concurrency::ConcurrencyLimit;
use crate::config::{Secret, Secrets, ServeConfig, StartError};
use crate::in_flight::InFlight;
use crate::log_throttle::LogThrottle;
use crate::metrics::Metrics;
use crate::problem::{ApiError, Busy};
use crate::rate::Limiter;
use crate::route_class::RouteClass;
use crate::searches::{CancelOnDrop, Searcher, Searches};
use crate::tokens::Tokens;
use crate::usage;

/// How long a readiness check may take.
const READINESS: Duration = Duration::from_secs(2);

/// The open database, the keys, the clock and the limits. Clones share them.
#[derive(Debug, Clone)]
pub struct State {
    /// The database, with the limits of requests.
    pub database: Database,
    /// Signs and verifies tokens.
    pub tokens: Tokens,
    /// Counts wrong passwords in a row.
    pub attempts: Arc<Attempts>,
    /// The key that signs cursors.
    pub cursors: CursorKey,
    /// The key that makes the `ETag`s of pages.
    pub tags: TagKey,
    /// The time by which validity is judged.
    pub clock: Clock,
    /// What links start with, without a slash at the end. Without it, links take the request's Host.
    pub public_url: Option<String>,
    /// The concurrency limits of each kind of work.
    pub concurrency: ConcurrencyLimits,
    /// Identifies the caller of a request.
    pub callers: Arc<Callers>,
    /// The rate limits; none where they are off.
    pub limiter: Option<Arc<Limiter>>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Leaves out log lines that repeat.
    pub log_throttle: Arc<LogThrottle>,
    /// Whether responses have a `Server-Timing` header.
    pub server_timing: bool,
    /// Counts the requests of each caller that are in flight, and the bodies that are arriving.
    pub in_flight: Arc<InFlight>,
    /// How long a body may take to arrive.
    pub receive: Duration,
    /// How long the work of a request may take once it has its permit.
    work: Duration,
    /// The result of the last readiness check.
    readiness: Arc<Mutex<Option<Readiness>>>,
    /// The server is about to stop.
    stopping: Arc<AtomicBool>,
}

/// The result of a readiness check: whether the database answered, and whether it lacks migrations.
#[derive(Debug, Clone, Copy)]
struct Readiness {
    /// When the check began.
    asked: Instant,
    /// Whether migrations are pending. None where the database did not answer.
    is_pending: Option<bool>,
}

/// The concurrency limits of each kind of work.
///
/// Work that waits for a permit holds no thread. So writes behind a lock and passwords to hash do not use up the
/// threads that feeds need.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimits {
    /// Requests that work or wait for a permit, without those whose bodies are still arriving.
    requests: ConcurrencyLimit,
    /// Reads: as many as there are connections.
    reads: ConcurrencyLimit,
    /// Writes. SQLite: one that runs, and one that is ready when it ends. PostgreSQL: half of the connections, so that
    /// reads have the others while writes wait for locks.
    writes: ConcurrencyLimit,
    /// Reads with a search text or a radius, which also count as reads: half of the connections that writes leave. On
    /// SQLite, one core is also left to all other requests, because there the searches themselves keep cores busy.
    pub(crate) searches: Searches,
    /// Password hashes: as many as there are cores. Each takes 19 MiB and 20 ms.
    passwords: ConcurrencyLimit,
}

impl ConcurrencyLimits {
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
        let searches = match engine {
            Engine::Sqlite => (connections / 2).min(cores - 1).max(1),
            Engine::Postgres => (connections - writers).div_ceil(2).max(1),
        };
        let limit = |what, permits, queue| ConcurrencyLimit::new(what, permits, queue, limits.max_wait());
        Self {
            requests: limit(Busy::Requests, requests, 0),
            reads: limit(Busy::Reads, connections, requests),
            writes: limit(Busy::Writes, writers, waiting_writes),
            searches: Searches::new(searches, requests, limits.max_wait()),
            passwords: limit(Busy::Passwords, cores, waiting_passwords),
        }
    }
}

impl State {
    /// Creates the state from a configuration and an open database.
    ///
    /// # Errors
    /// When the secret is missing or too short, or the public URL is not a URL.
    pub fn new(
        config: &ServeConfig,
        database: &Database,
        clock: Clock,
        metrics: Metrics,
    ) -> Result<Self, StartError> {
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
            concurrency: ConcurrencyLimits::new(config, database.engine()),
            callers: Arc::new(Callers::new(config.rates.proxies)),
            limiter: Limiter::new(&config.rates).map(Arc::new),
            metrics: Arc::new(metrics),
            log_throttle: Arc::default(),
            server_timing: config.admin.server_timing,
            in_flight: Arc::new(InFlight::new(&config.limits)),
            receive: config.limits.receive(),
            work: config.limits.work(),
            readiness: Arc::default(),
            stopping: Arc::default(),
        })
    }

    /// Counts a request that hashes passwords as a sign-in of its caller's network.
    ///
    /// # Errors
    /// [`ApiError::TooMany`].
    pub(crate) fn count_sign_in(&self, request: &HttpRequest) -> Result<(), ApiError> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        match limiter.count(RouteClass::SignIn, self.callers.of(request)) {
            Some(Err(spent)) => Err(spent.problem()),
            _ => Ok(()),
        }
    }

    /// Whether the server is about to stop.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Notes that the server is about to stop.
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
        self.block(&self.concurrency.reads, move |database| database.read(work)).await
    }

    /// Runs the `work` of a search with a reading connection on a thread that may block. A search is a list with a
    /// search text or a radius.
    ///
    /// The search is cancelled where nobody waits for it any more: its client hung up, or a newer one superseded it.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`]; [`ApiError::Superseded`].
    pub(crate) async fn search<T: Send + 'static>(
        &self,
        searcher: Searcher,
        work: impl Fn(&mut Db) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let search = self.concurrency.searches.begin(searcher);
        let token = CancelToken::default();
        let _cancel = CancelOnDrop { database: self.database.clone(), token: token.clone() };
        let answer = async {
            let permit = timed_wait(search.permit()).await?;
            let read = move |database: &Database| {
                // Held by the work, for the same reason as in `block`.
                let _permit = permit;
                database.cancelled_by(token).read(work)
            };
            self.block(&self.concurrency.reads, read).await
        };
        search.unless_superseded(answer).await
    }

    /// Whether the database lacks migrations. It is asked by a connection that no other request can use.
    ///
    /// Callers who come during a check wait for its end. Then one of them checks again for all of them.
    ///
    /// # Errors
    /// Where the database does not answer within two seconds.
    pub async fn is_pending(&self) -> Result<bool, ApiError> {
        let asked = Instant::now();
        let mut last = self.readiness.lock().await;
        if let Some(known) = last.filter(|known| known.asked >= asked) {
            let unavailable = || Error::Unavailable("the database did not answer the readiness check".into());
            return Ok(known.is_pending.ok_or_else(unavailable)?);
        }
        let asked = Instant::now();
        let answer = self.on_thread(READINESS, |database| database.check(migrate::is_pending)).await;
        *last = Some(Readiness { asked, is_pending: answer.as_ref().ok().copied() });
        answer
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

    /// Runs `work` that writes and begins its transactions itself, on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`].
    pub async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.concurrency.writes, work).await
    }

    /// Runs `work` that hashes a password, on a thread that may block.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`].
    pub async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        self.block(&self.concurrency.passwords, work).await
    }

    /// Takes a permit of all requests, waits for a permit of `limit`, and runs `work`.
    async fn block<T: Send + 'static>(
        &self,
        limit: &ConcurrencyLimit,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let request = self.concurrency.requests.try_acquire()?;
        let permit = timed_wait(limit.acquire()).await?;
        let work = move |database: &Database| {
            // The work holds the permits: a client that hangs up and a timeout end the waiting, but not the work.
            let _permits = (request, permit);
            work(database)
        };
        self.on_thread(self.work, work).await
    }

    /// Runs `work` on a thread that may block, and stops waiting for it after `time`.
    async fn on_thread<T: Send + 'static>(
        &self,
        time: Duration,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let database = self.database.clone();
        let done = web::block(move || db::measured(|| work(&database)));
        let done = timeout(time, done).await.map_err(|e| Error::TimedOut(Box::new(e)))?;
        let (value, taken) = done.map_err(|e| Error::Internal(Box::new(e)))?;
        usage::add(taken);
        Ok(value?)
    }
}

/// Waits for a permit, and adds that time to what the request has waited.
async fn timed_wait<T>(permit: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let permit = permit.await;
    usage::add(Usage { waiting: started.elapsed(), ..Usage::default() });
    permit
}
