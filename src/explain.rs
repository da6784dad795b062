//! The narration of socket calls: what was called, what came of it, and why.
//!
//! Every call is noted by [`crate::socket`], where it is made, from its own arguments and
//! result. The console tells it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::io::Errno;

use crate::reason::reason;
use crate::sanitize::Untrusted;

/// So many bytes of what is sent or received are shown.
const SHOWN: usize = 16;

/// The column behind which the results of calls stand.
const COLUMN: usize = 32;

/// What a system call has come to.
type Outcome<T = ()> = Result<T, Errno>;

/// Where calls are noted until they are told. One that is off notes nothing, at no cost.
#[derive(Debug, Clone, Default)]
pub struct Log(Option<Arc<Notes>>);

#[derive(Debug)]
struct Notes {
    names_peers: bool,
    noted: Mutex<Vec<Noted>>,
}

impl Notes {
    fn lock(&self) -> MutexGuard<'_, Vec<Noted>> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    /// One that is on. Where there may be many peers, it is told with which one each call has
    /// to do.
    #[must_use]
    pub fn on(names_peers: bool) -> Self {
        Self(Some(Arc::new(Notes {
            names_peers,
            noted: Mutex::default(),
        })))
    }

    /// The time before a call, if it is to be noted.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        self.0.as_ref().map(|_| SystemTime::now())
    }

    /// Notes a call on the connection with `peer`, if it is on one, and returns its result. It
    /// was made at `time`, or just now.
    pub(crate) fn note<T, E>(
        &self,
        peer: Option<SocketAddr>,
        time: Option<SystemTime>,
        result: Result<T, E>,
        call: impl FnOnce(&Result<T, E>) -> Call,
    ) -> Result<T, E> {
        if let Some(notes) = &self.0 {
            let call = call(&result);
            notes.lock().push(Noted {
                peer,
                names_peer: notes.names_peers,
                time: time.unwrap_or_else(SystemTime::now),
                call,
            });
        }
        result
    }

    /// Takes the calls that were noted and not told yet, in their order.
    #[must_use]
    pub fn take(&self) -> Vec<Noted> {
        self.0
            .as_ref()
            .map_or_else(Vec::new, |notes| std::mem::take(&mut *notes.lock()))
    }

    /// Whether there is nothing to take.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|notes| notes.lock().is_empty())
    }
}

/// A call that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Who is at the other end, where somebody is.
    pub peer: Option<SocketAddr>,
    /// There may be others.
    names_peer: bool,
    /// When it was made.
    pub time: SystemTime,
    /// What was called, and what came of it.
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
    /// Looking a name up, and what was found.
    Resolve(String, Result<Vec<SocketAddr>, String>),
    /// Making a socket for an address.
    Socket(SocketAddr, Outcome),
    /// Setting an option of one.
    Set(Setting, Outcome),
    /// Taking an address.
    Bind(SocketAddr, Outcome),
    /// Asking which address that was.
    Name(Outcome<SocketAddr>, Which),
    /// Beginning to listen, with a backlog.
    Listen(u16, Outcome),
    /// Accepting somebody.
    Accept(Outcome<SocketAddr>),
    /// Connecting, for so long at most.
    Connect(SocketAddr, Duration, Outcome),
    /// Reading so many bytes at most, and what has come.
    Recv(usize, Outcome<Bytes>, Waits),
    /// Writing.
    Send(usize, Outcome<Bytes>),
    /// Closing our side.
    Shutdown(Outcome),
    /// Closing the socket, which one.
    Close(Which),
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// It listens.
    Listening,
    /// It is one end of a connection.
    Connected,
    /// Nothing has come of it.
    Neither,
}

/// How long a read waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waits {
    /// For ever.
    Endless,
    /// For so long.
    For(Duration),
    /// Not at all.
    Never,
}

/// What was sent or received: how many bytes, and the first of them.
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
        let more = if self.count > self.first.len() {
            "..."
        } else {
            ""
        };
        write!(f, "{}:", bytes(self.count))?;
        for byte in &self.first {
            write!(f, " {byte:02x}")?;
        }
        let text = Untrusted(&self.first);
        write!(f, "{more}  \"{}\"{more}", text.visible_line(4 * SHOWN))
    }
}

