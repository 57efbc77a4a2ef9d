//! Limits on what is in flight: each caller's concurrent requests, and the bytes of bodies that are arriving
//! or leaving.
//!
//! A request takes its permit for work only after its body has arrived, so slow bodies do not block anybody's work.
//! Until then these limits apply: the bytes of all bodies together bound the memory, and no caller can use all of it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::{Caller, CallerKey};
use crate::config::LimitConfig;
use crate::problem::{ApiError, Busy};

/// Bytes of each body that are not counted. Most bodies are shorter, so a caller who sends many long ones does not keep
/// others from signing in.
const FREE: usize = 4 * 1024;

/// Bytes of each response that are not counted. A page of 50 flyers usually has fewer.
const FREE_RESPONSE: usize = 64 * 1024;

/// One caller may use a fraction of all bytes: one in so many.
const SHARE: usize = 4;

/// The limits, and the counts of what is in flight.
#[derive(Debug)]
pub struct InFlight {
    /// Concurrent requests of one caller at most.
    requests: usize,
    /// Bytes of all bodies at most.
    bytes: usize,
    counts: Mutex<Counts>,
}

/// The counts of what is in flight now.
#[derive(Debug, Default)]
struct Counts {
    bytes: usize,
    /// Only callers who have something in flight.
    callers: HashMap<CallerKey, CallerCounts>,
}

/// The counts of one caller.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct CallerCounts {
    requests: usize,
    bytes: usize,
}

impl InFlight {
    /// Takes the limits from the configuration; nothing is in flight yet.
    #[must_use]
    pub fn new(limits: &LimitConfig) -> Self {
        Self {
            requests: limits.max_requests_per_caller as usize,
            bytes: limits.body_memory as usize * 1024 * 1024,
            counts: Mutex::default(),
        }
    }

    /// Begins a request of `caller`. It is in flight until the returned value is dropped.
    ///
    /// A caller without a key has no limit of its own.
    ///
    /// # Errors
    /// [`ApiError::TooManyAtOnce`] where the caller has reached its limit.
    pub(crate) fn begin(self: &Arc<Self>, caller: Caller) -> Result<InFlightRequest, ApiError> {
        let key = caller.key();
        if let Some(key) = key {
            let mut counts = self.counts();
            let mut own = counts.of(key);
            if own.requests >= self.requests {
                return Err(ApiError::TooManyAtOnce);
            }
            own.requests += 1;
            counts.callers.insert(key, own);
        }
        Ok(InFlightRequest { in_flight: self.clone(), key })
    }

    /// Begins a body of `caller`, of which nothing has arrived yet.
    pub(crate) fn body(self: &Arc<Self>, caller: Caller) -> ArrivingBody {
        ArrivingBody { in_flight: self.clone(), key: caller.key(), received: 0 }
    }

    /// Reserves the bytes of a response to `caller` until the returned value is dropped.
    ///
    /// Short responses are not counted: the limit of concurrent requests bounds them.
    ///
    /// # Errors
    /// [`ApiError::TooManyAtOnce`] where the caller exceeds its share, [`ApiError::Busy`] where all bodies together
    /// exceed the limit.
    pub(crate) fn response(
        self: &Arc<Self>,
        caller: Caller,
        bytes: usize,
    ) -> Result<LeavingResponse, ApiError> {
        let (key, bytes) = (caller.key(), bytes.saturating_sub(FREE_RESPONSE));
        if bytes > 0 {
            self.reserve(key, bytes)?;
        }
        Ok(LeavingResponse { in_flight: self.clone(), key, bytes })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `bytes` more of a body, if the limits allow it.
    fn reserve(&self, key: Option<CallerKey>, bytes: usize) -> Result<(), ApiError> {
        let mut counts = self.counts();
        let own = key.map(|key| (key, counts.of(key)));
        if own.is_some_and(|(_, own)| own.bytes + bytes > self.bytes / SHARE) {
            return Err(ApiError::TooManyAtOnce);
        }
        if counts.bytes + bytes > self.bytes {
            return Err(ApiError::Busy(Busy::Bodies));
        }
        if let Some((key, own)) = own {
            counts.callers.insert(key, CallerCounts { bytes: own.bytes + bytes, ..own });
        }
        counts.bytes += bytes;
        Ok(())
    }
}

impl Counts {
    fn of(&self, key: CallerKey) -> CallerCounts {
        self.callers.get(&key).copied().unwrap_or_default()
    }

