//! Many clients: whoever has waited longest for an answer is asked for first.
//!
//! One thread looks after all of them with poll(2): their sockets do not block, so that
//! none of them, whatever it does or does not do, is waited for while another is ready.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags};

use super::door::{Door, Terms};
use super::{Inbox, News, Sent, Step, Talk};
use crate::connection::Connection;
use crate::event::{Awaited, Parting, Peer};
use crate::framing::{Framing, UNENDED, Wire};
use crate::sanitize::Untrusted;
use crate::socket::Socket;
use crate::watch::{HANG_UP, PollFds, Watched, is_ready, poll_until};

/// So long a client may leave unread what it was sent, 64 KiB at most at a time.
const STUCK: Duration = Duration::from_secs(10);

/// The clients of a server, and the socket that they come to.
#[derive(Debug)]
pub struct Clients {
    door: Door,
    wire: Wire,
    idle_timeout: Option<Duration>,
    /// By number, in the order of arrival.
    served: BTreeMap<u32, Client>,
    /// Who waits for an answer, the longest first.
    queue: VecDeque<u32>,
    /// Who is asked for.
    asked: Option<u32>,
    /// The one that is asked may have something to say late.
    late: bool,
    /// What is still to be told.
    untold: VecDeque<Untold>,
    /// Something was told since we waited last.
    told: bool,
    /// Since when our side is closed.
    closed: Option<Instant>,
}

#[derive(Debug)]
struct Client {
    talk: Talk<Socket>,
    state: State,
    /// When it has got the turn or said something.
    active: Instant,
    /// Since when it has left unread what it was sent.
    unread: Option<Instant>,
    /// That was the last that it is sent.
    is_last: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has the turn.
    Talking,
    /// Something of what it says stands ready.
    Queued,
    /// It waits for the answer that the user is asked for.
    Asked,
    /// It is gone, which is still to be told.
    Leaving,
}

/// News that is to be told, about a client by number.
#[derive(Debug)]
enum Untold {
    Arrived(u32, SocketAddr),
    Crowded(io::Error),
    Stalled(u32),
    Leaving(u32),
}

impl Clients {
    /// Serves those who come to `listener` by `terms`, in messages as `wire` has them.
    ///
    /// Fails when the listening socket cannot be set up for that.
    pub fn new(listener: Socket, terms: Terms, wire: &Wire) -> io::Result<Self> {
        Ok(Self {
            door: Door::open(listener, terms)?,
            wire: wire.clone(),
            idle_timeout: terms.idle_timeout,
            served: BTreeMap::new(),
            queue: VecDeque::new(),
            asked: None,
            late: false,
            untold: VecDeque::new(),
            told: false,
            closed: None,
        })
    }

    /// Waits for what comes, until `limit` at most, and takes it in.
    fn attend_until(&mut self, limit: Option<Instant>) {
        let mut fds = PollFds::new();
        let due = self.poll_on(&mut fds);
        // One that cannot be polled shows it when it is read.
        let _ = poll_until(&mut fds, due.into_iter().chain(limit).min());
        let ready: Vec<_> = fds.iter().map(is_ready).collect();
        drop(fds);
        let mut ready = ready.into_iter();
        let door = self.door.poll(self.served.len()).is_some() && ready.next() == Some(true);
        let now = Instant::now();
        for (number, client) in &mut self.served {
            let ready = client.poll().is_some() && ready.next() == Some(true);
            match client.take_in(ready, now, self.idle_timeout) {
                Step::Part if client.state == State::Asked => self.late = true,
                Step::Part => {
                    client.state = State::Queued;
                    self.queue.push_back(*number);
                }
                Step::Pending => {}
                Step::Stalled => self.untold.push_back(Untold::Stalled(*number)),
                Step::Gone => {
                    if client.state == State::Queued {
                        self.queue.retain(|queued| queued != number);
                    }
                    client.state = State::Leaving;
                    self.untold.push_back(Untold::Leaving(*number));
                }
            }
        }
        if door {
            self.let_in();
        }
        self.door.reopen(now);
    }

