//! A door with a line before it: so many are in, so many more wait for a while, and the others are sent away at once.

use std::sync::Arc;
use std::time::Duration;

use actix_web::rt::time::timeout;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::problem::{ApiError, Busy};

/// What may be done by a few at once, such as writes to an embedded file. Clones share it.
///
/// Who waits here holds no thread, whereas who waits for a connection or a lock does.
#[derive(Debug, Clone)]
pub struct Gate {
    what: Busy,
    most: u32,
    permits: Arc<Semaphore>,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Gate {
    /// Lets `permits` in at once, and has `places` more wait for `patience`.
    #[must_use]
    pub fn new(what: Busy, permits: usize, places: usize, patience: Duration) -> Self {
        let most = u32::try_from(permits).unwrap_or(u32::MAX);
        let [permits, places] = [permits, places].map(|n| Arc::new(Semaphore::new(n)));
        Self { what, most, permits, places, patience }
    }

    /// Waits for a turn, first come, first served. It lasts until the permit is dropped.
    ///
    /// # Errors
    /// [`ApiError::Busy`] at once where the line is full, or when the time to wait is over.
    pub async fn enter(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        let busy = || ApiError::Busy(self.what);
        if let Ok(permit) = self.permits.clone().try_acquire_owned() {
            return Ok(permit);
        }
        let _place = self.places.try_acquire().map_err(|_| busy())?;
        match timeout(self.patience, self.permits.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(busy()),
        }
    }

    /// A turn where one is free this moment.
    ///
    /// # Errors
    /// [`ApiError::Busy`] where none is.
    pub fn enter_now(&self) -> Result<OwnedSemaphorePermit, ApiError> {
        self.permits.clone().try_acquire_owned().map_err(|_| ApiError::Busy(self.what))
    }

    /// Waits for `patience` at most until nobody is in, and then lets nobody in until the permit is dropped.
    ///
    /// Whoever comes after this has begun waits behind it.
    pub async fn close(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        let all = timeout(patience, self.permits.clone().acquire_many_owned(self.most));
        all.await.ok()?.ok()
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::time::Duration;

    use super::Gate;
    use crate::problem::{ApiError, Busy};

    fn run<T>(work: impl Future<Output = T>) -> T {
        actix_web::rt::System::new().block_on(work)
    }

    #[test]
    fn so_many_are_in_so_many_wait_and_the_others_go() {
        run(async {
            let gate = Gate::new(Busy::Writes, 2, 1, Duration::from_secs(60));
            let (first, _second) = (gate.enter().await.unwrap(), gate.enter().await.unwrap());
            let third = actix_web::rt::spawn({
                let gate = gate.clone();
                async move { gate.enter().await.map(drop) }
            });
            actix_web::rt::task::yield_now().await;
            assert!(matches!(gate.enter().await, Err(ApiError::Busy(Busy::Writes))), "the line is full");
            drop(first);
            third.await.unwrap().unwrap();
            drop(gate.enter().await.unwrap());
        });
    }

    #[test]
    fn nobody_waits_longer_than_the_gates_patience() {
        run(async {
            let gate = Gate::new(Busy::Passwords, 1, 5, Duration::from_millis(1));
            let _first = gate.enter().await.unwrap();
            for _ in 0..10 {
                assert!(gate.enter().await.is_err(), "and who has gone leaves its place");
            }
        });
    }

    #[test]
    fn who_closes_the_gate_waits_for_those_within_and_others_wait_behind() {
        run(async {
            let gate = Gate::new(Busy::Searches, 2, 5, Duration::from_secs(60));
            let first = gate.enter().await.unwrap();
            assert!(gate.close(Duration::from_millis(1)).await.is_none(), "one is within");
            let closed = actix_web::rt::spawn({
                let gate = gate.clone();
                async move { gate.close(Duration::from_secs(60)).await }
            });
            actix_web::rt::task::yield_now().await;
            assert!(gate.enter_now().is_err(), "there is room, but somebody waits to close");
            drop(first);
            let closed = closed.await.unwrap().unwrap();
            assert!(gate.enter_now().is_err());
            drop(closed);
            drop(gate.enter().await.unwrap());
        });
    }
}
