//! The N+1 test proper: which statements become more where the rows do.

use std::fmt;

use super::Log;

/// A statement that was sent more often over many rows than over few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Growth {
    /// Its [`Statement::normalized`](super::Statement::normalized) text.
    pub sql: String,
    /// How often it was sent over few rows.
    pub few: usize,
    /// How often over many.
    pub many: usize,
}

impl fmt::Display for Growth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} × over few rows, {} × over many: {}", self.few, self.many, self.sql)
    }
}

/// Compares the logs of the same work over few and over many rows: which statements repeat with the rows?
///
/// A statement that both send equally often, however often, does not.
#[must_use]
pub fn growth(few: &Log, many: &Log) -> Vec<Growth> {
    let few = few.groups();
    let over_few =
        |sql: &str| few.iter().find(|group| group.sql == sql).map_or(0, |group| group.statements.len());
    many.groups()
        .into_iter()
        .map(|group| Growth {
            sql: group.sql.to_owned(),
            few: over_few(group.sql),
            many: group.statements.len(),
        })
        .filter(|growth| growth.many > growth.few)
        .collect()
}

/// Checks that the same work sends no statement more often over `many` rows than over `few`.
///
/// # Panics
/// When it does, with those statements and the log over many rows.
#[track_caller]
pub fn assert_no_growth(few: &Log, many: &Log) {
    let growth = growth(few, many);
    let lines: Vec<String> = growth.iter().map(|growth| format!("  {growth}")).collect();
    let lines = lines.join("\n");
    assert!(growth.is_empty(), "N+1: statements grow with the rows:\n{lines}\nover many rows:\n{many}");
}
