//! Options for limits, rate limits and the private listener.

use std::fmt;
use std::net::{TcpListener, ToSocketAddrs};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use feed_core::db::Limits;

use super::StartError;

/// The limits of requests, each and together.
///
/// Requests wait in short queues for a limited time, and are then refused with 503. So an overloaded service goes on
/// doing what it can.
#[derive(Debug, Clone, Args)]
pub struct LimitConfig {
    /// Milliseconds that a statement of a request may run; 0 for no limit. On SQLite, the limit is for all statements
    /// of the request's read or write together.
    #[arg(
        long,
        env = "FEED_STATEMENT_TIMEOUT",
        value_name = "MILLISECONDS",
        default_value_t = Self::DEFAULT.statement_timeout
    )]
    pub statement_timeout: u32,

    /// Milliseconds that a request waits in a queue for the database or for hashing a password, and then again for a
    /// connection of the pool; after that it is refused with 503.
    #[arg(
        long,
        env = "FEED_CONNECTION_TIMEOUT",
        value_name = "MILLISECONDS",
        default_value_t = Self::DEFAULT.connection_timeout,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub connection_timeout: u32,

    /// Milliseconds that the work of a request may take after it has left the queue, all statements together.
    #[arg(
        long,
        env = "FEED_REQUEST_TIMEOUT",
        value_name = "MILLISECONDS",
        default_value_t = Self::DEFAULT.request_timeout,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub request_timeout: u32,

    /// Milliseconds in which a connection's first headers, and then each body, must arrive; at least 1,000, because the
    /// timer behind it ticks every 500.
    #[arg(
        long,
        env = "FEED_RECEIVE_TIMEOUT",
        value_name = "MILLISECONDS",
        default_value_t = Self::DEFAULT.receive_timeout,
        value_parser = clap::value_parser!(u32).range(1_000..)
    )]
    pub receive_timeout: u32,

    /// Requests that work or wait in queues at once; more are refused with 503. Requests whose bodies are still
    /// arriving do not count.
    #[arg(
        long,
        env = "FEED_MAX_REQUESTS",
        value_name = "N",
        default_value_t = Self::DEFAULT.max_requests,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub max_requests: u32,

    /// Requests of one caller at once, counted from their headers on; more are refused with 429. A caller is an
    /// account, or an address without one.
    #[arg(
        long,
        env = "FEED_MAX_REQUESTS_PER_CALLER",
        value_name = "N",
        default_value_t = Self::DEFAULT.max_requests_per_caller,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub max_requests_per_caller: u32,

    /// MiB of request bodies that are still arriving, and of responses that are still leaving; more are refused with
    /// 503. One caller may have a quarter of it. The first 4 KiB of a body and 64 KiB of a response do not count.
    #[arg(
        long,
        env = "FEED_BODY_MEMORY",
        value_name = "MIB",
        default_value_t = Self::DEFAULT.body_memory,
        value_parser = clap::value_parser!(u32).range(1..=65_536)
    )]
    pub body_memory: u32,

    /// Connections at once; further ones wait in the operating system's queue until that is full.
    #[arg(
        long,
        env = "FEED_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = Self::DEFAULT.max_connections,
        value_parser = clap::value_parser!(u32).range(1..=1_000_000)
    )]
    pub max_connections: u32,

    /// Connections at once from one address or one IPv6 network (/64); by default a tenth of --max-connections, 0 for
    /// no limit. It has no effect behind --proxies or for connections from this machine.
    #[arg(long, env = "FEED_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub max_connections_per_address: Option<u32>,

    /// Seconds that a connection without a request stays open.
    #[arg(
        long,
        env = "FEED_KEEP_ALIVE",
        value_name = "SECONDS",
        default_value_t = Self::DEFAULT.keep_alive,
        value_parser = clap::value_parser!(u16).range(1..)
    )]
    pub keep_alive: u16,

    /// Writes that wait in the queue at once; more are refused with 503.
    #[arg(
        long,
        env = "FEED_WAITING_WRITES",
        value_name = "N",
        default_value_t = Self::DEFAULT.waiting_writes,
        value_parser = clap::value_parser!(u32).range(..=100_000)
    )]
    pub waiting_writes: u32,

    /// Sign-ins and registrations that wait at once for a core to hash their password; more are refused with 503.
    #[arg(
        long,
        env = "FEED_WAITING_PASSWORDS",
        value_name = "N",
        default_value_t = Self::DEFAULT.waiting_passwords,
        value_parser = clap::value_parser!(u32).range(..=100_000)
    )]
    pub waiting_passwords: u32,

    /// Seconds between a stop signal, from which `/readyz` says no, and the last connection that is accepted. Set it so
    /// that a load balancer notices in time.
    #[arg(
        long,
        env = "FEED_DRAIN_DELAY",
        value_name = "SECONDS",
        default_value_t = Self::DEFAULT.drain_delay
    )]
    pub drain_delay: u16,

    /// Seconds that requests in flight have to finish when the server stops.
    #[arg(
        long,
        env = "FEED_SHUTDOWN_TIMEOUT",
        value_name = "SECONDS",
        default_value_t = Self::DEFAULT.shutdown_timeout
    )]
    pub shutdown_timeout: u16,
}

