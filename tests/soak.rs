//! A network that breaks again and again, at random moments and in every way: nothing that was said
//! is lost unless that is told, nothing is repeated unless that is told, and the order is kept.
//!
//! A relay stands between the real programs. It breaks a connection after a random number of bytes
//! of one direction. `SOAK_SEED` repeats the breaks of a run that failed.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::process::ChildStdin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use common::{Piped, raw_server};
use fastrand::Rng;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use regex_lite::Regex;

/// How many messages are said under each framing, and how often the connection breaks meanwhile.
const MESSAGES: usize = 1500;
const BREAKS: usize = 100;

/// How long all of it may take: 25 s of it are the pauses before the program connects again.
const PATIENCE: Duration = Duration::from_mins(3);

const FRAMINGS: [&str; 4] = ["raw", "line", "crlf", "json"];

/// How many bytes a message has at most.
const LONGEST: usize = 200;

/// How a connection breaks.
#[derive(Debug, Clone, Copy)]
enum How {
    /// Both sides are reset, as by the death of a host's program.
    Reset,
    /// Both sides are closed.
    Close,
    /// The client's side is half-closed, and both are closed a moment later.
    LeaveClient,
    /// The same with the server's side.
    LeaveServer,
}

/// When and how a connection breaks.
#[derive(Debug, Clone, Copy)]
struct Break {
    /// Whose bytes are counted.
    of_client: bool,
    /// After how many of them it breaks.
    after: usize,
    /// How long what comes is still passed on then. If it is no time at all, a message is cut.
    delay: Duration,
    how: How,
}

impl Break {
    /// A break after ten messages, on average, so that a hundred spread over all of them.
    fn random(rng: &mut Rng) -> Self {
        let delay = if rng.bool() { rng.u64(50..500) } else { 0 };
        Self {
            of_client: rng.bool(),
            after: rng.usize(0..10 * LONGEST),
            delay: Duration::from_micros(delay),
            how: rng
                .choice([
                    How::Reset,
                    How::Reset,
                    How::Close,
                    How::LeaveClient,
                    How::LeaveServer,
                ])
                .unwrap(),
        }
    }
}

/// A relay to a server, which breaks the connections through it.
struct Relay {
    port: u16,
    /// How many connections it has broken.
    broken: Arc<AtomicUsize>,
    /// The thread ends when this is dropped.
    _alive: std::io::PipeWriter,
}

