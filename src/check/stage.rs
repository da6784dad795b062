//! Where a check takes place: the program, the connections to it, and the waits, all of which have an
//! end.

use std::io::{ErrorKind, Write as _, stderr};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Type};

use crate::check::complaint::Complaint;
use crate::check::judge::{self, Finding};
use crate::check::peer::Peer;
use crate::check::program::Program;
use crate::check::{Options, Outcome, Side};
use crate::endpoint::Address;
use crate::event::Failure;
use crate::sys::{self, Stands};
use crate::{say, words};

/// How long a program may take to connect or to listen.
pub(super) const CONNECTING: Duration = Duration::from_secs(3);

/// How long it may take to send, print or end.
pub(super) const ANSWERING: Duration = Duration::from_secs(2);

/// How long somebody may take who starts the program and types.
const BY_HAND: Duration = Duration::from_mins(1);

/// How long nothing must come after a whole message for it to be all, and after a part of one for no
/// more to come.
const QUIET: Duration = Duration::from_millis(120);
const UNENDED: Duration = Duration::from_millis(700);

/// How long a program may be on the way to the call that it stands in, or to its end.
const SETTLING: Duration = Duration::from_millis(300);

/// How long the end of a message is waited for while more and more comes.
const FLOOD: Duration = Duration::from_secs(5);

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(5);

/// Why a check did not pass.
#[derive(Debug)]
pub(super) enum Trouble {
    Finding(Finding),
    /// The same, where the hint is right whatever error the program has reported.
    Certain(Finding),
    /// It could not be made.
    Failure(Failure),
    /// The user pressed Ctrl-C.
    Interrupted,
}

impl From<Finding> for Trouble {
    fn from(finding: Finding) -> Self {
        Self::Finding(finding)
    }
}

/// The place of a check.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    pub(super) options: &'a Options,
    pub(super) program: Option<Program>,
    pub(super) listener: Option<TcpListener>,
    /// What receives datagrams at the port of the listener, which only a mistake sends there.
    datagrams: Option<UdpSocket>,
    /// The conversation that is going on.
    pub(super) peer: Option<Peer>,
    /// Whether the program waits for our reply.
    pub(super) owes: bool,
    /// What the program has sent for the first line that was typed.
    pub(super) first: Vec<u8>,
    interrupted: Arc<AtomicBool>,
}

impl<'a> Stage<'a> {
    /// Creates an empty stage. Fails if Ctrl-C cannot be handled.
    pub(super) fn new(options: &'a Options) -> Result<Self, Failure> {
        Ok(Self {
            options,
            program: None,
            listener: None,
            datagrams: None,
            peer: None,
            owes: false,
            first: Vec::new(),
            interrupted: sys::interruption().map_err(Failure::Input)?,
        })
    }

    /// Returns whether somebody else starts the program and types.
    pub(super) fn is_by_hand(&self) -> bool {
        self.options.command.is_empty()
    }

