//! What a hostile peer sends, and what must come of it on the terminal of whoever reads it.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::terminal::{COLUMNS, Setup, Terminal, prompts};
use common::{DEADLINE, Gathered, Piped, accept, raw_client, raw_server};
use socketchat::wrap::max_width;

/// What a hostile peer sends to act on the terminal, each with something to follow.
fn attacks() -> Vec<Vec<u8>> {
    let corpus = include_str!("attacks.txt");
    corpus
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| {
            let (_, bytes) = line.split_once(": ").expect("NAME: BYTES");
            let mut pieces = bytes.split("\\x");
            let mut found = pieces.next().unwrap_or_default().as_bytes().to_vec();
            for piece in pieces {
                let (digits, rest) = piece.split_at(2);
                found.push(u8::from_str_radix(digits, 16).unwrap());
                found.extend_from_slice(rest.as_bytes());
            }
            found
        })
        .collect()
}

/// An attack as it goes over the wire; in JSON, in the name as well.
fn framed(framing: &str, attack: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(attack);
    match framing {
        "raw" => attack.to_vec(),
        "json" => format!("{}\n", serde_json::json!({ "name": text, "text": text })).into(),
        _ => [attack, b"\n"].concat(),
    }
}

#[test]
fn no_attack_reaches_a_terminal_as_itself() {
    for framing in ["raw", "line", "crlf", "json"] {
        let (listener, port) = raw_server();
        let target = format!("localhost:{port}");
        let args = ["connect", &target, "--framing", framing, "--color", "never"];
        let terminal = Setup::new(&args).start();
        let mut peer = accept(&listener);
        terminal.expect_text("\n ->");
        for (index, attack) in attacks().into_iter().enumerate() {
            terminal.type_keys(&format!("turn {index}\r"));
            let line = format!("turn {index}");
            let mut got = String::new();
            while !got.contains(&line) {
                let mut byte = [0];
                peer.read_exact(&mut byte).unwrap();
                got.push(byte[0].into());
            }
            peer.write_all(&framed(framing, &attack)).unwrap();
            // Only behind the message is there a prompt again.
            terminal.expect_prompts(index + 2);
        }
        common::leave(peer);
        let raw = terminal.raw();
        let text = String::from_utf8_lossy(&raw).into_owned();
        for bad in BAD {
            assert!(!text.contains(bad), "{framing}: {bad:?} in {text:?}");
        }
        terminal.finish(0);
    }
}

/// What must not reach a terminal.
const BAD: [&str; 17] = [
    "\x1b]", "\x1bP", "\x1b_", "\x1b^", "\x1bc", "\x1b[31m", "\x1b[2J", "\x07", "\x08", "\x0e",
    "\u{9b}", "\u{9d}", "\u{202e}", "\u{2066}", "\u{200b}", "\u{2028}", "\u{feff}",
];

