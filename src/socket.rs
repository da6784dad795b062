//! TCP and Unix sockets. Every socket call of a conversation is made here, and logged for `--explain`.

use std::fs;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{self, Shutdown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, SockAddr, SockRef, Type};

use crate::endpoint::{Address, Endpoint};
use crate::explain::{Call, Log, Setting, Standing, Waits, Which};
use crate::sys;

/// How long a connection is silent before the kernel probes whether the peer's host is alive.
const KEEPALIVE_TIME: Duration = Duration::from_secs(45);
/// The time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// The number of unanswered probes that ends the connection. A dead host is detected after
/// 45 s + 4 × 15 s, less than the two minutes that the program promises.
const KEEPALIVE_RETRIES: u32 = 4;
/// How long sent bytes may stay unacknowledged.
const USER_TIMEOUT: Duration = Duration::from_secs(100);

/// A bidirectional byte stream to a peer.
pub trait Stream: Read + Write {
    /// Makes the stream blocking or nonblocking. Fails if the stream is broken.
    fn set_blocking(&mut self, blocking: bool) -> io::Result<()>;

    /// Makes a blocking read fail with [`sys::READ_TIMED_OUT`] after `timeout`; `None` removes the
    /// limit. Fails if `timeout` is zero.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Closes our side (shutdown(2)): the peer reads the end of the stream, and can still write.
    /// Fails if the stream is broken.
    fn close(&mut self) -> io::Result<()>;
}

/// Resolves the host of `endpoint`. Returns its addresses in the order in which to try them. Fails
/// as [`Endpoint::resolve`] does.
pub fn resolve(endpoint: &Endpoint, log: &Log) -> io::Result<Vec<Address>> {
    match endpoint {
        Endpoint::Tcp { host, .. } => {
            log.note(endpoint.resolve(), |found| Call::resolve(host, found))
        }
        Endpoint::Unix(_) => endpoint.resolve(),
    }
}

/// Creates a socket for `address`, and returns it with the address as the system takes it. Fails as
/// socket(2) does, or if the path of a Unix socket is too long.
fn new(address: &Address, log: &Log) -> io::Result<(socket2::Socket, SockAddr)> {
    let (domain, protocol, to) = match address {
        Address::Tcp(tcp) => {
            let domain = Domain::for_address(*tcp);
            (domain, Some(Protocol::TCP), SockAddr::from(*tcp))
        }
        Address::Unix(path) => (Domain::UNIX, None, SockAddr::unix(path)?),
    };
    let made = socket2::Socket::new(domain, Type::STREAM, protocol);
    let made = log.note(made, |made| Call::socket(address, made))?;
    Ok((made, to))
}

/// Sets an option of `socket` and logs the calls. Fails as setsockopt(2) does.
fn set(socket: &SockRef<'_>, setting: Setting, log: &Log) -> io::Result<()> {
    let set = match setting {
        Setting::ReuseAddress => socket.set_reuse_address(true),
        Setting::Ipv4Too => socket.set_only_v6(false),
        Setting::NoDelay => socket.set_tcp_nodelay(true),
        Setting::KeepAlive(time, interval, retries) => {
            sys::set_keepalive(socket, time, interval, retries)
        }
        Setting::UserTimeout(timeout) => match sys::set_user_timeout(socket, timeout) {
            Some(set) => set,
            None => return Ok(()),
        },
        Setting::Linger(on) => socket.set_linger(on.then_some(Duration::ZERO)),
        Setting::RecvTimeout(timeout) => socket.set_read_timeout(timeout),
    };
    log.note_set(setting, set)
}

/// A listening socket.
#[derive(Debug)]
pub struct ListeningSocket {
    listener: TcpListener,
    /// The path of a Unix socket.
    file: Option<SocketFile>,
    log: Log,
}

