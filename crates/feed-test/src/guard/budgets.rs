//! `budgets.toml`: the work that each feed page may take.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use feed_core::db::{Db, Engine};
use serde::Deserialize;

use feed_perf::work::Work;

use super::Failure;
use crate::feeds::{PagePosition, Variant};
use crate::shapes::Shape;

/// The number of statements, then the work: steps of SQLite's virtual machine, or PostgreSQL's shared buffers and
/// visited rows.
pub type Budget = Vec<u64>;

/// The measured work of a page, in the form of a budget.
pub fn taken(work: &Work) -> Budget {
    let total = work.total();
    let counts = [Some(super::statements(work)), Some(total.units), total.visited];
    counts.into_iter().flatten().collect()
}

/// The contents of the file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Budgets {
    /// The factor by which a page may exceed its budget: 1.05 is 5 %. It does not apply to the number of statements.
    pub slack: f64,
    /// The budgets on SQLite.
    pub sqlite: EngineBudgets,
    /// The budgets on PostgreSQL.
    pub postgres: EngineBudgets,
}

/// The budgets on one engine.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
pub struct EngineBudgets {
    /// The engine's version that they hold for: the full version of SQLite, the major version of PostgreSQL.
    pub version: String,
    /// By shape and variant, then by position of the page.
    pub pages: BTreeMap<String, BTreeMap<String, Budget>>,
}

impl Budgets {
    /// Reads the file.
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path()).unwrap();
        toml::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path().display()))
    }

    /// The budgets on an engine.
    pub fn of(&self, engine: Engine) -> &EngineBudgets {
        match engine {
            Engine::Sqlite => &self.sqlite,
            Engine::Postgres => &self.postgres,
        }
    }

    /// Sets the budget of a page to what was measured. [`Budgets::write`] saves it.
    pub fn set(&mut self, engine: Engine, (row, spot): PageName, work: &Work) {
        let part = match engine {
            Engine::Sqlite => &mut self.sqlite,
            Engine::Postgres => &mut self.postgres,
        };
        part.pages.entry(row).or_default().insert(spot, taken(work));
    }

    /// Guard: the page takes at most its budget times the slack.
    ///
    /// # Errors
    /// When the page has no budget or takes more. The message has the budget, the statements and their plans.
    pub fn hold(&self, engine: Engine, page: &PageName, work: &Work) -> Result<(), Failure> {
        let (row, spot) = page;
        let Some(budget) = self.of(engine).pages.get(row).and_then(|spots| spots.get(spot)) else {
            return Err(format!("{engine:?}, {row}, {spot}: budgets.toml has no budget for this page"));
        };
        let (taken, slack) = (taken(work), self.slack);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let is_over = |(taken, budget): (&u64, &u64)| *taken as f64 > *budget as f64 * slack;
        if taken.len() == budget.len() && taken[0] <= budget[0] && !taken.iter().zip(budget).any(is_over) {
            return Ok(());
        }
        Err(format!(
            "{engine:?}, {row}, {spot}: took {taken:?}, over the budget {budget:?} times {slack}: {work}"
        ))
    }

    /// Writes the file, with one line for each shape and variant.
    pub fn write(&self) {
        let mut text = format!("{HEAD}slack = {:.2}\n", self.slack);
        for (name, part) in [("sqlite", &self.sqlite), ("postgres", &self.postgres)] {
            let _ = write!(text, "\n[{name}]\nversion = \"{}\"\n\n[{name}.pages]\n", part.version);
            for (row, spots) in &part.pages {
                let cells: Vec<_> = PagePosition::BUDGETED
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
# What a feed page may cost: a row for each shape of user and variant of the request, a column for each position of the
# page. The shapes are described at `enum Shape`, the variants at `struct Variant` and `struct SearchCase`, the positions at
# `enum PagePosition`.
#
# Work is counted, not timed. SQLite: [statements, steps of its virtual machine]. PostgreSQL: [statements, shared
# buffers, rows and index entries visited], each number from the worse of the generic and the custom plan. A number is
# the largest of all data sets: 10,000, 100,000 and 1,000,000 flyers, with and without statistics.
#
# If a page exceeds its budget, mend the query. After a change that is meant to cost more or less, write the file anew
# and review it like code:
#     FEED_BUDGETS=write scripts/pg run cargo nextest run -p feed-perf --test budgets
# The budgets hold for one version of each engine. On another version only the scaling rules are checked.
";

/// The name of the shape and variant, and the name of the position.
pub type PageName = (String, String);

/// The name of a page in the file.
pub fn name(shape: Shape, variant: Variant, spot: PagePosition) -> PageName {
    let row = format!("{} {}", shape.name(), variant.name());
    (row.trim_end().to_owned(), spot.name())
}

/// The version of the engine that the connection is to, in the form of [`EngineBudgets::version`].
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
