//! Every command in the README, and in the pages that it links, is run as it stands there, but for the
//! port, which is a free one: others may be using the port that people are told.

mod common;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use common::{Piped, accept, expect_bytes, free_port, raw_client, raw_server};

/// The README, and what it leaves to pages of their own.
const PAGES: [&str; 7] = [
    include_str!("../README.md"),
    include_str!("../docs/benchmarks.md"),
    include_str!("../docs/completions.md"),
    include_str!("../docs/framing.md"),
    include_str!("../docs/retry.md"),
    include_str!("../docs/services.md"),
    include_str!("../docs/transcript.md"),
];

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let pages = PAGES.iter();
    pages.flat_map(|page| blocks_of(page, language)).collect()
}

/// Whether `text` stands in a block of its own.
fn has_block(text: &str) -> bool {
    let block = format!("```\n{text}```\n");
    PAGES.iter().any(|page| page.contains(&block))
}

/// The fenced blocks of a language in a `page`.
fn blocks_of(page: &'static str, language: &str) -> Vec<&'static str> {
    page.split("\n```")
        .collect::<Vec<_>>()
        .chunks(2)
        .filter_map(|pair| pair.get(1)?.strip_prefix(language)?.strip_prefix('\n'))
        .collect()
}

/// The block that holds `command`, with another port.
fn block(language: &str, command: &str, port: u16) -> String {
    let mut found = blocks(language)
        .into_iter()
        .filter(|block| format!("{block}\n").contains(command));
    let block = found
        .next()
        .unwrap_or_else(|| panic!("no block with {command}"));
    assert_eq!(found.next(), None, "two blocks with {command}");
    block.replace("5000", &port.to_string())
}

/// Runs the block of commands that holds `command` in a shell, in `folder`; `more` is what
/// the test wants to know of it.
fn run(folder: &Path, command: &str, port: u16, more: &str) -> Piped {
    start_in(folder, &(block("sh", command, port) + more))
}

/// Runs `commands` in a shell, in `folder`.
fn start_in(folder: &Path, commands: &str) -> Piped {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &with_program(commands)])
        .current_dir(folder)
        .env("PYTHONUNBUFFERED", "1");
    // The test's home is not the one that cargo and rustup live in.
    let home = std::env::home_dir().unwrap();
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if std::env::var_os(name).is_none() {
            shell.env(name, home.join(folder));
        }
    }
    Piped::spawn(shell)
}

/// The commands, with the program on the path.
fn with_program(commands: &str) -> String {
    let folder = Path::new(common::program()).parent().unwrap();
    format!("PATH='{}':$PATH\n{commands}", folder.display())
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Talks with the server on `port`, and checks its answer.
fn ask(port: u16, answer: &str) {
    let mut peer = raw_client(port);
    peer.write_all(b"hello").unwrap();
    expect_bytes(&mut peer, answer);
}

const CHAT: [&str; 3] = [
    "socketchat serve --port 5000\n",
    "socketchat connect localhost:5000\n",
    "serve --host 0.0.0.0",
];

/// Has two sides say what the README has them say; returns what the server has told.
fn talk(mut server: Piped, mut client: Piped) -> String {
    client.write("hello\n");
    server.expect("Received from connected client: hello\n");
    server.write("hi there\n");
    client.expect("Received from server: hi there\n");
    client.write("bye\n");
    client.finish(0);
    server.finish(0).1
}

#[test]
fn a_chat_between_two_terminals() {
    let port = free_port();
    let [serve, connect, exposed] = CHAT;
    let server = run(here(), serve, port, "");
    assert_eq!(server.port(), port);
    talk(server, run(here(), connect, port, ""));

    let mut server = run(here(), exposed, port, "");
    assert_eq!(server.port(), port);
    server.write("hi\n");
    ask(port, "hi");
    server.finish(0);
}

const SCRIPTED: [&str; 1] = ["--script smtp.tsv"];

#[test]
fn a_stand_in_for_a_service() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let script = block("tsv", "*greeting*", port);
    std::fs::write(folder.path().join("smtp.tsv"), script).unwrap();
    let server = run(folder.path(), SCRIPTED[0], port, "");
    assert_eq!(server.port(), port);
    let mut client = raw_client(port);
    expect_bytes(&mut client, "220 ready\r\n");
    for (line, answer) in [
        ("EHLO me", "250-hello\r\n250 HELP\r\n"),
        ("DATA", "354 go on\r\n"),
        ("a line\r\n\r\n.", "250 queued\r\n"),
        ("QUIT", "221 bye\r\n"),
    ] {
        write!(client, "{line}\r\n").unwrap();
        expect_bytes(&mut client, answer);
    }
    drop(client);
    server.finish(0);
}

