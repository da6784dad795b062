//! One peer: what is sent to it and what comes from it, over any stream of bytes.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use crate::framing::{self, Decoder, Encoder, Framing, Oddity, Pause, Piece, Text, Wire};
use crate::sanitize::Untrusted;
use crate::watch::HANG_UP;

/// The size of a buffer at first, in bytes, where there may be many: more than most
/// messages have.
const SMALL: usize = 4096;

/// A stream of bytes to a peer and back.
pub trait Stream: Read + Write + AsFd {
    /// Makes a read that has waited for `timeout` fail with `WouldBlock`; `None` lets it
    /// wait for ever. Fails when `timeout` is zero.
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()>;

    /// Closes our side of it (shutdown(2)): the peer reads the end, and can still write.
    /// Fails when the stream is broken already.
    fn close(&mut self) -> io::Result<()>;
}

/// The stream of a test, and of whoever talks over a socket file.
impl Stream for UnixStream {
    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        UnixStream::set_read_timeout(self, timeout)
    }

    fn close(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
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

/// What [`Connection::advance`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// [`Connection::part`] has the next part of a message.
    Part,
    /// The end of the message is still to come.
    Pending,
    /// The end of the message has not come for as long as [`framing::UNENDED`].
    Stalled,
    /// The peer has closed its side, and all that it had sent was handed out.
    Closed,
}

/// A peer that messages are sent to and received from. When it is dropped, the peer reads
/// the end; but not when that is because of a panic, which is no goodbye.
#[derive(Debug)]
pub struct Connection<S: Stream> {
    stream: S,
    encoder: Encoder,
    decoder: Decoder,
    /// Grows with what is read, up to [`Framing::limit`].
    buffer: Vec<u8>,
    /// What was read and not handed out yet is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// A piece that was found already.
    found: Option<Piece>,
    /// Since when a message stands read whose end has not come.
    unended: Option<Instant>,
    /// Nothing has come since it was said that the message has stalled.
    stalled: bool,
    quiet: Quiet,
    reading: Reading,
    /// What the stream has not taken yet of what was sent.
    outbox: Vec<u8>,
    /// So many bytes have come late since we have sent something.
    late: usize,
    /// A message that can be held is handed out whole: where there are many, none is shown in
    /// the middle of another.
    gathers: bool,
    /// Our side is closed.
    closed: bool,
}

/// What tells that the peer has fallen quiet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quiet {
    /// The stream's own timeout, when it blocks; this one is set on it.
    Timeout(Option<Duration>),
    /// The clock, when it does not; then something came last.
    Since(Instant),
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

/// What a read has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Got {
    More,
    /// Nothing for as long as there was patience.
    Quiet,
    /// Nothing yet.
    Later,
    End,
}

impl<S: Stream> Connection<S> {
    /// A connection over `stream`, which has no read timeout yet and blocks. Both ends
    /// must use the same framing.
    pub fn new(stream: S, wire: &Wire) -> Self {
        Self {
            stream,
            encoder: Encoder::new(wire),
            decoder: Decoder::new(wire.framing),
            buffer: vec![0; wire.framing.limit()],
            start: 0,
            end: 0,
            found: None,
            unended: None,
            stalled: false,
            quiet: Quiet::Timeout(None),
            reading: Reading::On,
            outbox: Vec::new(),
            late: 0,
            gathers: false,
            closed: false,
        }
    }

    /// The same over a `stream` that does not block: nothing that is done with it waits. As
    /// there may be many of them, the buffer is small at first.
    pub fn nonblocking(stream: S, wire: &Wire) -> Self {
        let mut connection = Self::new(stream, wire);
        connection.quiet = Quiet::Since(Instant::now());
        connection.buffer = vec![0; SMALL];
        connection.gathers = true;
        connection
    }

    /// How messages are marked off on this connection.
    pub fn framing(&self) -> Framing {
        self.decoder.framing()
    }

    /// Sends `text`, a part of a message and, if `last`, its end, in one write: a message
    /// that comes whole goes out whole, which the raw framing needs. Returns whether
    /// newlines within it became spaces. What a stream that does not block does not take
    /// is kept for [`Connection::flush`]. Fails as the stream does.
    pub fn send(&mut self, text: &[u8], last: bool) -> io::Result<bool> {
        self.decoder.end_message();
        self.late = 0;
        let encoded = self.encoder.encode(text, last);
        let mut unsent = encoded.wire;
        if self.outbox.is_empty() {
            write(&mut self.stream, &mut unsent)?;
        }
        self.outbox.extend_from_slice(unsent);
        Ok(encoded.joined)
    }

