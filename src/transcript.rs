//! The record of a conversation: JSON Lines, one event a line.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::connection::Part;
use crate::event::{Event, Failure, Parting, Peer};

/// So many bytes of a message are kept; the rest is counted.
const KEPT: usize = 64 * 1024;

/// One line of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// When it happened: RFC 3339, in microseconds, UTC.
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    /// What happened.
    pub event: Kind,
    /// Who is at the other end of the connection.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub peer: Option<Cow<'a, str>>,
    /// Our own end of it, or where we listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<SocketAddr>,
    /// The number of the client, where there may be many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// Whom a message says it is from.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub name: Option<Cow<'a, str>>,
    /// How long a message is, in bytes of its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// A message, or what was told; what is no UTF-8 stands in it as U+FFFD.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub text: Option<Cow<'a, str>>,
    /// The text is only the beginning of the message.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cut: bool,
    /// The message came when its turn was over already.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// A socket call.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub call: Option<Cow<'a, str>>,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub result: Option<Cow<'a, str>>,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The server listens.
    Listening,
    /// A connection stands.
    Connected,
    /// We have sent a message.
    Sent,
    /// A message has come.
    Received,
    /// The peer has closed the connection.
    Left,
    /// The connection broke, or the peer was let go.
    Lost,
    /// We have closed the connection.
    Closed,
    /// Something else was told.
    Notice,
    /// The conversation failed.
    Error,
    /// A socket call was made.
    Call,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Record<'_> {
    fn of(event: Kind) -> Self {
        Self {
            time: Cow::Borrowed(""),
            event,
            peer: None,
            local: None,
            client: None,
            name: None,
            bytes: None,
            text: None,
            cut: false,
            late: false,
            call: None,
            result: None,
        }
    }
}

/// A message, put together from its parts.
#[derive(Debug, Default)]
struct Message {
    text: Vec<u8>,
    bytes: u64,
    name: Option<String>,
    late: bool,
}

impl Message {
    /// Makes room for the next.
    fn clear(&mut self) {
        self.text.clear();
        self.bytes = 0;
        self.name = None;
        self.late = false;
    }

    fn add(&mut self, part: &[u8]) {
        let room = KEPT - self.text.len();
        self.text.extend_from_slice(&part[..part.len().min(room)]);
        self.bytes += part.len() as u64;
    }
}

/// What is known of a peer.
#[derive(Debug, Default)]
struct Known {
    address: Option<String>,
    /// The message that it is sending.
    received: Message,
    /// The message that we are sending to it.
    sent: Message,
}

/// A file that keeps what the user is told.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    peers: BTreeMap<Peer, Known>,
    writer: Writer,
}

/// What writes the lines.
#[derive(Debug)]
struct Writer {
    file: File,
    /// The line that is being written, kept for its memory.
    line: Vec<u8>,
    clock: Clock,
}

impl Writer {
    /// Writes a line in one write, so that whoever ends the program leaves a whole one.
    fn write(&mut self, record: Record<'_>) -> io::Result<()> {
        self.write_at(SystemTime::now(), record)
    }

    /// The same about what happened at another time.
    fn write_at(&mut self, time: SystemTime, record: Record<'_>) -> io::Result<()> {
        let record = Record {
            time: Cow::Borrowed(self.clock.write(time)),
            ..record
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, &record)?;
        self.line.push(b'\n');
        self.file.write_all(&self.line)
    }

    fn message(
        &mut self,
        kind: Kind,
        peer: Peer,
        address: Option<&String>,
        message: &mut Message,
    ) -> io::Result<()> {
        let written = self.write(Record {
            name: message.name.as_deref().map(Cow::Borrowed),
            bytes: Some(message.bytes),
            cut: message.bytes > message.text.len() as u64,
            text: Some(String::from_utf8_lossy(&message.text)),
            late: message.late,
            ..about(kind, peer, address)
        });
        message.clear();
        written
    }
}

/// Tells the time as it is written; of most turns, only the last digits are new.
#[derive(Debug, Default)]
struct Clock {
    second: u64,
    text: String,
}

impl Clock {
    fn write(&mut self, time: SystemTime) -> &str {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() || self.text.is_empty() {
            self.second = since.as_secs();
            self.text = humantime::format_rfc3339_micros(time).to_string();
        } else {
            let digits = self.text.len() - "000000Z".len();
            self.text.truncate(digits);
            // A String takes all.
            let _ = write!(self.text, "{:06}Z", since.subsec_micros());
        }
        &self.text
    }
}

/// A record about a peer, as far as it is known.
fn about(kind: Kind, peer: Peer, address: Option<&String>) -> Record<'_> {
    Record {
        peer: address.map(|address| Cow::Borrowed(&**address)),
        client: match peer {
            Peer::Numbered(number) => Some(number),
            Peer::Client | Peer::Server => None,
        },
        ..Record::of(kind)
    }
}

