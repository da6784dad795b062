//! The conversations with all peers. A wake-up costs time in proportion to the peers
//! that are ready, not to all peers.

mod access;
mod listener;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use self::listener::{Accepted, Listener};
use crate::connection::{Connection, Part, Progress};
use crate::endpoint::Address;
use crate::event::{Parting, Peer, Refusal};
use crate::framing::{Framing, Oddity, RAW_QUIET, Wire};
use crate::sanitize::Untrusted;
use crate::socket::{ListeningSocket, Socket};

pub use self::access::Access;
pub use self::listener::Limits;

/// How long the only peer may take to accept our last message.
const LAST_MESSAGE: Duration = Duration::from_secs(10);

/// How many times the idle timeout a client may be silent within a message.
const WITHIN_MESSAGE: u32 = 10;

/// The first token that belongs to a peer.
pub const FIRST_TOKEN: usize = 4;

/// The token of the socket for datagrams.
const DATAGRAMS: Token = Token(FIRST_TOKEN - 2);

/// The token of the listening socket.
const LISTENER: Token = Token(FIRST_TOKEN - 1);

/// What happened to a peer.
#[derive(Debug)]
pub enum News<'a> {
    /// The peer sent the next part of a message.
    Part {
        /// The sender.
        peer: Peer,
        /// The part.
        part: Part<'a>,
        /// Whether the user has not yet been told of the oddity of this part.
        first_oddity: bool,
        /// Whether the message is complete once its last part has arrived: `false` if a broken
        /// connection cut it off.
        ends: bool,
    },
    /// The peer sent this incomplete message, and its end is overdue. Reported once.
    Stalled(Peer, Untrusted<'a>),
    /// The conversation is over. No further news of the peer follows.
    Gone(Peer, Parting),
    /// Nothing to report.
    Nothing,
}

/// Who has come.
#[derive(Debug)]
pub enum Arrival {
    /// A client, from this address.
    Client(Peer, Address),
    /// A client from this address, which was refused for this reason; `None` if the user was told
    /// recently.
    Refused(IpAddr, Option<Refusal>),
    /// No further client can be accepted for now, for this reason.
    Crowded(io::Error),
}

/// The conversation with one peer.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
struct Conversation {
    connection: Connection<Socket>,
    /// Why the conversation is over. Reported after everything that was received before.
    fault: Option<Parting>,
    /// Whether the peer has sent something odd.
    odd: bool,
    /// Since when the peer may accept what was sent to it or, in its turn, send something.
    active: Instant,
    /// When the peer was found to have closed its side in our turn.
    left: Option<Instant>,
    is_registered: bool,
    is_queued: bool,
    /// Whether the peer has left, and its next message waits for our answer to the one before.
    is_held: bool,
    /// The entry of this conversation in [`Peers::timers`].
    timer: Option<Instant>,
}

/// The conversations with all peers.
#[derive(Debug)]
pub struct Peers {
    wire: Wire,
    listener: Option<Listener>,
    rules: Rules,
    /// Receives what a client over UDP sends to the port of the listener, to tell of the mistake.
    datagrams: Option<UdpSocket>,
    /// In the order of arrival.
    conversations: BTreeMap<Peer, Conversation>,
    queues: Queues,
    timers: BTreeSet<(Instant, Peer)>,
    /// The peers of whom nothing is reported any more, in the order of their dismissal.
    dismissed: VecDeque<Peer>,
    /// Whether any peer has sent a message.
    heard: bool,
}

/// The peers to look at next.
#[derive(Debug, Default)]
struct Queues {
    /// Those that are there.
    present: VecDeque<Peer>,
    /// Those of many that have closed their side. However much they have left unread, they hold
    /// nobody up: only one of them is looked at in a round.
    departed: VecDeque<Peer>,
}

/// How conversations end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ends {
    /// How long to wait, after a peer closed its side in our turn, for our answer: the peer may
    /// have half-closed only, and still read it.
    pub grace: Duration,
    /// How long a peer may send nothing after we have closed our side; `None` for as long as it
    /// likes.
    pub linger: Option<Duration>,
    /// Whether there are no turns: what a peer sends is handed out at any time.
    pub duplex: bool,
    /// Whether every message gets an answer, as a program gives it, even if the peer is gone. Then
    /// one of many that has left has its next message handed out when the one before is answered.
    pub answered: bool,
    /// Whether the caller reconnects when the connection is lost. Then it matters whether a peer
    /// that closed the connection has received our last message.
    pub retries: bool,
}

