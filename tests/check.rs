//! `check`, with scripts that a class may write: right ones, and for each usual mistake one that has
//! it. What it says must name the mistake.

mod common;

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use common::{Piped, expect_bytes, free_port, program, signal};
use nix::sys::signal::Signal;
use tempfile::TempDir;

/// A script in `tests/pupils`.
fn pupil(name: &str) -> String {
    let path = format!("{}/tests/pupils/{name}.py", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Checks `script` as a `side` with `args`. Returns what is printed, and the exit status.
fn check(side: &str, script: &str, args: &[&str]) -> (String, i32) {
    let (stdout, _, status) = check_in(&tempfile::tempdir().unwrap(), side, script, args);
    (stdout, status)
}

fn check_in(folder: &TempDir, side: &str, script: &str, args: &[&str]) -> (String, String, i32) {
    let path = folder.path().join("script.py");
    fs::write(&path, script).unwrap();
    let port = free_port().to_string();
    let mut command = Command::new(program());
    command
        .args(["check", side, "--port", &port])
        .args(args)
        .args(["--", "python3"])
        .arg(&path)
        .arg(&port);
    let mut checks = Piped::spawn(command);
    assert!(checks.exits_within(common::DEADLINE * 4), "it goes on");
    let status = checks.exit().code().unwrap();
    let (stdout, stderr) = checks.finish_any();
    (stdout, stderr, status)
}

/// The names of the checks in what was printed, each with its mark.
fn marks(stdout: &str) -> Vec<&str> {
    let marked = stdout.lines().filter(|line| !line.starts_with(' '));
    let marked = marked.filter(|line| line.starts_with(['\u{2713}', '\u{2717}', '-']));
    marked
        .map(|line| {
            let end = line.match_indices(' ').nth(1).unwrap().0;
            &line[..end]
        })
        .collect()
}

#[test]
#[ignore = "needs python3"]
fn the_scripts_of_a_first_lesson_pass_level_1() {
    let (stdout, status) = check("client", &pupil("client"), &[]);
    assert!(
        stdout.ends_with("\n7 of 7 checks passed.\n") && status == 0,
        "{stdout}"
    );
    let (stdout, status) = check("server", &pupil("server"), &[]);
    assert!(
        stdout.ends_with("\n5 of 5 checks passed.\n") && status == 0,
        "{stdout}"
    );
}

#[test]
#[ignore = "needs python3"]
fn good_scripts_pass_all_levels() {
    let args = ["--level", "3", "--framing", "line"];
    let (stdout, status) = check("client", &pupil("good_client"), &args);
    assert!(
        stdout.ends_with("\n13 of 13 checks passed.\n") && status == 0,
        "{stdout}"
    );
    let good = pupil("good_server");
    // Answers that are typed, too.
    let typed = changed(
        &good,
        &[("b\"You said: \" + line", "input(\" -> \").encode()")],
    );
    for script in [good, typed] {
        let (stdout, status) = check("server", &script, &args);
        assert!(
            stdout.ends_with("\n10 of 10 checks passed.\n") && status == 0,
            "{stdout}"
        );
    }
}

#[test]
#[ignore = "needs python3"]
fn what_raw_cannot_do_is_no_failure() {
    let (stdout, _) = check("client", &pupil("client"), &["--level", "2"]);
    assert!(
        stdout.contains("- C10 takes a reply in two parts as one: a limit of raw"),
        "{stdout}"
    );
}

/// The script with each first text replaced by the second.
fn changed(script: &str, changes: &[(&str, &str)]) -> String {
    changes
        .iter()
        .fold(script.to_owned(), |script, (old, new)| {
            assert!(script.contains(old), "{old}");
            script.replace(old, new)
        })
}

/// A mistake: what is changed in a script, how it is checked, which check finds it, and what is said.
struct Mistake {
    script: &'static str,
    changes: &'static [(&'static str, &'static str)],
    args: &'static [&'static str],
    /// Empty if it is found by one or the other.
    check: &'static str,
    says: &'static [&'static str],
}

/// Finds each mistake.
fn find(side: &str, mistakes: &[Mistake]) {
    // Most of it are waits. More at once would start too slowly on a busy machine.
    for some in mistakes.chunks(8) {
        std::thread::scope(|scope| {
            for mistake in some {
                scope.spawn(|| mistake.find(side));
            }
        });
    }
}

