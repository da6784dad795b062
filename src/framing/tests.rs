//! Tests of encoding and decoding.

use proptest::prelude::*;

use super::*;

/// Decodes `reads`, the results of consecutive reads, then `end`, as raw messages. Returns each
/// message with its pieces joined.
fn raw_messages(reads: &[&[u8]], end: Pause) -> Vec<Vec<u8>> {
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
    assert_eq!(raw_messages(&[b"a"], Pause::None), [b"a"]);
    assert_eq!(raw_messages(&[&[b'x'; 1023]], Pause::None), [[b'x'; 1023]]);
    assert_eq!(raw_messages(&[b"a", b"b"], Pause::None), [b"a", b"b"]);
}

#[test]
fn a_long_message_ends_only_at_a_pause() {
    for length in [1024, 1025, 65_536] {
        let long = vec![b'x'; length];
        assert_eq!(raw_messages(&[&long], Pause::Quiet), [&long[..]]);
        assert_eq!(raw_messages(&[&long], Pause::Closed), [&long[..]]);
        let more = [long.as_slice(), b"tail"].concat();
        assert_eq!(raw_messages(&[&long, b"tail"], Pause::Quiet), [more]);
    }
}

#[test]
fn a_short_message_waits_for_its_last_character() {
    let text = "gr\u{fc}ezi \u{1f468}".as_bytes();
    for split in 0..text.len() {
        let (left, right) = text.split_at(split);
        let whole = std::str::from_utf8(left).is_ok();
        let found = raw_messages(&[left, right], Pause::Quiet);
        if whole && split > 0 {
            assert_eq!(found, [left, right], "split at {split}");
        } else {
            assert_eq!(found, [text], "split at {split}");
        }
    }
}

#[test]
fn an_incomplete_character_ends_at_a_pause() {
    assert_eq!(raw_messages(&[b"a\xc3"], Pause::Quiet), [b"a\xc3"]);
    assert_eq!(raw_messages(&[b"\xf0\x9f"], Pause::Closed), [b"\xf0\x9f"]);
}

#[test]
fn invalid_utf8_does_not_delay_the_end() {
    for bytes in [&b"\xff"[..], b"\x80\x80\x80", b"\xc3\x28", b"\xed\xa0\x80"] {
        assert_eq!(raw_messages(&[bytes], Pause::None), [bytes]);
    }
}

#[test]
fn patience_is_limited_only_within_a_message() {
    let mut decoder = Decoder::new(Framing::Raw);
    assert_eq!(decoder.patience(0), None);
    assert_eq!(decoder.patience(1), Some(RAW_QUIET));
    decoder.decode(&[b'x'; RAW_SHORT], Pause::None).unwrap();
    assert_eq!(decoder.patience(0), Some(RAW_QUIET));
    decoder.decode(b"", Pause::Quiet).unwrap();
    assert_eq!(decoder.patience(0), None);
}

proptest! {
    /// A long message is decoded as one message however it is split after its first 1024
    /// bytes, and only its last piece may end inside a character.
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
    fn no_byte_is_lost(reads in prop::collection::vec(
        prop::collection::vec(any::<u8>(), 1..1500), 0..8,
    )) {
        let slices: Vec<_> = reads.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(raw_messages(&slices, Pause::Closed).concat(), reads.concat());
    }
}

fn wire(framing: Framing, name: &str) -> Wire {
    Wire {
        framing,
        name: Some(name.into()),
    }
}

/// Encodes a message given in `parts`.
fn encoded(framing: Framing, parts: &[&[u8]]) -> Vec<u8> {
    let mut encoder = Encoder::new(&wire(framing, "anna"));
    let mut sent = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        sent.extend_from_slice(encoder.encode(part, index + 1 == parts.len()).0);
    }
    sent
}

/// A decoded message: the sender's name, the text, the oddity.
type Message = (Option<String>, Vec<u8>, Option<Oddity>);

/// Decodes `reads`, the results of consecutive reads, then the end of the stream.
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
            "the decoder exceeds the limit"
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
fn each_framing_encodes_a_message() {
    use Framing::{Crlf, Json, Line, Nul, Raw};
    let text = "gr\u{fc}ezi \"du\"".as_bytes();
    assert_eq!(encoded(Raw, &[text]), text);
    assert_eq!(encoded(Line, &[text]), [text, b"\n"].concat());
    assert_eq!(encoded(Crlf, &[text]), [text, b"\r\n"].concat());
    assert_eq!(encoded(Nul, &[text]), [text, b"\0"].concat());
    let json = "{\"name\":\"anna\",\"text\":\"gr\u{fc}ezi \\\"du\\\"\"}\n";
    assert_eq!(encoded(Json, &[text]), json.as_bytes());
    let mut nameless = Encoder::new(&Wire {
        framing: Json,
        ..Wire::default()
    });
    assert_eq!(nameless.encode(b"a", true).0, b"{\"text\":\"a\"}\n");
}

