//! What differs between operating systems. No other module depends on the system.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io::{self, ErrorKind};
use std::time::Duration;

use rustyline::Behavior;
use socket2::{SockRef, TcpKeepalive};

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

/// The exit status after Ctrl-C: 128 plus the number of SIGINT, as in shells. SIGTERM, SIGHUP and
/// SIGQUIT have the same status.
pub const INTERRUPTED_STATUS: u8 = 130;

/// A problem with the keys of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The terminal sent bytes that are not UTF-8.
    NotUtf8,
    /// The terminal is gone.
    Gone,
}

/// Whether a listening socket needs `SO_REUSEADDR` to bind an address with connections in
/// `TIME_WAIT`. On Windows it does not, and the option would let other programs bind our address.
pub const REUSES_ADDRESS: bool = cfg!(unix);

/// The error of a read that times out (`SO_RCVTIMEO`).
pub const READ_TIMED_OUT: ErrorKind = if cfg!(unix) {
    ErrorKind::WouldBlock
} else {
    ErrorKind::TimedOut
};

/// Whether a read that leaves room in its buffer makes the system report the next readiness.
/// Edge-triggered epoll and kqueue do so; on Windows only a read that fails with `WouldBlock` does.
pub const SHORT_READ_DRAINS: bool = cfg!(unix);

/// Where rustyline reads and draws: on Unix stdin and stdout, to which [`Terminal::open`] connects
/// the terminal; on Windows the console, whatever stdin and stdout are.
pub const BEHAVIOR: Behavior = if cfg!(unix) {
    Behavior::Stdio
} else {
    Behavior::PreferTerm
};

/// Makes the system probe after `time` of silence whether the peer's host is alive, again after
/// each `interval`, and end the connection after `retries` unanswered probes (tcp(7)). Before
/// Windows 10, and under Wine, the system sets the number of probes. Fails if the connection is
/// broken.
pub fn set_keepalive(
    socket: &SockRef<'_>,
    time: Duration,
    interval: Duration,
    retries: u32,
) -> io::Result<()> {
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval);
    let set = socket.set_tcp_keepalive(&keepalive.clone().with_retries(retries));
    if cfg!(windows) {
        return set.or_else(|_| socket.set_tcp_keepalive(&keepalive));
    }
    set
}

/// Sets how long sent bytes may stay unacknowledged (`TCP_USER_TIMEOUT`, RFC 5482). Returns `None`
/// if the system has no such option.
#[must_use]
pub fn set_user_timeout(socket: &SockRef<'_>, timeout: Duration) -> Option<io::Result<()>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    return Some(socket.set_tcp_user_timeout(Some(timeout)));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (socket, timeout);
        None
    }
}
