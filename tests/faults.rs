//! Faults on purpose: a line that is cut, slow or torn, signals, and a system that has
//! nothing left to give.

mod common;

use std::fmt::Write as _;
use std::io::{Read as _, Seek as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use common::terminal::{Setup, Terminal};
use common::{
    DEADLINE, Piped, accept, echo, expect_bytes, expect_end, home, program, raw_client, raw_server,
    reset_when_dropped, signal, stop, wait_until,
};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;

/// What a line does to a conversation.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// It ends in order.
    Cuts,
    /// It breaks.
    Resets,
    /// One direction of it ends.
    HalfCloses,
}

/// Passes bytes on between a client that comes to `listener` and the server on `port`, until
/// so many bytes have gone one way: to the server, or `back`. Then comes the fault.
fn proxy(listener: &TcpListener, port: u16, back: bool, limit: usize, fault: Fault) {
    let client = accept(listener);
    let server = raw_client(port);
    let mut ends = [client, server];
    let mut open = [true, true];
    let mut left = limit;
    let mut buffer = [0; 4096];
    while open != [false, false] {
        // The direction that is to fail is looked after first.
        let faulty = usize::from(back);
        if open[faulty] && left == 0 {
            match fault {
                Fault::Cuts => return,
                Fault::Resets => return ends.iter().for_each(reset_when_dropped),
                Fault::HalfCloses => {
                    let _ = ends[1 - faulty].shutdown(Shutdown::Write);
                    open[faulty] = false;
                    continue;
                }
            }
        }
        let mut fds = [0, 1].map(|end| {
            let events = if open[end] {
                PollFlags::POLLIN
            } else {
                PollFlags::empty()
            };
            PollFd::new(ends[end].as_fd(), events)
        });
        let deadline = PollTimeout::try_from(DEADLINE).unwrap();
        assert!(
            poll(&mut fds, deadline).unwrap() > 0,
            "nothing comes any more"
        );
        let ready = fds.map(|fd| fd.any() != Some(false));
        for from in [0, 1] {
            if !ready[from] {
                continue;
            }
            if !open[from] {
                // Its end is broken as well, and nobody is left to be told.
                return;
            }
            let room = if from == faulty { left } else { buffer.len() };
            let count = ends[from].read(&mut buffer[..room.min(4096)]).unwrap_or(0);
            if count == 0 {
                let _ = ends[1 - from].shutdown(Shutdown::Write);
                open[from] = false;
                continue;
            }
            if from == faulty {
                left -= count;
            }
            if ends[1 - from].write_all(&buffer[..count]).is_err() {
                return;
            }
        }
    }
}

const TURNS: usize = 10;

