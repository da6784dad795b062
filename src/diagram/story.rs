//! What transcripts tell, put into one order: who takes part, and what happens.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use super::{Diagram, Step, Timed, What};
use crate::transcript::{Kind, Record};

/// Somebody who takes part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    /// Whoever has written this file, as a client.
    Writer(usize),
    /// A client that has written none, by its address.
    Client(SocketAddr),
    Server,
}

/// A record, and what it is about.
struct Scene<'a> {
    /// When it was first written down. Who receives a message may do so before whoever has
    /// sent it.
    time: SystemTime,
    record: Record<'a>,
    /// Who has written it.
    writer: Who,
    /// With whom it has to do, and by which connection: the client's address.
    other: Option<(Who, SocketAddr)>,
    /// The message that the other end has written down too.
    twin: Twin,
}

/// Whether both ends have written a message down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twin {
    /// There is only one transcript of it.
    Unknown,
    /// It is what was sent, and has arrived so.
    Drawn,
    /// It is what has arrived so.
    Hidden,
    /// The other end has it otherwise.
    Missing,
}

/// What the transcripts tell, in the order of time.
pub(super) struct Story<'a> {
    scenes: Vec<Scene<'a>>,
    names: HashMap<Who, String>,
}

impl<'a> Story<'a> {
    pub(super) fn new(files: Vec<Vec<Timed<'a>>>) -> Self {
        let mut writers = HashMap::new();
        for (index, records) in files.iter().enumerate() {
            for (_, record) in records {
                if let (Kind::Connected, Some(local)) = (record.event, record.local) {
                    writers.insert(local, Who::Writer(index));
                }
            }
        }
        let mut story = Self {
            scenes: Vec::new(),
            names: HashMap::from([(Who::Server, "server".into())]),
        };
        for (index, records) in files.into_iter().enumerate() {
            story.add(index, records, &writers);
        }
        story.pair();
        story.scenes.sort_by_key(|scene| scene.time);
        story
    }

    fn add(&mut self, index: usize, records: Vec<Timed<'a>>, writers: &HashMap<SocketAddr, Who>) {
        // Until it says more: who listens is the server, and a client knows its own end.
        let connects = |record: &Record<'_>| record.event == Kind::Connected;
        let first = records
            .iter()
            .find(|(_, record)| connects(record) || record.event == Kind::Listening);
        let mut serves = first.is_some_and(|(_, record)| !connects(record));
        // Both ends may write into the same file; whom a line is about tells whose it is.
        let mut own_ends = HashMap::new();
        let mut calls = HashMap::new();
        for (mut time, record) in records {
            let peer = record.peer.as_ref().and_then(|peer| peer.parse().ok());
            match (record.event, peer, record.local) {
                (Kind::Listening, ..) => serves = true,
                (Kind::Connected, Some(peer), Some(own_end)) => {
                    own_ends.insert(peer, own_end);
                }
                (Kind::Connected, Some(peer), None) => {
                    own_ends.remove(&peer);
                }
                _ => {}
            }
            let own_end = peer.and_then(|peer: SocketAddr| own_ends.get(&peer).copied());
            if peer.is_some() && record.event != Kind::Call {
                serves = own_end.is_none();
            }
            // What was sent was on its way when the call was made.
            let call = record.call.as_ref().and_then(|call| call.split('(').next());
            match (record.event, call) {
                (Kind::Call, Some("send" | "connect")) => {
                    calls.insert(peer, time);
                }
                (Kind::Sent, _) => time = calls.remove(&peer).unwrap_or(time),
                (Kind::Connected, _) if own_end.is_some() => {
                    time = calls.remove(&None).unwrap_or(time);
                }
                _ => {}
            }
            let other = match (peer, own_end) {
                // It is only where it was made, and may come before who is who is known.
                _ if record.event == Kind::Call => None,
                (Some(_), Some(own_end)) => Some((Who::Server, own_end)),
                (Some(client), None) => {
                    let part = writers.get(&client).copied();
                    let part = part.unwrap_or(Who::Client(client));
                    let name = record
                        .client
                        .map_or("client".into(), |number| format!("client #{number}"));
                    self.names.entry(part).or_insert(name);
                    Some((part, client))
                }
                _ => None,
            };
            let writer = if serves {
                Who::Server
            } else {
                self.names
                    .entry(Who::Writer(index))
                    .or_insert("client".into());
                Who::Writer(index)
            };
            self.scenes.push(Scene {
                time,
                record,
                writer,
                other,
                twin: Twin::Unknown,
            });
        }
    }

