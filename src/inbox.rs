//! Whom a session talks with: one peer, or many clients.

mod clients;
mod door;

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::connection::{Connection, Part, Progress, Stream};
use crate::event::{Awaited, Parting, Peer};
use crate::framing::{Framing, Oddity, UNENDED};
use crate::sanitize::Untrusted;
use crate::watch::{PollFds, Watched, is_ready_now};

pub use clients::Clients;
pub use door::Terms;

/// Something that has come of the peers.
#[derive(Debug)]
pub enum News<'a> {
    /// A client has come, from this address.
    Arrived(Peer, SocketAddr),
    /// No further client can be accepted for now.
    Crowded(io::Error),
    /// The next part of a message.
    Part {
        /// Whose it is.
        peer: Peer,
        /// What it says.
        part: Part<'a>,
        /// It has come when its turn was over already.
        late: bool,
        /// What is odd about it was not found before.
        first_oddity: bool,
    },
    /// The end of a message does not come, for the first time.
    Stalled(Peer),
    /// A peer is gone; there will be no more news of it.
    Gone(Peer, Parting),
}

/// What has come of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way.
    Whole,
    /// It is on its way, with spaces for its newlines.
    Joined,
    /// It cannot be sent: the peer is gone, of which there will be news.
    Not,
}

/// Whom a session talks with, and whose turn it is.
pub trait Inbox: Watched {
    /// Where a message ends.
    fn framing(&self) -> Framing;

    /// Whom we have to answer; `None` when it is somebody else's turn.
    fn asked(&self) -> Option<Peer>;

    /// Whether there is a reply to what we have said last that is worth waiting for, when we
    /// have nothing more to say.
    fn owes_reply(&self) -> bool;

    /// How many others wait for an answer.
    fn waiting(&self) -> usize;

    /// What we wait for when it is not our turn.
    fn awaited(&self) -> Awaited;

    /// Waits for news while it is not our turn; `None` when what has come is none yet. The
    /// last part of a message makes it our turn.
    fn receive(&mut self) -> Option<News<'_>>;

    /// The next of what has come in our own turn, without waiting for it. With an end mark
    /// a peer's next message is kept for its turn; without one, what comes of the peer that
    /// is asked can only be the rest of its last message.
    fn overhear(&mut self) -> Option<News<'_>>;

    /// Sends `text`, a part of a message and, if `last`, its end, to the peer that is
    /// asked, whose turn it is then.
    fn send(&mut self, text: &[u8], last: bool) -> Sent;

    /// Ends the conversation with the peer that is asked.
    fn dismiss(&mut self);

    /// Whether there is, or can be, anybody to talk with.
    fn goes_on(&self) -> bool;

    /// Closes our side of everything: nothing more will be sent.
    fn close(&mut self);

    /// What the peers had still to say when our side was closed; waits until they close
    /// theirs, or fall quiet. `None` when that is all.
    fn rest(&mut self) -> Option<News<'_>>;
}

/// The conversation with one peer.
#[derive(Debug)]
struct Talk<S: Stream> {
    connection: Connection<S>,
    peer: Peer,
    /// What has broken it, which is told when all that had come before was handed out.
    fault: Option<Parting>,
    /// Something odd was found.
    odd: bool,
    /// That it had stalled was told.
    stalled: bool,
}

/// What a conversation has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// A part is there to be handed out.
    Part,
    /// Nothing yet.
    Pending,
    /// The end of a message does not come, for the first time.
    Stalled,
    /// There will be nothing more.
    Gone,
}

impl<S: Stream> Talk<S> {
    fn new(connection: Connection<S>, peer: Peer) -> Self {
        Self {
            connection,
            peer,
            fault: None,
            odd: false,
            stalled: false,
        }
    }