/// What applies to every conversation.
#[derive(Debug, Clone, Copy, Default)]
struct Rules {
    ends: Ends,
    /// How long a peer that has the turn may send nothing.
    idle_timeout: Option<Duration>,
    /// How long a peer may take to accept what was sent to it; `None` for as long as it likes.
    stuck_timeout: Option<Duration>,
    /// Whether we close our side of a connection when everything is sent.
    closing: bool,
}

impl Peers {
    /// Creates an empty set of conversations that use `wire` and end as `ends` says.
    #[must_use]
    pub fn new(wire: &Wire, ends: Ends) -> Self {
        Self {
            wire: wire.clone(),
            listener: None,
            datagrams: None,
            rules: Rules {
                ends,
                ..Rules::default()
            },
            conversations: BTreeMap::new(),
            queues: Queues::default(),
            timers: BTreeSet::new(),
            dismissed: VecDeque::new(),
            heard: false,
        }
    }

    /// Accepts clients from `socket` within `limits`. Fails if `registry` cannot watch the socket.
    pub fn listen(
        &mut self,
        socket: ListeningSocket,
        limits: Limits,
        registry: &Registry,
    ) -> io::Result<()> {
        let stuck_timeout = limits.stuck_timeout;
        self.rules.idle_timeout = limits.idle_timeout;
        let listener = Listener::new(socket, limits, registry, LISTENER)?;
        self.rules.stuck_timeout = listener.stays_open().then_some(stuck_timeout);
        self.listener = Some(listener);
        Ok(())
    }

    /// Notices datagrams to `address`, if no other program does. Fails if `registry` cannot watch the
    /// socket.
    pub fn notice_datagrams(&mut self, address: SocketAddr, registry: &Registry) -> io::Result<()> {
        if let Ok(mut socket) = UdpSocket::bind(address) {
            registry.register(&mut socket, DATAGRAMS, Interest::READABLE)?;
            self.datagrams = Some(socket);
        }
        Ok(())
    }

    /// Returns whether a datagram has come, and receives it.
    pub fn has_datagram(&self) -> bool {
        // On Windows a datagram that is longer than the buffer is an error.
        let received = |socket: &UdpSocket| socket.recv_from(&mut [0; 2048]).is_ok();
        self.datagrams.as_ref().is_some_and(received)
    }

