//! `relay`: the bytes that pass, and how they are disturbed.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Piped, accept, expect_bytes, expect_end, expect_reset, program, raw_client, raw_server,
};

/// A relay with `args` to a server of the test's own.
struct Relay {
    process: Piped,
    port: u16,
    server: TcpListener,
}

impl Relay {
    fn start(args: &[&str]) -> Self {
        let (server, target) = raw_server();
        let mut command = Command::new(program());
        command
            .args(["relay", "--listen", "0", &format!("localhost:{target}")])
            .args(args);
        let process = Piped::spawn(command);
        Self {
            port: process.port(),
            process,
            server,
        }
    }

    /// A client, and the server's end of its connection.
    fn connect(&self) -> (TcpStream, TcpStream) {
        let client = raw_client(self.port);
        (client, accept(&self.server))
    }

    fn told(&self, words: &str) {
        self.process.stderr.wait_for(words, |bytes| {
            String::from_utf8_lossy(bytes).contains(words).then_some(())
        });
    }
}

#[test]
fn bytes_pass_unchanged_both_ways_and_so_do_the_ends() {
    let relay = Relay::start(&[]);
    let (client, mut server) = relay.connect();
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let sent = bytes.clone();
    let writer = thread::spawn(move || {
        (&client).write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        client
    });
    let mut received = Vec::new();
    server.read_to_end(&mut received).unwrap();
    assert!(received == bytes, "{} bytes", received.len());
    let mut client = writer.join().unwrap();
    // The other side is still open.
    server.write_all(b"and back\n").unwrap();
    expect_bytes(&mut client, "and back\n");
    drop(server);
    expect_end(&mut client);
    relay.told("#1 client -> server  closed\n");
    relay.told("#1 server -> client  9 bytes: 61 6e 64 20 62 61 63 6b 0a  \"and back\\n\"\n");
    relay.told("Client #1 left.\n");
}

#[test]
fn clients_do_not_wait_for_each_other() {
    let relay = Relay::start(&[]);
    let (mut first, mut first_server) = relay.connect();
    let (mut second, mut second_server) = relay.connect();
    second.write_all(b"second").unwrap();
    expect_bytes(&mut second_server, "second");
    first.write_all(b"first").unwrap();
    expect_bytes(&mut first_server, "first");
    relay.told("#2 client -> server  6 bytes: 73 65 63 6f 6e 64  \"second\"\n");
}

#[test]
fn a_message_is_split() {
    let relay = Relay::start(&["--split", "3", "--delay", "150ms"]);
    let (mut client, mut server) = relay.connect();
    let start = Instant::now();
    client.write_all("gr\u{fc}ezi".as_bytes()).unwrap();
    let mut reads: Vec<Vec<u8>> = Vec::new();
    let mut buffer = [0; 64];
    while reads.concat().len() < 7 {
        let count = server.read(&mut buffer).unwrap();
        reads.push(buffer[..count].to_vec());
    }
    assert_eq!(reads, [&b"gr\xc3"[..], b"\xbcez", b"i"]);
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[test]
fn messages_are_joined() {
    let relay = Relay::start(&["--join", "1s"]);
    let (mut client, mut server) = relay.connect();
    client.write_all(b"one\n").unwrap();
    // Without the relay, the server would have read it long before the second.
    thread::sleep(Duration::from_millis(100));
    client.write_all(b"two\n").unwrap();
    let mut buffer = [0; 64];
    let count = server.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"one\ntwo\n");
    relay.told("#1 client -> server  8 bytes: 6f 6e 65 0a 74 77 6f 0a  \"one\\ntwo\\n\"\n");
}

#[test]
#[cfg(target_os = "linux")]
fn a_relay_that_is_stopped_goes_on_when_it_is_continued() {
    use nix::sys::signal::Signal::SIGCONT;
    let relay = Relay::start(&[]);
    let (mut client, mut server) = relay.connect();
    for _ in 0..3 {
        client.write_all(b"one").unwrap();
        expect_bytes(&mut server, "one");
        let id = relay.process.id();
        common::stop(id);
        common::signal(id, SIGCONT);
        server.write_all(b"two").unwrap();
        expect_bytes(&mut client, "two");
    }
}

#[test]
fn a_reset_is_passed_on_after_a_message_that_is_joined() {
    let relay = Relay::start(&["--join", "10s"]);
    let (mut client, mut server) = relay.connect();
    client.write_all(b"one").unwrap();
    common::reset_when_dropped(&client);
    drop(client);
    expect_bytes(&mut server, "one");
    expect_reset(&mut server);
}

#[test]
fn each_passage_waits_for_enter() {
    let mut relay = Relay::start(&["--step", "--split", "2"]);
    let (mut client, mut server) = relay.connect();
    client.write_all(b"abc").unwrap();
    relay.told("#1 client -> server  2 bytes: 61 62  \"ab\"  waits for Enter\n");
    common::expect_nothing(&mut server);
    relay.process.write("\n");
    expect_bytes(&mut server, "ab");
    relay.told("#1 client -> server  1 byte: 63  \"c\"  waits for Enter\n");
    common::expect_nothing(&mut server);
    // At the end of the input, nothing waits any more.
    relay.process.close_stdin();
    expect_bytes(&mut server, "c");
    server.write_all(b"d").unwrap();
    expect_bytes(&mut client, "d");
}

