//! The prompt that stays on the screen while the program runs: the state shared between the thread
//! that reads keys and the rest of the program.
//!
//! The text to print above the prompt and the current turn are stored here. A message through
//! rustyline's `ExternalPrinter`, the nudge, then makes rustyline draw both in one write, once it
//! has handled all keys that have reached it. So a line does not count as the answer to something
//! that was not on the screen when Enter was pressed, unless that key was still on its way from the
//! terminal.

use std::env;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstyle::Style;
use mio::Waker;
use rustyline::ExternalPrinter;

use crate::event::{Awaited, Peer, Prompt};
use crate::roster::Roster;

/// The number of undrawn bytes from which on the prompt counts as full.
const ENOUGH: usize = 64 * 1024;

/// What makes a terminal ring.
pub const BELL: &str = "\x07";

/// Erases the row above the prompt's first one, where the cursor is at the start.
const ERASE_ABOVE: &str = "\x1b[A\x1b[2K";

/// What a nudge prints. It leaves the cursor in place, and ends with the newline that rustyline
/// requires.
const NUDGE: &str = "\x1b[A\n";

/// The prompt, shared between the thread that reads keys and the rest of the program.
#[derive(Clone)]
pub struct SharedPrompt {
    state: Arc<Mutex<State>>,
    roster: Arc<Mutex<Roster>>,
    waker: Arc<Waker>,
}

#[derive(Default)]
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
struct State {
    /// The current turn; `None` while an entered line is on its way to the rest of the program.
    turn: Option<Prompt>,
    /// What the user waits for when it is not ours.
    awaited: Awaited,
    /// Whether there are no turns: a line can be entered while another is on its way.
    duplex: bool,
    /// Whether an empty line can be entered.
    takes_empty: bool,
    /// The turn that the prompt on the screen shows.
    shown: Prompt,
    /// The width of the text before the arrow, in columns.
    columns: usize,
    /// The style of the prompt in the peer's turn.
    dim: Style,
    /// Whether to ring.
    rings: bool,
    /// The text to print above the prompt: complete rows without control sequences of a peer.
    rows: String,
    /// The row directly above the prompt, which another one replaces.
    status: Option<String>,
    /// The status that is on the screen there.
    shown_status: Option<String>,
    draft: Draft,
    /// A message to insert before the draft.
    put_back: Option<String>,
    /// Whether the program ends.
    closed: bool,
    phase: Phase,
    printer: Option<Box<dyn ExternalPrinter + Send>>,
    /// Whether a nudge is pending.
    nudged: bool,
    /// Whether a key, and not a nudge, causes the next redraw.
    by_key: bool,
    /// The prompt of rustyline's own that is on the screen, as during a search of the history.
    other: Option<String>,
}

