//! Decodes what the peer sends into messages.

use std::time::Duration;

use memchr::memchr;
use serde::Deserialize;

use super::{Framing, RAW_QUIET, RAW_SHORT, UNENDED, incomplete_char_len};

/// Why the decoder is called again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// There is no pause: more bytes may follow at once.
    None,
    /// No bytes arrived for the duration that [`Decoder::patience`] returned.
    Quiet,
    /// The peer has closed its side. No more bytes will follow.
    Closed,
}

/// A message or a piece of one, decoded from the front of the given bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The decoded text.
    pub text: Text,
    /// The number of bytes to remove from the front of the given bytes.
    pub consumed: usize,
    /// Whether this is the first piece of its message.
    pub first: bool,
    /// Whether this is the last piece of its message.
    pub last: bool,
    /// What is wrong with the message, if anything.
    pub oddity: Option<Oddity>,
}

/// The text of a [`Piece`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The first N of the given bytes.
    Here(usize),
    /// The fields of a JSON object.
    Object {
        /// The sender's name.
        name: Option<String>,
        /// The text of the message.
        text: String,
    },
}

/// A sign that the peer uses another framing or is faulty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// The line is a JSON message, but the framing is not [`Framing::Json`].
    Json,
    /// The line is not a JSON message, for the given reason.
    NotJson(String),
    /// The JSON object is longer than [`Framing::limit`].
    LongJson,
}

/// Finds the messages in the bytes that a peer sends.
#[derive(Debug, Default)]
pub struct Decoder {
    framing: Framing,
    /// The number of bytes of the current message that were returned in earlier pieces.
    returned: usize,
    /// The number of bytes at the front that are known to hold no delimiter.
    searched: usize,
}

impl Decoder {
    /// Creates a decoder for `framing`.
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            ..Self::default()
        }
    }

    /// Returns the framing that this decoder decodes.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Returns the next piece of a message, or `None` if more bytes must be read first.
    ///
    /// `bytes` are all bytes that were read and not consumed by an earlier piece. At
    /// [`Framing::limit`] bytes the decoder always returns a piece. A piece ends with a
    /// complete character, unless the rest of the character does not arrive.
    pub fn decode(&mut self, bytes: &[u8], pause: Pause) -> Option<Piece> {
        let piece = match self.framing.end().last() {
            Some(delimiter) => self.decode_delimited(bytes, pause, *delimiter),
            None => self.decode_raw(bytes, pause),
        }?;
        self.returned = if piece.last {
            0
        } else {
            self.returned + piece.consumed
        };
        self.searched = 0;
        Some(piece)
    }

    /// Ends the current raw message, as the user has answered it. Later bytes start a new
    /// message. Does nothing in a framing with a delimiter.
    pub fn end_message(&mut self) {
        if self.framing == Framing::Raw {
            self.returned = 0;
        }
    }

    /// Returns how long to wait for more bytes before calling [`Decoder::decode`] with
    /// [`Pause::Quiet`], or `None` to wait without a limit. `buffered` is the number of bytes
    /// that were read and not consumed.
    pub fn patience(&self, buffered: usize) -> Option<Duration> {
        let in_message = self.returned + buffered > 0;
        in_message.then_some(match self.framing {
            Framing::Raw => RAW_QUIET,
            Framing::Line | Framing::Crlf | Framing::Json | Framing::Nul => UNENDED,
        })
    }

    /// Returns whether the current message ends only at a pause, as it is raw and has at least
    /// [`RAW_SHORT`] bytes. `buffered` is the number of bytes that were read and not consumed.
    pub fn ends_by_quiet(&self, buffered: usize) -> bool {
        self.framing == Framing::Raw && self.returned + buffered >= RAW_SHORT
    }

    fn decode_raw(&self, bytes: &[u8], pause: Pause) -> Option<Piece> {
        if self.returned + bytes.len() == 0 {
            return None;
        }
        let incomplete = incomplete_char_len(bytes);
        let last = match pause {
            Pause::None => incomplete == 0 && !self.ends_by_quiet(bytes.len()),
            Pause::Quiet | Pause::Closed => true,
        };
        let len = bytes.len() - if last { 0 } else { incomplete };
        (len > 0 || last).then(|| self.piece(len, len, last))
    }

    fn decode_delimited(&mut self, bytes: &[u8], pause: Pause, delimiter: u8) -> Option<Piece> {
        if let Some(end) = memchr(delimiter, &bytes[self.searched..]) {
            let end = self.searched + end;
            let text = match &bytes[..end] {
                [line @ .., b'\r'] if self.framing.has_lines() => line,
                text => text,
            };
            return Some(self.last_piece(text, end + 1));
        }
        self.searched = bytes.len();
        if pause == Pause::Closed && self.returned + bytes.len() > 0 {
            return Some(self.last_piece(bytes, bytes.len()));
        }
        if bytes.len() < self.framing.limit() {
            return None;
        }
        let held_back = match bytes {
            [.., b'\r'] if self.framing.has_lines() => 1,
            bytes => incomplete_char_len(bytes),
        };
        let len = bytes.len() - held_back;
        let mut piece = self.piece(len, len, false);
        if piece.first && self.framing == Framing::Json {
            piece.oddity = Some(if begins_object(bytes) {
                Oddity::LongJson
            } else {
                Oddity::NotJson(NOT_AN_OBJECT.into())
            });
        }
        Some(piece)
    }

    /// Returns the last or only piece of a line.
    fn last_piece(&self, line: &[u8], consumed: usize) -> Piece {
        let mut piece = self.piece(line.len(), consumed, true);
        if !piece.first {
            return piece;
        }
        match self.framing {
            Framing::Json => match parse_object(line) {
                Ok(Object { name, text }) => piece.text = Text::Object { name, text },
                Err(reason) => piece.oddity = Some(Oddity::NotJson(reason)),
            },
            Framing::Line | Framing::Crlf => {
                // Parses only what may be an object, as this is done for every line.
                let has_braces = line.starts_with(b"{") && line.ends_with(b"}");
                if has_braces && parse_object(line).is_ok() {
                    piece.oddity = Some(Oddity::Json);
                }
            }
            Framing::Raw | Framing::Nul => {}
        }
        piece
    }

    fn piece(&self, len: usize, consumed: usize, last: bool) -> Piece {
        Piece {
            text: Text::Here(len),
            consumed,
            first: self.returned == 0,
            last,
            oddity: None,
        }
    }
}

/// The fields of a JSON message. Other fields are ignored.
#[derive(Deserialize)]
struct Object {
    name: Option<String>,
    text: String,
}

const NOT_AN_OBJECT: &str = "expected an object";

/// Parses `line` as a JSON message. Returns the reason if it is not one.
fn parse_object(line: &[u8]) -> Result<Object, String> {
    // serde also accepts an array of the field values.
    if !begins_object(line) {
        return Err(NOT_AN_OBJECT.into());
    }
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

fn begins_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}
