//! Message framing: finds and marks where a message ends. No I/O.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str;
use std::time::Duration;

pub use self::decode::{Decoder, Oddity, Pause, Piece, Text};
pub use self::encode::Encoder;

/// The length in bytes from which a raw message ends only after [`RAW_QUIET`].
///
/// The tutorial's scripts read at most 1024 bytes at once, and a shorter message always
/// arrives in one read (measured: up to 1300 bytes, on loopback and with 50 ms of delay).
pub const RAW_SHORT: usize = 1024;

/// How long the peer must send nothing for a long raw message to end.
///
/// Measured: the reads of a 64 KiB message arrived at most 56 ms apart.
pub const RAW_QUIET: Duration = Duration::from_millis(300);

/// How long to wait for the rest of an incomplete line before telling the user.
pub const UNENDED: Duration = Duration::from_secs(2);

/// How long a peer may send nothing after we have closed our side, unless the user says otherwise.
pub const LINGER: Duration = Duration::from_secs(2);

/// How messages are delimited in the byte stream. Both peers must use the same framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// The bytes of the message without a delimiter, as in the tutorial's scripts.
    #[default]
    Raw,
    /// A line that ends with a newline.
    Line,
    /// A line that ends with a carriage return and a newline.
    Crlf,
    /// A line that holds a JSON object (RFC 8259) with a `text` and an optional `name`, the
    /// sender's.
    Json,
    /// The bytes of the message and a zero byte, as in German schoolbooks.
    Nul,
}

impl Framing {
    /// All framings.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Line, Self::Crlf, Self::Json, Self::Nul];

    /// Returns the maximum number of bytes to buffer for an incomplete message: 1 MiB for
    /// JSON, 64 KiB otherwise. A longer message is decoded in pieces.
    pub fn limit(self) -> usize {
        match self {
            Self::Raw | Self::Line | Self::Crlf | Self::Nul => 64 * 1024,
            Self::Json => 1024 * 1024,
        }
    }

    /// Returns the name of the framing as the option `--framing` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Line => "line",
            Self::Crlf => "crlf",
            Self::Json => "json",
            Self::Nul => "nul",
        }
    }

    /// Returns whether `text` is empty apart from line ends, if the framing uses them as its
    /// delimiter. Such a text is not a message.
    pub fn is_blank(self, text: &[u8]) -> bool {
        match self {
            Self::Raw | Self::Json | Self::Nul => text.is_empty(),
            Self::Line | Self::Crlf => text.iter().all(|byte| matches!(byte, b'\r' | b'\n')),
        }
    }

    /// Returns what ends each message; nothing if that is not marked.
    pub fn end(self) -> &'static [u8] {
        match self {
            Self::Raw => b"",
            Self::Line | Self::Json => b"\n",
            Self::Crlf => b"\r\n",
            Self::Nul => b"\0",
        }
    }

    /// Returns whether messages are lines.
    pub fn has_lines(self) -> bool {
        self.end().ends_with(b"\n")
    }

    /// Returns whether messages end with a delimiter. Without one, the late rest of a message
    /// cannot be distinguished from a new message.
    pub fn marks_the_end(self) -> bool {
        !self.end().is_empty()
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The settings that an [`Encoder`] and a [`Decoder`] share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wire {
    /// How messages are delimited.
    pub framing: Framing,
    /// The sender's name for our messages. Only [`Framing::Json`] transmits it.
    pub name: Option<String>,
}

/// Returns the length of the incomplete UTF-8 character at the end of `bytes`, in bytes: 0
/// (there is none) to 3.
fn incomplete_char_len(bytes: &[u8]) -> usize {
    // Most messages end with an ASCII character, and the search is slower.
    if bytes.last().is_none_or(u8::is_ascii) {
        return 0;
    }
    let is_incomplete = |len: &usize| {
        str::from_utf8(&bytes[bytes.len() - len..])
            .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
    };
    (1..=bytes.len().min(3)).find(is_incomplete).unwrap_or(0)
}
