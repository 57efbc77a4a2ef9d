//! Measures the work of statements by counting instead of timing. The same data give the same numbers in every run.
//!
//! SQLite counts the instructions of its virtual machine while a statement runs. PostgreSQL counts the buffers that an
//! execution accesses; to get them, each SELECT is run again under EXPLAIN.

use std::fmt;
use std::ops::Add;

use diesel::{PgConnection, SqliteConnection};

use crate::error::Error;
use crate::log::{self, Group, Kind, Statement};
use crate::plan::{self, Execution, Plan};
pub use crate::sqlite_trace::SqliteCounters;

/// The SQLite or PostgreSQL connection inside the caller's connection type.
#[expect(missing_debug_implementations, reason = "Diesel's connections do not implement Debug")]
pub enum Target<'c> {
    /// A connection to SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// A connection to PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// The cost of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// The engine's main measure: on SQLite steps of the virtual machine, on PostgreSQL [`Execution::buffers`]. Do not
    /// compare the units of different engines.
    pub units: u64,
    /// Rows and index entries visited. `None` on SQLite, which does not count them.
    pub visited: Option<u64>,
    /// On SQLite the steps of full scans, on PostgreSQL the rows that filters removed.
    pub scanned: u64,
    /// On SQLite the number of sorts, on PostgreSQL the number of sorted rows.
    pub sorted: u64,
    /// Rows in automatic indexes, which SQLite builds for one run. Always 0 on PostgreSQL.
    pub automatic: u64,
    /// Rows that the statements returned.
    pub returned: u64,
}

impl Cost {
    /// For each measure the larger of the two values.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        self.merge(other, Ord::max)
    }

    fn merge(self, other: Self, by: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            units: by(self.units, other.units),
            visited: match (self.visited, other.visited) {
                (Some(a), Some(b)) => Some(by(a, b)),
                (a, b) => a.or(b),
            },
            scanned: by(self.scanned, other.scanned),
            sorted: by(self.sorted, other.sorted),
            automatic: by(self.automatic, other.automatic),
            returned: by(self.returned, other.returned),
        }
    }
}

impl Add for Cost {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.merge(other, Add::add)
    }
}

impl From<SqliteCounters> for Cost {
    fn from(counters: SqliteCounters) -> Self {
        Self {
            units: counters.vm_steps,
            visited: None,
            scanned: counters.full_scan_steps,
            sorted: counters.sorts,
            automatic: counters.automatic_index_rows,
            returned: counters.rows,
        }
    }
}

impl From<Execution> for Cost {
    fn from(execution: Execution) -> Self {
        Self {
            units: execution.buffers,
            visited: Some(execution.visited),
            scanned: execution.removed,
            sorted: execution.sorted,
            automatic: 0,
            returned: execution.returned,
        }
    }
}

/// The cost of the statements that share a normalized text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementWork {
    /// The [`Statement::normalized`] text.
    pub sql: String,
    /// How often it was sent.
    pub times: usize,
    /// The total cost. `None` if it is unknown: for failed statements, and on PostgreSQL for everything but reads. On
    /// PostgreSQL each measure is the larger of those of the generic and the custom plan.
    pub cost: Option<Cost>,
    /// The plan of the costliest statement; on PostgreSQL its generic and its custom plan. Empty for failed statements,
    /// for [`Kind::Other`], and for writes on PostgreSQL.
    pub plans: Vec<Plan>,
}

/// The measured work of all statements that some code sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The name of [`Cost::units`] on this engine.
    pub unit: &'static str,
    /// The statements by normalized text, in the order in which each was first sent.
    pub statements: Vec<StatementWork>,
}

impl Work {
    /// The total cost of all statements whose cost is known.
    #[must_use]
    pub fn total(&self) -> Cost {
        self.statements.iter().filter_map(|statement| statement.cost).reduce(Add::add).unwrap_or_default()
    }

    /// All plans, in the order of the statements.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.statements.iter().flat_map(|statement| &statement.plans)
    }
}

