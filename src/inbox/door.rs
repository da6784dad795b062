//! Where clients come from, and how many are let in.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::libc::EMFILE;
use nix::poll::{PollFd, PollFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::event::Peer;
use crate::socket::Socket;

/// The pause after the system could not give us a client.
const CROWDED: Duration = Duration::from_secs(1);

/// So many descriptors are left for everything but clients, the lowest ones: rustyline
/// opens some anew for each prompt, and select(2) takes none from 1024 on.
const RESERVED: u16 = 64;

/// Whom a server serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Up to so many clients at once, again and again; `None`: one, and then no more.
    pub max_clients: Option<u16>,
    /// A client that has the turn and says nothing for so long is let go.
    pub idle_timeout: Option<Duration>,
}

impl Terms {
    /// Whether there can be more than one client at a time.
    #[must_use]
    pub fn are_many(self) -> bool {
        self.max_clients.is_some_and(|max| max > 1)
    }
}

/// Where clients come from.
#[derive(Debug)]
pub(super) struct Door {
    /// `None`: nobody more is let in.
    listener: Option<Socket>,
    /// So many clients there may be at once.
    max: usize,
    /// So many there can be, as far as descriptors go.
    room: usize,
    /// It stays open when that was one client.
    goes_on: bool,
    /// How many have come so far.
    count: u32,
    /// The system gave us no client, and is left alone until then.
    shut_until: Option<Instant>,
    /// That there is no room was told.
    crowded: bool,
}

impl Door {
    /// Lets those who come to `listener` in, by `terms`. Fails when the socket cannot be set up
    /// for that.
    pub(super) fn open(mut listener: Socket, terms: Terms) -> io::Result<Self> {
        listener.set_nonblocking()?;
        let max = terms.max_clients.unwrap_or(1);
        Ok(Self {
            listener: Some(listener),
            max: max.into(),
            room: room_for(max).into(),
            goes_on: terms.max_clients.is_some(),
            count: 0,
            shut_until: None,
            crowded: false,
        })
    }

    /// What to poll for those who come, while there are so many `clients`; `None` for
    /// nothing.
    pub(super) fn poll(&self, clients: usize) -> Option<PollFd<'_>> {
        let listener = self.listener.as_ref()?;
        let open = clients < self.room && self.shut_until.is_none();
        open.then(|| PollFd::new(listener.as_fd(), PollFlags::POLLIN))
    }

    /// The next who has come, if there is one, by what it is called, and from where. Fails
    /// when the system cannot give us one; it is left alone for a while then.
    pub(super) fn accept(&mut self) -> io::Result<Option<(Socket, Peer, SocketAddr)>> {
        while let Some(listener) = &self.listener {
            let (mut stream, address) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => {
                    self.shut_until = Some(Instant::now() + CROWDED);
                    return Err(error);
                }
            };
            stream.move_up(RESERVED);
            let set_up = stream.set_nonblocking().and_then(|()| stream.tune_served());
            // One that is gone already is no reason to stop.
            if set_up.is_ok() {
                self.count += 1;
                if !self.goes_on {
                    self.listener = None;
                }
                let peer = if self.max > 1 {
                    Peer::Numbered(self.count)
                } else {
                    Peer::Client
                };
                return Ok(Some((stream, peer, address)));
            }
        }
        Ok(None)
    }

    /// How many have come so far, which is the number of the last.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// Why no further client can be let in beside so many, although more are wanted.
    pub(super) fn shortage(&self, clients: usize) -> Option<io::Error> {
        let short = (self.room..self.max).contains(&clients);
        short.then(|| io::Error::from_raw_os_error(EMFILE))
    }

    /// Why somebody cannot be let in, if it is to be told: the first time.
    pub(super) fn once(&mut self, error: io::Error) -> Option<io::Error> {
        let told = std::mem::replace(&mut self.crowded, true);
        (!told).then_some(error)
    }

    /// When it is tried again after the system could not give us a client.
    pub(super) fn reopens(&self) -> Option<Instant> {
        self.shut_until
    }

    /// Tries it again, if it is time.
    pub(super) fn reopen(&mut self, now: Instant) {
        self.shut_until = self.shut_until.filter(|until| *until > now);
    }

    /// Whether more are let in, now or later.
    pub(super) fn is_there(&self) -> bool {
        self.listener.is_some()
    }

    /// Lets nobody more in.
    pub(super) fn close(&mut self) {
        self.listener = None;
    }
}

/// How many clients, up to `max`, the system lets us have at once. The limit that holds
/// before anybody has asked for more is raised as far as we may (getrlimit(2)).
fn room_for(max: u16) -> u16 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = u64::from(max) + u64::from(RESERVED);
    let most = limit.maximum.unwrap_or(u64::MAX).min(wanted);
    let mut current = limit.current.unwrap_or(u64::MAX);
    if current < most {
        let raised = Rlimit {
            current: Some(most),
            maximum: limit.maximum,
        };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            current = most;
        }
    }
    let room = current.saturating_sub(RESERVED.into()).max(1);
    u16::try_from(room).map_or(max, |room| room.min(max))
}
