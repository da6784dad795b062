//! Wrong usage, help and errors: what a user reads who did something that cannot be done.

mod common;

use common::Piped;
use common::terminal::Setup;

const SUBCOMMANDS: [&str; 6] = [
    "serve",
    "connect",
    "check",
    "relay",
    "diagram",
    "completions",
];

/// Runs the program, and returns its status and what it said.
fn run(args: &[&str]) -> (i32, String, String) {
    let mut program = Piped::start(args);
    program.close_stdin();
    let code = program.exit().code().unwrap();
    let text = |gathered: &common::Gathered| String::from_utf8(gathered.to_end()).unwrap();
    (code, text(&program.stdout), text(&program.stderr))
}

#[test]
fn a_wrong_value_is_named_with_what_would_be_right() {
    for (args, says) in [
        (
            &["serve", "--port", "70000"][..],
            "error: invalid value '70000' for '--port <PORT>': write a number from 0 to 65535",
        ),
        (
            &["serve", "--backlog", "x"],
            "error: invalid value 'x' for '--backlog <N>': write a number from 0 to 65535",
        ),
        (
            &["serve", "--host", "localhost:5000"],
            "error: invalid value 'localhost:5000' for '--host <HOST>': the port goes in an \
             option: --port 5000",
        ),
        (
            &["connect", ":5000"],
            "error: invalid value ':5000' for '[HOST[:PORT]]': the host is missing (write \
             localhost:5000)",
        ),
        (
            &["connect", "localhost:70000"],
            "error: invalid value 'localhost:70000' for '[HOST[:PORT]]': '70000' is no port \
             from 1 to 65535",
        ),
        (
            &["connect", "localhost", "0"],
            "error: invalid value '0' for '[PORT]': '0' is no port from 1 to 65535",
        ),
        (
            &["connect", "localhost:1", "2"],
            "error: the port is given twice: 1 and 2",
        ),
        (
            &["serve", "--name", "anna"],
            "error: only --framing json tells a --name",
        ),
        (
            &["connect", "--connect-timeout", "0s"],
            "error: invalid value '0s' for '--connect-timeout <DURATION>': it must be more than 0",
        ),
        (
            &["connect", "--connect-timeout", "soon"],
            "error: invalid value 'soon' for '--connect-timeout <DURATION>': write a number \
             with its unit, as 500ms, 10s or 2m",
        ),
        (
            &["serve", "--no-history", "--history-file", "x"],
            "error: the argument '--no-history' cannot be used with '--history-file <FILE>'",
        ),
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        assert_eq!(stderr.lines().next(), Some(says), "{args:?}");
    }
}

#[test]
fn what_was_meant_is_told() {
    for (args, tip) in [
        (
            &["localhost:5000"][..],
            "did you mean `socketchat connect localhost:5000`?",
        ),
        (
            &["5000"],
            "did you mean `socketchat connect localhost:5000`?",
        ),
        (
            &["help", "[::1]:7000"],
            "did you mean `socketchat connect [::1]:7000`?",
        ),
        (
            &["conect"],
            "some similar subcommands exist: 'check', 'connect'",
        ),
        (
            &["help", "conect"],
            "some similar subcommands exist: 'check', 'connect'",
        ),
        (
            &["completions", "tcsh"],
            "there are none for tcsh; the program needs none to work",
        ),
        (
            &["completions", "pwsh"],
            "a similar value exists: 'powershell'",
        ),
        (
            &["connect", "--fram", "line"],
            "a similar argument exists: '--framing'",
        ),
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}");
        let tips: Vec<_> = stderr
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("tip: "))
            .collect();
        assert_eq!(tips, [tip], "{args:?}: {stderr}");
    }
}

/// What a link or a file name brings along is not to reach the terminal through an error.
#[test]
fn no_escape_of_an_argument_reaches_the_terminal() {
    const EVIL: &str = "a\x1b]0;title\x07\x1b[31mb\u{9b}1m\u{202e}c";
    for args in [
        &[EVIL][..],
        &["help", EVIL],
        &["connect", &format!("{EVIL}.invalid")],
        &["connect", "localhost", EVIL],
        &["connect", &format!("--{EVIL}")],
        &["connect", "--reply-until", &format!("({EVIL}")],
        &["connect", &format!("unix:/{EVIL}")],
        &["serve", "--script", EVIL],
        &["serve", "--transcript", &format!("/{EVIL}/{EVIL}")],
        &["diagram", EVIL],
        &["completions", EVIL],
        &["check", "client", "--level", EVIL],
        &["check", "client", "--", EVIL],
        &["relay", "--listen", EVIL],
    ] {
        let mut terminal = Setup::new(args).start();
        terminal.exit();
        let shown = String::from_utf8(terminal.raw()).unwrap();
        // What the terminal is sent is the program's own colours and nothing of the argument's.
        for part in ["\x1b]", "\x07", "\x1b[31mb", "\u{9b}", "\u{202e}"] {
            assert!(!shown.contains(part), "{args:?}: {shown:?}");
        }
        assert!(shown.contains('c'), "{shown:?}");
    }
}

