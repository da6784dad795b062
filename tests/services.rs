//! Talking to services: without turns, with replies of many lines, and to an honest end.

mod common;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::time::Duration;

use common::terminal::Terminal;
use common::{Piped, accept, expect_bytes, expect_end, leave, raw_client, raw_server};

#[test]
fn an_empty_line_of_a_pipe_is_a_message() {
    for (framing, lines) in [
        ("line", ["a\n", "\n", "b\n"]),
        ("crlf", ["a\r\n", "\r\n", "b\r\n"]),
        (
            "json",
            [
                "{\"name\":\"n\",\"text\":\"a\"}\n",
                "{\"name\":\"n\",\"text\":\"\"}\n",
                "{\"name\":\"n\",\"text\":\"b\"}\n",
            ],
        ),
    ] {
        let (listener, port) = raw_server();
        let mut args = vec!["-f", framing];
        if framing == "json" {
            args.extend(["--name", "n"]);
        }
        let mut client = Piped::connect(port, &args);
        client.write("a\n\nb\n");
        let mut server = accept(&listener);
        for line in lines {
            expect_bytes(&mut server, line);
            server.write_all(line.as_bytes()).unwrap();
        }
        client.close_stdin();
        expect_end(&mut server);
        drop(server);
        client.finish(0);
    }
}

#[test]
fn an_empty_line_that_raw_cannot_say_is_told() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &[]);
    client.write("a\n\nb\n");
    let mut server = accept(&listener);
    for line in ["a", "b"] {
        expect_bytes(&mut server, line);
        server.write_all(b"ok").unwrap();
    }
    let (_, stderr) = client.finish(0);
    assert!(
        stderr.contains("Line 2 is empty, and was left out: with --framing raw it cannot be sent."),
        "{stderr}"
    );
}

#[test]
fn what_was_not_sent_is_told_and_is_status_1() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--quiet"]);
    client.write("one\ntwo\nthree\nfour\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "one");
    server.write_all(b"1").unwrap();
    expect_bytes(&mut server, "two");
    leave(server);
    let (stdout, stderr) = client.finish(1);
    assert_eq!(stdout, "1\n");
    assert_eq!(
        stderr,
        "socketchat: no reply to 'two', 2 lines not sent: the server left\n"
    );
}

#[test]
fn lines_that_may_still_follow_are_counted_as_such() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--quiet", "--server-first"]);
    client.write("one\n");
    leave(accept(&listener));
    let status = client.exit();
    let (_, stderr) = client.finish_any();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        stderr,
        "socketchat: 1 line or more not sent: the server left\n"
    );
}

#[test]
fn a_reply_that_never_comes_is_told() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--quiet"]);
    client.write("anybody?\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "anybody?");
    leave(server);
    let (_, stderr) = client.finish(1);
    assert_eq!(
        stderr,
        "socketchat: no reply to 'anybody?': the server left\n"
    );
}

#[test]
fn a_server_that_leaves_when_nothing_is_owed_is_no_loss() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &[]);
    client.write("hello\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "hello");
    server.write_all(b"hi, and bye").unwrap();
    drop(server);
    // Its input has not ended, and nothing more comes from there.
    assert_eq!(client.exit().code(), Some(0));
}

#[test]
fn after_the_end_of_input_what_still_comes_is_read() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--quiet"]);
    client.write("tell me\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "tell me");
    server.write_all(b"one").unwrap();
    expect_end(&mut server);
    // The pause is what is tested.
    std::thread::sleep(Duration::from_secs(1));
    server.write_all(b"two").unwrap();
    drop(server);
    assert_eq!(client.finish(0).0, "one\ntwo\n");
}

#[test]
fn a_server_that_says_nothing_more_is_left() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--linger", "200ms"]);
    client.write("hello\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "hello");
    server.write_all(b"hi").unwrap();
    assert_eq!(client.exit().code(), Some(0));
    expect_end(&mut server);
}

