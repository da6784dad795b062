//! Encodes messages for the peer.

use memchr::memchr_iter;

use super::{Framing, Wire, incomplete_char_len};

/// Encodes messages as bytes to send, one part at a time.
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    /// The beginning of a JSON message, up to the value of `text`.
    json_prefix: Vec<u8>,
    /// Whether a part of the current message was encoded before.
    in_message: bool,
    /// The end of the last part if its encoding depends on the next part: an incomplete
    /// character in JSON, or a carriage return that may belong to the message's line end.
    pending: Vec<u8>,
    /// The encoded part. Kept to reuse its memory.
    wire: Vec<u8>,
}

impl Encoder {
    /// Creates an encoder for the framing and the sender's name in `wire`.
    pub fn new(wire: &Wire) -> Self {
        let mut json_prefix = b"{".to_vec();
        if let Some(name) = &wire.name {
            json_prefix.extend_from_slice(b"\"name\":");
            write_json(&mut json_prefix, name);
            json_prefix.push(b',');
        }
        json_prefix.extend_from_slice(b"\"text\":");
        Self {
            framing: wire.framing,
            json_prefix,
            in_message: false,
            pending: Vec::new(),
            wire: Vec::new(),
        }
    }

    /// Encodes `text`, the next part of a message; `last` ends the message. Returns the bytes to
    /// send, and whether newlines or zero bytes in the text were replaced by spaces, because they
    /// are the delimiter of this framing.
    pub fn encode<'a>(&'a mut self, text: &'a [u8], last: bool) -> (&'a [u8], bool) {
        self.wire.clear();
        let mut joined = false;
        match self.framing {
            Framing::Raw => return (text, false),
            Framing::Line => joined = self.encode_line(text, last),
            Framing::Nul => joined = self.encode_until(b'\0', text, last),
            Framing::Crlf => {
                if !text.is_empty() {
                    self.wire.append(&mut self.pending);
                }
                // A line of input with CRLF line ends still has its carriage return.
                let line = text.strip_suffix(b"\r").unwrap_or(text);
                joined = self.encode_line(line, last);
                if last {
                    self.pending.clear();
                } else {
                    self.pending.extend_from_slice(&text[line.len()..]);
                }
            }
            Framing::Json => self.encode_json(text, last),
        }
        self.in_message = !last;
        (&self.wire, joined)
    }

    /// Frees the memory of the last part if it takes more than `most` bytes.
    pub fn free(&mut self, most: usize) {
        self.wire.clear();
        for buffer in [&mut self.wire, &mut self.pending] {
            if buffer.capacity() > most {
                buffer.shrink_to_fit();
            }
        }
    }

    /// Appends `text` as a part of a line, and its end if it is the last part. Returns whether
    /// newlines in `text` were replaced.
    fn encode_line(&mut self, text: &[u8], last: bool) -> bool {
        // Pasted lines have a newline of their own.
        let text = match text {
            [text @ .., b'\n'] if last => text,
            text => text,
        };
        self.encode_until(b'\n', text, last)
    }

    /// Appends `text` as a part of a message, with spaces for each `delimiter` in it, and the end if
    /// it is the last part. Returns whether there was one.
    fn encode_until(&mut self, delimiter: u8, text: &[u8], last: bool) -> bool {
        let start = self.wire.len();
        self.wire.extend_from_slice(text);
        let mut joined = false;
        for place in memchr_iter(delimiter, text) {
            self.wire[start + place] = b' ';
            joined = true;
        }
        if last {
            self.wire.extend_from_slice(self.framing.end());
        }
        joined
    }

    /// Appends `text` as a part of a JSON object.
    fn encode_json(&mut self, text: &[u8], last: bool) {
        self.pending.extend_from_slice(text);
        let held_back = if last {
            0
        } else {
            incomplete_char_len(&self.pending)
        };
        let end = self.pending.len() - held_back;
        let text = String::from_utf8_lossy(&self.pending[..end]);
        if self.in_message {
            write_json(&mut self.wire, &text);
            self.wire.remove(0);
        } else {
            self.wire.extend_from_slice(&self.json_prefix);
            write_json(&mut self.wire, &text);
        }
        self.pending.drain(..end);
        if last {
            self.wire.extend_from_slice(b"}\n");
        } else {
            self.wire.pop();
        }
    }
}

/// Appends `text` as a JSON string, including the quotes.
fn write_json(wire: &mut Vec<u8>, text: &str) {
    // Cannot fail: writing to a Vec succeeds, and every str has a JSON representation.
    let _ = serde_json::to_writer(wire, text);
}
