//! Dear questions: lists that are searched, or asked near a place.
//!
//! They have a gate of their own, narrower than the pool of connections, so that nobody who wants a feed waits behind
//! them. Since many wait there, no caller has more of it than their share, and a question that nobody waits for any more
//! is ended:
//! - People search as they type. Where there is no room for all questions of an account, its newest one takes the place of
//!   those before it.
//! - Those without an account cannot be told apart from others at the same address, so none of their questions ends
//!   another. A few of an address stand at the gate at once, and the others wait for these.
//! - A question whose client hangs up is ended, whoever asks.

use std::collections::HashMap;
use std::future::{Future, pending, poll_fn};
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use actix_web::{HttpMessage, HttpRequest};
use feed_core::db::{CancelToken, Database};
use tokio::runtime::Handle;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use crate::caller::Caller;
use crate::gate::Gate;
use crate::patient::HangUp;
use crate::problem::{ApiError, Busy};

/// As many questions of an address without an account stand at the gate at once.
const SHARE: usize = 4;

/// Who asks, and how long they wait for the answer.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    key: Key,
    hang_up: Option<HangUp>,
}

/// Whom a question counts against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Key {
    Account(i64),
    Network(Option<IpAddr>),
}

impl Asker {
    /// Who sends `request`.
    pub(crate) fn of(request: &HttpRequest) -> Self {
        let caller = request.extensions().get::<Caller>().copied();
        let account = caller.and_then(|caller| caller.account);
        let network = caller.and_then(|caller| caller.network);
        let key = account.map_or(Key::Network(network), Key::Account);
        Self { key, hang_up: request.conn_data::<HangUp>().cloned() }
    }
}

/// The gate of dear questions, and those that are under way. Clones share it.
#[derive(Debug, Clone)]
pub struct Searches {
    gate: Gate,
    /// How many questions wait at most, and how long each of them.
    places: usize,
    patience: Duration,
    callers: Callers,
}

type Callers = Arc<Mutex<HashMap<Key, UnderWay>>>;

/// The questions of one caller.
#[derive(Debug)]
struct UnderWay {
    /// Each with what tells it that it was superseded, oldest first.
    questions: Vec<(u64, Arc<Notify>)>,
    /// The number of the next one.
    next: u64,
    share: Gate,
}

impl Searches {
    /// Lets so many questions in at once, and others wait for `patience`.
    #[must_use]
    pub fn new(permits: usize, places: usize, patience: Duration) -> Self {
        let gate = Gate::new(Busy::Searches, permits, places, patience);
        Self { gate, places, patience, callers: Arc::default() }
    }

    /// Notes a question of `asker`, which is under way until it is dropped.
    pub(crate) fn ask(&self, asker: Asker) -> Question {
        let mut callers = lock(&self.callers);
        let under_way = callers.entry(asker.key).or_insert_with(|| UnderWay {
            questions: Vec::new(),
            next: 0,
            share: Gate::new(Busy::Searches, SHARE, self.places, self.patience),
        });
        let superseded = Arc::new(Notify::new());
        let noted = Noted { callers: Arc::clone(&self.callers), key: asker.key, number: under_way.next };
        under_way.next += 1;
        under_way.questions.push((noted.number, Arc::clone(&superseded)));
        let share = under_way.share.clone();
        drop(callers);
        Question {
            gate: self.gate.clone(),
            hang_up: asker.hang_up,
            superseded,
            share,
            noted: Arc::new(noted),
        }
    }

    /// Waits until no question is under way, for `patience` at most; until the permit is dropped, the others wait.
    pub(crate) async fn pause(&self, patience: Duration) -> Option<OwnedSemaphorePermit> {
        self.gate.close(patience).await
    }
}

fn lock(callers: &Callers) -> MutexGuard<'_, HashMap<Key, UnderWay>> {
    callers.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A dear question that is under way.
#[derive(Debug)]
pub(crate) struct Question {
    gate: Gate,
    hang_up: Option<HangUp>,
    superseded: Arc<Notify>,
    share: Gate,
    noted: Arc<Noted>,
}

/// A turn at the gate. It lasts until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _gate: OwnedSemaphorePermit,
    _share: Option<OwnedSemaphorePermit>,
    _noted: Arc<Noted>,
}

/// That a question is under way: until neither anybody waits for it nor it has a turn.
#[derive(Debug)]
struct Noted {
    callers: Callers,
    key: Key,
    number: u64,
}

impl Drop for Noted {
    fn drop(&mut self) {
        let mut callers = lock(&self.callers);
        if let Some(under_way) = callers.get_mut(&self.key) {
            under_way.questions.retain(|(number, _)| *number != self.number);
            if under_way.questions.is_empty() {
                callers.remove(&self.key);
            }
        }
    }
}

impl Question {
    /// Waits for a turn.
    ///
    /// # Errors
    /// [`ApiError::Busy`].
    pub(crate) async fn turn(&self) -> Result<Turn, ApiError> {
        let share = match self.noted.key {
            Key::Account(_) => None,
            Key::Network(_) => Some(self.share.enter().await?),
        };
        let gate = if let Ok(gate) = self.gate.enter_now() {
            gate
        } else {
            self.supersede();
            self.gate.enter().await?
        };
        Ok(Turn { _gate: gate, _share: share, _noted: Arc::clone(&self.noted) })
    }

