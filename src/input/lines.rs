//! Reads unedited lines through a bounded buffer: from a pipe, a file, or a terminal on which
//! rustyline cannot draw.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _};
use std::mem;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use memchr::{memchr, memchr_iter, memrchr};
use mio::Waker;

use crate::event::Unsent;
use crate::sys;

/// The maximum number of bytes per read. A longer line is returned in parts.
const BUFFER: usize = 64 * 1024;

/// How long to wait for the end of the input, to count the lines that were not sent.
const REST: Duration = Duration::from_millis(100);

/// How long to wait for what was typed ahead at a terminal: for the thread that reads it.
const AHEAD: Duration = Duration::from_millis(30);

/// What one read has brought.
type Chunk = io::Result<Vec<u8>>;

/// Splits the input into lines. Of a pipe or a file, nothing is read before the first line is wanted.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
pub struct Lines {
    source: Source,
    /// Held while no read may begin.
    reads: Arc<Mutex<()>>,
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
    /// Whether the end is returned also where no line is wanted: at a terminal, once.
    tells_end: bool,
    /// The number of lines, at most one, that were to be put back and could not be.
    torn: usize,
    /// The error that ended the input, until it is returned.
    error: Option<io::Error>,
}

/// Where the bytes come from.
#[derive(Debug)]
enum Source {
    /// A file on a disk: reading it waits for nobody, so no thread is needed, and a program that has
    /// none is faster at every system call.
    Disk(File),
    /// A thread reads ahead, since not every system can wait for a pipe and a socket together.
    Thread {
        chunks: Receiver<Chunk>,
        /// What the thread will run.
        idle: Option<Reader>,
    },
}

impl Lines {
    /// Creates a reader of lines from `input`, which is a terminal if `typed`. Calls `waker` when
    /// bytes have arrived, unless `input` is a file on a disk, which is always ready.
    pub(super) fn new(input: File, typed: bool, waker: Arc<Waker>) -> Self {
        let on_disk = input.metadata().is_ok_and(|input| input.is_file());
        let reads = Arc::default();
        let source = if on_disk {
            Source::Disk(input)
        } else {
            // A line of a terminal is a chunk: what was entered ahead is read at once.
            let (sender, chunks) = mpsc::sync_channel(if typed { 1024 } else { 1 });
            let idle = Some(Reader {
                input,
                typed,
                waker,
                chunks: sender,
                reads: Arc::clone(&reads),
            });
            Source::Thread { chunks, idle }
        };
        Self::read(source, typed, reads)
    }

    fn read(source: Source, tells_end: bool, reads: Arc<Mutex<()>>) -> Self {
        Self {
            source,
            reads,
            buffer: Vec::new(),
            start: 0,
            begun: false,
            line: None,
            whole: false,
            number: 0,
            ended: false,
            tells_end,
            torn: 0,
            error: None,
        }
    }

    /// Returns the bytes as they come from now on, with their newlines, as so many lines.
    pub fn take_whole(&mut self) {
        self.whole = true;
    }

    /// Returns whether [`Self::next`] returns without waiting.
    pub fn is_ready(&mut self) -> bool {
        while self.find().is_none() {
            if !self.fill(Some(Duration::ZERO)) {
                return false;
            }
        }
        true
    }

    /// Returns whether [`Self::next`] returns the end of what is typed at a terminal, which counts also where
    /// no line is wanted. It is so once.
    pub fn is_at_end(&mut self) -> bool {
        if !self.tells_end {
            return false;
        }
        while !self.ended && self.fill(Some(Duration::ZERO)) {}
        self.ended && !self.is_begun() && !self.begun
    }

    /// Returns the next line without its newline, or the next part of a line that is longer than
    /// the buffer, and whether it ends the line. Returns `None` at the end of the input. Waits
    /// unless [`Self::is_ready`]. Fails if the input cannot be read.
    pub fn next(&mut self) -> io::Result<Option<(&[u8], bool)>> {
        let (end, next) = loop {
            if let Some(found) = self.find() {
                break found;
            }
            self.fill(None);
        };
        let last = next > end || self.ended || self.whole;
        if next == self.start && !self.begun {
            self.tells_end = false;
            return self.error.take().map_or(Ok(None), Err);
        }
        let start = mem::replace(&mut self.start, next);
        self.line = (last && !self.begun).then_some(start);
        self.begun = !last;
        self.number += u64::from(last);
        Ok(Some((&self.buffer[start..end], last)))
    }

    /// Puts the last line back, so that [`Self::next`] returns it again. Returns whether it was
    /// still in the buffer. If not, and it has ended, [`Self::count_rest`] counts it.
    pub fn put_back(&mut self) -> bool {
        let is_torn = self.line.is_none() && !self.begun && self.number > 0;
        self.torn = usize::from(is_torn);
        if let Some(line) = self.line
            && line != self.start
        {
            self.start = line;
            self.number -= 1;
        }
        self.line.is_some()
    }

    /// Returns whether lines were entered at a terminal. Waits as [`Self::take_ahead`] does.
    pub fn has_ahead(&mut self) -> bool {
        while !self.ended && self.fill(Some(AHEAD)) {}
        self.is_ready()
    }

