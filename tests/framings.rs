//! The framings between real processes: with each other through a stream that is cut
//! anew, with other programs, and with what no peer should send.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;

use common::terminal::Terminal;
use common::{Piped, accept, expect_bytes, free_port, raw_client, raw_server};

/// A generator of numbers, the same in every run (xorshift64*, Vigna 2016).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(number).unwrap() % limit
    }
}

/// Passes bytes on from one stream to the other, in pieces of its own choice.
fn recut(mut from: TcpStream, mut to: TcpStream, seed: u64, least: usize) {
    let mut numbers = Numbers(seed);
    let mut buffer = vec![0; 200_000];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let size = least + numbers.below(30_000);
            let (piece, after) = rest.split_at(size.min(rest.len()));
            if to.write_all(piece).is_err() {
                return;
            }
            rest = after;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

/// A port that leads to `port`, through streams that are cut anew both ways.
fn relay(port: u16, least: usize) -> u16 {
    let (listener, front) = raw_server();
    thread::spawn(move || {
        let client = accept(&listener);
        client.set_read_timeout(None).unwrap();
        let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
        server.set_nodelay(true).unwrap();
        let (to, from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        thread::spawn(move || recut(from, to, 1, least));
        recut(server, client, 2, least);
    });
    front
}

/// So many lines of random length, most of them short, in characters of all lengths.
fn lines(count: usize, longest: usize, seed: u64) -> Vec<u8> {
    let mut numbers = Numbers(seed);
    let alphabet: Vec<char> = "abc\"\\{}\t \u{fc}\u{20ac}\u{1f468}".chars().collect();
    let mut text = String::new();
    for _ in 0..count {
        let most = 1 + numbers.below(longest);
        let length = 1 + numbers.below(most);
        let start = text.len();
        while text.len() - start < length {
            text.push(alphabet[numbers.below(alphabet.len())]);
        }
        text.push('\n');
    }
    text.into_bytes()
}

/// Two socketchats exchange so many messages: byte-exact, in order, none lost.
fn exchange(framing: &str, count: usize, longest: usize) {
    // Without an end mark, a short message must not be cut.
    let least = if framing == "raw" { longest } else { 1 };
    let (mut server, port) = Piped::serve(&["--framing", framing]);
    let mut client = Piped::connect(relay(port, least), &["-q", "--framing", framing]);
    let asked = lines(count / 2, longest, 3);
    let answered = lines(count / 2, longest, 4);
    let feeders: Vec<_> = [(&mut client, &asked), (&mut server, &answered)]
        .into_iter()
        .map(|(process, lines)| {
            let (mut stdin, lines) = (process.take_stdin(), lines.clone());
            thread::spawn(move || stdin.write_all(&lines).unwrap())
        })
        .collect();
    for feeder in feeders {
        feeder.join().unwrap();
    }
    let heard = client.stdout.to_end_long();
    assert!(
        heard == answered,
        "{framing}: the client has heard something else"
    );
    client.finish(0);
    let login = nix::unistd::User::from_uid(nix::unistd::Uid::current())
        .unwrap()
        .unwrap()
        .name;
    let label = match framing {
        "json" => format!("Received from {login}: "),
        _ => "Received from connected client: ".to_owned(),
    };
    let heard = server.stdout.to_end();
    let expected: Vec<u8> = asked
        .split_inclusive(|byte| *byte == b'\n')
        .flat_map(|line| [label.as_bytes(), line].concat())
        .collect();
    assert!(
        heard == expected,
        "{framing}: the server has heard something else"
    );
    server.finish(0);
}

#[test]
fn a_zero_byte_ends_a_message_of_several_lines() {
    let (mut server, port) = Piped::serve(&["-f", "nul"]);
    let mut client = raw_client(port);
    client.write_all(b"one\ntw").unwrap();
    client.write_all(b"o\0three\0").unwrap();
    server.write("yes\nno\n");
    expect_bytes(&mut client, "yes\0no\0");
    let said = "Received from connected client: one\ntwo\nReceived from connected client: three\n";
    server.expect(said);
    client.write_all(b"half").unwrap();
    drop(client);
    let rest = "Received from connected client: half\n";
    assert_eq!(server.finish(0).0, format!("{said}{rest}"));
}

#[test]
fn a_paste_of_several_lines_stays_so_before_a_zero_byte() {
    let (terminal, mut peer) = Terminal::connected(&["-f", "nul", "--no-history"]);
    terminal.paste("two\nlines");
    terminal.expect_text("lines");
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "two\nlines\0");
    peer.write_all(b"half").unwrap();
    terminal.expect_words(
        "The server has begun a message and not ended it. If it sends no zero bytes, use \
         --framing raw. So far: half",
    );
    drop(peer);
    terminal.finish(0);
}

#[test]
fn messages_through_a_stream_that_is_cut_anew() {
    for framing in ["line", "crlf", "json"] {
        exchange(framing, 300, 100_000);
    }
    exchange("raw", 300, 1000);
}

#[test]
#[ignore = "needs a minute"]
fn ten_thousand_messages_through_a_stream_that_is_cut_anew() {
    for framing in ["line", "crlf", "json"] {
        exchange(framing, 10_000, 100_000);
    }
    exchange("raw", 10_000, 1000);
}

#[test]
fn lines_in_one_read_are_turns_in_order() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--framing", "line"]);
    let mut peer = accept(&listener);
    client.write("one\n");
    expect_bytes(&mut peer, "one\n");
    peer.write_all(b"a\nb\nhalf").unwrap();
    client.expect("Received from server: a\n");
    client.write("two\n");
    expect_bytes(&mut peer, "two\n");
    client.expect("Received from server: a\nReceived from server: b\n");
    client.write("three\n");
    expect_bytes(&mut peer, "three\n");
    peer.write_all(b" a line").unwrap();
    drop(peer);
    let (stdout, _) = client.finish(0);
    assert_eq!(
        stdout,
        "Received from server: a\nReceived from server: b\nReceived from server: half a line\n"
    );
}