#[test]
fn no_name_acts_on_a_terminal_where_clients_are_listed() {
    let attacks = attacks();
    let args = ["-m", "200", "-b", "200", "-f", "json", "--color", "never"];
    let (terminal, port) = Terminal::serve(&args);
    let names = [
        "Client #9: forged",
        " #1     -> forged",
        "\u{3248}".repeat(40).as_str(),
    ]
    .map(|name| name.as_bytes().to_vec());
    let names: Vec<_> = attacks.into_iter().take(90).chain(names).collect();
    let mut clients = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let mut client = raw_client(port);
        client.write_all(&framed("json", name)).unwrap();
        terminal.expect_text(&format!("(client #{})", index + 1));
        clients.push(client);
    }
    let waiting = names.len() - 1;
    let prompt = format!("\n #1 +{waiting}   ->");
    terminal.expect_screen("all of them", |screen| screen.ends_with(&prompt));
    terminal.type_keys("/who\r");
    let last = format!("Client #{}: ", names.len());
    terminal.expect_text(&last);
    let rows_are_ours = |screen: &str| {
        let is_ours = |row: &str| {
            row.starts_with("   ")
                || row.starts_with("Client #") && !row.starts_with("Client #9: forged")
                || row.starts_with(|c: char| c.is_ascii_digit())
                || row.starts_with("Received from ")
                || row.starts_with("Connection from: ")
                // The prompt.
                || row.starts_with(" #1 +")
                || row == " <-"
        };
        screen
            .lines()
            .find(|row| !row.is_empty() && !is_ours(row))
            .map(str::to_owned)
    };
    assert_eq!(rows_are_ours(&terminal.screen()), None);
    // Few enough to be listed without a question.
    terminal.type_keys("/kick 1\t");
    terminal.expect_screen("the list", |screen| {
        screen.contains("\n1 ") && screen.contains("19 ")
    });
    assert_eq!(rows_are_ours(&terminal.screen()), None);
    let raw = terminal.raw();
    let text = String::from_utf8_lossy(&raw);
    for bad in BAD {
        // rustyline rings when there is more than one.
        let rings = usize::from(bad == "\x07");
        assert_eq!(text.matches(bad).count(), rings, "{bad:?} in {text:?}");
    }
    terminal.type_keys("\x15\x04");
    terminal.finish(0);
}

fn tmux(socket: &str, args: &[&str]) -> String {
    let output = Command::new("tmux")
        .args(["-L", socket, "-f", "/dev/null"])
        .args(args)
        .output()
        .expect("tmux is installed");
    String::from_utf8(output.stdout).unwrap()
}

/// What tmux knows of the state of a terminal.
const STATE: &str = "#{pane_title}|#{window_name}|#{alternate_on}|#{cursor_flag}|#{insert_flag}|\
                     #{keypad_flag}|#{mouse_any_flag}|#{origin_flag}|#{wrap_flag}|\
                     #{scroll_region_upper}-#{scroll_region_lower}";

/// A tmux server of the test's own.
struct Tmux(String);

impl Drop for Tmux {
    fn drop(&mut self) {
        tmux(&self.0, &["kill-server"]);
    }
}

#[test]
#[ignore = "needs tmux"]
fn attacks_leave_a_real_terminal_as_it_was() {
    for framing in ["raw", "line", "crlf", "json"] {
        let server = Tmux(format!("socketchat-{}-{framing}", std::process::id()));
        let socket = &server.0;
        let (listener, port) = raw_server();
        let folder = common::home();
        let pipe = folder.path().join("screen").display().to_string();
        assert!(
            Command::new("mkfifo")
                .arg(&pipe)
                .status()
                .unwrap()
                .success()
        );
        let run = format!(
            "read go; {} connect --no-history --color never --framing {framing} localhost:{port}; \
             cat",
            common::program()
        );
        // A name of our own is not changed by tmux itself.
        let window = ["-n", "chat", "-x", "80", "-y", "24", &run];
        tmux(
            socket,
            &[&["-u", "new-session", "-d"], &window[..]].concat(),
        );
        tmux(socket, &["set-option", "-g", "set-clipboard", "on"]);
        tmux(socket, &["set-option", "-g", "allow-rename", "on"]);
        tmux(socket, &["set-option", "-g", "allow-passthrough", "on"]);
        tmux(socket, &["set-buffer", "-b", "mine", "untouched"]);
        tmux(socket, &["pipe-pane", &format!("cat > {pipe}")]);
        let seen = Gathered::from(std::fs::File::open(&pipe).unwrap());
        let state =
            || tmux(socket, &["display-message", "-p", STATE]) + &tmux(socket, &["list-buffers"]);
        tmux(socket, &["send-keys", "Enter"]);
        let mut peer = accept(&listener);
        seen.wait_for("the prompt", |bytes| (prompts(bytes) == 1).then_some(()));
        let before = state();
        for (turn, attack) in attacks().into_iter().enumerate() {
            tmux(socket, &["send-keys", "x", "Enter"]);
            let mut byte = [0];
            while byte != [b'x'] {
                peer.read_exact(&mut byte).unwrap();
            }
            peer.write_all(&framed(framing, &attack)).unwrap();
            seen.wait_for("the next prompt", |bytes| {
                (prompts(bytes) == turn + 2).then_some(())
            });
        }
        assert_eq!(state(), before, "{framing}");
        // With its colours: none was set that is still on, and none is on the screen.
        let screen = tmux(socket, &["capture-pane", "-p", "-e"]);
        assert!(!screen.contains('\x1b'), "{framing}: {screen:?}");
        drop(peer);
    }
}

