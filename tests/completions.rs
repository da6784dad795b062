//! The completion scripts: as committed, and in the shells that read them.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::Piped;
use common::terminal::{Setup, Terminal};

fn committed(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("completions")
        .join(file)
}

#[test]
fn the_committed_scripts_are_what_the_program_prints() {
    for (shell, file) in [
        ("bash", "socketchat.bash"),
        ("zsh", "_socketchat"),
        ("fish", "socketchat.fish"),
        ("powershell", "_socketchat.ps1"),
        ("elvish", "socketchat.elv"),
    ] {
        let (printed, _) = Piped::start(["completions", shell]).finish(0);
        let kept = std::fs::read_to_string(committed(file)).unwrap();
        assert!(
            printed == kept,
            "completions/{file} is stale: socketchat completions {shell} > completions/{file}"
        );
    }
}

/// A shell at a terminal that has the program on its path and whose prompt is `> `.
fn shell(program: &str, args: &[&str]) -> Terminal {
    let mut command = Command::new(program);
    command.args(args);
    let folder = Path::new(common::program()).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    Setup::program(command)
        .env("PATH", &format!("{}:{path}", folder.display()))
        .env("PS1", "> ")
        .start()
}

/// Types the beginning of an option, and waits for its end.
fn completes(terminal: &Terminal) {
    terminal.type_keys("socketchat serve --ba\t");
    terminal.expect_text("socketchat serve --backlog");
    terminal.type_keys("\x15socketchat con\t");
    terminal.expect_text("socketchat connect");
    terminal.type_keys("\x15exit\r");
}

#[test]
#[ignore = "needs bash"]
fn bash_completes() {
    let terminal = shell("bash", &["--norc", "--noprofile", "-i"]);
    terminal.expect_text(">");
    terminal.type_keys(&format!(
        "source {}\r",
        committed("socketchat.bash").display()
    ));
    completes(&terminal);
    terminal.finish(0);
}

#[test]
#[ignore = "needs zsh"]
fn zsh_completes() {
    let terminal = shell("zsh", &["-f", "-i"]);
    terminal.expect_text(">");
    let folder = committed("").display().to_string();
    terminal.type_keys(&format!("fpath=({folder} $fpath)\r"));
    terminal.type_keys("autoload -U compinit && compinit -u -d ~/dump && print loaded\r");
    terminal.expect_text("\nloaded\n");
    completes(&terminal);
    terminal.finish(0);
}

#[test]
#[ignore = "needs fish"]
fn fish_completes() {
    let terminal = shell(
        "fish",
        &[
            "--no-config",
            "-C",
            "function fish_prompt; echo -n '> '; end",
        ],
    );
    terminal.expect_text(">");
    terminal.type_keys(&format!(
        "source {}\r",
        committed("socketchat.fish").display()
    ));
    completes(&terminal);
    terminal.finish(0);
}
