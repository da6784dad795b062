//! The log of socket calls for `--explain`: each call with its result and what that means.
//!
//! [`crate::socket`] makes the calls and logs their actual arguments and results.

use std::fmt;
use std::io::{self, ErrorKind as Kind};
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::framing::UNENDED;
use crate::reason::reason;
use crate::sanitize::Untrusted;
use crate::sys;

/// The maximum number of sent or received bytes to show.
const SHOWN: usize = 16;

/// The width to which calls are padded, in characters.
const COLUMN: usize = 32;

/// The result of a system call.
pub(crate) type Outcome<T = ()> = Result<T, Fault>;

/// Why a system call failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    kind: Kind,
    reason: String,
    out_of_descriptors: bool,
}

impl From<&io::Error> for Fault {
    fn from(error: &io::Error) -> Self {
        Self {
            kind: error.kind(),
            reason: reason(error),
            out_of_descriptors: sys::is_out_of_descriptors(error),
        }
    }
}

/// A log of calls that are not shown yet. Its default is off and records nothing.
#[derive(Debug, Clone, Default)]
pub struct Log {
    noted: Option<Arc<Mutex<Vec<Noted>>>>,
    names_peers: bool,
}

impl Log {
    /// Creates a log that is on. If `names_peers`, each call is shown with the address of its peer.
    #[must_use]
    pub fn on(names_peers: bool) -> Self {
        Self {
            noted: Some(Arc::default()),
            names_peers,
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Vec<Noted>>> {
        let noted = self.noted.as_ref()?;
        Some(noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the time before a call, if the log is on.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        self.is_on().then(SystemTime::now)
    }

    /// Logs a call and returns its `result`. `peer` is the address at the other end of the
    /// connection, if there is one, and `time` when the call was made; `None` stands for now.
    pub(crate) fn note<T>(
        &self,
        peer: Option<SocketAddr>,
        time: Option<SystemTime>,
        result: io::Result<T>,
        call: impl FnOnce(Outcome<&T>) -> Call,
    ) -> io::Result<T> {
        if let Some(mut noted) = self.lock() {
            noted.push(Noted {
                peer,
                names_peer: self.names_peers,
                time: time.unwrap_or_else(SystemTime::now),
                call: call(result.as_ref().map_err(Fault::from)),
            });
        }
        result
    }

    /// Logs that a socket is closed.
    pub(crate) fn note_close(&self, peer: Option<SocketAddr>, which: Which) {
        let _ = self.note(peer, None, Ok(()), |_| Call::Close(which));
    }

    /// Returns whether the log is on.
    pub(crate) fn is_on(&self) -> bool {
        self.noted.is_some()
    }

    /// Takes the logged calls, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Noted> {
        self.lock()
            .as_deref_mut()
            .map(mem::take)
            .unwrap_or_default()
    }

    /// Returns whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lock().is_none_or(|noted| noted.is_empty())
    }
}

/// A logged call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The address at the other end of the connection, if there is one.
    pub peer: Option<SocketAddr>,
    /// Whether to show the address.
    names_peer: bool,
    /// When the call was made.
    pub time: SystemTime,
    /// The call and its result.
    pub call: Call,
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(peer) = self.peer.filter(|_| self.names_peer) {
            write!(f, "[{peer}] ")?;
        }
        let (call, result, why) = (self.call.call(), self.call.result(), self.call.why());
        write!(f, "{call:COLUMN$} -> {result}")?;
        if !why.is_empty() {
            write!(f, ": {why}")?;
        }
        Ok(())
    }
}

