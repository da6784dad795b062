//! `connect --retry`: a connection that comes back.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Command;

use common::terminal::{Setup, Terminal};
use common::{
    Piped, accept, echo, expect_bytes, free_port, leave, program, raw_server, signal, wait_until,
};
use nix::sys::signal::Signal;

/// Breaks a connection as the death of its host's program does.
fn reset(stream: TcpStream) {
    common::reset_when_dropped(&stream);
    drop(stream);
}

/// Waits until the client has said that it tries again.
fn expect_trying(client: &Piped, words: &str) {
    client.stderr.wait_for(words, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains(words).then_some(())
    });
}

#[test]
fn a_server_that_is_not_there_yet_is_waited_for() {
    let port = free_port();
    let mut client = Piped::connect(port, &["--retry"]);
    let told = format!("Trying again in 0.25 s (try 1): localhost:{port}: connection refused\n");
    expect_trying(&client, &told);
    expect_trying(&client, " (try 2): ");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut server = accept(&listener);
    client.write("hello\n");
    expect_bytes(&mut server, "hello");
    server.write_all(b"hi").unwrap();
    let (stdout, stderr) = client.finish(0);
    assert_eq!(stdout, "Received from server: hi\n");
    assert!(stderr.contains("\nConnected to 127.0.0.1:"), "{stderr}");
}

#[test]
fn without_it_a_server_that_is_not_there_is_an_error() {
    let client = Piped::connect(free_port(), &[]);
    let (_, stderr) = client.finish(1);
    assert!(!stderr.contains("Trying again"), "{stderr}");
}

#[test]
fn patience_has_an_end() {
    let client = Piped::connect(free_port(), &["--retry=600ms"]);
    let (_, stderr) = client.finish(1);
    let lines: Vec<_> = stderr.lines().collect();
    let (last, tries) = lines.split_last().unwrap();
    assert!(
        last.contains(": connection refused (is `socketchat serve`"),
        "{stderr}"
    );
    assert!((2..=3).contains(&tries.len()), "{stderr}");
}

/// The row above the prompt counts down, and its place is the same for each try.
#[test]
fn at_a_terminal_the_tries_are_told_on_one_row() {
    let port = free_port();
    let terminal = Terminal::connect(port, &["--retry"]);
    terminal.type_keys("hello");
    for told in ["in 2 s (try 5)", "in 1 s (try 5)"] {
        let row = format!("Trying again {told}: localhost:{port}: ");
        terminal.expect_screen(&row, |shown| {
            let rows: Vec<_> = shown.trim_start().lines().collect();
            rows.len() == 2 && rows[0].starts_with(&row) && rows[1] == " <- hello"
        });
    }
    terminal.type_keys("\r");
    terminal.expect_text("hello (the server is not there)");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let mut server = accept(&listener);
    let connected =
        format!("Connected to 127.0.0.1:{port}\nbye leaves, /help tells what else\n -> hello");
    terminal.expect_screen(&connected, |shown| shown.trim_start() == connected);
    terminal.type_keys("\r");
    expect_bytes(&mut server, "hello");
    terminal.type_keys("\x03");
    terminal.finish(130);
}

/// What is told meanwhile goes above the row, and no part of it stays at the end.
#[test]
fn at_a_terminal_the_row_of_the_tries_goes_with_the_waiting() {
    let terminal = Terminal::connect(free_port(), &["--retry=3s"]);
    terminal.expect_text("Trying again in 1 s");
    terminal.type_keys("/who\r");
    terminal.expect_screen("the answer above the row", |shown| {
        shown.contains(" <- /who\nNobody is there.\nTrying again")
    });
    terminal.expect_text("socketchat: cannot connect to localhost:");
    let screen = terminal.screen();
    assert_eq!(screen.matches("Trying again").count(), 1, "{screen}");
    terminal.finish(1);
}

/// Where notices go to a file, each try is told there once.
#[test]
fn tries_that_are_told_elsewhere_are_told_once() {
    let folder = common::home();
    let file = folder.path().join("notices");
    let mut command = Command::new("sh");
    let script = "exec \"$0\" connect \"$1\" --retry=3s 2>\"$2\"";
    let port = free_port().to_string();
    command.args(["-c", script, program(), &port]).arg(&file);
    let mut terminal = Setup::program(command).start();
    assert_eq!(terminal.exit().code(), Some(1));
    let told = std::fs::read_to_string(file).unwrap();
    let tries: Vec<usize> = told
        .lines()
        .filter_map(|line| line.split_once("(try ")?.1.split(')').next()?.parse().ok())
        .collect();
    assert!(tries.len() >= 3, "{told}");
    assert_eq!(tries, (1..=tries.len()).collect::<Vec<_>>(), "{told}");
}

