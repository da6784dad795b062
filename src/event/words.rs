//! The wording of the events, prompts and errors.

use std::borrow::Cow;
use std::fmt;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use humantime::format_duration;
use serde::de::IgnoredAny;

use super::{
    Answer, Awaited, Event, Failure, Hint, Parting, Peer, Prompt, Refusal, Relayed, Unsent, Way,
};
use crate::command::{Company, Word};
use crate::endpoint::{Address, Endpoint};
use crate::explain::dump;
use crate::framing::{Framing, Oddity};
use crate::reason::reason;
use crate::sanitize::Untrusted;
use crate::script::BadLine;
use crate::sys;
use crate::{say, words};

/// The maximum number of columns of a peer's name to show.
const NAME: usize = 32;

/// The maximum number of columns of a JSON error or one of our messages to show.
const WHY: usize = 80;

/// The maximum number of columns of an incomplete message to show.
const SO_FAR: usize = 32;

impl Peer {
    /// Returns which end the peer is, in English and German.
    fn role(self) -> (&'static str, &'static str) {
        match self {
            Self::Server => ("server", "Server"),
            Self::Client(_) | Self::Numbered(_) => ("client", "Client"),
        }
    }

    /// Returns the name of the peer at the start of a sentence.
    fn subject(self) -> String {
        let mut name = self.to_string();
        name[..1].make_ascii_uppercase();
        name
    }
}

impl fmt::Display for Peer {
    /// Writes the name of the peer within a sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(_) => f.write_str("the client"),
            Self::Numbered(number) => write!(f, "client #{number}"),
            Self::Server => f.write_str("the server"),
        }
    }
}

impl Prompt {
    /// Returns the text of the prompt: an arrow that shows whose turn it is, after the number of
    /// the peer, if there are many, and of those waiting.
    ///
    /// It is as wide as with `columns` before the arrow, and the number of those waiting is omitted
    /// if it does not fit; 0 means that the width may vary. No row of a message that has a label, which are
    /// indented more, can look like it.
    pub fn text(self, columns: usize) -> String {
        let arrow = if self.peer.is_some() { "->" } else { "<-" };
        let mut who = match self.peer {
            Some(Peer::Numbered(number)) => format!("#{number}"),
            _ => String::new(),
        };
        let waiting = format!(" +{}", self.waiting);
        let fits = columns == 0 || who.len() + waiting.len() <= columns;
        if self.waiting > 0 && fits {
            who += &waiting;
        }
        match who.len().max(columns) {
            0 => format!(" {arrow} "),
            columns if who.is_empty() => format!(" {arrow:<0$} ", columns + " ->".len()),
            columns => format!(" {who:columns$} {arrow} "),
        }
    }
}

impl Awaited {
    /// Returns the answer to Enter when it is not our turn.
    pub fn nothing_to_answer(self) -> String {
        match self {
            Self::AClient => " (nobody is there yet)".into(),
            Self::TurnOf(peer) => format!(" (it is {peer}'s turn)"),
            Self::Clients(_) => " (it is the clients' turn)".into(),
            Self::AServer => " (the server is not there)".into(),
        }
    }
}

/// The answer to Enter where an empty line is no message, which is given once.
pub const NOTHING_TYPED: &str = " (an empty line is not sent)";

impl Parting {
    /// Returns what a peer is told whose conversation ends for this reason, if it can be told.
    pub fn farewell(&self) -> Option<String> {
        match self {
            Self::Idle(limit) => {
                let limit = format_duration(*limit);
                Some(format!("You said nothing for {limit}, and are let go."))
            }
            Self::Left | Self::Lost(_) | Self::Stuck(_) => None,
        }
    }
}

impl fmt::Display for Unsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = if self.lines == 1 { "line" } else { "lines" };
        let more = if self.more { " or more" } else { "" };
        write!(f, "{} {lines}{more} not sent", self.lines)
    }
}

