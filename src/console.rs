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
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;

use anstyle::Style;

use crate::event::{Awaited, Event, Failure, Peer, Prompt};
use crate::explain::Log;
use crate::transcript::Transcript;
use crate::watch::Watched;

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
    /// Where the socket calls are noted that are to be told.
    pub log: Log,
}

impl Options {
    /// The style, or a plain one where colour is not to be used; on what is a terminal, or is
    /// none.
    fn style(&self, style: Style, terminal: bool) -> Style {
        // The rule of <https://no-color.org>.
        let unwelcome = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if self.color.unwrap_or(terminal && !unwelcome && !is_dumb()) {
            style
        } else {
            Style::new()
        }
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

/// How a wait for the peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// There is news, or it will be waited for by receiving it.
    Incoming,
    /// The user pressed Ctrl-D: nothing more will be typed.
    EndOfInput,
    /// The user pressed Ctrl-C.
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
    /// Nothing yet: there is news. What was typed so far is kept for the next time.
    Incoming,
    /// There is nothing more to read from the user.
    EndOfInput,
    /// The user pressed Ctrl-C.
    Interrupted,
}

/// Where the user reads and types.
pub trait Console {
    /// Lets the user wait for what is `awaited`, until there is news of `watched`, and returns
    /// how that ended. A console that shows no prompt returns at once and leaves the waiting
    /// to whoever reads or accepts next. Fails when the terminal cannot be read.
    fn wait(&mut self, awaited: Awaited, watched: &mut dyn Watched) -> Result<Wait, Failure>;

    /// Asks the user for a message, or for the next part of one, until there is news of
    /// `watched`, and returns the answer. Fails when stdin cannot be read.
    fn ask(&mut self, prompt: &Prompt, watched: &mut dyn Watched) -> Result<Answer<'_>, Failure>;

    /// Takes the message that was answered last back, so that it is the user's again: to be
    /// edited, or to be answered once more. A part of a message that was too long to be held
    /// cannot be taken back; returns whether it was one that can.
    fn put_back(&mut self) -> bool;

    /// Whether the user answers every message that is shown with one line, whoever has left by
    /// then; where the prompt can be ended from outside, it says whom a line is for.
    fn answers_blindly(&self) -> bool;

    /// Takes what the user has typed and not sent, to be told when it is too late; `None`
    /// for nothing. At a terminal that cannot draw, what is typed is the terminal's until
    /// Enter, which this waits for when all is `over`. Fails when stdin cannot be read.
    fn unsent(&mut self, over: bool) -> Result<Option<String>, Failure>;

    /// Takes note that the answer that was given last was sent to `peer`. Fails as
    /// [`Console::show`] does.
    fn sent(&mut self, peer: Peer) -> Result<(), Failure>;

    /// Tells the user which socket calls were made since they were told last. To wait, to ask
    /// and to show do so too; this is for what takes long between two of them. Fails as
    /// [`Console::show`] does.
    fn explain(&mut self) -> Result<(), Failure>;

    /// Tells the user what has happened. Fails only where the conversation itself cannot
    /// be written.
    fn show(&mut self, event: &Event<'_>) -> Result<(), Failure>;
}

/// Opens the console that fits what stdin and stdout are, which keeps a `transcript` if it is
/// to, and takes over the signals that end the program. Fails when the system has no
/// descriptors left, or the like.
pub fn open(options: Options, transcript: Option<Transcript>) -> Result<Box<dyn Console>, Failure> {
    let output = output::Output::open(&options, transcript).map_err(Failure::Output)?;
    let draws = can_draw();
    // rustyline opens some more, and waits by select(2).
    let edits = draws && output.is_below_select();
    if edits {
        let editor = editor::Editor::open(options, output).map_err(Failure::Input)?;
        return Ok(Box::new(editor));
    }
    let mut pipe = pipe::Pipe::open(output).map_err(Failure::Input)?;
    if draws {
        pipe.show(&Event::NoEditor)?;
    }
    Ok(Box::new(pipe))
}

/// Whether rustyline can draw: the user types at a terminal that is not a dumb one, and
/// there is a terminal to draw on, were it only the controlling one.
fn can_draw() -> bool {
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

/// Opens the terminal that the program was started from (tty(4)).
fn controlling() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}
