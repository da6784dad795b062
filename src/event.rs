//! Everything that is ever printed, worded in one place.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::address::Address;
use crate::connection::Part;
use crate::explain::Noted;
use crate::framing::{Framing, Oddity};
use crate::reason::reason;
use crate::sanitize::Untrusted;

/// So many characters of a name are shown.
const NAME: usize = 32;

/// So many characters of why a text is no JSON message are shown; it may quote the text.
const WHY: usize = 80;

/// So many characters of a message whose end has not come are shown while it is waited for.
const SO_FAR: usize = 32;

/// Who is on the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// We serve one at a time: it has connected to us.
    Client,
    /// We serve many: it was so many-th to connect to us.
    Numbered(u32),
    /// We have connected to it.
    Server,
}

impl Peer {
    /// How a sentence about it begins.
    fn subject(self) -> String {
        match self {
            Self::Client => "The client".into(),
            Self::Numbered(number) => format!("Client #{number}"),
            Self::Server => "The server".into(),
        }
    }
}

impl fmt::Display for Peer {
    /// As it stands within a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("the client"),
            Self::Numbered(number) => write!(f, "client #{number}"),
            Self::Server => f.write_str("the server"),
        }
    }
}

/// What stands before what the user types: the tutorial's arrow, and for one of many, to
/// whom it points and how many others wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prompt {
    /// Who is to be answered.
    pub peer: Peer,
    /// So many others wait.
    pub waiting: usize,
}

impl fmt::Display for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Peer::Numbered(number) = self.peer {
            write!(f, " #{number}")?;
        }
        if self.waiting > 0 {
            write!(f, " ({} waiting)", self.waiting)?;
        }
        f.write_str(" -> ")
    }
}

/// What the user waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Awaited {
    /// Somebody to talk with.
    AClient,
    /// What the peer says in its turn.
    TurnOf(Peer),
    /// What one of so many clients says.
    Clients(usize),
    /// That the server is there again.
    AServer,
}

impl fmt::Display for Awaited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AClient => f.write_str("a client"),
            Self::TurnOf(peer) => peer.fmt(f),
            Self::Clients(count) => write!(f, "{count} clients"),
            Self::AServer => f.write_str("the server"),
        }
    }
}

impl Awaited {
    /// The waiting line, after so much waiting: `waiting for the server, 12 s`.
    #[must_use]
    pub fn waiting(self, waited: Duration) -> String {
        match waited.as_secs() {
            0 => format!("waiting for {self}"),
            s @ 1..60 => format!("waiting for {self}, {s} s"),
            s @ 60..3600 => format!("waiting for {self}, {} min", s / 60),
            s => format!("waiting for {self}, {} h", s / 3600),
        }
    }

    /// What stands on the waiting line when the end of a message does not come.
    #[must_use]
    pub fn so_far(text: Untrusted<'_>) -> String {
        format!("so far: {}", text.visible_line(SO_FAR))
    }

    /// What answers Enter, which can send nothing.
    #[must_use]
    pub fn nothing_to_answer(self) -> String {
        match self {
            Self::AClient => "(nobody is there yet)".into(),
            Self::TurnOf(peer) => format!("(it is {peer}'s turn)"),
            Self::Clients(_) => "(it is the clients' turn)".into(),
            Self::AServer => "(the server is not there)".into(),
        }
    }
}

/// How a conversation with a peer ended that we did not end.
#[derive(Debug)]
pub enum Parting {
    /// It closed the connection.
    Left,
    /// The connection broke.
    Lost(io::Error),
    /// It had the turn, and said nothing for so long.
    Idle(Duration),
    /// It did not take what we sent it for so long.
    Stuck(Duration),
}