impl ListeningSocket {
    /// Listens on `address`, with a queue for `backlog` connections that are not accepted yet
    /// (listen(2)). Fails if the address is not available.
    ///
    /// Only the user can connect to a Unix socket (mode 0600). The file of one that no program
    /// listens on any more is replaced.
    pub fn bind(address: &Address, backlog: u16, log: &Log) -> io::Result<Self> {
        let (socket, to) = new(address, log)?;
        match address {
            Address::Tcp(address) => {
                if sys::REUSES_ADDRESS {
                    set(&SockRef::from(&socket), Setting::ReuseAddress, log)?;
                }
                if address.ip().is_unspecified() && address.is_ipv6() {
                    set(&SockRef::from(&socket), Setting::Ipv4Too, log)?;
                }
            }
            Address::Unix(path) => {
                if is_stale(path, &to) {
                    remove(path, log)?;
                }
            }
        }
        // Others cannot access the file of a Unix socket at any time.
        let bound = sys::privately(|| socket.bind(&to));
        log.note(bound, |bound| Call::bind(address, bound))?;
        let file = match address {
            Address::Tcp(_) => None,
            Address::Unix(path) => Some(SocketFile {
                path: path.clone(),
                id: sys::socket_id(path),
                log: log.clone(),
            }),
        };
        let listening = socket.listen(backlog.into());
        log.note(listening, |listening| Call::listen(backlog, listening))?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            listener: TcpListener::from_std(socket.into()),
            file,
            log: log.clone(),
        })
    }

    /// Returns the address that the socket is bound to. Fails if the socket is broken.
    pub fn local_address(&self) -> io::Result<Address> {
        if let Some(file) = &self.file {
            return Ok(Address::Unix(file.path.clone()));
        }
        let name = self.listener.local_addr().map(Address::Tcp);
        self.log
            .note(name, |name| Call::name(name, Which::Listening))
    }

    /// Accepts a client without waiting. Returns the connection. Skips clients that are gone
    /// already. Fails with `WouldBlock` if no client is waiting, or as accept(2) does.
    pub fn accept(&self) -> io::Result<Socket> {
        use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
        loop {
            let accepted = self.accept_any();
            if fails_with(WouldBlock, &accepted) {
                return accepted;
            }
            let accepted = self.log.note(accepted, |accepted| {
                Call::accept(accepted.map(Socket::peer))
            });
            if !fails_with(ConnectionAborted, &accepted) && !fails_with(Interrupted, &accepted) {
                return accepted;
            }
        }
    }

    fn accept_any(&self) -> io::Result<Socket> {
        let (stream, peer) = if self.file.is_none() {
            let (stream, peer) = self.listener.accept()?;
            (stream, Address::Tcp(peer))
        } else {
            // What mio does for TCP alone.
            let (socket, _) = SockRef::from(&self.listener).accept()?;
            socket.set_nonblocking(true)?;
            (TcpStream::from_std(socket.into()), Address::UNNAMED)
        };
        Ok(Socket::new(stream, peer, &self.log))
    }

    /// Registers the socket: `registry` reports under `token` that a client is waiting. Fails if
    /// it cannot watch the socket.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        self.listener.register(registry, token, Interest::READABLE)
    }
}

impl Drop for ListeningSocket {
    fn drop(&mut self) {
        // The fields, and with them the descriptor, are dropped right after this.
        self.log.note_close(Which::Listening);
    }
}

/// The file of a Unix socket. Dropping it removes the file.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Identifies the file: another program may have replaced it.
    id: Option<(u64, u64)>,
    log: Log,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.id.is_some() && self.id == sys::socket_id(&self.path) {
            // There is nobody left to be told of a failure but the log.
            let _ = remove(&self.path, &self.log);
        }
    }
}

/// Removes the file of a Unix socket. Fails as unlink(2) does.
fn remove(path: &Path, log: &Log) -> io::Result<()> {
    log.note(fs::remove_file(path), |removed| Call::unlink(path, removed))
}

/// Returns whether the file at `path`, whose address is `to`, is a socket that no program listens
/// on.
fn is_stale(path: &Path, to: &SockAddr) -> bool {
    // A socket of another type: a program that listens refuses it as such, and sees no client.
    let probe = socket2::Socket::new(Domain::UNIX, Type::DGRAM, None);
    let refused = probe.and_then(|probe| probe.connect(to));
    sys::socket_id(path).is_some()
        && refused.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Returns whether `result` is an error of this `kind`. One that says only that a call would have to
/// wait is not logged: how the program waits is an implementation detail.
fn fails_with<T>(kind: io::ErrorKind, result: &io::Result<T>) -> bool {
    result.as_ref().is_err_and(|error| error.kind() == kind)
}

/// Connects a Unix socket. If the backlog of the server is full, waits for at most `timeout`.
fn connect_unix(socket: &socket2::Socket, to: &SockAddr, timeout: Duration) -> io::Result<()> {
    socket.set_write_timeout(Some(timeout))?;
    // It is interrupted when the program is stopped and continued (signal(7)).
    let connected = loop {
        let connected = socket.connect(to);
        if !fails_with(io::ErrorKind::Interrupted, &connected) {
            break connected;
        }
    };
    socket.set_write_timeout(None)?;
    connected.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => io::ErrorKind::TimedOut.into(),
        _ => error,
    })
}

