//! The program at a real terminal: editing, history, and every way in which a prompt can
//! be ended or disturbed.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use common::terminal::{COLUMNS, Setup, Terminal};
use common::{Gathered, Piped, accept, expect_bytes, expect_end, home, raw_client, raw_server};

/// A client at a terminal whose first message was sent, and that waits for the reply.
fn waiting(args: &[&str]) -> (Terminal, TcpStream) {
    let (terminal, mut peer) = Terminal::connected(args);
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    (terminal, peer)
}

/// The same whose first message was answered, so that it stands at a prompt with a
/// history of one.
fn answered() -> (Terminal, TcpStream) {
    let (terminal, mut peer) = waiting(&[]);
    peer.write_all(b"reply").unwrap();
    terminal.expect(&["Received from server: reply", " ->"]);
    (terminal, peer)
}

const LEFT: &str = "\x1b[D";
const UP: &str = "\x1b[A";

#[test]
fn two_people_at_two_terminals() {
    let (server, port) = Terminal::serve(&[]);
    let client = Terminal::connect(port, &[]);
    client.expect(&[
        &format!("Connected to 127.0.0.1:{port}"),
        "bye leaves, /help tells what else",
        " ->",
    ]);
    client.type_keys("hello\r");
    server.expect(&["Received from connected client: hello", " ->"]);
    server.type_keys("hi there\r");
    client.expect(&[" -> hello", "Received from server: hi there", " ->"]);
    client.type_keys("bye\r");
    server.expect(&[
        "Received from connected client: hello",
        " -> hi there",
        "The client left.",
    ]);
    client.finish(0);
    server.finish(0);
}

#[test]
fn the_line_is_edited() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys(&format!("gr\u{fc}zi{LEFT}{LEFT}e\x01>\x05<\r"));
    expect_bytes(&mut peer, ">gr\u{fc}ezi<");
    drop(peer);
    terminal.finish(0);
}

#[test]
fn an_umlaut_and_a_family_are_one_key_each() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}";
    // Over the family and the umlaut, then both are taken back from the end.
    terminal.type_keys(&format!(
        "a\u{fc}{family}z{LEFT}{LEFT}{LEFT}b\x05\x7f\x7f\x7f\r"
    ));
    expect_bytes(&mut peer, "ab");
    peer.write_all(b"ok").unwrap();
    terminal.expect(&["Received from server: ok", " ->"]);
    terminal.type_keys(&format!("{family}\u{fc}\r"));
    expect_bytes(&mut peer, format!("{family}\u{fc}"));
}

#[test]
fn vi_keys_by_option_and_by_inputrc() {
    let (terminal, mut peer) = Terminal::connected(&["--vi"]);
    terminal.type_keys("one two\x1bbcwthree\r");
    expect_bytes(&mut peer, "one three");

    let home = home();
    std::fs::write(
        home.path().join(".inputrc"),
        "# mine\nset editing-mode vi\n",
    )
    .unwrap();
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let terminal = Setup::at_home(&home, &["connect", &target]).start();
    let mut peer = accept(&listener);
    terminal.expect_text("\n ->");
    terminal.type_keys("one two\x1b0xA!\r");
    expect_bytes(&mut peer, "ne two!");
}

#[test]
fn several_pasted_lines_are_one_message() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.paste("one\rtwo\rthree");
    terminal.expect(&[" -> one", "two", "three"]);
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "one\ntwo\nthree");
}

#[test]
fn a_line_of_300_columns_is_edited_and_wiped() {
    let (terminal, peer) = Terminal::connected(&[]);
    let line = "x".repeat(300);
    terminal.type_keys(&line);
    terminal.expect(&[&format!(" -> {line}")]);
    terminal.type_keys(&format!("{LEFT}{LEFT}Q"));
    let edited = format!("{}Qxx", "x".repeat(298));
    terminal.expect(&[&format!(" -> {edited}")]);
    drop(peer);
    terminal.expect(&["The server left.", &format!("Not sent: {edited}")]);
    assert!(!terminal.screen().contains("->"), "{}", terminal.screen());
    terminal.finish(0);
}

#[test]
fn the_terminal_is_resized() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys("half");
    terminal.resize(COLUMNS - 20);
    terminal.type_keys(" a line\r");
    expect_bytes(&mut peer, "half a line");
    terminal.expect_text("\n <-");
    terminal.resize(COLUMNS);
    peer.write_all(b"reply").unwrap();
    terminal.expect(&[" -> half a line", "Received from server: reply", " ->"]);
}

#[test]
fn the_prompt_tells_whose_turn_it_is() {
    let (terminal, mut peer) = waiting(&[]);
    terminal.expect(&[" -> hello", " <-"]);
    terminal.type_keys("and");
    terminal.expect(&[" -> hello", " <- and"]);
    peer.write_all(b"reply").unwrap();
    terminal.expect(&[" -> hello", "Received from server: reply", " -> and"]);
}

#[test]
fn what_is_typed_in_the_peers_turn_stands_on_the_next_prompt() {
    let (terminal, mut peer) = waiting(&[]);
    terminal.type_keys("too soon\rand more");
    terminal.expect(&[" <- too soonand more"]);
    peer.write_all(b"reply").unwrap();
    terminal.expect(&["Received from server: reply", " -> too soonand more"]);
    terminal.type_keys("!\r");
    expect_bytes(&mut peer, "too soonand more!");
}

#[test]
fn enter_in_the_peers_turn_sends_nothing() {
    let (terminal, mut peer) = waiting(&[]);
    terminal.type_keys("\r\r");
    terminal.expect_text("(it is the server's turn)");
    peer.write_all(b"reply").unwrap();
    terminal.expect(&[" -> hello", "Received from server: reply", " ->"]);
    terminal.type_keys("now\r");
    expect_bytes(&mut peer, "now");
}

#[test]
fn lines_typed_in_one_go_are_no_answers_to_what_was_not_read() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    // The peer answers at once, so its reply is there before the second line is read.
    let answering = std::thread::spawn(move || {
        expect_bytes(&mut peer, "one");
        peer.write_all(b"reply").unwrap();
        peer
    });
    terminal.type_keys("one\rtwo\rthree\r");
    terminal.expect(&["Received from server: reply", " -> twothree"]);
    let mut peer = answering.join().unwrap();
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "twothree");
}

#[test]
fn late_bytes_are_shown_above_the_prompt() {
    let (terminal, mut peer) = answered();
    terminal.type_keys(&format!("half{LEFT}{LEFT}"));
    terminal.expect(&[" -> half"]);
    peer.write_all(b"and the rest\nof it").unwrap();
    terminal.expect(&[
        "Received from server: reply",
        "Received from server (out of turn): and the rest",
        "    of it",
        " -> half",
    ]);
    // The cursor stands where it stood.
    terminal.type_keys("XX\r");
    expect_bytes(&mut peer, "haXXlf");
}

