#![doc = include_str!("../README.md")]
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]
#![expect(clippy::missing_panics_doc, reason = "each function panics where a test must fail")]
#![expect(
    clippy::must_use_candidate,
    clippy::return_self_not_must_use,
    reason = "a value that a test ignores does no harm"
)]

pub mod app;
pub mod bench;
pub mod binary;
pub mod catalogue;
pub mod feeds;
pub mod guard;
pub mod shapes;

use std::path::PathBuf;

/// The secret that the services of tests sign tokens with.
pub const SECRET: &str = "a secret of the tests, 32 bytes and more";

/// Cargo's target folder, where data of tests and results of benches stay between runs.
///
/// Cargo tells integration tests and benches where it is (`CARGO_TARGET_TMPDIR`), but not a library. It puts their
/// programs into `deps` of a profile's folder there.
#[must_use]
pub fn target_folder() -> PathBuf {
    let program = std::env::current_exe().expect("the path of this program");
    program.ancestors().nth(3).expect("a program in cargo's target folder").to_owned()
}