#[test]
fn a_client_that_closes_its_side_only_is_answered_a_second_later() {
    for args in [&[] as &[&str], &["-m", "2"]] {
        let (mut server, port) = Piped::serve(args);
        let mut client = raw_client(port);
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server
            .stdout
            .wait_for("hello", |bytes| bytes.ends_with(b": hello\n").then_some(()));
        // The pause is what is tested.
        std::thread::sleep(Duration::from_secs(1));
        server.write("hi\n");
        expect_bytes(&mut client, "hi");
        expect_end(&mut client);
        drop(server);
    }
}

/// Bytes of every value, without a newline at the end.
fn binary() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..3_000_000_u32)
        .map(|n| n.wrapping_mul(n).to_le_bytes()[1])
        .collect();
    bytes.extend(b"\0\r\n\n\r\xff\xe2\x82");
    bytes
}

#[test]
fn without_turns_the_bytes_of_both_directions_are_exact() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--duplex", "--quiet"]);
    let server = accept(&listener);
    let mut stdin = client.take_stdin();
    let feeding = std::thread::spawn(move || stdin.write_all(&binary()).unwrap());
    let mut back = server.try_clone().unwrap();
    let answering = std::thread::spawn(move || {
        back.write_all(&binary()).unwrap();
    });
    let mut got = Vec::new();
    (&server).read_to_end(&mut got).unwrap();
    assert!(got == binary(), "{} bytes", got.len());
    feeding.join().unwrap();
    answering.join().unwrap();
    drop(server);
    assert_eq!(client.exit().code(), Some(0));
    let out = client.stdout.to_end();
    assert!(out == binary(), "{} bytes", out.len());
}

#[test]
fn without_turns_what_comes_is_printed_while_stdin_is_open() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--duplex", "-f", "line"]);
    let mut server = accept(&listener);
    server.write_all(b"one\ntwo\n").unwrap();
    client.expect("Received from server: one\nReceived from server: two\n");
    client.write("a\n\nbye\n");
    expect_bytes(&mut server, "a\n\nbye\n");
    server.write_all(b"three\n").unwrap();
    client.expect(
        "Received from server: one\nReceived from server: two\nReceived from server: three\n",
    );
    client.close_stdin();
    expect_end(&mut server);
    server.write_all(b"four\n").unwrap();
    drop(server);
    assert!(
        client
            .finish(0)
            .0
            .ends_with("three\nReceived from server: four\n")
    );
}

#[test]
fn without_turns_a_program_speaks_to_every_client() {
    let (mut server, port) = Piped::serve(&["--duplex", "-m", "2", "-f", "line"]);
    let mut clients = [raw_client(port), raw_client(port)];
    for (number, client) in clients.iter_mut().enumerate() {
        writeln!(client, "I am {number}").unwrap();
        server.stdout.wait_for("each", |bytes| {
            String::from_utf8_lossy(bytes)
                .contains(&format!("I am {number}"))
                .then_some(())
        });
    }
    server.write("news\n");
    for client in &mut clients {
        expect_bytes(client, "news\n");
    }
}

#[test]
fn without_turns_a_message_is_seen_above_a_line_that_is_half_typed() {
    let (listener, port) = raw_server();
    let client = Terminal::connect(port, &["--duplex", "-f", "crlf", "--no-history"]);
    let mut server = accept(&listener);
    client.expect_text(" ->");
    client.type_keys("half a");
    client.expect_text("half a");
    server.write_all(b"news\r\n").unwrap();
    client.expect(&["Received from server: news", " -> half a"]);
    client.type_keys(" line\r\rmore\r");
    expect_bytes(&mut server, "half a line\r\n\r\nmore\r\n");
    client.type_keys("bye\r");
    client.finish(0);
    expect_end(&mut server);
}