#[test]
fn parts_encode_as_the_whole_message_does() {
    let text = "gr\u{fc}ezi \u{1f468} \x1b\t".as_bytes();
    for framing in Framing::ALL {
        for split in 0..=text.len() {
            let (left, right) = text.split_at(split);
            assert_eq!(encoded(framing, &[left, right]), encoded(framing, &[text]));
        }
    }
}

#[test]
fn newlines_within_a_line_become_spaces() {
    let mut encoder = Encoder::new(&wire(Framing::Line, ""));
    assert_eq!(encoder.encode(b"a\nb\n", true), (&b"a b\n"[..], true));
    assert_eq!(encoder.encode(b"a\n", true), (&b"a\n"[..], false));
    let mut encoder = Encoder::new(&wire(Framing::Json, "x"));
    assert!(!encoder.encode(b"a\nb", true).1);
    assert_eq!(encoded(Framing::Raw, &[b"a\nb\n"]), b"a\nb\n");
}

#[test]
fn a_carriage_return_at_the_end_is_not_sent_twice() {
    assert_eq!(encoded(Framing::Crlf, &[b"PING\r"]), b"PING\r\n");
    assert_eq!(encoded(Framing::Crlf, &[b"a\rb"]), b"a\rb\r\n");
    assert_eq!(encoded(Framing::Crlf, &[b"PING\r", b""]), b"PING\r\n");
    assert_eq!(encoded(Framing::Crlf, &[b"a\r", b"b"]), b"a\rb\r\n");
}

#[test]
fn lines_are_decoded_without_their_line_end() {
    for framing in [Framing::Line, Framing::Crlf] {
        assert_eq!(texts(framing, b"a\nb\r\n\nc\rd\n"), ["a", "b", "", "c\rd"]);
        assert_eq!(texts(framing, b"a\nlast"), ["a", "last"]);
        assert_eq!(texts(framing, b""), Vec::<String>::new());
    }
}

#[test]
fn a_zero_byte_ends_a_message_and_lines_stay_lines() {
    assert_eq!(
        texts(Framing::Nul, b"a\nb\r\0\0c\r\n\0d"),
        ["a\nb\r", "", "c\r\n", "d"]
    );
    let mut encoder = Encoder::new(&wire(Framing::Nul, ""));
    assert_eq!(encoder.encode(b"a\nb\n", true), (&b"a\nb\n\0"[..], false));
    assert_eq!(encoder.encode(b"a\0b", true), (&b"a b\0"[..], true));
}

#[test]
fn an_incomplete_line_is_not_decoded() {
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
fn a_line_over_the_limit_is_decoded_in_pieces() {
    for (framing, length) in [(Framing::Line, 200_000), (Framing::Json, 3_000_000)] {
        let line = "\u{fc}".repeat(length);
        let wire = format!("x{line}\r\nnext\n");
        let messages = decoded(framing, wire.as_bytes().chunks(50_000));
        assert_eq!(messages.len(), 2);
        assert!(messages[0].1 == format!("x{line}").into_bytes());
        let not_json = || Oddity::NotJson("expected an object".into());
        assert_eq!(messages[0].2, (framing == Framing::Json).then(not_json));
        assert_eq!(messages[1].1, b"next");
    }
}

#[test]
fn a_json_object_is_decoded_into_name_and_text() {
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
fn a_line_that_is_not_a_json_message_is_reported() {
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
fn a_json_message_in_another_framing_is_reported() {
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
        Just(Framing::Json),
        Just(Framing::Nul)
    ]
}

proptest! {
    /// The bytes decode to the same messages wherever they are split: inside characters, line
    /// ends, and escapes too.
    #[test]
    fn splits_do_not_change_the_messages(
        framing in any_framing(),
        lines in prop::collection::vec(
            prop_oneof![
                "\\PC{0,12}",
                "[\\r\\x00\u{fc}\u{1f468}]{0,6}",
                "\\PC{0,9}".prop_map(|text| serde_json::json!({ "text": text }).to_string()),
            ],
            0..6,
        ),
        end in prop_oneof![Just("\n"), Just("\r\n"), Just("\0")],
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

    /// What an encoder produces decodes to the same messages, in order.
    #[test]
    fn encoded_messages_decode_to_themselves(
        framing in any_framing(),
        lines in prop::collection::vec("[^\n\r\0]{1,20}", 1..6),
    ) {
        let mut encoder = Encoder::new(&wire(framing, "anna"));
        let mut sent = Vec::new();
        for line in &lines {
            sent.extend_from_slice(encoder.encode(line.as_bytes(), true).0);
        }
        let read: Vec<_> = decoded(framing, [&sent[..]])
            .into_iter()
            .map(|message| String::from_utf8(message.1).unwrap())
            .collect();
        prop_assert_eq!(read, lines);
    }

    #[test]
    fn arbitrary_bytes_do_not_stop_the_decoder(
        framing in any_framing(),
        reads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8),
    ) {
        let messages = decoded(framing, reads.iter().map(Vec::as_slice));
        let delimiter = if framing.has_lines() { b'\n' } else { 0 };
        let ends = memchr::memchr_iter(delimiter, &reads.concat()).count();
        prop_assert!(messages.len() >= ends && messages.len() <= ends + 1);
    }
}
