//! The commands at the prompt: see who is there, choose, answer all, send away.

mod common;

use std::io::Write as _;
use std::net::TcpStream;

use common::terminal::Terminal;
use common::{Piped, expect_bytes, expect_end, raw_client};

/// An operator with clients who have each said their number, and wait.
#[track_caller]
fn operator(args: &[&str], count: usize) -> (Terminal, u16, Vec<TcpStream>) {
    let (terminal, port) = Terminal::serve(&[&["-m", "9", "-f", "line"], args].concat());
    let clients = (1..=count).map(|number| {
        let mut client = raw_client(port);
        terminal.expect_text(&format!("(client #{number})"));
        client.write_all(format!("{number}\n").as_bytes()).unwrap();
        terminal.expect_text(&format!("Received from client #{number}: {number}"));
        client
    });
    let clients = clients.collect();
    (terminal, port, clients)
}

/// What JSON a client called `name` sends for `text`.
fn json(name: &str, text: &str) -> String {
    serde_json::json!({"name": name, "text": text}).to_string() + "\n"
}

#[test]
fn the_next_line_goes_to_the_client_that_was_chosen() {
    let (terminal, _, mut clients) = operator(&[], 3);
    terminal.expect(&[" #1 +2  ->"]);
    terminal.type_keys("/to 3\r");
    terminal.expect(&[" #1 +2  -> /to 3", " #3 +2  ->"]);
    terminal.type_keys("three\r");
    expect_bytes(&mut clients[2], "three\n");
    terminal.expect(&[" #1 +1  ->"]);
    terminal.type_keys("/to #3\r");
    terminal.expect(&["It is client #3's turn.", " #1 +1  ->"]);
    terminal.type_keys("/to 7\r");
    terminal.expect(&["There is no client #7.", " #1 +1  ->"]);
    terminal.type_keys("/skip\r");
    terminal.expect(&[" #1 +1  -> /skip", " #2 +1  ->"]);
    terminal.type_keys("two\r");
    expect_bytes(&mut clients[1], "two\n");
    terminal.expect(&[" #1     ->"]);
    terminal.type_keys("/skip\r");
    terminal.expect(&["Nobody else waits.", " #1     ->"]);
    terminal.type_keys("one\r");
    expect_bytes(&mut clients[0], "one\n");
    terminal.expect(&[" <-"]);
    terminal.type_keys("\x04");
    for mut client in clients {
        expect_end(&mut client);
    }
    terminal.finish(0);
}