impl Mistake {
    fn find(&self, side: &str) {
        let changes = self.changes;
        let script = changed(&pupil(self.script), changes);
        let folder = tempfile::tempdir().unwrap();
        let (stdout, stderr, status) = check_in(&folder, side, &script, self.args);
        assert_eq!((status, &*stderr), (1, ""), "{changes:?}: {stdout}");
        let marks = marks(&stdout);
        let failed = marks.iter().find_map(|mark| mark.strip_prefix("\u{2717} "));
        let id = self.check;
        assert!(id.is_empty() || failed == Some(id), "{changes:?}: {stdout}");
        for words in self.says {
            assert!(stdout.contains(words), "{words}: {stdout}");
        }
    }
}

/// What a client may do wrong.
const OF_CLIENT: &[Mistake] = &[
    Mistake {
        script: "client",
        changes: &[("int(sys.argv[1])", "4999")],
        args: &[],
        check: "C1",
        says: &[
            "Nothing listens where it connects to",
            "line 11: ",
            "ConnectionRefusedError",
        ],
    },
    Mistake {
        script: "client",
        changes: &[(
            "socket.socket()",
            "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
        )],
        args: &[],
        check: "C1",
        says: &["a UDP datagram", "SOCK_STREAM"],
    },
    Mistake {
        script: "client",
        changes: &[
            ("    peer.connect((host, port))\n", ""),
            (
                "    message = input(\" -> \")\n    while",
                "    message = input(\" -> \")\n    peer.connect((host, port))\n    while",
            ),
        ],
        args: &[],
        check: "C1",
        says: &["it connects only when a line has been typed"],
    },
    Mistake {
        script: "client",
        changes: &[("message.encode()", "message")],
        args: &[],
        check: "C2",
        says: &[
            "make them of the text with .encode()",
            "line 14: ",
            "TypeError",
        ],
    },
    Mistake {
        script: "client",
        changes: &[(
            "    message = input(\" -> \")\n    while",
            "    print(peer.recv(1024))\n    message = input(\" -> \")\n    while",
        )],
        args: &[],
        check: "C2",
        says: &["it stands in recv()", "the client speaks first"],
    },
    Mistake {
        script: "good_client",
        changes: &[("    stream.flush()\n", "")],
        args: &["-f", "line"],
        check: "C2",
        says: &["no byte: it stands in recv()", "flush()"],
    },
    Mistake {
        script: "client",
        changes: &[(
            "peer.send(message.encode())",
            "peer.send(str(message.encode()).encode())",
        )],
        args: &[],
        check: "C3",
        says: &["str() makes b'\u{2026}' of bytes", "\"b'hallo'\""],
    },
    Mistake {
        script: "client",
        changes: &[(
            "peer.send(message.encode())",
            "peer.send(len(message).to_bytes(4, 'big') + message.encode())",
        )],
        args: &[],
        check: "C3",
        says: &["Its length stands before it"],
    },
    Mistake {
        script: "client",
        changes: &[],
        args: &["-f", "line"],
        check: "C3",
        says: &["The end of the message is missing: with line, \\n follows it"],
    },
    Mistake {
        script: "client",
        changes: &[("message.encode()", "(message + '\\n').encode()")],
        args: &[],
        check: "C3",
        says: &["\\n at its end is sent too", "--framing line"],
    },
    Mistake {
        script: "client",
        changes: &[("message.encode()", "message.encode('latin-1')")],
        args: &[],
        check: "C4",
        says: &["fc is no UTF-8; in Latin-1 it is \u{fc}"],
    },
    Mistake {
        script: "client",
        changes: &[
            ("recv(1024).decode()", "recv(1024)"),
            ("+ reply", "+ str(reply)"),
        ],
        args: &[],
        check: "C5",
        says: &["It prints the bytes", "b'Z\\xc3\\xbcrich'", ".decode()"],
    },
    Mistake {
        script: "client",
        changes: &[("recv(1024).decode()", "recv(1024).decode('latin-1')")],
        args: &[],
        check: "C5",
        says: &["It reads UTF-8 as Latin-1"],
    },
    Mistake {
        script: "client",
        changes: &[("    while message", "    if message")],
        args: &[],
        check: "C6",
        says: &["the connection is closed: it has ended with status 0"],
    },
    Mistake {
        script: "client",
        changes: &[
            ("message.lower().strip() != \"bye\"", "True"),
            (
                "        reply = peer.recv(1024).decode()\n",
                "        if message == 'bye': break\n        reply = peer.recv(1024).decode()\n",
            ),
        ],
        args: &[],
        check: "C7",
        says: &["bye is not sent"],
    },
    Mistake {
        script: "client",
        changes: &[],
        args: &["--level", "2"],
        check: "C8",
        says: &["send() of an empty text sends no byte"],
    },
    Mistake {
        script: "good_client",
        changes: &[(
            "if reply is None:\n        break",
            "if reply is None:\n        reply = ''",
        )],
        args: &["-f", "line", "--level", "2"],
        check: "C9",
        says: &["it stands in input()", "if not data: break"],
    },
    Mistake {
        script: "good_client",
        changes: &[(
            "    reply = stream.readline()\n",
            "    reply = stream.buffer.read1(1024).decode()\n",
        )],
        args: &["-f", "line", "--level", "2"],
        check: "C10",
        says: &["Only the beginning was printed"],
    },
];