    /// Returns whether `peer` has not accepted everything that was sent to it.
    #[must_use]
    pub fn has_unsent(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.connection.has_unsent())
    }

    /// Returns whether `peer` has sent the beginning of a message, and not its end.
    #[must_use]
    pub fn has_unended(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.connection.unended().is_some())
    }

    /// Adds the server that we have connected to.
    pub fn add_server(&mut self, stream: Socket) {
        self.add(stream, Peer::Server);
    }

    fn add(&mut self, stream: Socket, peer: Peer) {
        let mut connection = Connection::new(stream, &self.wire, is_one_of_many(peer));
        connection.set_linger(self.rules.ends.linger);
        let conversation = Conversation {
            connection,
            fault: None,
            odd: false,
            active: Instant::now(),
            left: None,
            is_registered: false,
            is_queued: false,
            is_held: false,
            timer: None,
        };
        self.conversations.insert(peer, conversation);
    }

    /// Returns whether any peer has ever sent a message.
    #[must_use]
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// Accepts the next client, if one is waiting and the limits allow it.
    pub fn accept(&mut self) -> Option<Arrival> {
        let taken = self.taken();
        let conversations = &self.conversations;
        let from = |ip| {
            let ips = conversations.values().map(Conversation::ip);
            ips.filter(|other| *other == Some(ip)).count()
        };
        let listener = self.listener.as_mut()?;
        Some(match listener.accept(taken, from)? {
            Accepted::Client(stream, peer, address) => {
                if !listener.has_room(conversations.len())
                    && let Some(dismissed) = self.dismissed.pop_front()
                {
                    self.remove(dismissed);
                }
                self.add(stream, peer);
                Arrival::Client(peer, address)
            }
            Accepted::Refused(ip, why) => Arrival::Refused(ip, why),
            Accepted::Crowded(error) => Arrival::Crowded(error),
        })
    }

    /// Returns how many places are taken: a peer that was dismissed leaves its own to others.
    fn taken(&self) -> usize {
        self.conversations.len() - self.dismissed.len()
    }

    /// Returns whether the only event to wait for is that the only peer sends something.
    #[must_use]
    pub fn is_single(&self) -> bool {
        self.conversations.len() == 1
            && self.rules.idle_timeout.is_none()
            && !self.rules.ends.retries
            && self
                .listener
                .as_ref()
                .is_none_or(|listener| !listener.takes_more(1))
            && self
                .conversations
                .first_key_value()
                .is_some_and(|(_, only)| !only.connection.has_unsent())
    }

    /// Waits for the only peer in a blocking read, which saves the system call that waits for
    /// readiness. Returns what happened.
    pub fn wait_for_single(&mut self) -> News<'_> {
        let Some((peer, conversation)) = self.conversations.iter_mut().next() else {
            return News::Nothing;
        };
        if let Err(error) = conversation.connection.set_blocking(true) {
            conversation.fail(error);
        }
        let step = conversation.advance();
        self.heard |= step == Progress::Part;
        conversation.news(*peer, step, false)
    }

    /// Records the readiness that `event` reports.
    pub fn report(&mut self, event: &Event) {
        if event.token() == LISTENER
            && let Some(listener) = &mut self.listener
        {
            listener.ready = true;
        }
        // Without a number, the peer is the only one.
        let peer = match event.token().0.checked_sub(FIRST_TOKEN) {
            Some(0) => self.conversations.keys().next().copied(),
            Some(number) => u32::try_from(number).ok().map(Peer::Numbered),
            None => None,
        };
        if let Some(peer) = peer
            && let Some(conversation) = self.conversations.get_mut(&peer)
        {
            if event.is_readable() || event.is_read_closed() || event.is_error() {
                conversation.connection.set_ready(event.is_read_closed());
            }
            conversation.queue(peer, &mut self.queues);
        }
    }

    /// Registers the peers that `registry` does not watch yet. Fails if it cannot watch one.
    pub fn watch(&mut self, registry: &Registry) -> io::Result<()> {
        // Only the latest arrivals can be new.
        for (peer, conversation) in self.conversations.iter_mut().rev() {
            // The next read reports an error of the stream.
            let was_blocking = conversation.connection.set_blocking(false).unwrap_or(true);
            if !mem::replace(&mut conversation.is_registered, true) {
                let number = match peer {
                    Peer::Numbered(number) => usize::try_from(*number).unwrap_or_default(),
                    Peer::Client | Peer::Server => 0,
                };
                let token = Token(FIRST_TOKEN + number);
                conversation
                    .connection
                    .stream_mut()
                    .register(registry, token)?;
            } else if !was_blocking {
                break;
            }
            conversation.queue(*peer, &mut self.queues);
        }
        Ok(())
    }

    /// Returns whether there is something to do without waiting.
    #[must_use]
    pub fn are_ready(&self) -> bool {
        let accepts = |listener: &Listener| listener.can_accept(self.taken());
        !self.queues.present.is_empty()
            || !self.queues.departed.is_empty()
            || self.listener.as_ref().is_some_and(accepts)
    }

    /// Returns how often to call [`Peers::next`] before the next wait: once for each peer that is
    /// ready, of those that have left for one alone.
    pub fn begin_round(&mut self) -> usize {
        let Queues { present, departed } = &mut self.queues;
        present.extend(departed.pop_front());
        present.len()
    }

    /// Returns when the next timer expires.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let timer = self.timers.first().map(|(at, _)| *at);
        let listener = self
            .listener
            .as_ref()
            .and_then(|listener| listener.shut_until);
        timer.into_iter().chain(listener).min()
    }

    /// Queues the peers whose timer has expired at `now`.
    pub fn expire(&mut self, now: Instant) {
        while let Some(&(at, peer)) = self.timers.first()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(conversation) = self.conversations.get_mut(&peer) {
                conversation.timer = None;
                conversation.queue(peer, &mut self.queues);
            }
        }
    }

    /// Looks at the next peer in the queue, without waiting, and returns what happened.
    /// `is_ours` returns whether it is our turn with a peer.
    pub fn next(&mut self, is_ours: impl FnOnce(Peer) -> bool) -> News<'_> {
        let Some(peer) = self.queues.present.pop_front() else {
            return News::Nothing;
        };
        if self.dismissed.contains(&peer) {
            self.see_off(peer);
            return News::Nothing;
        }
        let Some(conversation) = self.conversations.get_mut(&peer) else {
            return News::Nothing;
        };
        let ours = is_ours(peer);
        conversation
            .connection
            .gather(is_one_of_many(peer) && !ours);
        let step = conversation.step(peer, ours, self.rules);
        if mem::take(&mut conversation.is_queued) {
            conversation.queue(peer, &mut self.queues);
        }
        let at = conversation.deadline(ours, self.rules);
        if at != conversation.timer {
            if let Some(old) = mem::replace(&mut conversation.timer, at) {
                self.timers.remove(&(old, peer));
            }
            self.timers.extend(at.map(|at| (at, peer)));
        }
        self.heard |= step == Progress::Part;
        let late = ours && !conversation.connection.framing().marks_the_end();
        conversation.news(peer, step, late)
    }

    /// Sends `text`, a part of a message, to `peer`, and ends the message if `last`. Returns
    /// whether newlines were replaced by spaces, or `None` if the peer is gone, which
    /// [`Peers::next`] reports.
    pub fn send(&mut self, peer: Peer, text: &[u8], last: bool) -> Option<bool> {
        let is_timed = self.rules.stuck_timeout.is_some() || self.rules.idle_timeout.is_some();
        let conversation = self.conversations.get_mut(&peer)?;
        let joined = match conversation.connection.send(text, last) {
            Ok(joined) => {
                if last {
                    conversation.left = None;
                }
                if is_timed || conversation.connection.has_unsent() {
                    conversation.active = Instant::now();
                }
                Some(joined)
            }
            Err(error) => {
                conversation.fail(error);
                None
            }
        };
        conversation.queue(peer, &mut self.queues);
        joined
    }

    /// Returns whether the next answer for `peer` can be taken: it is still there and has accepted
    /// everything sent so far, or it has left and its next message waits for the answer.
    #[must_use]
    pub fn can_send(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| {
            found.is_held || found.fault.is_none() && !found.connection.has_unsent()
        })
    }

    /// Ends the conversation with `peer` and closes the connection.
    pub fn remove(&mut self, peer: Peer) {
        self.dismissed.retain(|dismissed| *dismissed != peer);
        if let Some(conversation) = self.conversations.remove(&peer)
            && let Some(at) = conversation.timer
        {
            self.timers.remove(&(at, peer));
        }
    }

    /// Stops listening, and closes our side of every connection when everything is sent. The
    /// conversations then end by themselves. Returns how long to wait for that if there may be many
    /// peers, one of which could go on for ever; `None` for a single one.
    pub fn close(&mut self) -> Option<Duration> {
        self.listener = None;
        let stuck_timeout = *self.rules.stuck_timeout.get_or_insert(LAST_MESSAGE);
        self.rules.closing = true;
        let mut limit = self.rules.ends.linger;
        for (peer, conversation) in &mut self.conversations {
            if conversation.connection.has_unsent() {
                limit = limit.max(Some(stuck_timeout));
            } else {
                // Fails only if the peer is gone.
                let _ = conversation.connection.close();
            }
            conversation.queue(*peer, &mut self.queues);
        }
        limit.filter(|_| self.conversations.keys().any(|peer| is_one_of_many(*peer)))
    }

    /// Ends the conversation with `peer` when it has spoken: it then waits for a reply, and reads
    /// the end as a `bye`. Nothing is reported of it any more. It goes earlier if its place is
    /// needed.
    pub fn dismiss(&mut self, peer: Peer) {
        if let Some(conversation) = self.conversations.get_mut(&peer) {
            conversation.queue(peer, &mut self.queues);
            self.dismissed.push_back(peer);
        }
    }

    /// Ends the conversation with `peer`, which was dismissed, if it has spoken or left.
    fn see_off(&mut self, peer: Peer) {
        let Some(conversation) = self.conversations.get_mut(&peer) else {
            return;
        };
        conversation.connection.gather(false);
        let step = conversation.step(peer, false, self.rules);
        if matches!(step, Progress::Part | Progress::Closed) {
            self.remove(peer);
        } else if mem::take(&mut conversation.is_queued) {
            conversation.queue(peer, &mut self.queues);
        }
    }

    /// Returns the address at the other end of the connection to `peer`.
    #[must_use]
    pub fn address(&self, peer: Peer) -> Option<&Address> {
        let conversation = self.conversations.get(&peer)?;
        Some(conversation.connection.stream().peer())
    }

    /// Returns whether the peers are clients that connect.
    #[must_use]
    pub fn listens(&self) -> bool {
        self.listener.is_some()
    }

    /// Returns whether there is no conversation.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conversations.is_empty()
    }
}

