//! The command line of PockitFlyer's feed service.

use std::process::ExitCode;

use feed_api::commands;

fn main() -> ExitCode {
    match commands::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