impl fmt::Display for Event<'_> {
    /// Writes the event without a newline and without the text of a message.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Called(noted) => noted.fmt(f),
            Self::Stands(standing) => standing.fmt(f),
            Self::Hint(hint) => hint.fmt(f),
            Self::Relayed(number, relayed) => write!(f, "#{number} {relayed}"),
            Self::Listening(address) => write!(f, "Listening on {address}"),
            Self::Exposed { limited: true } => {
                f.write_str("Others who are allowed can connect, and nothing is encrypted.")
            }
            Self::Exposed { limited: false } => f.write_str(
                "Anybody who can reach this address can connect, and nothing is encrypted.",
            ),
            Self::Refused(ip, why) => {
                let why = match why {
                    Refusal::NotAllowed => "it is not allowed (--allow)",
                    Refusal::TooMany => "there are others from there (--per-host)",
                };
                write!(f, "Refused a client from {ip}: {why}.")
            }
            Self::ConnectionFrom(peer @ Peer::Numbered(_), address) => {
                write!(f, "Connection from: {address} ({peer})")
            }
            Self::ConnectionFrom(_, address) => write!(f, "Connection from: {address}"),
            Self::Crowded(error) => {
                write!(f, "Others have to wait: {}", reason(error))?;
                if sys::is_out_of_descriptors(error) {
                    f.write_str(" (see `ulimit -n`)")?;
                }
                Ok(())
            }
            Self::Scripted(peer, text) => write!(f, "Answered {peer}: {}", visible(text)),
            Self::NoAnswer(peer, text) => {
                write!(
                    f,
                    "The script has no answer for {peer} to '{}'.",
                    line(text)
                )
            }
            Self::Welcome => f.write_str("bye leaves, /help tells what else"),
            Self::Answer(answer) => answer.fmt(f),
            Self::Closed { peer, .. } => write!(f, "The conversation with {peer} has ended."),
            Self::NotAnswered => f.write_str("This had no reply; Enter sends it again:"),
            Self::Failed(failure) => failure.fmt(f),
            Self::ConnectedTo { address, .. } => write!(f, "Connected to {address}"),
            Self::Received(peer, part) | Self::Late(peer, part) => {
                label(f, *peer, part.name())?;
                let is_late = matches!(self, Self::Late(..));
                f.write_str(if is_late { " (out of turn):" } else { ":" })
            }
            Self::Odd { oddity, first } => odd(f, oddity, *first),
            Self::LastAnswer => {
                f.write_str("No more from you; waiting for the last answer (Ctrl-C leaves).")
            }
            Self::Gone(peer, parting) => gone(f, *peer, parting),
            Self::TryingAgain {
                endpoint,
                failure,
                pause,
                tries,
            } => {
                trying_again(f, *pause)?;
                // Last what may be cut off where it has one row.
                write!(f, " (try {tries}): {endpoint}: {}", failure.briefly())
            }
            Self::PressEnter => f.write_str("The conversation is over; Enter leaves."),
            Self::NotSent(text) => write!(f, "Not sent: {}", visible(text)),
            Self::LinesNotSent(unsent) => write!(f, "{unsent}."),
            Self::MayLack(peer) => {
                write!(
                    f,
                    "Some of what was sent may not have reached {peer}; it is not sent again."
                )
            }
            Self::SentAgain(text) => {
                write!(f, "This had no reply, and is sent again: {}", line(text))
            }
            Self::NoEditor => {
                f.write_str("Too many files are open for a prompt that can be edited.")
            }
            Self::NoTranscript { path, reason } => {
                let path = path.display();
                write!(f, "The transcript in {path} ends here: {reason}")
            }
            Self::NoHistory { verb, path, reason } => {
                let path = path.display();
                write!(f, "Cannot {verb} the history in {path}: {reason}")
            }
            _ => self.advise(f),
        }
    }
}

