//! `serve --script`: a server that stands in for a real one.

mod common;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use common::terminal::Setup;
use common::{Piped, expect_bytes, expect_end, home, raw_client, signal};
use nix::sys::signal::Signal;
use tempfile::TempDir;

const SMTP: &str = "\
# As little of SMTP as sends a mail.
*greeting*\t220 mock ready
(?i)^ehlo \t250-mock\\n250 HELP
(?i)^(helo|mail|rcpt|rset|noop)\\b\t250 OK
(?i)^data$\t354 go on
^\\.$\t250 queued
(?i)^quit$\t221 bye
.*\t
";

/// Writes `script` to a file. Returns its folder and its path.
fn file(script: &str) -> (TempDir, String) {
    let folder = home();
    let path = folder.path().join("script");
    fs::write(&path, script).unwrap();
    let path = path.to_str().unwrap().to_owned();
    (folder, path)
}

/// A server that answers as `script` says, and its port.
fn serve(script: &str, args: &[&str]) -> (Piped, u16, TempDir) {
    let (folder, path) = file(script);
    let (server, port) = Piped::serve(&[&["--script", &path], args].concat());
    (server, port, folder)
}

#[track_caller]
fn ask(client: &mut TcpStream, question: &str, answer: &str) {
    client.write_all(question.as_bytes()).unwrap();
    expect_bytes(client, answer);
}

#[test]
fn each_framing_has_its_own_way_to_send_an_answer_of_several_lines() {
    let script = "*greeting*\thello\n^one\t1\\n2\n^two\t2\\tb\n";
    for (framing, greeting, question, answer) in [
        ("raw", "hello", "one", "1\n2"),
        ("line", "hello\n", "one\n", "1\n2\n"),
        ("crlf", "hello\r\n", "one\r\n", "1\r\n2\r\n"),
        ("nul", "hello\0", "one\0", "1\n2\0"),
        (
            "json",
            "{\"name\":\"n\",\"text\":\"hello\"}\n",
            "{\"text\":\"one\"}\n",
            "{\"name\":\"n\",\"text\":\"1\\n2\"}\n",
        ),
    ] {
        let mut args = vec!["-f", framing];
        if framing == "json" {
            args.extend(["--name", "n"]);
        }
        let (server, port, _folder) = serve(script, &args);
        let mut client = raw_client(port);
        expect_bytes(&mut client, greeting);
        ask(&mut client, question, answer);
        ask(&mut client, question, answer);
        drop(client);
        let (said, told) = server.finish(0);
        assert!(said.contains("one"), "{said}");
        assert!(told.contains("Answered the client: hello\n"), "{told}");
        assert!(told.contains("Answered the client: 1\n2\n"), "{told}");
    }
}

#[test]
fn lines_that_come_at_once_are_answered_in_their_order() {
    let (server, port, _folder) = serve("a\tA\nb\tB\n^quiet$\t\n", &["-f", "line"]);
    let mut client = raw_client(port);
    let questions = "a\nquiet\nb\nunknown \u{1b}[2J\na".repeat(100);
    client.write_all(questions.as_bytes()).unwrap();
    // A line that ends in an a goes on with that of the next question, and is answered once. The
    // last has no end but that of the stream, and the client can still be answered.
    client.shutdown(Shutdown::Write).unwrap();
    let mut answers = String::new();
    client.read_to_string(&mut answers).unwrap();
    assert_eq!(answers, "A\nB\n".repeat(100) + "A\n");
    let (_, told) = server.finish(0);
    assert_eq!(
        told.matches("The script has no answer for the client to 'unknown \\u{1b}[2J'.\n")
            .count(),
        100,
        "{told}"
    );
}

/// Otherwise a long one would hold the other clients up.
#[test]
fn only_the_beginning_of_a_long_message_is_matched() {
    let args = ["-f", "json", "--name", "n"];
    let (server, port, _folder) = serve("needle\tfound\n^x\tnone\n", &args);
    let mut client = raw_client(port);
    let before = "x".repeat(4 * 1024 - "needle".len());
    for (padding, answer) in [("", "found"), ("x", "none"), (&before, "none")] {
        let question = format!("{{\"text\":\"{before}{padding}needle\"}}\n");
        let answer = format!("{{\"name\":\"n\",\"text\":\"{answer}\"}}\n");
        ask(&mut client, &question, &answer);
    }
    drop(client);
    server.finish(0);
}