    /// Goes on to the next part of what the peer says.
    fn advance(&mut self) -> Step {
        loop {
            return match self.connection.advance() {
                Ok(Progress::Part) => Step::Part,
                Ok(Progress::Pending) => Step::Pending,
                Ok(Progress::Stalled) => self.stall(),
                Ok(Progress::Closed) => Step::Gone,
                Err(error) => {
                    self.fail(error);
                    continue;
                }
            };
        }
    }

    fn stall(&mut self) -> Step {
        if std::mem::replace(&mut self.stalled, true) {
            Step::Pending
        } else {
            Step::Stalled
        }
    }

    /// Hands out what the conversation has come to.
    fn news(&mut self, step: Step, late: bool) -> Option<News<'_>> {
        let peer = self.peer;
        match step {
            Step::Part => {
                let part = self.connection.part(late)?;
                let first_oddity = match part.oddity {
                    None => false,
                    Some(Oddity::LongJson) => true,
                    Some(_) => !std::mem::replace(&mut self.odd, true),
                };
                Some(News::Part {
                    peer,
                    part,
                    late,
                    first_oddity,
                })
            }
            Step::Pending => None,
            Step::Stalled => Some(News::Stalled(peer)),
            Step::Gone => Some(News::Gone(peer, self.parting())),
        }
    }

    fn parting(&mut self) -> Parting {
        self.fault.take().unwrap_or(Parting::Left)
    }

    fn send(&mut self, text: &[u8], last: bool) -> Sent {
        match self.connection.send(text, last) {
            Ok(false) => Sent::Whole,
            Ok(true) => Sent::Joined,
            Err(error) => {
                self.fail(error);
                Sent::Not
            }
        }
    }

    /// Nothing more can be sent; what the peer had said before can still be received.
    fn fail(&mut self, error: io::Error) {
        self.fault.get_or_insert(match error.kind() {
            io::ErrorKind::BrokenPipe => Parting::Left,
            _ => Parting::Lost(error),
        });
        // What is broken is closed already.
        let _ = self.connection.close();
    }

    /// What has come of a message whose end is overdue.
    fn overdue(&self) -> Option<(Untrusted<'_>, Instant)> {
        let unended = self.connection.unended();
        unended.filter(|(_, since)| since.elapsed() >= UNENDED)
    }
}

/// One peer, whose connection is read directly: whoever waits for it is who prints it.
#[derive(Debug)]
pub struct One<S: Stream> {
    talk: Talk<S>,
    turn: Turn,
    overdue: Overdue,
    /// Something was received.
    heard: bool,
    /// Something late was told just now.
    overheard: bool,
    /// Since when we take in the rest.
    closed: Option<Instant>,
    gone: bool,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Ours,
    /// The peer's, that has to begin.
    Opening,
    /// The peer's, that owes a reply.
    Reply,
}

/// Whether the end of a message is overdue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overdue {
    No,
    /// It is, which is news.
    Noticed,
    Told,
}

impl<S: Stream> One<S> {
    /// The peer at the other end of `connection`, which blocks. The connecting side, to
    /// which the peer is the server, speaks first.
    pub fn new(connection: Connection<S>, peer: Peer) -> Self {
        Self {
            turn: match peer {
                Peer::Server => Turn::Ours,
                Peer::Client | Peer::Numbered(_) => Turn::Opening,
            },
            talk: Talk::new(connection, peer),
            overdue: Overdue::No,
            heard: false,
            overheard: false,
            closed: None,
            gone: false,
        }
    }

    /// Whether the peer has ever said anything.
    pub fn has_spoken(&self) -> bool {
        self.heard
    }

    fn is_ours(&self) -> bool {
        self.turn == Turn::Ours
    }

    fn marks_the_end(&self) -> bool {
        self.talk.connection.framing().marks_the_end()
    }

    fn advance(&mut self) -> Step {
        let step = self.talk.advance();
        match step {
            Step::Part => {
                self.overdue = Overdue::No;
                self.heard = true;
            }
            Step::Gone => self.gone = true,
            Step::Pending | Step::Stalled => {}
        }
        step
    }
}

