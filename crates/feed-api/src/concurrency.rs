//! Concurrency limits: a number of permits, and a bounded queue of requests that wait for one.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::timeout;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{ApiError, Busy};

/// A limit on how many requests do something at once, such as write to an embedded file. Clones share it.
///
/// A request that waits here holds no thread. One that waits for a connection or a lock does.
#[derive(Debug, Clone)]
pub struct ConcurrencyLimit {
    what: Busy,
    all: u32,
    permits: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    max_wait: Duration,
}

impl ConcurrencyLimit {
    /// Has `permits` permits. `queue` requests more wait for one, each for `max_wait` at most.
    #[must_use]
    pub fn new(what: Busy, permits: usize, queue: usize, max_wait: Duration) -> Self {
        let all = u32::try_from(permits).unwrap_or(u32::MAX);
        let [permits, queue] = [permits, queue].map(|n| Arc::new(Semaphore::new(n)));
        Self { what, all, permits, queue, max_wait }
    }

    /// Waits for a permit, first come, first served. It is released when it is dropped.
    ///
    /// # Errors
    /// [`ApiError::Busy`] at once where the queue is full, or when the time to wait is over.
    pub async fn acquire(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let busy = || ApiError::Busy(self.what);
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _queued = self.queue.try_acquire().map_err(|_| busy())?;
        match timeout(self.max_wait, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }

    /// Takes a permit without waiting.
    ///
    /// # Errors
    /// [`ApiError::Busy`] where none is free.
    pub fn try_acquire(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.permits.clone().try_acquire_owned().map_err(|_| ApiError::Busy(self.what))
    }

    /// Waits for all permits, for `max_wait` at most. Nobody else gets one until they are released.
    ///
    /// Requests that come while this waits are queued behind it.
    pub async fn acquire_all(&self, max_wait: Duration) -> Option<OwnedSemaphorePermit> {
        let all = timeout(max_wait, self.permits.clone().acquire_many_owned(self.all));
        all.await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::time::Duration;

    use super::ConcurrencyLimit;
    use crate::problem::{ApiError, Busy};

    fn run<T>(work: impl Future<Output = T>) -> T {
        actix_web::rt::System::new().block_on(work)
    }

    #[test]
    fn requests_over_the_limit_wait_and_those_over_the_queue_are_refused() {
        run(async {
            let limit = ConcurrencyLimit::new(Busy::Writes, 2, 1, Duration::from_secs(60));
            let (first, _second) = (limit.acquire().await.unwrap(), limit.acquire().await.unwrap());
            let third = actix_web::rt::spawn({
                let limit = limit.clone();
                async move { limit.acquire().await.map(drop) }
            });
            actix_web::rt::task::yield_now().await;
            assert!(matches!(limit.acquire().await, Err(ApiError::Busy(Busy::Writes))), "the queue is full");
            drop(first);
            third.await.unwrap().unwrap();
            drop(limit.acquire().await.unwrap());
        });
    }

    #[test]
    fn nobody_waits_longer_than_the_maximum() {
        run(async {
            let limit = ConcurrencyLimit::new(Busy::Passwords, 1, 5, Duration::from_millis(1));
            let _first = limit.acquire().await.unwrap();
            for _ in 0..10 {
                assert!(limit.acquire().await.is_err(), "a request that gave up leaves the queue");
            }
        });
    }

    #[test]
    fn taking_all_permits_waits_for_those_in_use_and_others_wait_behind() {
        run(async {
            let limit = ConcurrencyLimit::new(Busy::Searches, 2, 5, Duration::from_secs(60));
            let first = limit.acquire().await.unwrap();
            assert!(limit.acquire_all(Duration::from_millis(1)).await.is_none(), "one is in use");
            let closed = actix_web::rt::spawn({
                let limit = limit.clone();
                async move { limit.acquire_all(Duration::from_secs(60)).await }
            });
            actix_web::rt::task::yield_now().await;
            assert!(limit.try_acquire().is_err(), "a permit is free, but somebody waits for all of them");
            drop(first);
            let closed = closed.await.unwrap().unwrap();
            assert!(limit.try_acquire().is_err());
            drop(closed);
            drop(limit.acquire().await.unwrap());
        });
    }
}
