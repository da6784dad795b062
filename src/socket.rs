//! TCP sockets: the one place where their calls are made, and noted for `--explain`.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, sockopt};

use crate::address::Address;
use crate::connection::Stream;
use crate::explain::{Bytes, Call, Log, Setting, Waits, Which};
use crate::reason::reason;
use crate::watch::{PollFds, Watched, is_ready, poll_until};

/// Silence on the line after which the kernel asks whether the peer's host still lives.
const KEEPALIVE_TIME: Duration = Duration::from_secs(45);
/// The pause between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// So many questions without an answer end the connection: 45 s + 4 × 15 s, which keeps
/// within the two minutes that a wait for a dead host may last.
const KEEPALIVE_RETRIES: u32 = 4;
/// What was sent must be acknowledged within so long (`TCP_USER_TIMEOUT`, RFC 5482).
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(100);

/// Looks the host of `address` up, and returns its addresses in the order in which they are
/// to be tried. Fails as [`Address::resolve`] does.
pub fn resolve(address: &Address, log: &Log) -> io::Result<Vec<SocketAddr>> {
    log.note(None, None, address.resolve(), |found| {
        let found = found.as_ref();
        Call::Resolve(address.host.clone(), found.cloned().map_err(reason))
    })
}

/// A TCP socket that listens, or that is connected.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    peer: Option<SocketAddr>,
    which: Which,
    waits: Waits,
    /// It is reset when it is not closed.
    resets: bool,
    /// A call has failed; there is nobody left to be told of its end.
    is_broken: bool,
    log: Log,
}