    /// Ends those of the same account that were asked before.
    fn supersede(&self) {
        let Noted { callers, key, number } = &*self.noted;
        if let Key::Account(_) = key
            && let Some(under_way) = lock(callers).get(key)
        {
            let older = under_way.questions.iter().take_while(|(other, _)| other < number);
            older.for_each(|(_, superseded)| superseded.notify_one());
        }
    }

    /// Waits for `answer`, unless nobody waits for it any more.
    ///
    /// # Errors
    /// [`ApiError::Superseded`].
    pub(crate) async fn unless_superseded<T>(
        &self,
        answer: impl Future<Output = Result<T, ApiError>>,
    ) -> Result<T, ApiError> {
        let hang_up = async {
            match self.hang_up.clone() {
                Some(hang_up) => hang_up.happens().await,
                None => pending().await,
            }
        };
        let (mut hang_up, mut superseded, mut answer) =
            (pin!(hang_up), pin!(self.superseded.notified()), pin!(answer));
        poll_fn(|context| {
            if let Poll::Ready(answer) = answer.as_mut().poll(context) {
                return Poll::Ready(answer);
            }
            let is_over =
                superseded.as_mut().poll(context).is_ready() || hang_up.as_mut().poll(context).is_ready();
            if is_over { Poll::Ready(Err(ApiError::Superseded)) } else { Poll::Pending }
        })
        .await
    }
}

/// Ends what runs under a token when it is dropped.
#[derive(Debug)]
pub(crate) struct CancelOnDrop {
    pub(crate) database: Database,
    pub(crate) token: CancelToken,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.token.cancel();
        // Without a runtime the process is about to end.
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

    use super::{Asker, Key, Question, SHARE, Searches, lock};
    use crate::problem::ApiError;

    fn run<T>(work: impl Future<Output = T>) -> T {
        actix_web::rt::System::new().block_on(work)
    }

    fn searches(permits: usize) -> Searches {
        Searches::new(permits, 100, Duration::from_secs(60))
    }

    fn account(account: i64) -> Asker {
        Asker { key: Key::Account(account), hang_up: None }
    }

    fn network(address: &str) -> Asker {
        Asker { key: Key::Network(Some(address.parse().unwrap())), hang_up: None }
    }

    async fn is_superseded(question: &Question) -> bool {
        let soon = async {
            yield_now().await;
            Ok(())
        };
        matches!(question.unless_superseded(soon).await, Err(ApiError::Superseded))
    }

    #[test]
    fn where_there_is_room_an_account_has_several_questions_and_else_its_newest() {
        run(async {
            let searches = searches(2);
            let [first, second, third] = [(); 3].map(|()| searches.ask(account(1)));
            let (first_turn, _second_turn) = (first.turn().await.unwrap(), second.turn().await.unwrap());
            assert!(!is_superseded(&first).await && !is_superseded(&second).await);
            let waiting = spawn(async move {
                let turn = third.turn().await;
                (third, turn)
            });
            yield_now().await;
            assert!(is_superseded(&first).await && is_superseded(&second).await);
            drop((first, first_turn));
            let (third, turn) = waiting.await.unwrap();
            assert!(turn.is_ok() && !is_superseded(&third).await);
        });
    }

    #[test]
    fn nobody_ends_the_questions_of_others() {
        run(async {
            let searches = searches(1);
            let first = searches.ask(account(1));
            let turn = first.turn().await.unwrap();
            let others = [account(2), network("192.0.2.1"), network("192.0.2.2"), network("192.0.2.2")];
            let others = others.map(|asker| {
                let question = searches.ask(asker);
                spawn(async move {
                    let turn = question.turn().await.unwrap();
                    assert!(!is_superseded(&question).await);
                    drop(turn);
                })
            });
            yield_now().await;
            assert!(!is_superseded(&first).await);
            drop(turn);
            for other in others {
                other.await.unwrap();
            }
        });
    }

    #[test]
    fn an_address_has_its_share_of_the_gate() {
        run(async {
            let searches = searches(SHARE + 2);
            let mut turns = Vec::new();
            for _ in 0..SHARE {
                turns.push(searches.ask(network("192.0.2.1")).turn().await.unwrap());
            }
            let fifth = spawn({
                let question = searches.ask(network("192.0.2.1"));
                async move { question.turn().await.map(drop) }
            });
            yield_now().await;
            assert!(!fifth.is_finished(), "though there is room at the gate");
            drop(searches.ask(network("192.0.2.2")).turn().await.unwrap());
            turns.pop();
            fifth.await.unwrap().unwrap();
        });
    }

    #[test]
    fn who_has_no_question_under_way_is_forgotten() {
        run(async {
            let searches = searches(1);
            let question = searches.ask(network("192.0.2.1"));
            let turn = question.turn().await.unwrap();
            drop(question);
            assert_eq!(lock(&searches.callers).len(), 1, "its work goes on");
            drop(turn);
            drop(searches.ask(account(1)));
            assert!(lock(&searches.callers).is_empty());
        });
    }

    #[test]
    fn a_question_is_answered_where_nobody_ends_it() {
        run(async {
            let question = searches(1).ask(account(1));
            assert_eq!(question.unless_superseded(async { Ok(7) }).await.unwrap(), 7);
            question.superseded.notify_one();
            let ended = question.unless_superseded::<()>(pending()).await;
            assert!(matches!(ended, Err(ApiError::Superseded)));
        });
    }
}
