//! Writes messages to a program: their exact bytes, in one write with label and newline.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::Arc;

use mio::Waker;

use super::queue::Queue;
use super::{Label, push_label};
use crate::connection::Part;
use crate::event::{Event, Peer};

/// A writer of messages, each of which ends with a newline.
#[derive(Debug)]
pub(super) struct Pipe {
    stdout: Outlet,
    /// Whether no newline is added.
    exact: bool,
    /// Whether nothing but a newline ends a line.
    by_newlines: bool,
    /// Whether the last line is incomplete.
    within: bool,
    /// The bytes to write. Kept to reuse the memory.
    bytes: Vec<u8>,
    /// The peer whose label `bytes` begin with, and the length of it: most messages have the same
    /// one.
    label: Option<(Peer, usize)>,
}

/// The way to stdout. Unbuffered, because std's handle would write line by line.
#[derive(Debug)]
enum Outlet {
    /// The caller waits for the reader.
    Direct(File),
    /// A thread does.
    Queued(Queue),
}

impl Outlet {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Direct(file) => file.write_all(bytes),
            Self::Queued(queue) => queue.write_all(bytes),
        }
    }
}

impl Pipe {
    /// Creates a writer of messages to `stdout`. If it is to be `exact`, it adds no newlines.
    pub(super) fn new(stdout: File, exact: bool) -> Self {
        Self {
            stdout: Outlet::Direct(stdout),
            exact,
            by_newlines: false,
            within: false,
            bytes: Vec::new(),
            label: None,
        }
    }

    /// Replaces by spaces what ends a line of some programs, beside newlines, from now on.
    pub(super) fn end_lines_with_newlines(&mut self) {
        self.by_newlines = true;
    }

    /// Leaves it to a thread to wait for a reader who is slow. Calls `waker` when [`Pipe::is_full`]
    /// may have changed. Fails if no thread can be started, or no descriptor is left.
    pub(super) fn write_aside(&mut self, waker: Arc<Waker>) -> io::Result<()> {
        if let Outlet::Direct(file) = &self.stdout {
            self.stdout = Outlet::Queued(Queue::new(file.try_clone()?, waker)?);
        }
        Ok(())
    }

    /// Returns whether too much is unwritten for more to be added.
    pub(super) fn is_full(&self) -> bool {
        match &self.stdout {
            Outlet::Direct(_) => false,
            Outlet::Queued(queue) => queue.is_full(),
        }
    }

    /// Waits until everything is written. Fails if stdout cannot be written.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        match &mut self.stdout {
            Outlet::Direct(_) => Ok(()),
            Outlet::Queued(queue) => queue.flush(),
        }
    }

    /// Writes a part of a message, with its label if given. `begins` tells whether the part starts
    /// a line or continues one. Fails if stdout cannot be written.
    pub(super) fn part(
        &mut self,
        label: Option<Label<'_>>,
        begins: bool,
        part: &Part<'_>,
    ) -> io::Result<()> {
        self.start_with(label, part);
        let text = part.text();
        let text = text.bytes();
        let within = match text.last() {
            Some(byte) => *byte != b'\n',
            None => begins || self.within,
        };
        self.within = within && !part.last && !self.exact;
        // A message that ends with a newline of its own, as those of nc do, gets no second one.
        let ending: &[u8] = if part.last && within && !self.exact {
            b"\n"
        } else {
            b""
        };
        if self.bytes.is_empty() && ending.is_empty() && !self.by_newlines {
            // The middle of a long message is written from its own buffer.
            return self.stdout.write_all(text);
        }
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        self.bytes.extend_from_slice(ending);
        if self.by_newlines {
            blank_line_ends(&mut self.bytes[start..]);
        }
        self.stdout.write_all(&self.bytes)
    }

    /// Returns whether the next part starts a line.
    pub(super) fn is_at_start(&self) -> bool {
        !self.within
    }

    /// Ends an incomplete line. Fails if stdout cannot be written.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.within) {
            self.stdout.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Makes `bytes` the label of `part`.
    fn start_with(&mut self, label: Option<Label<'_>>, part: &Part<'_>) {
        let peer = match &label {
            Some(Label {
                time: None,
                event: Event::Received(peer, _),
                ..
            }) if part.name().is_none() => Some(*peer),
            _ => None,
        };
        if let Some((whose, length)) = self.label
            && Some(whose) == peer
        {
            self.bytes.truncate(length);
            return;
        }
        self.bytes.clear();
        if let Some(Label { time, style, event }) = label {
            let mut text = time.unwrap_or_default();
            push_label(&mut text, style, event);
            self.bytes.extend_from_slice(text.as_bytes());
        }
        self.label = peer.map(|peer| (peer, self.bytes.len()));
    }
}

/// Replaces by spaces all that ends a line for the readers of Java, .NET, Node or Python on Windows, but a
/// newline, alone or behind a carriage return.
fn blank_line_ends(bytes: &mut [u8]) {
    for at in 0..bytes.len() {
        let length = match &bytes[at..] {
            [b'\r', rest @ ..] if rest.first() != Some(&b'\n') => 1,
            [0xc2, 0x85, ..] => "\u{85}".len(),
            [0xe2, 0x80, 0xa8 | 0xa9, ..] => "\u{2028}".len(),
            _ => continue,
        };
        bytes[at..at + length].fill(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newlines_end_lines() {
        for (bytes, expected) in [
            ("a\rb\r\nc\n\r", "a b\r\nc\n "),
            ("\r\r\n\r\r", " \r\n  "),
            ("\u{85}x\u{2028}\u{2029}", "  x      "),
            (
                "\u{c5}\u{2027}\u{202a}\u{84}",
                "\u{c5}\u{2027}\u{202a}\u{84}",
            ),
        ] {
            let mut bytes = bytes.as_bytes().to_vec();
            blank_line_ends(&mut bytes);
            assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        }
    }
}
