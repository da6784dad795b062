//! Merges transcripts into one chronological diagram.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::time::SystemTime;

use super::{Diagram, Label, Step, Timed};
use crate::transcript::{Kind, Record};

/// A participant of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Participant {
    /// The client that wrote the file with this index.
    Writer(usize),
    /// A client without a file, by its address.
    Client(SocketAddr),
    Server,
}

/// A record and whom it concerns.
struct Entry<'a> {
    /// When the event happened. A message counts from its first record, which may be the
    /// receiver's.
    time: SystemTime,
    record: Record<'a>,
    writer: Participant,
    /// The other participant, and the client's address, which identifies the connection.
    /// `None` if the record concerns the writer only.
    peer: Option<(Participant, SocketAddr)>,
    display: Display,
}

/// How a message is drawn, which depends on the other participant's transcript.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Display {
    /// As it is.
    Plain,
    /// Not at all: the other participant has sent the same message, which is drawn.
    Hidden,
    /// With a remark that the other participant's transcript does not have the message.
    Unmatched,
}

/// The records of all transcripts of a conversation, in chronological order.
pub(super) struct Story<'a> {
    entries: Vec<Entry<'a>>,
    names: HashMap<Participant, String>,
    /// The clients that have written a file, by the addresses of their connections.
    writers: HashMap<SocketAddr, Participant>,
}

impl<'a> Story<'a> {
    /// Merges the records of one or more files, each in its own order.
    pub(super) fn new(files: Vec<Vec<Timed<'a>>>) -> Self {
        let mut story = Self {
            entries: Vec::new(),
            names: HashMap::from([(Participant::Server, "server".into())]),
            writers: HashMap::new(),
        };
        for (file, records) in files.iter().enumerate() {
            for (_, record) in records {
                if let (Kind::Connected, Some(local)) = (record.event, record.local) {
                    story.writers.insert(local, Participant::Writer(file));
                }
            }
        }
        for (file, records) in files.into_iter().enumerate() {
            story.add_file(file, records);
        }
        story.pair_messages();
        story.entries.sort_by_key(|entry| entry.time);
        story
    }

    fn add_file(&mut self, file: usize, records: Vec<Timed<'a>>) {
        let mut state = FileState::new(&records);
        for (time, record) in records {
            let address = record.peer.as_ref().and_then(|peer| peer.parse().ok());
            let local = state.update(&record, address);
            let peer = match (address, local) {
                // A call may be recorded before its connection, whose client is then unknown.
                (Some(_), _) if record.event == Kind::Call => None,
                (Some(_), Some(local)) => Some((Participant::Server, local)),
                (Some(client), None) => Some((self.client(client, record.client), client)),
                (None, _) => None,
            };
            let writer = if state.is_server {
                Participant::Server
            } else {
                Participant::Writer(file)
            };
            self.names.entry(writer).or_insert("client".into());
            self.entries.push(Entry {
                time: state.start(&record, time, address, local),
                record,
                writer,
                peer,
                display: Display::Plain,
            });
        }
    }

    /// Returns the client at `address`, and names it by its number if it has no name yet.
    fn client(&mut self, address: SocketAddr, number: Option<u32>) -> Participant {
        let writer = self.writers.get(&address).copied();
        let client = writer.unwrap_or(Participant::Client(address));
        let name = number.map_or("client".into(), |number| format!("client #{number}"));
        self.names.entry(client).or_insert(name);
        client
    }

    /// Matches the sent with the received messages of each connection that has a transcript
    /// of both peers.
    fn pair_messages(&mut self) {
        let mut writers: HashMap<_, HashSet<_>> = HashMap::new();
        let mut directions: HashMap<_, [Vec<usize>; 2]> = HashMap::new();
        for (index, entry) in self.entries.iter().enumerate() {
            let Some((peer, connection)) = entry.peer else {
                continue;
            };
            writers.entry(connection).or_default().insert(entry.writer);
            let (sender, side) = match entry.record.event {
                Kind::Sent => (entry.writer, 0),
                Kind::Received => (peer, 1),
                _ => continue,
            };
            directions.entry((connection, sender)).or_default()[side].push(index);
        }
        for ((connection, _), [sent, received]) in directions {
            if writers[&connection].len() > 1 {
                self.pair_direction(&sent, &received);
            }
        }
    }

