//! The turn-taking loop that `serve` and `connect` share.

use std::convert::Infallible;
use std::io;
use std::time::Instant;

use crate::connection::{Connection, Part, Progress, Stream};
use crate::console::{Answer, Console, Wait, Waiting};
use crate::event::{Awaited, Event, Failure, Peer};
use crate::framing::{Oddity, UNENDED};

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
    let mut session = Session::new(connection, peer, console);
    let ended = match peer {
        Peer::Server => session.run(),
        Peer::Client => session.listen().and_then(|()| session.run()),
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

struct Session<'a, S> {
    connection: &'a mut Connection<S>,
    peer: Peer,
    console: &'a mut dyn Console,
    /// We have sent a message that was not answered yet.
    owed: bool,
    /// The user will type nothing more.
    input_ended: bool,
    /// What is told once was told.
    told: Told,
}

/// What has come of showing a message.
enum Shown {
    Part,
    Last,
    Nothing,
}

/// Whether what comes is a message of its own, or the rest of the last one.
#[derive(Clone, Copy)]
enum Timing {
    InTurn,
    Late,
}

impl Timing {
    fn event<'a>(self, peer: Peer, part: &'a Part<'a>) -> Event<'a> {
        match self {
            Self::InTurn => Event::Received(peer, part),
            Self::Late => Event::Late(part),
        }
    }
}

#[derive(Default)]
struct Told {
    odd: bool,
    unended: bool,
    joined: bool,
}

impl Told {
    /// Tells of a part of a message, and of what is odd about it.
    fn tell(
        &mut self,
        console: &mut dyn Console,
        peer: Peer,
        part: &Part<'_>,
        timing: Timing,
    ) -> Result<(), Failure> {
        if let Some(oddity) = &part.oddity {
            let first = !std::mem::replace(&mut self.odd, true);
            if first || *oddity != Oddity::Json {
                console.show(&Event::Odd { oddity, first })?;
            }
        }
        console.show(&timing.event(peer, part))
    }
}

impl<'a, S: Stream> Session<'a, S> {
    fn new(connection: &'a mut Connection<S>, peer: Peer, console: &'a mut dyn Console) -> Self {
        Self {
            connection,
            peer,
            console,
            owed: false,
            input_ended: false,
            told: Told::default(),
        }
    }

    fn run(&mut self) -> Result<Infallible, End> {
        loop {
            self.speak()?;
            self.listen()?;
        }
    }

    /// The peer's turn: shows its message, as it comes.
    fn listen(&mut self) -> Result<(), End> {
        let since = Instant::now();
        loop {
            if !self.input_ended {
                let ready = self.connection.is_ready();
                match self.console.wait(&Waiting {
                    awaited: Awaited::TurnOf(self.peer),
                    since,
                    socket: self.connection.watch(),
                    ready,
                    unended: self.connection.unended(),
                })? {
                    Wait::Incoming => {}
                    Wait::Stalled => {
                        self.stalled()?;
                        continue;
                    }
                    Wait::EndOfInput if self.owed => self.input_ended = true,
                    Wait::EndOfInput => return Err(End::Ended(Ending::EndOfInput)),
                    Wait::Interrupted => return Err(End::Ended(Ending::Interrupted)),
                }
            }
            if self.show_message(Timing::InTurn)? {
                self.owed = false;
                return Ok(());
            }
        }
    }

