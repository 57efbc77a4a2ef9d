//! Limits on searches: lists with a search text or a radius, which are the expensive ones.
//!
//! Searches have a concurrency limit of their own. It is lower than the size of the connection pool, so plain feeds
//! never wait behind searches. Many searches wait there, so no caller gets more than a share, and a search is cancelled
//! when nobody waits for its result any more:
//! - People search as they type. Where the limit is reached, an account's newest search supersedes its older ones.
//! - Callers without an account cannot be told apart from others at the same address, so their searches never supersede
//!   each other. A few searches of an address compete for the limit at once, and its others wait for these.
//! - A search whose client hangs up is cancelled, whoever the caller is.

use std::collections::HashMap;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use actix_web::HttpRequest;
use feed_core::db::{CancelToken, Database};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::caller::{CallerKey, Callers};
use crate::concurrency::ConcurrencyLimit;
use crate::connection::Disconnect;
use crate::problem::{ApiError, Busy};

/// Searches of one address without an account that compete for the limit at once.
const SHARE: usize = 4;

/// Who searches, and when their client hangs up.
#[derive(Debug, Clone)]
pub(crate) struct Searcher {
    key: Key,
    disconnect: Option<Disconnect>,
}

/// The caller that a search counts against. All callers of whom nothing is known are one.
type Key = Option<CallerKey>;

impl Searcher {
    /// The caller of `request`.
    pub(crate) fn of(request: &HttpRequest, callers: &Callers) -> Self {
        Self { key: callers.of(request).key(), disconnect: request.conn_data::<Disconnect>().cloned() }
    }
}

/// The concurrency limit of searches, and the searches that are in flight. Clones share it.
#[derive(Debug, Clone)]
pub struct Searches {
    limit: ConcurrencyLimit,
    /// How many searches wait at most, and how long each of them.
    queue: usize,
    max_wait: Duration,
    callers: SearchesByCaller,
}

type SearchesByCaller = Arc<Mutex<HashMap<Key, CallerSearches>>>;

/// The searches of one caller that are in flight.
#[derive(Debug)]
struct CallerSearches {
    /// Each search's number, and what tells it that it was superseded; oldest first.
    searches: Vec<(u64, Arc<Notify>)>,
    /// The number of the next search.
    next: u64,
    /// The limit of an address without an account.
    share: ConcurrencyLimit,
}

impl Searches {
    /// Allows `permits` searches at once. `queue` more wait, each for `max_wait` at most.
    #[must_use]
    pub fn new(permits: usize, queue: usize, max_wait: Duration) -> Self {
        let limit = ConcurrencyLimit::new(Busy::Searches, permits, queue, max_wait);
        Self { limit, queue, max_wait, callers: Arc::default() }
    }

    /// Registers a search. It is in flight until it is dropped and its permit is.
    pub(crate) fn begin(&self, searcher: Searcher) -> Search {
        let mut callers = lock(&self.callers);
        let own = callers.entry(searcher.key).or_insert_with(|| CallerSearches {
            searches: Vec::new(),
            next: 0,
            share: ConcurrencyLimit::new(Busy::Searches, SHARE, self.queue, self.max_wait),
        });
        let superseded = Arc::new(Notify::new());
        let registration =
            Registration { callers: Arc::clone(&self.callers), key: searcher.key, number: own.next };
        own.next += 1;
        own.searches.push((registration.number, Arc::clone(&superseded)));
        let share = own.share.clone();
        drop(callers);
        Search {
            limit: self.limit.clone(),
            disconnect: searcher.disconnect,
            superseded,
            share,
            registration: Arc::new(registration),
        }
    }

    /// Waits until no search runs, for `max_wait` at most. Until the returned permit is dropped, no search begins.
    pub(crate) async fn pause(&self, max_wait: Duration) -> Option<OwnedSemaphorePermit> {
        self.limit.acquire_all(max_wait).await
    }
}

fn lock(callers: &SearchesByCaller) -> MutexGuard<'_, HashMap<Key, CallerSearches>> {
    callers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A search that is in flight.
#[derive(Debug)]
pub(crate) struct Search {
    limit: ConcurrencyLimit,
    disconnect: Option<Disconnect>,
    superseded: Arc<Notify>,
    share: ConcurrencyLimit,
    registration: Arc<Registration>,
}

/// A search's permit to run. It is released when it is dropped.
#[derive(Debug)]
pub(crate) struct SearchPermit {
    _permit: OwnedSemaphorePermit,
    _share: Option<OwnedSemaphorePermit>,
    _registration: Arc<Registration>,
}

/// A search's entry in the list of its caller. It is removed once both the search and its permit are dropped.
#[derive(Debug)]
struct Registration {
    callers: SearchesByCaller,
    key: Key,
    number: u64,
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut callers = lock(&self.callers);
        if let Some(own) = callers.get_mut(&self.key) {
            own.searches.retain(|(number, _)| *number != self.number);
            if own.searches.is_empty() {
                callers.remove(&self.key);
            }
        }
    }
}

impl Search {
    /// Waits for a permit to run. Where it has to wait, it supersedes its account's older searches.
    ///
    /// # Errors
    /// [`ApiError::Busy`] where the queue is full or the time to wait is over.
    pub(crate) async fn permit(&self) -> Result<SearchPermit, ApiError> {
        let share = match self.registration.key {
            Some(CallerKey::Account(_)) => None,
            Some(CallerKey::Network(_)) | None => Some(self.share.acquire().await?),
        };
        let permit = if let Ok(permit) = self.limit.try_acquire() {
            permit
        } else {
            self.supersede();
            self.limit.acquire().await?
        };
        Ok(SearchPermit { _permit: permit, _share: share, _registration: Arc::clone(&self.registration) })
    }

