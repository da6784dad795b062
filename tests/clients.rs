//! Many clients and one operator, in a pipe and at a terminal.

mod common;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use common::terminal::Terminal;
use common::{
    Gathered, Piped, echo, expect_bytes, expect_end, expect_reset, leave, program, raw_client,
    reset_when_dropped, signal, stop,
};
use nix::sys::signal::Signal;

/// Sends a message and waits for this answer.
#[track_caller]
fn exchange(client: &mut TcpStream, message: &str, answer: &str) {
    client.write_all(message.as_bytes()).unwrap();
    expect_bytes(client, answer);
}

/// Waits until the server has said so many times that a client has come.
fn expect_clients(server: &Piped, count: usize) {
    server.stderr.wait_for("the clients", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        (text.matches("Connection from: ").count() >= count).then_some(())
    });
}

#[test]
fn keep_open_serves_one_after_another_and_keeps_the_tutorials_words() {
    let (mut server, port) = Piped::serve(&["-k", "--backlog", "5"]);
    server.write("one\ntwo\nthree\n");
    let mut first = raw_client(port);
    // It is in the backlog until the first one has left.
    let mut second = raw_client(port);
    second.write_all(b"b").unwrap();
    exchange(&mut first, "a", "one");
    leave(first);
    expect_bytes(&mut second, "two");
    // By whatever way it leaves.
    common::reset_when_dropped(&second);
    drop(second);
    let mut third = raw_client(port);
    exchange(&mut third, "c", "three");
    leave(third);
    expect_clients(&server, 3);
    let mut fourth = raw_client(port);
    fourth.write_all(b"d").unwrap();
    server.expect(
        "Received from connected client: a\nReceived from connected client: b\n\
         Received from connected client: c\nReceived from connected client: d\n",
    );
    let (_, stderr) = server.finish(0);
    expect_end(&mut fourth);
    let notices: Vec<_> = stderr
        .lines()
        .filter(|line| !line.starts_with("Connection from: ") && !line.starts_with("Listening"))
        .collect();
    assert_eq!(
        notices,
        [
            "The client left.",
            "The connection to the client is lost: connection reset by peer.",
            "The client left."
        ]
    );
}

#[test]
fn clients_that_are_accepted_together_are_heard_in_the_order_in_which_they_came() {
    let (server, port) = Piped::serve(&["--max-clients", "9", "--backlog", "9"]);
    stop(server.id());
    let clients: Vec<_> = (1..=9)
        .map(|number| {
            let mut client = raw_client(port);
            client.write_all(number.to_string().as_bytes()).unwrap();
            client
        })
        .collect();
    signal(server.id(), Signal::SIGCONT);
    let shown = |number: u8| format!("Received from client #{number}: {number}\n");
    server.expect((1..=9).map(shown).collect::<String>());
    drop(clients);
}

#[test]
fn whoever_has_waited_longest_is_answered_first() {
    let (mut server, port) = Piped::serve(&["--max-clients", "3"]);
    let mut clients: Vec<_> = (1..=3)
        .map(|number| {
            let client = raw_client(port);
            expect_clients(&server, number);
            client
        })
        .collect();
    clients[1].write_all(b"I am second").unwrap();
    server.expect("Received from client #2: I am second\n");
    // These two wait while the second is asked for; the third has come first.
    clients[2].write_all(b"I am third").unwrap();
    server.write("to the second\n");
    expect_bytes(&mut clients[1], "to the second");
    server.expect("Received from client #2: I am second\nReceived from client #3: I am third\n");
    clients[0].write_all(b"I am first").unwrap();
    server.write("to the third\nto the first\n");
    expect_bytes(&mut clients[2], "to the third");
    expect_bytes(&mut clients[0], "to the first");
    // What a client says out of turn is for its next turn.
    clients[0].write_all(b"again").unwrap();
    let (stdout, stderr) = server.finish(0);
    assert!(stderr.contains(" (client #2)\n"), "{stderr}");
    assert!(
        stdout.ends_with("Received from client #1: I am first\nReceived from client #1: again\n"),
        "{stdout}"
    );
}

#[test]
fn a_long_message_is_shown_in_one_piece_whoever_speaks_meanwhile() {
    let (mut server, port) = Piped::serve(&["-m", "2"]);
    echo(&mut server);
    let mut slow = raw_client(port);
    let mut quick = raw_client(port);
    let long = "x".repeat(4500);
    for part in long.as_bytes().chunks(1500) {
        slow.write_all(part).unwrap();
        exchange(&mut quick, "quick", "quick");
    }
    expect_bytes(&mut slow, &long);
    let quick = "Received from client #2: quick\n".repeat(3);
    server.expect(format!("{quick}Received from client #1: {long}\n"));
}

/// What is too long to be kept is shown as it comes. A program answers each line.
#[test]
fn each_line_is_answered_to_its_client_also_where_a_message_is_cut() {
    let (mut server, port) = Piped::serve(&["-m", "2", "-f", "line"]);
    let mut long = raw_client(port);
    let mut other = raw_client(port);
    let text = "x".repeat(70_000);
    let (beginning, rest) = text.split_at(65_536);
    long.write_all(text.as_bytes()).unwrap();
    let mut shown = format!("Received from client #1: {beginning}");
    server.expect(&shown);
    other.write_all(b"hi\n").unwrap();
    shown += "\nReceived from client #2: hi\n";
    server.expect(&shown);
    server.write("to the beginning\nto the other\n");
    expect_bytes(&mut long, "to the beginning\n");
    expect_bytes(&mut other, "to the other\n");
    long.write_all(b"end\n").unwrap();
    server.expect(format!("{shown}Received from client #1: {rest}end\n"));
    server.write("to the end\n");
    expect_bytes(&mut long, "to the end\n");
}

