//! The client's side: resolve, connect, start the session.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use crate::address::Address;
use crate::connection::{Connection, tune};
use crate::console::Console;
use crate::event::{Event, Failure, Peer};
use crate::framing::Framing;
use crate::session::{self, Ending};

/// Connects to `address`, trying each of its addresses for `timeout`, and talks with the
/// server there; returns how that ended.
pub fn run(
    address: &Address,
    timeout: Duration,
    console: &mut dyn Console,
) -> Result<Ending, Failure> {
    let stream = connect(address, timeout)?;
    let lost = |error| Failure::Lost(Peer::Server, error);
    tune(&stream).map_err(lost)?;
    console.show(&Event::ConnectedTo(stream.peer_addr().map_err(lost)?))?;
    session::run(
        &mut Connection::new(stream, Framing::Raw),
        Peer::Server,
        console,
    )
}

/// Tries every address that the name has, IPv4 first, and returns the first connection;
/// when there is none, fails with what the first address answered.
fn connect(address: &Address, timeout: Duration) -> Result<TcpStream, Failure> {
    let addresses = address
        .resolve()
        .map_err(|error| Failure::Resolve(address.clone(), error))?;
    let mut failure: Option<io::Error> = None;
    for socket in addresses {
        match TcpStream::connect_timeout(&socket, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                failure.get_or_insert(error);
            }
        }
    }
    let error = failure.unwrap_or_else(|| io::ErrorKind::NotFound.into());
    Err(Failure::Connect(address.clone(), error))
}
