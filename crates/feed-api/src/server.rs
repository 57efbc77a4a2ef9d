//! The HTTP server. Building and running are separate, so that a test knows the address before the server runs.

use std::fmt::Debug;
use std::future::ready;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_http::body::BoxBody;
use actix_http::error::DispatchError;
use actix_http::{HttpServiceBuilder, Request, Response};
use actix_server::GracefulShutdownSignal;
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::http::header::{ContentType, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::{Condition, DefaultHeaders, NormalizePath, from_fn};
use actix_web::rt::net::TcpStream;
use actix_web::{App, Error, HttpResponse, dev, web};
use feed_core::clock::Clock;
use feed_core::db::{Database, Engine};
use feed_core::sweep::{self, Swept};

use crate::address_limit::AddressLimit;
use crate::config::{CorsPolicy, LimitConfig, ServeConfig, StartError, with_causes};
use crate::connection::TimedStream;
use crate::metrics::Metrics;
use crate::problem::ApiError;
use crate::state::State;
use crate::{checkpoints, middleware, pipelining, routes, stop, telemetry};

/// Worker threads at most: the HTTP library accepts no more.
const MAX_WORKERS: usize = 512;

/// Listens on `address`. Port 0 takes a free port.
///
/// # Errors
/// When the address is invalid or in use.
pub fn bind(address: &str) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(StartError::io(format!("cannot listen on {address}")))
}

/// A server that is bound to its address and not yet running.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// The listener for metrics and health checks.
    private: Option<TcpListener>,
    state: State,
    /// The database without the limits of requests, for background work.
    database: Database,
    cors: Option<CorsPolicy>,
    workers: usize,
    limits: LimitConfig,
    sweep_interval: Option<Duration>,
}

impl Server {
    /// Builds a server from a listener of [`bind`] and an open database.
    ///
    /// # Errors
    /// When the secret is missing or too short, or the public URL or a CORS origin is invalid.
    pub fn build(
        config: &ServeConfig,
        listener: TcpListener,
        database: Database,
        clock: Clock,
    ) -> Result<Self, StartError> {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MAX_WORKERS);
        Ok(Self {
            listener,
            private: None,
            state: State::new(config, &database, clock, Metrics::new(&database, routes::patterns()))?,
            database,
            cors: config.cors()?,
            workers: config.workers.map_or_else(cores, usize::from),
            limits: config.limits.clone(),
            sweep_interval: config.sweep_interval(),
        })
    }

    /// Serves metrics and health checks on `listener`, from [`crate::config::AdminConfig::listen`], where there is one.
    #[must_use]
    pub fn with_private(self, listener: Option<TcpListener>) -> Self {
        Self { private: listener, ..self }
    }

    /// The address of the API's listener.
    ///
    /// # Errors
    /// From the operating system.
    pub fn address(&self) -> Result<SocketAddr, StartError> {
        self.listener.local_addr().map_err(StartError::io("the listener has no address"))
    }

    /// The address of the listener for metrics and health checks.
    ///
    /// # Errors
    /// From the operating system.
    pub fn private_address(&self) -> Result<Option<SocketAddr>, StartError> {
        let address = self.private.as_ref().map(TcpListener::local_addr).transpose();
        address.map_err(StartError::io("the private listener has no address"))
    }

    /// Serves until a signal stops it, then lets requests in flight finish.
    ///
    /// # Errors
    /// From the operating system.
    pub async fn run(self) -> Result<(), StartError> {
        let failed = || StartError::io("the server failed");
        let signals = stop::Signals::new()?;
        if let Some(interval) = self.sweep_interval {
            actix_web::rt::spawn(sweep_at(interval, self.database, self.state.clone()));
        }
        actix_web::rt::spawn(checkpoints::keep_log_short(self.state.clone()));
        if self.state.database.engine() == Engine::Postgres {
            actix_web::rt::spawn(read_rows_of_tables(self.state.clone()));
        }
        if self.state.limiter.is_some() {
            actix_web::rt::spawn(forget_callers(self.state.clone()));
        }
        let drain_delay = Duration::from_secs(self.limits.drain_delay.into());
        let private =
            self.private.map(|listener| private(listener, &self.state, &self.limits)).transpose()?;
        let private_handle = private.as_ref().map(dev::Server::handle);
        // A task of its own, so that it runs beside the public server.
        let private = private.map(actix_web::rt::spawn);
        let per_address = self.limits.per_address().filter(|_| !self.state.callers.are_behind_proxies());
        let address_limit = AddressLimit::new(per_address);
        let public =
            public(self.listener, &self.state, self.cors, self.workers, &self.limits, &address_limit)?;
        let stopped = actix_web::rt::spawn(stop::on_signal(
            signals,
            self.state,
            drain_delay,
            public.handle(),
            private_handle,
        ));
        public.await.map_err(failed())?;
        let _ = stopped.await;
        match private {
            Some(private) => private.await.map_err(std::io::Error::other).flatten().map_err(failed()),
            None => Ok(()),
        }
    }
}

