//! Calls on the loopback interface.

use std::panic::{self, AssertUnwindSafe};
use std::thread;
use std::time::Instant;

use super::*;
use crate::connection::Connection;
use crate::framing::Wire;

const PATIENCE: Duration = Duration::from_secs(20);

fn listen(log: &Log) -> (ListeningSocket, Address) {
    let listener = ListeningSocket::bind(&"127.0.0.1:0".parse().unwrap(), 2, log).unwrap();
    let address = listener.local_address().unwrap();
    (listener, address)
}

/// The next client, whose reads wait.
fn accept(listener: &ListeningSocket) -> Socket {
    let begun = Instant::now();
    loop {
        match listener.accept() {
            Ok(mut socket) => {
                socket.set_blocking(true).unwrap();
                return socket;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                assert!(begun.elapsed() < PATIENCE);
                thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn connect(address: &Address, log: &Log) -> Socket {
    let mut socket = Socket::connect(address, PATIENCE, log).unwrap();
    socket.set_blocking(true).unwrap();
    socket
}

/// The two ends of a connection: the server's, whose calls are noted in `log`, and the client's.
fn pair(log: &Log) -> (Socket, Socket) {
    let (mut listener, address) = listen(&Log::default());
    listener.log = log.clone();
    let client = connect(&address, &Log::default());
    let server = accept(&listener);
    listener.log = Log::default();
    (server, client)
}

/// What was noted, without what came of it.
fn calls(log: &Log) -> Vec<String> {
    log.take()
        .into_iter()
        .map(|noted| noted.call.call)
        .collect()
}

#[test]
fn calls_are_noted_in_order_with_what_came_of_them() {
    let log = Log::on(false);
    let (listener, address) = listen(&log);
    let mut client = connect(&address, &Log::default());
    let mut server = accept(&listener);
    let peer = server.peer().clone();
    assert_eq!(peer, client.local_address().unwrap());
    client.write_all("gr\u{fc}ezi".as_bytes()).unwrap();
    client.close().unwrap();
    let mut buffer = [0; 9];
    assert_eq!(server.read(&mut buffer).unwrap(), 7);
    assert_eq!(server.read(&mut buffer).unwrap(), 0);
    server.write_all(b"hi").unwrap();
    server.close().unwrap();
    drop(server);
    drop(listener);
    let noted: Vec<_> = log.take().iter().map(ToString::to_string).collect();
    let mut expected = vec![
        "socket()                         -> a TCP socket for IPv4".into(),
        "setsockopt(SO_REUSEADDR, 1)      -> ok: a server that is started again gets its port back \
         at once"
            .into(),
        "bind(127.0.0.1:0)                -> ok: this address is ours now, with any port that is \
         free"
            .into(),
        "listen(backlog = 2)              -> ok: the kernel completes up to 3 connections before \
         accept() takes them"
            .into(),
        format!(
            "getsockname()                    -> {address}: the address that clients connect to"
        ),
        format!(
            "accept()                         -> {peer}: a new socket for this client, beside the \
             listening one"
        ),
        "recv(9)                          -> 7 bytes: 67 72 c3 bc 65 7a 69  \"gr\u{fc}ezi\"".into(),
        "recv(9)                          -> 0 bytes: the peer has closed its side, or its program \
         ended"
            .into(),
        "send(2 bytes)                    -> 2 bytes: 68 69  \"hi\"".into(),
        "shutdown(write)                  -> ok: when the peer has read what we sent, its recv() \
         gives 0 bytes"
            .into(),
        "close()                          -> ok: the socket of the connection, which is done with"
            .into(),
        "close()                          -> ok: the listening socket: nobody else can come now"
            .into(),
    ];
    if !sys::REUSES_ADDRESS {
        expected.remove(1);
    }
    assert_eq!(noted, expected);
}

#[test]
fn the_calls_of_a_client_are_noted_too() {
    let (listener, address) = listen(&Log::default());
    let log = Log::on(false);
    let mut client = connect(&address, &log);
    let own = client.local_address().unwrap();
    let mut server = accept(&listener);
    client.write_all(b"hi").unwrap();
    client.close().unwrap();
    server.write_all(b"ho").unwrap();
    assert_eq!(client.read(&mut [0; 5]).unwrap(), 2);
    drop(client);
    let noted = log.take();
    let found: Vec<_> = noted.iter().map(|noted| noted.call.call.clone()).collect();
    let connects = format!("connect({address})");
    let expected = [
        "socket()",
        &connects,
        "getsockname()",
        "send(2 bytes)",
        "shutdown(write)",
        "recv(5)",
        "close()",
    ];
    assert_eq!(found, expected);
    assert_eq!(noted[2].call.result, own.to_string());
    // Each is known by its peer from when there is one.
    let peers: Vec<_> = noted.iter().map(|noted| noted.peer.clone()).collect();
    assert_eq!(peers[..2], [None, None]);
    assert!(
        peers[2..]
            .iter()
            .all(|peer| peer.as_ref() == Some(&address))
    );
}

#[test]
fn a_call_that_fails_is_noted_with_the_reason() {
    let (listener, address) = listen(&Log::default());
    drop(listener);
    let log = Log::on(false);
    assert!(Socket::connect(&address, PATIENCE, &log).is_err());
    let noted = log.take();
    let found: Vec<_> = noted.iter().map(|noted| noted.call.call.clone()).collect();
    let connects = format!("connect({address})");
    assert_eq!(found, ["socket()", &connects, "close()"]);
    assert_eq!(noted[1].call.why, "nothing listens on that port");
}

#[test]
fn how_we_wait_is_not_noted() {
    let log = Log::on(false);
    let (mut server, mut client) = pair(&log);
    assert!(!log.take().is_empty());
    server.set_blocking(false).unwrap();
    let error = server.read(&mut [0; 5]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert!(log.take().is_empty());
    // A read that was to wait for so long is a call like others.
    server.set_blocking(true).unwrap();
    server
        .set_read_timeout(Some(Duration::from_millis(20)))
        .unwrap();
    let error = server.read(&mut [0; 5]).unwrap_err();
    assert_eq!(error.kind(), sys::READ_TIMED_OUT);
    server.set_read_timeout(None).unwrap();
    client.write_all(b"hi").unwrap();
    assert_eq!(server.read(&mut [0; 5]).unwrap(), 2);
    let expected = [
        "setsockopt(SO_RCVTIMEO, 20 ms)",
        "recv(5)",
        "setsockopt(SO_RCVTIMEO, 0)",
        "recv(5)",
    ];
    assert_eq!(calls(&log), expected);
}

#[test]
fn nothing_is_noted_when_it_is_off() {
    let log = Log::default();
    let (mut server, mut client) = pair(&log);
    server.tune_served().unwrap();
    client.write_all(b"hi").unwrap();
    assert_eq!(server.read(&mut [0; 5]).unwrap(), 2);
    drop(server);
    assert!(log.take().is_empty());
}

#[test]
fn every_option_is_noted() {
    let log = Log::on(false);
    let (mut server, _client) = pair(&log);
    assert!(!log.take().is_empty());
    server.tune_served().unwrap();
    let mut found = calls(&log);
    found.retain(|call| !call.contains("TCP_USER_TIMEOUT"));
    let expected = [
        "setsockopt(TCP_NODELAY, 1)",
        "setsockopt(SO_KEEPALIVE, 1)",
        "setsockopt(TCP_KEEPIDLE, 45)",
        "setsockopt(TCP_KEEPINTVL, 15)",
        "setsockopt(TCP_KEEPCNT, 4)",
        "setsockopt(SO_LINGER, 0 s)",
    ];
    assert_eq!(found, expected);
    server.close().unwrap();
    assert_eq!(
        calls(&log),
        ["setsockopt(SO_LINGER, off)", "shutdown(write)"]
    );
}

#[test]
fn a_dead_host_is_noticed_within_two_minutes() {
    let limit = Duration::from_mins(2);
    assert!(KEEPALIVE_TIME + KEEPALIVE_RETRIES * KEEPALIVE_INTERVAL <= limit);
    assert!(USER_TIMEOUT <= limit);
    let (server, client) = pair(&Log::default());
    for socket in [server, client] {
        socket.tune().unwrap();
        let options = SockRef::from(&socket.stream);
        assert!(options.tcp_nodelay().unwrap());
        assert!(options.keepalive().unwrap());
        assert_eq!(options.linger().unwrap(), None);
    }
}

/// The same, as the kernel has it: not every system can be asked.
#[cfg(target_os = "linux")]
#[test]
fn the_kernel_knows_how_long_a_dead_host_is_waited_for() {
    let (server, client) = pair(&Log::default());
    for socket in [server, client] {
        socket.tune().unwrap();
        let options = SockRef::from(&socket.stream);
        assert_eq!(options.tcp_keepalive_time().unwrap(), KEEPALIVE_TIME);
        assert_eq!(
            options.tcp_keepalive_interval().unwrap(),
            KEEPALIVE_INTERVAL
        );
        assert_eq!(options.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
        assert_eq!(options.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }
}

#[test]
fn a_panic_is_no_goodbye() {
    for panics in [true, false] {
        let (mut server, mut client) = pair(&Log::default());
        server.tune_served().unwrap();
        let ended = panic::catch_unwind(AssertUnwindSafe(|| {
            let _connection = Connection::new(server, &Wire::default(), false);
            if panics {
                // Without the message of a panic, which would be taken for one of the test's.
                panic::resume_unwind(Box::new("so it is to be"));
            }
        }));
        assert_eq!(ended.is_err(), panics);
        let read = client.read(&mut [0]).map_err(|error| error.kind());
        let expected = if panics {
            Err(io::ErrorKind::ConnectionReset)
        } else {
            Ok(0)
        };
        assert_eq!(read, expected);
    }
}

#[test]
fn one_that_is_broken_is_not_closed_again() {
    let log = Log::on(false);
    let (mut server, mut client) = pair(&log);
    client.tune_served().unwrap();
    drop(client);
    let error = server.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(!log.take().is_empty());
    server.close().unwrap();
    assert!(log.take().is_empty());
}