#[test]
fn ctrl_c_ends_the_waiting() {
    let terminal = Terminal::connect(free_port(), &["--retry"]);
    terminal.expect_text("Trying again in");
    terminal.expect_text("\n <-");
    terminal.type_keys("\r");
    terminal.expect_text("(the server is not there)");
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn a_message_without_a_reply_is_sent_again_from_a_pipe() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry"]);
    client.write("one\ntwo\nthree\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "one");
    server.write_all(b"1").unwrap();
    // It is lost with a message that has not been read,
    client.expect("Received from server: 1\n");
    reset(server);
    let mut server = accept(&listener);
    expect_bytes(&mut server, "two");
    // and with one that has.
    reset(server);
    let mut server = accept(&listener);
    expect_bytes(&mut server, "two");
    server.write_all(b"2").unwrap();
    expect_bytes(&mut server, "three");
    server.write_all(b"3").unwrap();
    let (stdout, stderr) = client.finish(0);
    assert_eq!(
        stdout,
        "Received from server: 1\nReceived from server: 2\nReceived from server: 3\n"
    );
    let told = ": lost the connection to the server: connection reset by peer\n";
    // A reply has come in between, so that the second time is not a second try.
    assert_eq!(stderr.matches(told).count(), 2, "{stderr}");
}

#[test]
fn what_is_sent_again_is_told_also_with_quiet() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry", "--quiet", "-f", "line"]);
    client.write("question\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "question\n");
    reset(server);
    let mut server = accept(&listener);
    expect_bytes(&mut server, "question\n");
    server.write_all(b"answer\n").unwrap();
    let (stdout, stderr) = client.finish(0);
    assert_eq!(stdout, "answer\n");
    let told = "This had no reply, and is sent again: question\n";
    assert_eq!(stderr, told);
}

#[test]
fn a_close_instead_of_a_reply_is_a_goodbye_and_what_is_left_is_told() {
    let told = "socketchat: no reply to 'one', 1 line not sent: the server left\n";
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry", "--quiet"]);
    client.write("one\ntwo\n");
    client.close_stdin();
    let mut server = accept(&listener);
    expect_bytes(&mut server, "one");
    leave(server);
    assert_eq!(client.finish(1), (String::new(), told.into()));

    let (mut server, port) = Piped::serve(&["-k"]);
    let mut client = Piped::connect(port, &["--retry"]);
    client.write("one\ntwo\n");
    server.expect("Received from connected client: one\n");
    server.write("bye\n");
    client.close_stdin();
    let (_, stderr) = client.finish(1);
    assert!(
        stderr.ends_with(&format!("The server left.\n{told}")),
        "{stderr}"
    );
}

#[test]
fn a_server_that_answers_one_line_and_closes_is_told_them_all() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry", "--quiet", "-f", "line"]);
    client.write((0..20).fold(String::new(), |all, n| format!("{all}{n}\n")));
    client.close_stdin();
    // The close may come before the next line is sent, or after it.
    for number in 0..20 {
        let mut server = accept(&listener);
        expect_bytes(&mut server, format!("{number}\n"));
        server.write_all(b"ok\n").unwrap();
        drop(server);
    }
    assert_eq!(client.finish(0).0, "ok\n".repeat(20));
}

#[test]
fn a_close_in_our_own_turn_is_a_loss() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry"]);
    leave(accept(&listener));
    expect_trying(
        &client,
        "lost the connection to the server: it was closed in our turn\n",
    );
    let mut server = accept(&listener);
    client.write("hello\n");
    expect_bytes(&mut server, "hello");
}

/// The loss is found behind all that came before it.
#[test]
fn without_turns_no_line_that_is_typed_is_lost_or_out_of_order() {
    let (listener, port) = raw_server();
    let args = ["--retry", "--duplex", "-f", "line", "--no-history"];
    let client = Terminal::connect(port, &args);
    for round in 0..5 {
        let mut server = accept(&listener);
        client.expect_screen("the prompt", |screen| screen.ends_with(" ->"));
        client.type_keys(&format!("round {round}\r"));
        expect_bytes(&mut server, format!("round {round}\n"));
        server.set_nonblocking(true).unwrap();
        let _ = server.write(("a".repeat(20_000) + "\n").repeat(10).as_bytes());
        reset(server);
        client.type_keys("w1\rw2\rw3\r");
        let mut server = accept(&listener);
        client.expect_screen("the prompt", |screen| {
            screen
                .lines()
                .last()
                .is_some_and(|row| row.starts_with(" ->"))
        });
        client.type_keys("end\r");
        let mut sent = String::new();
        let mut lines = BufReader::new(&mut server);
        while !sent.ends_with("end\n") {
            assert!(lines.read_line(&mut sent).unwrap() > 0);
        }
        let raw = client.raw();
        let shown = String::from_utf8_lossy(&raw);
        let shown = shown.rsplit(&format!("round {round}")).next().unwrap();
        let is_told = |word: &&str| shown.contains(&format!("Not sent: {word}"));
        let mut words: String = ["w1", "w2", "w3"].into_iter().filter(is_told).collect();
        // Enter does nothing while there is no server.
        words += &sent.replace('\n', "");
        assert_eq!(words, "w1w2w3end", "{shown}");
        reset(server);
    }
    client.type_keys("\x03");
}

