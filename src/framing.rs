//! Where a message ends, decided from the bytes and the pauses between them; no I/O.

use std::time::Duration;

/// From so many bytes on, a raw message is read on until there is quiet: it is what the
/// tutorial's scripts read at most, and less than what always arrives in one read
/// (measured: up to 1300 bytes, on loopback and through 50 ms of delay).
pub const RAW_SHORT: usize = 1024;

/// The quiet that ends a long raw message (measured: the reads of 64 KiB came up to
/// 56 ms apart).
pub const RAW_QUIET: Duration = Duration::from_millis(300);

/// How messages are marked off on the wire. Both ends must use the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// A message is its bytes and nothing else, exactly as the tutorial's scripts do it.
    #[default]
    Raw,
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

/// A piece of a message, counted from the front of the bytes that were looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// So many bytes are text, and are done with.
    pub text: usize,
    /// Nothing of this message was handed out before.
    pub first: bool,
    /// The message ends here.
    pub last: bool,
}

/// Finds the messages in what a peer sends.
#[derive(Debug, Default)]
pub struct Decoder {
    framing: Framing,
    /// Bytes of the current message that were handed out already.
    handed: usize,
}

impl Decoder {
    /// A decoder that stands before the first message.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        Self { framing, handed: 0 }
    }

    /// Looks at `bytes`, all that was read and not handed out yet, and returns the next
    /// piece of a message, or `None` while more must be read first.
    ///
    /// A character is never split between two pieces, unless its rest never came.
    pub fn decode(&mut self, bytes: &[u8], pause: Pause) -> Option<Piece> {
        match self.framing {
            Framing::Raw => self.decode_raw(bytes, pause),
        }
    }

    /// How long to wait for more bytes before the decoder is asked again with
    /// [`Pause::Quiet`], when `buffered` bytes stand read; `None`: for ever.
    #[must_use]
    pub fn patience(&self, buffered: usize) -> Option<Duration> {
        match self.framing {
            Framing::Raw => (self.handed + buffered > 0).then_some(RAW_QUIET),
        }
    }

    fn decode_raw(&mut self, bytes: &[u8], pause: Pause) -> Option<Piece> {
        let total = self.handed + bytes.len();
        if total == 0 {
            return None;
        }
        let unfinished = unfinished_character(bytes);
        let last = match pause {
            Pause::None => total < RAW_SHORT && unfinished == 0,
            Pause::Quiet | Pause::Closed => true,
        };
        let text = if last {
            bytes.len()
        } else {
            bytes.len() - unfinished
        };
        if text == 0 && !last {
            return None;
        }
        let first = self.handed == 0;
        self.handed = if last { 0 } else { self.handed + text };
        Some(Piece { text, first, last })
    }
}

/// How many bytes at the end of `bytes` begin a UTF-8 character that is not whole yet:
/// 0 to 3.
fn unfinished_character(bytes: &[u8]) -> usize {
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
                message.extend(buffer.drain(..piece.text));
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
                    let text: Vec<_> = buffer.drain(..piece.text).collect();
                    shown.push_str(std::str::from_utf8(&text).unwrap());
                }
            }
            let piece = decoder.decode(&buffer, Pause::Quiet).unwrap();
            prop_assert!(piece.last);
            prop_assert_eq!(piece.text, buffer.len());
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
}