#[test]
fn only_a_newline_ends_a_line_of_a_program() {
    let (mut server, port) = Piped::serve(&["-m", "2", "-f", "nul"]);
    let mut first = raw_client(port);
    let message = "a\rb\u{2028}c\r\nd\0";
    first.write_all(message.as_bytes()).unwrap();
    let shown = "Received from client #1: a b c\nd\n";
    server.expect(shown);
    server.write("to a, b, c\nto d\n");
    expect_bytes(&mut first, "to a, b, c\0to d\0");
    // Behind it, some shells take the newline for the rest of a character.
    first.write_all(b"e\xc3\0").unwrap();
    server.expect(format!("{shown}Received from client #1: e\u{fffd}\n"));
    server.write("to e\n");
    expect_bytes(&mut first, "to e\0");
}

/// What it has said before waits for answers of a program that gives none.
#[test]
fn one_that_is_gone_keeps_its_place_no_longer_than_it_may_be_idle() {
    let args = "-k -f line --idle-timeout 1s --linger 60s -b 9";
    let args: Vec<_> = args.split(' ').collect();
    // No read tells of the reset behind an end, or more than is read before it is answered.
    for (count, closes) in [(2, false), (2, true), (25_000, false)] {
        let (mut server, port) = Piped::serve(&args);
        let mut first = raw_client(port);
        first.write_all(&b"one\n".repeat(count)).unwrap();
        server.expect("Received from connected client: one\n");
        if closes {
            first.shutdown(Shutdown::Write).unwrap();
        }
        reset_when_dropped(&first);
        drop(first);
        let mut second = raw_client(port);
        second.write_all(b"hi\n").unwrap();
        server.expect("Received from connected client: one\nReceived from connected client: hi\n");
        server.write("to one\nto hi\n");
        expect_bytes(&mut second, "to hi\n");
    }
}

/// What is left of the message waits for an answer to its beginning.
#[test]
fn one_that_is_gone_within_a_message_that_was_cut_leaves_the_others_their_answers() {
    for (framing, end) in [("line", "\n"), ("nul", "\0")] {
        let args = ["-m", "3", "-f", framing, "--idle-timeout", "1s"];
        let (mut server, port) = Piped::serve(&args);
        let mut clients = [raw_client(port), raw_client(port)];
        let [first, second] = &mut clients;
        let beginning = "a".repeat(65_536);
        first
            .write_all((beginning.clone() + "rest").as_bytes())
            .unwrap();
        let mut shown = format!("Received from client #1: {beginning}");
        server.expect(&shown);
        second.write_all(format!("one{end}").as_bytes()).unwrap();
        shown += "\nReceived from client #2: one\n";
        server.expect(&shown);
        let [first, mut second] = clients;
        reset_when_dropped(&first);
        drop(first);
        // The last one has its place when it has lost it.
        let mut others = [raw_client(port), raw_client(port)];
        for (client, number) in others.iter_mut().zip(3..) {
            client.write_all(format!("two{end}").as_bytes()).unwrap();
            shown += &format!("Received from client #{number}: two\n");
            server.expect(&shown);
        }
        server.write("to the beginning\nto one\nto two\nto two\n");
        expect_bytes(&mut second, format!("to one{end}"));
        for client in &mut others {
            expect_bytes(client, format!("to two{end}"));
        }
    }
}

#[test]
fn each_line_of_a_message_is_answered() {
    let (mut server, port) = Piped::serve(&["-m", "2", "-f", "nul"]);
    let mut first = raw_client(port);
    first.write_all(b"one\ntwo\0").unwrap();
    server.expect("Received from client #1: one\ntwo\n");
    let mut second = raw_client(port);
    second.write_all(b"three\0").unwrap();
    server.write("1\n2\n3\n");
    expect_bytes(&mut first, "1\x002\0");
    expect_bytes(&mut second, "3\0");
}

#[test]
fn answers_to_those_who_are_gone_are_soon_given() {
    const LINES: usize = 60_000;
    let (mut server, port) = Piped::serve(&["-m", "2", "-f", "nul"]);
    for seen in 1..=2 {
        let mut client = raw_client(port);
        client.write_all(&vec![b'\n'; LINES]).unwrap();
        client.write_all(b"\0").unwrap();
        server.stdout.wait_for("the lines", |bytes| {
            (bytes.len() >= seen * LINES).then_some(())
        });
        leave(client);
    }
    let mut client = raw_client(port);
    client.write_all(b"hi\0").unwrap();
    server.stdout.wait_for("the message", |bytes| {
        bytes.ends_with(b"hi\n").then_some(())
    });
    server.write("to nobody\n".repeat(2 * LINES) + "for you\n");
    expect_bytes(&mut client, "for you\0");
}

/// The program takes no more while its answers are not read, and these are for all.
#[test]
fn a_client_that_is_lost_while_nothing_can_be_shown_holds_up_nobody() {
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    command.args("serve --port 0 --duplex -m 2 -f line".split(' '));
    let mut server = Piped::spawn_with(command, stdout.into());
    let mut stdin = server.take_stdin();
    std::thread::spawn(move || std::io::copy(&mut shown, &mut stdin));
    let mut flood = raw_client(server.port());
    let mut other = raw_client(server.port());
    expect_clients(&server, 2);
    let seen = Gathered::from(other.try_clone().unwrap());
    flood
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    while flood
        .write_all(b"It reads nothing of all that comes.\n")
        .is_ok()
    {}
    reset_when_dropped(&flood);
    drop(flood);
    other.write_all(b"ping\n").unwrap();
    seen.wait_for_long("ping", |bytes| {
        memchr::memmem::find(bytes, b": ping\n").map(|_| ())
    });
}