#[test]
fn a_message_without_a_reply_is_put_back_on_the_prompt() {
    let (listener, port) = raw_server();
    let client = Terminal::connect(port, &["--retry", "--no-history"]);
    let mut server = accept(&listener);
    client.expect_text(" ->");
    client.type_keys("gr\u{fc}ezi\r");
    expect_bytes(&mut server, "gr\u{fc}ezi");
    client.expect_text("\n <-");
    client.type_keys("typed ahead");
    client.expect_text("typed ahead");
    reset(server);
    let mut server = accept(&listener);
    // As text that can be edited, with what was typed behind it.
    client.expect(&[
        "This had no reply; Enter sends it again:",
        " -> gr\u{fc}ezi",
        "typed ahead",
    ]);
    client.type_keys("\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08\x08 mitenand\r");
    expect_bytes(&mut server, "gr\u{fc}ezi mitenand");
}

#[test]
fn a_half_typed_line_outlives_the_server_at_the_prompt() {
    let (mut server, port) = Piped::serve(&[]);
    let client = Terminal::connect(port, &["--retry", "--no-history"]);
    client.expect_text(" ->");
    client.type_keys("hello\r");
    server.expect("Received from connected client: hello\n");
    server.write("hi\n");
    client.expect_text("Received from server: hi");
    client.type_keys("half a");
    client.expect(&["Received from server: hi", " -> half a"]);
    signal(server.id(), Signal::SIGKILL);
    client.expect_words("Trying again in 0.25 s (try 1): localhost");
    client.expect_words("connection reset by peer");
    client.expect_text("(try 2)");
    // What is typed in the meantime goes on with it.
    client.type_keys(" line");
    let server = Piped::start(["serve", "--port", &port.to_string()]);
    client.expect(&[&format!("Connected to 127.0.0.1:{port}"), " -> half a line"]);
    client.type_keys("\r");
    server.expect("Received from connected client: half a line\n");
}

#[test]
fn a_pipe_of_a_thousand_messages_outlives_the_servers_that_are_killed() {
    let start = |port: u16| {
        let port = port.to_string();
        let mut server = Piped::start(["serve", "-p", &port, "--framing", "line"]);
        server.port();
        echo(&mut server);
        server
    };
    let port = free_port();
    let mut server = start(port);
    let mut client = Piped::connect(port, &["--retry", "--framing", "line", "--quiet"]);
    let messages: String = (0..1000).fold(String::new(), |all, n| format!("{all}message {n}\n"));
    let mut stdin = client.take_stdin();
    let lines = messages.clone();
    let writer = std::thread::spawn(move || stdin.write_all(lines.as_bytes()).unwrap());
    for killed_at in [1, 300, 301, 700] {
        client.stdout.wait_for("replies", |bytes| {
            let lines = bytes.split(|byte| *byte == b'\n').count();
            (lines > killed_at).then_some(())
        });
        // Wherever it is in its turn.
        let by = if killed_at % 2 == 0 {
            Signal::SIGTERM
        } else {
            Signal::SIGKILL
        };
        signal(server.id(), by);
        server.exit();
        server = start(port);
    }
    writer.join().unwrap();
    let (stdout, _) = client.finish(0);
    assert!(stdout == messages, "{stdout}");
}

#[test]
fn a_message_too_long_to_be_held_is_lost_with_the_connection() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry", "--framing", "line"]);
    let mut server = accept(&listener);
    client.write("x".repeat(100_000) + "\n");
    let mut message = vec![0; 100_001];
    server.read_exact(&mut message).unwrap();
    reset(server);
    let (_, stderr) = client.finish(1);
    assert!(
        stderr.ends_with(
            "lost the connection to the server: connection reset by peer (the last message is \
             too long to be sent again)\n"
        ),
        "{stderr}"
    );
}

