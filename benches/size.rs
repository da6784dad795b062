//! How large the program is, of how many crates it is made, and how long it takes to build.

mod common;

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Instant;

#[allow(clippy::cast_precision_loss, reason = "they are numbers for people")]
fn main() {
    common::roles::play();
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let tree = Command::new(&cargo)
        .args(["tree", "--edges", "normal", "--prefix", "none", "--locked"])
        .output()
        .unwrap();
    let tree = String::from_utf8_lossy(&tree.stdout).into_owned();
    let crates: BTreeSet<_> = tree
        .lines()
        .map(|line| line.trim_end_matches(" (*)"))
        .filter(|line| !line.is_empty())
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let start = Instant::now();
    let built = Command::new(&cargo)
        .args(["build", "--release", "--locked", "--quiet", "--target-dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(built.success());
    let took = start.elapsed();
    let size = folder
        .path()
        .join("release/socketchat")
        .metadata()
        .unwrap()
        .len();
    println!("\nthe release build\n");
    println!("  {:34} {:>8.2} MB", "size, stripped", size as f64 / 1e6);
    println!("  {:34} {:>8}", "crates, with itself", crates.len());
    println!(
        "  {:34} {:>8.0} s",
        "time of a clean build",
        took.as_secs_f64()
    );
}
