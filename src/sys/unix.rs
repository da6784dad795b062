//! Linux, macOS, FreeBSD and Android: termios(3), signals, and the descriptor limit.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::net::TcpStream;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memmem;
use mio::{Interest, Registry, Token, Waker};
use rustix::fs::OFlags;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, kill_current_process_group, setrlimit};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

use super::{INTERRUPTED_STATUS, Trouble};

/// The number of lowest descriptors not used for clients: rustyline opens some for each prompt,
/// and waits with select(2), which accepts only descriptors below 1024.
const RESERVED: u16 = 64;

/// How long SIGTSTP may take to stop the program.
const STOPPING: Duration = Duration::from_millis(200);

/// What a terminal sends before and after a paste, and for Ctrl-C.
const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";
const CTRL_C: &[u8] = b"\x03";

const PASTE_OFF: &str = "\x1b[?2004l";
const PASTE_ON: &str = "\x1b[?2004h";

/// Returns an unbuffered handle for stdin. Fails if no descriptor is left.
pub fn stdin() -> io::Result<File> {
    Ok(io::stdin().as_fd().try_clone_to_owned()?.into())
}

/// Returns an unbuffered handle for stdout. Fails if no descriptor is left.
pub fn stdout() -> io::Result<File> {
    Ok(io::stdout().as_fd().try_clone_to_owned()?.into())
}

/// Returns whether there is a terminal to draw a prompt on: stdout, or else the controlling
/// terminal (tty(4)).
#[must_use]
pub fn has_screen() -> bool {
    io::stdout().is_terminal() || controlling_terminal().is_ok()
}

fn controlling_terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Returns whether the descriptors that are opened next are low enough for rustyline, which waits
/// with select(2).
#[must_use]
pub fn is_below_select() -> bool {
    // Rustyline opens some more.
    File::open("/dev/null").is_ok_and(|file| file.as_raw_fd() < 1024 - 64)
}

/// The user's terminal, in a mode that reads keys one by one.
#[derive(Debug)]
pub struct Terminal {
    tty: OwnedFd,
    saved: Termios,
    raw: Termios,
    /// SIGCONT was received.
    continued: Arc<AtomicBool>,
}

impl Terminal {
    /// Saves the mode of the terminal at stdin and makes it pass keys on as they are typed. If
    /// stdout is not a terminal, connects it to the controlling terminal.
    ///
    /// Replaces stdin by a pseudoterminal that omits bytes that are not UTF-8: rustyline would
    /// lose what it has read together with them. Calls `notify` for each of them, and when the
    /// terminal is gone.
    ///
    /// Fails if the terminal is gone.
    pub fn open(notify: impl Fn(Trouble) + Send + 'static) -> io::Result<Self> {
        let tty = io::stdin().as_fd().try_clone_to_owned()?;
        let saved = tcgetattr(&tty)?;
        let mut raw = saved.clone();
        raw.input_modes -= InputModes::BRKINT
            | InputModes::ICRNL
            | InputModes::INPCK
            | InputModes::ISTRIP
            | InputModes::IXON;
        raw.local_modes -=
            LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        if !io::stdout().is_terminal() {
            rustix::stdio::dup2_stdout(controlling_terminal()?)?;
        }
        let continued = Arc::default();
        flag::register(SIGCONT, Arc::clone(&continued))?;
        let terminal = Self {
            tty,
            saved,
            raw,
            continued,
        };
        // Without a pseudoterminal, rustyline reads the terminal itself.
        if let Ok((keys, read_end)) = pseudoterminal(&terminal.raw) {
            let tty = terminal.tty.try_clone()?.into();
            rustix::stdio::dup2_stdin(read_end)?;
            thread::Builder::new()
                .name("keys".into())
                .spawn(move || pass_on(tty, keys, notify))?;
        }
        terminal.set(&terminal.raw);
        Ok(terminal)
    }

    /// Restores the saved mode and turns bracketed paste off.
    pub fn restore(&self) {
        self.set(&self.saved);
        draw(PASTE_OFF);
    }

    /// Suspends the program, as Ctrl-Z does, with the saved mode. Returns when it is resumed.
    pub fn suspend(&self) {
        draw(PASTE_OFF);
        draw("\n\x1b[J");
        self.set(&self.saved);
        self.continued.store(false, Ordering::SeqCst);
        // The terminal sends the signal to the whole process group, too.
        let _ = kill_current_process_group(Signal::TSTP);
        // Another thread may take the signal, a moment later; or the program cannot be stopped.
        let start = Instant::now();
        while !self.continued.load(Ordering::SeqCst) && start.elapsed() < STOPPING {
            thread::sleep(Duration::from_millis(1));
        }
        self.set(&self.raw);
        draw(PASTE_ON);
    }

    fn set(&self, mode: &Termios) {
        // Not `Drain`: the end of the program must not wait for a terminal that is stopped. Fails
        // only if the terminal is gone.
        let _ = tcsetattr(&self.tty, OptionalActions::Now, mode);
    }
}

/// Writes to the screen.
fn draw(text: &str) {
    let mut stdout = io::stdout();
    // Fails only if the terminal is gone.
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

/// Opens a pseudoterminal in `mode`. Returns the end to write keys to and the end to read them
/// from. Fails if the system has none left.
fn pseudoterminal(mode: &Termios) -> io::Result<(File, File)> {
    let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&keys)?;
    unlockpt(&keys)?;
    let path = ptsname(&keys, Vec::new())?;
    let path = path.to_str().map_err(io::Error::other)?;
    let read_end = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(path)?;
    tcsetattr(&read_end, OptionalActions::Now, mode)?;
    Ok((keys.into(), read_end))
}

