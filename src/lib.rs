//! A conversation over a bare TCP connection, one turn at a time.
//!
//! The path of a sent message: keyboard or pipe → [`input`] → [`engine`], which asks the
//! [`session`] what to do with it → [`peers`] → [`connection`] → [`framing`] → [`socket`]. The path
//! of a received message: socket → [`connection`] → [`framing`] → [`peers`] → [`engine`] and
//! [`session`] → [`report`] (made safe by [`sanitize`]) → screen or pipe, and [`transcript`].
//!
//! Each module uses only modules below it:
//!
//! | module | its one job |
//! | --- | --- |
//! | [`cli`] | define all flags and subcommands, for clap |
//! | [`completions`] | write the completion scripts of the shells |
//! | [`serve`] | listen, then run the engine |
//! | [`connect`] | resolve, connect, then run the engine; reconnect if the connection is lost |
//! | [`relay`] | stand between a client and a server |
//! | [`engine`] | wait for events, ask the session what follows, and do it |
//! | [`session`] | the turn-taking of both sides, as a pure state machine |
//! | [`peers`] | the conversations with all peers, and the listening socket, within limits |
//! | [`input`] | read the user's input: from rustyline's thread, or as lines of a pipe |
//! | [`report`] | show each event on the screen or a pipe, and write it to the transcript |
//! | [`prompt`] | the state shared with rustyline's thread |
//! | [`roster`] | who is there |
//! | [`check`] | check a pupil's client or server |
//! | [`diagram`] | draw transcripts |
//! | [`transcript`] | keep events in a JSON Lines file |
//! | [`event`] | the events, and their wording |
//! | [`command`] | the commands of a person at the prompt |
//! | [`script`] | the answers of a server that stands in for a real one |
//! | [`connection`] | one peer: bytes and framing over any stream |
//! | [`socket`] | the socket calls, each recorded |
//! | [`explain`] | the narration of socket calls |
//! | [`framing`] | where a message ends; no I/O |
//! | [`endpoint`] | `HOST:PORT` and `unix:PATH`, and the order in which the addresses of a name are tried |
//! | [`sanitize`] | make untrusted text safe for a terminal |
//! | [`mod@wrap`] | how wide text is at most, and its rows |
//! | [`language`] | English or German |
//! | [`reason`] | word the errors of the system |
//! | [`sys`] | what differs between operating systems |

pub mod check;
pub mod cli;
pub mod command;
pub mod completions;
pub mod connect;
pub mod connection;
pub mod diagram;
pub mod endpoint;
pub mod engine;
pub mod event;
pub mod explain;
pub mod framing;
pub mod input;
pub mod language;
pub mod peers;
pub mod prompt;
pub mod reason;
pub mod relay;
pub mod report;
pub mod roster;
pub mod sanitize;
pub mod script;
pub mod serve;
pub mod session;
pub mod socket;
pub mod sys;
pub mod transcript;
pub mod wrap;

use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{ChatArgs, CheckArgs, Cli, Command, Format, ReportFormat};
use crate::engine::Engine;
use crate::event::{Event, Failure};
use crate::explain::Log;
use crate::report::Report;
use crate::sanitize::Untrusted;
use crate::script::Script;
use crate::session::Ending;
use crate::transcript::Transcript;
use crate::wrap::{terminal_columns, wrap};

/// Runs the command, and returns the exit status.
///
/// Fails if the conversation cannot start or breaks, or if output cannot be written. The error is
/// one line, to be printed after the program's name.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    sys::outlive_full_files();
    match cli.command {
        Command::Serve(args) => {
            let script = args.script.as_deref().map(read_script).transpose()?;
            let (wire, rules) = (args.chat.wire(), args.chat.rules());
            let (endpoint, limits) = (args.endpoint(), args.limits());
            let log = args.chat.log();
            let many = limits.max_clients.filter(|_| limits.are_many());
            let mut engine = open(args.chat, script, &log, many)?;
            let ended = serve::listen(&endpoint, args.backlog, &log)
                .and_then(|listener| serve::run(listener, limits, &wire, rules, &mut engine));
            end(ended, engine)
        }
        Command::Connect(args) => {
            let endpoint = args.endpoint();
            let attempts = args.attempts();
            let (wire, rules) = (args.chat.wire(), args.rules());
            let log = args.chat.log();
            let mut engine = open(args.chat, None, &log, None)?;
            let ended = connect::run(&endpoint, attempts, &wire, &rules, &log, &mut engine);
            end(ended, engine)
        }
        Command::Diagram {
            files,
            format,
            language,
        } => {
            language.set();
            let (diagram, bad) = diagram::read(&files)?;
            for line in bad {
                // The name of a file is in it as it is.
                let line = Untrusted(line.as_bytes()).one_line();
                let line = rows(&line, "    ", &io::stderr());
                let _ = writeln!(io::stderr(), "{line}");
            }
            if diagram.is_empty() {
                let path = files.into_iter().next().unwrap_or_default();
                return Err(Failure::NothingToDraw(path).into());
            }
            let drawn = match format {
                Format::Chars => diagram.chars(terminal_columns()),
                Format::Mermaid => diagram.mermaid(),
                Format::Svg => diagram.svg(),
                Format::Html => diagram.html(),
            };
            print(drawn.as_bytes())
        }
        Command::Relay(args) => {
            args.language.set();
            let log = args.log();
            let report = args.report(&log);
            let transcript = args.transcript.clone().map(Transcript::open).transpose()?;
            let report = Report::open(report, transcript).map_err(Failure::Output)?;
            let listener = serve::listen(&args.listen(), relay::BACKLOG, &log)?;
            relay::run(listener, args.endpoint(), args.options(), log, report)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(args) => {
            args.language.set();
            check(&args)
        }
        Command::Completions { shell } => print(completions::script(shell).as_bytes()),
    }
}

