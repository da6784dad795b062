//! `serve --allow` and `--per-host`: who may connect.

mod common;

use std::io::Write as _;
use std::net::{SocketAddr, TcpStream};

use common::terminal::Terminal;
use common::{DEADLINE, Piped, echo, expect_bytes, raw_client};
use socket2::{Domain, Socket, Type};

/// A client from this address of the loopback interface.
fn client_from(ip: &str, port: u16) -> TcpStream {
    let own = SocketAddr::new(ip.parse().unwrap(), 0);
    let server = SocketAddr::from(([127, 0, 0, 1], port));
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&own.into()).unwrap();
    socket.connect(&server.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Asserts that the client was closed: in order, or by a reset if it has said something.
#[track_caller]
fn expect_closed(mut client: TcpStream) {
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut client, &mut rest);
    assert_eq!(rest, b"");
}

#[test]
#[cfg(target_os = "linux")]
fn those_who_are_not_allowed_are_closed_and_told_once() {
    let allow = ["--allow", "127.0.0.2", "--allow", "10.0.0.0/8"];
    let (mut server, port) = Piped::serve(&[&["-f", "line"], &allow[..]].concat());
    for _ in 0..50 {
        expect_closed(raw_client(port));
    }
    let mut refused = client_from("127.0.0.3", port);
    let _ = refused.write_all(b"let me in\n");
    expect_closed(refused);
    // None of them was the one client of this server.
    let mut client = client_from("127.0.0.2", port);
    client.write_all(b"hello\n").unwrap();
    server.expect("Received from connected client: hello\n");
    server.write("hi\n");
    expect_bytes(&mut client, "hi\n");
    let from = client.local_addr().unwrap();
    drop(client);
    let (_, told) = server.finish(0);
    assert_eq!(
        told,
        format!(
            "Listening on 127.0.0.1:{port}\n\
             Refused a client from 127.0.0.1: it is not allowed (--allow).\n\
             Refused a client from 127.0.0.3: it is not allowed (--allow).\n\
             Connection from: {from}\n\
             The client left.\n"
        )
    );
}

#[test]
#[cfg(target_os = "linux")]
fn so_many_come_from_a_host_and_the_next_when_one_has_left() {
    let (mut server, port) = Piped::serve(&["-f", "line", "-m", "9", "--per-host", "2"]);
    echo(&mut server);
    let mut ask = |client: &mut TcpStream| {
        client.write_all(b"hello\n").unwrap();
        expect_bytes(client, "hello\n");
    };
    let mut two = [raw_client(port), raw_client(port)];
    two.iter_mut().for_each(&mut ask);
    expect_closed(raw_client(port));
    // From another address there are none yet.
    ask(&mut client_from("127.0.0.2", port));
    let [first, mut second] = two;
    drop(first);
    server.stderr.wait_for("the end", |bytes| {
        String::from_utf8_lossy(bytes)
            .contains("Client #1 left.")
            .then_some(())
    });
    ask(&mut raw_client(port));
    ask(&mut second);
    let text = String::from_utf8(server.stderr.wait_for("all", |bytes| Some(bytes.to_vec())));
    let told = "Refused a client from 127.0.0.1: there are others from there (--per-host).\n";
    assert_eq!(text.unwrap().matches(told).count(), 1);
}

#[test]
fn one_that_was_sent_away_is_not_counted_among_those_of_its_host() {
    let (server, port) = Terminal::serve(&["-f", "line", "-m", "9", "--per-host", "1"]);
    let mut first = raw_client(port);
    first.write_all(b"half").unwrap();
    server.expect_text("(client #1)");
    server.type_keys("/kick 1\r");
    server.expect_text("The conversation with client #1 has ended.");
    let mut second = raw_client(port);
    second.write_all(b"hello\n").unwrap();
    server.expect_text("Received from client #2: hello");
    server.type_keys("\x04");
    server.finish(0);
}

#[test]
fn the_limits_are_told_truly() {
    let (terminal, _) = Terminal::serve(&["--host", "0.0.0.0", "--allow", "127.0.0.0/8"]);
    terminal.expect_words("Others who are allowed can connect, and nothing is encrypted.");
    terminal.expect_text(" <-");
    terminal.type_keys("\x04");
    terminal.finish(0);
    for (args, told) in [
        (
            ["--allow", "10.0.0.0/33"],
            "write an address or a network, as 10.0.0.0/8 or fd00::/8",
        ),
        (
            ["--allow", "everybody"],
            "write an address or a network, as 10.0.0.0/8 or fd00::/8",
        ),
        (["--per-host", "0"], "write a number from 1 to 65535"),
    ] {
        let (_, stderr) = Piped::start([&["serve"], &args[..]].concat()).finish(2);
        assert!(stderr.contains(told), "{stderr}");
    }
}
