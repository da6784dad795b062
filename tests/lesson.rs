//! `--explain`, `--transcript` and `diagram`: what the sockets do, and what was said.

mod common;

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use common::terminal::Terminal;
use common::{
    Piped, accept, echo, expect_bytes, expect_end, free_port, full_server, leave, program,
    raw_client, raw_server, reset_when_dropped, signal,
};
use nix::sys::signal::Signal;
use serde_json::Value;

/// Every line of a transcript, as JSON.
fn transcript(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

/// The events of a transcript: what happened, and the text if there is one.
fn events(records: &[Value]) -> Vec<(&str, &str)> {
    records
        .iter()
        .map(|record| {
            let text = record.get("text").map_or("", |text| text.as_str().unwrap());
            (record["event"].as_str().unwrap(), text)
        })
        .collect()
}

fn diagram(args: &[&str]) -> Piped {
    Piped::start(["diagram"].iter().chain(args))
}

fn path_in(folder: &tempfile::TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}

#[test]
fn a_conversation_is_explained_call_by_call() {
    let (mut server, port) = Piped::serve(&["--explain=all"]);
    let mut client = raw_client(port);
    let from = client.local_addr().unwrap();
    client.write_all("gr\u{fc}ezi".as_bytes()).unwrap();
    server.expect("Received from connected client: gr\u{fc}ezi\n");
    server.write("hi\n");
    expect_bytes(&mut client, "hi");
    leave(client);
    let (_, stderr) = server.finish(0);
    let expected = format!(
        "getaddrinfo(localhost)           -> 127.0.0.1: the addresses that this name has
socket()                         -> a TCP socket for IPv4
setsockopt(SO_REUSEADDR, 1)      -> ok: a server that is started again gets its port back at once
bind(127.0.0.1:0)                -> ok: this address is ours now, with any port that is free
listen(backlog = 2)              -> ok: the kernel completes up to 3 connections before accept() takes them
getsockname()                    -> 127.0.0.1:{port}: the address that clients connect to
Listening on 127.0.0.1:{port}
accept()                         -> {from}: a new socket for this client, beside the listening one
setsockopt(TCP_NODELAY, 1)       -> ok: a short message is sent at once, not held back for more
setsockopt(SO_KEEPALIVE, 1)      -> ok: when the line is silent, the peer's host is asked whether it lives
setsockopt(TCP_KEEPIDLE, 45)     -> ok: it is asked after 45 s of silence
setsockopt(TCP_KEEPINTVL, 15)    -> ok: and again every 15 s
setsockopt(TCP_KEEPCNT, 4)       -> ok: 4 questions without an answer end the connection
setsockopt(TCP_USER_TIMEOUT, 100000) -> ok: and so do 100000 ms in which what we sent is not acknowledged
setsockopt(SO_LINGER, 0 s)       -> ok: if we are killed, the connection is reset, which is no goodbye
Connection from: {from}
recv(65536)                      -> 7 bytes: 67 72 c3 bc 65 7a 69  \"gr\u{fc}ezi\"
send(2 bytes)                    -> 2 bytes: 68 69  \"hi\"
recv(65536)                      -> 0 bytes: the peer has closed its side, or its program ended
The client left.
setsockopt(SO_LINGER, off)       -> ok: we leave in order: what was sent still arrives
shutdown(write)                  -> ok: when the peer has read what we sent, its recv() gives 0 bytes
close()                          -> ok: the socket of the connection, which is done with
close()                          -> ok: the listening socket: nobody else can come now
"
    );
    // Whether one of us is slow is told as well.
    let prompt: String = stderr
        .split_inclusive('\n')
        .filter(|line| !line.contains(" waits: "))
        .collect();
    assert_eq!(prompt, expected);
}

#[test]
fn calls_that_set_options_are_told_as_one() {
    let (listener, port) = raw_server();
    let client = Piped::connect(port, &["--explain"]);
    let server = accept(&listener);
    expect_told(&client, "Connected to ");
    drop(server);
    let (_, stderr) = client.finish(0);
    let lines: Vec<_> = stderr
        .lines()
        .filter(|line| line.contains("setsockopt"))
        .collect();
    // TCP_USER_TIMEOUT is Linux's own.
    let is_linux = cfg!(target_os = "linux") && !common::is_wine();
    let folded = if is_linux { 5 } else { 4 };
    assert_eq!(
        lines,
        [format!(
            "setsockopt(TCP_NODELAY and {folded} more) -> ok: how the connection behaves; \
             --explain=all tells each"
        )],
        "{stderr}"
    );
}

#[test]
fn a_call_that_waits_is_told_when_it_begins_to() {
    let (mut server, port) = Piped::serve(&["--explain"]);
    let told = |process: &Piped, text: &str| {
        process.stderr.wait_for(text, |bytes| {
            String::from_utf8_lossy(bytes).ends_with(text).then_some(())
        });
    };
    told(
        &server,
        "accept()                         waits: the program stands in this call until a client \
         connects\n",
    );
    let mut client = Piped::connect(port, &["--explain"]);
    let in_recv = |who: &str| {
        format!(
            "recv(65536)                      waits: the program stands in this call until the \
             {who} sends or leaves\n"
        )
    };
    told(&server, &in_recv("client"));
    client.write("hello\n");
    told(&client, &in_recv("server"));
    server.expect("Received from connected client: hello\n");
    server.write("hi\n");
    client.expect("Received from server: hi\n");
    told(&server, &in_recv("client"));
    client.close_stdin();
    let (_, stderr) = server.finish(0);
    assert_eq!(stderr.matches(" waits: ").count(), 3, "{stderr}");
    let (_, stderr) = client.finish(0);
    assert!(
        stderr.contains("5 bytes") || stderr.contains("2 bytes: 68 69"),
        "{stderr}"
    );
}

#[test]
fn a_connect_that_waits_is_told_at_a_terminal_and_in_a_pipe() {
    let (_listener, _clients, port) = full_server(0);
    let waits = format!("connect(127.0.0.1:{port})");
    let waits = format!(
        "{waits:32} waits: the program stands in this call until the server's host answers"
    );
    let args = ["--explain", "--connect-timeout", "600ms"];
    let (_, stderr) = Piped::connect(port, &args).finish(1);
    assert_eq!(stderr.matches(&waits).count(), 1, "{stderr}");
    let mut terminal = Terminal::connect(port, &args);
    terminal.expect_words(&waits);
    assert_eq!(terminal.exit().code(), Some(1));
}

#[test]
fn calls_are_told_at_once_also_after_the_end_of_the_input() {
    let (listener, port) = raw_server();
    let args = ["--explain", "-f", "line", "--linger", "20s"];
    let mut client = Piped::connect(port, &args);
    client.write("hello\n");
    client.close_stdin();
    let mut peer = accept(&listener);
    expect_bytes(&mut peer, "hello\n");
    peer.write_all(b"hi\n").unwrap();
    common::expect_end(&mut peer);
    peer.write_all(b"half a line").unwrap();
    client.stderr.wait_for("the call", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("\"half a line\"").then_some(())
    });
    drop(peer);
    client.finish(0);
}

