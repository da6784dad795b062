//! The events, prompts and errors that the program prints. Their wording is in [`words`].

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::command::Word;
use crate::connection::Part;
use crate::endpoint::{Address, Endpoint};
use crate::explain::{Noted, Standing};
use crate::framing::{Framing, Oddity};
use crate::sanitize::Untrusted;
use crate::script::BadLine;

pub mod words;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    /// A client of a server that serves one at a time, numbered from 1, which is not told: a line for one
    /// is not for the next.
    Client(u32),
    /// A client of a server that serves many, numbered from 1 in the order of arrival.
    Numbered(u32),
    /// The server that we have connected to.
    Server,
}

/// The prompt of the line that the user types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prompt {
    /// The peer that the line answers; `None` when it is not our turn.
    pub peer: Option<Peer>,
    /// The number of other peers that wait for an answer.
    pub waiting: usize,
}

/// What the program waits for when it is not our turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Awaited {
    /// The first or next client.
    #[default]
    AClient,
    /// The message of this peer.
    TurnOf(Peer),
    /// A message of one of this many clients.
    Clients(usize),
    /// A new connection to the server.
    AServer,
}

/// Why a conversation ended, other than that the user ended it.
#[derive(Debug)]
pub enum Parting {
    /// The peer closed the connection.
    Left,
    /// The connection broke.
    Lost(io::Error),
    /// The peer had the turn and sent nothing for this long.
    Idle(Duration),
    /// The peer did not accept all of what we sent within this time.
    Stuck(Duration),
}

/// The lines of the input that were not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unsent {
    /// The number of lines that had arrived.
    pub lines: usize,
    /// Whether the input had not ended, and more may follow.
    pub more: bool,
}

/// Why a client was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its address is in none of the networks that may connect.
    NotAllowed,
    /// There are as many clients from its address as there may be.
    TooMany,
}

/// An answer to a command of the user's.
#[derive(Debug)]
pub enum Answer<'a> {
    /// What a command, a line or a key does.
    Does {
        /// What the user enters, with what must follow it.
        entered: (&'a str, &'a str),
        /// The effect.
        effect: &'a str,
    },
    /// Who is there.
    Present {
        /// The peer.
        peer: Peer,
        /// The name that it has given itself.
        name: Option<&'a str>,
        /// Its address.
        address: &'a Address,
        /// For how long it has been there.
        since: Duration,
        /// For how long it has waited for an answer; `None` within if it has the turn. `None` if
        /// there are no turns.
        waits: Option<Option<Duration>>,
    },
    /// There is no peer.
    NobodyThere,
    /// There is no client with this number.
    NoSuchClient(u32),
    /// The peer has the turn, and cannot be answered.
    HasTurn(Peer),
    /// No other peer waits for an answer.
    NobodyElseWaits,
    /// No peer waits for an answer.
    NobodyWaits,
    /// This does not follow the word that the line begins with.
    Misused(&'static Word),
    /// The command makes no sense with whom we talk to.
    NotHere(&'static Word),
}

/// What may be wrong with the other side's program, with `--explain`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// The peer, which has the turn, has been silent for a while.
    Silent(Peer),
    /// This byte of a message is not UTF-8.
    NotUtf8(u8),
    /// A UDP datagram came to the port of the server.
    Datagram,
}

/// The direction of what a relay passes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

