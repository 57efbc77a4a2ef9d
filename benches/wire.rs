//! What is asked of requests over HTTP: ratios within one run. The bench `http` measures them, and the gate judges them.
#![allow(dead_code, reason = "each bench that includes this module uses a part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::SystemTime;

use feed_core::db::Engine;

use crate::run;

/// A compressed page, to the same page plain: the time of a request.
pub const GZIP: &str = "gzip to plain";
/// Two requests that are sent at once, to one: the time until the last response is there. Where the second response
/// waits for the acknowledgement of the first, this is over a hundred.
pub const PAIR: &str = "two requests at once to one";
/// Page 400 by its number, walked to as the app does, to page 1: the time of a request.
pub const DEEP: &str = "page 400 to page 1";
/// A list of which a part has just ended and was swept, to the same list at rest: the time of a request.
pub const LIVED: &str = "lived to rested";
/// A request to `feed::load` and its cards as JSON within a process: CPU time.
pub const LOAD: &str = "request to load in process, CPU";

/// The ratios, and the most that each may be.
pub const RATIOS: [(&str, f64); 5] = [(GZIP, 1.6), (PAIR, 3.0), (DEEP, 1.5), (LIVED, 2.0), (LOAD, 2.5)];

/// Figures of one engine by name: for each of [`RATIOS`] the worst list and its ratio.
pub type Figures = BTreeMap<String, (String, f64)>;

/// What the last run of the bench measured, if that was after `began`: figures by engine, and a table of all lists.
pub fn measured_since(began: SystemTime) -> Option<(BTreeMap<String, Figures>, String)> {
    let is_recent = file("json").metadata().and_then(|file| file.modified()).is_ok_and(|at| at >= began);
    let read = |kind| fs::read_to_string(file(kind)).expect("the bench's file");
    is_recent
        .then(|| (serde_json::from_str(&read("json")).expect("JSON, as the bench writes it"), read("md")))
}

/// Keeps what a run measured for the gate.
pub fn write(figures: &BTreeMap<String, Figures>, table: &str) {
    fs::write(file("md"), table).expect("the table is written");
    fs::write(file("json"), serde_json::to_vec_pretty(figures).expect("JSON"))
        .expect("the figures are written");
}

/// The name of an engine in the figures.
pub fn name(engine: Engine) -> String {
    format!("{engine:?}").to_lowercase()
}

fn file(kind: &str) -> PathBuf {
    run::folder().join("http").with_extension(kind)
}