#[test]
fn each_failure_is_explained() {
    let port = free_port();
    let (_, stderr) = Piped::connect(port, &["--explain"]).finish(1);
    let refused = format!("connect(127.0.0.1:{port})");
    assert!(
        stderr.contains(&format!(
            "{refused:32} -> connection refused: nothing listens on that port\n"
        )),
        "{stderr}"
    );

    let (_listener, port) = raw_server();
    let (_, stderr) = Piped::start(["serve", "--explain", "-p", &port.to_string()]).finish(1);
    assert!(
        stderr.contains(" -> address already in use: another program has this port\n"),
        "{stderr}"
    );

    let (_listener, _clients, port) = full_server(0);
    let (_, stderr) = Piped::connect(port, &["--explain", "--connect-timeout", "300ms"]).finish(1);
    assert!(
        stderr.contains(
            " -> no answer for 300 ms: the host is not there, a firewall swallows what we send, \
             or the backlog is full\n"
        ),
        "{stderr}"
    );

    let (_, stderr) = Piped::start(["connect", "--explain", "nobody.invalid"]).finish(1);
    assert!(
        stderr.contains(": no such name, or nobody to ask for it\n"),
        "{stderr}"
    );

    let (listener, port) = raw_server();
    let client = Piped::connect(port, &["--explain"]);
    let server = accept(&listener);
    client.stderr.wait_for("the connection", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("Connected to")
            .then_some(())
    });
    reset_when_dropped(&server);
    drop(server);
    client.stderr.wait_for("the reset", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains(
            "recv(65536)                      -> connection reset by peer: the peer left with \
             bytes of ours unread, or without a goodbye\n",
        )
        .then_some(())
    });
    client.finish(1);
}

#[test]
fn what_raw_framing_hides_is_seen() {
    let (mut server, port) = Piped::serve(&["--explain"]);
    let mut client = raw_client(port);
    // A character that is cut in the middle, and a message whose end only quiet tells.
    client.write_all(b"gr\xc3").unwrap();
    let explained = |text: &str| {
        server.stderr.wait_for(text, |bytes| {
            String::from_utf8_lossy(bytes).contains(text).then_some(())
        });
    };
    explained("recv(65536)                      -> 3 bytes: 67 72 c3  \"gr");
    explained("-> nothing for 300 ms: such quiet is taken for the end");
    server.write("what?\n");
    expect_bytes(&mut client, "what?");
    client.write_all(&[b'x'; 3000]).unwrap();
    server.stderr.wait_for("the long message", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("78 78 78...  \"xxxxxxxxxxxxxxxx\"...\n")
            .then_some(())
    });
}

#[test]
fn it_is_told_above_the_prompt_and_with_many_whose_call_it_is() {
    let (terminal, port) = Terminal::serve(&["-m", "2", "--explain", "--color", "never"]);
    let mut client = raw_client(port);
    client.write_all(b"hello").unwrap();
    terminal.expect_text(" #1     ->");
    terminal.type_keys("half");
    terminal.expect_text("half");
    let mut other = raw_client(port);
    other.write_all(b"me too").unwrap();
    terminal.expect_text(" #1 +1  -> half");
    terminal.expect_text("#2 recv(");
    terminal.expect_text("\"me too\"");
}