    /// Finds what both ends have written down: the messages of one direction of a connection,
    /// in their order.
    fn pair(&mut self) {
        let mut directions: HashMap<_, [Vec<usize>; 2]> = HashMap::new();
        let mut written = HashMap::<_, Vec<Who>>::new();
        for (index, scene) in self.scenes.iter().enumerate() {
            let Some((other, connection)) = scene.other else {
                continue;
            };
            written.entry(connection).or_default().push(scene.writer);
            let (from, side) = match scene.record.event {
                Kind::Sent => (scene.writer, 0),
                Kind::Received => (other, 1),
                _ => continue,
            };
            directions.entry((connection, from)).or_default()[side].push(index);
        }
        for ((connection, _), [sent, received]) in directions {
            let writers = &written[&connection];
            if writers.iter().all(|writer| *writer == writers[0]) {
                continue;
            }
            for index in sent.iter().chain(&received) {
                self.scenes[*index].twin = Twin::Missing;
            }
            let mut received = received.into_iter();
            for sent in sent {
                let same = |index: &usize| {
                    let (one, other) = (&self.scenes[sent].record, &self.scenes[*index].record);
                    match (&one.text, &other.text) {
                        (Some(one), Some(other)) if one != other => as_line(one) == as_line(other),
                        (one_text, other_text) => {
                            one_text == other_text && one.bytes == other.bytes
                        }
                    }
                };
                if let Some(arrived) = received.clone().find(same) {
                    received.by_ref().find(|index| *index == arrived);
                    self.scenes[sent].time = self.scenes[sent].time.min(self.scenes[arrived].time);
                    self.scenes[sent].twin = Twin::Drawn;
                    self.scenes[arrived].twin = Twin::Hidden;
                }
            }
        }
    }

    pub(super) fn tell(self) -> Diagram {
        let mut order: Vec<Who> = Vec::new();
        for scene in &self.scenes {
            for part in scene
                .other
                .iter()
                .map(|(part, _)| *part)
                .chain([scene.writer])
            {
                if part != Who::Server && !order.contains(&part) {
                    order.push(part);
                }
            }
        }
        order.push(Who::Server);
        let place = |part| order.iter().position(|other| *other == part).unwrap_or(0);
        // So many times each has written that a connection stands or ends; of what several have
        // written, the first is drawn.
        let mut written: HashMap<_, usize> = HashMap::new();
        let mut drawn: HashMap<_, usize> = HashMap::new();
        let mut is_first = |connection, is_end, writer| {
            let written = written.entry((connection, is_end, writer)).or_default();
            *written += 1;
            let drawn = drawn.entry((connection, is_end)).or_default();
            let first = *written > *drawn;
            *drawn = (*drawn).max(*written);
            first
        };
        let mut steps = Vec::new();
        for scene in &self.scenes {
            let at = place(scene.writer);
            let record = &scene.record;
            let arrow = |from, to, what| Step::Arrow { from, to, what };
            let step = match (record.event, scene.other) {
                (Kind::Connected, Some((other, connection))) => {
                    if !is_first(connection, false, scene.writer) {
                        continue;
                    }
                    let other = place(other);
                    // The server stands last.
                    arrow(at.min(other), at.max(other), What::Connection)
                }
                (Kind::Sent, Some((other, _))) => arrow(
                    at,
                    place(other),
                    message(scene, "sent, but not so received: "),
                ),
                (Kind::Received, Some(_)) if scene.twin == Twin::Hidden => continue,
                (Kind::Received, Some((other, _))) => arrow(
                    place(other),
                    at,
                    message(scene, "received, but not so sent: "),
                ),
                (
                    Kind::Left | Kind::Lost | Kind::Closed | Kind::Error,
                    Some((other, connection)),
                ) => {
                    if !is_first(connection, true, scene.writer) {
                        continue;
                    }
                    match record.event {
                        Kind::Closed => arrow(at, place(other), What::End),
                        Kind::Left => arrow(place(other), at, What::End),
                        _ => note(at, record),
                    }
                }
                (Kind::Call, _) => Step::Note {
                    at,
                    text: format!(
                        "{} -> {}",
                        record.call.as_deref().unwrap_or_default(),
                        record.result.as_deref().unwrap_or_default()
                    ),
                },
                (Kind::Listening, _) => Step::Note {
                    at,
                    text: record.local.map_or_else(
                        || "listens".to_owned(),
                        |address| format!("listens on {address}"),
                    ),
                },
                _ if record.text.is_some() => note(at, record),
                _ => continue,
            };
            steps.push(step);
        }
        Diagram {
            parts: order
                .iter()
                .map(|part| self.names.get(part).cloned().unwrap_or_default())
                .collect(),
            steps,
        }
    }
}

/// A text as a framing of lines makes it: its own line end is left out, and a newline within
/// is a space.
fn as_line(text: &str) -> String {
    text.trim_end_matches(['\r', '\n']).replace('\n', " ")
}

fn note(at: usize, record: &Record<'_>) -> Step {
    Step::Note {
        at,
        text: record.text.as_deref().unwrap_or_default().to_owned(),
    }
}

fn message(scene: &Scene<'_>, missing: &str) -> What {
    let record = &scene.record;
    let text = record.text.as_deref().unwrap_or_default();
    let before = match scene.twin {
        Twin::Missing => missing,
        _ if record.late => "late: ",
        _ => "",
    };
    let behind = if record.cut { " ..." } else { "" };
    What::Message {
        text: format!("{before}{text}{behind}"),
        bytes: record.bytes.unwrap_or(text.len() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_the_line_that_a_framing_makes_of_it() {
        for (typed, framed) in [("hello\r", "hello"), ("a\nb\n", "a b"), ("", "")] {
            assert_eq!(as_line(typed), as_line(framed), "{typed:?}");
        }
        assert_ne!(as_line("one"), as_line("onetwo"));
    }
}