#[test]
fn a_long_line_that_is_torn_by_the_loss_is_an_error() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry", "--framing", "line"]);
    let mut server = accept(&listener);
    client.write("x".repeat(100_000));
    server.read_exact(&mut vec![0; 65_000]).unwrap();
    reset(server);
    let (_, stderr) = client.finish(1);
    assert!(stderr.contains("too long to be sent again"), "{stderr}");
}

#[test]
fn a_reply_that_is_cut_off_is_none() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--retry", "--framing", "line"]);
    client.write("question\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "question\n");
    server.write_all(b"half an ans").unwrap();
    // Until it was read, since a reset takes away what was not.
    client.stderr.wait_for("the notice", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("begun a line")
            .then_some(())
    });
    reset(server);
    let mut server = accept(&listener);
    expect_bytes(&mut server, "question\n");
    server.write_all(b"answer\n").unwrap();
    let (stdout, _) = client.finish(0);
    assert_eq!(
        stdout,
        "Received from server: half an ans\nReceived from server: answer\n"
    );
}

#[test]
fn the_time_of_a_connection_is_no_time_without_one() {
    let port = free_port();
    let client = Piped::connect(port, &["--retry=1s"]);
    expect_trying(&client, "(try 2): ");
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let server = accept(&listener);
    drop(listener);
    // Longer than it would be tried.
    let start = std::time::Instant::now();
    server
        .set_read_timeout(Some(std::time::Duration::from_millis(1200)))
        .unwrap();
    let _ = (&server).read(&mut [0]);
    assert!(start.elapsed().as_millis() >= 1200);
    reset(server);
    expect_trying(&client, "connection reset by peer\n");
}

#[test]
fn what_was_typed_is_told_when_patience_ends() {
    let (listener, port) = raw_server();
    let client = Terminal::connect(port, &["--retry=300ms", "--no-history"]);
    let server = accept(&listener);
    drop(listener);
    client.expect_text(" ->");
    client.type_keys("half a line");
    client.expect_text("half a line");
    reset(server);
    client.expect_text("Not sent: half a line");
    client.finish(1);
}

/// Without turns nothing tells what has arrived, so nothing can be sent again.
/// With quiet for the end of a reply, a line may be sent though nothing has come for the one before.
#[test]
fn lines_before_the_last_that_a_reset_may_have_lost_are_told() {
    let (listener, port) = raw_server();
    let args = ["-q", "--retry", "-f", "line", "--reply-quiet", "50ms"];
    let mut client = Piped::connect(port, &args);
    client.write("one\ntwo\nthree\n");
    client.close_stdin();
    let server = accept(&listener);
    // They are there, and not read.
    wait_until("two lines", || {
        let count = server.peek(&mut [0; 8]).unwrap();
        (count == 8).then_some(())
    });
    reset(server);
    let mut server = accept(&listener);
    server.set_read_timeout(Some(common::DEADLINE)).unwrap();
    let mut rest = String::new();
    server.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("three\n") && !rest.contains("one"), "{rest}");
    drop(server);
    let (_, stderr) = client.finish(1);
    assert!(
        stderr.contains("may not have reached the server; it is not sent again.\n"),
        "{stderr}"
    );
}

#[test]
fn quiet_is_no_reply_of_a_server_that_closes_its_side() {
    let (listener, port) = raw_server();
    let args = ["-q", "--retry", "-f", "line", "--reply-quiet", "50ms"];
    let mut client = Piped::connect(port, &args);
    let server = accept(&listener);
    server.shutdown(std::net::Shutdown::Write).unwrap();
    client.write("one\ntwo\nthree\n");
    client.close_stdin();
    let (stdout, stderr) = client.finish(1);
    assert_eq!(stdout, "");
    assert!(stderr.contains("lines not sent"), "{stderr}");
    drop(server);
}

#[test]
fn what_a_script_may_have_lost_without_turns_is_told() {
    let (listener, port) = raw_server();
    let args = ["--duplex", "--quiet", "--retry", "--framing", "line"];
    let mut client = Piped::connect(port, &args);
    let server = accept(&listener);
    client.write("one\n");
    // It is there, and not read.
    wait_until("the line", || {
        let count = server.peek(&mut [0; 8]).unwrap();
        (count > 0).then_some(())
    });
    reset(server);
    let mut server = accept(&listener);
    client.write("two\n");
    client.close_stdin();
    expect_bytes(&mut server, "two\n");
    leave(server);
    let (_, stderr) = client.finish(1);
    assert_eq!(
        stderr,
        "Some of what was sent may not have reached the server; it is not sent again.\n"
    );
}