const UNIX: [&str; 2] = ["serve --host unix:", "connect unix:"];

#[test]
fn a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let server = run(folder.path(), UNIX[0], 0, "");
    server.stderr.wait_for("the socket", |bytes| {
        bytes
            .starts_with(b"Listening on unix:chat.sock\n")
            .then_some(())
    });
    talk(server, run(folder.path(), UNIX[1], 0, ""));
}

const MANY: [&str; 1] = ["--max-clients"];

#[test]
fn many_clients() {
    let port = free_port();
    let mut server = run(here(), MANY[0], port, "");
    assert_eq!(server.port(), port);
    server.write("hi\nhi\n");
    ask(port, "hi");
    ask(port, "hi");
    server.stdout.wait_for("both", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("Received from client #2: hello\n")
            .then_some(())
    });
}

const RETRY: [&str; 1] = ["--retry"];

#[test]
fn a_connection_that_comes_back() {
    let port = free_port();
    let mut client = run(here(), RETRY[0], port, "");
    client.stderr.wait_for("a try", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("Trying again in 0.25 s (try 1): ")
            .then_some(())
    });
    let mut server = Piped::start(["serve", "--port", &port.to_string()]);
    client.write("hello\n");
    server.write("hi\n");
    client.expect("Received from server: hi\n");
    client.finish(0);
    server.finish(0);
}

const LESSON: [&str; 4] = [
    "--explain",
    "--transcript",
    "diagram chat.jsonl",
    "chat.html",
];

#[test]
fn a_lesson() {
    let [explain, transcript, diagram, page] = LESSON;
    let port = free_port();
    let server = run(here(), explain, port, "");
    assert_eq!(server.port(), port);
    let folder = common::home();
    let told = talk(server, run(folder.path(), transcript, port, ""));
    // The lines that do not tell what the client has said are those of the README.
    let lines = PAGES.iter().flat_map(|page| page.lines());
    for line in lines.filter(|line| line.contains(" -> ok: ")) {
        let line = line.replace("5000", &port.to_string());
        let (call, why) = line.split_once(" -> ").unwrap();
        let line = format!("{:32} -> {why}", call.trim());
        assert!(told.contains(&line), "{line}\n{told}");
    }
    let (drawn, _) = run(folder.path(), diagram, port, "").finish(0);
    assert!(has_block(&drawn), "{drawn}");
    run(folder.path(), page, port, "").finish(0);
    let page = std::fs::read_to_string(folder.path().join("chat.html")).unwrap();
    assert!(
        page.starts_with("<!DOCTYPE html>") && page.contains("hi there"),
        "{page}"
    );
}

const CHECKED: [&str; 1] = ["check client"];

#[test]
#[ignore = "needs python3"]
fn a_client_that_is_checked() {
    let folder = common::home();
    let port = free_port();
    let script = block("python", "server.recv", port).replace("text.encode()", "text");
    std::fs::write(folder.path().join("my_client.py"), script).unwrap();
    let (found, _) = run(folder.path(), CHECKED[0], port, "").finish(1);
    assert!(has_block(&found), "{found}");
}

const RELAY: [&str; 1] = ["socketchat relay"];

#[test]
fn a_relay() {
    let (listener, port) = raw_server();
    let relay = block("sh", RELAY[0], port).replace("5001", &free_port().to_string());
    let relay = start_in(here(), &relay);
    let mut client = raw_client(relay.port());
    client.write_all(b"hello").unwrap();
    expect_bytes(&mut accept(&listener), "hello");
}

/// The commands of the lesson, in English and German.
const STEPS: [&str; 2] = [
    include_str!("../docs/lesson.md"),
    include_str!("../docs/lektion.md"),
];

