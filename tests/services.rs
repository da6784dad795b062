//! Talking to services: without turns, with replies of many lines, and to an honest end.

mod common;

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use common::terminal::Terminal;
use common::{
    DEADLINE, Gathered, Piped, accept, expect_bytes, expect_end, leave, program, raw_client,
    raw_server, signal, stop, wait_until,
};
use nix::sys::signal::Signal;

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
    assert!(!client.exits_within(Duration::from_secs(1)));
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
        assert!(!server.exits_within(Duration::from_secs(1)));
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

/// An echo reads no more while it waits for what it has sent to be read.
#[test]
fn without_turns_what_comes_is_read_while_what_is_sent_is_not_taken() {
    let text = ("x".repeat(99) + "\n").repeat(120_000);
    for args in [
        &["-q", "-f", "line"][..],
        &["-q"],
        &["-m", "2", "-f", "line"],
    ] {
        let args = [args, &["--duplex"]].concat();
        let (mut program, mut peer) = if args.contains(&"-m") {
            let (program, port) = Piped::serve(&args);
            (program, raw_client(port))
        } else {
            let (listener, port) = raw_server();
            (Piped::connect(port, &args), accept(&listener))
        };
        let echoing = std::thread::spawn(move || {
            let mut back = peer.try_clone().unwrap();
            std::io::copy(&mut peer, &mut back).unwrap();
        });
        let mut stdin = program.take_stdin();
        let line = text.clone();
        let feeding = std::thread::spawn(move || stdin.write_all(line.as_bytes()).unwrap());
        program.stdout.wait_for("the echo", |bytes| {
            (bytes.len() >= text.len()).then_some(())
        });
        feeding.join().unwrap();
        echoing.join().unwrap();
        let (stdout, stderr) = program.finish(0);
        let said = stdout.replace("Received from client #1: ", "");
        assert!(said == text, "{stderr}");
    }
}

#[test]
fn without_turns_what_a_peer_has_said_before_its_end_is_shown_while_it_takes_no_more() {
    const COUNT: usize = 12_000_000;
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--duplex", "--quiet"]);
    let mut server = accept(&listener);
    let mut stdin = client.take_stdin();
    let fed = Arc::new(AtomicUsize::new(0));
    let feeding = std::thread::spawn({
        let fed = Arc::clone(&fed);
        move || {
            while fed.load(Relaxed) < COUNT {
                stdin.write_all(&[b'x'; 10_000]).unwrap();
                fed.fetch_add(10_000, Relaxed);
            }
        }
    });
    let text = "y".repeat(30_000);
    for count in 1..=4 {
        wait_until("the input stands", || {
            let before = fed.load(Relaxed);
            std::thread::sleep(Duration::from_millis(100));
            (before > 0 && fed.load(Relaxed) == before).then_some(())
        });
        // What it says last and its end come at once.
        stop(client.id());
        server.write_all(text.as_bytes()).unwrap();
        if count == 4 {
            server.shutdown(Shutdown::Write).unwrap();
        }
        signal(client.id(), Signal::SIGCONT);
        client.stdout.wait_for("all of it", |bytes| {
            (bytes.len() >= count * text.len()).then_some(())
        });
    }
    let mut taken = Vec::new();
    server.read_to_end(&mut taken).unwrap();
    assert_eq!(taken.len(), COUNT);
    feeding.join().unwrap();
    drop(server);
    assert_eq!(client.exit().code(), Some(0));
}