#[test]
fn the_peer_leaves_during_a_search_of_the_history() {
    let (terminal, peer) = answered();
    terminal.type_keys("\x12hel");
    terminal.expect_text("(reverse-i-search)`hel': hello");
    drop(peer);
    terminal.expect(&[
        "Received from server: reply",
        "The server left.",
        "Not sent: hello",
    ]);
    terminal.finish(0);
}

#[test]
fn what_comes_after_a_search_that_was_left_by_a_key_which_does_nothing_is_shown() {
    let (terminal, mut peer) = Terminal::connected(&["--duplex", "-f", "line"]);
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello\n");
    for leave in ["\t", "\x1b[15~", "\x12\t"] {
        terminal.type_keys("\x12h");
        terminal.expect(&["(reverse-i-search)`h': hello"]);
        peer.write_all(format!("during {leave:?}\n").as_bytes())
            .unwrap();
        terminal.type_keys(leave);
        let during = format!("Received from server: during {leave:?}");
        let is_search = |screen: &str, told: &str| {
            let end = screen.rsplit_once(told).map(|(_, end)| end);
            end.is_some_and(|end| end.starts_with("\n(") && end.ends_with(")`h': hello"))
        };
        terminal.expect_screen(&during, |screen| is_search(screen, &during));
        peer.write_all(b"afterwards\n").unwrap();
        terminal.expect_screen("news", |screen| is_search(screen, "server: afterwards"));
        terminal.type_keys("!");
        terminal.expect(&["Received from server: afterwards", " -> !hello"]);
        terminal.type_keys("\x05\x15");
        terminal.expect(&["Received from server: afterwards", " ->"]);
    }
    terminal.type_keys("\x04");
    terminal.expect_text("No more from you");
    drop(peer);
    terminal.finish(0);
}

#[test]
fn what_is_typed_after_the_end_of_the_input_is_not_taken_and_told() {
    for args in [&["-f", "line"][..], &["-f", "line", "--duplex"]] {
        let (terminal, mut peer) = Terminal::connected(args);
        terminal.type_keys("\x04");
        terminal.expect_text("\n <-");
        terminal.type_keys("late\r");
        terminal.expect_text(" <- late");
        expect_end(&mut peer);
        drop(peer);
        terminal.expect_text("Not sent: late");
        terminal.finish(0);
    }
}

/// Each byte of them is shown as six. They are half as long as the longest.
#[test]
#[cfg(target_os = "linux")]
fn long_messages_at_a_terminal_take_no_more_memory_than_one() {
    let (terminal, mut peer) = Terminal::connected(&["--duplex", "-f", "json"]);
    let hidden = "\u{7f}".repeat(500_000);
    for number in 1..=3 {
        let message = format!("{{\"text\":\"{hidden} {number} of 3\"}}\n");
        peer.write_all(message.as_bytes()).unwrap();
        terminal.expect_text(&format!(" {number} of 3\n"));
    }
    let peak = common::peak_memory(terminal.child.id());
    assert!(peak < 32 << 20, "{peak}");
}

#[test]
fn a_lone_escape_holds_up_nothing() {
    let (terminal, mut peer) = Terminal::connected(&["--duplex", "-f", "line"]);
    terminal.type_keys("draft");
    terminal.expect_text("-> draft");
    terminal.type_keys("\x1b");
    // The first may come before the key.
    for news in 1..=20 {
        peer.write_all(format!("news {news}\n").as_bytes()).unwrap();
        terminal.expect_text(&format!("Received from server: news {news}\n"));
    }
}

#[test]
fn history_is_shared_private_and_searched() {
    let home = home();
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let talk = |keys: &str, sent: &str| {
        let terminal = Setup::at_home(&home, &["connect", &target]).start();
        let mut peer = accept(&listener);
        terminal.expect_text("\n ->");
        terminal.type_keys(keys);
        expect_bytes(&mut peer, sent);
        (terminal, peer)
    };
    let first = talk("first\r", "first");
    // Two at once lose nothing of each other's.
    let second = talk("second\r", "second");
    drop((first, second));
    let third = talk(&format!("{UP}{UP}\r"), "first");
    let fourth = talk("\x12sec\r", "second");
    drop((third, fourth));

    let file = home.path().join(".local/state/socketchat/history");
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text, "#V2\nfirst\nsecond\nfirst\nsecond\n");
}

#[test]
fn history_is_hinted_at() {
    let (terminal, mut peer) = answered();
    terminal.type_keys("he");
    terminal.expect(&[" -> hello"]);
    terminal.type_keys("\x1b[C\r"); // the right arrow takes the hint
    expect_bytes(&mut peer, "hello");
}

#[test]
fn history_is_kept_where_it_is_wanted_or_nowhere() {
    let home = home();
    let file = home.path().join("some/where/mine");
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let path = file.to_str().unwrap();
    for args in [&["--history-file", path][..], &["--no-history"]] {
        let args: Vec<_> = ["connect", &target].iter().chain(args).copied().collect();
        let terminal = Setup::at_home(&home, &args).start();
        let mut peer = accept(&listener);
        terminal.expect_text("\n ->");
        terminal.type_keys("hello\r");
        expect_bytes(&mut peer, "hello");
        drop(peer);
        terminal.finish(0);
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "#V2\nhello\n");
    assert!(!home.path().join(".local").exists());
}

#[test]
fn a_history_behind_a_symbolic_link_changes_nothing_but_the_text() {
    let home = home();
    let link = home.path().join("link");
    let file = home.path().join("file");
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let args = ["--history-file", link.to_str().unwrap()];
    // It is not made through the link.
    let (terminal, peer) = Terminal::connected(&args);
    let told = format!(
        "Cannot read the history in {}: not a regular file",
        link.display()
    );
    terminal.expect_words(&told);
    common::leave(peer);
    terminal.finish(0);
    assert!(!file.exists());

    // One that is there keeps its mode.
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (terminal, mut peer) = Terminal::connected(&args);
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    common::leave(peer);
    terminal.finish(0);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "#V2\nhello\n");
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    assert!(link.is_symlink());
}

#[test]
fn a_history_that_cannot_be_kept_is_told_once() {
    let (terminal, mut peer) = Terminal::connected(&["--history-file", "/dev/null/history"]);
    terminal.expect(&[
        "Cannot read the history in /dev/null/history: not a directory",
        " ->",
    ]);
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    peer.write_all(b"reply").unwrap();
    terminal.expect(&[" -> hello", "Received from server: reply", " ->"]);
    assert_eq!(terminal.screen().matches("Cannot").count(), 1);
}