impl Event<'_> {
    /// Writes an event that tells what to do otherwise; nothing for one that has no words.
    fn advise(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unended(peer, Framing::Json, so_far)
                if serde_json::from_slice::<IgnoredAny>(so_far.bytes()).is_ok() =>
            {
                let (who, wer) = peer.role();
                let so_far = so_far.visible_line(SO_FAR);
                f.write_str(&say!(
                    "The {who} has sent a whole JSON object, but not the newline that ends its line. \
                     It must send \\n after it. So far: {so_far}",
                    "Der {wer} hat ein ganzes JSON-Objekt gesendet, aber nicht den Zeilenumbruch, der \
                     seine Zeile beendet. Danach muss er \\n senden. Bisher: {so_far}"
                ))
            }
            Self::Unended(peer, framing, so_far) => {
                let (what, end) = if framing.has_lines() {
                    ("line", "line ends")
                } else {
                    ("message", "zero bytes")
                };
                write!(
                    f,
                    "{} has begun a {what} and not ended it. If it sends no {end}, use --framing raw. \
                     So far: {}",
                    peer.subject(),
                    so_far.visible_line(SO_FAR)
                )
            }
            Self::NotUtf8 => f.write_str("What was typed is no UTF-8, and was left out."),
            Self::Joined(framing @ Framing::Nul) => write!(
                f,
                "A zero byte was sent as a space: with --framing {framing} it ends a message."
            ),
            Self::Joined(framing) => write!(
                f,
                "Sent as one line: with --framing {framing} a message has no newlines; json keeps them."
            ),
            Self::NoReply(limit) => write!(
                f,
                "No reply, or no end of it, for {}. It is your turn.",
                format_duration(*limit)
            ),
            Self::NoEndOfReply => f.write_str(
                "No answer yet, or no line that --reply-until waits for. With --reply-quiet a reply \
                 ends after a silence; with --duplex there are no turns.",
            ),
            Self::EndsWithNewline => {
                f.write_str("It ends with a newline: --framing line suits who sends lines.")
            }
            Self::WasKept => f.write_str(
                "What follows had come before your line, and was kept. --duplex shows all at once; \
                 connect --reply-quiet takes several messages for one reply.",
            ),
            Self::NoNewline => f.write_str(
                "No answer yet. If the other side waits for the end of a line: none is sent; \
                 --framing line or crlf sends it.",
            ),
            Self::LeftOut(number) => write!(
                f,
                "Line {number} is empty, and was left out: with --framing raw it cannot be sent."
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Silent(peer) => {
                let (who, wer) = peer.role();
                say!(
                    "Hint: the {who} has sent nothing for 10 s. If nobody is typing there, it may \
                     wait too: for a newline, for more bytes, or because it sent an empty text, which \
                     is no byte.",
                    "Hinweis: der {wer} hat seit 10 s nichts gesendet. Falls dort niemand tippt, \
                     wartet er vielleicht auch: auf einen Zeilenumbruch, auf mehr Bytes, oder weil er \
                     leeren Text gesendet hat, also kein Byte."
                )
            }
            // From here on, Latin-1 has letters and signs.
            Self::NotUtf8(byte @ 0xa0..) => {
                let char = char::from(*byte);
                say!(
                    "Hint: {byte:02x} is no UTF-8; in Latin-1 it is {char}. Does the other side use \
                     .encode('utf-8')?",
                    "Hinweis: {byte:02x} ist kein UTF-8; in Latin-1 ist es {char}. Verwendet die \
                     Gegenseite .encode('utf-8')?"
                )
            }
            Self::NotUtf8(byte) => say!(
                "Hint: {byte:02x} is no UTF-8 here.",
                "Hinweis: {byte:02x} ist hier kein UTF-8."
            ),
            Self::Datagram => words!(
                "Hint: a UDP datagram came to this port. SOCK_DGRAM is UDP, which has no connections; \
                 a client of this server needs SOCK_STREAM.",
                "Hinweis: ein UDP-Datagramm kam auf diesem Port an. SOCK_DGRAM ist UDP und hat keine \
                 Verbindungen; ein Client dieses Servers braucht SOCK_STREAM."
            )
            .into(),
        };
        f.write_str(&text)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ToServer => "client -> server",
            Self::ToClient => "server -> client",
        })
    }
}

impl fmt::Display for Relayed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Self::Passed(way, bytes) => format!("{way}  {}", dump(bytes)),
            Self::Held(way, bytes) => {
                let bytes = dump(bytes);
                say!(
                    "{way}  {bytes}  waits for Enter",
                    "{way}  {bytes}  wartet auf Enter"
                )
            }
            Self::Closed(way) => say!("{way}  closed", "{way}  geschlossen"),
            Self::Lost(way, error) => {
                let reason = reason(error);
                say!("{way}  lost: {reason}", "{way}  abgebrochen: {reason}")
            }
            Self::Cut(bytes) => say!(
                "cut after {bytes} bytes: both connections are reset",
                "nach {bytes} Bytes getrennt: beide Verbindungen sind zurückgesetzt"
            ),
            Self::Unreachable(failure) => failure.to_string(),
        };
        f.write_str(&text)
    }
}

