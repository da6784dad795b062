//! Two real processes, or one and a bare socket, through pipes: what is sent, what is
//! printed where, and how it ends.

mod common;

use std::io::Write as _;
use std::thread;

use common::{Piped, accept, expect_bytes, expect_end, leave, raw_client, raw_server};

#[test]
fn two_processes_talk_in_turn() {
    let (mut server, port) = Piped::serve(&[]);
    let mut client = Piped::connect(port, &[]);
    let mut heard = [String::new(), String::new()];
    for turn in 0..10 {
        client.write(format!("question {turn} gr\u{fc}ezi\n"));
        heard[0] += &format!("Received from connected client: question {turn} gr\u{fc}ezi\n");
        server.expect(&heard[0]);
        server.write(format!("answer {turn} \u{1f389}\n"));
        heard[1] += &format!("Received from server: answer {turn} \u{1f389}\n");
        client.expect(&heard[1]);
    }
    client.write("bye\n");
    let (stdout, stderr) = client.finish(0);
    assert_eq!(stdout, heard[1]);
    assert_eq!(stderr, format!("Connected to 127.0.0.1:{port}\n"));
    let (stdout, stderr) = server.finish(0);
    assert_eq!(stdout, heard[0]);
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines[0], format!("Listening on 127.0.0.1:{port}"));
    assert!(
        lines[1].starts_with("Connection from: 127.0.0.1:"),
        "{stderr}"
    );
    assert_eq!(lines[2..], ["The client left."]);
}

#[test]
fn what_is_sent_is_the_bytes_of_the_line() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &[]);
    let mut peer = accept(&listener);
    for line in [
        &b"a"[..],
        b"  spaces stay  ",
        "gr\u{fc}ezi \u{1f468}".as_bytes(),
        b"\xff\xfe\r",
    ] {
        client.write([line, b"\n"].concat());
        let mut got = vec![0; line.len()];
        std::io::Read::read_exact(&mut peer, &mut got).unwrap();
        assert_eq!(got, line);
        peer.write_all(b"ok").unwrap();
    }
    client.close_stdin();
    expect_end(&mut peer);
    client.finish(0);
}

#[test]
fn the_server_says_bye_too_and_does_not_send_it() {
    for bye in ["bye", " BYE\t", "Bye\r"] {
        let (mut server, port) = Piped::serve(&[]);
        let mut peer = raw_client(port);
        peer.write_all(b"hello").unwrap();
        server.write(format!("{bye}\nnever sent\n"));
        expect_end(&mut peer);
        let (stdout, _) = server.finish(0);
        assert_eq!(stdout, "Received from connected client: hello\n");
    }
}

#[test]
fn quiet_prints_the_messages_alone() {
    let (mut server, port) = Piped::serve(&["--host", "0.0.0.0"]);
    server.write("pong\n");
    let mut client = Piped::connect(port, &["--quiet"]);
    client.write("ping\n");
    client.expect("pong\n");
    assert_eq!(client.finish(0), ("pong\n".into(), String::new()));

    let (listener, port) = raw_server();
    drop(listener);
    let (_, stderr) = Piped::connect(port, &["-q"]).finish(1);
    assert!(
        stderr.starts_with("socketchat: cannot connect to "),
        "{stderr}"
    );
}

#[test]
fn the_newline_of_the_message_is_not_doubled() {
    let (mut server, port) = Piped::serve(&[]);
    let mut peer = raw_client(port);
    let mut heard = String::new();
    for (text, printed) in [
        ("from nc\n", "from nc\n"),
        ("a\nb\n", "a\nb\n"),
        ("c\n\n", "c\n\n"),
    ] {
        peer.write_all(text.as_bytes()).unwrap();
        heard += &format!("Received from connected client: {printed}");
        server.expect(&heard);
        server.write("ok\n");
        expect_bytes(&mut peer, "ok");
    }
    drop(peer);
    assert_eq!(server.finish(0).0, heard);
}

#[test]
fn what_comes_out_of_turn_is_no_reply() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &[]);
    let mut peer = accept(&listener);
    client.write("one\n");
    expect_bytes(&mut peer, "one");
    peer.write_all(b"first").unwrap();
    client.expect("Received from server: first\n");
    peer.write_all(b"and more").unwrap();
    client.expect("Received from server: first\nand more\n");
    client.write("two\n");
    expect_bytes(&mut peer, "two");
    peer.write_all(b"second").unwrap();
    client.expect("Received from server: first\nand more\nReceived from server: second\n");
    drop(peer);
    client.finish(0);
}

