//! What a picture of a conversation shows: the programs and the kernels of both ends, what goes from
//! one to the other, what waits in a kernel, and the calls in which a program stands. No drawing.

use std::collections::HashMap;
use std::mem;
use std::time::{Duration, SystemTime};

use super::story::Entry;
use crate::endpoint::Address;
use crate::sanitize::Untrusted;
use crate::transcript::{Kind, Record};
use crate::{say, words};

/// The maximum number of columns of a text, and of bytes in hexadecimal, on an arrow.
const TEXT: usize = 26;
const HEX: usize = 8;

/// The maximum number of columns of a call, and of its result.
const CALL: usize = 60;

/// The maximum number of clients with lanes of their own. If there are more, the last of these lanes
/// stand for all the others.
const CLIENTS: usize = 3;

/// How long a call must last to count as one that a program stands in.
const STANDS: Duration = Duration::from_millis(1);

/// A picture.
#[derive(Debug, Default)]
pub(super) struct Scene {
    /// The names of programs and kernels. From left to right: each client with its kernel, and then
    /// the server's kernel and the server.
    pub(super) lanes: Vec<String>,
    /// From top to bottom.
    pub(super) moments: Vec<Moment>,
    pub(super) bars: Vec<Bar>,
}

/// A call or its return between a program and its kernel, a packet from one kernel to another, or a
/// note beside a program.
#[derive(Debug)]
pub(super) struct Moment {
    time: SystemTime,
    /// The lanes that it goes from and to, which are the same for a note.
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) label: String,
    /// The first bytes of a message, in hexadecimal.
    pub(super) hex: String,
    /// Whether a transcript tells of it.
    pub(super) is_observed: bool,
    /// What a kernel holds then, if that has changed.
    pub(super) gauge: Option<Gauge>,
}

/// What a kernel holds.
#[derive(Debug)]
pub(super) struct Gauge {
    pub(super) lane: usize,
    pub(super) text: String,
    /// Whether it is what a program may not expect.
    pub(super) is_warning: bool,
}

/// A call that a program stands in, from one moment to another.
#[derive(Debug)]
pub(super) struct Bar {
    pub(super) lane: usize,
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) call: String,
    pub(super) is_observed: bool,
}

impl Scene {
    /// Draws up the scene of these participants, the last of which is the server.
    pub(super) fn new(names: &[String], entries: &[Entry]) -> Self {
        let mut builder = Builder::new(names);
        let calls = entries.iter().filter(|e| e.record.event == Kind::Call);
        for call in calls {
            builder.explained[call.writer] = true;
        }
        for entry in entries {
            builder.add(entry);
        }
        let mut scene = builder.scene;
        for (mut bar, ended) in builder.begun {
            let after = scene.moments.partition_point(|moment| moment.time <= ended);
            bar.last = after.saturating_sub(1).max(bar.first);
            scene.bars.push(bar);
        }
        scene
    }

    /// Returns what happens in the moment, as a sentence.
    pub(super) fn caption(&self, moment: &Moment) -> String {
        let mut caption = self.lanes[moment.from].clone();
        if moment.from != moment.to {
            caption += &format!(" \u{2192} {}", self.lanes[moment.to]);
        }
        caption += &format!(": {}", moment.label);
        if let Some(gauge) = &moment.gauge {
            caption += &format!("; {}: {}", self.lanes[gauge.lane], gauge.text);
        }
        if !moment.is_observed {
            caption += words!(" (inferred)", " (erschlossen)");
        }
        caption
    }
}

/// Draws up a scene, one record after another.
#[derive(Default)]
struct Builder {
    scene: Scene,
    /// The bars that have no end yet, and when they end.
    begun: Vec<(Bar, SystemTime)>,
    /// The names of the participants by their places, and the place of the server.
    names: Vec<String>,
    server: usize,
    /// Which participants have recorded their calls.
    explained: Vec<bool>,
    /// The moments after which a participant has made no call that is known.
    idle: Vec<Option<usize>>,
    /// What goes from one participant to another.
    ways: HashMap<(usize, usize), Way>,
    /// The connections that wait to be accepted, and how many may.
    backlog: u64,
    capacity: Option<u64>,
}

