//! What every request shares.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix_web::rt::time::timeout;
use actix_web::{HttpMessage, HttpRequest, web};
use feed_core::Error;
use feed_core::attempts::Attempts;
use feed_core::clock::Clock;
use feed_core::db::{self, CancelToken, Database, Db, Engine, Usage};
use feed_core::migrate;
use feed_core::page::CursorKey;
use feed_core::validator::TagKey;
use tokio::sync::Mutex;

use crate::caller::{Caller, Callers};
use crate::config::{Secret, Secrets, ServeConfig, StartError};
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::problem::{ApiError, Busy};
use crate::rate::Limiter;
use crate::repeats::Repeats;
use crate::routes::RouteClass;
use crate::searches::{Asker, CancelOnDrop, Searches};
use crate::tokens::Tokens;
use crate::under_way::UnderWay;
use crate::usage;

/// How long it may take to find out whether the service is ready.
const READINESS: Duration = Duration::from_secs(2);

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
    /// How many do what at once.
    pub gates: Gates,
    /// Tells callers apart.
    pub callers: Arc<Callers>,
    /// How often a caller may ask; none for as often as they like.
    pub limiter: Option<Arc<Limiter>>,
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// Which lines of the log are left out.
    pub repeats: Arc<Repeats>,
    /// Whether `Server-Timing` tells what an answer took.
    pub server_timing: bool,
    /// What each caller has under way, and the bodies that are arriving.
    pub under_way: Arc<UnderWay>,
    /// How long a body may take to arrive.
    pub receive: Duration,
    /// How long the work of a request may take when its turn has come.
    work: Duration,
    /// What was found when the service was last asked whether it is ready.
    readiness: Arc<Mutex<Option<Readiness>>>,
    /// The server is about to stop.
    stopping: Arc<AtomicBool>,
}

/// Whether the database answers, and lacks migrations.
#[derive(Debug, Clone, Copy)]
struct Readiness {
    /// When that was asked.
    asked: Instant,
    /// None where it did not answer.
    is_pending: Option<bool>,
}

/// How many do what at once.
///
/// Work that waits holds no thread here: writes behind a lock and passwords to hash leave those alone that feeds need.
#[derive(Debug, Clone)]
pub struct Gates {
    /// Requests that work or wait for their turn: those whose bodies are still arriving are not among them.
    requests: Gate,
    /// Reads: as many as there are connections.
    reads: Gate,
    /// Writes: on an embedded file one, and one that is ready when it ends; on a server half of the connections, so
    /// that reads have the others while writes wait for locks.
    writes: Gate,
    /// Reads that are searched or asked near a place, who are among the reads: half of the connections that writes
    /// leave. On an embedded file one core is left to all other requests too: there it is the searches that keep cores
    /// busy.
    pub(crate) searches: Searches,
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
        let searches = match engine {
            Engine::Sqlite => (connections / 2).min(cores - 1).max(1),
            Engine::Postgres => (connections - writers).div_ceil(2).max(1),
        };
        let gate = |what, permits, places| Gate::new(what, permits, places, limits.turn());
        Self {
            requests: gate(Busy::Requests, requests, 0),
            reads: gate(Busy::Reads, connections, requests),
            writes: gate(Busy::Writes, writers, waiting_writes),
            searches: Searches::new(searches, requests, limits.turn()),
            passwords: gate(Busy::Passwords, cores, waiting_passwords),
        }
    }
}

impl State {
    /// What a configuration says, over an open database.
    ///
    /// # Errors
    /// When the secret is missing or short, or the public URL is none.
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
            gates: Gates::new(config, database.engine()),
            callers: Arc::new(Callers::new(config.rates.proxies)),
            limiter: Limiter::new(&config.rates).map(Arc::new),
            metrics: Arc::new(metrics),
            repeats: Arc::default(),
            server_timing: config.admin.server_timing,
            under_way: Arc::new(UnderWay::new(&config.limits)),
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
        let caller = request.extensions().get::<Caller>().copied();
        match caller.and_then(|caller| limiter.count(RouteClass::SignIn, &caller)) {
            Some(Err(spent)) => Err(spent.problem()),
            _ => Ok(()),
        }
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

    /// Runs `work` of a list that is searched or asked near a place, with a reading connection on a thread that may
    /// block, and ends it where nobody waits for it any more.
    ///
    /// # Errors
    /// What `work` returns; [`ApiError::Busy`]; [`ApiError::Superseded`].
    pub(crate) async fn search<T: Send + 'static>(
        &self,
        asker: Asker,
        work: impl Fn(&mut Db) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let question = self.gates.searches.ask(asker);
        let token = CancelToken::default();
        let _cancel = CancelOnDrop { database: self.database.clone(), token: token.clone() };
        let answer = async {
            let turn = waited(question.turn()).await?;
            let read = move |database: &Database| {
                // With the work, as below.
                let _turn = turn;
                database.cancelled_by(token).read(work)
            };
            self.block(&self.gates.reads, read).await
        };
        question.unless_superseded(answer).await
    }

    /// Whether the database lacks migrations, by a connection that no other request can have.
    ///
    /// Those who ask while somebody finds out wait for that, and one of them asks for all of them.
    ///
    /// # Errors
    /// Where the database does not answer soon.
    pub async fn is_pending(&self) -> Result<bool, ApiError> {
        let asked = Instant::now();
        let mut last = self.readiness.lock().await;
        if let Some(known) = last.filter(|known| known.asked >= asked) {
            let unavailable =
                || Error::Unavailable("the database did not answer somebody else either".into());
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

    /// Takes a permit, waits for a turn, and runs `work`.
    async fn block<T: Send + 'static>(
        &self,
        gate: &Gate,
        work: impl FnOnce(&Database) -> feed_core::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let permit = self.gates.requests.enter_now()?;
        let turn = waited(gate.enter()).await?;
        let work = move |database: &Database| {
            // With the work: who hangs up, or has waited long enough, ends the waiting for it and not the work itself.
            let _turns = (permit, turn);
            work(database)
        };
        self.on_thread(self.work, work).await
    }

    /// Runs `work` on a thread that may block, and gives it up when so much time is over.
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

/// Waits for a turn, and counts that as what the request has waited.
async fn waited<T>(turn: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let turn = turn.await;
    usage::add(Usage { waiting: started.elapsed(), ..Usage::default() });
    turn
}