impl Socket {
    /// One that can be bound to `address`, or connected to it. Fails as socket(2) does.
    fn new(address: SocketAddr, log: &Log) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let made = net::socket(family, SocketType::STREAM, Some(ipproto::TCP));
        let fd = log.note(None, None, made, |made| {
            Call::Socket(address, outcome(made).map(drop))
        })?;
        Ok(Self {
            fd,
            peer: None,
            which: Which::Neither,
            waits: Waits::Endless,
            resets: false,
            is_broken: false,
            log: log.clone(),
        })
    }

    /// One that listens on `address`, with room for `backlog` connections that wait to be
    /// accepted (listen(2)). Fails when the address cannot be had.
    pub fn listen(address: SocketAddr, backlog: u16, log: &Log) -> io::Result<Self> {
        let mut socket = Self::new(address, log)?;
        socket.set(Setting::ReuseAddress)?;
        if address.ip().is_unspecified() && address.is_ipv6() {
            socket.set(Setting::Ipv4Too)?;
        }
        socket.note(net::bind(&socket.fd, &address), |bound| {
            Call::Bind(address, *bound)
        })?;
        socket.note(net::listen(&socket.fd, backlog.into()), |listening| {
            Call::Listen(backlog, *listening)
        })?;
        socket.which = Which::Listening;
        Ok(socket)
    }

    /// One that is connected to `address`; fails when it is not within `timeout`.
    pub fn connect(address: SocketAddr, timeout: Duration, log: &Log) -> io::Result<Self> {
        let mut socket = Self::new(address, log)?;
        let time = log.time();
        let connected = socket.connect_within(address, timeout);
        log.note(None, time, connected, |connected| {
            Call::Connect(address, timeout, *connected)
        })?;
        socket.peer = Some(address);
        socket.which = Which::Connected;
        Ok(socket)
    }

    fn connect_within(&self, address: SocketAddr, timeout: Duration) -> Result<(), Errno> {
        rustix::io::ioctl_fionbio(&self.fd, true)?;
        match net::connect(&self.fd, &address) {
            Err(Errno::INPROGRESS) => {
                let until = Instant::now() + timeout;
                let mut fds = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
                while !is_ready(&fds[0]) {
                    if Instant::now() >= until {
                        return Err(Errno::TIMEDOUT);
                    }
                    poll_until(&mut fds, Some(until)).map_err(|_| Errno::INVAL)?;
                }
                sockopt::socket_error(&self.fd)??;
            }
            connected => connected?,
        }
        rustix::io::ioctl_fionbio(&self.fd, false)
    }

    /// Accepts somebody who has come to it, and who may be gone before we could: that is no
    /// reason to stop. Fails as accept(2) does.
    pub fn accept(&self) -> io::Result<(Self, SocketAddr)> {
        loop {
            let accepted = self.note(accept(&self.fd), |accepted| {
                Call::Accept(outcome(accepted).map(|(_, peer)| *peer))
            });
            match accepted {
                Ok((fd, peer)) => {
                    let socket = Self {
                        fd,
                        peer: Some(peer),
                        which: Which::Connected,
                        waits: Waits::Endless,
                        resets: false,
                        is_broken: false,
                        log: self.log.clone(),
                    };
                    return Ok((socket, peer));
                }
                Err(Errno::CONNABORTED | Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The address that it is bound to. Fails when it is broken.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        let name = net::getsockname(&self.fd).and_then(SocketAddr::try_from);
        Ok(self.note(name, |name| Call::Name(*name, self.which))?)
    }

    /// Sets what every connection of ours wants: no delay for short messages, and an end to
    /// the wait when the peer's host is gone without a word. Fails when the connection is
    /// broken already.
    pub fn tune(&self) -> io::Result<()> {
        self.set(Setting::NoDelay)?;
        self.set(Setting::KeepAlive)?;
        self.set(Setting::KeepIdle(KEEPALIVE_TIME))?;
        self.set(Setting::KeepInterval(KEEPALIVE_INTERVAL))?;
        self.set(Setting::KeepCount(KEEPALIVE_RETRIES))?;
        #[cfg(target_os = "linux")]
        self.set(Setting::UserTimeout(USER_TIMEOUT))?;
        Ok(())
    }

    /// Sets what every connection of a server wants: the same, and that it is reset when the
    /// program ends without closing it. A peer can then tell that we were killed from that we
    /// said bye. Fails when the connection is broken already.
    pub fn tune_served(&mut self) -> io::Result<()> {
        self.tune()?;
        self.resets = true;
        self.set(Setting::Linger(true))
    }

    /// Makes every call return at once. Fails when the socket is broken.
    pub fn set_nonblocking(&mut self) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&self.fd, true)?;
        self.waits = Waits::Never;
        Ok(())
    }

    /// Gives it a descriptor that is not below `least`, if there is one left.
    pub fn move_up(&mut self, least: u16) {
        if let Ok(fd) = rustix::io::fcntl_dupfd_cloexec(&self.fd, least.into()) {
            self.fd = fd;
        }
    }

    fn set(&self, setting: Setting) -> io::Result<()> {
        let fd = &self.fd;
        let set = match setting {
            Setting::ReuseAddress => sockopt::set_socket_reuseaddr(fd, true),
            Setting::Ipv4Too => sockopt::set_ipv6_v6only(fd, false),
            Setting::NoDelay => sockopt::set_tcp_nodelay(fd, true),
            Setting::KeepAlive => sockopt::set_socket_keepalive(fd, true),
            Setting::KeepIdle(idle) => sockopt::set_tcp_keepidle(fd, idle),
            Setting::KeepInterval(interval) => sockopt::set_tcp_keepintvl(fd, interval),
            Setting::KeepCount(count) => sockopt::set_tcp_keepcnt(fd, count),
            #[cfg(target_os = "linux")]
            Setting::UserTimeout(timeout) => sockopt::set_tcp_user_timeout(
                fd,
                u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX),
            ),
            #[cfg(not(target_os = "linux"))]
            Setting::UserTimeout(_) => Ok(()),
            Setting::Linger(on) => sockopt::set_socket_linger(fd, on.then_some(Duration::ZERO)),
            Setting::RecvTimeout(timeout) => {
                sockopt::set_socket_timeout(fd, sockopt::Timeout::Recv, timeout)
            }
        };
        Ok(self.note(set, |set| Call::Set(setting, *set))?)
    }

    fn note<T, E>(
        &self,
        result: Result<T, E>,
        call: impl FnOnce(&Result<T, E>) -> Call,
    ) -> Result<T, E> {
        self.log.note(self.peer, None, result, call)
    }
}

fn accept(fd: &OwnedFd) -> Result<(OwnedFd, SocketAddr), Errno> {
    let (fd, peer) = net::acceptfrom(fd)?;
    Ok((fd, peer.ok_or(Errno::CONNABORTED)?.try_into()?))
}

/// Whether a call has shown that the connection is broken.
fn breaks(result: &Result<usize, Errno>) -> bool {
    matches!(result, Err(error) if !matches!(*error, Errno::AGAIN | Errno::INTR))
}