#[test]
#[ignore = "needs python3"]
fn the_lesson_in_ten_steps() {
    let [english, german] = STEPS.map(|page| blocks_of(page, "sh"));
    assert_eq!(english, german);
    let folder = common::home();
    let (port, between) = (free_port(), free_port());
    for (script, lines) in [("client", false), ("server", false), ("good_client", true)] {
        let path = format!("{}/tests/pupils/{script}.py", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let text = text.replace("int(sys.argv[1])", &port.to_string());
        // In step 9 the client has learnt to end its messages.
        let name = if lines {
            "lines.py".into()
        } else {
            format!("socket_{script}.py")
        };
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let commands: Vec<_> = english
        .iter()
        .map(|block| {
            let block = block.replace("5000", &port.to_string());
            block.replace("5001", &between.to_string())
        })
        .collect();
    let [
        server,
        client,
        serve,
        connect,
        relay,
        split,
        keep,
        draw,
        level2,
        all,
    ] = &commands[..]
    else {
        panic!("{commands:?}");
    };
    for check in [server, client] {
        let (found, _) = start_in(folder.path(), check).finish(0);
        assert!(!found.contains('\u{2717}'), "{found}");
    }
    // socketchat on both ends, with what stands between.
    let server = start_in(folder.path(), serve);
    assert_eq!(server.port(), port);
    talk(server, start_in(folder.path(), connect));
    for relay in [relay, split, keep] {
        let server = start_in(folder.path(), serve);
        assert_eq!(server.port(), port);
        let relay = start_in(folder.path(), relay);
        ask_through(&relay, between, server);
    }
    start_in(folder.path(), draw).finish(0);
    let page = std::fs::read_to_string(folder.path().join("chat.html")).unwrap();
    assert!(page.contains("hello"), "{page}");
    let level2 = level2.replace("socket_client.py", "lines.py");
    let (found, _) = start_in(folder.path(), &level2).finish(0);
    assert!(found.ends_with("10 of 10 checks passed.\n"), "{found}");
    let server = start_in(folder.path(), all);
    assert_eq!(server.port(), port);
}

/// Says hello through `relay` at port `between` to `server`, which has an answer.
fn ask_through(relay: &Piped, between: u16, mut server: Piped) {
    assert_eq!(relay.port(), between);
    server.write("hi\n");
    let mut client = raw_client(between);
    client.write_all(b"hello").unwrap();
    expect_bytes(&mut client, "hi");
    drop(client);
    server.finish_any();
    // The server may close while the client's end is on its way through the relay.
    let ends = [
        "Client #1 left.\n",
        "The conversation with client #1 has ended.\n",
    ];
    relay.stderr.wait_for("the end", |bytes| {
        let told = String::from_utf8_lossy(bytes);
        ends.iter().any(|end| told.contains(end)).then_some(())
    });
}

const SCRIPT: [&str; 2] = ["yes", "answer="];

#[test]
fn a_shell_script() {
    let port = free_port();
    let [serve, ask] = SCRIPT;
    let server = run(here(), serve, port, "");
    // It is quiet, so that only a connection tells when it listens.
    let answer = retry(|| {
        let client = run(here(), ask, port, "\nprintf %s \"$answer\"");
        let (stdout, _) = client.finish_any();
        (!stdout.is_empty()).then_some(stdout)
    });
    assert_eq!(answer, "got it");
    assert_eq!(server.finish(0), ("how are you?\n".into(), String::new()));
}

const COMPLETIONS: [&str; 5] = [
    "completions bash",
    "completions zsh",
    "completions fish",
    "completions powershell",
    "completions elvish",
];

#[test]
fn completions_are_put_in_place() {
    for part in COMPLETIONS {
        let folder = common::home();
        // Each block writes one file below the home, which is the test's own.
        let (stdout, stderr) = run(folder.path(), part, 0, "\nfind ~ -type f -size +1k").finish(0);
        assert_eq!(
            (stdout.lines().count(), stderr.as_str()),
            (1, ""),
            "{part}: {stdout}"
        );
    }
}

const PYTHON: [&str; 2] = ["python3 client.py", "python3 server.py"];

#[test]
#[ignore = "needs python3"]
fn the_python_scripts() {
    let folder = common::home();
    let port = free_port();
    for (part, file) in [("server.recv", "client.py"), ("create_server", "server.py")] {
        std::fs::write(folder.path().join(file), block("python", part, port)).unwrap();
    }
    let [client, server] = PYTHON;

    let mut ours = Piped::start(["serve", "--port", &port.to_string()]);
    ours.port();
    let mut theirs = run(folder.path(), client, port, "");
    theirs.write("gr\u{fc}ezi\n");
    ours.expect("Received from connected client: gr\u{fc}ezi\n");
    ours.write("hi\n");
    theirs.expect(" -> Received from server: hi\n -> ");
    theirs.write("bye\n");
    theirs.finish(0);
    ours.finish(0);

    let port = free_port();
    std::fs::write(
        folder.path().join("server.py"),
        block("python", "create_server", port),
    )
    .unwrap();
    let mut theirs = run(folder.path(), server, port, "");
    let mut ours = connect_when_it_listens(port);
    ours.write("gr\u{fc}ezi\n");
    theirs.stdout.wait_for("the message", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("Received from connected client: gr\u{fc}ezi\n -> ")
            .then_some(())
    });
    theirs.write("hi\n");
    ours.expect("Received from server: hi\n");
    ours.write("bye\n");
    ours.finish(0);
    assert_eq!(theirs.finish(0).1, "");
}

const FRAMING: [&str; 2] = ["nc -N", "--framing line"];

#[test]
#[ignore = "needs nc"]
fn what_goes_wrong_without_an_end_mark_and_how_one_mends_it() {
    let [send, line] = FRAMING;
    let port = free_port();
    let serve = "socketchat serve --port 5000\n";
    for (command, heard) in [
        (serve, "Received from connected client: one\ntwo\n"),
        (
            line,
            "Received from connected client: one\nReceived from connected client: two\n",
        ),
    ] {
        let server = run(here(), command, port, "");
        assert_eq!(server.port(), port);
        run(here(), send, port, "").finish(0);
        assert_eq!(server.finish(0).0, heard);
    }
}

const REDIS: [&str; 1] = ["localhost:6379"];

#[test]
#[ignore = "needs redis-server"]
fn a_text_service() {
    let port = free_port();
    let redis = common::redis(port);
    let mut shell = Command::new("sh");
    let command = block("sh", REDIS[0], 0).replace("6379", &port.to_string());
    shell.args(["-c", &with_program(&command)]);
    let answers = Piped::spawn(shell).finish(0);
    assert_eq!(answers, ("+OK\n$2\n\u{fc}\n".into(), String::new()));
    drop(redis);
}

const SERVICES: [&str; 2] = ["--reply-until '", "GET / HTTP"];

#[test]
fn a_service_that_greets_and_one_that_sends_bytes() {
    let (listener, port) = raw_server();
    let client = run(here(), SERVICES[0], port, "");
    let mut smtp = accept(&listener);
    smtp.write_all(b"220 ready\r\n").unwrap();
    expect_bytes(&mut smtp, "EHLO me\r\n");
    smtp.write_all(b"250-one\r\n250 two\r\n").unwrap();
    expect_bytes(&mut smtp, "QUIT\r\n");
    smtp.write_all(b"221 bye\r\n").unwrap();
    drop(smtp);
    let said = "220 ready\n250-one\n250 two\n221 bye\n";
    assert_eq!(client.finish(0), (said.into(), String::new()));

    let client = run(here(), SERVICES[1], port, "");
    let mut http = accept(&listener);
    let asked = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    expect_bytes(&mut http, asked);
    let page = "HTTP/1.1 200 OK\r\n\r\nno newline";
    http.write_all(page.as_bytes()).unwrap();
    drop(http);
    assert_eq!(client.finish(0), (page.into(), String::new()));
}

const JSON: [&str; 2] = ["--framing json", "python3 json_client.py"];

#[test]
#[ignore = "needs python3"]
fn json_in_python() {
    let folder = common::home();
    let port = free_port();
    std::fs::write(
        folder.path().join("json_client.py"),
        block("python", "import json", port),
    )
    .unwrap();
    let [serve, connect] = JSON;
    let mut ours = run(here(), serve, port, "");
    assert_eq!(ours.port(), port);
    let mut theirs = run(folder.path(), connect, port, "");
    theirs.write("gr\u{fc}ezi\n");
    ours.expect("Received from Python: gr\u{fc}ezi\n");
    ours.write("hi\n");
    theirs.expect(" -> Received from anna: hi\n -> ");
    theirs.write("bye\n");
    theirs.finish(0);
    ours.finish(0);
}

const NC: [&str; 2] = ["nc localhost", "nc -l"];

#[test]
#[ignore = "needs nc"]
fn nc_on_either_end() {
    let [client, server] = NC;
    let port = free_port();
    let mut ours = Piped::start(["serve", "--port", &port.to_string()]);
    ours.port();
    let mut nc = run(here(), client, port, "");
    nc.write("hello\n");
    ours.expect("Received from connected client: hello\n");
    ours.write("hi\n");
    nc.expect("hi");
    nc.write("last\n");
    ours.write("bye\n");
    ours.finish(0);

    let port = free_port();
    let mut nc = run(here(), server, port, "");
    let mut ours = connect_when_it_listens(port);
    ours.write("hello\n");
    nc.expect("hello");
    nc.write("hi\n");
    ours.expect("Received from server: hi\n");
    ours.finish(0);
    nc.finish(0);
}

/// A client of a server that does not say when it listens.
fn connect_when_it_listens(port: u16) -> Piped {
    Piped::connect(port, &["--retry"])
}

/// Tries until it works, within the deadline.
fn retry<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let start = std::time::Instant::now();
    loop {
        if let Some(done) = attempt() {
            return done;
        }
        assert!(start.elapsed() < common::DEADLINE, "it never works");
    }
}

