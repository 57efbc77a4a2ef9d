//! The settings that all bench targets share, and the marker file that tells the gate when a run of `cargo bench`
//! began.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use criterion::Criterion;
use feed_core::db::Engine;

/// The sizes at which the feeds have a page 1,000.
const SIZES: [u32; 2] = [100_000, 1_000_000];

/// The size of the data set in flyers: `FEED_BENCH_FLYERS`, or else 100,000, with which `cargo bench -- --quick` takes
/// some minutes.
pub fn size() -> u32 {
    let size = std::env::var("FEED_BENCH_FLYERS").map_or(Ok(SIZES[0]), |size| size.parse());
    size.ok()
        .filter(|size| SIZES.contains(size))
        .unwrap_or_else(|| panic!("FEED_BENCH_FLYERS must be one of {SIZES:?}"))
}

/// The engines to measure: SQLite, and PostgreSQL if `FEED_TEST_POSTGRES` names a server.
pub fn engines() -> Vec<Engine> {
    let server = std::env::var_os("FEED_TEST_POSTGRES").map(|_| Engine::Postgres);
    std::iter::once(Engine::Sqlite).chain(server).collect()
}

/// The name of a criterion group. It has the engine and the size, so that criterion never compares results of different
/// ones.
pub fn group(engine: Engine, what: &str) -> String {
    format!("{engine:?} {} {what}", size()).to_lowercase()
}

/// The folder of criterion's results and of the gate's report.
pub fn folder() -> PathBuf {
    crate::target_folder().join("criterion")
}

/// Starts a bench target: returns criterion with the common settings. The first target of a run writes the marker file.
pub fn criterion() -> Criterion {
    if is_measuring() && began().is_none() {
        fs::create_dir_all(folder()).expect("the folder of the results can be created");
        fs::write(marker(), "").expect("the marker file can be written");
    }
    // There are some 280 benches. These are the shortest times at which the figures stay the same.
    Criterion::default()
        .output_directory(&folder())
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(600))
        .sample_size(40)
        .nresamples(2_000)
        .configure_from_args()
}

/// Whether `cargo bench` started this program. Tests also run each bench once, and some tools ask for a list of
/// benches.
pub fn is_measuring() -> bool {
    let is_given = |name: &str| std::env::args().any(|argument| argument == name);
    is_given("--bench") && !is_given("--list")
}

/// When the first target of this run began, or `None` if nothing was measured. Older results belong to another run.
pub fn began() -> Option<SystemTime> {
    marker().metadata().and_then(|marker| marker.modified()).ok()
}

/// Ends the run: removes the marker file, because a later run may have the same process id.
pub fn end() {
    fs::remove_file(marker()).expect("the marker file can be removed");
}

/// The marker file. Its name has the id of the process that starts all targets of a run, so each run has its own.
fn marker() -> PathBuf {
    folder().join(format!("run-{}", std::os::unix::process::parent_id()))
}
