//! Merges transcripts into one chronological story.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::iter;
use std::mem;
use std::time::SystemTime;

use super::{Diagram, Sort, Step};
use crate::endpoint::Address;
use crate::transcript::{Kind, Record};
use crate::{say, words};

/// A record and whom it concerns. Participants are numbers, and in the end places: the clients in the
/// order of their first entries, and then the server.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where the event stands among the others.
    pub(super) rank: Rank,
    pub(super) record: Record,
    pub(super) writer: usize,
    /// The other participant. `None` if the record concerns the writer only.
    pub(super) peer: Option<usize>,
    /// The number of the connection between them.
    connection: Option<usize>,
    /// Whether the other participant has recorded the connection too.
    peer_writes: bool,
    /// Whether it has recorded the same message.
    is_matched: bool,
    /// Whether it has recorded before that the connection was opened or closed.
    pub(super) is_repeated: bool,
    /// The number of bytes of a message on the wire, as far as that is known.
    pub(super) wire: u64,
}

/// The order of what happened: by time, and of two records of a file at the same time by their
/// places in it. What made a call return stands before the call.
type Rank = (SystemTime, usize);

/// What a file tells of a peer by its calls, which are followed by the records of what they did.
#[derive(Default)]
struct Calls {
    /// The address of the client at either end of the connection.
    at_client: Option<Address>,
    /// When the last `send` or `connect` began.
    begun: Option<Rank>,
    /// What stands just before the last `accept`, or the first `recv` since the last message.
    returned: Option<Rank>,
    /// The numbers of bytes that were sent and received since the last message in that direction.
    sent: u64,
    received: u64,
}

impl Calls {
    /// Adds the call in `record`, which has this `rank` by when it began. Returns its rank: that of a
    /// call that waits for the other side is the time at which it returned.
    fn add(&mut self, record: &Record, rank: Rank) -> Rank {
        let count = record.count().unwrap_or_default();
        let name = record.call_name();
        match name {
            "recv" => self.received = self.received.saturating_add(count),
            "send" => self.sent = self.sent.saturating_add(count),
            _ => {}
        }
        match name {
            "recv" | "accept" => {
                let returned = record.ended.unwrap_or(record.time);
                // Several calls may receive a message.
                self.returned.get_or_insert((returned, rank.1 - 1));
                return (returned, rank.1);
            }
            "send" | "connect" => self.begun = Some(rank),
            _ => {}
        }
        rank
    }

    /// Takes what the calls tell of the event in `record`, which a server has recorded or not: its rank,
    /// and the number of bytes of a message on the wire, which is more than its text where its end is
    /// marked. They are `None` and 0 if the calls do not tell.
    fn take(&mut self, record: &Record, is_server: bool) -> (Option<Rank>, u64) {
        // What a call does starts with the call; what makes one return comes before it.
        match record.event {
            Kind::Sent => (self.begun.take(), mem::take(&mut self.sent)),
            Kind::Received => (self.returned.take(), mem::take(&mut self.received)),
            Kind::Connected if !is_server => (self.begun.take(), 0),
            Kind::Connected | Kind::Left | Kind::Lost => (self.returned.take(), 0),
            _ => (None, 0),
        }
    }
}

/// The server's number among the participants. The numbers of the clients that have written the files
/// follow, and then those of the connections of other clients.
const SERVER: usize = 0;

/// Returns 0 for a client and 1 for the server.
fn side(participant: usize) -> usize {
    usize::from(participant == SERVER)
}

/// The records of all transcripts of a conversation.
struct Story {
    entries: Vec<Entry>,
    names: HashMap<usize, String>,
    /// The numbers of the connections, by the client's address, and by the client's number if it
    /// has no address of its own.
    numbers: HashMap<(Address, Option<u32>), usize>,
    /// By their numbers.
    connections: Vec<Connection>,
    files: usize,
}

/// What is known about a connection. Of two values, the first is the client's, or the sender's.
#[derive(Default)]
struct Connection {
    client: usize,
    /// Whether there are records of each side.
    is_recorded: [bool; 2],
    /// The entries of the messages that each side has sent, by who has recorded them.
    messages: [[Vec<usize>; 2]; 2],
    /// How often each side has recorded that it was opened, and closed.
    opened: [usize; 2],
    closed: [usize; 2],
}

/// Merges the records of one or more files, each in its own order.
pub(super) fn merge(files: Vec<Vec<Record>>) -> Diagram {
    let mut story = Story {
        entries: Vec::new(),
        names: HashMap::from([(SERVER, "server".into())]),
        numbers: HashMap::new(),
        connections: Vec::new(),
        files: files.len(),
    };
    for (client, records) in iter::zip(1.., &files) {
        let connected = records.iter().filter(|r| r.event == Kind::Connected);
        for local in connected.filter_map(|record| record.local.as_ref()) {
            let connection = story.connection(local, None);
            story.connections[connection].client = client;
        }
    }
    for (client, records) in iter::zip(1.., files) {
        story.add_file(client, records);
    }
    story.pair_messages();
    story.entries.sort_by_key(|entry| entry.rank);
    story.arrange()
}

