//! The turn-taking loop that `serve` and `connect` share.

use std::convert::Infallible;
use std::io;
use std::os::fd::AsFd as _;

use crate::connection::{Connection, Stream};
use crate::console::{Answer, Console, Wait};
use crate::event::{Event, Failure, Peer};

/// What a user writes to leave, in any case and with any space around it; never sent.
const BYE: &str = "bye";

/// How a conversation ended, when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user said `bye`.
    Bye,
    /// There is nothing more to read from the user.
    EndOfInput,
    /// The peer closed the connection.
    PeerLeft,
    /// The user pressed Ctrl-C, or the program was told to stop.
    Interrupted,
    /// Whoever read our output has closed it.
    OutputClosed,
}

/// Talks with `peer` over `connection` until the conversation ends, and returns how. The
/// connecting side, to which the peer is the server, speaks first.
///
/// Fails when the connection breaks or when the user can no longer be read or written to.
pub fn run<S: Stream>(
    connection: &mut Connection<S>,
    peer: Peer,
    console: &mut dyn Console,
) -> Result<Ending, Failure> {
    let ended = match peer {
        Peer::Server => Session::new(connection, peer, console).run(),
        Peer::Client => {
            let mut session = Session::new(connection, peer, console);
            session.listen().and_then(|()| session.run())
        }
    };
    match ended {
        Ok(never) => match never {},
        Err(End::Ended(ending)) => Ok(ending),
        Err(End::Failed(failure)) => Err(failure),
    }
}

/// Why the loop is left, so that `?` leaves it from wherever it is.
enum End {
    Ended(Ending),
    Failed(Failure),
}

impl From<Failure> for End {
    fn from(failure: Failure) -> Self {
        match failure {
            // Whoever closes our output has read enough: no reason to complain.
            Failure::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                Self::Ended(Ending::OutputClosed)
            }
            failure => Self::Failed(failure),
        }
    }
}

/// Whose turn it is.
#[derive(Clone, Copy)]
enum Turn {
    Ours,
    Theirs,
}

struct Session<'a, S> {
    connection: &'a mut Connection<S>,
    peer: Peer,
    console: &'a mut dyn Console,
    /// We have sent a message that was not answered yet.
    owed: bool,
    /// The user will type nothing more.
    input_ended: bool,
}

impl<'a, S: Stream> Session<'a, S> {
    fn new(connection: &'a mut Connection<S>, peer: Peer, console: &'a mut dyn Console) -> Self {
        Self {
            connection,
            peer,
            console,
            owed: false,
            input_ended: false,
        }
    }

    fn run(&mut self) -> Result<Infallible, End> {
        loop {
            self.speak()?;
            self.listen()?;
        }
    }

    /// The peer's turn: shows its message.
    fn listen(&mut self) -> Result<(), End> {
        match self.console.wait(self.peer, self.connection.as_fd())? {
            Wait::Incoming => {}
            Wait::EndOfInput if self.owed => self.input_ended = true,
            Wait::EndOfInput => return Err(End::Ended(Ending::EndOfInput)),
            Wait::Interrupted => return Err(End::Ended(Ending::Interrupted)),
        }
        self.show_message(Turn::Theirs)?;
        self.owed = false;
        Ok(())
    }

    /// The user's turn: sends what is typed, up to the end of a message.
    fn speak(&mut self) -> Result<(), End> {
        let mut begun = false;
        loop {
            if self.input_ended {
                return Err(End::Ended(Ending::EndOfInput));
            }
            let (text, last) = match self.console.ask(self.connection.as_fd())? {
                Answer::Text { text, last } => (text, last),
                Answer::Incoming => {
                    self.show_message(Turn::Ours)?;
                    continue;
                }
                Answer::EndOfInput => return Err(End::Ended(Ending::EndOfInput)),
                Answer::Interrupted => return Err(End::Ended(Ending::Interrupted)),
            };
            if !begun && last {
                if text.is_empty() {
                    continue;
                }
                if is_bye(text) {
                    return Err(End::Ended(Ending::Bye));
                }
            }
            match self.connection.send(text) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    return Err(self.peer_left(Some(&text))?);
                }
                Err(error) => return Err(Failure::Lost(self.peer, error).into()),
            }
            begun = true;
            if last {
                self.owed = true;
                return Ok(());
            }
        }
    }

    /// Shows one message to its end, as it comes. In our own turn it is what was still
    /// to come of the last one: it is told, but it is no reply to what we say next.
    fn show_message(&mut self, turn: Turn) -> Result<(), End> {
        loop {
            match self.connection.recv() {
                Ok(Some(part)) => {
                    self.console.show(&match turn {
                        Turn::Theirs => Event::Received(self.peer, part),
                        Turn::Ours => Event::Late(part),
                    })?;
                    if part.last {
                        return Ok(());
                    }
                }
                Ok(None) => return Err(self.peer_left(None)?),
                Err(error) => return Err(Failure::Lost(self.peer, error).into()),
            }
        }
    }

    /// Says that the peer left, and what could not be sent to it: `text`, or else what
    /// stands on the prompt.
    fn peer_left(&mut self, text: Option<&str>) -> Result<End, Failure> {
        self.console.show(&Event::Left(self.peer))?;
        let unsent = match text {
            Some(text) => Some(text.to_owned()),
            None => self.console.unsent()?,
        };
        if let Some(text) = unsent {
            self.console.show(&Event::NotSent(&text))?;
        }
        Ok(End::Ended(Ending::PeerLeft))
    }
}

/// Whether `text` is the word that leaves, as the tutorial's client tells it.
fn is_bye(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.trim().eq_ignore_ascii_case(BYE))
}