#[test]
fn a_byte_that_is_no_utf8_is_left_out() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys("a");
    terminal.expect(&[" -> a"]);
    terminal.type_bytes(b"\xff");
    terminal.expect(&["What was typed is no UTF-8, and was left out.", " -> a"]);
    terminal.type_keys("b\r");
    expect_bytes(&mut peer, "ab");
}

#[test]
fn signals_that_end_the_program_restore_the_terminal() {
    use nix::sys::signal::Signal::{SIGHUP, SIGQUIT, SIGTERM};
    for signal in [SIGTERM, SIGHUP, SIGQUIT] {
        let (terminal, mut peer) = Terminal::connected(&[]);
        terminal.type_keys("half");
        terminal.expect(&[" -> half"]);
        assert!(!terminal.is_cooked());
        common::signal(terminal.child.id(), signal);
        expect_end(&mut peer);
        terminal.finish(130);

        let (terminal, mut peer) = waiting(&[]);
        terminal.expect_text("\n <-");
        common::signal(terminal.child.id(), signal);
        expect_end(&mut peer);
        terminal.finish(130);
    }
}

#[test]
fn ctrl_c_in_the_peers_turn() {
    let (terminal, mut peer) = waiting(&[]);
    terminal.expect_text("\n <-");
    terminal.type_keys("\x03");
    expect_end(&mut peer);
    terminal.expect(&[" -> hello"]);
    terminal.finish(130);
}

/// A client at a terminal whose output is read by nobody but the test, up to the prompt; and its peer.
fn at_its_prompt(args: &[&str]) -> (pty_process::blocking::Pty, std::process::Child, TcpStream) {
    let (listener, port) = raw_server();
    let (pty, pts) = pty_process::blocking::open().unwrap();
    let home = home();
    let mut command = std::process::Command::new(common::program());
    common::isolate(&mut command, &home)
        .env("TERM", "xterm")
        .args(["connect", "--no-history", &format!("localhost:{port}")])
        .args(args);
    let child = pty_process::blocking::Command::from(command)
        .spawn(pts)
        .unwrap();
    let peer = accept(&listener);
    let mut seen = Vec::new();
    while !seen.ends_with(b" -> ") {
        let mut byte = [0];
        (&pty).read_exact(&mut byte).unwrap();
        seen.extend_from_slice(&byte);
    }
    (pty, child, peer)
}

#[test]
fn the_terminal_is_closed() {
    let (pty, mut child, mut peer) = at_its_prompt(&[]);
    drop(pty);
    expect_end(&mut peer);
    assert_eq!(common::exit(&mut child).code(), Some(130));
}

/// As a shell does when it takes the terminal for itself.
#[test]
fn pastes_are_marked_off_again_when_the_program_is_continued() {
    const PASTE_ON: &[u8] = b"\x1b[?2004h";
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    let times = || memchr::memmem::find_iter(&terminal.raw(), PASTE_ON).count();
    let before = times();
    common::signal(terminal.child.id(), nix::sys::signal::Signal::SIGSTOP);
    common::signal(terminal.child.id(), nix::sys::signal::Signal::SIGCONT);
    common::wait_until("the mark", || (times() > before).then_some(()));
    terminal.paste("\none\ntwo");
    terminal.expect_text("two");
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "half\none\ntwo");
}

#[test]
fn a_terminal_that_takes_no_output_does_not_hold_up_the_end() {
    let (pty, mut child, mut peer) = at_its_prompt(&[]);
    peer.set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    // Until the program, too, waits for the terminal.
    while peer.write_all(&[b'x'; 1000]).is_ok() {}
    common::signal(child.id(), nix::sys::signal::Signal::SIGTERM);
    assert_eq!(common::exit(&mut child).code(), Some(130));
    let flags = nix::sys::termios::tcgetattr(&pty).unwrap().local_flags;
    assert!(flags.contains(nix::sys::termios::LocalFlags::ICANON));
}

/// Also while the last rows are drawn.
#[test]
fn no_key_is_echoed_into_a_row() {
    let (pty, mut child, mut peer) = at_its_prompt(&["-f", "line", "--duplex"]);
    (&pty).write_all(b"typing").unwrap();
    let line = "x".repeat(20_000) + "\n";
    peer.write_all(line.repeat(3).as_bytes()).unwrap();
    drop(peer);
    let mut seen = Vec::new();
    let mut chunk = [0; 1000];
    // Fails when the terminal is closed.
    while let Ok(count) = (&pty).read(&mut chunk) {
        seen.extend_from_slice(&chunk[..count]);
        let _ = (&pty).write_all(b"\r");
    }
    common::exit(&mut child);
    let text = String::from_utf8_lossy(&seen);
    assert!(text.matches('x').count() >= 60_000, "{text}");
    assert!(!text.contains("\nx") && !text.contains("\rx"), "{text}");
}

#[test]
fn ctrl_c_ends_it_also_while_the_last_rows_are_drawn() {
    let (pty, mut child, mut peer) = at_its_prompt(&["-f", "line", "--duplex"]);
    let line = "x".repeat(20_000) + "\n";
    peer.write_all(line.repeat(3).as_bytes()).unwrap();
    drop(peer);
    // Nobody reads them.
    common::wait_until("the last rows", || {
        let flags = nix::sys::termios::tcgetattr(&pty).unwrap().local_flags;
        flags
            .contains(nix::sys::termios::LocalFlags::ISIG)
            .then_some(())
    });
    (&pty).write_all(b"\x03").unwrap();
    assert_eq!(common::exit(&mut child).code(), Some(130));
}

/// The prompt is interrupted at moments that the test does not choose, while somebody
/// types: no line is lost, sent twice or torn, and nothing hangs.
#[test]
fn a_hundred_late_messages_while_somebody_types() {
    let (terminal, mut peer) = answered();
    let mut late = peer.try_clone().unwrap();
    let nagging = std::thread::spawn(move || {
        for i in 0..100 {
            late.write_all(format!("late {i}\n").as_bytes()).unwrap();
            std::thread::yield_now();
        }
    });
    let text: String = (0..200).map(|i| char::from(b'a' + i % 26)).collect();
    for c in text.chars() {
        terminal.type_keys(&c.to_string());
    }
    nagging.join().unwrap();
    terminal.expect_text("late 99");
    terminal.expect(&[&format!(" -> {text}")]);
    terminal.type_keys("\r");
    expect_bytes(&mut peer, &text);
}