/// Texts whose width terminals do not agree on, and some whose width they do.
const WIDTHS: [&str; 16] = [
    "x",
    "\u{fc}",                                                       // u with an umlaut
    "e\u{301}",                                                     // a mark
    "\u{995}\u{9be}",                                               // a vowel sign of Bengali
    "\u{e17}\u{e35}\u{e48}",                                        // Thai
    "\u{1100}\u{1161}\u{11a8}",                                     // Hangul in three parts
    "\u{304b}\u{302e}",                                             // a tone mark
    "\u{3248}",                                                     // a number in a circle
    "\u{65e5}",                                                     // Han
    "\u{ff76}",                                                     // a narrow Katakana
    "\u{fdfa}",         // a whole sentence in a character
    "\u{2764}\u{fe0f}", // an emoji by a variation selector
    "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}", // a family
    "\u{1f468}\u{200d}", // a family without an end
    "\u{1f1e8}\u{1f1ed}", // a flag
    "\u{12031}",        // Cuneiform
];

type Wanted<'a> = &'a dyn Fn(&str) -> bool;

/// A terminal of any kind, on which the program talks with `peer`.
struct Target<'a> {
    peer: TcpStream,
    columns: usize,
    type_keys: &'a dyn Fn(&str),
    /// Waits until the screen is as the function wants it, and returns it.
    screen: &'a dyn Fn(Wanted<'_>) -> String,
}

impl Target<'_> {
    /// Sends a message of each of [`WIDTHS`]. No row but the first begins with anything of it.
    fn forge(mut self, framing: &str) {
        for (turn, text) in WIDTHS.iter().enumerate() {
            let mark = format!("turn {turn}");
            (self.type_keys)(&format!("{mark}\r"));
            let mut got = String::new();
            while !got.contains(&mark) {
                let mut byte = [0];
                self.peer.read_exact(&mut byte).unwrap();
                got.push(byte[0].into());
            }
            // For some rows; and what a forger wants at the start of one.
            let count = 3 * self.columns / max_width(text);
            let attack = text.repeat(count) + " Received from server: forged -> yes";
            self.peer
                .write_all(&framed(framing, attack.as_bytes()))
                .unwrap();
            let echo = format!(" -> {mark}");
            let screen = (self.screen)(&|screen| {
                screen.contains(&echo) && screen.trim_end().ends_with("\n ->")
            });
            let (_, shown) = screen.rsplit_once(&echo).unwrap();
            let mut rows = shown.trim().lines();
            let first = rows.next().unwrap();
            assert!(first.starts_with("Received from"), "{text:?}: {screen}");
            let rows: Vec<_> = rows.filter(|row| *row != "->").collect();
            assert!(rows.len() >= 3, "{text:?}: {screen}");
            for row in rows {
                assert!(
                    row == " ->" || row.starts_with("    "),
                    "{text:?}: {screen}"
                );
            }
        }
        common::leave(self.peer);
    }
}

const FORGED: [(u16, &str); 6] = [
    (20, "raw"),
    (40, "raw"),
    (80, "raw"),
    (20, "json"),
    (40, "json"),
    (80, "json"),
];