    /// Accepts those who have come, as far as there is room.
    fn let_in(&mut self) {
        while self.door.poll(self.served.len()).is_some() {
            match self.door.accept() {
                Ok(Some((stream, peer, address))) => {
                    let number = self.door.count();
                    let connection = Connection::nonblocking(stream, &self.wire);
                    self.served.insert(
                        number,
                        Client {
                            talk: Talk::new(connection, peer),
                            state: State::Talking,
                            active: Instant::now(),
                            unread: None,
                            is_last: false,
                        },
                    );
                    self.untold.push_back(Untold::Arrived(number, address));
                }
                Ok(None) => return,
                Err(error) => self.crowded(error),
            }
        }
        if let Some(error) = self.door.shortage(self.served.len()) {
            self.crowded(error);
        }
    }

    fn crowded(&mut self, error: io::Error) {
        let told = self.door.once(error).map(Untold::Crowded);
        self.untold.extend(told);
    }

    /// Whether there is something to tell, whatever else comes.
    fn is_telling(&self) -> bool {
        !self.untold.is_empty() || (self.asked.is_none() && !self.queue.is_empty())
    }

    /// The next of what is to be told, if there is anything.
    fn tell(&mut self) -> Option<News<'_>> {
        self.told = true;
        match self.untold.pop_front()? {
            Untold::Arrived(number, address) => {
                let client = self.served.get(&number)?;
                Some(News::Arrived(client.talk.peer, address))
            }
            Untold::Crowded(error) => Some(News::Crowded(error)),
            Untold::Stalled(number) => {
                let client = self.served.get(&number)?;
                Some(News::Stalled(client.talk.peer))
            }
            Untold::Leaving(number) => {
                // What it had said before is not lost.
                if self.served.get_mut(&number)?.talk.advance() == Step::Part {
                    self.untold.push_front(Untold::Leaving(number));
                    let client = self.served.get_mut(&number)?;
                    return client.talk.news(Step::Part, false);
                }
                let mut client = self.remove(number)?;
                Some(News::Gone(client.talk.peer, client.talk.parting()))
            }
        }
    }

    /// What the client that has waited longest says.
    fn hand_out(&mut self, number: u32) -> Option<News<'_>> {
        self.told = true;
        let client = self.served.get_mut(&number)?;
        // It is ready, so that this reads nothing.
        let step = client.talk.advance();
        if client.talk.connection.has_found_last() {
            client.state = State::Asked;
            client.talk.connection.gather(false);
            self.asked = Some(number);
            self.late = false;
        } else {
            client.state = State::Talking;
        }
        client.talk.news(step, false)
    }

    fn remove(&mut self, number: u32) -> Option<Client> {
        if self.asked == Some(number) {
            self.asked = None;
        }
        self.served.remove(&number)
    }

    /// Once our side is closed: who has something to hand out. Who has not, and is gone,
    /// is removed.
    fn next_with_part(&mut self) -> Option<u32> {
        while let Some(number) = self.queue.pop_front() {
            let Some(client) = self.served.get_mut(&number) else {
                continue;
            };
            if client.talk.advance() == Step::Part {
                self.queue.push_back(number);
                return Some(number);
            }
            client.state = State::Talking;
        }
        while let Some(untold) = self.untold.pop_front() {
            let Untold::Leaving(number) = untold else {
                continue;
            };
            let client = self.served.get_mut(&number)?;
            if client.talk.advance() == Step::Part {
                self.untold.push_front(untold);
                return Some(number);
            }
            self.remove(number);
        }
        None
    }
}

