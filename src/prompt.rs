//! The prompt that stays on the screen while the program runs: the state shared between the thread
//! that reads keys and the rest of the program.
//!
//! The text to print above the prompt and the current turn are stored here. A message through
//! rustyline's `ExternalPrinter`, the nudge, then makes rustyline draw both in one write, once it
//! has handled all keys that were typed. So a line never counts as the answer to something that was
//! not on the screen when the line was typed.

use std::env;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstyle::Style;
use mio::Waker;
use rustyline::ExternalPrinter;

use crate::event::{Awaited, Peer, Prompt};

/// The number of undrawn bytes from which on the prompt counts as full.
const ENOUGH: usize = 64 * 1024;

/// What a nudge prints. It leaves the cursor in place, and ends with the newline that rustyline
/// requires.
const NUDGE: &str = "\x1b[A\n";

/// The prompt, shared between the thread that reads keys and the rest of the program.
#[derive(Clone)]
pub struct SharedPrompt {
    state: Arc<Mutex<State>>,
    waker: Arc<Waker>,
}

struct State {
    /// The current turn.
    turn: Prompt,
    /// Whether a line was entered that the rest of the program has not received yet.
    is_line_on_its_way: bool,
    awaited: Awaited,
    /// The turn that the prompt on the screen shows.
    shown: Prompt,
    /// The width of the text before the arrow, in columns.
    columns: usize,
    /// The text to print above the prompt: complete rows without control sequences of a peer.
    rows: String,
    /// Whether the rest of the program waits for `rows` to be drawn.
    room_is_awaited: bool,
    phase: Phase,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    /// Whether a nudge is pending.
    nudged: bool,
    /// The cause of the next redraw.
    cause: Cause,
    /// Set to make rustyline stop editing the line.
    leave: Option<Leave>,
    draft: Draft,
    dim: Style,
}

/// The state of rustyline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It is not running: the thread is between two lines.
    Away,
    /// It has not drawn the prompt yet.
    Starting,
    /// It reads keys.
    Editing,
    /// It has accepted Enter.
    Accepted,
}

/// The cause of a redraw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Key,
    Nudge,
}

/// Why the program, and not the user, ends the editing of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// The program ends.
    ForGood,
    /// This message is inserted before the text on the prompt, and editing starts again.
    ToPutBack(String),
}

/// The text on the prompt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Draft {
    /// The text.
    pub line: String,
    /// The byte offset of the cursor.
    pub cursor: usize,
}

