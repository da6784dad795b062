//! How fast two programs can take turns: short lines, to and fro, through two processes.
//!
//! The floor does nothing but that; the minimal line chat also reads each line from stdin and
//! writes each to stdout, as everybody has to who wants to be of use.

mod common;

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::roles::{self, role};
use common::{
    Process, Subject, children_cpu, each, free_port, installed, interleave, lines, median, missing,
    open, pinned, ratio, rounds, socketchat, wait_for_listener,
};
use tempfile::TempDir;

/// So many round trips are measured, for those who take them by themselves.
const TURNS: usize = 40_000;
/// And for those that have to be driven by us.
const DRIVEN: usize = 5_000;

/// Seconds, and microseconds of CPU of both processes, for each round trip.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    cpu: f64,
}

fn main() {
    roles::play();
    let folder = tempfile::tempdir().unwrap();
    scripts(&folder);
    for on_one in [true, false] {
        pinned(on_one, || table(&folder, on_one));
    }
}

fn table(folder: &TempDir, on_one: bool) {
    let place = if on_one { "one core" } else { "any core" };
    println!("\nround trips of a short line, both programs on {place}\n");
    println!(
        "  {:34} {:>10} {:>8} {:>10} {:>10}",
        "", "a second", "of floor", "of minimal", "CPU us"
    );
    let chat = |name: &str, args: &'static [&'static str]| {
        Subject::new(name, move || {
            per_turn(TURNS, |turns| chat(folder, args, turns))
        })
    };
    let mut subjects = vec![
        Subject::new("floor", || per_turn(TURNS, floor)),
        Subject::new("minimal line chat", || {
            per_turn(TURNS, |turns| line_chat(folder, turns))
        }),
        chat("socketchat", &["-f", "raw"]),
        chat("socketchat --framing line", &["-f", "line"]),
        chat("socketchat --framing crlf", &["-f", "crlf"]),
        chat("socketchat --framing json", &["-f", "json"]),
        Subject::new("socketchat, one --transcript", || {
            per_turn(TURNS, |turns| transcript(folder, turns, false))
        }),
        Subject::new("socketchat, both --transcript", || {
            per_turn(TURNS, |turns| transcript(folder, turns, true))
        }),
    ];
    if installed("python3") {
        subjects.push(Subject::new("a script of the tutorial's kind", || {
            per_turn(DRIVEN, |turns| python(folder, turns))
        }));
    }
    for (program, serve, connect) in [
        ("nc", "nc -l 127.0.0.1 PORT", "nc 127.0.0.1 PORT"),
        ("ncat", "ncat -l 127.0.0.1 PORT", "ncat 127.0.0.1 PORT"),
        (
            "socat",
            "socat - TCP-LISTEN:PORT,bind=127.0.0.1,nodelay",
            "socat - TCP:127.0.0.1:PORT,nodelay",
        ),
    ] {
        if installed(program) {
            subjects.push(Subject::new(
                format!("{program}, driven through pipes"),
                move || per_turn(DRIVEN, |turns| driven(serve, connect, turns)),
            ));
        }
    }
    let results = interleave(subjects, rounds(5));
    let rates = each(&results, |cost| 1.0 / cost.seconds);
    let cpu = each(&results, |cost| cost.cpu);
    for (index, (name, _)) in results.iter().enumerate() {
        println!(
            "  {name:34} {:>10.0} {:>8.2} {:>10.2} {:>10.1}",
            median(&rates[index]),
            ratio(&rates[index], &rates[0]),
            ratio(&rates[index], &rates[1]),
            median(&cpu[index])
        );
    }
    println!(
        "\n  with a transcript at one end: {:.2} of without; at both: {:.2}",
        ratio(&rates[6], &rates[2]),
        ratio(&rates[7], &rates[2])
    );
    missing(&["python3", "nc", "ncat", "socat"]);
}

/// What a turn costs, without what starting and ending costs.
fn per_turn(turns: usize, mut run: impl FnMut(usize)) -> Cost {
    let mut timed = |turns| {
        let (start, cpu) = (Instant::now(), children_cpu());
        run(turns);
        (start.elapsed().as_secs_f64(), children_cpu() - cpu)
    };
    let (few, few_cpu) = timed(turns / 20);
    let (many, many_cpu) = timed(turns);
    #[allow(clippy::cast_precision_loss, reason = "it is a small number")]
    let more = (turns - turns / 20) as f64;
    Cost {
        seconds: (many - few) / more,
        cpu: (many_cpu - few_cpu) / more,
    }
}

