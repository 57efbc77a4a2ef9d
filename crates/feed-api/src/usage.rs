//! What the request that is under way has taken so far, wherever on its way it is.

use std::cell::Cell;
use std::future::Future;

use feed_core::db::Usage;

/// What a request has taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Taken {
    /// Of the database; its `waiting` is also that for a turn.
    pub usage: Usage,
    /// Rows of the page that it answers with, where that is one.
    pub rows: Option<usize>,
}

tokio::task_local! {
    static TAKEN: Cell<Taken>;
}

/// Handles a request, and tells what that took.
pub async fn of<F: Future>(request: F) -> (F::Output, Taken) {
    let handled = async {
        let output = request.await;
        (output, TAKEN.with(Cell::get))
    };
    TAKEN.scope(Cell::default(), handled).await
}

/// Adds to what the request of this task has taken; nothing outside of one.
pub fn add(usage: Usage) {
    change(|taken| taken.usage += usage);
}

/// Says how many rows the request answers with.
pub fn rows(rows: usize) {
    change(|taken| taken.rows = Some(rows));
}

fn change(change: impl FnOnce(&mut Taken)) {
    let _ = TAKEN.try_with(|cell| {
        let mut taken = cell.get();
        change(&mut taken);
        cell.set(taken);
    });
}