/// A result, to be noted.
fn outcome<T>(result: &Result<T, Errno>) -> Result<&T, Errno> {
    result.as_ref().map_err(|error| *error)
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        let received = net::recv(&self.fd, &mut *buffer, RecvFlags::empty());
        let received = received.map(|(count, _)| count);
        self.is_broken |= breaks(&received);
        Ok(self.note(received, |received| {
            let bytes = received.map(|count| Bytes::of(&buffer[..count]));
            Call::Recv(room, bytes, self.waits)
        })?)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let time = self.log.time();
        let sent = net::send(&self.fd, bytes, SendFlags::NOSIGNAL);
        self.is_broken |= breaks(&sent);
        Ok(self.log.note(self.peer, time, sent, |sent| {
            Call::Send(bytes.len(), sent.map(|count| Bytes::of(&bytes[..count])))
        })?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Stream for Socket {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.waits = timeout.map_or(Waits::Endless, Waits::For);
        self.set(Setting::RecvTimeout(timeout))
    }

    fn close(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Ok(());
        }
        if std::mem::take(&mut self.resets) {
            self.set(Setting::Linger(false))?;
        }
        let closed = net::shutdown(&self.fd, net::Shutdown::Write);
        Ok(self.note(closed, |closed| Call::Shutdown(*closed))?)
    }
}

/// One that listens, of which there is news when somebody comes.
impl Watched for Socket {
    fn poll_on<'a>(&'a self, fds: &mut PollFds<'a>) -> Option<Instant> {
        fds.push(PollFd::new(self.as_fd(), PollFlags::POLLIN));
        None
    }

    fn attend(&mut self) -> bool {
        true
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The descriptor is closed by its own drop, right behind this.
        let _ = self.note(Ok::<_, Errno>(()), |_| Call::Close(self.which));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::Connection;
    use crate::framing::Wire;

    #[test]
    fn calls_are_noted_with_what_came_of_them() {
        let log = Log::on(false);
        let listener = Socket::listen("127.0.0.1:0".parse().unwrap(), 2, &log).unwrap();
        let address = listener.local_address().unwrap();
        let mut client =
            Socket::connect(address, Duration::from_secs(10), &Log::default()).unwrap();
        let client_address = client.local_address().unwrap();
        let (mut server, peer) = listener.accept().unwrap();
        assert_eq!(peer, client_address);
        client.write_all("gr\u{fc}ezi".as_bytes()).unwrap();
        drop(client);
        let mut buffer = [0; 9];
        assert_eq!(server.read(&mut buffer).unwrap(), 7);
        assert_eq!(server.read(&mut buffer).unwrap(), 0);
        drop(server);
        let noted: Vec<_> = log.take().iter().map(ToString::to_string).collect();
        let expected = [
            "socket()                         -> a TCP socket for IPv4".into(),
            "setsockopt(SO_REUSEADDR, 1)      -> ok: a server that is started again gets its \
             port back at once"
                .into(),
            "bind(127.0.0.1:0)                -> ok: this address is ours now, with any port \
             that is free"
                .into(),
            "listen(backlog = 2)              -> ok: the kernel completes up to 3 connections \
             before accept() takes them"
                .into(),
            format!(
                "getsockname()                    -> {address}: the address that clients \
                 connect to"
            ),
            format!(
                "accept()                         -> {peer}: a new socket for this client, beside \
                 the listening one"
            ),
            "recv(9)                          -> 7 bytes: 67 72 c3 bc 65 7a 69  \"gr\u{fc}ezi\""
                .into(),
            "recv(9)                          -> 0 bytes: the peer has closed its side".into(),
            "close()                          -> ok: the connection is done with".into(),
        ];
        assert_eq!(noted, expected);
    }

    #[test]
    fn a_panic_is_no_goodbye() {
        let log = Log::default();
        let listener = Socket::listen("127.0.0.1:0".parse().unwrap(), 2, &log).unwrap();
        let address = listener.local_address().unwrap();
        for panics in [true, false] {
            let mut client = Socket::connect(address, Duration::from_secs(10), &log).unwrap();
            let (mut served, _) = listener.accept().unwrap();
            served.tune_served().unwrap();
            let ended = std::panic::catch_unwind(|| {
                let _connection = Connection::new(served, &Wire::default());
                // Without the message of a panic, which would be taken for one of the test's.
                assert!(!panics || std::panic::resume_unwind(Box::new("so it is to be")));
            });
            assert_eq!(ended.is_err(), panics);
            let read = client.read(&mut [0]).map_err(|error| error.kind());
            let expected = if panics {
                Err(io::ErrorKind::ConnectionReset)
            } else {
                Ok(0)
            };
            assert_eq!(read, expected);
        }
    }

    #[test]
    fn nothing_is_noted_when_it_is_off() {
        let log = Log::default();
        drop(Socket::listen("127.0.0.1:0".parse().unwrap(), 2, &log).unwrap());
        assert!(log.is_empty() && log.take().is_empty());
    }
}