/// The last of these is run by `.ci/run`, which reads it out of the README.
const BUILD: [&str; 3] = ["cargo run", "cargo install", "cargo test"];

#[test]
#[ignore = "needs cargo, and the time of a release build"]
fn a_fresh_machine() {
    let port = free_port();
    let [start, install, _] = BUILD;
    let mut server = run(here(), start, port, "");
    let listening = format!("Listening on 127.0.0.1:{port}\n");
    server.stderr.wait_for_long("the build", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains(&listening)
            .then_some(())
    });
    server.write("hi\n");
    ask(port, "hi");
    server.finish(0);

    let folder = common::home();
    let root = folder.path().display();
    let installed = run(
        here(),
        &format!("{install} --locked"),
        port,
        &format!(" --root {root} && {root}/bin/socketchat --version"),
    );
    installed.stdout.wait_for_long("the version", |bytes| {
        bytes.starts_with(b"socketchat ").then_some(())
    });
    installed.finish(0);
}

#[test]
fn every_command_is_run_by_one_of_these_tests() {
    let parts = [
        &CHAT[..],
        &SCRIPTED,
        &UNIX,
        &MANY,
        &RETRY,
        &LESSON,
        &CHECKED,
        &RELAY,
        &SCRIPT,
        &COMPLETIONS,
        &PYTHON,
        &NC,
        &FRAMING,
        &REDIS,
        &SERVICES,
        &JSON,
        &BUILD,
    ]
    .concat();
    let run: BTreeSet<_> = parts.iter().map(|part| block("sh", part, 5000)).collect();
    let all: BTreeSet<_> = blocks("sh").into_iter().map(str::to_owned).collect();
    assert_eq!(run, all);
}

