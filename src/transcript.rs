//! Writes the events of a conversation to a file as JSON Lines, and defines their format.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::mem;
use std::ops::Not;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::connection::Part;
use crate::endpoint::Address;
use crate::event::{Event, Failure, Parting, Peer, Relayed, Way};
use crate::sanitize::is_unsafe;
use crate::sys;

/// The maximum number of bytes of a message to write. The rest is only counted.
const MAX_TEXT: usize = 64 * 1024;

/// The maximum number of bytes of a name to write.
const MAX_NAME: usize = 1024;

/// A line of a transcript.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When the event happened, or a call was made.
    #[serde(with = "rfc3339")]
    pub time: SystemTime,
    /// When a call returned, if that was later.
    #[serde(default, with = "rfc3339", skip_serializing_if = "Option::is_none")]
    pub ended: Option<SystemTime>,
    /// What happened.
    pub event: Kind,
    /// The address of the peer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Address>,
    /// The local address of the connection or the listening socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local: Option<Address>,
    /// The number of the client, if the server accepts several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<u32>,
    /// The sender's name in a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The length of the text of a message in bytes, including what is cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The text of a message or notice. Invalid UTF-8 is replaced by U+FFFD.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the text is only the beginning of the message.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub cut: bool,
    /// Whether the message arrived after the peer's turn.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub late: bool,
    /// A socket call, as `--explain` shows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<String>,
    /// The result of the socket call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

/// The kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The server started to listen.
    Listening,
    /// A connection was established.
    Connected,
    /// We sent a message.
    Sent,
    /// The peer sent a message.
    Received,
    /// The peer closed the connection.
    Left,
    /// The connection failed, or we dropped it.
    Lost,
    /// We closed the connection.
    Closed,
    /// Anything else that the user was told.
    Notice,
    /// The conversation failed.
    Error,
    /// A socket call was made.
    Call,
}

