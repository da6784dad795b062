//! A conversation over a bare TCP connection, one turn at a time.
//!
//! The way of a message: keyboard or pipe → [`console`] → [`session`] → [`connection`] →
//! [`framing`] → socket; and back: socket → [`connection`] → [`framing`] → [`session`] →
//! [`event`] (made safe by [`sanitize`]) → [`console`] → screen or pipe.
//!
//! A module uses those below it, and none above it:
//!
//! | module | its one job |
//! | --- | --- |
//! | [`cli`] | every flag and subcommand, as clap reads them |
//! | [`serve`] | bind, listen with a backlog, accept, start the session |
//! | [`connect`] | resolve, connect, start the session |
//! | [`session`] | the turn-taking loop that both share |
//! | [`inbox`] | whom the session talks with: one peer, or many clients |
//! | [`console`] | where the user reads and types: a terminal, or a pipe |
//! | [`socket`] | the one place where socket calls are made, and noted |
//! | [`event`] | everything that is ever printed, worded in one place |
//! | [`connection`] | one peer: send, receive, over any stream |
//! | [`explain`] | the narration of socket calls |
//! | [`framing`] | where a message ends; no I/O |
//! | [`sanitize`] | untrusted text made safe for a terminal |
//! | [`address`] | `HOST:PORT`, and the order in which a name resolves |

#[cfg(not(unix))]
compile_error!("socketchat is made for Unix: it waits with poll(2) and is woken by signals");

pub mod address;
pub mod cli;
pub mod connect;
pub mod connection;
pub mod console;
pub mod event;
pub mod explain;
pub mod framing;
pub mod inbox;
pub mod sanitize;
pub mod serve;
pub mod session;
pub mod socket;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command};
use crate::event::Failure;
use crate::session::Ending;

/// Does what the command line asks for, and returns the exit status.
///
/// Fails when the conversation cannot begin, or breaks; the error is worded to be printed
/// on one line behind the program's name.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let ending = match cli.command {
        Command::Serve(args) => {
            let wire = args.chat.wire();
            let terms = args.clients.terms();
            let log = args.lesson.log();
            let mut console = console::open(args.chat.console(&log))?;
            let listener = serve::listen(&args.listen.address(), args.listen.backlog, &log)?;
            serve::run(listener, terms, &wire, console.as_mut())
        }
        Command::Connect(args) => {
            let address = args.target.address();
            let patience = args.target.patience();
            let log = args.lesson.log();
            let wire = args.chat.wire();
            let mut console = console::open(args.chat.console(&log))?;
            connect::run(&address, patience, &wire, &log, console.as_mut())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "socketchat", &mut script);
            match io::stdout().write_all(&script) {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    return Err(Failure::Output(error).into());
                }
                _ => return Ok(ExitCode::SUCCESS),
            }
        }
    };
    Ok(ending?.into())
}

impl From<Ending> for ExitCode {
    /// The exit status: 0 for a conversation that ended, 130 for one that was cut short
    /// by Ctrl-C (128 and the number of SIGINT, as shells have it).
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Interrupted => console::INTERRUPTED_STATUS.into(),
            Ending::Bye | Ending::EndOfInput | Ending::PeerLeft | Ending::OutputClosed => {
                Self::SUCCESS
            }
        }
    }
}
