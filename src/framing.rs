//! Where a message ends, decided from the bytes and the pauses between them; no I/O.

use std::fmt;
use std::time::Duration;

use memchr::memchr;
use serde::Deserialize;

/// From so many bytes on, a raw message is read on until there is quiet: it is what the
/// tutorial's scripts read at most, and less than what always arrives in one read
/// (measured: up to 1300 bytes, on loopback and through 50 ms of delay).
pub const RAW_SHORT: usize = 1024;

/// The quiet that ends a long raw message (measured: the reads of 64 KiB came up to
/// 56 ms apart).
pub const RAW_QUIET: Duration = Duration::from_millis(300);

/// So long a line may stay without its end before the user is told.
pub const UNENDED: Duration = Duration::from_secs(2);

/// How messages are marked off on the wire. Both ends must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// A message is its bytes and nothing else, exactly as the tutorial's scripts do it.
    #[default]
    Raw,
    /// A message is a line that ends with a newline.
    Line,
    /// A message is a line that ends with a carriage return and a newline.
    Crlf,
    /// A message is a line that holds a JSON object (RFC 8259) with a `text` and,
    /// for whom it is from, a `name`.
    Json,
}

impl Framing {
    /// So many bytes are held at most while the end of a message has not come: 64 KiB,
    /// and for a JSON object 1 MiB. What is longer is handed out in parts.
    #[must_use]
    pub fn limit(self) -> usize {
        match self {
            Self::Raw | Self::Line | Self::Crlf => 64 * 1024,
            Self::Json => 1024 * 1024,
        }
    }

    /// Its name, as the option `--framing` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Line => "line",
            Self::Crlf => "crlf",
            Self::Json => "json",
        }
    }

    /// Whether `text` would be an end mark and nothing else: no message.
    #[must_use]
    pub fn is_blank(self, text: &[u8]) -> bool {
        match self {
            Self::Raw | Self::Json => text.is_empty(),
            Self::Line | Self::Crlf => text.iter().all(|byte| matches!(byte, b'\r' | b'\n')),
        }
    }

    /// Whether a message has an end mark. Without one, bytes that come late cannot be
    /// told from a message of their own.
    #[must_use]
    pub fn marks_the_end(self) -> bool {
        self != Self::Raw
    }
}

impl fmt::Display for Framing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What both directions of a connection have to know.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wire {
    /// How messages are marked off.
    pub framing: Framing,
    /// Whom ours are from; only [`Framing::Json`] tells it.
    pub name: Option<String>,
}

/// Turns what is said into what is sent.
#[derive(Debug)]
pub struct Encoder {
    framing: Framing,
    /// What stands in JSON before the text of a message.
    opening: Vec<u8>,
    /// A part of the current message was encoded already.
    begun: bool,
    /// What the next part decides: the beginning of a character, of which JSON knows whole
    /// ones only, or what may be the line end of the input.
    unfinished: Vec<u8>,
    /// What was encoded last, kept for its memory.
    wire: Vec<u8>,
}

/// What has to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoded<'a> {
    /// The bytes for the wire.
    pub wire: &'a [u8],
    /// Newlines within the text became spaces, since a message of this framing is a line.
    pub joined: bool,
}

impl Encoder {
    /// An encoder that stands before the first message.
    #[must_use]
    pub fn new(wire: &Wire) -> Self {
        let mut opening = b"{".to_vec();
        if let Some(name) = &wire.name {
            opening.extend_from_slice(b"\"name\":");
            write_json(&mut opening, name);
            opening.push(b',');
        }
        opening.extend_from_slice(b"\"text\":");
        Self {
            framing: wire.framing,
            opening,
            begun: false,
            unfinished: Vec::new(),
            wire: Vec::new(),
        }
    }