/// An option of a socket, and what it is set to (socket(7), tcp(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// `SO_REUSEADDR`, on.
    ReuseAddress,
    /// `IPV6_V6ONLY`, off.
    Ipv4Too,
    /// `TCP_NODELAY`, on.
    NoDelay,
    /// `SO_KEEPALIVE`, on.
    KeepAlive,
    /// `TCP_KEEPIDLE`.
    KeepIdle(Duration),
    /// `TCP_KEEPINTVL`.
    KeepInterval(Duration),
    /// `TCP_KEEPCNT`.
    KeepCount(u32),
    /// `TCP_USER_TIMEOUT`.
    UserTimeout(Duration),
    /// `SO_LINGER`, of no seconds if it is on.
    Linger(bool),
    /// `SO_RCVTIMEO`.
    RecvTimeout(Option<Duration>),
}

impl Setting {
    /// Its name and value, and what it is good for.
    fn words(self) -> (String, String) {
        let (value, why) = match self {
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
            Self::KeepAlive => (
                "SO_KEEPALIVE, 1".into(),
                "when the line is silent, the peer's host is asked whether it lives",
            ),
            Self::KeepIdle(idle) => {
                let s = idle.as_secs();
                return (
                    format!("TCP_KEEPIDLE, {s}"),
                    format!("it is asked after {s} s of silence"),
                );
            }
            Self::KeepInterval(interval) => {
                let s = interval.as_secs();
                return (
                    format!("TCP_KEEPINTVL, {s}"),
                    format!("and again every {s} s"),
                );
            }
            Self::KeepCount(count) => {
                return (
                    format!("TCP_KEEPCNT, {count}"),
                    format!("{count} questions without an answer end the connection"),
                );
            }
            Self::UserTimeout(timeout) => {
                let ms = timeout.as_millis();
                return (
                    format!("TCP_USER_TIMEOUT, {ms}"),
                    format!("and so do {ms} ms in which what we sent is not acknowledged"),
                );
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
        (value, why.into())
    }
}

impl Call {
    /// What was called, with its arguments: `recv(65536)`.
    #[must_use]
    pub fn call(&self) -> String {
        match self {
            Self::Resolve(host, _) => format!("getaddrinfo({host})"),
            Self::Socket(..) => "socket()".into(),
            Self::Set(setting, _) => format!("setsockopt({})", setting.words().0),
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

    /// What came of it: `7 bytes: 67 72 c3 bc 65 7a 69  "grüezi"`, or `connection refused`.
    #[must_use]
    pub fn result(&self) -> String {
        match self {
            Self::Resolve(_, Ok(addresses)) => {
                let addresses: Vec<_> = addresses.iter().map(|a| a.ip().to_string()).collect();
                addresses.join(", ")
            }
            Self::Resolve(_, Err(reason)) => reason.clone(),
            Self::Socket(address, Ok(())) => {
                format!(
                    "a TCP socket for IPv{}",
                    if address.is_ipv4() { 4 } else { 6 }
                )
            }
            Self::Name(Ok(address), _) | Self::Accept(Ok(address)) => address.to_string(),
            Self::Recv(_, Ok(Bytes { count: 0, .. }), _) => "0 bytes".into(),
            Self::Recv(_, Ok(bytes), _) | Self::Send(_, Ok(bytes)) if bytes.count > 0 => {
                bytes.to_string()
            }
            Self::Recv(_, Err(Errno::AGAIN), Waits::For(time)) => {
                format!("nothing for {} ms", time.as_millis())
            }
            Self::Recv(_, Err(Errno::AGAIN), _) => {
                "nothing for now, and this socket does not wait".into()
            }
            Self::Send(_, Err(Errno::AGAIN)) => "not for now".into(),
            Self::Accept(Err(Errno::AGAIN)) => {
                "nobody for now, and this socket does not wait".into()
            }
            Self::Connect(_, limit, Err(Errno::TIMEDOUT)) if *limit > Duration::ZERO => {
                format!("no answer for {} ms", limit.as_millis())
            }
            call => match call.error() {
                Some(error) => reason(&error.into()),
                None => "ok".into(),
            },
        }
    }

    /// Half a sentence of why, or of what it means; empty where that would only repeat.
    #[must_use]
    pub fn why(&self) -> String {
        if let Some(error) = self.error() {
            return self.why_not(error).into();
        }
        match self {
            Self::Resolve(host, Ok(_)) if host.parse::<IpAddr>().is_ok() => {
                "an address already, with nothing to look up".into()
            }
            Self::Resolve(_, Ok(_)) => "the addresses that this name has".into(),
            Self::Resolve(_, Err(_)) => "no such name, or nobody to ask for it".into(),
            Self::Set(setting, _) => setting.words().1,
            Self::Bind(address, _) if address.port() == 0 => {
                "this address is ours now, with any port that is free".into()
            }
            Self::Bind(..) => "this address is ours now".into(),
            Self::Name(_, Which::Listening) => "the address that clients connect to".into(),
            Self::Name(..) => "our own end: the kernel has chosen the port".into(),
            Self::Listen(backlog, _) => {
                let most = u32::from(*backlog).min(most_backlog()) + 1;
                let connections = if most == 1 {
                    "connection"
                } else {
                    "connections"
                };
                format!(
                    "the kernel completes up to {most} {connections} before accept() takes them"
                )
            }
            Self::Accept(_) => "a new socket for this client, beside the listening one".into(),
            Self::Connect(..) => {
                "SYN, SYN-ACK, ACK: the connection stands, though nobody may have accepted it"
                    .into()
            }
            Self::Recv(_, Ok(Bytes { count: 0, .. }), _) => "the peer has closed its side".into(),
            Self::Recv(room, Ok(bytes), _) if bytes.count == *room => {
                "the buffer is full, there may be more".into()
            }
            Self::Send(count, Ok(bytes)) if bytes.count < *count => {
                "the kernel has no room for more".into()
            }
            Self::Socket(..) | Self::Recv(..) | Self::Send(..) => String::new(),
            Self::Shutdown(_) => {
                "when the peer has read what we sent, its recv() gives 0 bytes".into()
            }
            Self::Close(Which::Listening) => "nobody else can come now".into(),
            Self::Close(Which::Connected) => "the connection is done with".into(),
            Self::Close(Which::Neither) => "this socket is done with".into(),
        }
    }

    fn why_not(&self, error: Errno) -> &'static str {
        match (self, error) {
            (Self::Connect(..), Errno::CONNREFUSED) => "nothing listens on that port",
            (Self::Connect(..), Errno::TIMEDOUT) => {
                "the host is not there, a firewall swallows what we send, or the backlog is full"
            }
            (Self::Connect(..), Errno::NETUNREACH | Errno::HOSTUNREACH) => {
                "there is no way to that address"
            }
            (Self::Bind(..) | Self::Listen(..), Errno::ADDRINUSE) => {
                "another program has this port"
            }
            (Self::Bind(..), Errno::ADDRNOTAVAIL) => "this machine does not have that address",
            (Self::Bind(..), Errno::ACCESS) => "the ports below 1024 are the system's",
            (Self::Accept(_), Errno::MFILE | Errno::NFILE) => {
                "each socket is an open file, and there are as many as allowed"
            }
            (Self::Recv(_, _, Waits::For(time)), Errno::AGAIN) => {
                if *time < crate::framing::UNENDED {
                    "such quiet is taken for the end"
                } else {
                    "the end of the line is still missing"
                }
            }
            (Self::Send(..), Errno::AGAIN) => "the peer does not read what we sent before",
            (_, Errno::CONNRESET) => {
                "the peer left with bytes of ours unread, or without a goodbye"
            }
            (Self::Recv(..) | Self::Send(..), Errno::TIMEDOUT) => {
                "the peer's host does not answer any more"
            }
            (Self::Send(..), Errno::PIPE) => "the peer has closed the connection",
            (Self::Shutdown(_), Errno::NOTCONN) => "the connection is over already",
            _ => "",
        }
    }

    fn error(&self) -> Option<Errno> {
        match self {
            Self::Socket(_, result)
            | Self::Set(_, result)
            | Self::Bind(_, result)
            | Self::Listen(_, result)
            | Self::Connect(_, _, result)
            | Self::Shutdown(result) => result.err(),
            Self::Name(result, _) | Self::Accept(result) => result.err(),
            Self::Recv(_, result, _) | Self::Send(_, result) => result.as_ref().err().copied(),
            Self::Resolve(..) | Self::Close(_) => None,
        }
    }
}

/// A number of bytes, in words.
fn bytes(count: usize) -> String {
    match count {
        1 => "1 byte".into(),
        count => format!("{count} bytes"),
    }
}

/// The longest backlog that the system allows for (listen(2)).
fn most_backlog() -> u32 {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
    most.ok()
        .and_then(|most| most.trim().parse().ok())
        .unwrap_or(u32::MAX - 1)
}
