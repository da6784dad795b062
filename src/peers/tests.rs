//! Clients that hold nobody up, over loopback.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use mio::{Events, Poll};
use socket2::SockRef;

use super::*;
use crate::explain::Log;
use crate::framing::Framing;

/// How long anything may take.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server of lines with clients.
struct Server {
    poll: Poll,
    events: Events,
    peers: Peers,
}

impl Server {
    fn of_two(ends: Ends) -> (Self, Vec<TcpStream>) {
        Self::with(2, 2, ends)
    }

    /// Every message is answered, as a program does it.
    fn of_program(count: usize) -> (Self, Vec<TcpStream>) {
        let ends = Ends {
            answered: true,
            ..Ends::default()
        };
        Self::with(count, 9, ends)
    }

    fn with(count: usize, max_clients: u16, ends: Ends) -> (Self, Vec<TcpStream>) {
        let poll = Poll::new().unwrap();
        let address = "127.0.0.1:0".parse().unwrap();
        let listener = ListeningSocket::bind(&address, 99, &Log::default()).unwrap();
        let address = listener.local_address().unwrap().to_string();
        let wire = Wire {
            framing: Framing::Line,
            name: None,
        };
        let mut peers = Peers::new(&wire, ends);
        let limits = Limits {
            max_clients: Some(max_clients),
            ..Limits::default()
        };
        peers.listen(listener, limits, poll.registry()).unwrap();
        let mut server = Self {
            poll,
            events: Events::with_capacity(8),
            peers,
        };
        let clients = (0..count).map(|_| TcpStream::connect(&address).unwrap());
        let clients = clients.collect();
        let mut accepted = 0;
        while accepted < count {
            server.wait();
            while let Some(Arrival::Client(..)) = server.peers.accept() {
                accepted += 1;
            }
        }
        (server, clients)
    }

    fn wait(&mut self) {
        self.peers.watch(self.poll.registry()).unwrap();
        let due = self.peers.deadline().unwrap_or(Instant::now() + DEADLINE);
        let timeout = if self.peers.are_ready() {
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
            for _ in 0..self.peers.begin_round() {
                let news = self.peers.next(false, &|_| false);
                if wanted(&news) {
                    return;
                }
                assert!(matches!(news, News::Nothing), "{news:?}");
            }
        }
    }
}

#[test]
fn one_that_does_not_read_shortens_the_time_of_nobody_else() {
    let second = Duration::from_secs(1);
    for (linger, limit) in [
        (None, None),
        (Some(second), Some(LAST_MESSAGE)),
        (Some(20 * second), Some(20 * second)),
    ] {
        let (mut server, _clients) = Server::of_two(Ends {
            duplex: true,
            linger,
            ..Ends::default()
        });
        let flood = vec![b'x'; 65536];
        while server.peers.can_send(Peer::Numbered(1)) {
            server.peers.send(Peer::Numbered(1), &flood, false);
        }
        assert_eq!(server.peers.close(), limit);
    }
}

