//! The Windows program at a terminal: under Wine in tmux, with a peer on this side.

mod common;

use std::io::Write as _;
use std::process::Command;
use std::time::Instant;

use common::{DEADLINE, accept, expect_bytes, expect_end, raw_server};

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
        let wanted = rows.join("\n");
        let start = Instant::now();
        loop {
            let screen = self.call(&["capture-pane", "-p"]);
            let screen: Vec<_> = screen.lines().map(str::trim_end).collect();
            let screen = screen.join("\n");
            if screen.trim_end().ends_with(&wanted) {
                return;
            }
            assert!(
                start.elapsed() < DEADLINE,
                "waited in vain for\n{wanted}\nthe screen shows\n{screen}"
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
    terminal.expect(&[&connected, " ->"]);
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
    terminal.expect(&["Received from server: two", "    late", " -> half"]);
    drop(peer);
    terminal.expect(&["    late", "The server left.", "Not sent: half", "status 0"]);

    // The history of the run before, and Ctrl-C.
    let terminal = Tmux::start("second", &args);
    let mut peer = accept(&listener);
    terminal.expect(&[&connected, " ->"]);
    terminal.keys(&["Up", "Up", "Enter"]);
    expect_bytes(&mut peer, "hello");
    terminal.expect(&[" -> hello", " <-"]);
    terminal.keys(&["C-c"]);
    expect_end(&mut peer);
    terminal.expect(&[" -> hello", "status 130"]);
}