#[test]
fn a_call_that_brings_no_news_leaves_the_prompt_where_it_was() {
    let (terminal, port) = Terminal::serve(&["-m", "2", "-f", "line", "--explain"]);
    let mut client = raw_client(port);
    terminal.expect_text("(client #1)");
    client.write_all(b"half").unwrap();
    terminal.expect_text("\"half\"\n <-");
    terminal.type_keys("\x04");
    terminal.finish(0);
}

/// The lines of `strace -f`, without the thread, each at the start of its call: one that another
/// thread has interrupted is put together.
fn whole_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut unfinished = HashMap::new();
    for line in text.lines() {
        let (thread, call) = line.split_once(' ').unwrap();
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, lines.len());
            lines.push(start.trim_end().into());
        } else if call.starts_with("<... ") {
            let (_, rest) = call.split_once(" resumed>").unwrap();
            lines[unfinished[thread]] += rest;
        } else {
            lines.push(call.into());
        }
    }
    lines
}

/// What `strace` has seen of TCP sockets: the name of each call and its result, as it would
/// be explained.
fn traced(text: &str) -> Vec<String> {
    let mut sockets: Vec<String> = Vec::new();
    let mut calls = Vec::new();
    // Whether a read waits for a time; one that does not wait at all is left out.
    let mut timed = false;
    for call in whole_lines(text) {
        // `recvfrom(5, "hello", 65536, 0, NULL, NULL) = 5`
        let Some((name, rest)) = call.split_once('(') else {
            continue;
        };
        let Some((arguments, result)) = rest.rsplit_once(" = ") else {
            continue;
        };
        let result = result.split(' ').next().unwrap().to_owned();
        if name == "socket" && rest.contains("AF_INET") && rest.contains("SOCK_STREAM") {
            sockets.push(result);
            calls.push("socket".into());
            continue;
        }
        let descriptor = arguments.split([',', ')']).next().unwrap();
        if !sockets.iter().any(|socket| socket == descriptor) {
            continue;
        }
        match name {
            "accept" | "accept4" => {
                sockets.push(result);
                calls.push("accept".into());
            }
            "setsockopt" => {
                let option = arguments.split(", ").nth(2).unwrap();
                let option = option.replace("_OLD", "").replace("_NEW", "");
                timed ^= option == "SO_RCVTIMEO";
                calls.push(format!("setsockopt {option}"));
            }
            "recvfrom" if result == "-1" && !timed => {}
            "recvfrom" => calls.push(format!("recv {result}")),
            "sendto" => calls.push(format!("send {result}")),
            // How a connect() that must not last for ever learns what has come of it.
            "getsockopt" => {}
            name => calls.push(name.into()),
        }
    }
    calls
}

/// What was explained, in the same words. Closing a socket is no call of the network's.
fn explained(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.split_once(" -> "))
        .filter_map(|(call, result)| {
            let (name, arguments) = call.trim().split_once('(')?;
            Some(match name {
                "getaddrinfo" | "close" => return None,
                "setsockopt" => {
                    let option = arguments.split(',').next()?;
                    format!("setsockopt {option}")
                }
                "recv" | "send" => {
                    let count = result.split(' ').next()?;
                    let count = if count == "nothing" { "-1" } else { count };
                    format!("{name} {count}")
                }
                name => name.into(),
            })
        })
        .collect()
}

#[test]
#[ignore = "needs strace"]
fn what_is_explained_is_what_the_kernel_was_called_for() {
    let folder = common::home();
    let strace = |name: &str, args: &[&str]| {
        let mut command = Command::new("strace");
        command
            .args(["-f", "-e", "trace=network", "-o"])
            .arg(folder.path().join(name))
            .arg(program())
            .args(args);
        Piped::spawn(command)
    };
    let mut server = strace(
        "server",
        &["serve", "--host", "127.0.0.1", "-p", "0", "--explain=all"],
    );
    let port = server.port();
    let address = format!("127.0.0.1:{port}");
    let mut client = strace("client", &["connect", &address, "--explain=all"]);
    client.write("gr\u{fc}ezi\n");
    server.expect("Received from connected client: gr\u{fc}ezi\n");
    server.write("x".repeat(3000) + "\n");
    client
        .stdout
        .wait_for("the answer", |bytes| bytes.ends_with(b"x\n").then_some(()));
    client.write("last\n");
    server
        .stdout
        .wait_for("last", |bytes| bytes.ends_with(b"last\n").then_some(()));
    client.write("bye\n");
    server.write("bye\n");
    let (_, client_told) = client.finish(1);
    let (_, server_told) = server.finish(0);
    for (name, told) in [("client", client_told), ("server", server_told)] {
        let traced = traced(&std::fs::read_to_string(folder.path().join(name)).unwrap());
        assert!(traced.len() > 10, "{traced:?}");
        assert_eq!(explained(&told), traced, "{told}");
    }
}