/// Returns whether there may be other peers beside `peer`.
fn is_one_of_many(peer: Peer) -> bool {
    matches!(peer, Peer::Numbered(_))
}

impl Conversation {
    /// Returns the IP address of the peer.
    fn ip(&self) -> Option<IpAddr> {
        self.connection.stream().peer().ip()
    }

    /// Adds `peer`, whose conversation this is, to the peers to look at, unless it is one of them.
    fn queue(&mut self, peer: Peer, queues: &mut Queues) {
        if mem::replace(&mut self.is_queued, true) {
            return;
        }
        if is_one_of_many(peer) && self.connection.has_left() {
            queues.departed.push_back(peer);
        } else {
            queues.present.push_back(peer);
        }
    }

    /// Sends and receives what is possible without waiting. Sets `is_queued` if there may be more
    /// to do.
    fn step(&mut self, peer: Peer, ours: bool, rules: Rules) -> Progress {
        self.is_queued = false;
        self.is_held = false;
        if self.flush(rules) {
            return Progress::Pending;
        }
        if rules.closing {
            // Fails only if the peer is gone.
            let _ = self.connection.close();
        }
        let held = rules.ends.answered
            && is_one_of_many(peer)
            && self.connection.framing().marks_the_end()
            && !rules.closing;
        let step = if ours && (self.fault.is_none() || held) {
            self.look_ahead(held, rules)
        } else {
            self.take_in(rules)
        };
        // The other peers come first.
        let found = matches!(step, Progress::Part | Progress::Stalled);
        self.is_queued = found || self.connection.can_read();
        step
    }