fn floor(turns: usize) {
    let turns = turns.to_string();
    let mut server = Process::start(&mut role("floor-server", &[&turns]));
    let port = server.port().to_string();
    Process::start(&mut role("floor-client", &[&turns, &port])).wait();
    server.wait();
}

fn line_chat(folder: &TempDir, turns: usize) {
    let input = lines(folder, "hello", turns);
    let mut server = Process::start(role("lines-server", &[]).stdin(open(&input)));
    let port = server.port().to_string();
    Process::start(role("lines-client", &[&port]).stdin(open(&input))).wait();
    server.wait();
}

fn chat(folder: &TempDir, args: &[&str], turns: usize) {
    let input = lines(folder, "hello", turns);
    both(&input, &[&["serve", "-p", "0"], args].concat(), args);
}

fn transcript(folder: &TempDir, turns: usize, at_both: bool) {
    let input = lines(folder, "hello", turns);
    let path = |name| {
        let path = folder.path().join(name);
        let _ = std::fs::remove_file(&path);
        path.to_str().unwrap().to_owned()
    };
    let (ours, theirs) = (path("server.jsonl"), path("client.jsonl"));
    let connect: &[&str] = if at_both {
        &["--transcript", &theirs]
    } else {
        &[]
    };
    both(
        &input,
        &["serve", "-p", "0", "--transcript", &ours],
        connect,
    );
}

/// Runs a server and a client, each with `input`.
fn both(input: &Path, serve: &[&str], connect: &[&str]) {
    let mut server = Process::start(socketchat(serve).stdin(open(input)));
    let address = format!("127.0.0.1:{}", server.port());
    let args = [&["connect", &address], connect].concat();
    Process::start(socketchat(&args).stdin(open(input)).stderr(Stdio::null())).wait();
    server.wait();
}

/// A pair of scripts as a first lesson on sockets writes them.
fn scripts(folder: &TempDir) {
    std::fs::write(
        folder.path().join("server.py"),
        "import socket, sys
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(('localhost', int(sys.argv[1])))
listener.listen(2)
peer, address = listener.accept()
while data := peer.recv(1024).decode():
    print('Received from connected client: ' + data)
    peer.send(input(' -> ').encode())
",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("client.py"),
        "import socket, sys
peer = socket.socket()
peer.connect(('localhost', int(sys.argv[1])))
try:
    while True:
        peer.send(input(' -> ').encode())
        print('Received from server: ' + peer.recv(1024).decode())
except EOFError:
    pass
",
    )
    .unwrap();
}

fn python(folder: &TempDir, turns: usize) {
    let input = lines(folder, "hello", turns);
    let port = free_port();
    let script = |name: &str| {
        let mut command = Command::new("python3");
        command
            .arg(folder.path().join(name))
            .arg(port.to_string())
            .stdin(open(&input))
            .stdout(Stdio::null());
        command
    };
    let server = Process::start(&mut script("server.py"));
    wait_for_listener(port);
    Process::start(&mut script("client.py")).wait();
    server.wait();
}

/// Two programs that carry lines from pipe to pipe and know nothing of turns, which we take
/// for them.
fn driven(serve: &str, connect: &str, turns: usize) {
    let port = free_port();
    let start = |line: &str| {
        let line = line.replace("PORT", &port.to_string());
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().unwrap());
        command
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut process = Process::start(&mut command);
        let stdin = process.0.stdin.take().unwrap();
        let stdout = BufReader::new(process.0.stdout.take().unwrap());
        (process, stdin, stdout)
    };
    let (_server, mut server_in, mut server_out) = start(serve);
    wait_for_listener(port);
    let (_client, mut client_in, mut client_out) = start(connect);
    let mut line = String::new();
    for _ in 0..turns {
        for (input, output) in [
            (&mut client_in, &mut server_out),
            (&mut server_in, &mut client_out),
        ] {
            input.write_all(roles::PING).unwrap();
            line.clear();
            output.read_line(&mut line).unwrap();
        }
    }
}
