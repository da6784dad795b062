//! What a picture of a conversation shows: the programs and the kernels of both ends, what goes from
//! one to the other, what waits in a kernel, and the calls in which a program stands. No drawing.

use std::collections::HashMap;
use std::mem;
use std::time::SystemTime;

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

/// How many milliseconds a call must last to count as one that a program stands in.
const STANDS: u128 = 1;

/// A picture.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scene {
    /// From left to right: each client with its kernel, and then the server's kernel and the server.
    pub(super) lanes: Vec<Lane>,
    /// From top to bottom.
    pub(super) moments: Vec<Moment>,
    pub(super) bars: Vec<Bar>,
}

/// A program or a kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Lane {
    pub(super) name: String,
    pub(super) is_kernel: bool,
}

/// Something that happens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moment {
    time: SystemTime,
    pub(super) kind: Sort,
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

/// What kind of thing happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    /// A call of a program to its kernel, or its return.
    Call,
    /// A packet from one kernel to the other.
    Packet,
    /// What a program tells.
    Note,
}

/// What a kernel holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gauge {
    pub(super) lane: usize,
    pub(super) text: String,
    /// Whether it is what a program may not expect.
    pub(super) is_warning: bool,
}

/// A call that a program stands in, from one moment to another.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bar {
    pub(super) lane: usize,
    pub(super) first: usize,
    pub(super) last: usize,
    pub(super) call: String,
    pub(super) is_observed: bool,
}

impl Scene {
    /// Returns what happens in the moment with this index, as a sentence.
    pub(super) fn caption(&self, moment: &Moment) -> String {
        let name = |lane: usize| &self.lanes[lane].name;
        let mut caption = if moment.from == moment.to {
            format!("{}: {}", name(moment.from), moment.label)
        } else {
            let (from, to) = (name(moment.from), name(moment.to));
            format!("{from} \u{2192} {to}: {}", moment.label)
        };
        if let Some(gauge) = &moment.gauge {
            caption += &format!("; {}: {}", name(gauge.lane), gauge.text);
        }
        if !moment.is_observed {
            caption += words!(" (inferred)", " (erschlossen)");
        }
        caption
    }
}

/// A record of a transcript, and what is known about it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Happening<'a> {
    pub(super) time: SystemTime,
    pub(super) record: &'a Record,
    /// The participants by their places, of which the server has the last.
    pub(super) writer: usize,
    pub(super) peer: Option<usize>,
    /// Whether the other participant has recorded that the connection was opened or closed.
    pub(super) is_repeated: bool,
    /// Whether the other participant has recorded the message as sent.
    pub(super) is_hidden: bool,
    /// The number of bytes of a message on the wire.
    pub(super) wire: u64,
    /// Whether the other participant has written a transcript too.
    pub(super) peer_writes: bool,
}

impl Happening<'_> {
    /// Returns the place of the client that is concerned, or that of the server if none is.
    fn client(&self) -> usize {
        self.writer.min(self.peer.unwrap_or(self.writer))
    }

    /// Returns whether it is about a Unix socket, to which no packets go.
    fn is_local(&self) -> bool {
        matches!(self.record.peer, Some(Address::Unix(_)))
    }
}

/// Draws up a scene, one record after another.
#[derive(Debug)]
pub(super) struct Builder {
    scene: Scene,
    /// The bars that have no end yet, and when they end.
    begun: Vec<(Bar, SystemTime)>,
    names: Vec<String>,
    server: usize,
    /// By their places.
    participants: Vec<Participant>,
    /// What goes from one participant to another.
    ways: HashMap<(usize, usize), Way>,
    /// The connections that wait to be accepted, and how many may.
    backlog: u64,
    capacity: Option<u64>,
}

/// What is known about a program.
#[derive(Debug, Clone, Default)]
pub(super) struct Participant {
    /// Whether it has recorded its calls.
    pub(super) is_explained: bool,
    /// The moment after which it has made no call that is known.
    idle: Option<usize>,
}

/// What is known about a direction.
#[derive(Debug, Default)]
struct Way {
    /// The bytes in the receive buffer.
    unread: u64,
    /// The bytes of a message that are yet to be read.
    missing: u64,
    is_closed: bool,
}

