//! The last target of `cargo bench`: checks the results against their limits.
//!
//! It reads the estimates that criterion wrote in this run, prints them as tables, writes the tables to
//! `target/criterion/gate.md`, and exits with an error if a limit is missed. A limit that was not measured, because
//! of a filter or because there is no server, is listed and not judged.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

use feed_core::db::Engine;
use feed_test::bench::pages::{
    CELLS, COUNT, COUNT_ID, COUNTED, DRIVEN, Limit, OVERHEAD, OVERHEAD_GROUP, Page, WRITES, WRITES_GROUP,
};
use feed_test::bench::{pages, run, wire};
use feed_test::shapes::Shape;
use serde_json::Value;

/// How many times its limit a time may be before the gate fails. The machine is shared, and the same figure has
/// differed by a factor of two between runs. A figure over the limit but within the slack is shown as such.
const TIME_SLACK: f64 = 3.0;

/// The same for ratios, which use the fastest samples, because other load can only make a sample slower. Still, all
/// samples of one of the two pages may have been slowed down.
const RATIO_SLACK: f64 = 1.5;

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

fn main() -> ExitCode {
    if !run::is_measuring() {
        return ExitCode::SUCCESS;
    }
    let Some(began) = run::began() else {
        println!("Gate: nothing was measured in this run, so nothing is judged.");
        return ExitCode::SUCCESS;
    };
    run::end();
    let measured = Measured::since(began);
    let (over_http, lists) = wire::measured_since(began).unwrap_or_default();
    let tables =
        [times(&measured), ratios(&measured), overhead(&measured), requests(&over_http), writes(&measured)];
    let verdicts = || tables.iter().flat_map(|table| table.rows.iter().flat_map(Row::verdicts));
    let count = |verdict: Verdict| verdicts().filter(|v| *v == verdict).count();
    let summary = format!(
        "{} limits are met, {} are missed within the slack, {} are missed; {} were not measured.",
        count(Verdict::Met),
        count(Verdict::WithinSlack),
        count(Verdict::Missed),
        count(Verdict::Unmeasured),
    );

    let mut report = format!("# Speed at {} flyers\n\n{}\n", run::size(), machine());
    for table in &tables {
        let _ = write!(report, "\n{table}");
    }
    let _ = writeln!(report, "\n{summary}");
    println!("{report}");
    let _ = write!(report, "\n# Requests over HTTP\n\n{lists}\n{measured}");
    let file = run::folder().join("gate.md");
    fs::write(&file, report).expect("the report can be written");
    println!("This report and all figures: {}", file.display());
    println!("criterion's plots: {}", run::folder().join("report/index.html").display());
    if count(Verdict::Missed) > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn times(measured: &Measured) -> Table {
    let median = |measured: Option<&Measurement>| measured.map(|m| m.median);
    let pages = CELLS.iter().map(|cell| {
        let figure = |engine, page: Page| (page.id(), median(measured.page(engine, page)));
        Row::new(cell.name, cell.most, TIME_SLACK, |engine| {
            cell.pages().map(|page| figure(engine, page)).collect()
        })
    });
    let counts = Row::new("count, up to 1,001", Some(COUNT), TIME_SLACK, |engine| {
        let figure =
            |shape: &Shape| (shape.name().to_owned(), median(measured.get(engine, shape.name(), COUNT_ID)));
        COUNTED.iter().map(figure).collect()
    });
    Table {
        title: "Page and images by cursor, slowest page of each cell, ms",
        slack: TIME_SLACK,
        rows: pages.chain([counts]).collect(),
    }
}

fn ratios(measured: &Measured) -> Table {
    let rows = pages::ratios().into_iter().map(|ratio| {
        Row::new(ratio.name, Some(ratio.most), RATIO_SLACK, |engine| {
            let figure = |(much, little): &(Page, Page)| {
                let quotient = quotient(measured.page(engine, *much), measured.page(engine, *little));
                (much.full_id(), quotient)
            };
            ratio.pairs.iter().map(figure).collect()
        })
    });
    Table {
        title: "Ratios of two pages in this run, the worst of each kind",
        slack: RATIO_SLACK,
        rows: rows.collect(),
    }
}

fn overhead(measured: &Measured) -> Table {
    let rows = DRIVEN.iter().map(|page| {
        Row::new(&page.full_id(), Some(OVERHEAD), RATIO_SLACK, |engine| {
            let by = |whom| measured.get(engine, OVERHEAD_GROUP, &format!("{}/{whom}", page.full_id()));
            vec![(String::new(), quotient(by("ours"), by("bare")))]
        })
    });
    Table {
        title: "Ratio of our code to the bare driver, same statements",
        slack: RATIO_SLACK,
        rows: rows.collect(),
    }
}

fn requests(measured: &BTreeMap<String, wire::Figures>) -> Table {
    let rows = wire::RATIOS.map(|(name, most)| {
        Row::new(name, Some(Limit { sqlite: most, postgres: most }), RATIO_SLACK, |engine| {
            let figure = measured.get(&wire::name(engine)).and_then(|figures| figures.get(name));
            vec![figure.map_or((String::new(), None), |(list, ratio)| (list.clone(), Some(*ratio)))]
        })
    });
    Table { title: "Requests over HTTP, ratios in this run", slack: RATIO_SLACK, rows: rows.into() }
}

fn writes(measured: &Measured) -> Table {
    let rows = WRITES.map(|write| {
        Row::new(write, None, TIME_SLACK, |engine| {
            vec![(String::new(), measured.get(engine, WRITES_GROUP, write).map(|m| m.median))]
        })
    });
    Table { title: "A write with its commit, ms", slack: TIME_SLACK, rows: rows.into() }
}

fn quotient(much: Option<&Measurement>, little: Option<&Measurement>) -> Option<f64> {
    Some(much?.fastest / little?.fastest)
}

/// The result of a bench, in milliseconds.
struct Measurement {
    median: f64,
    /// The mean of the fastest sample.
    fastest: f64,
}

impl Measurement {
    fn read(folder: &Path) -> Self {
        let median =
            json(&folder.join("estimates.json"))["median"]["point_estimate"].as_f64().expect("a median");
        let sample = json(&folder.join("sample.json"));
        let numbers = |name: &str| -> Vec<f64> {
            let numbers = sample[name].as_array().expect("criterion's sample has this list").iter();
            numbers.map(|number| number.as_f64().expect("criterion's sample has numbers")).collect()
        };
        let times = numbers("times").into_iter().zip(numbers("iters"));
        let fastest = times.map(|(time, iterations)| time / iterations).fold(f64::INFINITY, f64::min);
        Self { median: median / NANOSECONDS, fastest: fastest / NANOSECONDS }
    }
}

/// The nanoseconds in a millisecond.
const NANOSECONDS: f64 = 1e6;

/// The results of this run, by criterion's ids.
struct Measured(BTreeMap<String, Measurement>);

impl Measured {
    /// Reads the results that criterion has written since the run began.
    fn since(began: SystemTime) -> Self {
        let mut all = BTreeMap::new();
        collect(&run::folder(), began, &mut all);
        Self(all)
    }

    fn get(&self, engine: Engine, group: &str, id: &str) -> Option<&Measurement> {
        self.0.get(&format!("{}/{id}", run::group(engine, group)))
    }

    fn page(&self, engine: Engine, page: Page) -> Option<&Measurement> {
        self.get(engine, page.shape.name(), &page.id())
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## All figures, ms\n\n| | median | fastest sample |\n| --- | ---: | ---: |")?;
        self.0.iter().try_for_each(|(id, Measurement { median, fastest })| {
            writeln!(f, "| {id} | {median:.4} | {fastest:.4} |")
        })
    }
}

fn collect(folder: &Path, began: SystemTime, all: &mut BTreeMap<String, Measurement>) {
    for entry in folder.read_dir().expect("criterion's folder is readable").flatten() {
        let path = entry.path();
        let estimates = path.join("estimates.json");
        if entry.file_name() == "new"
            && estimates.metadata().and_then(|e| e.modified()).is_ok_and(|at| at >= began)
        {
            let id = json(&path.join("benchmark.json"))["full_id"].as_str().expect("an id").to_owned();
            all.insert(id, Measurement::read(&path));
        } else if path.is_dir() {
            collect(&path, began, all);
        }
    }
}

fn json(file: &Path) -> Value {
    let text = fs::read_to_string(file).expect("criterion's file is readable");
    serde_json::from_str(&text).expect("criterion's file is JSON")
}

/// The time, the machine and its load, for the head of the report.
fn machine() -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("", |(_, m)| m);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let quick = if std::env::args().any(|a| a == "--quick") { ", --quick" } else { "" };
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').nth(1).unwrap_or("?");
    let now = chrono::Utc::now().format("%F %R");
    format!("{now} UTC, {cores} cores of {cpu}, load average {load} including this run{quick}")
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Met,
    WithinSlack,
    Missed,
    /// Nothing of it was measured, because of a filter or because there is no server.
    Unmeasured,
    /// There is no limit.
    NoLimit,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Met => "met",
            Self::WithinSlack => "over, within slack",
            Self::Missed => "**missed**",
            Self::Unmeasured => "not measured",
            Self::NoLimit => "",
        })
    }
}