    /// Matches the messages of one direction of a connection in their order.
    fn pair_direction(&mut self, sent: &[usize], mut received: &[usize]) {
        for index in sent.iter().chain(received) {
            self.entries[*index].display = Display::Unmatched;
        }
        for sent in sent {
            let is_same = |received: &usize| {
                is_same_message(&self.entries[*sent].record, &self.entries[*received].record)
            };
            if let Some(skipped) = received.iter().position(is_same) {
                let arrival = &mut self.entries[received[skipped]];
                arrival.display = Display::Hidden;
                let arrived = arrival.time;
                let departure = &mut self.entries[*sent];
                departure.display = Display::Plain;
                departure.time = departure.time.min(arrived);
                received = &received[skipped + 1..];
            }
        }
    }

    /// Returns the diagram, with the clients in the order of their first entries.
    pub(super) fn into_diagram(self) -> Diagram {
        let mut participants = Vec::new();
        for entry in &self.entries {
            let peer = entry.peer.map(|(peer, _)| peer);
            for participant in peer.into_iter().chain([entry.writer]) {
                if participant != Participant::Server && !participants.contains(&participant) {
                    participants.push(participant);
                }
            }
        }
        participants.push(Participant::Server);
        let mut lifecycle = Lifecycle::default();
        Diagram {
            steps: self
                .entries
                .iter()
                .filter(|entry| !lifecycle.is_repeated(entry))
                .filter_map(|entry| entry.step(&participants))
                .collect(),
            participants: participants
                .iter()
                .map(|participant| self.names[participant].clone())
                .collect(),
        }
    }
}

/// What is known from the records of a file before the current one.
struct FileState {
    /// Whether the server writes the file. Both peers may write to the same file, so this
    /// can change with every record.
    is_server: bool,
    /// The local address of each connection by the peer's address, or `None` for one that
    /// the server accepted.
    locals: HashMap<SocketAddr, Option<SocketAddr>>,
    /// The time of the last `send` to each peer, and under `None` of the last `connect`.
    calls: HashMap<Option<SocketAddr>, SystemTime>,
}

