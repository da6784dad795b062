//! The `socketchat` program: parse the command line, run it, say how it ended.

use std::process::ExitCode;

use clap::Parser as _;
use socketchat::cli::Cli;

fn main() -> ExitCode {
    match socketchat::run(Cli::parse()) {
        Ok(ending) => ending.into(),
        Err(error) => {
            eprintln!("socketchat: {error:#}");
            ExitCode::FAILURE
        }
    }
}
