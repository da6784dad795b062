//! One peer: what is sent to it and what comes from it, over any stream of bytes.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};
use socket2::{SockRef, TcpKeepalive};

use crate::framing::{self, Decoder, Encoder, Framing, Oddity, Pause, Piece, Text, Wire};
use crate::sanitize::Untrusted;

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

/// That the peer has closed its side, whatever it has sent before (poll(2)).
#[cfg(target_os = "linux")]
pub const HANG_UP: PollFlags = PollFlags::from_bits_retain(nix::libc::POLLRDHUP);
/// Elsewhere it cannot be told before what was sent is read.
#[cfg(not(target_os = "linux"))]
pub const HANG_UP: PollFlags = PollFlags::empty();

/// What to poll, and for what.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'a> {
    socket: BorrowedFd<'a>,
    events: PollFlags,
}

impl<'a> Watch<'a> {
    /// Waits for something to read from `socket`, or to accept.
    pub fn readable(socket: &'a impl AsFd) -> Self {
        Self {
            socket: socket.as_fd(),
            events: PollFlags::POLLIN,
        }
    }

    /// What poll(2) takes, to wait for `events` as well.
    #[must_use]
    pub fn or(self, events: PollFlags) -> PollFd<'a> {
        PollFd::new(self.socket, self.events | events)
    }
}

/// A stream of bytes to a peer and back.
pub trait Stream: Read + Write + AsFd {
    /// Makes a read that has waited for `timeout` fail with `WouldBlock`; `None` lets it
    /// wait for ever. Fails when `timeout` is zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Closes our side of it (shutdown(2)): the peer reads the end, and can still write.
    /// Fails when the stream is broken already.
    fn close(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        TcpStream::set_read_timeout(self, timeout)
    }

    fn close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// The stream of a test, and of whoever talks over a socket file.
impl Stream for UnixStream {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        UnixStream::set_read_timeout(self, timeout)
    }

    fn close(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Sets what every connection of ours wants: no delay for short messages, and an end to
/// the wait when the peer's host is gone without a word. Fails when the connection is
/// broken already.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    text: Cow<'a, [u8]>,
    name: Option<String>,
    /// The message begins with it.
    pub first: bool,
    /// The message ends with it.
    pub last: bool,
    /// What is odd about it.
    pub oddity: Option<Oddity>,
}

impl Part<'_> {
    /// What it says; only the last part of a message may be empty or end inside a
    /// character.
    #[must_use]
    pub fn text(&self) -> Untrusted<'_> {
        Untrusted(&self.text)
    }

    /// Whom it says it is from, where the framing tells.
    #[must_use]
    pub fn name(&self) -> Option<Untrusted<'_>> {
        let name = self.name.as_ref()?;
        Some(Untrusted(name.as_bytes()))
    }
}

/// What [`Connection::receive`] has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// The next part of a message.
    Part(Part<'a>),
    /// Something was read, and the end of the message is still to come.
    Pending,
    /// The end of the message has not come for as long as [`framing::UNENDED`].
    Stalled,
    /// The peer has closed its side, and all that it had sent was handed out.
    Closed,
}

/// A peer that messages are sent to and received from.
#[derive(Debug)]
pub struct Connection<S> {
    stream: S,
    encoder: Encoder,
    decoder: Decoder,
    buffer: Box<[u8]>,
    /// What was read and not handed out yet is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// A piece that was found already.
    found: Option<Piece>,
    /// Since when a message stands read whose end has not come.
    unended: Option<Instant>,
    /// The read timeout that is set on the stream, to set it only when it changes.
    timeout: Option<Duration>,
    reading: Reading,
}

/// What is still to be expected from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Anything.
    On,
    /// The rest of what it has sent.
    Left,
    /// What comes before the line falls quiet: we have closed our side.
    Lingering,
    /// Nothing: its end was read.
    Ended,
}

impl<S: Stream> Connection<S> {
    /// A connection over `stream`, which has no read timeout yet. Both ends must use the
    /// same framing.
    pub fn new(stream: S, wire: &Wire) -> Self {
        Self {
            stream,
            encoder: Encoder::new(wire),
            decoder: Decoder::new(wire.framing),
            buffer: vec![0; wire.framing.limit()].into_boxed_slice(),
            start: 0,
            end: 0,
            found: None,
            unended: None,
            timeout: None,
            reading: Reading::On,
        }
    }

    /// How messages are marked off on this connection.
    pub fn framing(&self) -> Framing {
        self.decoder.framing()
    }

    /// Sends `text`, a part of a message and, if `last`, its end, in one write: a message
    /// that comes whole goes out whole, which the raw framing needs. Returns whether
    /// newlines within it became spaces. Fails as the stream does.
    pub fn send(&mut self, text: &[u8], last: bool) -> io::Result<bool> {
        self.decoder.end_message();
        let encoded = self.encoder.encode(text, last);
        self.stream.write_all(encoded.wire)?;
        Ok(encoded.joined)
    }

    /// Closes our side: nothing more will be sent. What the peer still sends is received
    /// until it closes its own, or until it is quiet for [`framing::RAW_QUIET`]. Fails as
    /// the stream does.
    pub fn close(&mut self) -> io::Result<()> {
        if self.reading == Reading::On {
            self.reading = Reading::Lingering;
        }
        self.stream.close()
    }