#[test]
fn a_long_message_is_answered_also_if_another_client_speaks_meanwhile() {
    for (framing, end) in [("line", "\n"), ("nul", "\0")] {
        let args = ["-f", framing, "-m", "2"];
        let (server, port, _folder) = serve("^hi$\thello\n.*\tmuch\n", &args);
        let mut long = raw_client(port);
        let beginning = "x\n".repeat(35_000);
        let beginning = beginning.replace('\n', if end == "\n" { "y" } else { "\n" });
        long.write_all(beginning.as_bytes()).unwrap();
        server.stdout.wait_for("its beginning", |bytes| {
            (bytes.len() > 64 * 1024).then_some(())
        });
        let mut other = raw_client(port);
        ask(&mut other, &format!("hi{end}"), &format!("hello{end}"));
        ask(&mut long, end, &format!("much{end}"));
    }
}

#[test]
fn each_of_many_clients_has_its_own_answers() {
    let (server, port, _folder) = serve("^(.)$\tgot it\n", &["-f", "line", "-m", "20"]);
    let mut clients: Vec<_> = (0..10).map(|_| raw_client(port)).collect();
    // One that reads nothing holds nobody up.
    let mut deaf = raw_client(port);
    deaf.set_nonblocking(true).unwrap();
    while deaf.write(&b"x\n".repeat(10_000)).is_ok() {}
    for _ in 0..20 {
        for client in &mut clients {
            client.write_all(b"q\n").unwrap();
        }
        for client in &mut clients {
            expect_bytes(client, "got it\n");
        }
    }
    signal(server.id(), Signal::SIGTERM);
    server.finish(130);
}

#[test]
fn a_client_that_does_not_read_is_let_go_for_the_next() {
    let script = format!("^much$\t{}\n^ping$\tpong\n", "much".repeat(4 << 20));
    let (server, port, _folder) = serve(&script, &["-f", "line", "-k"]);
    let mut deaf = raw_client(port);
    deaf.write_all(b"much\n").unwrap();
    let mut other = raw_client(port);
    ask(&mut other, "ping\n", "pong\n");
    server.stderr.wait_for("the end of the other", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("The client did not take what it was sent for 10s, and was let go.\n")
            .then_some(())
    });
}

#[test]
fn an_answer_that_its_client_does_not_take_is_told() {
    let script = format!(".*\t{}last\n", "more\\n".repeat(1000));
    let (server, port, _folder) = serve(&script, &["-f", "line"]);
    // The message ends with the connection.
    raw_client(port).write_all(b"hi").unwrap();
    let (stdout, stderr) = server.finish(1);
    assert_eq!(stdout, "Received from connected client: hi\n");
    assert!(stderr.contains("\nNot sent: more\n"), "{stderr}");
    assert!(stderr.ends_with("last\nThe client left.\n"), "{stderr}");
}

#[test]
fn a_newline_at_the_end_of_an_answer_ends_its_last_line() {
    let (server, port, _folder) = serve("^GET\tHTTP/1.0 204 None\\r\\n\\r\\n\n", &["-f", "crlf"]);
    let mut client = raw_client(port);
    ask(&mut client, "GET /\r\n", "HTTP/1.0 204 None\r\n\r\n");
    client.shutdown(Shutdown::Write).unwrap();
    expect_end(&mut client);
    server.finish(0);
}

#[test]
fn one_after_another_is_served_and_stdin_is_not_read() {
    let (_folder, path) = file("a\tA\n");
    let (mut server, port) = Piped::serve(&["-k", "--script", &path]);
    server.write("not an answer\n");
    server.close_stdin();
    for _ in 0..3 {
        let mut client = raw_client(port);
        ask(&mut client, "a", "A");
        client.shutdown(Shutdown::Write).unwrap();
        expect_end(&mut client);
    }
    signal(server.id(), Signal::SIGINT);
    server.finish(130);
}