#[test]
#[ignore = "needs python3"]
fn mistakes_of_a_client_are_named() {
    find("client", OF_CLIENT);
}

/// What a server may do wrong.
const OF_SERVER: &[Mistake] = &[
    Mistake {
        script: "server",
        changes: &[("    listener.listen(2)\n", "")],
        args: &[],
        check: "S1",
        says: &["listen() comes before it", "line 12: ", "Invalid argument"],
    },
    Mistake {
        script: "server",
        changes: &[
            (
                "socket.socket()",
                "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
            ),
            (
                "    listener.listen(2)\n    peer, address = listener.accept()\n",
                "    peer, address = listener, ''\n",
            ),
        ],
        args: &[],
        check: "S1",
        says: &["a UDP socket", "SOCK_STREAM"],
    },
    Mistake {
        script: "server",
        changes: &[("(host, port)", "(host, 0)")],
        args: &[],
        check: "S1",
        says: &[
            "connection refused: it stands in accept()",
            "Compare the port",
        ],
    },
    Mistake {
        script: "server",
        changes: &[("listener.accept()", "listener.accept")],
        args: &[],
        check: "",
        says: &["() is missing", "line 13: "],
    },
    Mistake {
        script: "server",
        changes: &[("recv(1024)", "recv(5)")],
        args: &[],
        check: "S3",
        says: &["Only the beginning was printed"],
    },
    Mistake {
        script: "server",
        changes: &[(
            "peer, address = listener.accept()",
            "peer, address = listener, ''",
        )],
        args: &[],
        check: "",
        says: &["belong to the socket that accept() returns", "line 16: "],
    },
    Mistake {
        script: "server",
        changes: &[(
            "    while True",
            "    peer.send(b'welcome')\n    while True",
        )],
        args: &[],
        check: "S2",
        says: &["The server speaks first"],
    },
    Mistake {
        script: "server",
        changes: &[
            ("recv(1024).decode()", "recv(1024)"),
            ("+ data", "+ str(data)"),
        ],
        args: &[],
        check: "S3",
        says: &["It prints the bytes", ".decode()"],
    },
    Mistake {
        script: "server",
        changes: &[("answer.encode()", "b''")],
        args: &[],
        check: "S3",
        says: &["send() of an empty text sends no byte"],
    },
    Mistake {
        script: "server",
        changes: &[(
            "        answer = input",
            "        peer, address = listener.accept()\n        answer = input",
        )],
        args: &[],
        check: "S3",
        says: &["it stands in accept()", "waits for another client"],
    },
    Mistake {
        script: "good_server",
        changes: &[(
            "b\"You said: \" + line + b\"\\n\"",
            "b'{\"text\": \"gut\"}'",
        )],
        args: &["-f", "json"],
        check: "S3",
        says: &[
            "an answer that ends with \"\\n\"\n",
            "with json, \\n follows it",
        ],
    },
    Mistake {
        script: "server",
        changes: &[("answer.encode()", "answer.encode('latin-1')")],
        args: &[],
        check: "S4",
        says: &["fc is no UTF-8"],
    },
    Mistake {
        script: "server",
        changes: &[("            break\n", "            continue\n")],
        args: &[],
        check: "S5",
        says: &["it does not wait any more: it uses", "if not data: break"],
    },
    Mistake {
        script: "server",
        changes: &[("        if not data:\n            break\n", "")],
        args: &[],
        check: "S5",
        says: &["BrokenPipeError", "recv() has returned no bytes"],
    },
    Mistake {
        script: "server",
        changes: &[],
        args: &["--level", "2"],
        check: "S6",
        says: &["Put accept() in a loop"],
    },
    Mistake {
        script: "good_server",
        changes: &[(
            "*lines, unread = (unread + data).split(b\"\\n\")",
            "lines = [data.rstrip(b\"\\n\")]",
        )],
        args: &["-f", "line", "--level", "2"],
        check: "S7",
        says: &["Only the beginning was printed"],
    },
    Mistake {
        script: "good_server",
        changes: &[(
            "        for line in lines:\n",
            "        for line in lines[:1]:\n",
        )],
        args: &["-f", "line", "--level", "2"],
        check: "S7",
        says: &["1 answer(s) to two messages"],
    },
    Mistake {
        script: "good_server",
        changes: &[(
            "threading.Thread(target=serve, args=(peer,), daemon=True).start()",
            "serve(peer)",
        )],
        args: &["-f", "line", "--level", "3"],
        check: "S8",
        says: &["Start a thread for each client"],
    },
    Mistake {
        script: "good_server",
        changes: &[
            (
                "            peer.sendall",
                "            global last\n            last = line\n            time.sleep(0.2)\n            line = last\n            peer.sendall",
            ),
            ("import threading", "import threading\nimport time"),
        ],
        args: &["-f", "line", "--level", "3"],
        check: "S9",
        says: &["no global variables"],
    },
    Mistake {
        script: "good_server",
        changes: &[(
            "+ line +",
            "+ (b\"\\xfc\\n\\xfc\" if b\"Wort\" in line else line) +",
        )],
        args: &["-f", "line", "--level", "3"],
        check: "S9",
        says: &["got: 14 bytes: 59 6f 75 20 73 61 69 64 3a 20 fc 0a fc 0a"],
    },
];