#[test]
fn a_line_that_does_not_end_is_told_of_and_shown_so_far() {
    let notice = "The server has begun a line and not ended it. If it sends no line ends, \
                  use --framing raw.";
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--framing", "line"]);
    let mut peer = accept(&listener);
    client.write("hello\n");
    expect_bytes(&mut peer, "hello\n");
    peer.write_all(b"no end").unwrap();
    client.stderr.wait_for(notice, |bytes| {
        String::from_utf8_lossy(bytes)
            .contains(notice)
            .then_some(())
    });
    peer.write_all(b"\n").unwrap();
    client.expect("Received from server: no end\n");
    drop(peer);
    let (_, stderr) = client.finish(0);
    assert_eq!(stderr.matches(notice).count(), 1);

    let terminal = Terminal::connect(port, &["--framing", "line"]);
    let mut peer = accept(&listener);
    terminal.expect_text("\n ->");
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello\n");
    peer.write_all(b"no \x1b").unwrap();
    terminal.expect_text("So far: no \\u{1b}\n <-");
    terminal.type_keys("typed");
    terminal.expect(&[" <- typed"]);
    peer.write_all(b"end\n").unwrap();
    terminal.expect(&["Received from server: no \\u{1b}end", " -> typed"]);
    assert!(
        terminal
            .screen()
            .contains("has begun a line and not ended it.")
    );
}

#[test]
fn at_a_terminal_the_next_message_waits_for_its_turn() {
    let (terminal, mut peer) = Terminal::connected(&["--framing", "line"]);
    peer.write_all(b"banner\n").unwrap();
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    peer.write_all(b"and more\n").unwrap();
    terminal.type_keys(" a line\r");
    expect_bytes(&mut peer, "half a line\n");
    terminal.expect_words("-> half a line What follows had come before your line, and was kept.");
    terminal.expect(&["Received from server: banner", " ->"]);
    terminal.type_keys("two\r");
    expect_bytes(&mut peer, "two\n");
    terminal.expect(&[" -> two", "Received from server: and more", " ->"]);
    // One that leaves has said all before.
    peer.write_all(b"last\nwords").unwrap();
    drop(peer);
    terminal.expect(&[
        "Received from server: last",
        "Received from server: words",
        "The server left.",
    ]);
    terminal.finish(0);
}

#[test]
fn a_peer_that_floods_in_our_turn_is_still_seen_to_leave() {
    let (terminal, mut peer) = Terminal::connected(&["--framing", "line"]);
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    // More than is read ahead.
    peer.write_all("flood\n".repeat(20_000).as_bytes()).unwrap();
    drop(peer);
    terminal.expect(&[
        "Received from server: flood",
        "The server left.",
        "Not sent: half",
    ]);
    terminal.finish(0);
}

#[test]
fn pasted_lines_become_one_and_that_is_told() {
    let (terminal, mut peer) = Terminal::connected(&["--framing", "crlf"]);
    terminal.paste("one\rtwo");
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "one two\r\n");
    terminal.expect_text("Sent as one line: with --framing crlf");
}