/// A call, with its arguments and its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `getaddrinfo()`: looks up a host name.
    Resolve(String, Outcome<Vec<SocketAddr>>),
    /// `socket()`: creates a socket for the protocol of an address.
    Socket(SocketAddr, Outcome),
    /// `setsockopt()`: sets an option.
    Set(Words, Outcome),
    /// `bind()`: binds the socket to an address.
    Bind(SocketAddr, Outcome),
    /// `getsockname()`: returns the address that the socket is bound to.
    Name(Outcome<SocketAddr>, Which),
    /// `listen()`: starts to listen, with this backlog.
    Listen(u16, Outcome),
    /// `accept()`: accepts a client.
    Accept(Outcome<SocketAddr>),
    /// `connect()`: connects to an address within this time.
    Connect(SocketAddr, Duration, Outcome),
    /// `recv()`: reads at most this many bytes.
    Recv(usize, Outcome<Bytes>, Waits),
    /// `send()`: writes this many bytes, of which some are accepted.
    Send(usize, Outcome<Bytes>),
    /// `shutdown()`: closes our side of the connection.
    Shutdown(Outcome),
    /// `close()`: closes the socket.
    Close(Which),
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// It listens for clients.
    Listening,
    /// It is connected to a peer.
    Connected,
    /// It failed to connect.
    Neither,
}

/// How long a read waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// Without a limit.
    Endless,
    /// For this long at most.
    For(Duration),
    /// Not at all.
    Never,
}

/// Sent or received bytes: their number, and the first few of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bytes {
    count: usize,
    first: Vec<u8>,
}

impl Bytes {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            count: bytes.len(),
            first: bytes[..bytes.len().min(SHOWN)].to_vec(),
        }
    }
}

impl fmt::Display for Bytes {
    /// `7 bytes: 67 72 c3 bc 65 7a 69  "grüezi"`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_cut = self.count > self.first.len();
        let more = if is_cut { "..." } else { "" };
        write!(f, "{}:", bytes(self.count))?;
        for byte in &self.first {
            write!(f, " {byte:02x}")?;
        }
        let text = Untrusted(&self.first);
        write!(f, "{more}  \"{}\"{more}", text.visible_line(4 * SHOWN))
    }
}

/// A socket option and its value (socket(7), tcp(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `SO_REUSEADDR`, on.
    ReuseAddress,
    /// `IPV6_V6ONLY`, off.
    Ipv4Too,
    /// `TCP_NODELAY`, on.
    NoDelay,
    /// `SO_KEEPALIVE`, on, with the silence before the first probe, the interval between probes,
    /// and their number (`TCP_KEEPIDLE`, `TCP_KEEPINTVL`, `TCP_KEEPCNT`).
    KeepAlive(Duration, Duration, u32),
    /// `TCP_USER_TIMEOUT`.
    UserTimeout(Duration),
    /// `SO_LINGER`: on with a time of zero, or off.
    Linger(bool),
    /// `SO_RCVTIMEO`; `None` removes the limit.
    RecvTimeout(Option<Duration>),
}

/// A call of `setsockopt()`: the option with its value, and its purpose.
pub(crate) type Words = (String, String);

impl Setting {
    /// Returns the calls that make the setting.
    pub(crate) fn calls(self) -> Vec<Words> {
        let (option, why) = match self {
            Self::ReuseAddress => (
                "SO_REUSEADDR, 1".into(),
                "a server that is started again gets its port back at once",
            ),
            Self::Ipv4Too => (
                "IPV6_V6ONLY, 0".into(),
                "IPv4 clients can reach this IPv6 socket too",
            ),
            Self::NoDelay => (
                "TCP_NODELAY, 1".into(),
                "a short message is sent at once, not held back for more",
            ),
            Self::KeepAlive(time, interval, n) => {
                let (time, interval) = (time.as_secs(), interval.as_secs());
                let asked = "when the line is silent, the peer's host is asked whether it lives";
                let after = format!("it is asked after {time} s of silence");
                let again = format!("and again every {interval} s");
                let ends = format!("{n} questions without an answer end the connection");
                return vec![
                    ("SO_KEEPALIVE, 1".into(), asked.into()),
                    (format!("TCP_KEEPIDLE, {time}"), after),
                    (format!("TCP_KEEPINTVL, {interval}"), again),
                    (format!("TCP_KEEPCNT, {n}"), ends),
                ];
            }
            Self::UserTimeout(timeout) => {
                let ms = timeout.as_millis();
                let why = format!("and so do {ms} ms in which what we sent is not acknowledged");
                return vec![(format!("TCP_USER_TIMEOUT, {ms}"), why)];
            }
            Self::Linger(true) => (
                "SO_LINGER, 0 s".into(),
                "if we are killed, the connection is reset, which is no goodbye",
            ),
            Self::Linger(false) => (
                "SO_LINGER, off".into(),
                "we leave in order: what was sent still arrives",
            ),
            Self::RecvTimeout(Some(timeout)) => (
                format!("SO_RCVTIMEO, {} ms", timeout.as_millis()),
                "recv() gives up after so long without a byte",
            ),
            Self::RecvTimeout(None) => (
                "SO_RCVTIMEO, 0".into(),
                "recv() waits as long as it takes again",
            ),
        };
        vec![(option, why.into())]
    }
}