impl fmt::Display for Answer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Does {
                entered: (name, argument),
                effect,
            } => {
                let entered = format!("{name} {argument}");
                write!(f, "{entered:<12}{effect}")
            }
            Self::Present {
                peer,
                name,
                address,
                since,
                waits,
            } => {
                write!(f, "{}: ", peer.subject())?;
                if let Some(name) = name {
                    let name = Untrusted(name.as_bytes()).visible_line(NAME);
                    write!(f, "{name}, ")?;
                }
                write!(f, "{address}, here for {}", seconds(*since))?;
                match waits {
                    Some(Some(time)) => write!(f, "; waits for you for {}", seconds(*time)),
                    Some(None) => f.write_str("; has the turn"),
                    None => Ok(()),
                }
            }
            Self::NobodyThere => f.write_str("Nobody is there."),
            Self::NoSuchClient(number) => write!(f, "There is no client #{number}."),
            Self::HasTurn(peer) => write!(f, "It is {peer}'s turn."),
            Self::NobodyElseWaits => f.write_str("Nobody else waits."),
            Self::NobodyWaits => f.write_str("Nobody waits for an answer."),
            Self::Misused(word) => {
                let follows = match word.argument(Company::Clients) {
                    "" => "nothing",
                    "N" => "the number of a client",
                    _ => "a text",
                };
                misplaced(f, word, &format!("is followed by {follows}"))
            }
            Self::NotHere(word) => misplaced(
                f,
                word,
                match word.company {
                    Company::Clients => "is for a server with several clients (--max-clients)",
                    Company::Client | Company::Peer => "is for a server with a client",
                },
            ),
        }
    }
}

/// Writes `why` a line that begins with `word` is no command, and how to send it.
fn misplaced(f: &mut fmt::Formatter<'_>, word: &Word, why: &str) -> fmt::Result {
    let name = word.name;
    write!(
        f,
        "{name} {why}. To send such a line, begin it with /{name}."
    )
}

/// Returns `text`, which somebody else may have written, as the rows of it to show.
fn visible(text: &str) -> Cow<'_, str> {
    Untrusted(text.as_bytes()).visible()
}

/// Returns the beginning of `text`, which somebody else may have written, on one row.
fn line(text: &str) -> String {
    Untrusted(text.as_bytes()).visible_line(WHY)
}

