//! Reads SQLite's counters of a statement's work. This is the only module of the crate with unsafe code.
//!
//! Diesel 2.3 gives no access to the raw connection. But SQLite runs "automatic extensions" on every connection that
//! the process opens, and passes them the handle. [`install`] registers such an extension, which sets a trace
//! callback.
#![expect(unsafe_code, reason = "tracing in SQLite is a C interface, and Diesel has no safe one")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ops::{Add, AddAssign};

use libsqlite3_sys as ffi;

use crate::log::recorder;

/// What SQLite counted while it ran a statement. The same data and the same plan give the same numbers in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SqliteCounters {
    /// Instructions of SQLite's virtual machine, including those of triggers.
    pub vm_steps: u64,
    /// Forward steps in full table scans. A scan has one step less than rows, because reaching the first row is no
    /// step.
    pub full_scan_steps: u64,
    /// The number of sorts. Reading in the order of an index is no sort.
    pub sorts: u64,
    /// Rows in automatic indexes, which SQLite builds for one run, less one for each index.
    pub automatic_index_rows: u64,
    /// Rows that the statement returned.
    pub rows: u64,
}

impl Add for SqliteCounters {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            vm_steps: self.vm_steps + other.vm_steps,
            full_scan_steps: self.full_scan_steps + other.full_scan_steps,
            sorts: self.sorts + other.sorts,
            automatic_index_rows: self.automatic_index_rows + other.automatic_index_rows,
            rows: self.rows + other.rows,
        }
    }
}

impl AddAssign for SqliteCounters {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// Traces every SQLite connection that the process opens from now on. Further calls change nothing.
///
/// A connection has only one trace callback, and this takes it.
pub(crate) fn install() {
    // SAFETY: `trace_connection` has the signature of an extension's entry point, and is never unloaded, because it
    // is part of the program. SQLite guards its list of extensions by a mutex, and ignores an extension that it
    // already has.
    let code = unsafe { ffi::sqlite3_auto_extension(Some(trace_connection)) };
    assert_eq!(code, ffi::SQLITE_OK, "SQLite could not register the extension: it is out of memory");
}

/// The extension's entry point: sets the trace callback of a new connection.
unsafe extern "C" fn trace_connection(
    db: *mut ffi::sqlite3,
    _message: *mut *mut c_char,
    _api: *const ffi::sqlite3_api_routines,
) -> c_int {
    let events = ffi::SQLITE_TRACE_PROFILE | ffi::SQLITE_TRACE_ROW;
    // SAFETY: SQLite calls this with the handle that it is just opening, on the thread that opens it. The callback is
    // part of the program, so it outlives the handle. It needs no context.
    unsafe { ffi::sqlite3_trace_v2(db, events, Some(on_event), std::ptr::null_mut()) }
}

/// The trace callback. SQLite calls it when `statement` has returned a row, and when its run has ended.
unsafe extern "C" fn on_event(
    event: c_uint,
    _context: *mut c_void,
    statement: *mut c_void,
    _detail: *mut c_void,
) -> c_int {
    // Nothing below may panic. A panic cannot unwind through C, so it would end the process.
    let statement = statement.cast::<ffi::sqlite3_stmt>();
    if event == ffi::SQLITE_TRACE_ROW {
        recorder::sqlite_row(statement.addr());
    } else if event == ffi::SQLITE_TRACE_PROFILE {
        // Reset the counters even if no log records this run. Otherwise they would add up over the runs of a cached
        // statement, and the next recorded run would include earlier ones.
        let take = |counter: c_int| {
            // SAFETY: for both events the third argument is the running statement. It is valid during the callback,
            // which runs on the thread that uses the connection.
            let count = unsafe { ffi::sqlite3_stmt_status(statement, counter, 1) };
            // SQLite counts in unsigned 32 bits, and returns them as a signed integer.
            u64::from(count.cast_unsigned())
        };
        let counters = SqliteCounters {
            vm_steps: take(ffi::SQLITE_STMTSTATUS_VM_STEP),
            full_scan_steps: take(ffi::SQLITE_STMTSTATUS_FULLSCAN_STEP),
            sorts: take(ffi::SQLITE_STMTSTATUS_SORT),
            automatic_index_rows: take(ffi::SQLITE_STMTSTATUS_AUTOINDEX),
            rows: 0,
        };
        // SAFETY: as above. The text belongs to the statement, and is not used after the callback.
        let sql = unsafe { ffi::sqlite3_sql(statement) };
        if !sql.is_null() {
            // SAFETY: a text that is not null ends in a zero byte, and lives as long as the statement.
            let sql = unsafe { CStr::from_ptr(sql) };
            recorder::sqlite_profile(statement.addr(), sql.to_bytes(), counters);
        }
    }
    0
}
