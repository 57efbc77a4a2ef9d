//! Keeps the write-ahead log of an embedded database short while the service runs.

use std::time::Duration;

use actix_web::rt::time::sleep;
use actix_web::web;
use feed_core::db::{Database, WAL_LIMIT};
use feed_core::{Error, Result};

use crate::config::with_causes;
use crate::state::State;

/// How often the length of the write-ahead log is checked.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long emptying the log may hold up writes at most.
const WRITES_WAIT: Duration = Duration::from_millis(100);

/// Above this length, searches are paused to empty the log. Searches may read for long, and one after the other.
const LONG_LOG: u64 = 8 * WAL_LIMIT;

/// How long a pause waits at most for the searches that are running.
const SEARCHES_WAIT: Duration = Duration::from_secs(3);

/// Empties the log whenever it is longer than [`WAL_LIMIT`]. Returns at once where the database has none.
pub(crate) async fn keep_log_short(state: State) {
    let mut held_at = None;
    while let Some(bytes) = state.database.wal_bytes() {
        if bytes > WAL_LIMIT {
            match shorten(&state, bytes, held_at).await {
                Ok(held) => held_at = held,
                Err(error) => {
                    tracing::warn!(error = %with_causes(&error), "the write-ahead log stays long");
                }
            }
        }
        sleep(INTERVAL).await;
    }
}

/// Empties the log, unless the same reader as before still holds it. Returns the page at which a reader holds it.
async fn shorten(state: &State, bytes: u64, held_before: Option<i32>) -> Result<Option<i32>> {
    let held_at = on_thread(state, Database::copy_wal).await?;
    if held_at.is_some() && held_at == held_before {
        // The same reader as a second ago, such as a backup. Waiting for it would only delay writes.
        return Ok(held_at);
    }
    let _pause = if bytes > LONG_LOG { state.concurrency.searches.pause(SEARCHES_WAIT).await } else { None };
    on_thread(state, |database| database.empty_wal(WRITES_WAIT)).await?;
    Ok(held_at)
}

async fn on_thread<T: Send + 'static>(
    state: &State,
    work: impl FnOnce(&Database) -> Result<T> + Send + 'static,
) -> Result<T> {
    let database = state.database.clone();
    web::block(move || work(&database)).await.map_err(|error| Error::Internal(Box::new(error)))?
}