impl Call {
    /// Returns the call with its arguments: `recv(65536)`.
    #[must_use]
    pub fn call(&self) -> String {
        match self {
            Self::Resolve(host, _) => format!("getaddrinfo({host})"),
            Self::Socket(..) => "socket()".into(),
            Self::Set((option, _), _) => format!("setsockopt({option})"),
            Self::Bind(address, _) => format!("bind({address})"),
            Self::Name(..) => "getsockname()".into(),
            Self::Listen(backlog, _) => format!("listen(backlog = {backlog})"),
            Self::Accept(_) => "accept()".into(),
            Self::Connect(address, ..) => format!("connect({address})"),
            Self::Recv(room, ..) => format!("recv({room})"),
            Self::Send(count, _) => format!("send({})", bytes(*count)),
            Self::Shutdown(_) => "shutdown(write)".into(),
            Self::Close(_) => "close()".into(),
        }
    }

    /// Returns the result: `7 bytes: 67 72 c3 bc 65 7a 69  "grüezi"`, or `connection refused`.
    #[must_use]
    pub fn result(&self) -> String {
        match self {
            Self::Resolve(_, Ok(addresses)) => {
                let addresses: Vec<_> = addresses.iter().map(|a| a.ip().to_string()).collect();
                addresses.join(", ")
            }
            Self::Resolve(_, Err(fault)) => fault.reason.clone(),
            Self::Socket(SocketAddr::V4(_), Ok(())) => "a TCP socket for IPv4".into(),
            Self::Socket(SocketAddr::V6(_), Ok(())) => "a TCP socket for IPv6".into(),
            Self::Name(Ok(address), _) | Self::Accept(Ok(address)) => address.to_string(),
            Self::Recv(_, Ok(Bytes { count: 0, .. }), _) => "0 bytes".into(),
            Self::Recv(_, Ok(bytes), _) | Self::Send(_, Ok(bytes)) if bytes.count > 0 => {
                bytes.to_string()
            }
            call => match call.fault() {
                Some(fault) => call.failure(fault),
                None => "ok".into(),
            },
        }
    }

    fn failure(&self, fault: &Fault) -> String {
        match (self, fault.kind) {
            (Self::Recv(.., Waits::For(time)), sys::READ_TIMED_OUT) => {
                format!("nothing for {} ms", time.as_millis())
            }
            (Self::Send(..), Kind::WouldBlock) => "not for now".into(),
            (Self::Connect(_, limit, _), Kind::TimedOut) if *limit > Duration::ZERO => {
                format!("no answer for {} ms", limit.as_millis())
            }
            _ => fault.reason.clone(),
        }
    }