#[test]
fn a_client_that_does_not_read_is_dropped_and_the_other_is_answered_meanwhile() {
    let (mut server, mut clients) = Server::of_two(Ends {
        stuck_timeout: Some(Duration::from_millis(200)),
        ..Ends::default()
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
    let (mut server, mut clients) = Server::of_two(Ends::default());
    clients[0].write_all(b"no end").unwrap();
    server.wait_for(Peer::Numbered(1), &[], |news| {
        matches!(news, News::Stalled(Peer::Numbered(1), so_far) if so_far.bytes() == b"no end")
    });
    assert!(server.peers.deadline().is_none());
}

#[test]
fn those_who_have_left_come_after_the_others_one_a_round() {
    let (mut server, mut clients) = Server::of_program(4);
    // Who waits for an answer.
    let mut owed = Vec::new();
    for client in &mut clients[..3] {
        client.write_all(&b"x\n".repeat(100)).unwrap();
    }
    // The first two have left, the third stays.
    clients.drain(..2);
    let mut told = [0; 5];
    let mut gone = 0;
    let start = Instant::now();
    let mut wait_until_read = true;
    while gone < 2 {
        assert!(start.elapsed() < DEADLINE, "{told:?}");
        server.wait();
        let count = server.peers.begin_round();
        let departed_before = told[1] + told[2];
        let mut heard = Vec::new();
        for _ in 0..count {
            match server.peers.next(false, &|peer| owed.contains(&peer)) {
                News::Part { peer, .. } => heard.push(peer),
                News::Gone(..) => gone += 1,
                News::Stalled(..) | News::Nothing => {}
            }
        }
        for peer in &heard {
            let Peer::Numbered(number) = peer else {
                panic!("{peer:?}");
            };
            told[*number as usize] += 1;
            assert!(!owed.contains(peer), "it was not answered: {peer:?}");
        }
        // Until both ends are read, they may count as present.
        if !wait_until_read {
            assert!(told[1] + told[2] <= departed_before + 1, "{heard:?}");
        }
        wait_until_read = told[1] + told[2] < 3;
        owed.extend(heard);
        // The answers come, or fail.
        for peer in owed.drain(..) {
            server.peers.send(peer, b"y", true);
        }
    }
    assert_eq!(told[1..3], [100, 100]);
}

#[test]
fn a_message_that_waits_for_an_answer_to_nobody_is_not_looked_at_again_and_again() {
    let (mut server, mut clients) = Server::of_program(1);
    let peer = Peer::Numbered(1);
    // More than is read ahead.
    clients[0]
        .write_all(&b"0123456789\n".repeat(10_000))
        .unwrap();
    let client = clients.remove(0);
    server.wait_for(peer, &[], |news| matches!(news, News::Part { .. }));
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    let start = Instant::now();
    while server.peers.send(peer, b"answer", true).is_some() {
        assert!(start.elapsed() < DEADLINE);
    }
    let is_next = |news: &News<'_>| matches!(news, News::Part { .. });
    server.wait_for(peer, &[], is_next);
    for _ in 0..2 {
        for _ in 0..server.peers.begin_round() {
            assert!(matches!(server.peers.next(false, &|_| true), News::Nothing));
        }
    }
    assert!(!server.peers.are_ready());
}

#[test]
fn the_rest_of_an_answer_that_a_reset_has_cut_is_not_taken() {
    let (mut server, mut clients) = Server::of_program(1);
    let peer = Peer::Numbered(1);
    clients[0].write_all(b"one\ntwo\n").unwrap();
    server.wait_for(peer, &[], |news| matches!(news, News::Part { .. }));
    let part = vec![b'x'; 65_536];
    while server.peers.can_send(peer) {
        server.peers.send(peer, &part, false).unwrap();
    }
    let client = clients.remove(0);
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(client);
    // The second message waits for the end of our answer to the first.
    let start = Instant::now();
    while !server.peers.can_send(peer) {
        assert!(start.elapsed() < DEADLINE);
        server.wait();
        for _ in 0..server.peers.begin_round() {
            let news = server.peers.next(false, &|_| true);
            assert!(matches!(news, News::Nothing), "{news:?}");
        }
    }
    assert_eq!(server.peers.send(peer, &part, false), None);
}

#[test]
fn one_that_was_dismissed_within_a_message_is_let_go_when_it_has_been_silent_for_long() {
    let (mut server, mut clients) = Server::of_two(Ends {
        idle_timeout: Some(Duration::from_millis(50)),
        ..Ends::default()
    });
    let rude = Peer::Numbered(1);
    clients[0].write_all(b"no end").unwrap();
    let start = Instant::now();
    while !server.peers.has_unended(rude) {
        assert!(start.elapsed() < DEADLINE);
        server.wait();
        server.peers.next(false, &|_| false);
    }
    server.peers.dismiss(rude);
    while server.peers.is_there(rude) {
        assert!(start.elapsed() < DEADLINE);
        server.wait();
        for _ in 0..server.peers.begin_round() {
            server.peers.next(false, &|_| false);
        }
    }
    assert_eq!(clients[0].read(&mut [0]).unwrap(), 0);
}

/// However many they are, those who are there are heard between.
#[test]
#[cfg(target_os = "linux")]
fn those_who_are_gone_already_are_skipped_one_by_one() {
    let (mut server, clients) = Server::with(1, 9, Ends::default());
    let address = clients[0].peer_addr().unwrap();
    for _ in 0..3 {
        let client = TcpStream::connect(address).unwrap();
        SockRef::from(&client)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    server.wait();
    for _ in 0..3 {
        let arrival = server.peers.accept();
        assert!(matches!(arrival, Some(Arrival::Gone)), "{arrival:?}");
    }
    assert!(server.peers.accept().is_none());
}
