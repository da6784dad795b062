//! Windows: the console mode and Ctrl-C.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::os::windows::io::AsHandle;
use std::process::{self, Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossterm_winapi::{ConsoleMode, Handle};
use mio::Waker;
use mio::net::TcpStream;

use super::{INTERRUPTED_STATUS, Trouble};

/// The error code for too many open sockets (`WSAEMFILE`).
pub(super) const OUT_OF_DESCRIPTORS: [i32; 1] = [10024];

/// Returns an unbuffered handle for stdout. Fails if there is none.
pub fn stdout() -> io::Result<File> {
    unbuffered(io::stdout())
}

/// Returns an unbuffered handle for `stream`. Fails if there is none.
pub(super) fn unbuffered(stream: impl AsHandle) -> io::Result<File> {
    Ok(stream.as_handle().try_clone_to_owned()?.into())
}

/// Returns whether there is a console to draw a prompt on, even if it is not stdout.
pub fn has_screen() -> bool {
    io::stdout().is_terminal() || Handle::current_out_handle().is_ok()
}

/// Calls `read`: a console keeps a line until it is entered, and drops it at the end of the program.
pub fn with_begun_line<T>(read: impl FnOnce() -> T) -> T {
    read()
}

/// Returns `true`: rustyline can use any handle.
pub fn has_room_for_prompt() -> bool {
    true
}

/// The user's console, in a mode that reads keys one by one.
#[derive(Debug)]
pub struct Terminal {
    saved: Vec<(ConsoleMode, u32)>,
}

impl Terminal {
    /// Saves the modes of the console, which rustyline changes. Never calls `_notify`: the console
    /// passes on characters, not bytes. Fails if there is no console.
    pub fn open(_notify: impl Fn(Trouble) + Send + Sync + 'static) -> io::Result<Self> {
        let mut saved = Vec::new();
        for handle in [Handle::current_in_handle()?, Handle::current_out_handle()?] {
            let console = ConsoleMode::from(handle);
            let mode = console.mode()?;
            saved.push((console, mode));
        }
        Ok(Self { saved })
    }

    /// Does nothing: keys are echoed only while they are read.
    pub fn silence(&self) {}

    /// Restores the saved modes.
    pub fn restore(&self) {
        for (console, mode) in &self.saved {
            // Fails only if the console is gone.
            let _ = console.set_mode(*mode);
        }
    }

    /// Does nothing: Windows cannot suspend a program.
    pub fn suspend(&self) {}

    /// Does nothing, either.
    pub fn take() {}
}

/// The handler of Ctrl-C while no prompt reads it.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    received: Arc<AtomicBool>,
    waker: Arc<OnceLock<Arc<Waker>>>,
}

impl Signals {
    /// Makes Ctrl-C end the program immediately with [`INTERRUPTED_STATUS`]. Fails if the handler
    /// cannot be installed.
    pub fn take_over(_at_terminal: bool) -> io::Result<Self> {
        let signals = Self::default();
        let called = signals.clone();
        ctrlc::set_handler(move || match called.waker.get() {
            Some(waker) if !called.received.swap(true, Ordering::SeqCst) => {
                let _ = waker.wake();
            }
            _ => process::exit(INTERRUPTED_STATUS.into()),
        })
        .map_err(io::Error::other)?;
        Ok(signals)
    }

    /// Makes the first Ctrl-C wake `waker`; only a second one ends the program immediately. Never
    /// fails.
    pub fn report_to(&mut self, waker: &Arc<Waker>) -> io::Result<()> {
        self.waker.get_or_init(|| Arc::clone(waker));
        Ok(())
    }

    /// Returns whether [`Signals::report_to`] was called.
    pub fn are_reported(&self) -> bool {
        self.waker.get().is_some()
    }

    /// Returns whether Ctrl-C was pressed.
    pub fn received(&self) -> bool {
        self.received.load(Ordering::SeqCst)
    }
}

/// Returns `max`: Windows has no limit of handles to care for.
pub fn room_for(max: u16) -> u16 {
    max
}

/// Returns `None`: no handles are reserved.
pub fn moved_up(_: &TcpStream) -> Option<TcpStream> {
    None
}

/// Returns `command` as it is: [`kill_group`] finds what it starts by itself.
pub fn in_own_group(command: &mut Command) -> &mut Command {
    command
}

/// Kills `child` and all that it has started.
pub fn kill_group(child: &mut Child) {
    let pid = child.id().to_string();
    // Only Windows' own program knows the children without unsafe code.
    let _ = Command::new("taskkill")
        .args(["/F", "/T", "/PID", &pid])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = child.kill();
}

/// Returns `None`: the system does not tell how much of a pipe was read.
pub fn is_pipe_empty(_: &ChildStdin) -> Option<bool> {
    None
}

/// Does nothing: it is an error here.
pub fn outlive_full_files() {}

/// Returns what Ctrl-C sets, which then does not end the program any more. Fails if the handler
/// cannot be installed.
pub fn interruption() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    let set = Arc::clone(&interrupted);
    ctrlc::set_handler(move || set.store(true, Ordering::SeqCst)).map_err(io::Error::other)?;
    Ok(interrupted)
}
