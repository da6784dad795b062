//! The prompt that is there as long as the program is, whoever has the turn and whatever is
//! shown above it; and what holds for the servers and the errors beside it.

mod common;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use common::terminal::{COLUMNS, Setup, Terminal};
use common::{
    DEADLINE, Piped, accept, expect_bytes, expect_end, leave, program, raw_client, raw_server,
    reset_when_dropped, signal, stop,
};
use fastrand::Rng;
use nix::sys::signal::Signal;

const LEFT: &str = "\x1b[D";
const RIGHT: &str = "\x1b[C";
const HOME: &str = "\x1b[H";

/// A client at a terminal whose first message was sent, and that waits for the reply.
fn waiting(args: &[&str]) -> (Terminal, TcpStream) {
    let (terminal, mut peer) = Terminal::connected(args);
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    terminal.expect(&[" -> hello", " <-"]);
    (terminal, peer)
}

/// What somebody types, and the message that it makes.
#[derive(Default)]
struct Typing {
    keys: String,
    text: Vec<char>,
    cursor: usize,
}

impl Typing {
    /// A message at random, of one that takes the turn for the `index`-th time.
    fn random(rng: &mut Rng, index: u32) -> Self {
        let mut typing = Self::default();
        // No two messages have this one in common, so none is a hint for another.
        typing.insert(char::from_u32(0x4e00 + index).unwrap());
        while typing.text.len() < 8 {
            typing.press(rng);
        }
        for _ in 0..8 {
            typing.press(rng);
        }
        typing
    }

    fn press(&mut self, rng: &mut Rng) {
        match rng.u8(0..12) {
            0 => {
                self.keys += LEFT;
                self.cursor = self.cursor.saturating_sub(1);
            }
            1 => {
                self.keys += RIGHT;
                self.cursor = (self.cursor + 1).min(self.text.len());
            }
            2 => {
                self.keys += if rng.bool() { HOME } else { "\x01" };
                let before = self.text[..self.cursor].iter();
                self.cursor -= before.rev().take_while(|c| **c != '\n').count();
            }
            3 => {
                self.keys += "\x05";
                let behind = self.text[self.cursor..].iter();
                self.cursor += behind.take_while(|c| **c != '\n').count();
            }
            4 | 5 => {
                // Neither the one that is its own, nor what keeps two newlines apart.
                let from = self.cursor.saturating_sub(2);
                let near = &self.text[from..(self.cursor + 1).min(self.text.len())];
                if self.cursor > 0
                    && self.text[self.cursor - 1] < '\u{4e00}'
                    && !near.contains(&'\n')
                {
                    self.keys.push('\x7f');
                    self.cursor -= 1;
                    self.text.remove(self.cursor);
                }
            }
            6 | 7 => {
                self.keys += "\x1b[200~";
                self.insert(letter(rng));
                if rng.bool() {
                    self.insert('\n');
                }
                self.insert(letter(rng));
                self.keys += "\x1b[201~";
            }
            _ => self.insert(letter(rng)),
        }
    }

    fn insert(&mut self, c: char) {
        // A terminal sends what Enter sends for a newline within a paste.
        self.keys.push(if c == '\n' { '\r' } else { c });
        self.text.insert(self.cursor, c);
        self.cursor += 1;
    }
}

fn letter(rng: &mut Rng) -> char {
    let umlauts = ['\u{e4}', '\u{f6}', '\u{fc}', '\u{df}'];
    let others = [
        'a',
        'b',
        '7',
        '\u{e9}',
        '\u{20ac}',
        '\u{1f389}',
        '\u{1f600}',
    ];
    rng.choice([umlauts.as_slice(), &others].concat()).unwrap()
}