impl Builder {
    /// Creates a scene without moments of these participants, the last of which is the server.
    pub(super) fn new(names: &[String], participants: Vec<Participant>) -> Self {
        let server = names.len() - 1;
        let names = names
            .iter()
            .map(|name| Untrusted(name.as_bytes()).visible_line(TEXT));
        let names: Vec<_> = names.collect();
        let mut lanes = Vec::new();
        for (place, name) in names.iter().enumerate() {
            let is_client = place != server;
            if is_client && place >= CLIENTS {
                continue;
            }
            let is_shared = is_client && place + 1 == CLIENTS && server > CLIENTS;
            let (program, kernel) = if is_shared {
                let program = words!("other clients", "andere Clients");
                let kernel = words!("their kernels", "ihre Kernel");
                (program.to_owned(), kernel.to_owned())
            } else {
                (name.clone(), say!("{name}'s kernel", "{name}-Kernel"))
            };
            let program = Lane {
                name: program,
                is_kernel: false,
            };
            let kernel = Lane {
                name: kernel,
                is_kernel: true,
            };
            if is_client {
                lanes.extend([program, kernel]);
            } else {
                lanes.extend([kernel, program]);
            }
        }
        Self {
            scene: Scene {
                lanes,
                ..Scene::default()
            },
            begun: Vec::new(),
            names,
            server,
            participants,
            ways: HashMap::new(),
            backlog: 0,
            capacity: None,
        }
    }

    /// Returns the scene.
    pub(super) fn finish(mut self) -> Scene {
        for (mut bar, ended) in self.begun {
            let moments = &self.scene.moments;
            let after = moments.partition_point(|moment| moment.time <= ended);
            bar.last = after.saturating_sub(1).max(bar.first);
            self.scene.bars.push(bar);
        }
        self.scene
    }

    /// Returns whether the lanes of the participant at `place` stand for several clients.
    fn is_shared(&self, place: usize) -> bool {
        self.server > CLIENTS && place != self.server && place + 1 >= CLIENTS
    }

    /// Returns which pair of lanes is that of the participant at `place`.
    fn pair(&self, place: usize) -> usize {
        if place == self.server {
            self.server.min(CLIENTS)
        } else {
            place.min(CLIENTS - 1)
        }
    }

    fn explains(&self, place: usize) -> bool {
        self.participants[place].is_explained
    }

    fn way(&mut self, from: usize, to: usize) -> &mut Way {
        self.ways.entry((from, to)).or_default()
    }

    fn program(&self, place: usize) -> usize {
        2 * self.pair(place) + usize::from(place == self.server)
    }

    fn kernel(&self, place: usize) -> usize {
        2 * self.pair(place) + usize::from(place != self.server)
    }

    /// Adds what `happening` tells, and what follows from it.
    pub(super) fn add(&mut self, happening: Happening<'_>) {
        let Happening {
            record,
            writer,
            peer,
            ..
        } = happening;
        match (record.event, peer) {
            (Kind::Call, _) => self.add_call(happening),
            (Kind::Listening, _) => {
                self.calls(happening, writer, true, "listen()");
                self.show_backlog();
            }
            (Kind::Connected, Some(peer)) => self.connect(happening, peer),
            (Kind::Sent, Some(peer)) => self.send(happening, writer, peer, happening.peer_writes),
            (Kind::Received, Some(peer)) => {
                if !happening.is_hidden && !happening.peer_writes {
                    self.send(happening, peer, writer, true);
                }
                if self.explains(writer) {
                    // Its calls follow.
                    self.way(peer, writer).missing = happening.wire;
                } else {
                    self.receive(happening, writer, peer, true);
                }
            }
            (Kind::Left | Kind::Lost | Kind::Closed, Some(peer)) => self.close(happening, peer),
            _ => {
                let text = record.text.as_deref().unwrap_or_default();
                let lane = self.program(writer);
                self.push(happening, Sort::Note, (lane, lane), true, short(text));
            }
        }
    }

    /// Adds a moment. Where there are several clients, it says which is concerned.
    fn push(
        &mut self,
        happening: Happening<'_>,
        kind: Sort,
        (from, to): (usize, usize),
        is_observed: bool,
        mut label: String,
    ) {
        let client = happening.client();
        if self.server > 1 && client != self.server {
            label += &format!(" ({})", self.names[client]);
        }
        self.scene.moments.push(Moment {
            time: happening.time,
            kind,
            from,
            to,
            label,
            hex: String::new(),
            is_observed,
            gauge: None,
        });
    }

    /// Adds a call of the participant at `place`.
    fn calls(&mut self, happening: Happening<'_>, place: usize, observed: bool, call: &str) {
        let way = (self.program(place), self.kernel(place));
        self.push(happening, Sort::Call, way, observed, call.into());
        self.rest(place);
    }

    /// Adds the return of a call of the participant at `place`. The program stood in it since its last
    /// one, as far as is known.
    fn returns(&mut self, happening: Happening<'_>, place: usize, observed: bool, call: &str) {
        let way = (self.kernel(place), self.program(place));
        self.push(happening, Sort::Call, way, observed, call.into());
        if !self.explains(place)
            && !self.is_shared(place)
            && let Some(first) = self.participants[place].idle
        {
            let name = call.split(['(', ' ']).next().unwrap_or_default();
            self.scene.bars.push(Bar {
                lane: way.1,
                first,
                last: self.scene.moments.len() - 1,
                call: format!("{name}()"),
                is_observed: false,
            });
        }
        self.rest(place);
    }

