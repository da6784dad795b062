//! What differs between operating systems. No other module depends on the system.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
#[cfg(unix)]
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
};
use std::path::Path;
use std::time::Duration;

#[cfg(unix)]
use rustix::{fs::Mode, process::umask};
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
    /// The program was stopped and continued, and something else may have used the terminal.
    Continued,
}

/// Returns an unbuffered handle for stdin. Fails if there is none, or no descriptor is left.
pub fn stdin() -> io::Result<File> {
    unbuffered(io::stdin())
}

/// Whether a listening socket needs `SO_REUSEADDR` to bind an address with connections in
/// `TIME_WAIT`. On Windows it does not, and the option would let other programs bind our address.
pub const REUSES_ADDRESS: bool = cfg!(unix);

/// Whether `unix:PATH` is supported.
pub const HAS_UNIX_SOCKETS: bool = cfg!(unix);

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

/// Makes `options` create files that only the user can access (mode 0600). On Windows, a file
/// inherits the permissions of its folder, and other users cannot access the user's profile.
pub fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    options.mode(0o600);
    options
}

/// Creates a folder and its parents so that only the user can access them (mode 0700; on Windows,
/// with inherited permissions). Fails as [`DirBuilder::create`] does.
pub fn create_private_folder(path: &Path) -> io::Result<()> {
    let mut folder = DirBuilder::new();
    #[cfg(unix)]
    folder.mode(0o700);
    folder.recursive(true).create(path)
}

/// Calls `make`, and lets only the user access the files that it makes (mode 0600 at most). So it is
/// meanwhile with those of other threads.
pub fn privately<T>(make: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    let mask = umask(Mode::from_raw_mode(0o177));
    let result = make();
    #[cfg(unix)]
    umask(mask);
    result
}

/// Returns what identifies the file at `path`, its device and number, if it is a Unix socket.
pub fn socket_id(path: &Path) -> Option<(u64, u64)> {
    #[cfg(unix)]
    return fs::symlink_metadata(path)
        .ok()
        .filter(|file| file.file_type().is_socket())
        .map(|file| (file.dev(), file.ino()));
    #[cfg(not(unix))]
    {
        let _ = path;
        None
    }
}

/// Returns whether a call failed because no descriptor (on Windows: no socket) is left.
pub fn is_out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    code.is_some_and(|code| OUT_OF_DESCRIPTORS.contains(&code))
}

/// Returns the error of a call that fails because no descriptor is left.
pub fn out_of_descriptors() -> io::Error {
    io::Error::from_raw_os_error(OUT_OF_DESCRIPTORS[0])
}

/// Returns the maximum backlog that the system allows (listen(2)).
pub fn most_backlog() -> u32 {
    // Only Linux has the file; assume that other systems have no limit.
    let most = fs::read_to_string("/proc/sys/net/core/somaxconn");
    most.ok()
        .and_then(|most| most.trim().parse().ok())
        .unwrap_or(u32::MAX - 1)
}

/// Returns whether a write failed because the other end of the pipe is closed.
pub fn is_reader_gone(error: &io::Error) -> bool {
    const ERROR_PIPE_NOT_CONNECTED: i32 = 233;
    let code = error.raw_os_error();
    error.kind() == ErrorKind::BrokenPipe || cfg!(windows) && code == Some(ERROR_PIPE_NOT_CONNECTED)
}

/// The call that a program stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stands {
    /// A read from a socket.
    Recv,
    /// A wait for the next client.
    Accept,
    /// A wait for the answer of a server's host.
    Connect,
    /// A write to a socket that has no room.
    Send,
    /// A read from stdin.
    Input,
}

/// Returns the call that the process `pid`, or one that it has started, stands in; of several
/// threads, that of one that waits for the network. `None` if it runs, stands in another call, or
/// on systems other than Linux.
pub fn stands(pid: u32) -> Option<Stands> {
    #[cfg(target_os = "linux")]
    return linux::stands(pid);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}

/// Returns the time that the processor has spent on the process `pid`; `None` on systems other than
/// Linux, or if it has ended.
pub fn processor_time(pid: u32) -> Option<Duration> {
    #[cfg(target_os = "linux")]
    return linux::processor_time(pid);
    #[cfg(not(target_os = "linux"))]
    {
        let _ = pid;
        None
    }
}
