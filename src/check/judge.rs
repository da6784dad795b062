//! What is wrong with what a program sent or printed, as far as its bytes tell. No I/O.

use serde::Serialize;
use serde::de::IgnoredAny;

use crate::framing::{Decoder, Encoder, Framing, Pause, Text, Wire};
use crate::sanitize::Untrusted;
use crate::{say, words};

/// The maximum number of columns of what a program printed to show.
const SHOWN: usize = 60;

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was seen.
    pub seen: String,
    /// What was expected instead.
    pub expected: String,
    /// What may be the mistake, and what to do about it.
    pub hint: String,
}

/// Returns the bytes of the message `text` on the wire.
pub(super) fn encode(framing: Framing, text: &str) -> Vec<u8> {
    let mut encoder = Encoder::new(&Wire {
        framing,
        name: None,
    });
    encoder.encode(text.as_bytes(), true).0.to_vec()
}

/// Returns whether `bytes` end with the end of a message.
pub(super) fn is_ended(framing: Framing, bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.ends_with(framing.end())
}

/// Judges the `bytes` that a program sent when `text` was typed. Fails if they are not exactly that
/// message.
pub fn sent(framing: Framing, text: &str, bytes: &[u8]) -> Result<(), Finding> {
    let expected = encode(framing, text);
    let is_right = match framing {
        Framing::Json => json_text(bytes).is_some_and(|found| found == text),
        _ => bytes == expected,
    };
    if is_right {
        return Ok(());
    }
    Err(Finding {
        seen: dump(bytes),
        expected: dump(&expected),
        hint: mistake(framing, text, bytes),
    })
}

/// Judges an answer of which only the end is known. Fails if `bytes` have none.
pub(super) fn ended(framing: Framing, bytes: &[u8]) -> Result<(), Finding> {
    if is_ended(framing, bytes) {
        return Ok(());
    }
    let expected = escaped(framing.end());
    Err(Finding {
        seen: dump(bytes),
        expected: say!(
            "an answer that ends with \"{expected}\"",
            "eine Antwort, die mit \"{expected}\" endet"
        ),
        hint: wrong_end(framing, b""),
    })
}

/// Returns how many messages `bytes` are. Those of raw cannot be told apart.
pub(super) fn count(framing: Framing, bytes: &[u8]) -> usize {
    match framing.end().last() {
        Some(last) => memchr::memchr_iter(*last, bytes).count(),
        None => usize::from(!bytes.is_empty()),
    }
}

/// Returns a text of 4 KB, no part of which is like another.
pub(super) fn long_text() -> String {
    let numbers: Vec<_> = (1000..1800).map(|number| number.to_string()).collect();
    numbers.join(" ")
}

/// Returns the text of the only JSON message in `bytes`.
fn json_text(bytes: &[u8]) -> Option<String> {
    let piece = Decoder::new(Framing::Json).decode(bytes, Pause::None)?;
    match piece.text {
        Text::Object { text, .. } if piece.consumed == bytes.len() => Some(text),
        _ => None,
    }
}

/// Returns what may be the mistake of a program that sent `bytes` for `text`.
fn mistake(framing: Framing, text: &str, bytes: &[u8]) -> String {
    let wanted = text.as_bytes();
    let body = bytes.trim_ascii_end();
    let body = body.strip_suffix(b"\0").unwrap_or(body);
    let end = &bytes[body.len()..];
    if framing == Framing::Json {
        return not_json(body, end);
    }
    if body == wanted {
        return wrong_end(framing, end);
    }
    if latin_1(text).as_deref() == Some(body) {
        return not_utf8(text, body);
    }
    if is_repr(body, wanted) {
        return say!(
            "str() makes b'…' of bytes, as a text: make bytes of a text with .encode() instead.",
            "str() macht aus Bytes den Text b'…': Text wird mit .encode() zu Bytes."
        );
    }
    if bytes.starts_with(wanted) {
        return say!(
            "After what was typed, it sends something more: one message, and then it is our turn.",
            "Nach dem Getippten sendet es noch etwas: eine Nachricht, dann sind wir an der Reihe."
        );
    }
    if let Some(prefix) = body.strip_suffix(wanted) {
        return prefixed(prefix, wanted.len());
    }
    if is_wide(text, bytes) {
        return say!(
            "This is UTF-16 or UTF-32: use .encode() or .encode('utf-8').",
            "Das ist UTF-16 oder UTF-32: .encode() oder .encode('utf-8') verwenden."
        );
    }
    if wanted.starts_with(body) {
        return say!(
            "Only a part has come: send() returns how many bytes it has taken; sendall() sends \
             all.",
            "Nur ein Teil ist gekommen: send() gibt zurück, wie viele Bytes es genommen hat; \
             sendall() sendet alle."
        );
    }
    say!(
        "Send what was typed as it is, with nothing before it.",
        "Das Getippte unverändert senden, mit nichts davor."
    )
}