    /// Subtracts from the counts, and removes callers who have nothing in flight any more.
    fn release(&mut self, key: Option<CallerKey>, CallerCounts { requests, bytes }: CallerCounts) {
        self.bytes -= bytes;
        let Some(key) = key else { return };
        let own = self.of(key);
        let left = CallerCounts { requests: own.requests - requests, bytes: own.bytes - bytes };
        if left == CallerCounts::default() {
            self.callers.remove(&key);
        } else {
            self.callers.insert(key, left);
        }
    }
}

/// A request that is in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct InFlightRequest {
    in_flight: Arc<InFlight>,
    key: Option<CallerKey>,
}

impl Drop for InFlightRequest {
    fn drop(&mut self) {
        self.in_flight.counts().release(self.key, CallerCounts { requests: 1, bytes: 0 });
    }
}

/// A response that is being sent. Its bytes are no longer counted when this is dropped.
#[derive(Debug)]
pub(crate) struct LeavingResponse {
    in_flight: Arc<InFlight>,
    key: Option<CallerKey>,
    bytes: usize,
}

impl Drop for LeavingResponse {
    fn drop(&mut self) {
        self.in_flight.counts().release(self.key, CallerCounts { requests: 0, bytes: self.bytes });
    }
}

/// A body that is arriving. Its bytes are no longer counted when this is dropped.
#[derive(Debug)]
pub(crate) struct ArrivingBody {
    in_flight: Arc<InFlight>,
    key: Option<CallerKey>,
    received: usize,
}

impl ArrivingBody {
    /// Counts `bytes` that have arrived.
    ///
    /// # Errors
    /// [`ApiError::TooManyAtOnce`] where the caller exceeds its share, [`ApiError::Busy`] where all bodies together
    /// exceed the limit.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        let received = self.received + bytes;
        let more = counted(received) - counted(self.received);
        if more > 0 {
            self.in_flight.reserve(self.key, more)?;
        }
        self.received = received;
        Ok(())
    }
}

impl Drop for ArrivingBody {
    fn drop(&mut self) {
        let bytes = counted(self.received);
        self.in_flight.counts().release(self.key, CallerCounts { requests: 0, bytes });
    }
}

/// How many of a body's bytes count towards the limits.
fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{FREE, InFlight, SHARE};
    use crate::caller::Caller;
    use crate::config::LimitConfig;
    use crate::problem::{ApiError, Busy};

    const MIB: usize = 1024 * 1024;

    fn limits() -> Arc<InFlight> {
        let limits = LimitConfig { max_requests_per_caller: 2, body_memory: 1, ..LimitConfig::default() };
        Arc::new(InFlight::new(&limits))
    }

    fn account(id: i64) -> Caller {
        Caller { account: Some(id), network: Some([192, 0, 2, 1].into()) }
    }

    #[test]
    fn each_caller_has_a_limit_of_concurrent_requests() {
        let in_flight = limits();
        let stranger = Caller { account: None, ..account(1) };
        for caller in [account(1), account(2), stranger] {
            let first = in_flight.begin(caller).unwrap();
            let _second = in_flight.begin(caller).unwrap();
            assert!(matches!(in_flight.begin(caller), Err(ApiError::TooManyAtOnce)));
            drop(first);
            drop(in_flight.begin(caller).unwrap());
        }
        assert!(in_flight.counts().callers.is_empty(), "callers with nothing in flight are removed");
    }

    #[test]
    fn callers_without_a_key_are_not_counted() {
        let in_flight = limits();
        let nobody = Caller { account: None, network: None };
        let turns: Vec<_> = (0..10).map(|_| in_flight.begin(nobody).unwrap()).collect();
        drop(turns);
        let mut body = in_flight.body(nobody);
        body.add(FREE + MIB).unwrap();
        assert!(matches!(in_flight.body(nobody).add(FREE + 1), Err(ApiError::Busy(Busy::Bodies))));
    }

    #[test]
    fn a_caller_has_a_share_of_the_bytes_and_short_bodies_cost_nothing() {
        let in_flight = limits();
        let share = MIB / SHARE;
        let mut bodies: Vec<_> = (1..).map(|id| in_flight.body(account(id))).take(SHARE).collect();
        for body in &mut bodies {
            body.add(FREE + share).unwrap();
            assert!(matches!(body.add(1), Err(ApiError::TooManyAtOnce)), "more than its share");
        }
        let mut more = in_flight.body(account(0));
        more.add(FREE).unwrap();
        assert!(matches!(more.add(1), Err(ApiError::Busy(Busy::Bodies))), "all bytes are in use");
        bodies.pop();
        more.add(1).unwrap();
        drop((bodies, more));
        assert_eq!(in_flight.counts().bytes, 0, "all bytes are released, also those of refused bodies");
        assert!(in_flight.counts().callers.is_empty());
    }
}
