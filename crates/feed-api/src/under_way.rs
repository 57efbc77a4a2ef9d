//! What callers have under way at once: requests, and bodies that have not arrived whole.
//!
//! A request takes its permit of work only when its body is there, so that slow bodies keep nobody from working. Until
//! then these limits hold: memory is bounded by the bytes of all bodies, and nobody takes all of it alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::caller::Caller;
use crate::config::LimitConfig;
use crate::problem::{ApiError, Busy};

/// Bytes of each body that count for nothing: most bodies are shorter, so that who sends many long ones does not keep
/// others from signing in.
const FREE: usize = 4 * 1024;

/// One caller may have one part in so many of the bytes of all.
const SHARE: usize = 4;

/// The limits, and what counts towards them.
#[derive(Debug)]
pub struct UnderWay {
    /// Requests of one caller at most.
    requests: usize,
    /// Bytes of all bodies at most.
    bytes: usize,
    book: Mutex<Book>,
}

/// What is under way now.
#[derive(Debug, Default)]
struct Book {
    bytes: usize,
    /// Those who have something under way, and nobody else.
    callers: HashMap<Key, Load>,
}

/// Whom something counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Account(i64),
    Network(IpAddr),
}

impl Key {
    /// None for a caller without an account whose address is not known.
    fn of(caller: &Caller) -> Option<Self> {
        caller.account.map(Self::Account).or(caller.network.map(Self::Network))
    }
}

/// What one caller has under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Load {
    requests: usize,
    bytes: usize,
}

impl UnderWay {
    /// Nothing is under way yet.
    #[must_use]
    pub fn new(limits: &LimitConfig) -> Self {
        Self {
            requests: limits.max_requests_per_caller as usize,
            bytes: limits.body_memory as usize * 1024 * 1024,
            book: Mutex::default(),
        }
    }

    /// Begins a request of `caller`, which is under way until the turn is dropped.
    ///
    /// # Errors
    /// [`ApiError::TooManyAtOnce`].
    pub(crate) fn begin(self: &Arc<Self>, caller: &Caller) -> Result<Turn, ApiError> {
        let key = Key::of(caller);
        if let Some(key) = key {
            let mut book = self.book();
            let mut load = book.load(key);
            if load.requests >= self.requests {
                return Err(ApiError::TooManyAtOnce);
            }
            load.requests += 1;
            book.callers.insert(key, load);
        }
        Ok(Turn { under_way: self.clone(), key })
    }

    /// A body of `caller` of which nothing has arrived yet.
    pub(crate) fn body(self: &Arc<Self>, caller: Option<&Caller>) -> ArrivingBody {
        ArrivingBody { under_way: self.clone(), key: caller.and_then(Key::of), received: 0 }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts `bytes` more of a body.
    fn reserve(&self, key: Option<Key>, bytes: usize) -> Result<(), ApiError> {
        let mut book = self.book();
        let load = key.map(|key| (key, book.load(key)));
        if load.is_some_and(|(_, load)| load.bytes + bytes > self.bytes / SHARE) {
            return Err(ApiError::TooManyAtOnce);
        }
        if book.bytes + bytes > self.bytes {
            return Err(ApiError::Busy(Busy::Bodies));
        }
        if let Some((key, load)) = load {
            book.callers.insert(key, Load { bytes: load.bytes + bytes, ..load });
        }
        book.bytes += bytes;
        Ok(())
    }
}

impl Book {
    fn load(&self, key: Key) -> Load {
        self.callers.get(&key).copied().unwrap_or_default()
    }

