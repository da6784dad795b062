//! The client's side: resolve, connect, start the session.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::address::Address;
use crate::connection::{Connection, tune};
use crate::console::Console;
use crate::event::{Event, Failure, Peer};
use crate::framing::Wire;
use crate::session::{self, Ending};

/// Connects to `address`, trying each of its addresses for `timeout`, and talks with the
/// server there, in messages as `wire` has them; returns how that ended.
///
/// Fails when the name does not resolve, when no address answers, or as
/// [`session::run`] does.
pub fn run(
    address: &Address,
    timeout: Duration,
    wire: &Wire,
    console: &mut dyn Console,
) -> Result<Ending, Failure> {
    let stream = connect(address, timeout)?;
    let lost = |error| Failure::Lost(Peer::Server, error);
    tune(&stream).map_err(lost)?;
    console.show(&Event::ConnectedTo(stream.peer_addr().map_err(lost)?))?;
    session::run(&mut Connection::new(stream, wire), Peer::Server, console)
}

/// Resolves `address` and connects to it.
fn connect(address: &Address, timeout: Duration) -> Result<TcpStream, Failure> {
    let addresses = address
        .resolve()
        .map_err(|error| Failure::Resolve(address.clone(), error))?;
    connect_to_any(&addresses, timeout).map_err(|error| Failure::Connect(address.clone(), error))
}

/// Tries each address for `timeout` and returns the first connection; when there is none,
/// fails with what the first address answered.
fn connect_to_any(addresses: &[SocketAddr], timeout: Duration) -> io::Result<TcpStream> {
    let mut failure = None;
    for address in addresses {
        match TcpStream::connect_timeout(address, timeout) {
            Ok(stream) => return Ok(stream),
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
    fn localhost_is_the_ipv6_address_on_one_side() {
        // A name with two addresses, of which only the second is served.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let served = listener.local_addr().unwrap();
        let stream = connect_to_any(&[closed(), served], Duration::from_secs(10)).unwrap();
        assert_eq!(stream.peer_addr().unwrap(), served);
    }

    #[test]
    fn the_first_address_says_why_there_is_no_connection() {
        let error = connect_to_any(&[closed(), closed()], Duration::from_secs(10)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
