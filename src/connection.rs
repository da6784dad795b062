//! A connection to one peer: sends and receives messages over any byte stream.

use std::borrow::Cow;
use std::io::{self, Write};
use std::mem;
use std::thread;
use std::time::{Duration, Instant};

use crate::framing::{
    Decoder, Encoder, Framing, LINGER, Oddity, Pause, Piece, Text, UNENDED, Wire,
};
use crate::sanitize::Untrusted;
use crate::socket::Stream;
use crate::sys;

/// The initial size of a read buffer in bytes, if there may be many peers. Most messages fit.
const SMALL: usize = 4096;

/// The most of a buffer that is kept when nothing is in it, if there is one peer.
const KEPT: usize = 64 * 1024;

/// A part of a received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    text: Cow<'a, [u8]>,
    name: Option<String>,
    /// Whether the part begins a message.
    pub first: bool,
    /// Whether the part ends a message.
    pub last: bool,
    /// What is odd about the message.
    pub oddity: Option<Oddity>,
}

impl Part<'_> {
    /// Returns the text. Only the last part of a message may be empty or end inside a character.
    pub fn text(&self) -> Untrusted<'_> {
        Untrusted(&self.text)
    }

    /// Returns the name that the sender gave itself, if the framing transmits it. A blank one is none.
    pub fn name(&self) -> Option<Untrusted<'_>> {
        let name = self.name.as_ref().filter(|name| !name.trim().is_empty())?;
        Some(Untrusted(name.as_bytes()))
    }
}

/// The result of [`Connection::advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// [`Connection::part`] has the next part of a message.
    Part,
    /// No further part is complete yet.
    Pending,
    /// The message is still incomplete after [`UNENDED`].
    Stalled,
    /// The peer closed its side, and all that it sent was handed out.
    Closed,
}

/// A connection to a peer. Dropping it closes our side, unless the thread panics: the peer must
/// not take a crash for the end of the conversation.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
pub struct Connection<S: Stream> {
    stream: S,
    encoder: Encoder,
    decoder: Decoder,
    /// Grows as needed, up to [`Framing::limit`].
    buffer: Vec<u8>,
    /// `buffer[start..end]` was read and is not handed out yet.
    start: usize,
    end: usize,
    /// The next piece, not handed out yet.
    found: Option<Piece>,
    /// Since when the buffer holds an incomplete message.
    unended: Option<Instant>,
    /// Whether a stalled message was reported.
    stalled: bool,
    reads: Reads,
    incoming: Incoming,
    /// The bytes that the stream has not accepted yet.
    outbox: Vec<u8>,
    sent: Sent,
    /// Whether the message that was sent last has not ended.
    within: bool,
    /// The number of bytes handed out as late since we last sent something.
    late: usize,
    /// Whether a message that fits the buffer is handed out whole, so that the messages of many
    /// peers do not mix.
    gathers: bool,
    /// The number of bytes of a buffer that are kept when nothing is in it.
    kept: usize,
    /// Whether our side is closed.
    closed: bool,
    /// How long the peer may send nothing then; `None` for as long as it likes.
    linger: Option<Duration>,
}

/// What is known of what was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing was sent.
    Nothing,
    /// Not all of it was accepted, or the peer has sent nothing since.
    Unconfirmed,
    /// The same, and it is more than one message.
    Several,
    /// The peer has sent something since all of it was accepted: with turns, a reply to it.
    Confirmed,
}

/// How reads wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Reads block, with this timeout.
    Blocking(Option<Duration>),
    /// Reads do not block.
    Polled {
        /// Whether the stream may be readable.
        ready: bool,
        /// When the last bytes arrived.
        last: Instant,
    },
}

/// What may still arrive from the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    Anything,
    /// What the peer sent before it closed its side.
    Rest,
    /// Nothing: the end was read, the stream failed, or reading was abandoned.
    Nothing,
}

