//! Other programs on the other end: scripts of a few lines, and nc.

mod common;

use std::io::Write as _;
use std::process::Command;

use common::Piped;

/// A Python script from `tests/peers`, with more arguments.
fn python(script: &str, args: &[&str]) -> Piped {
    let mut command = Command::new("python3");
    command
        .arg(format!(
            "{}/tests/peers/{script}",
            env!("CARGO_MANIFEST_DIR")
        ))
        .args(args)
        .env("PYTHONUNBUFFERED", "1");
    Piped::spawn(command)
}

/// The script of a server, and the port that it listens on.
fn python_server() -> (Piped, u16) {
    let server = python("server.py", &[]);
    let port = server.stdout.wait_for("its port", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (line, _) = text.split_once('\n')?;
        line.strip_prefix("port ")?.parse().ok()
    });
    (server, port)
}

#[track_caller]
fn prompts(script: &Piped, times: usize) {
    script.stdout.wait_for("its prompt", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        (text.matches(" -> ").count() >= times).then_some(())
    });
}

#[test]
#[ignore = "needs python3"]
fn a_python_client_talks_with_serve() {
    let (mut server, port) = Piped::serve(&[]);
    let mut client = python("client.py", &[&port.to_string()]);
    let mut heard = [String::new(), String::new()];
    for turn in 1..=10 {
        prompts(&client, turn);
        client.write(format!(
            "Frage {turn}: gr\u{fc}ezi \u{1f468}\u{200d}\u{1f469}\n"
        ));
        heard[0] += &format!(
            "Received from connected client: Frage {turn}: gr\u{fc}ezi \u{1f468}\u{200d}\u{1f469}\n"
        );
        server.expect(&heard[0]);
        server.write(format!("Antwort {turn}: sch\u{f6}n \u{1f389}\n"));
        heard[1] += &format!(" -> Received from server: Antwort {turn}: sch\u{f6}n \u{1f389}\n");
        client.expect(&heard[1]);
    }
    client.write("bye\n");
    assert_eq!(client.finish(0), (heard[1].clone() + " -> ", String::new()));
    assert_eq!(server.finish(0).0, heard[0]);
}

#[test]
#[ignore = "needs python3"]
fn a_python_server_talks_with_connect() {
    let (mut server, port) = python_server();
    let mut client = Piped::connect(port, &[]);
    let mut heard = String::new();
    for turn in 1..=10 {
        client.write(format!(
            "Frage {turn}: gr\u{fc}ezi \u{1f468}\u{200d}\u{1f469}\n"
        ));
        prompts(&server, turn);
        server.write(format!("Antwort {turn}: sch\u{f6}n \u{1f389}\n"));
        heard += &format!("Received from server: Antwort {turn}: sch\u{f6}n \u{1f389}\n");
        client.expect(&heard);
    }
    client.write("Bye\n");
    assert_eq!(client.finish(0).0, heard);
    let (stdout, stderr) = server.finish(0);
    assert_eq!(stderr, "");
    for turn in 1..=10 {
        let line = format!(
            "Received from connected client: Frage {turn}: gr\u{fc}ezi \u{1f468}\u{200d}\u{1f469}\n"
        );
        assert!(stdout.contains(&line), "{stdout}");
    }
}

#[test]
#[ignore = "needs python3"]
fn a_long_message_of_python_arrives_as_one_turn() {
    for (length, unit) in [
        (1023, "x"),
        (1024, "x"),
        (1025, "x"),
        (65_536, "\u{fc}"),
        (5_000_000, "x"),
    ] {
        for piece in ["0", "1500"] {
            let (mut server, port) = Piped::serve(&[]);
            let sender = python(
                "send.py",
                &[&port.to_string(), &length.to_string(), unit, piece],
            );
            let text = unit.repeat(length);
            server.expect(format!("Received from connected client: {text}\n"));
            server.write("got it\n");
            assert_eq!(sender.finish(0).0, "got it\n");
            let (stdout, _) = server.finish(0);
            assert_eq!(stdout.matches("Received").count(), 1);
        }
    }
}

#[test]
#[ignore = "needs nc"]
fn nc_is_the_client() {
    let (mut server, port) = Piped::serve(&[]);
    let mut nc = common::nc_client(port);
    let mut heard = String::new();
    let mut answers = String::new();
    for turn in 1..=3 {
        nc.write(format!("line {turn} gr\u{fc}ezi\n"));
        heard += &format!("Received from connected client: line {turn} gr\u{fc}ezi\n");
        server.expect(&heard);
        server.write(format!("answer {turn}\n"));
        answers += &format!("answer {turn}");
        nc.expect(&answers);
    }
    // This nc stays at its stdin when the connection is gone; it is ended with the test.
    nc.write("last\n");
    server.write("bye\n");
    heard += "Received from connected client: last\n";
    assert_eq!(server.finish(0).0, heard);
}

#[test]
#[ignore = "needs nc"]
fn nc_is_the_server() {
    let (mut nc, port) = common::nc_server();
    let mut client = Piped::connect(port, &[]);
    client.write("hello\n");
    nc.expect("hello");
    nc.write("hi from nc\n");
    client.expect("Received from server: hi from nc\n");
    client.write("more\n");
    nc.expect("hellomore");
    // nc's user knows of no turns.
    nc.write("one\n");
    client.expect("Received from server: hi from nc\nReceived from server: one\n");
    nc.write("two\n");
    client.expect("Received from server: hi from nc\nReceived from server: one\ntwo\n");
    client.write("bye\n");
    client.finish(0);
    nc.finish(0);
}

#[test]
#[ignore = "needs python3"]
fn a_python_peer_sees_a_clean_end_when_we_leave() {
    let (mut server, port) = python_server();
    let mut client = Piped::connect(port, &[]);
    let mut stdin = client.take_stdin();
    stdin.write_all(b"hello\n").unwrap();
    prompts(&server, 1);
    server.write("answer\n");
    client.expect("Received from server: answer\n");
    drop(stdin);
    assert_eq!(client.exit().code(), Some(0));
    assert_eq!(server.finish(0).1, "");
}