    /// Tells the account's older searches that they were superseded.
    fn supersede(&self) {
        let Registration { callers, key, number } = &*self.registration;
        if let Some(CallerKey::Account(_)) = key
            && let Some(own) = lock(callers).get(key)
        {
            let older = own.searches.iter().take_while(|(other, _)| other < number);
            older.for_each(|(_, superseded)| superseded.notify_one());
        }
    }

    /// Waits for `answer`, until the search is superseded or its client hangs up.
    ///
    /// # Errors
    /// [`ApiError::Superseded`] in either of these cases, and what `answer` returns.
    pub(crate) async fn unless_superseded<T>(
        &self,
        answer: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let disconnected = async {
            match self.disconnect.clone() {
                Some(disconnect) => disconnect.closed().await,
                None => pending().await,
            }
        };
        let (mut disconnected, mut superseded, mut answer) =
            (pin!(disconnected), pin!(self.superseded.notified()), pin!(answer));
        poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            let is_over = superseded.as_mut().poll(context).is_ready()
                || disconnected.as_mut().poll(context).is_ready();
            if is_over { Poll::Ready(Err(ApiError::Superseded)) } else { Poll::Pending }
        })
        .await
    }
}

/// Cancels the statements of a token when it is dropped.
#[derive(Debug)]
pub(crate) struct CancelOnDrop {
    pub(crate) database: Database,
    pub(crate) token: CancelToken,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.token.cancel();
        // Without a runtime, the process is about to end.
        if self.token.is_running()
            && let Ok(runtime) = Handle::try_current()
        {
            let (database, token) = (self.database.clone(), self.token.clone());
            runtime.spawn_blocking(move || database.cancel(&token));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{Future, pending};
    use std::time::Duration;

    use actix_web::rt::{spawn, task::yield_now};

    use super::{SHARE, Search, Searcher, Searches, lock};
    use crate::caller::CallerKey;
    use crate::problem::ApiError;

    fn run<T>(work: impl Future<Output = T>) -> T {
        actix_web::rt::System::new().block_on(work)
    }

    fn searches(permits: usize) -> Searches {
        Searches::new(permits, 100, Duration::from_secs(60))
    }

    fn account(account: i64) -> Searcher {
        Searcher { key: Some(CallerKey::Account(account)), disconnect: None }
    }

    fn network(address: &str) -> Searcher {
        Searcher { key: Some(CallerKey::Network(address.parse().unwrap())), disconnect: None }
    }

    async fn is_superseded(search: &Search) -> bool {
        let soon = async {
            yield_now().await;
            Ok(())
        };
        matches!(search.unless_superseded(soon).await, Err(ApiError::Superseded))
    }

    #[test]
    fn an_accounts_newest_search_supersedes_older_ones_only_at_the_limit() {
        run(async {
            let searches = searches(2);
            let [first, second, third] = [(); 3].map(|()| searches.begin(account(1)));
            let (first_permit, _second_permit) =
                (first.permit().await.unwrap(), second.permit().await.unwrap());
            assert!(!is_superseded(&first).await && !is_superseded(&second).await);
            let waiting = spawn(async move {
                let permit = third.permit().await;
                (third, permit)
            });
            yield_now().await;
            assert!(is_superseded(&first).await && is_superseded(&second).await);
            drop((first, first_permit));
            let (third, permit) = waiting.await.unwrap();
            assert!(permit.is_ok() && !is_superseded(&third).await);
        });
    }

    #[test]
    fn nobody_supersedes_the_searches_of_others() {
        run(async {
            let searches = searches(1);
            let first = searches.begin(account(1));
            let permit = first.permit().await.unwrap();
            let others = [account(2), network("192.0.2.1"), network("192.0.2.2"), network("192.0.2.2")];
            let others = others.map(|searcher| {
                let search = searches.begin(searcher);
                spawn(async move {
                    let permit = search.permit().await.unwrap();
                    assert!(!is_superseded(&search).await);
                    drop(permit);
                })
            });
            yield_now().await;
            assert!(!is_superseded(&first).await);
            drop(permit);
            for other in others {
                other.await.unwrap();
            }
        });
    }

    #[test]
    fn an_address_has_a_share_of_the_limit() {
        run(async {
            let searches = searches(SHARE + 2);
            let mut permits = Vec::new();
            for _ in 0..SHARE {
                permits.push(searches.begin(network("192.0.2.1")).permit().await.unwrap());
            }
            let fifth = spawn({
                let search = searches.begin(network("192.0.2.1"));
                async move { search.permit().await.map(drop) }
            });
            yield_now().await;
            assert!(!fifth.is_finished(), "though the limit has permits left");
            drop(searches.begin(network("192.0.2.2")).permit().await.unwrap());
            permits.pop();
            fifth.await.unwrap().unwrap();
        });
    }

    #[test]
    fn callers_without_searches_are_removed() {
        run(async {
            let searches = searches(1);
            let search = searches.begin(network("192.0.2.1"));
            let permit = search.permit().await.unwrap();
            drop(search);
            assert_eq!(lock(&searches.callers).len(), 1, "its work goes on");
            drop(permit);
            drop(searches.begin(account(1)));
            assert!(lock(&searches.callers).is_empty());
        });
    }

    #[test]
    fn a_search_is_answered_unless_it_is_superseded() {
        run(async {
            let search = searches(1).begin(account(1));
            assert_eq!(search.unless_superseded(async { Ok(7) }).await.unwrap(), 7);
            search.superseded.notify_one();
            let ended = search.unless_superseded::<()>(pending()).await;
            assert!(matches!(ended, Err(ApiError::Superseded)));
        });
    }
}