impl<S: Stream + Send> Watched for One<S> {
    fn poll_on<'a>(&'a self, fds: &mut PollFds<'a>) -> Option<Instant> {
        let connection = &self.talk.connection;
        fds.push(connection.poll_to_read());
        match self.overdue {
            _ if self.is_ours() => None,
            _ if connection.has_found() => Some(Instant::now()),
            Overdue::No => connection.unended().map(|(_, since)| since + UNENDED),
            Overdue::Noticed | Overdue::Told => None,
        }
    }

    fn attend(&mut self) -> bool {
        if !self.marks_the_end() {
            return true;
        }
        let ours = self.is_ours();
        let connection = &mut self.talk.connection;
        if !connection.has_found()
            && is_ready_now(connection.poll_to_read())
            && let Err(error) = connection.read_ahead()
        {
            self.talk.fail(error);
            return true;
        }
        if connection.has_left() || (!ours && connection.is_ready()) {
            return true;
        }
        if self.overdue == Overdue::No && !ours && self.talk.overdue().is_some() {
            self.overdue = Overdue::Noticed;
            return true;
        }
        false
    }

    fn so_far(&self) -> Option<Untrusted<'_>> {
        self.talk.overdue().map(|(text, _)| text)
    }
}

impl<S: Stream + Send> Inbox for One<S> {
    fn framing(&self) -> Framing {
        self.talk.connection.framing()
    }

    fn asked(&self) -> Option<Peer> {
        (self.is_ours() && !self.gone).then_some(self.talk.peer)
    }

    fn owes_reply(&self) -> bool {
        self.turn == Turn::Reply
    }

    fn waiting(&self) -> usize {
        0
    }

    fn awaited(&self) -> Awaited {
        Awaited::TurnOf(self.talk.peer)
    }

    fn receive(&mut self) -> Option<News<'_>> {
        let mut step = Step::Pending;
        if self.overdue != Overdue::Noticed {
            step = self.advance();
        }
        if step == Step::Pending && self.talk.overdue().is_some() {
            self.overdue = Overdue::Told;
            step = self.talk.stall();
        }
        // What a broken connection has cut off is no reply.
        if self.talk.connection.has_found_last() && self.talk.fault.is_none() {
            self.turn = Turn::Ours;
        }
        self.talk.news(step, false)
    }

    fn overhear(&mut self) -> Option<News<'_>> {
        let connection = &self.talk.connection;
        let late = !self.marks_the_end();
        let any = match self.talk.fault {
            Some(_) => true,
            // One that has closed its side behind it may still read an answer.
            None if late => !self.overheard && is_ready_now(connection.poll_to_read()),
            None => connection.has_left(),
        };
        let step = if any { self.advance() } else { Step::Pending };
        self.overheard = late && step == Step::Part;
        self.talk.news(step, late)
    }

    fn send(&mut self, text: &[u8], last: bool) -> Sent {
        let sent = self.talk.send(text, last);
        if last && sent != Sent::Not {
            self.turn = Turn::Reply;
            // What was read ahead is its next message.
            self.talk.connection.is_ready();
        }
        sent
    }

    fn dismiss(&mut self) {
        self.close();
        self.gone = true;
    }

    fn goes_on(&self) -> bool {
        !self.gone
    }

    fn close(&mut self) {
        // What is broken is closed already.
        let _ = self.talk.connection.close();
    }

    fn rest(&mut self) -> Option<News<'_>> {
        let since = *self.closed.get_or_insert_with(Instant::now);
        let late = !self.marks_the_end();
        loop {
            match self.talk.connection.advance() {
                Ok(Progress::Part) => return self.talk.news(Step::Part, late),
                // A line that does not end is not waited for longer than elsewhere.
                Ok(Progress::Pending) if since.elapsed() < UNENDED => {}
                Ok(_) => return None,
                // How a conversation ends that is over is no failure; once that is known,
                // what stands read can be had.
                Err(_) => {}
            }
        }
    }
}