#[test]
fn a_transcript_tells_what_happened_field_by_field() {
    let folder = common::home();
    let path = path_in(&folder, "server.jsonl");
    let (mut server, port) = Piped::serve(&["--transcript", &path]);
    let mut client = raw_client(port);
    let from = client.local_addr().unwrap().to_string();
    client.write_all("gr\u{fc}ezi".as_bytes()).unwrap();
    server.expect("Received from connected client: gr\u{fc}ezi\n");
    server.write("hi \"there\"\n");
    expect_bytes(&mut client, "hi \"there\"");
    client.write_all(b"\xff").unwrap();
    // A message that is no UTF-8 may go on.
    server
        .stdout
        .wait_for("the byte", |bytes| bytes.ends_with(b"\xff\n").then_some(()));
    leave(client);
    server.finish(0);
    let records = transcript(Path::new(&path));
    assert_eq!(
        events(&records),
        [
            ("listening", ""),
            ("connected", ""),
            ("received", "gr\u{fc}ezi"),
            ("sent", "hi \"there\""),
            ("received", "\u{fffd}"),
            ("left", "The client left."),
        ]
    );
    assert_eq!(records[0]["local"], format!("127.0.0.1:{port}"));
    for record in &records[1..] {
        assert_eq!(record["peer"], from);
    }
    assert_eq!(records[2]["bytes"], 7);
    assert_eq!(records[3]["bytes"], 10);
    assert_eq!(records[4]["bytes"], 1);
    for record in &records {
        let time = record["time"].as_str().unwrap();
        // 2026-11-24T10:44:28.568160Z
        assert_eq!((time.len(), &time[10..11], &time[26..]), (27, "T", "Z"));
        assert!(humantime::parse_rfc3339(time).is_ok());
    }
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    // Another one is written behind it, also where a full disk has cut the last line off.
    std::fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"{\"time\":\"20")
        .unwrap();
    let (_, stderr) = Piped::connect(free_port(), &["--transcript", &path]).finish(1);
    assert!(stderr.contains("connection refused"));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!((lines.len(), lines[6]), (8, "{\"time\":\"20"));
    assert!(lines[7].contains("\"event\":\"error\",\"text\":\"cannot connect to "));
}

#[test]
fn a_long_message_is_one_event_whose_text_is_cut() {
    let folder = common::home();
    let path = path_in(&folder, "server.jsonl");
    let (mut server, port) = Piped::serve(&["--transcript", &path]);
    let mut client = raw_client(port);
    let long = vec![b'x'; 5_000_000];
    client.write_all(&long).unwrap();
    server
        .stdout
        .wait_for("the message", |bytes| bytes.ends_with(b"x\n").then_some(()));
    server.write("y".repeat(100_000) + "\n");
    let mut answer = vec![0; 100_000];
    client.read_exact(&mut answer).unwrap();
    #[cfg(target_os = "linux")]
    assert!(
        server.peak_memory() < common::SMALL,
        "{}",
        server.peak_memory()
    );
    leave(client);
    server.finish(0);
    let records = transcript(Path::new(&path));
    for (record, event, bytes) in [
        (&records[2], "received", 5_000_000),
        (&records[3], "sent", 100_000),
    ] {
        assert_eq!(
            (&record["event"], &record["bytes"]),
            (&event.into(), &bytes.into())
        );
        assert_eq!(record["cut"], true);
        assert_eq!(record["text"].as_str().unwrap().len(), 64 * 1024);
    }
}

#[test]
fn a_late_text_that_our_answer_cuts_off_is_an_event_of_its_own() {
    let folder = common::home();
    let path = path_in(&folder, "server.jsonl");
    let (mut server, port) = Piped::serve(&["--transcript", &path]);
    let mut client = raw_client(port);
    client.write_all(b"hello").unwrap();
    server.expect("Received from connected client: hello\n");
    client.write_all(&[b'x'; 2000]).unwrap();
    server.stdout.wait_for("what is late", |bytes| {
        bytes.ends_with(&[b'x'; 2000]).then_some(())
    });
    server.write("hi\nho\n");
    expect_bytes(&mut client, "hi");
    client.write_all(b"again").unwrap();
    expect_bytes(&mut client, "ho");
    client.write_all(b"and on").unwrap();
    server.finish(0);
    let records = transcript(Path::new(&path));
    let late = "x".repeat(2000);
    assert_eq!(
        events(&records)[2..],
        [
            ("received", "hello"),
            ("sent", "hi"),
            ("received", &late),
            ("received", "again"),
            ("sent", "ho"),
            ("received", "and on"),
            ("closed", ""),
        ]
    );
    assert_eq!(records[4]["late"], true);
    assert_eq!(records[5].get("late"), None);
}