/// The state of rustyline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// It is not running, or will return the line that it has.
    #[default]
    Away,
    /// It has not drawn the prompt yet.
    Starting,
    /// It reads keys.
    Editing,
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
    pub fn new(waker: Arc<Waker>, columns: usize, dim: Style) -> Self {
        let state = State {
            turn: Some(Prompt::default()),
            columns,
            dim,
            ..State::default()
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            roster: Arc::default(),
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

    /// Sets the row directly above the prompt, or removes it. It must fit a row, and must not contain
    /// control sequences of a peer.
    pub fn set_status(&self, status: Option<String>) {
        let mut state = self.lock();
        state.status = status;
        state.nudge();
    }

    /// Rings with the rows that follow, unless the prompt on the screen asks for a line and the user
    /// has typed nothing yet. Without turns it always asks for one, and that tells nothing.
    pub fn ring(&self) {
        let mut state = self.lock();
        let is_asked = state.shown.peer.is_some() && !state.duplex;
        state.rings |= !is_asked || !state.draft.line.is_empty();
    }

    /// Sets the current turn, and what the user waits for when it is not ours. The turn does not
    /// change while an entered line is on its way to the session, which does not know of it yet.
    pub fn set_turn(&self, turn: Prompt, awaited: Awaited) {
        let mut state = self.lock();
        state.turn = state.turn.map(|_| turn);
        state.awaited = awaited;
        state.nudge();
    }

    /// Records that the entered line has arrived.
    pub fn line_has_arrived(&self) {
        let mut state = self.lock();
        if !state.duplex {
            state.turn = Some(Prompt::default());
        }
    }

    /// Returns whether too much waits to be drawn for more to be added. If so, the waker is called
    /// when it has been drawn.
    pub fn is_full(&self) -> bool {
        self.lock().rows.len() >= ENOUGH
    }

    /// Inserts `message` before the text on the prompt, which then starts a new row.
    pub fn put_back(&self, message: String) {
        let mut state = self.lock();
        state.put_back = Some(message);
        state.nudge();
    }

    /// Calls `work` and redraws the prompt, unless it is closed: [`SharedPrompt::close`] waits.
    pub fn redraw_after(&self, work: impl FnOnce()) {
        let mut state = self.lock();
        if !state.closed {
            work();
            state.redraw();
        }
    }

    /// Makes rustyline stop for good.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.nudge();
    }

    /// Takes the rows that were not drawn, behind what erases the status, and the text on the prompt.
    /// Call it when the prompt is off the screen.
    #[must_use]
    pub fn take_rest(&self) -> (String, String) {
        let mut state = self.lock();
        let rows = state.erase_status().to_owned() + &mem::take(&mut state.rows);
        (rows, mem::take(&mut state.draft.line))
    }

    /// Returns who is there, to be changed, or to complete a line.
    pub fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets that there are no turns, and whether an empty line can be entered.
    pub fn set_duplex(&self, takes_empty: bool) {
        let mut state = self.lock();
        state.duplex = true;
        state.takes_empty = takes_empty;
    }

    // Called by the thread that reads keys:

    /// Returns whether an empty line can be entered.
    pub fn takes_empty(&self) -> bool {
        self.lock().takes_empty
    }

    /// Sets the printer through which rustyline is nudged.
    pub fn set_printer(&self, printer: impl ExternalPrinter + Send + 'static) {
        self.lock().printer = Some(Box::new(printer));
    }

    /// Returns the first prompt to pass to rustyline, which is as wide as all later ones, and the
    /// text to start with. Returns `None` if the program ends.
    #[must_use]
    pub fn start(&self) -> Option<(String, Draft)> {
        let mut state = self.lock();
        if let Some(mut message) = state.put_back.take() {
            if !state.draft.line.is_empty() {
                message.push('\n');
            }
            state.draft.cursor += message.len();
            state.draft.line.insert_str(0, &message);
        }
        if state.closed {
            return None;
        }
        state.phase = Phase::Starting;
        // An entered line stands between them now.
        state.shown_status = None;
        // Nothing counts as an answer to what was not on the screen. Until the next draw, keys that waited are
        // for whom the last prompt named; with turns that one has been answered.
        if !state.duplex {
            state.shown = Prompt::default();
        }
        Some((state.shown.text(state.columns), state.draft.clone()))
    }

    /// Wakes the rest of the program.
    pub fn wake(&self) {
        // Fails only if the program has ended.
        let _ = self.waker.wake();
    }

    /// Records that rustyline stopped reading keys: from now on, it would print a nudge at once.
    pub fn stop(&self) {
        self.lock().phase = Phase::Away;
    }

    /// Records the text on the prompt and the byte offset of the cursor.
    pub fn set_draft(&self, line: &str, cursor: usize) {
        let mut state = self.lock();
        line.clone_into(&mut state.draft.line);
        state.draft.cursor = cursor;
    }

    /// Records that a key, and not a nudge, causes the next redraw.
    pub fn set_key(&self) {
        self.lock().by_key = true;
    }

    /// Returns the peer that the prompt on the screen names, or that it named when Enter was
    /// accepted; `None` if it says that it is not our turn.
    pub fn peer(&self) -> Option<Peer> {
        self.lock().shown.peer
    }

    /// Returns the width of the prompt in columns.
    pub fn width(&self) -> usize {
        let state = self.lock();
        state.shown.text(state.columns).len()
    }

    /// Accepts Enter if it is our turn and the prompt on the screen says so, or after a command: then
    /// rustyline will return the line that it has. Otherwise fails with what the user waits for.
    pub fn accept(&self, is_command: bool) -> Result<(), Awaited> {
        let mut state = self.lock();
        let is_asked = state.shown.peer.is_some()
            && state.shown.peer == state.turn().peer
            // Then the text is told as not sent.
            && !state.closed;
        if !is_asked && !is_command {
            return Err(state.awaited);
        }
        if !state.duplex {
            state.turn = None;
        }
        state.phase = Phase::Away;
        Ok(())
    }

    /// Returns the text to draw: the rows that go above the prompt, and the prompt. If a key causes the
    /// redraw, and it shows a prompt of rustyline's own, that is `other`. Returns `None` if rustyline is to
    /// stop editing the line now, without drawing.
    #[must_use]
    pub fn draw(&self, other: Option<&str>) -> Option<String> {
        let mut state = self.lock();
        let mut text = String::new();
        if mem::take(&mut state.by_key) {
            state.other = other.map(str::to_owned);
            if state.phase == Phase::Starting {
                state.phase = Phase::Editing;
            }
            // Keys typed earlier may be waiting, so nothing new is drawn before they are handled.
            state.nudge();
        } else {
            state.nudged = false;
            if state.wants_to_leave() {
                state.phase = Phase::Away;
                return None;
            }
            if state.rows.len() >= ENOUGH {
                self.wake();
            }
            if mem::take(&mut state.rings) {
                text.push_str(BELL);
            }
            text.push_str(state.erase_status());
            text.push_str(&mem::take(&mut state.rows));
            let status = state.status.clone();
            if let Some(status) = &status {
                text += &format!("{status}\n");
            }
            state.shown_status = status;
            if state.other.is_none() {
                state.shown = state.turn();
            }
        }
        // It stays there after a search that was ended by a key which redraws nothing.
        if let Some(other) = &state.other {
            return Some(text + other);
        }
        let prompt = state.shown.text(state.columns);
        let style = state.shown.peer.map_or(state.dim, |_| Style::new());
        Some(text + &format!("{style}{prompt}{style:#}"))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn turn(&self) -> Prompt {
        self.turn.unwrap_or_default()
    }

    /// Returns what erases the status from the screen, if it is there.
    fn erase_status(&mut self) -> &'static str {
        self.shown_status.take().map_or("", |_| ERASE_ABOVE)
    }

    /// Returns whether rustyline is to stop editing the line.
    fn wants_to_leave(&self) -> bool {
        self.closed || self.put_back.is_some()
    }

    /// Makes rustyline redraw if there is something new.
    fn nudge(&mut self) {
        let is_new = !self.rows.is_empty()
            || self.turn() != self.shown
            || self.status != self.shown_status
            || self.wants_to_leave();
        if is_new {
            self.redraw();
        }
    }

    /// Makes rustyline redraw if no nudge is pending. Never blocks: the channel of the printer has room
    /// for one nudge.
    fn redraw(&mut self) {
        if self.phase == Phase::Editing
            && !self.nudged
            && let Some(printer) = &mut self.printer
        {
            // If the terminal is gone, the thread that reads it reports this.
            self.nudged = printer.print(NUDGE.to_owned()).is_ok();
        }
    }
}

/// Returns whether the terminal is of a type on which rustyline does not draw.
pub fn is_dumb() -> bool {
    let dumb = ["dumb", "cons25", "emacs"];
    env::var("TERM").is_ok_and(|term| dumb.iter().any(|name| name.eq_ignore_ascii_case(&term)))
}

#[cfg(test)]
mod tests {
    use mio::{Poll, Token};

    use super::*;

    #[test]
    fn nothing_is_entered_when_the_program_ends() {
        let poll = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
        let prompt = SharedPrompt::new(waker, 0, Style::new());
        prompt.set_duplex(true);
        let turn = Prompt {
            peer: Some(Peer::Server),
            waiting: 0,
        };
        prompt.set_turn(turn, Awaited::AServer);
        prompt.start().unwrap();
        // Keys that were waiting are no answer to what is not drawn yet.
        assert_eq!(prompt.accept(false), Err(Awaited::AServer));
        prompt.draw(None).unwrap();
        assert_eq!(prompt.accept(false), Ok(()));
        prompt.close();
        assert_eq!(prompt.accept(false), Err(Awaited::AServer));
    }
}
