//! Merges transcripts into one chronological story.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::iter;
use std::mem;
use std::time::SystemTime;

use super::{Sort, Step};
use crate::endpoint::Address;
use crate::transcript::{Kind, Record};

/// A record and whom it concerns.
#[derive(Debug)]
pub(super) struct Entry {
    /// Where the event stands among the others.
    pub(super) rank: Rank,
    pub(super) record: Record,
    /// The participant that has written the record.
    pub(super) writer: usize,
    /// The other participant. `None` if the record concerns the writer only.
    pub(super) peer: Option<usize>,
    /// The number of the connection between them.
    connection: Option<usize>,
    /// Whether the other participant has recorded the connection too.
    pub(super) peer_writes: bool,
    /// Whether the transcript of the other participant should have the message, and does not.
    is_unmatched: bool,
    /// Whether the other participant has recorded the same, which is drawn.
    pub(super) is_repeated: bool,
    /// The number of bytes of a message on the wire, as far as that is known.
    pub(super) wire: u64,
}

/// The order of what happened: by time, and of two records of a file at the same time by their
/// places in it. What made a call return stands before the call.
type Rank = (SystemTime, usize);

/// The calls of a file that concern a peer, and are followed by the records of what they did.
#[derive(Default)]
struct Calls {
    /// When the last `send` or `connect` began.
    begun: Option<Rank>,
    /// What stands just before the last `accept`, or the first `recv` since the last message.
    returned: Option<Rank>,
    /// The numbers of bytes that were sent and received since the last message in that direction.
    sent: u64,
    received: u64,
}

impl Calls {
    /// Adds the call in `record`, which stands at this place in its file. Returns its rank: that of a
    /// call that waits for the other side is the time at which it returned.
    fn add(&mut self, record: &Record, place: usize) -> Rank {
        let count = record.count().unwrap_or_default();
        let name = record.call_name();
        match name {
            "recv" => self.received = self.received.saturating_add(count),
            "send" => self.sent = self.sent.saturating_add(count),
            _ => {}
        }
        let began = (record.time, 2 * place + 1);
        match name {
            "recv" | "accept" => {
                let returned = record.ended.unwrap_or(record.time);
                // Several calls may receive a message.
                self.returned.get_or_insert((returned, 2 * place));
                return (returned, 2 * place + 1);
            }
            "send" | "connect" => self.begun = Some(began),
            _ => {}
        }
        began
    }

