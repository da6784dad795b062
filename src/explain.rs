//! The log of socket calls for `--explain`: each call with its result and what that means.
//!
//! [`crate::socket`] makes the calls and logs their actual arguments and results.

use std::fmt;
use std::io::{self, ErrorKind as Kind};
use std::mem;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crate::endpoint::Address;
use crate::framing::UNENDED;
use crate::reason::reason;
use crate::sanitize::Untrusted;
use crate::sys;
use crate::{say, words};

/// The maximum number of sent or received bytes to show.
const SHOWN: usize = 16;

/// The width to which calls are padded, in characters.
const COLUMN: usize = 32;

/// The result of a system call.
type Outcome<'a, T = ()> = Result<&'a T, &'a io::Error>;

/// A log of calls that are not shown yet. Its default is off and records nothing.
#[derive(Debug, Clone, Default)]
pub struct Log {
    noted: Option<Arc<Mutex<Calls>>>,
    /// The address at the other end of the connection whose calls these are, if there is one.
    peer: Option<Address>,
    /// The number of the client whose calls these are, if there may be many.
    client: Option<u32>,
    folds: bool,
}

/// The calls in a log.
#[derive(Debug, Default)]
struct Calls {
    made: Vec<Noted>,
    /// The call that the program stands in, and since when.
    stands: Option<(Standing, SystemTime)>,
}

/// A call that has not returned yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// `accept()`, which waits for a client.
    Accept,
    /// `connect()` to this address.
    Connect(Address),
    /// `recv()`, which waits for bytes.
    Recv {
        /// The size of the buffer.
        size: usize,
        /// Whether they come from a server, and not from a client.
        from_server: bool,
    },
    /// `send()`, which waits for room.
    Send {
        /// Whether a server has to read, and not a client.
        to_server: bool,
    },
}

impl Standing {
    /// Returns whether `call` is the one that the program stands in.
    fn is_in(&self, call: &Call) -> bool {
        call.call.starts_with(match self {
            Self::Accept => "accept(",
            Self::Connect(_) => "connect(",
            Self::Recv { .. } => "recv(",
            Self::Send { .. } => "send(",
        })
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, until) = match self {
            Self::Accept => (
                "accept()".into(),
                words!("a client connects", "sich ein Client verbindet"),
            ),
            Self::Connect(address) => (
                format!("connect({address})"),
                words!(
                    "the server's host answers",
                    "der Rechner des Servers antwortet"
                ),
            ),
            Self::Recv { size, from_server } => (
                format!("recv({size})"),
                if *from_server {
                    words!("the server sends or leaves", "der Server sendet oder geht")
                } else {
                    words!("the client sends or leaves", "der Client sendet oder geht")
                },
            ),
            Self::Send { to_server } => (
                "send()".into(),
                if *to_server {
                    words!("the server reads", "der Server liest")
                } else {
                    words!("the client reads", "der Client liest")
                },
            ),
        };
        let waits = say!(
            "waits: the program stands in this call until {until}",
            "wartet: das Programm steht in diesem Aufruf, bis {until}"
        );
        write!(f, "{call:COLUMN$} {waits}")
    }
}

impl Log {
    /// Creates a log that is on, and remembers whether to [`fold`] the calls.
    pub fn on(folds: bool) -> Self {
        Self {
            noted: Some(Arc::default()),
            folds,
            ..Self::default()
        }
    }

    /// Returns whether to fold the calls.
    pub fn folds(&self) -> bool {
        self.folds
    }

    /// Returns a handle for the calls on the connection to `peer`.
    pub(crate) fn of_peer(&self, peer: &Address) -> Self {
        Self {
            peer: Some(peer.clone()),
            ..self.clone()
        }
    }