    fn rest(&mut self, place: usize) {
        self.participants[place].idle = self.scene.moments.len().checked_sub(1);
    }

    /// Adds a packet from one participant's kernel to another's, which nobody observes.
    fn packet(&mut self, happening: Happening<'_>, from: usize, to: usize, label: &str) {
        let way = (self.kernel(from), self.kernel(to));
        self.push(happening, Sort::Packet, way, false, label.into());
    }

    fn gauge(&mut self, lane: usize, text: String, is_warning: bool) {
        if let Some(moment) = self.scene.moments.last_mut() {
            moment.gauge = Some(Gauge {
                lane,
                text,
                is_warning,
            });
        }
    }

    fn show_backlog(&mut self) {
        let count = self.backlog;
        let capacity = self.capacity.map_or("?".into(), |most| most.to_string());
        let lane = self.kernel(self.server);
        self.gauge(lane, format!("backlog {count} / {capacity}"), false);
    }

    /// Shows how many bytes from `from` the kernel of `to` holds. If the program of `to` has just
    /// `read` all of a message, the others are what it takes for the next one.
    fn show_buffer(&mut self, from: usize, to: usize, read: bool) {
        let count = self.way(from, to).unread;
        let lane = self.kernel(to);
        let is_left = read && count > 0;
        let text = if is_left {
            say!(
                "{count} B not read: become the next message",
                "{count} B ungelesen: die nächste Nachricht"
            )
        } else {
            say!("buffer {count} B", "Puffer {count} B")
        };
        self.gauge(lane, text, is_left);
    }

    /// Adds a call that was recorded itself.
    fn add_call(&mut self, happening: Happening<'_>) {
        let Happening {
            record,
            writer,
            peer,
            ..
        } = happening;
        let call = record.call.as_deref().unwrap_or_default();
        let result = record.result.as_deref().unwrap_or_default();
        let name = call.split('(').next().unwrap_or_default();
        let count: Option<u64> = result
            .split(' ')
            .next()
            .and_then(|count| count.parse().ok());
        let safe = |text: &str| Untrusted(text.as_bytes()).visible_line(CALL);
        let label = match count {
            Some(count) => format!("{} \u{2192} {count}", safe(call)),
            None => format!("{} \u{2192} {}", safe(call), safe(result)),
        };
        match (name, peer) {
            ("listen", _) => {
                let backlog: String = call.chars().filter(char::is_ascii_digit).collect();
                // Linux lets one more wait than was asked for.
                self.capacity = backlog
                    .parse()
                    .ok()
                    .map(|backlog: u64| backlog.saturating_add(1));
                return;
            }
            ("accept", _) => {
                self.returns(happening, writer, true, &label);
                self.backlog = self.backlog.saturating_sub(1);
                self.show_backlog();
            }
            ("recv", Some(peer)) => {
                if count == Some(0) && !self.way(peer, writer).is_closed {
                    if !self.explains(peer) {
                        self.calls(happening, peer, happening.peer_writes, "close()");
                    }
                    self.end(happening, (peer, writer), true, false);
                }
                self.returns(happening, writer, true, &label);
                if let Some(count) = count.filter(|count| *count > 0) {
                    let way = self.way(peer, writer);
                    way.unread = way.unread.saturating_sub(count);
                    way.missing = way.missing.saturating_sub(count);
                    let is_whole = way.missing == 0;
                    self.show_buffer(peer, writer, is_whole);
                }
            }
            ("shutdown", Some(peer)) => {
                self.calls(happening, writer, true, &label);
                self.end(happening, (writer, peer), happening.peer_writes, false);
            }
            ("connect" | "send", _) => {
                self.calls(happening, writer, true, &label);
            }
            _ => return,
        }
        if name != "shutdown" && !self.is_shared(writer) {
            self.stand(happening, name);
        }
    }

    /// Adds a bar for the call with this `name`, of which the last moment tells, if the program stood
    /// in it.
    fn stand(&mut self, happening: Happening<'_>, name: &str) {
        let record = happening.record;
        let ended = record.ended.unwrap_or(record.time);
        let lasted = ended.duration_since(record.time).unwrap_or_default();
        if lasted.as_millis() < STANDS {
            return;
        }
        let last = self.scene.moments.len() - 1;
        let mut bar = Bar {
            lane: self.program(happening.writer),
            first: last,
            last,
            call: format!("{name}()"),
            is_observed: true,
        };
        if matches!(name, "accept" | "recv") {
            // The moment is the one at which the call returned.
            let began = |moment: &Moment| moment.time < record.time;
            let first = self.scene.moments[..last].partition_point(began);
            bar.first = first.saturating_sub(1);
            self.scene.bars.push(bar);
        } else {
            self.begun.push((bar, ended));
        }
    }