impl Story {
    /// Adds the records of a file. `client` stands for its writer where that is no server.
    fn add_file(&mut self, client: usize, records: Vec<Record>) {
        let mut events = records.iter().map(|record| record.event);
        let role = events.find(|event| matches!(event, Kind::Listening | Kind::Connected));
        // Both ends may write to the same file, so the writer can change with every record.
        let mut writer = match role {
            Some(Kind::Listening) => SERVER,
            _ => client,
        };
        // By the peer. Those that make a connection have none yet.
        let mut calls: HashMap<_, Calls> = HashMap::new();
        for (place, record) in records.into_iter().enumerate() {
            let rank = (record.time, 2 * place + 1);
            let is_call = record.event == Kind::Call;
            let is_connected = record.event == Kind::Connected;
            if record.event == Kind::Listening {
                writer = SERVER;
            }
            let known = record.peer.as_ref().and_then(|peer| {
                let of_peer = calls.entry(Some(peer.clone())).or_default();
                if is_connected {
                    of_peer.at_client = record.local.clone().or_else(|| Some(peer.clone()));
                }
                of_peer.at_client.clone()
            });
            // A call may be recorded before its connection, whose client is then unknown.
            let at_client = known.or_else(|| record.peer.clone().filter(|_| !is_call));
            if !is_call && at_client.is_some() {
                let is_server = record.peer == at_client;
                writer = if is_server { SERVER } else { client };
            }
            let connection = at_client.map(|address| self.connection(&address, record.client));
            let peer = connection.map(|number| self.join(number, writer, &record));
            self.names.entry(writer).or_insert("client".into());
            let key = record.peer.clone().filter(|_| !is_connected);
            let calls = calls.entry(key).or_default();
            let (caused, count) = match peer {
                _ if is_call => (Some(calls.add(&record, rank)), 0),
                Some(_) => calls.take(&record, writer == SERVER),
                None => (None, 0),
            };
            let bytes = record.bytes.unwrap_or_default();
            self.entries.push(Entry {
                rank: caused.unwrap_or(rank),
                record,
                writer,
                peer,
                connection,
                peer_writes: false,
                is_matched: false,
                is_repeated: false,
                wire: if count > 0 { count } else { bytes },
            });
        }
    }

    /// Returns the number of the connection of the client at `address`, which the server has given
    /// `number`.
    fn connection(&mut self, address: &Address, number: Option<u32>) -> usize {
        let number = number.filter(|_| matches!(address, Address::Unix(_)));
        let connection = self.numbers.entry((address.clone(), number));
        *connection.or_insert_with(|| {
            self.connections.push(Connection {
                client: 1 + self.files + self.connections.len(),
                ..Connection::default()
            });
            self.connections.len() - 1
        })
    }

    /// Adds the next entry, the `record` of `writer`, to `connection`. Returns the other participant,
    /// and names a client by its number if it has no name yet.
    fn join(&mut self, connection: usize, writer: usize, record: &Record) -> usize {
        let connection = &mut self.connections[connection];
        let (entry, side) = (self.entries.len(), side(writer));
        connection.is_recorded[side] = true;
        match record.event {
            Kind::Sent => connection.messages[side][0].push(entry),
            Kind::Received => connection.messages[1 - side][1].push(entry),
            _ => {}
        }
        if writer != SERVER {
            return SERVER;
        }
        let number = record.client;
        let name = || number.map_or("client".into(), |number| format!("client #{number}"));
        self.names.entry(connection.client).or_insert_with(name);
        connection.client
    }

    /// Matches the sent with the received messages of each connection that has a transcript
    /// of both peers.
    fn pair_messages(&mut self) {
        let connections = self.connections.iter().filter(|c| c.has_both());
        for [sent, received] in connections.flat_map(|connection| &connection.messages) {
            let message = |index: &usize| message(&self.entries[*index].record);
            let pairs = pairs(
                &sent.iter().map(message).collect::<Vec<_>>(),
                &received.iter().map(message).collect::<Vec<_>>(),
            );
            for (departure, arrival) in pairs {
                let (departure, arrival) = (sent[departure], received[arrival]);
                // Both are what one of them has counted, if only one has.
                let wire = self.entries[departure].wire.max(self.entries[arrival].wire);
                for index in [departure, arrival] {
                    self.entries[index].is_matched = true;
                    self.entries[index].wire = wire;
                }
                let arrived = self.entries[arrival].rank;
                let departed = &mut self.entries[departure].rank;
                *departed = arrived.min(*departed);
            }
        }
    }

