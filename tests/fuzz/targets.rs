//! What must hold for any bytes, for the fuzzer and, on stable Rust, for `tests/fuzz.rs`.

use std::path::Path;

use socketchat::check::{Complaint, printed, sent};
use socketchat::diagram;
use socketchat::endpoint::{DEFAULT_PORT, parse_network, parse_target};
use socketchat::framing::{Decoder, Framing, Pause, Text};
use socketchat::sanitize::Untrusted;
use socketchat::script::Script;
use socketchat::wrap::{max_width, wrap};

/// Splits a first byte off, which chooses a variant. Empty data chooses the first.
fn choice(data: &[u8]) -> (usize, &[u8]) {
    data.split_first()
        .map_or((0, data), |(first, rest)| (usize::from(*first), rest))
}

/// However the bytes of a stream are cut into reads, the decoder finds the same messages, loses no
/// byte of a raw stream, and stays within its buffer.
pub(crate) fn decoder(data: &[u8]) {
    let framings = Framing::ALL;
    let (chosen, data) = choice(data);
    let (step, stream) = choice(data);
    let framing = framings[chosen % framings.len()];
    let cut = decode(framing, stream, step % 64 + 1);
    let whole = decode(framing, stream, framing.limit());
    if framing == Framing::Raw {
        assert_eq!(cut.concat(), stream);
        assert_eq!(whole.concat(), stream);
    } else {
        assert_eq!(cut, whole);
    }
}

/// Decodes a stream that arrives in reads of `step` bytes, up to its end. Returns the messages.
fn decode(framing: Framing, stream: &[u8], step: usize) -> Vec<Vec<u8>> {
    let mut decoder = Decoder::new(framing);
    let mut buffer = Vec::new();
    let mut messages = Vec::new();
    let mut message = Vec::new();
    let reads = stream.chunks(step).map(|read| (read, Pause::None));
    for (read, pause) in reads.chain([(&[][..], Pause::Closed)]) {
        buffer.extend_from_slice(read);
        while let Some(piece) = decoder.decode(&buffer, pause) {
            assert!(piece.consumed <= buffer.len());
            assert!(piece.consumed > 0 || piece.last);
            let bytes: Vec<_> = buffer.drain(..piece.consumed).collect();
            match piece.text {
                Text::Here(count) => message.extend_from_slice(&bytes[..count]),
                Text::Object { name, text } => {
                    message.extend(name.unwrap_or_default().into_bytes());
                    message.push(0xff);
                    message.extend(text.into_bytes());
                }
            }
            if piece.last {
                messages.push(std::mem::take(&mut message));
            }
        }
        assert!(buffer.len() < framing.limit());
    }
    assert!(buffer.is_empty() && message.is_empty());
    messages
}

/// Nothing of a peer's text acts on a terminal, is wider than a row, or begins one.
pub(crate) fn sanitizer(data: &[u8]) {
    let (columns, data) = choice(data);
    let columns = columns.max(8);
    let untrusted = Untrusted(data);
    let safe = untrusted.visible();
    assert!(!safe.contains(|c: char| c.is_control() && c != '\n'));
    let rows = wrap(&safe, "    ", columns);
    for (index, row) in rows.split('\n').enumerate() {
        assert!(max_width(row) <= columns, "{row:?}");
        assert!(
            index == 0 || row.is_empty() || row.starts_with("    "),
            "{row:?}"
        );
    }
    let bare = |text: &str| text.replace([' ', '\n'], "");
    assert_eq!(bare(&rows), bare(&safe));
    let line = untrusted.visible_line(columns);
    assert!(
        !line.contains('\n') && max_width(&line) <= columns + 1,
        "{line:?}"
    );
}

/// Any files are drawn, or their lines left out; nothing of theirs acts on a terminal.
pub(crate) fn transcript(data: &[u8]) {
    let (columns, data) = choice(data);
    // A byte that is in no UTF-8 separates two files.
    let files: Vec<_> = data
        .splitn(2, |byte| *byte == 0xff)
        .map(|file| (Path::new("x"), file))
        .collect();
    let (diagram, bad) = diagram::parse(files).unwrap();
    let (svg, html) = (diagram.svg(), diagram.html());
    // Nothing becomes markup.
    assert!(!svg.contains("<script") && html.matches("<script").count() == 1);
    for text in [diagram.chars(columns), diagram.mermaid(), svg, html]
        .iter()
        .chain(&bad)
    {
        assert!(
            !text.contains(|c: char| c.is_control() && c != '\n'),
            "{text:?}"
        );
    }
}

/// What is taken for an address is written as the same address.
pub(crate) fn address(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(target) = parse_target(&text) {
        let endpoint = target.endpoint(DEFAULT_PORT);
        let again = parse_target(&endpoint.to_string());
        assert_eq!(again.map(|target| target.endpoint(0)), Ok(endpoint));
    }
}

/// What is taken for a network is written as the same network, which has its own address.
pub(crate) fn network(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(network) = parse_network(&text) {
        assert_eq!(parse_network(&network.to_string()), Ok(network));
        assert!(network.contains(&network.addr()));
    }
}

/// A script is used, or each of its bad lines is named by a number that it has.
pub(crate) fn script(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    match Script::parse(&text) {
        Ok(script) => {
            for line in text.lines() {
                let _ = script.answer(line);
            }
        }
        Err(bad) => {
            let count = text.lines().count();
            assert!(bad.iter().all(|line| (1..=count).contains(&line.number)));
        }
    }
}

/// Whatever a program sends, prints and reports is judged, and what is said of it does not act on a
/// terminal.
pub(crate) fn check(data: &[u8]) {
    let (chosen, data) = choice(data);
    let framing = Framing::ALL[chosen % Framing::ALL.len()];
    let findings = [
        sent(framing, "gr\u{fc}ezi", data),
        printed("Z\u{fc}rich", data),
    ];
    let findings = findings.into_iter().filter_map(Result::err);
    let said = findings.flat_map(|finding| [finding.seen, finding.expected, finding.hint]);
    let complaint = Complaint::find(data);
    if let Some(complaint) = &complaint {
        let _ = complaint.advice();
    }
    for text in said.chain(complaint.map(|complaint| complaint.text)) {
        assert!(!text.contains(char::is_control), "{text:?}");
    }
}