/// The times of a transcript: RFC 3339, UTC, in microseconds. A time may be an `Option`.
mod rfc3339 {
    use std::time::SystemTime;

    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(
        time: &(impl Into<Option<SystemTime>> + Copy),
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match (*time).into() {
            Some(time) => to.collect_str(&humantime::format_rfc3339_micros(time)),
            None => to.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: From<SystemTime>>(
        from: D,
    ) -> Result<T, D::Error> {
        let text = String::deserialize(from)?;
        let time = humantime::parse_rfc3339(&text).map_err(D::Error::custom)?;
        Ok(time.into())
    }
}

impl Record {
    /// Creates a record of `event`, now, without further fields.
    fn new(event: Kind) -> Self {
        Self {
            time: SystemTime::now(),
            ended: None,
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

    /// Returns the text, which is empty if there is none.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }

    /// Returns the length of a message in bytes, which is that of its text if it is not recorded.
    pub fn length(&self) -> u64 {
        self.bytes.unwrap_or(self.text().len() as u64)
    }

    /// Returns the socket call and its result, which are empty if there are none.
    pub fn call(&self) -> [&str; 2] {
        [&self.call, &self.result].map(|text| text.as_deref().unwrap_or_default())
    }

    /// Returns the name of the socket call.
    pub fn call_name(&self) -> &str {
        let [call, _] = self.call();
        call.split_once('(').map_or(call, |(name, _)| name)
    }

    /// Returns the number that the result of the socket call begins with, as that of bytes does.
    pub fn count(&self) -> Option<u64> {
        let [_, result] = self.call();
        result.split(' ').next()?.parse().ok()
    }
}

/// A message, assembled from its parts.
#[derive(Debug, Default)]
struct Message {
    /// The first [`MAX_TEXT`] bytes.
    text: Vec<u8>,
    /// The full length in bytes.
    bytes: u64,
    name: Option<String>,
    late: bool,
}

/// What is known about a peer.
#[derive(Debug, Default)]
struct PeerState {
    address: Option<Address>,
    /// The message that we are receiving.
    received: Message,
    /// The message that we are sending.
    sent: Message,
}

/// A file to which the events of a conversation are appended.
#[derive(Debug)]
pub struct Transcript {
    path: PathBuf,
    file: File,
    peers: BTreeMap<Peer, PeerState>,
}

impl Transcript {
    /// Opens the file at `path` to append to it, or creates it. Returns an error if the file
    /// cannot be opened or written.
    pub fn open(path: PathBuf) -> Result<Self, Failure> {
        let file = open(&path).map_err(|error| Failure::Transcript(path.clone(), error))?;
        Ok(Self {
            path,
            file,
            peers: BTreeMap::new(),
        })
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line for `event`. A message is written when its last part is recorded.
    /// Returns an error if the file cannot be written.
    pub fn record(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Called(noted) => self.write(&Record {
                time: noted.time,
                ended: Some(noted.ended).filter(|ended| *ended > noted.time),
                peer: noted.peer.clone(),
                client: noted.client,
                call: Some(noted.call.call.clone()),
                result: Some(noted.call.result.clone()),
                ..Record::new(Kind::Call)
            }),
            Event::Listening(address) => self.write(&Record {
                local: Some((*address).clone()),
                ..Record::new(Kind::Listening)
            }),
            Event::ConnectionFrom(peer, address) => self.connected(*peer, address, None),
            Event::ConnectedTo { address, local } => {
                self.connected(Peer::Server, address, Some(local))
            }
            Event::Received(peer, part) => self.received(*peer, part, false),
            Event::Late(peer, part) => self.received(*peer, part, true),
            Event::Sent { peer, text, last } => self.add_part(Kind::Sent, *peer, text, *last),
            // A relay stands in for the server.
            Event::Relayed(number, Relayed::Passed(way, bytes)) => {
                let kind = match way {
                    Way::ToServer => Kind::Received,
                    Way::ToClient => Kind::Sent,
                };
                self.add_part(kind, Peer::Numbered(*number), bytes, true)
            }
            // The answer is recorded as sent, the call when it has returned, and the end of a
            // conversation when both sides have closed it. What is only said is not recorded.
            Event::Scripted(..)
            | Event::Stands(_)
            | Event::Hint(_)
            | Event::Relayed(_, Relayed::Held(..) | Relayed::Closed(_)) => Ok(()),
            Event::Gone(peer, Parting::Left) => self.gone(Kind::Left, *peer, Some(event)),
            Event::Gone(peer, _)
            | Event::TryingAgain {
                failure: Failure::Lost(peer, _),
                ..
            } => self.gone(Kind::Lost, *peer, Some(event)),
            Event::Closed { peer, .. } => self.gone(Kind::Closed, *peer, None),
            Event::Ended => {
                while let Some((peer, _)) = self.peers.first_key_value() {
                    self.gone(Kind::Closed, *peer, None)?;
                }
                Ok(())
            }
            Event::Failed(
                Failure::Lost(peer, _)
                | Failure::LostWithMessage(peer, _)
                | Failure::NotTaken(peer, _),
            ) => self.gone(Kind::Error, *peer, Some(event)),
            _ => {
                let is_error = matches!(event, Event::Failed(_));
                let kind = if is_error { Kind::Error } else { Kind::Notice };
                self.write(&Record {
                    text: Some(event.to_string()),
                    ..Record::new(kind)
                })
            }
        }
    }

    fn connected(
        &mut self,
        peer: Peer,
        address: &Address,
        local: Option<&Address>,
    ) -> io::Result<()> {
        self.peers.entry(peer).or_default().address = Some(address.clone());
        self.write(&Record {
            local: local.cloned(),
            ..self.about(Kind::Connected, peer)
        })
    }

    fn received(&mut self, peer: Peer, part: &Part<'_>, late: bool) -> io::Result<()> {
        let message = &mut self.peers.entry(peer).or_default().received;
        // Our answer has ended a late message, whose last part was not marked as such.
        if part.first && message.bytes > 0 {
            let ended = mem::take(message);
            self.write_message(Kind::Received, peer, ended)?;
        }
        let message = &mut self.peers.entry(peer).or_default().received;
        message.late |= late;
        if part.first {
            message.name = part.name().map(|name| name.beginning(MAX_NAME));
        }
        self.add_part(Kind::Received, peer, part.text().bytes(), part.last)
    }

    /// Adds a part to the message that we are sending or receiving, by `kind`. Writes the message with
    /// its last part.
    fn add_part(&mut self, kind: Kind, peer: Peer, part: &[u8], last: bool) -> io::Result<()> {
        let state = self.peers.entry(peer).or_default();
        let message = match kind {
            Kind::Sent => &mut state.sent,
            _ => &mut state.received,
        };
        let room = MAX_TEXT - message.text.len();
        message
            .text
            .extend_from_slice(&part[..part.len().min(room)]);
        message.bytes += part.len() as u64;
        if !last {
            return Ok(());
        }
        let message = mem::take(message);
        self.write_message(kind, peer, message)
    }

    /// Writes a line of `kind` that ends the connection to `peer`, with the text of `event`, after its
    /// incomplete messages.
    fn gone(&mut self, kind: Kind, peer: Peer, event: Option<&Event<'_>>) -> io::Result<()> {
        let state = self.peers.entry(peer).or_default();
        let (received, sent) = (mem::take(&mut state.received), mem::take(&mut state.sent));
        for (kind, message) in [(Kind::Received, received), (Kind::Sent, sent)] {
            if message.bytes > 0 {
                self.write_message(kind, peer, message)?;
            }
        }
        let record = Record {
            text: event.map(ToString::to_string),
            ..self.about(kind, peer)
        };
        self.peers.remove(&peer);
        self.write(&record)
    }

    fn write_message(&mut self, kind: Kind, peer: Peer, message: Message) -> io::Result<()> {
        self.write(&Record {
            name: message.name,
            bytes: Some(message.bytes),
            cut: message.bytes > message.text.len() as u64,
            text: Some(String::from_utf8_lossy(&message.text).into_owned()),
            late: message.late,
            ..self.about(kind, peer)
        })
    }

    /// Returns a record of `event` that concerns `peer`, without further fields.
    fn about(&self, event: Kind, peer: Peer) -> Record {
        let state = self.peers.get(&peer);
        Record {
            peer: state.and_then(|state| state.address.clone()),
            client: match peer {
                Peer::Numbered(number) => Some(number),
                Peer::Client(_) | Peer::Server => None,
            },
            ..Record::new(event)
        }
    }

    /// Writes `record`. Makes a single write call, so that no line is incomplete if the program is
    /// killed.
    fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = escaped(serde_json::to_string(record)?);
        line.push('\n');
        self.file.write_all(line.as_bytes())
    }
}

/// Returns `json` with all that a terminal may act on as escapes, which mean the same in a string.
fn escaped(json: String) -> String {
    if json.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return json;
    }
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped += &format!("\\u{unit:04x}");
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

/// Opens the file at `path` to append to it. If it is created, only the user can read it.
///
/// Adds a newline if the last line is incomplete, as after a full disk, so that it does not
/// spoil our first line.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let mut file = sys::private(options.read(true).append(true).create(true)).open(path)?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_record_acts_on_a_terminal() {
        let text = "gr\u{fc}ezi \u{9b}31m\u{202e}\u{7f}\u{e0041}\u{1f600}\n";
        let json = serde_json::to_string(text).unwrap();
        let escaped = escaped(json);
        let seen = "\"gr\u{fc}ezi \\u009b31m\\u202e\\u007f\\udb40\\udc41\u{1f600}\\n\"";
        assert_eq!(escaped, seen);
        assert_eq!(serde_json::from_str::<String>(&escaped).unwrap(), text);
    }
}