    /// Numbers the participants by their places, and finds out what the others have recorded.
    fn arrange(mut self) -> Diagram {
        let mut participants = Vec::new();
        let mut places = vec![None; 1 + self.files + self.connections.len()];
        let concerned = |entry: &Entry| entry.peer.into_iter().chain([entry.writer]);
        let clients = self.entries.iter().flat_map(concerned);
        for participant in clients.filter(|p| *p != SERVER).chain([SERVER]) {
            places[participant].get_or_insert_with(|| {
                participants.push(self.names[&participant].clone());
                participants.len() - 1
            });
        }
        for entry in &mut self.entries {
            if let Some(number) = entry.connection {
                let connection = &mut self.connections[number];
                entry.peer_writes = connection.has_both();
                // A client may use the same address again.
                let counts = match entry.record.event {
                    Kind::Connected => &mut connection.opened,
                    Kind::Left | Kind::Lost | Kind::Closed | Kind::Error => &mut connection.closed,
                    _ => &mut [0; 2],
                };
                let writer = side(entry.writer);
                counts[writer] += 1;
                entry.is_repeated = counts[1 - writer] >= counts[writer];
            }
            entry.writer = places[entry.writer].unwrap_or(entry.writer);
            entry.peer = entry.peer.and_then(|peer| places[peer]);
        }
        let entries = self.entries;
        Diagram {
            participants,
            entries,
        }
    }
}

impl Connection {
    /// Returns whether both sides have recorded it.
    fn has_both(&self) -> bool {
        self.is_recorded == [true; 2]
    }
}

impl Entry {
    /// Returns whether the participant, one of the two, has recorded the connection.
    pub(super) fn has_writer(&self, participant: usize) -> bool {
        participant == self.writer || self.peer_writes
    }

    /// Returns the step that shows the entry, or `None` if it is not shown.
    pub(super) fn step(&self) -> Option<Step> {
        let (record, at) = (&self.record, self.writer);
        let (from, to, sort, text) = match (record.event, self.peer) {
            // It is drawn where the other participant has recorded it.
            _ if self.is_repeated => return None,
            (Kind::Received, _) if self.is_matched => return None,
            // The client connects, whoever records it. The server is last.
            (Kind::Connected, Some(peer)) => {
                (at.min(peer), at.max(peer), Sort::Connect, String::new())
            }
            (Kind::Sent, Some(peer)) => (at, peer, Sort::Message, self.message()),
            (Kind::Received, Some(peer)) => (peer, at, Sort::Message, self.message()),
            (Kind::Left, Some(peer)) => (peer, at, Sort::Close, String::new()),
            (Kind::Closed, Some(peer)) => (at, peer, Sort::Close, String::new()),
            (Kind::Call, _) => (at, at, Sort::Note, record.call().join(" -> ")),
            (Kind::Listening, _) => {
                let local = record.local.as_ref()?;
                let text = say!("listens on {local}", "hört auf {local} zu");
                (at, at, Sort::Note, text)
            }
            _ => (at, at, Sort::Note, record.text.clone()?),
        };
        let detail = match sort {
            Sort::Connect => words!("connects", "verbindet sich").into(),
            Sort::Message if record.length() == 1 => words!("1 byte", "1 Byte").into(),
            Sort::Message => say!("{} bytes", "{} Bytes", record.length()),
            Sort::Close => words!("closes", "schliesst").into(),
            Sort::Note => String::new(),
        };
        Some(Step {
            from,
            to,
            sort,
            text,
            detail,
        })
    }

    fn message(&self) -> String {
        let prefix = match self.record.event {
            Kind::Sent if self.peer_writes && !self.is_matched => words!(
                "sent, but not so received: ",
                "gesendet, aber nicht so empfangen: "
            ),
            _ if self.peer_writes && !self.is_matched => words!(
                "received, but not so sent: ",
                "empfangen, aber nicht so gesendet: "
            ),
            _ if self.record.late => words!("late: ", "verspätet: "),
            _ => "",
        };
        let more = if self.record.cut { " ..." } else { "" };
        format!("{prefix}{}{more}", self.record.text())
    }
}

/// Returns the text and the length in bytes of the message in `record`, as a framing of lines
/// transmits it: without a line end of its own, and with spaces for newlines. They are the same for
/// the sender's and the receiver's record of a message.
fn message(record: &Record) -> (String, u64) {
    let text = record.text();
    let line = text.trim_end_matches(['\r', '\n']);
    let line_end = (text.len() - line.len()) as u64;
    (
        line.replace('\n', " "),
        record.length().saturating_sub(line_end),
    )
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
        let places = places.get_mut(element);
        let place = places
            .and_then(|places| iter::from_fn(|| places.pop_front()).find(|place| *place >= next));
        if let Some(place) = place {
            pairs.push((index, place));
            next = place + 1;
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
