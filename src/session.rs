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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;
    use std::os::fd::BorrowedFd;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::framing::Framing;

    /// What the user does at a prompt, in a script.
    enum Act {
        Type(&'static str),
        /// A part of a message that is too long to be held.
        Begin(&'static str),
        NoticeThePeer,
        Interrupt,
        EndInput,
    }

    /// A user who waits patiently, but for `waits`, and then does `acts`.
    #[derive(Default)]
    struct Script {
        waits: VecDeque<Wait>,
        acts: VecDeque<Act>,
        unsent: Option<&'static str>,
        closed: bool,
        shown: Vec<String>,
    }

    impl Console for Script {
        fn wait(&mut self, _: Peer, _: BorrowedFd<'_>) -> Result<Wait, Failure> {
            Ok(self.waits.pop_front().unwrap_or(Wait::Incoming))
        }

        fn ask(&mut self, _: BorrowedFd<'_>) -> Result<Answer<'_>, Failure> {
            let text = |text: &'static str, last| Answer::Text {
                text: text.as_bytes(),
                last,
            };
            Ok(match self.acts.pop_front().unwrap_or(Act::EndInput) {
                Act::Type(line) => text(line, true),
                Act::Begin(part) => text(part, false),
                Act::NoticeThePeer => Answer::Incoming,
                Act::Interrupt => Answer::Interrupted,
                Act::EndInput => Answer::EndOfInput,
            })
        }

        fn unsent(&mut self) -> Result<Option<String>, Failure> {
            Ok(self.unsent.map(str::to_owned))
        }

        fn show(&mut self, event: &Event<'_>) -> Result<(), Failure> {
            if self.closed {
                return Err(Failure::Output(io::ErrorKind::BrokenPipe.into()));
            }
            self.shown.push(match event {
                Event::Received(_, part) | Event::Late(part) => {
                    format!("{event}{}", part.text.visible())
                }
                event => event.to_string(),
            });
            Ok(())
        }
    }

    /// Runs a session of `script` with `peer`, whose every answer is `answers` at once,
    /// and who then closes its side; returns how it ended, what was sent, what was shown.
    fn run_with(
        peer: Peer,
        mut script: Script,
        answers: &str,
    ) -> (Result<Ending, Failure>, String, Vec<String>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers.as_bytes()).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let mut connection = Connection::new(ours, Framing::Raw);
        let ended = run(&mut connection, peer, &mut script);
        drop(connection);
        let mut sent = String::new();
        // What we left unread makes the end a reset, after all that was sent.
        let _ = theirs.read_to_string(&mut sent);
        (ended, sent, script.shown)
    }

    fn acts(acts: impl IntoIterator<Item = Act>) -> Script {
        Script {
            acts: acts.into_iter().collect(),
            ..Script::default()
        }
    }

    #[test]
    fn the_connecting_side_speaks_first() {
        let script = acts([Act::Type("hello"), Act::Type("bye")]);
        let (ended, sent, shown) = run_with(Peer::Server, script, "hi");
        assert_eq!(ended.unwrap(), Ending::Bye);
        assert_eq!(sent, "hello");
        assert_eq!(shown, ["Received from server: hi"]);
    }

    #[test]
    fn the_serving_side_listens_first() {
        let (ended, sent, shown) = run_with(Peer::Client, acts([Act::Type("answer")]), "hi");
        assert_eq!(ended.unwrap(), Ending::PeerLeft);
        assert_eq!(sent, "answer");
        assert_eq!(
            shown,
            ["Received from connected client: hi", "The client left."]
        );
    }

    #[test]
    fn an_empty_line_asks_again_and_is_not_sent() {
        let script = acts([Act::Type(""), Act::Type(" "), Act::Type("bye")]);
        let (ended, sent, _) = run_with(Peer::Server, script, "hi");
        assert_eq!((ended.unwrap(), sent.as_str()), (Ending::Bye, " "));
    }

    #[test]
    fn a_message_in_parts_is_one_turn_whatever_the_parts_say() {
        let script = acts([
            Act::Begin("by"),
            Act::Begin("bye"),
            Act::Type(""),
            Act::Type("bye"),
        ]);
        let (ended, sent, shown) = run_with(Peer::Server, script, "hi");
        assert_eq!((ended.unwrap(), sent.as_str()), (Ending::Bye, "bybye"));
        assert_eq!(shown.len(), 1);
    }

    #[test]
    fn bye_is_told_from_a_message_about_it() {
        for bye in ["bye", "BYE", " Bye\t", "\u{a0}bye\u{2003}"] {
            assert!(is_bye(bye.as_bytes()), "{bye:?}");
        }
        for other in ["", "bye!", "good bye", "by e", "b\u{fffd}ye"] {
            assert!(!is_bye(other.as_bytes()), "{other:?}");
        }
        assert!(!is_bye(b"bye\xff"));
    }

    #[test]
    fn what_comes_in_our_turn_is_shown_and_is_no_reply() {
        let script = acts([Act::NoticeThePeer, Act::Type("hello")]);
        let (ended, sent, shown) = run_with(Peer::Server, script, "late");
        assert_eq!((ended.unwrap(), sent.as_str()), (Ending::PeerLeft, "hello"));
        assert_eq!(shown, ["late", "The server left."]);
    }

    #[test]
    fn a_peer_that_leaves_in_our_turn_is_told_with_what_was_not_sent() {
        let script = Script {
            unsent: Some("half"),
            ..acts([Act::NoticeThePeer])
        };
        let (ended, sent, shown) = run_with(Peer::Server, script, "");
        assert_eq!((ended.unwrap(), sent.as_str()), (Ending::PeerLeft, ""));
        assert_eq!(shown, ["The server left.", "Not sent: half"]);
    }

    #[test]
    fn what_a_closed_connection_does_not_take_is_told() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let mut script = acts([Act::Type("lost")]);
        let mut connection = Connection::new(ours, Framing::Raw);
        let ended = run(&mut connection, Peer::Server, &mut script).unwrap();
        assert_eq!(ended, Ending::PeerLeft);
        assert_eq!(script.shown, ["The server left.", "Not sent: lost"]);
    }

    #[test]
    fn the_end_of_input_waits_for_a_reply_that_is_owed() {
        let script = Script {
            waits: [Wait::EndOfInput].into(),
            ..acts([Act::Type("last"), Act::Type("never asked for")])
        };
        let (ended, sent, shown) = run_with(Peer::Server, script, "reply");
        assert_eq!(
            (ended.unwrap(), sent.as_str()),
            (Ending::EndOfInput, "last")
        );
        assert_eq!(shown, ["Received from server: reply"]);
    }

    #[test]
    fn the_end_of_input_ends_at_once_when_nothing_is_owed() {
        let script = Script {
            waits: [Wait::EndOfInput].into(),
            ..Script::default()
        };
        let (ended, _, shown) = run_with(Peer::Client, script, "unheard");
        assert_eq!(ended.unwrap(), Ending::EndOfInput);
        assert_eq!(shown, Vec::<String>::new());
        let (ended, ..) = run_with(Peer::Server, acts([Act::EndInput]), "unheard");
        assert_eq!(ended.unwrap(), Ending::EndOfInput);
    }

    #[test]
    fn ctrl_c_ends_it_in_either_turn() {
        let (ended, ..) = run_with(Peer::Server, acts([Act::Interrupt]), "");
        assert_eq!(ended.unwrap(), Ending::Interrupted);
        let script = Script {
            waits: [Wait::Interrupted].into(),
            ..Script::default()
        };
        let (ended, ..) = run_with(Peer::Client, script, "");
        assert_eq!(ended.unwrap(), Ending::Interrupted);
    }

    #[test]
    fn a_closed_output_is_a_quiet_end() {
        let script = Script {
            closed: true,
            ..Script::default()
        };
        let (ended, ..) = run_with(Peer::Client, script, "hi");
        assert_eq!(ended.unwrap(), Ending::OutputClosed);
    }
}
