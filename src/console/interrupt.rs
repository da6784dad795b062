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

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::pthread::{Pthread, pthread_kill, pthread_self};
use nix::sys::signal::Signal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
use signal_hook::{flag, low_level};

use super::echo::Echo;
use super::screen::State;
use crate::explain::Log;
use crate::watch::{PollFds, Watched, is_ready, poll_until};

/// The exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it.
pub const INTERRUPTED_STATUS: u8 = 130;

/// How often the waiting line is brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait before SIGINT is sent again, in milliseconds.
const AGAIN_MS: u8 = 5;
/// What was typed before the call is left to the editor for so long at most.
const TYPED_AHEAD: Duration = Duration::from_millis(200);
/// And the rest of a paste for so long, which a slow line may need.
const PASTE: Duration = Duration::from_secs(5);

/// What calls the user away from the prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// There is news.
    Incoming,
    /// There is none, but calls were noted that are to be told.
    Noted,
    /// The program is to end.
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

/// How a prompt ended.
#[derive(Debug)]
pub(super) struct Ended<T> {
    /// What it returned.
    pub(super) value: T,
    /// What called, if anything did.
    pub(super) call: Option<Call>,
    /// No SIGINT of ours can have interrupted it.
    pub(super) unprompted: bool,
}

/// What the watcher has seen and done.
struct Seen {
    call: Option<Call>,
    /// So many times it sent SIGINT.
    sent: usize,
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
    /// Holds a byte after SIGTERM, SIGHUP or SIGQUIT.
    stop: UnixStream,
    /// Holds a byte after a SIGINT that came when rustyline was not reading.
    interrupt: UnixStream,
}

impl Interrupts {
    /// Takes SIGINT, SIGQUIT, SIGTERM and SIGHUP over. When one of them ends the program on the
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
        low_level::pipe::register(SIGQUIT, stopped.try_clone()?)?;
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

    /// Runs `prompt`, which lets rustyline read, and ends it when there is news of `watched`,
    /// which for `None` has come already, or when looking after it was noted in `log`. Until
    /// then, `tick` is called every second. `state` says how far rustyline is.
    ///
    /// A call does not end the prompt before it has taken in what was typed before: none
    /// of that may be taken for the answer to what is shown next.
    pub(super) fn while_prompting<T>(
        &self,
        log: &Log,
        watched: Option<&mut dyn Watched>,
        prompt: impl FnOnce() -> T,
        state: impl Fn() -> State + Send,
        tick: impl Fn() + Send,
    ) -> io::Result<Ended<T>> {
        let _prompting = self.signals.lock();
        let prompting = pthread_self();
        let (value, seen) = thread::scope(|scope| {
            // Also when rustyline panics, or the watcher would be waited for for ever.
            let leaving = Leaving(&self.leave);
            let seer = scope.spawn(|| self.watch(log, watched, prompting, state, tick));
            let value = prompt();
            drop(leaving);
            (value, seer.join())
        });
        let seen = seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        drain(&self.left);
        let stray = drain(&self.signals.interrupt);
        // With none of ours on the way, it is one that met rustyline on its way in or out.
        let stopped = drain(&self.signals.stop) || (stray && seen.sent == 0);
        Ok(Ended {
            value,
            call: if stopped { Some(Call::Stop) } else { seen.call },
            // When the one that we sent came too late for rustyline, it was not that one
            // which rustyline heard.
            unprompted: seen.sent <= usize::from(stray),
        })
    }

    fn watch(
        &self,
        log: &Log,
        watched: Option<&mut dyn Watched>,
        prompting: Pthread,
        state: impl Fn() -> State,
        tick: impl Fn(),
    ) -> io::Result<Seen> {
        let mut seen = Seen {
            call: self.next_call(log, watched, tick)?,
            sent: 0,
        };
        if seen.call.is_none() {
            return Ok(seen);
        }
        let stdin = io::stdin();
        let called = Instant::now();
        let again = PollTimeout::from(AGAIN_MS);
        loop {
            let typed = readable([stdin.as_fd()], PollTimeout::ZERO)? == [true];
            let interrupts = match state() {
                State::Starting => false,
                State::Pasting => called.elapsed() > PASTE,
                State::Reading => !typed || called.elapsed() > TYPED_AHEAD,
            };
            if interrupts {
                pthread_kill(prompting, Signal::SIGINT)?;
                seen.sent += 1;
            }
            if readable([self.left.as_fd()], again)? == [true] {
                return Ok(seen);
            }
        }
    }

    /// Waits for a call; `None` when the prompt has been left before one came.
    fn next_call(
        &self,
        log: &Log,
        watched: Option<&mut dyn Watched>,
        tick: impl Fn(),
    ) -> io::Result<Option<Call>> {
        let Some(watched) = watched else {
            return Ok(Some(Call::Incoming));
        };
        let mut next_tick = Instant::now() + TICK;
        loop {
            let mut fds: PollFds<'_> = [
                &self.left,
                &self.signals.stop,
                // One that came before rustyline had the signal.
                &self.signals.interrupt,
            ]
            .into_iter()
            .map(|stream| PollFd::new(stream.as_fd(), PollFlags::POLLIN))
            .collect();
            let due = watched.poll_on(&mut fds);
            poll_until(&mut fds, due.into_iter().chain([next_tick]).min())?;
            let [left, stop, interrupt, sockets @ ..] = &fds[..] else {
                return Ok(None);
            };
            if is_ready(left) {
                return Ok(None);
            }
            if is_ready(stop) || is_ready(interrupt) {
                return Ok(Some(Call::Stop));
            }
            let ready = sockets.iter().any(is_ready);
            drop(fds);
            let now = Instant::now();
            let attends = ready || due.is_some_and(|due| due <= now);
            if attends && watched.attend() {
                return Ok(Some(Call::Incoming));
            }
            if !log.is_empty() {
                return Ok(Some(Call::Noted));
            }
            if next_tick <= now {
                tick();
                next_tick = now + TICK;
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
                let _restored = echo.restore();
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
        Ok(_) => Ok(fds.each_ref().map(is_ready)),
        Err(Errno::EINTR) => Ok([false; N]),
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
