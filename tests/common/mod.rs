//! What the tests share: processes that are driven through pipes or a terminal, with a
//! deadline on every wait, and ended when they go out of scope.
#![allow(dead_code, reason = "no test binary uses all of it")]
#![allow(unreachable_pub, reason = "it is a module of many crates")]

pub mod terminal;

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socketchat::explain::Log;
use socketchat::socket::ListeningSocket;
use tempfile::TempDir;
use wait_timeout::ChildExt as _;

/// How long anything may take, on a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How much memory a process has that holds no long message, in bytes: most of it is the code of a
/// debug build.
pub const SMALL: u64 = 12_000_000;

/// The program's path: of the one that cargo has built for this machine, or of what
/// `SOCKETCHAT_PROGRAM` names, such as `.ci/wine`, which runs the one for Windows.
pub fn program() -> &'static str {
    static PROGRAM: LazyLock<String> = LazyLock::new(|| {
        let Ok(named) = std::env::var("SOCKETCHAT_PROGRAM") else {
            return env!("CARGO_BIN_EXE_socketchat").to_owned();
        };
        // Some tests start it in a folder of their own.
        let path = std::path::absolute(named).unwrap();
        path.into_os_string().into_string().unwrap()
    });
    &PROGRAM
}

/// Whether the program is the one for Windows, under Wine.
pub fn is_wine() -> bool {
    // It may be a link under the program's own name.
    std::fs::canonicalize(program()).is_ok_and(|path| path.ends_with(".ci/wine"))
}

/// Environment that the result must not depend on.
const SCRUBBED: [&str; 5] = [
    "NO_COLOR",
    "TERM",
    "INPUTRC",
    "XDG_STATE_HOME",
    "TERM_PROGRAM",
];

/// A home of the test's own, so that no history but the test's is read or written.
pub fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// Sets `command` up to run in `home`, whatever the tests were started from.
pub fn isolate<'a>(command: &'a mut Command, home: &TempDir) -> &'a mut Command {
    for name in SCRUBBED {
        command.env_remove(name);
    }
    command.env("HOME", home.path()).env("LC_ALL", "C.UTF-8")
}

/// Bytes that a thread gathers while the test goes on.
#[derive(Clone)]
pub struct Gathered(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    ended: bool,
}

impl Gathered {
    pub fn from(mut source: impl Read + Send + 'static) -> Self {
        let shared = Arc::new((Mutex::new(State::default()), Condvar::new()));
        let gathered = Self(Arc::clone(&shared));
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            loop {
                let count = source.read(&mut buffer).unwrap_or(0);
                let mut state = shared.0.lock().unwrap_or_else(PoisonError::into_inner);
                state.bytes.extend_from_slice(&buffer[..count]);
                state.ended = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        gathered
    }

    /// Waits until `check` finds what it looks for in the bytes so far.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut check: impl FnMut(&[u8]) -> Option<T>) -> T {
        self.wait(what, DEADLINE, |state| check(&state.bytes))
    }

    /// The same for what may take minutes, like a build.
    #[track_caller]
    pub fn wait_for_long<T>(&self, what: &str, mut check: impl FnMut(&[u8]) -> Option<T>) -> T {
        self.wait(what, 10 * DEADLINE, |state| check(&state.bytes))
    }

    /// Waits for the end, and returns all there was.
    #[track_caller]
    pub fn to_end(&self) -> Vec<u8> {
        self.wait("the end", DEADLINE, |state| {
            state.ended.then(|| state.bytes.clone())
        })
    }

    /// The same for what may take minutes.
    #[track_caller]
    pub fn to_end_long(&self) -> Vec<u8> {
        self.wait("the end", 10 * DEADLINE, |state| {
            state.ended.then(|| state.bytes.clone())
        })
    }