#[test]
fn names_are_told_by_json() {
    let (server, port) = Terminal::serve(&["--framing", "json", "--name", "berta"]);
    let client = Terminal::connect(port, &["--framing", "json", "--name", "anna"]);
    client.expect_text("\n ->");
    client.paste("one\rtwo");
    client.type_keys("\r");
    server.expect(&["Received from anna: one", "    two", " ->"]);
    server.type_keys("hi\r");
    client.expect(&["Received from berta: hi", " ->"]);
}

/// Sends `line` and its end, and returns the most memory that took.
#[cfg(target_os = "linux")]
fn memory_for(framing: &str, begin: &[u8], megabytes: usize, end: &[u8]) -> (u64, String) {
    let (listener, port) = raw_server();
    let mut command = Command::new(common::program());
    command.args([
        "connect",
        &format!("localhost:{port}"),
        "--framing",
        framing,
    ]);
    let mut client = Piped::spawn_with(command, Stdio::null());
    let mut peer = accept(&listener);
    client.write("hello\n");
    let mut hello = [0; 5];
    peer.read_exact(&mut hello).unwrap();
    peer.write_all(begin).unwrap();
    let block = vec![b'x'; 1 << 20];
    for _ in 0..megabytes {
        peer.write_all(&block).unwrap();
    }
    peer.write_all(end).unwrap();
    // The turn has changed when the next line is sent.
    client.write("over\n");
    let mut seen = Vec::new();
    while !seen.windows(4).any(|bytes| bytes == b"over") {
        let mut byte = [0];
        peer.read_exact(&mut byte).unwrap();
        seen.push(byte[0]);
    }
    let peak = client.peak_memory();
    peer.write_all(b"{\"text\":\"so it is\"}\n").unwrap();
    common::leave(peer);
    (peak, client.finish(0).1)
}

#[test]
#[cfg(target_os = "linux")]
fn a_line_of_a_gigabyte_takes_no_memory() {
    for framing in ["raw", "line"] {
        let (peak, _) = memory_for(framing, b"", 1024, b"\n");
        assert!(peak < common::SMALL, "{framing}: {peak}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_json_line_of_64_megabytes_is_shown_as_text_and_takes_no_memory() {
    // A message of up to 1 MiB is held, in the buffer and as its text.
    let small = common::SMALL + (2 << 20);
    let (peak, stderr) = memory_for("json", b"{\"text\":\"", 64, b"\"}\n");
    assert!(peak < small, "{peak}");
    assert!(stderr.contains("A JSON message of more than 1 MiB, shown as it comes."));
    // Just below the limit it is a message.
    let (peak, stderr) = memory_for(
        "json",
        &[&b"{\"text\":\""[..], &b"y".repeat(900_000)].concat(),
        0,
        b"\"}\n",
    );
    assert!(peak < small, "{peak}");
    assert!(!stderr.contains("JSON"), "{stderr}");
}

#[test]
#[ignore = "needs redis-server"]
fn a_real_redis_answers() {
    let port = free_port();
    let _redis = common::redis(port);
    let mut client = Piped::connect(port, &["--quiet", "--framing", "crlf"]);
    client.write("SET k \u{fc}\nGET k\n");
    assert_eq!(
        client.finish(0),
        ("+OK\n$2\n\u{fc}\n".into(), String::new())
    );
    let mut client = Piped::connect(port, &["--quiet", "--framing", "crlf"]);
    client.write("PING\n");
    assert_eq!(client.finish(0).0, "+PONG\n");
}

#[test]
#[ignore = "needs nc"]
fn nc_talks_in_lines() {
    let (mut server, port) = Piped::serve(&["--framing", "line"]);
    let mut nc = common::nc_client(port);
    nc.write("one\n");
    server.expect("Received from connected client: one\n");
    server.write("1\n");
    nc.expect("1\n");
    nc.write("two\n");
    server.write("2\n");
    nc.expect("1\n2\n");

    let (mut nc, port) = common::nc_server();
    let mut client = Piped::connect(port, &["--framing", "line"]);
    client.write("one\n");
    nc.expect("one\n");
    nc.write("1\nout of turn\n");
    client.expect("Received from server: 1\n");
    client.write("two\n");
    nc.expect("one\ntwo\n");
    client.expect("Received from server: 1\nReceived from server: out of turn\n");
    client.finish(0);
}

#[test]
#[ignore = "needs python3"]
fn python_talks_in_lines_and_in_json() {
    for framing in ["line", "json"] {
        let (mut server, port) = Piped::serve(if framing == "json" {
            &["--framing", "json", "--name", "us"]
        } else {
            &["--framing", "line"]
        });
        let mut command = Command::new("python3");
        command
            .arg(format!(
                "{}/tests/peers/{framing}.py",
                env!("CARGO_MANIFEST_DIR")
            ))
            .arg(port.to_string())
            .env("PYTHONUNBUFFERED", "1");
        let mut peer = Piped::spawn(command);
        let label = if framing == "json" {
            "Received from python: "
        } else {
            "Received from connected client: "
        };
        let name = if framing == "json" { "us: " } else { "" };
        let (mut heard, mut answers) = (String::new(), String::new());
        for turn in 1..=10 {
            peer.write(format!("gr\u{fc}ezi \"{turn}\" \u{1f468}\n"));
            heard += &format!("{label}gr\u{fc}ezi \"{turn}\" \u{1f468}\n");
            server.expect(&heard);
            server.write(format!("answer \\{turn}\n"));
            answers += &format!("{name}answer \\{turn}\n");
            peer.expect(&answers);
        }
        peer.finish(0);
        assert_eq!(server.finish(0).0, heard);
    }
}

#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let (mut server, port) = Piped::serve(&[]);
    server.write("got it\n");
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    peer.shutdown(std::net::Shutdown::Write).unwrap();
    expect_bytes(&mut peer, "got it");
    let (stdout, _) = server.finish(0);
    assert_eq!(stdout, "Received from connected client: hello\n");
}

#[test]
fn a_reply_of_several_lines_is_shown_to_its_end_though_the_input_has_ended() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["-q", "--framing", "line"]);
    let mut peer = accept(&listener);
    client.write("GET\n");
    client.close_stdin();
    expect_bytes(&mut peer, "GET\n");
    peer.write_all(b"a\nb").unwrap();
    client.expect("a\n");
    // The client has closed its side, and reads on.
    common::expect_end(&mut peer);
    peer.write_all(b"b\nc").unwrap();
    client.expect("a\nbb\n");
    peer.write_all(b"c\n").unwrap();
    client.expect("a\nbb\ncc\n");
    drop(peer);
    client.finish(0);
}