    /// Advances to the next part that the peer sent. Waits only if the stream is blocking.
    fn advance(&mut self) -> Progress {
        self.connection.advance().unwrap_or_else(|error| {
            self.fail(error);
            self.advance()
        })
    }

    /// Advances in the peer's turn. Drops a peer that has been idle for too long.
    fn take_in(&mut self, rules: Rules) -> Progress {
        let sends = self.connection.can_read();
        let step = self.advance();
        if step == Progress::Closed && !rules.closing {
            if rules.ends.duplex && self.fault.is_none() && !self.has_left(rules) {
                return Progress::Pending;
            }
            if rules.ends.retries && !rules.ends.duplex {
                return self.take_leave();
            }
        }
        if let Some(timeout) = self.idle_timeout(rules) {
            let now = Instant::now();
            if sends || step == Progress::Part {
                self.active = now;
            } else if step == Progress::Pending && self.active + timeout <= now {
                return self.drop_peer(Parting::Idle(timeout));
            }
        }
        step
    }

    /// Handles that the peer has closed its side in its own turn: it left, unless the connection
    /// then breaks, because it closed before our last message had arrived.
    fn take_leave(&mut self) -> Progress {
        let now = Instant::now();
        if self.fault.is_none() && self.connection.stream().is_gone() {
            let error = io::ErrorKind::ConnectionReset.into();
            self.fault = Some(Parting::Lost(error));
        } else if self.fault.is_none() && *self.left.get_or_insert(now) + RAW_QUIET > now {
            return Progress::Pending;
        }
        Progress::Closed
    }