#[test]
#[ignore = "needs python3"]
fn mistakes_of_a_server_are_named() {
    find("server", OF_SERVER);
}

#[test]
#[ignore = "needs python3"]
fn a_server_that_cannot_be_started_again_at_once_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("script.py");
    let setting = "listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)\n";
    fs::write(&path, changed(&pupil("good_server"), &[(setting, "")])).unwrap();
    let port = free_port().to_string();
    let mut command = Command::new(program());
    command
        .args(["check", "server", "--level", "2", "-f", "line", "-p", &port])
        .args(["--", "python3"])
        .args([path.as_os_str(), port.as_ref()]);
    let checks = Piped::spawn(command);
    checks.stdout.wait_for("the mistake", |bytes| {
        let text = String::from_utf8_lossy(bytes);
        let (_, found) = text.split_once("\u{2717} S6")?;
        (found.contains("SO_REUSEADDR before bind()") && found.contains("Address already in use"))
            .then_some(())
    });
    // The next check has to wait until the system forgets the connection.
    checks.stderr.wait_for("the wait", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("The port is taken for a minute")
            .then_some(())
    });
}

#[test]
#[ignore = "needs python3"]
fn checks_speak_german_and_json() {
    let script = changed(&pupil("client"), &[("message.encode()", "message")]);
    let (stdout, _) = check("client", &script, &["--lang", "de"]);
    assert!(
        stdout.contains("\u{2717} C2  sendet die getippte Zeile\n      gesehen:  kein Byte")
            && stdout.contains("      Hinweis:  send() nimmt Bytes: mit .encode()")
            && stdout.contains("      Zeile 14: TypeError")
            && stdout.ends_with("1 von 2 Pr\u{fc}fungen bestanden.\n"),
        "{stdout}"
    );
    let (stdout, status) = check("client", &script, &["--format", "json"]);
    assert_eq!(status, 1);
    let objects: Vec<serde_json::Value> = stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(objects.len(), 2);
    assert_eq!(objects[0]["check"], "C1");
    assert_eq!(objects[0]["result"], "passed");
    assert_eq!(objects[1]["result"], "failed");
    assert_eq!(objects[1]["error"]["line"], 14);
}

#[test]
#[ignore = "needs python3"]
fn what_a_script_prints_does_not_act_on_a_terminal() {
    let script = changed(
        &pupil("client"),
        &[(
            "+ reply",
            "+ '\\x1b[2J\\x9b' + '\\u202e'); raise OSError('\\x1b[2J\\u202e'",
        )],
    );
    let (stdout, _) = check("client", &script, &[]);
    assert!(stdout.contains("\u{2717} C5"), "{stdout}");
    assert!(
        !stdout.contains(['\u{1b}', '\u{9b}', '\u{202e}']),
        "{stdout:?}"
    );
}