/// The German page has no commands and no scripts but those of the English ones.
#[test]
fn every_block_of_the_german_page_is_an_english_one() {
    let german = include_str!("../README.de.md");
    for language in ["sh", "python"] {
        let (german, english) = (blocks_of(german, language), blocks(language));
        assert!(german.len() > 1);
        for block in german {
            assert!(english.contains(&block), "{block}");
        }
    }
}

/// The picture is what the program draws of the conversation beside it.
#[test]
fn the_picture_is_drawn_by_the_program() {
    let transcripts = ["docs/server.jsonl", "docs/client.jsonl"].map(|path| here().join(path));
    let mut diagram = Command::new(common::program());
    diagram
        .args(["diagram", "--format", "svg"])
        .args(transcripts);
    let (drawn, _) = Piped::spawn(diagram).finish(0);
    let kept = std::fs::read_to_string(here().join("docs/chat.svg")).unwrap();
    assert!(
        drawn == kept,
        "docs/chat.svg is stale: socketchat diagram --format svg docs/server.jsonl docs/client.jsonl"
    );
}

/// Each page and file that a page links is there.
#[test]
fn no_link_is_dead() {
    for name in [
        "README.md",
        "README.de.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "docs/lesson.md",
        "docs/lektion.md",
    ] {
        let page = here().join(name);
        let text = std::fs::read_to_string(&page).unwrap();
        let targets = text.split("](").skip(1);
        for target in targets.filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap();
            let is_there = page.parent().unwrap().join(target).exists();
            assert!(
                target.starts_with("https://") || is_there,
                "{name}: {target}"
            );
        }
    }
}

#[test]
fn each_test_that_a_promise_names_exists() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let named = include_str!("../SECURITY.md").split('`');
    let named: Vec<_> = named.filter_map(|code| code.rsplit_once("::")).collect();
    assert!(named.len() > 20, "{named:?}");
    for (file, test) in named
        .into_iter()
        .filter(|(file, _)| *file != "FILE" && *file != "MODULE")
    {
        let file = file.replace("::", "/");
        let places = [
            format!("tests/{file}.rs"),
            format!("tests/{file}/main.rs"),
            format!("src/{file}.rs"),
            format!("src/{file}/tests.rs"),
        ];
        let found = places.iter().any(|place| {
            std::fs::read_to_string(folder.join(place))
                .is_ok_and(|text| text.contains(&format!("fn {test}(")))
        });
        assert!(found, "{file}::{test}");
    }
}