#[test]
fn what_nobody_reads_does_not_hold_up_what_is_sent() {
    const COUNT: usize = 8 * 1024 * 1024;
    let (listener, port) = raw_server();
    let (mut unread, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    command.args(["connect", &format!("localhost:{port}"), "--duplex", "-q"]);
    let mut client = Piped::spawn_with(command, stdout.into());
    let mut stdin = client.take_stdin();
    let bytes = |seed| {
        let mut bytes = vec![0; COUNT];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        bytes
    };
    let server = accept(&listener);
    let (mut from, mut to) = (server.try_clone().unwrap(), server);
    let writing = std::thread::spawn(move || stdin.write_all(&bytes(1)));
    // Until both ways are full.
    let (mut rest, flood) = (0, bytes(2));
    to.set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    while let Ok(count) = to.write(&flood[rest..]) {
        rest += count;
    }
    assert!(rest < COUNT, "it was all taken in, wherever it is");
    assert!(
        !writing.is_finished(),
        "it was all taken in, wherever it is"
    );
    let mut sent = Vec::new();
    from.read_to_end(&mut sent).unwrap();
    assert!(sent == bytes(1));
    writing.join().unwrap().unwrap();
    let flooding = std::thread::spawn(move || {
        to.set_write_timeout(Some(DEADLINE)).unwrap();
        to.write_all(&flood[rest..]).unwrap();
        to.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    unread.read_to_end(&mut received).unwrap();
    assert!(received == bytes(2));
    flooding.join().unwrap();
    client.finish(0);
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
fn without_turns_the_rest_of_a_line_goes_to_nobody_who_lacks_its_beginning() {
    // More than is taken at once.
    let half = "x".repeat(100_000);
    for stays in [false, true] {
        let many: &[&str] = if stays { &["-m", "2"] } else { &["-k"] };
        let (mut server, port) = Piped::serve(&[many, &["--duplex", "-f", "line"]].concat());
        let mut first = raw_client(port);
        server.stderr.wait_for("the first", |notices| {
            (memchr::memmem::find_iter(notices, "Connection from").count() == 1).then_some(())
        });
        server.write(&half);
        first.read_exact(&mut [0; 1000]).unwrap();
        let first = stays.then(|| Gathered::from(first));
        let mut second = raw_client(port);
        server.stderr.wait_for("the second", |notices| {
            (memchr::memmem::find_iter(notices, "Connection from").count() == 2).then_some(())
        });
        server.write(format!("{half}\nfor you\n"));
        expect_bytes(&mut second, "for you\n");
        server.close_stdin();
        drop(second);
        let (_, notices) = server.finish(i32::from(!stays));
        assert_eq!(notices.contains("Not sent"), !stays, "{notices:.300}");
        if let Some(first) = first {
            let line = half.repeat(2) + "\nfor you\n";
            assert!(first.to_end() == line.as_bytes()[1000..]);
        }
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
fn that_something_was_kept_for_the_turn_is_told_once() {
    let (terminal, mut server) = Terminal::connected(&["-f", "line"]);
    terminal.type_keys("get\r");
    expect_bytes(&mut server, "get\n");
    server.write_all(b"$2\nhi\nand more\n").unwrap();
    terminal.expect(&["Received from server: $2", " ->"]);
    terminal.type_keys("next\r");
    expect_bytes(&mut server, "next\n");
    terminal.expect_words("-> next What follows had come before your line, and was kept.");
    terminal.expect(&["Received from server: hi", " ->"]);
    terminal.type_keys("next\r");
    expect_bytes(&mut server, "next\n");
    terminal.expect(&[" -> next", "Received from server: and more", " ->"]);
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn the_end_of_the_connection_ends_a_reply_that_quiet_would_end() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["-q", "-f", "line", "--reply-quiet", "10s"]);
    client.write("get\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "get\n");
    server.write_all(b"one\ntwo\n").unwrap();
    drop(server);
    assert_eq!(client.finish(0), ("one\ntwo\n".into(), String::new()));
}

#[test]
fn a_reply_that_takes_too_long_is_an_error_that_quotes_the_line() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["-q", "-f", "line", "--reply-timeout", "200ms"]);
    client.write("anybody?\nhello?\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "anybody?\n");
    let status = client.exit();
    assert_eq!(status.code(), Some(1));
    assert_eq!(
        client.finish_any().1,
        "1 line not sent.\nsocketchat: no reply within 200ms, or no end of it, to 'anybody?'\n"
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
fn a_script_that_sends_no_line_end_is_told_why_it_waits() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &[]);
    client.write("PING\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "PING");
    let why = "none is sent; --framing line or crlf sends it.\n";
    client.stderr.wait_for("the hint", |bytes| {
        bytes.ends_with(why.as_bytes()).then_some(())
    });
    // It waits on.
    server.write_all(b"PONG").unwrap();
    client.stdout.wait_for("the reply", |bytes| {
        bytes.ends_with(b"PONG\n").then_some(())
    });
    client.close_stdin();
    expect_end(&mut server);
    drop(server);
    client.finish(0);
}

#[test]
fn a_reply_whose_end_does_not_come_is_hinted_at_once() {
    let (listener, port) = raw_server();
    let args = ["-f", "crlf", "--reply-until", "^[0-9]{3} ", "--no-history"];
    let client = Terminal::connect(port, &args);
    let mut server = accept(&listener);
    client.expect_text(" ->");
    client.type_keys("DATA\r");
    expect_bytes(&mut server, "DATA\r\n");
    server.write_all(b"354 go on\r\n").unwrap();
    client.expect(&["Received from server: 354 go on", " ->"]);
    // A line of a mail gets no reply.
    client.type_keys("Subject: hi\r");
    expect_bytes(&mut server, "Subject: hi\r\n");
    client.expect_words("No answer yet, or no line that --reply-until waits for.");
    server.write_all(b"250 OK\r\n").unwrap();
    client.expect(&["Received from server: 250 OK", " ->"]);
    client.type_keys("\x04");
    drop(server);
    client.finish(0);
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

/// Starts a Python script that prints the port on which its service listens, with `args`.
fn service(script: &str, args: &[&str]) -> (Piped, u16) {
    let mut command = Command::new("python3");
    command.args(["-u", "-c", script]).args(args);
    let service = Piped::spawn(command);
    let port = service.stdout.wait_for("the port", |bytes| {
        let line = String::from_utf8_lossy(bytes);
        line.strip_suffix('\n')?.parse().ok()
    });
    (service, port)
}

/// Stores each mail in the file that is its first argument.
const SMTP: &str = "
import asyncio, sys
from aiosmtpd.smtp import SMTP

class Store:
    async def handle_DATA(self, server, session, envelope):
        with open(sys.argv[1], 'wb') as file:
            file.write(envelope.original_content)
        return '250 stored'

async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Store()), '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1])
    await server.serve_forever()

asyncio.run(main())
";

const FTP: &str = "
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

FTPHandler.authorizer = DummyAuthorizer()
FTPHandler.authorizer.add_user('anna', 'secret', '.')
server = FTPServer(('127.0.0.1', 0), FTPHandler)
print(server.address[1])
server.serve_forever()
";

/// What ends a reply of SMTP and FTP.
const CODE: [&str; 6] = [
    "-q",
    "-f",
    "crlf",
    "--server-first",
    "--reply-until",
    "^[0-9]{3} ",
];

#[test]
#[ignore = "needs python3 with aiosmtpd"]
fn a_mail_is_stored_exactly() {
    let folder = common::home();
    let path = folder.path().join("mail");
    let (_smtp, port) = service(SMTP, &[path.to_str().unwrap()]);
    let body = (1..=30).fold(String::new(), |body, n| {
        format!("{body}line {n}, gr\u{fc}ezi\n")
    });
    let mail = format!("From: <a@example>\nSubject: a test\n\n{body}");
    let commands =
        format!("EHLO me\nMAIL FROM:<a@example>\nRCPT TO:<b@example>\nDATA\n{mail}.\nQUIT\n");
    let in_step = [&CODE[..], &["--reply-quiet", "50ms"]].concat();
    for args in [&in_step[..], &["-q", "-f", "crlf", "--duplex"]] {
        let mut client = Piped::connect(port, args);
        client.write(&commands);
        let (stdout, stderr) = client.finish(0);
        assert!(
            stdout.contains("\n250 stored\n221 Bye\n"),
            "{stdout}{stderr}"
        );
        let stored = std::fs::read_to_string(&path).unwrap();
        assert_eq!(stored, mail.replace('\n', "\r\n"));
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
#[ignore = "needs python3 with pyftpdlib"]
fn ftp_is_spoken_in_step() {
    let (_ftp, port) = service(FTP, &[]);
    let mut client = Piped::connect(port, &CODE);
    client.write("USER anna\nPASS secret\nPWD\nQUIT\n");
    let (stdout, _) = client.finish(0);
    let codes: Vec<_> = stdout.lines().map(|line| &line[..4]).collect();
    assert_eq!(codes, ["220 ", "331 ", "230 ", "257 ", "221 "], "{stdout}");
}

#[test]
#[ignore = "needs redis-server"]
fn what_redis_publishes_is_printed_while_stdin_is_open() {
    let port = common::free_port();
    let _redis = common::redis(port);
    let mut subscriber = Piped::connect(port, &["-q", "-f", "crlf", "--duplex"]);
    subscriber.write("SUBSCRIBE news\n");
    let begin = "*3\n$9\nsubscribe\n$4\nnews\n:1\n";
    subscriber.expect(begin);
    let mut publisher = Piped::connect(port, &["-q", "-f", "crlf", "--reply-quiet", "50ms"]);
    publisher.write("PUBLISH news hello\nRPUSH l a b\nLRANGE l 0 -1\n");
    assert_eq!(publisher.finish(0).0, ":1\n:2\n*2\n$1\na\n$1\nb\n");
    subscriber.expect(format!("{begin}*3\n$7\nmessage\n$4\nnews\n$5\nhello\n"));
}

#[test]
#[ignore = "needs bash"]
fn a_coprocess_reads_the_greeting_asks_and_reads() {
    let (listener, port) = raw_server();
    let script = format!(
        "coproc {{ '{}' connect -q -f line --server-first localhost:{port}; }}
         read -r greeting <&\"${{COPROC[0]}}\"
         echo question >&\"${{COPROC[1]}}\"
         read -r answer <&\"${{COPROC[0]}}\"
         echo \"$greeting, $answer\"
         pid=$COPROC_PID
         eval \"exec ${{COPROC[1]}}>&-\"
         wait \"$pid\"",
        common::program()
    );
    let mut command = Command::new("bash");
    command.args(["-c", &script]);
    let shell = Piped::spawn(command);
    let mut server = accept(&listener);
    server.write_all(b"welcome\n").unwrap();
    expect_bytes(&mut server, "question\n");
    server.write_all(b"answer\n").unwrap();
    expect_end(&mut server);
    drop(server);
    assert_eq!(shell.finish(0).0, "welcome, answer\n");
}

/// Starts a service on `port` by `command`, and waits until it accepts.
fn daemon(command: &[&str], port: u16) -> Piped {
    let mut process = Command::new(command[0]);
    process.args(&command[1..]);
    let daemon = Piped::spawn(process);
    let start = std::time::Instant::now();
    while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed() < DEADLINE, "{command:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    daemon
}

#[test]
#[ignore = "needs memcached"]
fn memcached_keeps_and_gives_back() {
    let port = common::free_port();
    let number = port.to_string();
    let command = [
        "memcached",
        "-u",
        "nobody",
        "-l",
        "127.0.0.1",
        "-p",
        &number,
    ];
    let _memcached = daemon(&command, port);
    let ends = "^(STORED|END|ERROR)$";
    let args = [
        "-q",
        "-f",
        "crlf",
        "--reply-until",
        ends,
        "--reply-quiet",
        "1s",
    ];
    let mut client = Piped::connect(port, &args);
    client.write("set greeting 0 0 5\nhello\nget greeting\n");
    let (stdout, stderr) = client.finish(0);
    let told = "STORED\nVALUE greeting 0 5\nhello\nEND\n";
    assert_eq!((stdout, stderr), (told.into(), String::new()));
}

#[test]
#[ignore = "needs nginx"]
fn a_page_of_nginx_comes_byte_by_byte() {
    let folder = common::home();
    let path = folder.path().display();
    let port = common::free_port();
    std::fs::write(folder.path().join("page"), binary()).unwrap();
    let configuration = format!(
        "daemon off; master_process off; pid {path}/pid; error_log stderr;
         events {{ }}
         http {{
             access_log off;
             client_body_temp_path {path}/a; proxy_temp_path {path}/b;
             fastcgi_temp_path {path}/c; uwsgi_temp_path {path}/d; scgi_temp_path {path}/e;
             server {{ listen 127.0.0.1:{port}; root {path}; }}
         }}"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, configuration).unwrap();
    let _nginx = daemon(
        &[
            "nginx",
            "-p",
            &path.to_string(),
            "-c",
            file.to_str().unwrap(),
        ],
        port,
    );
    let mut client = Piped::connect(port, &["--duplex", "-q"]);
    client.write("GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    client.close_stdin();
    assert_eq!(client.exit().code(), Some(0));
    let answer = client.stdout.to_end();
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap();
    assert!(answer[end + 4..] == binary(), "{} bytes", answer.len());
}

#[test]
#[ignore = "needs ngircd"]
fn irc_is_joined_and_its_ping_is_seen() {
    let folder = common::home();
    let port = common::free_port();
    let file = folder.path().join("ngircd.conf");
    std::fs::write(
        &file,
        format!(
            "[Global]\nName = irc.example\nListen = 127.0.0.1\nPorts = {port}\nInfo = test\n\
             [Limits]\nPingTimeout = 1\n[Options]\nPAM = no\nIdent = no\nDNS = no\n"
        ),
    )
    .unwrap();
    let _ngircd = daemon(&["ngircd", "-n", "-f", file.to_str().unwrap()], port);
    let mut client = Piped::connect(port, &["-q", "-f", "crlf", "--duplex"]);
    client.write("NICK anna\nUSER anna 0 * :Anna\n");
    for words in [" 001 anna ", "PING :irc.example"] {
        client.stdout.wait_for(words, |bytes| {
            String::from_utf8_lossy(bytes).contains(words).then_some(())
        });
    }
    client.write("PONG :irc.example\nQUIT\n");
    client.finish(0);
}

#[test]
fn an_answer_after_five_seconds_is_waited_for_at_the_end_of_stdin() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--quiet"]);
    client.write("think\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "think");
    assert!(!client.exits_within(Duration::from_secs(5)));
    server.write_all(b"42").unwrap();
    drop(server);
    assert_eq!(client.finish(0).0, "42\n");
}
