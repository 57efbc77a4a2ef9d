//! How the database runs a statement: which indexes it uses, what it scans, what it sorts.
//!
//! A plan is that of a statement *as it was sent*: [`sqlite()`] and [`postgres()`] take what
//! [`record`](crate::log::record) gave. A query that was not run is made one by [`unsent()`] or
//! [`Statement::of`](crate::log::Statement::of).

mod literal;
mod postgres;
mod sqlite;
mod unsent;

use std::fmt;

pub use postgres::{Plans, postgres};
pub use sqlite::sqlite;
pub use unsent::{Explain, unsent};

/// Who made a plan, and from what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planner {
    /// SQLite, which knows the values of the binds.
    Sqlite,
    /// PostgreSQL, without the values of the binds: one plan for all executions of a prepared statement.
    Generic,
    /// PostgreSQL, for these values of the binds.
    Custom,
}

/// A plan of one statement.
///
/// Its `Display` is the tree, one line a step, indented by two spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Who made it.
    pub planner: Planner,
    /// Its steps, outermost first, with the depth of each.
    pub steps: Vec<(usize, String)>,
    /// The tables that are read from one end towards the other without an index.
    ///
    /// On SQLite: `SCAN` without an index, and an automatic index, which takes such a scan to build. That
    /// includes reading a table in the order of its rowid, which may stop early. On PostgreSQL: `Seq Scan`.
    /// Neither has subqueries, common table expressions, VALUES, functions or virtual tables among them.
    pub scans: Vec<Scan>,
    /// The sorts, none of which an index saves.
    ///
    /// On SQLite temporary B-trees, for DISTINCT and GROUP BY as well; on PostgreSQL `Sort` and `Incremental
    /// Sort`.
    pub sorts: Vec<Sort>,
    /// The indexes that are used, each once, in the order of the steps. A SQLite rowid is none.
    pub indexes: Vec<String>,
    /// What running it took. On SQLite, which explains without running, there is none.
    pub execution: Option<Execution>,
}

/// A scan of a table without an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// The table; on SQLite its alias in the statement, if it has one.
    pub table: String,
    /// The step of the plan.
    pub step: String,
}

/// A sort.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    /// The step of the plan.
    pub step: String,
    /// How many rows went in; not known on SQLite.
    pub rows: Option<u64>,
}

/// What running a plan took, on PostgreSQL.
///
/// The server tells rows as the mean of a step's loops, rounded, so a step that is done many times counts
/// with that much imprecision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Execution {
    /// Blocks of 8 kB that were looked at in the shared buffers, read from disk or not; without those of
    /// planning.
    pub buffers: u64,
    /// Rows and index entries that the scans of tables and indexes went through, whether they were kept or
    /// not.
    pub visited: u64,
    /// Rows that a filter threw away, that of a join included.
    pub removed: u64,
    /// Rows that went into sorts.
    pub sorted: u64,
    /// Rows that were answered.
    pub returned: u64,
}

impl Plan {
    fn new(planner: Planner) -> Self {
        let (steps, scans, sorts, indexes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Self { planner, steps, scans, sorts, indexes, execution: None }
    }

    /// Whether it uses the index of that name.
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
