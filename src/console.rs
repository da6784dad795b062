//! Where the user reads and types: a terminal with an editor, or a pipe.

mod echo;
mod editor;
mod helper;
mod history;
mod inputrc;
mod interrupt;
mod output;
mod pipe;
mod screen;

use std::env;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::time::Instant;

use nix::poll::{PollFd, PollFlags};

use crate::connection::Watch;
use crate::event::{Awaited, Event, Failure};
use crate::sanitize::Untrusted;

pub use interrupt::INTERRUPTED_STATUS;

/// What the user wants of the console.
#[derive(Debug, Clone)]
pub struct Options {
    /// Print the messages alone: no label, no notices.
    pub quiet: bool,
    /// Whether to use colour; `None`: where a terminal shows it and `NO_COLOR` is not set.
    pub color: Option<bool>,
    /// Edit with Vi keys, whatever the user's inputrc says.
    pub vi: bool,
    /// Where the history is kept.
    pub history: HistoryFile,
}

impl Options {
    /// Whether to use colour on what is a terminal, or is none.
    fn color_on(&self, terminal: bool) -> bool {
        // The rule of <https://no-color.org>.
        let unwelcome = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        self.color.unwrap_or(terminal && !unwelcome && !is_dumb())
    }
}

/// Where the history is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HistoryFile {
    /// In the state folder of the XDG base directories.
    Default,
    /// In this file.
    At(PathBuf),
    /// Nowhere.
    None,
}

/// What the user waits for.
#[derive(Debug)]
pub struct Waiting<'a> {
    /// For what.
    pub awaited: Awaited,
    /// Since when.
    pub since: Instant,
    /// What becomes ready when it is there: the connection, or the listening socket.
    pub socket: Watch<'a>,
    /// There is something to show already: the wait is only for what the user has typed
    /// before it was there to be read.
    pub ready: bool,
    /// What has come of a message whose end has not, and since when.
    pub unended: Option<(Untrusted<'a>, Instant)>,
}

/// How a wait for the peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// The connection has something to receive, or will be waited on by receiving.
    Incoming,
    /// The end of a message has not come for as long as [`crate::framing::UNENDED`].
    Stalled,
    /// The user pressed Ctrl-D: nothing more will be typed.
    EndOfInput,
    /// The user pressed Ctrl-C, or the program was told to stop.
    Interrupted,
}

/// What the user answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A message, or a part of one that is too long to be held.
    Text {
        /// The bytes to send.
        text: &'a [u8],
        /// The message ends with them.
        last: bool,
    },
    /// Nothing yet: the connection has something to receive. What was typed so far is
    /// kept for the next time.
    Incoming,
    /// There is nothing more to read from the user.
    EndOfInput,
    /// The user pressed Ctrl-C, or the program was told to stop.
    Interrupted,
}

/// Where the user reads and types.
pub trait Console {
    /// Lets the user wait, and returns how that ended. A console that shows no prompt
    /// returns at once and leaves the waiting to whoever reads or accepts next. Fails when
    /// the terminal cannot be read.
    fn wait(&mut self, waiting: &Waiting<'_>) -> Result<Wait, Failure>;

    /// Asks the user for a message, or for the next part of one, until `connection`
    /// becomes ready, and returns the answer. Fails when stdin cannot be read.
    fn ask(&mut self, connection: Watch<'_>) -> Result<Answer<'_>, Failure>;

    /// Takes what the user has typed and not sent, to be told when it is too late; `None`
    /// for nothing. At a terminal that cannot draw, this waits for Enter, since what is
    /// typed is the terminal's until then. Fails when stdin cannot be read.
    fn unsent(&mut self) -> Result<Option<String>, Failure>;

    /// Tells the user what has happened. Fails only where the conversation itself cannot
    /// be written.
    fn show(&mut self, event: &Event<'_>) -> Result<(), Failure>;
}

/// Opens the console that fits what stdin and stdout are, and takes over the signals that
/// end the program. Fails when the system has no descriptors left, or the like.
pub fn open(options: Options) -> Result<Box<dyn Console>, Failure> {
    let output = output::Output::open(&options).map_err(Failure::Output)?;
    let console: io::Result<Box<dyn Console>> = if can_edit() {
        editor::Editor::open(options, output).map(|editor| Box::new(editor) as _)
    } else {
        pipe::Pipe::open(output).map(|pipe| Box::new(pipe) as _)
    };
    console.map_err(Failure::Input)
}

/// Whether rustyline can draw: the user types at a terminal that is not a dumb one, and
/// there is a terminal to draw on, were it only the controlling one.
fn can_edit() -> bool {
    io::stdin().is_terminal() && !is_dumb() && (io::stdout().is_terminal() || controlling().is_ok())
}

/// Whether the terminal is one of those that rustyline draws nothing on.
fn is_dumb() -> bool {
    env::var("TERM").is_ok_and(|term| {
        ["dumb", "cons25", "emacs"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&term))
    })
}

/// Whether a polled descriptor has something to read, or has ended. nix does not know
/// [`HANG_UP`](crate::connection::HANG_UP), and gives `None` for it.
fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.any() != Some(false)
}

/// Whether a polled descriptor has ended, whatever there is to read.
fn has_hung_up(fd: &PollFd<'_>) -> bool {
    fd.revents()
        .is_none_or(|events| events.contains(PollFlags::POLLHUP))
}

/// Opens the terminal that the program was started from (tty(4)).
fn controlling() -> io::Result<std::fs::File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}
