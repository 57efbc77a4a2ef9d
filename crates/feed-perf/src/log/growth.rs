//! Finds N+1 queries: statements that are sent more often when there are more rows.

use std::fmt;

use super::Log;

/// A statement that was sent more often for many rows than for few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// The [`Statement::normalized`](super::Statement::normalized) text.
    pub sql: String,
    /// How often it was sent for few rows.
    pub few: usize,
    /// How often it was sent for many rows.
    pub many: usize,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × for few rows, {} × for many: {}", self.few, self.many, self.sql)
    }
}

/// Compares the logs of the same work for few and for many rows, and returns the statements that were sent more often
/// for many.
///
/// A statement that both logs have equally often is not one of them, however often that is.
#[must_use]
pub fn growth(few: &Log, many: &Log) -> Vec<Growth> {
    let few = few.groups();
    let for_few =
        |sql: &str| few.iter().find(|group| group.sql == sql).map_or(0, |group| group.statements.len());
    many.groups()
        .into_iter()
        .map(|group| Growth {
            sql: group.sql.to_owned(),
            few: for_few(group.sql),
            many: group.statements.len(),
        })
        .filter(|growth| growth.many > growth.few)
        .collect()
}

/// Asserts that the same work sends no statement more often for many rows than for few.
///
/// # Panics
/// When it does. The message has those statements and the log for many rows.
#[track_caller]
pub fn assert_no_growth(few: &Log, many: &Log) {
    let growth = growth(few, many);
    let lines: Vec<String> = growth.iter().map(|growth| format!("  {growth}")).collect();
    let lines = lines.join("\n");
    assert!(
        growth.is_empty(),
        "N+1 queries: these statements grow with the rows:\n{lines}\nall statements for many rows:\n{many}"
    );
}
