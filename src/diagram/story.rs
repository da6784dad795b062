//! Merges transcripts into one chronological diagram.

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::mem;
use std::time::SystemTime;

use super::scene::{self, Happening};
use super::{Diagram, Label, Step};
use crate::endpoint::Address;
use crate::transcript::{Kind, Record};

/// A participant of the conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Participant {
    /// The client that wrote the file with this index.
    Writer(usize),
    /// A client without a file, by its connection.
    Client(usize),
    Server,
}

impl Participant {
    /// Returns 0 for a client and 1 for the server.
    fn side(self) -> usize {
        usize::from(self == Self::Server)
    }
}

/// A record and whom it concerns.
struct Entry {
    /// Where the event stands among the others.
    rank: Rank,
    record: Record,
    writer: Participant,
    /// The other participant, and the connection. `None` if the record concerns the writer only.
    peer: Option<(Participant, usize)>,
    /// Whether the transcript of the other participant does not have the message.
    is_unmatched: bool,
    /// Whether the other participant has sent the same message, which is drawn.
    is_hidden: bool,
    /// The number of bytes of a message on the wire, as far as that is known.
    wire: u64,
}

/// The order of what happened: by time, and of two records of a file at the same time by their
/// places in it. What made a call return stands before the call.
type Rank = (SystemTime, usize);

/// The calls of a file that are followed by the records of what they did, by the peer. Under `None`
/// are those that have no peer yet, `connect` and `accept`.
#[derive(Default)]
struct Calls(HashMap<Option<Address>, PeerCalls>);

/// The calls that concern a peer.
#[derive(Default)]
struct PeerCalls {
    /// When the last `send` or `connect` began.
    begun: Option<Rank>,
    /// Where the last `accept` stands, or the first `recv` since the last message.
    returned: Option<Rank>,
    /// The numbers of bytes that were sent and received since the last message in that direction.
    sent: u64,
    received: u64,
}

impl Calls {
    /// Adds the call in `record`, which stands at this place in its file. Returns its rank: that of a
    /// call that waits for the other side is the time at which it returned.
    fn add(&mut self, record: &Record, place: usize) -> Rank {
        let call = record.call.as_deref().unwrap_or_default();
        let name = call.split('(').next().unwrap_or_default();
        let waits = matches!(name, "recv" | "accept");
        let time = record.ended.filter(|_| waits).unwrap_or(record.time);
        let rank = (time, 2 * place + 1);
        let result = record.result.as_deref().unwrap_or_default();
        let count = result.split(' ').next().map(str::parse);
        let count: u64 = count.and_then(Result::ok).unwrap_or_default();
        let calls = self.0.entry(record.peer.clone()).or_default();
        match name {
            "recv" => calls.received = calls.received.saturating_add(count),
            "send" => calls.sent = calls.sent.saturating_add(count),
            _ => {}
        }
        if waits {
            // Several calls may receive a message.
            calls.returned.get_or_insert(rank);
        } else if matches!(name, "send" | "connect") {
            calls.begun = Some(rank);
        }
        rank
    }

    /// Takes what the calls tell of the event in `record`, which stands at this place in its file: its
    /// rank, and the number of bytes of a message on the wire, which is more than its text where its end
    /// is marked. `is_server` tells whether a server has recorded it.
    fn take(&mut self, record: &Record, place: usize, is_server: bool) -> (Rank, u64) {
        let own = (record.time, 2 * place + 1);
        let is_connected = record.event == Kind::Connected;
        let peer = record.peer.as_ref().filter(|_| !is_connected);
        let mut none = PeerCalls::default();
        let calls = self.0.get_mut(&peer.cloned()).unwrap_or(&mut none);
        // What a call does starts with the call; what makes one return comes before it.
        let rank = match record.event {
            Kind::Sent => calls.begun.take(),
            Kind::Connected if !is_server => calls.begun.take(),
            Kind::Received | Kind::Left | Kind::Lost | Kind::Connected => {
                let returned = calls.returned.take();
                returned.map(|(time, place)| (time, place - 1))
            }
            _ => None,
        };
        let count = match record.event {
            Kind::Sent => mem::take(&mut calls.sent),
            Kind::Received => mem::take(&mut calls.received),
            _ => 0,
        };
        let bytes = record.bytes.unwrap_or_default();
        (rank.unwrap_or(own), if count > 0 { count } else { bytes })
    }
}

/// The records of all transcripts of a conversation, in chronological order.
pub(super) struct Story {
    entries: Vec<Entry>,
    names: HashMap<Participant, String>,
    /// The numbers of the connections, by the client's address, and by the client's number if it
    /// has no address of its own.
    numbers: HashMap<(Address, Option<u32>), usize>,
    /// By their numbers.
    connections: Vec<Connection>,
}

