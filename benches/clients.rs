//! Many clients at one server: each says a line and waits for its answer, all at once.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use common::roles::{self, role};
use common::{
    Process, Subject, each, interleave, lines, median, open, percentile, ratio, rounds, socketchat,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;

/// So many descriptors a process needs beside those of its clients; the server keeps some free.
const SPARE: u64 = 128;

/// So many connect before the server is waited for, which has room for twice as many.
const BATCH: usize = 1000;

/// What is measured of a number of clients.
struct Cost {
    /// How many there were.
    clients: usize,
    /// Replies a second.
    rate: f64,
    /// How long each reply took, in seconds.
    delays: Vec<f64>,
    /// The server's memory for each client, in bytes; `None` for a yardstick.
    memory: Option<f64>,
}

/// What one client may do to hold the others up.
#[derive(Clone, Copy)]
enum Hostile {
    /// It sends a gigabyte and reads nothing.
    Floods,
    /// It stops in the middle of a character.
    Stops,
    /// It resets the connection.
    Resets,
    /// It says nothing.
    Waits,
    /// All of them, each as one more client.
    All,
}

/// What those do who have said what they had to say, or nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Silent,
    Stays,
    Closes,
    HalfCloses,
    Resets,
}

fn main() {
    roles::play();
    let room = raise_limit();
    let folder = tempfile::tempdir().unwrap();

    println!("\nclients in lockstep: a short line and its answer\n");
    println!(
        "  {:34} {:>8} {:>9} {:>8} {:>8} {:>8} {:>9}",
        "", "clients", "replies/s", "of bare", "p50 us", "p99 us", "bytes each"
    );
    for count in [10, 100, 1000] {
        let turns = 20_000 / count;
        let subjects = vec![
            Subject::new("bare echo, a thread a client", || bare(count, turns)),
            Subject::new("socketchat serve --max-clients", || {
                served(&folder, count, turns, None)
            }),
        ];
        print_table(subjects);
    }

    println!("\nfifty clients, and one that is hostile\n");
    let fifty = |name: &str, hostile| {
        Subject::new(name, {
            let folder = &folder;
            move || served(folder, 50, 400, hostile)
        })
    };
    let subjects = vec![
        fifty("alone", None),
        fifty("it sends 1 GB and does not read", Some(Hostile::Floods)),
        fifty("it stops inside a character", Some(Hostile::Stops)),
        fifty("it resets", Some(Hostile::Resets)),
        fifty("it says nothing", Some(Hostile::Waits)),
        fifty("all of these", Some(Hostile::All)),
    ];
    print_table(subjects);
    println!("\n  of bare: here, of the fifty alone");

    println!("\na client that talks, beside 300 that each send 40 KB of short lines\n");
    let beside = |name: &str, then| {
        Subject::new(name, {
            let folder = &folder;
            move || beside_many(folder, then)
        })
    };
    let subjects = vec![
        beside("they say nothing", Then::Silent),
        beside("they stay, and read nothing", Then::Stays),
        beside("they close", Then::Closes),
        beside("they half-close", Then::HalfCloses),
        beside("they reset", Then::Resets),
    ];
    let results = interleave(subjects, rounds(5));
    println!(
        "  {:34} {:>12} {:>8} {:>8}",
        "", "worst us", "of quiet", "p50 us"
    );
    let worst = each(&results, |cost| percentile(&cost.delays, 100));
    for (index, (name, costs)) in results.iter().enumerate() {
        let middle: Vec<_> = costs
            .iter()
            .map(|cost| percentile(&cost.delays, 50))
            .collect();
        println!(
            "  {name:34} {:>12.0} {:>8.2} {:>8.0}",
            median(&worst[index]) * 1e6,
            ratio(&worst[index], &worst[0]),
            median(&middle) * 1e6,
        );
    }

    println!("\nten clients in lockstep, beside others that are connected and say nothing\n");
    println!(
        "  {:34} {:>8} {:>9} {:>8} {:>8} {:>8} {:>9}",
        "", "clients", "replies/s", "of ten", "p50 us", "p99 us", "bytes each"
    );
    let crowd = |name: &str, count| {
        Subject::new(name, {
            let folder = &folder;
            move || crowded(folder, room.map_or(count, |room| room.min(count)))
        })
    };
    print_table(vec![
        crowd("the ten alone", 10),
        crowd("among 1,000", 1000),
        crowd("among 5,000", 5000),
        crowd("among 10,000", 10_000),
    ]);
    if let Some(room) = room.filter(|room| *room < 10_000) {
        let limit = room as u64 + SPARE;
        println!("\n  not all could be connected: a process may open {limit} files (`ulimit -Hn`)");
    }
}