/// Runs `work` and measures the statements that it sends, on either engine.
///
/// `target` returns the engine's connection inside the caller's: a `match` on the variants of a `MultiConnection`, or
/// `|c| Target::Sqlite(c)` for a plain connection.
///
/// It measures all statements of the calling thread, so `work` should use only `connection`. On PostgreSQL every
/// SELECT is run twice more afterwards, on the data that `work` has left behind (see [`plan::postgres()`]). The
/// numbers are equal in every run if the data are, and on PostgreSQL also the statistics and the visibility map
/// (VACUUM ANALYZE).
///
/// # Errors
/// [`Error::Untraced`] when the SQLite connection was opened before [`log::install`]; those of [`plan::sqlite()`] and
/// [`plan::postgres()`].
///
/// # Panics
/// As [`log::record`].
pub fn measure<C, T>(
    connection: &mut C,
    target: impl for<'c> FnOnce(&'c mut C) -> Target<'c>,
    work: impl FnOnce(&mut C) -> T,
) -> Result<(T, Work), Error> {
    let (value, log) = log::record(|| work(connection));
    let mut target = target(connection);
    let unit = match target {
        Target::Sqlite(_) => "VM steps",
        Target::Postgres(_) => "buffers",
    };
    let statements =
        log.groups().iter().map(|group| measure_group(&mut target, group)).collect::<Result<_, _>>()?;
    Ok((value, Work { unit, statements }))
}

fn measure_group(target: &mut Target<'_>, group: &Group<'_>) -> Result<StatementWork, Error> {
    let (mut total, mut costliest, mut plans) = (None, 0, Vec::new());
    for statement in group.statements.iter().filter(|statement| !statement.failed) {
        let Some((cost, its_plans)) = measure_one(target, statement)? else { continue };
        total = Some(total.map_or(cost, |total: Cost| total + cost));
        if !its_plans.is_empty() && (plans.is_empty() || cost.units > costliest) {
            (costliest, plans) = (cost.units, its_plans);
        }
    }
    Ok(StatementWork { sql: group.sql.to_owned(), times: group.statements.len(), cost: total, plans })
}

/// The cost and the plans of one statement, or `None` if its cost is unknown.
fn measure_one(target: &mut Target<'_>, statement: &Statement) -> Result<Option<(Cost, Vec<Plan>)>, Error> {
    match target {
        Target::Sqlite(connection) => {
            let untraced = || Error::Untraced { sql: statement.sql.clone() };
            let counters = statement.counters.ok_or_else(untraced)?;
            let plans = match statement.kind {
                Kind::Read | Kind::Write => vec![plan::sqlite(connection, statement)?],
                Kind::Other => Vec::new(),
            };
            Ok(Some((counters.into(), plans)))
        }
        Target::Postgres(connection) if statement.kind == Kind::Read => {
            let plans = plan::postgres(connection, statement)?;
            let cost = |plan: &Plan| plan.execution.map_or_else(Cost::default, Cost::from);
            let cost = cost(&plans.generic).max(cost(&plans.custom));
            Ok(Some((cost, vec![plans.generic, plans.custom])))
        }
        Target::Postgres(_) => Ok(None),
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.units)?;
        if let Some(visited) = self.visited {
            write!(f, ", visited {visited}")?;
        }
        write!(f, ", scanned {}, sorted {}", self.scanned, self.sorted)?;
        if self.automatic > 0 {
            write!(f, ", indexed {}", self.automatic)?;
        }
        write!(f, ", returned {}", self.returned)
    }
}

/// The total cost, then each statement with its cost and plans.
impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times: usize = self.statements.iter().map(|statement| statement.times).sum();
        writeln!(f, "{times} statements, {} {}", self.unit, self.total())?;
        for statement in &self.statements {
            let times = if statement.times > 1 { format!("{} × ", statement.times) } else { String::new() };
            writeln!(f, "  {times}{}", statement.sql)?;
            match statement.cost {
                Some(cost) => writeln!(f, "    {} {cost}", self.unit)?,
                None => writeln!(f, "    not measured")?,
            }
            for plan in &statement.plans {
                writeln!(f, "    {}:", plan.planner)?;
                for line in plan.to_string().lines() {
                    writeln!(f, "      {line}")?;
                }
            }
        }
        Ok(())
    }
}