    /// Returns what has to be sent for `text`, a part of a message and, if `last`, its end.
    pub fn encode<'a>(&'a mut self, text: &'a [u8], last: bool) -> Encoded<'a> {
        self.wire.clear();
        let mut joined = false;
        match self.framing {
            Framing::Raw => {
                return Encoded { wire: text, joined };
            }
            Framing::Line => joined = self.encode_line(text, last, b"\n"),
            Framing::Crlf => {
                if !text.is_empty() {
                    self.wire.append(&mut self.unfinished);
                }
                // A line of a file with such line ends has one of its own.
                let (text, held) = match text {
                    [text @ .., b'\r'] => (text, !last),
                    text => (text, false),
                };
                joined = self.encode_line(text, last, b"\r\n");
                if last {
                    self.unfinished.clear();
                } else if held {
                    self.unfinished.push(b'\r');
                }
            }
            Framing::Json => self.encode_json(text, last),
        }
        self.begun = !last;
        Encoded {
            wire: &self.wire,
            joined,
        }
    }

    fn encode_line(&mut self, text: &[u8], last: bool, end: &[u8]) -> bool {
        // A paste of whole lines has an end of its own.
        let text = match text {
            [text @ .., b'\n'] if last => text,
            text => text,
        };
        self.wire.extend_from_slice(text);
        let joined = memchr(b'\n', text).is_some();
        if joined {
            let newlines = self.wire.iter_mut().filter(|byte| **byte == b'\n');
            newlines.for_each(|byte| *byte = b' ');
        }
        if last {
            self.wire.extend_from_slice(end);
        }
        joined
    }

    fn encode_json(&mut self, text: &[u8], last: bool) {
        let put_together;
        let text = if self.unfinished.is_empty() {
            text
        } else {
            put_together = [&self.unfinished, text].concat();
            self.unfinished.clear();
            &put_together
        };
        let held = if last { 0 } else { unfinished_character(text) };
        let (text, rest) = text.split_at(text.len() - held);
        self.unfinished.extend_from_slice(rest);
        if !self.begun {
            self.wire.extend_from_slice(&self.opening);
        }
        let start = self.wire.len();
        write_json(&mut self.wire, &String::from_utf8_lossy(text));
        if self.begun {
            self.wire.remove(start);
        }
        if last {
            self.wire.extend_from_slice(b"}\n");
        } else {
            self.wire.pop();
        }
    }
}

/// Appends `text` as a JSON string, with its quotes.
fn write_json(wire: &mut Vec<u8>, text: &str) {
    // A Vec takes all, and a text is never what JSON cannot say.
    let _ = serde_json::to_writer(wire, text);
}

/// The JSON object that a message is. What else it holds is ignored.
#[derive(Deserialize)]
struct Object {
    name: Option<String>,
    text: String,
}

/// Why a line is no message whatever else it is.
const NO_OBJECT: &str = "expected an object";

/// Whether a line can be an object; serde would take an array for one as well.
fn begins_object(line: &[u8]) -> bool {
    line.trim_ascii_start().starts_with(b"{")
}

/// Why the decoder is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// More bytes may be on their way.
    None,
    /// None have come for as long as [`Decoder::patience`] said.
    Quiet,
    /// None will ever come: the peer has closed its side.
    Closed,
}

/// A piece of a message, from the front of the bytes that were looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// What it says.
    pub text: Text,
    /// So many bytes are done with.
    pub consumed: usize,
    /// Nothing of this message was handed out before.
    pub first: bool,
    /// The message ends here.
    pub last: bool,
    /// What is odd about it.
    pub oddity: Option<Oddity>,
}

/// What a piece says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The first so many of the bytes.
    Here(usize),
    /// A JSON object that was taken apart.
    Object {
        /// Whom it says it is from.
        name: Option<String>,
        /// What it says.
        text: String,
    },
}

/// What shows that the two ends use different framings, or that the peer is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Oddity {
    /// A line is the JSON object of a message, but the framing is another.
    Json,
    /// A line is no JSON object of a message, and why.
    NotJson(String),
    /// A JSON object is longer than [`Framing::limit`].
    LongJson,
}

/// Finds the messages in what a peer sends.
#[derive(Debug, Default)]
pub struct Decoder {
    framing: Framing,
    /// Bytes of the current message that were handed out already.
    handed: usize,
    /// So many bytes at the front were looked at, and hold no newline.
    searched: usize,
}