/// Raises the limit of descriptors as far as it goes; returns how many clients that leaves room
/// for, in a process at either end.
fn raise_limit() -> Option<usize> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    setrlimit(Resource::Nofile, raised).unwrap();
    let room = limit.maximum?.saturating_sub(SPARE);
    Some(room.try_into().unwrap())
}

fn print_table(subjects: Vec<Subject<'_, Cost>>) {
    let results = interleave(subjects, rounds(5));
    let rates = each(&results, |cost| cost.rate);
    for (index, (name, costs)) in results.iter().enumerate() {
        let delays: Vec<_> = costs
            .iter()
            .flat_map(|cost| cost.delays.iter().copied())
            .collect();
        let memory: Vec<_> = costs.iter().filter_map(|cost| cost.memory).collect();
        let memory = if memory.is_empty() {
            "-".into()
        } else {
            format!("{:.0}", median(&memory))
        };
        println!(
            "  {name:34} {:>8} {:>9.0} {:>8.2} {:>8.0} {:>8.0} {memory:>9}",
            costs[0].clients,
            median(&rates[index]),
            ratio(&rates[index], &rates[0]),
            percentile(&delays, 50) * 1e6,
            percentile(&delays, 99) * 1e6,
        );
    }
}

fn bare(count: usize, turns: usize) -> Cost {
    let mut server = Process::start(&mut role("echo-server", &[]));
    let mut clients = connect(server.port(), count);
    lockstep(&mut clients, turns)
}

#[allow(clippy::cast_precision_loss, reason = "it is a number for people")]
fn served(folder: &TempDir, count: usize, turns: usize, hostile: Option<Hostile>) -> Cost {
    let answers = lines(folder, "hello", 4 * count * turns);
    let mut server = Process::start(
        socketchat(&["serve", "-p", "0", "-m", "2000", "-b", "2000", "-f", "line"])
            .stdin(open(&answers)),
    );
    let port = server.port();
    let before = server.peak_memory();
    let held = hostile.map(|hostile| be_hostile(hostile, port));
    let mut clients = connect(port, count);
    let mut cost = lockstep(&mut clients, turns);
    cost.memory = Some((server.peak_memory() - before) as f64 / count as f64);
    for stream in held.into_iter().flatten() {
        let _ = stream.shutdown(Shutdown::Both);
    }
    cost
}

/// What ten of `count` clients have to wait for when the others say nothing.
#[allow(clippy::cast_precision_loss, reason = "it is a number for people")]
fn crowded(folder: &TempDir, count: usize) -> Cost {
    const TALKING: usize = 10;
    const TURNS: usize = 1000;
    let answers = lines(folder, "hello", 2 * TALKING * TURNS);
    // Declared first, so that the connections are ended by its end.
    let mut clients = Vec::with_capacity(count);
    let mut server = Process::start(
        socketchat(&[
            "serve", "-p", "0", "-m", "20000", "-b", "2000", "-f", "line",
        ])
        .stdin(open(&answers)),
    );
    let port = server.port();
    let before = server.peak_memory();
    while clients.len() < count {
        let batch = BATCH.min(count - clients.len());
        clients.extend(connect(port, batch));
        // The last one's answer tells that the server has let all of them in.
        let last = clients.len() - 1;
        lockstep(&mut clients[last..], 1);
    }
    let mut cost = lockstep(&mut clients[..TALKING], TURNS);
    cost.clients = count;
    cost.memory = Some((server.peak_memory() - before) as f64 / count as f64);
    cost
}

