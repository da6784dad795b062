//! The turn-taking loop that `serve` and `connect` share.

use std::convert::Infallible;
use std::io;
use std::mem;

use crate::console::{Answer, Console, Wait};
use crate::event::{Event, Failure, Parting, Peer, Prompt};
use crate::framing::Oddity;
use crate::inbox::{Inbox, News, Sent};

/// What a user writes to leave, in any case and with any space around it; never sent.
const BYE: &str = "bye";

/// How a conversation ended, when nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user said `bye`.
    Bye,
    /// There is nothing more to read from the user.
    EndOfInput,
    /// The peer closed the connection, or was let go, and there is nobody else.
    PeerLeft,
    /// The user pressed Ctrl-C.
    Interrupted,
    /// Whoever read our output has closed it.
    OutputClosed,
}

/// What is done when the connection is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnLoss {
    /// The user is told what could not be sent.
    End,
    /// Whoever calls tries again: what has had no reply is the user's again. A peer that
    /// closes the connection in our own turn is lost as well, for nobody leaves in
    /// another's turn in order.
    TryAgain,
}

/// Talks with whom `inbox` has until the conversation ends, and returns how.
///
/// Fails when the connection breaks and there is nobody else to talk with, or when the user
/// can no longer be read or written to.
pub fn run(
    inbox: &mut dyn Inbox,
    on_loss: OnLoss,
    console: &mut dyn Console,
) -> Result<Ending, Failure> {
    let mut session = Session {
        inbox,
        orphans: Orphans {
            counts: console.answers_blindly(),
            ..Orphans::default()
        },
        console,
        on_loss,
        input_ended: false,
        can_repeat: true,
        told_joined: false,
    };
    match session.run() {
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

struct Session<'a> {
    inbox: &'a mut dyn Inbox,
    console: &'a mut dyn Console,
    on_loss: OnLoss,
    /// The user will type nothing more.
    input_ended: bool,
    /// What could not be sent is the user's again.
    can_repeat: bool,
    /// What the user says to clients that are gone.
    orphans: Orphans,
    /// That newlines became spaces was told.
    told_joined: bool,
}

/// The lines that answer messages whose clients are gone. In a pipe, every message that is
/// shown is answered by a line, whoever has left by then; that line is for nobody else.
#[derive(Default)]
struct Orphans {
    /// Lines are read blindly; at a terminal, the prompt tells whom they are for.
    counts: bool,
    /// So many come before the answer to whom we ask for.
    before: usize,
    /// So many come behind it.
    behind: usize,
    /// A part of one was read.
    within: bool,
}

impl Orphans {
    /// A message was shown, and whoever said it is gone.
    fn add(&mut self) {
        self.before += usize::from(self.counts);
    }

    /// The same, while somebody else is asked for, whose message was shown before.
    fn add_behind(&mut self) {
        self.behind += usize::from(self.counts);
    }

    /// Who was asked for was answered, or is gone.
    fn answered(&mut self) {
        self.before += mem::take(&mut self.behind);
    }

    /// Whether a line, or a part of one, is for nobody; a blank line answers nothing.
    fn take(&mut self, last: bool, blank: bool) -> bool {
        if self.before == 0 || (blank && last && !self.within) {
            return false;
        }
        self.within = !last;
        self.before -= usize::from(last);
        true
    }
}

/// What has come of telling news.
enum Told {
    /// There may be more.
    More,
    /// There is nothing more to tell for now.
    Nothing,
    /// A message has ended.
    Message,
    /// A peer is gone.
    Gone(Peer, Parting),
}

/// Tells the user what has come of the peers.
fn tell(console: &mut dyn Console, news: Option<News<'_>>) -> Result<Told, Failure> {
    match news {
        None => return Ok(Told::Nothing),
        Some(News::Arrived(peer, address)) => {
            console.show(&Event::ConnectionFrom(peer, address))?;
        }
        Some(News::Crowded(error)) => console.show(&Event::Crowded(&error))?,
        Some(News::Part {
            peer,
            part,
            late,
            first_oddity,
        }) => {
            if let Some(oddity) = &part.oddity
                && (first_oddity || *oddity != Oddity::Json)
            {
                console.show(&Event::Odd {
                    oddity,
                    first: first_oddity,
                })?;
            }
            console.show(&if late {
                Event::Late(peer, &part)
            } else {
                Event::Received(peer, &part)
            })?;
            if part.last && !late {
                return Ok(Told::Message);
            }
        }
        Some(News::Stalled(peer)) => {
            console.show(&Event::Unended(peer))?;
            return Ok(Told::Nothing);
        }
        Some(News::Gone(peer, parting)) => return Ok(Told::Gone(peer, parting)),
    }
    Ok(Told::More)
}

impl Session<'_> {
    fn run(&mut self) -> Result<Infallible, End> {
        loop {
            match self.inbox.asked() {
                Some(peer) => self.speak(peer)?,
                None => self.listen()?,
            }
        }
    }

    /// A peer's turn: shows what it says, as it comes.
    fn listen(&mut self) -> Result<(), End> {
        loop {
            if !self.input_ended {
                match self.console.wait(self.inbox.awaited(), self.inbox)? {
                    Wait::Incoming => {}
                    Wait::EndOfInput if self.inbox.owes_reply() => self.input_ended = true,
                    Wait::EndOfInput => return Err(End::Ended(Ending::EndOfInput)),
                    Wait::Interrupted => return Err(End::Ended(Ending::Interrupted)),
                }
            }
            loop {
                match tell(self.console, self.inbox.receive())? {
                    Told::More => {}
                    Told::Nothing => break,
                    Told::Message => {
                        if self.inbox.asked().is_none() {
                            self.orphans.add();
                        }
                        return Ok(());
                    }
                    Told::Gone(peer, parting) => self.gone(peer, parting, false)?,
                }
            }
        }
    }

    /// The user's turn: sends what is typed to `peer`, up to the end of a message.
    fn speak(&mut self, peer: Peer) -> Result<(), End> {
        let mut begun = false;
        while self.inbox.asked() == Some(peer) {
            if self.input_ended {
                return Err(self.close()?);
            }
            let prompt = Prompt {
                peer,
                waiting: self.inbox.waiting(),
            };
            let (text, last) = match self.console.ask(&prompt, self.inbox)? {
                Answer::Text { text, last } => (text, last),
                Answer::Incoming => {
                    self.overhear(peer)?;
                    continue;
                }
                Answer::EndOfInput => return Err(self.close()?),
                Answer::Interrupted => return Err(End::Ended(Ending::Interrupted)),
            };
            let blank = self.inbox.framing().is_blank(text);
            if self.orphans.take(last, blank) {
                let text = String::from_utf8_lossy(text).into_owned();
                self.console.show(&Event::NotSent(&text))?;
                continue;
            }
            if !begun && last {
                if blank {
                    continue;
                }
                if is_bye(text) {
                    self.inbox.dismiss();
                    let goes_on = self.inbox.goes_on();
                    self.console.show(&Event::Closed { peer, goes_on })?;
                    if goes_on {
                        self.orphans.answered();
                        return Ok(());
                    }
                    return Err(End::Ended(Ending::Bye));
                }
            }
            let sent = self.inbox.send(text, last);
            begun = !last;
            self.can_repeat = last;
            if sent != Sent::Not {
                self.console.sent(peer)?;
            }
            match sent {
                Sent::Whole => {}
                Sent::Joined => {
                    if !mem::replace(&mut self.told_joined, true) {
                        let framing = self.inbox.framing();
                        self.console.show(&Event::Joined(framing))?;
                    }
                }
                Sent::Not => {
                    self.can_repeat = self.console.put_back();
                    self.overhear(peer)?;
                    // It was there to its end.
                    if last && !self.can_repeat {
                        self.orphans.take(last, false);
                    }
                }
            }
            if last && sent != Sent::Not {
                self.orphans.answered();
                return Ok(());
            }
        }
        self.orphans.answered();
        Ok(())
    }

    /// Tells what has come while `peer` is asked for.
    fn overhear(&mut self, peer: Peer) -> Result<(), End> {
        loop {
            match tell(self.console, self.inbox.overhear())? {
                Told::More => {}
                Told::Message => self.orphans.add_behind(),
                Told::Nothing => return Ok(()),
                Told::Gone(gone, parting) => self.gone(gone, parting, gone == peer)?,
            }
        }
    }

    /// Tells that `peer` is gone, and what could not be sent to it if it was `asked` for.
    fn gone(&mut self, peer: Peer, parting: Parting, asked: bool) -> Result<(), End> {
        let over = !self.inbox.goes_on();
        let comes_back = self.on_loss == OnLoss::TryAgain;
        let parting = match parting {
            Parting::Left if asked && comes_back => {
                Parting::Lost(io::Error::other("it was closed in our turn"))
            }
            parting => parting,
        };
        if comes_back && matches!(parting, Parting::Lost(_)) {
            if self.inbox.owes_reply() {
                self.can_repeat = self.console.put_back();
            }
        } else {
            if !(over && matches!(parting, Parting::Lost(_))) {
                self.console.show(&Event::Gone(peer, &parting))?;
            }
            let told = (asked || over) && tell_unsent(self.console, over)?;
            if asked && !told {
                self.orphans.add();
            }
        }
        match parting {
            Parting::Lost(error) if over && !self.can_repeat && comes_back => {
                Err(Failure::LostWithMessage(peer, error).into())
            }
            Parting::Lost(error) if over => Err(Failure::Lost(peer, error).into()),
            _ if over => Err(End::Ended(Ending::PeerLeft)),
            _ => Ok(()),
        }
    }

    /// Ends the conversation because the user has nothing more to say, and shows what the
    /// peers had still to say: a reply may be of several messages.
    fn close(&mut self) -> Result<End, Failure> {
        self.inbox.close();
        while let Some(news) = self.inbox.rest() {
            tell(self.console, Some(news))?;
        }
        Ok(End::Ended(Ending::EndOfInput))
    }
}

