//! The conversations with all peers. A wake-up costs time in proportion to the peers
//! that are ready, not to all peers.

mod access;
mod conversation;
mod listener;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::mem;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::UdpSocket;
use mio::{Interest, Registry, Token};

use self::conversation::{Conversation, Queues, is_one_of_many};
use self::listener::Listener;
use crate::connection::{Connection, Part, Progress, Sent};
use crate::endpoint::Address;
use crate::event::{Parting, Peer, Refusal};
use crate::framing::Wire;
use crate::sanitize::Untrusted;
use crate::socket::{ListeningSocket, Socket};

pub use self::access::Access;
pub use self::conversation::Ends;
pub use self::listener::Limits;

/// How long the only peer may take to accept our last message.
const LAST_MESSAGE: Duration = Duration::from_secs(10);

/// The first token that belongs to a peer.
pub const FIRST_TOKEN: usize = 3;

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
    /// A client that is gone already.
    Gone,
    /// No further client can be accepted for now, for this reason.
    Crowded(io::Error),
}

/// The conversations with all peers.
#[derive(Debug)]
pub struct Peers {
    wire: Wire,
    listener: Option<Listener>,
    ends: Ends,
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

impl Peers {
    /// Creates an empty set of conversations that use `wire` and end as `ends` says.
    pub fn new(wire: &Wire, ends: Ends) -> Self {
        Self {
            wire: wire.clone(),
            listener: None,
            datagrams: None,
            ends,
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
        self.listener = Some(Listener::new(socket, limits, registry, LISTENER)?);
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
    pub fn has_unsent(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.connection.has_unsent())
    }

    /// Returns whether `peer` may not have received everything that was sent to it, if it has closed the
    /// connection, `in_order` or not.
    pub fn may_lack(&self, peer: Peer, in_order: bool) -> bool {
        let conversation = self.conversations.get(&peer);
        match conversation.map(|found| found.connection.sent()) {
            None | Some(Sent::Nothing) => false,
            Some(Sent::Unconfirmed | Sent::Several) => true,
            // Without turns, nothing is a reply. A peer that has not read all breaks the connection.
            Some(Sent::Confirmed) => self.ends.duplex && !in_order,
        }
    }

    /// Returns whether `peer` may not have received everything that was sent to it before our last message.
    #[must_use]
    pub fn may_lack_earlier(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.connection.sent() == Sent::Several)
    }

    /// Returns those who may not have received everything that was sent to them, as their connections are
    /// broken, or will be when they are closed. If all peers were `looked_at`, these are also those who have
    /// sent what was not read: the system resets their connections.
    pub fn lacking(&self, looked_at: bool) -> Vec<Peer> {
        let is_broken = |conversation: &Conversation| {
            matches!(
                conversation.fault,
                Some(Parting::Lost(_) | Parting::Stuck(_))
            ) || conversation.connection.has_unsent()
                || conversation.connection.stream().is_gone()
                || looked_at && conversation.connection.is_readable()
        };
        let lacking = self
            .conversations
            .iter()
            .filter(|(peer, found)| is_broken(found) && self.may_lack(**peer, false));
        lacking.map(|(peer, _)| *peer).collect()
    }

    /// Returns whether `peer` may lose something if its connection is closed now: it has not confirmed what
    /// it was sent, or something that it has sent may be unread, so that the system resets the connection.
    pub fn would_lose(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        let has_more = conversation
            .is_some_and(|found| found.connection.has_unread() || found.connection.is_readable());
        has_more || self.may_lack(peer, false)
    }

    /// Returns whether `peer` has closed its side, so that it is soon known why.
    #[must_use]
    pub fn is_leaving(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.connection.has_left())
    }

