//! The Windows program at a terminal: under Wine in tmux, with a peer on this side.

mod common;

use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Instant;

use common::{
    DEADLINE, accept, expect_bytes, expect_end, free_port, leave, raw_client, raw_server,
};

const WELCOME: &str = "bye leaves, /help tells what else";

const PROGRAM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/.ci/wine");

/// A terminal of tmux, in which a shell runs the program and says how it ended.
struct Tmux(String);

impl Tmux {
    fn start(name: &str, args: &str) -> Self {
        let tmux = Self(format!("socketchat-{}-{name}", std::process::id()));
        let run = format!("{PROGRAM} {args}; echo status $?; cat");
        let window = ["new-session", "-d", "-x", "70", "-y", "16", &run];
        tmux.call(&window);
        tmux
    }

    fn call(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.0, "-f", "/dev/null"])
            .args(args)
            .output()
            .expect("tmux is installed");
        String::from_utf8(output.stdout).unwrap()
    }

    fn keys(&self, keys: &[&str]) {
        self.call(&[&["send-keys"], keys].concat());
    }

    /// Waits until the screen ends with these rows.
    #[track_caller]
    fn expect(&self, rows: &[&str]) {
        self.wait(rows, |row, wanted| row == wanted);
    }

    /// Waits until the screen ends with rows that begin so.
    #[track_caller]
    fn expect_starts(&self, rows: &[&str]) {
        self.wait(rows, |row, wanted| row.starts_with(wanted));
    }

    #[track_caller]
    fn wait(&self, wanted: &[&str], is_wanted: impl Fn(&str, &str) -> bool) {
        let start = Instant::now();
        loop {
            let screen = self.call(&["capture-pane", "-p"]);
            let rows: Vec<_> = screen.trim_end().lines().map(str::trim_end).collect();
            let last = &rows[rows.len().saturating_sub(wanted.len())..];
            let mut pairs = last.iter().zip(wanted);
            if last.len() == wanted.len() && pairs.all(|(row, wanted)| is_wanted(row, wanted)) {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "waited in vain for\n{wanted:#?}\nthe screen shows\n{screen}"
            );
        }
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        self.call(&["kill-server"]);
    }
}

#[test]
#[ignore = "needs tmux, and Wine with what .ci/cross has built"]
fn a_conversation_at_a_terminal_of_windows() {
    let folder = common::home();
    let history = folder.path().join("history").display().to_string();
    let (listener, port) = raw_server();
    // Wine takes the bytes of a colour for columns.
    let args = format!(
        "connect localhost:{port} --color never --history-file 'Z:{}'",
        history.replace('/', "\\")
    );
    let terminal = Tmux::start("first", &args);
    let mut peer = accept(&listener);
    let connected = format!("Connected to 127.0.0.1:{port}");
    terminal.expect(&[&connected, WELCOME, " ->"]);
    // The line is edited, and sent.
    terminal.keys(&["helo", "Left", "l", "Enter"]);
    expect_bytes(&mut peer, "hello");
    terminal.expect(&[" -> hello", " <-"]);
    // Out of turn, Enter does nothing, and what was typed stays.
    terminal.keys(&["ahead", "Enter"]);
    terminal.expect(&[" <- ahead (it is the server's turn)"]);
    peer.write_all("gr\u{fc}ezi".as_bytes()).unwrap();
    terminal.expect(&[
        " -> hello",
        "Received from server: gr\u{fc}ezi",
        " -> ahead",
    ]);
    terminal.keys(&[" of time", "Enter"]);
    expect_bytes(&mut peer, "ahead of time");
    peer.write_all(b"two").unwrap();
    terminal.expect(&[" -> ahead of time", "Received from server: two", " ->"]);
    // What comes is shown above half a line.
    terminal.keys(&["half"]);
    terminal.expect(&[" -> half"]);
    peer.write_all(b"late").unwrap();
    let late = "Received from server (out of turn): late";
    terminal.expect(&["Received from server: two", late, " -> half"]);
    drop(peer);
    terminal.expect(&[late, "The server left.", "Not sent: half", "status 0"]);

    // The history of the run before, and Ctrl-C.
    let terminal = Tmux::start("second", &args);
    let mut peer = accept(&listener);
    terminal.expect(&[&connected, WELCOME, " ->"]);
    terminal.keys(&["Up", "Up", "Enter"]);
    expect_bytes(&mut peer, "hello");
    terminal.expect(&[" -> hello", " <-"]);
    terminal.keys(&["C-c"]);
    expect_end(&mut peer);
    terminal.expect(&[" -> hello", "status 130"]);
}

