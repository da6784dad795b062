//! Stands between a client and a server: passes their bytes on unchanged, as early, late, torn or
//! joined as it is told, and shows each passage.

use std::io::{self, BufRead as _, stdin};
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token};

use crate::connect::dial;
use crate::endpoint::Endpoint;
use crate::event::{Event, Failure, Parting, Peer, Relayed, Way};
use crate::explain::Log;
use crate::report::Report;
use crate::socket::{ListeningSocket, SharedSocket, Socket};
use crate::sys;

/// How long each address of the server is tried.
const CONNECTING: Duration = Duration::from_secs(10);

/// How many clients may wait to be accepted.
pub const BACKLOG: u16 = 16;

/// How long a call waits before it is looked whether the connection was reset meanwhile, and how long
/// at least: no time at all would be without a limit.
const LOOKING: Duration = Duration::from_millis(100);
const LEAST: Duration = Duration::from_millis(1);

/// The maximum number of clients at once. Each takes two threads; the others wait in the backlog.
const CLIENTS: usize = 100;

/// How long no client is accepted after there was no descriptor or thread for one.
const RECOVERY: Duration = Duration::from_secs(1);

/// The maximum number of bytes to read at once, and to join.
const BUFFER: usize = 64 * 1024;

/// How bytes are passed on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// At most this many at a time.
    pub split: Option<usize>,
    /// The pause between two parts of what was split.
    pub delay: Duration,
    /// All that come within this time after the first, at once.
    pub join: Option<Duration>,
    /// Each time only when Enter is pressed.
    pub step: bool,
    /// Only this many on a connection, in both directions together. Then it is reset.
    pub cut_after: Option<u64>,
}

/// What all connections share.
struct Relay {
    options: Options,
    target: Endpoint,
    log: Log,
    report: Mutex<Report>,
}

/// A client, the server that it is connected to through us, and what has passed between them.
#[derive(Debug)]
struct Connection {
    number: u32,
    client: SharedSocket,
    server: SharedSocket,
    passed: AtomicU64,
    /// Whether it is reset instead of closed.
    broken: AtomicBool,
    /// Which way was closed first.
    closed: OnceLock<Way>,
}

/// Connects each client of `listener` to `target`, and passes bytes on as `options` tell. Records the
/// socket calls in `log`, and shows in `report` what happens. Ends only if it fails: if the system
/// cannot wait for clients, or nothing can be shown.
pub fn run(
    mut listener: ListeningSocket,
    target: Endpoint,
    options: Options,
    log: Log,
    report: Report,
) -> Result<(), Failure> {
    let relay = Arc::new(Relay {
        options,
        target,
        log,
        report: Mutex::new(report),
    });
    let address = listener.local_address().map_err(Failure::Accept)?;
    let mut poll = Poll::new().map_err(Failure::Accept)?;
    let mut events = Events::with_capacity(1);
    listener
        .register(poll.registry(), Token(0))
        .map_err(Failure::Accept)?;
    relay.show(&Event::Listening(&address))?;
    let mut number = 0;
    let mut told_crowded = false;
    loop {
        let started = match listener.accept() {
            Ok(client) => {
                number += 1;
                let peer = Peer::Numbered(number);
                relay.show(&Event::ConnectionFrom(peer, client.peer()))?;
                let of_thread = Arc::clone(&relay);
                let started = thread::Builder::new().spawn(move || {
                    let closed = of_thread.relay(number, client);
                    // What cannot be shown is told when the next client comes.
                    let _ = closed.and_then(|closed| of_thread.ended(number, closed));
                });
                if started.is_err() {
                    relay.ended(number, None)?;
                }
                started
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                match poll.poll(&mut events, None) {
                    Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                        return Err(Failure::Accept(error));
                    }
                    _ => continue,
                }
            }
            Err(error) => Err(error),
        };
        if let Err(crowded) = started {
            if !mem::replace(&mut told_crowded, true) {
                relay.show(&Event::Crowded(&crowded))?;
            }
            thread::sleep(RECOVERY);
            continue;
        }
        told_crowded = false;
        // Each client's thread has the relay, too.
        while Arc::strong_count(&relay) > CLIENTS {
            thread::sleep(LOOKING);
        }
    }
}

impl Relay {
    fn show(&self, event: &Event<'_>) -> Result<(), Failure> {
        let mut report = self.report.lock().unwrap_or_else(PoisonError::into_inner);
        report.show(event).map_err(Failure::Output)
    }

    fn tell(&self, number: u32, relayed: Relayed<'_>) -> Result<(), Failure> {
        self.show(&Event::Relayed(number, relayed))
    }

    /// Shows that the conversation with the client with this number has ended; `closed` is the
    /// way that was closed first, if one was. The transcript keeps what it knows of a client until then.
    fn ended(&self, number: u32, closed: Option<Way>) -> Result<(), Failure> {
        let peer = Peer::Numbered(number);
        self.show(&match closed {
            Some(Way::ToServer) => Event::Gone(peer, &Parting::Left),
            _ => Event::Closed {
                peer,
                goes_on: true,
            },
        })
    }

