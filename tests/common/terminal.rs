//! The program at a real terminal, of which the test reads the screen.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::num::NonZero;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use nix::sys::termios::{LocalFlags, tcgetattr};
use pty_process::Size;
use pty_process::blocking::{Command as PtyCommand, Pty};
use socketchat::wrap::wrap;
use tempfile::TempDir;

use super::{DEADLINE, accept, exit, home, isolate, program, raw_server};

pub const COLUMNS: u16 = 60;
const ROWS: u16 = 24;

/// A process at a terminal of its own.
pub struct Terminal {
    pub child: Child,
    pty: Arc<Pty>,
    shared: Arc<(Mutex<State>, Condvar)>,
    _home: Option<TempDir>,
}

struct State {
    parser: vt100::Parser,
    raw: Vec<u8>,
    ended: bool,
}

/// How to start the program at a terminal.
pub struct Setup {
    command: Command,
    home: Option<TempDir>,
    stdin: Option<Stdio>,
    stdout: Option<Stdio>,
}

impl Setup {
    /// The program with `args`, in a home of its own.
    pub fn new(args: &[&str]) -> Self {
        let home = home();
        let mut setup = Self::at_home(&home, args);
        setup.home = Some(home);
        setup
    }

    /// The program with `args`, in a home that others use too.
    pub fn at_home(home: &TempDir, args: &[&str]) -> Self {
        let mut command = Command::new(program());
        isolate(command.args(args), home).env("TERM", "xterm-256color");
        Self {
            command,
            home: None,
            stdin: None,
            stdout: None,
        }
    }

    /// Another program, in a home of its own.
    pub fn program(mut command: Command) -> Self {
        let home = home();
        isolate(&mut command, &home).env("TERM", "xterm-256color");
        Self {
            command,
            home: Some(home),
            stdin: None,
            stdout: None,
        }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Self {
        self.stdin = Some(stdin.into());
        self
    }

    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Self {
        self.stdout = Some(stdout.into());
        self
    }

    pub fn start(self) -> Terminal {
        let (pty, pts) = pty_process::blocking::open().unwrap();
        pty.resize(Size::new(ROWS, COLUMNS)).unwrap();
        let mut command = PtyCommand::from(self.command);
        if let Some(stdin) = self.stdin {
            command = command.stdin(stdin);
        }
        if let Some(stdout) = self.stdout {
            command = command.stdout(stdout);
        }
        let child = command.spawn(pts).unwrap();
        let pty = Arc::new(pty);
        let shared = Arc::new((
            Mutex::new(State {
                parser: vt100::Parser::new(cells(ROWS), cells(COLUMNS), 0),
                raw: Vec::new(),
                ended: false,
            }),
            Condvar::new(),
        ));
        let (reader, seen) = (Arc::clone(&pty), Arc::clone(&shared));
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                // A terminal whose last user is gone gives EIO.
                let count = (&*reader).read(&mut buffer).unwrap_or(0);
                let mut state = seen.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.parser.process(&buffer[..count]);
                state.raw.extend_from_slice(&buffer[..count]);
                state.ended = count == 0;
                seen.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Terminal {
            child,
            pty,
            shared,
            _home: self.home,
        }
    }
}

impl Terminal {
    /// `socketchat serve` on a free port, with more `args`; and the port.
    pub fn serve(args: &[&str]) -> (Self, u16) {
        let all: Vec<_> = ["serve", "--port", "0"]
            .iter()
            .chain(args)
            .copied()
            .collect();
        let server = Setup::new(&all).start();
        let port = server.port();
        (server, port)
    }

    /// `socketchat connect` to `port` of localhost, with more `args`.
    pub fn connect(port: u16, args: &[&str]) -> Self {
        let target = format!("localhost:{port}");
        let all: Vec<_> = ["connect", &target].iter().chain(args).copied().collect();
        Setup::new(&all).start()
    }

    /// A client that stands at its prompt, and the peer that it has connected to.
    #[track_caller]
    pub fn connected(args: &[&str]) -> (Self, TcpStream) {
        let (listener, port) = raw_server();
        let client = Self::connect(port, args);
        let peer = accept(&listener);
        client.expect_text(" ->");
        (client, peer)
    }

    /// The port that the screen says it listens on.
    #[track_caller]
    pub fn port(&self) -> u16 {
        self.wait("Listening on", |state| {
            let text = String::from_utf8_lossy(&state.raw);
            let (_, rest) = text.split_once("Listening on ")?;
            let (line, _) = rest.split_once('\r')?;
            line.rsplit(':').next()?.parse().ok()
        })
    }

    /// Types `keys`, as a terminal sends them.
    pub fn type_keys(&self, keys: &str) {
        self.type_bytes(keys.as_bytes());
    }

    pub fn type_bytes(&self, keys: &[u8]) {
        (&*self.pty).write_all(keys).unwrap();
    }

    /// Pastes `text`, as a terminal marks it off.
    pub fn paste(&self, text: &str) {
        self.type_keys(&format!("\x1b[200~{text}\x1b[201~"));
    }

    pub fn resize(&self, columns: u16) {
        self.pty.resize(Size::new(ROWS, columns)).unwrap();
        let mut state = self.shared.0.lock().unwrap();
        state
            .parser
            .screen_mut()
            .set_size(cells(ROWS), cells(columns));
    }