#[test]
fn keys_arrive_as_typed_however_they_are_split_while_a_client_speaks() {
    let mut rng = Rng::with_seed(1);
    let (terminal, mut peer) = Terminal::connected(&["--no-history"]);
    let mut late = peer.try_clone().unwrap();
    let (stop, stopped) = mpsc::channel::<()>();
    let (said, heard) = mpsc::channel();
    let nagging = thread::spawn(move || {
        let pause = Duration::from_millis(3);
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            late.write_all(b".").unwrap();
            said.send(()).unwrap();
        }
    });
    for index in 0..200 {
        let typing = Typing::random(&mut rng, index);
        let mut rest = typing.keys.as_bytes();
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rng.usize(1..=9).min(rest.len()));
            terminal.type_bytes(piece);
            rest = after;
            if rng.u8(0..4) == 0 {
                // Something is said between this piece and the next.
                heard.try_iter().for_each(drop);
                heard.recv_timeout(DEADLINE).unwrap();
            }
        }
        let text: String = typing.text.iter().collect();
        let shown = format!(" -> {text}");
        let rows: Vec<_> = shown.split('\n').collect();
        terminal.expect(&rows);
        terminal.type_keys("\r");
        expect_bytes(&mut peer, &text);
    }
    terminal.expect(&[" ->"]);
    stop.send(()).unwrap();
    nagging.join().unwrap();
    peer.write_all(b"enough").unwrap();
    terminal.expect_text("enough");
    terminal.type_keys("\x04");
    expect_end(&mut peer);
    terminal.finish(0);
}

/// Sends `signals` to a client at a terminal at a moment of its life, so many times, while its
/// peer is quiet or floods it.
fn ends_at_once(signals: &[Signal], flood: bool, times: u64) {
    for time in 0..times {
        let what = format!("{signals:?}, flood: {flood}, time {time}");
        let mut rng = Rng::with_seed(time);
        let (listener, port) = raw_server();
        let mut terminal = Terminal::connect(port, &["--no-history"]);
        let peer = accept(&listener);
        let flooding = flood.then(|| {
            let mut peer = peer.try_clone().unwrap();
            thread::spawn(move || while peer.write_all(b"talk ").is_ok() {})
        });
        if time % 2 == 0 {
            // While it starts and draws; when it is quiet, so much is written for certain.
            let most = if flood { 5000 } else { 28 };
            terminal.expect_output(rng.usize(1..=most));
        } else {
            terminal.expect_bytes(PASTE_ON);
            // While it reads: nothing, a line, a message, half a paste, half a key.
            let keys = ["half a line", "hello\rhalf", "\x1b[A\x1b[B\x12ha"];
            let keys = rng.choice(keys).unwrap();
            terminal.type_keys(&keys[..rng.usize(0..=keys.len())]);
            if rng.bool() {
                terminal.type_keys("\x1b[200~abc");
            }
        }
        for signal in signals {
            common::signal(terminal.child.id(), *signal);
        }
        let status = common::exit_within(&mut terminal.child, Duration::from_secs(2));
        let status = status.unwrap_or_else(|| panic!("{what}: no end\n{}", terminal.screen()));
        assert_eq!(status.code(), Some(130), "{what}: {status}");
        terminal.exit();
        assert!(terminal.is_cooked(), "{what}: the terminal is left raw");
        let raw = terminal.raw();
        assert!(
            memchr::memmem::rfind(&raw, PASTE_ON) <= memchr::memmem::rfind(&raw, PASTE_OFF),
            "{what}: pastes are left marked off"
        );
        drop(peer);
        flooding.map(thread::JoinHandle::join).transpose().unwrap();
    }
}

/// A terminal that was told the first marks pastes off, until it is told the second.
const PASTE_ON: &[u8] = b"\x1b[?2004h";
const PASTE_OFF: &[u8] = b"\x1b[?2004l";

const SIGNALS: [Signal; 4] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGQUIT,
];

#[test]
fn every_signal_ends_it_at_once_whenever_it_comes() {
    for signal in SIGNALS {
        ends_at_once(&[signal], false, 10);
        ends_at_once(&[signal], true, 10);
    }
}

/// A session that ends may send each process SIGTERM and SIGHUP.
#[test]
fn two_signals_at_once_end_it_as_one_does() {
    ends_at_once(&[Signal::SIGTERM, Signal::SIGHUP], false, 20);
    ends_at_once(&[Signal::SIGINT, Signal::SIGINT], true, 20);
}