/// Returns `duration` in words, in whole seconds.
fn seconds(duration: Duration) -> String {
    format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

/// Writes the heading of a message from `peer`, up to its colon. If the message has no sender's `name`, it is the
/// one that the tutorial's scripts print.
fn label(f: &mut fmt::Formatter<'_>, peer: Peer, name: Option<Untrusted<'_>>) -> fmt::Result {
    let name = name.filter(|name| !name.bytes().trim_ascii().is_empty());
    match (name.map(|name| name.visible_line(NAME)), peer) {
        (Some(name), Peer::Numbered(_)) => write!(f, "Received from {name} ({peer})"),
        (Some(name), Peer::Client(_) | Peer::Server) => write!(f, "Received from {name}"),
        (None, Peer::Numbered(_)) => write!(f, "Received from {peer}"),
        (None, Peer::Client(_)) => f.write_str("Received from connected client"),
        (None, Peer::Server) => f.write_str("Received from server"),
    }
}

/// Writes when the next try is.
fn trying_again(f: &mut fmt::Formatter<'_>, pause: Duration) -> fmt::Result {
    if pause.is_zero() {
        return f.write_str("Trying again now");
    }
    let seconds = format!("{:.2}", pause.as_secs_f32());
    let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
    write!(f, "Trying again in {seconds} s")
}

/// Writes what is odd about the next message, with advice if it is the `first`.
fn odd(f: &mut fmt::Formatter<'_>, oddity: &Oddity, first: bool) -> fmt::Result {
    let framing = match oddity {
        Oddity::LongJson => {
            return f.write_str("A JSON message of more than 1 MiB, shown as it comes.");
        }
        Oddity::Json => {
            f.write_str("This is the JSON of a message.")?;
            Framing::Json
        }
        Oddity::NotJson(why) => {
            write!(f, "No JSON message, shown as it came: {}.", line(why))?;
            Framing::Line
        }
    };
    if first {
        write!(
            f,
            " Does the other side use --framing {framing}? Both must use the same."
        )?;
    }
    Ok(())
}

/// Writes that the conversation with `peer` has ended, and why.
fn gone(f: &mut fmt::Formatter<'_>, peer: Peer, parting: &Parting) -> fmt::Result {
    let subject = peer.subject();
    let (what, limit) = match parting {
        Parting::Left => return write!(f, "{subject} left."),
        Parting::Lost(error) => {
            return write!(f, "The connection to {peer} is lost: {}.", reason(error));
        }
        Parting::Idle(limit) => ("said nothing", limit),
        Parting::Stuck(limit) => ("did not take what it was sent", limit),
    };
    let limit = format_duration(*limit);
    write!(f, "{subject} {what} for {limit}, and was let go.")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let in_file = |what: &str, path: &Path| format!("cannot {what} in {}", path.display());
        let (what, error) = match self {
            Self::NothingToDraw(path) => {
                let path = path.display();
                return write!(
                    f,
                    "there is nothing to draw in {path} (it is written by --transcript)"
                );
            }
            Self::BadScript(path, bad) => {
                let bad = bad
                    .iter()
                    .map(|BadLine { number, reason }| format!("line {number}: {reason}"));
                let bad: Vec<_> = bad.collect();
                return write!(f, "{}: {}", in_file("use the script", path), bad.join("; "));
            }
            Self::NoReply { line: said, limit } => {
                let limit = format_duration(*limit);
                let said = line(said.as_deref().unwrap_or("the last line"));
                return write!(f, "no reply within {limit}, or no end of it, to '{said}'");
            }
            Self::Unfinished {
                peer,
                no_reply,
                unsent,
            } => {
                let no_reply = no_reply.as_ref().map(|said| match said {
                    Some(said) => format!("no reply to '{}'", line(said)),
                    None => "no reply to the last line".into(),
                });
                let unsent = (unsent.lines > 0).then(|| unsent.to_string());
                let what: Vec<_> = no_reply.into_iter().chain(unsent).collect();
                return write!(f, "{}: {peer} left", what.join(", "));
            }
            Self::Lost(peer, error) | Self::LostWithMessage(peer, error) => {
                (format!("lost the connection to {peer}"), error)
            }
            Self::NotTaken(peer, error) => (
                format!("lost the connection to {peer}, which may not have taken everything"),
                error,
            ),
            Self::Resolve(Endpoint::Tcp { host, .. }, error) => {
                (format!("cannot find the host {host}"), error)
            }
            Self::Listen(address, error) => (format!("cannot listen on {address}"), error),
            Self::Accept(error) => ("cannot accept a client".into(), error),
            Self::Connect(endpoint, error) | Self::Resolve(endpoint, error) => {
                (format!("cannot connect to {endpoint}"), error)
            }
            Self::Transcript(path, error) => (in_file("write the transcript", path), error),
            Self::ReadTranscript(path, error) => (in_file("read the transcript", path), error),
            Self::ReadScript(path, error) => (in_file("read the script", path), error),
            Self::Start(program, error) => (format!("cannot start {}", program.display()), error),
            Self::Input(error) => ("cannot read what is typed".into(), error),
            Self::Output(error) => ("cannot write to stdout".into(), error),
        };
        write!(f, "{what}: {}", reason(error))?;
        match self.advice(error.kind()) {
            Some(advice) => write!(f, " ({advice})"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Failure {
    /// Writes what the user is told: only an error that is printed by mistake is written so.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Returns what to do about an error of this `kind`, if that is known.
    fn advice(&self, kind: ErrorKind) -> Option<String> {
        Some(match (self, kind) {
            (Self::Listen(Address::Unix(_), _), ErrorKind::AddrInUse) => {
                "another program listens there, or it is a file of another kind".into()
            }
            (Self::Listen(Address::Tcp(address), _), ErrorKind::AddrInUse) => format!(
                "another program has port {}; choose another one, or 0 for any that is free",
                address.port()
            ),
            (Self::Listen(Address::Tcp(_), _), ErrorKind::PermissionDenied) => {
                "a port from 1024 on needs no privilege".into()
            }
            (Self::Listen(..), ErrorKind::AddrNotAvailable) => {
                "--host takes an address of this machine".into()
            }
            (Self::LostWithMessage(..), _) => {
                "the last message is too long to be sent again".into()
            }
            (Self::Connect(..), ErrorKind::ConnectionRefused)
            | (Self::Connect(Endpoint::Unix(_), _), ErrorKind::NotFound) => {
                "is `socketchat serve` running there?".into()
            }
            (Self::Connect(Endpoint::Tcp { port, .. }, _), ErrorKind::TimedOut) => format!(
                "is the host up, does its firewall let port {port} through, and does the server accept?"
            ),
            (Self::Connect(Endpoint::Unix(_), _), ErrorKind::TimedOut) => {
                "does the server accept?".into()
            }
            _ => return None,
        })
    }

    /// Returns the cause alone, or the whole text if the program was not connecting.
    fn briefly(&self) -> String {
        match self {
            Self::Connect(_, error) => reason(error),
            failure => failure.to_string(),
        }
    }
}
