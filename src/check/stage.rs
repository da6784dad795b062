//! Where a check takes place: the program, the connections to it, and the waits, all of which have an
//! end.

use std::io::{self, ErrorKind, Write as _, stderr};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Type};

use crate::check::complaint::Complaint;
use crate::check::judge::{self, Finding};
use crate::check::peer::{End, Peer};
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

/// The pause between two parts of a message.
pub(super) const BETWEEN: Duration = Duration::from_millis(200);

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
    listener: Option<TcpListener>,
    /// What receives datagrams at the port of the listener, which only a mistake sends there.
    datagrams: Option<UdpSocket>,
    /// The other end of the conversation that is going on.
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

    /// Looks again and again, until it `is_there` or `limit` has passed. Returns whether it is there.
    /// Fails only if the user presses Ctrl-C.
    pub(super) fn wait(
        &mut self,
        limit: Duration,
        mut is_there: impl FnMut(&mut Self) -> bool,
    ) -> Result<bool, Trouble> {
        let until = Instant::now() + limit;
        loop {
            if is_there(self) {
                return Ok(true);
            }
            if self.interrupted.load(Ordering::SeqCst) {
                return Err(Trouble::Interrupted);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits for `duration`. Fails only if the user presses Ctrl-C.
    pub(super) fn pause(&mut self, duration: Duration) -> Result<(), Trouble> {
        self.wait(duration, |_| false).map(drop)
    }

    /// Ends the program and its connections.
    pub(super) fn clear(&mut self) {
        self.peer = None;
        self.owes = false;
        self.program = None;
        self.listener = None;
        self.datagrams = None;
    }

    /// Starts the program, or asks for it to be started. Fails if there is none.
    pub(super) fn start(&mut self) -> Result<(), Trouble> {
        self.program = None;
        if self.is_by_hand() {
            let port = self.options.port;
            tell(&match self.options.side {
                Side::Client => say!(
                    "Start your client now: it must connect to port {port} of localhost.",
                    "Starte jetzt deinen Client: er muss sich mit Port {port} von localhost verbinden."
                ),
                Side::Server => say!(
                    "Start your server now: it must listen on port {port}.",
                    "Starte jetzt deinen Server: er muss auf Port {port} zuhören."
                ),
            });
            return Ok(());
        }
        let program = Program::start(&self.options.command).map_err(|error| {
            let name = self.options.command.first().cloned().unwrap_or_default();
            Trouble::Failure(Failure::Start(name.into(), error))
        })?;
        self.program = Some(program);
        Ok(())
    }

    /// Types a line, or asks for it to be typed.
    pub(super) fn type_line(&mut self, text: &str) {
        if let Some(program) = &mut self.program {
            return program.type_line(text);
        }
        let (side, side_de) = match self.options.side {
            Side::Client => ("client", "Client"),
            Side::Server => ("server", "Server"),
        };
        tell(&if text.is_empty() {
            say!(
                "Press Enter in your {side}.",
                "In deinem {side_de} Enter drücken."
            )
        } else {
            say!(
                "Type in your {side}: {text}",
                "In deinem {side_de} eintippen: {text}"
            )
        });
    }

    /// Returns why nothing can listen on the port.
    pub(super) fn port_taken(&self, error: io::Error) -> Trouble {
        Trouble::Failure(Failure::Listen(Address::Tcp(self.address()), error))
    }

    /// Listens for the program. Fails if the port is taken.
    pub(super) fn listen(&mut self) -> Result<(), Trouble> {
        let address = self.address();
        self.listener = None;
        let listener = TcpListener::bind(address)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| self.port_taken(error))?;
        self.listener = Some(listener);
        // It only helps to tell a mistake, so it does not matter if another program is there.
        self.datagrams = UdpSocket::bind(address)
            .and_then(|socket| socket.set_nonblocking(true).map(|()| socket))
            .ok();
        Ok(())
    }

    /// Returns whether a datagram has come.
    pub(super) fn has_datagram(&self) -> bool {
        let socket = self.datagrams.as_ref();
        socket.is_some_and(|socket| socket.recv(&mut [0; 2048]).is_ok())
    }

    /// Accepts the program as the peer, within `limit`. Returns whether it came; it cannot if it has
    /// ended.
    pub(super) fn accept(&mut self, limit: Duration) -> Result<bool, Trouble> {
        self.wait(self.patience(limit), |stage| {
            // What connected before it ended is still there.
            let ended = stage.has_ended();
            match stage.listener.as_ref().map(TcpListener::accept) {
                Some(Ok((stream, _))) => {
                    stage.peer = Peer::new(stream, true).ok();
                    true
                }
                Some(Err(error)) => error.kind() != ErrorKind::WouldBlock || ended,
                None => true,
            }
        })?;
        Ok(self.peer.is_some())
    }

    /// Returns a connection to the port, if a program listens there.
    pub(super) fn dial(&self) -> Option<TcpStream> {
        let address = self.address();
        let stream = TcpStream::connect_timeout(&address, CONNECTING).ok()?;
        // A client can meet itself where nobody listens.
        (stream.local_addr().ok() != Some(address)).then_some(stream)
    }

    /// Connects to the program as the peer. Returns whether it listens.
    pub(super) fn connect(&mut self) -> Result<bool, Trouble> {
        self.wait(self.patience(CONNECTING), |stage| {
            let ended = stage.has_ended();
            let Some(stream) = stage.dial() else {
                return ended;
            };
            stage.peer = Peer::new(stream, !stage.is_by_hand()).ok();
            true
        })?;
        Ok(self.peer.is_some())
    }

    /// Returns whether nothing uses the port, not even a connection that has ended within the last
    /// minute.
    pub(super) fn is_port_free(&self) -> bool {
        // std would set SO_REUSEADDR.
        socket2::Socket::new(Domain::IPV4, Type::STREAM, None)
            .is_ok_and(|socket| socket.bind(&self.address().into()).is_ok())
    }

    /// Returns whether the program has ended.
    pub(super) fn has_ended(&mut self) -> bool {
        self.program
            .as_mut()
            .is_some_and(|program| program.ended().is_some())
    }

    /// Returns whether the conversation with a program that somebody else has started goes on.
    pub(super) fn goes_on(&mut self) -> bool {
        self.is_by_hand() && self.peer.is_some() && self.end().is_none()
    }

    /// Returns how the peer has ended the connection, if it has.
    pub(super) fn end(&mut self) -> Option<End> {
        self.peer.as_mut().and_then(Peer::end)
    }

    /// Returns whether the peer has sent something that was not taken.
    pub(super) fn has_arrived(&mut self) -> bool {
        let peer = self.peer.as_mut();
        peer.is_some_and(|peer| !peer.arrived().is_empty())
    }

    /// Waits for a message of the peer: until it is whole, of `least` bytes or more, and nothing
    /// follows, or a part of it has come and no more does. Returns all that has come, which is nothing
    /// if none begins within [`ANSWERING`].
    pub(super) fn hear(&mut self, least: usize) -> Result<Vec<u8>, Trouble> {
        let framing = self.options.framing;
        let has_begun = self.wait(self.patience(ANSWERING), |stage| {
            let ended = stage.has_ended();
            stage.has_arrived() || stage.end().is_some() || ended
        })?;
        if has_begun {
            self.wait(FLOOD, |stage| {
                let Some(peer) = &mut stage.peer else {
                    return true;
                };
                let arrived = peer.arrived();
                let is_whole = judge::is_ended(framing, arrived) && arrived.len() >= least;
                let quiet = if is_whole { QUIET } else { UNENDED };
                peer.end().is_some() || peer.last.elapsed() >= quiet
            })?;
        }
        Ok(self.peer.as_mut().map(Peer::take).unwrap_or_default())
    }

    /// Sends the `parts` of a message to the peer, with a pause between them, and forgets what was
    /// printed before. Fails only if the user presses Ctrl-C.
    pub(super) fn send(&mut self, parts: &[&[u8]]) -> Result<(), Trouble> {
        self.owes = false;
        self.program.iter().for_each(Program::forget);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.pause(BETWEEN)?;
            }
            if let Some(peer) = &mut self.peer {
                peer.send(part);
            }
        }
        Ok(())
    }

    /// Sends the message `text`, as [`Stage::send`] does.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Trouble> {
        self.send(&[&judge::encode(self.options.framing, text)])
    }

    /// Sends the message `text`, which has an `ü`, in two parts that are cut within it. Fails if the
    /// program does not print it.
    pub(super) fn say_torn(&mut self, text: &str) -> Result<(), Trouble> {
        let bytes = judge::encode(self.options.framing, text);
        let half = bytes.iter().position(|byte| *byte == 0xc3);
        let (start, end) = bytes.split_at(half.unwrap_or_default() + 1);
        self.send(&[start, end])?;
        self.expect_printed(text)
    }

    /// Closes the connection to the peer in order, and forgets what was printed before.
    pub(super) fn leave(&mut self) {
        self.program.iter().for_each(Program::forget);
        if let Some(peer) = self.peer.take() {
            peer.close();
        }
    }

    /// Waits until the program has printed `text`. Fails if it does not.
    pub(super) fn expect_printed(&mut self, text: &str) -> Result<(), Trouble> {
        if self.program.is_none() {
            return Ok(());
        }
        let mut printed = Vec::new();
        self.wait(ANSWERING, |stage| {
            let ended = stage.has_ended();
            printed = stage.printed();
            ended || judge::printed(text, &printed).is_ok()
        })?;
        judge::printed(text, &printed).map_err(|mut finding| {
            if printed.is_empty() {
                finding.seen = format!("{}: {}", finding.seen, self.doing());
            }
            finding.into()
        })
    }

    /// Returns what the program has printed since [`Stage::send`] or [`Stage::leave`].
    pub(super) fn printed(&self) -> Vec<u8> {
        let printed = self.program.as_ref().map(Program::printed);
        printed.unwrap_or_default()
    }

    /// Returns whether the program has ended with an exception, or a status other than 0.
    pub(super) fn has_failed(&mut self) -> bool {
        self.program.as_mut().is_some_and(|program| {
            let status = program.ended();
            status.is_some_and(|status| !status.success())
                || program
                    .complaint()
                    .is_some_and(|complaint| complaint.is_exception)
        })
    }

    /// Returns the call that the program stands in, if the system tells.
    pub(super) fn stands(&self) -> Option<Stands> {
        sys::stands(self.program.as_ref()?.id())
    }

    /// Returns what the program does, as the end of a sentence: the call that it stands in, or how it
    /// has ended.
    pub(super) fn doing(&mut self) -> String {
        // A program that is about to stand in a call, or to end, does so soon.
        let known = self.wait(SETTLING, |stage| {
            stage.has_ended() || stage.stands().is_some()
        });
        let call = match self.stands().filter(|_| known.is_ok()) {
            Some(Stands::Recv) => "recv()",
            Some(Stands::Accept) => "accept()",
            Some(Stands::Connect) => "connect()",
            Some(Stands::Send) => "send()",
            Some(Stands::Input) => "input()",
            None => {
                let status = self.program.as_mut().and_then(Program::ended);
                return match status.map(|status| status.code()) {
                    Some(Some(code)) => say!(
                        "it has ended with status {code}",
                        "es ist mit Status {code} beendet"
                    ),
                    Some(None) => say!("it was killed", "es wurde abgebrochen"),
                    None => say!("it waits", "es wartet"),
                };
            }
        };
        say!("it stands in {call}", "es steht in {call}")
    }

    /// Returns the finding that the peer has sent nothing. `hint` is called with whether it has closed
    /// the connection.
    pub(super) fn silence(
        &mut self,
        expected: String,
        hint: impl FnOnce(&Self, bool) -> &'static str,
    ) -> Trouble {
        let is_closed = self.end().is_some();
        let doing = self.doing();
        Trouble::Finding(Finding {
            seen: if is_closed {
                say!(
                    "no byte, and the connection is closed: {doing}",
                    "kein Byte, und die Verbindung ist geschlossen: {doing}"
                )
            } else {
                say!("no byte: {doing}", "kein Byte: {doing}")
            },
            expected,
            hint: hint(self, is_closed).into(),
        })
    }

    /// Returns the outcome of a check with this `finding`. An exception that the program has reported
    /// tells the mistake better than what was seen, unless that is `certain`.
    pub(super) fn explain(&self, mut finding: Finding, certain: bool) -> Outcome {
        let error = self.program.as_ref().and_then(Program::complaint);
        let exception = error
            .as_ref()
            .filter(|error| error.is_exception && !certain);
        if let Some(advice) = exception.and_then(Complaint::advice) {
            finding.hint = advice.into();
        }
        Outcome::Failed { finding, error }
    }
}

/// Tells somebody who starts the program and types what to do.
pub(super) fn tell(text: &str) {
    let _ = writeln!(stderr(), "> {text}");
}

/// The hint for a program that uses UDP.
pub(super) fn is_udp() -> &'static str {
    words!(
        "SOCK_DGRAM is UDP, which has no connections: use socket.SOCK_STREAM.",
        "SOCK_DGRAM ist UDP und hat keine Verbindungen: socket.SOCK_STREAM verwenden."
    )
}
