//! Ends what SQLite does for a thread whose time is over; PostgreSQL does so by itself.
//!
//! Diesel 2.3 hands out no raw connection. But SQLite runs "automatic extensions" on every connection that the process
//! opens, and such an extension is given the handle: [`install`] is one, and sets two callbacks. They look at nothing
//! but the deadline of the thread that they are called on, so that no handle is kept, and a connection that wanders
//! from thread to thread needs no care.
#![expect(unsafe_code, reason = "SQLite's callbacks are a C interface, and Diesel has no safe one")]

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::time::{Duration, Instant};

use diesel::ConnectionError;
use libsqlite3_sys as ffi;

/// Instructions of SQLite's virtual machine between two looks at the clock: some 20 microseconds.
const INSTRUCTIONS: c_int = 1_000;

/// How long a statement waits for another process's lock where no deadline comes first.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Milliseconds between looks at a lock, growing with their number; SQLite's own waits are these.
const PAUSES: [u64; 12] = [1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, 100];

thread_local! {
    /// When the work of this thread is to end.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// When this thread began to wait for a lock.
    static WAITING_SINCE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Does `work`, whose SQLite statements end as interrupted, and find a lock taken, from `deadline` on.
pub(super) fn until<T>(deadline: Option<Instant>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<Instant>);
    impl Drop for Restore {
        fn drop(&mut self) {
            DEADLINE.set(self.0);
        }
    }
    let _restore = Restore(DEADLINE.replace(deadline));
    work()
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

// A panic in a callback would end the process, since C cannot be unwound: nothing below panics. `try_with` fails
// where the thread is ending.

/// Not 0 ends the statement.
unsafe extern "C" fn on_progress(_context: *mut c_void) -> c_int {
    let deadline = DEADLINE.try_with(Cell::get).ok().flatten();
    c_int::from(deadline.is_some_and(|deadline| Instant::now() >= deadline))
}

/// 0 gives the lock up; `count` says how often this statement has asked before.
unsafe extern "C" fn on_busy(_context: *mut c_void, count: c_int) -> c_int {
    let now = Instant::now();
    if count == 0 {
        let _ = WAITING_SINCE.try_with(|since| since.set(Some(now)));
    }
    let since = WAITING_SINCE.try_with(Cell::get).ok().flatten().unwrap_or(now);
    let patience = LOCK_WAIT.saturating_sub(now.saturating_duration_since(since));
    let deadline = DEADLINE.try_with(Cell::get).ok().flatten();
    let left = deadline.map_or(patience, |deadline| deadline.saturating_duration_since(now).min(patience));
    if left.is_zero() {
        return 0;
    }
    let pause = usize::try_from(count).ok().and_then(|at| PAUSES.get(at)).or(PAUSES.last());
    std::thread::sleep(Duration::from_millis(pause.copied().unwrap_or(1)).min(left));
    1
}