    /// Connects the client with this number to the server, and passes on what they send until both
    /// have closed their sides. Returns which way was closed first, if one was. Fails if it cannot be
    /// shown.
    fn relay(&self, number: u32, mut client: Socket) -> Result<Option<Way>, Failure> {
        client.set_number(number);
        let mut server = match self.connect(&client) {
            Ok(server) => server,
            Err(failure) => {
                let _ = SharedSocket::new(client).and_then(|client| client.reset());
                self.tell(number, Relayed::Unreachable(&failure))?;
                return Ok(None);
            }
        };
        server.set_number(number);
        let (Ok(client), Ok(server)) = (SharedSocket::new(client), SharedSocket::new(server))
        else {
            return Ok(None);
        };
        let connection = Connection {
            number,
            client,
            server,
            passed: AtomicU64::new(0),
            broken: AtomicBool::new(false),
            closed: OnceLock::new(),
        };
        thread::scope(|scope| {
            let back = || self.pass(&connection, Way::ToClient);
            match thread::Builder::new().spawn_scoped(scope, back) {
                Ok(back) => self
                    .pass(&connection, Way::ToServer)
                    .and(back.join().unwrap_or(Ok(()))),
                Err(error) => {
                    connection.reset();
                    self.tell(number, Relayed::Lost(Way::ToClient, &error))
                }
            }
        })?;
        Ok(connection.closed.into_inner())
    }

    fn connect(&self, client: &Socket) -> Result<Socket, Failure> {
        let server = dial(&self.target, CONNECTING, &self.log)?;
        let tuned = client.tune().and_then(|()| server.tune());
        tuned.map_err(|error| Failure::Connect(self.target.clone(), error))?;
        Ok(server)
    }

    /// Passes on what goes this `way`, until its sender closes its side or the connection breaks.
    /// Fails if it cannot be shown.
    fn pass(&self, connection: &Connection, way: Way) -> Result<(), Failure> {
        let (from, to) = connection.ends(way);
        let number = connection.number;
        let mut buffer = vec![0; BUFFER];
        let mut failed = None;
        loop {
            let count = match self.receive(connection, from, &mut buffer, &mut failed) {
                _ if connection.broken.load(Ordering::SeqCst) => return Ok(()),
                Ok(count) => count,
                Err(error) => {
                    connection.reset();
                    return self.tell(number, Relayed::Lost(way, &error));
                }
            };
            if count == 0 {
                connection.closed.get_or_init(|| way);
                // Fails only if the other side is gone.
                let _ = to.close();
                return self.tell(number, Relayed::Closed(way));
            }
            let size = self.options.split.unwrap_or(count);
            for (index, part) in buffer[..count].chunks(size).enumerate() {
                if index > 0 {
                    thread::sleep(self.options.delay);
                }
                if !self.forward(connection, way, part)? {
                    return Ok(());
                }
            }
        }
    }

    /// Receives what comes next, and with [`Options::join`] what follows it. Returns the number of
    /// bytes. Fails as recv(2) does, or if the connection is reset meanwhile; an error after bytes is
    /// kept in `failed` for the next call.
    fn receive(
        &self,
        connection: &Connection,
        from: &SharedSocket,
        buffer: &mut [u8],
        failed: &mut Option<io::Error>,
    ) -> io::Result<usize> {
        if let Some(error) = failed.take() {
            return Err(error);
        }
        let mut count = loop {
            match from.recv(buffer, LOOKING) {
                // Not on every system does a reset end the call of the other thread.
                Err(error)
                    if error.kind() == sys::READ_TIMED_OUT
                        && !connection.broken.load(Ordering::SeqCst) => {}
                received => break received?,
            }
        };
        let until = self.options.join.map(|join| Instant::now() + join);
        while let Some(until) = until
            && (1..buffer.len()).contains(&count)
            && let Some(left) = until.checked_duration_since(Instant::now())
        {
            match from.recv(&mut buffer[count..], left.max(LEAST)) {
                Ok(more @ 1..) => count += more,
                Err(error) if error.kind() != sys::READ_TIMED_OUT => {
                    *failed = Some(error);
                    break;
                }
                // No more came, or no more can come, which the next call tells.
                _ => break,
            }
        }
        Ok(count)
    }

    /// Sends `part` to its recipient. Returns whether the connection goes on. Fails if it cannot be
    /// shown.
    fn forward(&self, connection: &Connection, way: Way, part: &[u8]) -> Result<bool, Failure> {
        let number = connection.number;
        if self.options.step {
            // The next Enter is for whom has it.
            let mut input = stdin().lock();
            self.tell(number, Relayed::Held(way, part))?;
            // At the end of the input, nothing holds it up any more.
            let _ = input.read_line(&mut String::new());
        }
        let length = part.len() as u64;
        let before = connection.passed.fetch_add(length, Ordering::SeqCst);
        let most = self.options.cut_after.unwrap_or(u64::MAX);
        let room = most.saturating_sub(before).min(length);
        let (part, rest) = part.split_at(usize::try_from(room).unwrap_or_default());
        if !part.is_empty() {
            // Shown before it can be answered.
            self.tell(number, Relayed::Passed(way, part))?;
            let (_, to) = connection.ends(way);
            if let Err(error) = to.send_all(part) {
                connection.reset();
                self.tell(number, Relayed::Lost(way.back(), &error))?;
                return Ok(false);
            }
        }
        if before + length >= most && !connection.broken.load(Ordering::SeqCst) {
            connection.reset();
            self.tell(number, Relayed::Cut(most))?;
        }
        Ok(rest.is_empty() && !connection.broken.load(Ordering::SeqCst))
    }
}

impl Connection {
    /// Returns the sender and the recipient of what goes this `way`.
    fn ends(&self, way: Way) -> (&SharedSocket, &SharedSocket) {
        match way {
            Way::ToServer => (&self.client, &self.server),
            Way::ToClient => (&self.server, &self.client),
        }
    }

    /// Has the connections to both reset when no call waits for them any more.
    fn reset(&self) {
        self.broken.store(true, Ordering::SeqCst);
        for end in [&self.client, &self.server] {
            // Fails only if the connection is gone.
            let _ = end.reset();
        }
    }
}