impl<S: Stream> Connection<S> {
    /// Creates a connection over `stream`, which must be nonblocking. Both peers must use the same
    /// framing. If there may be `many` peers, the buffer starts small, and messages that fit it
    /// are handed out whole.
    pub fn new(stream: S, wire: &Wire, many: bool) -> Self {
        let size = if many { SMALL } else { wire.framing.limit() };
        Self {
            stream,
            encoder: Encoder::new(wire),
            decoder: Decoder::new(wire.framing),
            buffer: vec![0; size],
            start: 0,
            end: 0,
            found: None,
            unended: None,
            stalled: false,
            reads: Reads::polled(),
            incoming: Incoming::Anything,
            outbox: Vec::new(),
            sent: Sent::Nothing,
            within: false,
            late: 0,
            gathers: many,
            kept: if many { SMALL } else { KEPT },
            closed: false,
            linger: Some(LINGER),
        }
    }

    /// Returns the stream.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// Returns the stream, for registration.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns the framing of this connection.
    pub fn framing(&self) -> Framing {
        self.decoder.framing()
    }

    /// Makes the stream blocking or nonblocking. Returns whether that is a change. Fails if the
    /// stream is broken.
    pub fn set_blocking(&mut self, blocking: bool) -> io::Result<bool> {
        if blocking == matches!(self.reads, Reads::Blocking(_)) {
            return Ok(false);
        }
        if matches!(self.reads, Reads::Blocking(Some(_))) {
            self.stream.set_read_timeout(None)?;
        }
        self.stream.set_blocking(blocking)?;
        self.reads = if blocking {
            Reads::Blocking(None)
        } else {
            Reads::polled()
        };
        Ok(true)
    }

    /// Records that the stream is readable and, if `hung_up`, that the peer closed its side.
    pub fn set_ready(&mut self, hung_up: bool) {
        if hung_up && self.incoming == Incoming::Anything {
            self.incoming = Incoming::Rest;
        }
        if let Reads::Polled { ready, .. } = &mut self.reads {
            *ready = true;
        }
    }

    /// Returns whether a read may find something without waiting, as far as is known: it is always `false`
    /// if the stream is blocking.
    pub fn is_readable(&self) -> bool {
        self.incoming != Incoming::Nothing
            && matches!(self.reads, Reads::Polled { ready: true, .. })
    }

    /// Returns whether a read may find something without waiting, and may be made: the buffer has
    /// room, and the peer has not sent too much late.
    pub fn can_read(&self) -> bool {
        self.is_readable() && !self.is_full() && self.late < self.framing().limit()
    }

    /// Sends `text`, a part of a message, and ends the message if `last`. Makes a single write if
    /// it can: the raw framing relies on that. Keeps what a nonblocking stream does not accept for
    /// [`Connection::flush`]. Returns whether newlines were replaced by spaces. Fails if the write
    /// fails.
    pub fn send(&mut self, text: &[u8], last: bool) -> io::Result<bool> {
        self.decoder.end_message();
        self.late = 0;
        let (mut unsent, joined) = self.encoder.encode(text, last);
        if self.outbox.is_empty() {
            write(&mut self.stream, &mut unsent)?;
        }
        if !unsent.is_empty() {
            self.outbox.extend_from_slice(unsent);
        }
        self.encoder.free(self.kept);
        // What a broken connection has not accepted is known to be unsent.
        self.sent = match self.sent {
            sent if text.is_empty() && !self.framing().marks_the_end() => sent,
            Sent::Several => Sent::Several,
            Sent::Unconfirmed if !self.within => Sent::Several,
            _ => Sent::Unconfirmed,
        };
        self.within = !last;
        Ok(joined)
    }

    /// Ends the message that is arriving: what comes next begins another.
    pub fn end_message(&mut self) {
        self.decoder.end_message();
    }

    /// Sends what the stream has not accepted before, as far as it does now. Returns whether it has accepted
    /// something. Fails if the write fails.
    pub fn flush(&mut self) -> io::Result<bool> {
        let mut unsent = &self.outbox[..];
        let flushed = write(&mut self.stream, &mut unsent);
        let sent = self.outbox.len() - unsent.len();
        self.outbox.drain(..sent);
        if self.outbox.is_empty() {
            self.outbox = Vec::new();
        }
        flushed.map(|()| sent > 0)
    }

    /// Returns whether the beginning of a message was sent, and not its end.
    pub fn is_within(&self) -> bool {
        self.within
    }

    /// Returns what is known of what was sent.
    pub fn sent(&self) -> Sent {
        self.sent
    }