/// What one client has to wait for, beside 300 others that come after it.
fn beside_many(folder: &TempDir, then: Then) -> Cost {
    const OTHERS: usize = 300;
    const TURNS: usize = 1000;
    // An answer for each line that anybody says.
    let answers = lines(folder, "hello", 1_000_000);
    let mut server = Process::start(
        socketchat(&["serve", "-p", "0", "-m", "400", "-b", "400", "-f", "line"])
            .stdin(open(&answers)),
    );
    let port = server.port();
    let mut client = connect(port, 1);
    lockstep(&mut client, 10);
    let flood = b"x\n".repeat(20_000);
    let others = std::thread::spawn(move || {
        let mut others = connect(port, OTHERS);
        for other in &mut others {
            if then == Then::Silent {
                continue;
            }
            // Those who do not read their answers are given up by the server.
            let _ = other.write_all(&flood);
            if then == Then::HalfCloses {
                let _ = other.shutdown(Shutdown::Write);
            }
            if then == Then::Resets {
                rustix::net::sockopt::set_socket_linger(&*other, Some(Duration::ZERO)).unwrap();
            }
        }
        if matches!(then, Then::Closes | Then::Resets) {
            others.clear();
        }
        others
    });
    let cost = lockstep(&mut client, TURNS);
    drop(others.join().unwrap());
    cost
}

fn connect(port: u16, count: usize) -> Vec<TcpStream> {
    (0..count)
        .map(|_| {
            let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.set_nodelay(true).unwrap();
            stream
                .set_read_timeout(Some(Duration::from_secs(30)))
                .unwrap();
            stream
        })
        .collect()
}

/// Everybody says a line, then everybody waits for the answer; so many times.
#[allow(clippy::cast_precision_loss, reason = "it is a small number")]
fn lockstep(clients: &mut [TcpStream], turns: usize) -> Cost {
    let mut delays = Vec::with_capacity(clients.len() * turns);
    let start = Instant::now();
    for _ in 0..turns {
        let mut said = Vec::with_capacity(clients.len());
        for client in clients.iter_mut() {
            client.write_all(roles::PING).unwrap();
            said.push(Instant::now());
        }
        for (client, said) in clients.iter_mut().zip(said) {
            client.read_exact(&mut [0; 6]).unwrap();
            delays.push(said.elapsed().as_secs_f64());
        }
    }
    Cost {
        clients: clients.len(),
        rate: delays.len() as f64 / start.elapsed().as_secs_f64(),
        delays,
        memory: None,
    }
}

/// Connects as a hostile client, which lasts as long as what is returned.
fn be_hostile(hostile: Hostile, port: u16) -> Vec<TcpStream> {
    let mut stream = connect(port, 1).remove(0);
    match hostile {
        Hostile::Floods => {
            let mut flood = stream.try_clone().unwrap();
            std::thread::spawn(move || {
                let lines = b"flood\n".repeat(10_000);
                let mut left = 1 << 30;
                while left > 0 && flood.write_all(&lines).is_ok() {
                    left -= lines.len().min(left);
                }
            });
        }
        Hostile::Stops => stream.write_all(b"half a \xc3").unwrap(),
        Hostile::Resets => {
            rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
            return Vec::new();
        }
        Hostile::Waits => {}
        Hostile::All => {
            return [
                Hostile::Floods,
                Hostile::Stops,
                Hostile::Resets,
                Hostile::Waits,
            ]
            .into_iter()
            .flat_map(|hostile| be_hostile(hostile, port))
            .collect();
        }
    }
    vec![stream]
}