/// What the program writes does not fit where it goes, and what it is to read neither.
#[test]
fn long_messages_and_long_answers_do_not_wait_for_each_other() {
    let (shown, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    command.args("serve --port 0 -m 2 -f line".split(' '));
    let mut server = Piped::spawn_with(command, stdout.into());
    let mut stdin = server.take_stdin();
    std::thread::spawn(move || {
        let mut shown = BufReader::new(shown);
        let mut line = String::new();
        while shown.read_line(&mut line).is_ok_and(|count| count > 0) {
            if stdin.write_all(line.as_bytes()).is_err() {
                return;
            }
            line.clear();
        }
    });
    let port = server.port();
    let talking = ["a", "b"].map(|text| {
        let mut client = raw_client(port);
        let line = text.repeat(1_000_000) + "\n";
        std::thread::spawn(move || {
            client.write_all(line.as_bytes()).unwrap();
            // Its beginning is that of the label.
            let mut answer = vec![0; line.len()];
            client.read_exact(&mut answer).unwrap();
        })
    });
    for client in talking {
        client.join().unwrap();
    }
}

/// A notice is not for the program that reads the messages.
#[test]
fn a_notice_does_not_cut_a_line_of_a_program() {
    let (server, port) = Piped::serve(&["-m", "2", "-f", "line"]);
    let mut first = raw_client(port);
    let text = "x".repeat(65_536);
    first.write_all(text.as_bytes()).unwrap();
    server.expect(format!("Received from client #1: {text}"));
    let _second = raw_client(port);
    expect_clients(&server, 2);
    first.write_all(b"end\n").unwrap();
    server.expect(format!("Received from client #1: {text}end\n"));
}

#[test]
fn bye_ends_one_conversation_and_the_next_is_asked_for() {
    let (mut server, port) = Piped::serve(&["-m", "2"]);
    server.write("bye\nhello\n");
    let mut first = raw_client(port);
    first.write_all(b"one").unwrap();
    expect_end(&mut first);
    let mut second = raw_client(port);
    exchange(&mut second, "two", "hello");
    assert!(!server.exits_within(std::time::Duration::ZERO));
}

#[test]
fn more_than_the_most_are_left_in_the_backlog_until_there_is_a_place() {
    let (mut server, port) = Piped::serve(&["-m", "2", "--backlog", "5"]);
    server.write("a\nb\nc\n");
    let mut first = raw_client(port);
    let mut second = raw_client(port);
    expect_clients(&server, 2);
    let mut third = raw_client(port);
    third.write_all(b"3").unwrap();
    exchange(&mut first, "1", "a");
    exchange(&mut second, "2", "b");
    let so_far = server
        .stderr
        .wait_for("stderr", |bytes| Some(bytes.to_vec()));
    assert!(!String::from_utf8_lossy(&so_far).contains("(client #3)"));
    leave(first);
    expect_bytes(&mut third, "c");
    server
        .stderr
        .wait_for("the third after the first", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let (_, rest) = text.split_once("Client #1 left.\n")?;
            rest.contains("(client #3)").then_some(())
        });
}

#[test]
fn a_client_that_says_nothing_is_let_go() {
    for args in [
        &["--idle-timeout", "100ms"][..],
        &["-k", "--idle-timeout", "100ms"],
    ] {
        let (server, port) = Piped::serve(args);
        let mut idle = raw_client(port);
        expect_end(&mut idle);
        let told = "The client said nothing for 100ms, and was let go.\n";
        server.stderr.wait_for(told, |bytes| {
            let text = String::from_utf8_lossy(bytes);
            text.contains(told).then_some(())
        });
        if args.len() == 2 {
            // Where only one client is served, that was it.
            server.finish(0);
        }
    }
    // Who waits for our answer may be as silent as that takes.
    let (mut server, port) = Piped::serve(&["-m", "2", "--idle-timeout", "300ms"]);
    let mut patient = raw_client(port);
    let mut idle = raw_client(port);
    patient.write_all(b"hello").unwrap();
    expect_end(&mut idle);
    server.write("at last\n");
    expect_bytes(&mut patient, "at last");
}

#[test]
fn a_client_that_does_not_read_is_given_up_and_the_others_are_answered() {
    let (mut server, port) = Piped::serve(&["-m", "3"]);
    let mut deaf = raw_client(port);
    deaf.write_all(b"tell me much").unwrap();
    server.expect("Received from client #1: tell me much\n");
    let mut stdin = server.take_stdin();
    let writer = std::thread::spawn(move || {
        // More than the buffers of both ends take.
        stdin.write_all(&vec![b'x'; 64 << 20]).unwrap();
        stdin.write_all(b"\nanswer\n").unwrap();
        stdin
    });
    let mut other = raw_client(port);
    // The system may take a little more each time.
    let long = Some(common::DEADLINE * 2);
    other.set_read_timeout(long).unwrap();
    exchange(&mut other, "hello", "answer");
    let told = "Client #1 did not take what it was sent for 10s, and was let go.\n\
                Some of what was sent may not have reached client #1; it is not sent again.\n";
    server.stderr.wait_for(told, |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains(told).then_some(())
    });
    let _stdin = writer.join().unwrap();
    #[cfg(target_os = "linux")]
    assert!(
        server.peak_memory() < common::SMALL,
        "{}",
        server.peak_memory()
    );
}