#[test]
fn no_row_is_forged_by_its_width() {
    for (columns, framing) in FORGED {
        let (terminal, peer) = Terminal::connected(&["--framing", framing]);
        terminal.resize(columns);
        let target = Target {
            peer,
            columns: columns.into(),
            type_keys: &|keys| terminal.type_keys(keys),
            screen: &|check| {
                let mut screen = String::new();
                terminal.expect_screen("the message and a prompt", |now| {
                    now.clone_into(&mut screen);
                    check(now)
                });
                screen
            },
        };
        target.forge(framing);
        terminal.finish(0);
    }
}

/// Terminals draw them in two columns where the locale is one of East Asia, if they are set to.
#[test]
fn no_row_of_greek_or_cyrillic_letters_is_too_wide_in_a_locale_of_east_asia() {
    let (listener, port) = raw_server();
    let args = [
        "connect",
        "--duplex",
        "-f",
        "line",
        &format!("localhost:{port}"),
    ];
    let terminal = Setup::new(&args).env("LC_ALL", "ja_JP.UTF-8").start();
    let mut peer = accept(&listener);
    let text = "\u{416}\u{3b1}\u{e9}".repeat(100);
    peer.write_all(format!("{text}\nend\n").as_bytes()).unwrap();
    terminal.expect_text("Received from server: end");
    let screen = terminal.screen();
    for row in screen.lines() {
        let width: usize = row.chars().map(|c| if c.is_ascii() { 1 } else { 2 }).sum();
        assert!(width <= usize::from(COLUMNS), "{row}");
    }
    let shown = screen.chars().filter(|c| !c.is_ascii()).count();
    assert_eq!(shown, 300, "{screen}");
    terminal.type_keys("\x03");
    terminal.finish(130);
}

#[test]
#[ignore = "needs tmux"]
fn no_row_of_a_real_terminal_is_forged_by_its_width() {
    for (columns, framing) in FORGED {
        let server = Tmux(format!(
            "socketchat-{}-{columns}-{framing}",
            std::process::id()
        ));
        let socket = &server.0;
        let (listener, port) = raw_server();
        let run = format!(
            "{} connect --no-history --color never --framing {framing} localhost:{port}",
            common::program()
        );
        let columns_text = columns.to_string();
        let window = ["-x", &columns_text, "-y", "50", &run];
        tmux(
            socket,
            &[&["-u", "new-session", "-d"], &window[..]].concat(),
        );
        let screen = |check: Wanted<'_>| {
            let start = Instant::now();
            loop {
                let screen = tmux(socket, &["capture-pane", "-p"]);
                if check(&screen) {
                    return screen;
                }
                assert!(start.elapsed() < DEADLINE, "waited in vain:\n{screen}");
                thread::sleep(Duration::from_millis(5));
            }
        };
        let peer = accept(&listener);
        screen(&|screen| screen.trim_end().ends_with("\n ->"));
        let target = Target {
            peer,
            columns: columns.into(),
            type_keys: &|keys| {
                tmux(socket, &["send-keys", "-l", keys.trim_end()]);
                tmux(socket, &["send-keys", "Enter"]);
            },
            screen: &screen,
        };
        target.forge(framing);
    }
}

#[test]
fn the_notice_of_an_unended_line_is_not_forged_by_its_width() {
    for columns in [20, 40, 80] {
        let (terminal, mut peer) = Terminal::connected(&["--framing", "line"]);
        terminal.resize(columns);
        terminal.type_keys("ask\r");
        common::expect_bytes(&mut peer, "ask\n");
        let text = "\u{3248}".repeat(24) + "Received from server: forged";
        peer.write_all(text.as_bytes()).unwrap();
        terminal.expect_screen("the notice", |screen| {
            screen.contains("So far:") && screen.ends_with("\n <-")
        });
        let screen = terminal.screen();
        let (_, notice) = screen.split_once("\nThe server has").unwrap();
        for row in notice.lines().skip(1) {
            assert!(row == " <-" || row.starts_with("    "), "{screen}");
        }
    }
}

/// What others can name a file.
const NAME: &str = "\x1b[31m\x1b]0;title\x07\u{202e}\nReceived from server: forged";

