//! Reads the user's input from a terminal or a pipe.

mod editor;
mod history;
mod inputrc;
mod lines;

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;

use anstyle::Style;
use mio::Waker;

use self::editor::Editor;
use self::lines::Lines;
use crate::command::Given;
use crate::event::{Event, Peer};
use crate::prompt::{SharedPrompt, is_dumb};
use crate::sys;

pub use self::history::default_path;

/// The user's choices about input.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether to use Vi keys even if the user's inputrc does not select them.
    pub vi: bool,
    /// The file to keep the history in, if there is to be one.
    pub history: Option<PathBuf>,
    /// The style of secondary text.
    pub dim: Style,
}

/// Something that the user did.
#[derive(Debug)]
pub enum Typed<'a> {
    /// The user entered a message, or a part of one that is too long to buffer.
    Line {
        /// The bytes.
        text: Cow<'a, [u8]>,
        /// Whether they end the message.
        last: bool,
        /// The peer that the prompt named; `None` without such a prompt.
        to: Option<Peer>,
    },
    /// The user entered a command.
    Command(Given),
    /// The input ended.
    EndOfInput,
    /// The user pressed Ctrl-C, or the terminal is gone.
    Interrupt,
    /// The prompt has something to tell the user.
    Notice(Event<'a>),
    /// The input cannot be read.
    Failed(io::Error),
}

impl Typed<'_> {
    /// Returns the text of a message, or `None` if it is something else.
    pub fn into_text(self) -> Option<String> {
        match self {
            Self::Line { text, .. } => Some(String::from_utf8_lossy(&text).into_owned()),
            _ => None,
        }
    }
}

/// The source of the user's input.
pub enum Input {
    /// A pipe, a file, or a terminal on which rustyline cannot draw.
    Lines(Lines),
    /// A terminal on which rustyline edits lines.
    Editor(Editor),
}

/// The kind of user that the input comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A program or a file.
    Program,
    /// A person at a terminal on which rustyline cannot draw.
    PlainTerminal,
    /// A person at a terminal on which rustyline cannot draw because too many descriptors are open:
    /// it waits with select(2).
    CrowdedTerminal,
    /// A person at a terminal on which rustyline edits lines.
    Terminal,
}

impl Kind {
    /// Returns the kind of user at stdin.
    pub fn of_stdin() -> Self {
        if !io::stdin().is_terminal() {
            Self::Program
        } else if is_dumb() || !sys::has_screen() {
            Self::PlainTerminal
        } else if !sys::has_room_for_prompt() {
            Self::CrowdedTerminal
        } else {
            Self::Terminal
        }
    }
}

impl Input {
    /// Creates an input that reads unedited lines from stdin. Calls `waker` when lines have
    /// arrived. Fails if no descriptor is left.
    pub fn lines(waker: Arc<Waker>) -> io::Result<Self> {
        let typed = io::stdin().is_terminal();
        let lines = Lines::new(sys::stdin()?, typed, waker);
        Ok(Self::Lines(lines))
    }

    /// Returns the next input that has arrived, if any. Unedited lines are read only if
    /// `wants_line`, but the end of those of a terminal is returned in any case.
    pub fn next(&mut self, wants_line: bool) -> Option<Typed<'_>> {
        match self {
            Self::Editor(editor) => editor.next(),
            Self::Lines(lines) => {
                let is_wanted = wants_line && lines.is_ready() || lines.is_at_end();
                if !is_wanted {
                    return None;
                }
                Some(match lines.next() {
                    Ok(Some((text, last))) => Typed::Line {
                        text: text.into(),
                        last,
                        to: None,
                    },
                    Ok(None) => Typed::EndOfInput,
                    Err(error) => Typed::Failed(error),
                })
            }
        }
    }

    /// Returns the line that was entered last, unless it is too long to be kept.
    pub fn last(&self) -> Option<String> {
        let line = match self {
            Self::Editor(editor) => editor.last().map(str::as_bytes),
            Self::Lines(lines) => lines.last(),
        }?;
        Some(String::from_utf8_lossy(line).into_owned())
    }

    /// Creates an input whose lines are edited at `prompt`. Fails if the terminal is gone or no
    /// thread can be started.
    pub fn editor(options: &Options, prompt: &SharedPrompt) -> io::Result<Self> {
        Ok(Self::Editor(Editor::start(options, prompt)?))
    }
}