impl Way {
    /// Returns the other direction.
    #[must_use]
    pub fn back(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// What a relay does.
#[derive(Debug)]
pub enum Relayed<'a> {
    /// It passes these bytes on.
    Passed(Way, &'a [u8]),
    /// It holds these bytes until the user presses Enter.
    Held(Way, &'a [u8]),
    /// It has passed on that the sender has closed its side.
    Closed(Way),
    /// The connection to the sender broke.
    Lost(Way, &'a io::Error),
    /// It has cut the connection after this many bytes.
    Cut(u64),
    /// It cannot connect to the server.
    Unreachable(&'a Failure),
}

/// An event that the user is told of.
#[derive(Debug)]
pub enum Event<'a> {
    /// A socket call, with `--explain`.
    Called(&'a Noted),
    /// A socket call has not returned for a while, with `--explain`.
    Stands(&'a Standing),
    /// A hint, with `--explain`.
    Hint(Hint),
    /// What a relay does for the client with this number.
    Relayed(u32, Relayed<'a>),
    /// The server listens on this address.
    Listening(&'a Address),
    /// The server can be reached from other machines.
    Exposed {
        /// Whether only some may connect.
        limited: bool,
    },
    /// A client from this address was refused.
    Refused(IpAddr, Refusal),
    /// A client connected from this address.
    ConnectionFrom(Peer, &'a Address),
    /// No further client can be accepted for now, for this reason.
    Crowded(&'a io::Error),
    /// The script has this answer for the peer, which was sent.
    Scripted(Peer, &'a str),
    /// The script has no answer to this message of the peer.
    NoAnswer(Peer, &'a str),
    /// The first conversation begins at the prompt.
    Welcome,
    /// The answer to a command.
    Answer(Answer<'a>),
    /// We have connected to the server.
    ConnectedTo {
        /// The server's address.
        address: &'a Address,
        /// Our own address.
        local: &'a Address,
    },
    /// We have sent a part of a message. Not shown: the user has typed it.
    Sent {
        /// The recipient.
        peer: Peer,
        /// The text of the part.
        text: &'a [u8],
        /// Whether the part ends the message.
        last: bool,
    },
    /// We have ended the conversation with the peer.
    Closed {
        /// The peer.
        peer: Peer,
        /// Whether the program continues with other peers.
        goes_on: bool,
    },
    /// The prompt holds a message that was sent and got no reply.
    NotAnswered,
    /// The program fails, and prints the error when it ends.
    Failed(&'a Failure),
    /// The program ends, and with it all remaining conversations.
    Ended,
    /// A part of a message that arrived in the peer's turn.
    Received(Peer, &'a Part<'a>),
    /// A part of a message that arrived after the peer's turn.
    Late(Peer, &'a Part<'a>),
    /// Something is odd about the message that is shown next.
    Odd {
        /// What is odd.
        oddity: &'a Oddity,
        /// Whether this is the first time, which calls for advice.
        first: bool,
    },
    /// The peer sent this incomplete message, and its end is overdue.
    Unended(Peer, Framing, Untrusted<'a>),
    /// The user's input has ended, and a reply is still expected.
    LastAnswer,
    /// The user typed bytes that are not UTF-8.
    NotUtf8,
    /// Newlines, or zero bytes, in our message were replaced by spaces, as this framing requires.
    Joined(Framing),
    /// The conversation with the peer has ended.
    Gone(Peer, &'a Parting),
    /// The connection to the server failed and is tried again.
    TryingAgain {
        /// The server.
        endpoint: &'a Endpoint,
        /// Why it failed.
        failure: &'a Failure,
        /// The pause before the next try; zero when it is made.
        pause: Duration,
        /// The number of the next try, from 1.
        tries: u32,
    },
    /// The terminal has a line that was not entered, and the conversation is over.
    PressEnter,
    /// The prompt held this text when the conversation ended.
    NotSent(&'a str),
    /// The server has not ended its reply within this time, and it is our turn.
    NoReply(Duration),
    /// There is no answer, which may be because no newline is sent.
    NoNewline,
    /// The peer ends its messages with a newline, which the framing takes for a part of them.
    EndsWithNewline,
    /// What is shown next had come before our line, and was kept for the turn of its sender.
    WasKept,
    /// There is no answer, or no line that ends it.
    NoEndOfReply,
    /// These lines of the input were not sent.
    LinesNotSent(Unsent),
    /// The connection has ended and will be made again, and the peer may not have received everything
    /// that was sent to it.
    MayLack(Peer),
    /// This line of the input is empty, and the framing cannot express an empty message.
    LeftOut(u64),
    /// This message, which got no reply before the connection was lost, is sent again.
    SentAgain(&'a str),
    /// Too many descriptors are open for rustyline, which waits with select(2).
    NoEditor,
    /// The transcript is incomplete: writing it failed.
    NoTranscript {
        /// The file.
        path: &'a Path,
        /// The cause, in words.
        reason: String,
    },
    /// The history is not available: a file operation failed.
    NoHistory {
        /// `read` or `write`.
        verb: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause, in words.
        reason: String,
    },
}

/// An error that ends the program.
///
/// It is displayed as one line: what failed, the cause, and advice in parentheses.
pub enum Failure {
    /// The name has no address.
    Resolve(Endpoint, io::Error),
    /// The server cannot listen on this address.
    Listen(Address, io::Error),
    /// No client can be accepted.
    Accept(io::Error),
    /// No address of the server accepts a connection.
    Connect(Endpoint, io::Error),
    /// The connection broke, instead of being closed.
    Lost(Peer, io::Error),
    /// The connection broke after the end of our input, when the peer may not have taken all of it.
    NotTaken(Peer, io::Error),
    /// The connection broke before the reply to a message that is too long to be sent again.
    LostWithMessage(Peer, io::Error),
    /// The server did not end its reply to this line within this time; `None` if the line was too
    /// long to be kept.
    NoReply {
        /// The line.
        line: Option<String>,
        /// The time.
        limit: Duration,
    },
    /// The peer left before everything was said.
    Unfinished {
        /// The peer.
        peer: Peer,
        /// The message that got no reply, if the peer owed one; `None` within if it was too long
        /// to be kept.
        no_reply: Option<Option<String>>,
        /// The lines of the input that were not sent.
        unsent: Unsent,
    },
    /// The transcript cannot be created.
    Transcript(PathBuf, io::Error),
    /// A transcript cannot be read.
    ReadTranscript(PathBuf, io::Error),
    /// A script cannot be read.
    ReadScript(PathBuf, io::Error),
    /// These lines of a script cannot be used.
    BadScript(PathBuf, Vec<BadLine>),
    /// The program to be checked cannot be started.
    Start(PathBuf, io::Error),
    /// The transcript is empty.
    NothingToDraw(PathBuf),
    /// The user's input cannot be read.
    Input(io::Error),
    /// The output cannot be written.
    Output(io::Error),
}