/// What is known about a connection.
#[derive(Default)]
struct Connection {
    /// The client that has written a file.
    writer: Option<Participant>,
    /// Whether there are records of the client, and of the server.
    is_recorded: [bool; 2],
}

impl Connection {
    /// Returns whether both sides have recorded it.
    fn has_both(&self) -> bool {
        self.is_recorded == [true; 2]
    }
}

impl Story {
    /// Merges the records of one or more files, each in its own order.
    pub(super) fn new(files: Vec<Vec<Record>>) -> Self {
        let mut story = Self {
            entries: Vec::new(),
            names: HashMap::from([(Participant::Server, "server".into())]),
            numbers: HashMap::new(),
            connections: Vec::new(),
        };
        for (file, records) in files.iter().enumerate() {
            let connected = records.iter().filter(|r| r.event == Kind::Connected);
            for local in connected.filter_map(|record| record.local.as_ref()) {
                let connection = story.connection(local, None);
                story.connections[connection].writer = Some(Participant::Writer(file));
            }
        }
        for (file, records) in files.into_iter().enumerate() {
            story.add_file(Participant::Writer(file), records);
        }
        story.pair_messages();
        story.entries.sort_by_key(|entry| entry.rank);
        story
    }

    /// Adds the records of a file. `client` stands for its writer where that is no server.
    fn add_file(&mut self, client: Participant, records: Vec<Record>) {
        let mut events = records.iter().map(|record| record.event);
        let role = events.find(|event| matches!(event, Kind::Listening | Kind::Connected));
        // Both ends may write to the same file, so the writer can change with every record.
        let mut writer = match role {
            Some(Kind::Listening) => Participant::Server,
            _ => client,
        };
        // The address of the client at either end of a connection, by the peer's address.
        let mut connections = HashMap::new();
        let mut calls = Calls::default();
        for (place, record) in records.into_iter().enumerate() {
            let mut rank = (record.time, 2 * place + 1);
            let mut peer = None;
            let mut wire = 0;
            if record.event == Kind::Call {
                rank = calls.add(&record, place);
                // A call may be recorded before its connection, whose client is then unknown.
                let known = record.peer.as_ref().and_then(|peer| connections.get(peer));
                if let Some(at_client) = known.cloned() {
                    let connection = self.connection(&at_client, record.client);
                    peer = Some(if writer == Participant::Server {
                        (self.client(connection, record.client), connection)
                    } else {
                        (Participant::Server, connection)
                    });
                }
            } else if let Some(address) = &record.peer {
                if record.event == Kind::Connected {
                    let at_client = record.local.as_ref().unwrap_or(address);
                    connections.insert(address.clone(), at_client.clone());
                }
                let at_client = connections.get(address).unwrap_or(address);
                let is_server = at_client == address;
                let connection = self.connection(at_client, record.client);
                (writer, peer) = if is_server {
                    let client = self.client(connection, record.client);
                    (Participant::Server, Some((client, connection)))
                } else {
                    (client, Some((Participant::Server, connection)))
                };
                (rank, wire) = calls.take(&record, place, is_server);
            } else if record.event == Kind::Listening {
                writer = Participant::Server;
            }
            self.names.entry(writer).or_insert("client".into());
            if let Some((_, connection)) = peer {
                self.connections[connection].is_recorded[writer.side()] = true;
            }
            self.entries.push(Entry {
                rank,
                record,
                writer,
                peer,
                is_unmatched: false,
                is_hidden: false,
                wire,
            });
        }
    }

    /// Returns the number of the connection of the client at `address`, which the server has given
    /// `number`.
    fn connection(&mut self, address: &Address, number: Option<u32>) -> usize {
        let number = number.filter(|_| matches!(address, Address::Unix(_)));
        let connection = self.numbers.entry((address.clone(), number));
        *connection.or_insert_with(|| {
            self.connections.push(Connection::default());
            self.connections.len() - 1
        })
    }

    /// Returns the client of `connection`, and names it by its number if it has no name yet.
    fn client(&mut self, connection: usize, number: Option<u32>) -> Participant {
        let writer = self.connections[connection].writer;
        let client = writer.unwrap_or(Participant::Client(connection));
        let name = || number.map_or("client".into(), |number| format!("client #{number}"));
        self.names.entry(client).or_insert_with(name);
        client
    }

