//! How much a caller may take, and who sees the inside.

use std::fmt;
use std::net::{TcpListener, ToSocketAddrs};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use feed_core::db::Limits;

use super::StartError;

/// What requests may take, each and together.
///
/// What waits has a place in a short line and a time after which it is told to come again: a service that is asked
/// for more than it can do goes on doing what it can.
#[derive(Debug, Clone, Args)]
pub struct LimitConfig {
    /// Milliseconds that a statement of a request may run; 0 for as long as it takes. On an embedded file, all
    /// statements of the request's read or write together.
    #[arg(long, env = "FEED_STATEMENT_TIMEOUT", value_name = "MILLISECONDS",
          default_value_t = Self::DEFAULT.statement_timeout)]
    pub statement_timeout: u32,

    /// Milliseconds that a request waits for its turn at the database or at hashing a password, and then for a
    /// connection of the pool.
    #[arg(long, env = "FEED_CONNECTION_TIMEOUT", value_name = "MILLISECONDS",
          default_value_t = Self::DEFAULT.connection_timeout, value_parser = clap::value_parser!(u32).range(1..))]
    pub connection_timeout: u32,

    /// Milliseconds that the work of a request may take when its turn has come, all statements together.
    #[arg(long, env = "FEED_REQUEST_TIMEOUT", value_name = "MILLISECONDS",
          default_value_t = Self::DEFAULT.request_timeout, value_parser = clap::value_parser!(u32).range(1..))]
    pub request_timeout: u32,

    /// Milliseconds in which a connection's first headers, and then each body, must arrive; 1,000 at least, since
    /// the clock behind it ticks every 500.
    #[arg(long, env = "FEED_RECEIVE_TIMEOUT", value_name = "MILLISECONDS",
          default_value_t = Self::DEFAULT.receive_timeout, value_parser = clap::value_parser!(u32).range(1_000..))]
    pub receive_timeout: u32,

    /// Requests that work or wait for their turn at once; more are told to come again. Requests whose bodies have not
    /// arrived are not among them.
    #[arg(long, env = "FEED_MAX_REQUESTS", value_name = "N",
          default_value_t = Self::DEFAULT.max_requests, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_requests: u32,

    /// Requests of one caller at once, of an account or of an address without one, from their headers on; more are
    /// refused.
    #[arg(long, env = "FEED_MAX_REQUESTS_PER_CALLER", value_name = "N",
          default_value_t = Self::DEFAULT.max_requests_per_caller,
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub max_requests_per_caller: u32,

    /// MiB of request bodies that have not arrived whole, of which one caller may have a quarter; bodies beyond it are
    /// told to come again. The first 4 KiB of each count for nothing.
    #[arg(long, env = "FEED_BODY_MEMORY", value_name = "MIB",
          default_value_t = Self::DEFAULT.body_memory, value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub body_memory: u32,

    /// Connections at once; more wait until the operating system refuses them.
    #[arg(long, env = "FEED_MAX_CONNECTIONS", value_name = "N",
          default_value_t = Self::DEFAULT.max_connections, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub max_connections: u32,

    /// Connections at once from one address, or from one customer's IPv6 network (/64), so that nobody has them all;
    /// without it, a tenth of --max-connections; 0 for any number. Behind --proxies, and from this machine itself, they
    /// are not counted.
    #[arg(long, env = "FEED_MAX_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    pub max_connections_per_address: Option<u32>,

    /// Seconds that a connection without a request stays open.
    #[arg(long, env = "FEED_KEEP_ALIVE", value_name = "SECONDS",
          default_value_t = Self::DEFAULT.keep_alive, value_parser = clap::value_parser!(u16).range(1..))]
    pub keep_alive: u16,

    /// Writes that wait for their turn; more are told to come again.
    #[arg(long, env = "FEED_WAITING_WRITES", value_name = "N",
          default_value_t = Self::DEFAULT.waiting_writes, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub waiting_writes: u32,

    /// Sign-ins and registrations that wait for a core to hash their password; more are told to come again.
    #[arg(long, env = "FEED_WAITING_PASSWORDS", value_name = "N",
          default_value_t = Self::DEFAULT.waiting_passwords, value_parser = clap::value_parser!(u32).range(..=100_000))]
    pub waiting_passwords: u32,

    /// Seconds that `/readyz` says no before the server stops to take requests, so that a load balancer has seen it.
    #[arg(long, env = "FEED_DRAIN_DELAY", value_name = "SECONDS", default_value_t = Self::DEFAULT.drain_delay)]
    pub drain_delay: u16,

    /// Seconds that requests have to end when the server stops.
    #[arg(long, env = "FEED_SHUTDOWN_TIMEOUT", value_name = "SECONDS",
          default_value_t = Self::DEFAULT.shutdown_timeout)]
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

    /// What a request may take of the database.
    pub(crate) fn database(&self) -> Limits {
        Limits {
            statement: Some(ms(self.statement_timeout)).filter(|time| !time.is_zero()),
            connection: self.max_wait(),
        }
    }

    /// How long a request waits for its turn.
    pub(crate) fn max_wait(&self) -> Duration {
        ms(self.connection_timeout)
    }

    pub(crate) fn work(&self) -> Duration {
        ms(self.request_timeout)
    }

    pub(crate) fn receive(&self) -> Duration {
        ms(self.receive_timeout)
    }

    /// Connections at once from one address; none for any number.
    pub(crate) fn per_address(&self) -> Option<NonZeroU32> {
        NonZeroU32::new(self.max_connections_per_address.unwrap_or(self.max_connections.div_ceil(10)))
    }

    /// How long a connection may go without a part of an answer, which nobody does who keeps to the other limits:
    /// between two requests, then with headers and body, and with the work, which may wait for a core and the database.
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

