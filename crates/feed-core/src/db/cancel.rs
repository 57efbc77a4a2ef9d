//! Ends a read that nobody waits for any more, while it runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a read that has ended waits to hear that its cancellation was sent.
const SENDING: Duration = Duration::from_secs(1);

/// Tells reads to end: see [`Database::cancelled_by`](super::Database::cancelled_by). Clones share it.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// SQLite looks at this itself.
    is_cancelled: Arc<AtomicBool>,
    /// PostgreSQL has to be told, and by another connection.
    session: Mutex<Session>,
    sent: Condvar,
}

/// What is known of the server's session that the read runs in.
///
/// A cancellation ends whatever its session does at that moment. So it is sent only while the session runs this read,
/// and the read does not give its connection back before the server has said that it was sent.
#[derive(Debug, Default)]
enum Session {
    /// The read runs in none.
    #[default]
    None,
    /// The read runs in this one.
    Runs(String),
    /// And somebody is just telling the server to cancel it.
    IsTold(String),
    /// Somebody did, and nobody knows whether the server has heard it.
    Unknown,
}

impl CancelToken {
    /// Whether reads are to end.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// Has reads end, and none begin any more. While one [runs](CancelToken::is_running), PostgreSQL does not know of it
    /// yet: [`Database::cancel`](super::Database::cancel) tells it.
    pub fn cancel(&self) {
        // Under the lock: a read that begins now sees it, or is seen.
        let _session = self.session();
        self.0.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether a read has begun and not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !matches!(*self.session(), Session::None)
    }

    /// The flag that says whether reads are to end.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.is_cancelled)
    }

    /// A read begins in this session: false where it is cancelled already.
    pub(super) fn begin(&self, session: &str) -> bool {
        let mut current = self.session();
        let may_begin = !self.is_cancelled();
        if may_begin {
            *current = Session::Runs(session.to_owned());
        }
        may_begin
    }

    /// The read has ended: whether the next work of its session is safe from a cancellation that was meant for it.
    pub(super) fn end(&self) -> bool {
        let is_told = |session: &mut Session| matches!(session, Session::IsTold(_));
        let waited = self.0.sent.wait_timeout_while(self.session(), SENDING, is_told);
        let (mut session, _) = waited.unwrap_or_else(PoisonError::into_inner);
        matches!(std::mem::take(&mut *session), Session::None | Session::Runs(_))
    }

    /// The session that is to be cancelled, where the read runs in one. [`CancelToken::told`] must follow.
    pub(super) fn tell(&self) -> Option<String> {
        let mut session = self.session();
        let Session::Runs(name) = &*session else { return None };
        let name = name.clone();
        *session = Session::IsTold(name.clone());
        Some(name)
    }

    /// Whether the server has said that the cancellation was sent.
    pub(super) fn told(&self, is_sent: bool) {
        let mut session = self.session();
        // Where the read did not wait so long, its connection is not used any more.
        if let Session::IsTold(name) = &*session {
            *session = if is_sent { Session::Runs(name.clone()) } else { Session::Unknown };
        }
        self.0.sent.notify_all();
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.0.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::CancelToken;

    #[test]
    fn what_is_cancelled_before_it_begins_does_not_begin() {
        let token = CancelToken::default();
        token.cancel();
        assert!(!token.begin("1"));
        assert_eq!(token.tell(), None);
        assert!(token.end());
    }

    #[test]
    fn only_a_read_that_runs_is_told_to_end() {
        let token = CancelToken::default();
        assert_eq!(token.tell(), None);
        assert!(token.begin("1"));
        token.cancel();
        assert_eq!(token.tell().as_deref(), Some("1"));
        token.told(true);
        assert_eq!(token.tell().as_deref(), Some("1"), "it may have been between two statements");
        token.told(true);
        assert!(token.end());
        assert_eq!(token.tell(), None);
    }

    #[test]
    fn a_read_waits_until_its_cancellation_is_sent_and_its_session_is_safe_only_then() {
        for is_sent in [true, false] {
            let token = CancelToken::default();
            assert!(token.begin("1"));
            token.tell().unwrap();
            let end = std::thread::spawn({
                let token = token.clone();
                move || token.end()
            });
            token.told(is_sent);
            assert_eq!(end.join().unwrap(), is_sent);
            assert_eq!(token.tell(), None);
        }
        let token = CancelToken::default();
        assert!(token.begin("1"));
        token.tell().unwrap();
        assert!(!token.end(), "nobody says that it was sent");
        token.told(true);
        assert_eq!(token.tell(), None, "and who says so later changes nothing");
        assert!(token.begin("2"));
        token.tell().unwrap();
        token.told(false);
        assert_eq!(token.tell(), None, "a server that does not answer is not asked again");
        assert!(!token.end());
    }
}