#[test]
fn a_host_that_is_not_there_is_an_error_of_one_line() {
    let (code, stdout, stderr) = run(&["connect", "no-such-host.invalid"]);
    assert_eq!((code, stdout.as_str()), (1, ""));
    assert!(
        stderr.starts_with("socketchat: cannot find the host no-such-host.invalid: "),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
    assert!(!stderr.contains("os error"), "{stderr}");

    // An address that no machine has (RFC 5737).
    let (code, _, stderr) = run(&["serve", "--host", "192.0.2.1", "--port", "0"]);
    assert_eq!(code, 1);
    assert_eq!(
        stderr,
        "socketchat: cannot listen on 192.0.2.1:0: cannot assign requested address (--host \
         takes an address of this machine)\n"
    );
}

/// Each option that `-h` tells takes one row, and all of them one screen.
#[test]
fn short_help_is_one_screen() {
    for subcommand in SUBCOMMANDS {
        let (code, short, stderr) = run(&[subcommand, "-h"]);
        assert_eq!((code, stderr.as_str()), (0, ""));
        assert!(short.lines().count() < 24, "{short}");
        for row in short.lines() {
            assert!(row.chars().count() <= 80, "{row}");
        }
        let options = |help: &str| -> Vec<String> {
            let rows = help.lines().map(str::trim_start);
            let options = rows.filter(|row| row.starts_with('-'));
            let names = options.map(|row| row.split("  ").next().unwrap().to_owned());
            names.collect()
        };
        let (_, long, _) = run(&[subcommand, "--help"]);
        let (few, all) = (options(&short), options(&long));
        assert!(few.iter().all(|name| all.contains(name)), "{few:?} {all:?}");
        assert!(long.contains("\nExamples:\n"), "{long}");
        // An option and what it is good for, and nothing that belongs to the row above.
        let (_, rows) = short.split_once("Options:\n").unwrap();
        assert_eq!(rows.lines().count(), few.len(), "{rows}");
    }
}

#[test]
fn help_and_version_are_on_stdout() {
    for args in [&["--help"][..], &["serve", "--help"], &["help", "connect"]] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
        assert!(stdout.contains("Examples:"), "{args:?}: {stdout}");
        assert!(
            stdout.lines().all(|line| line.chars().count() <= 100),
            "{stdout}"
        );
    }
    let (code, stdout, _) = run(&["--version"]);
    let version = concat!("socketchat ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!((code, stdout.as_str()), (0, version));
}

/// What the program exits with, and says on what is left, when `stdout` or `stderr` take
/// nothing.
fn run_full(args: &[&str], stdout: bool) -> (Option<i32>, String) {
    let full = || {
        std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap()
    };
    let home = common::home();
    let mut command = std::process::Command::new(common::program());
    common::isolate(&mut command, &home).args(args);
    if stdout {
        command.stdout(full());
    } else {
        command.stderr(full());
    }
    let output = command.output().unwrap();
    let text = if stdout { output.stderr } else { output.stdout };
    (output.status.code(), String::from_utf8(text).unwrap())
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_and_no_panic() {
    assert_eq!(
        run_full(&["completions", "bash"], true),
        (
            Some(1),
            "socketchat: cannot write to stdout: no space left on device\n".into()
        )
    );
    let (_listener, port) = common::raw_server();
    let port = port.to_string();
    assert_eq!(
        run_full(&["serve", "--port", &port], false),
        (Some(1), String::new())
    );
}

/// The program with `args`, and with a shell's `redirection`.
fn redirected(args: &[&str], redirection: &str) -> std::process::Command {
    let mut command = std::process::Command::new("sh");
    let script = format!("exec \"$0\" \"$@\" {redirection}");
    command.args(["-c", &script, common::program()]).args(args);
    command
}

/// What is told of a stdout that is not open for writing.
const NOT_WRITABLE: &str = "socketchat: cannot write to stdout: bad file descriptor\n";

#[test]
fn a_closed_stdout_is_one_that_cannot_be_written() {
    let home = common::home();
    let transcript = home.path().join("chat.jsonl");
    let transcript = transcript.to_str().unwrap();
    let serve = ["serve", "-p", "0", "--transcript", transcript];
    // Somebody is there, and it is told before anything is said or asked.
    let (_listener, port) = common::raw_server();
    let server = format!("localhost:{port}");
    for args in [
        &["connect", &server][..],
        &["connect", &server, "--quiet", "--retry"],
        &serve,
        &["completions", "bash"],
    ] {
        let closed = Piped::spawn(redirected(args, ">&-"));
        let (stdout, stderr) = closed.finish(1);
        assert_eq!((stdout.as_str(), stderr.as_str()), ("", NOT_WRITABLE));
    }
    let mut server = Piped::start(serve);
    server.port();
    server.close_stdin();
    common::signal(server.id(), nix::sys::signal::Signal::SIGTERM);
    server.exit();
    for (args, redirection, code) in [
        (&["diagram", transcript][..], ">&-", 1),
        (&["completions", "bash"], "1</dev/null", 1),
        // What nobody reads can be written, however it was opened,
        (&["completions", "bash"], ">/dev/null", 0),
        (&["completions", "bash"], "1<>/dev/null", 0),
        // and what clap prints is for people, who see that there is nothing.
        (&["--help"], ">&-", 0),
        (&["--version"], ">&-", 0),
    ] {
        let (stdout, stderr) = Piped::spawn(redirected(args, redirection)).finish(code);
        let told = if code == 0 { "" } else { NOT_WRITABLE };
        assert_eq!((stdout.as_str(), stderr.as_str()), ("", told), "{args:?}");
    }
}

#[test]
fn a_closed_stdout_cannot_be_written_by_who_sits_at_a_terminal_either() {
    let (listener, port) = common::raw_server();
    let connect = ["connect", "localhost", &port.to_string()];
    let terminal = Setup::program(redirected(&connect, ">&-")).start();
    terminal.expect_text(NOT_WRITABLE.trim_end());
    terminal.finish(1);
    // Nobody has connected.
    listener.set_nonblocking(true).unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = std::process::Command::new(common::program());
    let output = command
        .args(["completions", "zsh"])
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