    /// Takes the lines that were entered at a terminal, and has what was typed of another as the beginning
    /// of the next line. Waits until nothing comes for [`AHEAD`].
    pub fn take_ahead(&mut self) -> String {
        self.has_ahead();
        if !self.ended {
            let reads = Arc::clone(&self.reads);
            let _held = reads.lock();
            sys::with_begun_line(|| self.fill(Some(AHEAD)));
        }
        let unread = &self.buffer[self.start..];
        let end = memrchr(b'\n', unread).map_or(0, |newline| newline + 1);
        self.take(end)
    }

    /// Takes all that has come.
    pub fn take_all(&mut self) -> String {
        self.take(self.buffer.len() - self.start)
    }

    fn take(&mut self, length: usize) -> String {
        let end = self.start + length;
        let taken = String::from_utf8_lossy(&self.buffer[self.start..end]);
        self.start = end;
        self.line = None;
        taken.into_owned()
    }

    /// Returns whether something has come that was not returned.
    pub fn is_begun(&self) -> bool {
        self.start < self.buffer.len()
    }

    /// Returns the line that was returned last, if all of it is still in the buffer.
    pub fn last(&self) -> Option<&[u8]> {
        let line = &self.buffer[self.line?..self.start];
        Some(line.strip_suffix(b"\n").unwrap_or(line))
    }

    /// Returns the number of the line that was returned last, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Counts the lines that were not returned, and drops them. Waits for at most [`REST`] until
    /// the input ends.
    pub fn count_rest(&mut self) -> Unsent {
        let until = Instant::now() + REST;
        let mut lines = self.torn;
        let mut within = self.begun;
        self.line = None;
        loop {
            let rest = &self.buffer[self.start..];
            lines += memchr_iter(b'\n', rest).count();
            within = rest.last().map_or(within, |byte| *byte != b'\n');
            self.start = self.buffer.len();
            let left = until.saturating_duration_since(Instant::now());
            if self.ended || left.is_zero() || !self.fill(Some(left)) {
                break;
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

    /// Waits for more bytes or the end of the input, for at most `limit`; `None` for as long as it
    /// takes. Returns whether there were any.
    fn fill(&mut self, limit: Option<Duration>) -> bool {
        let chunk = match &mut self.source {
            Source::Disk(file) => read(file, &mut vec![0; BUFFER]),
            Source::Thread { chunks, idle } => {
                let started = idle.take().map(|reader| {
                    let thread = thread::Builder::new().name("input".into());
                    thread.spawn(move || reader.run())
                });
                match (started, limit) {
                    (Some(Err(error)), _) => Some(Err(error)),
                    (_, None) => chunks.recv().ok(),
                    (_, Some(limit)) => match chunks.recv_timeout(limit) {
                        Err(RecvTimeoutError::Timeout) => return false,
                        chunk => chunk.ok(),
                    },
                }
            }
        };
        match chunk {
            Some(Ok(bytes)) => {
                // The last line may have to be put back.
                let kept = self.line.map(|_| 0);
                let done = mem::replace(&mut self.line, kept).unwrap_or(self.start);
                self.buffer.drain(..done);
                self.start -= done;
                self.buffer.extend_from_slice(&bytes);
            }
            ended => {
                self.error = ended.and_then(Result::err);
                self.ended = true;
            }
        }
        true
    }
}

/// The thread that reads the input.
#[derive(Debug)]
struct Reader {
    input: File,
    typed: bool,
    waker: Arc<Waker>,
    chunks: SyncSender<Chunk>,
    /// Locked before each read: one that begins while the terminal hands out a line before it is entered
    /// would never see the end of the input (Linux, `n_tty_read`).
    reads: Arc<Mutex<()>>,
}

impl Reader {
    /// Reads until the end of the input or of the program.
    fn run(mut self) {
        let mut buffer = vec![0; BUFFER];
        loop {
            drop(self.reads.lock());
            let Some(mut chunk) = read(&mut self.input, &mut buffer) else {
                break;
            };
            let mut is_last = chunk.is_err();
            if self.typed {
                chunk = chunk.map(|bytes| {
                    let before = before_end(&bytes);
                    is_last = before.is_some();
                    without_keys(before.unwrap_or(&bytes))
                });
            }
            if self.chunks.send(chunk).is_err() || is_last {
                break;
            }
            let _ = self.waker.wake();
        }
        // The channel tells the end of the input by being closed.
        drop(self.chunks);
        let _ = self.waker.wake();
    }
}

/// Returns the next bytes of `input`, or `None` at its end. Uses `buffer`. Fails as read(2) does.
fn read(input: &mut File, buffer: &mut [u8]) -> Option<Chunk> {
    loop {
        return match input.read(buffer) {
            Ok(0) => None,
            Ok(count) => Some(Ok(buffer[..count].to_vec())),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            // Windows reports the end of a pipe in this way.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => None,
            Err(error) => Some(Err(error)),
        };
    }
}

/// Returns what is before Ctrl-D where that is at the beginning of a line of `typed`: while the terminal hands
/// out a line before it is entered, this key is a byte; if it was pressed just before, Linux makes it a
/// zero byte, the last one.
fn before_end(typed: &[u8]) -> Option<&[u8]> {
    let is_end = |at: &usize| {
        let is_key = typed[*at] == b'\x04' || typed[*at] == b'\0' && at + 1 == typed.len();
        is_key && (*at == 0 || typed[at - 1] == b'\n')
    };
    (0..typed.len()).find(is_end).map(|at| &typed[..at])
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