/// Starts the server of the API.
fn public(
    listener: TcpListener,
    state: &State,
    cors: Option<CorsPolicy>,
    workers: usize,
    limits: &LimitConfig,
    address_limit: &AddressLimit,
) -> Result<dev::Server, StartError> {
    let data = web::Data::new(state.clone());
    let (metrics, address_limit) = (state.metrics.clone(), address_limit.clone());
    let address = listener.local_addr().map_err(StartError::io("the listener has no address"))?;
    let limits = limits.clone();
    let builder = actix_server::Server::build()
        .workers(workers)
        .disable_signals()
        .shutdown_timeout(limits.shutdown_timeout.into())
        // This limit is per worker.
        .max_concurrent_connections((limits.max_connections as usize).div_ceil(workers));
    let stopping = builder.graceful_shutdown_signal();
    let service = move || {
        let cors = Condition::new(cors.is_some(), middleware::cors(cors.as_ref()));
        let app = App::new()
            .app_data(data.clone())
            .app_data(routes::LocalAddress(address))
            .configure(routes::configure)
            .wrap(from_fn(middleware::cache_headers))
            .wrap(cors)
            .wrap(from_fn(middleware::count_preflights))
            .wrap(from_fn(middleware::problems))
            .wrap(DefaultHeaders::new().add((X_CONTENT_TYPE_OPTIONS, "nosniff")))
            .wrap(NormalizePath::trim())
            .wrap(from_fn(middleware::close_after_429))
            .wrap(from_fn(telemetry::observe))
            .wrap(from_fn(pipelining::one_at_a_time));
        let app = app.into_factory().map_err(|error: Error| error.error_response());
        let http =
            http(&limits, &stopping).local_addr(address).h1(map_config(app, |()| AppConfig::default()));
        let (write_timeout, writes) = (limits.write_timeout(), metrics.writes("public"));
        let (metrics, address_limit) = (metrics.clone(), address_limit.clone());
        fn_service(move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            let Ok(slot) = address_limit.acquire(peer.map(|peer| peer.ip())) else {
                metrics.refused_connection();
                // Closed by a reset: a normal close would keep the socket in TIME_WAIT for a minute.
                let _ = stream.set_zero_linger();
                return ready(Err(DispatchError::Io(ErrorKind::ConnectionRefused.into())));
            };
            ready(Ok((TimedStream::new(stream, write_timeout, slot, writes.clone()), peer)))
        })
        .and_then(http)
    };
    Ok(builder.listen("public", listener, service).map_err(StartError::io("the server failed"))?.run())
}

