//! How long it takes from the start of a program until it listens, and until what it was told
//! to say has arrived.

mod common;

use std::io::Read as _;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::Instant;

use common::roles::{self, role};
use common::{
    Process, Subject, free_port, installed, interleave, lines, median, missing, open, ratio,
    rounds, socketchat,
};

fn main() {
    roles::play();
    let folder = tempfile::tempdir().unwrap();
    let input = lines(&folder, "hello", 1);
    let rounds = rounds(51);

    let mut listening = vec![
        Subject::new("bare listener", || {
            listens_on(|port| role("listen", &[&port.to_string()]))
        }),
        Subject::new("socketchat serve", || {
            listens_on(|port| socketchat(&["serve", "-p", &port.to_string()]))
        }),
    ];
    if installed("nc") {
        listening.push(Subject::new("nc -l", || {
            listens_on(|port| program("nc", &["-l", "127.0.0.1", &port.to_string()]))
        }));
    }
    if installed("python3") {
        let script = "import socket,sys
s = socket.socket()
s.bind(('127.0.0.1', int(sys.argv[1])))
s.listen(2)
s.accept()";
        listening.push(Subject::new("python3", move || {
            listens_on(|port| program("python3", &["-c", script, &port.to_string()]))
        }));
    }
    table("from the start until it listens", listening, rounds);

    let mut saying = vec![
        Subject::new("bare sender", || {
            says(|port| role("say", &[&port.to_string()]))
        }),
        Subject::new("socketchat connect", || {
            says(|port| {
                let mut command = socketchat(&["connect", &format!("127.0.0.1:{port}")]);
                command.stdin(open(&input));
                command
            })
        }),
    ];
    if installed("nc") {
        saying.push(Subject::new("nc", || {
            says(|port| {
                let mut command = program("nc", &["127.0.0.1", &port.to_string()]);
                command.stdin(open(&input));
                command
            })
        }));
    }
    if installed("python3") {
        let script = "import socket,sys
s = socket.socket()
s.connect(('127.0.0.1', int(sys.argv[1])))
s.send(input().encode())";
        let input = &input;
        saying.push(Subject::new("python3", move || {
            says(|port| {
                let mut command = program("python3", &["-c", script, &port.to_string()]);
                command.stdin(open(input));
                command
            })
        }));
    }
    table(
        "from the start until its message has arrived",
        saying,
        rounds,
    );
    missing(&["nc", "python3"]);
}

fn table(title: &str, subjects: Vec<Subject<'_, f64>>, rounds: usize) {
    println!("\n{title}\n");
    println!("  {:34} {:>8} {:>8} {:>8}", "", "ms", "of bare", "of nc");
    let results = interleave(subjects, rounds);
    let nc = results.iter().position(|(name, _)| name.starts_with("nc"));
    for (name, taken) in &results {
        let of_nc = nc.map_or("-".into(), |nc| {
            format!("{:.2}", ratio(taken, &results[nc].1))
        });
        println!(
            "  {name:34} {:>8.2} {:>8.2} {of_nc:>8}",
            median(taken) * 1e3,
            ratio(taken, &results[0].1),
        );
    }
}

fn program(name: &str, args: &[&str]) -> Command {
    let mut command = Command::new(name);
    command
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// Seconds until a program listens: until a connection is not refused any more.
fn listens_on(command: impl FnOnce(u16) -> Command) -> f64 {
    let port = free_port();
    let mut command = command(port);
    let start = Instant::now();
    let _process = Process::start(&mut command);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(start.elapsed().as_secs() < 10, "nobody listens");
    }
    start.elapsed().as_secs_f64()
}

/// Seconds until what a program says has arrived.
fn says(command: impl FnOnce(u16) -> Command) -> f64 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut command = command(listener.local_addr().unwrap().port());
    let start = Instant::now();
    let _process = Process::start(&mut command);
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
    start.elapsed().as_secs_f64()
}
