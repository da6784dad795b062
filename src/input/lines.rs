//! Reads unedited lines through a bounded buffer: from a pipe, a file, or a terminal on which
//! rustyline cannot draw.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;

use memchr::memchr;
use mio::Waker;

/// The maximum number of bytes per read. A longer line is returned in parts.
const BUFFER: usize = 64 * 1024;

/// Splits the input into lines. Unless the input is a file, a thread reads ahead once the first
/// line is wanted: not every system can wait for a pipe and a socket together.
#[derive(Debug)]
pub struct Lines {
    source: Source,
    buffer: Vec<u8>,
    /// Where the bytes that were read and not yet returned begin.
    start: usize,
    /// The number of bytes from `start` that are known to contain no newline.
    searched: usize,
    ended: bool,
    /// Whether a part of the current line was returned.
    begun: bool,
    /// The bytes that were returned last. They stay in the buffer until the next bytes are added.
    given: Range<usize>,
    back: Back,
}

#[derive(Debug)]
enum Source {
    /// No line has been wanted yet.
    Idle(Reader),
    /// A file, whose reads do not block for long.
    File(Reader),
    Reading(Receiver<io::Result<Vec<u8>>>),
    /// Reading failed.
    Failed(io::Error),
    Ended,
}

/// Whether the bytes that were returned last can be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    /// They cannot: they are part of a line, or there are none.
    Cannot,
    /// They can: they are a complete line.
    Can,
    /// They were put back, and will be returned again.
    Was,
}

impl Lines {
    /// Creates a reader of lines from `input`, which is a terminal if `typed`. Calls `waker` when
    /// bytes have arrived.
    pub(super) fn new(input: File, typed: bool, waker: Arc<Waker>) -> Self {
        Self {
            source: Source::Idle(Reader {
                input,
                typed,
                waker,
                buffer: vec![0; BUFFER].into_boxed_slice(),
            }),
            buffer: Vec::new(),
            start: 0,
            searched: 0,
            ended: false,
            begun: false,
            given: 0..0,
            back: Back::Cannot,
        }
    }

    /// Returns whether [`Self::next`] returns without waiting.
    pub fn is_ready(&mut self) -> bool {
        while !self.has_next() {
            if !self.take_in(false) {
                return false;
            }
        }
        true
    }

    /// Returns the next line without its newline, or the next part of a line that is longer than
    /// the buffer, and whether it ends the line. Returns `None` at the end of the input. Waits
    /// unless [`Self::is_ready`]. Fails if the input cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        while !self.has_next() {
            self.take_in(true);
        }
        let start = self.start;
        let (end, last) = if let Some(newline) = self.newline() {
            self.start = newline + 1;
            (newline, true)
        } else if self.ended && start == self.buffer.len() && !self.begun {
            return match std::mem::replace(&mut self.source, Source::Ended) {
                Source::Failed(error) => Err(error),
                _ => Ok(None),
            };
        } else {
            self.start = self.buffer.len();
            (self.buffer.len(), self.ended)
        };
        self.searched = 0;
        self.given = start..end;
        self.back = if last && !self.begun {
            Back::Can
        } else {
            Back::Cannot
        };
        self.begun = !last;
        Ok(Some((&self.buffer[start..end], last)))
    }

    /// Puts the last line back, so that [`Self::next`] returns it again. Returns whether it was
    /// still in the buffer.
    pub fn put_back(&mut self) -> bool {
        if self.back == Back::Can {
            self.start = self.given.start;
            self.searched = 0;
            self.back = Back::Was;
        }
        self.back == Back::Was
    }

    /// Returns whether a line was put back and not returned again.
    #[must_use]
    pub fn is_put_back(&self) -> bool {
        self.back == Back::Was
    }

    fn has_next(&mut self) -> bool {
        self.newline().is_some() || self.ended || self.buffer.len() - self.start >= BUFFER
    }

    /// Adds the next bytes to the buffer, and waits for them if `wait`. Returns `false` if none
    /// have arrived; the end of the input counts as an arrival.
    fn take_in(&mut self, wait: bool) -> bool {
        if let Source::Idle(_) = self.source
            && let Source::Idle(reader) = std::mem::replace(&mut self.source, Source::Ended)
        {
            self.source = reader.start();
        }
        let read = match &mut self.source {
            Source::File(reader) => Some(reader.read()),
            Source::Reading(chunks) if wait => chunks.recv().ok(),
            Source::Reading(chunks) => match chunks.try_recv() {
                Err(TryRecvError::Empty) => return false,
                read => read.ok(),
            },
            Source::Idle(_) | Source::Failed(_) | Source::Ended => None,
        };
        match read {
            Some(Ok(chunk)) if !chunk.is_empty() => {
                self.given = 0..0;
                self.back = Back::Cannot;
                self.buffer.drain(..self.start);
                self.start = 0;
                self.buffer.extend_from_slice(&chunk);
            }
            Some(Err(error)) => {
                self.ended = true;
                self.source = Source::Failed(error);
            }
            _ => self.ended = true,
        }
        true
    }

    fn newline(&mut self) -> Option<usize> {
        let unread = &self.buffer[self.start..];
        let found = memchr(b'\n', &unread[self.searched..]);
        if found.is_none() {
            self.searched = unread.len();
        }
        Some(self.start + self.searched + found?)
    }
}

/// The reading end of the input. A thread uses it unless the input is a file.
#[derive(Debug)]
struct Reader {
    input: File,
    typed: bool,
    waker: Arc<Waker>,
    buffer: Box<[u8]>,
}

impl Reader {
    /// Starts the thread that reads ahead, unless the input is a file.
    fn start(self) -> Source {
        if self.input.metadata().is_ok_and(|input| input.is_file()) {
            return Source::File(self);
        }
        let (sender, chunks) = mpsc::sync_channel(1);
        let reading = thread::Builder::new().name("input".into());
        match reading.spawn(move || self.read_ahead(&sender)) {
            Ok(_) => Source::Reading(chunks),
            Err(error) => Source::Failed(error),
        }
    }

    /// Reads until the end of the input or of the program.
    fn read_ahead(mut self, chunks: &SyncSender<io::Result<Vec<u8>>>) {
        loop {
            let read = self.read();
            let ended = read.as_ref().map_or(true, Vec::is_empty);
            if chunks.send(read).is_err() {
                return;
            }
            let _ = self.waker.wake();
            if ended {
                return;
            }
        }
    }

    /// Reads once. Returns no bytes at the end of the input.
    fn read(&mut self) -> io::Result<Vec<u8>> {
        loop {
            return match self.input.read(&mut self.buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Windows reports the end of a pipe in this way.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Vec::new()),
                Ok(count @ 1..) if self.typed => match without_keys(&self.buffer[..count]) {
                    // An empty result would look like the end of the input.
                    text if text.is_empty() => continue,
                    text => Ok(text),
                },
                read => read.map(|count| self.buffer[..count].to_vec()),
            };
        }
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