#[test]
fn a_peer_that_leaves_is_noticed_while_stdin_says_nothing() {
    let (server, port) = Piped::serve(&[]);
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    server.expect("Received from connected client: hello\n");
    drop(peer);
    // stdin stays open, and still it ends.
    server.stderr.wait_for("the notice", |bytes| {
        bytes.ends_with(b"The client left.\n").then_some(())
    });
    server.finish(0);
}

#[test]
fn a_closed_stdout_is_a_quiet_end() {
    let (listener, port) = raw_server();
    let mut command = std::process::Command::new(common::program());
    let (reader, writer) = std::io::pipe().unwrap();
    let home = common::home();
    let mut child = common::isolate(&mut command, &home)
        .args(["connect", &format!("localhost:{port}")])
        .stdin(std::process::Stdio::piped())
        .stdout(writer)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // The command holds the write end as well.
    drop(command);
    let stderr = common::Gathered::from(child.stderr.take().unwrap());
    let mut peer = accept(&listener);
    drop(reader);
    child.stdin.as_ref().unwrap().write_all(b"hello\n").unwrap();
    expect_bytes(&mut peer, "hello");
    let status = common::exit_of_unread(&mut child, &mut peer);
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        String::from_utf8(stderr.to_end()).unwrap(),
        format!("Connected to 127.0.0.1:{port}\n")
    );
}