/// Copies from `tty` to `keys`, without the bytes that are not UTF-8, until the terminal is gone.
fn pass_on(mut tty: File, mut keys: File, notify: impl Fn(Trouble)) {
    let mut buffer = [0; 1024];
    let mut held = 0;
    let mut pasting = false;
    while let Ok(count @ 1..) = tty.read(&mut buffer[held..]) {
        let end = held + count;
        let typed = &buffer[held..end];
        let marks = [PASTE_START, PASTE_END].map(|mark| memmem::rfind(typed, mark));
        if pasting && typed == CTRL_C {
            // The end of the paste is lost: without one, rustyline takes every key for text.
            pasting = false;
            if keys.write_all(PASTE_END).is_err() {
                return;
            }
        } else if marks != [None, None] {
            pasting = marks[0] > marks[1];
        }
        let mut start = 0;
        held = loop {
            let (valid, invalid) = match str::from_utf8(&buffer[start..end]) {
                Ok(text) => (text.len(), None),
                Err(error) => (error.valid_up_to(), error.error_len()),
            };
            if keys.write_all(&buffer[start..start + valid]).is_err() {
                return;
            }
            start += valid;
            match invalid {
                Some(invalid) => {
                    notify(Trouble::NotUtf8);
                    start += invalid;
                }
                None => break end - start,
            }
        };
        buffer.copy_within(start..end, 0);
    }
    notify(Trouble::Gone);
}

/// The signals that end the program; the last two only at a terminal.
const ALL: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// The handlers of the signals that end the program.
#[derive(Debug)]
pub struct Signals {
    /// Whether the next signal ends the program immediately.
    at_once: Arc<AtomicBool>,
    received: Option<mio::net::UnixStream>,
}

impl Signals {
    /// Makes SIGINT and SIGTERM, at a terminal also SIGHUP and SIGQUIT, end the program immediately
    /// with [`INTERRUPTED_STATUS`]. Fails as sigaction(2) does.
    pub fn take_over(at_terminal: bool) -> io::Result<Self> {
        let at_once = Arc::new(AtomicBool::new(true));
        let signals: &[_] = if at_terminal { &ALL } else { &ALL[..2] };
        for signal in signals {
            let status = INTERRUPTED_STATUS.into();
            flag::register_conditional_shutdown(*signal, status, Arc::clone(&at_once))?;
        }
        Ok(Self {
            at_once,
            received: None,
        })
    }

    /// Makes the first signal report `token` through `registry`; only a second one ends the
    /// program immediately. Fails if no descriptor is left.
    pub fn report_to(
        &mut self,
        registry: &Registry,
        token: Token,
        _: &Arc<Waker>,
    ) -> io::Result<()> {
        let (received, sender) = UnixStream::pair()?;
        received.set_nonblocking(true)?;
        for signal in ALL {
            low_level::pipe::register(signal, sender.try_clone()?)?;
        }
        let mut received = mio::net::UnixStream::from_std(received);
        registry.register(&mut received, token, Interest::READABLE)?;
        self.received = Some(received);
        self.at_once.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Returns whether a signal has arrived.
    pub fn received(&mut self) -> bool {
        if let Some(stream) = &mut self.received
            && let Ok(1..) = stream.read(&mut [0; 64])
        {
            self.at_once.store(true, Ordering::SeqCst);
            return true;
        }
        false
    }
}

/// Makes `options` create files that only the user can access (mode 0600).
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.mode(0o600)
}

/// Creates a folder and its parents so that only the user can access them (mode 0700). Fails as
/// mkdir(2) does.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Raises the soft descriptor limit for `max` clients, as far as the hard limit allows
/// (getrlimit(2)). Returns for how many clients it is enough: at least 1, at most `max`.
#[must_use]
pub fn room_for(max: u16) -> u16 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::from(max) + u64::from(RESERVED);
    let most = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let mut current = limit.current.unwrap_or(u64::MAX);
    let raised = Rlimit {
        current: Some(most),
        ..limit
    };
    if current < most && setrlimit(Resource::Nofile, raised).is_ok() {
        current = most;
    }
    let room = current.saturating_sub(RESERVED.into()).max(1);
    u16::try_from(room).map_or(max, |room| room.min(max))
}

/// Returns `stream` with a descriptor that is not one of the reserved lowest, if one is left.
pub fn moved_up(stream: &mio::net::TcpStream) -> Option<mio::net::TcpStream> {
    let fd = rustix::io::fcntl_dupfd_cloexec(stream, RESERVED.into()).ok()?;
    Some(mio::net::TcpStream::from_std(TcpStream::from(fd)))
}

/// Returns whether a call failed because no descriptor is left.
#[must_use]
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let codes = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    codes.contains(&error.raw_os_error())
}

/// Returns the error of a call that fails because no descriptor is left.
#[must_use]
pub fn out_of_descriptors() -> io::Error {
    rustix::io::Errno::MFILE.into()
}

/// Returns the maximum backlog that the system allows (listen(2)).
#[must_use]
pub fn most_backlog() -> u32 {
    // Only Linux has the file; assume that other systems have no limit.
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    most.ok()
        .and_then(|most| most.trim().parse().ok())
        .unwrap_or(u32::MAX - 1)
}

/// Returns whether a write failed because the other end of the pipe is closed.
#[must_use]
pub fn is_reader_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}