    /// Sends what the stream did not take before, as far as it takes it now. Fails as the
    /// stream does.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut unsent = &self.outbox[..];
        let flushed = write(&mut self.stream, &mut unsent);
        let sent = self.outbox.len() - unsent.len();
        self.outbox.drain(..sent);
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
        flushed
    }

    /// Whether something is still to be flushed.
    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Closes our side: nothing more will be sent. What the peer still sends is received
    /// until it closes its own, or until it is quiet for [`framing::RAW_QUIET`]. Fails as
    /// the stream does.
    pub fn close(&mut self) -> io::Result<()> {
        if self.reading == Reading::On {
            self.reading = Reading::Lingering;
            if let Quiet::Since(last) = &mut self.quiet {
                *last = Instant::now();
            }
        }
        self.closed = true;
        self.stream.close()
    }

    /// Reads nothing more; what stands read is still handed out.
    pub fn abandon(&mut self) {
        self.reading = Reading::Ended;
    }

    /// Goes on to the next part of what the peer sends, and returns what that has come to.
    /// Waits for the peer, unless the stream does not block. Fails as the stream does.
    pub fn advance(&mut self) -> io::Result<Progress> {
        let mut pause = Pause::None;
        loop {
            self.look(pause);
            if self.found.is_some() {
                return Ok(Progress::Part);
            }
            match pause {
                Pause::Closed => return Ok(Progress::Closed),
                Pause::Quiet if self.reading == Reading::Lingering => return Ok(Progress::Closed),
                Pause::Quiet => {
                    self.stalled = true;
                    return Ok(Progress::Stalled);
                }
                Pause::None => {}
            }
            pause = match self.read()? {
                Got::More => Pause::None,
                Got::Quiet => Pause::Quiet,
                Got::Later => return Ok(Progress::Pending),
                Got::End => Pause::Closed,
            };
            if pause == Pause::None && self.framing().marks_the_end() && !self.is_ready() {
                return Ok(Progress::Pending);
            }
        }
    }

    /// Hands out the part that [`Connection::advance`] has come to. If it is `late`, in our own
    /// turn, it counts: who goes on and on is not listened to before the next.
    pub fn part(&mut self, late: bool) -> Option<Part<'_>> {
        let piece = self.found.take()?;
        if late {
            self.late += piece.consumed;
        }
        let unread = &self.buffer[self.start..self.end];
        self.start += piece.consumed;
        let (name, text) = match piece.text {
            Text::Here(count) => (None, Cow::Borrowed(&unread[..count])),
            Text::Object { name, text } => (name, Cow::Owned(text.into_bytes())),
        };
        Some(Part {
            text,
            name,
            first: piece.first,
            last: piece.last,
            oddity: piece.oddity,
        })
    }

    /// Whether [`Connection::advance`] comes to a part without waiting for it.
    pub fn is_ready(&mut self) -> bool {
        self.look(Pause::None);
        self.found.is_some()
    }

    /// Whether a part was found, to be handed out.
    pub fn has_found(&self) -> bool {
        self.found.is_some()
    }

    /// Whether the part that was found is the last of its message.
    pub fn has_found_last(&self) -> bool {
        self.found.as_ref().is_some_and(|piece| piece.last)
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
        let gathers = self.gathers
            && pause == Pause::None
            && self.decoder.ends_by_quiet(unread.len())
            && !self.is_full();
        if !gathers {
            self.found = self.decoder.decode(unread, pause);
        }
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

    /// When [`Connection::advance`] has something to say although nothing has come; only
    /// of a stream that does not block.
    pub fn deadline(&self) -> Option<Instant> {
        match self.quiet {
            Quiet::Since(last) if !self.stalled => Some(last + self.quiet_after()?),
            _ => None,
        }
    }

    /// How long the peer may be quiet before that means something.
    fn quiet_after(&self) -> Option<Duration> {
        match self.reading {
            Reading::Lingering => Some(framing::RAW_QUIET),
            _ => self.decoder.patience(self.end - self.start),
        }
    }

    /// Reads ahead, in our own turn, when there is something to read; no further than the
    /// buffer goes. Fails as the stream does.
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

    /// Whether a message that can be held is handed out whole, which it is not when it is late
    /// already.
    pub fn gather(&mut self, whole: bool) {
        self.gathers = whole;
    }

    /// What to poll to learn that there is something to read, or that the peer has left;
    /// the latter alone when there is no room to read into, or enough was read.
    pub fn poll_to_read(&self) -> PollFd<'_> {
        self.poll_for(if self.is_full() || self.late >= self.framing().limit() {
            HANG_UP
        } else {
            PollFlags::POLLIN | HANG_UP
        })
    }

    /// What to poll for `events` on the stream.
    pub fn poll_for(&self, events: PollFlags) -> PollFd<'_> {
        PollFd::new(self.stream.as_fd(), events)
    }

    fn is_full(&self) -> bool {
        self.end - self.start == self.framing().limit()
    }

    /// Reads once, for as long as the decoder has patience.
    fn read(&mut self) -> io::Result<Got> {
        if self.reading == Reading::Ended {
            return Ok(Got::End);
        }
        if self.start == self.end || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end == self.buffer.len() {
                let size = (4 * self.buffer.len()).min(self.framing().limit());
                self.buffer.resize(size, 0);
            }
        }
        let patience = self.quiet_after();
        if let Quiet::Timeout(set) = &mut self.quiet
            && patience != *set
        {
            *set = patience;
            if let Err(error) = self.stream.set_read_timeout(patience) {
                self.reading = Reading::Ended;
                return Err(error);
            }
        }
        loop {
            return match self.stream.read(&mut self.buffer[self.end..]) {
                Ok(0) => {
                    self.reading = Reading::Ended;
                    Ok(Got::End)
                }
                Ok(count) => {
                    self.end += count;
                    self.stalled = false;
                    if let Quiet::Since(last) = &mut self.quiet {
                        *last = Instant::now();
                    }
                    Ok(Got::More)
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    Ok(match (self.quiet, patience) {
                        (Quiet::Since(last), Some(patience)) if last.elapsed() < patience => {
                            Got::Later
                        }
                        (Quiet::Since(_), None) => Got::Later,
                        _ => Got::Quiet,
                    })
                }
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

impl<S: Stream> Drop for Connection<S> {
    fn drop(&mut self) {
        if !self.closed && !thread::panicking() {
            // One that is broken has nobody to be told.
            let _ = self.stream.close();
        }
    }
}

/// Writes what `stream` takes of `bytes`, and takes it off them; all of it, unless the
/// stream does not block. Fails as the stream does.
fn write(stream: &mut impl Write, bytes: &mut &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => *bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
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
            match connection.advance().unwrap() {
                Progress::Part => {
                    let part = connection.part(false).unwrap();
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
        while ours.advance().unwrap() == Progress::Part {
            let part = ours.part(false).unwrap();
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
