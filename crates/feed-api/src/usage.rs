//! Measures what the current request uses: statements, database time, waiting time, rows. Stored per task.

use std::cell::Cell;
use std::future::Future;

use feed_core::db::Usage;

/// What a request has used.
#[derive(Debug, Clone, Copy, Default)]
pub struct RequestUsage {
    /// Use of the database. Its `waiting` includes the time spent waiting for concurrency limits.
    pub usage: Usage,
    /// Rows of the page in the response, where it is a page.
    pub rows: Option<usize>,
}

tokio::task_local! {
    static CURRENT: Cell<RequestUsage>;
}

/// Handles a request, and returns what it used.
pub async fn of<F: Future>(request: F) -> (F::Output, RequestUsage) {
    let handled = async {
        let output = request.await;
        (output, CURRENT.with(Cell::get))
    };
    CURRENT.scope(Cell::default(), handled).await
}

/// Adds to the usage of the current task's request. Outside of a request it does nothing.
pub fn add(usage: Usage) {
    change(|request| request.usage += usage);
}

/// Records how many rows the response has.
pub fn rows(rows: usize) {
    change(|request| request.rows = Some(rows));
}

fn change(change: impl FnOnce(&mut RequestUsage)) {
    let _ = CURRENT.try_with(|cell| {
        let mut request = cell.get();
        change(&mut request);
        cell.set(request);
    });
}
