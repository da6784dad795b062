//! Ends the prompt from outside: when the peer calls, or when the program must stop.
//!
//! rustyline has no way to cancel a prompt, but while it reads it owns SIGINT, which
//! makes it give up with the terminal restored. So whoever wants the prompt to end sends
//! SIGINT to the thread at the prompt, again and again until it has been left.

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::echo::Echo;

/// The exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it.
pub const INTERRUPTED_STATUS: u8 = 130;

/// How long to wait before SIGINT is sent again.
const AGAIN: Duration = Duration::from_millis(5);
/// What was typed before the call is left to the editor for so long at most.
const TYPED_AHEAD: Duration = Duration::from_millis(200);

/// What calls the user away from the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// The connection has something to receive.
    Incoming,
    /// SIGTERM or SIGHUP.
    Stop,
}

/// Makes Ctrl-C and SIGTERM end the program on the spot, with the status that is
/// documented for it: where no prompt changes the terminal, nothing has to be restored.
pub(super) fn exit_on_signals() -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    for signal in [SIGINT, SIGTERM] {
        let status = INTERRUPTED_STATUS.into();
        flag::register_conditional_shutdown(signal, status, Arc::clone(&always))?;
    }
    Ok(())
}

/// The signals that end the program, and the prompt that they must end first.
#[derive(Debug)]
pub(super) struct Interrupts {
    signals: Arc<Signals>,
    /// Holds a byte when the prompt has been left, written at the other end.
    left: UnixStream,
    leave: UnixStream,
}

#[derive(Debug)]
struct Signals {
    /// Locked while a prompt is shown, which ends in order; at all other times a signal
    /// ends the program on the spot.
    prompting: Mutex<()>,
    /// Holds a byte after SIGTERM or SIGHUP.
    stop: UnixStream,
    /// Holds a byte after a SIGINT that came when rustyline was not reading.
    interrupt: UnixStream,
}

impl Interrupts {
    /// Takes SIGINT, SIGTERM and SIGHUP over. When one of them ends the program on the
    /// spot, `echo` is restored first.
    pub(super) fn install(echo: Arc<Echo>) -> io::Result<Self> {
        let (stop, stopped) = UnixStream::pair()?;
        let (interrupt, interrupted) = UnixStream::pair()?;
        let (left, leave) = UnixStream::pair()?;
        for stream in [&stop, &interrupt, &left] {
            stream.set_nonblocking(true)?;
        }
        low_level::pipe::register(SIGINT, interrupted)?;
        low_level::pipe::register(SIGTERM, stopped.try_clone()?)?;
        low_level::pipe::register(SIGHUP, stopped)?;
        let signals = Arc::new(Signals {
            prompting: Mutex::new(()),
            stop,
            interrupt,
        });
        let watched = Arc::clone(&signals);
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || watched.exit_when_called(&echo))?;
        Ok(Self {
            signals,
            left,
            leave,
        })
    }

    /// Runs `prompt`, which lets rustyline read, and ends it when something calls: when
    /// `connection` becomes readable, or at SIGTERM or SIGHUP. Until then, `tick` is
    /// called every second. `ready` says that rustyline has drawn, and so owns SIGINT.
    ///
    /// Returns what the prompt returned, and what called, if anything did. A call does
    /// not end the prompt before it has taken in what was typed before: none of that may
    /// be taken for the answer to what is shown next.
    pub(super) fn while_prompting<T>(
        &self,
        connection: BorrowedFd<'_>,
        prompt: impl FnOnce() -> T,
        ready: impl Fn() -> bool + Send,
        tick: impl Fn() + Send,
    ) -> io::Result<(T, Option<Call>)> {
        let signals = &self.signals;
        let _prompting = signals.lock();
        // One that came just before is no stray of ours.
        let early = drain(&signals.interrupt);
        let prompting = pthread_self();
        let (value, call) = thread::scope(|scope| {
            // Also when rustyline panics, or the watcher would be waited for for ever.
            let leaving = Leaving(&self.leave);
            let watcher = scope.spawn(|| self.watch(connection, early, prompting, ready, tick));
            let value = prompt();
            drop(leaving);
            (value, watcher.join())
        });
        let call = call.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        drain(&self.left);
        // A SIGINT of ours that rustyline was too late for is no Ctrl-C.
        let interrupted = drain(&signals.interrupt) && call.is_none();
        let stopped = drain(&signals.stop) || interrupted;
        Ok((value, if stopped { Some(Call::Stop) } else { call }))
    }

    fn watch(
        &self,
        connection: BorrowedFd<'_>,
        early: bool,
        prompting: Pthread,
        ready: impl Fn() -> bool,
        tick: impl Fn(),
    ) -> io::Result<Option<Call>> {
        let second = PollTimeout::from(1000_u16);
        let call = loop {
            if early {
                break Call::Stop;
            }
            let fds = [self.left.as_fd(), self.signals.stop.as_fd(), connection];
            match readable(fds, second)? {
                [true, ..] => return Ok(None),
                [_, true, _] => break Call::Stop,
                [.., true] => break Call::Incoming,
                _ => tick(),
            }
        };
        let stdin = io::stdin();
        let patience = Instant::now() + TYPED_AHEAD;
        let again = PollTimeout::try_from(AGAIN).expect("it is short");
        loop {
            let typed = readable([stdin.as_fd()], PollTimeout::ZERO)? == [true];
            if ready() && (!typed || Instant::now() > patience) {
                pthread_kill(prompting, Signal::SIGINT)?;
            }
            if readable([self.left.as_fd()], again)? == [true] {
                return Ok(Some(call));
            }
        }
    }
}

impl Signals {
    fn lock(&self) -> MutexGuard<'_, ()> {
        self.prompting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a signal at a time when no prompt is shown, and ends the program.
    fn exit_when_called(&self, echo: &Echo) {
        let fds = [self.stop.as_fd(), self.interrupt.as_fd()];
        loop {
            if readable(fds, PollTimeout::NONE).is_err() {
                return;
            }
            let _at_rest = self.lock();
            if !matches!(readable(fds, PollTimeout::ZERO), Ok([false, false])) {
                echo.restore();
                process::exit(INTERRUPTED_STATUS.into());
            }
        }
    }
}

/// Tells the watcher, when dropped, that the prompt has been left.
struct Leaving<'a>(&'a UnixStream);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let mut stream = self.0;
        let _ = stream.write_all(b"x");
    }
}

/// Which of `fds` have something to read or have ended, after `timeout` at most; all
/// `false` as well when a signal came.
fn readable<const N: usize>(
    fds: [BorrowedFd<'_>; N],
    timeout: PollTimeout,
) -> io::Result<[bool; N]> {
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    match poll(&mut fds, timeout) {
        Ok(_) => Ok(fds.map(|fd| fd.any() == Some(true))),
        Err(nix::errno::Errno::EINTR) => Ok([false; N]),
        Err(errno) => Err(errno.into()),
    }
}

/// Empties a stream that does not block, and says whether there was anything in it.
fn drain(mut stream: &UnixStream) -> bool {
    let mut buffer = [0; 64];
    let mut any = false;
    while stream.read(&mut buffer).is_ok_and(|count| count > 0) {
        any = true;
    }
    any
}