#[test]
fn a_service_that_greets_and_answers_in_lines_is_asked_in_step() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(
        port,
        &[
            "-q",
            "-f",
            "crlf",
            "--server-first",
            "--reply-until",
            "^[0-9]{3} ",
        ],
    );
    client.write("EHLO me\nQUIT\n");
    client.close_stdin();
    let mut server = accept(&listener);
    server.write_all(b"220-welcome\r\n220 ready\r\n").unwrap();
    expect_bytes(&mut server, "EHLO me\r\n");
    server.write_all(b"250-one\r\n250-two\r\n").unwrap();
    client.expect("220-welcome\n220 ready\n250-one\n250-two\n");
    // Nothing more is sent before the end of the reply.
    server.set_nonblocking(true).unwrap();
    assert!(server.read(&mut [0]).is_err());
    server.set_nonblocking(false).unwrap();
    server.write_all(b"250 three\r\n").unwrap();
    expect_bytes(&mut server, "QUIT\r\n");
    server.write_all(b"221 bye\r\n").unwrap();
    drop(server);
    let (stdout, _) = client.finish(0);
    assert!(stdout.ends_with("250 three\n221 bye\n"), "{stdout}");
}

#[test]
fn a_reply_that_is_not_ended_is_none() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["-q", "-f", "line", "--reply-until", "^OK"]);
    client.write("list\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "list\n");
    server.write_all(b"one\n").unwrap();
    leave(server);
    let (stdout, stderr) = client.finish(1);
    assert_eq!(stdout, "one\n");
    assert_eq!(stderr, "socketchat: no reply to 'list': the server left\n");
}

#[test]
fn quiet_ends_a_reply_and_also_that_of_a_line_that_gets_none() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["-q", "-f", "line", "--reply-quiet", "100ms"]);
    client.write("one\ntwo\nthree\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "one\n");
    server.write_all(b"1\n1\n").unwrap();
    expect_bytes(&mut server, "two\nthree\n");
    server.write_all(b"3\n").unwrap();
    expect_end(&mut server);
    drop(server);
    assert_eq!(client.finish(0).0, "1\n1\n3\n");
}

#[test]
fn a_reply_that_takes_too_long_is_an_error_that_quotes_the_line() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["-q", "-f", "line", "--reply-timeout", "200ms"]);
    client.write("anybody?\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "anybody?\n");
    let status = client.exit();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        client.finish_any().1,
        "socketchat: no reply within 200ms, or no end of it, to 'anybody?'\n"
    );
}

#[test]
fn at_a_terminal_it_is_your_turn_when_a_reply_takes_too_long() {
    let (listener, port) = raw_server();
    let args = ["-f", "line", "--reply-timeout", "200ms", "--no-history"];
    let client = Terminal::connect(port, &args);
    let mut server = accept(&listener);
    client.expect_text(" ->");
    client.type_keys("anybody?\r");
    expect_bytes(&mut server, "anybody?\n");
    client.expect(&[
        "No reply, or no end of it, for 200ms. It is your turn.",
        " ->",
    ]);
    client.type_keys("hello?\r");
    expect_bytes(&mut server, "hello?\n");
}

#[test]
fn a_service_that_waits_for_a_line_end_is_hinted_at_once() {
    let (listener, port) = raw_server();
    let client = Terminal::connect(port, &["--no-history"]);
    let mut server = accept(&listener);
    client.expect_text(" ->");
    client.type_keys("PING\r");
    expect_bytes(&mut server, "PING");
    client.expect_text("none is sent; --framing line or crlf sends it.");
}

#[test]
fn options_that_do_not_go_together_are_wrong_usage() {
    for (args, why) in [
        (
            &["--reply-until", "x"] as &[&str],
            "--reply-until needs --framing line or crlf",
        ),
        (&["--duplex", "--server-first"], "cannot be used with"),
        (&["--duplex", "--reply-quiet", "1s"], "cannot be used with"),
        (&["-f", "line", "--reply-until", "("], "found open group"),
    ] {
        let (_, stderr) = Piped::connect(1, args).finish(2);
        assert!(stderr.contains(why), "{stderr}");
    }
}