#[test]
fn a_client_that_somebody_starts_is_judged_by_the_wire() {
    let port = free_port();
    let mut command = Command::new(program());
    command.args(["check", "client", "--port", &port.to_string()]);
    let checks = Piped::spawn(command);
    let told = |words: &str| {
        checks.stderr.wait_for(words, |bytes| {
            String::from_utf8_lossy(bytes).contains(words).then_some(())
        });
    };
    told("> Start your client now");
    let mut client = common::raw_client(port);
    told("> Type in your client: hallo\n");
    client.write_all(b"hallo").unwrap();
    expect_bytes(&mut client, "ok");
    told("> Type in your client: gr\u{fc}ezi\n");
    client.write_all(b"gr\xfcezi").unwrap();
    expect_bytes(&mut client, "ok");
    client.write_all(b"hallo").unwrap();
    expect_bytes(&mut client, "eins");
    told("> Type in your client: noch einmal\n");
    client.write_all(b"noch einmal").unwrap();
    expect_bytes(&mut client, "zwei");
    client.write_all(b"hallo").unwrap();
    expect_bytes(&mut client, "gut");
    told("> Type in your client: bye\n");
    drop(client);
    let (stdout, _) = checks.finish(1);
    assert_eq!(
        marks(&stdout),
        [
            "\u{2713} C1",
            "\u{2713} C2",
            "\u{2713} C3",
            "\u{2717} C4",
            "- C5",
            "\u{2713} C6",
            "\u{2713} C7"
        ]
    );
}

#[test]
fn a_server_that_somebody_starts_is_judged_by_the_wire() {
    let (listener, port) = common::raw_server();
    let mut command = Command::new(program());
    command.args(["check", "server", "--port", &port.to_string()]);
    let checks = Piped::spawn(command);
    let mut server = common::accept(&listener);
    expect_bytes(&mut server, "gr\u{fc}ezi");
    checks.stderr.wait_for("what to type", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("> Type in your server: gut\n")
            .then_some(())
    });
    server.write_all(b"gut").unwrap();
    expect_bytes(&mut server, "eins");
    server.write_all(b"gut").unwrap();
    expect_bytes(&mut server, "zwei");
    server.write_all("Z\u{fc}rich".as_bytes()).unwrap();
    let (stdout, _) = checks.finish(0);
    assert!(stdout.ends_with("4 of 4 checks passed.\n"), "{stdout}");
    // Whoever has started it sees no error.
    common::expect_end(&mut server);
}

#[test]
fn what_cannot_be_checked_is_an_error() {
    let run = |side: &str, port: u16, program_name: &str| {
        let mut command = Command::new(program());
        command.args(["check", side, "-p", &port.to_string(), "--", program_name]);
        Piped::spawn(command).finish(1)
    };
    let (_, stderr) = run("client", free_port(), "no-such-program");
    assert_eq!(
        stderr,
        "socketchat: cannot start no-such-program: no such file or directory\n"
    );
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    for side in ["client", "server"] {
        let (_, stderr) = run(side, port, "true");
        assert!(
            stderr.contains(&format!("another program has port {port}")),
            "{stderr}"
        );
    }
}

#[test]
#[ignore = "needs python3"]
fn a_signal_ends_the_checks_and_what_they_started() {
    for key in [Signal::SIGINT, Signal::SIGQUIT] {
        ends_the_checks(key);
    }
}

fn ends_the_checks(key: Signal) {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("pid");
    let script = format!(
        "import os, subprocess\nopen({:?}, 'w').write(str(os.getpid()) + '\\n')\n\
         subprocess.run(['sleep', '1000'])\n",
        pid.display()
    );
    let path = folder.path().join("script.py");
    fs::write(&path, script).unwrap();
    let mut command = Command::new(program());
    command
        .args([
            "check",
            "client",
            "-p",
            &free_port().to_string(),
            "--",
            "python3",
        ])
        .arg(&path);
    let mut checks = Piped::spawn(command);
    let pid = common::wait_until("the script", || {
        let pid = fs::read_to_string(&pid).ok()?;
        pid.strip_suffix('\n').map(str::to_owned)
    });
    signal(checks.id(), key);
    assert_eq!(checks.exit().code(), Some(130));
    common::wait_until("its end", || {
        (!Path::new("/proc").join(&pid).exists()).then_some(())
    });
}
