//! Our end of a connection to the program that is checked.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::SockRef;

/// How long our own messages may take to be accepted.
const SENDING: Duration = Duration::from_secs(2);

/// The number of bytes from which on nothing more is received until they are taken.
const ENOUGH: usize = 1 << 20;

/// A connection, and what has come on it. Nothing of it waits.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
    /// What has come and was not taken.
    arrived: Vec<u8>,
    /// When the last of it came.
    pub(super) last: Instant,
    end: Option<End>,
}

/// How the other side has ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Closed,
    Reset,
}

impl Peer {
    /// Takes over `stream`. If it `resets`, the connection is reset when this is dropped: whoever closes
    /// first keeps the port in `TIME_WAIT` for a minute, and a server without `SO_REUSEADDR` could not be
    /// started again. Fails if `stream` is broken.
    pub(super) fn new(stream: TcpStream, resets: bool) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(SENDING))?;
        SockRef::from(&stream).set_linger(resets.then_some(Duration::ZERO))?;
        Ok(Self {
            stream,
            arrived: Vec::new(),
            last: Instant::now(),
            end: None,
        })
    }

    /// Sends `bytes`, in one segment if they fit one. It is for the checks to see that the other side
    /// has left.
    pub(super) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.set_nonblocking(false);
        let _ = self.stream.write_all(bytes);
    }

    /// Receives what has come. Returns all of it that was not taken.
    pub(super) fn arrived(&mut self) -> &[u8] {
        let _ = self.stream.set_nonblocking(true);
        let mut buffer = [0; 16 * 1024];
        while self.end.is_none() && self.arrived.len() < ENOUGH {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.end = Some(End::Closed),
                Ok(count) => {
                    self.arrived.extend_from_slice(&buffer[..count]);
                    self.last = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end = Some(End::Reset),
            }
        }
        &self.arrived
    }

    /// Takes what has come.
    pub(super) fn take(&mut self) -> Vec<u8> {
        self.arrived();
        std::mem::take(&mut self.arrived)
    }

    /// Returns how the other side has ended the connection, if it has.
    pub(super) fn end(&mut self) -> Option<End> {
        self.arrived();
        self.end
    }

    /// Closes the connection in order.
    pub(super) fn close(self) {
        let _ = SockRef::from(&self.stream).set_linger(None);
    }
}
