//! Writes messages to a program: their exact bytes, in one write with label and newline.

use std::fs::File;
use std::io::{self, IoSlice, Write as _};

use anstyle::Style;

use super::push_label;
use crate::connection::Part;
use crate::event::{Event, Peer};

/// The maximum size in bytes of a text that is copied behind its label; a longer one is written
/// from its own buffer. Measured: writev(2) of three slices costs more than this copy.
const COPIED: usize = 4096;

/// A writer of messages, each of which ends with a newline.
#[derive(Debug)]
pub(super) struct Pipe {
    /// Unbuffered, because std's handle would write line by line.
    stdout: File,
    /// Whether the last line is incomplete.
    within: bool,
    /// The bytes to write. Kept to reuse the memory.
    bytes: Vec<u8>,
    /// The last label and its peer: most messages have the same one.
    label: Option<(Peer, String)>,
}

impl Pipe {
    /// Creates a writer of messages to `stdout`.
    pub(super) fn new(stdout: File) -> Self {
        Self {
            stdout,
            within: false,
            bytes: Vec::new(),
            label: None,
        }
    }

    /// Writes a part of a message, with its label if given. `begins` tells whether the part starts
    /// a line or continues one. Fails if stdout cannot be written.
    pub(super) fn part(
        &mut self,
        label: Option<(Style, &Event<'_>)>,
        begins: bool,
        part: &Part<'_>,
    ) -> io::Result<()> {
        self.bytes.clear();
        if let Some((style, event)) = label {
            self.push_label(style, event, part);
        }
        let text = part.text();
        let text = text.bytes();
        let within = match text.last() {
            Some(byte) => *byte != b'\n',
            None => begins || self.within,
        };
        self.within = within && !part.last;
        // A message that ends with a newline of its own, as those of nc do, gets no second one.
        let ending: &[u8] = if part.last && within { b"\n" } else { b"" };
        if text.len() <= COPIED {
            self.bytes.extend_from_slice(text);
            self.bytes.extend_from_slice(ending);
            return self.stdout.write_all(&self.bytes);
        }
        let mut slices = [&self.bytes, text, ending].map(IoSlice::new);
        let mut slices = &mut slices[..];
        // This skips empty slices: a write of no bytes would look like a failure.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.stdout.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut slices, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
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

    fn push_label(&mut self, style: Style, event: &Event<'_>, part: &Part<'_>) {
        if let (Event::Received(peer, _), Some((whose, label))) = (event, &self.label)
            && peer == whose
            && part.name().is_none()
        {
            self.bytes.extend_from_slice(label.as_bytes());
            return;
        }
        let mut label = String::new();
        push_label(&mut label, style, event);
        self.bytes.extend_from_slice(label.as_bytes());
        if let Event::Received(peer, _) = event
            && part.name().is_none()
        {
            self.label = Some((*peer, label));
        }
    }
}
