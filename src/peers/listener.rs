//! Accepts clients, up to a limit.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use mio::{Registry, Token};

use super::Arrival;
use super::access::{Access, Told};
use crate::event::Peer;
use crate::socket::{ListeningSocket, Socket};
use crate::sys;

/// How long to wait after accept(2) failed.
const CROWDED: Duration = Duration::from_secs(1);

/// The limits of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// The maximum number of clients at once; `None` to accept a single client and then no more.
    pub max_clients: Option<u16>,
    /// How long a client that has the turn may send nothing before the server drops it: ten times as
    /// long within a message.
    pub idle_timeout: Option<Duration>,
    /// Who may connect.
    pub access: Access,
}

impl Limits {
    /// Returns whether there can be more than one client at a time.
    pub fn are_many(&self) -> bool {
        self.max() > 1
    }

    fn max(&self) -> u16 {
        self.max_clients.unwrap_or(1)
    }
}

/// A listening socket. It stays open when the limit is reached: further clients wait in the
/// backlog.
#[derive(Debug)]
pub(super) struct Listener {
    socket: ListeningSocket,
    limits: Limits,
    told_refused: Told,
    /// The number of clients that there are enough descriptors for, at most as many as allowed.
    room: usize,
    /// The number of clients accepted so far.
    count: u32,
    /// Whether a client may be waiting.
    pub(super) ready: bool,
    /// When to call accept(2) again after it failed.
    pub(super) shut_until: Option<Instant>,
    /// Whether a failure was reported.
    told_crowded: bool,
}

impl Listener {
    /// Accepts clients from `socket` within `limits`. `registry` watches the socket under `token`;
    /// fails if it cannot.
    pub(super) fn new(
        mut socket: ListeningSocket,
        limits: Limits,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        socket.register(registry, token)?;
        Ok(Self {
            socket,
            told_refused: Told::default(),
            room: sys::room_for(limits.max()).into(),
            limits,
            count: 0,
            ready: false,
            shut_until: None,
            told_crowded: false,
        })
    }

    /// Returns whether another client may be accepted, now or later, while there are `clients`.
    pub(super) fn takes_more(&self, clients: usize) -> bool {
        self.has_room(clients) && (self.stays_open() || self.count == 0)
    }

    /// Returns whether there is a place beside `clients`.
    pub(super) fn has_room(&self, clients: usize) -> bool {
        clients < self.room
    }

    /// Returns whether the next client can be accepted at once while there are `clients`.
    pub(super) fn can_accept(&self, clients: usize) -> bool {
        self.ready && self.shut_until.is_none() && self.takes_more(clients)
    }

    /// Returns whether new clients are accepted after others have left.
    pub(super) fn stays_open(&self) -> bool {
        self.limits.max_clients.is_some()
    }

    /// Accepts the next client, if one is waiting and the limits allow it while there are
    /// `clients`, of which `from` counts those from an address. Returns its connection, and what it
    /// is. Fails with what has come instead; if accept(2) fails or descriptors are too few, once.
    pub(super) fn accept(
        &mut self,
        clients: usize,
        from: impl Fn(IpAddr) -> usize,
    ) -> Option<Result<(Socket, Peer), Arrival>> {
        if self.shut_until.is_some_and(|until| until > Instant::now()) {
            return None;
        }
        self.shut_until = None;
        if self.ready && self.takes_more(clients) {
            let mut stream = match self.socket.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return None;
                }
                Err(error) => {
                    self.shut_until = Some(Instant::now() + CROWDED);
                    return self.crowded(error).map(Err);
                }
            };
            if let Some((ip, why)) = self.limits.access.refusal(stream.peer(), &from) {
                let is_told = self.told_refused.tells(ip, Instant::now());
                return Some(Err(Arrival::Refused(ip, is_told.then_some(why))));
            }
            if self.limits.are_many() {
                stream.move_up();
                stream.set_number(self.count + 1);
            }
            if stream.tune_served().is_err() || stream.is_gone() {
                return Some(Err(Arrival::Gone));
            }
            self.count += 1;
            let peer = if self.limits.are_many() {
                Peer::Numbered(self.count)
            } else {
                Peer::Client(self.count)
            };
            return Some(Ok((stream, peer)));
        }
        if (self.room..self.limits.max().into()).contains(&clients) {
            return self.crowded(sys::out_of_descriptors()).map(Err);
        }
        None
    }

    fn crowded(&mut self, error: io::Error) -> Option<Arrival> {
        let was_told = std::mem::replace(&mut self.told_crowded, true);
        (!was_told).then_some(Arrival::Crowded(error))
    }
}