impl FileState {
    /// Creates the state before the first of `records`.
    fn new(records: &[Timed<'_>]) -> Self {
        let mut events = records.iter().map(|(_, record)| record.event);
        let role = events.find(|event| matches!(event, Kind::Listening | Kind::Connected));
        Self {
            is_server: role == Some(Kind::Listening),
            locals: HashMap::new(),
            calls: HashMap::new(),
        }
    }

    /// Proceeds to `record`, which concerns the peer at address `peer`. Returns the local
    /// address of the connection if the writer is its client.
    fn update(&mut self, record: &Record<'_>, peer: Option<SocketAddr>) -> Option<SocketAddr> {
        if let (Kind::Connected, Some(peer)) = (record.event, peer) {
            self.locals.insert(peer, record.local);
        }
        let local = peer.and_then(|peer| self.locals.get(&peer).copied().flatten());
        match record.event {
            Kind::Call => {}
            _ if peer.is_some() => self.is_server = local.is_none(),
            Kind::Listening => self.is_server = true,
            _ => {}
        }
        local
    }

    /// Returns when the event of `record` started: at its socket call if that was recorded,
    /// otherwise at `time`.
    fn start(
        &mut self,
        record: &Record<'_>,
        time: SystemTime,
        peer: Option<SocketAddr>,
        local: Option<SocketAddr>,
    ) -> SystemTime {
        let name = record.call.as_ref().and_then(|call| call.split('(').next());
        let call = match (record.event, name) {
            (Kind::Call, Some("send" | "connect")) => {
                self.calls.insert(peer, time);
                None
            }
            (Kind::Sent, _) => self.calls.remove(&peer),
            (Kind::Connected, _) if local.is_some() => self.calls.remove(&None),
            _ => None,
        };
        call.unwrap_or(time)
    }
}

/// Counts how often each connection was opened and closed, as both peers record that and a
/// client may use the same address again.
#[derive(Default)]
struct Lifecycle {
    /// By connection, whether it was closed, and writer.
    recorded: HashMap<(SocketAddr, bool, Participant), usize>,
    /// By connection, and whether it was closed.
    drawn: HashMap<(SocketAddr, bool), usize>,
}

impl Lifecycle {
    /// Counts `entry` if it opens or closes a connection, and returns whether the other
    /// participant's record of the same event came before.
    fn is_repeated(&mut self, entry: &Entry<'_>) -> bool {
        let Some((_, connection)) = entry.peer else {
            return false;
        };
        let is_close = match entry.record.event {
            Kind::Connected => false,
            Kind::Left | Kind::Lost | Kind::Closed | Kind::Error => true,
            _ => return false,
        };
        let key = (connection, is_close, entry.writer);
        let recorded = self.recorded.entry(key).or_default();
        let drawn = self.drawn.entry((connection, is_close)).or_default();
        *recorded += 1;
        let is_repeated = *recorded <= *drawn;
        *drawn = (*drawn).max(*recorded);
        is_repeated
    }
}

impl Entry<'_> {
    /// Returns the step that shows the entry, or `None` if it is not shown.
    fn step(&self, participants: &[Participant]) -> Option<Step> {
        let place = |participant| participants.iter().position(|other| *other == participant);
        let at = place(self.writer)?;
        let peer = self.peer.and_then(|(peer, _)| place(peer));
        let arrow = |from, to, label| Step::Arrow { from, to, label };
        let note = |text| Step::Note { at, text };
        let record = &self.record;
        let text = record.text.as_deref().unwrap_or_default();
        Some(match (record.event, peer) {
            // The client connects, whoever records it. The server is last.
            (Kind::Connected, Some(peer)) => arrow(at.min(peer), at.max(peer), Label::Connect),
            (Kind::Sent, Some(peer)) => arrow(at, peer, self.message()),
            (Kind::Received, Some(_)) if self.display == Display::Hidden => return None,
            (Kind::Received, Some(peer)) => arrow(peer, at, self.message()),
            (Kind::Left, Some(peer)) => arrow(peer, at, Label::Close),
            (Kind::Closed, Some(peer)) => arrow(at, peer, Label::Close),
            (Kind::Lost | Kind::Error, Some(_)) => note(text.to_owned()),
            (Kind::Call, _) => {
                let call = record.call.as_deref().unwrap_or_default();
                let result = record.result.as_deref().unwrap_or_default();
                note(format!("{call} -> {result}"))
            }
            (Kind::Listening, _) => note(match record.local {
                Some(address) => format!("listens on {address}"),
                None => "listens".into(),
            }),
            _ if record.text.is_some() => note(text.to_owned()),
            _ => return None,
        })
    }

    fn message(&self) -> Label {
        let record = &self.record;
        let text = record.text.as_deref().unwrap_or_default();
        let prefix = match (self.display, record.event) {
            (Display::Unmatched, Kind::Sent) => "sent, but not so received: ",
            (Display::Unmatched, _) => "received, but not so sent: ",
            _ if record.late => "late: ",
            _ => "",
        };
        let suffix = if record.cut { " ..." } else { "" };
        Label::Message {
            text: format!("{prefix}{text}{suffix}"),
            bytes: record.bytes.unwrap_or(text.len() as u64),
        }
    }
}

/// Returns whether the message `sent` may have arrived as `received`. The framing may have
/// changed its line ends.
fn is_same_message(sent: &Record<'_>, received: &Record<'_>) -> bool {
    match (&sent.text, &received.text) {
        (Some(sent), Some(received)) if sent != received => as_line(sent) == as_line(received),
        (sent_text, received_text) => sent_text == received_text && sent.bytes == received.bytes,
    }
}

/// Returns `text` as a framing of lines transmits it: without a line end of its own, and with
/// spaces for newlines.
fn as_line(text: &str) -> String {
    text.trim_end_matches(['\r', '\n']).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_do_not_distinguish_messages() {
        for (typed, framed) in [("hello\r", "hello"), ("a\nb\n", "a b"), ("", "")] {
            assert_eq!(as_line(typed), as_line(framed), "{typed:?}");
        }
        assert_ne!(as_line("one"), as_line("onetwo"));
    }
}
