//! What rustyline asks and tells us while a line is edited.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anstyle::Style;
use rustyline::completion::Completer;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Cmd, ConditionalEventHandler, Context, EventContext, RepeatCount};

use super::screen::{Drawn, State};
use crate::event::{Awaited, Prompt};

/// What Enter does, and what stands before the line.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// The user's: Enter sends.
    Ours(Prompt),
    /// The peer's: Enter only begins a new line.
    Theirs(WaitingLine),
    /// The user's, once what was typed before has been taken in: Enter only begins a new
    /// line, and nothing is asked.
    Ahead,
}

impl fmt::Display for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ours(prompt) => prompt.fmt(f),
            Self::Theirs(line) => line.fmt(f),
            Self::Ahead => Ok(()),
        }
    }
}

/// What is waited for, and how long it was.
#[derive(Debug, Clone)]
pub(super) struct WaitingLine {
    pub(super) awaited: Awaited,
    pub(super) since: Instant,
    /// What stands behind that.
    pub(super) so_far: String,
    /// It says nothing at all.
    pub(super) quiet: bool,
}

impl fmt::Display for WaitingLine {
    /// Always as wide as its longest wording, so that it can be redrawn in place with
    /// something typed behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LONGEST: Duration = Duration::from_mins(59);
        if !self.quiet {
            let width = self.awaited.waiting(LONGEST).len() + 2;
            let waiting = self.awaited.waiting(self.since.elapsed());
            write!(f, "{waiting:width$}{}", self.so_far)?;
        }
        Ok(())
    }
}

/// What rustyline asks while a line is edited.
pub(super) struct Helper {
    pub(super) turn: Turn,
    pub(super) drawn: Arc<Mutex<Drawn>>,
    pub(super) hinter: HistoryHinter,
    /// For what the user need not read.
    pub(super) dim: Style,
}

impl rustyline::Helper for Helper {}

impl Completer for Helper {
    type Candidate = String;
}

impl Hinter for Helper {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        let hint = match &self.turn {
            Turn::Ours(_) => self.hinter.hint(line, pos, context),
            Turn::Theirs(_) | Turn::Ahead => None,
        };
        let hint = hint.filter(|hint| !hint.contains('\n'));
        let mut drawn = lock(&self.drawn);
        line.clone_into(&mut drawn.line);
        drawn.cursor = pos;
        hint.as_deref()
            .unwrap_or_default()
            .clone_into(&mut drawn.hint);
        hint
    }
}

impl Highlighter for Helper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        default: bool,
    ) -> Cow<'b, str> {
        let mut drawn = lock(&self.drawn);
        prompt.clone_into(&mut drawn.prompt);
        drawn.default = default;
        drawn.state = State::Reading;
        match &self.turn {
            Turn::Theirs(line) if default => {
                let dim = self.dim;
                Cow::Owned(format!("{dim}{line}{dim:#}"))
            }
            _ => Cow::Borrowed(prompt),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let dim = self.dim;
        Cow::Owned(format!("{dim}{hint}{dim:#}"))
    }

    fn highlight_char(&self, _: &str, pos: usize, _: CmdKind) -> bool {
        lock(&self.drawn).cursor = pos;
        false
    }
}

/// What is done when a key is pressed; `None` leaves the key to rustyline.
pub(super) struct OnKey<F>(pub(super) F);

impl<F: Fn() -> Option<Cmd> + Send + Sync> ConditionalEventHandler for OnKey<F> {
    fn handle(
        &self,
        _: &rustyline::Event,
        _: RepeatCount,
        _: bool,
        _: &EventContext<'_>,
    ) -> Option<Cmd> {
        (self.0)()
    }
}

impl Validator for Helper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match &self.turn {
            Turn::Ours(_) => ValidationResult::Valid(None),
            Turn::Theirs(line) if context.input().trim_matches('\n').is_empty() => {
                let message = line.awaited.nothing_to_answer();
                lock(&self.drawn).hint.clone_from(&message);
                ValidationResult::Invalid(Some(message))
            }
            Turn::Theirs(_) | Turn::Ahead => ValidationResult::Incomplete,
        })
    }
}

/// What was drawn last, also when rustyline has panicked.
pub(super) fn lock(drawn: &Mutex<Drawn>) -> MutexGuard<'_, Drawn> {
    drawn.lock().unwrap_or_else(PoisonError::into_inner)
}