/// How often a caller may ask.
#[derive(Debug, Clone, Args)]
pub struct RateConfig {
    /// Requests a minute of a caller: of an account, or of an address without one; `off` for no limits at all. So
    /// many may come at once.
    #[arg(long, env = "FEED_RATE_LIMIT", value_name = "N|off", default_value_t = Self::DEFAULT.rate_limit)]
    pub rate_limit: Rate,

    /// Sign-ins and registrations a minute of an address; `off` for none of this limit.
    #[arg(long, env = "FEED_AUTH_RATE_LIMIT", value_name = "N|off", default_value_t = Self::DEFAULT.auth_rate_limit)]
    pub auth_rate_limit: Rate,

    /// Proxies in front of the service, each of which adds the address that it sees to X-Forwarded-For; 0 does not
    /// believe the header. X-Forwarded-Proto and X-Forwarded-Host of the outermost one make the links where there is no
    /// --public-url: it has to set them, or to take them off.
    #[arg(long, env = "FEED_PROXIES", value_name = "N", default_value_t = Self::DEFAULT.proxies)]
    pub proxies: u8,
}

impl RateConfig {
    const DEFAULT: Self =
        Self { rate_limit: Rate::a_minute(6_000), auth_rate_limit: Rate::a_minute(120), proxies: 0 };

    /// No limits.
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

/// So many a minute, or no limit.
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
            _ => text.parse().map(|n| Self(Some(n))).map_err(|_| "not a positive number, nor `off`"),
        }
    }
}

/// Who sees the inside.
#[derive(Debug, Clone, Default, Args)]
pub struct AdminConfig {
    /// The address and port of a second listener, which serves `/metrics`, and `/healthz` and `/readyz` whatever
    /// callers of the API do; without it, nothing serves metrics.
    #[arg(long, env = "FEED_ADMIN_BIND", value_name = "ADDRESS")]
    pub admin_bind: Option<String>,

    /// Let that listener have an address that other machines reach.
    #[arg(long, env = "FEED_ADMIN_PUBLIC")]
    pub admin_public: bool,

    /// Tell every caller in `Server-Timing` how long the answer took, and its statements.
    #[arg(long, env = "FEED_SERVER_TIMING")]
    pub server_timing: bool,
}

impl AdminConfig {
    /// Listens on the private address, where there is one.
    ///
    /// # Errors
    /// When it is no address, is taken, or is reached by others and may not be.
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
                    "is {address}, which other machines may reach: take a loopback address such as 127.0.0.1:9000, \
                     or allow it with --admin-public"
                ),
            ));
        }
        TcpListener::bind(&addresses[..]).map(Some).map_err(failed())
    }
}