    /// The user's turn: sends what is typed, up to the end of a message.
    fn speak(&mut self) -> Result<(), End> {
        let mut begun = false;
        loop {
            if self.input_ended {
                return Err(self.close()?);
            }
            let (text, last) = match self.console.ask(self.connection.watch())? {
                Answer::Text { text, last } => (text, last),
                Answer::Incoming => {
                    self.overhear()?;
                    continue;
                }
                Answer::EndOfInput => return Err(self.close()?),
                Answer::Interrupted => return Err(End::Ended(Ending::Interrupted)),
            };
            if !begun && last {
                if self.connection.framing().is_blank(text) {
                    continue;
                }
                if is_bye(text) {
                    return Err(End::Ended(Ending::Bye));
                }
            }
            match self.connection.send(text, last) {
                Ok(false) => {}
                Ok(true) => {
                    if !std::mem::replace(&mut self.told.joined, true) {
                        self.console
                            .show(&Event::Joined(self.connection.framing()))?;
                    }
                }
                Err(error) => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    if error.kind() != io::ErrorKind::BrokenPipe {
                        return Err(self.lost(Some(text), error));
                    }
                    self.show_rest()?;
                    return Err(self.peer_left(Some(text))?);
                }
            }
            begun = true;
            if last {
                self.owed = true;
                return Ok(());
            }
        }
    }

    /// Takes in what comes in our own turn. With an end mark it is the peer's next
    /// message, and is kept for its turn; without one, it can only be what was still to
    /// come of the last one: it is shown, and is no reply to what we say next.
    fn overhear(&mut self) -> Result<(), End> {
        if !self.connection.framing().marks_the_end() {
            self.show_part(Timing::Late)?;
            return Ok(());
        }
        if let Err(error) = self.connection.read_ahead() {
            return Err(self.lost(None, error));
        }
        if self.connection.has_left() {
            loop {
                self.show_message(Timing::InTurn)?;
            }
        }
        Ok(())
    }

    /// Shows what comes of a message, up to its end; returns whether that has come.
    fn show_message(&mut self, timing: Timing) -> Result<bool, End> {
        loop {
            match self.show_part(timing)? {
                Shown::Part => {}
                Shown::Last => return Ok(true),
                Shown::Nothing => return Ok(false),
            }
        }
    }

    /// Shows what comes next of a message.
    fn show_part(&mut self, timing: Timing) -> Result<Shown, End> {
        match self.connection.receive() {
            Ok(Progress::Part(part)) => {
                self.told.tell(self.console, self.peer, &part, timing)?;
                Ok(if part.last { Shown::Last } else { Shown::Part })
            }
            Ok(Progress::Pending) => {
                let unended = self.connection.unended();
                if unended.is_some_and(|(_, since)| since.elapsed() >= UNENDED) {
                    self.stalled()?;
                }
                Ok(Shown::Nothing)
            }
            Ok(Progress::Stalled) => {
                self.stalled()?;
                Ok(Shown::Part)
            }
            Ok(Progress::Closed) => Err(self.peer_left(None)?),
            Err(error) => Err(self.lost(None, error)),
        }
    }

    fn stalled(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.told.unended, true) {
            return Ok(());
        }
        self.console.show(&Event::Unended(self.peer))
    }

    /// Ends the conversation because the user has nothing more to say.
    fn close(&mut self) -> Result<End, Failure> {
        self.show_rest()?;
        Ok(End::Ended(Ending::EndOfInput))
    }

    /// Closes our side, and shows what the peer had still to say: a reply may be of several
    /// messages, and what was sent before the connection broke was sent.
    fn show_rest(&mut self) -> Result<(), Failure> {
        let timing = if self.connection.framing().marks_the_end() {
            Timing::InTurn
        } else {
            Timing::Late
        };
        // A connection that is broken is closed already.
        let _ = self.connection.close();
        let since = Instant::now();
        loop {
            match self.connection.receive() {
                Ok(Progress::Part(part)) => {
                    self.told.tell(self.console, self.peer, &part, timing)?;
                }
                // A line that does not end is not waited for longer than elsewhere.
                Ok(Progress::Pending) if since.elapsed() < UNENDED => {}
                Ok(_) => return Ok(()),
                // How a conversation ends that is over is no failure; once that is known,
                // what stands read can be had.
                Err(_) => {}
            }
        }
    }

    /// Says that the peer left, and what could not be sent to it: `text`, or else what
    /// stands on the prompt.
    fn peer_left(&mut self, text: Option<String>) -> Result<End, Failure> {
        self.console.show(&Event::Left(self.peer))?;
        self.tell_unsent(text)?;
        Ok(End::Ended(Ending::PeerLeft))
    }

    /// The end that a broken connection is; what the peer had said before, and what could
    /// not be sent to it, is told first.
    fn lost(&mut self, text: Option<String>, error: io::Error) -> End {
        let told = self.show_rest().and_then(|()| self.tell_unsent(text));
        match told {
            Ok(()) => Failure::Lost(self.peer, error).into(),
            Err(failure) => failure.into(),
        }
    }

    fn tell_unsent(&mut self, text: Option<String>) -> Result<(), Failure> {
        let unsent = match text {
            Some(text) => Some(text),
            None => self.console.unsent()?,
        };
        match unsent {
            Some(text) => self.console.show(&Event::NotSent(&text)),
            None => Ok(()),
        }
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
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::connection::Watch;
    use crate::framing::{Framing, Wire};

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
        fn wait(&mut self, _: &Waiting<'_>) -> Result<Wait, Failure> {
            Ok(self.waits.pop_front().unwrap_or(Wait::Incoming))
        }

        fn ask(&mut self, _: Watch<'_>) -> Result<Answer<'_>, Failure> {
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
                Event::Received(_, part) => format!("{event} {}", part.text().visible()),
                Event::Late(part) => part.text().visible().into_owned(),
                event => event.to_string(),
            });
            Ok(())
        }
    }

    /// Runs a session of `script` with `peer`, whose every answer is `answers` at once,
    /// and who then closes its side; returns how it ended, what was sent, what was shown.
    fn run_with(
        peer: Peer,
        script: Script,
        answers: &str,
    ) -> (Result<Ending, Failure>, String, Vec<String>) {
        run_framed(Framing::Raw, peer, script, answers)
    }

    fn run_framed(
        framing: Framing,
        peer: Peer,
        mut script: Script,
        answers: &str,
    ) -> (Result<Ending, Failure>, String, Vec<String>) {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(answers.as_bytes()).unwrap();
        theirs.shutdown(Shutdown::Write).unwrap();
        let wire = Wire {
            framing,
            name: Some("me".into()),
        };
        let mut connection = Connection::new(ours, &wire);
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
        let mut connection = Connection::new(ours, &Wire::default());
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

    #[test]
    fn messages_that_come_at_once_are_turns_in_order() {
        let script = acts([
            Act::NoticeThePeer,
            Act::Type("one"),
            Act::NoticeThePeer,
            Act::Type("two"),
        ]);
        let (ended, sent, shown) = run_framed(Framing::Line, Peer::Server, script, "a\nb\r\nlast");
        assert_eq!(ended.unwrap(), Ending::PeerLeft);
        // That the peer has left is noticed in our second turn; nothing is lost by that.
        assert_eq!(sent, "one\n");
        assert_eq!(
            shown,
            ["a", "b", "last"]
                .map(|text| format!("Received from server: {text}"))
                .into_iter()
                .chain(["The server left.".into()])
                .collect::<Vec<_>>()
        );

        let script = acts([Act::Type("one"), Act::Type("two"), Act::Type("bye")]);
        let (ended, sent, shown) = run_framed(Framing::Crlf, Peer::Server, script, "a\r\nb\r\n");
        assert_eq!(
            (ended.unwrap(), sent.as_str()),
            (Ending::Bye, "one\r\ntwo\r\n")
        );
        assert_eq!(
            shown,
            ["Received from server: a", "Received from server: b"]
        );
    }

    #[test]
    fn the_end_of_input_shows_what_the_peer_still_has_to_say() {
        let script = acts([Act::Type("GET k")]);
        let (ended, sent, shown) = run_framed(Framing::Crlf, Peer::Server, script, "$1\r\nv\r\n");
        assert_eq!(
            (ended.unwrap(), sent.as_str()),
            (Ending::EndOfInput, "GET k\r\n")
        );
        assert_eq!(
            shown,
            ["Received from server: $1", "Received from server: v"]
        );
    }

    #[test]
    fn a_name_is_the_label() {
        let answers =
            "{\"name\":\"anna\\u001b[2J\\nx\",\"text\":\"hi\"}\n{\"name\":\"\",\"text\":\"ho\"}\n";
        let script = acts([Act::Type("one"), Act::Type("two"), Act::Type("bye")]);
        let (_, sent, shown) = run_framed(Framing::Json, Peer::Server, script, answers);
        assert_eq!(
            sent,
            "{\"name\":\"me\",\"text\":\"one\"}\n{\"name\":\"me\",\"text\":\"two\"}\n"
        );
        assert_eq!(
            shown,
            [
                "Received from anna\\u{1b}[2J\\nx: hi",
                "Received from server: ho"
            ]
        );
    }

    #[test]
    fn another_framing_is_told_and_what_to_do_about_it_once() {
        let script = acts([Act::Type("one"), Act::Type("two"), Act::Type("bye")]);
        let (_, _, shown) = run_framed(Framing::Json, Peer::Server, script, "hi\nho\n");
        assert_eq!(
            shown,
            [
                "No JSON message, shown as it came: expected an object. Does the \
                 other side use --framing line? Both must use the same.",
                "Received from server: hi",
                "No JSON message, shown as it came: expected an object.",
                "Received from server: ho",
            ]
        );
        let script = acts([Act::Type("one"), Act::Type("two"), Act::Type("bye")]);
        let json = "{\"text\":\"hi\"}\n".repeat(2);
        let (_, _, shown) = run_framed(Framing::Line, Peer::Server, script, &json);
        assert_eq!(
            shown,
            [
                "This is the JSON of a message. Does the other side use --framing json? Both \
                 must use the same.",
                "Received from server: {\"text\":\"hi\"}",
                "Received from server: {\"text\":\"hi\"}",
            ]
        );
    }

    #[test]
    fn lines_that_were_joined_are_told_of_once() {
        let script = acts([Act::Type("a\nb"), Act::Type("c\nd"), Act::Type("bye")]);
        let (_, sent, shown) = run_framed(Framing::Line, Peer::Server, script, "hi\nho\n");
        assert_eq!(sent, "a b\nc d\n");
        assert_eq!(
            shown[0],
            "Sent as one line: with --framing line a message has no newlines; json keeps them."
        );
        assert_eq!(shown.len(), 3);
    }

    /// A stream that gives what it holds, and then breaks.
    struct Breaking(UnixStream, VecDeque<&'static str>);

    impl std::io::Read for Breaking {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(text) = self.1.pop_front() else {
                return Err(io::ErrorKind::ConnectionReset.into());
            };
            buffer[..text.len()].copy_from_slice(text.as_bytes());
            Ok(text.len())
        }
    }

    impl std::io::Write for Breaking {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            if self.1.is_empty() {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Ok(text.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl std::os::fd::AsFd for Breaking {
        fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
            self.0.as_fd()
        }
    }

    impl Stream for Breaking {
        fn set_read_timeout(&self, _: Option<std::time::Duration>) -> io::Result<()> {
            Ok(())
        }

        fn close(&self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs a session whose connection breaks after `reads`, and returns what was shown.
    fn run_broken(framing: Framing, script: Script, reads: &[&'static str]) -> Vec<String> {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let stream = Breaking(ours, reads.iter().copied().collect());
        let wire = Wire {
            framing,
            name: None,
        };
        let mut script = script;
        let failure = run(
            &mut Connection::new(stream, &wire),
            Peer::Server,
            &mut script,
        );
        assert_eq!(
            failure.unwrap_err().to_string(),
            "lost the connection to the server: connection reset"
        );
        script.shown
    }

    #[test]
    fn a_broken_connection_tells_what_stood_on_the_prompt() {
        let half = Script {
            unsent: Some("half"),
            ..acts([Act::NoticeThePeer])
        };
        assert_eq!(run_broken(Framing::Raw, half, &[]), ["Not sent: half"]);
        let whole = acts([Act::Type("whole")]);
        assert_eq!(run_broken(Framing::Raw, whole, &[]), ["Not sent: whole"]);
    }

    #[test]
    fn what_was_said_before_the_connection_broke_is_shown() {
        let script = Script {
            unsent: Some("typed"),
            ..acts([Act::Type("one"), Act::NoticeThePeer, Act::NoticeThePeer])
        };
        assert_eq!(
            run_broken(Framing::Line, script, &["one\n", "two\nhalf"]),
            [
                "Received from server: one",
                "Received from server: two",
                "Received from server: half",
                "Not sent: typed",
            ]
        );
        // Also when it is our own message that finds out.
        let script = acts([Act::Type("one"), Act::Type("two"), Act::Type("three")]);
        assert_eq!(
            run_broken(Framing::Line, script, &["one\ntwo\nthree\nfour\n"]),
            [
                "Received from server: one",
                "Received from server: two",
                "Received from server: three",
                "Received from server: four",
                "Not sent: two",
            ]
        );
    }
}
