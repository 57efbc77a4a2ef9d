//! Deadlines and cancellation for SQLite statements. PostgreSQL has its own.
//!
//! Diesel 2.3 gives no access to the raw connection. But SQLite runs "automatic extensions" on every connection that
//! the process opens, and passes them the handle. [`install`] registers such an extension, which sets two callbacks on
//! each connection. The callbacks read only the limits of the thread that they run on. So no handle is stored, and a
//! connection may move from thread to thread.
#![expect(unsafe_code, reason = "SQLite's callbacks are a C interface, and Diesel has no safe one")]

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use libsqlite3_sys as ffi;

/// Instructions of SQLite's virtual machine between two checks of the clock: some 20 microseconds.
const INSTRUCTIONS: c_int = 1_000;

/// How long a statement waits for another process's lock, where no deadline comes first.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Milliseconds to wait before each new try for a lock, by its number. SQLite's own busy handler has the same.
const PAUSES: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

/// When the work of a thread must stop.
#[derive(Debug, Default)]
pub(super) struct StopCondition {
    /// The work stops at this moment.
    pub(super) deadline: Option<Instant>,
    /// The work stops when this becomes true.
    pub(super) is_cancelled: Option<Arc<AtomicBool>>,
}

impl StopCondition {
    /// The time that is left: none without a deadline, zero when it is cancelled.
    fn left(&self, now: Instant) -> Option<Duration> {
        if self.is_cancelled.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Some(Duration::ZERO);
        }
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }
}

thread_local! {
    /// The stop condition of this thread's work.
    static STOP: RefCell<StopCondition> =
        const { RefCell::new(StopCondition { deadline: None, is_cancelled: None }) };
    /// When this thread began to wait for a lock.
    static WAITING_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Runs `work` until the stop condition holds. From then on its SQLite statements fail as interrupted or as locked.
pub(super) fn run_until<T>(stop: StopCondition, work: impl FnOnce() -> T) -> T {
    struct Restore(StopCondition);
    impl Drop for Restore {
        fn drop(&mut self) {
            STOP.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(STOP.replace(stop));
    work()
}

/// The time that is left for this thread's work: none where it has no deadline.
fn left(now: Instant) -> Option<Duration> {
    let left = STOP.try_with(|stop| stop.try_borrow().ok().and_then(|stop| stop.left(now)));
    left.ok().flatten()
}

/// Makes every SQLite connection that the process opens from now on check deadlines. Further calls do nothing.
///
/// # Errors
/// When SQLite has no memory for its list of extensions.
pub(super) fn install() -> Result<(), ConnectionError> {
    // SAFETY: `watch` has the signature of an extension's entry point. It is part of the program, so it is never
    // unloaded. SQLite protects its list of extensions with a mutex and ignores an extension that is already in it.
    match unsafe { ffi::sqlite3_auto_extension(Some(watch)) } {
        ffi::SQLITE_OK => Ok(()),
        _ => Err(ConnectionError::BadConnection("SQLite has no memory for its extensions".to_owned())),
    }
}

/// The entry point of the extension: sets the callbacks on a new connection.
unsafe extern "C" fn watch(
    db: *mut ffi::sqlite3,
    _message: *mut *mut c_char,
    _api: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this with the handle that it is opening, on the thread that opens it. Both callbacks are
    // part of the program, so they outlive the handle. They take no context.
    unsafe {
        ffi::sqlite3_progress_handler(db, INSTRUCTIONS, Some(on_progress), std::ptr::null_mut());
        ffi::sqlite3_busy_handler(db, Some(on_busy), std::ptr::null_mut())
    }
}

// A panic in a callback would abort the process, because C frames cannot be unwound. So nothing below panics, and
// neither does `left`. `try_with` fails while the thread is ending.

/// SQLite's progress handler. A result other than 0 ends the statement.
unsafe extern "C" fn on_progress(_context: *mut c_void) -> c_int {
    c_int::from(left(Instant::now()).is_some_and(|left| left.is_zero()))
}

/// SQLite's busy handler. The result 0 gives up the lock. `count` is the number of earlier calls for this statement.
unsafe extern "C" fn on_busy(_context: *mut c_void, count: c_int) -> c_int {
    let now = Instant::now();
    if count == 0 {
        let _ = WAITING_SINCE.try_with(|since| since.set(Some(now)));
    }
    let since = WAITING_SINCE.try_with(Cell::get).ok().flatten().unwrap_or(now);
    let lock_wait_left = LOCK_WAIT.saturating_sub(now.saturating_duration_since(since));
    let left = left(now).map_or(lock_wait_left, |left| left.min(lock_wait_left));
    if left.is_zero() {
        return 0;
    }
    let pause = usize::try_from(count).ok().and_then(|at| PAUSES.get(at)).or(PAUSES.last());
    std::thread::sleep(Duration::from_millis(pause.copied().unwrap_or(1)).min(left));
    1
}
