//! Clients that hold nobody up, over loopback.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use mio::{Events, Poll};

use super::*;
use crate::explain::Log;
use crate::framing::Framing;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server of lines with two clients.
struct Server {
    poll: Poll,
    events: Events,
    peers: Peers,
}

impl Server {
    fn new(limits: Limits) -> (Self, Vec<TcpStream>) {
        let poll = Poll::new().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = ListeningSocket::bind(&address, 2, &Log::default()).unwrap();
        let address = listener.local_address().unwrap().to_string();
        let wire = Wire {
            framing: Framing::Line,
            name: None,
        };
        let mut peers = Peers::new(&wire, Ends::default());
        peers.listen(listener, limits, poll.registry()).unwrap();
        let mut server = Self {
            poll,
            events: Events::with_capacity(8),
            peers,
        };
        let clients = (0..2).map(|_| TcpStream::connect(&address).unwrap());
        let clients = clients.collect();
        let mut count = 0;
        while count < 2 {
            server.wait();
            while let Some(Ok(_)) = server.peers.accept() {
                count += 1;
            }
        }
        (server, clients)
    }

    fn wait(&mut self) {
        self.peers.watch(self.poll.registry()).unwrap();
        let due = self.peers.deadline().unwrap_or(Instant::now() + DEADLINE);
        let timeout = if self.peers.ready() > 0 {
            Duration::ZERO
        } else {
            due.saturating_duration_since(Instant::now())
        };
        self.poll.poll(&mut self.events, Some(timeout)).unwrap();
        for event in &self.events {
            self.peers.report(event);
        }
        self.peers.expire(Instant::now());
    }

    /// Waits until something has come of `peer`, while the first one is sent what it takes.
    fn wait_for(&mut self, peer: Peer, flood: &[u8], wanted: impl Fn(&News<'_>) -> bool) {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < DEADLINE, "nothing comes of {peer}");
            // More than the buffers of both ends take.
            while !flood.is_empty() && self.peers.can_send(Peer::Numbered(1)) {
                self.peers.send(Peer::Numbered(1), flood, false);
            }
            self.wait();
            for _ in 0..self.peers.ready() {
                let news = self.peers.next(|_| false);
                if wanted(&news) {
                    return;
                }
                assert!(matches!(news, News::Nothing), "{news:?}");
            }
        }
    }
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_the_other_is_answered_meanwhile() {
    let (mut server, mut clients) = Server::new(Limits {
        max_clients: Some(2),
        stuck_timeout: Duration::from_millis(200),
        ..Limits::default()
    });
    let (deaf, other) = (Peer::Numbered(1), Peer::Numbered(2));
    let flood = vec![b'x'; 65_536];
    clients[1].write_all(b"hello\n").unwrap();
    server.wait_for(other, &flood, |news| {
        matches!(news, News::Part { peer, part, .. }
            if *peer == Peer::Numbered(2) && part.text().bytes() == b"hello")
    });
    server.peers.send(other, b"hi", true).unwrap();
    let mut answer = [0; 3];
    clients[1].read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"hi\n");
    server.wait_for(deaf, &flood, |news| {
        matches!(news, News::Gone(Peer::Numbered(1), Parting::Stuck(_)))
    });
}

#[test]
fn a_line_that_does_not_end_is_reported_once() {
    let (mut server, mut clients) = Server::new(Limits {
        max_clients: Some(2),
        ..Limits::default()
    });
    clients[0].write_all(b"no end").unwrap();
    server.wait_for(Peer::Numbered(1), &[], |news| {
        matches!(news, News::Stalled(Peer::Numbered(1), so_far) if so_far.bytes() == b"no end")
    });
    assert!(server.peers.deadline().is_none());
}
