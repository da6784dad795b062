//! Windows: the console mode and Ctrl-C.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IsTerminal as _};
use std::os::windows::io::AsHandle as _;
use std::path::Path;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossterm_winapi::{ConsoleMode, Handle};
use mio::{Registry, Token, Waker};

use super::{INTERRUPTED_STATUS, Trouble};

/// The Winsock error code for too many open sockets.
const WSAEMFILE: i32 = 10024;

/// The error code for a pipe whose other end is closed.
const ERROR_PIPE_NOT_CONNECTED: i32 = 233;

/// Returns an unbuffered handle for stdin. Fails if there is none.
pub fn stdin() -> io::Result<File> {
    Ok(io::stdin().as_handle().try_clone_to_owned()?.into())
}

/// Returns an unbuffered handle for stdout. Fails if there is none.
pub fn stdout() -> io::Result<File> {
    Ok(io::stdout().as_handle().try_clone_to_owned()?.into())
}

/// Returns whether there is a console to draw a prompt on, even if it is not stdout.
#[must_use]
pub fn has_screen() -> bool {
    io::stdout().is_terminal() || Handle::current_out_handle().is_ok()
}

/// Returns `true`: rustyline can use any handle.
#[must_use]
pub fn is_below_select() -> bool {
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
    pub fn open(_notify: impl Fn(Trouble) + Send + 'static) -> io::Result<Self> {
        let mut saved = Vec::new();
        for handle in [Handle::current_in_handle()?, Handle::current_out_handle()?] {
            let console = ConsoleMode::from(handle);
            let mode = console.mode()?;
            saved.push((console, mode));
        }
        Ok(Self { saved })
    }

    /// Restores the saved modes.
    pub fn restore(&self) {
        for (console, mode) in &self.saved {
            // Fails only if the console is gone.
            let _ = console.set_mode(*mode);
        }
    }

    /// Does nothing: Windows cannot suspend a program.
    pub fn suspend(&self) {}
}

/// The handler of Ctrl-C while no prompt reads it.
#[derive(Debug)]
pub struct Signals {
    handler: Arc<Handler>,
}

#[derive(Debug, Default)]
struct Handler {
    received: AtomicBool,
    waker: OnceLock<Arc<Waker>>,
}

impl Signals {
    /// Makes Ctrl-C end the program immediately with [`INTERRUPTED_STATUS`]. Fails if the handler
    /// cannot be installed.
    pub fn take_over(_at_terminal: bool) -> io::Result<Self> {
        let handler = Arc::new(Handler::default());
        let called = Arc::clone(&handler);
        ctrlc::set_handler(move || match called.waker.get() {
            Some(waker) if !called.received.swap(true, Ordering::SeqCst) => {
                let _ = waker.wake();
            }
            _ => process::exit(INTERRUPTED_STATUS.into()),
        })
        .map_err(io::Error::other)?;
        Ok(Self { handler })
    }

    /// Makes the first Ctrl-C wake `waker`; only a second one ends the program immediately. Never
    /// fails.
    pub fn report_to(&mut self, _: &Registry, _: Token, waker: &Arc<Waker>) -> io::Result<()> {
        self.handler.waker.get_or_init(|| Arc::clone(waker));
        Ok(())
    }

    /// Returns whether Ctrl-C was pressed.
    pub fn received(&mut self) -> bool {
        self.handler.received.load(Ordering::SeqCst)
    }
}

/// Returns `options` unchanged: a file inherits the permissions of its folder, and other users
/// cannot access the user's profile.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Creates a folder and its parents, with inherited permissions. Fails as [`DirBuilder::create`]
/// does.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).create(path)
}

/// Returns `max`: Windows has no limit of handles to care for.
#[must_use]
pub fn room_for(max: u16) -> u16 {
    max
}

/// Returns `None`: no handles are reserved.
#[must_use]
pub fn moved_up(_: &mio::net::TcpStream) -> Option<mio::net::TcpStream> {
    None
}

/// Returns whether a call failed because no socket is left.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    error.raw_os_error() == Some(WSAEMFILE)
}

/// Returns the error of a call that fails because no socket is left.
#[must_use]
pub fn out_of_descriptors() -> io::Error {
    io::Error::from_raw_os_error(WSAEMFILE)
}

/// Returns the maximum backlog that the system allows. Windows does not tell; assume no limit.
#[must_use]
pub fn most_backlog() -> u32 {
    u32::MAX - 1
}

/// Returns whether a write failed because the other end of the pipe is closed.
#[must_use]
pub fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
        || error.raw_os_error() == Some(ERROR_PIPE_NOT_CONNECTED)
}