/// A client in a pipe that has asked, and the peer that was asked.
fn asked(framing: &str) -> (Piped, TcpStream) {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["-q", "--framing", framing]);
    let mut peer = accept(&listener);
    client.write("ask\n");
    let mut ask = [0; 3];
    peer.read_exact(&mut ask).unwrap();
    (client, peer)
}

#[test]
fn more_than_is_read_ahead_is_no_crash_in_a_pipe() {
    let (mut client, mut peer) = asked("line");
    peer.write_all(b"one\n").unwrap();
    peer.write_all(&b"x".repeat(200_000)).unwrap();
    client.expect("one\n");
    client.write("more\n");
    peer.write_all(b"\ntwo\n").unwrap();
    let expected = format!("one\n{}\n", "x".repeat(200_000));
    client.expect(&expected);
    client.write("last\n");
    client.expect(expected + "two\n");
    common::leave(peer);
    client.finish(0);
}

#[test]
fn a_line_that_was_read_ahead_in_part_is_told_of_too() {
    let (terminal, mut peer) = Terminal::connected(&["--framing", "line"]);
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello\n");
    peer.write_all(b"one\npart").unwrap();
    terminal.expect(&["Received from server: one", " ->"]);
    terminal.type_keys("next\r");
    expect_bytes(&mut peer, "next\n");
    terminal.expect_text("has begun a line and not ended it.");
    terminal.expect_text("So far: part\n <-");
    peer.write_all(b"ed\n").unwrap();
    terminal.expect(&["Received from server: parted", " ->"]);
}

#[test]
fn a_line_that_drips_is_told_of() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--framing", "line"]);
    let mut peer = accept(&listener);
    client.write("ask\n");
    expect_bytes(&mut peer, "ask\n");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let dripping = thread::spawn(move || {
        let pause = std::time::Duration::from_millis(100);
        while stopped.recv_timeout(pause).is_err() {
            peer.write_all(b".").unwrap();
        }
        common::leave(peer);
    });
    client.stderr.wait_for("the notice", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("has begun a line and not ended it.")
            .then_some(())
    });
    stop.send(()).unwrap();
    client.close_stdin();
    dripping.join().unwrap();
    client.finish(0);
}

#[test]
fn an_empty_line_of_a_file_with_returns_is_a_message() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--framing", "crlf"]);
    let mut peer = accept(&listener);
    client.write("\r\n\nPING\r\n");
    for line in ["\r\n", "\r\n", "PING\r\n"] {
        expect_bytes(&mut peer, line);
        peer.write_all(b"ok\r\n").unwrap();
    }
    client.finish(0);
}
