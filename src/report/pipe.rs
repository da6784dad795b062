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
    /// Whether every program reads the same lines: see [`push_lines`].
    clear: bool,
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
            clear: false,
            within: false,
            bytes: Vec::new(),
            label: None,
        }
    }

    /// Writes lines that every program reads alike, from now on.
    pub(super) fn write_clear_lines(&mut self) {
        self.clear = true;
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
        if self.bytes.is_empty() && ending.is_empty() && !self.clear {
            // The middle of a long message is written from its own buffer.
            return self.stdout.write_all(text);
        }
        if self.clear {
            push_lines(&mut self.bytes, text);
        } else {
            self.bytes.extend_from_slice(text);
        }
        self.bytes.extend_from_slice(ending);
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

/// Appends `text` to `bytes`, without what makes a program read other lines than those that end with a
/// newline.
///
/// Java, .NET, Node and Python on Windows end lines elsewhere, too; Node twice at a carriage return and a
/// newline that it reads apart from each other. Behind the beginning of a character, bash
/// and fish take a newline for its rest; behind a zero byte, mawk loses one. Other bytes that are no UTF-8 end
/// a program of Python.
fn push_lines(bytes: &mut Vec<u8>, text: &[u8]) {
    let text = String::from_utf8_lossy(text);
    let mut rest = text.chars().peekable();
    let mut utf8 = [0; 4];
    while let Some(c) = rest.next() {
        let c = match c {
            '\r' if rest.peek() == Some(&'\n') => continue,
            '\r' | '\0' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
            _ => c,
        };
        bytes.extend_from_slice(c.encode_utf8(&mut utf8).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_newlines_end_lines() {
        let cases: [(&[u8], &str); 6] = [
            (b"a\rb\r\nc\n\r", "a b\nc\n "),
            (b"\r\r\n\r\r", " \n  "),
            ("\u{85}x\u{2028}\u{2029}".as_bytes(), " x  "),
            (
                "\u{c5}\u{2027}\u{202a}\u{84}".as_bytes(),
                "\u{c5}\u{2027}\u{202a}\u{84}",
            ),
            (b"\0a\0\n", " a \n"),
            (b"\xc3\na\xff\xf0\x9f\x98", "\u{fffd}\na\u{fffd}\u{fffd}"),
        ];
        for (text, expected) in cases {
            let mut bytes = b"label ".to_vec();
            push_lines(&mut bytes, text);
            assert_eq!(
                String::from_utf8(bytes).unwrap(),
                format!("label {expected}")
            );
        }
    }
}
