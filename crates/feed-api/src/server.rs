//! The server: built and run apart, so that a test knows its address before it serves.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::middleware::{Compress, Condition, NormalizePath, from_fn};
use actix_web::{App, HttpServer, web};
use feed_core::clock::Clock;
use feed_core::db::Database;
use feed_core::page::CursorKey;
use feed_core::sweep::{self, Swept};
use feed_core::validator::TagKey;
use tokio::sync::Semaphore;

use crate::auth::Tokens;
use crate::config::{CorsOrigins, ServeConfig, StartError, with_causes};
use crate::state::State;
use crate::{extract, middleware, routes};

/// Listens on `address`: port 0 takes a free one.
///
/// # Errors
/// When it is no address, or is taken.
pub fn bind(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(StartError::io(format!("cannot listen on {address}")))
}

/// A server that is bound to its address and not yet running.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    state: State,
    /// For work behind the scenes, which has no limits.
    database: Database,
    cors: Option<CorsOrigins>,
    workers: Option<usize>,
    sweep_interval: Option<Duration>,
}

impl Server {
    /// Makes a server of a listener, from [`bind`], and an open database.
    ///
    /// # Errors
    /// When the secret is missing or short, the public URL is none, or an origin is.
    pub fn build(
        config: &ServeConfig,
        listener: TcpListener,
        database: Database,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let secret = config.tokens.secret()?;
        let state = State {
            database: database.limited(config.limits.database()),
            tokens: Tokens::new(secret, config.tokens.token_ttl),
            cursors: CursorKey::derive(secret),
            tags: TagKey::derive(secret),
            clock,
            hashing: Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from))),
            public_url: config.public_url()?,
        };
        Ok(Self {
            listener,
            state,
            database,
            cors: config.cors_origins()?,
            workers: config.workers.map(usize::from),
            sweep_interval: config.sweep_interval(),
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// From the operating system.
    pub fn address(&self) -> Result<SocketAddr, StartError> {
        self.listener.local_addr().map_err(StartError::io("the listener has no address"))
    }

    /// Serves until it is told to stop by a signal, then lets requests that are under way finish.
    ///
    /// # Errors
    /// From the operating system.
    pub async fn run(self) -> Result<(), StartError> {
        if let Some(interval) = self.sweep_interval {
            actix_web::rt::spawn(sweep_at(interval, self.database));
        }
        let data = web::Data::new(self.state);
        let cors = self.cors;
        let mut server = HttpServer::new(move || {
            let cors = Condition::new(cors.is_some(), middleware::cors(cors.as_ref()));
            App::new()
                .app_data(data.clone())
                .app_data(web::PayloadConfig::new(extract::BODY_LIMIT))
                .configure(routes::configure)
                .wrap(Compress::default())
                .wrap(from_fn(middleware::cache_headers))
                .wrap(cors)
                .wrap(from_fn(middleware::problems))
                .wrap(NormalizePath::trim())
                .wrap(from_fn(middleware::request_id))
        })
        .shutdown_timeout(10);
        if let Some(workers) = self.workers {
            server = server.workers(workers);
        }
        let failed = || StartError::io("the server failed");
        server.listen(self.listener).map_err(failed())?.run().await.map_err(failed())
    }
}

/// Sweeps now and at every interval from now on, until the server stops.
async fn sweep_at(interval: Duration, database: Database) {
    let mut ticks = actix_web::rt::time::interval(interval);
    loop {
        ticks.tick().await;
        let database = database.clone();
        match web::block(move || sweep::sweep(&database)).await {
            Ok(Ok(swept)) if swept == Swept::default() => {}
            Ok(Ok(Swept { marked, cleared })) => tracing::info!(marked, cleared, "swept"),
            // The next one comes; the feeds are right without it.
            Ok(Err(error)) => tracing::warn!(error = %with_causes(&error), "the sweep failed"),
            Err(error) => tracing::warn!(%error, "the sweep failed"),
        }
    }
}