#[test]
#[ignore = "needs some minutes"]
fn every_signal_ends_it_at_once_300_times_of_each_kind() {
    for signal in SIGNALS {
        ends_at_once(&[signal], false, 300);
        ends_at_once(&[signal], true, 300);
    }
}

#[test]
fn ctrl_d_in_the_others_turn_says_so_and_waits() {
    let (terminal, mut peer) = waiting(&[]);
    terminal.type_keys("\x04");
    terminal.expect_words("No more from you; waiting for the last answer (Ctrl-C leaves).");
    peer.write_all(b"farewell").unwrap();
    terminal.expect_text("Received from server: farewell");
    expect_end(&mut peer);
    terminal.finish(0);

    // With text on the line, it deletes.
    let (terminal, mut peer) = waiting(&[]);
    terminal.type_keys("abc\x01\x04");
    terminal.expect(&[" -> hello", " <- bc"]);
    // Behind the text there is nothing to delete.
    terminal.type_keys("\x05\x04d");
    terminal.expect(&[" -> hello", " <- bcd"]);
    peer.write_all(b"reply").unwrap();
    terminal.expect(&[" -> hello", "Received from server: reply", " -> bcd"]);
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "bcd");
}

/// Rustyline would take the end of the paste for the rest of a key.
#[test]
fn a_paste_that_ends_within_an_escape_sequence_is_text() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    for end in ["\x1b", "\x1b[", "\x1b[20", "\x1bO", "\x1b[1;", "\x1b[201"] {
        let kept = end.replace('\x1b', "");
        terminal.paste(&format!("abc{end}"));
        terminal.expect_text(&format!(" -> abc{kept}"));
        terminal.type_keys("Z\r");
        expect_bytes(&mut peer, format!("abc{kept}Z"));
        peer.write_all(b"reply").unwrap();
        terminal.expect(&["Received from server: reply", " ->"]);
    }
}

#[test]
fn ctrl_c_ends_a_paste_whose_end_is_lost() {
    let (mut terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys("\x1b[200~not this");
    // A key that comes alone, as a person presses it.
    loop {
        terminal.type_keys("\x03");
        if common::exit_within(&mut terminal.child, Duration::from_millis(50)).is_some() {
            break;
        }
    }
    expect_end(&mut peer);
    terminal.finish(130);
}

#[test]
fn ctrl_c_while_the_last_answer_is_waited_for_leaves() {
    let (terminal, mut peer) = waiting(&[]);
    terminal.type_keys("\x04");
    terminal.expect_words("No more from you; waiting for the last answer (Ctrl-C leaves).");
    terminal.type_keys("\x03");
    expect_end(&mut peer);
    terminal.finish(130);
}

#[test]
fn ctrl_c_with_text_clears_the_line_and_leaves_without() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys("not this");
    terminal.expect(&[" -> not this"]);
    terminal.type_keys("\x03");
    terminal.expect(&[" ->"]);
    terminal.type_keys("this\r");
    expect_bytes(&mut peer, "this");
    peer.write_all(b"reply").unwrap();
    terminal.expect(&["Received from server: reply", " ->"]);
    // In one go as well.
    terminal.type_keys("nor this\x03that\r");
    expect_bytes(&mut peer, "that");
    peer.write_all(b"again").unwrap();
    terminal.expect(&["Received from server: again", " ->"]);
    terminal.type_keys("\x03");
    expect_end(&mut peer);
    terminal.finish(130);

    // In the other's turn it leaves, and nothing is lost without a word.
    let (mut terminal, mut peer) = waiting(&[]);
    terminal.type_keys("half a line");
    terminal.expect(&[" -> hello", " <- half a line"]);
    terminal.type_keys("\x03");
    expect_end(&mut peer);
    terminal.exit();
    assert!(
        terminal.screen().contains("\nNot sent: half a line"),
        "{}",
        terminal.screen()
    );
    terminal.finish(130);
}

/// The rows that begin as a prompt does, whoever has the turn.
fn prompt_rows(screen: &str) -> usize {
    let rows = screen.lines();
    rows.filter(|row| row.starts_with(" ->") || row.starts_with(" <-"))
        .count()
}

