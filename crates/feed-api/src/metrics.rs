//! The service's metrics, in the text format of OpenMetrics.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use feed_core::db::{Database, Engine, TableRows};
use feed_core::page::Start;
use feed_core::sweep::Swept;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::logging;
use crate::page_memory::{PageMemory, Size};
use crate::usage::RequestUsage;

/// The `route` label of all requests that match no route.
const NO_ROUTE: &str = "none";

/// Buckets of times, in seconds. A page takes 1 ms or less; by default a statement is cancelled after 2 s.
const SECONDS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// Buckets of statements a request. A feed takes four, and five where a survey chooses the access path.
const STATEMENTS: [f64; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 10.0, 25.0];
/// Buckets of rows a page. A page has 50 at most.
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
struct FoundBy {
    by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Pool {
    pool: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Table {
    table: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Listener {
    listener: &'static str,
}

/// Counts the calls that write to the connections of a listener.
#[derive(Debug, Clone, Default)]
pub(crate) struct Writes(Counter);

impl Writes {
    /// Counts a call, before it is made: so whoever has read a response finds it counted.
    pub(crate) fn count(&self) {
        self.0.inc();
    }
}

/// A histogram for each route that has been observed.
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
    writes: Family<Listener, Counter>,
    suppressed_lines: Counter,
    pages_found: Family<FoundBy, Counter>,
    pages_remembered: Gauge,
    page_memory: Gauge,
    connections: Family<Pool, Gauge>,
    idle: Family<Pool, Gauge>,
    most: Family<Pool, Gauge>,
    wal: Gauge,
    live_rows: Family<Table, Gauge>,
    dead_rows: Family<Table, Gauge>,
    sweeps: Family<Outcome, Counter>,
    swept: Family<Outcome, Counter>,
    last_sweep: Gauge<f64, AtomicU64>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(…)")
    }
}

/// Registers the metrics of the pools: open connections, idle ones, and the most that there may be.
fn of_pools(registry: &mut Registry) -> [Family<Pool, Gauge>; 3] {
    let [connections, idle, most] = [(); 3].map(|()| Family::<Pool, Gauge>::default());
    registry.register("pool_connections", "Open database connections", connections.clone());
    registry.register("pool_connections_idle", "Open database connections that are not in use", idle.clone());
    registry.register("pool_connections_max", "Maximum of open database connections", most.clone());
    [connections, idle, most]
}

/// Registers the metrics of PostgreSQL's tables: live and dead rows. SQLite has none.
fn of_tables(registry: &mut Registry, database: &Database) -> [Family<Table, Gauge>; 2] {
    let [live, dead] = [(); 2].map(|()| Family::<Table, Gauge>::default());
    if database.engine() == Engine::Postgres {
        let help = "Rows of a table, as PostgreSQL estimated them within the last minute";
        registry.register("table_rows", help, live.clone());
        let help = "Dead rows of a table, which wait for a vacuum, as PostgreSQL estimated them within the last minute";
        registry.register("table_rows_dead", help, dead.clone());
    }
    [live, dead]
}

impl Metrics {
    /// Creates the metrics for a service with these routes, all at zero. Requests to any other path have the route
    /// `none`.
    #[must_use]
    pub fn new(database: &Database, routes: impl IntoIterator<Item = &'static str>) -> Self {
        let mut registry = Registry::with_prefix("feed");
        let build = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("database", format!("{:?}", database.engine()).to_lowercase()),
        ];
        registry.register("build", "Version of the program and engine of its database", Info::new(build));

        let answers = Family::<Answer, Counter>::default();
        registry.register("http_requests", "Requests by route, method and response status", answers.clone());
        let seconds = Histograms::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "Time from a request's headers to the response's headers";
        registry.register_with_unit("http_request_duration", help, Unit::Seconds, seconds.clone());
        let database_time = Histograms::new_with_constructor(|| Histogram::new(SECONDS));
        let help = "Time that a request spent in the database";
        registry.register_with_unit("request_database_time", help, Unit::Seconds, database_time.clone());
        let statements = Histograms::new_with_constructor(|| Histogram::new(STATEMENTS));
        registry.register("request_statements", "SQL statements that a request sent", statements.clone());
        let rows = Histograms::new_with_constructor(|| Histogram::new(ROWS));
        registry.register("request_rows", "Rows of the page in a response", rows.clone());