    /// Waits for the line that begins at `offset`; `None` when it does not come. For a
    /// thread of a test's that lasts as long as the process.
    pub fn line_at(&self, offset: usize) -> Option<String> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let rest = &state.bytes[offset.min(state.bytes.len())..];
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                return Some(String::from_utf8_lossy(&rest[..end]).into_owned());
            }
            if state.ended {
                return None;
            }
            state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    #[track_caller]
    fn wait<T>(
        &self,
        what: &str,
        limit: Duration,
        mut check: impl FnMut(&State) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        let mut state = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = check(&state) {
                return found;
            }
            let left = limit.saturating_sub(start.elapsed());
            let tail = &state.bytes[state.bytes.len().saturating_sub(2000)..];
            assert!(
                !left.is_zero() && !state.ended,
                "waited in vain for {what}; there was: {}",
                String::from_utf8_lossy(tail)
            );
            state = self.0.1.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// A process that is driven through pipes.
pub struct Piped {
    child: Child,
    stdin: Option<ChildStdin>,
    pub stdout: Gathered,
    pub stderr: Gathered,
    _home: TempDir,
}

impl Piped {
    /// Starts the program with `args`.
    pub fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program());
        command.args(args);
        Self::spawn(command)
    }

    /// Starts `command`, which may be of another program.
    pub fn spawn(command: Command) -> Self {
        Self::spawn_with(command, Stdio::piped())
    }

    /// Starts `command` with another stdout.
    pub fn spawn_with(mut command: Command, stdout: Stdio) -> Self {
        let home = home();
        isolate(&mut command, &home)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .stderr(Stdio::piped())
            // A group of its own, so that it ends with all that it has started.
            .process_group(0);
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self {
            stdin: child.stdin.take(),
            stdout: match child.stdout.take() {
                Some(stdout) => Gathered::from(stdout),
                None => Gathered::from(std::io::empty()),
            },
            stderr: Gathered::from(child.stderr.take().unwrap()),
            child,
            _home: home,
        }
    }

    /// `socketchat serve` on a free port, with more `args`; and the port.
    pub fn serve(args: &[&str]) -> (Self, u16) {
        let server = Self::start(["serve", "--port", "0"].iter().chain(args));
        let port = server.port();
        (server, port)
    }

    /// `socketchat connect` to `port` of localhost, with more `args`.
    pub fn connect(port: u16, args: &[&str]) -> Self {
        let target = format!("localhost:{port}");
        Self::start(["connect", &target].iter().chain(args))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The port that the process says it listens on.
    #[track_caller]
    pub fn port(&self) -> u16 {
        self.stderr.wait_for("Listening on", |bytes| {
            let text = String::from_utf8_lossy(bytes);
            let mut lines = text.split_inclusive('\n').filter(|l| l.ends_with('\n'));
            let address = lines.find_map(|line| line.strip_prefix("Listening on "))?;
            address.trim().rsplit(':').next()?.parse().ok()
        })
    }

    /// Types `text` as it is.
    pub fn write(&mut self, text: impl AsRef<[u8]>) {
        let stdin = self.stdin.as_mut().expect("stdin is open");
        stdin.write_all(text.as_ref()).unwrap();
    }

    /// Takes stdin out, to be written to by another thread.
    pub fn take_stdin(&mut self) -> ChildStdin {
        self.stdin.take().expect("stdin is open")
    }

    /// Ends stdin.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until stdout begins with `text`.
    #[track_caller]
    pub fn expect(&self, text: impl AsRef<[u8]>) {
        let text = text.as_ref();
        let what = format!("{:?}", String::from_utf8_lossy(text));
        self.stdout
            .wait_for(&what, |bytes| bytes.starts_with(text).then_some(()));
    }

    /// Waits for the exit, and returns its status.
    #[track_caller]
    pub fn exit(&mut self) -> ExitStatus {
        exit(&mut self.child)
    }

    /// Waits for the exit for so long, and says whether it has come.
    pub fn exits_within(&mut self, limit: Duration) -> bool {
        exit_within(&mut self.child, limit).is_some()
    }

    /// Waits for the exit with status `code`, and returns all of stdout and stderr.
    #[track_caller]
    pub fn finish(mut self, code: i32) -> (String, String) {
        self.close_stdin();
        let status = self.exit();
        let (stdout, stderr) = self.finish_any();
        assert_eq!(status.code(), Some(code), "{status}: {stderr}");
        (stdout, stderr)
    }

    /// Waits for the end, whatever the status, and returns all of stdout and stderr.
    #[track_caller]
    pub fn finish_any(mut self) -> (String, String) {
        self.close_stdin();
        let text = |gathered: &Gathered| String::from_utf8_lossy(&gathered.to_end()).into_owned();
        (text(&self.stdout), text(&self.stderr))
    }

    /// The most memory that the process has had so far, in bytes (proc(5), `VmHWM`).
    #[cfg(target_os = "linux")]
    pub fn peak_memory(&self) -> u64 {
        peak_memory(self.id())
    }

    /// How many threads the process has (proc(5), `Threads`).
    #[cfg(target_os = "linux")]
    pub fn threads(&self) -> u64 {
        status(self.id(), "Threads:")
    }

    /// What the processor has spent on the process (proc(5), `stat`), to a hundredth of a second.
    #[cfg(target_os = "linux")]
    pub fn processor_time(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap();
        // Behind the name, which may have spaces.
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let times = fields.split(' ').skip(11).take(2);
        let ticks: u64 = times.map(|ticks| ticks.parse::<u64>().unwrap()).sum();
        Duration::from_millis(10 * ticks)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        let group = nix::unistd::Pid::from_raw(self.id().try_into().unwrap());
        let _ = nix::sys::signal::killpg(group, nix::sys::signal::Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// The most memory that the process with this id has had so far, in bytes (proc(5), `VmHWM`).
#[cfg(target_os = "linux")]
pub fn peak_memory(id: u32) -> u64 {
    status(id, "VmHWM:") * 1024
}

#[cfg(target_os = "linux")]
fn status(id: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Waits for the exit of `child`.
#[track_caller]
pub fn exit(child: &mut Child) -> ExitStatus {
    exit_within(child, DEADLINE).expect("it does not exit")
}

/// Waits for the exit of `child` for so long.
pub fn exit_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    child.wait_timeout(limit).unwrap()
}

/// Waits for the exit of `child`, to whom `peer` talks and whose output nobody reads. A process
/// that another test is just starting may hold the read end for a moment, and what is written
/// then is no error yet; what comes after it is.
#[track_caller]
pub fn exit_of_unread(child: &mut Child, peer: &mut TcpStream) -> ExitStatus {
    let start = Instant::now();
    loop {
        let _ = peer.write_all(b"nobody reads this");
        if let Some(status) = exit_within(child, Duration::from_millis(5)) {
            return status;
        }
        assert!(start.elapsed() < DEADLINE, "it does not exit");
    }
}

/// Waits until `look` finds something that nobody tells us of.
#[track_caller]
pub fn wait_until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let until = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a signal to a process of the test's own.
pub fn signal(id: u32, signal: nix::sys::signal::Signal) {
    let id = nix::unistd::Pid::from_raw(id.try_into().unwrap());
    nix::sys::signal::kill(id, signal).unwrap();
}

/// Stops a process of the test's own until it gets SIGCONT, and waits until it stands.
#[track_caller]
pub fn stop(id: u32) {
    signal(id, nix::sys::signal::Signal::SIGSTOP);
    wait_until("the stop", || {
        let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        status.contains("T (stopped)").then_some(())
    });
}

/// A peer of which every byte is known: a bare socket, with a deadline on its reads.
pub fn raw_client(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The same for the other end.
pub fn raw_server() -> (std::net::TcpListener, u16) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A server of ours that accepts nobody, with room for `backlog` who wait, and those who do:
/// nobody else gets a connection. Also returns its port.
pub fn full_server(backlog: u16) -> (ListeningSocket, Vec<TcpStream>, u16) {
    let address = "127.0.0.1:0".parse().unwrap();
    let listener = ListeningSocket::bind(&address, backlog, &Log::default()).unwrap();
    let address = listener.local_address().unwrap().to_string();
    let address: SocketAddr = address.parse().unwrap();
    let patience = Duration::from_millis(200);
    let clients = (0..20).map_while(|_| TcpStream::connect_timeout(&address, patience).ok());
    let clients = clients.collect();
    (listener, clients, address.port())
}

/// A port that was free a moment ago, for a program that cannot say which one it took. It is none of
/// those that systems give to clients, so that no connection takes it in the meantime, and no other
/// test of this process gets it.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<Vec<u16>> = Mutex::new(Vec::new());
    let mut given = GIVEN.lock().unwrap();
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let mut ports = std::iter::repeat_with(|| fastrand::u16(10_000..32_000));
    let port = ports.find(|port| !given.contains(port) && is_free(port));
    given.extend(port);
    port.unwrap()
}

/// nc as the client of `port`.
pub fn nc_client(port: u16) -> Piped {
    let mut command = Command::new("nc");
    command.args(["127.0.0.1", &port.to_string()]);
    Piped::spawn(command)
}

/// nc as a server, and the port that it listens on.
pub fn nc_server() -> (Piped, u16) {
    let port = free_port();
    let mut command = Command::new("nc");
    command.args(["-v", "-l", "127.0.0.1", &port.to_string()]);
    let nc = Piped::spawn(command);
    nc.stderr.wait_for("nc to listen", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("Listening").then_some(())
    });
    (nc, port)
}

/// A Redis server on `port` that keeps nothing, ready to be asked.
pub fn redis(port: u16) -> Piped {
    let mut command = Command::new("redis-server");
    let port = port.to_string();
    command.args(["--port", &port, "--bind", "127.0.0.1", "--save", ""]);
    let redis = Piped::spawn(command);
    redis.stdout.wait_for("redis to be ready", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        text.contains("eady to accept connections").then_some(())
    });
    redis
}

/// Accepts one client, within the deadline.
pub fn accept(listener: &std::net::TcpListener) -> TcpStream {
    let mut fds = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    let deadline = PollTimeout::try_from(DEADLINE).unwrap();
    let mut ready = poll(&mut fds, deadline);
    // A signal to the test's process, such as that a child has ended, is no answer.
    while ready == Err(nix::errno::Errno::EINTR) {
        ready = poll(&mut fds, deadline);
    }
    assert_eq!(ready, Ok(1), "nobody connects");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Has the connection reset when it is dropped, as the death of a program does.
pub fn reset_when_dropped(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).unwrap();
}

/// Closes a connection in order: with nothing left unread, which would make it a reset.
pub fn leave(mut stream: TcpStream) {
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let _ = std::io::copy(&mut stream, &mut std::io::sink());
}

/// Reads exactly as many bytes as `expected` has, and compares.
#[track_caller]
pub fn expect_bytes(stream: &mut impl Read, expected: impl AsRef<[u8]>) {
    let expected = expected.as_ref();
    let mut got = vec![0; expected.len()];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(
        String::from_utf8_lossy(&got),
        String::from_utf8_lossy(expected)
    );
}

/// Asserts that the peer closes the connection without another byte.
#[track_caller]
pub fn expect_end(stream: &mut impl Read) {
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// Asserts that the connection is reset without another byte: its peer was killed.
#[track_caller]
pub fn expect_reset(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let error = stream.read_to_end(&mut rest).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

/// Has every message that `server` prints answered by itself, in the order of its printing,
/// as somebody would who only reads and writes lines; until the server ends.
pub fn echo(server: &mut Piped) {
    let stdout = server.stdout.clone();
    let mut stdin = server.take_stdin();
    thread::spawn(move || {
        let mut offset = 0;
        while let Some(line) = stdout.line_at(offset) {
            offset += line.len() + 1;
            let text = line.split_once(": ").map_or(&line[..], |(_, text)| text);
            if writeln!(stdin, "{text}").is_err() {
                return;
            }
        }
    });
}

/// Raises the limit of descriptors of this process, if it is lower.
pub fn allow_descriptors(count: u64) {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < count {
        setrlimit(Resource::RLIMIT_NOFILE, count, hard).unwrap();
    }
}

/// Asserts that nothing has come on `stream`, and nothing comes within a moment.
#[track_caller]
pub fn expect_nothing(stream: &mut TcpStream) {
    stream
        .set_read_timeout(Some(Duration::from_millis(100)))
        .unwrap();
    let error = stream.read(&mut [0]).expect_err("something has come");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
}
