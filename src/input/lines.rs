//! Reads unedited lines through a bounded buffer: from a pipe, a file, or a terminal on which
//! rustyline cannot draw.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter};
use mio::Waker;

use crate::event::Unsent;

/// The maximum number of bytes per read. A longer line is returned in parts.
const BUFFER: usize = 64 * 1024;

/// How long to wait for the end of the input, to count the lines that were not sent.
const REST: Duration = Duration::from_millis(100);

/// What one read has brought.
type Chunk = io::Result<Vec<u8>>;

/// Splits the input into lines. A thread reads ahead once the first line is wanted: not every
/// system can wait for a pipe and a socket together.
#[derive(Debug)]
pub struct Lines {
    /// What the thread will run; `None` once it has started.
    reader: Option<Reader>,
    chunks: Receiver<Chunk>,
    buffer: Vec<u8>,
    /// Where the bytes that were not yet returned begin.
    start: usize,
    /// Whether a part of the current line was returned.
    begun: bool,
    /// Where the line that was returned last begins, if all of it is still in the buffer.
    line: Option<usize>,
    /// Whether the bytes are returned as they come, with their newlines.
    whole: bool,
    /// The number of lines returned.
    number: u64,
    ended: bool,
    /// The error that ended the input, until it is returned.
    error: Option<io::Error>,
}

impl Lines {
    /// Creates a reader of lines from `input`, which is a terminal if `typed`. Calls `waker` when
    /// bytes have arrived.
    pub(super) fn new(input: File, typed: bool, waker: Arc<Waker>) -> Self {
        let (sender, chunks) = mpsc::sync_channel(1);
        Self {
            reader: Some(Reader {
                input,
                typed,
                chunks: sender,
                waker,
            }),
            chunks,
            buffer: Vec::new(),
            start: 0,
            begun: false,
            line: None,
            whole: false,
            number: 0,
            ended: false,
            error: None,
        }
    }

    /// Returns the bytes as they come from now on, with their newlines, as so many lines.
    pub fn take_whole(&mut self) {
        self.whole = true;
    }

    /// Returns whether [`Self::next`] returns without waiting.
    pub fn is_ready(&mut self) -> bool {
        self.start_reading();
        while self.find().is_none() {
            match self.chunks.try_recv() {
                Err(TryRecvError::Empty) => return false,
                chunk => self.add(chunk.ok()),
            }
        }
        true
    }