/// The result on one engine: the limit, the slowest figure and the verdict.
struct Outcome {
    most: Option<f64>,
    /// The worst figure, and the name of its page.
    worst: Option<(f64, String)>,
    verdict: Verdict,
}

/// A row of a table, with one [`Outcome`] for each engine.
struct Row {
    name: String,
    outcomes: [Outcome; 2],
}

impl Row {
    fn new(
        name: &str,
        most: Option<Limit>,
        slack: f64,
        figures: impl Fn(Engine) -> Vec<(String, Option<f64>)>,
    ) -> Self {
        let outcomes = ENGINES.map(|engine| {
            let most = most.map(|limit| limit.of(engine));
            let known = figures(engine).into_iter().filter_map(|(whose, figure)| Some((figure?, whose)));
            let worst = known.max_by(|a, b| a.0.total_cmp(&b.0));
            let verdict = match (most, &worst) {
                (None, _) => Verdict::NoLimit,
                (Some(_), None) => Verdict::Unmeasured,
                (Some(most), Some((figure, _))) if *figure <= most => Verdict::Met,
                (Some(most), Some((figure, _))) if *figure <= most * slack => Verdict::WithinSlack,
                (Some(_), Some(_)) => Verdict::Missed,
            };
            Outcome { most, worst, verdict }
        });
        Self { name: name.to_owned(), outcomes }
    }

