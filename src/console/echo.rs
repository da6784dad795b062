//! Keeps what is typed between two prompts from being drawn by the terminal itself: it
//! stays in the terminal's buffer, and the next prompt shows it.

use std::io;
use std::sync::{Mutex, PoisonError};

use nix::sys::signal::{Signal, kill};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::Pid;

/// The echo of the terminal that the user types at. Whoever turns it off sees to it that
/// it is restored on every way out.
#[derive(Debug, Default)]
pub(super) struct Echo {
    /// How the terminal was before.
    before: Mutex<Option<Termios>>,
}

impl Echo {
    /// Turns the echo off, if it is not off already. A terminal that is gone has none.
    pub(super) fn turn_off(&self) {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if before.is_none()
            && let Ok(mode) = tcgetattr(io::stdin())
        {
            let mut silent = mode.clone();
            // Line by line, a Ctrl-D between two prompts would be lost.
            silent
                .local_flags
                .remove(LocalFlags::ECHO | LocalFlags::ICANON);
            set(&silent);
            *before = Some(mode);
        }
    }

    /// Puts the terminal back as it was; nobody can turn the echo off while what is returned
    /// is held.
    pub(super) fn restore(&self) -> impl Drop {
        let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mode) = before.take() {
            set(&mode);
        }
        before
    }

    /// Stops the program at a prompt on `screen`, as Ctrl-Z asks for, with the terminal as
    /// it was before, and returns when it goes on. rustyline would leave the echo off, and
    /// not every shell turns it on.
    pub(super) fn stop(&self, mut screen: impl io::Write) {
        const BRACKETED_PASTE: [&str; 2] = ["\x1b[?2004l", "\x1b[?2004h"];
        let before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(before), Ok(now)) = (&*before, tcgetattr(io::stdin())) {
            // With a hint that stands behind the cursor wiped.
            let _ = writeln!(screen, "{}\x1b[J", BRACKETED_PASTE[0]);
            set(before);
            // The whole group, as the terminal itself would do it.
            let _ = kill(Pid::from_raw(0), Signal::SIGTSTP);
            set(&now);
            let _ = write!(screen, "{}", BRACKETED_PASTE[1]);
        }
    }
}

/// Sets how the terminal works; one that is gone needs nothing. At once, and not when all
/// is written: the end of the program must not wait for a long message.
fn set(mode: &Termios) {
    let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, mode);
}