#[test]
fn hostile_clients_delay_nobody() {
    let (mut server, port) = Piped::serve(&["-m", "9", "--framing", "line"]);
    echo(&mut server);
    // It floods and does not read.
    let mut flood = raw_client(port);
    let flooding = flood.try_clone().unwrap();
    std::thread::spawn(move || {
        let lines = "flood\n".repeat(10_000);
        while flood.write_all(lines.as_bytes()).is_ok() {}
    });
    // It stops in the middle of a character.
    let mut half = raw_client(port);
    half.write_all(b"half a \xc3").unwrap();
    // It says nothing.
    let _silent = raw_client(port);
    // It dribbles a line without end.
    let mut endless = raw_client(port);
    std::thread::spawn(move || {
        for _ in 0..60_000 {
            endless.write_all(b"x").unwrap();
        }
        // Until it is let go.
        let _ = endless.read(&mut [0]);
    });
    // It resets.
    let reset = raw_client(port);
    common::reset_when_dropped(&reset);
    drop(reset);
    let mut good: Vec<_> = (0..3).map(|_| raw_client(port)).collect();
    for round in 0..50 {
        for (index, client) in good.iter_mut().enumerate() {
            let line = format!("{index} says {round}\n");
            exchange(client, &line, &line);
        }
    }
    #[cfg(target_os = "linux")]
    assert!(
        server.peak_memory() < common::SMALL,
        "{}",
        server.peak_memory()
    );
    flooding.shutdown(std::net::Shutdown::Both).unwrap();
}

#[test]
#[cfg(target_os = "linux")]
fn a_thousand_clients_get_their_own_replies() {
    const CLIENTS: usize = 1000;
    common::allow_descriptors(4096);
    // The limit that the server starts with is too low for them, and is raised by it.
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -S -n 256; exec \"$0\" serve -p 0 -m 1000 -b 1000",
        program(),
    ]);
    let mut server = Piped::spawn(command);
    let port = server.port();
    let before = server.peak_memory();
    echo(&mut server);
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| raw_client(port)).collect();
    for round in 0..10 {
        for (index, client) in clients.iter_mut().enumerate() {
            let message = format!("client {index}, round {round}");
            client.write_all(message.as_bytes()).unwrap();
        }
        for (index, client) in clients.iter_mut().enumerate() {
            expect_bytes(client, format!("client {index}, round {round}"));
        }
    }
    let each = (server.peak_memory() - before) / CLIENTS as u64;
    assert!(each < 64 * 1024, "{each} bytes a client");
}

#[test]
fn at_the_limit_of_descriptors_the_server_says_so_once_and_goes_on() {
    let mut command = Command::new("sh");
    command.args([
        "-c",
        "ulimit -n 66; exec \"$0\" serve -p 0 -m 100 -b 100",
        program(),
    ]);
    let mut server = Piped::spawn(command);
    let port = server.port();
    echo(&mut server);
    let mut clients: Vec<_> = (0..4).map(|_| raw_client(port)).collect();
    // There is room for two.
    for client in &mut clients[..2] {
        exchange(client, "hello", "hello");
    }
    for client in &mut clients[2..] {
        client.write_all(b"hello too").unwrap();
    }
    leave(clients.remove(0));
    leave(clients.remove(0));
    for client in &mut clients {
        expect_bytes(client, "hello too");
    }
    drop(clients);
    signal(server.id(), Signal::SIGTERM);
    server.exit();
    let (_, stderr) = server.finish_any();
    let told = "Others have to wait: too many open files (see `ulimit -n`)\n";
    assert_eq!(stderr.matches(told).count(), 1, "{stderr}");
}

#[test]
fn whoever_ends_the_server_ends_every_conversation_in_order_or_not() {
    let (server, port) = Piped::serve(&["-m", "3"]);
    let mut clients: Vec<_> = (0..2).map(|_| raw_client(port)).collect();
    expect_clients(&server, 2);
    signal(server.id(), Signal::SIGKILL);
    for client in &mut clients {
        expect_reset(client);
    }

    for keys in ["\x04", "\x03"] {
        let (terminal, port) = Terminal::serve(&["-m", "3"]);
        let mut clients: Vec<_> = (0..2).map(|_| raw_client(port)).collect();
        clients[1].write_all(b"hello").unwrap();
        terminal.expect_text(" #2     ->");
        terminal.expect_text("(client #1)");
        terminal.type_keys(keys);
        for client in &mut clients {
            let mut rest = Vec::new();
            client.read_to_end(&mut rest).unwrap();
            assert_eq!(rest, b"");
        }
        terminal.finish(if keys == "\x04" { 0 } else { 130 });
    }
}

/// A server at a terminal with so many clients that have come in order.
fn operator(count: usize) -> (Terminal, u16, Vec<TcpStream>) {
    let (terminal, port) = Terminal::serve(&["-m", "4", "--color", "never", "--no-history"]);
    let clients = (1..=count)
        .map(|number| {
            let client = raw_client(port);
            terminal.expect_text(&format!("(client #{number})"));
            client
        })
        .collect();
    (terminal, port, clients)
}

