//! Linux, macOS, FreeBSD and Android: termios(3), signals, and the descriptor limit.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{self, Child, ChildStdin, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use mio::Waker;
use mio::net::TcpStream;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getrlimit, kill_current_process_group, kill_process_group,
    setrlimit,
};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGWINCH, SIGXFSZ};
use signal_hook::{flag, low_level};

use super::{INTERRUPTED_STATUS, Trouble, stdin};

/// The number of lowest descriptors not used for clients: rustyline opens some for each prompt,
/// and waits with select(2), which accepts only descriptors below 1024.
const RESERVED: u16 = 64;

/// The error codes for too many open files, of the process and of the system.
pub(super) const OUT_OF_DESCRIPTORS: [i32; 2] =
    [Errno::MFILE.raw_os_error(), Errno::NFILE.raw_os_error()];

/// How long SIGTSTP may take to stop the program.
const STOPPING: Duration = Duration::from_millis(200);

/// How long the program may take to end after a signal, before it is ended.
const ENDING: Duration = Duration::from_secs(2);

/// How long it may take to restore the terminal then.
const RESTORING: Duration = Duration::from_millis(100);

/// What a terminal sends before and after a paste, and for Ctrl-C.
const PASTE_START: &str = "\x1b[200~";
const PASTE_END: &str = "\x1b[201~";
const CTRL_C: &[u8] = b"\x03";

const PASTE_OFF: &str = "\x1b[?2004l";
const PASTE_ON: &str = "\x1b[?2004h";

/// Whether stdout was closed when the program started.
static STDOUT_WAS_CLOSED: AtomicBool = AtomicBool::new(false);

/// What the system calls before `main`, and so before std opens /dev/null in the place of a closed
/// stdout: from then on, nothing tells it from a /dev/null that the user asked for.
#[used]
#[cfg_attr(
    target_vendor = "apple",
    unsafe(link_section = "__DATA,__mod_init_func")
)]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
#[expect(
    unsafe_code,
    reason = "the section holds such functions, and what this one calls needs nothing of std's"
)]
static BEFORE_MAIN: extern "C" fn() = look_at_stdout;

extern "C" fn look_at_stdout() {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdout()) == Err(Errno::BADF);
    STDOUT_WAS_CLOSED.store(closed, Ordering::Relaxed);
}

/// Returns an unbuffered handle for stdout. Fails if stdout was closed when the program started, or
/// if no descriptor is left.
pub fn stdout() -> io::Result<File> {
    if STDOUT_WAS_CLOSED.load(Ordering::Relaxed) {
        return Err(Errno::BADF.into());
    }
    unbuffered(io::stdout())
}

/// Returns an unbuffered handle for `stream`. Fails if no descriptor is left.
pub(super) fn unbuffered(stream: impl AsFd) -> io::Result<File> {
    Ok(stream.as_fd().try_clone_to_owned()?.into())
}

/// Returns whether there is a terminal to draw a prompt on: stdout, or else the controlling
/// terminal (tty(4)).
pub fn has_screen() -> bool {
    io::stdout().is_terminal() || controlling_terminal().is_ok()
}

fn controlling_terminal() -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open("/dev/tty")
}

/// Returns whether there are descriptors for a prompt, low enough for rustyline, which waits with
/// select(2).
pub fn has_room_for_prompt() -> bool {
    // A prompt has been seen to need 17 of them.
    let opened: io::Result<Vec<_>> = (0..24).map(|_| File::open("/dev/null")).collect();
    opened.is_ok_and(|files| files.iter().all(|file| file.as_raw_fd() < 1024 - 64))
}

/// The user's terminal, its mode when the program started, and that in which it reads keys.
static SAVED: OnceLock<(File, [Termios; 2])> = OnceLock::new();

/// Restores the mode of the user's terminal, if the program has changed it, and turns bracketed paste
/// off.
fn restore_terminal() {
    if let Some((tty, [saved, _])) = SAVED.get() {
        set_mode(tty, saved);
        draw(PASTE_OFF);
    }
}

/// Sets the mode of a terminal.
fn set_mode(tty: &File, mode: &Termios) {
    // Not `Drain`: the end of the program must not wait for a terminal that is stopped. Fails
    // only if the terminal is gone.
    let _ = tcsetattr(tty, OptionalActions::Now, mode);
}