    /// Takes what the calls tell of the event in `record`: its rank, and the number of bytes of a
    /// message on the wire, which is more than its text where its end is marked. Both are `None` or 0 if
    /// they tell nothing. `is_server` tells whether a server has recorded it.
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

/// The server's number among the participants.
const SERVER: usize = 0;

/// Returns 0 for a client and 1 for the server.
fn side(participant: usize) -> usize {
    usize::from(participant == SERVER)
}

/// The records of all transcripts of a conversation.
struct Story {
    entries: Vec<Entry>,
    /// The names of the participants: the server, the clients that have written the files, and those
    /// without a file. Empty if nothing is known of one.
    names: Vec<String>,
    /// The numbers of the connections, by the client's address, and by the client's number if it
    /// has no address of its own.
    numbers: HashMap<(Address, Option<u32>), usize>,
    /// By their numbers.
    connections: Vec<Connection>,
}

/// What is known about a connection.
#[derive(Default)]
struct Connection {
    client: Option<usize>,
    /// Whether there are records of the client, and of the server.
    is_recorded: [bool; 2],
}

/// Merges the records of one or more files, each in its own order. Returns the names of the
/// participants, the clients in the order of their first entries and the server last, and all entries
/// in chronological order.
pub(super) fn merge(files: Vec<Vec<Record>>) -> (Vec<String>, Vec<Entry>) {
    let mut story = Story {
        entries: Vec::new(),
        names: vec![String::new(); files.len() + 1],
        numbers: HashMap::new(),
        connections: Vec::new(),
    };
    story.names[SERVER] = "server".into();
    let files: Vec<_> = iter::zip(1.., files).collect();
    for (client, records) in &files {
        let connected = records.iter().filter(|r| r.event == Kind::Connected);
        for local in connected.filter_map(|record| record.local.as_ref()) {
            let connection = story.connection(local, None);
            story.connections[connection].client = Some(*client);
        }
    }
    for (client, records) in files {
        story.add_file(client, records);
    }
    story.pair_messages();
    story.entries.sort_by_key(|entry| entry.rank);
    story.find_repetitions();
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
        // The address of the client at either end of a connection, by the peer's address.
        let mut at_clients = HashMap::new();
        // Those that made a connection have no peer yet.
        let mut calls: HashMap<_, Calls> = HashMap::new();
        for (place, record) in records.into_iter().enumerate() {
            let is_call = record.event == Kind::Call;
            let is_connected = record.event == Kind::Connected;
            let at_client = record.peer.as_ref().and_then(|peer| {
                if is_connected {
                    let at_client = record.local.as_ref().unwrap_or(peer);
                    at_clients.insert(peer.clone(), at_client.clone());
                }
                // A call may be recorded before its connection, whose client is then unknown.
                let known = at_clients.get(peer).cloned();
                known.or_else(|| (!is_call).then(|| peer.clone()))
            });
            if record.event == Kind::Listening {
                writer = SERVER;
            }
            let (mut peer, mut connection) = (None, None);
            if let Some(at_client) = at_client {
                if !is_call {
                    let is_server = record.peer.as_ref() == Some(&at_client);
                    writer = if is_server { SERVER } else { client };
                }
                let number = self.connection(&at_client, record.client);
                connection = Some(number);
                peer = Some(if writer == SERVER {
                    self.client(number, record.client)
                } else {
                    SERVER
                });
                self.connections[number].is_recorded[side(writer)] = true;
            }
            if self.names[writer].is_empty() {
                self.names[writer] = "client".into();
            }
            let calls = calls.entry(record.peer.clone().filter(|_| !is_connected));
            let calls = calls.or_default();
            let (rank, count) = match &record.peer {
                _ if is_call => (Some(calls.add(&record, place)), 0),
                Some(_) => calls.take(&record, writer == SERVER),
                None => (None, 0),
            };
            let bytes = record.bytes.unwrap_or_default();
            self.entries.push(Entry {
                rank: rank.unwrap_or((record.time, 2 * place + 1)),
                record,
                writer,
                peer,
                connection,
                peer_writes: false,
                is_unmatched: false,
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
            self.connections.push(Connection::default());
            self.connections.len() - 1
        })
    }

    /// Returns the client of `connection`, and names it by its number if it has no name yet.
    fn client(&mut self, connection: usize, number: Option<u32>) -> usize {
        let client = *self.connections[connection].client.get_or_insert_with(|| {
            self.names.push(String::new());
            self.names.len() - 1
        });
        if self.names[client].is_empty() {
            let named = number.map(|number| format!("client #{number}"));
            self.names[client] = named.unwrap_or("client".into());
        }
        client
    }

    /// Matches the sent with the received messages of each connection that has a transcript
    /// of both peers.
    fn pair_messages(&mut self) {
        // What was sent and what was received, by the connection and the sender's side.
        let mut directions: HashMap<_, [Vec<usize>; 2]> = HashMap::new();
        for (index, entry) in self.entries.iter_mut().enumerate() {
            let Some(connection) = entry.connection else {
                continue;
            };
            entry.peer_writes = self.connections[connection].is_recorded == [true; 2];
            let (sender, list) = match entry.record.event {
                Kind::Sent => (side(entry.writer), 0),
                Kind::Received => (1 - side(entry.writer), 1),
                _ => continue,
            };
            if entry.peer_writes {
                entry.is_unmatched = true;
                directions.entry((connection, sender)).or_default()[list].push(index);
            }
        }
        for [sent, received] in directions.into_values() {
            let message = |index: &usize| message(&self.entries[*index].record);
            let pairs = pairs(
                &sent.iter().map(message).collect::<Vec<_>>(),
                &received.iter().map(message).collect::<Vec<_>>(),
            );
            for (sent_index, received_index) in pairs {
                let Ok([departure, arrival]) = self
                    .entries
                    .get_disjoint_mut([sent[sent_index], received[received_index]])
                else {
                    continue;
                };
                departure.is_unmatched = false;
                departure.rank = departure.rank.min(arrival.rank);
                // Both are what one of them has counted, if only one has.
                departure.wire = departure.wire.max(arrival.wire);
                arrival.wire = departure.wire;
                arrival.is_repeated = true;
            }
        }
    }

    /// Finds the records of an opened or closed connection that the other participant has recorded
    /// before.
    fn find_repetitions(&mut self) {
        // A client may use the same address again, so this counts how often each has recorded each.
        let mut recorded: HashMap<_, [usize; 2]> = HashMap::new();
        for entry in &mut self.entries {
            let is_close = match entry.record.event {
                Kind::Connected => false,
                Kind::Left | Kind::Lost | Kind::Closed | Kind::Error => true,
                _ => continue,
            };
            if let Some(connection) = entry.connection {
                let counts = recorded.entry((connection, is_close)).or_default();
                let writer = side(entry.writer);
                counts[writer] += 1;
                entry.is_repeated = counts[1 - writer] >= counts[writer];
            }
        }
    }

    /// Numbers the participants by their places. Returns their names, and the entries.
    fn arrange(mut self) -> (Vec<String>, Vec<Entry>) {
        let mut names = Vec::new();
        let mut places = HashMap::new();
        let concerned = |entry: &Entry| entry.peer.into_iter().chain([entry.writer]);
        let clients = self.entries.iter().flat_map(concerned);
        for participant in clients.filter(|p| *p != SERVER).chain([SERVER]) {
            places.entry(participant).or_insert_with(|| {
                names.push(mem::take(&mut self.names[participant]));
                names.len() - 1
            });
        }
        for entry in &mut self.entries {
            entry.writer = places[&entry.writer];
            entry.peer = entry.peer.map(|peer| places[&peer]);
        }
        (names, self.entries)
    }
}

impl Entry {
    /// Returns the step that shows the entry, or `None` if it is not shown.
    pub(super) fn step(&self) -> Option<Step> {
        let (record, at) = (&self.record, self.writer);
        let (from, to, sort) = match (record.event, self.peer) {
            _ if self.is_repeated => return None,
            // The client connects, whoever records it. The server is last.
            (Kind::Connected, Some(peer)) => (at.min(peer), at.max(peer), Sort::Connect),
            (Kind::Sent, Some(peer)) => (at, peer, Sort::Message),
            (Kind::Received, Some(peer)) => (peer, at, Sort::Message),
            (Kind::Left, Some(peer)) => (peer, at, Sort::Close),
            (Kind::Closed, Some(peer)) => (at, peer, Sort::Close),
            _ => (at, at, Sort::Note),
        };
        let (text, detail) = match sort {
            Sort::Connect => (String::new(), "connects".into()),
            Sort::Message => {
                let bytes = record.bytes.unwrap_or(record.text().len() as u64);
                let plural = if bytes == 1 { "" } else { "s" };
                (self.message(), format!("{bytes} byte{plural}"))
            }
            Sort::Close => (String::new(), "closes".into()),
            Sort::Note => (self.note()?, String::new()),
        };
        Some(Step {
            from,
            to,
            sort,
            text,
            detail,
        })
    }

    fn note(&self) -> Option<String> {
        let record = &self.record;
        match record.event {
            Kind::Call => Some(record.call().join(" -> ")),
            Kind::Listening => Some(format!("listens on {}", record.local.as_ref()?)),
            _ => record.text.clone(),
        }
    }

    fn message(&self) -> String {
        let record = &self.record;
        let prefix = match record.event {
            Kind::Sent if self.is_unmatched => "sent, but not so received: ",
            _ if self.is_unmatched => "received, but not so sent: ",
            _ if record.late => "late: ",
            _ => "",
        };
        let suffix = if record.cut { " ..." } else { "" };
        format!("{prefix}{}{suffix}", record.text())
    }
}

/// Returns the text and the length in bytes of the message in `record`, as a framing of lines
/// transmits it: without a line end of its own, and with spaces for newlines. They are the same for
/// the sender's and the receiver's record of a message.
fn message(record: &Record) -> (String, u64) {
    let text = record.text();
    let line = text.trim_end_matches(['\r', '\n']);
    let line_end = (text.len() - line.len()) as u64;
    let bytes = record.bytes.unwrap_or(text.len() as u64);
    (line.replace('\n', " "), bytes.saturating_sub(line_end))
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