/// A connected socket.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    peer: Address,
    waits: Waits,
    /// Whether the connection is reset unless [`Stream::close`] was called (`SO_LINGER`).
    resets: bool,
    /// Whether any byte has come.
    has_received: bool,
    /// Whether a call failed: there is no peer left to close the connection for.
    is_broken: bool,
    log: Log,
}

impl Socket {
    fn new(stream: TcpStream, peer: Address, log: &Log) -> Self {
        Self {
            stream,
            log: log.of_peer(&peer),
            peer,
            waits: Waits::Never,
            resets: false,
            has_received: false,
            is_broken: false,
        }
    }

    /// Connects to `address` within `timeout`. Fails as connect(2) does.
    pub fn connect(address: &Address, timeout: Duration, log: &Log) -> io::Result<Self> {
        let (socket, to) = new(address, log)?;
        let time = log.time();
        log.begin(&Standing::Connect(address.clone()));
        let connected = match address {
            Address::Tcp(_) => socket.connect_timeout(&to, timeout),
            Address::Unix(_) => connect_unix(&socket, &to, timeout),
        };
        log.note_since(time, connected, |connected| {
            Call::connect(address, timeout, connected)
        })
        .inspect_err(|_| log.note_close(Which::Neither))?;
        socket.set_nonblocking(true)?;
        let stream = TcpStream::from_std(socket.into());
        Ok(Self::new(stream, address.clone(), log))
    }

    /// Returns our own address. Fails if the socket is broken.
    pub fn local_address(&self) -> io::Result<Address> {
        if let Address::Unix(_) = self.peer {
            return Ok(Address::UNNAMED);
        }
        let name = self.stream.local_addr().map(Address::Tcp);
        self.log
            .note(name, |name| Call::name(name, Which::Connected))
    }

    /// Has the calls told as those of the client with this number.
    pub fn set_number(&mut self, number: u32) {
        self.log = self.log.of_client(number);
    }

    /// Returns the address at the other end.
    pub fn peer(&self) -> &Address {
        &self.peer
    }

    /// Leaves the lowest descriptors to others, which cannot use high ones.
    pub fn move_up(&mut self) {
        if let Some(stream) = sys::moved_up(&self.stream) {
            self.stream = stream;
        }
    }

    /// Returns whether the connection is known to be broken.
    pub fn is_gone(&self) -> bool {
        self.stream.take_error().is_ok_and(|error| error.is_some())
    }

    /// Sets the options of every connection: send short messages at once, and fail when the peer's
    /// host no longer answers. A Unix socket needs none. Fails if the connection is broken.
    pub fn tune(&self) -> io::Result<()> {
        if let Address::Unix(_) = self.peer {
            return Ok(());
        }
        self.set(Setting::NoDelay)?;
        let (time, interval) = (KEEPALIVE_TIME, KEEPALIVE_INTERVAL);
        self.set(Setting::KeepAlive(time, interval, KEEPALIVE_RETRIES))?;
        self.set(Setting::UserTimeout(USER_TIMEOUT))
    }

    /// Sets the options of a server's connection: those of [`Socket::tune`], and that the
    /// connection is reset if the program ends without closing it. A peer can thus distinguish
    /// that the server was killed from that it left. Fails if the connection is broken.
    pub fn tune_served(&mut self) -> io::Result<()> {
        self.tune()?;
        if let Address::Unix(_) = self.peer {
            return Ok(());
        }
        self.resets = true;
        self.set(Setting::Linger(true))
    }