    fn connect(&mut self, happening: Happening<'_>, peer: usize) {
        let writer = happening.writer;
        let (client, server) = (writer.min(peer), self.server);
        let is_server = writer == server;
        if !happening.is_repeated {
            if !self.explains(client) {
                self.calls(
                    happening,
                    client,
                    !is_server || happening.peer_writes,
                    "connect()",
                );
            }
            *self.way(client, server) = Way::default();
            *self.way(server, client) = Way::default();
            if !happening.is_local() {
                for (from, to, label) in [
                    (client, server, "SYN"),
                    (server, client, "SYN-ACK"),
                    (client, server, "ACK"),
                ] {
                    self.packet(happening, from, to, label);
                }
            }
            self.backlog += 1;
            self.show_backlog();
        }
        let accepts = if is_server {
            !self.explains(server)
        } else {
            !happening.is_repeated && !happening.peer_writes
        };
        if accepts {
            self.returns(happening, server, is_server, "accept()");
            self.backlog = self.backlog.saturating_sub(1);
            self.show_backlog();
        }
    }

    /// Adds that a message went `from` one participant `to` another, who `receives` it by a record of
    /// its own, or else at once.
    fn send(&mut self, happening: Happening<'_>, from: usize, to: usize, receives: bool) {
        let text = happening.record.text.as_deref().unwrap_or_default();
        let is_observed = happening.writer == from;
        if !is_observed || !self.explains(from) {
            self.calls(happening, from, is_observed, "send()");
        }
        let bytes = happening.wire;
        let label = format!("\"{}\" ({bytes} B)", short(text));
        self.packet(happening, from, to, &label);
        let hex = text.bytes().take(HEX).map(|byte| format!("{byte:02x}"));
        if let Some(moment) = self.scene.moments.last_mut() {
            moment.hex = hex.collect::<Vec<_>>().join(" ");
            if text.len() > HEX {
                moment.hex += " \u{2026}";
            }
        }
        let way = self.way(from, to);
        way.unread = way.unread.saturating_add(bytes);
        self.show_buffer(from, to, false);
        if !receives {
            self.receive(happening, to, from, false);
        }
    }

    /// Adds that the participant at `to` has read a message of the one at `from`.
    fn receive(&mut self, happening: Happening<'_>, to: usize, from: usize, observed: bool) {
        let bytes = happening.wire;
        let label = format!("recv() \u{2192} {bytes} B");
        self.returns(happening, to, observed, &label);
        let way = self.way(from, to);
        way.unread = way.unread.saturating_sub(bytes);
        self.show_buffer(from, to, true);
    }

    /// Adds the packet that ends what goes from one participant to the other, unless it was added, and
    /// that the other reads the end, unless it has recorded that.
    fn end(
        &mut self,
        happening: Happening<'_>,
        way: (usize, usize),
        is_recorded: bool,
        is_lost: bool,
    ) {
        let (from, to) = way;
        if mem::replace(&mut self.way(from, to).is_closed, true) {
            return;
        }
        let label = match is_lost {
            _ if happening.is_local() => words!("end", "Ende"),
            true => "RST",
            false => "FIN",
        };
        self.packet(happening, from, to, label);
        if !is_recorded {
            self.returns(happening, to, false, read_end(is_lost));
        }
    }

    fn close(&mut self, happening: Happening<'_>, peer: usize) {
        let writer = happening.writer;
        let is_lost = happening.record.event == Kind::Lost;
        let (leaver, other) = match happening.record.event {
            Kind::Closed => (writer, peer),
            _ => (peer, writer),
        };
        let is_own = leaver == writer;
        let is_first = !self.way(leaver, other).is_closed;
        if is_first && !self.explains(leaver) {
            let is_observed = is_own || happening.peer_writes;
            self.calls(happening, leaver, is_observed, "close()");
        }
        let is_recorded = !is_own || happening.peer_writes;
        self.end(happening, (leaver, other), is_recorded, is_lost);
        if !is_own && !self.explains(other) {
            self.returns(happening, other, true, read_end(is_lost));
        }
    }
}

/// Returns the call with which a program learns that the other side has ended.
fn read_end(is_lost: bool) -> &'static str {
    if is_lost {
        words!("recv() \u{2192} error", "recv() \u{2192} Fehler")
    } else {
        "recv() \u{2192} 0 B"
    }
}

/// Returns the beginning of `text`, safe to show.
fn short(text: &str) -> String {
    Untrusted(text.as_bytes()).visible_line(TEXT)
}