impl Transcript {
    /// Keeps a transcript in the file at `path`, behind what stands there. Fails when that
    /// cannot be written.
    pub fn open(path: PathBuf) -> Result<Self, Failure> {
        match open(&path) {
            Ok(file) => Ok(Self {
                path,
                peers: BTreeMap::new(),
                writer: Writer {
                    file,
                    line: Vec::new(),
                    clock: Clock::default(),
                },
            }),
            Err(error) => Err(Failure::Transcript(path, error)),
        }
    }

    /// The file that it is kept in.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes down what the user is told, as it happens; a message when it has ended. Fails
    /// when the file cannot be written.
    pub fn record(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Called(noted) => {
                let record = Record {
                    peer: noted.peer.map(|peer| peer.to_string().into()),
                    call: Some(noted.call.call().into()),
                    result: Some(noted.call.result().into()),
                    ..Record::of(Kind::Call)
                };
                self.writer.write_at(noted.time, record)
            }
            Event::Listening(address) => self.writer.write(Record {
                local: Some(*address),
                ..Record::of(Kind::Listening)
            }),
            Event::ConnectionFrom(peer, address) => self.connected(*peer, *address, None),
            Event::ConnectedTo { address, local } => {
                self.connected(Peer::Server, *address, Some(*local))
            }
            Event::Received(peer, part) => self.received(*peer, part, false),
            Event::Late(peer, part) => self.received(*peer, part, true),
            Event::Sent { peer, text, last } => {
                let known = self.peers.entry(*peer).or_default();
                known.sent.add(text);
                if !last {
                    return Ok(());
                }
                let address = known.address.as_ref();
                self.writer
                    .message(Kind::Sent, *peer, address, &mut known.sent)
            }
            Event::Gone(peer, Parting::Left) => {
                self.gone(Kind::Left, *peer, Some(event.to_string()))
            }
            Event::Gone(peer, _)
            | Event::TryingAgain {
                failure: Failure::Lost(peer, _),
                ..
            } => self.gone(Kind::Lost, *peer, Some(event.to_string())),
            Event::Closed { peer, .. } => self.gone(Kind::Closed, *peer, None),
            Event::Ended => {
                while let Some((peer, _)) = self.peers.first_key_value() {
                    self.gone(Kind::Closed, *peer, None)?;
                }
                Ok(())
            }
            Event::Failed(Failure::Lost(peer, _) | Failure::LostWithMessage(peer, _)) => {
                self.gone(Kind::Error, *peer, Some(event.to_string()))
            }
            Event::Failed(failure) => self.writer.write(Record {
                text: Some(failure.to_string().into()),
                ..Record::of(Kind::Error)
            }),
            notice => self.writer.write(Record {
                text: Some(notice.to_string().into()),
                ..Record::of(Kind::Notice)
            }),
        }
    }

    fn connected(
        &mut self,
        peer: Peer,
        address: SocketAddr,
        local: Option<SocketAddr>,
    ) -> io::Result<()> {
        let known = self.peers.entry(peer).or_default();
        known.address = Some(address.to_string());
        self.writer.write(Record {
            local,
            ..about(Kind::Connected, peer, known.address.as_ref())
        })
    }

    fn received(&mut self, peer: Peer, part: &Part<'_>, late: bool) -> io::Result<()> {
        let known = self.peers.entry(peer).or_default();
        let (address, message) = (known.address.as_ref(), &mut known.received);
        // One that was late, and was cut off by our answer.
        if part.first && message.bytes > 0 {
            self.writer
                .message(Kind::Received, peer, address, message)?;
        }
        message.add(part.text().bytes());
        message.late |= late;
        if part.first {
            message.name = part
                .name()
                .map(|name| String::from_utf8_lossy(name.bytes()).into_owned());
        }
        if !part.last {
            return Ok(());
        }
        self.writer.message(Kind::Received, peer, address, message)
    }

    fn gone(&mut self, kind: Kind, peer: Peer, text: Option<String>) -> io::Result<()> {
        let mut known = self.peers.remove(&peer).unwrap_or_default();
        let address = known.address.as_ref();
        if known.received.bytes > 0 {
            self.writer
                .message(Kind::Received, peer, address, &mut known.received)?;
        }
        if known.sent.bytes > 0 {
            self.writer
                .message(Kind::Sent, peer, address, &mut known.sent)?;
        }
        self.writer.write(Record {
            text: text.map(Into::into),
            ..about(kind, peer, address)
        })
    }
}

/// Opens the file to be appended to, for the user's eyes alone when it is made. What a
/// full disk has cut off there does not spoil our first line.
fn open(path: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)?;
    let mut last = [b'\n'];
    if file.metadata()?.is_file() && file.seek(SeekFrom::End(0))? > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != [b'\n'] {
        file.write_all(b"\n")?;
    }
    Ok(file)
}
