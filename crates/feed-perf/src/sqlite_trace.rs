//! SQLite's own counters of a statement's work: the one module with unsafe code.
//!
//! Diesel 2.3 hands out no raw connection. But SQLite runs "automatic extensions" on every connection that
//! the process opens, and such an extension is given the handle: [`install`] is one, and sets a trace
//! callback.
#![expect(unsafe_code, reason = "SQLite's trace is a C interface, and Diesel has no safe one")]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ops::{Add, AddAssign};

use libsqlite3_sys as ffi;

use crate::log::recorder;

/// What SQLite counted while it ran a statement; the same in every run over the same data with the same plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SqliteCounters {
    /// Instructions of SQLite's virtual machine, triggers included.
    pub vm_steps: u64,
    /// Steps forward in scans of a whole table: one less than the rows of each, as none leads to the first.
    pub full_scan_steps: u64,
    /// Sorts; one that an index saves is not counted.
    pub sorts: u64,
    /// Rows put into indexes that SQLite made for this one run, less one for each index.
    pub automatic_index_rows: u64,
    /// Rows that the statement answered.
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

/// Traces every SQLite connection that the process opens from now on. Further calls do nothing.
///
/// It takes the one trace callback of those connections.
pub(crate) fn install() {
    // SAFETY: `trace_connection` has the signature of an extension's entry point and is never unloaded, being
    // part of the program. SQLite guards its list of extensions with a mutex of its own and ignores one that
    // it has.
    let code = unsafe { ffi::sqlite3_auto_extension(Some(trace_connection)) };
    assert_eq!(code, ffi::SQLITE_OK, "SQLite has no memory for its list of extensions");
}

/// The entry point of the extension.
unsafe extern "C" fn trace_connection(
    db: *mut ffi::sqlite3,
    _message: *mut *mut c_char,
    _api: *const ffi::sqlite3_api_routines,
) -> c_int {
    let events = ffi::SQLITE_TRACE_PROFILE | ffi::SQLITE_TRACE_ROW;
    // SAFETY: SQLite calls this with the handle that it is just opening, on the thread that opens it. The
    // callback is part of the program, so it outlives the handle, and takes no context.
    unsafe { ffi::sqlite3_trace_v2(db, events, Some(on_event), std::ptr::null_mut()) }
}

/// The trace callback: `statement` has answered a row, or its run is over.
unsafe extern "C" fn on_event(
    event: c_uint,
    _context: *mut c_void,
    statement: *mut c_void,
    _detail: *mut c_void,
) -> c_int {
    // A panic here would end the process, since C cannot be unwound: nothing below panics.
    let statement = statement.cast::<ffi::sqlite3_stmt>();
    if event == ffi::SQLITE_TRACE_ROW {
        recorder::sqlite_row(statement.addr());
    } else if event == ffi::SQLITE_TRACE_PROFILE {
        // The counters run on from one execution of a cached statement to the next: they are set back even
        // when nobody looks, or the next one who looks would be charged for it.
        let take = |counter: c_int| {
            // SAFETY: for both events the third argument is the statement that runs, valid during the
            // callback, on the thread that uses its connection.
            let count = unsafe { ffi::sqlite3_stmt_status(statement, counter, 1) };
            // SQLite counts in 32 bits without a sign, and hands them out with one.
            u64::from(count.cast_unsigned())
        };
        let counters = SqliteCounters {
            vm_steps: take(ffi::SQLITE_STMTSTATUS_VM_STEP),
            full_scan_steps: take(ffi::SQLITE_STMTSTATUS_FULLSCAN_STEP),
            sorts: take(ffi::SQLITE_STMTSTATUS_SORT),
            automatic_index_rows: take(ffi::SQLITE_STMTSTATUS_AUTOINDEX),
            rows: 0,
        };
        // SAFETY: as above; the text belongs to the statement, and is not kept beyond the callback.
        let sql = unsafe { ffi::sqlite3_sql(statement) };
        if !sql.is_null() {
            // SAFETY: not null, and then a string that ends in a zero byte, as long as the statement lives.
            let sql = unsafe { CStr::from_ptr(sql) };
            recorder::sqlite_profile(statement.addr(), sql.to_bytes(), counters);
        }
    }
    0
}