/// Creates the engine and opens the transcript, as `chat` asks for. The answers are those of
/// `script`, if there is one. `log` has the socket calls to report; `many` is the maximum number of
/// clients if there may be several.
fn open(
    chat: ChatArgs,
    script: Option<Script>,
    log: &Log,
    many: Option<u16>,
) -> Result<Engine, Failure> {
    chat.language.set();
    let (input, report) = (chat.input(), chat.report(log));
    let transcript = chat.transcript.map(Transcript::open).transpose()?;
    let report = Report::open(report, transcript).map_err(Failure::Output)?;
    Engine::new(input, script, report, many).map_err(Failure::Input)
}

/// Reads the script in the file at `path`. Fails if the file cannot be read or has bad lines.
fn read_script(path: &Path) -> Result<Script, Failure> {
    let text =
        fs::read_to_string(path).map_err(|error| Failure::ReadScript(path.to_owned(), error))?;
    Script::parse(&text).map_err(|bad| Failure::BadScript(path.to_owned(), bad))
}

/// What stands below the name of a check.
const INDENT: &str = "                ";

/// Makes the checks that `args` ask for, and prints each verdict. Returns the exit status: 0 if all
/// have passed, 1 if not, 130 after Ctrl-C. Fails if they cannot be made.
fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let counted = check::run(&args.options(), |verdict| {
        let line = match args.format {
            ReportFormat::Text => rows(&verdict.to_string(), INDENT, &io::stdout()),
            ReportFormat::Json => verdict.json(),
        };
        print_line(&line)
    })?;
    let Some((passed, made)) = counted else {
        return Ok(sys::INTERRUPTED_STATUS.into());
    };
    if args.format == ReportFormat::Text {
        let line = say!(
            "{passed} of {made} checks passed.",
            "{passed} von {made} Prüfungen bestanden."
        );
        print_line(&rows(&line, INDENT, &io::stdout()))?;
    }
    Ok(u8::from(passed < made).into())
}

/// Returns `text` in rows of the terminal, all but the first with `indent`, if `output` is one.
fn rows(text: &str, indent: &'static str, output: &impl io::IsTerminal) -> String {
    if !output.is_terminal() {
        return text.into();
    }
    let columns = terminal_columns();
    let lines: Vec<_> = text
        .lines()
        .map(|line| wrap(line, indent, columns))
        .collect();
    lines.join("\n")
}

/// Prints `line` on stdout. Fails if stdout cannot be written.
fn print_line(line: &str) -> Result<(), Failure> {
    let line = format!("{line}\n");
    write_out(line.as_bytes()).map_err(Failure::Output)
}

/// Writes `text` to stdout. Fails if stdout cannot be written.
fn write_out(text: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout();
    if stdout.is_terminal() {
        // It knows how a console of Windows is written to.
        stdout.write_all(text).and_then(|()| stdout.flush())
    } else {
        // It takes a stdout that cannot be written for one that nobody reads.
        sys::stdout()?.write_all(text)
    }
}

/// Prints `text` on stdout. It is not an error if the reader closes stdout early. Fails if stdout
/// cannot be written.
fn print(text: &[u8]) -> anyhow::Result<ExitCode> {
    match write_out(text) {
        Err(error) if !sys::is_reader_gone(&error) => Err(Failure::Output(error).into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Reports how the conversation ended, and restores the terminal. Returns the exit status: 130 for
/// a conversation that Ctrl-C or a signal ended, 1 if input of a program was not sent, otherwise 0.
/// Fails if the conversation did.
fn end(ended: Result<Ending, Failure>, mut engine: Engine) -> anyhow::Result<ExitCode> {
    // A failed report is no reason to fail, or to hide why the conversation did.
    let _ = engine.close_prompt();
    if let Err(failure) = &ended {
        let _ = engine.show(&Event::Failed(failure));
    }
    let _ = engine.show(&Event::Ended);
    Ok(match ended? {
        Ending::Interrupted => sys::INTERRUPTED_STATUS.into(),
        Ending::Bye | Ending::EndOfInput | Ending::PeerLeft | Ending::OutputClosed => {
            u8::from(engine.has_lost_words()).into()
        }
    })
}