/// Asserts that no name acts on `terminal`, and that no row of it is forged.
#[track_caller]
fn expect_no_forgery(terminal: &Terminal) {
    let raw = terminal.raw();
    let text = String::from_utf8_lossy(&raw);
    for bad in BAD {
        assert!(!text.contains(bad), "{bad:?} in {text:?}");
    }
    assert!(!text.contains("\nReceived"), "{text:?}");
}

#[test]
fn no_name_of_a_file_or_socket_acts_on_a_terminal_in_a_notice() {
    let folder = common::home();
    let named = |kind: &str| folder.path().join(format!("{kind}{NAME}"));
    let text_of = |kind: &str| named(kind).to_str().unwrap().to_owned();
    std::os::unix::fs::symlink("/dev/full", named("full")).unwrap();
    std::fs::create_dir(named("folder")).unwrap();
    let fine = r#"{"time":"2026-01-01T00:00:00Z","event":"notice","text":"fine"}"#;
    std::fs::write(named("bad"), format!("junk\n{fine}\n")).unwrap();

    let host = format!("unix:{}", text_of("s"));
    let (full, history) = (text_of("full"), text_of("folder"));
    let args = ["serve", "--host", &host, "--explain", "--color", "never"];
    let files = ["--transcript", &full, "--history-file", &history];
    let terminal = Setup::new(&[&args[..], &files].concat()).start();
    for told in ["bind(", "Listening on ", "ends here: ", "the history in "] {
        terminal.expect_words(told);
    }
    terminal.expect_text("\n <-");
    expect_no_forgery(&terminal);
    terminal.type_keys("\x03");
    terminal.finish(130);

    let mut terminal = Setup::new(&["diagram", &text_of("bad")]).start();
    terminal.exit();
    let left_out = terminal.screen().replace("\n    ", "");
    assert!(left_out.contains("forged:1: left"), "{left_out}");
    expect_no_forgery(&terminal);
    let (_, told) = Piped::start(["diagram", &text_of("bad")]).finish(0);
    assert!(told.contains("\\u{1b}[31m"), "{told}");
    assert!(!told.contains(['\x1b', '\x07']), "{told:?}");
}

/// The rest of a row that cannot be shown yet is kept, and the terminal may be narrower when it can.
#[test]
fn no_row_is_forged_while_the_terminal_becomes_narrower() {
    let (terminal, mut peer) = Terminal::connected(&["--duplex", "-f", "nul"]);
    let forged = "Received from server: forged";
    let last = format!("see:\n{}{forged}", "z".repeat(20));
    // As much as is shown at once of a message without an end.
    let mut message = "\n".repeat(64 * 1024 - last.len());
    message += &last;
    peer.write_all(message.as_bytes()).unwrap();
    terminal.expect_text("\n    see:\n");
    terminal.resize(24);
    peer.write_all(b" end\0").unwrap();
    terminal.expect_text("end\n");
    let screen = terminal.screen();
    assert!(!screen.contains("\nReceived from server"), "{screen}");
    terminal.type_keys("\x03");
    terminal.finish(130);
}