    /// Returns what the result means or why the call failed, as half a sentence; empty if the
    /// result says it all.
    #[must_use]
    pub fn why(&self) -> String {
        if let Some(fault) = self.fault() {
            return self.why_not(fault).into();
        }
        let why = match self {
            Self::Resolve(host, Ok(_)) if host.parse::<IpAddr>().is_ok() => {
                "an address already, with nothing to look up"
            }
            Self::Resolve(_, Ok(_)) => "the addresses that this name has",
            Self::Resolve(_, Err(_)) => "no such name, or nobody to ask for it",
            Self::Set((_, why), _) => why,
            Self::Bind(address, _) if address.port() == 0 => {
                "this address is ours now, with any port that is free"
            }
            Self::Bind(..) => "this address is ours now",
            Self::Name(_, Which::Listening) => "the address that clients connect to",
            Self::Name(..) => "our own end: the kernel has chosen the port",
            Self::Listen(backlog, _) => {
                let most = u32::from(*backlog).min(sys::most_backlog()) + 1;
                let s = if most == 1 { "" } else { "s" };
                return format!(
                    "the kernel completes up to {most} connection{s} before accept() takes them"
                );
            }
            Self::Accept(_) => "a new socket for this client, beside the listening one",
            Self::Connect(..) => {
                "SYN, SYN-ACK, ACK: the connection stands, though nobody may have accepted it"
            }
            Self::Recv(_, Ok(Bytes { count: 0, .. }), _) => "the peer has closed its side",
            Self::Recv(room, Ok(bytes), _) if bytes.count == *room => {
                "the buffer is full, there may be more"
            }
            Self::Send(count, Ok(bytes)) if bytes.count < *count => {
                "the kernel has no room for more"
            }
            Self::Socket(..) | Self::Recv(..) | Self::Send(..) => "",
            Self::Shutdown(_) => "when the peer has read what we sent, its recv() gives 0 bytes",
            Self::Close(Which::Listening) => "nobody else can come now",
            Self::Close(Which::Connected) => "the connection is done with",
            Self::Close(Which::Neither) => "this socket is done with",
        };
        why.into()
    }

    fn why_not(&self, fault: &Fault) -> &'static str {
        match (self, fault.kind) {
            (Self::Connect(..), Kind::ConnectionRefused) => "nothing listens on that port",
            (Self::Connect(..), Kind::TimedOut) => {
                "the host is not there, a firewall swallows what we send, or the backlog is full"
            }
            (Self::Connect(..), Kind::NetworkUnreachable | Kind::HostUnreachable) => {
                "there is no way to that address"
            }
            (Self::Bind(..) | Self::Listen(..), Kind::AddrInUse) => "another program has this port",
            (Self::Bind(..), Kind::AddrNotAvailable) => "this machine does not have that address",
            (Self::Bind(..), Kind::PermissionDenied) => "the ports below 1024 are the system's",
            (Self::Accept(_), _) if fault.out_of_descriptors => {
                "each socket is an open file, and there are as many as allowed"
            }
            (Self::Recv(.., Waits::For(time)), sys::READ_TIMED_OUT) => {
                if *time < UNENDED {
                    "such quiet is taken for the end"
                } else {
                    "the end of the line is still missing"
                }
            }
            (Self::Send(..), Kind::WouldBlock) => "the peer does not read what we sent before",
            (_, Kind::ConnectionReset) => {
                "the peer left with bytes of ours unread, or without a goodbye"
            }
            (Self::Recv(..) | Self::Send(..), Kind::TimedOut) => {
                "the peer's host does not answer any more"
            }
            (Self::Send(..), Kind::BrokenPipe) => "the peer has closed the connection",
            (Self::Shutdown(_), Kind::NotConnected) => "the connection is over already",
            _ => "",
        }
    }

    fn fault(&self) -> Option<&Fault> {
        match self {
            Self::Socket(_, result)
            | Self::Set(_, result)
            | Self::Bind(_, result)
            | Self::Listen(_, result)
            | Self::Connect(_, _, result)
            | Self::Shutdown(result) => result.as_ref().err(),
            Self::Name(result, _) | Self::Accept(result) => result.as_ref().err(),
            Self::Recv(_, result, _) | Self::Send(_, result) => result.as_ref().err(),
            Self::Resolve(..) | Self::Close(_) => None,
        }
    }
}

/// Returns `count` with the word for bytes: `1 byte`, `2 bytes`.
fn bytes(count: usize) -> String {
    match count {
        1 => "1 byte".into(),
        count => format!("{count} bytes"),
    }
}