    /// Matches the sent with the received messages of each connection that has a transcript
    /// of both peers.
    fn pair_messages(&mut self) {
        // Of each connection what the client has sent, and the server.
        let mut directions = Vec::new();
        directions.resize_with(self.connections.len(), <[[Vec<usize>; 2]; 2]>::default);
        for (index, entry) in self.entries.iter().enumerate() {
            let Some((_, connection)) = entry.peer else {
                continue;
            };
            let writer = entry.writer.side();
            let (sender, record) = match entry.record.event {
                Kind::Sent => (writer, 0),
                Kind::Received => (1 - writer, 1),
                _ => continue,
            };
            directions[connection][sender][record].push(index);
        }
        let connections = self.connections.iter().zip(directions);
        let recorded_twice = connections.filter(|(connection, _)| connection.has_both());
        for [sent, received] in recorded_twice.flat_map(|(_, directions)| directions) {
            let message = |index: &usize| message(&self.entries[*index].record);
            let pairs = pairs(
                &sent.iter().map(message).collect::<Vec<_>>(),
                &received.iter().map(message).collect::<Vec<_>>(),
            );
            for index in sent.iter().chain(&received) {
                self.entries[*index].is_unmatched = true;
            }
            for (sent_index, received_index) in pairs {
                let arrival = &mut self.entries[received[received_index]];
                arrival.is_hidden = true;
                let (arrived, wire) = (arrival.rank, arrival.wire);
                let departure = &mut self.entries[sent[sent_index]];
                departure.is_unmatched = false;
                departure.rank = departure.rank.min(arrived);
                // Both are what one of them has counted, if only one has.
                departure.wire = departure.wire.max(wire);
                let wire = departure.wire;
                self.entries[received[received_index]].wire = wire;
            }
        }
    }

    /// Returns the diagram, with the clients in the order of their first entries.
    pub(super) fn into_diagram(self) -> Diagram {
        let mut participants = Vec::new();
        let mut places = HashMap::new();
        let peer = |entry: &Entry| entry.peer.map(|(peer, _)| peer);
        let concerned = |entry| peer(entry).into_iter().chain([entry.writer]);
        let server = [Participant::Server];
        let clients = self.entries.iter().flat_map(concerned);
        for participant in clients.filter(|p| *p != server[0]).chain(server) {
            places.entry(participant).or_insert_with(|| {
                participants.push(self.names[&participant].clone());
                participants.len() - 1
            });
        }
        // Both peers record that a connection is opened or closed, and a client may use the same
        // address again. This counts how often each has recorded each.
        let mut recorded = vec![[[0; 2]; 2]; self.connections.len()];
        let mut is_repeated = |entry: &Entry| {
            let Some((_, connection)) = entry.peer else {
                return false;
            };
            let is_close = match entry.record.event {
                Kind::Connected => 0,
                Kind::Left | Kind::Lost | Kind::Closed | Kind::Error => 1,
                _ => return false,
            };
            let counts: &mut [usize; 2] = &mut recorded[connection][is_close];
            let writer = entry.writer.side();
            counts[writer] += 1;
            counts[1 - writer] >= counts[writer]
        };
        let calls = self.entries.iter().filter(|e| e.record.event == Kind::Call);
        let mut programs = vec![scene::Participant::default(); participants.len()];
        for entry in calls {
            programs[places[&entry.writer]].is_explained = true;
        }
        let mut steps = Vec::new();
        let mut scene = scene::Builder::new(&participants, programs);
        for entry in &self.entries {
            let writer = places[&entry.writer];
            let peer = peer(entry).map(|peer| places[&peer]);
            let is_repeated = is_repeated(entry);
            scene.add(Happening {
                time: entry.rank.0,
                record: &entry.record,
                writer,
                peer,
                is_repeated,
                is_hidden: entry.is_hidden,
                wire: entry.wire,
                peer_writes: entry
                    .peer
                    .is_some_and(|(_, c)| self.connections[c].has_both()),
            });
            if !entry.is_hidden && !is_repeated {
                steps.extend(entry.step(writer, peer));
            }
        }
        Diagram {
            participants,
            steps,
            scene: scene.finish(),
        }
    }
}

impl Entry {
    /// Returns the step that shows the entry, or `None` if it is not shown. The writer stands
    /// `at` this place, and the other participant at `peer`.
    fn step(&self, at: usize, peer: Option<usize>) -> Option<Step> {
        let arrow = |from, to, label| Step::Arrow { from, to, label };
        let record = &self.record;
        Some(match (record.event, peer) {
            // The client connects, whoever records it. The server is last.
            (Kind::Connected, Some(peer)) => arrow(at.min(peer), at.max(peer), Label::Connect),
            (Kind::Sent, Some(peer)) => arrow(at, peer, self.message()),
            (Kind::Received, Some(peer)) => arrow(peer, at, self.message()),
            (Kind::Left, Some(peer)) => arrow(peer, at, Label::Close),
            (Kind::Closed, Some(peer)) => arrow(at, peer, Label::Close),
            _ => Step::Note {
                at,
                text: match record.event {
                    Kind::Call => {
                        let call = record.call.as_deref().unwrap_or_default();
                        let result = record.result.as_deref().unwrap_or_default();
                        format!("{call} -> {result}")
                    }
                    Kind::Listening => format!("listens on {}", record.local.as_ref()?),
                    _ => record.text.as_deref()?.to_owned(),
                },
            },
        })
    }