impl LimitConfig {
    const DEFAULT: Self = Self {
        statement_timeout: 2_000,
        connection_timeout: 1_000,
        request_timeout: 10_000,
        receive_timeout: 5_000,
        max_requests: 1_024,
        max_requests_per_caller: 256,
        body_memory: 64,
        max_connections: 10_000,
        max_connections_per_address: None,
        keep_alive: 15,
        waiting_writes: 64,
        waiting_passwords: 32,
        drain_delay: 0,
        shutdown_timeout: 30,
    };

    /// The database limits of a request.
    pub(crate) fn database(&self) -> Limits {
        Limits {
            statement: Some(ms(self.statement_timeout)).filter(|time| !time.is_zero()),
            connection: self.max_wait(),
        }
    }

    /// How long a request waits in a queue.
    pub(crate) fn max_wait(&self) -> Duration {
        ms(self.connection_timeout)
    }

    pub(crate) fn work(&self) -> Duration {
        ms(self.request_timeout)
    }

    pub(crate) fn receive(&self) -> Duration {
        ms(self.receive_timeout)
    }

    /// Connections at once from one address; none for no limit.
    pub(crate) fn per_address(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.max_connections_per_address.unwrap_or(self.max_connections.div_ceil(10)))
    }

    /// How long a connection may go without a successful write. A client that keeps the other limits never takes so
    /// long: it is the time between two requests, then of headers and body, and of the work, which may wait twice: for
    /// a core and for the database.
    pub(crate) fn write_timeout(&self) -> Duration {
        Duration::from_secs(self.keep_alive.into()) + 2 * self.receive() + 2 * (self.max_wait() + self.work())
    }
}

impl Default for LimitConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

fn ms(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// The rate limits of callers.
#[derive(Debug, Clone, Args)]
pub struct RateConfig {
    /// Requests a minute of a caller; so many may also come at once. A caller is an account, or an address without one.
    /// `off` turns off all rate limits, that of sign-ins too.
    #[arg(long, env = "FEED_RATE_LIMIT", value_name = "N|off", default_value_t = Self::DEFAULT.rate_limit)]
    pub rate_limit: Rate,

    /// Sign-ins and registrations a minute of an address; `off` for no such limit.
    #[arg(
        long,
        env = "FEED_AUTH_RATE_LIMIT",
        value_name = "N|off",
        default_value_t = Self::DEFAULT.auth_rate_limit
    )]
    pub auth_rate_limit: Rate,

    /// Number of trusted proxies in front of the service; with 0, X-Forwarded-For is ignored. Each proxy must add the
    /// address that it sees to X-Forwarded-For. Without --public-url, links take X-Forwarded-Proto and X-Forwarded-Host
    /// of the outermost proxy, which must set or remove them.
    #[arg(long, env = "FEED_PROXIES", value_name = "N", default_value_t = Self::DEFAULT.proxies)]
    pub proxies: u8,
}

impl RateConfig {
    const DEFAULT: Self =
        Self { rate_limit: Rate::a_minute(6_000), auth_rate_limit: Rate::a_minute(120), proxies: 0 };

    /// No rate limits.
    #[must_use]
    pub fn off() -> Self {
        Self { rate_limit: Rate(None), ..Self::DEFAULT }
    }
}

impl Default for RateConfig {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// A number a minute, or no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<NonZeroU32>);

impl Rate {
    const fn a_minute(n: u32) -> Self {
        Self(NonZeroU32::new(n))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(n) => n.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self(None)),
            _ => text.parse().map(|n| Self(Some(n))).map_err(|_| "it is neither a positive number nor `off`"),
        }
    }
}

/// The private listener, and what callers are told of timing.
#[derive(Debug, Clone, Default, Args)]
pub struct AdminConfig {
    /// Address and port of a second, private listener for `/metrics`, `/healthz` and `/readyz`; without it, metrics are
    /// not served. Load on the API does not affect it.
    #[arg(long, env = "FEED_ADMIN_BIND", value_name = "ADDRESS")]
    pub admin_bind: Option<String>,

    /// Allow an --admin-bind that other machines can reach.
    #[arg(long, env = "FEED_ADMIN_PUBLIC")]
    pub admin_public: bool,

    /// Add a `Server-Timing` header to every response, with its time and number of statements.
    #[arg(long, env = "FEED_SERVER_TIMING")]
    pub server_timing: bool,
}

impl AdminConfig {
    /// Listens on the private address, where one is set.
    ///
    /// # Errors
    /// When the address is invalid or in use, or other machines can reach it and that is not allowed.
    pub fn listen(&self) -> Result<Option<TcpListener>, StartError> {
        let Some(address) = self.admin_bind.as_deref().filter(|address| !address.is_empty()) else {
            return Ok(None);
        };
        let failed = || StartError::io(format!("cannot listen on {address}"));
        let addresses: Vec<_> = address.to_socket_addrs().map_err(failed())?.collect();
        if !self.admin_public && !addresses.iter().all(|address| address.ip().is_loopback()) {
            return Err(StartError::option(
                "FEED_ADMIN_BIND",
                format!(
                    "is {address}, which other machines can reach: use a loopback address such as 127.0.0.1:9000, or \
                     allow it with --admin-public"
                ),
            ));
        }
        TcpListener::bind(&addresses[..]).map(Some).map_err(failed())
    }
}
