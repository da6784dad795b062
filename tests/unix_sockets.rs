//! `unix:PATH`: a conversation over a Unix socket.

mod common;

use std::fs;
use std::io::Write as _;
use std::net::Shutdown;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{DEADLINE, Piped, expect_bytes, expect_end, home, program, signal};
use nix::sys::signal::Signal;
use tempfile::TempDir;

/// A folder, the path of a socket in it, and its address.
fn place() -> (TempDir, PathBuf, String) {
    let folder = home();
    let path = folder.path().join("chat");
    let address = format!("unix:{}", path.display());
    (folder, path, address)
}

/// A server that listens on `address`.
fn serve(address: &str, args: &[&str]) -> Piped {
    let server = Piped::start(["serve", "--host", address].iter().chain(args));
    expect_told(&server, &format!("Listening on {address}\n"));
    server
}

fn connect(address: &str, args: &[&str]) -> Piped {
    Piped::start(["connect", address].iter().chain(args))
}

/// Waits until `text` stands on stderr.
#[track_caller]
fn expect_told(process: &Piped, text: &str) {
    process.stderr.wait_for(text, |bytes| {
        String::from_utf8_lossy(bytes).contains(text).then_some(())
    });
}

fn raw_client(path: &Path) -> UnixStream {
    let stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn accept(listener: &UnixListener) -> UnixStream {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[test]
fn two_programs_talk_and_the_socket_is_private_and_goes_with_the_server() {
    for framing in ["raw", "line", "crlf", "json"] {
        let (_folder, path, address) = place();
        let mut server = serve(&address, &["-f", framing]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut client = connect(&address, &["-f", framing]);
        client.write("gr\u{fc}ezi\n");
        let said = |label: &'static str, text: &'static str| {
            move |bytes: &[u8]| {
                let bytes = String::from_utf8_lossy(bytes).into_owned();
                (bytes.starts_with(label) && bytes.ends_with(text)).then_some(())
            }
        };
        let greeting = said("Received from ", ": gr\u{fc}ezi\n");
        server.stdout.wait_for("the greeting", greeting);
        server.write("hello\n");
        let answer = said("Received from ", ": hello\n");
        client.stdout.wait_for("the answer", answer);
        client.write("bye\n");
        let (_, told) = client.finish(0);
        assert!(
            told.contains(&format!("Connected to {address}\n")),
            "{told}"
        );
        let (_, told) = server.finish(0);
        assert!(
            told.contains("Connection from: a program on this machine\n"),
            "{told}"
        );
        assert!(!told.contains("Anybody"), "{told}");
        assert!(!path.exists());
    }
}

#[test]
fn every_byte_is_as_over_tcp() {
    let (_folder, path, address) = place();
    let mut server = serve(&address, &["-f", "line", "-k"]);
    let mut client = raw_client(&path);
    client.write_all(b"on").unwrap();
    client.write_all(b"e\ntwo\n").unwrap();
    server.write("1\n2\n");
    expect_bytes(&mut client, "1\n2\n");
    // A client that has closed its side only is answered.
    client.write_all(b"three").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.write("3\n");
    expect_bytes(&mut client, "3\n");
    expect_end(&mut client);
    drop(client);
    let mut client = raw_client(&path);
    client.write_all(b"next\n").unwrap();
    server.expect(
        "Received from connected client: one\nReceived from connected client: two\n\
         Received from connected client: three\nReceived from connected client: next\n",
    );
    signal(server.id(), Signal::SIGTERM);
    expect_end(&mut client);
    server.finish(130);
    assert!(!path.exists());
}

#[test]
fn a_server_that_is_not_ours_is_talked_to() {
    let (_folder, path, address) = place();
    let listener = UnixListener::bind(&path).unwrap();
    let mut client = connect(&address, &[]);
    client.write("hello\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "hello");
    server.write_all(b"good day").unwrap();
    client.expect("Received from server: good day\n");
    client.close_stdin();
    expect_end(&mut server);
    drop(server);
    client.finish(0);
    // It is the server's.
    assert!(path.exists());
}

#[test]
fn many_clients_are_told_apart() {
    let (folder, path, address) = place();
    let transcript = folder.path().join("t.jsonl");
    let written = transcript.to_str().unwrap();
    let mut server = serve(
        &address,
        &["-m", "3", "--transcript", written, "-f", "line"],
    );
    let mut clients: Vec<_> = (0..3).map(|_| raw_client(&path)).collect();
    for (client, text) in clients.iter_mut().zip(["a\n", "b\n", "c\n"]) {
        client.write_all(text.as_bytes()).unwrap();
        server.write(text.to_uppercase());
        expect_bytes(client, text.to_uppercase());
    }
    drop(clients);
    expect_told(&server, "Client #3 left.");
    expect_told(&server, "(client #2)");
    signal(server.id(), Signal::SIGTERM);
    server.finish(130);
    let drawn = Command::new(program()).args(["diagram", written]).output();
    let drawn = String::from_utf8(drawn.unwrap().stdout).unwrap();
    let head = drawn.lines().next().unwrap();
    for name in ["client #1", "client #2", "client #3", "server"] {
        assert!(head.contains(name), "{drawn}");
    }
}

#[test]
fn the_transcripts_of_both_ends_are_one_diagram() {
    let (folder, _, address) = place();
    let path = |name| folder.path().join(name).to_str().unwrap().to_owned();
    let (here, there) = (path("server.jsonl"), path("client.jsonl"));
    let mut server = serve(&address, &["--transcript", &here]);
    let mut client = connect(&address, &["--transcript", &there]);
    client.write("ping\n");
    server.expect("Received from connected client: ping\n");
    server.write("pong\n");
    client.expect("Received from server: pong\n");
    client.finish(0);
    server.finish(0);
    let drawn = Command::new(program())
        .args(["diagram", &here, &there])
        .output();
    let drawn = String::from_utf8(drawn.unwrap().stdout).unwrap();
    for once in ["ping", "pong", "connect"] {
        assert_eq!(drawn.matches(once).count(), 1, "{drawn}");
    }
    assert!(drawn.contains(&format!("listens on {address}")), "{drawn}");
}

#[test]
fn a_stale_socket_is_replaced() {
    let (_folder, path, address) = place();
    let server = serve(&address, &[]);
    signal(server.id(), Signal::SIGKILL);
    server.finish_any();
    assert!(path.exists());
    let mut client = connect(&address, &[]);
    assert_eq!(client.exit().code(), Some(1));
    expect_told(
        &client,
        &format!(
            "socketchat: cannot connect to {address}: connection refused \
             (is `socketchat serve` running there?)"
        ),
    );
    let mut server = serve(&address, &[]);
    let mut client = raw_client(&path);
    client.write_all(b"again").unwrap();
    server.expect("Received from connected client: again\n");
    server.write("yes\n");
    expect_bytes(&mut client, "yes");
    drop(client);
    server.finish(0);
}

#[test]
fn a_live_socket_is_left_to_its_server() {
    let (_folder, path, address) = place();
    let server = serve(&address, &["-b", "0"]);
    let mut other = Piped::start(["serve", "--host", &address]);
    assert_eq!(other.exit().code(), Some(1));
    expect_told(
        &other,
        &format!(
            "socketchat: cannot listen on {address}: address already in use \
             (another program listens there, or it is a file of another kind)"
        ),
    );
    // It has seen nobody.
    let mut client = raw_client(&path);
    client.write_all(b"hello").unwrap();
    server.expect("Received from connected client: hello\n");
    drop(client);
    server.finish(0);
}

#[test]
fn a_file_of_another_kind_is_not_touched() {
    let (folder, path, address) = place();
    let stale = folder.path().join("stale");
    drop(UnixListener::bind(&stale).unwrap());
    let check = || {
        let mut server = Piped::start(["serve", "--host", &address]);
        assert_eq!(server.exit().code(), Some(1));
        expect_told(&server, "address already in use");
    };
    fs::write(&path, "precious").unwrap();
    check();
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
    // Not what a link leads to, either.
    symlink(&stale, &path).unwrap();
    check();
    assert!(stale.exists() && path.is_symlink());
}

#[test]
fn what_another_program_has_put_in_its_place_stays() {
    let (_folder, path, address) = place();
    let server = serve(&address, &[]);
    fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    signal(server.id(), Signal::SIGTERM);
    server.finish(130);
    assert!(path.exists());
}

#[test]
fn a_server_that_comes_later_is_waited_for() {
    let (_folder, path, address) = place();
    let mut client = connect(&address, &["--retry=20s", "-f", "line"]);
    expect_told(&client, "Trying again");
    let listener = UnixListener::bind(&path).unwrap();
    client.write("one\n");
    let mut server = accept(&listener);
    expect_bytes(&mut server, "one\n");
    server.write_all(b"1\n").unwrap();
    client.expect("Received from server: 1\n");
    client.close_stdin();
    expect_end(&mut server);
    drop(server);
    client.finish(0);
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_backlog_is_waited_for_within_the_limit() {
    let (_folder, path, address) = place();
    let _server = serve(&address, &["-b", "0"]);
    // The first is accepted, and the second waits; whoever asks without waiting finds out.
    let _clients = [raw_client(&path), raw_client(&path)];
    let mut client = connect(&address, &["--connect-timeout", "300ms"]);
    assert_eq!(client.exit().code(), Some(1));
    expect_told(
        &client,
        &format!("cannot connect to {address}: connection timed out (does the server accept?)"),
    );
}

#[test]
fn what_cannot_be_is_told() {
    let (_folder, _, address) = place();
    let told = |args: &[&str], status: i32, text: &str| {
        let (_, told) = Piped::start(args).finish(status);
        assert!(told.contains(text), "{args:?}: {told}");
    };
    told(&["connect", &address], 1, "no such file");
    told(
        &["connect", &address, "5000"],
        2,
        "a Unix socket has no port",
    );
    told(
        &["serve", "--host", &address, "--port", "0"],
        2,
        "a Unix socket has no port",
    );
    told(
        &["connect", "unix:"],
        2,
        "the path of the Unix socket is missing",
    );
    let long = format!("unix:/tmp/{}", "x".repeat(200));
    told(&["connect", &long], 1, "SUN_LEN");
    told(&["serve", "--host", &long], 1, "SUN_LEN");
    told(
        &["serve", "--host", "unix:/nowhere/chat"],
        1,
        "no such file",
    );
}

#[test]
fn the_calls_are_explained() {
    let (_folder, path, address) = place();
    drop(UnixListener::bind(&path).unwrap());
    let server = serve(&address, &["--explain"]);
    drop(raw_client(&path));
    let (_, told) = server.finish(0);
    let calls: Vec<_> = told
        .lines()
        .filter_map(|line| line.split_once(" -> "))
        .map(|(call, _)| call.trim_end().replace(path.to_str().unwrap(), "PATH"))
        .collect();
    assert_eq!(
        calls,
        [
            "socket()",
            "unlink(PATH)",
            "bind(unix:PATH)",
            "listen(backlog = 2)",
            "accept()",
            "recv(65536)",
            "shutdown(write)",
            "close()",
            "close()",
            "unlink(PATH)",
        ],
        "{told}"
    );
}

#[test]
#[ignore = "needs nc"]
fn nc_is_either_end() {
    let (_folder, path, address) = place();
    let nc = |args: &[&str]| {
        let mut command = Command::new("nc");
        command.arg("-U").args(args).arg(&path);
        Piped::spawn(command)
    };
    let mut server = serve(&address, &[]);
    let mut client = nc(&[]);
    client.write("from nc\n");
    server.expect("Received from connected client: from nc\n");
    server.write("to nc\n");
    client.expect("to nc");
    drop(client);
    server.finish(0);

    let mut server = nc(&["-l"]);
    let mut client = connect(&address, &["--retry=20s", "-f", "line"]);
    client.write("hello\n");
    server.expect("hello\n");
    server.write("good day\n");
    client.expect("Received from server: good day\n");
    drop(server);
    client.finish(0);
}

#[test]
#[ignore = "needs python3"]
fn a_script_is_either_end() {
    let (_folder, path, address) = place();
    let python = |script: &str| {
        let mut command = Command::new("python3");
        command.args(["-c", script]).arg(&path);
        Piped::spawn(command)
    };
    let mut server = serve(&address, &[]);
    let client = python(
        "import socket, sys\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.connect(sys.argv[1])\n\
         s.send('gr\\u00fcezi'.encode())\n\
         print(s.recv(1024).decode())\n",
    );
    server.expect("Received from connected client: gr\u{fc}ezi\n");
    server.write("adieu\n");
    assert_eq!(client.finish(0).0, "adieu\n");
    server.finish(0);

    let server = python(
        "import socket, sys\n\
         s = socket.socket(socket.AF_UNIX)\n\
         s.bind(sys.argv[1])\n\
         s.listen(2)\n\
         c, _ = s.accept()\n\
         print(c.recv(1024).decode())\n\
         c.send(b'welcome')\n",
    );
    let mut client = connect(&address, &["--retry=20s"]);
    client.write("hello\n");
    client.expect("Received from server: welcome\n");
    client.finish(0);
    assert_eq!(server.finish(0).0, "hello\n");
}
