//! What is waited on: descriptors, by poll(2), and the time.

use std::io;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smallvec::SmallVec;

use crate::sanitize::Untrusted;

/// That the peer has closed its side, whatever it has sent before (poll(2)).
#[cfg(target_os = "linux")]
pub const HANG_UP: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
/// Elsewhere it cannot be told before what was sent is read.
#[cfg(not(target_os = "linux"))]
pub const HANG_UP: PollFlags = PollFlags::empty();

/// What to poll(2); so many fit without being allocated.
pub type PollFds<'a> = SmallVec<[PollFd<'a>; 4]>;

/// What a console looks after while it waits for the user.
pub trait Watched: Send {
    /// Adds what to poll(2) to `fds`, and returns when to look after it in any case.
    fn poll_on<'a>(&'a self, fds: &mut PollFds<'a>) -> Option<Instant>;

    /// Takes in what has come, without waiting, when one of the descriptors is ready or
    /// when it is time; returns whether there is something to tell the user. It leaves no
    /// descriptor ready about which there is nothing to tell.
    fn attend(&mut self) -> bool;

    /// What has come of a message whose end has not for as long as [`crate::framing::UNENDED`].
    fn so_far(&self) -> Option<Untrusted<'_>> {
        None
    }
}

/// Whether a polled descriptor has something to read, or has ended. nix does not know
/// [`HANG_UP`], and gives `None` for it.
#[must_use]
pub fn is_ready(fd: &PollFd<'_>) -> bool {
    fd.any() != Some(false)
}

/// Nobody, of whom there is news at this time.
#[derive(Debug, Clone, Copy)]
pub struct Until(pub Instant);

impl Watched for Until {
    fn poll_on<'a>(&'a self, _: &mut PollFds<'a>) -> Option<Instant> {
        Some(self.0)
    }

    fn attend(&mut self) -> bool {
        true
    }
}

/// Waits until one of `fds` is ready, or until `wake`; a signal ends it too. Fails when
/// the system cannot wait.
pub fn poll_until(fds: &mut [PollFd<'_>], wake: Option<Instant>) -> io::Result<()> {
    let timeout = wake.map_or(PollTimeout::NONE, |wake| {
        let left = wake.saturating_duration_since(Instant::now());
        // Rounded up, or the last millisecond would be spun through.
        let left = left.as_micros().div_ceil(1000);
        i32::try_from(left).map_or(PollTimeout::MAX, |left| {
            PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
        })
    });
    match poll(fds, timeout) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// Whether what is polled is ready at this moment.
#[must_use]
pub fn is_ready_now(fd: PollFd<'_>) -> bool {
    let mut fds = [fd];
    poll(&mut fds, PollTimeout::ZERO).is_ok() && is_ready(&fds[0])
}

/// Whether a polled descriptor has ended, whatever there is to read.
#[must_use]
pub fn has_hung_up(fd: &PollFd<'_>) -> bool {
    fd.revents()
        .is_none_or(|events| events.contains(PollFlags::POLLHUP))
}