/// Calls `read` while the terminal at stdin hands out what was typed of a line before it is entered.
pub fn with_begun_line<T>(read: impl FnOnce() -> T) -> T {
    let Ok(saved) = tcgetattr(io::stdin()) else {
        return read();
    };
    let mut begun = saved.clone();
    begun.local_modes.remove(LocalModes::ICANON);
    let set = |mode| tcsetattr(io::stdin(), OptionalActions::Now, mode);
    // Fails only if the terminal is gone.
    let _ = set(&begun);
    let read = read();
    let _ = set(&saved);
    read
}

/// The user's terminal, in a mode that reads keys one by one.
#[derive(Debug)]
pub struct Terminal {
    /// SIGCONT was received.
    continued: Arc<AtomicBool>,
}

impl Terminal {
    /// Saves the mode of the terminal at stdin and makes it pass keys on as they are typed. If
    /// stdout is not a terminal, connects it to the controlling terminal.
    ///
    /// Replaces stdin by a pseudoterminal that omits bytes that are not UTF-8: rustyline would
    /// lose what it has read together with them. Calls `notify` for each of them, when the terminal is
    /// gone, and when the program is continued: then call [`Terminal::take`].
    ///
    /// Fails if the terminal is gone.
    pub fn open(notify: impl Fn(Trouble) + Send + Sync + 'static) -> io::Result<Self> {
        let tty = stdin()?;
        let saved = tcgetattr(&tty)?;
        let mut raw = saved.clone();
        raw.make_raw();
        // Drawn newlines still start a row, and a serial line stays as it is.
        raw.output_modes = saved.output_modes;
        raw.control_modes = saved.control_modes;
        if !io::stdout().is_terminal() {
            rustix::stdio::dup2_stdout(controlling_terminal()?)?;
        }
        let continued = Arc::default();
        flag::register(SIGCONT, Arc::clone(&continued))?;
        let (mut signals, sender) = UnixStream::pair()?;
        low_level::pipe::register(SIGCONT, OwnedFd::from(sender))?;
        let (tty, [_, raw]) = SAVED.get_or_init(|| (tty, [saved, raw]));
        let notify = Arc::new(notify);
        let told = Arc::clone(&notify);
        let thread = thread::Builder::new().name("continue".into());
        thread.spawn(move || {
            while signals.read_exact(&mut [0]).is_ok() {
                told(Trouble::Continued);
            }
        })?;
        // Without a pseudoterminal, rustyline reads the terminal itself.
        if let Ok((keys, read_end)) = pseudoterminal(raw) {
            rustix::stdio::dup2_stdin(read_end)?;
            let thread = thread::Builder::new().name("keys".into());
            thread.spawn(move || {
                // Fails only if the terminal is gone, too.
                let _ = pass_on(tty, keys, &*notify);
                notify(Trouble::Gone);
            })?;
        }
        set_mode(tty, raw);
        Ok(Self { continued })
    }

    /// Restores the saved mode, but for the echo of keys.
    pub fn silence(&self) {
        if let Some((tty, [saved, _])) = SAVED.get() {
            let mut mode = saved.clone();
            mode.local_modes.remove(LocalModes::ECHO);
            set_mode(tty, &mode);
        }
    }

    /// Restores the saved mode and turns bracketed paste off.
    pub fn restore(&self) {
        restore_terminal();
    }

