//! Query plans: the indexes that a statement uses, the tables that it scans, the rows that it sorts.
//!
//! [`sqlite()`] and [`postgres()`] explain a statement that [`record`](crate::log::record) recorded, with its values.
//! For a query that was not run, [`unsent()`] and [`Statement::of`](crate::log::Statement::of) make the statement.

mod literal;
mod postgres;
mod sqlite;
mod unsent;

use std::fmt;

pub use postgres::{Plans, postgres};
pub use sqlite::sqlite;
pub use unsent::{Explain, unsent};

/// The planner of a plan, and whether it knew the values of the binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planner {
    /// SQLite. Unless it was built with `SQLITE_ENABLE_QPSG`, it knows the values of the binds.
    Sqlite,
    /// PostgreSQL, without the values of the binds: a plan for all executions of a prepared statement.
    Generic,
    /// PostgreSQL, with the values of the binds.
    Custom,
}

/// The plan of one statement.
///
/// `Display` prints the tree of plan nodes: a line for each, indented by two spaces a level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The planner that made it.
    pub planner: Planner,
    /// The plan nodes, outermost first, each with its depth in the tree.
    pub steps: Vec<(usize, String)>,
    /// The table scans without an index.
    ///
    /// On SQLite: `SCAN` without an index, also in the order of the rowid, which may stop early. An automatic index
    /// too, because building it scans the table. On PostgreSQL: `Seq Scan`. Scans of subqueries, common table
    /// expressions, VALUES, functions and virtual tables are left out.
    pub scans: Vec<Scan>,
    /// The sorts.
    ///
    /// On SQLite: temporary B-trees, also those for DISTINCT and GROUP BY. On PostgreSQL: `Sort` and `Incremental
    /// Sort`.
    pub sorts: Vec<Sort>,
    /// The indexes in use, each once, in the order of the plan nodes. SQLite's rowid does not count as an index.
    pub indexes: Vec<String>,
    /// The measured work of running it. `None` on SQLite, which explains without running.
    pub execution: Option<Execution>,
}

/// A scan of a table without an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The table. On SQLite its alias in the statement, if it has one.
    pub table: String,
    /// The plan node.
    pub step: String,
}

/// A sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The plan node.
    pub step: String,
    /// The number of rows that it sorted. `None` on SQLite, which does not tell.
    pub rows: Option<u64>,
}

/// The measured work of running a plan on PostgreSQL.
///
/// PostgreSQL reports the rows of a plan node as the rounded mean over its loops. So the numbers of a node with many
/// loops are imprecise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Execution {
    /// Shared buffers (blocks of 8 kB) that were accessed, in memory or read from disk, without those of planning.
    pub buffers: u64,
    /// Rows and index entries that the scans of tables and indexes visited, also those that a filter removed.
    pub visited: u64,
    /// Rows that filters removed, also the filters of joins.
    pub removed: u64,
    /// Rows that were sorted.
    pub sorted: u64,
    /// Rows that the statement returned.
    pub returned: u64,
}

impl Plan {
    fn new(planner: Planner) -> Self {
        let (steps, scans, sorts, indexes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { planner, steps, scans, sorts, indexes, execution: None }
    }

    /// Whether the plan uses the index of this name.
    #[must_use]
    pub fn uses_index(&self, name: &str) -> bool {
        self.indexes.iter().any(|index| index == name)
    }

    fn add_index(&mut self, name: &str) {
        if !self.uses_index(name) {
            self.indexes.push(name.to_owned());
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (depth, step)) in self.steps.iter().enumerate() {
            let end = if i > 0 { "\n" } else { "" };
            write!(f, "{end}{:1$}{step}", "", 2 * depth)?;
        }
        Ok(())
    }
}

impl fmt::Display for Planner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "plan",
            Self::Generic => "generic plan",
            Self::Custom => "custom plan",
        })
    }
}
