//! How fast one long message arrives, and how much memory both ends take for it.

mod common;

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use common::{
    Process, Subject, each, free_port, installed, interleave, median, missing, open, ratio, rounds,
    socketchat, wait_for_listener,
};
use tempfile::TempDir;

/// Megabytes a second, and the most memory that one of both ends has had.
type Cost = (f64, u64);

fn main() {
    common::roles::play();
    let folder = tempfile::tempdir().unwrap();
    println!("\none long message, from a file to a pipe\n");
    println!(
        "  {:34} {:>8} {:>10} {:>8} {:>10}",
        "", "MiB", "MiB/s", "of socat", "peak MB"
    );
    for size in [1, 16, 64] {
        let message = message(&folder, size);
        let mut subjects: Vec<Subject<'_, Cost>> = ["raw", "line"]
            .into_iter()
            .map(|framing| {
                let message = &message;
                Subject::new(format!("socketchat --framing {framing}"), move || {
                    chat(message, framing, size)
                })
            })
            .collect();
        if installed("socat") {
            subjects.push(Subject::new("socat", || socat(&message, size)));
        }
        let results = interleave(subjects, rounds(5));
        let speeds = each(&results, |(speed, _)| *speed);
        for (index, (name, costs)) in results.iter().enumerate() {
            let of_socat = speeds.get(2).map_or("-".into(), |socat| {
                format!("{:.2}", ratio(&speeds[index], socat))
            });
            let peak = costs.iter().map(|(_, peak)| *peak).max().unwrap_or(0);
            #[allow(clippy::cast_precision_loss, reason = "it is a number for people")]
            let peak = peak as f64 / 1e6;
            println!(
                "  {name:34} {size:>8} {:>10.0} {of_socat:>8} {peak:>10.1}",
                median(&speeds[index]),
            );
        }
    }
    println!("\n  raw: until the last byte is there; that it was the last is known 300 ms later");
    missing(&["socat"]);
}

fn message(folder: &TempDir, size: usize) -> std::path::PathBuf {
    let path = folder.path().join(format!("{size}"));
    let mut file = std::fs::File::create(&path).unwrap();
    for _ in 0..size {
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    file.write_all(b"\n").unwrap();
    path
}

/// Reads a message of `size` MiB, all of it, and returns how fast it has come since `start`.
#[allow(clippy::cast_precision_loss, reason = "it is a small number")]
fn arrival(output: &mut impl Read, size: usize, start: Instant) -> f64 {
    let mut buffer = vec![0; 1 << 20];
    let mut left = size << 20;
    while left > 0 {
        let room = left.min(buffer.len());
        let count = output.read(&mut buffer[..room]).unwrap();
        assert!(count > 0 && buffer[..count].iter().all(|byte| *byte == b'x'));
        left -= count;
    }
    size as f64 / start.elapsed().as_secs_f64()
}

fn chat(message: &Path, framing: &str, size: usize) -> Cost {
    let mut server = Process::start(
        socketchat(&["serve", "-p", "0", "-f", framing])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped()),
    );
    let address = format!("127.0.0.1:{}", server.port());
    let mut output = server.0.stdout.take().unwrap();
    let start = Instant::now();
    let client = Process::start(
        socketchat(&["connect", "-f", framing, &address])
            .stdin(open(message))
            .stderr(Stdio::null()),
    );
    let mut label = [0; "Received from connected client: ".len()];
    output.read_exact(&mut label).unwrap();
    let speed = arrival(&mut output, size, start);
    (speed, server.peak_memory().max(client.peak_memory()))
}

fn socat(message: &Path, size: usize) -> Cost {
    let port = free_port();
    let socat = |from: &str, to: &str| {
        let mut command = Command::new("socat");
        command.args(["-u", from, to]);
        command
    };
    let mut server = Process::start(
        socat(&format!("TCP-LISTEN:{port},bind=127.0.0.1"), "-").stdout(Stdio::piped()),
    );
    wait_for_listener(port);
    let mut output = server.0.stdout.take().unwrap();
    let start = Instant::now();
    let _client = Process::start(socat("-", &format!("TCP:127.0.0.1:{port}")).stdin(open(message)));
    let speed = arrival(&mut output, size, start);
    (speed, server.peak_memory())
}
