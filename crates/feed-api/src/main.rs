//! The command line of PockitFlyer's feed service.

use std::process::ExitCode;

use clap::Parser;
use feed_api::commands::{self, Cli};

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