    fn message(&self) -> Label {
        let record = &self.record;
        let text = record.text.as_deref().unwrap_or_default();
        let prefix = match record.event {
            Kind::Sent if self.is_unmatched => "sent, but not so received: ",
            _ if self.is_unmatched => "received, but not so sent: ",
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

/// Returns the text and the length in bytes of the message in `record`, as a framing of lines
/// transmits it: without a line end of its own, and with spaces for newlines. They are the same for
/// the sender's and the receiver's record of a message.
fn message(record: &Record) -> (Cow<'_, str>, u64) {
    let text = record.text.as_deref().unwrap_or_default();
    let line = text.trim_end_matches(['\r', '\n']);
    let line_end = (text.len() - line.len()) as u64;
    let bytes = record.bytes.unwrap_or(text.len() as u64);
    let line = if line.contains('\n') {
        line.replace('\n', " ").into()
    } else {
        line.into()
    };
    (line, bytes.saturating_sub(line_end))
}

/// Matches each element of `sent`, in order, with the next equal element of `received`, if there is
/// one after the last match. Returns the indices of each pair. Takes linear time.
fn pairs<T: Eq + Hash>(sent: &[T], received: &[T]) -> Vec<(usize, usize)> {
    let mut places: HashMap<_, VecDeque<_>> = HashMap::new();
    for (place, element) in received.iter().enumerate() {
        places.entry(element).or_default().push_back(place);
    }
    let mut next = 0;
    let mut pairs = Vec::new();
    for (index, element) in sent.iter().enumerate() {
        let Some(places) = places.get_mut(element) else {
            continue;
        };
        while let Some(place) = places.pop_front() {
            if place >= next {
                pairs.push((index, place));
                next = place + 1;
                break;
            }
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hash::Hasher;

    use super::*;

    /// A record of a message of `bytes` bytes.
    fn record(text: &str, bytes: usize) -> Record {
        let json = format!(
            "{{\"time\":\"2026-11-24T10:00:00Z\",\"event\":\"sent\",\"text\":{text:?},\
             \"bytes\":{bytes}}}"
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn line_ends_do_not_distinguish_messages() {
        for (typed, framed) in [("hello\r", "hello"), ("a\nb\n", "a b"), ("", "")] {
            assert_eq!(
                message(&record(typed, typed.len())),
                message(&record(framed, framed.len())),
                "{typed:?}"
            );
        }
        assert_ne!(message(&record("one", 3)), message(&record("onetwo", 6)));
        // Of a long message there is only the beginning.
        assert_ne!(message(&record("one", 9)), message(&record("one", 8)));
    }

    #[test]
    fn messages_are_matched_in_their_order() {
        assert_eq!(pairs(b"abc", b"abc"), [(0, 0), (1, 1), (2, 2)]);
        assert_eq!(pairs(b"abac", b"xacb"), [(0, 1), (1, 3)]);
        assert_eq!(pairs(b"aab", b"ba"), [(0, 1)]);
        assert_eq!(pairs(b"ab", b""), []);
    }

    /// An element that counts how often it is looked at.
    struct Counted<'a>(u32, &'a Cell<usize>);

    impl PartialEq for Counted<'_> {
        fn eq(&self, other: &Self) -> bool {
            self.1.update(|count| count + 1);
            self.0 == other.0
        }
    }

    impl Eq for Counted<'_> {}

    impl Hash for Counted<'_> {
        fn hash<H: Hasher>(&self, state: &mut H) {
            self.1.update(|count| count + 1);
            self.0.hash(state);
        }
    }

    #[test]
    fn matching_takes_linear_time() {
        const LENGTH: u32 = 10_000;
        let count = Cell::new(0);
        let all = |of: fn(u32) -> u32| -> Vec<_> {
            (0..LENGTH).map(|n| Counted(of(n), &count)).collect()
        };
        // Nothing matches, everything does, and what was sent last was received first.
        for (of, matched) in [(|n| n + LENGTH) as fn(u32) -> u32, |n| n, |_| 7]
            .into_iter()
            .zip([0, 10_000, 1])
        {
            count.set(0);
            assert_eq!(pairs(&all(|n| n), &all(of)).len(), matched);
            assert!(count.get() < 20 * LENGTH as usize, "{}", count.get());
        }
    }
}