#[test]
fn at_a_terminal_it_is_seen_and_ctrl_c_ends_it() {
    let (_folder, path) = file("ping\tpong\n");
    let terminal = Setup::new(&["serve", "-p", "0", "--script", &path]).start();
    let port = terminal.port();
    let mut client = raw_client(port);
    ask(&mut client, "ping", "pong");
    terminal.expect(&[
        "Received from connected client: ping",
        "Answered the client: pong",
    ]);
    terminal.type_keys("\x03");
    let mut terminal = terminal;
    assert_eq!(terminal.exit().code(), Some(130));
}

#[test]
fn without_turns_it_answers_too() {
    let (server, port, _folder) = serve("a\tA\n", &["-f", "line", "--duplex", "-m", "2"]);
    let mut clients = [raw_client(port), raw_client(port)];
    for client in &mut clients {
        ask(client, "a\na\n", "A\nA\n");
    }
    signal(server.id(), Signal::SIGTERM);
    server.finish(130);
}

#[test]
fn what_is_wrong_with_a_script_is_told() {
    let (_folder, path) = file("fine\tyes\nno tab here\n# x\n(\topen\n");
    let (_, told) = Piped::start(["serve", "-p", "0", "--script", &path]).finish(1);
    assert!(
        told.starts_with(&format!(
            "socketchat: cannot use the script in {path}: line 2: there is no tab between a \
             pattern and an answer; line 4: "
        )),
        "{told}"
    );
    let (_, told) = Piped::start(["serve", "--script", "/nowhere/script"]).finish(1);
    assert_eq!(
        told,
        "socketchat: cannot read the script in /nowhere/script: no such file or directory\n"
    );
    let (_, told) = Piped::start(["serve", "--server-first", "--script", &path]).finish(2);
    assert!(told.contains("cannot be used with"), "{told}");
}

#[test]
fn a_mail_is_taken_in_step() {
    let (server, port, _folder) = serve(SMTP, &["-f", "crlf"]);
    let args = [
        "-q",
        "-f",
        "crlf",
        "--server-first",
        "--reply-until",
        "^[0-9]{3} ",
        "--reply-quiet",
        "200ms",
    ];
    let mut client = Piped::connect(port, &args);
    client.write("EHLO me\nMAIL FROM:<a@b>\nRCPT TO:<c@d>\nDATA\nSubject: x\n\nbody\n.\nQUIT\n");
    let (said, told) = client.finish(0);
    assert_eq!(
        said,
        "220 mock ready\n250-mock\n250 HELP\n250 OK\n250 OK\n354 go on\n250 queued\n221 bye\n",
        "{told}"
    );
    let (said, _) = server.finish(0);
    assert!(
        said.contains(
            "client: Subject: x\nReceived from connected client: \nReceived from connected \
             client: body\n"
        ),
        "{said}"
    );
}

#[test]
#[ignore = "needs python3"]
fn pythons_libraries_are_content_with_it() {
    let python = |script: &str, port: u16| {
        let mut command = Command::new("python3");
        command.args(["-c", script, &port.to_string()]);
        Piped::spawn(command)
    };
    let (server, port, _folder) = serve(SMTP, &["-f", "crlf"]);
    let client = python(
        "import smtplib, sys\n\
         with smtplib.SMTP('localhost', int(sys.argv[1])) as s:\n\
         \x20   s.sendmail('a@b', ['c@d'], 'Subject: hi\\r\\n\\r\\n' + 'line\\r\\n' * 50)\n\
         print('sent')\n",
        port,
    );
    assert_eq!(client.finish(0).0, "sent\n");
    let (said, _) = server.finish(0);
    assert_eq!(said.matches("client: line\n").count(), 50, "{said}");

    let http = "^GET /hello \tHTTP/1.0 200 OK\\nContent-Length: 7\\n\\nhello\n.*\t\n";
    let (server, port, _folder) = serve(http, &["-f", "crlf"]);
    let client = python(
        "import urllib.request, sys\n\
         with urllib.request.urlopen(f'http://localhost:{sys.argv[1]}/hello') as page:\n\
         \x20   print(page.status, page.read())\n",
        port,
    );
    assert_eq!(client.finish(0).0, "200 b'hello\\r\\n'\n");
    server.finish(0);
}
