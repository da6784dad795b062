//! The `socketchat` program: parse the command line, run it, say how it ended.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::process::ExitCode;

use socketchat::cli::Cli;
use socketchat::sanitize::Untrusted;
use socketchat::wrap::{terminal_columns, wrap};

fn main() -> ExitCode {
    socketchat::run(Cli::from_command_line()).unwrap_or_else(|error| {
        let line = format!("socketchat: {error:#}");
        let mut line = Untrusted(line.as_bytes()).one_line();
        if stderr().is_terminal() {
            line = wrap(&line, "    ", terminal_columns());
        }
        line.push('\n');
        // Where nobody can be told, the status still tells.
        let _ = stderr().write_all(line.as_bytes());
        ExitCode::FAILURE
    })
}