    /// Forgets callers who have nothing under way any more.
    fn release(&mut self, key: Option<Key>, Load { requests, bytes }: Load) {
        self.bytes -= bytes;
        let Some(key) = key else { return };
        let load = self.load(key);
        let left = Load { requests: load.requests - requests, bytes: load.bytes - bytes };
        if left == Load::default() {
            self.callers.remove(&key);
        } else {
            self.callers.insert(key, left);
        }
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    under_way: Arc<UnderWay>,
    key: Option<Key>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.under_way.book().release(self.key, Load { requests: 1, bytes: 0 });
    }
}

/// A body that is arriving. What has arrived is given back when this is dropped.
#[derive(Debug)]
pub(crate) struct ArrivingBody {
    under_way: Arc<UnderWay>,
    key: Option<Key>,
    received: usize,
}

impl ArrivingBody {
    /// Counts `bytes` that have arrived.
    ///
    /// # Errors
    /// [`ApiError::TooManyAtOnce`] where they are more than the caller's share, [`ApiError::Busy`] where all bodies
    /// together are too much.
    pub(crate) fn add(&mut self, bytes: usize) -> Result<(), ApiError> {
        let received = self.received + bytes;
        let more = counted(received) - counted(self.received);
        if more > 0 {
            self.under_way.reserve(self.key, more)?;
        }
        self.received = received;
        Ok(())
    }
}

impl Drop for ArrivingBody {
    fn drop(&mut self) {
        let bytes = counted(self.received);
        self.under_way.book().release(self.key, Load { requests: 0, bytes });
    }
}

/// Of so many bytes of a body, those that count.
fn counted(bytes: usize) -> usize {
    bytes.saturating_sub(FREE)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{FREE, SHARE, UnderWay};
    use crate::caller::Caller;
    use crate::config::LimitConfig;
    use crate::problem::{ApiError, Busy};

    const MIB: usize = 1024 * 1024;

    fn limits() -> Arc<UnderWay> {
        let limits = LimitConfig { max_requests_per_caller: 2, body_memory: 1, ..LimitConfig::default() };
        Arc::new(UnderWay::new(&limits))
    }

    fn account(id: i64) -> Caller {
        Caller { account: Some(id), network: Some([192, 0, 2, 1].into()) }
    }

    #[test]
    fn a_caller_has_so_many_requests_at_once_and_others_have_theirs() {
        let under_way = limits();
        let stranger = Caller { account: None, ..account(1) };
        for caller in [account(1), account(2), stranger] {
            let first = under_way.begin(&caller).unwrap();
            let _second = under_way.begin(&caller).unwrap();
            assert!(matches!(under_way.begin(&caller), Err(ApiError::TooManyAtOnce)));
            drop(first);
            drop(under_way.begin(&caller).unwrap());
        }
        assert!(under_way.book().callers.is_empty(), "who has nothing under way is forgotten");
    }

    #[test]
    fn who_cannot_be_told_apart_is_not_counted() {
        let under_way = limits();
        let nobody = Caller { account: None, network: None };
        let turns: Vec<_> = (0..10).map(|_| under_way.begin(&nobody).unwrap()).collect();
        drop(turns);
        let mut body = under_way.body(Some(&nobody));
        body.add(FREE + MIB).unwrap();
        assert!(matches!(under_way.body(None).add(FREE + 1), Err(ApiError::Busy(Busy::Bodies))));
    }

    #[test]
    fn a_caller_has_a_share_of_the_bytes_and_short_bodies_cost_nothing() {
        let under_way = limits();
        let share = MIB / SHARE;
        let mut bodies: Vec<_> = (1..).map(|id| under_way.body(Some(&account(id)))).take(SHARE).collect();
        for body in &mut bodies {
            body.add(FREE + share).unwrap();
            assert!(matches!(body.add(1), Err(ApiError::TooManyAtOnce)), "more than its share");
        }
        let mut more = under_way.body(Some(&account(0)));
        more.add(FREE).unwrap();
        assert!(matches!(more.add(1), Err(ApiError::Busy(Busy::Bodies))), "all of it is taken");
        bodies.pop();
        more.add(1).unwrap();
        drop((bodies, more));
        assert_eq!(under_way.book().bytes, 0, "all is given back, of those refused too");
        assert!(under_way.book().callers.is_empty());
    }
}