        let waiting = Histogram::new(SECONDS);
        let help = "Time that a request waited for concurrency limits and for a database connection";
        registry.register_with_unit("request_wait", help, Unit::Seconds, waiting.clone());
        let under_way = Gauge::default();
        registry.register("requests_under_way", "Requests without a response yet", under_way.clone());
        let refused = Family::default();
        registry.register(
            "requests_refused",
            "Requests refused because of a limit, by limit",
            refused.clone(),
        );

        let refused_connections = Counter::default();
        let help = "Connections refused because their address had reached its limit";
        registry.register("connections_refused", help, refused_connections.clone());
        let writes = Family::default();
        let help = "Calls that write to connections, by listener: a response of up to 64 kB takes one";
        registry.register("connection_writes", help, writes.clone());
        let suppressed_lines = Counter::default();
        let help = "Log lines left out because they repeat a line of the same second";
        registry.register("log_lines_suppressed", help, suppressed_lines.clone());
        let pages_found = Family::default();
        let help = "Pages asked by number from 2 on, by how they were found: the page before was remembered, one \
                    shortly before it, or rows were counted";
        registry.register("pages_found", help, pages_found.clone());
        let [pages_remembered, page_memory] = [(); 2].map(|()| Gauge::default());
        registry.register("pages_remembered", "Pages whose end is remembered", pages_remembered.clone());
        let help = "Size of the memory of pages";
        registry.register_with_unit("page_memory", help, Unit::Bytes, page_memory.clone());

        let [connections, idle, most] = of_pools(&mut registry);
        let wal = Gauge::default();
        if database.wal_bytes().is_some() {
            let help = "Length of SQLite's write-ahead log";
            registry.register_with_unit("database_wal", help, Unit::Bytes, wal.clone());
        }

        let [live_rows, dead_rows] = of_tables(&mut registry, database);

        let [sweeps, swept] = [(); 2].map(|()| Family::default());
        registry.register("sweeps", "Sweeps of expired flyers, by outcome", sweeps.clone());
        registry.register(
            "swept_flyers",
            "Flyers whose expired mark a sweep has set or cleared",
            swept.clone(),
        );
        let last_sweep = Gauge::default();
        let help = "Time of the last successful sweep, in seconds since 1970";
        registry.register_with_unit("last_sweep_timestamp", help, Unit::Seconds, last_sweep.clone());

        let help = "Log lines lost because stderr's reader paused or they could not be written";
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
            writes,
            suppressed_lines,
            pages_found,
            pages_remembered,
            page_memory,
            connections,
            idle,
            most,
            wal,
            live_rows,
            dead_rows,
            sweeps,
            swept,
            last_sweep,
        }
    }

    /// Counts a request as unanswered until the guard is dropped.
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

    /// Records a request that was answered after `time`.
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

    /// Counts a request that this limit refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a connection that was closed at once because its address had reached its limit.
    pub(crate) fn refused_connection(&self) {
        self.refused_connections.inc();
    }

    /// The counter of writes to the connections of this listener.
    pub(crate) fn writes(&self, listener: &'static str) -> Writes {
        Writes(self.writes.get_or_create_owned(&Listener { listener }))
    }

    /// Counts a log line that was left out.
    pub(crate) fn suppressed_line(&self) {
        self.suppressed_lines.inc();
    }

    /// Counts a page asked by number that starts there.
    pub(crate) fn page_found(&self, start: &Start) {
        let by = match start {
            Start::Cursor(_) | Start::Page(1) => return,
            Start::After { skip: 0, .. } => "page_before",
            Start::After { .. } => "page_near",
            Start::Page(_) => "count",
        };
        self.pages_found.get_or_create(&FoundBy { by }).inc();
    }

    /// Records the end of a sweep; none where it failed.
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

    /// Records how many rows the tables have.
    pub(crate) fn rows_of_tables(&self, tables: Vec<TableRows>) {
        for TableRows { table, live, dead } in tables {
            let table = Table { table };
            self.live_rows.get_or_create(&table).set(live);
            self.dead_rows.get_or_create(&table).set(dead);
        }
    }

    /// All metrics in the text format of OpenMetrics, which Prometheus reads. Reads the state of the pools and of the
    /// memory of pages at this moment.
    #[must_use]
    pub fn text(&self, database: &Database, page_memory: Option<&PageMemory>) -> String {
        if let Some(Size { pages, bytes }) = page_memory.map(PageMemory::size) {
            self.pages_remembered.set(i64::try_from(pages).unwrap_or(i64::MAX));
            self.page_memory.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        }
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
        // Writing to a string cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}