#[test]
fn a_transcript_is_whole_lines_whenever_the_program_is_killed() {
    let folder = common::home();
    for (round, by) in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGKILL]
        .into_iter()
        .enumerate()
    {
        let path = path_in(&folder, &format!("{round}.jsonl"));
        let (mut server, port) = Piped::serve(&["--framing", "line", "--transcript", &path]);
        echo(&mut server);
        let mut client = raw_client(port);
        for turn in 0..200 * (round + 1) {
            let line = format!("turn {turn}\n");
            client.write_all(line.as_bytes()).unwrap();
            expect_bytes(&mut client, &line);
        }
        let mut rest = client.try_clone().unwrap();
        let talking = std::thread::spawn(move || {
            let mut line = [0; 4];
            while client.write_all(b"and\n").is_ok() && client.read_exact(&mut line).is_ok() {}
        });
        signal(server.id(), by);
        server.exit();
        talking.join().unwrap();
        let _ = rest.read_to_end(&mut Vec::new());
        let records = transcript(Path::new(&path));
        assert!(records.len() > 400 * (round + 1), "{}", records.len());
    }
}

#[test]
fn a_transcript_that_cannot_be_written_is_an_error_at_the_start_and_a_notice_later() {
    let (_, stderr) =
        Piped::start(["serve", "-p", "0", "--transcript", "/nowhere/at/all"]).finish(1);
    assert_eq!(
        stderr,
        "socketchat: cannot write the transcript in /nowhere/at/all: no such file or directory\n"
    );
    // A full disk, from the first line on.
    let (mut server, port) = {
        let mut server = Piped::start(["serve", "-p", "0", "--transcript", "/dev/full"]);
        server.write("hi\n");
        let port = server.port();
        (server, port)
    };
    let mut client = raw_client(port);
    client.write_all(b"hello").unwrap();
    expect_bytes(&mut client, "hi");
    server.close_stdin();
    leave(client);
    let (_, stderr) = server.finish(0);
    let told = "The transcript in /dev/full ends here: no space left on device\n";
    assert!(stderr.starts_with(told), "{stderr}");
    assert_eq!(stderr.matches(told).count(), 1);
}

