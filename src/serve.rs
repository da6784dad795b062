//! The server's side: listens, and converses with the clients that connect.

use std::io::ErrorKind;
use std::time::Duration;

use crate::endpoint::{Address, Endpoint};
use crate::engine::Engine;
use crate::event::{Event, Failure};
use crate::explain::Log;
use crate::framing::{LINGER, Wire};
use crate::input::Kind;
use crate::peers::{Ends, Limits, Peers};
use crate::session::{Ending, Rules};
use crate::socket::{self, ListeningSocket};

/// How long one of the clients that follow each other may leave unread what was sent to it.
const STUCK: Duration = Duration::from_secs(10);

/// Listens on the first address of `endpoint` that this machine has. At most `backlog` connections
/// wait to be accepted (listen(2)). Records the socket calls in `log`.
///
/// Fails if the name does not resolve or the address is not available. If the port is taken, no
/// other address of the same name is tried: clients would reach the other program.
pub fn listen(endpoint: &Endpoint, backlog: u16, log: &Log) -> Result<ListeningSocket, Failure> {
    let addresses = socket::resolve(endpoint, log)
        .map_err(|error| Failure::Resolve(endpoint.clone(), error))?;
    let mut failure = None;
    for address in addresses {
        match ListeningSocket::bind(&address, backlog, log) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                let lacks_it = [ErrorKind::AddrNotAvailable, ErrorKind::Unsupported];
                let goes_on = lacks_it.contains(&error.kind());
                failure.get_or_insert(Failure::Listen(address, error));
                if !goes_on {
                    break;
                }
            }
        }
    }
    Err(failure.unwrap_or_else(|| Failure::Resolve(endpoint.clone(), ErrorKind::NotFound.into())))
}

/// Converses with the clients that connect to `listener`, within `limits` and by `rules`, in
/// messages framed as `wire` says. Returns how the conversation ended.
///
/// The listening socket stays open to the end: clients beyond the limits wait in the backlog.
///
/// Fails if no client can be accepted, or as [`Engine::run`] does.
pub fn run(
    listener: ListeningSocket,
    limits: Limits,
    wire: &Wire,
    rules: Rules,
    engine: &mut Engine,
) -> Result<Ending, Failure> {
    let address = listener.local_address().map_err(Failure::Accept)?;
    let is_program = engine.kind() == Kind::Program;
    let answers_blindly = is_program && !engine.has_script();
    let stays_open = limits.max_clients.is_some();
    let ends = Ends {
        grace: if is_program {
            rules.linger.unwrap_or(LINGER)
        } else {
            Duration::ZERO
        },
        linger: rules.linger,
        duplex: rules.duplex,
        answered: answers_blindly && !rules.duplex && stays_open,
        keeps_raw: is_program,
        retries: false,
        idle_timeout: limits.idle_timeout,
        stuck_timeout: stays_open.then_some(STUCK),
    };
    let mut peers = Peers::new(wire, ends);
    let limited = !limits.access.allow.is_empty();
    peers
        .listen(listener, limits, engine.registry())
        .map_err(Failure::Accept)?;
    if let Address::Tcp(address) = address
        && engine.explains()
    {
        peers
            .notice_datagrams(address, engine.registry())
            .map_err(Failure::Accept)?;
    }
    if let Address::Unix(_) = address {
        // Its file is removed at the end.
        engine.leave_in_order()?;
    }
    engine.show(&Event::Listening(&address))?;
    if !address.is_local() {
        engine.show(&Event::Exposed { limited })?;
    }
    let rules = Rules {
        answers_blindly,
        server_first: rules.server_first || engine.has_greeting(),
        stays_open,
        sends_empty: is_program || rules.duplex,
        reads_lines: answers_blindly && stays_open && !rules.duplex,
        sends_to_all: is_program && rules.duplex,
        ..rules
    };
    engine.run(&mut peers, rules)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        let host = host.into();
        Endpoint::Tcp { host, port }
    }

    fn address(listener: &ListeningSocket) -> SocketAddr {
        match listener.local_address().unwrap() {
            Address::Tcp(address) => address,
            Address::Unix(path) => panic!("{path:?}"),
        }
    }

    #[test]
    fn localhost_is_listened_on_by_ipv4() {
        let listener = listen(&endpoint("localhost", 0), 2, &Log::default()).unwrap();
        assert!(address(&listener).is_ipv4());
    }

    #[test]
    fn a_taken_port_is_named() {
        let first = listen(&endpoint("localhost", 0), 2, &Log::default()).unwrap();
        let port = address(&first).port();
        let failure = listen(&endpoint("localhost", port), 2, &Log::default()).unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!(
                "cannot listen on 127.0.0.1:{port}: address already in use (another program \
                 has port {port}; choose another one, or 0 for any that is free)"
            )
        );
    }
}
