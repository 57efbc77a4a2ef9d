//! What the service tells a monitoring system of itself.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use feed_core::db::Database;
use feed_core::sweep::Swept;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::logging;
use crate::usage::RequestUsage;

/// Paths that no route has are one.
const NO_ROUTE: &str = "none";

/// Seconds: a page takes 1 ms and less, a statement is given up after 2 s.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// A feed takes four at most.
const STATEMENTS: [f64; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 25.0];
/// A page has 50 at most.
const ROWS: [f64; 5] = [0.0, 1.0, 10.0, 20.0, 50.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    pool: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// A histogram a route, for those that have something to tell.
type Histograms = Family<Route, Histogram, fn() -> Histogram>;

/// Everything that `/metrics` shows.
pub struct Metrics {
    registry: Registry,
    answers: Family<Answer, Counter>,
    /// Every route by its path.
    routes: HashMap<String, Route>,
    seconds: Histograms,
    database: Histograms,
    statements: Histograms,
    rows: Histograms,
    waiting: Histogram,
    under_way: Gauge,
    refused: Family<Reason, Counter>,
    refused_connections: Counter,
    suppressed_lines: Counter,
    connections: Family<Pool, Gauge>,
    idle: Family<Pool, Gauge>,
    most: Family<Pool, Gauge>,
    wal: Gauge,
    sweeps: Family<Outcome, Counter>,
    swept: Family<Outcome, Counter>,
    last_sweep: Gauge<f64, AtomicU64>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

impl Metrics {
    /// All at zero, for a service with these routes. Requests of any other path count for `none`.
    #[must_use]
    pub fn new(database: &Database, routes: impl IntoIterator<Item = &'static str>) -> Self {
        let mut registry = Registry::with_prefix("feed");
        let build = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("database", format!("{:?}", database.engine()).to_lowercase()),
        ];
        registry.register("build", "The program", Info::new(build));

        let answers = Family::<Answer, Counter>::default();
        registry.register("http_requests", "Requests by route and answer", answers.clone());
        let seconds = Histograms::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "From a request's headers to those of its answer";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, seconds.clone());
        let database_time = Histograms::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "A request's time in the database";
        registry.register_with_unit("request_database_time", help, Unit::Seconds, database_time.clone());
        let statements = Histograms::new_with_constructor(|| Histogram::new(STATEMENTS));
        registry.register("request_statements", "Statements of a request", statements.clone());
        let rows = Histograms::new_with_constructor(|| Histogram::new(ROWS));
        registry.register("request_rows", "Rows of the page that a request answers with", rows.clone());

        let waiting = Histogram::new(SECONDS);
        let help = "A request's wait for its turn and for a connection";
        registry.register_with_unit("request_wait", help, Unit::Seconds, waiting.clone());
        let under_way = Gauge::default();
        registry.register("requests_under_way", "Requests that have no answer yet", under_way.clone());
        let refused = Family::default();
        registry.register("requests_refused", "Requests over a limit, by which", refused.clone());

        let refused_connections = Counter::default();
        let help = "Connections from addresses that had as many as they may";
        registry.register("connections_refused", help, refused_connections.clone());
        let suppressed_lines = Counter::default();
        let help = "Lines of the log that were left out since they repeat one of the same second";
        registry.register("log_lines_suppressed", help, suppressed_lines.clone());

        let [connections, idle, most] = [(); 3].map(|()| Family::default());
        registry.register("pool_connections", "Open connections", connections.clone());
        registry.register("pool_connections_idle", "Open connections that nobody uses", idle.clone());
        registry.register("pool_connections_max", "Open connections at most", most.clone());

        let wal = Gauge::default();
        if database.wal_bytes().is_some() {
            let help = "Length of the database's write-ahead log";
            registry.register_with_unit("database_wal", help, Unit::Bytes, wal.clone());
        }

        let [sweeps, swept] = [(); 2].map(|()| Family::default());
        registry.register("sweeps", "Sweeps, by how they ended", sweeps.clone());
        registry.register("swept_flyers", "Flyers whose mark a sweep has set or used off", swept.clone());
        let last_sweep = Gauge::default();
        let help = "When a sweep last ended well, in seconds since 1970";
        registry.register_with_unit("last_sweep_timestamp", help, Unit::Seconds, last_sweep.clone());

        let help = "Lines of the log that were lost, since their reader pauses or they could not be written";
        registry.register("log_lines_dropped", help, logging::dropped());

        let paths = routes.into_iter().chain([NO_ROUTE]);
        let routes = paths.map(|path| (path.to_owned(), Route { route: path.to_owned() })).collect();
        Self {
            registry,
            answers,
            routes,
            seconds,
            database: database_time,
            statements,
            rows,
            waiting,
            under_way,
            refused,
            refused_connections,
            suppressed_lines,
            connections,
            idle,
            most,
            wal,
            sweeps,
            swept,
            last_sweep,
        }
    }

    /// A request has come; it is under way until the guard is dropped.
    pub(crate) fn begin(&self) -> impl Drop + use<> {
        struct UnderWay(Gauge);
        impl Drop for UnderWay {
            fn drop(&mut self) {
                self.0.dec();
            }
        }
        self.under_way.inc();
        UnderWay(self.under_way.clone())
    }

    /// A request was answered after `time`.
    pub(crate) fn answered(
        &self,
        route: Option<&str>,
        method: &'static str,
        status: u16,
        time: Duration,
        used: RequestUsage,
    ) {
        let known = route.and_then(|route| self.routes.get(route));
        let Some(route) = known.or_else(|| self.routes.get(NO_ROUTE)) else { return };
        self.seconds.get_or_create(route).observe(time.as_secs_f64());
        if used.usage.statements > 0 {
            self.database.get_or_create(route).observe(used.usage.database.as_secs_f64());
            self.statements.get_or_create(route).observe(f64::from(used.usage.statements));
            self.waiting.observe(used.usage.waiting.as_secs_f64());
        }
        if let Some(rows) = used.rows.and_then(|rows| u32::try_from(rows).ok()) {
            self.rows.get_or_create(route).observe(rows.into());
        }
        self.answers.get_or_create(&Answer { route: route.route.clone(), method, status }).inc();
    }

    /// A request was sent away, being over this limit.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// A connection was closed at once, since its address has as many as it may.
    pub(crate) fn refused_connection(&self) {
        self.refused_connections.inc();
    }

    /// A line of the log was left out.
    pub(crate) fn suppressed_line(&self) {
        self.suppressed_lines.inc();
    }

    /// A sweep has ended; none where it failed.
    pub(crate) fn swept(&self, swept: Option<Swept>) {
        let of = |outcome| Outcome { outcome };
        let Some(Swept { marked, cleared }) = swept else {
            self.sweeps.get_or_create(&of("failed")).inc();
            return;
        };
        self.sweeps.get_or_create(&of("done")).inc();
        self.swept.get_or_create(&of("marked")).inc_by(marked as u64);
        self.swept.get_or_create(&of("cleared")).inc_by(cleared as u64);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.last_sweep.set(now.as_secs_f64());
    }

    /// All of it in the text format of OpenMetrics, which Prometheus reads; the pools as they are now.
    #[must_use]
    pub fn text(&self, database: &Database) -> String {
        for (pool, state) in database.pools() {
            let pool = Pool { pool };
            self.connections.get_or_create(&pool).set(state.connections.into());
            self.idle.get_or_create(&pool).set(state.idle.into());
            self.most.get_or_create(&pool).set(state.most.into());
        }
        if let Some(bytes) = database.wal_bytes() {
            self.wal.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
        let mut text = String::new();
        // A string takes all that is written to it.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}