impl Decoder {
    /// A decoder that stands before the first message.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self {
            framing,
            ..Self::default()
        }
    }

    /// The framing that it decodes.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Looks at `bytes`, all that was read and not handed out yet, and returns the next
    /// piece of a message, or `None` while more must be read first. It never holds back
    /// as many bytes as [`Framing::limit`].
    ///
    /// A character is never split between two pieces, unless its rest never came.
    pub fn decode(&mut self, bytes: &[u8], pause: Pause) -> Option<Piece> {
        let piece = match self.framing {
            Framing::Raw => self.decode_raw(bytes, pause),
            Framing::Line | Framing::Crlf | Framing::Json => self.decode_line(bytes, pause),
        }?;
        self.handed = if piece.last {
            0
        } else {
            self.handed + piece.consumed
        };
        self.searched = 0;
        Some(piece)
    }

    /// Takes the current message for ended, whatever of it still comes: a raw message has
    /// no other end when the user has answered it.
    pub fn end_message(&mut self) {
        if self.framing == Framing::Raw {
            self.handed = 0;
        }
    }

    /// How long to wait for more bytes before the decoder is asked again with
    /// [`Pause::Quiet`], when `buffered` bytes stand read; `None`: for ever.
    #[must_use]
    pub fn patience(&self, buffered: usize) -> Option<Duration> {
        let unended = self.handed + buffered > 0;
        unended.then_some(match self.framing {
            Framing::Raw => RAW_QUIET,
            Framing::Line | Framing::Crlf | Framing::Json => UNENDED,
        })
    }

    /// Whether only quiet can end the current message, when `buffered` bytes stand read.
    #[must_use]
    pub fn ends_by_quiet(&self, buffered: usize) -> bool {
        self.framing == Framing::Raw && self.handed + buffered >= RAW_SHORT
    }

    fn decode_raw(&self, bytes: &[u8], pause: Pause) -> Option<Piece> {
        let total = self.handed + bytes.len();
        if total == 0 {
            return None;
        }
        let unfinished = unfinished_character(bytes);
        let last = match pause {
            Pause::None => !self.ends_by_quiet(bytes.len()) && unfinished == 0,
            Pause::Quiet | Pause::Closed => true,
        };
        let text = if last {
            bytes.len()
        } else {
            bytes.len() - unfinished
        };
        (text > 0 || last).then(|| self.piece(text, text, last))
    }

    fn decode_line(&mut self, bytes: &[u8], pause: Pause) -> Option<Piece> {
        if let Some(newline) = memchr(b'\n', &bytes[self.searched..]) {
            let newline = self.searched + newline;
            let line = &bytes[..newline];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            return Some(self.line(line, newline + 1));
        }
        self.searched = bytes.len();
        if pause == Pause::Closed && self.handed + bytes.len() > 0 {
            return Some(self.line(bytes, bytes.len()));
        }
        if bytes.len() < self.framing.limit() {
            return None;
        }
        let held = match bytes {
            [.., b'\r'] => 1,
            bytes => unfinished_character(bytes),
        };
        let text = bytes.len() - held;
        let mut piece = self.piece(text, text, false);
        if piece.first && self.framing == Framing::Json {
            piece.oddity = Some(if begins_object(bytes) {
                Oddity::LongJson
            } else {
                Oddity::NotJson(NO_OBJECT.into())
            });
        }
        Some(piece)
    }

    /// The last or only piece of a line.
    fn line(&self, line: &[u8], consumed: usize) -> Piece {
        let mut piece = self.piece(line.len(), consumed, true);
        if !piece.first {
            return piece;
        }
        match self.framing {
            Framing::Json if !begins_object(line) => {
                piece.oddity = Some(Oddity::NotJson(NO_OBJECT.into()));
            }
            Framing::Json => match serde_json::from_slice(line) {
                Ok(Object { name, text }) => piece.text = Text::Object { name, text },
                Err(error) => piece.oddity = Some(Oddity::NotJson(error.to_string())),
            },
            Framing::Line | Framing::Crlf => {
                let braced = line.starts_with(b"{") && line.ends_with(b"}");
                if braced && serde_json::from_slice::<Object>(line).is_ok() {
                    piece.oddity = Some(Oddity::Json);
                }
            }
            Framing::Raw => {}
        }
        piece
    }

    fn piece(&self, text: usize, consumed: usize, last: bool) -> Piece {
        Piece {
            text: Text::Here(text),
            consumed,
            first: self.handed == 0,
            last,
            oddity: None,
        }
    }
}

