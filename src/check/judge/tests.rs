use super::*;

/// The hint for what was sent for `text`.
fn hint(framing: Framing, text: &str, bytes: &[u8]) -> String {
    sent(framing, text, bytes).unwrap_err().hint
}

#[test]
fn what_is_right_passes() {
    for framing in Framing::ALL {
        for text in ["hallo", "gr\u{fc}ezi", "a b"] {
            assert_eq!(sent(framing, text, &encode(framing, text)), Ok(()));
        }
    }
    let json = b"{ \"name\": \"x\", \"text\": \"gr\\u00fcezi\" }\n";
    assert_eq!(sent(Framing::Json, "gr\u{fc}ezi", json), Ok(()));
}

#[test]
fn what_is_wrong_is_named() {
    use Framing::{Crlf, Json, Line, Nul, Raw};
    for (framing, text, bytes, words) in [
        (Raw, "hallo", &b"b'hallo'"[..], "str() makes b'"),
        (Raw, "hallo", b"b\"hallo\"", "str() makes b'"),
        (Line, "hallo", b"b'hallo'\n", "str() makes b'"),
        (Raw, "hallo", b"5hallo", "Its length"),
        (Raw, "hallo", b"00005 hallo", "Its length"),
        (Raw, "hallo", b"\0\0\0\x05hallo", "Its length"),
        (Raw, "hallo", b"\x05\0hallo", "Its length"),
        (Line, "hallo", b"5hallo\n", "Its length"),
        (Raw, "hallo", b"Anna: hallo", "6 byte(s) stand before"),
        (Raw, "hallo", b"\xef\xbb\xbfhallo", "byte order mark"),
        (Raw, "hallo", b"hallo\n", "--framing line"),
        (Raw, "hallo", b"hallo\r\n", "--framing crlf"),
        (Raw, "hallo", b"hallo\0", "--framing nul"),
        (Raw, "hallo", b"hallo ", "is too much"),
        (Line, "hallo", b"hallo", "The end of the message is missing"),
        (
            Crlf,
            "hallo",
            b"hallo\n",
            "send \\r\\n, or check with --framing line",
        ),
        (
            Nul,
            "hallo",
            b"hallo\n",
            "send \\0, or check with --framing line",
        ),
        (
            Raw,
            "gr\u{fc}ezi",
            b"gr\xfcezi",
            "fc is no UTF-8; in Latin-1 it is \u{fc}",
        ),
        (Line, "gr\u{fc}ezi", b"gr\xfcezi\n", "fc is no UTF-8"),
        (Raw, "gr\u{fc}ezi", b"b'gr\\xc3\\xbcezi'", "str() makes b'"),
        (Raw, "hi", b"h\0i\0", "UTF-16"),
        (Raw, "hi", b"\xff\xfeh\0i\0", "UTF-16"),
        (Raw, "hallo", b"hal", "Only a part"),
        (Raw, "hallo", b"hallohallo", "something more"),
        (Raw, "hallo", b"HALLO", "as it is"),
        (Json, "hallo", b"hallo\n", "It is no JSON"),
        (Json, "hallo", b"{\"text\":\"hallo\"}", "its line is not"),
        (
            Json,
            "hallo",
            b"{\"message\":\"hallo\"}\n",
            "the field \"text\"",
        ),
    ] {
        let hint = hint(framing, text, bytes);
        assert!(hint.contains(words), "{framing} {bytes:?}: {hint}");
    }
}

#[test]
fn what_is_printed_is_judged_with_what_stands_around_it() {
    let text = "Z\u{fc}rich";
    let right = format!("Received from server: {text}\n -> ");
    assert_eq!(printed(text, right.as_bytes()), Ok(()));
    for (bytes, words) in [
        (&b" -> Received: b'Z\\xc3\\xbcrich'\n"[..], ".decode()"),
        ("Z\u{c3}\u{bc}rich\n".as_bytes(), "Latin-1"),
        (b"Z\xfcrich\n", "It prints Latin-1"),
        (b"Z??rich\n", "replaced"),
        (b"", "print what has come"),
        (b"hallo\n", "print what has come"),
    ] {
        let finding = printed(text, bytes).unwrap_err();
        assert!(finding.hint.contains(words), "{bytes:?}: {}", finding.hint);
    }
    let long = long_text();
    let finding = printed(&long, &long.as_bytes()[..1024]).unwrap_err();
    assert!(
        finding.hint.contains("Only the beginning"),
        "{}",
        finding.hint
    );
}

#[test]
fn messages_are_counted_by_their_ends() {
    for framing in Framing::ALL {
        let two = [encode(framing, "a"), encode(framing, "b")].concat();
        let count = if framing.marks_the_end() { 2 } else { 1 };
        assert_eq!(self::count(framing, &two), count, "{framing}");
        assert_eq!(self::count(framing, b""), 0);
    }
}
