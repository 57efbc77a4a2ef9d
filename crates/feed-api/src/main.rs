//! The command line of PockitFlyer's feed service.

use std::process::ExitCode;

use feed_api::commands;

fn main() -> ExitCode {
    commands::run()
}