impl Client {
    /// What to poll for it, and for what; `None` for nothing.
    fn poll(&self) -> Option<PollFd<'_>> {
        let connection = &self.talk.connection;
        match self.state {
            State::Leaving => None,
            _ if connection.has_unsent() => Some(connection.poll_for(PollFlags::POLLOUT)),
            State::Queued => Some(connection.poll_for(HANG_UP)),
            State::Talking | State::Asked => Some(connection.poll_to_read()),
        }
    }

    /// When to look after it in any case.
    fn deadline(&self, idle_timeout: Option<Duration>) -> Option<Instant> {
        if let Some(since) = self.unread {
            return Some(since + STUCK);
        }
        if self.state != State::Talking {
            return None;
        }
        if self.talk.connection.has_found() {
            return Some(self.active);
        }
        let idle = idle_timeout.map(|timeout| self.active + timeout);
        self.talk
            .connection
            .deadline()
            .into_iter()
            .chain(idle)
            .min()
    }

    /// Takes in what has come, of which [`Self::poll`] says that it is `ready`.
    fn take_in(&mut self, ready: bool, now: Instant, idle_timeout: Option<Duration>) -> Step {
        let overdue = self
            .deadline(idle_timeout)
            .is_some_and(|deadline| deadline <= now);
        if !ready && !overdue {
            return Step::Pending;
        }
        let connection = &mut self.talk.connection;
        if connection.has_unsent() {
            if let Err(error) = connection.flush() {
                self.talk.fail(error);
                return Step::Gone;
            }
            return self.check_unread(now);
        }
        match self.state {
            State::Leaving => Step::Pending,
            // It has hung up.
            State::Queued => Step::Gone,
            State::Asked if !connection.framing().marks_the_end() => Step::Part,
            State::Asked => {
                if let Err(error) = connection.read_ahead() {
                    self.talk.fail(error);
                    return Step::Gone;
                }
                if connection.has_left() {
                    Step::Gone
                } else {
                    Step::Pending
                }
            }
            State::Talking => {
                let step = self.talk.advance();
                if ready {
                    self.active = now;
                }
                match idle_timeout {
                    Some(timeout) if step == Step::Pending && self.active + timeout <= now => {
                        self.let_go(Parting::Idle(timeout));
                        Step::Gone
                    }
                    _ => step,
                }
            }
        }
    }

    /// Sends it a message, or a part of one. When the last part is still to be taken, this
    /// waits, as the message is too long to be held, but not for ever.
    fn send(&mut self, text: &[u8], last: bool) -> Sent {
        while self.talk.connection.has_unsent() {
            let limit = *self.unread.get_or_insert_with(Instant::now) + STUCK;
            let writable = self.talk.connection.poll_for(PollFlags::POLLOUT);
            let waited = poll_until(&mut [writable], Some(limit));
            if let Err(error) = waited.and_then(|()| self.talk.connection.flush()) {
                self.talk.fail(error);
                return Sent::Not;
            }
            if self.check_unread(Instant::now()) == Step::Gone {
                return Sent::Not;
            }
        }
        let sent = self.talk.send(text, last);
        let now = Instant::now();
        self.active = now;
        self.unread = self.talk.connection.has_unsent().then_some(now);
        sent
    }

    /// Whether it has left unread for too long what it was sent.
    fn check_unread(&mut self, now: Instant) -> Step {
        if !self.talk.connection.has_unsent() {
            if self.is_last {
                let _ = self.talk.connection.close();
            }
            self.unread = None;
            self.active = now;
            // What was read ahead is its next message.
            let ready = self.state == State::Talking && self.talk.connection.is_ready();
            return if ready { Step::Part } else { Step::Pending };
        }
        let since = *self.unread.get_or_insert(now);
        if since + STUCK > now {
            return Step::Pending;
        }
        self.let_go(Parting::Stuck(STUCK));
        Step::Gone
    }

    /// Ends it by ourselves. What it goes on to say is not listened to.
    fn let_go(&mut self, parting: Parting) {
        self.talk.fault = Some(parting);
        self.talk.connection.abandon();
    }
}

