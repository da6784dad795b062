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
//! | [`connect`] | resolve, connect, start the session, and again when it is lost |
//! | [`session`] | the turn-taking loop that all share |
//! | [`inbox`] | whom the session talks with: one peer, or many clients |
//! | [`console`] | where the user reads and types: a terminal, or a pipe |
//! | [`diagram`] | transcripts, drawn |
//! | [`transcript`] | what is told, kept in a file of JSON Lines |
//! | [`socket`] | the one place where socket calls are made, and noted |
//! | [`event`] | everything that is ever printed, worded in one place |
//! | [`explain`] | the narration of socket calls |
//! | [`connection`] | one peer: send, receive, over any stream |
//! | [`framing`] | where a message ends; no I/O |
//! | [`watch`] | what is waited on: descriptors, by poll(2), and the time |
//! | [`wrap`] | text broken into rows |
//! | [`sanitize`] | untrusted text made safe for a terminal |
//! | [`address`] | `HOST:PORT`, and the order in which a name resolves |
//! | [`reason`] | what the system says when something does not work |

#[cfg(not(unix))]
compile_error!("socketchat is made for Unix: it waits with poll(2) and is woken by signals");

pub mod address;
pub mod cli;
pub mod connect;
pub mod connection;
pub mod console;
pub mod diagram;
pub mod event;
pub mod explain;
pub mod framing;
pub mod inbox;
pub mod reason;
pub mod sanitize;
pub mod serve;
pub mod session;
pub mod socket;
pub mod transcript;
pub mod watch;
pub mod wrap;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Command};
use crate::console::Console;
use crate::event::{Event, Failure};
use crate::session::Ending;

/// Does what the command line asks for, and returns the exit status.
///
/// Fails when the conversation cannot begin, or breaks; the error is worded to be printed
/// on one line behind the program's name.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(args) => {
            let wire = args.chat.wire();
            let terms = args.clients.terms();
            let log = args.lesson.log(terms.are_many());
            let mut console = console::open(args.chat.console(&log), args.lesson.transcript()?)?;
            let ended = serve::listen(&args.listen.address(), args.listen.backlog, &log)
                .and_then(|listener| serve::run(listener, terms, &wire, console.as_mut()));
            end(ended, console.as_mut())
        }
        Command::Connect(args) => {
            let address = args.target.address();
            let patience = args.target.patience();
            let wire = args.chat.wire();
            let log = args.lesson.log(false);
            let mut console = console::open(args.chat.console(&log), args.lesson.transcript()?)?;
            let ended = connect::run(&address, patience, &wire, &log, console.as_mut());
            end(ended, console.as_mut())
        }
        Command::Diagram { files, format } => {
            let (diagram, bad) = diagram::read(&files)?;
            for line in bad {
                let _ = writeln!(io::stderr(), "{line}");
            }
            if diagram.is_empty() {
                let path = files.into_iter().next().unwrap_or_default();
                return Err(Failure::NothingToDraw(path).into());
            }
            let columns = terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into());
            print(diagram.draw(format, columns).as_bytes())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "socketchat", &mut script);
            print(&script)
        }
    }
}

/// Prints on stdout, whose reader may have seen enough before the end.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::Output(error).into())
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Tells what is still to be told of a conversation that has `ended`.
fn end(ended: Result<Ending, Failure>, console: &mut dyn Console) -> anyhow::Result<ExitCode> {
    // What cannot be told any more is no reason to fail, or to hide why we do.
    if let Err(failure) = &ended {
        let _ = console.show(&Event::Failed(failure));
    }
    let _ = console.show(&Event::Ended);
    Ok(ended?.into())
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