    fn address(&self) -> SocketAddr {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.options.port).into()
    }

    /// Returns how long to wait for what a program does within `limit`.
    fn patience(&self, limit: Duration) -> Duration {
        if self.is_by_hand() { BY_HAND } else { limit }
    }

    /// Looks again and again, until `look` finds something or `limit` has passed. Fails only if the
    /// user presses Ctrl-C.
    pub(super) fn wait<T>(
        &mut self,
        limit: Duration,
        mut look: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<Option<T>, Trouble> {
        let until = Instant::now() + limit;
        loop {
            if let Some(found) = look(self) {
                return Ok(Some(found));
            }
            if self.interrupted.load(Ordering::SeqCst) {
                return Err(Trouble::Interrupted);
            }
            if Instant::now() >= until {
                return Ok(None);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Ends the program and its connections.
    pub(super) fn clear(&mut self) {
        self.peer = None;
        self.owes = false;
        self.program = None;
        self.listener = None;
        self.datagrams = None;
    }

    /// Starts the program. Fails if there is none.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        self.program = None;
        if !self.is_by_hand() {
            let program = Program::start(&self.options.command).map_err(|error| {
                let name = self.options.command.first().cloned().unwrap_or_default();
                Trouble::Failure(Failure::Start(name.into(), error))
            })?;
            self.program = Some(program);
        }
        Ok(())
    }

    /// Types a line, or asks for it to be typed.
    pub(super) fn type_line(&mut self, text: &str) {
        if let Some(program) = &mut self.program {
            program.type_line(text);
        } else {
            let side = self.side();
            tell(&if text.is_empty() {
                say!(
                    "Press Enter in your {side}.",
                    "In deinem {side} Enter drücken."
                )
            } else {
                say!(
                    "Type in your {side}: {text}",
                    "In deinem {side} eintippen: {text}"
                )
            });
        }
    }

    fn side(&self) -> &'static str {
        match self.options.side {
            Side::Client => "client",
            Side::Server => "server",
        }
    }

    /// Listens for the program. Fails if the port is taken.
    pub(super) fn listen(&mut self) -> Result<(), Trouble> {
        let address = self.address();
        self.listener = None;
        let failed = |error| Trouble::Failure(Failure::Listen(Address::Tcp(address), error));
        let listener = TcpListener::bind(address).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        self.listener = Some(listener);
        // It only helps to tell a mistake, so it does not matter if another program is there.
        self.datagrams = UdpSocket::bind(address)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .ok();
        Ok(())
    }

    /// Returns whether a datagram has come.
    pub(super) fn has_datagram(&self) -> bool {
        let received = |socket: &UdpSocket| socket.recv(&mut [0; 2048]);
        self.datagrams
            .as_ref()
            .is_some_and(|socket| received(socket).is_ok())
    }

    /// Accepts the program, within `limit`. Returns `None` if it does not come, or has ended.
    pub(super) fn accept(&mut self, limit: Duration) -> Result<Option<Peer>, Trouble> {
        let limit = self.patience(limit);
        let framing = self.options.framing;
        let accepted = self.wait(limit, |stage| {
            // What connected before it ended is still there.
            let ended = stage.has_ended();
            let accepted = stage.listener.as_ref()?.accept();
            match accepted {
                Ok((stream, _)) => Some(Peer::new(stream, framing).ok()),
                Err(error) if error.kind() == ErrorKind::WouldBlock && !ended => None,
                Err(_) => Some(None),
            }
        })?;
        Ok(accepted.flatten())
    }

    /// Connects to the program, within `limit`. Returns `None` if it does not listen.
    pub(super) fn connect(&mut self, limit: Duration) -> Result<Option<Peer>, Trouble> {
        let limit = self.patience(limit);
        let address = self.address();
        let framing = self.options.framing;
        let connected = self.wait(limit, |stage| {
            let ended = stage.has_ended();
            match TcpStream::connect_timeout(&address, CONNECTING) {
                // A client can meet itself where nobody listens.
                Ok(stream) if stream.local_addr().ok() != Some(address) => {
                    Some(Peer::new(stream, framing).ok())
                }
                _ if ended => Some(None),
                _ => None,
            }
        })?;
        Ok(connected.flatten())
    }

    /// Returns whether nothing uses the port, not even a connection that has ended within the last
    /// minute.
    pub(super) fn is_port_free(&self) -> bool {
        // std would set SO_REUSEADDR.
        let bind = || {
            let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None)?;
            socket.bind(&self.address().into())
        };
        bind().is_ok()
    }

    /// Fails if another program listens on the port.
    pub(super) fn expect_nobody(&self) -> Result<(), Trouble> {
        let address = self.address();
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(stream) if stream.local_addr().ok() != Some(address) => {
                let error = ErrorKind::AddrInUse.into();
                let failure = Failure::Listen(Address::Tcp(address), error);
                Err(Trouble::Failure(failure))
            }
            _ => Ok(()),
        }
    }

    /// Returns whether the program has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.program
            .as_mut()
            .is_some_and(|program| program.ended().is_some())
    }

    /// Waits for a message of `peer`: until it is whole and nothing follows, or a part of it has
    /// come and no more does. Returns all that has come, which is nothing if none begins within
    /// [`ANSWERING`].
    pub(super) fn message(&mut self, peer: &mut Peer, least: usize) -> Result<Vec<u8>, Trouble> {
        let framing = self.options.framing;
        let limit = self.patience(ANSWERING);
        let begun = self.wait(limit, |stage| {
            let ended = stage.has_ended();
            let has_come = !peer.arrived().is_empty();
            (has_come || peer.end().is_some() || ended).then_some(())
        })?;
        if begun.is_some() {
            self.wait(FLOOD, |_| {
                let arrived = peer.arrived();
                let is_whole = judge::is_ended(framing, arrived) && arrived.len() >= least;
                let quiet = if is_whole { QUIET } else { UNENDED };
                (peer.end().is_some() || peer.quiet() >= quiet).then_some(())
            })?;
        }
        Ok(peer.take())
    }

    /// Waits for a message of the conversation that is going on, as [`Stage::message`] does.
    pub(super) fn hear(&mut self, least: usize) -> Result<Vec<u8>, Trouble> {
        let Some(mut peer) = self.peer.take() else {
            return Ok(Vec::new());
        };
        let heard = self.message(&mut peer, least);
        self.peer = Some(peer);
        heard
    }

    /// Replies with `text` in the conversation that is going on.
    pub(super) fn reply(&mut self, text: &str) {
        if let Some(program) = &mut self.program {
            program.mark();
        }
        self.send_bytes(&judge::encode(self.options.framing, text));
        self.owes = false;
    }

    /// Sends `bytes` as they are in the conversation that is going on.
    pub(super) fn send_bytes(&mut self, bytes: &[u8]) {
        if let Some(peer) = &mut self.peer {
            peer.send_bytes(bytes);
        }
    }

    /// Waits for `duration`. Fails only if the user presses Ctrl-C.
    pub(super) fn pause(&mut self, duration: Duration) -> Result<(), Trouble> {
        self.wait(duration, |_| None::<()>).map(|_| ())
    }

    /// Waits until the program has printed `text`. Fails if it does not.
    pub(super) fn expect_printed(&mut self, text: &str) -> Result<(), Trouble> {
        if self.program.is_none() {
            return Ok(());
        }
        let printed = |stage: &Self| stage.program.as_ref().map(Program::printed);
        self.wait(ANSWERING, |stage| {
            let ended = stage.has_ended();
            let printed = printed(stage).unwrap_or_default();
            (ended || judge::printed(text, &printed).is_ok()).then_some(())
        })?;
        let printed = printed(self).unwrap_or_default();
        judge::printed(text, &printed).map_err(|mut finding| {
            if printed.is_empty() {
                finding.seen = format!("{}: {}", finding.seen, self.doing());
            }
            finding.into()
        })
    }

    /// Waits until the program has ended. Returns whether it has.
    pub(super) fn ends(&mut self) -> Result<bool, Trouble> {
        let ended = self.wait(ANSWERING, |stage| stage.has_ended().then_some(()))?;
        Ok(ended.is_some())
    }

    /// Returns whether the program has ended with an exception, or a status other than 0.
    pub(super) fn has_failed(&mut self) -> bool {
        let Some(program) = &mut self.program else {
            return false;
        };
        let status = program.ended();
        status.is_some_and(|status| !status.success())
            || program
                .complaint()
                .is_some_and(|complaint| complaint.is_exception)
    }

    /// Returns the call that the program stands in, if the system tells.
    pub(super) fn stands(&self) -> Option<Stands> {
        self.program.as_ref().and_then(Program::stands)
    }

    /// Returns what the program does, as the end of a sentence.
    pub(super) fn doing(&mut self) -> String {
        // A program that is about to stand in a call, or to end, does so soon.
        let known = self.wait(SETTLING, |stage| {
            (stage.has_ended() || stage.stands().is_some()).then_some(())
        });
        let call = match self.stands().filter(|_| known.is_ok()) {
            Some(Stands::Recv) => "recv()",
            Some(Stands::Accept) => "accept()",
            Some(Stands::Connect) => "connect()",
            Some(Stands::Send) => "send()",
            Some(Stands::Input) => "input()",
            None => return self.status(),
        };
        say!("it stands in {call}", "es steht in {call}")
    }

    /// Returns how the program has ended, as the end of a sentence, or that it waits.
    fn status(&mut self) -> String {
        match self.program.as_mut().and_then(Program::ended) {
            Some(status) => match status.code() {
                Some(code) => say!(
                    "it has ended with status {code}",
                    "es ist mit Status {code} beendet"
                ),
                None => words!("it was killed", "es wurde abgebrochen").into(),
            },
            None => words!("it waits", "es wartet").into(),
        }
    }

    /// Returns the outcome of a check with this `finding`. An exception that the program has reported
    /// tells the mistake better than what was seen, unless that is `certain`.
    pub(super) fn explain(&mut self, mut finding: Finding, certain: bool) -> Outcome {
        let error = self.program.as_ref().and_then(Program::complaint);
        let exception = error
            .as_ref()
            .filter(|error| error.is_exception && !certain);
        let advice = exception.and_then(Complaint::advice);
        finding.hint = advice.map_or(finding.hint, Into::into);
        Outcome::Failed { finding, error }
    }
}

/// Tells somebody who starts the program and types what to do.
pub(super) fn tell(text: &str) {
    let _ = writeln!(stderr(), "> {text}");
}
