//! Keeps what is typed between two prompts from being drawn by the terminal itself: it
//! stays in the terminal's buffer, and the next prompt shows it. While a prompt is shown,
//! rustyline has the terminal, and gives it back with the echo when it is stopped.

use std::io;
use std::sync::{Mutex, PoisonError};

use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};

/// The echo of the terminal that the user types at. Whoever turns it off sees to it that
/// it is restored on every way out.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// How the terminal was before.
    before: Mutex<Option<Termios>>,
}

impl Echo {
    /// Turns the echo off. A terminal that is gone has none.
    pub(super) fn turn_off(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mode) = tcgetattr(io::stdin()) {
            let mut silent = mode.clone();
            silent.local_flags.remove(LocalFlags::ECHO);
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &silent);
            before.get_or_insert(mode);
        }
    }

    /// Puts the terminal back as it was.
    pub(super) fn restore(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mode) = before.take() {
            // A terminal that is gone needs no restoring.
            let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &mode);
        }
    }
}
