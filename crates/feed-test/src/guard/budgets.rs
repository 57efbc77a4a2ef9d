//! The lock file of the work that each feed query performs: `budgets.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use feed_core::db::{Db, Engine};
use serde::Deserialize;

use feed_perf::work::Work;

use super::Red;
use crate::feeds::{Spot, Variant};
use crate::shapes::Shape;

/// Statements, and work: steps of SQLite's virtual machine, or PostgreSQL's shared buffers and rows.
pub type Budget = Vec<u64>;

/// What a page took, as the file writes it.
pub fn taken(work: &Work) -> Budget {
    let total = work.total();
    let counts = [Some(super::statements(work)), Some(total.units), total.visited];
    counts.into_iter().flatten().collect()
}

/// The file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Budgets {
    /// How much more work than the budget is let pass: 1.05 is 5 %.
    pub slack: f64,
    /// SQLite's part.
    pub sqlite: EngineBudgets,
    /// PostgreSQL's part.
    pub postgres: EngineBudgets,
}

/// The part of one engine.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct EngineBudgets {
    /// The version that they hold for: exact on SQLite, the major one on PostgreSQL.
    pub version: String,
    /// Of each shape with its variant, by spot.
    pub pages: BTreeMap<String, BTreeMap<String, Budget>>,
}

impl Budgets {
    /// Reads the file.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap();
        toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path().display()))
    }

    /// The part of an engine.
    pub fn of(&self, engine: Engine) -> &EngineBudgets {
        match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        }
    }

    /// Makes what was measured the budget of a page, until the file is read again.
    pub fn set(&mut self, engine: Engine, (row, spot): PageName, work: &Work) {
        let part = match engine {
            Engine::Sqlite => &mut self.sqlite,
            Engine::Postgres => &mut self.postgres,
        };
        part.pages.entry(row).or_default().insert(spot, taken(work));
    }

    /// Guard: at most the budget, with its slack.
    ///
    /// # Errors
    /// With the page, the budget, the statements and their plans.
    pub fn hold(&self, engine: Engine, page: &PageName, work: &Work) -> Result<(), Red> {
        let (row, spot) = page;
        let Some(budget) = self.of(engine).pages.get(row).and_then(|spots| spots.get(spot)) else {
            return Err(format!("{row}, {spot}: has no budget"));
        };
        let (taken, slack) = (taken(work), self.slack);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let is_over = |(taken, budget): (&u64, &u64)| *taken as f64 > *budget as f64 * slack;
        if taken.len() == budget.len() && taken[0] <= budget[0] && !taken.iter().zip(budget).any(is_over) {
            return Ok(());
        }
        Err(format!(
            "{engine:?}, {row}, {spot}: took {taken:?}, and its budget is {budget:?} with a slack of {slack}: {work}"
        ))
    }

    /// Writes the file, one line a shape and variant.
    pub fn write(&self) {
        let mut text = format!("{HEAD}slack = {:.2}\n", self.slack);
        for (name, part) in [("sqlite", &self.sqlite), ("postgres", &self.postgres)] {
            let _ = write!(text, "\n[{name}]\nversion = \"{}\"\n\n[{name}.pages]\n", part.version);
            for (row, spots) in &part.pages {
                let cells: Vec<_> = Spot::BUDGETED
                    .iter()
                    .filter_map(|spot| spots.get_key_value(&spot.name()))
                    .map(|(spot, budget)| format!("{spot} = {budget:?}"))
                    .collect();
                let _ = writeln!(text, "\"{row}\" = {{ {} }}", cells.join(", "));
            }
        }
        std::fs::write(path(), text).unwrap();
    }
}

const HEAD: &str = "\
# What a feed page may cost, reviewed like code, of each shape, variant and spot.
#
# Work is counted, not timed. On SQLite: [statements, steps of its virtual machine]. On PostgreSQL: [statements, shared
# buffers, rows and index entries looked at], each under the worse of its generic and its custom plan. A number is the
# most that any size (10,000, 100,000 and 1,000,000 flyers), with and
# without statistics, takes. The shapes and spots are described in feed-test: src/shapes/shape.rs and
# src/feeds/mod.rs.
#
# A page over its budget is a finding: mend the query. After a change that is meant to cost more or less:
#     FEED_BUDGETS=write scripts/pg run cargo nextest run -p feed-perf --test budgets
# On other versions of the engines the budgets are not asked, and only the scaling rules are.
";

/// The shape with its variant, and the spot.
pub type PageName = (String, String);

/// What the file calls a page.
pub fn name(shape: Shape, variant: Variant, spot: Spot) -> PageName {
    let row = format!("{} {}", shape.name(), variant.name());
    (row.trim_end().to_owned(), spot.name())
}

/// The version of the engine, as far as budgets depend on it.
pub fn version(c: &mut Db) -> String {
    use diesel::RunQueryDsl;
    let sql = match c {
        Db::Sqlite(_) => "sqlite_version()",
        Db::Postgres(_) => "split_part(current_setting('server_version'), '.', 1)",
    };
    diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>(sql)).get_result(c).unwrap()
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../feed-perf/budgets.toml")
}