    /// Suspends the program, as Ctrl-Z does, with the saved mode. Returns when it is resumed: then call
    /// [`Terminal::take`].
    pub fn suspend(&self) {
        draw("\n\x1b[J");
        self.restore();
        self.continued.store(false, Ordering::SeqCst);
        // The terminal sends the signal to the whole process group, too.
        let _ = kill_current_process_group(Signal::TSTP);
        // Another thread may take the signal, a moment later; or the program cannot be stopped.
        let start = Instant::now();
        while !self.continued.load(Ordering::SeqCst) && start.elapsed() < STOPPING {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Takes the terminal back from what else has used it.
    pub fn take() {
        if let Some((tty, [_, raw])) = SAVED.get() {
            set_mode(tty, raw);
            draw(PASTE_ON);
            // A program that is stopped is not told of another width. This thread handles the signal at
            // once, and thus before the prompt is redrawn.
            let _ = low_level::raise(SIGWINCH);
        }
    }
}

/// Writes to the screen.
fn draw(text: &str) {
    // Fails only if the terminal is gone.
    let _ = rustix::io::write(io::stdout(), text.as_bytes());
}

/// Opens a pseudoterminal in `mode`. Returns the end to write keys to and the end to read them
/// from. Fails if the system has none left.
fn pseudoterminal(mode: &Termios) -> io::Result<(File, OwnedFd)> {
    let keys = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&keys)?;
    unlockpt(&keys)?;
    let path = ptsname(&keys, Vec::new())?;
    let read_end = rustix::fs::open(path, OFlags::RDWR | OFlags::NOCTTY, Mode::empty())?;
    tcsetattr(&read_end, OptionalActions::Now, mode)?;
    Ok((keys.into(), read_end))
}

/// Copies from `tty` to `keys`, without the bytes that are not UTF-8 and the control characters of
/// pastes, until the terminal is gone.
fn pass_on(mut tty: &File, mut keys: File, notify: &impl Fn(Trouble)) -> io::Result<()> {
    let mut buffer = [0; 1024];
    // The number of bytes at the start of the buffer: the beginning of a character.
    let mut held = 0;
    let mut paste = Paste::default();
    while let count @ 1.. = tty.read(&mut buffer[held..])? {
        let end = held + count;
        if paste.is_open && buffer[held..end] == *CTRL_C {
            // The end of the paste is lost: without one, rustyline takes every key for text.
            paste = Paste::default();
            keys.write_all(PASTE_END.as_bytes())?;
        }
        let mut typed = &buffer[..end];
        held = loop {
            let (valid, invalid) = match str::from_utf8(typed) {
                Ok(valid) => (valid, None),
                Err(error) => {
                    let valid = str::from_utf8(&typed[..error.valid_up_to()]);
                    (valid.unwrap_or_default(), Some(error.error_len()))
                }
            };
            keys.write_all(paste.filter(valid).as_bytes())?;
            typed = &typed[valid.len()..];
            match invalid {
                None => break 0,
                Some(None) => break typed.len(),
                Some(Some(length)) => {
                    notify(Trouble::NotUtf8);
                    typed = &typed[length..];
                }
            }
        };
        buffer.copy_within(end - held..end, 0);
    }
    Ok(())
}

/// Where what is typed is pasted.
#[derive(Debug, Default)]
struct Paste {
    /// Whether a paste has begun and not ended.
    is_open: bool,
    /// The number of characters at the end that begin the next mark.
    matched: usize,
}

impl Paste {
    /// Returns `typed` without the control characters in pastes, except tabs and newlines: rustyline
    /// would draw them, or take an escape sequence, and with it the end of the paste, for a key.
    fn filter(&mut self, typed: &str) -> String {
        let mut kept = String::with_capacity(typed.len());
        for c in typed.chars() {
            let mark = if self.is_open { PASTE_END } else { PASTE_START };
            if mark[self.matched..].starts_with(c) {
                self.matched += 1;
                let is_whole = self.matched == mark.len();
                if !self.is_open {
                    kept.push(c);
                } else if is_whole {
                    kept += mark;
                }
                if is_whole {
                    self.is_open = !self.is_open;
                    self.matched = 0;
                }
                continue;
            }
            if self.is_open && self.matched > 0 {
                // It is no mark, so that what follows its Escape is text.
                kept += &mark[1..self.matched];
            }
            self.matched = usize::from(mark.starts_with(c));
            if !self.is_open || !c.is_control() || matches!(c, '\t' | '\n' | '\r') {
                kept.push(c);
            }
        }
        kept
    }
}

/// The signals that end the program; the last two only at a terminal.
const ALL: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];

/// The handlers of the signals that end the program.
#[derive(Debug)]
pub struct Signals {
    handled: &'static [i32],
    /// Whether the next signal ends the program immediately.
    at_once: Arc<AtomicBool>,
    are_reported: bool,
    received: Arc<AtomicBool>,
}

impl Signals {
    /// Makes SIGINT and SIGTERM, at a terminal also SIGHUP and SIGQUIT, end the program immediately
    /// with [`INTERRUPTED_STATUS`]. Fails as sigaction(2) does.
    pub fn take_over(at_terminal: bool) -> io::Result<Self> {
        let at_once = Arc::new(AtomicBool::new(true));
        let handled: &[_] = if at_terminal { &ALL } else { &ALL[..2] };
        for signal in handled {
            let status = INTERRUPTED_STATUS.into();
            flag::register_conditional_shutdown(*signal, status, Arc::clone(&at_once))?;
        }
        Ok(Self {
            handled,
            at_once,
            are_reported: false,
            received: Arc::default(),
        })
    }