/// One conversation of ten turns over a line with a fault.
fn converse(framing: &str, back: bool, limit: usize, fault: Fault) {
    let what = format!("{framing}, back: {back}, after {limit} bytes: {fault:?}");
    let (listener, front) = raw_server();
    let mut args = vec!["--framing", framing];
    if framing == "json" {
        args.extend(["--name", "n"]);
    }
    let (mut server, port) = Piped::serve(&args);
    let line = thread::spawn(move || proxy(&listener, port, back, limit, fault));
    let mut client = Piped::connect(front, &args);
    let say = |letter: char| {
        (0..TURNS).fold(String::new(), |mut all, turn| {
            writeln!(all, "{letter}{turn}").unwrap();
            all
        })
    };
    for (process, letter) in [(&mut server, 'a'), (&mut client, 'q')] {
        // It may have ended already.
        let _ = process.take_stdin().write_all(say(letter).as_bytes());
    }
    line.join().unwrap_or_else(|_| panic!("{what}"));
    // A server that has not seen its client before it was gone waits for the next. The port of one
    // that has ended may be another's by now.
    if !server.exits_within(Duration::ZERO) {
        let _ = TcpStream::connect(("127.0.0.1", port));
    }
    let mut heard = Vec::new();
    for (mut process, letter, peer) in [(client, 'a', "server"), (server, 'q', "client")] {
        let status = process.exit();
        let (stdout, stderr) = process.finish_any();
        let told = format!("{what}: {status}\n{stdout}{stderr}");
        let label = match peer {
            "server" => "Received from server: ",
            _ => "Received from connected client: ",
        };
        let named = "Received from n: ";
        let messages: Vec<_> = stdout
            .lines()
            .map(|line| {
                let text = line.strip_prefix(label).or(line.strip_prefix(named));
                text.unwrap_or_else(|| panic!("{told}"))
            })
            .collect();
        // In order and whole, but for the one that was cut, which is the last.
        let mut whole = 0;
        for (turn, message) in messages.iter().enumerate() {
            let expected = format!("{letter}{turn}");
            if *message == expected {
                whole += 1;
            } else {
                assert_eq!(turn + 1, messages.len(), "{told}");
                assert!(expected.starts_with(message) || framing == "json", "{told}");
            }
        }
        // A message that is cut off is one all the same where the line only half closes.
        heard.push(if letter == 'q' { messages.len() } else { whole });
        // One that breaks at once does so before it is known to stand.
        let lost = stderr.contains(&format!("lost the connection to the {peer}: "))
            || (limit == 0 && stderr.starts_with("socketchat: cannot connect to "))
            || stderr.contains("Not sent: ")
            || stderr.ends_with(": the server left\n");
        match status.code() {
            Some(1) => assert!(lost, "{told}"),
            // All that was said was answered.
            Some(0) if letter == 'a' => assert!(!lost && messages.len() == TURNS, "{told}"),
            Some(0) => assert!(!lost, "{told}"),
            _ => panic!("{told}"),
        }
    }
    // What was acknowledged by a reply has arrived.
    assert!(heard[0] <= heard[1], "{what}: {heard:?}");
}

/// At every byte of the conversation, in both directions.
fn everywhere(framing: &str, total: usize) {
    let next = AtomicUsize::new(0);
    let faults = [Fault::Cuts, Fault::Resets, Fault::HalfCloses];
    let all = 2 * faults.len() * (total + 1);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= all {
                        return;
                    }
                    let (number, back) = (number / 2, number % 2 == 1);
                    let (limit, fault) = (number / faults.len(), faults[number % faults.len()]);
                    converse(framing, back, limit, fault);
                }
            });
        }
    });
}

#[test]
fn a_line_that_fails_at_every_byte_of_raw() {
    everywhere("raw", "q0".len() * TURNS);
}

#[test]
fn a_line_that_fails_at_every_byte_of_line() {
    everywhere("line", "q0\n".len() * TURNS);
}

#[test]
fn a_line_that_fails_at_every_byte_of_crlf() {
    everywhere("crlf", "q0\r\n".len() * TURNS);
}

#[test]
fn a_line_that_fails_at_every_byte_of_json() {
    everywhere("json", "{\"name\":\"n\",\"text\":\"q0\"}\n".len() * TURNS);
}

