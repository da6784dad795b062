//! The server's side: bind, listen with a backlog, accept a client, start the session.

use std::io;

use crate::address::{Address, is_local};
use crate::connection::Connection;
use crate::console::{Console, Wait};
use crate::event::{Awaited, Event, Failure, Peer};
use crate::explain::Log;
use crate::framing::Wire;
use crate::inbox::{Clients, One, Terms};
use crate::session::{self, Ending, OnLoss};
use crate::socket::{self, Socket};

/// Listens on the first address of `address` that this machine has, with room for
/// `backlog` connections that wait to be accepted (listen(2)). Its calls are noted in `log`.
///
/// Fails when the name does not resolve, or when the address cannot be had. A port that
/// is taken is never evaded by another address of the same name: clients would find the
/// other program.
pub fn listen(address: &Address, backlog: u16, log: &Log) -> Result<Socket, Failure> {
    let addresses =
        socket::resolve(address, log).map_err(|error| Failure::Resolve(address.clone(), error))?;
    let mut failure = None;
    for address in addresses {
        match Socket::listen(address, backlog, log) {
            Ok(listener) => return Ok(listener),
            Err(error) => {
                let goes_on = matches!(
                    error.kind(),
                    io::ErrorKind::AddrNotAvailable | io::ErrorKind::Unsupported
                );
                failure.get_or_insert(Failure::Listen(address, error));
                if !goes_on {
                    break;
                }
            }
        }
    }
    Err(failure
        .unwrap_or_else(|| Failure::Resolve(address.clone(), io::ErrorKind::NotFound.into())))
}

/// Talks with those who come to `listener`, in messages as `wire` has them, and returns how
/// that ended.
///
/// Where only one client is served, the listening socket is closed once it is there: a
/// second one is refused at once, and does not hang in the backlog.
///
/// Fails when no client can be accepted, or as [`session::run`] does.
pub fn run(
    mut listener: Socket,
    terms: Terms,
    wire: &Wire,
    console: &mut dyn Console,
) -> Result<Ending, Failure> {
    let address = listener.local_address().map_err(Failure::Accept)?;
    console.show(&Event::Listening(address))?;
    if !is_local(address.ip()) {
        console.show(&Event::Exposed)?;
    }
    if terms != Terms::default() {
        let mut clients = Clients::new(listener, terms, wire).map_err(Failure::Accept)?;
        return session::run(&mut clients, OnLoss::End, console);
    }
    match console.wait(Awaited::AClient, &mut listener)? {
        Wait::Incoming => {}
        Wait::EndOfInput => return Ok(Ending::EndOfInput),
        Wait::Interrupted => return Ok(Ending::Interrupted),
    }
    let (mut stream, client) = listener.accept().map_err(Failure::Accept)?;
    drop(listener);
    let peer = Peer::Client;
    console.show(&Event::ConnectionFrom(peer, client))?;
    stream
        .tune_served()
        .map_err(|error| Failure::Lost(peer, error))?;
    let mut client = One::new(Connection::new(stream, wire), peer);
    session::run(&mut client, OnLoss::End, console)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(host: &str, port: u16) -> Address {
        Address {
            host: host.into(),
            port,
        }
    }

    #[test]
    fn localhost_is_listened_on_by_ipv4() {
        let listener = listen(&address("localhost", 0), 2, &Log::default()).unwrap();
        assert!(listener.local_address().unwrap().is_ipv4());
    }

    #[test]
    fn the_unspecified_ipv6_address_takes_ipv4_too() {
        let listener = listen(&address("::", 0), 2, &Log::default()).unwrap();
        let port = listener.local_address().unwrap().port();
        std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (_, client) = listener.accept().unwrap();
        assert!(is_local(client.ip()));
    }

    #[test]
    fn a_taken_port_is_named() {
        let first = listen(&address("localhost", 0), 2, &Log::default()).unwrap();
        let port = first.local_address().unwrap().port();
        let failure = listen(&address("localhost", port), 2, &Log::default()).unwrap_err();
        assert_eq!(
            failure.to_string(),
            format!(
                "cannot listen on 127.0.0.1:{port}: address already in use (another program \
                 has port {port}; choose one with --port, or --port 0 for any that is free)"
            )
        );
    }
}