#[test]
#[ignore = "needs tmux, and Wine with what .ci/cross has built"]
fn an_operator_at_a_terminal_of_windows() {
    let port = free_port();
    let args = format!("serve -p {port} -m 9 -f line --color never --no-history");
    let terminal = Tmux::start("operator", &args);
    terminal.expect(&[&format!("Listening on 127.0.0.1:{port}"), " <-"]);
    let mut clients: Vec<_> = (1..=5)
        .map(|number| {
            let mut client = raw_client(port);
            client.write_all(format!("{number}\n").as_bytes()).unwrap();
            let waiting = match number {
                1 => " #1     ->".to_owned(),
                _ => format!(" #1 +{}  ->", number - 1),
            };
            let said = format!("Received from client #{number}: {number}");
            terminal.expect(&[&said, &waiting]);
            client
        })
        .collect();
    // Choose, with a completion, and skip.
    terminal.keys(&["/t", "Tab", "4", "Enter"]);
    terminal.expect(&[" #1 +4  -> /to 4", " #4 +4  ->"]);
    terminal.keys(&["four", "Enter"]);
    expect_bytes(&mut clients[3], "four\n");
    terminal.expect(&[" #4 +4  -> four", " #1 +3  ->"]);
    terminal.keys(&["/skip", "Enter"]);
    terminal.expect(&[" #1 +3  -> /skip", " #2 +3  ->"]);
    // A draft stays when its addressee leaves, and so does the next one.
    terminal.keys(&["a draft"]);
    terminal.expect(&[" #2 +3  -> a draft"]);
    leave(clients.remove(1));
    terminal.expect(&["Client #2 left.", " #3 +2  -> a draft"]);
    leave(clients.remove(1));
    terminal.expect(&["Client #3 left.", " #5 +1  -> a draft"]);
    // Not Ctrl-C: Wine makes a signal of it, where Windows has a key.
    terminal.keys(&["C-u", "/kick 4", "Enter"]);
    terminal.expect(&["The conversation with client #4 has ended.", " #5 +1  ->"]);
    terminal.keys(&["/who", "Enter"]);
    let address = |client: &TcpStream| client.local_addr().unwrap().to_string();
    let [first, fifth] = [&clients[0], &clients[2]].map(address);
    terminal.expect_starts(&[
        &format!("Client #1: {first}, here for "),
        &format!("Client #5: {fifth}, here for "),
        " #5 +1  ->",
    ]);
    terminal.keys(&["/all good day", "Enter"]);
    for client in [0, 2] {
        expect_bytes(&mut clients[client], "good day\n");
    }
    terminal.keys(&["/help", "Enter"]);
    terminal.expect(&[
        "Ctrl-C      clear the line; leave, if empty or not your turn",
        " <-",
    ]);
    terminal.keys(&["C-d"]);
    terminal.expect(&["status 0"]);
}

#[test]
#[ignore = "needs Wine with what .ci/cross has built"]
fn on_windows_there_are_no_unix_sockets() {
    let output = Command::new(PROGRAM)
        .args(["connect", "unix:chat"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        told.contains("there are no Unix sockets on this system; write HOST:PORT"),
        "{told}"
    );
}