    /// Receives in our turn. If the framing has a delimiter, what arrives is kept for the peer's
    /// turn; without one, it can only be the rest of the peer's last message. Once the peer has
    /// left, everything is handed out, unless it is `held` to its turns.
    fn look_ahead(&mut self, held: bool, rules: Rules) -> Progress {
        if self.fault.is_none() && !self.has_left(rules) {
            if self.connection.framing().marks_the_end() {
                if let Err(error) = self.connection.read_ahead() {
                    self.fail(error);
                    return self.look_ahead(held, rules);
                }
            } else if self.connection.can_read()
                || self.connection.has_next()
                || self.connection.is_overdue()
            {
                let step = self.advance();
                if step != Progress::Closed || self.fault.is_some() {
                    return step;
                }
            }
            if !self.has_left(rules) {
                return Progress::Pending;
            }
        }
        self.is_held = held && self.connection.has_next();
        if self.is_held {
            return Progress::Pending;
        }
        self.advance()
    }

    /// Returns whether the peer closed its side in our turn at least `rules.ends.grace` ago.
    fn has_left(&mut self, rules: Rules) -> bool {
        if !self.connection.has_left() {
            return false;
        }
        let now = Instant::now();
        *self.left.get_or_insert(now) + rules.ends.grace <= now
    }

    /// Sends what the peer has not accepted before. Returns whether some of it is still left, and
    /// nothing else is to be done.
    fn flush(&mut self, rules: Rules) -> bool {
        if !self.connection.has_unsent() || self.fault.is_some() {
            return false;
        }
        if let Err(error) = self.connection.flush() {
            self.fail(error);
            return false;
        }
        let now = Instant::now();
        if !self.connection.has_unsent() {
            self.active = now;
            return false;
        }
        if let Some(timeout) = rules.stuck_timeout
            && self.active + timeout <= now
        {
            self.drop_peer(Parting::Stuck(timeout));
            return false;
        }
        true
    }

    /// Returns when to look at the peer again even if nothing arrives.
    fn deadline(&self, ours: bool, rules: Rules) -> Option<Instant> {
        if self.connection.has_unsent() && self.fault.is_none() {
            return Some(self.active + rules.stuck_timeout?);
        }
        if self.is_held {
            // Our answer is waited for.
            return None;
        }
        if ours {
            let left = self.left.map(|since| since + rules.ends.grace);
            // Without an end mark, quiet ends what has come late.
            let late = !self.connection.framing().marks_the_end();
            let quiet = self.connection.deadline().filter(|_| late);
            return left.into_iter().chain(quiet).min();
        }
        let idle = self
            .idle_timeout(rules)
            .map(|timeout| self.active + timeout);
        let grace = if rules.ends.duplex {
            rules.ends.grace
        } else {
            RAW_QUIET
        };
        let left = self.left.map(|since| since + grace);
        let quiet = self.connection.deadline();
        quiet.into_iter().chain(idle).chain(left).min()
    }

    /// Returns what `step` found about `peer`. `late` is passed to [`Connection::part`].
    fn news(&mut self, peer: Peer, step: Progress, late: bool) -> News<'_> {
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
    fn fail(&mut self, error: io::Error) {
        self.fault.get_or_insert(match error.kind() {
            io::ErrorKind::BrokenPipe => Parting::Left,
            _ => Parting::Lost(error),
        });
        // Fails only if the connection is closed already.
        let _ = self.connection.close();
    }

    /// Returns how long the peer may send nothing: longer within a message.
    fn idle_timeout(&self, rules: Rules) -> Option<Duration> {
        let timeout = rules.idle_timeout?;
        Some(match self.connection.unended() {
            Some(_) => timeout.saturating_mul(WITHIN_MESSAGE),
            None => timeout,
        })
    }

    /// Ends the conversation for the reason `parting`, which a program is told under json, and reads
    /// nothing more.
    fn drop_peer(&mut self, parting: Parting) -> Progress {
        if let Some(farewell) = parting.farewell()
            && self.connection.framing() == Framing::Json
        {
            // Fails only if the connection is gone.
            let _ = self.connection.send(farewell.as_bytes(), true);
        }
        self.fault = Some(parting);
        self.connection.abandon();
        self.advance()
    }
}

#[cfg(test)]
mod tests;
