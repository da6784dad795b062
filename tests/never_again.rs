//! What went wrong with the tutorial's scripts and must never happen again: a test for
//! each row of the table, named after it. (`localhost_is_the_ipv6_address_on_one_side` is
//! beside the code in `src/connect.rs`: no hosts file has such a name for certain.)

mod common;

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use common::terminal::Terminal;
use common::{
    Piped, accept, expect_bytes, expect_end, expect_reset, program, raw_client, raw_server,
};

/// A server with a client that has said `hello`, and so waits for an answer.
fn greeted() -> (Piped, TcpStream) {
    let (server, port) = Piped::serve(&[]);
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    server.expect("Received from connected client: hello\n");
    (server, peer)
}

/// The same at a terminal.
fn greeted_terminal() -> (Terminal, TcpStream) {
    let (server, port) = Terminal::serve(&[]);
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    server.expect(&["Received from connected client: hello", " ->"]);
    (server, peer)
}

#[test]
fn an_empty_line_is_entered() {
    let (mut server, mut peer) = greeted();
    server.write("\n\nanswer\n");
    expect_bytes(&mut peer, "answer");

    let (terminal, mut peer) = greeted_terminal();
    terminal.type_keys("\ranswer\r");
    expect_bytes(&mut peer, "answer");
    terminal.expect(&[" -> answer", " <-"]);
}

#[test]
fn a_message_over_1024_bytes() {
    let (mut server, port) = Piped::serve(&[]);
    let mut peer = raw_client(port);
    let long = "x".repeat(3000);
    peer.write_all(long.as_bytes()).unwrap();
    let mut heard = format!("Received from connected client: {long}\n");
    server.expect(&heard);
    // Turn by turn, nothing of it is left to be taken for a later message.
    for turn in 0..3 {
        server.write(format!("answer {turn}\n"));
        expect_bytes(&mut peer, format!("answer {turn}"));
        peer.write_all(format!("question {turn}").as_bytes())
            .unwrap();
        heard += &format!("Received from connected client: question {turn}\n");
        server.expect(&heard);
    }
    drop(peer);
    assert_eq!(server.finish(0).0, heard);
}

#[test]
fn an_umlaut_across_byte_1024() {
    let text = format!("{}\u{fc} and more", "x".repeat(1023));
    let (terminal, port) = Terminal::serve(&[]);
    let mut peer = raw_client(port);
    // Cut where it hurts: the rest is sent when the first part was read.
    let (left, right) = text.as_bytes().split_at(1024);
    peer.write_all(left).unwrap();
    terminal.expect_text("xxx");
    peer.write_all(right).unwrap();
    terminal.expect_text("x\u{fc} and more\n ->");

    let (terminal, port) = Terminal::serve(&["--explain"]);
    let mut peer = raw_client(port);
    peer.write_all(b"short \xc3").unwrap();
    terminal.expect_text("7 bytes: 73 68");
    peer.write_all(b"\xbc").unwrap();
    terminal.expect_text("Received from connected client: short \u{fc}\n");
}

#[test]
fn bytes_that_are_not_utf8() {
    let (terminal, port) = Terminal::serve(&[]);
    let mut peer = raw_client(port);
    peer.write_all(b"a\xff\xc3(b").unwrap();
    // By the bytes: the screen of the test draws no U+FFFD.
    terminal.expect_bytes("client:\u{1b}[0m a\u{fffd}\u{fffd}(b\r\n".as_bytes());
    terminal.expect_text("\n ->");
    terminal.type_keys("go on\r");
    expect_bytes(&mut peer, "go on");
}

#[test]
fn the_peer_leaves_while_we_wait() {
    let (mut server, mut peer) = greeted();
    server.write("answer\n");
    expect_bytes(&mut peer, "answer");
    drop(peer);
    let (_, stderr) = server.finish(0);
    assert_eq!(stderr.lines().last(), Some("The client left."));

    let (terminal, mut peer) = greeted_terminal();
    terminal.type_keys("answer\r");
    expect_bytes(&mut peer, "answer");
    terminal.expect_text("\n <-");
    drop(peer);
    terminal.expect(&[" -> answer", "The client left."]);
    terminal.finish(0);
}

#[test]
fn the_peer_leaves_while_we_type() {
    let (terminal, peer) = greeted_terminal();
    terminal.type_keys("half a li");
    terminal.expect(&[" -> half a li"]);
    let start = Instant::now();
    drop(peer);
    terminal.expect(&[
        "Received from connected client: hello",
        "The client left.",
        "Not sent: half a li",
    ]);
    terminal.finish(0);
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn server_restarted_at_once() {
    let (mut server, port) = Piped::serve(&[]);
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    // The side that closes first is left with the port in TIME_WAIT.
    server.write("bye\n");
    expect_end(&mut peer);
    server.finish(0);
    let again = Piped::start(["serve", "--port", &port.to_string()]);
    assert_eq!(again.port(), port);
}

#[test]
fn port_taken_by_another_program() {
    let (_listener, port) = raw_server();
    let (stdout, stderr) = Piped::start(["serve", "--port", &port.to_string()]).finish(1);
    assert_eq!(stdout, "");
    assert_eq!(
        stderr,
        format!(
            "socketchat: cannot listen on 127.0.0.1:{port}: address already in use (another \
             program has port {port}; choose another one, or 0 for any that is free)\n"
        )
    );
}

#[test]
fn stdin_ends() {
    // A reply that is owed is waited for.
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &[]);
    let mut peer = accept(&listener);
    client.write("last words");
    client.close_stdin();
    expect_bytes(&mut peer, "last words");
    peer.write_all(b"farewell").unwrap();
    expect_end(&mut peer);
    assert_eq!(client.finish(0).0, "Received from server: farewell\n");

    // Ctrl-D on an empty prompt ends it at once: nothing is owed.
    let (terminal, mut peer) = greeted_terminal();
    terminal.type_keys("\x04");
    expect_end(&mut peer);
    terminal.finish(0);

    // Ctrl-D in the peer's turn waits for it.
    let (terminal, mut peer) = greeted_terminal();
    terminal.type_keys("answer\r");
    expect_bytes(&mut peer, "answer");
    terminal.expect_text("\n <-");
    terminal.type_keys("\x04");
    let told = "No more from you; waiting for the last answer (Ctrl-C leaves).";
    terminal.expect(&[" -> answer", told, " <-"]);
    peer.write_all(b"farewell").unwrap();
    terminal.expect(&[told, "Received from connected client: farewell"]);
    expect_end(&mut peer);
    terminal.finish(0);
}