/// Starts the private server for operators. It has a thread of its own, so callers of the API cannot keep it busy.
fn private(listener: TcpListener, state: &State, limits: &LimitConfig) -> Result<dev::Server, StartError> {
    let data = web::Data::new(state.clone());
    let address = listener.local_addr().map_err(StartError::io("the private listener has no address"))?;
    let limits = limits.clone();
    let builder = actix_server::Server::build().workers(1).disable_signals().shutdown_timeout(1);
    let stopping = builder.graceful_shutdown_signal();
    let service = move || {
        let app = App::new()
            .app_data(data.clone())
            .route("/metrics", web::get().to(metrics))
            .configure(routes::configure_health)
            .default_service(web::to(async || Err::<&str, _>(ApiError::NoRoute)))
            .wrap(NormalizePath::trim())
            .wrap(from_fn(pipelining::one_at_a_time));
        let app = app.into_factory().map_err(|error: Error| error.error_response());
        let http =
            http(&limits, &stopping).local_addr(address).h1(map_config(app, |()| AppConfig::default()));
        let (write_timeout, writes) = (limits.write_timeout(), data.metrics.writes("private"));
        fn_service(move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            let stream = TimedStream::new(stream, write_timeout, None, writes.clone());
            ready(Ok::<_, DispatchError>((stream, peer)))
        })
        .and_then(http)
    };
    let server = builder.listen("private", listener, service);
    Ok(server.map_err(StartError::io("the private server failed"))?.run())
}

/// HTTP as actix-web's own server has it, but over connections of our own.
fn http<S>(limits: &LimitConfig, stopping: &GracefulShutdownSignal) -> HttpServiceBuilder<TimedStream, S>
where
    S: ServiceFactory<Request, Config = ()>,
    S::Error: Into<Response<BoxBody>> + 'static,
    S::InitError: Debug,
    <S::Service as Service<Request>>::Future: 'static,
{
    let stopping = stopping.clone();
    HttpServiceBuilder::default()
        .graceful_shutdown_signal(move || {
            let stopping = stopping.clone();
            async move { stopping.notified().await }
        })
        .keep_alive(Duration::from_secs(limits.keep_alive.into()))
        .client_request_timeout(limits.receive())
        .client_disconnect_timeout(Duration::from_secs(1))
        .h1_allow_half_closed(true)
        .on_connect_ext(|stream: &TimedStream, data| {
            data.insert(stream.pipeline().clone());
            data.insert(stream.disconnect());
        })
}

/// Handler of `/metrics`: all metrics in the text format of OpenMetrics.
async fn metrics(state: web::Data<State>) -> HttpResponse {
    let text = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let mut response = HttpResponse::Ok();
    match text.parse() {
        Ok(mime) => response.insert_header(ContentType(mime)),
        Err(_) => response.insert_header(ContentType::plaintext()),
    };
    response.body(state.metrics.text(&state.database, state.page_memory.as_deref()))
}

/// Marks expired flyers now and at every interval, until the server stops.
async fn sweep_at(interval: Duration, database: Database, state: State) {
    let mut ticks = actix_web::rt::time::interval(interval);
    loop {
        ticks.tick().await;
        let database = database.clone();
        let swept = match web::block(move || sweep::sweep(&database)).await {
            Ok(Ok(swept)) => Some(swept),
            // The next sweep tries again. The feeds are right without it.
            Ok(Err(error)) => {
                tracing::warn!(error = %with_causes(&error), "the sweep failed");
                None
            }
            Err(error) => {
                tracing::warn!(%error, "the sweep failed");
                None
            }
        };
        state.metrics.swept(swept);
        if let Some(Swept { marked, cleared }) = swept.filter(|swept| *swept != Swept::default()) {
            tracing::info!(marked, cleared, "swept");
        }
    }
}

/// Reads how many live and dead rows the tables have, for the metrics, once a minute.
async fn read_rows_of_tables(state: State) {
    let mut ticks = actix_web::rt::time::interval(Duration::from_secs(60));
    loop {
        ticks.tick().await;
        let database = state.database.clone();
        // Without an answer, the metrics keep the last one. Whoever watches a database that does not answer sees that
        // elsewhere.
        if let Ok(Ok(tables)) = web::block(move || database.table_rows()).await {
            state.metrics.rows_of_tables(tables);
        }
    }
}

/// Removes callers with a full quota from the rate limits, each second. Anybody can make single requests from thousands
/// of addresses, and those need not be remembered.
async fn forget_callers(state: State) {
    let mut ticks = actix_web::rt::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        if let Some(limiter) = &state.limiter {
            limiter.forget();
        }
    }
}