    fn verdicts(&self) -> impl Iterator<Item = Verdict> {
        self.outcomes.iter().map(|outcome| outcome.verdict)
    }

    fn cells(&self) -> Vec<String> {
        let mut cells = vec![self.name.clone()];
        for Outcome { most, worst, verdict } in &self.outcomes {
            cells.push(most.map(|most| most.to_string()).unwrap_or_default());
            cells.push(
                worst.as_ref().map(|(figure, whose)| format!("{figure:.2} {whose}")).unwrap_or_default(),
            );
            cells.push(verdict.to_string());
        }
        cells
    }
}

/// A Markdown table, aligned so that it is readable in a terminal too.
struct Table {
    title: &'static str,
    slack: f64,
    rows: Vec<Row>,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_limits = self.rows.iter().any(|row| row.outcomes[0].most.is_some());
        let slack = if has_limits { format!(" (slack {})", self.slack) } else { String::new() };
        writeln!(f, "## {}{slack}\n", self.title)?;
        let head =
            ["", "SQLite limit", "measured", "", "PostgreSQL limit", "measured", ""].map(str::to_owned);
        let mut lines = vec![head.to_vec()];
        lines.extend(self.rows.iter().map(Row::cells));
        let widths: Vec<_> = (0..head.len())
            .map(|i| lines.iter().map(|line| line[i].chars().count()).max().unwrap_or(0))
            .collect();
        lines.insert(1, widths.iter().map(|width| "-".repeat(*width.max(&3))).collect());
        for line in lines {
            let cells = line.iter().zip(&widths).map(|(cell, &width)| format!(" {cell:width$} |"));
            writeln!(f, "|{}", cells.collect::<String>())?;
        }
        Ok(())
    }
}