impl SharedPrompt {
    /// Creates a prompt that is not on the screen yet. `waker` wakes the rest of the program. The
    /// text before the arrow is always `columns` wide. In the peer's turn, the prompt has the style
    /// `dim`.
    #[must_use]
    pub fn new(waker: Arc<Waker>, columns: usize, dim: Style) -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                turn: Prompt::default(),
                is_line_on_its_way: false,
                awaited: Awaited::AClient,
                shown: Prompt::default(),
                columns,
                rows: String::new(),
                room_is_awaited: false,
                phase: Phase::Away,
                printer: None,
                nudged: false,
                cause: Cause::Nudge,
                leave: None,
                draft: Draft::default(),
                dim,
            })),
            waker,
        }
    }

    // Called by the rest of the program:

    /// Prints `rows` above the prompt. They must be complete and must not contain control sequences
    /// of a peer.
    pub fn show(&self, rows: &str) {
        let mut state = self.lock();
        state.rows.push_str(rows);
        state.nudge();
    }

    /// Sets the current turn, and what the user waits for when it is not ours. The turn does not
    /// change while an entered line is on its way to the session, which does not know of it yet.
    pub fn set_turn(&self, turn: Prompt, awaited: Awaited) {
        let mut state = self.lock();
        if !state.is_line_on_its_way {
            state.turn = turn;
        }
        state.awaited = awaited;
        state.nudge();
    }

    /// Records that the entered line has arrived.
    pub fn line_has_arrived(&self) {
        self.lock().is_line_on_its_way = false;
    }

    /// Returns whether too much waits to be drawn for more to be added. If so, the waker is called
    /// when it has been drawn.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let mut state = self.lock();
        let full = state.rows.len() >= ENOUGH;
        state.room_is_awaited |= full;
        full
    }

    /// Makes rustyline stop editing the line.
    pub fn leave(&self, leave: Leave) {
        let mut state = self.lock();
        state.leave = Some(leave);
        state.nudge();
    }

    /// Takes the rows that were not drawn, and the text on the prompt. Call it when the prompt is
    /// off the screen.
    #[must_use]
    pub fn take_rest(&self) -> (String, Draft) {
        let mut state = self.lock();
        (mem::take(&mut state.rows), mem::take(&mut state.draft))
    }

    // Called by the thread that reads keys:

    /// Sets the printer through which rustyline is nudged.
    pub fn set_printer(&self, printer: impl ExternalPrinter + Send + 'static) {
        self.lock().printer = Some(Box::new(printer));
    }

    /// Returns the text of the first prompt to pass to rustyline. It is as wide as all later ones.
    #[must_use]
    pub fn start(&self) -> String {
        let mut state = self.lock();
        state.phase = Phase::Starting;
        state.shown = Prompt::default();
        state.shown.text(state.columns)
    }

    /// Records that rustyline stopped reading keys. Returns the text on the prompt.
    #[must_use]
    pub fn stop(&self) -> Draft {
        let mut state = self.lock();
        state.phase = Phase::Away;
        mem::take(&mut state.draft)
    }

    /// Takes the reason why the program ended the editing of the line.
    #[must_use]
    pub fn take_leave(&self) -> Option<Leave> {
        self.lock().leave.take()
    }

    /// Wakes the rest of the program.
    pub fn wake(&self) {
        // Fails only if the program has ended.
        let _ = self.waker.wake();
    }

    /// Records the text on the prompt and the byte offset of the cursor.
    pub fn set_draft(&self, line: &str, cursor: usize) {
        let mut state = self.lock();
        line.clone_into(&mut state.draft.line);
        state.draft.cursor = cursor;
    }

    /// Records that a key, and not a nudge, causes the next redraw.
    pub fn set_key(&self) {
        self.lock().cause = Cause::Key;
    }

    /// Returns whether the prompt on the screen says that it is our turn.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.lock().shown.peer.is_some()
    }

    /// Returns the width of the prompt in columns.
    #[must_use]
    pub fn width(&self) -> usize {
        let state = self.lock();
        state.shown.text(state.columns).len()
    }

    /// Accepts Enter if it is our turn and the prompt on the screen says so. Returns the peer that
    /// the prompt names, or otherwise fails with what the user waits for.
    pub fn accept(&self) -> Result<Peer, Awaited> {
        let mut state = self.lock();
        match state.shown.peer {
            Some(peer) if state.turn.peer == Some(peer) => {
                state.turn = Prompt::default();
                state.is_line_on_its_way = true;
                state.phase = Phase::Accepted;
                Ok(peer)
            }
            _ => Err(state.awaited),
        }
    }

    /// Returns the text to draw: the rows that go above the prompt, and the prompt. Returns `None`
    /// if rustyline is to stop editing the line now, without drawing.
    #[must_use]
    pub fn draw(&self) -> Option<String> {
        let mut state = self.lock();
        let cause = mem::replace(&mut state.cause, Cause::Nudge);
        let is_nudge = state.phase == Phase::Editing && cause == Cause::Nudge;
        if is_nudge {
            state.nudged = false;
        }
        if state.leave.is_some() && (is_nudge || state.phase == Phase::Starting) {
            state.phase = Phase::Away;
            return None;
        }
        let mut text = String::new();
        if is_nudge {
            text = mem::take(&mut state.rows);
            state.shown = state.turn;
            if mem::take(&mut state.room_is_awaited) {
                self.wake();
            }
        } else if state.phase == Phase::Starting {
            // Keys typed earlier may be waiting, so nothing new is drawn before they are handled.
            state.phase = Phase::Editing;
            state.nudge();
        }
        let prompt = state.shown.text(state.columns);
        if state.shown.peer.is_some() {
            text.push_str(&prompt);
        } else {
            let dim = state.dim;
            text.push_str(&format!("{dim}{prompt}{dim:#}"));
        }
        Some(text)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Makes rustyline redraw if there is something new and no nudge is pending. Never blocks: the
    /// channel of the printer has room for one nudge.
    fn nudge(&mut self) {
        let is_new = !self.rows.is_empty() || self.turn != self.shown || self.leave.is_some();
        if is_new
            && self.phase == Phase::Editing
            && !self.nudged
            && let Some(printer) = &mut self.printer
        {
            // If the terminal is gone, the thread that reads it reports this.
            self.nudged = printer.print(NUDGE.to_owned()).is_ok();
        }
    }
}

/// Returns whether the terminal is of a type on which rustyline does not draw.
#[must_use]
pub fn is_dumb() -> bool {
    env::var("TERM").is_ok_and(|term| {
        ["dumb", "cons25", "emacs"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&term))
    })
}
