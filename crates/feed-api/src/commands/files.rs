//! The files that the process may have open, of which each connection is one.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::ServeConfig;

/// Beside callers: listeners, the log, and what is open for a moment.
const OTHERS: u64 = 128;

/// Files of a connection to the database at most: SQLite has the file, its log and a lock.
const OF_DATABASE: u64 = 4;

/// Takes all the files that the operating system grants, and returns `config` with no more connections than those are.
///
/// What a process has at first, often 1,024, is meant for programs that look at files in an old way. Where all of them
/// are open, nobody gets in any more and the database cannot be reached either.
pub(super) fn fitted(config: &ServeConfig) -> ServeConfig {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let Rlimit { current, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = raised {
        tracing::warn!(%error, ?current, ?maximum, "the limit of open files stays as it is");
    }
    let mut config = config.clone();
    let own = OTHERS + OF_DATABASE * u64::from(config.database.database_connections);
    let room = current.map_or(u64::MAX, |files| files.saturating_sub(own).max(1));
    if let Some(fewer) = u32::try_from(room).ok().filter(|room| *room < config.limits.max_connections) {
        tracing::warn!(
            "FEED_MAX_CONNECTIONS is {}, but the operating system lets the process have {} files open: it takes {fewer} \
             connections at once",
            config.limits.max_connections,
            current.unwrap_or_default(),
        );
        config.limits.max_connections = fewer;
    }
    config
}
