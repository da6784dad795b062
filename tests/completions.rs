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

/// What is typed behind `socketchat ` before Tab, and what stands there then.
const COMPLETED: [(&str, &str); 13] = [
    ("con", "connect"),
    ("serve --ba", "serve --backlog"),
    ("serve --framing=j", "serve --framing=json"),
    ("connect -f j", "connect -f json"),
    // From what ssh knows.
    ("connect class", "connect classroom.example"),
    ("relay class", "relay classroom.example"),
    ("serve --host class", "serve --host classroom.example"),
    ("diagram less", "diagram lesson.jsonl"),
    ("serve --transcript less", "serve --transcript lesson.jsonl"),
    (
        "serve --history-file less",
        "serve --history-file lesson.jsonl",
    ),
    ("completions el", "completions elvish"),
    ("help dia", "help diagram"),
    ("check cl", "check client"),
];

/// The same of values of which no shell knows more, so that they stay.
const KEPT: [&str; 5] = [
    "serve --port less",
    "connect --retry less",
    "connect --linger less",
    "connect less",
    "serve less",
];

/// Types the beginning of each value, and waits for its end.
fn completes(terminal: &Terminal) {
    let known = "classroom.example ssh-ed25519 AAAA";
    terminal.type_keys(&format!(
        "cd; mkdir .ssh; echo {known} > .ssh/known_hosts; touch lesson.jsonl; clear\r"
    ));
    for (typed, completed) in COMPLETED {
        terminal.type_keys(&format!("socketchat {typed}\t"));
        terminal.expect_text(&format!("socketchat {completed}"));
        terminal.type_keys("\x15");
    }
    for typed in KEPT {
        terminal.type_keys(&format!("socketchat {typed}\tX"));
        terminal.expect_text(&format!("socketchat {typed}X"));
        terminal.type_keys("\x15");
    }
    terminal.type_keys("exit\r");
}

#[test]
#[ignore = "needs bash and bash-completion"]
fn bash_completes() {
    let terminal = shell("bash", &["--norc", "--noprofile", "-i"]);
    terminal.expect_text(">");
    terminal.type_keys("source /usr/share/bash-completion/bash_completion\r");
    terminal.type_keys(&format!(
        "source {}\r",
        committed("socketchat.bash").display()
    ));
    completes(&terminal);
    terminal.finish(0);
}

/// Without the package bash-completion there are the hosts file's hosts.
#[test]
#[ignore = "needs bash"]
fn bash_alone_completes() {
    let terminal = shell("bash", &["--norc", "--noprofile", "-i"]);
    terminal.expect_text(">");
    terminal.type_keys(&format!(
        "source {}; cd; touch lesson.jsonl; clear; PS1='loaded> '\r",
        committed("socketchat.bash").display()
    ));
    terminal.expect(&["loaded>"]);
    terminal.type_keys("socketchat connect localh\t");
    terminal.expect_text("socketchat connect localhost");
    terminal.type_keys("\x15socketchat serve --framing=j\t");
    terminal.expect_text("socketchat serve --framing=json");
    terminal.type_keys("\x15socketchat diagram \t");
    terminal.expect_text("socketchat diagram lesson.jsonl");
    terminal.type_keys("\x15exit\r");
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