#[test]
fn the_operators_line_is_never_torn_by_news_of_others() {
    let (terminal, port, mut clients) = operator(2);
    terminal.expect_text("(client #2)\n <-");
    clients[0].write_all(b"hello").unwrap();
    terminal.expect(&["Received from client #1: hello", " #1     ->"]);
    terminal.type_keys("half a \u{fc}");
    terminal.expect(&[" #1     -> half a \u{fc}"]);
    // Another speaks, and the prompt tells that it waits.
    clients[1].write_all(b"me too").unwrap();
    terminal.expect(&[
        "Received from client #1: hello",
        "Received from client #2: me too",
        " #1 +1  -> half a \u{fc}",
    ]);
    // Another comes.
    let third = raw_client(port);
    let from = third.local_addr().unwrap();
    terminal.expect(&[
        "Received from client #2: me too",
        &format!("Connection from: {from} (client #3)"),
        " #1 +1  -> half a \u{fc}",
    ]);
    // One leaves that was waiting.
    leave(clients.remove(1));
    terminal.expect(&[
        &format!("Connection from: {from} (client #3)"),
        "Client #2 left.",
        " #1     -> half a \u{fc}",
    ]);
    // One leaves that had nothing to say.
    leave(third);
    terminal.expect(&[
        "Client #2 left.",
        "Client #3 left.",
        " #1     -> half a \u{fc}",
    ]);
    terminal.type_keys("\x02very \r");
    expect_bytes(&mut clients[0], "half a very \u{fc}");
    terminal.expect(&[" #1     -> half a very \u{fc}", " <-"]);
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn a_client_that_leaves_while_it_is_answered_ends_that_prompt_alone() {
    let (terminal, _port, mut clients) = operator(2);
    clients[0].write_all(b"one").unwrap();
    terminal.expect_text(" #1     ->");
    clients[1].write_all(b"two").unwrap();
    terminal.expect_text(" #1 +1  ->");
    terminal.type_keys("for the first");
    terminal.expect_text("for the first");
    leave(clients.remove(0));
    // What was typed stays, and the prompt names whom it would answer now.
    terminal.expect(&[
        "Received from client #1: one",
        "Received from client #2: two",
        "Client #1 left.",
        " #2     -> for the first",
    ]);
    terminal.type_keys("\x03bye\r");
    expect_end(&mut clients[0]);
    terminal.expect(&[
        " #2     -> bye",
        "The conversation with client #2 has ended.",
        " <-",
    ]);
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn what_comes_late_of_one_of_many_says_whose_it_is() {
    let (terminal, _port, mut clients) = operator(1);
    clients[0].write_all(b"one").unwrap();
    terminal.expect_text(" #1     ->");
    terminal.type_keys("half");
    terminal.expect_text("half");
    clients[0].write_all(b"and more").unwrap();
    terminal.expect(&[
        "Received from client #1: one",
        "Received from client #1 (out of turn): and more",
        " #1     -> half",
    ]);
}

#[test]
fn what_comes_late_of_two_does_not_mix() {
    let (terminal, _port, mut clients) = operator(2);
    for client in &mut clients {
        client.write_all(b"hello").unwrap();
    }
    terminal.expect_text("client #1: hello");
    terminal.expect_text("client #2: hello");
    // Each goes on within the time after which the other's text would have ended.
    for _ in 0..3 {
        for (client, text) in clients.iter_mut().zip(["a", "b"]) {
            client.write_all(text.repeat(1030).as_bytes()).unwrap();
            let row = text.repeat(40);
            terminal.expect_screen(text, |screen| {
                let above_the_prompt = screen.lines().rev().nth(1);
                above_the_prompt.is_some_and(|above| above.ends_with(&row))
            });
        }
    }
    clients[0].write_all(b"END").unwrap();
    terminal.expect_text("END");
    for row in terminal.screen().lines() {
        let row = row.trim_start();
        let has = |letter: &str| row.contains(&letter.repeat(4));
        assert!(!(has("a") && has("b")), "{row}");
    }
}

#[test]
fn a_prompt_with_many_open_descriptors_is_a_prompt() {
    // rustyline waits by select(2), which takes no descriptor from 1024 on.
    common::allow_descriptors(4096);
    let (terminal, port) = Terminal::serve(&["-m", "1500", "-b", "1500", "--no-history"]);
    let mut clients: Vec<_> = (0..1200).map(|_| raw_client(port)).collect();
    terminal.expect_text("(client #1200)");
    clients[1199].write_all(b"hello").unwrap();
    terminal.expect_text(" #1200     ->");
    terminal.type_keys("hi\r");
    expect_bytes(&mut clients[1199], "hi");
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
#[ignore = "needs python3"]
fn scripts_of_the_tutorials_kind_are_clients_among_others() {
    let (mut server, port) = Piped::serve(&["-m", "3"]);
    echo(&mut server);
    let scripts: Vec<_> = (0..3)
        .map(|index| {
            let mut command = Command::new("python3");
            command
                .args(["tests/peers/client.py", &port.to_string()])
                .env("PYTHONIOENCODING", "utf-8");
            let mut script = Piped::spawn_with(command, Stdio::piped());
            for turn in 0..10 {
                script.write(format!("gr\u{fc}ezi {index} {turn}\n"));
            }
            script.write("bye\n");
            script
        })
        .collect();
    for (index, script) in scripts.into_iter().enumerate() {
        let (stdout, _) = script.finish(0);
        for turn in 0..10 {
            let reply = format!("Received from server: gr\u{fc}ezi {index} {turn}\n");
            assert!(stdout.contains(&reply), "{stdout}");
        }
    }
}

#[test]
fn a_client_that_goes_on_talking_in_our_turn_is_answered_each_time() {
    // Without an end mark, a program takes what it says then for another message.
    let (mut server, port) = Piped::serve(&["-m", "2"]);
    let mut flood = raw_client(port);
    flood.write_all(b"hello").unwrap();
    let mut shown = "Received from client #1: hello\n".to_owned();
    server.expect(&shown);
    let flooding = flood.try_clone().unwrap();
    std::thread::spawn(move || while flood.write_all(&[b'x'; 1000]).is_ok() {});
    let mut other = raw_client(port);
    other.write_all(b"hi").unwrap();
    shown += "Received from client #2: hi\n";
    server.expect(&shown);
    server.write("to the flood\nto the other\n");
    expect_bytes(&mut other, "to the other");
    flooding.shutdown(std::net::Shutdown::Both).unwrap();
}

#[test]
fn a_text_that_comes_late_is_for_the_next_turn_of_its_client() {
    let (mut server, port) = Piped::serve(&["-m", "2"]);
    let mut client = raw_client(port);
    client.write_all(b"hello").unwrap();
    let mut shown = "Received from client #1: hello\n".to_owned();
    server.expect(&shown);
    let late = "x".repeat(2000);
    client.write_all(late.as_bytes()).unwrap();
    let mut other = raw_client(port);
    other.write_all(b"and I").unwrap();
    shown += "Received from client #2: and I\n";
    server.expect(&shown);
    server.write("1\n2\n");
    expect_bytes(&mut client, "1");
    expect_bytes(&mut other, "2");
    server.expect(format!("{shown}Received from client #1: {late}\n"));
    server.write("3\n");
    expect_bytes(&mut client, "3");
}

#[test]
fn a_long_text_that_comes_late_of_one_that_has_left_is_one_message() {
    let (mut server, port) = Piped::serve(&["-m", "2", "--linger", "100ms"]);
    let mut gone = raw_client(port);
    gone.write_all(b"hi").unwrap();
    let mut shown = "Received from client #1: hi\n".to_owned();
    server.expect(&shown);
    let late = "x".repeat(70_000);
    gone.write_all(late.as_bytes()).unwrap();
    gone.shutdown(std::net::Shutdown::Write).unwrap();
    let mut other = raw_client(port);
    other.write_all(b"hello").unwrap();
    shown += "Received from client #2: hello\n";
    server.expect(&shown);
    assert!(!server.exits_within(std::time::Duration::from_millis(300)));
    server.write("1\n2\n");
    expect_bytes(&mut other, "2");
    shown += &format!("Received from client #1: {late}\n");
    server.expect(&shown);
    other.write_all(b"again").unwrap();
    shown += "Received from client #2: again\n";
    server.expect(&shown);
    server.write("3\n4\n");
    expect_bytes(&mut other, "4");
}

#[test]
#[cfg(target_os = "linux")]
fn one_that_has_closed_its_side_takes_no_processor_time() {
    let args = "-m 2 --duplex --idle-timeout 1s --linger 60s".split(' ');
    let (server, port) = Piped::serve(&args.collect::<Vec<_>>());
    let mut client = raw_client(port);
    client.shutdown(std::net::Shutdown::Write).unwrap();
    // It is let go as one that says nothing.
    expect_end(&mut client);
    let spent = server.processor_time();
    assert!(spent < std::time::Duration::from_millis(500), "{spent:?}");
}

#[test]
fn no_answer_goes_to_the_next_who_takes_the_only_place() {
    for args in [["-k", "-f", "nul"], ["-m1", "-f", "nul"]] {
        let (mut server, port) = Piped::serve(&args);
        let mut first = raw_client(port);
        first.write_all(b"one\ntwo\0").unwrap();
        server.expect("Received from connected client: one\ntwo\n");
        server.write("1\n");
        expect_bytes(&mut first, "1\0");
        leave(first);
        let mut second = raw_client(port);
        second.write_all(b"three\0").unwrap();
        server.stdout.wait_for("the next", |bytes| {
            bytes.ends_with(b": three\n").then_some(())
        });
        server.write("2\n3\n");
        expect_bytes(&mut second, "3\0");
    }
}

#[test]
fn a_client_that_does_not_read_is_let_go_for_the_next() {
    let folder = common::home();
    let answers = folder.path().join("answers");
    let long = "x".repeat(8_000_000);
    std::fs::write(&answers, format!("first\n{long}\nhello\n")).unwrap();
    // All of them are there at once.
    let mut command = Command::new("sh");
    let script = "exec \"$0\" serve --port 0 -k -f line < \"$1\"";
    command.args(["-c", script, program(), answers.to_str().unwrap()]);
    let server = Piped::spawn(command);
    let port = server.port();
    let mut deaf = raw_client(port);
    deaf.write_all(b"hi\n").unwrap();
    expect_bytes(&mut deaf, "first\n");
    // What it has said beside would be answered with what is for others.
    deaf.write_all(b"hi\nhi\nhi\n").unwrap();
    let mut other = raw_client(port);
    other.write_all(b"hi\n").unwrap();
    expect_bytes(&mut other, "hello\n");
}

#[test]
fn what_a_client_has_said_before_it_breaks_is_answered_by_nobody_elses_answer() {
    let (mut server, port) = Piped::serve(&["-m", "2"]);
    let mut first = raw_client(port);
    first.write_all(b"much?").unwrap();
    server.expect("Received from client #1: much?\n");
    let mut stdin = server.take_stdin();
    let written = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&written);
    let writing = std::thread::spawn(move || {
        for _ in 0..8000 {
            stdin.write_all(&[b'x'; 1000]).unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
        stdin.write_all(b"\n").unwrap();
        stdin
    });
    // It reads nothing.
    common::wait_until("a full way", || {
        let before = written.load(Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(200));
        (before > 0 && before == written.load(Ordering::SeqCst)).then_some(())
    });
    // It is kept for the next turn.
    first.write_all(b"more").unwrap();
    reset_when_dropped(&first);
    drop(first);
    let mut stdin = writing.join().unwrap();
    let shown = "Received from client #1: much?\nReceived from client #1: more\n";
    server.expect(shown);
    let mut second = raw_client(port);
    second.write_all(b"hi").unwrap();
    server.expect(format!("{shown}Received from client #2: hi\n"));
    stdin.write_all(b"to nobody\nhello\n").unwrap();
    expect_bytes(&mut second, "hello");
}

/// A program would answer it, and so the next client.
#[test]
fn a_message_that_was_cut_has_no_other_end() {
    let (mut server, port) = Piped::serve(&["-m", "2"]);
    let mut first = raw_client(port);
    let long = "x".repeat(64 * 1024);
    first.write_all(long.as_bytes()).unwrap();
    let shown = format!("Received from client #1: {long}");
    server.expect(&shown);
    let mut second = raw_client(port);
    second.write_all(b"hi").unwrap();
    let shown = format!("{shown}\nReceived from client #2: hi\n");
    server.expect(&shown);
    reset_when_dropped(&first);
    drop(first);
    let told = "The connection to client #1 is lost: connection reset by peer.\n";
    server
        .stderr
        .wait_for(told, |bytes| bytes.ends_with(told.as_bytes()).then_some(()));
    server.write("1\n2\n");
    expect_bytes(&mut second, "2");
    server.close_stdin();
    second.write_all(b"end").unwrap();
    expect_end(&mut second);
    drop(second);
    // An answer was lost.
    let (stdout, _) = server.finish(1);
    assert_eq!(stdout, shown + "Received from client #2: end\n");
}

/// Without `--framing` it cannot be sent, but the next answer is for the next client all the same.
#[test]
fn an_empty_answer_of_a_program_is_one() {
    let (mut server, port) = Piped::serve(&["-m", "2"]);
    let shown = server.stdout.clone();
    let expect = |text: &str| {
        let ends = |bytes: &[u8]| bytes.ends_with(text.as_bytes()).then_some(());
        shown.wait_for(text, ends);
    };
    let mut first = raw_client(port);
    first.write_all(b"\n").unwrap();
    expect("client #1: \n");
    let mut second = raw_client(port);
    for (text, line, answer) in [("one", "\n1\n", "1"), ("two", "2\n", "2")] {
        second.write_all(text.as_bytes()).unwrap();
        expect(&format!("client #2: {text}\n"));
        server.write(line);
        expect_bytes(&mut second, answer);
    }
    first.write_all(b"three").unwrap();
    expect("client #1: three\n");
    server.write("3\n");
    expect_bytes(&mut first, "3");

    // It has the turn.
    let (mut server, port) = Piped::serve(&["-k", "--idle-timeout", "500ms"]);
    let mut client = raw_client(port);
    client.write_all(b"\n").unwrap();
    server.expect("Received from connected client: \n");
    server.write("\n");
    expect_end(&mut client);
}

#[test]
fn what_comes_after_the_end_of_the_input_is_shown_as_it_comes() {
    let (mut server, port) = Piped::serve(&["-m", "2", "--linger", "60s"]);
    let mut client = raw_client(port);
    client.write_all(b"hi").unwrap();
    server.expect("Received from client #1: hi\n");
    server.close_stdin();
    expect_end(&mut client);
    client.write_all(&[b'x'; 3000]).unwrap();
    server.stdout.wait_for("it", |bytes| {
        bytes
            .windows(3000)
            .any(|bytes| bytes == [b'x'; 3000])
            .then_some(())
    });
}

#[test]
fn the_end_of_input_ends_a_server_that_is_flooded() {
    let (mut server, port) = Piped::serve(&["-m", "2", "--framing", "line"]);
    let mut flood = raw_client(port);
    let flooding = flood.try_clone().unwrap();
    std::thread::spawn(move || while flood.write_all(&b"hello\n".repeat(100)).is_ok() {});
    server.expect("Received from client #1: hello\n");
    server.close_stdin();
    assert_eq!(server.exit().code(), Some(0));
    let _ = flooding.shutdown(std::net::Shutdown::Both);
}

#[test]
fn an_answer_is_for_whose_message_it_answers_even_if_that_one_is_gone() {
    let (mut server, port) = Piped::serve(&["-m", "3"]);
    let mut first = raw_client(port);
    expect_clients(&server, 1);
    let mut second = raw_client(port);
    expect_clients(&server, 2);
    let mut third = raw_client(port);
    first.write_all(b"one").unwrap();
    server.expect("Received from client #1: one\n");
    // The second waits while the first is asked for, and leaves; then so does the first.
    second.write_all(b"two").unwrap();
    leave(second);
    server.expect("Received from client #1: one\nReceived from client #2: two\n");
    leave(first);
    third.write_all(b"three").unwrap();
    server.expect(
        "Received from client #1: one\nReceived from client #2: two\n\
         Received from client #3: three\n",
    );
    server.write("to the first\nto the second\nto the third\n");
    expect_bytes(&mut third, "to the third");
    // A server learns that its input has ended when it has to answer.
    third.write_all(b"more").unwrap();
    // What a program says and nobody gets is lost.
    let (_, stderr) = server.finish(1);
    assert!(
        stderr.contains("Not sent: to the first\nNot sent: to the second\n"),
        "{stderr}"
    );
}

#[test]
fn what_the_departed_had_said_comes_a_message_at_a_time() {
    const FLOODS: usize = 30;
    let (mut server, port) = Piped::serve(&["-m", "99", "-b", "99", "-f", "line"]);
    for number in 0..FLOODS {
        let mut flood = raw_client(port);
        flood.write_all(&b"x\n".repeat(500)).unwrap();
        match number % 3 {
            0 => reset_when_dropped(&flood),
            1 => flood.shutdown(Shutdown::Write).unwrap(),
            _ => {}
        }
    }
    let mut client = raw_client(port);
    let mut answered = 0;
    for turn in 0..5 {
        let said = format!("turn {turn}");
        client.write_all(format!("{said}\n").as_bytes()).unwrap();
        // How many messages were shown before: at most one of each, since nobody was answered.
        let count = server.stdout.wait_for(&said, |bytes| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            let whole = text.rsplit_once('\n')?.0;
            whole.lines().position(|line| line.ends_with(&said))
        });
        assert!(
            (answered..=answered + FLOODS).contains(&count),
            "{count} before {said}, {answered} answered"
        );
        for number in answered..=count {
            server.write(format!("{number}\n"));
        }
        expect_bytes(&mut client, format!("{count}\n"));
        answered = count + 1;
    }
}

#[test]
fn a_message_that_a_reset_has_cut_off_takes_nobody_elses_answer() {
    let (mut server, port) = Piped::serve(&["-m", "2", "-f", "line"]);
    let mut cut = raw_client(port);
    cut.write_all(b"half").unwrap();
    expect_clients(&server, 1);
    reset_when_dropped(&cut);
    drop(cut);
    // A program sees a line, and answers it.
    server.expect("Received from client #1: half\n");
    let mut client = raw_client(port);
    client.write_all(b"whole\n").unwrap();
    server.expect("Received from client #1: half\nReceived from client #2: whole\n");
    server.write("to half\nto whole\n");
    expect_bytes(&mut client, "to whole\n");
    drop(client);
    server.stderr.wait_for("the loss", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("Not sent: to half\n")
            .then_some(())
    });
}

#[test]
fn a_long_answer_to_one_that_has_left_frees_its_place_all_the_same() {
    for resets in [true, false] {
        let (mut server, port) = Piped::serve(&["-m", "2", "-f", "line"]);
        let mut stays = raw_client(port);
        stays.write_all(b"hello\n").unwrap();
        server.expect("Received from client #1: hello\n");
        server.write("hi\n");
        let mut gone = raw_client(port);
        expect_clients(&server, 2);
        gone.write_all(b"one\ntwo\n").unwrap();
        if resets {
            reset_when_dropped(&gone);
        }
        drop(gone);
        let one = "Received from client #1: hello\nReceived from client #2: one\n";
        server.expect(one);
        // It is sent in several parts.
        server.write("x".repeat(200_000) + "\n");
        server.expect(format!("{one}Received from client #2: two\n"));
        server.write("2\n");
        let mut next = raw_client(port);
        next.write_all(b"hello\n").unwrap();
        server.write("welcome\n");
        expect_bytes(&mut next, "welcome\n");
    }
}

#[test]
fn a_half_line_of_a_client_that_is_let_go_is_shown() {
    let (server, port) = Piped::serve(&["-m", "2", "-f", "line", "--idle-timeout", "200ms"]);
    let start = Instant::now();
    let mut idle = raw_client(port);
    idle.write_all(b"half a line").unwrap();
    server.expect("Received from client #1: half a line\n");
    expect_end(&mut idle);
    // Who has begun a message has more time for its end.
    assert!(start.elapsed() >= Duration::from_secs(2));
}

#[test]
fn with_json_a_client_is_told_why_it_is_let_go() {
    for args in [&["--name", "anna"][..], &["--name", "anna", "-m", "2"]] {
        let options = ["-f", "json", "--idle-timeout", "200ms"];
        let (_server, port) = Piped::serve(&[&options, args].concat());
        let mut idle = raw_client(port);
        let mut told = String::new();
        idle.read_to_string(&mut told).unwrap();
        assert_eq!(
            told,
            "{\"name\":\"anna\",\"text\":\"You said nothing for 200ms, and are let go.\"}\n"
        );
    }
}

#[test]
fn the_last_answer_arrives_whole_when_the_input_ends_with_it() {
    let (mut server, port) = Piped::serve(&["-m", "2", "-f", "line"]);
    let mut slow = raw_client(port);
    slow.write_all(b"tell me much\n").unwrap();
    server.expect("Received from client #1: tell me much\n");
    // It is asked for while the end of the answer is still on its way.
    let mut other = raw_client(port);
    other.write_all(b"hello\n").unwrap();
    let answer = "y".repeat(8 << 20) + "\n";
    let mut stdin = server.take_stdin();
    let input = answer.clone();
    std::thread::spawn(move || stdin.write_all(input.as_bytes()).unwrap());
    let mut got = Vec::new();
    slow.read_to_end(&mut got).unwrap();
    assert!(got == answer.as_bytes(), "{} bytes", got.len());
    server.finish(0);
}