#[test]
fn ctrl_c() {
    let (terminal, mut peer) = greeted_terminal();
    terminal.type_keys("half\x03\x03");
    expect_end(&mut peer);
    terminal.finish(130);

    let (terminal, _) = Terminal::serve(&[]);
    terminal.type_keys("\x03");
    terminal.finish(130);

    let (mut server, mut peer) = greeted();
    common::signal(server.id(), nix::sys::signal::Signal::SIGINT);
    expect_reset(&mut peer);
    assert_eq!(server.exit().code(), Some(130));
}

#[test]
fn escape_sequences_in_a_message() {
    let (terminal, port) = Terminal::serve(&["--color", "never"]);
    let mut peer = raw_client(port);
    peer.write_all("\x1b[2Ja\x1b]0;title\x07b\u{9b}5mc\rd\u{202e}e".as_bytes())
        .unwrap();
    terminal.expect(&[
        "Received from connected client:",
        "    \\u{1b}[2Ja\\u{1b}]0;title\\u{7}b\\u{9b}5mc\\rd\\u{202e}e",
        " ->",
    ]);
    let raw = String::from_utf8_lossy(&terminal.raw()).into_owned();
    assert!(!raw.contains("\x1b[2J") && !raw.contains("\x1b]") && !raw.contains('\u{9b}'));
}

#[test]
fn a_second_line_imitates_another_speaker() {
    let (terminal, port) = Terminal::serve(&[]);
    let mut peer = raw_client(port);
    peer.write_all(b"hi\nReceived from server: forged\nThe client left.\n")
        .unwrap();
    terminal.expect(&[
        "Received from connected client: hi",
        "    Received from server: forged",
        "    The client left.",
        " ->",
    ]);
}

/// Two hosts in network namespaces, with a cable between them that can be cut.
struct Hosts {
    names: [String; 2],
}

impl Hosts {
    fn new() -> Self {
        let names = ["a", "b"].map(|side| format!("sc{}{side}", std::process::id()));
        let hosts = Self { names };
        let [a, b] = &hosts.names;
        for name in [a, b] {
            ip(&["netns", "add", name]);
        }
        ip(&[
            "link", "add", "cable", "netns", a, "type", "veth", "peer", "cable", "netns", b,
        ]);
        for (name, address) in [(a, "10.9.9.1/24"), (b, "10.9.9.2/24")] {
            ip(&["-n", name, "address", "add", address, "dev", "cable"]);
            ip(&["-n", name, "link", "set", "cable", "up"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
        }
        hosts
    }

    fn run(&self, host: usize, program: &str, args: &[&str]) -> Piped {
        let mut command = Command::new("ip");
        command
            .args(["netns", "exec", &self.names[host], program])
            .args(args);
        Piped::spawn(command)
    }

    fn cut(&self) {
        // Both ends stay up: the hosts see a silent line, as behind a switch.
        ip(&["-n", &self.names[0], "address", "flush", "dev", "cable"]);
        ip(&[
            "-n",
            &self.names[1],
            "route",
            "add",
            "blackhole",
            "10.9.9.1/32",
        ]);
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

fn ip(args: &[&str]) {
    let status = Command::new("ip")
        .args(args)
        .status()
        .expect("ip is installed");
    assert!(status.success(), "ip {args:?}: {status}");
}

#[test]
#[ignore = "needs root, and ip of iproute2; takes two minutes"]
fn the_peers_host_dies() {
    let hosts = Hosts::new();
    let mut server = hosts.run(
        0,
        program(),
        &["serve", "--host", "10.9.9.1", "--port", "0"],
    );
    let target = format!("10.9.9.1:{}", server.port());
    let mut client = hosts.run(1, program(), &["connect", &target]);
    client.write("hello\n");
    server.expect("Received from connected client: hello\n");
    hosts.cut();
    // The client waits with nothing of its own on the way; the server sends into the void.
    server.write("is anybody there?\n");
    let start = Instant::now();
    let limit = Duration::from_mins(2);
    for (name, process) in [("client", &mut client), ("server", &mut server)] {
        let left = limit.saturating_sub(start.elapsed());
        assert!(
            process.exits_within(left),
            "the {name} waits after {limit:?}"
        );
    }
    let (_, stderr) = client.finish(1);
    assert_eq!(
        stderr.lines().last(),
        Some("socketchat: lost the connection to the server: connection timed out")
    );
    let (_, stderr) = server.finish(1);
    assert!(
        stderr.contains("socketchat: lost the connection to the client: "),
        "{stderr}"
    );
}