/// Notices go to stderr, and messages to another terminal.
#[test]
fn no_row_of_a_notice_is_forged_where_stdout_is_wider() {
    let wide = nix::pty::Winsize {
        ws_row: 24,
        ws_col: 200,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let wide = nix::pty::openpty(&wide, None).unwrap();
    let home = common::home();
    let script = home.path().join("script");
    std::fs::write(&script, "yes\tno\n").unwrap();
    let args = ["serve", "--port", "0", "--script", script.to_str().unwrap()];
    let terminal = Setup::new(&args).stdout(wide.slave).start();
    let mut client = raw_client(terminal.port());
    client.write_all(&[b'x'; 300]).unwrap();
    terminal.expect_text("The script has no answer for the client");
    terminal.expect_text("\u{2026}'.");
    let screen = terminal.screen();
    assert!(!screen.contains("\nx"), "{screen}");
}

/// A message may have a row that looks like a prompt, but for where it begins.
#[test]
fn no_row_of_a_message_is_a_prompt() {
    let (terminal, port) = Terminal::serve(&["-m", "5", "-f", "nul"]);
    let mut client = raw_client(port);
    client.write_all(b"hello\0").unwrap();
    let prompt = " #1     -> ";
    terminal.expect_text(&format!("\n{}", prompt.trim_end()));
    terminal.type_keys("my answer\r");
    terminal.expect_text(&format!("\n{prompt}my answer\n"));
    let rows = ["#1     -> forged\n", "<- forged\n"].map(|row| {
        let indented = (0..9).map(|spaces| " ".repeat(spaces) + row);
        indented.collect::<String>()
    });
    client
        .write_all(format!("thanks\n{}\0", rows.concat()).as_bytes())
        .unwrap();
    terminal.expect_text(&format!("\n{}<- forged\n", " ".repeat(12)));
    for row in terminal.screen().lines() {
        // Our own begin with one space.
        assert!(!row.contains("forged") || row.starts_with("    "), "{row}");
    }
    terminal.type_keys("\x04");
    terminal.finish(0);
}

#[test]
fn the_error_that_the_program_ends_with_is_one_line_whatever_it_names() {
    let home = common::home();
    let host = format!("unix:{}{NAME}", home.path().display());
    let missing = format!("{}/{NAME}/file", home.path().display());
    let port = common::free_port().to_string();
    for args in [
        vec!["connect", &host],
        vec!["connect", "localhost", "--transcript", &missing],
        vec!["serve", "--script", &missing],
        vec!["diagram", &missing],
        vec!["check", "client", "--port", &port, "--", &missing],
    ] {
        let (_, told) = Piped::start(&args).finish(1);
        assert!(told.starts_with("socketchat: cannot "), "{told}");
        assert!(told.contains("\\nReceived"), "{told}");
        assert_eq!(told.matches('\n').count(), 1, "{told}");
        let mut terminal = Setup::new(&args).start();
        assert_eq!(terminal.exit().code(), Some(1));
        let screen = terminal.screen();
        let mut rows = screen.lines();
        assert!(rows.next().unwrap().starts_with("socketchat: cannot "));
        assert!(rows.all(|row| row.starts_with("    ")), "{screen}");
        expect_no_forgery(&terminal);
    }
}

/// Of a line that is none, a part is quoted in the notice of it.
#[test]
fn the_notice_of_a_bad_transcript_is_not_forged_by_its_width() {
    let folder = common::home();
    // The notice has the path, whose length is chance.
    let path = folder.path().join("t");
    let before = format!(
        "{}:1: left out, as it is no line of a transcript: unknown variant `",
        path.display()
    );
    let columns = usize::from(common::terminal::COLUMNS);
    for shift in 0..columns {
        let padding = "x".repeat((2 * columns - before.len() % columns + shift) % columns);
        let bad = format!("{padding}The server left.");
        let record = serde_json::json!({"time": "2026-01-01T00:00:01Z", "event": bad});
        std::fs::write(&path, format!("{record}\n")).unwrap();
        let mut terminal = Setup::new(&["diagram", path.to_str().unwrap()]).start();
        terminal.exit();
        let screen = terminal.screen();
        assert!(screen.contains("unknown"), "{screen}");
        let is_forged = screen
            .lines()
            .any(|row| row.starts_with("The server left."));
        assert!(!is_forged, "{screen}");
    }
}

#[test]
fn a_diagram_is_not_forged_by_its_width() {
    for columns in [20, 40, 80] {
        let folder = common::home();
        let path = folder.path().join("talk.jsonl");
        let mut transcript = String::from(concat!(
            r#"{"time":"2026-01-01T00:00:00Z","event":"connected","peer":"127.0.0.1:5000","#,
            r#""local":"127.0.0.1:6000"}"#,
            "\n"
        ));
        for text in WIDTHS {
            let text = text.repeat(3 * usize::from(columns) / max_width(text));
            for event in ["sent", "received", "error"] {
                let record = serde_json::json!({
                    "time": "2026-01-01T00:00:01Z",
                    "event": event,
                    "peer": "127.0.0.1:5000",
                    "text": text,
                });
                transcript += &format!("{record}\n");
            }
        }
        std::fs::write(&path, transcript).unwrap();
        // At a terminal of this width, on which cat then shows it.
        let drawn = folder.path().join("drawn");
        let shell = format!(
            "stty cols {columns}; {} diagram {} > {drawn}; tail -n 20 {drawn}; printf done; read go",
            common::program(),
            path.display(),
            drawn = drawn.display(),
        );
        let mut command = Command::new("sh");
        command.args(["-c", &shell]);
        let terminal = Setup::program(command).start();
        terminal.resize(columns);
        terminal.expect_text("\ndone");
        let drawn = std::fs::read_to_string(drawn).unwrap();
        assert!(drawn.contains("\u{3248}"), "{drawn}");
        for row in drawn.lines().skip(1) {
            assert!(max_width(row) <= columns.into(), "{row:?}");
            assert!(row.starts_with([' ', '|']), "{row:?}");
        }
        let rows: Vec<_> = drawn.lines().skip(drawn.lines().count() - 20).collect();
        assert_eq!(terminal.screen(), rows.join("\n") + "\ndone");
    }
}

/// Prints, for each code point on stdin in UTF-8, the column of the cursor behind it, as the
/// terminal reports it (ECMA-48, 8.3.14).
const MEASURE: &str = r#"
import os, re, sys, termios, tty
tty.setraw(0)
out = open(sys.argv[1], "w")
points = [c for c in range(0xa0, 0x110000) if not 0xd800 <= c < 0xe000]
for start in range(0, len(points), 200):
    some = points[start : start + 200]
    os.write(1, b"".join(b"\r" + chr(c).encode() + b"\x1b[6n\x1b[2K" for c in some))
    answer = b""
    while answer.count(b"R") < len(some):
        answer += os.read(0, 65536)
    for c, column in zip(some, re.findall(rb";(\d+)R", answer)):
        print(c, int(column) - 1, file=out)
out.close()
"#;

#[test]
#[ignore = "needs tmux and python3"]
fn no_code_point_is_wider_on_a_real_terminal_than_we_take_it_to_be() {
    let server = Tmux(format!("socketchat-{}-widths", std::process::id()));
    let folder = common::home();
    let script = folder.path().join("measure.py");
    let widths = folder.path().join("widths");
    std::fs::write(&script, MEASURE).unwrap();
    let made = Command::new("mkfifo").arg(&widths).status().unwrap();
    assert!(made.success());
    // For writing as well: that waits for nobody.
    let pipe = std::fs::File::options()
        .read(true)
        .write(true)
        .open(&widths);
    let measured = Gathered::from(pipe.unwrap());
    let run = format!("python3 {} {}", script.display(), widths.display());
    let window = ["-u", "new-session", "-d", "-x", "80", "-y", "24", &run];
    tmux(&server.0, &window);
    let measured = measured.wait_for_long("the last width", |bytes| {
        let last = format!("\n{} ", u32::from(char::MAX));
        let text = std::str::from_utf8(bytes).ok()?;
        (text.ends_with('\n') && text[text.len().saturating_sub(32)..].contains(&last))
            .then(|| text.to_owned())
    });
    let mut count = 0;
    for line in measured.lines() {
        let (code, width) = line.split_once(' ').unwrap();
        let c = char::from_u32(code.parse().unwrap()).unwrap();
        let width: usize = width.parse().unwrap();
        let text = c.to_string();
        let shown = socketchat::sanitize::Untrusted(text.as_bytes()).visible();
        assert!(
            max_width(&shown) >= width,
            "U+{:04X}: {width}",
            u32::from(c)
        );
        count += 1;
    }
    assert_eq!(count, 0x11_0000 - 0x800 - 0xa0);
}
