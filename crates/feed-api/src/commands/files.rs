//! The limit of open files. Each connection uses one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::ServeConfig;

/// Open files that are not connections: listeners, the log, and files that are open for a moment.
const OTHERS: u64 = 128;

/// Open files of a database connection at most. SQLite has the database file, its log and a lock.
const OF_DATABASE: u64 = 4;

/// Raises the limit of open files as far as the operating system allows, and returns `config` with `max_connections`
/// reduced to fit that limit.
///
/// The initial limit, often 1,024, is for programs that use `select`. Once all files are open, no connection is
/// accepted and the database cannot be reached either.
pub(super) fn raise_limit(config: &ServeConfig) -> ServeConfig {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let Rlimit { current, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = raised {
        tracing::warn!(%error, ?current, ?maximum, "cannot raise the limit of open files");
    }
    let mut config = config.clone();
    let own = OTHERS + OF_DATABASE * u64::from(config.database.database_connections);
    let room = current.map_or(u64::MAX, |files| files.saturating_sub(own).max(1));
    if let Some(fewer) = u32::try_from(room).ok().filter(|room| *room < config.limits.max_connections) {
        tracing::warn!(
            "FEED_MAX_CONNECTIONS is {}, but the operating system allows the process only {} open files: it accepts \
             {fewer} connections at once",
            config.limits.max_connections,
            current.unwrap_or_default(),
        );
        config.limits.max_connections = fewer;
    }
    config
}
