//! The client's side: resolves the name, connects, converses, and reconnects if asked to.

use std::io;
use std::time::{Duration, Instant};

use crate::endpoint::{Address, Endpoint};
use crate::engine::Engine;
use crate::event::{Event, Failure, Peer};
use crate::explain::Log;
use crate::framing::{RAW_QUIET, Wire};
use crate::input::Kind;
use crate::peers::{Ends, Peers};
use crate::session::{Ending, Rules};
use crate::socket::{self, Socket};

/// The first and the longest pause before another attempt to connect.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(8));

/// How to reach the server.
#[derive(Debug, Clone, Copy)]
pub struct Attempts {
    /// The time limit for each address.
    pub timeout: Duration,
    /// For how long to try again after the server was not reached or the connection was lost.
    pub retry: Option<Duration>,
}

/// Connects to `endpoint`, and converses with the server by `rules`, in messages framed as `wire`
/// says. Returns how the conversation ended. Records the socket calls in `log`.
///
/// Fails if the name does not resolve, if no address answers, or as [`Engine::run`] does; for one
/// of the first two reasons or a lost connection only when the time of `attempts` is up.
pub fn run(
    endpoint: &Endpoint,
    attempts: Attempts,
    wire: &Wire,
    rules: &Rules,
    log: &Log,
    engine: &mut Engine,
) -> Result<Ending, Failure> {
    let mut outage = Outage::new(attempts.retry.unwrap_or_default());
    loop {
        let lost = match converse(endpoint, attempts, wire, rules, log, engine, &mut outage) {
            Err(lost @ (Failure::Resolve(..) | Failure::Connect(..) | Failure::Lost(..)))
                if attempts.retry.is_some() =>
            {
                lost
            }
            ended => return ended,
        };
        let Some(pause) = outage.next_pause() else {
            engine.tell_unsent()?;
            engine.tell_unsent_lines()?;
            return Err(lost);
        };
        engine.start_input()?;
        let trying_again = |pause| Event::TryingAgain {
            endpoint,
            failure: &lost,
            pause,
            tries: outage.tries,
        };
        // A loss is news, and stays on the screen.
        let is_news = matches!(lost, Failure::Lost(..));
        if let Some(ending) = engine.pause(pause, is_news, trying_again)? {
            return Ok(ending);
        }
    }
}

/// Connects once, and converses until the conversation ends.
fn converse(
    endpoint: &Endpoint,
    Attempts { timeout, retry }: Attempts,
    wire: &Wire,
    rules: &Rules,
    log: &Log,
    engine: &mut Engine,
    outage: &mut Outage,
) -> Result<Ending, Failure> {
    let (to, noted) = (endpoint.clone(), log.clone());
    let stream = match engine.run_aside(move || dial(&to, timeout, &noted))? {
        Ok(dialled) => dialled?,
        Err(ending) => return Ok(ending),
    };
    let lost = |error| Failure::Lost(Peer::Server, error);
    stream.tune().map_err(lost)?;
    let local = stream.local_address().map_err(lost)?;
    if local == *stream.peer() {
        // If no program listens on a port from which the system chooses the ports of clients, TCP
        // may connect the socket to itself (RFC 9293, simultaneous open).
        let refused = io::ErrorKind::ConnectionRefused.into();
        return Err(Failure::Connect(endpoint.clone(), refused));
    }
    engine.show(&Event::ConnectedTo {
        address: stream.peer(),
        local: &local,
    })?;
    let is_program = engine.kind() == Kind::Program;
    let ends = Ends {
        // What a program says may be on its way.
        grace: if is_program {
            RAW_QUIET
        } else {
            Duration::ZERO
        },
        linger: rules.linger,
        duplex: rules.duplex,
        answered: false,
        retries: retry.is_some(),
        ..Ends::default()
    };
    let mut peers = Peers::new(wire, ends);
    peers.add_server(stream);
    let rules = Rules {
        answers_blindly: is_program,
        retries: retry.is_some(),
        sends_empty: is_program || rules.duplex,
        ..rules.clone()
    };
    let connected = Instant::now();
    let ended = engine.run(&mut peers, rules);
    outage.since += connected.elapsed();
    if peers.has_heard() {
        *outage = Outage::new(outage.limit);
    }
    ended
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

    /// Returns the pause before the next attempt, or `None` if the time is up. The pause doubles
    /// with each attempt, up to a maximum, and is shortened at random by up to half, so that
    /// clients that lost the same server do not all reconnect at once.
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
        // The last attempt takes place when the time is up.
        (!left.is_zero()).then_some(pause.min(left))
    }
}

/// Resolves `endpoint`, and tries each of its addresses for at most `timeout`. Returns the first
/// connection. Fails if the name does not resolve or no address answers.
pub(crate) fn dial(endpoint: &Endpoint, timeout: Duration, log: &Log) -> Result<Socket, Failure> {
    let addresses = socket::resolve(endpoint, log)
        .map_err(|error| Failure::Resolve(endpoint.clone(), error))?;
    connect_to_any(&addresses, timeout, log)
        .map_err(|error| Failure::Connect(endpoint.clone(), error))
}

/// Tries each address. Returns the first connection, or fails with the error of the first address.
fn connect_to_any(addresses: &[Address], timeout: Duration, log: &Log) -> io::Result<Socket> {
    let mut failure = None;
    for address in addresses {
        match Socket::connect(address, timeout, log) {
            Err(error) => failure.get_or_insert(error),
            connected => return connected,
        };
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn listen() -> (TcpListener, Address) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = Address::Tcp(listener.local_addr().unwrap());
        (listener, address)
    }

    /// Returns a loopback address on which nothing listens.
    fn closed() -> Address {
        listen().1
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
        let (_listener, served) = listen();
        let addresses = [closed(), served.clone()];
        let connected = connect_to_any(&addresses, Duration::from_secs(10), &Log::default());
        assert_eq!(*connected.unwrap().peer(), served);
    }

    #[test]
    fn the_first_address_says_why_there_is_no_connection() {
        let addresses = [closed(), closed()];
        let connected = connect_to_any(&addresses, Duration::from_secs(10), &Log::default());
        let error = connected.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
