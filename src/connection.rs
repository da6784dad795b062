//! One peer: what is sent to it and what comes from it, over any stream of bytes.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::framing::{Decoder, Framing, Pause};
use crate::sanitize::Untrusted;

/// What is read from a peer at once, in bytes; nothing more of a message is ever kept.
pub const BUFFER: usize = 64 * 1024;

/// Silence on the line after which the kernel asks whether the peer's host still lives.
const KEEPALIVE_TIME: Duration = Duration::from_secs(45);
/// The pause between two such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// So many questions without an answer end the connection: 45 s + 4 × 15 s, which keeps
/// within the two minutes that a wait for a dead host may last.
const KEEPALIVE_RETRIES: u32 = 4;
/// What was sent must be acknowledged within so long (`TCP_USER_TIMEOUT`, RFC 5482).
#[cfg(target_os = "linux")]
const USER_TIMEOUT: Duration = Duration::from_secs(100);

/// A stream of bytes to a peer and back.
pub trait Stream: Read + Write + AsFd {
    /// Makes a read that has waited for `timeout` fail with `WouldBlock`; `None` lets it
    /// wait for ever. `timeout` is not zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, timeout)
    }
}

/// The stream of a test, and of whoever talks over a socket file.
impl Stream for UnixStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        UnixStream::set_read_timeout(self, timeout)
    }
}

/// Sets what every connection of ours wants: no delay for short messages, and an end to
/// the wait when the peer's host is gone without a word.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(
        &TcpKeepalive::new()
            .with_time(KEEPALIVE_TIME)
            .with_interval(KEEPALIVE_INTERVAL)
            .with_retries(KEEPALIVE_RETRIES),
    )?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

/// A part of a message, as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Its text; only the last part of a message may be empty or end inside a character.
    pub text: Untrusted<'a>,
    /// The message begins with it.
    pub first: bool,
    /// The message ends with it.
    pub last: bool,
}

/// A peer that messages are sent to and received from.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// How much of the buffer was read into, and how much of that was handed out.
    filled: usize,
    handed: usize,
    /// The read timeout that is set on the stream, to set it only when it changes.
    timeout: Option<Duration>,
}

impl<S: Stream> Connection<S> {
    /// A connection over `stream`, which has no read timeout yet; both ends must use the
    /// same `framing`.
    pub fn new(stream: S, framing: Framing) -> Self {
        Self {
            stream,
            decoder: Decoder::new(framing),
            buffer: vec![0; BUFFER].into_boxed_slice(),
            filled: 0,
            handed: 0,
            timeout: None,
        }
    }

    /// Sends `text`, a message or a part of a long one. A message that comes whole goes
    /// out in one write, which the raw framing needs. Fails as the stream does.
    pub fn send(&mut self, text: &[u8]) -> io::Result<()> {
        self.stream.write_all(text)
    }

    /// Waits for the next part of a message and returns it; `None` when the peer has
    /// closed its side and everything it sent was handed out. Fails as the stream does.
    pub fn recv(&mut self) -> io::Result<Option<Part<'_>>> {
        self.buffer.copy_within(self.handed..self.filled, 0);
        self.filled -= self.handed;
        self.handed = 0;
        let mut pause = Pause::None;
        loop {
            let unread = &self.buffer[..self.filled];
            if let Some(piece) = self.decoder.decode(unread, pause) {
                self.handed = piece.text;
                return Ok(Some(Part {
                    text: Untrusted(&self.buffer[..piece.text]),
                    first: piece.first,
                    last: piece.last,
                }));
            }
            if pause == Pause::Closed {
                return Ok(None);
            }
            pause = self.read()?;
        }
    }

    /// Reads once, for as long as the decoder has patience.
    fn read(&mut self) -> io::Result<Pause> {
        let patience = self.decoder.patience(self.filled);
        if patience != self.timeout {
            self.stream.set_read_timeout(patience)?;
            self.timeout = patience;
        }
        loop {
            return match self.stream.read(&mut self.buffer[self.filled..]) {
                Ok(0) => Ok(Pause::Closed),
                Ok(count) => {
                    self.filled += count;
                    Ok(Pause::None)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Pause::Quiet),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
        }
    }
}

impl<S: AsFd> AsFd for Connection<S> {
    /// What to poll to learn that [`Connection::recv`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn pair() -> (Connection<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Connection::new(ours, Framing::Raw), theirs)
    }

    /// Receives one whole message and says in how many parts it came.
    fn message(connection: &mut Connection<UnixStream>) -> Option<(Vec<u8>, usize)> {
        let mut text = Vec::new();
        let mut parts = 0;
        while let Some(part) = connection.recv().unwrap() {
            assert_eq!(part.first, parts == 0);
            text.extend_from_slice(part.text.bytes());
            parts += 1;
            if part.last {
                return Some((text, parts));
            }
        }
        assert_eq!(parts, 0, "a message did not end");
        None
    }

    #[test]
    fn what_is_sent_is_the_text_and_nothing_else() {
        let (mut ours, mut theirs) = pair();
        ours.send("gr\u{fc}ezi".as_bytes()).unwrap();
        drop(ours);
        let mut got = Vec::new();
        theirs.read_to_end(&mut got).unwrap();
        assert_eq!(got, "gr\u{fc}ezi".as_bytes());
    }

    #[test]
    fn messages_come_one_by_one_and_then_the_end() {
        let (mut ours, mut theirs) = pair();
        for text in ["one", "two"] {
            theirs.write_all(text.as_bytes()).unwrap();
            assert_eq!(message(&mut ours), Some((text.into(), 1)));
        }
        drop(theirs);
        assert_eq!(message(&mut ours), None);
        assert_eq!(message(&mut ours), None);
    }

    #[test]
    fn a_message_longer_than_the_buffer_comes_whole() {
        let (mut ours, mut theirs) = pair();
        let long: Vec<u8> = "\u{fc}\u{1f468}x".repeat(100_000).into_bytes();
        let sent = long.clone();
        let sender = thread::spawn(move || {
            theirs.write_all(&sent).unwrap();
            theirs
        });
        let (got, parts) = message(&mut ours).unwrap();
        assert_eq!(got.len(), long.len());
        assert!(got == long && parts > 10);
        let mut theirs = sender.join().unwrap();
        theirs.write_all(b"next").unwrap();
        assert_eq!(message(&mut ours), Some((b"next".to_vec(), 1)));
    }

    #[test]
    fn a_character_cut_by_the_buffer_is_put_together() {
        let (mut ours, mut theirs) = pair();
        // An odd first byte puts a two-byte character across the end of every buffer.
        let long = format!("x{}", "\u{fc}".repeat(BUFFER));
        let sent = long.clone();
        let sender = thread::spawn(move || theirs.write_all(sent.as_bytes()).unwrap());
        let mut got = String::new();
        while let Some(part) = ours.recv().unwrap() {
            got.push_str(std::str::from_utf8(part.text.bytes()).unwrap());
            if part.last {
                break;
            }
        }
        sender.join().unwrap();
        assert!(got == long);
    }

    #[test]
    fn what_came_before_the_peer_left_is_still_a_message() {
        let (mut ours, mut theirs) = pair();
        theirs.write_all(b"half a \xc3").unwrap();
        drop(theirs);
        let (got, _) = message(&mut ours).unwrap();
        assert_eq!(got, b"half a \xc3");
        assert_eq!(message(&mut ours), None);
    }
}