/// Waits until the screen ends with `row`; no other row may look like a prompt.
#[track_caller]
fn expect_one_prompt(terminal: &Terminal, row: &str) {
    let row = row.trim_end();
    terminal.expect_screen(&format!("one prompt, {row:?}"), |screen| {
        screen.lines().next_back() == Some(row)
    });
    // By now whatever was drawn before is on the screen.
    let screen = terminal.screen();
    assert_eq!(prompt_rows(&screen), 1, "{screen}");
}

#[test]
fn resizing_leaves_no_ghost_rows() {
    for (ours, text) in [(true, ""), (true, "half"), (false, ""), (false, "half")] {
        // The client has the first turn.
        let (terminal, port) = Terminal::serve(&["--no-history"]);
        let mut peer = raw_client(port);
        terminal.expect_text("Connection from: ");
        if ours {
            peer.write_all(b"hello").unwrap();
            terminal.expect_text("Received from connected client: hello");
        }
        let arrow = if ours { " -> " } else { " <- " };
        terminal.type_keys(text);
        expect_one_prompt(&terminal, &format!("{arrow}{text}"));
        for columns in [COLUMNS / 2, COLUMNS, 100] {
            terminal.resize(columns);
            // What is typed then is drawn after that.
            terminal.type_keys("x");
            expect_one_prompt(&terminal, &format!("{arrow}{text}x"));
            terminal.type_keys("\x7f");
            expect_one_prompt(&terminal, &format!("{arrow}{text}"));
        }
        peer.write_all(b"and more").unwrap();
        terminal.expect_text("and more");
        expect_one_prompt(&terminal, &format!(" -> {text}"));
        terminal.resize(COLUMNS);
        peer.write_all(b"the last").unwrap();
        terminal.expect_text("the last");
        expect_one_prompt(&terminal, &format!(" -> {text}"));
    }
}

#[test]
fn a_dumb_terminal_sends_no_escapes_and_keeps_its_rows_apart() {
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let terminal = Setup::new(&["connect", &target])
        .env("TERM", "dumb")
        .start();
    let mut peer = accept(&listener);
    terminal.expect_text("\n ->");
    terminal.type_keys(&format!("hel{LEFT}lo\r"));
    expect_bytes(&mut peer, "hello");
    terminal.type_keys("ahead");
    terminal.expect_text("ahead");
    peer.write_all(b"reply").unwrap();
    terminal.expect_screen("the reply on a row of its own", |screen| {
        screen
            .lines()
            .any(|row| row == "Received from server: reply")
    });
    terminal.expect_text("reply\n ->");
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "ahead");
    drop(peer);
    terminal.expect_text("The server left.");
    assert!(!terminal.raw().contains(&b'\x1b'));
    terminal.finish(0);
}

#[test]
fn a_byte_that_is_no_utf8_loses_nothing_else() {
    const TOLD: &str = "What was typed is no UTF-8, and was left out.";
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_bytes(b"gr\xfcezi\r");
    expect_bytes(&mut peer, "grezi");
    terminal.expect_text(TOLD);
    peer.write_all(b"reply").unwrap();
    terminal.expect(&["Received from server: reply", " ->"]);
    // Nor does a character that is not whole.
    terminal.type_bytes(b"a\xe2\x82b\xc3\r");
    expect_bytes(&mut peer, "ab");
    terminal.expect_screen("what is told, twice", |screen| {
        screen.matches(TOLD).count() >= 2
    });
}

#[test]
fn a_half_closed_client_among_many_is_answered() {
    let half_closed = |port| {
        let mut client = raw_client(port);
        client.write_all(b"question").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    };
    // A server that is stopped learns of the question and of the end behind it at once.
    let known_at_once = |id, port| {
        stop(id);
        let client = half_closed(port);
        signal(id, Signal::SIGCONT);
        client
    };
    let (mut server, port) = Piped::serve(&["-m", "3"]);
    let mut other = raw_client(port);
    server.stderr.wait_for("the client", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("(client #1)\n").then_some(())
    });
    let mut client = known_at_once(server.id(), port);
    server.expect("Received from client #2: question\n");
    server.write("answer\n");
    expect_bytes(&mut client, "answer");
    expect_end(&mut client);
    // Where the answer is there before the question, it need not be stopped for that.
    server.write("answer\nhi\n");
    let mut client = half_closed(port);
    expect_bytes(&mut client, "answer");
    expect_end(&mut client);
    other.write_all(b"hello").unwrap();
    expect_bytes(&mut other, "hi");
}