/// Returns what is wrong with a JSON message of `body` and `end`.
fn not_json(body: &[u8], end: &[u8]) -> String {
    match serde_json::from_slice::<IgnoredAny>(body) {
        Ok(_) if end.is_empty() => say!(
            "The JSON is complete, but its line is not: send \\n after it.",
            "Das JSON ist vollständig, aber die Zeile nicht: danach noch \\n senden."
        ),
        Ok(_) => say!(
            "Send one object with the field \"text\", as in the expected line.",
            "Ein Objekt mit dem Feld \"text\" senden, wie in der erwarteten Zeile."
        ),
        Err(error) => {
            let error = Untrusted(error.to_string().as_bytes()).visible_line(SHOWN);
            say!(
                "It is no JSON ({error}): make it with json.dumps().",
                "Das ist kein JSON ({error}): mit json.dumps() erzeugen."
            )
        }
    }
}

/// Returns what is wrong with the `found` end of a message, if the rest of it is right.
fn wrong_end(framing: Framing, found: &[u8]) -> String {
    let shown = escaped(found);
    let expected = escaped(framing.end());
    if found.is_empty() {
        return say!(
            "The end of the message is missing: with {framing}, {expected} follows it. The other \
             side waits for that.",
            "Das Ende der Nachricht fehlt: bei {framing} folgt ihr {expected}. Darauf wartet die \
             Gegenseite."
        );
    }
    let other = Framing::ALL.into_iter().find(|other| other.end() == found);
    let Some(other) = other else {
        return say!(
            "{shown} at its end is too much.",
            "{shown} am Ende ist zu viel."
        );
    };
    if framing == Framing::Raw {
        say!(
            "{shown} at its end is sent too, as a part of the message: leave it out, or check with \
             --framing {other}.",
            "{shown} am Ende wird als Teil der Nachricht mitgesendet: weglassen, oder mit \
             --framing {other} prüfen."
        )
    } else {
        say!(
            "It ends the message with {shown}: send {expected}, or check with --framing {other}.",
            "Es beendet die Nachricht mit {shown}: {expected} senden, oder mit --framing {other} \
             prüfen."
        )
    }
}

/// Returns what to say of `bytes` that are `text` in Latin-1.
fn not_utf8(text: &str, bytes: &[u8]) -> String {
    let odd = text.chars().zip(bytes).find(|(char, _)| !char.is_ascii());
    let (char, byte) = odd.map_or((' ', 0), |(char, byte)| (char, *byte));
    say!(
        "{byte:02x} is no UTF-8; in Latin-1 it is {char}. Use .encode() or .encode('utf-8').",
        "{byte:02x} ist kein UTF-8; in Latin-1 ist es {char}. .encode() oder .encode('utf-8') \
         verwenden."
    )
}

/// Returns `bytes` as they are spelled in source text.
fn escaped(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).escape_debug().to_string()
}

/// Returns what to say of `prefix`, which stands before a message of `len` bytes.
fn prefixed(prefix: &[u8], len: usize) -> String {
    let digits = std::str::from_utf8(prefix).unwrap_or_default();
    let is_text = digits.trim_matches([' ', ':', '\n']).parse() == Ok(len);
    let number = |n: usize, byte: &u8| n.wrapping_mul(256) + usize::from(*byte);
    let big_endian = prefix.iter().fold(0, number);
    let little_endian = prefix.iter().rev().fold(0, number);
    if prefix == b"\xef\xbb\xbf" {
        say!(
            "Three bytes ef bb bf stand before it, a byte order mark: use 'utf-8', not \
             'utf-8-sig'.",
            "Davor stehen drei Bytes ef bb bf, eine Bytereihenfolge-Marke: 'utf-8' statt \
             'utf-8-sig'."
        )
    } else if is_text || big_endian == len || little_endian == len {
        say!(
            "Its length stands before it; here a message is only its bytes and its end.",
            "Davor steht die Länge; hier ist eine Nachricht nur ihre Bytes und ihr Ende."
        )
    } else {
        let count = prefix.len();
        say!(
            "{count} byte(s) stand before what was typed: send that alone.",
            "Vor dem Getippten stehen {count} Byte(s): nur dieses senden."
        )
    }
}