#[test]
fn calls_are_in_the_transcript_of_a_session_that_is_explained() {
    let folder = common::home();
    let path = path_in(&folder, "client.jsonl");
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--explain", "--transcript", &path]);
    let mut server = accept(&listener);
    client.write("hello\n");
    expect_bytes(&mut server, "hello");
    server.write_all(b"hi").unwrap();
    leave(server);
    client.finish(0);
    let records = transcript(Path::new(&path));
    let calls: Vec<_> = records
        .iter()
        .filter(|record| record["event"] == "call")
        .map(|record| {
            (
                record["call"].as_str().unwrap(),
                record["result"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(calls.contains(&("send(5 bytes)", "5 bytes: 68 65 6c 6c 6f  \"hello\"")));
    assert_eq!(calls.last(), Some(&("close()", "ok")));

    let (drawn, _) = diagram(&[&path]).finish(0);
    let rows: Vec<_> = drawn.lines().collect();
    assert_eq!(
        rows[0].split_whitespace().collect::<Vec<_>>(),
        ["client", "server"],
        "{drawn}"
    );
    let row = |text: &str| {
        let found = rows.iter().position(|row| row.contains(text));
        found.unwrap_or_else(|| panic!("{text}\n{drawn}"))
    };
    // What a call does stands behind it.
    assert_eq!(row("* connect(") + 1, row("--- connects "), "{drawn}");
    assert_eq!(
        row("* send(5 bytes)") + 1,
        row("--- hello (5 bytes) "),
        "{drawn}"
    );
}

/// A conversation of which both ends keep a transcript.
fn talk(ours: &str, theirs: &str) {
    let (mut server, port) = Piped::serve(&["--transcript", ours]);
    let mut client = Piped::connect(port, &["--transcript", theirs]);
    client.write("hello\n");
    server.expect("Received from connected client: hello\n");
    server.write("a long answer that does not fit on an arrow, and that is broken between words\n");
    client.stdout.wait_for("the answer", |bytes| {
        bytes.ends_with(b"words\n").then_some(())
    });
    client.write("bye\n");
    client.finish(0);
    server.finish(0);
}

#[test]
fn a_diagram_is_drawn_of_one_end_or_of_both() {
    let folder = common::home();
    let [server, client, both] = ["server", "client", "both"].map(|name| path_in(&folder, name));
    talk(&server, &client);
    let address = transcript(Path::new(&server))[0]["local"]
        .as_str()
        .unwrap()
        .to_owned();
    let listens = format!("listens on {address} *");
    let expected = format!(
        "\
client                                                                   server
   |                                                                        |
   |{listens:>72}|
   |--- connects ---------------------------------------------------------->|
   |--- hello (5 bytes) --------------------------------------------------->|
   | a long answer that does not fit on an arrow, and that is broken        |
   | between words                                                          |
   |<-- 77 bytes -----------------------------------------------------------|
   |--- closes ------------------------------------------------------------>|
   |                                                                        |
"
    );
    let mermaid = format!(
        "\
sequenceDiagram
    participant p0 as client
    participant p1 as server
    Note over p1: listens on {}
    p0-->>p1: connects
    p0->>p1: hello (5 bytes)
    p1->>p0: a long answer that does not fit on an arrow, and that is broken between words (77 bytes)
    p0--xp1: closes
",
        address.replace(':', "#58;")
    );
    // Both ends tell the same, each in its own way, and together.
    for files in [&[&server[..]][..], &[&server, &client], &[&client, &server]] {
        assert_eq!(diagram(files).finish(0), (expected.clone(), String::new()));
        let args = [&["--format", "mermaid"], files].concat();
        assert_eq!(diagram(&args).finish(0), (mermaid.clone(), String::new()));
    }
    // Also when both have written into one file.
    talk(&both, &both);
    let other = transcript(Path::new(&both))[0]["local"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        diagram(&[&both]).finish(0).0,
        expected.replace(&address, &other)
    );
    let alone: String = expected
        .split_inclusive('\n')
        .filter(|line| !line.contains("listens"))
        .collect();
    assert_eq!(diagram(&[&client]).finish(0).0, alone);
    let (german, _) = diagram(&["--lang", "de", &server]).finish(0);
    for told in [
        &format!(" hört auf {address} zu *|"),
        "- verbindet sich -",
        "(5 Bytes)",
        "- schliesst -",
    ] {
        assert!(german.contains(told), "{told}: {german}");
    }
}

#[test]
fn what_was_not_received_as_it_was_sent_is_drawn_so() {
    let folder = common::home();
    let record = |event: &str, second: u32, peer: &str, more: &str| {
        format!(
            "{{\"time\":\"2026-11-24T10:00:{second:02}.000000Z\",\"event\":\"{event}\",\
             \"peer\":\"{peer}\"{more}}}\n"
        )
    };
    let (client, server) = ("127.0.0.1:40000", "127.0.0.1:5000");
    let text = |text: &str| format!(",\"bytes\":{},\"text\":\"{text}\"", text.len());
    let sent = [
        record("connected", 1, server, &format!(",\"local\":\"{client}\"")),
        record("sent", 2, server, &text("one")),
        record("sent", 3, server, &text("two")),
        record("sent", 5, server, &text("three")),
    ];
    let received = [
        "{\"time\":\"2026-11-24T10:00:00.000000Z\",\"event\":\"listening\",\"local\":\"0.0.0.0:5000\"}\n"
            .into(),
        "no JSON at all\n".into(),
        record("connected", 1, client, ""),
        record("received", 4, client, &text("onetwo")),
        record("received", 6, client, &text("three")),
        record("left", 7, client, ",\"text\":\"The client left.\""),
    ];
    let (ours, theirs) = (
        path_in(&folder, "server.jsonl"),
        path_in(&folder, "client.jsonl"),
    );
    std::fs::write(&ours, received.concat()).unwrap();
    std::fs::write(&theirs, sent.concat()).unwrap();
    let (drawn, bad) = diagram(&["--format", "mermaid", &ours, &theirs]).finish(0);
    assert_eq!(
        drawn,
        "\
sequenceDiagram
    participant p0 as client
    participant p1 as server
    Note over p1: listens on 0.0.0.0#58;5000
    p0-->>p1: connects
    p0->>p1: sent, but not so received#58; one (3 bytes)
    p0->>p1: sent, but not so received#58; two (3 bytes)
    p0->>p1: received, but not so sent#58; onetwo (6 bytes)
    p0->>p1: three (5 bytes)
    p0--xp1: closes
"
    );
    assert_eq!(
        bad,
        format!("{ours}:2: left out, as it is no line of a transcript: expected ident\n")
    );
}

#[test]
fn many_clients_stand_side_by_side_or_share_a_line() {
    let folder = common::home();
    let path = path_in(&folder, "server.jsonl");
    let (mut server, port) = Piped::serve(&["-m", "6", "--transcript", &path]);
    echo(&mut server);
    let mut clients = Vec::new();
    for number in 1..=6 {
        let mut client = raw_client(port);
        client.write_all(b"hello").unwrap();
        expect_bytes(&mut client, "hello");
        clients.push(client);
        // The answer is written down when it was sent, which may be a moment later.
        let start = std::time::Instant::now();
        let sent = || {
            transcript(Path::new(&path))
                .iter()
                .filter(|r| r["event"] == "sent")
                .count()
        };
        while sent() < number {
            assert!(
                start.elapsed() < common::DEADLINE,
                "an answer is not written down"
            );
        }
        if number == 2 {
            let (drawn, _) = diagram(&[&path]).finish(0);
            let heading =
                "client #1                           client #2                            server";
            assert_eq!(drawn.lines().next(), Some(heading), "{drawn}");
            assert!(
                drawn.contains(
                    "\n    |                                   |<-- hello (5 bytes) ---------------|\n"
                ),
                "{drawn}"
            );
        }
    }
    let (drawn, _) = diagram(&[&path]).finish(0);
    assert!(drawn.starts_with("clients "), "{drawn}");
    assert!(drawn.contains("|--- client #6 connects ---"), "{drawn}");
    assert!(
        drawn.contains("|--- client #6: hello (5 bytes) ---"),
        "{drawn}"
    );
}

#[test]
fn a_file_that_is_no_transcript_is_an_error() {
    let folder = common::home();
    let path = path_in(&folder, "none");
    let (_, stderr) = diagram(&[&path]).finish(1);
    assert_eq!(
        stderr,
        format!("socketchat: cannot read the transcript in {path}: no such file or directory\n")
    );
    std::fs::write(&path, "\x1b[2J\n").unwrap();
    let (stdout, stderr) = diagram(&[&path]).finish(1);
    assert_eq!(stdout, "");
    assert!(
        stderr.contains(&format!("there is nothing to draw in {path} ")),
        "{stderr}"
    );
    assert!(!stderr.contains('\x1b'));
}

#[test]
#[ignore = "needs npm"]
fn the_mermaid_text_is_accepted_whatever_was_said() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mermaid");
    // The messages of Mermaid's own language, and the attacks on a terminal.
    let mut texts: Vec<String> = [
        "end",
        "end;",
        "a;b",
        "a#b",
        "#35;",
        "\"quoted\"",
        "'",
        "`",
        "-->>",
        "->>p1: x",
        "%% comment",
        "%%{init: {}}%%",
        "{a}",
        "<b>html</b>",
        "<script>",
        "&amp;",
        "$$x^2$$",
        "wrap: x",
        "nowrap: x",
        ":wrap:x",
        "",
        " ",
        "\\n",
        "a\nb",
        "\u{1f468}\u{200d}\u{1f469}",
        "note over p0: x",
        "participant p9",
        "loop x",
        "alt",
        "else",
        "\u{fb02}\u{b0}\u{b0}59\u{b6}\u{df}",
        "+x",
        "-x",
        "()",
        "p0->>p1: a",
        "#",
        ";",
        "\t",
        "x\u{2028}y",
    ]
    .map(str::to_owned)
    .into();
    let attacks = std::fs::read("tests/attacks.txt").unwrap();
    texts.extend(
        attacks
            .split(|byte| *byte == b'\n')
            .map(|line| String::from_utf8_lossy(line).into_owned()),
    );
    let own = common::home();
    let path = path_in(&own, "all.jsonl");
    let mut lines = String::from(
        "{\"time\":\"2026-11-24T10:00:00.000000Z\",\"event\":\"connected\",\
         \"peer\":\"127.0.0.1:5000\",\"local\":\"127.0.0.1:40000\"}\n",
    );
    for text in &texts {
        let text = serde_json::to_string(text).unwrap();
        for event in ["sent", "received", "notice"] {
            lines += &format!(
                "{{\"time\":\"2026-11-24T10:00:01.000000Z\",\"event\":\"{event}\",\
                 \"peer\":\"127.0.0.1:5000\",\"text\":{text}}}\n"
            );
        }
    }
    std::fs::write(&path, lines).unwrap();
    let (drawn, _) = diagram(&["--format", "mermaid", &path]).finish(0);
    let installed = Command::new("npm")
        .args(["ci", "--no-audit", "--no-fund", "--silent"])
        .current_dir(&folder)
        .status()
        .unwrap();
    assert!(installed.success());
    let mut parser = Command::new("node")
        .arg("parse.mjs")
        .current_dir(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    parser
        .stdin
        .take()
        .unwrap()
        .write_all(drawn.as_bytes())
        .unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success());
    // The connection, and everything that was said, is one of its steps.
    let steps = 1 + 3 * texts.len();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("{steps}\n"),
        "{drawn}"
    );
}

/// Waits until `process` has told `words`, which stand in its stderr once alone.
fn expect_told(process: &Piped, words: &str) {
    process.stderr.wait_for(words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        (text.matches(words).count() == 1).then_some(())
    });
}

#[test]
fn a_key_in_the_first_moment_of_a_wait_has_its_effect() {
    let (terminal, _) = Terminal::serve(&["--explain", "--lang", "en"]);
    terminal.expect_text(" <-");
    // Before it is told that accept() waits.
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn a_send_that_waits_is_told() {
    let (mut server, port) = Piped::serve(&["--explain", "-f", "line"]);
    let mut client = raw_client(port);
    client.write_all(b"much, please\n").unwrap();
    server.expect("Received from connected client: much, please\n");
    let mut stdin = server.take_stdin();
    let writer = std::thread::spawn(move || stdin.write_all(&vec![b'x'; 30_000_000]));
    expect_told(
        &server,
        "send()                           waits: the program stands in this call until the client \
         reads\n",
    );
    drop(client);
    let _ = writer.join().unwrap();
    // Half of it was not sent.
    server.finish(1);
}

#[test]
fn bytes_that_are_no_utf8_are_explained_once() {
    let (mut server, port) = Piped::serve(&["--explain", "-f", "line"]);
    let mut client = raw_client(port);
    client.write_all(b"gr\xfcezi\n").unwrap();
    expect_told(
        &server,
        "Hint: fc is no UTF-8; in Latin-1 it is \u{fc}. Does the other side use .encode('utf-8')?\n",
    );
    server.write("hi\n");
    expect_bytes(&mut client, "hi\n");
    client.write_all(b"Z\xfcrich\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (_, stderr) = server.finish(0);
    assert_eq!(stderr.matches("Hint: ").count(), 1, "{stderr}");
}

#[test]
fn a_client_over_udp_is_explained() {
    let (server, port) = Piped::serve(&["--explain"]);
    let client = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"hello", ("127.0.0.1", port)).unwrap();
    expect_told(
        &server,
        "Hint: a UDP datagram came to this port. SOCK_DGRAM is UDP",
    );
    client.send_to(b"hello", ("127.0.0.1", port)).unwrap();
    drop(raw_client(port));
    let (_, stderr) = server.finish(0);
    assert_eq!(stderr.matches("Hint: ").count(), 1, "{stderr}");
    assert!(
        stderr.contains(
            "0 bytes: the peer has closed its side, or its program ended; it has sent nothing\n"
        ),
        "{stderr}"
    );
}

/// They are no news, so that the call that the program stands in goes on.
#[test]
fn datagrams_do_not_stop_the_timers_of_an_explained_server() {
    let (server, port) = Piped::serve(&["-k", "--idle-timeout", "200ms", "--explain"]);
    let mut idle = raw_client(port);
    let (_stop, stopped) = mpsc::channel::<()>();
    std::thread::spawn(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        while stopped.recv_timeout(Duration::from_millis(20)) == Err(RecvTimeoutError::Timeout) {
            let _ = socket.send_to(b"", ("127.0.0.1", port));
        }
    });
    expect_told(
        &server,
        "waits: the program stands in this call until the client sends or leaves",
    );
    expect_end(&mut idle);
    // Without an end mark, quiet ends a message.
    let mut client = raw_client(port);
    client.write_all(&[b'x'; 2000]).unwrap();
    server
        .stdout
        .wait_for("the message", |bytes| bytes.ends_with(b"x\n").then_some(()));
}

#[test]
fn what_has_come_already_is_not_waited_for() {
    const LINES: usize = 50;
    let (mut server, port) = Piped::serve(&["-f", "line", "--explain"]);
    server.write("answer\n".repeat(LINES));
    let mut client = raw_client(port);
    client
        .write_all("question\n".repeat(LINES).as_bytes())
        .unwrap();
    expect_bytes(&mut client, "answer\n".repeat(LINES));
    drop(client);
    let (_, stderr) = server.finish(0);
    let recv = stderr
        .lines()
        .filter(|row| row.starts_with("recv(") && row.contains(" waits: "));
    // Before the first, and after the last.
    assert!(recv.count() <= 2, "{stderr}");
}

#[test]
fn a_long_silence_is_explained() {
    let (mut server, port) = Piped::serve(&["--explain"]);
    let mut client = raw_client(port);
    expect_told(&server, "Hint: the client has sent nothing for 10 s.");
    // It goes on as before.
    client.write_all(b"at last").unwrap();
    server.expect("Received from connected client: at last\n");
    server.write("well\n");
    expect_bytes(&mut client, "well");
}

#[test]
fn json_without_its_newline_is_explained() {
    let (server, port) = Piped::serve(&["-f", "json"]);
    let mut client = raw_client(port);
    client.write_all(b"{\"text\":\"hello\"}").unwrap();
    expect_told(
        &server,
        "The client has sent a whole JSON object, but not the newline that ends its line. It must \
         send \\n after it. So far: {\"text\":\"hello\"}\n",
    );
}

#[test]
fn calls_are_explained_in_german() {
    let start = |arguments: &[&str], locale: &str| {
        let mut command = Command::new("env");
        command
            .args([&format!("LC_ALL={locale}"), program()])
            .args(arguments);
        Piped::spawn(command)
    };
    let german = "accept()                         wartet: das Programm steht in diesem Aufruf, bis sich \
                  ein Client verbindet\n";
    let serve = ["serve", "--port", "0", "--explain"];
    expect_told(&start(&serve, "de_CH.UTF-8"), german);
    expect_told(
        &start(&[&serve[..], &["--lang", "de"]].concat(), "C"),
        german,
    );
    let english = start(&[&serve[..], &["--lang", "en"]].concat(), "de_CH.UTF-8");
    expect_told(
        &english,
        "waits: the program stands in this call until a client connects\n",
    );
}

#[test]
fn a_very_long_name_leaves_its_message_in_the_diagram() {
    let folder = common::home();
    let path = path_in(&folder, "talk.jsonl");
    let (mut server, port) = Piped::serve(&["-f", "json", "--transcript", &path]);
    let mut client = raw_client(port);
    let name = "\u{7f}".repeat(200_000);
    let message = format!("{{\"name\":\"{name}\",\"text\":\"hello\"}}\n");
    client.write_all(message.as_bytes()).unwrap();
    server.stdout.wait_for("the message", |bytes| {
        bytes.ends_with(b": hello\n").then_some(())
    });
    server.close_stdin();
    leave(client);
    server.finish(0);
    let (drawn, told) = diagram(&[&path]).finish(0);
    assert!(drawn.contains("hello"), "{drawn}");
    assert_eq!(told, "");
}