#[test]
fn a_connection_is_cut_after_some_bytes_of_both_directions() {
    let relay = Relay::start(&["--cut-after", "8"]);
    let (mut client, mut server) = relay.connect();
    client.write_all(b"hello").unwrap();
    expect_bytes(&mut server, "hello");
    server.write_all(b"world").unwrap();
    expect_bytes(&mut client, "wor");
    expect_reset(&mut client);
    expect_reset(&mut server);
    relay.told("#1 cut after 8 bytes: both connections are reset\n");
    // The next one is not.
    let (mut client, mut server) = relay.connect();
    client.write_all(b"hello").unwrap();
    expect_bytes(&mut server, "hello");
}

#[test]
fn a_reset_is_passed_on() {
    let relay = Relay::start(&[]);
    let (mut client, mut server) = relay.connect();
    // Only then does the relay have both connections.
    client.write_all(b"hello").unwrap();
    expect_bytes(&mut server, "hello");
    common::reset_when_dropped(&server);
    drop(server);
    expect_reset(&mut client);
    relay.told("#1 server -> client  lost: connection reset by peer\n");
}

#[test]
fn a_server_that_is_not_there_is_told() {
    let Relay {
        process,
        port,
        server,
    } = Relay::start(&[]);
    drop(server);
    let mut client = raw_client(port);
    expect_reset(&mut client);
    process.stderr.wait_for("the reason", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("#1 cannot connect to localhost:")
            .then_some(())
    });
}

/// Until its end, the transcript keeps what it knows of a client.
#[test]
fn a_client_ends_in_the_transcript_when_the_server_is_not_there() {
    let folder = common::home();
    let file = folder.path().join("chat.jsonl");
    let Relay {
        process,
        port,
        server,
    } = Relay::start(&["--transcript", file.to_str().unwrap()]);
    drop(server);
    for number in 1..=3 {
        expect_reset(&mut raw_client(port));
        let told = format!("The conversation with client #{number} has ended.\n");
        process.stderr.wait_for(&told, |bytes| {
            String::from_utf8_lossy(bytes).contains(&told).then_some(())
        });
        let kept = std::fs::read_to_string(&file).unwrap();
        let last = kept.lines().last().unwrap();
        let closed = format!(r#""client":{number}"#);
        assert!(last.contains(r#""event":"closed""#), "{kept}");
        assert!(last.contains(&closed), "{kept}");
    }
}

#[test]
fn what_passes_is_explained_kept_and_drawn() {
    let folder = common::home();
    let file = folder.path().join("chat.jsonl");
    let relay = Relay::start(&[
        "--explain",
        "--lang",
        "de",
        "--transcript",
        file.to_str().unwrap(),
    ]);
    let (mut client, mut server) = relay.connect();
    client.write_all(b"hallo\x1b[2J").unwrap();
    expect_bytes(&mut server, "hallo\x1b[2J");
    server.write_all(b"gut").unwrap();
    expect_bytes(&mut client, "gut");
    drop(client);
    expect_end(&mut server);
    drop(server);
    relay.told("Client #1 left.\n");
    relay.told("#1 client -> server  geschlossen\n");
    let told = relay.process.stderr.wait_for("", |bytes| {
        Some(String::from_utf8_lossy(bytes).into_owned())
    });
    for call in [
        "#1 recv(65536)                   -> 9 Bytes: 68 61 6c 6c 6f 1b 5b 32 4a  \"hallo\\u{1b}[2J\"\n",
        "#1 send(9 Bytes) ",
        "#1 shutdown(write) ",
        "#1 close() ",
    ] {
        assert!(told.contains(call), "{call}: {told}");
    }
    let drawn = Piped::start(["diagram", file.to_str().unwrap()]);
    let (drawn, _) = drawn.finish(0);
    assert!(
        drawn.contains("--- hallo\\u{1b}[2J (9 bytes) --")
            && drawn.contains("<-- gut (3 bytes) --"),
        "{drawn}"
    );
}

/// A client for whom no descriptor is left waits for one, and the relay goes on.
#[test]
#[cfg(target_os = "linux")]
fn too_many_clients_have_to_wait() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    let relay = Relay::start(&[]);
    // What it opens for the first is open, or closed again, when something has passed.
    let mut first = relay.connect();
    first.0.write_all(b"hello").unwrap();
    expect_bytes(&mut first.1, "hello");
    let id = relay.process.id();
    let is_free = |number: &u64| !Path::new(&format!("/proc/{id}/fd/{number}")).exists();
    let pid = Pid::from_raw(id.try_into().unwrap());
    let none = Rlimit {
        current: (0..1000).find(is_free),
        maximum: getrlimit(Resource::Nofile).maximum,
    };
    let before = prlimit(pid, Resource::Nofile, none).unwrap();
    let mut second = raw_client(relay.port);
    second.write_all(b"hello").unwrap();
    relay.told("Others have to wait: too many open files (see `ulimit -n`)\n");
    prlimit(pid, Resource::Nofile, before).unwrap();
    expect_bytes(&mut accept(&relay.server), "hello");
}