/// Passes bytes on in pieces of 1.5 KB, with pauses such as a slow and lossy line makes, in
/// milliseconds; until whoever they are for has gone.
fn dawdle(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 1500];
    let pauses: [u8; 7] = [20, 250, 5, 130, 0, 90, 200];
    for pause in pauses.into_iter().cycle() {
        let Ok(count @ 1..) = from.read(&mut buffer) else {
            break;
        };
        let mut gone = [PollFd::new(to.as_fd(), PollFlags::empty())];
        if poll(&mut gone, PollTimeout::from(pause)) != Ok(0)
            || to.write_all(&buffer[..count]).is_err()
        {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

#[test]
fn a_slow_line_with_pauses_brings_every_message_whole() {
    for framing in ["raw", "line", "json"] {
        let (listener, front) = raw_server();
        let (mut server, port) = Piped::serve(&["--framing", framing]);
        thread::spawn(move || {
            let client = accept(&listener);
            let server = raw_client(port);
            let (to, from) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || dawdle(from, to));
            dawdle(server, client);
        });
        let mut client = Piped::connect(front, &["-q", "--framing", framing]);
        for letter in ["a", "\u{fc}"] {
            let message = letter.repeat(5000) + "\n";
            client.write(&message);
            let arrived = |process: &Piped| {
                process.stdout.wait_for("the message", |bytes| {
                    bytes.ends_with(message.as_bytes()).then_some(())
                });
            };
            arrived(&server);
            server.write(&message);
            arrived(&client);
        }
        let (stdout, _) = client.finish(0);
        assert_eq!(stdout.lines().count(), 2, "{framing}");
    }
}

#[test]
fn a_signal_in_a_long_print_restores_the_terminal() {
    for by in [
        Signal::SIGTERM,
        Signal::SIGHUP,
        Signal::SIGQUIT,
        Signal::SIGINT,
    ] {
        let (terminal, mut peer) = Terminal::connected(&["--no-history"]);
        terminal.type_keys("go on\r");
        expect_bytes(&mut peer, "go on");
        let mut flood = peer.try_clone().unwrap();
        let flooding = thread::spawn(move || while flood.write_all(&[b'x'; 10_000]).is_ok() {});
        terminal.expect_text("xxxxxxxx");
        signal(terminal.child.id(), by);
        terminal.finish(130);
        flooding.join().unwrap();
    }
}

#[test]
fn a_prompt_whose_output_nobody_reads_any_more_is_a_quiet_end() {
    let (listener, port) = raw_server();
    let (reader, writer) = std::io::pipe().unwrap();
    let target = format!("localhost:{port}");
    let mut terminal = Setup::new(&["connect", "--no-history", &target])
        .stdout(writer)
        .start();
    let mut peer = accept(&listener);
    terminal.expect_text(" ->");
    drop(reader);
    common::exit_of_unread(&mut terminal.child, &mut peer);
    terminal.finish(0);
}

#[test]
fn what_was_said_before_a_kill_is_in_the_history_and_in_the_transcript() {
    let home = home();
    let transcript = home.path().join("chat.jsonl");
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let args = [
        "connect",
        &target,
        "--transcript",
        transcript.to_str().unwrap(),
    ];
    let mut terminal = Setup::at_home(&home, &args).start();
    let mut peer = accept(&listener);
    terminal.expect_text(" ->");
    terminal.type_keys("remember me\r");
    expect_bytes(&mut peer, "remember me");
    // It is written down when it was sent, which may be a moment later.
    let start = Instant::now();
    let sent = || {
        let transcript = std::fs::read_to_string(&transcript).unwrap();
        transcript.ends_with("\"bytes\":11,\"text\":\"remember me\"}\n")
    };
    while !sent() {
        assert!(start.elapsed() < DEADLINE, "it is not written down");
    }
    signal(terminal.child.id(), Signal::SIGKILL);
    terminal.exit();
    let history = home.path().join(".local/state/socketchat/history");
    let history = std::fs::read_to_string(history).unwrap();
    assert_eq!(history.matches("remember me\n").count(), 1, "{history}");
    assert!(sent());
}

#[test]
fn two_terminals_share_a_history_without_losing_lines_or_its_permissions() {
    let home = home();
    let folder = home.path().join(".local/state/socketchat");
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("history");
    std::fs::write(&file, "").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut chats: Vec<_> = (0..2)
        .map(|_| {
            let (listener, port) = raw_server();
            let target = format!("localhost:{port}");
            let terminal = Setup::at_home(&home, &["connect", &target]).start();
            let peer = accept(&listener);
            terminal.expect_text(" ->");
            (terminal, peer)
        })
        .collect();
    for turn in 0..10 {
        for (terminal, _) in &chats {
            terminal.expect_prompts(turn + 1);
        }
        for (number, (terminal, _)) in chats.iter().enumerate() {
            terminal.type_keys(&format!("{number} says {turn}\r"));
        }
        for (number, (_, peer)) in chats.iter_mut().enumerate() {
            expect_bytes(peer, format!("{number} says {turn}"));
            peer.write_all(b"yes").unwrap();
        }
    }
    drop(chats);
    let mode = file.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let history = std::fs::read_to_string(file).unwrap();
    for turn in 0..10 {
        for number in 0..2 {
            assert!(
                history.contains(&format!("{number} says {turn}\n")),
                "{history}"
            );
        }
    }
}

#[test]
fn without_a_home_there_is_a_chat() {
    let state = home();
    let (listener, port) = raw_server();
    let target = format!("localhost:{port}");
    let terminal = Setup::new(&["connect", &target])
        .env("HOME", "")
        .env("XDG_STATE_HOME", state.path().to_str().unwrap())
        .start();
    let mut peer = accept(&listener);
    terminal.expect_text(" ->");
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    assert!(state.path().join("socketchat/history").is_file());
}

#[test]
fn a_closed_stdin_is_an_input_that_has_ended() {
    let (listener, port) = raw_server();
    let mut command = Command::new("sh");
    let script = format!("exec \"$0\" connect localhost:{port} <&-");
    command.args(["-c", &script, program()]);
    let client = Piped::spawn(command);
    let mut server = accept(&listener);
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    client.finish(0);
}

#[test]
#[ignore = "needs setsid"]
fn without_a_controlling_terminal_there_is_a_chat() {
    let (listener, port) = raw_server();
    let mut command = Command::new("setsid");
    command.args([
        "--wait",
        program(),
        "connect",
        "--no-history",
        &format!("localhost:{port}"),
    ]);
    let terminal = Setup::program(command).start();
    let mut peer = accept(&listener);
    terminal.expect_text(" ->");
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    drop(peer);
    terminal.expect_text("The server left.");
    terminal.finish(0);
}

#[test]
#[cfg(target_os = "linux")]
fn few_descriptors_leave_a_plain_prompt() {
    for most in 12..28 {
        let (listener, port) = raw_server();
        let mut command = Command::new("sh");
        let script = format!("ulimit -n {most}; exec \"$0\" connect 127.0.0.1:{port}");
        command.args(["-c", &script, program()]);
        let terminal = Setup::program(command).start();
        let mut peer = accept(&listener);
        terminal.expect_text("\n ->");
        let plain = "Too many files are open for a prompt that can be edited.";
        assert!(terminal.screen().contains(plain) || most >= 20, "{most}");
        terminal.type_keys("hello\r");
        expect_bytes(&mut peer, "hello");
        peer.write_all(b"hi").unwrap();
        terminal.expect_text("Received from server: hi");
    }
}

#[test]
#[ignore = "needs bash"]
fn thousands_of_open_descriptors_leave_a_plain_prompt() {
    let (listener, port) = raw_server();
    let mut command = Command::new("bash");
    let script = format!(
        "most=$(ulimit -Hn); ulimit -n $most; ((most > 20100)) && most=20100
         for ((fd = 3; fd < most - 90; fd++)); do eval \"exec $fd</dev/null\"; done
         exec \"$0\" connect localhost:{port}"
    );
    command.args(["-c", &script, program()]);
    let terminal = Setup::program(command).start();
    let mut peer = accept(&listener);
    terminal.expect_text("Too many files are open for a prompt that can be edited.");
    terminal.expect_text(" ->");
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    peer.write_all(b"hi").unwrap();
    terminal.expect_text("Received from server: hi");
    drop(peer);
    terminal.expect_text("The server left.");
    terminal.type_keys("\r");
    terminal.finish(0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_soak_of_200_000_turns_takes_no_memory() {
    const TURNS: usize = 200_000;
    let (mut server, port) = Piped::serve(&["--framing", "line"]);
    echo(&mut server);
    let mut client = Piped::connect(port, &["-q", "--framing", "line"]);
    let mut stdin = client.take_stdin();
    let writer = thread::spawn(move || {
        for turn in 0..TURNS {
            // The test may have failed by then.
            let _ = writeln!(stdin, "{turn}");
        }
        stdin
    });
    let mut at = |turn: usize| {
        let line = format!("\n{}\n", turn - 1);
        client.stdout.wait_for_long(&line, |bytes| {
            let start = bytes.len().saturating_sub(200_000);
            let found = memchr::memmem::find(&bytes[start..], line.as_bytes());
            found.map(|_| ())
        });
        [&mut server, &mut client].map(|process| process.peak_memory())
    };
    let (early, late) = (at(TURNS / 10), at(TURNS));
    writer.join().unwrap();
    for (early, late) in early.into_iter().zip(late) {
        assert!(late <= early + 256 * 1024, "{early} and {late} bytes");
    }
}

/// Without turns nothing tells what has arrived but an end in order.
#[test]
fn a_reset_after_the_end_of_the_input_is_a_loss_without_turns() {
    for retry in [&["--quiet"][..], &["--quiet", "--retry"]] {
        let (listener, port) = raw_server();
        let args = ["--duplex", "--framing", "line"];
        let mut client = Piped::connect(port, &[&args, retry].concat());
        let mut server = accept(&listener);
        client.write("one\n");
        client.close_stdin();
        // Whether all of it has arrived, or not, cannot be known on the other side.
        expect_bytes(&mut server, "one\n");
        expect_end(&mut server);
        reset_when_dropped(&server);
        drop(server);
        let (_, stderr) = client.finish(1);
        let told = "socketchat: lost the connection to the server, which may not have taken everything: \
                    connection reset by peer\n";
        assert_eq!(stderr, told);
    }
    let (mut server, port) = Piped::serve(&["--duplex", "--framing", "line"]);
    let mut client = raw_client(port);
    server.write("one\n");
    server.close_stdin();
    expect_bytes(&mut client, "one\n");
    expect_end(&mut client);
    reset_when_dropped(&client);
    drop(client);
    let (_, stderr) = server.finish(1);
    assert!(
        stderr.contains("which may not have taken everything"),
        "{stderr}"
    );
}

/// An end in order is none, whatever was said before.
#[test]
fn an_end_after_the_end_of_the_input_is_no_loss() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--duplex", "--quiet"]);
    let mut server = accept(&listener);
    client.write("one");
    client.close_stdin();
    expect_bytes(&mut server, "one");
    drop(server);
    assert_eq!(client.finish(0), (String::new(), String::new()));
}

/// A message that came before our answer says nothing of that.
#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_a_reset_loses_after_the_end_of_the_input_is_a_loss() {
    for many in [&[][..], &["--max-clients", "3"]] {
        let (mut server, port) = Piped::serve(&[&["--framing", "line"], many].concat());
        let mut client = raw_client(port);
        client.write_all(b"one\ntwo\n").unwrap();
        server.write("to one\n");
        server.close_stdin();
        // It has closed its side: FIN_WAIT1 or FIN_WAIT2 (proc(5)).
        let local = format!(":{port:04X}");
        wait_until("the end", || {
            let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
            let closed = sockets.lines().any(|socket| {
                let mut fields = socket.split_whitespace().skip(1);
                let address = fields
                    .next()
                    .is_some_and(|address| address.ends_with(&local));
                address
                    && fields
                        .nth(1)
                        .is_some_and(|state| ["04", "05"].contains(&state))
            });
            closed.then_some(())
        });
        // The answer is there, and not read.
        reset_when_dropped(&client);
        drop(client);
        let (_, stderr) = server.finish(1);
        assert!(
            stderr.contains("which may not have taken everything"),
            "{stderr}"
        );
    }
}

#[test]
fn an_answer_that_a_reset_loses_before_bye_is_a_loss() {
    let (mut server, port) = Piped::serve(&["--framing", "line"]);
    raw_client(port).write_all(b"one\ntwo\n").unwrap();
    // It is closed by now.
    server.write("to one\nbye\n");
    let (_, stderr) = server.finish(1);
    let told = "lost the connection to the client, which may not have taken everything: ";
    assert!(stderr.contains(told), "{stderr}");
}

/// The system resets a connection that is closed with bytes to be read.
#[test]
fn an_answer_before_bye_reaches_a_client_that_has_sent_more() {
    let (mut server, port) = Piped::serve(&["--framing", "line"]);
    let mut client = raw_client(port);
    let mut sending = client.try_clone().unwrap();
    sending.set_nonblocking(true).unwrap();
    // More than is read ahead of the next turn.
    while sending.write(&b"a line\n".repeat(1000)).is_ok() {}
    sending.set_nonblocking(false).unwrap();
    let answer = "x".repeat(200_000);
    server.write(format!("{answer}\nbye\n"));
    let mut received = String::new();
    client.read_to_string(&mut received).unwrap();
    assert_eq!(received.len(), answer.len() + 1);
    let (stdout, _) = server.finish(0);
    assert_eq!(stdout, "Received from connected client: a line\n".repeat(2));
}

#[test]
fn an_answer_that_a_reset_loses_is_a_loss_though_nobody_reads_the_output() {
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    command.args("serve --port 0 -m 3 -f line --linger 60s".split(' '));
    let mut server = Piped::spawn_with(command, stdout.into());
    let port = server.port();
    let [first, mut second, _unanswered] = [1, 2, 3].map(|number| {
        let mut client = raw_client(port);
        client.write_all(b"hello\n").unwrap();
        expect_bytes(
            &mut shown,
            format!("Received from client #{number}: hello\n"),
        );
        client
    });
    server.write("one\ntwo\n");
    expect_bytes(&mut second, "two\n");
    server.close_stdin();
    expect_end(&mut second);
    drop(shown);
    reset_when_dropped(&first);
    drop(first);
    // Until the output fails.
    while second.write_all(b"more\n").is_ok() {
        thread::yield_now();
    }
    server.finish(1);
}

#[test]
fn a_line_that_a_reset_cuts_is_a_loss_though_nobody_reads_the_output() {
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    command.args("serve --port 0 -f line".split(' '));
    let mut server = Piped::spawn_with(command, stdout.into());
    let mut client = raw_client(server.port());
    client.write_all(b"one\ntwo\n").unwrap();
    expect_bytes(&mut shown, "Received from connected client: one\n");
    drop(shown);
    let mut stdin = server.take_stdin();
    // Until the program ends.
    let writing = thread::spawn(move || while stdin.write_all(&[b'x'; 10_000]).is_ok() {});
    wait_until("the line", || {
        (client.peek(&mut [0]).ok()? > 0).then_some(())
    });
    reset_when_dropped(&client);
    drop(client);
    server.finish(1);
    writing.join().unwrap();
}

/// Each part of it has its time.
#[test]
fn a_long_answer_to_a_client_that_has_closed_its_side_is_whole() {
    let limit = Duration::from_millis(200);
    let (mut server, port) = Piped::serve(&["-f", "line", "--linger", "200ms"]);
    let mut client = raw_client(port);
    client.write_all(b"hello\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let text = "x".repeat(100_000);
    server.write(&text);
    let start = Instant::now();
    while start.elapsed() < 5 * limit {
        server.write(&text);
        // What does not fill the buffer is sent with the end of the line.
        expect_bytes(&mut client, &text);
    }
    server.write("\n");
    expect_bytes(&mut client, text + "\n");
    expect_end(&mut client);
    server.finish(0);
}

/// Nothing is read of a client while nothing can be shown, not even its end.
#[test]
fn an_answer_that_a_reset_loses_while_nothing_can_be_shown_is_a_loss() {
    let (mut shown, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    command.args("serve --port 0 -m 3 -f line --linger 200ms".split(' '));
    let mut server = Piped::spawn_with(command, stdout.into());
    let mut client = raw_client(server.port());
    client.write_all(b"hello\n").unwrap();
    expect_bytes(&mut shown, "Received from client #1: hello\n");
    // The end of the input is in our turn.
    let mut unanswered = raw_client(server.port());
    unanswered.write_all(b"hello\n").unwrap();
    expect_bytes(&mut shown, "Received from client #2: hello\n");
    let mut flood = raw_client(server.port());
    let limit = Some(Duration::from_millis(500));
    flood.set_write_timeout(limit).unwrap();
    while flood.write_all(&[b'x'; 10_000]).is_ok() {}
    server.write("the answer\n");
    wait_until("the answer", || client.peek(&mut [0]).ok());
    server.close_stdin();
    reset_when_dropped(&client);
    drop(client);
    let told = "Some of what was sent may not have reached client #1; it is not sent again.\n";
    server
        .stderr
        .wait_for(told, |bytes| bytes.ends_with(told.as_bytes()).then_some(()));
    std::io::copy(&mut shown, &mut std::io::sink()).unwrap();
    server.finish(1);
}

/// What comes of a file is always ready, and must not keep the end from being seen.
#[test]
fn a_loss_in_a_long_line_of_a_file_is_told_once() {
    let (listener, port) = raw_server();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&vec![b'x'; 20 << 20]).unwrap();
    file.rewind().unwrap();
    let mut command = Command::new(program());
    command
        .args(["connect", "--quiet", &format!("localhost:{port}")])
        .stdin(file);
    let client = thread::spawn(move || command.output().unwrap());
    let mut server = accept(&listener);
    server.read_exact(&mut [0; 1000]).unwrap();
    reset_when_dropped(&server);
    drop(server);
    let output = client.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.matches("Not sent: ").count() <= 1);
    assert!(stderr.contains("lost the connection to the server"));
}

#[test]
fn a_file_that_may_not_grow_ends_the_transcript_and_not_the_chat() {
    let (listener, port) = raw_server();
    let folder = home();
    let file = folder.path().join("chat.jsonl");
    let mut command = Command::new("sh");
    let script = format!("ulimit -f 2; exec \"$0\" connect localhost:{port} --transcript \"$1\"");
    command.args(["-c", &script, program(), file.to_str().unwrap()]);
    let mut client = Piped::spawn(command);
    let mut server = accept(&listener);
    client.write("hello\n");
    expect_bytes(&mut server, "hello");
    server.write_all(&[b'x'; 1000].repeat(5)).unwrap();
    let told = "chat.jsonl ends here: file too large\n";
    client.stderr.wait_for(told, |bytes| {
        String::from_utf8_lossy(bytes).contains(told).then_some(())
    });
    client.write("hello\n");
    expect_bytes(&mut server, "hello");
}

#[test]
fn a_file_that_may_not_grow_ends_the_transcript_and_not_the_relay() {
    let (listener, target) = raw_server();
    let folder = home();
    let file = folder.path().join("relay.jsonl");
    let mut command = Command::new("sh");
    let script =
        format!("ulimit -f 2; exec \"$0\" relay --listen 0 localhost:{target} --transcript \"$1\"");
    command.args(["-c", &script, program(), file.to_str().unwrap()]);
    let relay = Piped::spawn(command);
    let mut client = raw_client(relay.port());
    let mut server = accept(&listener);
    for _ in 0..10 {
        client.write_all(&[b'x'; 500]).unwrap();
        expect_bytes(&mut server, "x".repeat(500));
    }
    let told = "relay.jsonl ends here: file too large\n";
    relay.stderr.wait_for(told, |bytes| {
        String::from_utf8_lossy(bytes).contains(told).then_some(())
    });
    server.write_all(b"back").unwrap();
    expect_bytes(&mut client, "back");
}

#[test]
fn a_history_that_may_not_grow_keeps_its_permissions() {
    let folder = home();
    let file = folder.path().join("history");
    std::fs::write(&file, format!("#V2\n{}\n", "x".repeat(2000))).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (listener, port) = raw_server();
    let mut command = Command::new("sh");
    let script = format!("ulimit -f 1; exec \"$0\" connect 127.0.0.1:{port} --history-file \"$1\"");
    command.args(["-c", &script, program(), file.to_str().unwrap()]);
    let terminal = Setup::program(command).start();
    let mut peer = accept(&listener);
    terminal.expect_text(" ->");
    terminal.type_keys("hello\r");
    expect_bytes(&mut peer, "hello");
    terminal.expect_text("Cannot write the history");
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    common::leave(peer);
    terminal.finish(0);
}

#[test]
fn a_long_line_that_is_refused_is_a_loss() {
    let long = "x".repeat(100_000);
    for (input, told) in [
        (format!("{long}\n"), "1 line not sent"),
        (format!("{long}\none\n"), "2 lines not sent"),
    ] {
        let (listener, port) = raw_server();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(input.as_bytes()).unwrap();
        file.rewind().unwrap();
        let mut command = Command::new(program());
        command
            .args(["connect", "-f", "line", &format!("localhost:{port}")])
            .stdin(file);
        let client = thread::spawn(move || command.output().unwrap());
        // It is closed before anything is read.
        drop(accept(&listener));
        let output = client.join().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        // The system may have accepted all of it before.
        let is_told = stderr.contains(told) || stderr.contains("lost the connection");
        assert!(is_told, "{stderr}");
        assert_eq!(output.status.code(), Some(1), "{stderr}");
    }
}

/// It is no goodbye: a peer that has closed its side may go on to read.
#[test]
fn what_a_peer_refuses_after_its_end_is_a_loss_without_turns() {
    let (listener, port) = raw_server();
    let mut client = Piped::connect(port, &["--duplex", "--quiet"]);
    let mut stdin = client.take_stdin();
    // More than the system takes.
    let writer = thread::spawn(move || stdin.write_all(&vec![b'x'; 20 << 20]));
    let mut server = accept(&listener);
    server.read_exact(&mut [0; 1000]).unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    reset_when_dropped(&server);
    drop(server);
    let (_, stderr) = client.finish(1);
    assert!(
        stderr.contains("lost the connection to the server"),
        "{stderr}"
    );
    // It ends with an error when the client does.
    let _ = writer.join().unwrap();
}

#[test]
fn a_line_that_nobody_of_all_takes_is_a_loss() {
    let (mut server, port) = Piped::serve(&["--duplex"]);
    let mut client = raw_client(port);
    client.write_all(b"hello").unwrap();
    server.expect("Received from connected client: hello");
    // Else the end of the client could count before the line is read.
    stop(server.id());
    client.shutdown(Shutdown::Write).unwrap();
    reset_when_dropped(&client);
    drop(client);
    server.write("one\n");
    server.close_stdin();
    signal(server.id(), Signal::SIGCONT);
    server.finish(1);
}

/// Without turns, the two ways are independent.
#[test]
fn a_stdout_that_nobody_reads_does_not_hold_up_the_input() {
    let (listener, port) = raw_server();
    let (_unread, stdout) = std::io::pipe().unwrap();
    let mut command = Command::new(program());
    let port = format!("localhost:{port}");
    command.args(["connect", "--duplex", "--framing", "line", &port]);
    let mut client = Piped::spawn_with(command, stdout.into());
    let mut server = accept(&listener);
    let line = [&vec![b'x'; 60_000][..], b"\n"].concat();
    for _ in 0..10 {
        server.write_all(&line).unwrap();
    }
    // By now no more is taken of it.
    let lines = "line\n".repeat(2000);
    client.write(&lines);
    expect_bytes(&mut server, &lines);
    signal(client.id(), Signal::SIGTERM);
    client.exit();
}
