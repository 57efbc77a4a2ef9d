//! What a piece of work costs, counted instead of timed: the same in every run over the same data.
//!
//! SQLite counts the instructions of its virtual machine while a statement runs. PostgreSQL counts the blocks
//! that an execution looks at; for that each SELECT is run again under EXPLAIN.

use std::fmt;
use std::ops::Add;

use diesel::{PgConnection, SqliteConnection};

use crate::error::Error;
use crate::log::{self, Group, Kind, Statement};
use crate::plan::{self, Execution, Plan};
pub use crate::sqlite_trace::SqliteCounters;

/// The connection within a connection type of the caller's, which may be to either engine.
#[expect(missing_debug_implementations, reason = "Diesel's connections have none")]
pub enum Target<'c> {
    /// To SQLite.
    Sqlite(&'c mut SqliteConnection),
    /// To PostgreSQL.
    Postgres(&'c mut PgConnection),
}

/// What statements cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    /// The measure of the engine: on SQLite steps of the virtual machine, on PostgreSQL blocks looked at
    /// ([`Execution::buffers`]). Those of one engine compare with each other only.
    pub units: u64,
    /// Rows and index entries gone through; SQLite does not count them.
    pub visited: Option<u64>,
    /// Rows gone through in vain: on SQLite steps of full scans, of which some may have been of use, on
    /// PostgreSQL rows that filters removed.
    pub scanned: u64,
    /// On SQLite the number of sorts, on PostgreSQL the number of rows that went into them.
    pub sorted: u64,
    /// Rows put into indexes that SQLite made for this one run; 0 on PostgreSQL, which makes none.
    pub automatic: u64,
    /// Rows answered.
    pub returned: u64,
}

impl Cost {
    /// Each measure as the larger of the two.
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

/// What the statements of one shape cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementWork {
    /// Their [`Statement::normalized`] text.
    pub sql: String,
    /// How many they are.
    pub times: usize,
    /// What they cost together, or none where that cannot be told: statements that failed, and on PostgreSQL
    /// all that are no SELECT. There it is the larger of what the generic and the custom plan cost, measure
    /// by measure.
    pub cost: Option<Cost>,
    /// The plan of the costliest of them; on PostgreSQL the generic one and the custom one. None for what is
    /// neither a SELECT nor a write, for what failed, and for writes on PostgreSQL.
    pub plans: Vec<Plan>,
}

/// What a piece of work costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// What [`Cost::units`] are.
    pub unit: &'static str,
    /// Its statements by their shape, in the order of each one's first.
    pub statements: Vec<StatementWork>,
}

impl Work {
    /// The cost of all statements of which it is known.
    #[must_use]
    pub fn total(&self) -> Cost {
        self.statements.iter().filter_map(|statement| statement.cost).reduce(Add::add).unwrap_or_default()
    }

    /// All plans, in the order of the statements.
    pub fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.statements.iter().flat_map(|statement| &statement.plans)
    }
}

/// Does `work` and tells what it cost, on either engine.
///
/// `target` finds the engine's connection in the caller's: for a `MultiConnection` a `match` on its variants,
/// for a plain connection `|c| Target::Sqlite(c)`.
///
/// What the thread of the caller runs is measured, which should be on `connection` alone. On PostgreSQL every
/// SELECT is run twice more afterwards, in the state that `work` has left behind (see [`plan::postgres()`]);
/// on SQLite nothing is. The counts are equal from run to run if the data are, statistics and visibility map
/// included (VACUUM ANALYZE).
///
/// # Errors
/// [`Error::Untraced`] when a SQLite connection was opened before [`log::install`]; what [`plan::sqlite()`]
/// and [`plan::postgres()`] return.
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

/// None where the cost cannot be told.
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

/// The total, then each statement with its cost and its plans.
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