/// How many bytes at the end of `bytes` begin a UTF-8 character that is not whole yet:
/// 0 to 3.
fn unfinished_character(bytes: &[u8]) -> usize {
    // Most messages end so, and what follows is not cheap.
    if bytes.last().is_none_or(u8::is_ascii) {
        return 0;
    }
    let tail = &bytes[bytes.len().saturating_sub(3)..];
    (0..tail.len())
        .map(|start| &tail[start..])
        .find(|rest| {
            std::str::from_utf8(rest)
                .is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .map_or(0, <[u8]>::len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds `reads` as they would come from a socket, then `end`, and returns the
    /// messages, each with its pieces put together.
    fn messages(reads: &[&[u8]], end: Pause) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::new(Framing::Raw);
        let mut buffer = Vec::new();
        let mut message = Vec::new();
        let mut found = Vec::new();
        let mut step = |buffer: &mut Vec<u8>, pause| {
            while let Some(piece) = decoder.decode(buffer, pause) {
                assert_eq!(piece.first, message.is_empty());
                assert_eq!(piece.text, Text::Here(piece.consumed));
                message.extend(buffer.drain(..piece.consumed));
                if piece.last {
                    found.push(std::mem::take(&mut message));
                }
            }
        };
        for read in reads {
            buffer.extend_from_slice(read);
            step(&mut buffer, Pause::None);
        }
        step(&mut buffer, end);
        assert!(buffer.is_empty() && message.is_empty());
        found
    }

    #[test]
    fn a_short_message_ends_with_its_read() {
        assert_eq!(messages(&[b"a"], Pause::None), [b"a"]);
        assert_eq!(messages(&[&[b'x'; 1023]], Pause::None), [[b'x'; 1023]]);
        assert_eq!(messages(&[b"a", b"b"], Pause::None), [b"a", b"b"]);
    }

    #[test]
    fn from_1024_bytes_on_only_quiet_ends_it() {
        for length in [1024, 1025, 65_536] {
            let long = vec![b'x'; length];
            assert_eq!(messages(&[&long], Pause::Quiet), [&long[..]]);
            assert_eq!(messages(&[&long], Pause::Closed), [&long[..]]);
            let more = [long.as_slice(), b"tail"].concat();
            assert_eq!(messages(&[&long, b"tail"], Pause::Quiet), [more]);
        }
    }

    #[test]
    fn a_short_message_waits_for_its_last_character() {
        let text = "gr\u{fc}ezi \u{1f468}".as_bytes();
        for split in 0..text.len() {
            let (left, right) = text.split_at(split);
            let whole = std::str::from_utf8(left).is_ok();
            let found = messages(&[left, right], Pause::Quiet);
            if whole && split > 0 {
                assert_eq!(found, [left, right], "split at {split}");
            } else {
                assert_eq!(found, [text], "split at {split}");
            }
        }
    }

    #[test]
    fn a_character_that_stays_unfinished_ends_with_the_quiet() {
        assert_eq!(messages(&[b"a\xc3"], Pause::Quiet), [b"a\xc3"]);
        assert_eq!(messages(&[b"\xf0\x9f"], Pause::Closed), [b"\xf0\x9f"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_end_at_once() {
        for bytes in [&b"\xff"[..], b"\x80\x80\x80", b"\xc3\x28", b"\xed\xa0\x80"] {
            assert_eq!(messages(&[bytes], Pause::None), [bytes]);
        }
    }

    #[test]
    fn patience_lasts_only_within_a_message() {
        let mut decoder = Decoder::new(Framing::Raw);
        assert_eq!(decoder.patience(0), None);
        assert_eq!(decoder.patience(1), Some(RAW_QUIET));
        decoder.decode(&[b'x'; RAW_SHORT], Pause::None).unwrap();
        assert_eq!(decoder.patience(0), Some(RAW_QUIET));
        decoder.decode(b"", Pause::Quiet).unwrap();
        assert_eq!(decoder.patience(0), None);
    }

    proptest! {
        /// However the bytes of a long message are cut after its first 1024, they are one
        /// message, and no piece but the last ends inside a character.
        #[test]
        fn any_split_of_a_long_message_is_one_message(
            text in "\\PC{1024,3000}",
            cuts in prop::collection::vec(1_usize..2000, 0..20),
        ) {
            let bytes = text.as_bytes();
            let mut decoder = Decoder::new(Framing::Raw);
            let mut buffer = Vec::new();
            let mut shown = String::new();
            let mut rest = bytes;
            let mut cuts = cuts.into_iter();
            let mut length = RAW_SHORT;
            while !rest.is_empty() {
                let (read, after) = rest.split_at(length.min(rest.len()));
                buffer.extend_from_slice(read);
                rest = after;
                length = cuts.next().unwrap_or(4096);
                while let Some(piece) = decoder.decode(&buffer, Pause::None) {
                    prop_assert!(!piece.last);
                    let text: Vec<_> = buffer.drain(..piece.consumed).collect();
                    shown.push_str(std::str::from_utf8(&text).unwrap());
                }
            }
            let piece = decoder.decode(&buffer, Pause::Quiet).unwrap();
            prop_assert!(piece.last);
            prop_assert_eq!(piece.consumed, buffer.len());
            shown.push_str(std::str::from_utf8(&buffer).unwrap());
            prop_assert_eq!(shown, text);
        }

        #[test]
        fn no_byte_is_lost_whatever_comes(reads in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 1..1500), 0..8,
        )) {
            let slices: Vec<_> = reads.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(messages(&slices, Pause::Closed).concat(), reads.concat());
        }
    }

    fn wire(framing: Framing, name: &str) -> Wire {
        Wire {
            framing,
            name: Some(name.into()),
        }
    }

    /// What is sent for a message that comes in `parts`.
    fn encoded(framing: Framing, parts: &[&[u8]]) -> Vec<u8> {
        let mut encoder = Encoder::new(&wire(framing, "anna"));
        let mut sent = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            sent.extend_from_slice(encoder.encode(part, index + 1 == parts.len()).wire);
        }
        sent
    }

    /// A message as it was taken apart: whom it is from, what it says, what is odd.
    type Message = (Option<String>, Vec<u8>, Option<Oddity>);

    /// Feeds `reads` to a decoder as a connection would do it, then the end.
    fn decoded<'a>(framing: Framing, reads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Message> {
        let mut decoder = Decoder::new(framing);
        let mut buffer = Vec::new();
        let mut message = (None, Vec::new(), None);
        let mut found = Vec::new();
        let mut step = |buffer: &mut Vec<u8>, pause| {
            while let Some(piece) = decoder.decode(buffer, pause) {
                let bytes: Vec<_> = buffer.drain(..piece.consumed).collect();
                match piece.text {
                    Text::Here(count) => message.1.extend_from_slice(&bytes[..count]),
                    Text::Object { name, text } => message = (name, text.into_bytes(), None),
                }
                if piece.first {
                    message.2 = piece.oddity;
                }
                if piece.last {
                    found.push(std::mem::take(&mut message));
                }
            }
            assert!(
                buffer.len() < framing.limit(),
                "nothing is held without a limit"
            );
        };
        for read in reads {
            buffer.extend_from_slice(read);
            step(&mut buffer, Pause::None);
        }
        step(&mut buffer, Pause::Closed);
        assert!(buffer.is_empty() && message.1.is_empty());
        found
    }

    fn texts(framing: Framing, wire: &[u8]) -> Vec<String> {
        let messages = decoded(framing, [wire]);
        messages
            .into_iter()
            .map(|m| String::from_utf8(m.1).unwrap())
            .collect()
    }

    #[test]
    fn what_is_sent() {
        use Framing::{Crlf, Json, Line, Raw};
        let text = "gr\u{fc}ezi \"du\"".as_bytes();
        assert_eq!(encoded(Raw, &[text]), text);
        assert_eq!(encoded(Line, &[text]), [text, b"\n"].concat());
        assert_eq!(encoded(Crlf, &[text]), [text, b"\r\n"].concat());
        let json = "{\"name\":\"anna\",\"text\":\"gr\u{fc}ezi \\\"du\\\"\"}\n";
        assert_eq!(encoded(Json, &[text]), json.as_bytes());
        let mut nameless = Encoder::new(&Wire {
            framing: Json,
            name: None,
        });
        assert_eq!(nameless.encode(b"a", true).wire, b"{\"text\":\"a\"}\n");
    }

    #[test]
    fn a_message_in_parts_is_sent_as_one() {
        let text = "gr\u{fc}ezi \u{1f468} \x1b\t".as_bytes();
        for framing in [Framing::Raw, Framing::Line, Framing::Crlf, Framing::Json] {
            for split in 0..=text.len() {
                let (left, right) = text.split_at(split);
                assert_eq!(encoded(framing, &[left, right]), encoded(framing, &[text]));
            }
        }
    }

    #[test]
    fn newlines_within_a_line_are_spaces_and_that_is_told() {
        let mut encoder = Encoder::new(&wire(Framing::Line, ""));
        let Encoded { wire, joined } = encoder.encode(b"a\nb\n", true);
        assert_eq!((wire, joined), (&b"a b\n"[..], true));
        assert!(!encoder.encode(b"a\n", true).joined);
        let mut encoder = Encoder::new(&super::tests::wire(Framing::Json, "x"));
        assert!(!encoder.encode(b"a\nb", true).joined);
        assert_eq!(encoded(Framing::Raw, &[b"a\nb\n"]), b"a\nb\n");
    }

    #[test]
    fn a_line_end_of_the_input_is_not_sent_twice() {
        assert_eq!(encoded(Framing::Crlf, &[b"PING\r"]), b"PING\r\n");
        assert_eq!(encoded(Framing::Crlf, &[b"a\rb"]), b"a\rb\r\n");
        assert_eq!(encoded(Framing::Crlf, &[b"PING\r", b""]), b"PING\r\n");
        assert_eq!(encoded(Framing::Crlf, &[b"a\r", b"b"]), b"a\rb\r\n");
    }

    #[test]
    fn lines_end_at_the_newline_and_lose_a_return_before_it() {
        for framing in [Framing::Line, Framing::Crlf] {
            assert_eq!(texts(framing, b"a\nb\r\n\nc\rd\n"), ["a", "b", "", "c\rd"]);
            assert_eq!(texts(framing, b"a\nlast"), ["a", "last"]);
            assert_eq!(texts(framing, b""), Vec::<String>::new());
        }
    }

    #[test]
    fn nothing_of_a_line_is_handed_out_before_its_end() {
        let mut decoder = Decoder::new(Framing::Line);
        assert_eq!(decoder.decode(b"half", Pause::None), None);
        assert_eq!(decoder.decode(b"half", Pause::Quiet), None);
        assert_eq!(decoder.patience(4), Some(UNENDED));
        assert_eq!(decoder.patience(0), None);
        assert_eq!(
            decoder.decode(b"half\n", Pause::None).unwrap().text,
            Text::Here(4)
        );
    }

    #[test]
    fn a_line_past_the_limit_comes_in_parts() {
        for (framing, length) in [(Framing::Line, 200_000), (Framing::Json, 3_000_000)] {
            let line = "\u{fc}".repeat(length);
            let wire = format!("x{line}\r\nnext\n");
            let messages = decoded(framing, wire.as_bytes().chunks(50_000));
            assert_eq!(messages.len(), 2);
            assert!(messages[0].1 == format!("x{line}").into_bytes());
            let not_json = || Oddity::NotJson(NO_OBJECT.into());
            assert_eq!(messages[0].2, (framing == Framing::Json).then(not_json));
            assert_eq!(messages[1].1, b"next");
        }
    }

    #[test]
    fn a_json_object_tells_name_and_text() {
        let message = |wire: &str| decoded(Framing::Json, [wire.as_bytes()]).remove(0);
        let plain = |text: &str| (None, text.as_bytes().to_vec(), None);
        assert_eq!(message("{\"text\":\"a\"}\n"), plain("a"));
        assert_eq!(
            message("{ \"text\" : \"\\u00fc\\n\\ud83d\\udc68\" } \r\n"),
            plain("\u{fc}\n\u{1f468}")
        );
        assert_eq!(
            message("{\"x\":[1,{}],\"text\":\"a\",\"name\":null}"),
            plain("a")
        );
        assert_eq!(
            message("{\"name\":\"anna\",\"text\":\"\"}\n"),
            (Some("anna".into()), Vec::new(), None)
        );
    }

    #[test]
    fn what_is_no_json_message_is_shown_and_told() {
        for line in [
            "hello",
            "",
            "{}",
            "[1]",
            "[\"anna\",\"text\"]",
            "\"text\"",
            "{\"text\":1}",
            "{\"name\":\"anna\"}",
            "{\"text\":\"a\"} x",
            "{\"text\":\"\\ud800\"}",
            "{\"text\":\"\x01\"}",
            &format!("{{\"x\":{}1", "[".repeat(10_000)),
        ] {
            let messages = decoded(Framing::Json, [format!("{line}\n").as_bytes()]);
            let (name, text, odd) = &messages[0];
            assert_eq!((name, text.as_slice()), (&None, line.as_bytes()));
            assert!(
                matches!(odd, Some(Oddity::NotJson(why)) if !why.is_empty()),
                "{line}"
            );
        }
    }

    #[test]
    fn a_json_message_is_noticed_under_line() {
        let odd = |line: &str| decoded(Framing::Line, [line.as_bytes()]).remove(0).2;
        assert_eq!(
            odd("{\"name\":\"anna\",\"text\":\"a\"}\n"),
            Some(Oddity::Json)
        );
        for other in [
            "{}",
            "{\"a\":1}",
            "{text}",
            "text",
            "{",
            "{\"text\":\"a\"} and more",
        ] {
            assert_eq!(odd(&format!("{other}\n")), None, "{other}");
        }
    }

    fn any_framing() -> impl Strategy<Value = Framing> {
        prop_oneof![
            Just(Framing::Line),
            Just(Framing::Crlf),
            Just(Framing::Json)
        ]
    }

    proptest! {
        /// Cut anywhere, inside characters, line ends and escapes too, the bytes are the
        /// same messages.
        #[test]
        fn any_split_gives_the_same_messages(
            framing in any_framing(),
            lines in prop::collection::vec(
                prop_oneof![
                    "\\PC{0,12}",
                    "[\\r\\x00\u{fc}\u{1f468}]{0,6}",
                    "\\PC{0,9}".prop_map(|text| serde_json::json!({ "text": text }).to_string()),
                ],
                0..6,
            ),
            end in prop_oneof![Just("\n"), Just("\r\n")],
            cuts in prop::collection::vec(1_usize..9, 0..60),
        ) {
            let wire = lines.join(end);
            let bytes = wire.as_bytes();
            let mut reads = Vec::new();
            let mut rest = bytes;
            for cut in cuts {
                let (read, after) = rest.split_at(cut.min(rest.len()));
                reads.push(read);
                rest = after;
            }
            reads.push(rest);
            prop_assert_eq!(decoded(framing, reads), decoded(framing, [bytes]));
        }

        /// What one end sends is what the other end reads, in order.
        #[test]
        fn what_is_sent_is_what_is_read(
            framing in any_framing(),
            lines in prop::collection::vec("[^\n\r]{1,20}", 1..6),
        ) {
            let mut encoder = Encoder::new(&wire(framing, "anna"));
            let mut sent = Vec::new();
            for line in &lines {
                sent.extend_from_slice(encoder.encode(line.as_bytes(), true).wire);
            }
            let read: Vec<_> = decoded(framing, [&sent[..]])
                .into_iter()
                .map(|message| String::from_utf8(message.1).unwrap())
                .collect();
            prop_assert_eq!(read, lines);
        }

        #[test]
        fn no_bytes_make_a_decoder_panic_or_stand_still(
            framing in any_framing(),
            reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
        ) {
            let messages = decoded(framing, reads.iter().map(Vec::as_slice));
            let newlines = memchr::memchr_iter(b'\n', &reads.concat()).count();
            prop_assert!(messages.len() >= newlines && messages.len() <= newlines + 1);
        }
    }
}