    /// Registers the socket: `registry` reports under `token` that it is readable or writable, or
    /// that the peer has closed its side. Fails if it cannot watch the socket.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.stream.register(registry, token, interest)
    }

    fn set(&self, setting: Setting) -> io::Result<()> {
        set(&SockRef::from(&self.stream), setting, &self.log)
    }

    /// Records whether `result` shows that the connection is broken.
    fn check(&mut self, result: &io::Result<usize>) {
        use io::ErrorKind::{Interrupted, WouldBlock};
        let harmless = [WouldBlock, Interrupted, sys::READ_TIMED_OUT];
        self.is_broken |= result
            .as_ref()
            .is_err_and(|error| !harmless.contains(&error.kind()));
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let received = self.stream.read(buffer);
        self.check(&received);
        if self.waits == Waits::Never && fails_with(io::ErrorKind::WouldBlock, &received) {
            return received;
        }
        let has_received = self.has_received;
        self.has_received |= received.as_ref().is_ok_and(|count| *count > 0);
        self.log.note(received, |received| {
            Call::recv(buffer, received, self.waits, has_received)
        })
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let time = self.log.time();
        let sent = self.stream.write(bytes);
        self.check(&sent);
        if fails_with(io::ErrorKind::WouldBlock, &sent) {
            return sent;
        }
        self.log
            .note_since(time, sent, |sent| Call::send(bytes, sent))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Socket {
    fn set_blocking(&mut self, blocking: bool) -> io::Result<()> {
        SockRef::from(&self.stream).set_nonblocking(!blocking)?;
        self.waits = if blocking {
            Waits::Endless
        } else {
            Waits::Never
        };
        Ok(())
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.waits = timeout.map_or(Waits::Endless, Waits::For);
        self.set(Setting::RecvTimeout(timeout))
    }

    fn close(&mut self) -> io::Result<()> {
        if self.is_broken {
            return Ok(());
        }
        if mem::take(&mut self.resets) {
            self.set(Setting::Linger(false))?;
        }
        let time = self.log.time();
        let closed = self.stream.shutdown(Shutdown::Write);
        self.log.note_since(time, closed, Call::shutdown)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // The fields, and with them the descriptor, are dropped right after this.
        self.log.note_close(Which::Connected);
    }
}

/// A connected socket for blocking calls of two threads, one of which receives and the other sends.
#[derive(Debug)]
pub struct SharedSocket {
    stream: net::TcpStream,
    log: Log,
    /// Whether any byte has come.
    has_received: AtomicBool,
}

impl SharedSocket {
    /// Takes over `socket`. Fails if it is broken.
    pub fn new(mut socket: Socket) -> io::Result<Self> {
        let stream = SockRef::from(&socket.stream).try_clone()?;
        stream.set_nonblocking(false)?;
        Ok(Self {
            stream: stream.into(),
            // The connection stays open, so `socket` must not tell that it is closed.
            log: mem::take(&mut socket.log),
            has_received: AtomicBool::new(false),
        })
    }

    /// Receives into `buffer`, within `limit`. Returns the number of bytes, 0 if the peer has closed its
    /// side. Fails as recv(2) does, and with [`sys::READ_TIMED_OUT`] if nothing comes.
    pub fn recv(&self, buffer: &mut [u8], limit: Duration) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(limit))?;
        // It is interrupted when the program is stopped and continued (signal(7)).
        let received = loop {
            let received = (&self.stream).read(buffer);
            if !fails_with(io::ErrorKind::Interrupted, &received) {
                break received;
            }
        };
        if fails_with(sys::READ_TIMED_OUT, &received) {
            return received;
        }
        let is_some = received.as_ref().is_ok_and(|count| *count > 0);
        let has_received = self.has_received.fetch_or(is_some, Ordering::SeqCst);
        self.log.note(received, |received| {
            Call::recv(buffer, received, Waits::Endless, has_received)
        })
    }

    /// Sends all of `bytes`. Fails as send(2) does.
    pub fn send_all(&self, bytes: &[u8]) -> io::Result<()> {
        let time = self.log.time();
        let sent = (&self.stream).write_all(bytes).map(|()| bytes.len());
        let sent = self
            .log
            .note_since(time, sent, |sent| Call::send(bytes, sent));
        sent.map(drop)
    }

    /// Closes our side. Fails if the connection is over.
    pub fn close(&self) -> io::Result<()> {
        let time = self.log.time();
        let closed = self.stream.shutdown(Shutdown::Write);
        self.log.note_since(time, closed, Call::shutdown)
    }

    /// Has the connection reset when this is dropped. Fails if the connection is over.
    pub fn reset(&self) -> io::Result<()> {
        set(
            &SockRef::from(&self.stream),
            Setting::Linger(true),
            &self.log,
        )
    }
}

impl Drop for SharedSocket {
    fn drop(&mut self) {
        self.log.note_close(Which::Connected);
    }
}

#[cfg(test)]
mod tests;
