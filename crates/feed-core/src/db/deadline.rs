//! Ends what SQLite does for a thread whose time is over, or whose work is cancelled; PostgreSQL does so by itself.
//!
//! Diesel 2.3 hands out no raw connection. But SQLite runs "automatic extensions" on every connection that the process
//! opens, and such an extension is given the handle: [`install`] is one, and sets two callbacks. They look at nothing
//! but the limits of the thread that they are called on, so that no handle is kept, and a connection that wanders
//! from thread to thread needs no care.
#![expect(unsafe_code, reason = "SQLite's callbacks are a C interface, and Diesel has no safe one")]

use std::cell::{Cell, RefCell};
use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use libsqlite3_sys as ffi;

/// Instructions of SQLite's virtual machine between two looks at the clock: some 20 microseconds.
const INSTRUCTIONS: c_int = 1_000;

/// How long a statement waits for another process's lock where no deadline comes first.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Milliseconds between looks at a lock, growing with their number; SQLite's own waits are these.
const PAUSES: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

/// What ends the work of a thread.
#[derive(Debug, Default)]
pub(super) struct End {
    /// The moment from which on it is over.
    pub(super) deadline: Option<Instant>,
    /// True when nobody waits for it any more.
    pub(super) is_cancelled: Option<Arc<AtomicBool>>,
}

impl End {
    /// What is left of the time; none where there is no deadline.
    fn left(&self, now: Instant) -> Option<Duration> {
        if self.is_cancelled.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed)) {
            return Some(Duration::ZERO);
        }
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }
}

thread_local! {
    /// What ends the work of this thread.
    static END: RefCell<End> = const { RefCell::new(End { deadline: None, is_cancelled: None }) };
    /// When this thread began to wait for a lock.
    static WAITING_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Does `work`, whose SQLite statements end as interrupted, and find a lock taken, from its `end` on.
pub(super) fn until<T>(end: End, work: impl FnOnce() -> T) -> T {
    struct Restore(End);
    impl Drop for Restore {
        fn drop(&mut self) {
            END.set(std::mem::take(&mut self.0));
        }
    }
    let _restore = Restore(END.replace(end));
    work()
}

/// What is left of the time of this thread's work; none where it has no deadline.
fn left(now: Instant) -> Option<Duration> {
    let left = END.try_with(|end| end.try_borrow().ok().and_then(|end| end.left(now)));
    left.ok().flatten()
}

/// Has every SQLite connection that the process opens from now on look at deadlines. Further calls do nothing.
///
/// # Errors
/// When SQLite has no memory for its list of extensions.
pub(super) fn install() -> Result<(), ConnectionError> {
    // SAFETY: `watch` has the signature of an extension's entry point and is never unloaded, being part of the
    // program. SQLite guards its list of extensions with a mutex of its own and ignores one that it has.
    match unsafe { ffi::sqlite3_auto_extension(Some(watch)) } {
        ffi::SQLITE_OK => Ok(()),
        _ => Err(ConnectionError::BadConnection("SQLite has no memory for its extensions".to_owned())),
    }
}

/// The entry point of the extension.
unsafe extern "C" fn watch(
    db: *mut ffi::sqlite3,
    _message: *mut *mut c_char,
    _api: *const ffi::sqlite3_api_routines,
) -> c_int {
    // SAFETY: SQLite calls this with the handle that it is just opening, on the thread that opens it. Both callbacks
    // are part of the program, so they outlive the handle, and take no context.
    unsafe {
        ffi::sqlite3_progress_handler(db, INSTRUCTIONS, Some(on_progress), std::ptr::null_mut());
        ffi::sqlite3_busy_handler(db, Some(on_busy), std::ptr::null_mut())
    }
}

// A panic in a callback would end the process, since C cannot be unwound: nothing below panics, nor does `left`.
// `try_with` fails where the thread is ending.

/// Not 0 ends the statement.
unsafe extern "C" fn on_progress(_context: *mut c_void) -> c_int {
    c_int::from(left(Instant::now()).is_some_and(|left| left.is_zero()))
}

/// 0 gives the lock up; `count` says how often this statement has asked before.
unsafe extern "C" fn on_busy(_context: *mut c_void, count: c_int) -> c_int {
    let now = Instant::now();
    if count == 0 {
        let _ = WAITING_SINCE.try_with(|since| since.set(Some(now)));
    }
    let since = WAITING_SINCE.try_with(Cell::get).ok().flatten().unwrap_or(now);
    let patience = LOCK_WAIT.saturating_sub(now.saturating_duration_since(since));
    let left = left(now).map_or(patience, |left| left.min(patience));
    if left.is_zero() {
        return 0;
    }
    let pause = usize::try_from(count).ok().and_then(|at| PAUSES.get(at)).or(PAUSES.last());
    std::thread::sleep(Duration::from_millis(pause.copied().unwrap_or(1)).min(left));
    1
}