/// The program on a terminal that it cannot draw on.
fn dumb(args: &[&str]) -> Terminal {
    Setup::new(args).env("TERM", "dumb").start()
}

/// The program on a terminal that it cannot draw on, and the server that has its first message.
fn waiting_on_dumb_terminal() -> (Terminal, TcpStream) {
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let terminal = dumb(&["connect", &target]);
    let mut peer = accept(&listener);
    terminal.expect_text("\n ->");
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    (terminal, peer)
}

#[test]
fn a_dumb_terminal_has_plain_prompts() {
    let (terminal, mut peer) = waiting_on_dumb_terminal();
    peer.write_all(b"re\x1bply").unwrap();
    terminal.expect(&["Received from server: re\\u{1b}ply", " ->"]);
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    drop(peer);
    terminal.expect(&[
        " -> half",
        "The server left.",
        "The conversation is over; Enter leaves.",
    ]);
    // The half-typed line is the terminal's until Enter, and not left to the shell.
    terminal.type_keys(" a line\r");
    terminal.expect_text("Not sent: half a line");
    assert!(!terminal.raw().contains(&b'\x1b'));
    terminal.finish(0);
}

#[test]
fn stdout_in_a_pipe_holds_the_conversation_alone() {
    let (listener, port) = raw_server();
    let (reader, writer) = std::io::pipe().unwrap();
    let target = format!("localhost:{port}");
    let setup = Setup::new(&["connect", &target]).stdout(writer);
    let terminal = setup.start();
    let stdout = Gathered::from(reader);
    let mut peer = accept(&listener);
    terminal.expect(&[
        &format!("Connected to 127.0.0.1:{port}"),
        "bye leaves, /help tells what else",
        " ->",
    ]);
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    peer.write_all(b"\x1b[31mbytes as they are\xff").unwrap();
    terminal.expect(&[" -> hello", " ->"]);
    terminal.type_keys("\x04");
    expect_end(&mut peer);
    terminal.finish(0);
    assert_eq!(
        stdout.to_end(),
        b"Received from server: \x1b[31mbytes as they are\xff\n"
    );
}

#[test]
fn stdin_in_a_pipe_and_stdout_at_a_terminal_is_sanitised() {
    let (listener, port) = raw_server();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let target = format!("localhost:{port}");
    let terminal = Setup::new(&["connect", &target]).stdin(reader).start();
    let mut peer = accept(&listener);
    writer.write_all(b"hello\n").unwrap();
    expect_bytes(&mut peer, "hello");
    peer.write_all(b"re\x1b[31mply").unwrap();
    terminal.expect(&["Received from server: re\\u{1b}[31mply"]);
    drop(writer);
    expect_end(&mut peer);
    assert!(!terminal.screen().contains("->"));
    terminal.finish(0);
}

#[test]
fn colour_is_left_out_where_it_is_not_wanted() {
    let colored = |setup: Setup, listener: &std::net::TcpListener| {
        let terminal = setup.start();
        let mut peer = accept(listener);
        terminal.expect_text("\n ->");
        terminal.type_keys("hello\r");
        expect_bytes(&mut peer, "hello");
        terminal.expect_text("\n <-");
        peer.write_all(b"reply").unwrap();
        terminal.expect(&["Received from server: reply", " ->"]);
        let raw = String::from_utf8(terminal.raw()).unwrap();
        (raw.contains("\x1b[1m"), raw.contains("\x1b[2m"))
    };
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let setup = |args: &[&str]| {
        let args: Vec<_> = ["connect", &target].iter().chain(args).copied().collect();
        Setup::new(&args)
    };
    assert_eq!(colored(setup(&[]), &listener), (true, true));
    assert_eq!(
        colored(setup(&["--color", "never"]), &listener),
        (false, false)
    );
    assert_eq!(
        colored(setup(&[]).env("NO_COLOR", "1"), &listener),
        (false, false)
    );
    let always = setup(&["--color", "always"]).env("NO_COLOR", "1");
    assert_eq!(colored(always, &listener), (true, true));

    let (listener, port) = raw_server();
    let mut piped = Piped::connect(port, &["--color", "always"]);
    let mut peer = accept(&listener);
    piped.write("hello\n");
    expect_bytes(&mut peer, "hello");
    peer.write_all(b"reply").unwrap();
    piped.expect("\x1b[1mReceived from server:\x1b[0m reply\n");
}

#[test]
fn a_ctrl_z_that_stops_nothing_leaves_the_line_as_it_is() {
    use nix::sys::signal::Signal::SIGCONT;
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    terminal.type_keys("\x1a");
    // The terminal's own leader cannot be stopped by it; see `ctrl_z_and_fg_in_a_shell`.
    common::signal(terminal.child.id(), SIGCONT);
    terminal.type_keys(" a line\r");
    expect_bytes(&mut peer, "half a line");
    drop(peer);
    terminal.finish(0);
}

#[test]
fn a_long_message_is_printed_whole_on_the_screen() {
    let (server, port) = Terminal::serve(&[]);
    let mut peer = raw_client(port);
    let mut text = String::new();
    for i in 0..20_000 {
        text += &format!("line {i} gr\u{fc}ezi\n");
    }
    peer.write_all(text.as_bytes()).unwrap();
    server.expect(&[
        "    line 19998 gr\u{fc}ezi",
        "    line 19999 gr\u{fc}ezi",
        " ->",
    ]);
    // Everything is there, in order, whatever was drawn below it meanwhile.
    let raw = String::from_utf8(server.raw()).unwrap();
    let mut rest = &raw[..];
    for line in text.lines() {
        let found = rest.find(&format!("{line}\r\n"));
        rest = &rest[found.unwrap_or_else(|| panic!("{line} is missing"))..];
    }
    server.type_keys("got it\r");
    expect_bytes(&mut peer, "got it");
    let mut rest = [0];
    peer.set_nonblocking(true).unwrap();
    assert!(peer.read(&mut rest).is_err());
}

#[test]
fn a_paste_is_not_torn_by_what_comes_in_its_middle() {
    let (terminal, mut peer) = answered();
    terminal.type_keys("\x1b[200~first\rsec");
    peer.write_all(b"late").unwrap();
    // The prompt stays until the paste has ended; then the late text is shown.
    terminal.type_keys("ond\rthird\x1b[201~");
    terminal.expect(&[
        "Received from server (out of turn): late",
        " -> first",
        "second",
        "third",
    ]);
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "first\nsecond\nthird");
}

