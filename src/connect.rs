//! The client's side: resolve, connect, start the session.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::address::Address;
use crate::connection::Connection;
use crate::console::{Console, Wait};
use crate::event::{Awaited, Event, Failure, Peer};
use crate::explain::Log;
use crate::framing::Wire;
use crate::inbox::One;
use crate::session::{self, Ending, OnLoss};
use crate::socket::{self, Socket};
use crate::watch::Until;

/// The first pause before the server is tried again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// How long the server is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Each of its addresses for so long.
    pub connect_timeout: Duration,
    /// Again and again for so long, when it is not there or the connection is lost; `None`:
    /// once.
    pub retry: Option<Duration>,
}

/// Connects to `address`, with `patience`, and talks with the server there, in messages as
/// `wire` has them; returns how that ended. The calls are noted in `log`.
///
/// Fails when the name does not resolve, when no address answers, or as [`session::run`]
/// does, and all the while `patience` allows for.
pub fn run(
    address: &Address,
    patience: Patience,
    wire: &Wire,
    log: &Log,
    console: &mut dyn Console,
) -> Result<Ending, Failure> {
    let Some(limit) = patience.retry else {
        let mut server = connect(address, patience, wire, log, console)?;
        return session::run(&mut server, OnLoss::End, console);
    };
    let mut outage = Outage::new(limit);
    loop {
        let ended = match connect(address, patience, wire, log, console) {
            Ok(mut server) => {
                let connected = Instant::now();
                let ended = session::run(&mut server, OnLoss::TryAgain, console);
                outage.since += connected.elapsed();
                if server.has_spoken() {
                    outage = Outage::new(limit);
                }
                ended
            }
            Err(failure) => Err(failure),
        };
        let failure = match ended {
            Err(failure @ (Failure::Resolve(..) | Failure::Connect(..) | Failure::Lost(..))) => {
                failure
            }
            ended => return ended,
        };
        let Some(pause) = outage.next_pause() else {
            session::tell_unsent(console, true)?;
            return Err(failure);
        };
        console.show(&Event::TryingAgain {
            failure: &failure,
            pause,
            tries: outage.tries,
        })?;
        let until = Instant::now() + pause;
        match console.wait(Awaited::AServer, &mut Until(until))? {
            Wait::Incoming => thread::sleep(until.saturating_duration_since(Instant::now())),
            Wait::EndOfInput => return Ok(Ending::EndOfInput),
            Wait::Interrupted => return Ok(Ending::Interrupted),
        }
    }
}

/// A time without a server.
#[derive(Debug)]
struct Outage {
    since: Instant,
    limit: Duration,
    tries: u32,
}

impl Outage {
    fn new(limit: Duration) -> Self {
        Self {
            since: Instant::now(),
            limit,
            tries: 0,
        }
    }

    /// The pause before the next try: twice as long each time, and a random part of that
    /// less, so that clients that have lost the same server do not come back all at once.
    /// `None` when there is to be no other try.
    fn next_pause(&mut self) -> Option<Duration> {
        if self.tries == 0 {
            self.since = Instant::now();
        }
        let left = self.limit.checked_sub(self.since.elapsed())?;
        let (first, longest) = PAUSES;
        let pause = first
            .saturating_mul(1 << self.tries.min(16))
            .min(longest)
            .mul_f64(0.5 + fastrand::f64() / 2.0)
            .max(first);
        self.tries += 1;
        // The last try is when the time is up.
        (!left.is_zero()).then_some(pause.min(left))
    }
}

/// Resolves `server`, connects to it and says so.
fn connect(
    server: &Address,
    patience: Patience,
    wire: &Wire,
    log: &Log,
    console: &mut dyn Console,
) -> Result<One<Socket>, Failure> {
    let addresses =
        socket::resolve(server, log).map_err(|error| Failure::Resolve(server.clone(), error))?;
    console.explain()?;
    let (stream, address) = connect_to_any(&addresses, patience.connect_timeout, log)
        .map_err(|error| Failure::Connect(server.clone(), error))?;
    let lost = |error| Failure::Lost(Peer::Server, error);
    stream.tune().map_err(lost)?;
    let local = stream.local_address().map_err(lost)?;
    if local == address {
        // Where nobody listens on a port that the kernel may choose for our own end, TCP
        // connects the socket with itself (RFC 9293, simultaneous open).
        let refused = io::ErrorKind::ConnectionRefused.into();
        return Err(Failure::Connect(server.clone(), refused));
    }
    console.show(&Event::ConnectedTo { address, local })?;
    Ok(One::new(Connection::new(stream, wire), Peer::Server))
}

/// Tries each address for `timeout` and returns the first connection, with its address; when
/// there is none, fails with what the first address answered.
fn connect_to_any(
    addresses: &[SocketAddr],
    timeout: Duration,
    log: &Log,
) -> io::Result<(Socket, SocketAddr)> {
    let mut failure = None;
    for address in addresses {
        match Socket::connect(*address, timeout, log) {
            Ok(stream) => return Ok((stream, *address)),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A loopback address where nothing listens.
    fn closed() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    }

    #[test]
    fn the_pauses_grow_up_to_the_longest_and_end_with_the_patience() {
        let mut outage = Outage::new(Duration::from_hours(1));
        for exponent in 0..40 {
            let pause = outage.next_pause().unwrap();
            let whole = Duration::from_millis(250 << exponent.min(5));
            let least = (whole / 2).max(Duration::from_millis(250));
            assert!((least..=whole).contains(&pause), "{exponent}: {pause:?}");
        }
        assert_eq!(outage.tries, 40);
        let mut outage = Outage::new(Duration::from_millis(100));
        assert!(outage.next_pause().unwrap() <= Duration::from_millis(100));
        let mut outage = Outage::new(Duration::ZERO);
        assert_eq!(outage.next_pause(), None);
    }

    #[test]
    fn localhost_is_the_ipv6_address_on_one_side() {
        // A name with two addresses, of which only the second is served.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let served = listener.local_addr().unwrap();
        let addresses = [closed(), served];
        let connected = connect_to_any(&addresses, Duration::from_secs(10), &Log::default());
        assert_eq!(connected.unwrap().1, served);
    }

    #[test]
    fn the_first_address_says_why_there_is_no_connection() {
        let addresses = [closed(), closed()];
        let connected = connect_to_any(&addresses, Duration::from_secs(10), &Log::default());
        let error = connected.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