/// Tells what has been typed and was not sent, if there is something; returns whether there
/// was. When all is `over`, nothing can be typed any more. Fails as the console does.
pub fn tell_unsent(console: &mut dyn Console, over: bool) -> Result<bool, Failure> {
    let unsent = console.unsent(over)?;
    if let Some(text) = &unsent {
        console.show(&Event::NotSent(text))?;
    }
    Ok(unsent.is_some())
}

/// Whether `text` is the word that leaves, as the tutorial's client tells it.
fn is_bye(text: &[u8]) -> bool {
    // The space around it may be of any kind, but most messages have none but this.
    if text.is_ascii() {
        return text.trim_ascii().eq_ignore_ascii_case(BYE.as_bytes());
    }
    std::str::from_utf8(text).is_ok_and(|text| text.trim().eq_ignore_ascii_case(BYE))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{Read as _, Write as _};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::connection::{Connection, Stream};
    use crate::event::Awaited;
    use crate::framing::{Framing, Wire};
    use crate::inbox::One;
    use crate::watch::Watched;

    /// Runs a session with one peer that is not come back to.
    fn run(
        connection: Connection<impl Stream + Send>,
        peer: Peer,
        script: &mut Script,
    ) -> Result<Ending, Failure> {
        super::run(&mut One::new(connection, peer), OnLoss::End, script)
    }

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
        answered: Option<&'static str>,
        unsent: Option<&'static str>,
        closed: bool,
        shown: Vec<String>,
    }

    impl Console for Script {
        fn wait(&mut self, _: Awaited, _: &mut dyn Watched) -> Result<Wait, Failure> {
            Ok(self.waits.pop_front().unwrap_or(Wait::Incoming))
        }

        fn ask(&mut self, _: &Prompt, watched: &mut dyn Watched) -> Result<Answer<'_>, Failure> {
            let mut text = |text: &'static str, last: bool| {
                self.answered = last.then_some(text);
                Answer::Text {
                    text: text.as_bytes(),
                    last,
                }
            };
            Ok(match self.acts.pop_front().unwrap_or(Act::EndInput) {
                Act::Type(line) => text(line, true),
                Act::Begin(part) => text(part, false),
                Act::NoticeThePeer => {
                    watched.attend();
                    Answer::Incoming
                }
                Act::Interrupt => Answer::Interrupted,
                Act::EndInput => Answer::EndOfInput,
            })
        }

        fn put_back(&mut self) -> bool {
            self.unsent = self.answered.take();
            self.unsent.is_some()
        }

        fn sent(&mut self, _: Peer) -> Result<(), Failure> {
            Ok(())
        }

        fn explain(&mut self) -> Result<(), Failure> {
            Ok(())
        }

        fn answers_blindly(&self) -> bool {
            false
        }

        fn unsent(&mut self, _: bool) -> Result<Option<String>, Failure> {
            Ok(self.unsent.map(str::to_owned))
        }

        fn show(&mut self, event: &Event<'_>) -> Result<(), Failure> {
            if self.closed {
                return Err(Failure::Output(io::ErrorKind::BrokenPipe.into()));
            }
            if let Event::Closed { .. } = event {
                return Ok(());
            }
            self.shown.push(match event {
                Event::Received(_, part) => format!("{event} {}", part.text().visible()),
                Event::Late(_, part) => part.text().visible().into_owned(),
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
        let ended = run(Connection::new(ours, &wire), peer, &mut script);
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
        let connection = Connection::new(ours, &Wire::default());
        let ended = run(connection, Peer::Server, &mut script).unwrap();
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
        fn set_read_timeout(&mut self, _: Option<std::time::Duration>) -> io::Result<()> {
            Ok(())
        }

        fn close(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Runs a session whose connection breaks after `reads`, and returns what was shown.
    fn run_broken(framing: Framing, script: Script, reads: &[&'static str]) -> Vec<String> {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        // It is always ready.
        theirs.write_all(b"x").unwrap();
        let stream = Breaking(ours, reads.iter().copied().collect());
        let wire = Wire {
            framing,
            name: None,
        };
        let mut script = script;
        let failure = run(Connection::new(stream, &wire), Peer::Server, &mut script);
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