impl Watched for Clients {
    fn poll_on<'a>(&'a self, fds: &mut PollFds<'a>) -> Option<Instant> {
        fds.extend(self.door.poll(self.served.len()));
        fds.extend(self.served.values().filter_map(Client::poll));
        if self.is_telling() {
            return Some(Instant::now());
        }
        let deadlines = self.served.values();
        deadlines
            .filter_map(|client| client.deadline(self.idle_timeout))
            .chain(self.door.reopens())
            .min()
    }

    fn attend(&mut self) -> bool {
        let queued = self.queue.len();
        self.attend_until(Some(Instant::now()));
        // How many wait is a part of the prompt.
        self.late || self.is_telling() || self.queue.len() != queued
    }

    fn so_far(&self) -> Option<Untrusted<'_>> {
        let overdue = self
            .served
            .values()
            .filter(|client| client.state == State::Talking);
        overdue
            .filter_map(|client| client.talk.overdue())
            .min_by_key(|(_, since)| *since)
            .map(|(text, _)| text)
    }
}

impl Inbox for Clients {
    fn framing(&self) -> Framing {
        self.wire.framing
    }

    fn asked(&self) -> Option<Peer> {
        Some(self.served.get(&self.asked?)?.talk.peer)
    }

    fn owes_reply(&self) -> bool {
        false
    }

    fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn awaited(&self) -> Awaited {
        match self.served.first_key_value() {
            None => Awaited::AClient,
            Some((_, client)) if self.served.len() == 1 => Awaited::TurnOf(client.talk.peer),
            Some(_) => Awaited::Clients(self.served.len()),
        }
    }

    fn receive(&mut self) -> Option<News<'_>> {
        // Once something was told, it is for whoever called to decide on more waiting.
        while self.untold.is_empty() && self.queue.is_empty() {
            let told = std::mem::take(&mut self.told);
            self.attend_until(told.then(Instant::now));
            if told && self.untold.is_empty() && self.queue.is_empty() {
                return None;
            }
        }
        if !self.untold.is_empty() {
            return self.tell();
        }
        let number = self.queue.pop_front()?;
        self.hand_out(number)
    }

    fn overhear(&mut self) -> Option<News<'_>> {
        if !self.untold.is_empty() {
            return self.tell();
        }
        if !std::mem::take(&mut self.late) {
            return None;
        }
        let number = self.asked?;
        let step = self.served.get_mut(&number)?.talk.advance();
        if step == Step::Gone {
            let mut client = self.remove(number)?;
            return Some(News::Gone(client.talk.peer, client.talk.parting()));
        }
        self.served.get_mut(&number)?.talk.news(step, true)
    }

    fn send(&mut self, text: &[u8], last: bool) -> Sent {
        let Some(number) = self.asked else {
            return Sent::Not;
        };
        let Some(client) = self.served.get_mut(&number) else {
            return Sent::Not;
        };
        let sent = client.send(text, last);
        if sent == Sent::Not {
            client.state = State::Leaving;
            self.untold.push_back(Untold::Leaving(number));
        } else if last {
            self.asked = None;
            self.told = false;
            client.state = State::Talking;
            client.talk.connection.gather(true);
            // What was read ahead is its next message, but not before others were looked after.
            client.talk.connection.is_ready();
        }
        sent
    }

    fn dismiss(&mut self) {
        if let Some(number) = self.asked {
            self.remove(number);
        }
    }

    fn goes_on(&self) -> bool {
        self.door.is_there() || !self.served.is_empty()
    }

    fn close(&mut self) {
        self.door.close();
        self.asked = None;
        self.closed = Some(Instant::now());
        for client in self.served.values_mut() {
            client.is_last = true;
            if !client.talk.connection.has_unsent() {
                // Who is gone already needs no goodbye.
                let _ = client.talk.connection.close();
            }
            if client.state == State::Asked {
                client.state = State::Talking;
            }
        }
    }

    fn rest(&mut self) -> Option<News<'_>> {
        let since = self.closed?;
        let number = loop {
            let sending = |client: &Client| client.talk.connection.has_unsent();
            let until = since
                + if self.served.values().any(sending) {
                    STUCK
                } else {
                    UNENDED
                };
            // Also of one who goes on and on.
            if self.served.is_empty() || until <= Instant::now() {
                return None;
            }
            if let Some(number) = self.next_with_part() {
                break number;
            }
            self.attend_until(Some(until));
        };
        let client = self.served.get_mut(&number)?;
        client.talk.news(Step::Part, false)
    }
}