/// What is known about a direction.
#[derive(Default)]
struct Way {
    /// The bytes in the receive buffer.
    unread: u64,
    /// The bytes of a message that are yet to be read.
    missing: u64,
    is_closed: bool,
}

impl Builder {
    /// Creates a scene without moments of these participants, the last of which is the server.
    fn new(names: &[String]) -> Self {
        let mut builder = Self {
            names: names.iter().map(|name| short(name, TEXT)).collect(),
            server: names.len() - 1,
            explained: vec![false; names.len()],
            idle: vec![None; names.len()],
            ..Self::default()
        };
        let clients = 0..builder.server.min(CLIENTS);
        for place in clients.chain([builder.server]) {
            let name = &builder.names[place];
            let mut lanes = [name.clone(), say!("{name}'s kernel", "{name}-Kernel")];
            if builder.is_shared(place) {
                lanes[0] = words!("other clients", "andere Clients").into();
                lanes[1] = words!("their kernels", "ihre Kernel").into();
            } else if place == builder.server {
                lanes.reverse();
            }
            builder.scene.lanes.extend(lanes);
        }
        builder
    }

    /// Returns whether the lanes of the participant at `place` stand for several clients.
    fn is_shared(&self, place: usize) -> bool {
        self.server > CLIENTS && place != self.server && place + 1 >= CLIENTS
    }

    fn program(&self, place: usize) -> usize {
        if place == self.server {
            self.scene.lanes.len() - 1
        } else {
            2 * place.min(CLIENTS - 1)
        }
    }

    fn kernel(&self, place: usize) -> usize {
        // Each stands beside its program, in a pair.
        self.program(place) ^ 1
    }

    fn explains(&self, place: usize) -> bool {
        self.explained[place]
    }

    fn way(&mut self, from: usize, to: usize) -> &mut Way {
        self.ways.entry((from, to)).or_default()
    }

    /// Adds what `entry` tells, and what follows from it.
    fn add(&mut self, entry: &Entry) {
        let (record, writer) = (&entry.record, entry.writer);
        match (record.event, entry.peer) {
            (Kind::Call, _) => self.add_call(entry),
            (Kind::Listening, _) => {
                self.calls(entry, writer, "listen()");
                self.show_backlog();
            }
            (Kind::Connected, Some(peer)) => self.connect(entry, peer),
            (Kind::Sent, Some(peer)) => self.send(entry, writer, peer),
            (Kind::Received, Some(peer)) => {
                if !entry.has_writer(peer) {
                    self.send(entry, peer, writer);
                }
                if self.explains(writer) {
                    // Its calls follow.
                    self.way(peer, writer).missing = entry.wire;
                } else {
                    self.receive(entry, peer, writer);
                }
            }
            (Kind::Closed, Some(peer)) => self.end(entry, writer, peer),
            (Kind::Left | Kind::Lost, Some(peer)) => {
                self.end(entry, peer, writer);
                if !self.explains(writer) {
                    self.returns(entry, writer, read_end(record));
                }
            }
            _ => {
                let program = self.program(writer);
                self.push(entry, (program, program), true, &short(record.text(), TEXT));
            }
        }
    }

    /// Adds a moment, and returns its index. Where there are several clients, the label says which is
    /// concerned.
    fn push(&mut self, entry: &Entry, way: (usize, usize), is_observed: bool, text: &str) -> usize {
        let client = entry.writer.min(entry.peer.unwrap_or(entry.writer));
        let mut label = text.to_owned();
        if self.server > 1 && client != self.server {
            label += &format!(" ({})", self.names[client]);
        }
        self.scene.moments.push(Moment {
            time: entry.rank.0,
            from: way.0,
            to: way.1,
            label,
            hex: String::new(),
            is_observed,
            gauge: None,
        });
        self.scene.moments.len() - 1
    }

    /// Adds a call of the participant at `place`.
    fn calls(&mut self, entry: &Entry, place: usize, call: &str) {
        let way = (self.program(place), self.kernel(place));
        let moment = self.push(entry, way, entry.has_writer(place), call);
        self.idle[place] = Some(moment);
    }