#[test]
fn a_second_client_waits_in_the_backlog() {
    // Whoever ends the conversation.
    for bye in [true, false] {
        let (mut server, port) = Piped::serve(&[]);
        let mut first = raw_client(port);
        first.write_all(b"hello").unwrap();
        server.expect("Received from connected client: hello\n");
        let mut second = raw_client(port);
        second.write_all(b"me too").unwrap();
        server.write("hi\n");
        expect_bytes(&mut first, "hi");
        first.write_all(b"again").unwrap();
        server.expect(
            "Received from connected client: hello\nReceived from connected client: again\n",
        );
        second.set_nonblocking(true).unwrap();
        let early = second.read(&mut [0]).unwrap_err();
        assert_eq!(early.kind(), ErrorKind::WouldBlock);
        second.set_nonblocking(false).unwrap();
        if bye {
            server.write("bye\n");
            expect_end(&mut first);
        } else {
            leave(first);
        }
        let (stdout, stderr) = server.finish(0);
        assert!(!stdout.contains("me too"), "{stdout}");
        assert_eq!(stderr.matches("Connection from: ").count(), 1, "{stderr}");
        match second.read(&mut [0]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }
}

#[test]
fn an_error_is_one_write() {
    let (listener, taken) = raw_server();
    let (free, port) = raw_server();
    drop(free);
    for (args, error) in [
        (
            ["connect".into(), format!("localhost:{port}")],
            format!(
                "socketchat: cannot connect to localhost:{port}: connection refused (is \
                 `socketchat serve` running there?)\n"
            ),
        ),
        (
            ["serve".into(), format!("--port={taken}")],
            format!(
                "socketchat: cannot listen on 127.0.0.1:{taken}: address already in use (another \
                 program has port {taken}; choose another one, or 0 for any that is free)\n"
            ),
        ),
    ] {
        // A datagram holds what one write has written.
        let (stderr, reader) = UnixDatagram::pair().unwrap();
        reader.set_read_timeout(Some(DEADLINE)).unwrap();
        let home = common::home();
        let mut command = Command::new(program());
        let mut child = common::isolate(&mut command, &home)
            .args(args)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(OwnedFd::from(stderr))
            .spawn()
            .unwrap();
        assert_eq!(common::exit(&mut child).code(), Some(1));
        let mut written = [0; 1000];
        let count = reader.recv(&mut written).unwrap();
        assert_eq!(String::from_utf8_lossy(&written[..count]), error);
    }
    drop(listener);
}

#[test]
fn a_client_that_is_gone_before_it_was_set_up_does_not_end_the_server() {
    let (mut server, port) = Piped::serve(&[]);
    // While the server is stopped, it can only learn of the client when that is gone.
    stop(server.id());
    let gone = raw_client(port);
    reset_when_dropped(&gone);
    drop(gone);
    let mut client = raw_client(port);
    client.write_all(b"hello").unwrap();
    signal(server.id(), Signal::SIGCONT);
    server.expect("Received from connected client: hello\n");
    server.write("hi\n");
    expect_bytes(&mut client, "hi");
    leave(client);
    server.finish(0);
}

/// A list of candidates is followed by a redraw for a key, not for a message.
#[test]
fn tab_lists_commands_also_while_a_peer_floods() {
    let (terminal, peer) = Terminal::connected(&["--duplex", "-f", "line", "--no-history"]);
    let flood = thread::spawn(move || {
        // Until the program has ended.
        while (&peer).write_all(&b"a\n".repeat(500)).is_ok() {}
    });
    terminal.expect_text(": a\n");
    for _ in 0..40 {
        terminal.type_keys("/\t\t\t\x15");
        let shown = terminal.raw().len();
        terminal.expect_output(shown + 4096);
    }
    terminal.type_keys("\x03");
    terminal.finish(130);
    flood.join().unwrap();
}
