//! The `socketchat` program: parse the command line, run it, say how it ended.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use socketchat::cli::Cli;
use socketchat::sanitize::Untrusted;

fn main() -> ExitCode {
    socketchat::run(Cli::from_command_line()).unwrap_or_else(|error| {
        // Where nobody can be told, the status still tells.
        let line = format!("socketchat: {error:#}\n");
        let line = Untrusted(line.as_bytes()).visible();
        let _ = stderr().write_all(line.as_bytes());
        ExitCode::FAILURE
    })
}