/// Something that happened and that the user is told.
#[derive(Debug)]
pub enum Event<'a> {
    /// A socket call was made, with `--explain`.
    Called(&'a Noted),
    /// The server accepts connections from now on.
    Listening(SocketAddr),
    /// The server can be reached from other machines.
    Exposed,
    /// A client has come, from this address.
    ConnectionFrom(Peer, SocketAddr),
    /// No further client can be accepted for now, and why.
    Crowded(&'a io::Error),
    /// The connection to the server stands.
    ConnectedTo {
        /// Where the server is.
        address: SocketAddr,
        /// Our own end.
        local: SocketAddr,
    },
    /// A part of a message of ours is on its way; the user has seen it when it was typed.
    Sent {
        /// To whom.
        peer: Peer,
        /// What it says.
        text: &'a [u8],
        /// The message ends with it.
        last: bool,
    },
    /// We have ended the conversation with the peer.
    Closed {
        /// With whom.
        peer: Peer,
        /// There are, or will be, others; else the program ends as well.
        goes_on: bool,
    },
    /// What stands on the prompt was sent before, and had no reply.
    NotAnswered,
    /// The program fails, and will say so at its end.
    Failed(&'a Failure),
    /// The program ends, and with it every conversation that has not ended before.
    Ended,
    /// A part of a message, in the peer's turn.
    Received(Peer, &'a Part<'a>),
    /// A part of what came when the peer's turn was over already.
    Late(Peer, &'a Part<'a>),
    /// What is odd about the message that comes next, in this framing of ours; the first
    /// time, with what to do about it.
    Odd {
        /// What is odd.
        oddity: &'a Oddity,
        /// It was not told before.
        first: bool,
    },
    /// The peer has begun a message, and its end does not come.
    Unended(Peer),
    /// Something typed was no UTF-8.
    NotUtf8,
    /// Newlines of our message became spaces in this framing.
    Joined(Framing),
    /// The conversation with the peer has ended.
    Gone(Peer, &'a Parting),
    /// There is no connection to the server, and how long it is until this next try.
    TryingAgain {
        /// Why there is none.
        failure: &'a Failure,
        /// The pause before the try.
        pause: Duration,
        /// The number of the try, from 1.
        tries: u32,
    },
    /// What stood on the prompt when the conversation ended.
    NotSent(&'a str),
    /// There are too many open descriptors for rustyline, which waits by select(2).
    NoEditor,
    /// The transcript ends here, since it could not be written.
    NoTranscript {
        /// Its file.
        path: &'a Path,
        /// The cause, as [`reason`] words it.
        reason: String,
    },
    /// History is not kept: what was tried, with which file, and why it failed.
    NoHistory {
        /// `read` or `write`.
        verb: &'static str,
        /// The history file.
        path: &'a Path,
        /// The cause, as [`reason`] words it.
        reason: String,
    },
}

impl fmt::Display for Event<'_> {
    /// The words, without a newline and without what the peer wrote.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called(noted) => noted.fmt(f),
            Self::Listening(address) => write!(f, "Listening on {address}"),
            Self::Exposed => write!(
                f,
                "Anybody who can reach this address can connect, and nothing is encrypted."
            ),
            Self::ConnectionFrom(peer @ Peer::Numbered(_), address) => {
                write!(f, "Connection from: {address} ({peer})")
            }
            Self::ConnectionFrom(_, address) => write!(f, "Connection from: {address}"),
            Self::Crowded(error) => {
                write!(f, "Others have to wait: {}", reason(error))?;
                match error.raw_os_error() {
                    Some(nix::libc::EMFILE) => write!(f, " (see `ulimit -n`)"),
                    _ => Ok(()),
                }
            }
            Self::Sent { .. } | Self::Ended => Ok(()),
            Self::Closed { peer, .. } => write!(f, "The conversation with {peer} has ended."),
            Self::NotAnswered => f.write_str("This had no reply; Enter sends it again:"),
            Self::Failed(failure) => failure.fmt(f),
            Self::ConnectedTo { address, .. } => write!(f, "Connected to {address}"),
            Self::Received(peer, part) => label(f, *peer, part.name()),
            Self::Late(peer, _) => write!(f, "Late from {peer}:"),
            Self::Odd { oddity, first } => {
                let (words, framing) = match oddity {
                    Oddity::Json => ("This is the JSON of a message.".into(), Framing::Json),
                    Oddity::LongJson => (
                        "A JSON message of more than 1 MiB, shown as it comes.".into(),
                        Framing::Json,
                    ),
                    Oddity::NotJson(why) => (
                        format!(
                            "No JSON message, shown as it came: {}.",
                            Untrusted(why.as_bytes()).visible_line(WHY)
                        ),
                        Framing::Line,
                    ),
                };
                write!(f, "{words}")?;
                if *first && *oddity != &Oddity::LongJson {
                    write!(
                        f,
                        " Does the other side use --framing {framing}? Both must use the same."
                    )?;
                }
                Ok(())
            }
            Self::Unended(peer) => write!(
                f,
                "{} has begun a line and not ended it. If it sends no line ends, use --framing {}.",
                peer.subject(),
                Framing::Raw
            ),
            Self::NotUtf8 => write!(f, "What was typed is no UTF-8, and was left out."),
            Self::Joined(framing) => write!(
                f,
                "Sent as one line: with --framing {framing} a message has no newlines; {} keeps them.",
                Framing::Json
            ),
            Self::Gone(peer, parting) => gone(f, *peer, parting),
            Self::TryingAgain {
                failure,
                pause,
                tries,
            } => write!(
                f,
                "{}; trying again in {} s (try {tries})",
                failure.briefly(),
                // 0.25, 0.5, 1
                format!("{:.2}", pause.as_secs_f32())
                    .trim_end_matches('0')
                    .trim_end_matches('.')
            ),
            Self::NotSent(text) => {
                write!(f, "Not sent: {}", Untrusted(text.as_bytes()).visible())
            }
            Self::NoEditor => {
                f.write_str("Too many files are open for a prompt that can be edited.")
            }
            Self::NoTranscript { path, reason } => write!(
                f,
                "The transcript in {} ends here: {reason}",
                path.display()
            ),
            Self::NoHistory { verb, path, reason } => write!(
                f,
                "Cannot {verb} the history in {}: {reason}",
                path.display()
            ),
        }
    }
}

/// What stands before a message: the tutorial's words, if it does not say whom it is from.
fn label(f: &mut fmt::Formatter<'_>, peer: Peer, name: Option<Untrusted<'_>>) -> fmt::Result {
    let name = name.filter(|name| !name.bytes().trim_ascii().is_empty());
    match (name.map(|name| name.visible_line(NAME)), peer) {
        (Some(name), Peer::Numbered(_)) => write!(f, "Received from {name} ({peer}):"),
        (Some(name), Peer::Client | Peer::Server) => write!(f, "Received from {name}:"),
        (None, Peer::Numbered(_)) => write!(f, "Received from {peer}:"),
        (None, Peer::Client) => f.write_str("Received from connected client:"),
        (None, Peer::Server) => f.write_str("Received from server:"),
    }
}

fn gone(f: &mut fmt::Formatter<'_>, peer: Peer, parting: &Parting) -> fmt::Result {
    let subject = peer.subject();
    match parting {
        Parting::Left => write!(f, "{subject} left."),
        Parting::Lost(error) => {
            write!(f, "The connection to {peer} is lost: {}.", reason(error))
        }
        Parting::Idle(limit) => {
            let limit = humantime::format_duration(*limit);
            write!(f, "{subject} said nothing for {limit}, and was let go.")
        }
        Parting::Stuck(limit) => {
            let limit = humantime::format_duration(*limit);
            write!(
                f,
                "{subject} did not take what it was sent for {limit}, and was let go."
            )
        }
    }
}

/// What makes the program fail: one line, the cause last, and what to do about it.
#[derive(Debug)]
pub enum Failure {
    /// The name has no address.
    Resolve(Address, io::Error),
    /// The address cannot be listened on.
    Listen(SocketAddr, io::Error),
    /// No client can be accepted.
    Accept(io::Error),
    /// No address of the server answers as it should.
    Connect(Address, io::Error),
    /// The connection broke, as opposed to being closed.
    Lost(Peer, io::Error),
    /// The same, with a message that cannot be said again.
    LostWithMessage(Peer, io::Error),
    /// The transcript cannot be begun.
    Transcript(PathBuf, io::Error),
    /// A transcript cannot be read.
    ReadTranscript(PathBuf, io::Error),
    /// There is nothing in a transcript.
    NothingToDraw(PathBuf),
    /// What the user types cannot be read.
    Input(io::Error),
    /// What the user should read cannot be written.
    Output(io::Error),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolve(address, error) => {
                write!(
                    f,
                    "cannot find the host {}: {}",
                    address.host,
                    reason(error)
                )
            }
            Self::Listen(address, error) => {
                write!(f, "cannot listen on {address}: {}", reason(error))?;
                match error.kind() {
                    io::ErrorKind::AddrInUse => write!(
                        f,
                        " (another program has port {}; choose one with --port, or --port 0 for any that is free)",
                        address.port()
                    ),
                    io::ErrorKind::PermissionDenied => {
                        write!(f, " (a port from 1024 on needs no privilege)")
                    }
                    io::ErrorKind::AddrNotAvailable => {
                        write!(f, " (--host takes an address of this machine)")
                    }
                    _ => Ok(()),
                }
            }
            Self::Accept(error) => write!(f, "cannot accept a client: {}", reason(error)),
            Self::Connect(address, error) => {
                write!(f, "cannot connect to {address}: {}", reason(error))?;
                match error.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        write!(f, " (is `socketchat serve` running there?)")
                    }
                    io::ErrorKind::TimedOut => write!(
                        f,
                        " (is the host up, does its firewall let port {} through, and does the server accept?)",
                        address.port
                    ),
                    _ => Ok(()),
                }
            }
            Self::Lost(peer, error) => {
                write!(f, "lost the connection to {peer}: {}", reason(error))
            }
            Self::LostWithMessage(peer, error) => write!(
                f,
                "lost the connection to {peer}: {} (the last message is too long to be sent again)",
                reason(error)
            ),
            Self::Transcript(path, error) => write!(
                f,
                "cannot write the transcript in {}: {}",
                path.display(),
                reason(error)
            ),
            Self::ReadTranscript(path, error) => write!(
                f,
                "cannot read the transcript in {}: {}",
                path.display(),
                reason(error)
            ),
            Self::NothingToDraw(path) => write!(
                f,
                "there is nothing to draw in {} (it is written by --transcript)",
                path.display()
            ),
            Self::Input(error) => write!(f, "cannot read what is typed: {}", reason(error)),
            Self::Output(error) => write!(f, "cannot write to stdout: {}", reason(error)),
        }
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// The same without what to do about it, for somebody who is doing it.
    fn briefly(&self) -> String {
        match self {
            Self::Connect(_, error) => reason(error),
            failure => failure.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_told_in_the_unit_that_fits() {
        for (seconds, words) in [
            (0, "waiting for the server"),
            (1, "waiting for the server, 1 s"),
            (59, "waiting for the server, 59 s"),
            (60, "waiting for the server, 1 min"),
            (3599, "waiting for the server, 59 min"),
            (7200, "waiting for the server, 2 h"),
        ] {
            let waited = Duration::from_secs(seconds);
            assert_eq!(Awaited::TurnOf(Peer::Server).waiting(waited), words);
        }
    }
}