    /// Makes the first signal wake `waker`. If the program has not ended two seconds later, as the
    /// terminal takes no output, the terminal is restored and the program ended. Fails if no descriptor
    /// or thread is left.
    pub fn report_to(&mut self, waker: &Arc<Waker>) -> io::Result<()> {
        let (mut signals, sender) = UnixStream::pair()?;
        let sender = OwnedFd::from(sender);
        for signal in self.handled {
            low_level::pipe::register(*signal, sender.try_clone()?)?;
        }
        let (received, waker) = (Arc::clone(&self.received), Arc::clone(waker));
        let at_once = Arc::clone(&self.at_once);
        let thread = thread::Builder::new().name("signals".into());
        thread.spawn(move || {
            if signals.read_exact(&mut [0]).is_err() {
                return;
            }
            received.store(true, Ordering::SeqCst);
            // Fails only if the program has ended.
            let _ = waker.wake();
            thread::sleep(ENDING);
            at_once.store(true, Ordering::SeqCst);
            // It may have to wait, too.
            let _ = thread::Builder::new().spawn(restore_terminal);
            thread::sleep(RESTORING);
            process::exit(INTERRUPTED_STATUS.into());
        })?;
        self.are_reported = true;
        self.at_once.store(false, Ordering::SeqCst);
        Ok(())
    }

    /// Returns whether [`Signals::report_to`] was called.
    pub fn are_reported(&self) -> bool {
        self.are_reported
    }

    /// Returns whether a signal has arrived.
    pub fn received(&self) -> bool {
        self.received.load(Ordering::SeqCst)
    }
}

/// Raises the soft descriptor limit for `max` clients, as far as the hard limit allows
/// (getrlimit(2)). Returns for how many clients it is enough: at least 1, at most `max`.
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
pub fn moved_up(stream: &TcpStream) -> Option<TcpStream> {
    let fd = rustix::io::fcntl_dupfd_cloexec(stream, RESERVED.into()).ok()?;
    Some(TcpStream::from_std(fd.into()))
}

/// Makes `command` start a process group of its own (setpgid(2)), which [`kill_group`] ends.
pub fn in_own_group(command: &mut Command) -> &mut Command {
    command.process_group(0)
}

/// Kills `child`, and its process group, which [`in_own_group`] has made.
pub fn kill_group(child: &mut Child) {
    // Fails if all of it has ended.
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    // It may have left the group.
    let _ = child.kill();
}

/// Returns whether the process at the other end has read all that was written to `pipe` (`FIONREAD`);
/// `None` on systems that do not tell at this end.
pub fn is_pipe_empty(pipe: &ChildStdin) -> Option<bool> {
    let unread = rustix::io::ioctl_fionread(pipe).ok()?;
    cfg!(any(target_os = "linux", target_os = "android")).then_some(unread == 0)
}

/// Makes a write to a file that may not grow an error, instead of an end of the program.
pub fn outlive_full_files() {
    // Fails only for a signal that cannot be handled.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// Returns what the signals that end the program set, which then do not end it any more. Fails as
/// sigaction(2) does.
pub fn interruption() -> io::Result<Arc<AtomicBool>> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in ALL {
        flag::register(signal, Arc::clone(&interrupted))?;
    }
    Ok(interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paste_has_no_control_characters_and_ends_wherever_it_is_split() {
        let end = "\x1b[201~";
        for (pasted, kept) in [
            ("one\r\ttwo\n", "one\r\ttwo\n"),
            ("a\x1b[31mb", "a[31mb"),
            ("a\x08\x07\x7f\u{9b}\x00b", "ab"),
            ("a\x1b", "a"),
            ("a\x1b\x1b[", "a["),
            ("a\x1b[20", "a[20"),
            ("a\x1b[201", "a[201"),
            ("a\x1b[200~b", "a[200~b"),
            ("gr\u{fc}ezi", "gr\u{fc}ezi"),
        ] {
            let typed = format!("\x1b\x1b[A\x03\x1b[200~{pasted}{end}\x1b\x08\x1b[200~x{end}");
            let passed = format!("\x1b\x1b[A\x03\x1b[200~{kept}{end}\x1b\x08\x1b[200~x{end}");
            for (at, _) in typed.char_indices() {
                let mut paste = Paste::default();
                let (first, rest) = typed.split_at(at);
                let both = paste.filter(first) + &paste.filter(rest);
                assert_eq!(both, passed, "{pasted:?} at {at}");
                assert!(!paste.is_open);
            }
        }
    }

    #[test]
    fn a_key_is_passed_on_at_once() {
        let mut paste = Paste::default();
        for key in ["\x1b", "\x1b[", "20", "a", "\x1b[A", "\x1b[200"] {
            assert_eq!(paste.filter(key), key);
        }
    }
}
