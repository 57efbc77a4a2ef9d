//! One `cargo bench`: its settings, and how the gate knows what was measured in it.
#![allow(dead_code, reason = "each bench that includes this module uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use criterion::Criterion;
use feed_core::db::Engine;

/// The sizes that have a page 1,000.
const SIZES: [u32; 2] = [100_000, 1_000_000];

/// How many flyers there are: `FEED_BENCH_FLYERS`, or what keeps `cargo bench -- --quick` to some minutes.
pub fn size() -> u32 {
    let size = std::env::var("FEED_BENCH_FLYERS").map_or(Ok(SIZES[0]), |size| size.parse());
    size.ok()
        .filter(|size| SIZES.contains(size))
        .unwrap_or_else(|| panic!("FEED_BENCH_FLYERS is one of {SIZES:?}"))
}

/// PostgreSQL takes part where there is a server.
pub fn engines() -> Vec<Engine> {
    let server = std::env::var_os("FEED_TEST_POSTGRES").map(|_| Engine::Postgres);
    std::iter::once(Engine::Sqlite).chain(server).collect()
}

/// A criterion group: results of another size or engine are others, and never compared with these.
pub fn group(engine: Engine, what: &str) -> String {
    format!("{engine:?} {} {what}", size()).to_lowercase()
}

/// Where criterion writes, and the gate its report.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("criterion")
}

/// Begins a bench target: a note for the gate that the run has begun.
pub fn begin() {
    if is_measuring() && began().is_none() {
        fs::create_dir_all(folder()).expect("a folder for the results");
        fs::write(note(), "").expect("the note is written");
    }
}

/// Begins a bench target of criterion's, with the settings of all.
pub fn criterion() -> Criterion {
    begin();
    // As short as the figures stay the same: there are some 280 benches.
    Criterion::default()
        .output_directory(&folder())
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(600))
        .sample_size(40)
        .nresamples(2_000)
        .configure_from_args()
}

/// Whether this is `cargo bench`: tests run benches once, and some tools ask them for a list.
pub fn is_measuring() -> bool {
    let is_given = |name: &str| std::env::args().any(|argument| argument == name);
    is_given("--bench") && !is_given("--list")
}

/// Whether figures are wanted soon, from fewer samples.
pub fn is_quick() -> bool {
    std::env::args().any(|argument| argument == "--quick")
}

/// Whether the filter of the command line, if there is one, is a part of this id. Criterion's own targets take regular
/// expressions.
pub fn is_asked_for(id: &str) -> bool {
    std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-'))
        .is_none_or(|filter| id.contains(&filter))
}

/// When the first target of this `cargo bench` began, if one did: results that are older are another run's.
pub fn began() -> Option<SystemTime> {
    note().metadata().and_then(|note| note.modified()).ok()
}

/// Ends the run: another one may have the same process id some day.
pub fn end() {
    fs::remove_file(note()).expect("the note goes");
}

/// Named after the process that starts all targets of a run, so that two runs do not mistake each other's.
fn note() -> PathBuf {
    folder().join(format!("run-{}", std::os::unix::process::parent_id()))
}