    /// Returns whether bytes are left to be flushed.
    pub fn has_unsent(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Sets how long the peer may send nothing after we have closed our side, which is [`LINGER`] by
    /// default; `None` for as long as it likes.
    pub fn set_linger(&mut self, linger: Option<Duration>) {
        self.linger = linger;
    }

    /// Closes our side. What the peer still sends is received until it closes its side or sends
    /// nothing for as long as [`Connection::set_linger`] says. Fails if the stream is broken.
    pub fn close(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        if let Reads::Polled { last, .. } = &mut self.reads {
            *last = Instant::now();
        }
        self.closed = true;
        self.stream.close()
    }

    /// Stops reading. What was read before is still handed out.
    pub fn abandon(&mut self) {
        self.incoming = Incoming::Nothing;
    }

    /// Stops reading, and discards what was read before and not handed out.
    pub fn discard(&mut self) {
        self.abandon();
        self.start = self.end;
        self.found = None;
        self.unended = None;
        self.decoder = Decoder::new(self.framing());
    }

    /// Advances to the next part that the peer sent. Waits only if the stream is blocking. Returns
    /// after a read that completes no part, so that other peers get their turn. Fails if the read
    /// fails.
    pub fn advance(&mut self) -> io::Result<Progress> {
        if self.has_next() {
            return Ok(Progress::Part);
        }
        loop {
            let Some(pause) = self.read()? else {
                return Ok(Progress::Pending);
            };
            self.look(pause);
            if self.found.is_some() {
                return Ok(Progress::Part);
            }
            match pause {
                Pause::Closed => return Ok(Progress::Closed),
                Pause::Quiet => return Ok(self.stall()),
                Pause::None if !self.framing().marks_the_end() => {}
                // A peer that sends its message byte by byte is never quiet.
                Pause::None if self.unended.is_some_and(|since| since.elapsed() >= UNENDED) => {
                    return Ok(self.stall());
                }
                Pause::None => return Ok(Progress::Pending),
            }
        }
    }

    fn stall(&mut self) -> Progress {
        if mem::replace(&mut self.stalled, true) {
            Progress::Pending
        } else {
            Progress::Stalled
        }
    }

    /// Takes the part that [`Connection::advance`] has found. A part that arrives in our turn is
    /// `late`; after [`Framing::limit`] bytes of such parts, nothing is read until we send.
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

    /// Returns whether something was read and not handed out.
    pub fn has_unread(&self) -> bool {
        self.start < self.end
    }

    /// Returns whether what was read holds the next part.
    pub fn has_next(&mut self) -> bool {
        if self.has_unread() {
            self.look(Pause::None);
        } else {
            self.free();
        }
        self.found.is_some()
    }

    /// Frees what a long message has taken, of which nothing is left in the buffer.
    fn free(&mut self) {
        if self.buffer.len() > self.kept {
            self.buffer.truncate(self.kept);
            self.buffer.shrink_to_fit();
            (self.start, self.end) = (0, 0);
        }
    }

    /// Looks for the next piece in the buffer.
    fn look(&mut self, mut pause: Pause) {
        if self.found.is_some() {
            return;
        }
        if self.incoming == Incoming::Nothing {
            pause = Pause::Closed;
        }
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

    /// Returns what has arrived of an incomplete message.
    pub fn unended(&self) -> Option<Untrusted<'_>> {
        let unread = &self.buffer[self.start..self.end];
        self.unended.map(|_| Untrusted(unread))
    }

    /// Returns when to call [`Connection::advance`] even if nothing arrives. `None` if the stream
    /// is blocking, or may be read from already.
    pub fn deadline(&self) -> Option<Instant> {
        match self.reads {
            Reads::Polled { ready: false, last } if self.incoming != Incoming::Nothing => {
                let since = match self.unended {
                    Some(since) if self.framing().marks_the_end() && !self.closed => since,
                    _ => last,
                };
                Some(since + self.patience()?)
            }
            _ => None,
        }
    }

    /// Returns whether it is time to call [`Connection::advance`] although nothing has arrived.
    pub fn is_overdue(&self) -> bool {
        self.deadline().is_some_and(|at| at <= Instant::now())
    }

    /// Returns how long the peer may send nothing until [`Connection::advance`] draws a conclusion.
    fn patience(&self) -> Option<Duration> {
        if self.closed {
            return self.linger;
        }
        let patience = self.decoder.patience(self.end - self.start);
        patience.filter(|_| !self.stalled)
    }

    /// Reads ahead in our turn, without waiting, until the buffer is full. Fails if a read fails.
    pub fn read_ahead(&mut self) -> io::Result<()> {
        if !self.has_unread() {
            self.free();
        }
        while self.can_read() && self.read()? == Some(Pause::None) {}
        Ok(())
    }

    /// Returns whether the peer is known to have closed its side. Some of what it sent may not
    /// have been read yet.
    pub fn has_left(&self) -> bool {
        self.incoming != Incoming::Anything
    }

    /// Returns whether nothing more is read of the peer.
    pub fn has_ended(&self) -> bool {
        self.incoming == Incoming::Nothing
    }

    /// Sets whether a message that fits the buffer is handed out whole.
    pub fn gather(&mut self, whole: bool) {
        self.gathers = whole;
    }

    fn is_full(&self) -> bool {
        self.end - self.start == self.framing().limit()
    }

    /// Reads once. Waits for at most [`Connection::patience`] if the stream is blocking. Returns
    /// the pause after what was read before, or `None` if more may follow without one.
    fn read(&mut self) -> io::Result<Option<Pause>> {
        if self.incoming == Incoming::Nothing {
            return Ok(Some(Pause::Closed));
        }
        let patience = self.patience();
        match &mut self.reads {
            Reads::Polled { ready: false, .. } => {
                return Ok(self.is_overdue().then(|| self.quiet()));
            }
            Reads::Blocking(set) if *set != patience => {
                *set = patience;
                let set = self.stream.set_read_timeout(patience);
                set.inspect_err(|_| self.incoming = Incoming::Nothing)?;
            }
            _ => {}
        }
        self.make_room();
        let room = self.buffer.len() - self.end;
        match self.stream.read(&mut self.buffer[self.end..]) {
            Ok(0) => {
                self.incoming = Incoming::Nothing;
                Ok(Some(Pause::Closed))
            }
            Ok(count) => {
                self.end += count;
                if self.sent != Sent::Nothing && self.outbox.is_empty() {
                    self.sent = Sent::Confirmed;
                }
                if let Reads::Polled { ready, last } = &mut self.reads {
                    let is_drained = sys::SHORT_READ_DRAINS && count < room;
                    *ready = !is_drained || self.incoming == Incoming::Rest;
                    *last = Instant::now();
                }
                Ok(Some(Pause::None))
            }
            Err(error) => match (error.kind(), &mut self.reads) {
                (io::ErrorKind::Interrupted, _) => self.read(),
                (io::ErrorKind::WouldBlock, Reads::Polled { ready, .. }) => {
                    *ready = false;
                    self.read()
                }
                (sys::READ_TIMED_OUT, Reads::Blocking(_)) => Ok(Some(self.quiet())),
                _ => {
                    self.incoming = Incoming::Nothing;
                    Err(error)
                }
            },
        }
    }

    /// Returns the pause where the peer has sent nothing for as long as it may. After we have closed our
    /// side, that ends what it has to say.
    fn quiet(&mut self) -> Pause {
        if !self.closed {
            return Pause::Quiet;
        }
        self.abandon();
        Pause::Closed
    }

    /// Makes room for the next read.
    fn make_room(&mut self) {
        if self.start == self.end || self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end == self.buffer.len() {
                let size = (4 * self.buffer.len()).min(self.framing().limit());
                self.buffer.resize(size, 0);
            }
        }
    }
}

impl Reads {
    fn polled() -> Self {
        Self::Polled {
            ready: true,
            last: Instant::now(),
        }
    }
}

impl<S: Stream> Drop for Connection<S> {
    fn drop(&mut self) {
        if !self.closed && !thread::panicking() {
            // Fails only if the connection is broken.
            let _ = self.stream.close();
        }
    }
}

/// Writes `bytes` and removes what was written from the slice: everything if the stream blocks,
/// else what it accepts. Fails if a write fails.
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
mod tests;