    /// Waits for the peer, and returns what that has come to. Fails as the stream does.
    pub fn receive(&mut self) -> io::Result<Progress<'_>> {
        let mut pause = Pause::None;
        let piece = loop {
            self.look(pause);
            if let Some(piece) = self.found.take() {
                break piece;
            }
            match pause {
                Pause::Closed => return Ok(Progress::Closed),
                Pause::Quiet if self.reading == Reading::Lingering => return Ok(Progress::Closed),
                Pause::Quiet => return Ok(Progress::Stalled),
                Pause::None => pause = self.read()?,
            }
            if pause == Pause::None && self.framing().marks_the_end() && !self.is_ready() {
                return Ok(Progress::Pending);
            }
        };
        let unread = &self.buffer[self.start..self.end];
        self.start += piece.consumed;
        let (name, text) = match piece.text {
            Text::Here(count) => (None, Cow::Borrowed(&unread[..count])),
            Text::Object { name, text } => (name, Cow::Owned(text.into_bytes())),
        };
        Ok(Progress::Part(Part {
            text,
            name,
            first: piece.first,
            last: piece.last,
            oddity: piece.oddity,
        }))
    }

    /// Whether [`Connection::receive`] has a part to hand out without waiting for it.
    pub fn is_ready(&mut self) -> bool {
        self.look(Pause::None);
        self.found.is_some()
    }

    /// Looks for a piece in what stands read, unless one is found already.
    fn look(&mut self, pause: Pause) {
        if self.found.is_some() {
            return;
        }
        let pause = match self.reading {
            Reading::Ended => Pause::Closed,
            _ => pause,
        };
        let unread = &self.buffer[self.start..self.end];
        self.found = self.decoder.decode(unread, pause);
        if self.found.is_some() || unread.is_empty() {
            self.unended = None;
        } else {
            self.unended.get_or_insert_with(Instant::now);
        }
    }

    /// What stands read of a message whose end has not come, and since when.
    pub fn unended(&self) -> Option<(Untrusted<'_>, Instant)> {
        let unread = &self.buffer[self.start..self.end];
        Some((Untrusted(unread), self.unended?))
    }

    /// Reads ahead, in our own turn, when [`Connection::watch`] says so; no further than
    /// the buffer goes. Fails as the stream does.
    pub fn read_ahead(&mut self) -> io::Result<()> {
        if self.is_full() {
            // It is watched for the peer's leaving alone.
            self.reading = Reading::Left;
        } else {
            self.read()?;
        }
        Ok(())
    }

    /// Whether reading ahead has found that the peer has left. What it had sent before
    /// is still to be received.
    pub fn has_left(&self) -> bool {
        matches!(self.reading, Reading::Left | Reading::Ended)
    }

    /// What to poll to learn that there is something to read, or that the peer has left;
    /// the latter alone when there is no room to read into.
    pub fn watch(&self) -> Watch<'_> {
        let mut watch = Watch::readable(&self.stream);
        if self.is_full() {
            watch.events = HANG_UP;
        }
        watch
    }

    fn is_full(&self) -> bool {
        self.end - self.start == self.buffer.len()
    }

    /// Reads once, for as long as the decoder has patience.
    fn read(&mut self) -> io::Result<Pause> {
        if self.reading == Reading::Ended {
            return Ok(Pause::Closed);
        }
        if self.start == self.end || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let patience = match self.reading {
            Reading::Lingering => Some(framing::RAW_QUIET),
            _ => self.decoder.patience(self.end - self.start),
        };
        if patience != self.timeout {
            self.stream.set_read_timeout(patience)?;
            self.timeout = patience;
        }
        loop {
            return match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.reading = Reading::Ended;
                    Ok(Pause::Closed)
                }
                Ok(count) => {
                    self.end += count;
                    Ok(Pause::None)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Pause::Quiet),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    // Nothing more will come; what did is still to be handed out.
                    self.reading = Reading::Ended;
                    Err(error)
                }
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn pair() -> (Connection<UnixStream>, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Connection::new(ours, &Wire::default()), theirs)
    }

    /// Receives one whole message and says in how many parts it came.
    fn message(connection: &mut Connection<UnixStream>) -> Option<(Vec<u8>, usize)> {
        let mut text = Vec::new();
        let mut parts = 0;
        loop {
            match connection.receive().unwrap() {
                Progress::Part(part) => {
                    assert_eq!(part.first, parts == 0);
                    text.extend_from_slice(part.text().bytes());
                    parts += 1;
                    if part.last {
                        return Some((text, parts));
                    }
                }
                Progress::Pending | Progress::Stalled => {}
                Progress::Closed => {
                    assert_eq!(parts, 0, "a message did not end");
                    return None;
                }
            }
        }
    }

    #[test]
    fn what_is_sent_is_the_text_and_nothing_else() {
        let (mut ours, mut theirs) = pair();
        ours.send("gr\u{fc}ezi".as_bytes(), true).unwrap();
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
        let long = format!("x{}", "\u{fc}".repeat(64 * 1024));
        let sent = long.clone();
        let sender = thread::spawn(move || theirs.write_all(sent.as_bytes()).unwrap());
        let mut got = String::new();
        while let Progress::Part(part) = ours.receive().unwrap() {
            got.push_str(std::str::from_utf8(part.text().bytes()).unwrap());
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
