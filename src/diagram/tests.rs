use super::*;

/// A line of a transcript, `ms` milliseconds after ten o'clock, with more fields.
fn line(ms: u32, event: &str, more: &str) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    format!(
        "{{\"time\":\"2026-11-24T10:00:{seconds:02}.{ms:03}Z\",\"event\":\"{event}\",{more}}}\n"
    )
}

fn call(began: u32, ended: u32, call: &str, result: &str, peer: &str) -> String {
    let (seconds, ms) = (ended / 1000, ended % 1000);
    line(
        began,
        "call",
        &format!(
            "\"ended\":\"2026-11-24T10:00:{seconds:02}.{ms:03}Z\",\"call\":\"{call}\",\
             \"result\":\"{result}\"{peer}"
        ),
    )
}

fn parse_texts(texts: &[&str]) -> (Diagram, Vec<String>) {
    parse(texts.iter().map(|text| (Path::new("x"), text.as_bytes()))).unwrap()
}

/// The texts of the steps, in their order.
fn steps(texts: &[&str]) -> Vec<String> {
    let (diagram, bad) = parse_texts(texts);
    assert_eq!(bad, [""; 0]);
    let steps = diagram.steps.iter().map(|step| match step {
        Step::Arrow { label, .. } if label.text().is_empty() => label.detail(),
        Step::Arrow { label, .. } => label.text().to_owned(),
        Step::Note { text, .. } => text.clone(),
    });
    steps.collect()
}

const CLIENT: &str = ",\"peer\":\"127.0.0.1:4000\"";
const SERVER: &str = ",\"peer\":\"127.0.0.1:5000\"";

/// The transcript of a server that is called, and answers.
fn of_server() -> String {
    [
        line(0, "listening", "\"local\":\"127.0.0.1:5000\""),
        call(1, 100, "accept()", "127.0.0.1:4000", ""),
        line(101, "connected", &CLIENT[1..]),
        call(102, 200, "recv(9)", "2 bytes", CLIENT),
        call(201, 210, "recv(9)", "3 bytes", CLIENT),
        line(
            211,
            "received",
            &format!("\"text\":\"hallo\",\"bytes\":5{CLIENT}"),
        ),
        call(300, 300, "send(2 bytes)", "2 bytes", CLIENT),
        line(301, "sent", &format!("\"text\":\"hi\",\"bytes\":2{CLIENT}")),
        call(302, 400, "recv(9)", "0 bytes", CLIENT),
        line(401, "left", &CLIENT[1..]),
    ]
    .concat()
}

#[test]
fn cause_stands_before_effect_in_one_transcript() {
    assert_eq!(
        steps(&[&of_server()]),
        [
            "listens on 127.0.0.1:5000",
            "connects",
            "accept() -> 127.0.0.1:4000",
            "hallo",
            "recv(9) -> 2 bytes",
            "recv(9) -> 3 bytes",
            "send(2 bytes) -> 2 bytes",
            "hi",
            "closes",
            "recv(9) -> 0 bytes",
        ]
    );
}

#[test]
fn cause_stands_before_effect_in_two_transcripts() {
    let local = ",\"local\":\"127.0.0.1:4000\"";
    let client = [
        call(50, 99, "connect(127.0.0.1:5000)", "ok", ""),
        line(100, "connected", &format!("{}{local}", &SERVER[1..])),
        call(150, 150, "send(5 bytes)", "5 bytes", SERVER),
        line(
            151,
            "sent",
            &format!("\"text\":\"hallo\",\"bytes\":5{SERVER}"),
        ),
        call(152, 310, "recv(9)", "2 bytes", SERVER),
        line(
            311,
            "received",
            &format!("\"text\":\"hi\",\"bytes\":2{SERVER}"),
        ),
        line(390, "closed", &SERVER[1..]),
    ]
    .concat();
    assert_eq!(
        steps(&[&of_server(), &client]),
        [
            "listens on 127.0.0.1:5000",
            "connect(127.0.0.1:5000) -> ok",
            "connects",
            "accept() -> 127.0.0.1:4000",
            "send(5 bytes) -> 5 bytes",
            "hallo",
            "recv(9) -> 2 bytes",
            "recv(9) -> 3 bytes",
            "send(2 bytes) -> 2 bytes",
            "hi",
            "recv(9) -> 2 bytes",
            "closes",
            "recv(9) -> 0 bytes",
        ]
    );
}

#[test]
fn a_line_of_any_length_is_left_out() {
    /// A line without an end, of which no more than a part is ever there.
    struct Endless(u64);

    impl io::Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = buffer.len().min(usize::try_from(self.0).unwrap());
            buffer[..count].fill(b'x');
            self.0 -= count as u64;
            Ok(count)
        }
    }

    let good = line(0, "listening", "\"local\":\"127.0.0.1:5000\"");
    let text = io::Read::chain(Endless(1 << 30), io::Cursor::new(format!("\n{good}")));
    let (diagram, bad) = parse([(Path::new("x"), BufReader::new(text))]).unwrap();
    assert_eq!(diagram.steps.len(), 1);
    assert_eq!(
        bad,
        ["x:1: left out, as it is no line of a transcript: it is too long"]
    );
}