#[test]
fn a_message_is_printed_in_one_write() {
    let (listener, port) = raw_server();
    // A datagram holds what one write has written.
    let (stdout, reader) = std::os::unix::net::UnixDatagram::pair().unwrap();
    reader.set_read_timeout(Some(common::DEADLINE)).unwrap();
    let mut command = std::process::Command::new(common::program());
    command.args(["connect", &format!("localhost:{port}")]);
    let stdout = std::os::fd::OwnedFd::from(stdout);
    let mut client = Piped::spawn_with(command, stdout.into());
    let mut peer = accept(&listener);
    for text in ["one", "two\n"] {
        client.write(format!("{}\n", text.trim()));
        expect_bytes(&mut peer, text.trim());
        peer.write_all(text.as_bytes()).unwrap();
        let mut written = [0; 1000];
        let count = reader.recv(&mut written).unwrap();
        let expected = format!("Received from server: {}\n", text.trim());
        assert_eq!(String::from_utf8_lossy(&written[..count]), expected);
    }
    drop(peer);
    client.finish(0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_pipe_takes_two_threads() {
    let (mut server, port) = Piped::serve(&[]);
    let mut client = Piped::connect(port, &[]);
    // One of them reads ahead, once a line is wanted.
    client.write("hello\n");
    server.expect("Received from connected client: hello\n");
    server.write("hi\n");
    client.expect("Received from server: hi\n");
    assert_eq!((server.threads(), client.threads()), (2, 2));
    client.finish(0);
    server.finish(0);
}

#[test]
fn a_full_backlog_lets_nobody_in_and_the_wait_for_it_is_bounded() {
    let (_listener, clients, port) = common::full_server(3);
    let (_none, fewer, _) = common::full_server(0);
    assert!(
        clients.len() > fewer.len() && clients.len() < 20,
        "{}",
        clients.len()
    );
    let start = std::time::Instant::now();
    let (_, stderr) = Piped::connect(port, &["--connect-timeout", "300ms"]).finish(1);
    assert!(start.elapsed() >= std::time::Duration::from_millis(300));
    assert_eq!(
        stderr,
        format!(
            "socketchat: cannot connect to localhost:{port}: connection timed out (is the host \
             up, does its firewall let port {port} through, and does the server accept?)\n"
        )
    );
}

#[test]
fn a_reset_connection_is_an_error() {
    let (mut server, port) = Piped::serve(&[]);
    let peer = raw_client(port);
    server.stderr.wait_for("the client", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("Connection from")
            .then_some(())
    });
    // No wait for what is unsent: close sends a reset.
    common::reset_when_dropped(&peer);
    drop(peer);
    server.close_stdin();
    let (_, stderr) = server.finish(1);
    assert_eq!(
        stderr.lines().last(),
        Some("socketchat: lost the connection to the client: connection reset by peer")
    );
}

#[test]
fn a_client_with_ipv4_alone_reaches_every_address() {
    let (server, port) = Piped::serve(&["--host", "::"]);
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    server.expect("Received from connected client: hello\n");
    drop(peer);
    let (_, stderr) = server.finish(0);
    assert!(
        stderr.starts_with(&format!(
            "Listening on [::]:{port}\nAnybody who can reach this address can connect, and \
             nothing is encrypted.\nConnection from: [::ffff:127.0.0.1]:"
        )),
        "{stderr}"
    );
}

/// Every length that something could happen at, in one-byte and in many-byte characters.
fn long_messages() -> impl Iterator<Item = Vec<u8>> {
    let lengths = [1, 1023, 1024, 1025, 65_536, 5_000_000];
    let messages = lengths.into_iter().flat_map(|length| {
        let wide = "\u{fc}\u{1f468}x".repeat(length / 7 + 1);
        let end = (0..=length).rev().find(|end| wide.is_char_boundary(*end));
        let wide = &wide.as_bytes()[..end.unwrap_or_default()];
        [b"a".repeat(length), wide.to_vec()]
    });
    // No character of several bytes fits into one.
    messages.filter(|message| !message.is_empty())
}

/// Checks that `message` arrives as one turn and byte-exact, and what memory that took.
/// `send` sends it, and returns what checks that the answer has come back.
fn arrives_as_one_turn<Answered: FnOnce()>(message: &[u8], send: impl FnOnce(u16) -> Answered) {
    let (mut server, port) = Piped::serve(&[]);
    let answered = send(port);
    let expected = [b"Received from connected client: ", message, b"\n"].concat();
    server.stdout.wait_for("the whole message", |bytes| {
        (bytes.len() >= expected.len()).then_some(())
    });
    #[cfg(target_os = "linux")]
    {
        let peak = server.peak_memory();
        let length = message.len();
        assert!(
            peak < common::SMALL,
            "{peak} bytes for a message of {length}"
        );
    }
    server.write("got it\n");
    answered();
    server.close_stdin();
    assert_eq!(server.exit().code(), Some(0));
    let heard = server.stdout.to_end();
    assert!(heard == expected, "{} bytes", message.len());
}

#[test]
fn a_message_of_any_length_from_a_socketchat_arrives_as_one_turn() {
    for message in long_messages() {
        let line = [&message[..], b"\n"].concat();
        arrives_as_one_turn(&message, |port| {
            let mut client = Piped::connect(port, &[]);
            client.write(&line);
            || assert_eq!(client.finish(0).0, "Received from server: got it\n")
        });
    }
}

#[test]
fn a_message_of_any_length_that_dribbles_arrives_as_one_turn() {
    for message in long_messages().filter(|message| message.len() > 1024) {
        let text = message.clone();
        arrives_as_one_turn(&message, |port| {
            let sending = thread::spawn(move || {
                let mut peer = raw_client(port);
                let mut rest = &text[..];
                let mut size = 1024;
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(size.min(rest.len()));
                    peer.write_all(piece).unwrap();
                    rest = after;
                    size = 1024 + (size * 7 + 13) % 3073;
                    thread::yield_now();
                }
                expect_bytes(&mut peer, "got it");
            });
            || sending.join().unwrap()
        });
    }
}

#[test]
fn messages_are_shown_with_the_local_time_of_day() {
    use std::time::{SystemTime, UNIX_EPOCH};
    let (listener, port) = raw_server();
    let mut command = std::process::Command::new(common::program());
    let target = format!("localhost:{port}");
    command.args(["connect", &target, "--time", "-f", "line"]);
    // Half an hour more than a whole number of hours before UTC.
    command.env("TZ", "XYZ-5:30");
    let minutes = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        (now.as_secs() / 60 + 5 * 60 + 30) % (24 * 60)
    };
    let before = minutes();
    let mut client = Piped::spawn(command);
    let mut server = accept(&listener);
    client.write("hi\n");
    expect_bytes(&mut server, "hi\n");
    // A continuation has none.
    server
        .write_all(&[b"x".repeat(70_000), b"\n".to_vec()].concat())
        .unwrap();
    leave(server);
    let (said, _) = client.finish(0);
    let (time, rest) = said.split_once(' ').unwrap();
    assert_eq!(
        rest,
        format!("Received from server: {}\n", "x".repeat(70_000))
    );
    let after = minutes();
    let told = |minutes: u64| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    assert!(time == told(before) || time == told(after), "{time}");
}
