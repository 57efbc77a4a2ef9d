//! The limits of requests over HTTP: ratios within one run. The bench `http` measures them, and the gate checks them.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use feed_core::db::Engine;

use super::run;

/// The time of a request for a compressed page, to that for the same page uncompressed.
pub const GZIP: &str = "gzip to plain";
/// The time until the last of two responses has arrived whose requests were sent at once, to the time of one request.
/// If the second response waits for the acknowledgement of the first, it takes 40 ms longer.
pub const PAIR: &str = "two requests at once to one";
/// The time of a request for page 400 by its number, after the pages before it, to that for page 1.
pub const DEEP: &str = "page 400 to page 1";
/// The time of a request after a part of all flyers has expired and was swept, to the time before.
pub const LIVED: &str = "lived to rested";
/// The CPU time of a request, to that of `feed::load` and its cards as JSON in one process. The time of a database
/// server does not count.
pub const LOAD: &str = "request to load in process, CPU";

/// The ratios with their limits.
pub const RATIOS: [(&str, f64); 5] = [(GZIP, 1.6), (PAIR, 3.0), (DEEP, 1.5), (LIVED, 2.0), (LOAD, 2.5)];

/// For each of [`RATIOS`] the list with the highest ratio, and that ratio.
pub type Figures = BTreeMap<String, (String, f64)>;

/// The figures of each engine, and a table of all lists, if the bench has run since `began`.
pub fn measured_since(began: SystemTime) -> Option<(BTreeMap<String, Figures>, String)> {
    let is_recent = file("json").metadata().and_then(|file| file.modified()).is_ok_and(|at| at >= began);
    let read = |kind| fs::read_to_string(file(kind)).expect("the bench has written the file");
    let figures = || serde_json::from_str(&read("json")).expect("the file is JSON of the bench");
    is_recent.then(|| (figures(), read("md")))
}

/// Writes the figures and the table to files for the gate.
pub fn write(figures: &BTreeMap<String, Figures>, table: &str) {
    fs::write(file("md"), table).expect("the table can be written");
    let figures = serde_json::to_vec_pretty(figures).expect("the figures can be JSON");
    fs::write(file("json"), figures).expect("the figures can be written");
}

/// The name of an engine in the figures.
pub fn name(engine: Engine) -> String {
    format!("{engine:?}").to_lowercase()
}

fn file(kind: &str) -> PathBuf {
    run::folder().join("http").with_extension(kind)
}
