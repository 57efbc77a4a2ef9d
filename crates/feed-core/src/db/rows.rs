//! How many rows of each table are alive, and how many dead ones wait for a vacuum.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{Database, Db};
use crate::error::Result;

/// The rows of a table, as PostgreSQL estimates them.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct TableRows {
    /// The table.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// Rows that are alive.
    #[diesel(sql_type = BigInt)]
    pub live: i64,
    /// Rows that were deleted or replaced and not yet vacuumed. Index scans may look at each of them.
    #[diesel(sql_type = BigInt)]
    pub dead: i64,
}

impl Database {
    /// The rows of each table: one SELECT over the server's statistics. SQLite has no dead rows, and no table here.
    ///
    /// # Errors
    /// As [`Database::check`], whose connection it uses.
    pub fn table_rows(&self) -> Result<Vec<TableRows>> {
        self.check(|connection| match connection {
            Db::Sqlite(_) => Ok(Vec::new()),
            Db::Postgres(c) => Ok(diesel::sql_query(
                "SELECT CAST(relname AS text) AS table, n_live_tup AS live, n_dead_tup AS dead \
                 FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY relname",
            )
            .load(c)?),
        })
    }
}