    /// Waits until the screen ends with exactly `lines`, each a row of it, or more than
    /// one where it wraps; blanks at the ends of rows are left out.
    #[track_caller]
    pub fn expect(&self, lines: &[&str]) {
        let wanted = wrapped(lines).join("\n");
        let what = format!("the screen to end with\n{wanted}\n");
        self.wait(&what, |state| {
            let text = contents(state);
            (text == wanted || text.ends_with(&format!("\n{wanted}"))).then_some(())
        });
    }

    /// Waits until the screen shows `text` somewhere.
    #[track_caller]
    pub fn expect_text(&self, text: &str) {
        self.wait(text, |state| contents(state).contains(text).then_some(()));
    }

    /// Waits until the screen is as `check` wants it.
    #[track_caller]
    pub fn expect_screen(&self, what: &str, mut check: impl FnMut(&str) -> bool) {
        self.wait(what, |state| check(&contents(state)).then_some(()));
    }

    /// Waits until the screen shows `text` somewhere, wherever it is broken into rows.
    #[track_caller]
    pub fn expect_words(&self, text: &str) {
        let bare = |text: &str| text.split_whitespace().collect::<String>();
        let wanted = bare(text);
        self.expect_screen(text, |screen| bare(screen).contains(&wanted));
    }

    /// Waits until the program has written so many bytes to the terminal, or more.
    #[track_caller]
    pub fn expect_output(&self, count: usize) {
        self.wait(&format!("{count} bytes"), |state| {
            (state.raw.len() >= count).then_some(())
        });
    }

    /// Waits until the program has written `bytes` to the terminal.
    #[track_caller]
    pub fn expect_bytes(&self, bytes: &[u8]) {
        let what = format!("{:?}", String::from_utf8_lossy(bytes));
        self.wait(&what, |state| {
            state
                .raw
                .windows(bytes.len())
                .any(|window| window == bytes)
                .then_some(())
        });
    }

    /// Waits until the user was asked so many times.
    #[track_caller]
    pub fn expect_prompts(&self, times: usize) {
        self.wait(&format!("{times} prompts"), |state| {
            (prompts(&state.raw) >= times).then_some(())
        });
    }

    /// What the screen shows now.
    pub fn screen(&self) -> String {
        contents(&self.shared.0.lock().unwrap())
    }

    /// All that was ever written to the terminal.
    pub fn raw(&self) -> Vec<u8> {
        self.shared.0.lock().unwrap().raw.clone()
    }

    /// Where the cursor stands: row and column.
    pub fn cursor(&self) -> (u16, u16) {
        self.shared
            .0
            .lock()
            .unwrap()
            .parser
            .screen()
            .cursor_position()
    }

    /// Whether what is typed is echoed by the terminal itself, as a shell leaves it.
    pub fn is_cooked(&self) -> bool {
        let flags = tcgetattr(&*self.pty).unwrap().local_flags;
        flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG)
    }

    /// Waits for the exit, and returns its status.
    #[track_caller]
    pub fn exit(&mut self) -> ExitStatus {
        let status = exit(&mut self.child);
        self.wait("the end", |state| state.ended.then_some(()));
        status
    }

    /// Waits for the exit with status `code`; the terminal must be as a shell wants it.
    #[track_caller]
    pub fn finish(mut self, code: i32) {
        let status = self.exit();
        assert_eq!(status.code(), Some(code), "{status}\n{}", self.screen());
        assert!(self.is_cooked(), "the terminal is left raw");
    }

    #[track_caller]
    fn wait<T>(&self, what: &str, mut check: impl FnMut(&State) -> Option<T>) -> T {
        let start = Instant::now();
        let mut state = self.shared.0.lock().unwrap();
        loop {
            if let Some(found) = check(&state) {
                return found;
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            assert!(
                !left.is_zero() && !state.ended,
                "waited in vain for {what}; the screen shows\n{}",
                contents(&state)
            );
            state = self.shared.1.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// How many prompts were drawn in what was written to a terminal.
pub fn prompts(raw: &[u8]) -> usize {
    let drawn = b" -> \r\x1b[4C";
    raw.windows(drawn.len())
        .filter(|window| window == drawn)
        .count()
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

/// The rows that lines of characters of one column take: the program breaks what it says itself,
/// the terminal the line that is edited.
fn wrapped(lines: &[&str]) -> Vec<String> {
    let mut rows = Vec::new();
    for line in lines {
        if line.starts_with([' ', '$']) {
            let chars: Vec<_> = line.chars().collect();
            rows.extend(chars.chunks(COLUMNS.into()).map(|row| row.iter().collect()));
        } else {
            let line = wrap(line, "    ", COLUMNS.into());
            rows.extend(line.split('\n').map(|row| row.trim_end().to_owned()));
        }
    }
    rows
}

fn contents(state: &State) -> String {
    let screen = state.parser.screen();
    let rows: Vec<_> = screen
        .rows(0, screen.size().1.get())
        .map(|row| row.trim_end().to_owned())
        .collect();
    rows.join("\n").trim_end().to_owned()
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