impl Relay {
    /// Starts a relay to the server at `port` that breaks connections as `breaks` says, one after
    /// another, and then breaks no more.
    fn start(port: u16, breaks: Vec<Break>) -> Self {
        let (listener, own_port) = raw_server();
        let (alive, writer) = std::io::pipe().unwrap();
        let broken = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&broken);
        thread::spawn(move || {
            let mut breaks = breaks.into_iter().peekable();
            while let Some(client) = accept_while(&listener, &alive) {
                let server = TcpStream::connect(("127.0.0.1", port)).unwrap();
                server.set_nodelay(true).unwrap();
                if pass_on(client, server, breaks.peek().copied()) {
                    breaks.next();
                    count.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self {
            port: own_port,
            broken,
            _alive: writer,
        }
    }
}

/// Accepts the next client, while the writer of `alive` is there.
fn accept_while(listener: &TcpListener, alive: &std::io::PipeReader) -> Option<TcpStream> {
    if wait(&[Some(listener.as_fd()), Some(alive.as_fd())], None)[1] {
        return None;
    }
    let (stream, _) = listener.accept().ok()?;
    stream.set_nodelay(true).unwrap();
    Some(stream)
}

/// Waits until one of `fds` has something, at most until `until`. Returns which have.
fn wait<const N: usize>(
    fds: &[Option<std::os::fd::BorrowedFd<'_>>; N],
    until: Option<Instant>,
) -> [bool; N] {
    let mut polled: Vec<_> = fds
        .iter()
        .flatten()
        .map(|fd| PollFd::new(*fd, PollFlags::POLLIN))
        .collect();
    loop {
        let timeout = until.map_or(PollTimeout::NONE, |until| {
            let left = until.saturating_duration_since(Instant::now());
            // It rounds down, and so would spin through the last millisecond.
            PollTimeout::try_from(left + Duration::from_millis(1)).unwrap()
        });
        match poll(&mut polled, timeout) {
            Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let mut ready = polled.iter().map(|fd| fd.any().unwrap_or(false));
    fds.map(|fd| fd.is_some() && ready.next().unwrap())
}

/// Passes on what comes from both sides until both have closed, or until the `planned` break.
/// Returns whether it has broken the connection.
fn pass_on(client: TcpStream, server: TcpStream, planned: Option<Break>) -> bool {
    let streams = [client, server];
    let mut open = [true, true];
    let mut counted = 0;
    let mut break_at = None;
    let mut buffer = [0; 4096];
    // A break before the first byte.
    if let Some(planned) = planned
        && planned.after == 0
    {
        break_at = Some(Instant::now() + planned.delay);
    }
    loop {
        if let (Some(at), Some(planned)) = (break_at, planned)
            && at <= Instant::now()
        {
            break_up(&streams, planned.how);
            return true;
        }
        if open == [false, false] {
            return false;
        }
        let fds = [0, 1].map(|side| open[side].then(|| streams[side].as_fd()));
        let ready = wait(&fds, break_at);
        for side in [0, 1] {
            if !ready[side] || break_at.is_some_and(|at| at <= Instant::now()) {
                continue;
            }
            let Ok(count) = (&streams[side]).read(&mut buffer) else {
                common::reset_when_dropped(&streams[1 - side]);
                return false;
            };
            let mut bytes = &buffer[..count];
            if let Some(planned) = planned
                && break_at.is_none()
                && planned.of_client == (side == 0)
            {
                counted += count;
                if counted >= planned.after {
                    break_at = Some(Instant::now() + planned.delay);
                    // A client sends a message whole, so that only a reset can cut it.
                    let cuts = side == 1 || matches!(planned.how, How::Reset);
                    if planned.delay.is_zero() && cuts {
                        bytes = &bytes[..count - (counted - planned.after)];
                    }
                }
            }
            if count == 0 {
                open[side] = false;
                let _ = streams[1 - side].shutdown(Shutdown::Write);
            } else if (&streams[1 - side]).write_all(bytes).is_err() {
                // The next read of that side says why.
            }
        }
    }
}

fn break_up(streams: &[TcpStream; 2], how: How) {
    let leaving = match how {
        How::Reset => {
            streams.iter().for_each(common::reset_when_dropped);
            return;
        }
        How::Close => return,
        How::LeaveClient => 0,
        How::LeaveServer => 1,
    };
    let [left, other] = [&streams[leaving], &streams[1 - leaving]];
    let _ = left.shutdown(Shutdown::Write);
    // The other direction lives a little longer.
    let until = Instant::now() + Duration::from_millis(20);
    let mut buffer = [0; 4096];
    while wait(&[Some(left.as_fd())], Some(until))[0] {
        match (&*left).read(&mut buffer) {
            Ok(count @ 1..) if (&*other).write_all(&buffer[..count]).is_ok() => {}
            _ => break,
        }
    }
}

/// The messages of the client `name`: each is told from the others by its beginning, and a whole one
/// from a part of it by its end.
fn messages(rng: &mut Rng, name: char, count: usize) -> Vec<String> {
    let padding = |rng: &mut Rng| "x".repeat(rng.usize(0..LONGEST - 10));
    (0..count)
        .map(|number| format!("{name}{number:05} {};", padding(rng)))
        .collect()
}

/// What the peer `name` sends for `text`.
fn on_the_wire(framing: &str, name: &str, text: &str) -> String {
    match framing {
        "raw" => text.to_owned(),
        "line" => format!("{text}\n"),
        "crlf" => format!("{text}\r\n"),
        _ => format!("{{\"name\":\"{name}\",\"text\":\"{text}\"}}\n"),
    }
}

/// Returns whether `shown` is what is shown of `text` if its end was cut off.
fn is_part(shown: &str, framing: &str, name: &str, text: &str) -> bool {
    // A program reads a carriage return behind which the rest is cut off as a space.
    let wire = on_the_wire(framing, name, text).replace('\r', " ");
    shown != text && wire.starts_with(&shown.replace('\r', " "))
}

/// The arguments for `framing`, under which the program is called `name`.
fn framed<'a>(framing: &'a str, name: &'a str) -> Vec<&'a str> {
    let mut args = vec!["--framing", framing];
    if framing == "json" {
        args.extend(["--name", name]);
    }
    args
}

/// The messages that a program shows, whole or cut off.
fn shown(stdout: &str) -> Vec<&str> {
    stdout
        .split_terminator('\n')
        .map(|line| {
            let (label, text) = line.split_once(": ").unwrap_or_else(|| panic!("{line:?}"));
            assert!(label.starts_with("Received from "), "{line:?}");
            text
        })
        .collect()
}

/// Asserts that each line of `stderr` begins like one of the `known`.
fn assert_known(stderr: &str, known: &[&str]) {
    for line in stderr.lines() {
        let is_known = known.iter().any(|known| line.starts_with(known));
        assert!(is_known, "{line:?}");
    }
}

/// What a client may say beside what is counted.
const OF_CLIENT: [&str; 7] = [
    "Connected to 127.0.0.1:",
    "Trying again in ",
    "No JSON message, shown as it came: ",
    "No more from you; waiting for the last answer",
    "The server left.",
    "This had no reply, and is sent again: ",
    "socketchat: ",
];

/// Says all `messages` through the relay at `port`, to a server that answers each with itself.
/// Starts the program again when it has ended with an error that tells what is left to say.
/// Returns how often each message was told to be repeated.
fn say_all(port: u16, framing: &str, messages: &[String]) -> Vec<usize> {
    let unfinished = Regex::new(
        "^socketchat: no reply to '.(\\d{5}) [^']*'(?:, (\\d+) lines?( or more)? not sent)?: the server left$",
    )
    .unwrap();
    let until = Instant::now() + PATIENCE;
    let mut told = vec![0; messages.len()];
    let mut start = 0;
    loop {
        let mut client = Piped::connect(port, &[&["--retry"], &*framed(framing, "cli")].concat());
        let mut stdin = client.take_stdin();
        let lines = messages[start..].join("\n") + "\n";
        let writer = thread::spawn(move || {
            // The program may end before.
            let _ = stdin.write_all(lines.as_bytes());
        });
        let left = until.saturating_duration_since(Instant::now());
        assert!(client.exits_within(left), "it does not end");
        let code = client.exit().code();
        let (stdout, stderr) = client.finish_any();
        writer.join().unwrap();
        assert_known(&stderr, &OF_CLIENT);
        // Whose replies it may wait for: one that was cut off counts as a reply or not.
        let mut next = start..start + 1;
        for reply in shown(&stdout) {
            next = after(next, reply, framing, messages);
        }
        for line in stderr.lines() {
            if let Some(text) = line.strip_prefix("This had no reply, and is sent again: ") {
                told[text[1..6].parse::<usize>().unwrap()] += 1;
            }
        }
        let last = stderr.lines().last().unwrap_or_default();
        if code == Some(0) {
            assert!(!last.starts_with("socketchat: "), "{stderr}");
            assert!(next.contains(&messages.len()), "0, but at {next:?}");
            return told;
        }
        assert_eq!(code, Some(1), "{stderr}");
        let found = unfinished
            .captures(last)
            .unwrap_or_else(|| panic!("{last}"));
        start = found[1].parse().unwrap();
        let unsent = found
            .get(2)
            .map_or(0, |count| count.as_str().parse().unwrap());
        assert!(next.contains(&start), "{last}, but at {next:?}");
        let counted = start + 1 + unsent;
        // On a busy machine, the input may take too long to be counted whole.
        let all = counted == messages.len() || found.get(3).is_some() && counted < messages.len();
        assert!(all, "{last}");
        told[start] += 1;
    }
}

/// Returns whose replies may follow `reply`, which is one of those to the messages `next`.
fn after(next: Range<usize>, reply: &str, framing: &str, messages: &[String]) -> Range<usize> {
    let mut is_part_of = next.clone().filter(|at| {
        messages
            .get(*at)
            .is_some_and(|text| is_part(reply, framing, "srv", text))
    });
    if let Some(first) = is_part_of.next() {
        let last = is_part_of.next_back().unwrap_or(first);
        return first..last + 2;
    }
    let whole = next
        .clone()
        .find(|at| messages.get(*at).is_some_and(|text| text == reply));
    let whole = whole.unwrap_or_else(|| panic!("{reply:?} is no reply to {next:?}"));
    // If only the delimiter was cut off, the message is said again.
    let first = if framing == "raw" { whole + 1 } else { whole };
    first..whole + 2
}

/// Asserts that what `arrived` of `messages` is all of them in order, with repeats of those that
/// were `told` to be repeated.
fn assert_arrived<'a>(
    arrived: impl IntoIterator<Item = &'a str>,
    framing: &str,
    messages: &[String],
    told: &[usize],
) {
    let mut next: usize = 0;
    let mut times = vec![0; messages.len()];
    for text in arrived {
        let candidates = next.saturating_sub(1)..(next + 1).min(messages.len());
        if let Some(at) = candidates.clone().find(|at| messages[*at] == text) {
            times[at] += 1;
            next = at + 1;
        } else {
            let mut candidates = candidates;
            assert!(
                candidates.any(|at| is_part(text, framing, "cli", &messages[at])),
                "{text:?} instead of message {next}"
            );
        }
    }
    assert_eq!(next, messages.len(), "not all have arrived");
    for (at, (times, told)) in times.iter().zip(told).enumerate() {
        assert!(*times <= 1 + told, "{at} came {times} times, told {told}");
    }
}

/// A generator of random numbers, whose seed is told if the test fails.
fn seeded(stream: u64) -> Rng {
    let seed =
        std::env::var("SOAK_SEED").map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("SOAK_SEED={seed} (stream {stream})");
    Rng::with_seed(seed.wrapping_add(stream))
}

/// Runs `test` under each framing, all at the same time: most of it are pauses.
fn under_each_framing(test: impl Fn(&'static str, Rng) + Sync) {
    thread::scope(|scope| {
        for (stream, framing) in (0..).zip(FRAMINGS) {
            let rng = seeded(stream);
            let test = &test;
            thread::Builder::new()
                .name(framing.into())
                .spawn_scoped(scope, move || test(framing, rng))
                .unwrap();
        }
    });
}

/// A bare server that answers each message with itself, one client after another.
struct Recorder {
    port: u16,
    /// What has arrived, whole or cut off.
    arrived: Arc<Mutex<Vec<String>>>,
    _alive: std::io::PipeWriter,
}

impl Recorder {
    fn start(framing: &'static str) -> Self {
        let (listener, port) = raw_server();
        let (alive, writer) = std::io::pipe().unwrap();
        let arrived = Arc::default();
        let log = Arc::clone(&arrived);
        thread::spawn(move || {
            while let Some(client) = accept_while(&listener, &alive) {
                record(client, framing, &log);
            }
        });
        Self {
            port,
            arrived,
            _alive: writer,
        }
    }
}

/// Reads and answers messages until the connection ends.
fn record(mut client: TcpStream, framing: &str, arrived: &Mutex<Vec<String>>) {
    let end: &[u8] = if framing == "raw" { b";" } else { b"\n" };
    let mut unread = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count @ 1..) = client.read(&mut buffer) {
        unread.extend_from_slice(&buffer[..count]);
        if unread.ends_with(end) {
            // Not split: a second message before the answer to the first would be against the
            // turns, and is found to be none of the messages.
            let wire = String::from_utf8(std::mem::take(&mut unread)).unwrap();
            let text = match wire.strip_prefix("{\"name\":\"cli\",\"text\":\"") {
                Some(rest) => rest.trim_end_matches("\"}\n"),
                None => wire.trim_end_matches(['\r', '\n']),
            };
            arrived.lock().unwrap().push(text.to_owned());
            let answer = on_the_wire(framing, "srv", text);
            // Whether it has arrived is for the client to tell.
            let _ = client.write_all(answer.as_bytes());
        }
    }
    if !unread.is_empty() {
        let part = String::from_utf8(unread).unwrap();
        arrived.lock().unwrap().push(part);
    }
}

#[test]
fn what_a_client_says_through_a_hundred_breaks_arrives_or_is_told() {
    under_each_framing(|framing, mut rng| {
        let messages = messages(&mut rng, 'a', MESSAGES);
        let breaks = (0..BREAKS).map(|_| Break::random(&mut rng)).collect();
        let server = Recorder::start(framing);
        let relay = Relay::start(server.port, breaks);
        let told = say_all(relay.port, framing, &messages);
        let arrived = server.arrived.lock().unwrap();
        let arrived = arrived.iter().map(String::as_str);
        assert_arrived(arrived, framing, &messages, &told);
        assert_eq!(relay.broken.load(Ordering::SeqCst), BREAKS);
    });
}

/// What a server may say beside what is counted.
const OF_SERVER: [&str; 7] = [
    "Listening on ",
    "Connection from: ",
    "The client left.",
    "Client #",
    "The connection to ",
    "No JSON message, shown as it came: ",
    "Not sent: ",
];

/// Has each message that `server` shows answered by itself. Returns its stdin, to be closed.
fn echo(server: &mut Piped) -> Arc<Mutex<Option<ChildStdin>>> {
    let stdout = server.stdout.clone();
    let typed = Arc::new(Mutex::new(Some(server.take_stdin())));
    let stdin = Arc::clone(&typed);
    thread::spawn(move || {
        let mut offset = 0;
        while let Some(line) = stdout.line_at(offset) {
            offset += line.len() + 1;
            let (_, text) = line.split_once(": ").unwrap();
            let mut stdin = stdin.lock().unwrap();
            let typed = stdin.as_mut().map(|stdin| writeln!(stdin, "{text}"));
            if typed.is_none_or(|typed| typed.is_err()) {
                return;
            }
        }
    });
    typed
}

/// What is said when all else has been said.
const LAST: &str = "z";

/// Lets `clients` talk through breaks to `socketchat serve` with `args`, whose answers are what it
/// shows.
fn soak_server(args: &[&str], clients: usize, framing: &'static str, mut rng: Rng) {
    let folder = common::home();
    let transcript = folder.path().join("chat.jsonl");
    let transcript_args = ["--transcript", transcript.to_str().unwrap()];
    let (mut server, port) =
        Piped::serve(&[args, &framed(framing, "srv"), &transcript_args].concat());
    let typed = echo(&mut server);
    let talks: Vec<_> = ('a'..)
        .take(clients)
        .map(|name| {
            let messages = messages(&mut rng, name, MESSAGES / clients);
            let breaks = (0..BREAKS.div_ceil(clients)).map(|_| Break::random(&mut rng));
            (messages, Relay::start(port, breaks.collect()))
        })
        .collect();
    let told: Vec<_> = thread::scope(|scope| {
        let running: Vec<_> = talks
            .iter()
            .map(|(messages, relay)| scope.spawn(|| say_all(relay.port, framing, messages)))
            .collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|told| told.expect("what a client has told"))
            .collect()
    });
    // The end of its input ends the server, when it asks for an answer to the last message.
    drop(typed.lock().unwrap().take());
    let mut last = common::raw_client(port);
    last.write_all(on_the_wire(framing, "cli", LAST).as_bytes())
        .unwrap();
    let code = server.exit().code();
    let (stdout, stderr) = server.finish_any();
    assert_known(&stderr, &OF_SERVER);
    let mut shown = shown(&stdout);
    assert_eq!(shown.pop(), Some(LAST));
    for ((messages, relay), told) in talks.iter().zip(&told) {
        let name = &messages[0][..1];
        let own = shown.iter().copied().filter(|text| {
            let of_another = talks
                .iter()
                .any(|(others, _)| text.starts_with(&others[0][..1]));
            text.starts_with(name) || !of_another && clients == 1
        });
        assert_arrived(own, framing, messages, told);
        assert_eq!(
            relay.broken.load(Ordering::SeqCst),
            BREAKS.div_ceil(clients)
        );
    }
    // Each message is answered once, or its answer is told not to be sent.
    let not_sent = stderr.matches("Not sent: ").count();
    let events = std::fs::read_to_string(transcript).unwrap();
    let sent = events.matches("\"event\":\"sent\"").count();
    assert_eq!(shown.len(), sent + not_sent, "{sent} answers sent");
    assert_eq!(code, Some(i32::from(not_sent > 0)), "{not_sent} not sent");
}

#[test]
fn what_is_said_to_a_server_through_a_hundred_breaks_arrives_or_is_told() {
    under_each_framing(|framing, rng| soak_server(&["--keep-open"], 1, framing, rng));
}

#[test]
fn what_three_say_to_a_server_through_a_hundred_breaks_arrives_or_is_told() {
    under_each_framing(|framing, rng| soak_server(&["--max-clients", "9"], 3, framing, rng));
}