#[test]
fn all_who_wait_are_answered_at_once() {
    let (terminal, port, mut clients) = operator(&[], 3);
    let mut silent = raw_client(port);
    terminal.expect_text("(client #4)");
    terminal.type_keys("/to 2\r");
    terminal.expect(&[" #2 +2  ->"]);
    terminal.type_keys("/all  good  day\r");
    for client in &mut clients {
        expect_bytes(client, "good  day\n");
    }
    terminal.expect(&[" #2 +2  -> /all  good  day", " <-"]);
    terminal.type_keys("/all again\r");
    terminal.expect(&["Nobody waits for an answer.", " <-"]);
    silent.write_all(b"me\n").unwrap();
    terminal.expect(&["Received from client #4: me", " #4     ->"]);
    terminal.type_keys("you\r");
    expect_bytes(&mut silent, "you\n");
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn without_turns_anybody_can_be_chosen_and_all_are_told() {
    let (terminal, port) = Terminal::serve(&["-m", "9", "-f", "line", "--duplex"]);
    let mut clients: Vec<_> = (1..=3)
        .map(|number| {
            let client = raw_client(port);
            terminal.expect_text(&format!("(client #{number})"));
            client
        })
        .collect();
    terminal.type_keys("/to 2\r");
    terminal.expect_text(" #2     ->");
    terminal.type_keys("two\r");
    expect_bytes(&mut clients[1], "two\n");
    terminal.type_keys("/all everybody\r");
    for client in &mut clients {
        expect_bytes(client, "everybody\n");
    }
    terminal.type_keys("/who\r");
    terminal.expect_screen("who", |screen| {
        screen.contains("Client #3: 127.0.0.1:") && !screen.contains("turn")
    });
    terminal.type_keys("/bye 2\r");
    expect_end(&mut clients[1]);
    terminal.type_keys("/kick 1\r");
    expect_end(&mut clients[0]);
    terminal.type_keys("\x04");
    expect_end(&mut clients[2]);
    drop(clients);
    terminal.finish(0);
}

#[test]
fn who_is_there_is_told_with_names_turns_and_times() {
    let (terminal, port) = Terminal::serve(&["-m", "3", "-f", "json"]);
    let mut clients: Vec<_> = (1..=2)
        .map(|number| {
            let client = raw_client(port);
            terminal.expect_text(&format!("(client #{number})"));
            client
        })
        .collect();
    let forged = format!("\x1b[2J\u{202e}anna\nClient #9: {}", "x".repeat(99));
    let line = json(&forged, "hi");
    clients[0].write_all(line.as_bytes()).unwrap();
    terminal.expect_text(" #1     ->");
    terminal.type_keys("/who\r");
    terminal.expect_screen("who", |screen| {
        let rows: Vec<_> = screen.lines().collect();
        let whole = screen.replace("\n    ", " ").replace('\n', "|");
        // The forged name is one line, cut, and begins no row.
        rows.iter().all(|row| !row.starts_with("Client #9"))
            && whole.contains("|Client #1: ")
            && whole.contains("anna")
            && whole.contains("; waits for you for ")
            && whole.contains("|Client #2: 127.0.0.1:")
            && whole.contains("; has the turn|")
    });
    assert!(!terminal.raw().windows(4).any(|bytes| bytes == b"\x1b[2J"));
    drop(clients);
    terminal.expect_text("Client #2 left.");
    terminal.type_keys("/who\r");
    terminal.expect_text("Nobody is there.");
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn a_command_needs_no_turn_and_a_message_that_looks_like_one_can_be_sent() {
    let (terminal, mut peer) = Terminal::connected(&["-f", "line"]);
    let address = peer.local_addr().unwrap();
    for (typed, sent) in [
        ("//help", "/help\n"),
        ("/usr/bin", "/usr/bin\n"),
        ("//", "//\n"),
        (" /who", " /who\n"),
    ] {
        terminal.type_keys(&format!("{typed}\r"));
        expect_bytes(&mut peer, sent);
        terminal.expect(&[" <-"]);
        peer.write_all(b"ok\n").unwrap();
        terminal.expect(&["Received from server: ok", " ->"]);
    }
    terminal.type_keys("one\r");
    expect_bytes(&mut peer, "one\n");
    terminal.expect(&[" -> one", " <-"]);
    terminal.type_keys("/who\r");
    let line = format!("The server: {address}, here for ");
    terminal.expect_screen("who", |screen| {
        screen.contains(&line) && screen.contains("; has the turn")
    });
    terminal.type_keys("/to 1\r");
    terminal.expect_words("/to is for a server with several clients (--max-clients).");
    peer.write_all(b"two\n").unwrap();
    terminal.expect(&["Received from server: two", " ->"]);
    terminal.type_keys("/help me\r");
    terminal
        .expect_words("/help is followed by nothing. To send such a line, begin it with //help.");
    terminal.type_keys("\x04");
    expect_end(&mut peer);
    drop(peer);
    terminal.finish(0);
}

#[test]
fn in_a_pipe_a_command_is_a_message() {
    let (mut server, port) = Piped::serve(&["-f", "line"]);
    let mut client = Piped::connect(port, &["-f", "line"]);
    client.write("/who\n");
    server.expect("Received from connected client: /who\n");
    server.write("//help\n");
    client.expect("Received from server: //help\n");
    let (_, told) = client.finish(0);
    assert!(!told.contains("/help tells"), "{told}");
    server.finish(0);
}

#[test]
fn commands_numbers_and_names_are_completed() {
    let (terminal, port) = Terminal::serve(&["-m", "9", "-f", "json"]);
    let mut clients = Vec::new();
    for (number, name) in [(1, "anna"), (2, "ben\u{1b}[2J"), (3, "alex")] {
        let mut client = raw_client(port);
        client.write_all(json(name, "hi").as_bytes()).unwrap();
        terminal.expect_text(&format!("(client #{number}): hi"));
        clients.push(client);
    }
    terminal.expect_text(" #1 +2  ->");
    terminal.type_keys("/k\t");
    terminal.expect(&[" #1 +2  -> /kick"]);
    terminal.type_keys("\t");
    terminal.expect(&["1 anna     2 ben?[2J  3 alex", " #1 +2  -> /kick"]);
    // News above the prompt leave what is typed.
    let mut more = raw_client(port);
    terminal.expect_text("(client #4)");
    more.write_all(json("eve", "me too").as_bytes()).unwrap();
    terminal.expect(&["Received from eve (client #4): me too", " #1 +3  -> /kick"]);
    terminal.type_keys("ale\t");
    terminal.expect(&[" #1 +3  -> /kick 3"]);
    terminal.type_keys("\r");
    expect_end(&mut clients[2]);
    terminal.expect(&["The conversation with client #3 has ended.", " #1 +2  ->"]);
    terminal.type_keys("\x04");
    terminal.finish(0);
}

/// A list that does not fit would be shown page by page, where nothing else is.
#[test]
fn a_list_that_does_not_fit_is_not_shown() {
    let (terminal, port) = Terminal::serve(&["-m", "99", "-f", "json"]);
    let mut clients = Vec::new();
    for number in 1..=30 {
        let mut client = raw_client(port);
        client
            .write_all(json("a_long_name_of_mine", "hi").as_bytes())
            .unwrap();
        terminal.expect_text(&format!("(client #{number}): hi"));
        clients.push(client);
    }
    terminal.type_keys("/kick \t");
    terminal.expect_text("30 a_long_name_of_m");
    terminal.resize(30);
    terminal.type_keys("\t2");
    terminal.expect_text("/kick 2");
    terminal.type_keys("\x03\x03");
    terminal.finish(130);
}

/// The terminal would break its rows, and one might begin with what a client calls itself.
#[test]
fn a_list_that_is_too_wide_is_not_shown() {
    let (terminal, port) = Terminal::serve(&["-m", "5", "-f", "json"]);
    let mut clients = Vec::new();
    for number in [1, 2] {
        let mut client = raw_client(port);
        let said = json("xxxxxxxReceived", "hi");
        client.write_all(said.as_bytes()).unwrap();
        terminal.expect_text(&format!("(client #{number}): hi"));
        clients.push(client);
    }
    terminal.type_keys("/kick \t");
    terminal.expect_text("2 xxxxxxxReceived");
    terminal.type_keys("\x15");
    terminal.resize(12);
    let lists = terminal.raw().len();
    terminal.type_keys("/to \t");
    terminal.type_keys("2");
    terminal.expect_screen("what was typed", |screen| screen.ends_with('2'));
    let raw = terminal.raw();
    let shown = String::from_utf8_lossy(&raw[lists..]);
    assert!(!shown.contains("Received"), "{shown}");
    terminal.type_keys("\x03\x03");
    terminal.finish(130);
}

/// A search that a key ends which does nothing stays on the screen, and names nobody.
#[test]
fn a_line_that_was_searched_for_goes_to_whom_the_prompt_named() {
    let (terminal, _, mut clients) = operator(&[], 3);
    terminal.type_keys("hello one\r");
    expect_bytes(&mut clients[0], "hello one\n");
    terminal.expect(&[" #2 +1  ->"]);
    terminal.type_keys("\x12h\t");
    terminal.expect(&["(reverse-i-search)`h': hello one"]);
    drop(clients.remove(1));
    terminal.expect(&["Client #2 left.", "(reverse-i-search)`h': hello one"]);
    // What is shown after it comes when it is the turn of the next.
    clients[0].write_all(b"more\n").unwrap();
    let said = "Received from client #1: more";
    terminal.expect(&[said, "(reverse-i-search)`h': hello one"]);
    terminal.type_keys("\r");
    terminal.expect(&[said, " #3 +1  -> hello one"]);
    terminal.type_keys("!\r");
    expect_bytes(&mut clients[1], "!hello one\n");
    drop(clients);
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn a_client_that_was_sent_away_does_not_come_back() {
    let (server, port) = Terminal::serve(&["-m", "2"]);
    let client = Terminal::connect(port, &["--retry"]);
    client.expect_text(" ->");
    server.expect_text("(client #1)");
    // It has the turn: it reads the end instead of a reply, as after a bye.
    server.type_keys("/kick 1\r");
    server.expect(&["The conversation with client #1 has ended.", " <-"]);
    server.type_keys("/who\r");
    server.expect(&["Nobody is there.", " <-"]);
    client.type_keys("still here?\r");
    client.expect_text("The server left.");
    client.finish(0);
    // In our turn at once.
    let client = Terminal::connect(port, &["--retry"]);
    client.expect_text(" ->");
    client.type_keys("and I?\r");
    server.expect(&["Received from client #2: and I?", " #2     ->"]);
    server.type_keys("/bye 2\r");
    client.expect_text("The server left.");
    client.finish(0);
    server.expect(&["The conversation with client #2 has ended.", " <-"]);
    server.type_keys("\x04");
    server.finish(0);
}

#[test]
fn a_client_that_took_the_only_place_does_not_come_back_either() {
    let (server, port) = Terminal::serve(&["-k"]);
    let client = Terminal::connect(port, &["--retry"]);
    client.expect_text(" ->");
    server.expect_text("Connection from");
    server.type_keys("/kick\r");
    server.expect(&["The conversation with the client has ended.", " <-"]);
    server.type_keys("/who\r");
    server.expect(&["Nobody is there.", " <-"]);
    client.type_keys("still here?\r");
    client.expect_text("The server left.");
    client.finish(0);
    assert_eq!(server.screen().matches("Connection from").count(), 1);
    server.type_keys("\x04");
    server.finish(0);
}

#[test]
fn who_was_sent_away_makes_room_when_it_is_needed() {
    let (server, port) = Terminal::serve(&["-k"]);
    let mut first = raw_client(port);
    server.expect_text("Connection from");
    let mut second = raw_client(port);
    server.type_keys("/kick\r");
    expect_end(&mut first);
    second.write_all(b"my turn").unwrap();
    server.expect(&["Received from connected client: my turn", " ->"]);
    server.type_keys("\x04");
    expect_end(&mut second);
    server.finish(0);
}

#[test]
fn a_line_is_for_whom_the_prompt_named() {
    let (terminal, _, mut clients) = operator(&[], 3);
    terminal.expect(&[" #1 +2  ->"]);
    terminal.type_keys("a draft");
    terminal.expect(&[" #1 +2  -> a draft"]);
    drop(clients.remove(0));
    terminal.expect(&["Client #1 left.", " #2 +1  -> a draft"]);
    terminal.type_keys("\x15/skip\r\x19");
    terminal.expect(&[" #3 +1  -> a draft"]);
    terminal.type_keys(" for three\r");
    expect_bytes(&mut clients[1], "a draft for three\n");
    // Two commands and an answer in one go: the answer stays until the prompt names somebody.
    terminal.expect(&[" #2     ->"]);
    clients[1].write_all(b"more\n").unwrap();
    terminal.expect(&["Received from client #3: more", " #2 +1  ->"]);
    terminal.type_keys("/to 3\r");
    terminal.expect(&[" #3 +1  ->"]);
    terminal.type_keys("three\r");
    expect_bytes(&mut clients[1], "three\n");
    terminal.expect(&[" #2     ->"]);
    terminal.type_keys("two\r");
    expect_bytes(&mut clients[0], "two\n");
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn with_quiet_only_what_was_asked_for_is_told() {
    let (terminal, mut peer) = Terminal::connected(&["-q", "-f", "line"]);
    terminal.type_keys("/who\r");
    terminal.expect_text("The server: 127.0.0.1:");
    terminal.type_keys("hi\r");
    expect_bytes(&mut peer, "hi\n");
    terminal.type_keys("\x04");
    drop(peer);
    assert!(!terminal.screen().contains("/help tells"));
    terminal.finish(0);
}

#[test]
fn help_tells_what_can_be_done_here() {
    let (terminal, _peer) = Terminal::connected(&[]);
    terminal.type_keys("/help\r");
    terminal.expect_text("clear the line; leave, if empty or not your turn");
    let screen = terminal.screen();
    assert!(
        screen.contains("/who") && !screen.contains("/kick"),
        "{screen}"
    );
    terminal.type_keys("\x03");
    terminal.finish(130);

    let (terminal, _, _clients) = operator(&[], 1);
    terminal.type_keys("/help\r");
    terminal.expect_text("clear the line; leave, if empty or not your turn");
    for word in [
        "/help ",
        "/who ",
        "/to N ",
        "/skip ",
        "/all TEXT ",
        "/bye N ",
        "/kick N ",
    ] {
        assert!(terminal.screen().contains(&format!("\n{word}")), "{word}");
    }
    terminal.type_keys("\x04");
    terminal.finish(0);
}