    /// Adds the return of a call of the participant at `place`. The program stood in it since its last
    /// one, as far as is known.
    fn returns(&mut self, entry: &Entry, place: usize, call: &str) {
        let way = (self.kernel(place), self.program(place));
        let last = self.push(entry, way, entry.has_writer(place), call);
        if let Some(first) = self.idle[place].replace(last)
            && !self.explains(place)
            && !self.is_shared(place)
        {
            let name = call.split(['(', ' ']).next().unwrap_or_default();
            self.scene.bars.push(Bar {
                lane: way.1,
                first,
                last,
                call: format!("{name}()"),
                is_observed: false,
            });
        }
    }

    /// Adds a packet from one participant's kernel to another's, which nobody observes. Returns the
    /// index of its moment.
    fn packet(&mut self, entry: &Entry, from: usize, to: usize, label: &str) -> usize {
        self.push(entry, (self.kernel(from), self.kernel(to)), false, label)
    }

    /// Shows with the last moment what the kernel of the participant at `place` holds.
    fn gauge(&mut self, place: usize, text: String, is_warning: bool) {
        let lane = self.kernel(place);
        if let Some(moment) = self.scene.moments.last_mut() {
            moment.gauge = Some(Gauge {
                lane,
                text,
                is_warning,
            });
        }
    }

    fn show_backlog(&mut self) {
        let capacity = self.capacity.map_or("?".into(), |most| most.to_string());
        let text = format!("backlog {} / {capacity}", self.backlog);
        self.gauge(self.server, text, false);
    }

    /// Shows how many bytes from `from` the kernel of `to` holds. If the program of `to` has just
    /// `read` all of a message, the others are what it takes for the next one.
    fn show_buffer(&mut self, from: usize, to: usize, read: bool) {
        let count = self.way(from, to).unread;
        let is_left = read && count > 0;
        let text = if is_left {
            say!(
                "{count} B not read: become the next message",
                "{count} B ungelesen: die nächste Nachricht"
            )
        } else {
            say!("buffer {count} B", "Puffer {count} B")
        };
        self.gauge(to, text, is_left);
    }

    /// Adds a call that was recorded itself.
    fn add_call(&mut self, entry: &Entry) {
        let (record, writer) = (&entry.record, entry.writer);
        let count = record.count();
        let [call, result] = record.call();
        let result = count.map_or_else(|| short(result, CALL), |count| count.to_string());
        let label = format!("{} \u{2192} {result}", short(call, CALL));
        match (record.call_name(), entry.peer) {
            ("listen", _) => {
                let digits = call.chars().filter(char::is_ascii_digit);
                let backlog = digits.collect::<String>().parse::<u64>();
                // Linux lets one more wait than was asked for.
                self.capacity = backlog.ok().map(|backlog| backlog.saturating_add(1));
                return;
            }
            ("shutdown", Some(peer)) => {
                self.calls(entry, writer, &label);
                self.end(entry, writer, peer);
                return;
            }
            ("accept", _) => self.accept(entry, writer, &label),
            ("recv", Some(peer)) => {
                if count == Some(0) {
                    self.end(entry, peer, writer);
                }
                self.returns(entry, writer, &label);
                if let Some(count @ 1..) = count {
                    let way = self.way(peer, writer);
                    way.unread = way.unread.saturating_sub(count);
                    way.missing = way.missing.saturating_sub(count);
                    let is_whole = way.missing == 0;
                    self.show_buffer(peer, writer, is_whole);
                }
            }
            ("connect" | "send", _) => self.calls(entry, writer, &label),
            _ => return,
        }
        self.stand(entry);
    }

