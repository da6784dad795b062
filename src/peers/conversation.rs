//! The conversation with one peer: when it is looked at, and how it ends.

use std::collections::VecDeque;
use std::io;
use std::mem;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::News;
use crate::connection::{Connection, Progress};
use crate::event::{Parting, Peer};
use crate::framing::{Framing, Oddity, RAW_QUIET};
use crate::socket::Socket;

/// How many times the idle timeout a client may be silent within a message.
const WITHIN_MESSAGE: u32 = 10;

/// The conversation with one peer.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
pub(super) struct Conversation {
    pub(super) connection: Connection<Socket>,
    /// Why the conversation is over. Reported after everything that was received before.
    pub(super) fault: Option<Parting>,
    /// Whether the peer has sent something odd.
    odd: bool,
    /// Since when the peer may send something, in its turn.
    active: Instant,
    /// When it last accepted some of what was sent to it, or that began.
    taken: Instant,
    /// When the peer was found to have closed its side in our turn.
    pub(super) left: Option<Instant>,
    /// When the connection was found to be broken.
    broken: Option<Instant>,
    pub(super) is_registered: bool,
    pub(super) is_queued: bool,
    /// Whether the peer has left, and its next message waits for our answer to the one before.
    pub(super) is_held: bool,
    /// Whether we close our side when everything is sent.
    pub(super) is_closing: bool,
    /// The entry of this conversation in [`Peers::timers`].
    pub(super) timer: Option<Instant>,
}

/// The peers to look at next.
#[derive(Debug, Default)]
pub(super) struct Queues {
    /// Those that are there.
    pub(super) present: VecDeque<Peer>,
    /// Those of many that have closed their side. However much they have left unread, they hold
    /// nobody up: only one of them is looked at in a round.
    pub(super) departed: VecDeque<Peer>,
}

/// How conversations end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
pub struct Ends {
    /// How long to wait, after a peer closed its side in our turn, for our answer: the peer may
    /// have half-closed only, and still read it.
    pub grace: Duration,
    /// How long a peer may send nothing after we have closed our side; `None` for as long as it
    /// likes.
    pub linger: Option<Duration>,
    /// Whether there are no turns: what a peer sends is handed out at any time.
    pub duplex: bool,
    /// Whether every message gets an answer, as a program gives it, even if the peer is gone, and other
    /// peers may follow. Then a peer has its next message handed out when the one before is answered.
    pub answered: bool,
    /// Whether that holds without an end mark, too: a program takes what comes late for a message.
    pub keeps_raw: bool,
    /// Whether the caller reconnects when the connection is lost. Then it matters whether a peer
    /// that closed the connection has received our last message.
    pub retries: bool,
    /// How long a peer that has the turn may send nothing before it is let go: ten times as long within
    /// a message.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may leave unread what was sent to it, at most 64 KiB at a time, before it is let
    /// go; `None` for as long as it likes.
    pub stuck_timeout: Option<Duration>,
}

impl Conversation {
    pub(super) fn new(connection: Connection<Socket>) -> Self {
        Self {
            connection,
            fault: None,
            odd: false,
            active: Instant::now(),
            taken: Instant::now(),
            left: None,
            broken: None,
            is_registered: false,
            is_queued: false,
            is_held: false,
            is_closing: false,
            timer: None,
        }
    }

