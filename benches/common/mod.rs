//! What the benchmarks share: the yardsticks, the programs that are measured, and the table.
//!
//! A yardstick is written here, and run as a process of its own: the benchmark starts itself
//! again with a role. Everything is measured in the same run, in rounds that take turns.
#![allow(dead_code, reason = "no benchmark uses all of it")]
#![allow(unreachable_pub, reason = "it is a module of many crates")]

pub mod roles;

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

/// The program that is measured.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_socketchat");

/// A process that is ended when it goes out of scope.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    pub fn start(command: &mut Command) -> Self {
        Self(
            command
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    /// The port in the first line on stderr that ends with one.
    pub fn port(&mut self) -> u16 {
        let stderr = BufReader::new(self.0.stderr.take().expect("stderr is a pipe"));
        let mut lines = stderr.lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.rsplit(':').next()?.trim().parse().ok());
        // Whoever goes on to write there must not be stopped by it.
        std::thread::spawn(move || lines.for_each(drop));
        port.expect("it does not say where it listens")
    }

    pub fn wait(mut self) {
        let status = self.0.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    /// The most memory that it has had so far, in bytes; 0 when it has ended.
    pub fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        kilobytes.map_or(0, |kilobytes| kilobytes.parse::<u64>().unwrap() * 1024)
    }
}

/// `socketchat` with `args`, without a terminal and without what the user has set.
pub fn socketchat(args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command
        .args(args)
        .env_clear()
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    command
}

/// Whether a program is installed.
pub fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Waits until somebody listens on `port`, without connecting to it (proc(5), net/tcp).
pub fn wait_for_listener(port: u16) {
    let listening = format!(":{port:04X} 00000000:0000 0A");
    let start = Instant::now();
    while !std::fs::read_to_string("/proc/net/tcp")
        .unwrap()
        .contains(&listening)
    {
        assert!(start.elapsed() < Duration::from_secs(10), "nobody listens");
        std::thread::yield_now();
    }
}

/// A file with so many times the same line.
pub fn lines(folder: &TempDir, line: &str, count: usize) -> PathBuf {
    let path = folder.path().join(format!("{line}-{count}"));
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
    for _ in 0..count {
        writeln!(file, "{line}").unwrap();
    }
    path
}

pub fn open(path: &Path) -> std::fs::File {
    std::fs::File::open(path).unwrap()
}

/// Runs `work` with everything that it starts on one core, or where the system likes.
pub fn pinned<T>(pinned: bool, work: impl FnOnce() -> T) -> T {
    let all = sched_getaffinity(None).unwrap();
    if pinned {
        let mut one = CpuSet::new();
        let core = (0..CpuSet::MAX_CPU).find(|cpu| all.is_set(*cpu));
        one.set(core.unwrap_or(0));
        sched_setaffinity(None, &one).unwrap();
    }
    let result = work();
    sched_setaffinity(None, &all).unwrap();
    result
}

/// The time that the processor has spent on children that have ended, in microseconds.
#[allow(clippy::cast_precision_loss, reason = "it is a time for people")]
pub fn children_cpu() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    (usage.user_time().num_microseconds() + usage.system_time().num_microseconds()) as f64
}

/// How many rounds to take the median of.
pub fn rounds(default: usize) -> usize {
    std::env::var("SOCKETCHAT_BENCH_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok())
        .unwrap_or(default)
}

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50)
}

pub fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) * percent / 100]
}

/// Something that is measured.
pub struct Subject<'a, T> {
    pub name: String,
    pub measure: Box<dyn FnMut() -> T + 'a>,
}

impl<'a, T> Subject<'a, T> {
    pub fn new(name: impl Into<String>, measure: impl FnMut() -> T + 'a) -> Self {
        Self {
            name: name.into(),
            measure: Box::new(measure),
        }
    }
}

/// Measures all of `subjects` in turn, in so many rounds; returns the name of each, and what
/// it has come to in each of them.
pub fn interleave<T>(mut subjects: Vec<Subject<'_, T>>, rounds: usize) -> Vec<(String, Vec<T>)> {
    let mut results: Vec<Vec<T>> = subjects.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (subject, results) in subjects.iter_mut().zip(&mut results) {
            results.push((subject.measure)());
        }
    }
    let names = subjects.into_iter().map(|subject| subject.name);
    names.zip(results).collect()
}

/// One number of all that was measured, for each subject.
pub fn each<T>(results: &[(String, Vec<T>)], number: impl Fn(&T) -> f64) -> Vec<Vec<f64>> {
    let of = |(_, costs): &(String, Vec<T>)| costs.iter().map(&number).collect();
    results.iter().map(of).collect()
}

/// The median over the rounds of how `ours` compares with `theirs`.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    let ratios: Vec<_> = ours
        .iter()
        .zip(theirs)
        .map(|(ours, theirs)| ours / theirs)
        .collect();
    median(&ratios)
}

pub fn missing(programs: &[&str]) {
    for program in programs.iter().filter(|program| !installed(program)) {
        println!("  ({program} is not installed)");
    }
}