    /// Returns a handle for the calls on the connection to the client with this number.
    pub(crate) fn of_client(&self, number: u32) -> Self {
        Self {
            client: Some(number),
            ..self.clone()
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Calls>> {
        let noted = self.noted.as_ref()?;
        Some(noted.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the time before a call, if the log is on.
    pub(crate) fn time(&self) -> Option<SystemTime> {
        self.is_on().then(SystemTime::now)
    }

    /// Logs a call that was made just now, or when the program began to stand in it, and returns its
    /// `result`.
    pub(crate) fn note<T>(
        &self,
        result: io::Result<T>,
        call: impl FnOnce(Outcome<'_, T>) -> Call,
    ) -> io::Result<T> {
        self.note_since(None, result, call)
    }

    /// Logs a call that was made at `time`, or as [`Log::note`] does if there is none, and returns its
    /// `result`.
    pub(crate) fn note_since<T>(
        &self,
        time: Option<SystemTime>,
        result: io::Result<T>,
        call: impl FnOnce(Outcome<'_, T>) -> Call,
    ) -> io::Result<T> {
        if self.is_on() {
            self.push(time, call(result.as_ref()));
        }
        result
    }

    fn push(&self, time: Option<SystemTime>, call: Call) {
        if let Some(mut calls) = self.lock() {
            let ended = SystemTime::now();
            let stood = calls.stands.take_if(|(standing, _)| standing.is_in(&call));
            calls.made.push(Noted {
                peer: self.peer.clone(),
                client: self.client,
                time: time.or(stood.map(|(_, since)| since)).unwrap_or(ended),
                ended,
                call,
            });
        }
    }

    /// Logs that an option is set: the one call that failed, or all that make the `setting`.
    pub(crate) fn note_set(&self, setting: Setting, set: io::Result<()>) -> io::Result<()> {
        if self.is_on() {
            let mut calls = setting.calls();
            if set.is_err() {
                calls.drain(..calls.len() - 1);
            }
            for words in calls {
                self.push(None, Call::set(words, set.as_ref()));
            }
        }
        set
    }

    /// Logs that a socket is closed.
    pub(crate) fn note_close(&self, which: Which) {
        let _ = self.note(Ok(()), |_| Call::close(which));
    }

    /// Returns whether the log is on.
    pub(crate) fn is_on(&self) -> bool {
        self.noted.is_some()
    }

    /// Logs that the program begins to stand in a call, unless it does already.
    pub(crate) fn begin(&self, standing: &Standing) {
        if let Some(mut calls) = self.lock() {
            let stands = calls.stands.take_if(|(stands, _)| stands == standing);
            calls.stands = stands.or_else(|| Some((standing.clone(), SystemTime::now())));
        }
    }

    /// Returns the call to connect that another thread stands in.
    pub fn connecting(&self) -> Option<Standing> {
        let stands = self.lock()?.stands.clone();
        let (standing, _) = stands.filter(|(call, _)| matches!(call, Standing::Connect(_)))?;
        Some(standing)
    }

    /// Takes the logged calls, in order.
    #[must_use]
    pub fn take(&self) -> Vec<Noted> {
        let calls = self.lock();
        calls.map_or_else(Vec::new, |mut calls| mem::take(&mut calls.made))
    }
}

/// A logged call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// The address at the other end of the connection, if there is one.
    pub peer: Option<Address>,
    /// The number of the client, if there may be many.
    pub client: Option<u32>,
    /// When the call was made, or the program began to wait in it.
    pub time: SystemTime,
    /// When it returned.
    pub ended: SystemTime,
    /// The call and its result.
    pub call: Call,
}

impl fmt::Display for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { call, result, why } = &self.call;
        let whose = self.client.map(|number| format!("#{number} "));
        let call = whose.unwrap_or_default() + call;
        write!(f, "{call:COLUMN$} -> {result}")?;
        if !why.is_empty() {
            write!(f, ": {why}")?;
        }
        Ok(())
    }
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
type Words = (String, String);

impl Setting {
    /// Returns the calls that make the setting.
    fn calls(self) -> Vec<Words> {
        let call = match self {
            Self::ReuseAddress => (
                "SO_REUSEADDR, 1".into(),
                say!(
                    "a server that is started again gets its port back at once",
                    "ein neu gestarteter Server bekommt seinen Port sofort zurück"
                ),
            ),
            Self::Ipv4Too => (
                "IPV6_V6ONLY, 0".into(),
                say!(
                    "IPv4 clients can reach this IPv6 socket too",
                    "auch IPv4-Clients erreichen diesen IPv6-Socket"
                ),
            ),
            Self::NoDelay => (
                "TCP_NODELAY, 1".into(),
                say!(
                    "a short message is sent at once, not held back for more",
                    "eine kurze Nachricht geht sofort weg und wartet nicht auf mehr"
                ),
            ),
            Self::KeepAlive(time, interval, n) => {
                let (time, interval) = (time.as_secs(), interval.as_secs());
                let asked = say!(
                    "when the line is silent, the peer's host is asked whether it lives",
                    "ist die Leitung still, wird der Rechner der Gegenseite gefragt, ob er lebt"
                );
                let after = say!(
                    "it is asked after {time} s of silence",
                    "er wird nach {time} s Stille gefragt"
                );
                let again = say!("and again every {interval} s", "und dann alle {interval} s");
                let ends = say!(
                    "{n} questions without an answer end the connection",
                    "{n} Fragen ohne Antwort beenden die Verbindung"
                );
                return vec![
                    ("SO_KEEPALIVE, 1".into(), asked),
                    (format!("TCP_KEEPIDLE, {time}"), after),
                    (format!("TCP_KEEPINTVL, {interval}"), again),
                    (format!("TCP_KEEPCNT, {n}"), ends),
                ];
            }
            Self::UserTimeout(timeout) => {
                let ms = timeout.as_millis();
                let why = say!(
                    "and so do {ms} ms in which what we sent is not acknowledged",
                    "ebenso {ms} ms, in denen Gesendetes nicht bestätigt wird"
                );
                (format!("TCP_USER_TIMEOUT, {ms}"), why)
            }
            Self::Linger(true) => (
                "SO_LINGER, 0 s".into(),
                say!(
                    "if we are killed, the connection is reset, which is no goodbye",
                    "werden wir abgebrochen, wird die Verbindung zurückgesetzt, was kein Abschied \
                     ist"
                ),
            ),
            Self::Linger(false) => (
                "SO_LINGER, off".into(),
                say!(
                    "we leave in order: what was sent still arrives",
                    "wir gehen geordnet: was gesendet ist, kommt noch an"
                ),
            ),
            Self::RecvTimeout(Some(timeout)) => (
                format!("SO_RCVTIMEO, {} ms", timeout.as_millis()),
                say!(
                    "recv() gives up after so long without a byte",
                    "recv() gibt nach so langer Zeit ohne Byte auf"
                ),
            ),
            Self::RecvTimeout(None) => (
                "SO_RCVTIMEO, 0".into(),
                say!(
                    "recv() waits as long as it takes again",
                    "recv() wartet wieder, so lange es dauert"
                ),
            ),
        };
        vec![call]
    }
}

/// The words for a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The call with its arguments: `recv(65536)`.
    pub call: String,
    /// The result: `7 bytes: 67 72 c3 bc 65 7a 69  "grüezi"`, or `connection refused`.
    pub result: String,
    /// What the result means or why the call failed, as half a sentence; empty if the result says
    /// it all.
    pub why: String,
}

impl Call {
    /// Creates the words for a call that gave `result`. For a failure of which `why` says nothing,
    /// those for a lost connection are taken.
    fn new(
        call: impl Into<String>,
        result: Result<impl Into<String>, &io::Error>,
        why: impl Into<String>,
    ) -> Self {
        let mut why = why.into();
        if let Err(error) = &result
            && why.is_empty()
        {
            why = why_lost(error.kind()).into();
        }
        Self {
            call: call.into(),
            result: result.map_or_else(reason, Into::into),
            why,
        }
    }

    /// Returns the name of the option that the call has set.
    fn option(&self) -> Option<&str> {
        let arguments = self.call.strip_prefix("setsockopt(")?;
        let (option, _) = arguments.split_once(',')?;
        (self.result == "ok").then_some(option)
    }

    /// `getaddrinfo()`: looks up a host name.
    pub(crate) fn resolve(host: &str, found: Outcome<'_, Vec<Address>>) -> Self {
        let why = match found {
            Ok(_) if host.parse::<IpAddr>().is_ok() => words!(
                "an address already, with nothing to look up",
                "schon eine Adresse, nichts nachzuschlagen"
            ),
            Ok(_) => words!(
                "the addresses that this name has",
                "die Adressen, die dieser Name hat"
            ),
            Err(_) => words!(
                "no such name, or nobody to ask for it",
                "diesen Namen gibt es nicht, oder niemand kennt ihn"
            ),
        };
        let ip = |address: &Address| match address {
            Address::Tcp(address) => address.ip().to_string(),
            Address::Unix(_) => address.to_string(),
        };
        let result = found.map(|found| found.iter().map(ip).collect::<Vec<_>>().join(", "));
        Self::new(format!("getaddrinfo({host})"), result, why)
    }

    /// `socket()`: creates a socket for the protocol of `address`.
    pub(crate) fn socket<T>(address: &Address, made: Outcome<'_, T>) -> Self {
        let kind = match address {
            Address::Tcp(address) if address.is_ipv4() => {
                words!("a TCP socket for IPv4", "ein TCP-Socket für IPv4")
            }
            Address::Tcp(_) => words!("a TCP socket for IPv6", "ein TCP-Socket für IPv6"),
            Address::Unix(_) => words!(
                "a Unix socket, for this machine alone",
                "ein Unix-Socket, nur für diesen Rechner"
            ),
        };
        Self::new("socket()", made.map(|_| kind), "")
    }

    /// `setsockopt()`: sets an option, as `words` say.
    fn set((option, why): Words, set: Outcome<'_>) -> Self {
        let why = if set.is_ok() { why } else { String::new() };
        Self::new(format!("setsockopt({option})"), set.map(|()| "ok"), why)
    }

    /// `bind()`: binds the socket to `address`.
    pub(crate) fn bind(address: &Address, bound: Outcome<'_>) -> Self {
        let why = match (bound.map_err(io::Error::kind), address) {
            (Ok(()), Address::Unix(_)) => words!(
                "a file of this name stands for the socket",
                "eine Datei dieses Namens steht für den Socket"
            ),
            (Ok(()), Address::Tcp(address)) if address.port() == 0 => words!(
                "this address is ours now, with any port that is free",
                "diese Adresse gehört jetzt uns, mit irgendeinem freien Port"
            ),
            (Ok(()), Address::Tcp(_)) => {
                words!("this address is ours now", "diese Adresse gehört jetzt uns")
            }
            (Err(Kind::AddrInUse), Address::Unix(_)) => {
                words!("there is such a file already", "diese Datei gibt es schon")
            }
            (Err(Kind::AddrInUse), Address::Tcp(_)) => port_taken(),
            (Err(Kind::AddrNotAvailable), _) => words!(
                "this machine does not have that address",
                "dieser Rechner hat diese Adresse nicht"
            ),
            (Err(Kind::PermissionDenied), Address::Tcp(_)) => words!(
                "the ports below 1024 are the system's",
                "die Ports unter 1024 gehören dem System"
            ),
            (Err(_), _) => "",
        };
        Self::new(format!("bind({address})"), bound.map(|()| "ok"), why)
    }

    /// `getsockname()`: returns the address that the socket is bound to.
    pub(crate) fn name(name: Outcome<'_, Address>, which: Which) -> Self {
        let why = match (name, which) {
            (Ok(_), Which::Listening) => words!(
                "the address that clients connect to",
                "die Adresse, mit der sich Clients verbinden"
            ),
            (Ok(_), _) => words!(
                "our own end: the kernel has chosen the port",
                "unser eigenes Ende: den Port hat der Kernel gewählt"
            ),
            (Err(_), _) => "",
        };
        Self::new("getsockname()", name.map(ToString::to_string), why)
    }

    /// `listen()`: starts to listen, with this backlog.
    pub(crate) fn listen(backlog: u16, listening: Outcome<'_>) -> Self {
        let why = match listening.map_err(io::Error::kind) {
            Ok(()) => {
                let most = u32::from(backlog).min(sys::most_backlog()) + 1;
                let (s, en) = if most == 1 { ("", "") } else { ("s", "en") };
                say!(
                    "the kernel completes up to {most} connection{s} before accept() takes them",
                    "der Kernel baut bis zu {most} Verbindung{en} auf, bevor accept() sie nimmt"
                )
            }
            Err(Kind::AddrInUse) => port_taken().into(),
            Err(_) => String::new(),
        };
        let call = format!("listen(backlog = {backlog})");
        Self::new(call, listening.map(|()| "ok"), why)
    }

    /// `accept()`: accepts the client at an address.
    pub(crate) fn accept(accepted: Outcome<'_, Address>) -> Self {
        let why = match accepted {
            Ok(_) => words!(
                "a new socket for this client, beside the listening one",
                "ein neuer Socket für diesen Client, neben dem, der zuhört"
            ),
            Err(error) if sys::is_out_of_descriptors(error) => words!(
                "each socket is an open file, and there are as many as allowed",
                "jeder Socket ist eine offene Datei, und mehr sind nicht erlaubt"
            ),
            Err(_) => "",
        };
        Self::new("accept()", accepted.map(ToString::to_string), why)
    }

    /// `connect()`: connects to `address` within the time `limit`.
    pub(crate) fn connect(address: &Address, limit: Duration, connected: Outcome<'_>) -> Self {
        let why = match (connected.map_err(io::Error::kind), address) {
            (Ok(()), Address::Unix(_)) => words!(
                "the connection stands, though nobody may have accepted it",
                "die Verbindung steht, auch wenn sie vielleicht noch niemand angenommen hat"
            ),
            (Ok(()), Address::Tcp(_)) => words!(
                "SYN, SYN-ACK, ACK: the connection stands, though nobody may have accepted it",
                "SYN, SYN-ACK, ACK: die Verbindung steht, auch wenn sie vielleicht noch niemand \
                 angenommen hat"
            ),
            (Err(Kind::NotFound), _) => words!(
                "there is no such file: no server has made it",
                "diese Datei gibt es nicht: kein Server hat sie angelegt"
            ),
            (Err(Kind::ConnectionRefused), Address::Unix(_)) => words!(
                "the server that has made this file has ended",
                "der Server, der diese Datei angelegt hat, ist beendet"
            ),
            (Err(Kind::ConnectionRefused), Address::Tcp(_)) => words!(
                "nothing listens on that port",
                "auf diesem Port hört niemand zu"
            ),
            (Err(Kind::TimedOut), Address::Unix(_)) => {
                words!("the backlog is full", "der Backlog ist voll")
            }
            (Err(Kind::TimedOut), Address::Tcp(_)) => words!(
                "the host is not there, a firewall swallows what we send, or the backlog is full",
                "der Rechner ist nicht da, eine Firewall verschluckt, was wir senden, oder der \
                 Backlog ist voll"
            ),
            (Err(Kind::NetworkUnreachable | Kind::HostUnreachable), _) => words!(
                "there is no way to that address",
                "zu dieser Adresse führt kein Weg"
            ),
            (Err(_), _) => "",
        };
        let result = match connected {
            Err(error) if error.kind() == Kind::TimedOut && !limit.is_zero() => {
                let ms = limit.as_millis();
                Ok(say!(
                    "no answer for {ms} ms",
                    "keine Antwort während {ms} ms"
                ))
            }
            connected => connected.map(|()| "ok".into()),
        };
        Self::new(format!("connect({address})"), result, why)
    }

    /// `recv()`: reads into `buffer`, within the time that `waits` allows. Returns the number of
    /// bytes. `has_received` tells whether there were any before.
    pub(crate) fn recv(
        buffer: &[u8],
        received: Outcome<'_, usize>,
        waits: Waits,
        has_received: bool,
    ) -> Self {
        let mut result = received.map(|count| match count {
            0 => bytes(0),
            count => dump(&buffer[..*count]),
        });
        let why = match (received, waits) {
            (Ok(0), _) if has_received => words!(
                "the peer has closed its side, or its program ended",
                "die Gegenseite hat ihre Seite geschlossen, oder ihr Programm ist beendet"
            ),
            (Ok(0), _) => words!(
                "the peer has closed its side, or its program ended; it has sent nothing",
                "die Gegenseite hat ihre Seite geschlossen, oder ihr Programm ist beendet; sie hat \
                 nichts gesendet"
            ),
            (Ok(count), _) if *count == buffer.len() => words!(
                "the buffer is full, there may be more",
                "der Puffer ist voll, es kann noch mehr da sein"
            ),
            (Err(error), Waits::For(time)) if error.kind() == sys::READ_TIMED_OUT => {
                let ms = time.as_millis();
                result = Ok(say!("nothing for {ms} ms", "nichts während {ms} ms"));
                if time < UNENDED {
                    words!(
                        "such quiet is taken for the end",
                        "solche Stille gilt als das Ende"
                    )
                } else {
                    words!(
                        "the end of the line is still missing",
                        "das Ende der Zeile fehlt noch"
                    )
                }
            }
            _ => "",
        };
        Self::new(format!("recv({})", buffer.len()), result, why)
    }

    /// `send()`: writes `data`, of which the number of bytes in `sent` is accepted.
    pub(crate) fn send(data: &[u8], sent: Outcome<'_, usize>) -> Self {
        let why = match sent {
            Ok(count) if *count < data.len() => words!(
                "the kernel has no room for more",
                "der Kernel hat keinen Platz für mehr"
            ),
            Err(error) if error.kind() == Kind::BrokenPipe => words!(
                "the peer has closed the connection",
                "die Gegenseite hat die Verbindung geschlossen"
            ),
            _ => "",
        };
        let result = sent.map(|count| dump(&data[..*count]));
        Self::new(format!("send({})", bytes(data.len())), result, why)
    }

    /// `shutdown()`: closes our side of the connection.
    pub(crate) fn shutdown(closed: Outcome<'_>) -> Self {
        let why = match closed.map_err(io::Error::kind) {
            Ok(()) => words!(
                "when the peer has read what we sent, its recv() gives 0 bytes",
                "hat die Gegenseite alles gelesen, liefert ihr recv() 0 Bytes"
            ),
            Err(Kind::NotConnected) => words!(
                "the connection is over already",
                "die Verbindung ist schon zu Ende"
            ),
            Err(_) => "",
        };
        Self::new("shutdown(write)", closed.map(|()| "ok"), why)
    }

    /// `unlink()`: removes the file of a Unix socket.
    pub(crate) fn unlink(path: &Path, removed: Outcome<'_>) -> Self {
        let call = format!("unlink({})", path.display());
        let why = words!(
            "no program listens there any more, so the file goes",
            "dort hört kein Programm mehr zu, also wird die Datei gelöscht"
        );
        Self::new(call, removed.map(|()| "ok"), why)
    }

    /// `close()`: closes the socket.
    fn close(which: Which) -> Self {
        let why = match which {
            Which::Listening => words!(
                "the listening socket: nobody else can come now",
                "der Socket, der zuhört: jetzt kann niemand mehr kommen"
            ),
            Which::Connected => words!(
                "the socket of the connection, which is done with",
                "der Socket der Verbindung, die damit erledigt ist"
            ),
            Which::Neither => words!(
                "the socket that was not connected",
                "der Socket, der nicht verbunden wurde"
            ),
        };
        Self::new("close()", Ok("ok"), why)
    }
}

/// Folds each run of successful calls that set options of the same socket into one.
pub fn fold(calls: &[Noted]) -> Vec<Noted> {
    let set_options = |one: &Noted, next: &Noted| {
        one.peer == next.peer && one.call.option().and(next.call.option()).is_some()
    };
    let folded = calls.chunk_by(set_options).map(|run| {
        let mut first = run[0].clone();
        if let (Some(option), count @ 1..) = (first.call.option(), run.len() - 1) {
            first.call.call = say!(
                "setsockopt({option} and {count} more)",
                "setsockopt({option} und {count} weitere)"
            );
            first.call.why = say!(
                "how the connection behaves; --explain=all tells each",
                "wie sich die Verbindung verhält; --explain=all zeigt jeden"
            );
        }
        first
    });
    folded.collect()
}

/// Returns why no other program can use a port.
fn port_taken() -> &'static str {
    words!(
        "another program has this port",
        "ein anderes Programm hat diesen Port"
    )
}

/// Returns why a call on a connection failed with `kind`, or nothing.
fn why_lost(kind: Kind) -> &'static str {
    match kind {
        Kind::ConnectionReset => words!(
            "the peer left with bytes of ours unread, or without a goodbye",
            "die Gegenseite ging mit ungelesenen Bytes von uns oder ohne Abschied"
        ),
        Kind::TimedOut => words!(
            "the peer's host does not answer any more",
            "der Rechner der Gegenseite antwortet nicht mehr"
        ),
        _ => "",
    }
}

/// Describes sent or received bytes: `7 bytes: 67 72 c3 bc 65 7a 69  "grüezi"`.
pub(crate) fn dump(data: &[u8]) -> String {
    let first = &data[..data.len().min(SHOWN)];
    let more = if data.len() > SHOWN { "..." } else { "" };
    let mut text = format!("{}:", bytes(data.len()));
    for byte in first {
        text += &format!(" {byte:02x}");
    }
    let shown = Untrusted(first).visible_line(4 * SHOWN);
    text + &format!("{more}  \"{shown}\"{more}")
}

/// Returns `count` with the word for bytes: `1 byte`, `2 bytes`.
fn bytes(count: usize) -> String {
    match count {
        1 => words!("1 byte", "1 Byte").into(),
        count => say!("{count} bytes", "{count} Bytes"),
    }
}