    /// Adds a bar for the call of `entry`, of which the last moment tells, if the program stood in it.
    fn stand(&mut self, entry: &Entry) {
        let began = entry.record.time;
        let ended = entry.record.ended.unwrap_or(began);
        let lasted = ended.duration_since(began).unwrap_or_default();
        if lasted < STANDS || self.is_shared(entry.writer) {
            return;
        }
        let name = entry.record.call_name();
        let last = self.scene.moments.len() - 1;
        let mut bar = Bar {
            lane: self.program(entry.writer),
            first: last,
            last,
            call: format!("{name}()"),
            is_observed: true,
        };
        if matches!(name, "accept" | "recv") {
            // The moment is the one at which the call returned.
            let before = self.scene.moments[..last].partition_point(|moment| moment.time < began);
            bar.first = before.saturating_sub(1);
            self.scene.bars.push(bar);
        } else {
            self.begun.push((bar, ended));
        }
    }

    fn connect(&mut self, entry: &Entry, peer: usize) {
        let (client, server) = (entry.writer.min(peer), self.server);
        if !entry.is_repeated {
            if !self.explains(client) {
                self.calls(entry, client, "connect()");
            }
            *self.way(client, server) = Way::default();
            *self.way(server, client) = Way::default();
            if !is_local(&entry.record) {
                self.packet(entry, client, server, "SYN");
                self.packet(entry, server, client, "SYN-ACK");
                self.packet(entry, client, server, "ACK");
            }
            self.backlog += 1;
            self.show_backlog();
        }
        if !entry.has_writer(server) || (entry.writer == server && !self.explains(server)) {
            self.accept(entry, server, "accept()");
        }
    }

    /// Adds that the participant at `place` accepts a connection.
    fn accept(&mut self, entry: &Entry, place: usize, call: &str) {
        self.returns(entry, place, call);
        self.backlog = self.backlog.saturating_sub(1);
        self.show_backlog();
    }

    /// Adds that a message went `from` one participant `to` another, who receives it by a record of its
    /// own, or else at once.
    fn send(&mut self, entry: &Entry, from: usize, to: usize) {
        let text = entry.record.text();
        if entry.writer != from || !self.explains(from) {
            self.calls(entry, from, "send()");
        }
        let label = format!("\"{}\" ({} B)", short(text, TEXT), entry.wire);
        let packet = self.packet(entry, from, to, &label);
        let hex = text.bytes().take(HEX).map(|byte| format!("{byte:02x}"));
        let more = (text.len() > HEX).then(|| "\u{2026}".into());
        self.scene.moments[packet].hex = hex.chain(more).collect::<Vec<_>>().join(" ");
        let way = self.way(from, to);
        way.unread = way.unread.saturating_add(entry.wire);
        self.show_buffer(from, to, false);
        if !entry.has_writer(to) {
            self.receive(entry, from, to);
        }
    }

    /// Adds that the participant at `to` has read a message of the one at `from`.
    fn receive(&mut self, entry: &Entry, from: usize, to: usize) {
        let label = format!("recv() \u{2192} {} B", entry.wire);
        self.returns(entry, to, &label);
        let way = self.way(from, to);
        way.unread = way.unread.saturating_sub(entry.wire);
        self.show_buffer(from, to, true);
    }

    /// Adds that the participant at `from` closes its side, unless that was added, and that the other
    /// reads the end, unless it records that.
    fn end(&mut self, entry: &Entry, from: usize, to: usize) {
        if mem::replace(&mut self.way(from, to).is_closed, true) {
            return;
        }
        let record = &entry.record;
        if !self.explains(from) {
            self.calls(entry, from, "close()");
        }
        let label = match record.event {
            _ if is_local(record) => words!("end", "Ende"),
            Kind::Lost => "RST",
            _ => "FIN",
        };
        self.packet(entry, from, to, label);
        if !entry.has_writer(to) {
            self.returns(entry, to, read_end(record));
        }
    }
}

/// Returns whether `record` is about a Unix socket, to which no packets go.
fn is_local(record: &Record) -> bool {
    matches!(record.peer, Some(Address::Unix(_)))
}

/// Returns the call with which a program learns that the other side has ended.
fn read_end(record: &Record) -> &'static str {
    if record.event == Kind::Lost {
        words!("recv() \u{2192} error", "recv() \u{2192} Fehler")
    } else {
        "recv() \u{2192} 0 B"
    }
}

/// Returns the first `columns` of `text`, safe to show.
fn short(text: &str, columns: usize) -> String {
    Untrusted(text.as_bytes()).visible_line(columns)
}