/// Judges what a program `printed` when it had received `text`. Fails if the text is not in it.
pub fn printed(text: &str, printed: &[u8]) -> Result<(), Finding> {
    let shown = String::from_utf8_lossy(printed);
    // A prompt of the program's may share the line, and its next one stands behind it.
    if shown.contains(text) {
        return Ok(());
    }
    let holds = |part: &[u8]| memchr::memmem::find(printed, part).is_some();
    let is_bytes = printed.windows(2).enumerate().any(|(at, start)| {
        matches!(start, b"b'" | b"b\"") && is_repr(&printed[at..], text.as_bytes())
    });
    let misread = text.bytes().map(char::from).collect::<String>();
    let hint = if is_bytes {
        words!(
            "It prints the bytes: make a text of them with .decode().",
            "Es gibt die Bytes aus: mit .decode() wird Text daraus."
        )
    } else if misread != text && (shown.contains(&misread) || shown.contains(&windows_1252(text))) {
        words!(
            "It reads UTF-8 as Latin-1: use .decode() or .decode('utf-8').",
            "Es liest UTF-8 als Latin-1: .decode() oder .decode('utf-8') verwenden."
        )
    } else if latin_1(text).is_some_and(|latin| latin != text.as_bytes() && holds(&latin)) {
        words!(
            "It prints Latin-1, not UTF-8.",
            "Es gibt Latin-1 aus, nicht UTF-8."
        )
    } else if is_cut(text, &shown) {
        words!(
            "Only the beginning was printed: recv() returns what is there, which may be a part of a \
             message. Read on until its end.",
            "Nur der Anfang wurde ausgegeben: recv() gibt zurück, was da ist, vielleicht nur einen \
             Teil der Nachricht. Bis zu ihrem Ende weiterlesen."
        )
    } else if is_replaced(text, &shown) {
        words!(
            "Characters were replaced or left out: decode without errors='replace' or 'ignore', as \
             UTF-8, and only whole characters.",
            "Zeichen wurden ersetzt oder weggelassen: ohne errors='replace' oder 'ignore' und nur \
             ganze Zeichen als UTF-8 decodieren."
        )
    } else {
        words!(
            "After recv(), print what has come.",
            "Nach recv() ausgeben, was gekommen ist."
        )
    };
    let seen = Untrusted(printed).visible_line(SHOWN);
    let text = Untrusted(text.as_bytes()).visible_line(SHOWN);
    Err(Finding {
        seen: if printed.is_empty() {
            say!("it printed nothing", "es gab nichts aus")
        } else {
            say!("it printed \"{seen}\"", "es gab aus: \"{seen}\"")
        },
        expected: say!("it prints \"{text}\"", "es gibt aus: \"{text}\""),
        hint: hint.into(),
    })
}

/// Returns whether `shown` has only the beginning of `text`: a quarter of a long one, or half of a short
/// one, where no word goes on.
fn is_cut(text: &str, shown: &str) -> bool {
    let part = if text.len() > 100 { 4 } else { 2 };
    let beginning = text.chars().take(text.chars().count().div_ceil(part));
    let beginning = beginning.collect::<String>();
    let mut places = shown.match_indices(&beginning);
    places.any(|(at, _)| !shown[..at].ends_with(char::is_alphanumeric))
}

/// Returns whether `shown` has `text` with characters outside of ASCII replaced or left out.
fn is_replaced(text: &str, shown: &str) -> bool {
    let mut parts = text
        .split(|char: char| !char.is_ascii())
        .filter(|part| !part.is_empty());
    !text.is_ascii() && parts.all(|part| shown.contains(part))
}

/// Returns whether `shown` begins with Python's literal for the bytes `wanted`: `b'...'`.
fn is_repr(shown: &[u8], wanted: &[u8]) -> bool {
    // The texts that we type have no quotes, of which Python escapes one.
    let literal = wanted.escape_ascii().to_string();
    let bare = shown
        .strip_prefix(b"b'")
        .or_else(|| shown.strip_prefix(b"b\""));
    bare.is_some_and(|bare| bare.starts_with(literal.as_bytes()))
}

/// Returns whether `bytes` are `text` in an encoding of two or four bytes a character.
fn is_wide(text: &str, bytes: &[u8]) -> bool {
    let narrow: Vec<_> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    let narrow = narrow
        .strip_prefix(b"\xff\xfe")
        .or_else(|| narrow.strip_prefix(b"\xfe\xff"))
        .unwrap_or(&narrow);
    bytes.contains(&0) && Some(narrow.trim_ascii_end()) == latin_1(text).as_deref()
}

/// Returns `text` in Latin-1, if it has such an encoding.
fn latin_1(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|char| u8::try_from(char).ok()).collect()
}

/// Returns how the UTF-8 of `text` reads as Windows-1252, as far as the letters of German go.
fn windows_1252(text: &str) -> String {
    let read = |byte: u8| match byte {
        0x84 => '\u{201e}',
        0x96 => '\u{2013}',
        0x9c => '\u{153}',
        0x9f => '\u{178}',
        byte => char::from(byte),
    };
    text.bytes().map(read).collect()
}

/// Describes `bytes` as `--explain` does, or that there are none.
pub(super) fn dump(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return say!("nothing", "nichts");
    }
    crate::explain::dump(bytes)
}

#[cfg(test)]
mod tests;