    /// Returns the next line without its newline, or the next part of a line that is longer than
    /// the buffer, and whether it ends the line. Returns `None` at the end of the input. Waits
    /// unless [`Self::is_ready`]. Fails if the input cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        self.start_reading();
        let (end, next) = loop {
            if let Some(found) = self.find() {
                break found;
            }
            let chunk = self.chunks.recv().ok();
            self.add(chunk);
        };
        let last = next > end || self.ended || self.whole;
        if next == self.start && !self.begun {
            return self.error.take().map_or(Ok(None), Err);
        }
        let start = std::mem::replace(&mut self.start, next);
        self.line = (last && !self.begun).then_some(start);
        self.begun = !last;
        self.number += u64::from(last);
        Ok(Some((&self.buffer[start..end], last)))
    }

    /// Puts the last line back, so that [`Self::next`] returns it again. Returns whether it was
    /// still in the buffer.
    pub fn put_back(&mut self) -> bool {
        if let Some(line) = self.line
            && line != self.start
        {
            self.start = line;
            self.number -= 1;
        }
        self.line.is_some()
    }

    /// Returns whether a line was put back and not returned again.
    #[must_use]
    pub fn is_put_back(&self) -> bool {
        self.line == Some(self.start)
    }

    /// Returns the line that was returned last, if all of it is still in the buffer.
    #[must_use]
    pub fn last(&self) -> Option<&[u8]> {
        let line = &self.buffer[self.line?..self.start];
        Some(line.strip_suffix(b"\n").unwrap_or(line))
    }

    /// Returns the number of the line that was returned last, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Counts the lines that were not returned, and drops them. Waits for at most [`REST`] until
    /// the input ends.
    pub fn count_rest(&mut self) -> Unsent {
        self.start_reading();
        let until = Instant::now() + REST;
        let mut lines = 0;
        let mut within = false;
        loop {
            let rest = &self.buffer[self.start..];
            lines += memchr_iter(b'\n', rest).count();
            within = rest.last().map_or(within, |byte| *byte != b'\n');
            self.start = self.buffer.len();
            let left = until.saturating_duration_since(Instant::now());
            match self.chunks.recv_timeout(left) {
                _ if self.ended => break,
                Err(RecvTimeoutError::Timeout) => break,
                chunk => self.add(chunk.ok()),
            }
        }
        Unsent {
            lines: lines + usize::from(within),
            more: !self.ended,
        }
    }

    /// Returns where the next line or part of a line ends, and where the one after it begins.
    /// Returns `None` if more bytes are needed to tell.
    fn find(&self) -> Option<(usize, usize)> {
        let end = self.buffer.len();
        let unread = &self.buffer[self.start..];
        if self.whole {
            return (self.ended || !unread.is_empty()).then_some((end, end));
        }
        match memchr(b'\n', unread) {
            Some(length) => Some((self.start + length, self.start + length + 1)),
            None => (self.ended || unread.len() >= BUFFER).then_some((end, end)),
        }
    }

    fn start_reading(&mut self) {
        if let Some(reader) = self.reader.take() {
            let thread = thread::Builder::new().name("input".into());
            if let Err(error) = thread.spawn(move || reader.run()) {
                self.add(Some(Err(error)));
            }
        }
    }

    /// Adds bytes to the buffer; `None` is the end of the input.
    fn add(&mut self, chunk: Option<Chunk>) {
        match chunk {
            Some(Ok(bytes)) => {
                self.line = None;
                self.buffer.drain(..self.start);
                self.start = 0;
                self.buffer.extend_from_slice(&bytes);
            }
            Some(Err(error)) => {
                self.error = Some(error);
                self.ended = true;
            }
            None => self.ended = true,
        }
    }
}

/// The thread that reads the input.
#[derive(Debug)]
struct Reader {
    input: File,
    typed: bool,
    chunks: SyncSender<Chunk>,
    waker: Arc<Waker>,
}

impl Reader {
    /// Reads until the end of the input or of the program.
    fn run(mut self) {
        let mut buffer = vec![0; BUFFER];
        loop {
            let chunk = match self.input.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) if self.typed => Ok(without_keys(&buffer[..count])),
                Ok(count) => Ok(buffer[..count].to_vec()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Windows reports the end of a pipe in this way.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if self.chunks.send(chunk).is_err() || failed {
                break;
            }
            let _ = self.waker.wake();
        }
        // The channel tells the end of the input by being closed.
        drop(self.chunks);
        let _ = self.waker.wake();
    }
}

/// Returns `typed` without control characters, and without the sequences that keys such as the
/// arrows send (ECMA-48, 5.4): the terminal does not use them for editing here.
fn without_keys(typed: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(typed.len());
    let mut bytes = typed.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            // A byte that cannot belong to the sequence, such as a newline, ends it.
            b'\x1b' => match bytes.next_if(|byte| (0x20..=0x7e).contains(byte)) {
                Some(b'[') => {
                    while bytes.next_if(|byte| (0x20..=0x3f).contains(byte)).is_some() {}
                    bytes.next_if(|byte| (0x40..=0x7e).contains(byte));
                }
                Some(b'O') => {
                    bytes.next_if(u8::is_ascii_graphic);
                }
                _ => {}
            },
            b'\n' | b'\t' => text.push(byte),
            0..=0x1f | 0x7f => {}
            byte => text.push(byte),
        }
    }
    text
}

#[cfg(test)]
mod tests;
