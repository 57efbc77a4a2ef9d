//! How the SQLite library was built.
//!
//! The options are in `.cargo/config.toml`. Cargo reads that file only if it runs in a folder of the repository, so
//! `cargo install --git` ignores it. A library of the system has options of its own. With other options the answers are
//! the same, only slower. So a build with other options is not refused, and the operator gets a warning.

use diesel::sql_types::Bool;
use diesel::{Connection, RunQueryDsl, SqliteConnection};

use crate::error::{Error, Result};

/// The compile options that the time of a page depends on, and whether the library should have them.
const OPTIONS: [(&str, bool); 4] = [
    ("ENABLE_QPSG", true),
    ("THREADSAFE=2", true),
    ("DEFAULT_MEMSTATUS=0", true),
    ("ENABLE_MEMORY_MANAGEMENT", false),
];

/// Names the compile options in which the linked SQLite library differs from the build in `.cargo/config.toml`.
///
/// An option that should be there is named as such, and one that should not be there with `no` before it. The list is
/// empty for a build from the repository. Costs a database in memory and one statement an option.
///
/// # Errors
/// [`Error::Unavailable`] where SQLite cannot open a database in memory.
pub fn missing_build_options() -> Result<Vec<String>> {
    let mut connection =
        SqliteConnection::establish(":memory:").map_err(|error| Error::Unavailable(Box::new(error)))?;
    let mut missing = Vec::new();
    for (option, is_wanted) in OPTIONS {
        let is_used = format!("sqlite_compileoption_used('{option}')");
        let is_used: bool = diesel::select(diesel::dsl::sql::<Bool>(&is_used)).get_result(&mut connection)?;
        if is_used != is_wanted {
            missing.push(if is_wanted { option.to_owned() } else { format!("no {option}") });
        }
    }
    Ok(missing)
}
