//! Cancellation of running reads whose results nobody waits for any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a read that has ended waits for the confirmation that its cancel request was sent.
const SENDING: Duration = Duration::from_secs(1);

/// Cancels reads: see [`Database::cancelled_by`](super::Database::cancelled_by). Clones share the state.
#[derive(Debug, Clone, Default)]
pub struct CancelToken(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// SQLite's progress handler checks this.
    is_cancelled: Arc<AtomicBool>,
    /// The PostgreSQL session to send a cancel request to. It must be sent over another connection.
    session: Mutex<Session>,
    sent: Condvar,
}

/// The PostgreSQL session that the read runs in, and whether a cancel request is on its way to it.
///
/// A cancel request ends whatever the session does when it arrives. So it is sent only while the session runs this
/// read, and the read keeps its connection until the server has confirmed that the request was sent.
#[derive(Debug, Default)]
enum Session {
    /// No read is running.
    #[default]
    None,
    /// The read runs in this session.
    Running(String),
    /// The read runs in this session, and a cancel request is being sent.
    Cancelling(String),
    /// Sending a cancel request failed, so the server may or may not have received it.
    Unknown,
}

impl CancelToken {
    /// Whether [`CancelToken::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::Relaxed)
    }

    /// Ends reads on SQLite, and prevents new reads on both engines.
    ///
    /// A read that is [running](CancelToken::is_running) on PostgreSQL goes on.
    /// [`Database::cancel`](super::Database::cancel) ends it too.
    pub fn cancel(&self) {
        // Hold the lock, so that a read that begins at this moment either sees the flag or is seen as running.
        let _session = self.session();
        self.0.is_cancelled.store(true, Ordering::Relaxed);
    }

    /// Whether a read has begun and not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !matches!(*self.session(), Session::None)
    }

    /// The flag that [`CancelToken::cancel`] sets.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0.is_cancelled)
    }

    /// Records that a read begins in this session. Returns false if it is already cancelled.
    pub(super) fn begin(&self, session: &str) -> bool {
        let mut current = self.session();
        let may_begin = !self.is_cancelled();
        if may_begin {
            *current = Session::Running(session.to_owned());
        }
        may_begin
    }

    /// Records that the read has ended. Returns whether its session can be used again: false if a cancel request may
    /// still arrive.
    pub(super) fn end(&self) -> bool {
        let is_cancelling = |session: &mut Session| matches!(session, Session::Cancelling(_));
        let waited = self.0.sent.wait_timeout_while(self.session(), SENDING, is_cancelling);
        let (mut session, _) = waited.unwrap_or_else(PoisonError::into_inner);
        matches!(std::mem::take(&mut *session), Session::None | Session::Running(_))
    }

    /// The session to cancel, if a read is running. [`CancelToken::cancel_was_sent`] must follow.
    pub(super) fn start_sending(&self) -> Option<String> {
        let mut session = self.session();
        let Session::Running(name) = &*session else { return None };
        let name = name.clone();
        *session = Session::Cancelling(name.clone());
        Some(name)
    }

    /// Records whether the server has confirmed that the cancel request was sent.
    pub(super) fn cancel_was_sent(&self, is_sent: bool) {
        let mut session = self.session();
        // If the read stopped waiting for this, its connection is not used again and the state has changed.
        if let Session::Cancelling(name) = &*session {
            *session = if is_sent { Session::Running(name.clone()) } else { Session::Unknown };
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
    fn a_read_that_was_cancelled_before_does_not_begin() {
        let token = CancelToken::default();
        token.cancel();
        assert!(!token.begin("1"));
        assert_eq!(token.start_sending(), None);
        assert!(token.end());
    }

    #[test]
    fn only_a_running_read_is_sent_a_cancel_request() {
        let token = CancelToken::default();
        assert_eq!(token.start_sending(), None);
        assert!(token.begin("1"));
        token.cancel();
        assert_eq!(token.start_sending().as_deref(), Some("1"));
        token.cancel_was_sent(true);
        assert_eq!(token.start_sending().as_deref(), Some("1"), "the read may be between two statements");
        token.cancel_was_sent(true);
        assert!(token.end());
        assert_eq!(token.start_sending(), None);
    }

    #[test]
    fn a_session_is_reused_only_after_its_cancel_request_was_sent() {
        for is_sent in [true, false] {
            let token = CancelToken::default();
            assert!(token.begin("1"));
            token.start_sending().unwrap();
            let end = std::thread::spawn({
                let token = token.clone();
                move || token.end()
            });
            token.cancel_was_sent(is_sent);
            assert_eq!(end.join().unwrap(), is_sent);
            assert_eq!(token.start_sending(), None);
        }
        let token = CancelToken::default();
        assert!(token.begin("1"));
        token.start_sending().unwrap();
        assert!(!token.end(), "nothing confirmed that it was sent");
        token.cancel_was_sent(true);
        assert_eq!(token.start_sending(), None, "a late confirmation changes nothing");
        assert!(token.begin("2"));
        token.start_sending().unwrap();
        token.cancel_was_sent(false);
        assert_eq!(token.start_sending(), None, "a server that does not answer is not asked again");
        assert!(!token.end());
    }
}
