use std::collections::HashSet;

use super::*;
use crate::wrap::max_width;

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
    let steps = diagram.steps().map(|step| match step.text {
        text if text.is_empty() => step.detail,
        text => text,
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
    assert_eq!(diagram.steps().count(), 1);
    assert_eq!(
        bad,
        ["x:1: left out, as it is no line of a transcript: it is too long"]
    );
}

/// No more of them is kept than of a few lines.
#[test]
fn many_lines_that_are_none_are_counted() {
    let good = line(0, "listening", "\"local\":\"127.0.0.1:5000\"");
    let text = format!("{}{good}", "x\n".repeat(2000));
    let (diagram, bad) = parse([(Path::new("x"), text.as_bytes())]).unwrap();
    assert_eq!(diagram.steps().count(), 1);
    assert_eq!(bad.len(), TOLD + 1);
    assert_eq!(bad[TOLD], "x: 1990 more lines are left out");
}

/// The picture of transcripts, parsed as XML.
fn with_picture(texts: &[&str], check: impl FnOnce(&roxmltree::Document<'_>)) {
    let (diagram, bad) = parse_texts(texts);
    assert_eq!(bad, [""; 0]);
    let svg = diagram.svg();
    check(&roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}: {svg}")));
}

/// The captions of the moments, in their order.
fn captions(texts: &[&str]) -> Vec<String> {
    let (diagram, _) = parse_texts(texts);
    let scene = diagram.scene();
    let moments = scene.moments.iter();
    moments.map(|moment| scene.caption(moment)).collect()
}

#[test]
fn a_picture_of_one_transcript_infers_the_other_side() {
    let listen = call(0, 0, "listen(backlog = 2)", "ok", "");
    assert_eq!(
        captions(&[&(listen + &of_server())]),
        [
            "server \u{2192} server's kernel: listen(); server's kernel: backlog 0 / 3",
            "client \u{2192} client's kernel: connect() (inferred)",
            "client's kernel \u{2192} server's kernel: SYN (inferred)",
            "server's kernel \u{2192} client's kernel: SYN-ACK (inferred)",
            "client's kernel \u{2192} server's kernel: ACK; server's kernel: backlog 1 / 3 (inferred)",
            "server's kernel \u{2192} server: accept() \u{2192} 127.0.0.1:4000; server's kernel: \
             backlog 0 / 3",
            "client \u{2192} client's kernel: send() (inferred)",
            "client's kernel \u{2192} server's kernel: \"hallo\" (5 B); server's kernel: buffer 5 B \
             (inferred)",
            "server's kernel \u{2192} server: recv(9) \u{2192} 2; server's kernel: buffer 3 B",
            "server's kernel \u{2192} server: recv(9) \u{2192} 3; server's kernel: buffer 0 B",
            "server \u{2192} server's kernel: send(2 bytes) \u{2192} 2",
            "server's kernel \u{2192} client's kernel: \"hi\" (2 B); client's kernel: buffer 2 B \
             (inferred)",
            "client's kernel \u{2192} client: recv() \u{2192} 2 B; client's kernel: buffer 0 B \
             (inferred)",
            "client \u{2192} client's kernel: close() (inferred)",
            "client's kernel \u{2192} server's kernel: FIN (inferred)",
            "server's kernel \u{2192} server: recv(9) \u{2192} 0",
        ]
    );
}

#[test]
fn bars_show_the_calls_that_wait() {
    let (diagram, _) = parse_texts(&[&of_server()]);
    let scene = diagram.scene();
    let bars: Vec<_> = scene.bars.iter().filter(|bar| bar.is_observed).collect();
    let calls: Vec<_> = bars.iter().map(|bar| &*bar.call).collect();
    assert_eq!(calls, ["accept()", "recv()", "recv()", "recv()"]);
    // From listen() until the client has come, and so on.
    assert_eq!((bars[0].first, bars[0].last), (0, 5));
    assert!(
        bars.iter()
            .all(|bar| bar.lane == 3 && bar.first <= bar.last)
    );
    with_picture(&[&of_server()], |picture| {
        let count = |class: &str| {
            let nodes = picture.descendants();
            nodes
                .filter(|node| node.attribute("class") == Some(class))
                .count()
        };
        assert_eq!(count("bar seen"), 4);
        assert_eq!(count("program"), 2);
        assert_eq!(count("kernel"), 2);
        // The message was read by two calls.
        assert_eq!(count("gauge warning"), 0);
    });
}

#[test]
fn nothing_of_a_transcript_becomes_markup() {
    for hostile in [
        "</text><script>alert(1)</script>",
        "<svg onload=alert(1)>",
        "]]>",
        "&lt;b&gt; &amp; &#60;",
        "\" onload=\"alert(1)",
        "\u{1b}[2J \u{202e} \u{0}",
        "\u{fffe}\u{ffff}",
    ] {
        let json = serde_json::to_string(hostile).unwrap();
        let text = [
            line(0, "connected", &format!("\"client\":1{CLIENT}")),
            line(
                1,
                "received",
                &format!("\"text\":{json},\"bytes\":5,\"name\":{json}{CLIENT}"),
            ),
            line(2, "notice", &format!("\"text\":{json}")),
            line(3, "call", &format!("\"call\":{json},\"result\":{json}")),
        ]
        .concat();
        with_picture(&[&text], |picture| {
            let nodes = picture.descendants().filter(roxmltree::Node::is_element);
            let names: HashSet<_> = nodes
                .map(|node| node.tag_name().name().to_owned())
                .collect();
            let known = [
                "svg", "style", "defs", "marker", "path", "rect", "g", "text", "line", "title",
            ];
            assert!(
                names.iter().all(|name| known.contains(&&**name)),
                "{names:?}"
            );
            assert!(
                picture
                    .descendants()
                    .all(|node| node.attribute("onload").is_none())
            );
        });
        let html = parse_texts(&[&text]).0.html();
        assert_eq!(html.matches("<script").count(), 1, "{hostile}");
        assert!(!html.contains("onload=alert(1)>") || html.contains("&lt;svg onload=alert(1)&gt;"));
        assert!(
            !html.contains(|c: char| c.is_control() && c != '\n'),
            "{hostile}"
        );
    }
}

#[test]
fn a_bar_of_a_call_starts_where_it_is_made_or_ends_where_it_returns() {
    let local = ",\"local\":\"127.0.0.1:4000\"";
    let text = [
        call(0, 90, "connect(127.0.0.1:5000)", "ok", ""),
        line(91, "connected", &format!("{}{local}", &SERVER[1..])),
        call(100, 150, "send(9 bytes)", "9 bytes", SERVER),
        line(151, "sent", &format!("\"text\":\"hi\",\"bytes\":9{SERVER}")),
        call(152, 200, "recv(9)", "2 bytes", SERVER),
    ]
    .concat();
    let (diagram, _) = parse_texts(&[&text]);
    let scene = diagram.scene();
    let mut bars: Vec<_> = scene.bars.iter().filter(|bar| bar.is_observed).collect();
    bars.sort_by_key(|bar| bar.first);
    let labels = |index: usize| &*scene.moments[index].label;
    let ends: Vec<_> = bars
        .iter()
        .map(|bar| (&*bar.call, labels(bar.first), labels(bar.last)))
        .collect();
    assert_eq!(
        ends,
        [
            // All that it caused is known by then, and was inferred to be at that time.
            (
                "connect()",
                "connect(127.0.0.1:5000) \u{2192} ok",
                "accept()"
            ),
            ("send()", "send(9 bytes) \u{2192} 9", "recv() \u{2192} 9 B"),
            ("recv()", "recv() \u{2192} 9 B", "recv(9) \u{2192} 2"),
        ]
    );
}

#[test]
fn many_clients_share_the_lanes_of_the_last() {
    let client = |number: u32| {
        let peer = format!(
            "\"peer\":\"127.0.0.1:{}\",\"client\":{number}",
            4000 + number
        );
        [
            line(number, "connected", &peer),
            line(
                10_000 + number,
                "received",
                &format!("\"text\":\"hi\",\"bytes\":2,{peer}"),
            ),
            line(20_000 + number, "left", &peer),
        ]
    };
    let lanes = |clients: u32| -> Vec<_> {
        let text: String = (1..=clients).flat_map(client).collect();
        let scene = parse_texts(&[&text]).0.scene();
        let lanes = scene.lanes.len();
        assert!(scene.moments.iter().all(|m| m.from.max(m.to) < lanes));
        assert!(scene.bars.iter().all(|bar| bar.lane < lanes));
        scene.lanes
    };
    assert_eq!(lanes(1)[..2], ["client #1", "client #1's kernel"]);
    assert_eq!(lanes(3)[4..6], ["client #3", "client #3's kernel"]);
    for many in [4, 1000] {
        assert_eq!(lanes(many)[4..6], ["other clients", "their kernels"]);
        assert_eq!(lanes(many).len(), 8);
    }
    // Each moment says which of them it is about.
    let text: String = (1..=4).flat_map(client).collect();
    let of_fourth = captions(&[&text]);
    let of_fourth: Vec<_> = of_fourth
        .iter()
        .filter(|c| c.contains("(client #4)"))
        .collect();
    assert_eq!(
        *of_fourth[0],
        "other clients \u{2192} their kernels: connect() (client #4) (inferred)"
    );
    assert_eq!(of_fourth.len(), 11);
}

#[test]
fn no_packets_go_to_a_unix_socket() {
    let peer = "\"peer\":\"unix:\"";
    let text = [
        line(0, "listening", "\"local\":\"unix:/tmp/s\""),
        line(1, "connected", peer),
        line(2, "left", peer),
    ]
    .concat();
    let text = captions(&[&text]).concat();
    assert!(!text.contains("SYN") && !text.contains("FIN"), "{text}");
    assert!(
        text.contains("backlog 1 / ?") && text.contains(": end"),
        "{text}"
    );
}

#[test]
fn no_label_is_wider_than_its_place() {
    let long = "connect([2001:db8:1234:5678:9abc:def0:1234:5678]:5000)";
    for text in [
        call(
            0,
            0,
            long,
            "connection refused (is `socketchat serve` running there?)",
            "",
        ),
        call(0, 0, "connect(192.168.100.101:5000)", "ok", ""),
        call(0, 0, "accept()", "192.168.100.101:50000", ""),
    ] {
        with_picture(&[&text], |picture| {
            let calls = picture
                .descendants()
                .filter(|node| node.attribute("class") == Some("call seen"));
            let texts = calls.flat_map(|call| call.children().filter_map(|node| node.text()));
            let texts: Vec<_> = texts.collect();
            assert!(
                texts.iter().all(|text| text.chars().count() <= 29),
                "{texts:?}"
            );
            assert!(
                texts
                    .iter()
                    .any(|text| text.starts_with('\u{2192}') || text.contains(" \u{2192} ")),
                "{texts:?}"
            );
        });
    }
}

#[test]
fn a_text_of_any_length_is_drawn_short_and_is_text() {
    let long = "]]></text>&<svg onload=alert(1)>\u{202e}".repeat(1500);
    let json = serde_json::to_string(&long).unwrap();
    let text = [
        line(0, "connected", &CLIENT[1..]),
        line(
            1,
            "received",
            &format!("\"text\":{json},\"bytes\":{}{CLIENT}", u64::MAX),
        ),
        line(
            2,
            "received",
            &format!("\"text\":{json},\"bytes\":{}{CLIENT}", u64::MAX),
        ),
    ]
    .concat();
    assert!(text.len() > 100_000);
    with_picture(&[&text], |picture| {
        assert!(
            picture
                .descendants()
                .all(|node| node.attribute("onload").is_none())
        );
    });
    assert!(parse_texts(&[&text]).0.html().len() < 30_000);
}

#[test]
fn what_a_message_leaves_in_the_buffer_is_red() {
    let local = ",\"local\":\"127.0.0.1:4000\"";
    let client = [
        line(100, "connected", &format!("{}{local}", &SERVER[1..])),
        line(
            150,
            "sent",
            &format!("\"text\":\"hallo\",\"bytes\":5{SERVER}"),
        ),
    ]
    .concat();
    let received = |ms, text: &str| {
        let bytes = text.len();
        line(
            ms,
            "received",
            &format!("\"text\":\"{text}\",\"bytes\":{bytes}{CLIENT}"),
        )
    };
    let messages = [received(201, "ha"), received(301, "llo")];
    let calls = [
        call(160, 200, "recv(2)", "2 bytes", CLIENT),
        call(300, 300, "recv(9)", "3 bytes", CLIENT),
    ];
    let connected = line(101, "connected", &CLIENT[1..]);
    // With its calls and without.
    for server in [
        [
            &*connected,
            &calls[0],
            &messages[0],
            &calls[1],
            &messages[1],
        ]
        .concat(),
        [&*connected, &messages[0], &messages[1]].concat(),
    ] {
        let (diagram, _) = parse_texts(&[&client, &server]);
        let scene = diagram.scene();
        let gauges = scene
            .moments
            .iter()
            .filter_map(|moment| moment.gauge.as_ref());
        let buffers: Vec<_> = gauges
            .filter(|gauge| !gauge.text.contains("backlog"))
            .map(|gauge| (&*gauge.text, gauge.is_warning))
            .collect();
        assert_eq!(
            buffers,
            [
                ("buffer 5 B", false),
                ("3 B not read: become the next message", true),
                ("buffer 0 B", false),
            ]
        );
    }
}

#[test]
fn no_arrow_is_wider_than_its_place() {
    let of_clients = (1..=9).map(|client| {
        let about = format!("\"client\":{client}000,\"peer\":\"127.0.0.1:400{client}\"");
        let text = "1234567 ".repeat(9);
        line(client, "connected", &about)
            + &line(
                10,
                "received",
                &format!("\"text\":\"{text}\",\"bytes\":123456789,{about}"),
            )
            + &line(11, "sent", &format!("\"text\":\"ok\",\"bytes\":2,{about}"))
            + &line(12, "left", &about)
    });
    let of_server: String = of_clients.collect();
    let (diagram, bad) = parse_texts(&[&of_server]);
    assert_eq!(bad, [""; 0]);
    for columns in 20..=100 {
        let drawn = diagram.chars(columns);
        for row in drawn.lines() {
            assert!(max_width(row) <= columns, "{columns}: {row}");
        }
    }
    assert!(
        diagram.chars(20).contains("| 123456789  |"),
        "{}",
        diagram.chars(20)
    );
}