#[test]
fn a_reset_tells_what_stood_on_the_prompt() {
    let (terminal, peer) = Terminal::connected(&[]);
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    common::reset_when_dropped(&peer);
    drop(peer);
    terminal.expect(&[
        "Not sent: half",
        "socketchat: lost the connection to the server: connection reset by peer",
    ]);
    terminal.finish(1);
}

#[test]
fn rows_that_the_terminal_would_make_are_indented_too() {
    let (terminal, mut peer) = waiting(&[]);
    let padding = " ".repeat(usize::from(COLUMNS) - "Received from server: ok".len());
    let forged = format!("ok{padding}Received from server: forged");
    peer.write_all(forged.as_bytes()).unwrap();
    terminal.expect(&[
        "Received from server: ok",
        "    Received from server: forged",
        " ->",
    ]);
    let padding = " ".repeat(usize::from(COLUMNS) - "Received from server (out of turn): ".len());
    let late = format!("{padding}The server left.");
    peer.write_all(late.as_bytes()).unwrap();
    terminal.expect(&["    The server left.", " ->"]);
    // In characters of two columns as well.
    terminal.type_keys("next\r");
    expect_bytes(&mut peer, "next");
    peer.write_all("\u{65e5}".repeat(30).as_bytes()).unwrap();
    let (first, rest) = ("\u{65e5}".repeat(19), "\u{65e5}".repeat(11));
    terminal.expect_text(&format!("server: {first}\n    {rest}\n ->"));
}