    /// Returns the IP address of the peer.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        self.connection.stream().peer().ip()
    }

    /// Adds `peer`, whose conversation this is, to the peers to look at, unless it is one of them.
    pub(super) fn queue(&mut self, peer: Peer, queues: &mut Queues) {
        if mem::replace(&mut self.is_queued, true) {
            return;
        }
        if is_one_of_many(peer) && self.connection.has_left() {
            queues.departed.push_back(peer);
        } else {
            queues.present.push_back(peer);
        }
    }

    /// Sends and, unless `is_full`, receives what is possible without waiting. Sets `is_queued` if there
    /// may be more to do.
    pub(super) fn step(&mut self, ours: bool, is_full: bool, ends: Ends) -> Progress {
        self.is_queued = is_full;
        self.is_held &= is_full;
        let is_unsent = self.flush(ends);
        // Without turns, a peer may have to be read before it reads on.
        if is_unsent && (!ends.duplex || self.connection.has_ended()) {
            return Progress::Pending;
        }
        if self.is_closing && !is_unsent {
            // Fails only if the peer is gone.
            let _ = self.connection.close();
        }
        if is_full {
            return Progress::Pending;
        }
        let held = self.is_held_to_turns(ends);
        let mut step = if ours && (self.fault.is_none() || held) {
            self.look_ahead(held, ends)
        } else {
            self.take_in(ends)
        };
        if step == Progress::Closed && is_unsent && self.fault.is_none() {
            // It may still read.
            step = Progress::Pending;
        }
        // The other peers come first.
        let found = matches!(step, Progress::Part | Progress::Stalled);
        self.is_queued = found || self.connection.can_read() && !self.is_held;
        step
    }

    /// Advances to the next part that the peer sent. Waits only if the stream is blocking.
    pub(super) fn advance(&mut self, ends: Ends) -> Progress {
        let step = self.connection.advance().unwrap_or_else(|error| {
            self.fail(error, ends);
            self.advance(ends)
        });
        // A peer that closes its side first may refuse what we send then.
        if step == Progress::Closed && self.fault.is_none() && self.connection.stream().is_gone() {
            let error = io::ErrorKind::ConnectionReset.into();
            self.fault = Some(Parting::Lost(error));
        }
        step
    }

    /// Advances in the peer's turn. Drops a peer that has been idle for too long.
    fn take_in(&mut self, ends: Ends) -> Progress {
        let sends = self.connection.can_read();
        let mut step = self.advance(ends);
        if step == Progress::Closed && !self.is_closing {
            if ends.duplex && self.fault.is_none() && !self.has_left(ends) {
                step = Progress::Pending;
            } else if ends.retries && !ends.duplex {
                return self.take_leave();
            }
        }
        if let Some(timeout) = self.idle_timeout(ends) {
            let now = Instant::now();
            if sends || step == Progress::Part {
                self.active = now;
            } else if step == Progress::Pending
                && !self.connection.has_unsent()
                && self.active + timeout <= now
            {
                return self.drop_peer(Parting::Idle(timeout), ends);
            }
        }
        step
    }

    /// Handles that the peer has closed its side in its own turn: it left, unless the connection
    /// then breaks, because it closed before our last message had arrived.
    fn take_leave(&mut self) -> Progress {
        let now = Instant::now();
        if self.fault.is_none() && *self.left.get_or_insert(now) + RAW_QUIET > now {
            return Progress::Pending;
        }
        Progress::Closed
    }

    /// Receives in our turn. If the framing has a delimiter, or the peer is `held` to its turns, what
    /// arrives is kept for the peer's turn; otherwise, it can only be the rest of the peer's last
    /// message. Once a peer has left that is not `held`, everything is handed out.
    fn look_ahead(&mut self, held: bool, ends: Ends) -> Progress {
        let may_be_gone = held && self.fault.is_none() && self.connection.has_left();
        if may_be_gone && self.connection.stream().is_gone() {
            // No read tells that, behind an end or a full buffer.
            self.fail(io::ErrorKind::ConnectionReset.into(), ends);
        }
        if self.fault.is_none() && !self.has_left(ends) {
            if held || self.connection.framing().marks_the_end() {
                if let Err(error) = self.connection.read_ahead() {
                    self.fail(error, ends);
                    return self.look_ahead(held, ends);
                }
            } else if self.connection.can_read()
                || self.connection.has_next()
                || self.connection.is_overdue()
            {
                let step = self.advance(ends);
                if step != Progress::Closed || self.fault.is_some() {
                    return step;
                }
            }
            if !self.has_left(ends) {
                return Progress::Pending;
            }
        }
        if held && let Err(error) = self.connection.read_ahead() {
            self.fail(error, ends);
        }
        // Not yet taken for a message, which more might follow.
        self.is_held = held && self.connection.has_unread();
        if self.is_held {
            if self.kept_until(ends).is_none_or(|at| at > Instant::now()) {
                return Progress::Pending;
            }
            self.connection.discard();
            return Progress::Closed;
        }
        if held && !self.connection.framing().marks_the_end() {
            // We have the turn since another has cut the message, and of that nothing is left.
            self.connection.end_message();
        }
        self.advance(ends)
    }

    /// Returns whether the peer closed its side in our turn at least `ends.grace` ago.
    fn has_left(&mut self, ends: Ends) -> bool {
        if !self.connection.has_left() {
            return false;
        }
        let now = Instant::now();
        *self.left.get_or_insert(now) + ends.grace <= now
    }

    /// Sends what the peer has not accepted before. Returns whether some of it is still left, and
    /// nothing else is to be done.
    fn flush(&mut self, ends: Ends) -> bool {
        if !self.connection.has_unsent() || self.fault.is_some() {
            return false;
        }
        match self.connection.flush() {
            Ok(true) => self.took(ends),
            Ok(false) => {}
            Err(error) => {
                self.fail(error, ends);
                return false;
            }
        }
        if !self.connection.has_unsent() {
            return false;
        }
        if let Some(timeout) = ends.stuck_timeout
            && self.taken + timeout <= Instant::now()
        {
            if self.is_held_to_turns(ends) {
                // What would be answered one by one.
                self.connection.discard();
            }
            self.drop_peer(Parting::Stuck(timeout), ends);
            return false;
        }
        true
    }

    /// Records that the peer has accepted some of what it is sent, or that this begins. With turns, it has
    /// its time from now on; so has one that has closed its side.
    pub(super) fn took(&mut self, ends: Ends) {
        self.left = None;
        self.taken = Instant::now();
        if !ends.duplex {
            self.active = self.taken;
        }
    }

    /// Returns when to look at the peer again even if nothing arrives.
    pub(super) fn deadline(&self, ours: bool, is_full: bool, ends: Ends) -> Option<Instant> {
        if self.connection.has_unsent() && self.fault.is_none() {
            let stuck = ends.stuck_timeout.map(|timeout| self.taken + timeout);
            let quiet = self.connection.deadline();
            let quiet = quiet.filter(|_| ends.duplex && !is_full);
            return stuck.into_iter().chain(quiet).min();
        }
        if is_full {
            // Room for news is waited for.
            return None;
        }
        if self.is_held {
            // Our answer is.
            return self.kept_until(ends);
        }
        if ours {
            let left = self.left.map(|since| since + ends.grace);
            // Without an end mark, quiet ends what has come late.
            let late = !self.connection.framing().marks_the_end() && !self.is_held_to_turns(ends);
            let quiet = self.connection.deadline().filter(|_| late);
            return left.into_iter().chain(quiet).min();
        }
        // With turns, one that has closed its side is not idle, but leaves.
        let can_idle = ends.duplex || self.left.is_none();
        let idle_timeout = self.idle_timeout(ends).filter(|_| can_idle);
        let idle = idle_timeout.map(|timeout| self.active + timeout);
        let grace = if ends.duplex { ends.grace } else { RAW_QUIET };
        let left = self.left.map(|since| since + grace);
        let quiet = self.connection.deadline();
        quiet.into_iter().chain(idle).chain(left).min()
    }

    /// Returns what `step` found about `peer`. `late` is passed to [`Connection::part`].
    pub(super) fn news(&mut self, peer: Peer, step: Progress, late: bool) -> News<'_> {
        let ends = self.fault.is_none();
        let news = match step {
            Progress::Part => self.connection.part(late).map(|part| News::Part {
                peer,
                first_oddity: match part.oddity {
                    None => false,
                    Some(Oddity::LongJson) => true,
                    Some(_) => !mem::replace(&mut self.odd, true),
                },
                part,
                ends,
            }),
            Progress::Pending => None,
            Progress::Stalled => {
                let so_far = self.connection.unended();
                so_far.map(|so_far| News::Stalled(peer, so_far))
            }
            Progress::Closed => Some(News::Gone(peer, self.fault.take().unwrap_or(Parting::Left))),
        };
        news.unwrap_or(News::Nothing)
    }

    /// Records that the connection is broken. What was received before is still handed out.
    pub(super) fn fail(&mut self, error: io::Error, ends: Ends) {
        self.broken.get_or_insert_with(Instant::now);
        let told = !ends.duplex && !self.connection.has_unsent();
        self.fault.get_or_insert(match error.kind() {
            // The user is told that the line was not sent.
            io::ErrorKind::BrokenPipe if told => Parting::Left,
            _ => Parting::Lost(error),
        });
        // Fails only if the connection is closed already.
        let _ = self.connection.close();
    }

    /// Returns until when a peer that is gone keeps its place if what it has sent waits for answers; `None`
    /// for as long as they take.
    fn kept_until(&self, ends: Ends) -> Option<Instant> {
        Some(self.broken? + ends.idle_timeout?)
    }

    /// Returns how long the peer may send nothing: longer within a message.
    fn idle_timeout(&self, ends: Ends) -> Option<Duration> {
        // After we have closed our side, the linger is its time, if that has an end.
        let lingers = self.is_closing && ends.linger.is_some();
        let timeout = ends.idle_timeout.filter(|_| !lingers)?;
        Some(match self.connection.unended() {
            Some(_) => timeout.saturating_mul(WITHIN_MESSAGE),
            None => timeout,
        })
    }

    /// Returns whether the peer is held to its turns: the user would answer what comes out of turn.
    fn is_held_to_turns(&self, ends: Ends) -> bool {
        let can_be = ends.keeps_raw || self.connection.framing().marks_the_end();
        ends.answered && can_be && !self.is_closing
    }

    /// Ends the conversation for the reason `parting`, which a program is told under json, and reads
    /// nothing more.
    fn drop_peer(&mut self, parting: Parting, ends: Ends) -> Progress {
        if let Some(farewell) = parting.farewell()
            && self.connection.framing() == Framing::Json
        {
            // Fails only if the connection is gone.
            let _ = self.connection.send(farewell.as_bytes(), true);
        }
        self.fault = Some(parting);
        self.connection.abandon();
        self.advance(ends)
    }
}

/// Returns whether there may be other peers beside `peer`.
pub(super) fn is_one_of_many(peer: Peer) -> bool {
    matches!(peer, Peer::Numbered(_))
}