    /// Returns whether `peer` has sent the beginning of a message, and not its end.
    pub fn has_unended(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.connection.unended().is_some())
    }

    /// Returns whether a message of `peer` has come that was not handed out.
    pub fn has_next(&mut self, peer: Peer) -> bool {
        let conversation = self.conversations.get_mut(&peer);
        conversation.is_some_and(|found| found.connection.has_next())
    }

    /// Adds the server that we have connected to.
    pub fn add_server(&mut self, stream: Socket) {
        self.add(stream, Peer::Server);
    }

    fn add(&mut self, stream: Socket, peer: Peer) {
        let mut connection = Connection::new(stream, &self.wire, is_one_of_many(peer));
        connection.set_linger(self.ends.linger);
        self.conversations
            .insert(peer, Conversation::new(connection));
    }

    /// Returns whether any peer has ever sent a message.
    pub fn has_heard(&self) -> bool {
        self.heard
    }

    /// Accepts the next client, if one is waiting and the limits allow it.
    pub fn accept(&mut self) -> Option<Arrival> {
        let taken = self.taken();
        let conversations = &self.conversations;
        let dismissed = &self.dismissed;
        let from = |ip| {
            let there = conversations
                .iter()
                .filter(|(peer, found)| found.ip() == Some(ip) && !dismissed.contains(peer));
            there.count()
        };
        let listener = self.listener.as_mut()?;
        let (stream, peer) = match listener.accept(taken, from)? {
            Ok(accepted) => accepted,
            Err(arrival) => return Some(arrival),
        };
        if !listener.has_room(conversations.len())
            && let Some(dismissed) = self.dismissed.pop_front()
        {
            self.remove(dismissed);
        }
        let address = stream.peer().clone();
        self.add(stream, peer);
        Some(Arrival::Client(peer, address))
    }

    /// Returns how many places are taken: a peer that was dismissed leaves its own to others.
    fn taken(&self) -> usize {
        self.conversations.len() - self.dismissed.len()
    }

    /// Returns whether the only event to wait for is that the only peer sends something, and a read and a
    /// send may block.
    pub fn is_single(&self) -> bool {
        self.conversations.len() == 1
            && self.ends.idle_timeout.is_none()
            // A peer that does not read is let go.
            && self.ends.stuck_timeout.is_none()
            && !self.ends.retries
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
            conversation.fail(error, self.ends);
        }
        let step = conversation.advance(self.ends);
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
        let mut ready = Vec::new();
        // Only the latest arrivals can be new.
        for (peer, conversation) in self.conversations.iter_mut().rev() {
            // The next read reports an error of the stream.
            let was_blocking = conversation.connection.set_blocking(false).unwrap_or(true);
            if !mem::replace(&mut conversation.is_registered, true) {
                let number = match peer {
                    Peer::Numbered(number) => usize::try_from(*number).unwrap_or_default(),
                    Peer::Client(_) | Peer::Server => 0,
                };
                let token = Token(FIRST_TOKEN + number);
                conversation
                    .connection
                    .stream_mut()
                    .register(registry, token)?;
            } else if !was_blocking {
                break;
            }
            ready.push(*peer);
        }
        // Whoever has come first is heard first.
        for peer in ready.into_iter().rev() {
            if let Some(conversation) = self.conversations.get_mut(&peer) {
                conversation.queue(peer, &mut self.queues);
            }
        }
        Ok(())
    }

    /// Returns whether there is something to do without waiting.
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

    /// Looks at the next peer in the queue, without waiting, and returns what happened. If it `is_full`
    /// where news is shown, the peer is only sent to. `is_ours` returns whether it is our turn with a
    /// peer.
    pub fn next(&mut self, is_full: bool, is_ours: &dyn Fn(Peer) -> bool) -> News<'_> {
        let Some(peer) = self.queues.present.pop_front() else {
            return News::Nothing;
        };
        let Some(conversation) = self.conversations.get_mut(&peer) else {
            return News::Nothing;
        };
        let is_dismissed = self.dismissed.contains(&peer);
        let ours = !is_dismissed && is_ours(peer);
        // Nothing is shown of one that was dismissed.
        let is_full = !is_dismissed && is_full;
        let may_gather = is_one_of_many(peer) && !is_dismissed && !conversation.is_closing;
        conversation.connection.gather(may_gather && !ours);
        let step = conversation.step(ours, is_full, self.ends);
        if mem::take(&mut conversation.is_queued) {
            conversation.queue(peer, &mut self.queues);
        }
        let at = conversation.deadline(ours, is_full, self.ends);
        if at != conversation.timer {
            if let Some(old) = mem::replace(&mut conversation.timer, at) {
                self.timers.remove(&(old, peer));
            }
            self.timers.extend(at.map(|at| (at, peer)));
        }
        if is_dismissed {
            let has_spoken_or_left = matches!(step, Progress::Part | Progress::Closed);
            if has_spoken_or_left {
                self.remove(peer);
            }
            return News::Nothing;
        }
        self.heard |= step == Progress::Part;
        let Some(conversation) = self.conversations.get_mut(&peer) else {
            return News::Nothing;
        };
        let late = ours && !conversation.connection.framing().marks_the_end();
        conversation.news(peer, step, late)
    }

    /// Sends `text`, a part of a message, to `peer`, and ends the message if `last`. Returns
    /// whether newlines were replaced by spaces, or `None` if the peer is gone, which
    /// [`Peers::next`] reports.
    pub fn send(&mut self, peer: Peer, text: &[u8], last: bool) -> Option<bool> {
        let is_timed = self.ends.stuck_timeout.is_some() || self.ends.idle_timeout.is_some();
        let conversation = self.conversations.get_mut(&peer)?;
        if conversation.fault.is_some() {
            conversation.queue(peer, &mut self.queues);
            return None;
        }
        let had_unsent = conversation.connection.has_unsent();
        let joined = match conversation.connection.send(text, last) {
            Ok(joined) => {
                conversation.left = None;
                if !had_unsent && (is_timed || conversation.connection.has_unsent()) {
                    conversation.took(self.ends);
                }
                Some(joined)
            }
            Err(error) => {
                conversation.fail(error, self.ends);
                None
            }
        };
        conversation.queue(peer, &mut self.queues);
        joined
    }

    /// Returns whether the next answer for `peer` can be taken: it has accepted everything sent so far,
    /// or its connection is broken, so that the answer will not be sent, and others can follow.
    pub fn can_send(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| match found.fault {
            None => !found.connection.has_unsent(),
            Some(_) => self.listener.as_ref().is_some_and(Listener::stays_open),
        })
    }

    /// Returns whether `peer` was sent the beginning of a message, and not its end.
    pub fn is_within(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.connection.is_within())
    }

    /// Returns whether the connection to `peer` is not known to be broken.
    pub fn is_there(&self, peer: Peer) -> bool {
        let conversation = self.conversations.get(&peer);
        conversation.is_some_and(|found| found.fault.is_none())
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
        let stuck_timeout = *self.ends.stuck_timeout.get_or_insert(LAST_MESSAGE);
        let mut limit = self.ends.linger;
        for (peer, conversation) in &mut self.conversations {
            if conversation.connection.has_unsent() {
                limit = limit.map(|limit| limit.max(stuck_timeout));
            } else {
                // Fails only if the peer is gone.
                let _ = conversation.connection.close();
            }
            conversation.is_closing = true;
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

    /// Returns the address at the other end of the connection to `peer`.
    pub fn address(&self, peer: Peer) -> Option<&Address> {
        let conversation = self.conversations.get(&peer)?;
        Some(conversation.connection.stream().peer())
    }

    /// Returns whether the peers are clients that connect.
    pub fn listens(&self) -> bool {
        self.listener.is_some()
    }

    /// Returns whether there is no conversation.
    pub fn is_empty(&self) -> bool {
        self.conversations.is_empty()
    }
}

#[cfg(test)]
mod tests;