#[test]
fn a_dumb_terminal_goes_on_when_one_of_many_leaves() {
    let terminal = dumb(&["serve", "--port", "0", "-m", "2"]);
    let port = terminal.port();
    let mut first = common::raw_client(port);
    first.write_all(b"one").unwrap();
    terminal.expect_text(" #1 ->");
    let mut second = common::raw_client(port);
    second.write_all(b"two").unwrap();
    terminal.type_keys("to the first");
    common::leave(first);
    terminal.expect_text(" #2 ->");
    // What was typed for the first is its, to the end of the line.
    terminal.type_keys(" and more\r");
    terminal.expect_text("Not sent: to the first and more");
    // Those who were not asked take nothing with them.
    for number in 3..5 {
        let mut other = common::raw_client(port);
        other.write_all(b"three").unwrap();
        terminal.expect_text(" #2 +1 ->");
        common::leave(other);
        terminal.expect_text(&format!("#{number} left.\n #2 ->"));
    }
    terminal.type_keys("to the second\r");
    expect_bytes(&mut second, "to the second");
    second.write_all(b"four").unwrap();
    terminal.expect_text("four\n #2 ->");
    terminal.type_keys("and again\r");
    expect_bytes(&mut second, "and again");
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn a_dumb_terminal_shows_whose_turn_it_is_where_nothing_else_is_told() {
    let port = common::free_port();
    let terminal = dumb(&["serve", "--port", &port.to_string(), "-m", "2", "--quiet"]);
    terminal.expect_text(" <-");
    let mut first = common::raw_client(port);
    first.write_all(b"one").unwrap();
    terminal.expect_text(" #1 ->");
    let mut second = common::raw_client(port);
    second.write_all(b"two").unwrap();
    terminal.expect_text(" #1 +1 ->");
    common::leave(second);
    terminal.expect_text("two\n #1 +1 ->\n #1 ->");
    common::leave(first);
    terminal.expect_text(" #1 ->\n <-");
    terminal.type_keys("\x03");
    terminal.finish(130);

    for limit in ["--reply-quiet", "--reply-timeout"] {
        let (listener, port) = raw_server();
        let target = format!("localhost:{port}");
        let terminal = dumb(&[
            "connect",
            &target,
            "-q",
            "--framing",
            "line",
            limit,
            "300ms",
        ]);
        let mut peer = accept(&listener);
        terminal.expect_text(" ->");
        terminal.type_keys("hello\r");
        expect_bytes(&mut peer, "hello\n");
        terminal.expect_text(" <-\n ->");
        terminal.type_keys("\x04");
        expect_end(&mut peer);
        drop(peer);
        terminal.finish(0);
    }
}

#[test]
fn a_dumb_terminal_is_told_of_a_broken_connection_before_enter() {
    let (terminal, mut peer) = waiting_on_dumb_terminal();
    peer.write_all(b"reply").unwrap();
    terminal.expect(&["Received from server: reply", " ->"]);
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    common::reset_when_dropped(&peer);
    drop(peer);
    terminal.expect_text("The conversation is over; Enter leaves.");
    terminal.type_keys("\r");
    terminal.expect_text("Not sent: half");
    terminal.finish(1);
}

#[test]
fn a_dumb_terminal_is_told_of_all_lines_that_were_entered_ahead() {
    for resets in [false, true] {
        let (terminal, peer) = waiting_on_dumb_terminal();
        for number in 0..6 {
            terminal.type_keys(&format!("ahead {number}\r"));
        }
        terminal.expect_text("ahead 5");
        terminal.type_keys("half");
        terminal.expect_text("half");
        if resets {
            common::reset_when_dropped(&peer);
        }
        drop(peer);
        for number in 0..6 {
            terminal.expect_text(&format!("Not sent: ahead {number}"));
        }
        terminal.expect_text("The conversation is over; Enter leaves.");
        terminal.type_keys("\r");
        terminal.expect_text("Not sent: half");
        terminal.finish(i32::from(resets));
    }
}

#[test]
fn on_a_dumb_terminal_nobody_gets_the_lines_that_were_entered_for_another() {
    for (many, number) in [(&["-k"][..], ""), (&["-m", "3"], "#2 ")] {
        let args = [&["serve", "--port", "0"], many].concat();
        let terminal = dumb(&args);
        let mut first = raw_client(terminal.port());
        first.write_all(b"one").unwrap();
        terminal.expect_text("one\n");
        terminal.expect_text("->");
        terminal.type_keys("to the first\rahead 1\rahead 2\rahead 3\r");
        expect_bytes(&mut first, "to the first");
        common::leave(first);
        let mut second = raw_client(terminal.port());
        second.write_all(b"two").unwrap();
        for number in 1..4 {
            terminal.expect_text(&format!("Not sent: ahead {number}"));
        }
        terminal.expect_text(&format!("Not sent: ahead 3\n {number}->"));
        terminal.type_keys("to the second\r");
        expect_bytes(&mut second, "to the second");
        terminal.type_keys("\x03");
        terminal.finish(130);
    }
}

#[test]
fn on_a_dumb_terminal_nobody_gets_the_lines_that_were_entered_when_nobody_was_there() {
    for (args, bye) in [
        (&["-k"][..], true),
        (&["-k", "--duplex"], false),
        (&["-m", "2", "--duplex"], false),
    ] {
        let args = [&["serve", "--port", "0"], args].concat();
        let terminal = dumb(&args);
        let mut first = raw_client(terminal.port());
        first.write_all(b"one").unwrap();
        terminal.expect_text("one\n");
        terminal.expect_text("->");
        if bye {
            terminal.type_keys("bye\r");
            expect_end(&mut first);
        } else {
            common::leave(first);
        }
        terminal.expect_text("<-\n");
        terminal.type_keys("to nobody\r");
        terminal.expect_text("to nobody");
        let mut second = raw_client(terminal.port());
        second.write_all(b"two").unwrap();
        terminal.expect_text("Not sent: to nobody");
        terminal.expect_text("two\n");
        terminal.type_keys("to the second\r");
        expect_bytes(&mut second, "to the second");
        terminal.type_keys("\x03");
        terminal.finish(130);
    }
}

#[test]
fn a_dumb_terminal_ends_its_input_also_while_the_next_client_is_named() {
    for moment in (0..80).step_by(10) {
        let terminal = dumb(&["serve", "--port", "0", "-m", "2", "-f", "line"]);
        let [first, mut second] = [1, 2].map(|number| {
            let mut client = raw_client(terminal.port());
            client.write_all(b"hi\n").unwrap();
            terminal.expect_text(&format!("Received from client #{number}: hi"));
            client
        });
        terminal.expect_text(" #1 +1 ->");
        drop(first);
        terminal.expect_text("Client #1 left.");
        std::thread::sleep(Duration::from_millis(moment));
        terminal.type_keys("\x04");
        expect_end(&mut second);
        drop(second);
        terminal.finish(0);
    }
}

#[test]
fn a_dumb_terminal_ends_its_input_also_while_nobody_is_asked() {
    let terminal = dumb(&["serve", "--port", "0", "-k"]);
    terminal.expect_text("<-");
    terminal.type_keys("\x04");
    terminal.finish(0);
    let (terminal, mut peer) = waiting_on_dumb_terminal();
    terminal.expect_text("\n <-");
    terminal.type_keys("\x04");
    terminal.expect_text("last answer");
    peer.write_all(b"the last").unwrap();
    terminal.expect_text("Received from server: the last");
    expect_end(&mut peer);
    drop(peer);
    terminal.finish(0);
}

#[test]
fn on_a_dumb_terminal_all_lines_go_to_the_one_that_was_named_also_without_turns() {
    let args = "serve --port 0 -m 2 --duplex -f line";
    let args: Vec<_> = args.split(' ').collect();
    let terminal = dumb(&args);
    let mut first = raw_client(terminal.port());
    first.write_all(b"one\n").unwrap();
    terminal.expect_text("one\n #1 ->");
    let mut second = raw_client(terminal.port());
    terminal.expect_text("(client #2)\n #1 ->");
    for round in 0..10 {
        let lines = format!("{}last {round}\n", "line\n".repeat(29));
        terminal.type_keys(&lines);
        // The terminal has taken all of them when it echoes the last.
        terminal.expect_text(&format!("last {round}"));
        second.write_all(b"two\n").unwrap();
        expect_bytes(&mut first, lines);
        terminal.expect_text("#2 ->");
        terminal.type_keys("to the second\n");
        expect_bytes(&mut second, "to the second\n");
        first
            .write_all(format!("again {round}\n").as_bytes())
            .unwrap();
        terminal.expect_text(&format!("again {round}\n #1 ->"));
    }
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn lines_that_are_written_ahead_go_to_nobody_else_without_turns() {
    let (terminal, port) = Terminal::serve(&["-k", "--duplex", "-f", "line"]);
    for round in 0..30 {
        let mut first = raw_client(port);
        first
            .write_all(format!("one {round}\n").as_bytes())
            .unwrap();
        terminal.expect_text(&format!("one {round}\n ->"));
        let mut second = raw_client(port);
        second
            .write_all(format!("two {round}\n").as_bytes())
            .unwrap();
        terminal.type_keys(&"line\r".repeat(20));
        expect_bytes(&mut first, "line\n");
        drop(first);
        terminal.expect_text(&format!("two {round}"));
        // What is left on the prompt is the user's.
        terminal.type_keys("\x01\x0bto the second\r");
        expect_bytes(&mut second, "to the second\n");
        common::leave(second);
        terminal.expect_text(" <-");
    }
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn ctrl_d_ends_the_input_on_a_dumb_terminal() {
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let terminal = dumb(&["connect", &target]);
    let mut peer = accept(&listener);
    terminal.expect_text(" ->");
    terminal.type_keys("\x04");
    expect_end(&mut peer);
    drop(peer);
    terminal.finish(0);

    let terminal = dumb(&["serve", "--port", "0"]);
    let mut peer = raw_client(terminal.port());
    peer.write_all(b"one").unwrap();
    terminal.expect_text("one\n ->");
    terminal.type_keys("\x04");
    expect_end(&mut peer);
    drop(peer);
    terminal.finish(0);
}

/// While a search is drawn, nothing else is: the prompt of the first client is the last that was shown.
#[test]
fn a_line_for_a_client_that_has_left_does_not_go_to_the_next_at_its_place() {
    let home = home();
    let transcript = home.path().join("transcript");
    let path = transcript.to_str().unwrap();
    let terminal = Setup::new(&["serve", "--port", "0", "-k", "--transcript", path]).start();
    let mut first = raw_client(terminal.port());
    first.write_all(b"one").unwrap();
    terminal.expect_text("one\n ->");
    terminal.type_keys("to the first\r");
    expect_bytes(&mut first, "to the first");
    first.write_all(b"again").unwrap();
    terminal.expect_text("again\n ->");
    terminal.type_keys("\x12first");
    terminal.expect_text("to the first");
    terminal.expect_text("`first'");
    let mut second = raw_client(terminal.port());
    second.write_all(b"two").unwrap();
    common::leave(first);
    common::wait_until("the message of the second", || {
        let said = std::fs::read_to_string(&transcript).unwrap();
        said.contains("\"text\":\"two\"").then_some(())
    });
    terminal.type_keys("\r");
    terminal.expect_text("two\n");
    terminal.expect_text(" -> to the first");
    terminal.type_keys("\x15to the second\r");
    expect_bytes(&mut second, "to the second");
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn a_signal_ends_it_in_order_on_a_dumb_terminal() {
    let home = home();
    let socket = home.path().join("socket");
    let path = format!("unix:{}", socket.display());
    let terminal = dumb(&["serve", "--host", &path]);
    terminal.expect_text("Listening");
    let mut client = std::os::unix::net::UnixStream::connect(&socket).unwrap();
    client.write_all(b"hello").unwrap();
    terminal.expect_text("hello\n ->");
    terminal.type_keys("\x03");
    terminal.finish(130);
    assert!(!socket.exists());
}

#[test]
fn a_dumb_terminal_is_told_what_is_sent_again() {
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let terminal = dumb(&["connect", &target, "--retry"]);
    let mut peer = accept(&listener);
    terminal.expect_text("\n ->");
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    common::reset_when_dropped(&peer);
    drop(peer);
    let mut peer = accept(&listener);
    expect_bytes(&mut peer, "hello");
    terminal.expect_text("This had no reply, and is sent again: hello");
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
fn on_a_dumb_terminal_what_was_entered_ahead_follows_what_is_sent_again() {
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let terminal = dumb(&["connect", &target, "--retry", "-f", "line"]);
    let mut peer = accept(&listener);
    terminal.expect_text("\n ->");
    terminal.type_keys("one\r");
    expect_bytes(&mut peer, "one\n");
    terminal.type_keys("two\rthree\r");
    terminal.expect_text("three");
    common::reset_when_dropped(&peer);
    drop(peer);
    let mut peer = accept(&listener);
    for said in ["one\n", "two\n", "three\n"] {
        expect_bytes(&mut peer, said);
        peer.write_all(b"well\n").unwrap();
    }
    terminal.expect_text("This had no reply, and is sent again: one");
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn a_dumb_terminal_ends_at_once_when_nothing_was_asked() {
    let (terminal, peer) = waiting_on_dumb_terminal();
    drop(peer);
    terminal.expect(&[" -> hello", " <-", "The server left."]);
    terminal.finish(0);
}

#[test]
fn enter_while_a_long_message_comes_sends_nothing() {
    let (terminal, mut peer) = waiting(&[]);
    terminal.type_keys("ahead");
    terminal.expect(&[" <- ahead"]);
    // It is long, and so ends with the quiet only: until then it cannot be answered.
    peer.write_all("long ".repeat(300).as_bytes()).unwrap();
    terminal.expect_text("long long");
    terminal.type_keys("\r");
    terminal.expect_text(" -> ahead");
    terminal.type_keys("!\r");
    expect_bytes(&mut peer, "ahead!");
}

#[test]
fn a_drip_in_our_turn_does_not_hold_the_prompt() {
    let (terminal, mut peer) = answered();
    terminal.type_keys("half");
    terminal.expect(&[" -> half"]);
    // As much as would begin a long message, which is never quiet.
    peer.write_all(&[b'x'; 1024]).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let mut drip = peer.try_clone().unwrap();
    let dripping = std::thread::spawn(move || {
        let pause = std::time::Duration::from_millis(50);
        while stopped.recv_timeout(pause).is_err() {
            drip.write_all(b".").unwrap();
        }
    });
    // What comes is shown row by row.
    terminal.expect(&[&format!("    {}", "x".repeat(56)), " -> half"]);
    terminal.type_keys(" a line");
    terminal.expect_text("....\n -> half a line");
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "half a line");
    stop.send(()).unwrap();
    dripping.join().unwrap();
}

#[test]
fn quiet_shows_the_messages_alone_and_as_they_are() {
    let (terminal, mut peer) = waiting(&["--quiet"]);
    peer.write_all(b"one\ntwo").unwrap();
    terminal.expect(&[" -> hello", "one", "    two", " ->"]);
    assert!(!terminal.screen().contains("Connected"));
    drop(peer);
    terminal.expect(&["one", "    two"]);
    terminal.finish(0);
}

#[test]
fn a_hint_goes_with_the_line() {
    let (terminal, _peer) = answered();
    terminal.type_keys("he");
    terminal.expect(&[" -> hello"]);
    terminal.type_keys("\r");
    terminal.expect(&["Received from server: reply", " -> he", " <-"]);
}

#[test]
fn ctrl_c_is_heard_however_much_the_peer_says() {
    for _ in 0..10 {
        let (terminal, mut peer) = Terminal::connected(&[]);
        let talking = std::thread::spawn(move || while peer.write_all(b"talk").is_ok() {});
        terminal.expect_text("talk");
        terminal.type_keys("\x03");
        terminal.finish(130);
        talking.join().unwrap();
    }
}

#[test]
fn what_is_no_utf8_is_told() {
    let (terminal, mut peer) = Terminal::connected(&[]);
    terminal.type_keys("gr");
    terminal.expect(&[" -> gr"]);
    terminal.type_bytes(b"\xfc");
    terminal.expect(&["What was typed is no UTF-8, and was left out.", " -> gr"]);
    terminal.type_keys("\u{fc}ezi\r");
    expect_bytes(&mut peer, "gr\u{fc}ezi");
}

#[test]
fn a_byte_that_is_no_utf8_wipes_nothing_but_the_prompt() {
    let (terminal, _peer) = Terminal::connected(&[]);
    let line = "x".repeat(150);
    terminal.type_keys(&format!("{line}\x01"));
    terminal.expect(&[&format!(" -> {line}")]);
    let first = terminal.screen().lines().next().unwrap().to_owned();
    assert!(first.starts_with("Connected to"));
    terminal.type_bytes(b"\xff");
    terminal.expect_text("no UTF-8");
    terminal.expect(&[&format!(" -> {line}")]);
    assert!(
        terminal.screen().starts_with(&first),
        "{}",
        terminal.screen()
    );
}

/// A shell at a terminal, in which a client was started; and its peer.
fn in_a_shell(shell: &str, args: &[&str]) -> (Terminal, TcpStream) {
    let mut command = std::process::Command::new(shell);
    command.args(args);
    let terminal = Setup::program(command).env("PS1", "% ").start();
    terminal.expect_text("%");
    let (listener, port) = raw_server();
    terminal.type_keys(&format!("{} connect localhost:{port}\r", common::program()));
    let peer = accept(&listener);
    terminal.expect_text("\n ->");
    (terminal, peer)
}

#[test]
#[ignore = "needs bash and dash"]
fn ctrl_z_and_fg_in_a_shell() {
    for (shell, args) in [
        ("bash", &["--norc", "--noprofile", "-i"][..]),
        ("dash", &["-i"]),
    ] {
        let (terminal, mut peer) = in_a_shell(shell, args);
        terminal.type_keys("half");
        terminal.expect(&[" -> half"]);
        terminal.type_keys("\x1a");
        terminal.expect_text("topped");
        terminal.expect(&["%"]);
        // The shell has the terminal, and what is typed is seen.
        terminal.type_keys("echo se''en\r");
        terminal.expect_text("echo se''en");
        terminal.expect_text("\nseen\n");
        terminal.type_keys("fg\r");
        terminal.expect(&[" -> half"]);
        terminal.type_keys(" a line\r");
        expect_bytes(&mut peer, "half a line");
        // It is drawn for the width that the terminal has by then.
        let draft = "x".repeat(40);
        peer.write_all(b"reply").unwrap();
        terminal.expect(&["Received from server: reply", " ->"]);
        terminal.type_keys(&draft);
        terminal.expect_text(&draft);
        terminal.type_keys("\x1a");
        terminal.expect_text("topped");
        terminal.expect(&["%"]);
        terminal.resize(30);
        terminal.type_keys("fg\r");
        let (row, rest) = draft.split_at(26);
        terminal.expect(&[&format!(" -> {row}"), rest]);
        terminal.type_keys("y");
        terminal.expect(&[&format!(" -> {row}"), &format!("{rest}y")]);
        let times = terminal.screen().matches(&format!(" -> {row}")).count();
        assert_eq!(times, 2, "{}", terminal.screen());
        terminal.type_keys("\r");
        expect_bytes(&mut peer, format!("{draft}y"));
        drop(peer);
        terminal.expect(&["The server left.", "%"]);
        terminal.type_keys("exit\r");
        terminal.finish(0);
    }
}

#[test]
fn a_server_that_nobody_has_come_to_says_so_and_is_left_by_ctrl_d() {
    let (terminal, _) = Terminal::serve(&[]);
    terminal.expect_text("\n <-");
    terminal.type_keys("\r");
    terminal.expect_text("(nobody is there yet)");
    terminal.type_keys("\x04");
    terminal.finish(0);

    let (terminal, port) = Terminal::serve(&[]);
    terminal.expect_text("\n <-");
    terminal.type_keys("ready");
    terminal.expect(&[" <- ready"]);
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    terminal.expect(&["Received from connected client: hello", " -> ready"]);
}

#[test]
fn the_bell_rings_for_who_waits_or_types_and_never_for_a_peer() {
    let (server, port) = Terminal::serve(&["--bell", "-m", "3", "-f", "line", "--no-history"]);
    let bells = || {
        String::from_utf8_lossy(&server.raw())
            .matches('\x07')
            .count()
    };
    let mut clients = [raw_client(port), raw_client(port), raw_client(port)];
    server.expect_text("(client #3)");
    assert_eq!(bells(), 0);
    // Who waits.
    clients[0].write_all(b"\x07one\x07\n").unwrap();
    server.expect(&["Received from client #1: \\u{7}one\\u{7}", " #1     ->"]);
    assert_eq!(bells(), 1);
    // Who is asked already, and has typed nothing.
    clients[1].write_all(b"two\n").unwrap();
    server.expect(&["Received from client #2: two", " #1 +1  ->"]);
    assert_eq!(bells(), 1);
    // Who types.
    server.type_keys("half");
    server.expect(&[" #1 +1  -> half"]);
    clients[2].write_all(b"three\n").unwrap();
    server.expect(&["Received from client #3: three", " #1 +2  -> half"]);
    assert_eq!(bells(), 2);
    server.type_keys("\x15\x04");
    server.finish(0);
}

#[test]
fn without_turns_the_bell_rings_for_every_message() {
    let args = ["--bell", "--duplex", "-f", "line", "--no-history"];
    let (terminal, mut peer) = Terminal::connected(&args);
    for number in 1..=3 {
        writeln!(peer, "{number}").unwrap();
        terminal.expect(&[&format!("Received from server: {number}"), " ->"]);
        let raw = terminal.raw();
        assert_eq!(
            String::from_utf8_lossy(&raw).matches('\x07').count(),
            number
        );
    }
    terminal.type_keys("\x04");
    drop(peer);
    terminal.finish(0);
}

#[test]
fn at_a_terminal_the_time_stands_before_the_label() {
    let (terminal, mut peer) = Terminal::connected(&["--time", "-f", "line", "--no-history"]);
    terminal.type_keys("hi\r");
    expect_bytes(&mut peer, "hi\n");
    peer.write_all("word ".repeat(30).as_bytes()).unwrap();
    peer.write_all(b"end\n").unwrap();
    terminal.expect_screen("the message", |screen| {
        let mut rows = screen
            .lines()
            .skip_while(|row| !row.contains(" Received from server: "));
        let Some((time, _)) = rows.next().and_then(|row| row.split_once(" Received")) else {
            return false;
        };
        let digits = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        let is_time = time
            .split_once(':')
            .is_some_and(|(h, m)| digits(h) && digits(m));
        is_time && rows.next().is_some_and(|row| row.starts_with("    word "))
    });
    drop(peer);
    terminal.finish(0);
}

/// A prompt that the terminal edits itself stands on a row of its own, so that the rest of a message
/// does not go on behind it, and begins no row.
#[test]
fn on_a_dumb_terminal_no_rest_of_a_message_begins_a_row() {
    let (terminal, mut peer) = waiting_on_dumb_terminal();
    // So long that only a pause ends it.
    peer.write_all("x".repeat(1100).as_bytes()).unwrap();
    terminal.expect_text("x\n <-");
    peer.write_all(b"The server left.").unwrap();
    terminal.expect_text("    The server left.");
    assert!(!terminal.screen().contains("\nThe server left."));
}

#[test]
fn an_empty_line_is_told_once_to_be_none() {
    let (listener, port) = raw_server();
    let terminal = Terminal::connect(port, &[]);
    let mut peer = accept(&listener);
    terminal.expect_text("\n ->");
    terminal.type_keys("\r");
    terminal.expect(&[" ->  (an empty line is not sent)"]);
    terminal.type_keys("a\x7f\r");
    terminal.type_keys("hello");
    terminal.expect(&[" -> hello"]);
    terminal.type_keys("\r");
    expect_bytes(&mut peer, "hello");
    let raw = terminal.raw();
    let told = b"an empty line";
    assert_eq!(
        raw.windows(told.len()).filter(|part| part == told).count(),
        1
    );
}

#[test]
fn who_sends_lines_is_noticed_once_under_raw() {
    let (terminal, mut peer) = waiting(&[]);
    peer.write_all(b"one\n").unwrap();
    let hint = "It ends with a newline: --framing line suits who sends lines";
    terminal.expect_words(hint);
    terminal.expect_text("lines.\n ->");
    terminal.type_keys("next\r");
    expect_bytes(&mut peer, "next");
    peer.write_all(b"two\n").unwrap();
    terminal.expect(&["Received from server: two", " ->"]);
}
