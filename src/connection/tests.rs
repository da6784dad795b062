//! Connections over scripts instead of sockets.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::panic::{self, AssertUnwindSafe};
use std::rc::Rc;

use super::*;
use crate::framing::{RAW_QUIET, RAW_SHORT};

/// What comes of a read.
#[derive(Debug, Clone)]
enum Step {
    /// These bytes, as far as there is room; the next read has the rest.
    Bytes(Vec<u8>),
    /// Nothing for now, or for as long as the read waits.
    Wait,
    End,
    Fail(ErrorKind),
}

/// What was done with a stream.
#[derive(Debug, Default)]
struct Done {
    /// What each write has taken.
    writes: Vec<Vec<u8>>,
    timeouts: Vec<Option<Duration>>,
    closes: usize,
}

/// A stream that follows a script.
#[derive(Debug, Default)]
struct Script {
    reads: VecDeque<Step>,
    /// How much the next writes take, or why they fail; all the others take all.
    takes: VecDeque<Result<usize, ErrorKind>>,
    blocks: bool,
    is_broken: bool,
    done: Rc<RefCell<Done>>,
}

impl Script {
    fn check(&self) -> io::Result<()> {
        if self.is_broken {
            return Err(ErrorKind::NotConnected.into());
        }
        Ok(())
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        assert!(!buffer.is_empty(), "a read without room looks like the end");
        match self.reads.pop_front().unwrap_or(Step::Wait) {
            Step::Bytes(bytes) => {
                let count = bytes.len().min(buffer.len());
                buffer[..count].copy_from_slice(&bytes[..count]);
                if count < bytes.len() {
                    self.reads.push_front(Step::Bytes(bytes[count..].to_vec()));
                }
                Ok(count)
            }
            Step::Wait if self.blocks => Err(sys::READ_TIMED_OUT.into()),
            Step::Wait => Err(ErrorKind::WouldBlock.into()),
            Step::End => Ok(0),
            Step::Fail(kind) => Err(kind.into()),
        }
    }
}

impl Write for Script {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.takes.pop_front().unwrap_or(Ok(bytes.len()))?;
        self.done.borrow_mut().writes.push(bytes[..count].to_vec());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Stream for Script {
    fn set_blocking(&mut self, blocking: bool) -> io::Result<()> {
        self.check()?;
        self.blocks = blocking;
        Ok(())
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) -> io::Result<()> {
        self.check()?;
        self.done.borrow_mut().timeouts.push(timeout);
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.done.borrow_mut().closes += 1;
        Ok(())
    }
}

type Scripted = Connection<Script>;

fn wire(framing: Framing) -> Wire {
    Wire {
        framing,
        ..Wire::default()
    }
}

fn bytes(bytes: impl AsRef<[u8]>) -> Step {
    Step::Bytes(bytes.as_ref().to_vec())
}

fn polled(framing: Framing, reads: impl IntoIterator<Item = Step>) -> Scripted {
    let script = Script {
        reads: reads.into_iter().collect(),
        ..Script::default()
    };
    Connection::new(script, &wire(framing), false)
}

fn blocking(framing: Framing, reads: impl IntoIterator<Item = Step>) -> Scripted {
    let mut connection = polled(framing, reads);
    assert!(connection.set_blocking(true).unwrap());
    connection
}

/// One of many, as a server has them.
fn one_of_many(reads: impl IntoIterator<Item = Step>) -> Scripted {
    let script = Script {
        reads: reads.into_iter().collect(),
        ..Script::default()
    };
    Connection::new(script, &wire(Framing::Raw), true)
}

/// One whose writes take so much, and what is done with it.
fn writing(
    framing: Framing,
    takes: impl IntoIterator<Item = Result<usize, ErrorKind>>,
) -> (Scripted, Rc<RefCell<Done>>) {
    let mut connection = polled(framing, []);
    connection.stream_mut().takes = takes.into_iter().collect();
    let done = Rc::clone(&connection.stream().done);
    (connection, done)
}

fn sent(done: &RefCell<Done>) -> String {
    String::from_utf8(done.borrow().writes.concat()).unwrap()
}

/// Lets it seem to `connection` that so much time has passed.
fn pass(connection: &mut Scripted, time: Duration) {
    let past = |at: Instant| at.checked_sub(time).unwrap();
    if let Reads::Polled { last, .. } = &mut connection.reads {
        *last = past(*last);
    }
    connection.unended = connection.unended.map(past);
}

/// Goes on to the next part; returns what it says, and whether it is the first and the last.
fn part(connection: &mut Scripted) -> (String, bool, bool) {
    assert_eq!(connection.advance().unwrap(), Progress::Part);
    let part = connection.part(false).unwrap();
    let text = String::from_utf8_lossy(part.text().bytes()).into_owned();
    (text, part.first, part.last)
}

fn whole(text: &str) -> (String, bool, bool) {
    (text.to_owned(), true, true)
}

/// Every message until the end, whatever must be waited for in between.
fn messages(connection: &mut Scripted) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut message = Vec::new();
    let mut idle = 0;
    while idle < 100 {
        match connection.advance().unwrap() {
            Progress::Part => {
                let part = connection.part(false).unwrap();
                assert_eq!(part.first, message.is_empty());
                let text = part.text().bytes();
                assert!(part.last || str::from_utf8(text).is_ok());
                message.extend_from_slice(text);
                if part.last {
                    found.push(mem::take(&mut message));
                }
            }
            Progress::Closed => {
                assert!(message.is_empty());
                return found;
            }
            Progress::Pending | Progress::Stalled => {
                idle += 1;
                if idle % 2 == 1 {
                    connection.set_ready(false);
                } else {
                    pass(connection, RAW_QUIET);
                }
            }
        }
    }
    panic!("there is no end");
}

#[test]
fn messages_come_one_by_one_and_then_the_end() {
    for connect in [polled, blocking] {
        let reads = [bytes("one"), bytes("two"), Step::End];
        let mut connection = connect(Framing::Raw, reads);
        assert_eq!(part(&mut connection), whole("one"));
        connection.set_ready(false);
        assert_eq!(part(&mut connection), whole("two"));
        connection.set_ready(true);
        for _ in 0..2 {
            assert_eq!(connection.advance().unwrap(), Progress::Closed);
            assert!(connection.has_left());
        }
    }
}

#[test]
fn every_split_gives_the_same_lines() {
    let text = "gr\u{fc}ezi\r\n\n\u{1f468}x\nlast \u{fc}".as_bytes();
    let expected: Vec<Vec<u8>> = ["gr\u{fc}ezi", "", "\u{1f468}x", "last \u{fc}"]
        .map(|line| line.as_bytes().to_vec())
        .into();
    for split in 1..text.len() {
        for size in 1..6 {
            for connect in [polled, blocking] {
                let (left, right) = text.split_at(split);
                let reads = [bytes(left), Step::Wait, bytes(right), Step::End];
                let mut connection = connect(Framing::Line, reads);
                // It grows when a line has no room in it.
                connection.buffer = vec![0; size];
                assert_eq!(messages(&mut connection), expected, "{split}, {size}");
            }
        }
    }
}

#[test]
fn a_short_raw_message_is_cut_only_between_characters() {
    let text = "gr\u{fc}ezi \u{1f468}";
    for split in 1..text.len() {
        for connect in [polled, blocking] {
            let (left, right) = text.as_bytes().split_at(split);
            let mut connection = connect(Framing::Raw, [bytes(left), bytes(right), Step::End]);
            let found = messages(&mut connection);
            if text.is_char_boundary(split) {
                assert_eq!(found, [left, right], "{split}");
            } else {
                assert_eq!(found, [text.as_bytes()], "{split}");
            }
        }
    }
}

#[test]
fn a_message_longer_than_the_buffer_comes_whole() {
    // An odd first byte puts a character across the end of every buffer.
    let long = format!("x{}", "\u{fc}\u{1f468}".repeat(40_000));
    for connect in [polled, blocking] {
        for (framing, next) in [(Framing::Raw, "next"), (Framing::Line, "\nnext")] {
            let reads = [bytes(&long), Step::Wait, Step::Wait, bytes(next), Step::End];
            let found = messages(&mut connect(framing, reads));
            assert!(found == [long.as_bytes(), b"next"]);
        }
    }
}

#[test]
fn a_long_raw_message_ends_when_the_peer_is_quiet() {
    let long = "x".repeat(RAW_SHORT);
    let mut connection = blocking(Framing::Raw, [bytes(&long), Step::Wait, bytes("y")]);
    let done = Rc::clone(&connection.stream().done);
    assert_eq!(part(&mut connection), (long.clone(), true, false));
    assert_eq!(part(&mut connection), (String::new(), false, true));
    assert_eq!(part(&mut connection), whole("y"));
    // The timeout is set only when it changes.
    assert_eq!(done.borrow().timeouts, [Some(RAW_QUIET), None]);

    let mut connection = polled(Framing::Raw, [bytes(&long)]);
    assert_eq!(part(&mut connection), (long, true, false));
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    let deadline = connection.deadline().unwrap();
    assert!(deadline > Instant::now() && deadline <= Instant::now() + RAW_QUIET);
    pass(&mut connection, RAW_QUIET);
    assert_eq!(part(&mut connection), (String::new(), false, true));
    assert_eq!(connection.deadline(), None);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
}

#[test]
fn what_came_before_the_end_is_handed_out() {
    for framing in [Framing::Raw, Framing::Line] {
        for connect in [polled, blocking] {
            let mut connection = connect(framing, [bytes(b"half a \xc3"), Step::End]);
            assert_eq!(messages(&mut connection), [b"half a \xc3"]);
            assert_eq!(connection.advance().unwrap(), Progress::Closed);
        }
    }
}

#[test]
fn what_came_before_an_error_is_handed_out() {
    for connect in [polled, blocking] {
        let reads = [bytes("one\nhalf"), Step::Fail(ErrorKind::ConnectionReset)];
        let mut connection = connect(Framing::Line, reads);
        assert_eq!(part(&mut connection), whole("one"));
        connection.set_ready(false);
        let error = connection.advance().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        assert!(connection.has_left());
        assert_eq!(part(&mut connection), whole("half"));
        assert_eq!(connection.advance().unwrap(), Progress::Closed);
    }
}

#[test]
fn an_interrupted_call_is_made_again() {
    let reads = [Step::Fail(ErrorKind::Interrupted), bytes("hi")];
    let mut connection = polled(Framing::Raw, reads);
    connection.stream_mut().takes = [Err(ErrorKind::Interrupted)].into();
    assert_eq!(part(&mut connection), whole("hi"));
    connection.send(b"ho", true).unwrap();
    assert!(!connection.has_unsent());
}

#[test]
fn a_timeout_that_cannot_be_set_ends_it() {
    let mut connection = blocking(Framing::Line, [bytes("half")]);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    connection.stream_mut().is_broken = true;
    let error = connection.advance().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotConnected);
    assert_eq!(part(&mut connection), whole("half"));
    assert_eq!(connection.advance().unwrap(), Progress::Closed);
}

#[test]
fn a_line_that_does_not_end_is_reported_once() {
    let mut connection = blocking(
        Framing::Line,
        [bytes("ha"), Step::Wait, Step::Wait, bytes("lf\nx")],
    );
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    assert_eq!(connection.advance().unwrap(), Progress::Stalled);
    assert_eq!(connection.unended().unwrap(), Untrusted(b"ha"));
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    assert_eq!(part(&mut connection), whole("half"));
    for _ in 0..3 {
        assert_eq!(connection.advance().unwrap(), Progress::Pending);
    }

    let mut connection = polled(Framing::Line, [bytes("ha"), Step::Wait, bytes("lf\n")]);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    let deadline = connection.deadline().unwrap();
    assert!(deadline > Instant::now() && deadline <= Instant::now() + UNENDED);
    connection.set_ready(false);
    pass(&mut connection, UNENDED);
    assert_eq!(connection.advance().unwrap(), Progress::Stalled);
    assert_eq!(connection.unended().unwrap(), Untrusted(b"ha"));
    assert_eq!(connection.deadline(), None);
    connection.set_ready(false);
    assert_eq!(part(&mut connection), whole("half"));
    assert!(connection.unended().is_none());
}

#[test]
fn a_line_is_not_late_because_nothing_came_before_it() {
    let mut connection = polled(Framing::Line, [Step::Wait, bytes("half")]);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    assert!(connection.unended().is_none() && connection.deadline().is_none());
    pass(&mut connection, UNENDED);
    for _ in 0..2 {
        connection.set_ready(false);
        assert_eq!(connection.advance().unwrap(), Progress::Pending);
    }
}

#[test]
fn a_line_that_drips_is_reported_too() {
    let mut connection = polled(Framing::Line, [bytes("a"), bytes("b"), bytes("c")]);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    for progress in [Progress::Stalled, Progress::Pending] {
        pass(&mut connection, UNENDED);
        connection.set_ready(false);
        assert_eq!(connection.advance().unwrap(), progress);
    }
}

#[test]
fn what_comes_in_our_turn_is_read_ahead_and_kept() {
    let reads = [bytes("a\nb\n"), Step::Wait, bytes("c"), Step::End];
    let mut connection = polled(Framing::Line, reads);
    connection.read_ahead().unwrap();
    assert!(connection.has_next() && !connection.has_left());
    for _ in 0..3 {
        connection.set_ready(false);
        connection.read_ahead().unwrap();
    }
    assert!(connection.has_left() && !connection.can_read());
    assert_eq!(messages(&mut connection), [b"a", b"b", b"c"]);
}

#[test]
fn no_more_is_read_ahead_than_the_buffer_holds() {
    let limit = Framing::Line.limit();
    let mut connection = polled(Framing::Line, [bytes("x\n".repeat(limit)), Step::End]);
    connection.buffer = vec![0; 7];
    connection.set_ready(true);
    connection.read_ahead().unwrap();
    assert_eq!(connection.end - connection.start, limit);
    assert!(!connection.can_read());
    assert_eq!(messages(&mut connection).len(), limit);
}

#[test]
fn an_error_while_reading_ahead_comes_after_what_was_read() {
    let reads = [bytes("a\n"), Step::Fail(ErrorKind::ConnectionReset)];
    let mut connection = polled(Framing::Line, reads);
    connection.set_ready(true);
    let error = connection.read_ahead().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(messages(&mut connection), [b"a"]);
}

#[test]
fn a_peer_that_hangs_up_has_left_before_that_is_read() {
    let mut connection = polled(Framing::Line, [bytes("a\n"), Step::End]);
    assert!(!connection.has_left());
    connection.set_ready(true);
    assert!(connection.has_left() && connection.can_read());
    assert_eq!(messages(&mut connection), [b"a"]);
}

#[test]
fn who_goes_on_and_on_in_our_turn_is_not_read_from() {
    let limit = Framing::Raw.limit();
    let mut connection = polled(Framing::Raw, [bytes("x".repeat(2 * limit))]);
    connection.set_ready(true);
    assert_eq!(connection.advance().unwrap(), Progress::Part);
    assert_eq!(connection.part(true).unwrap().text().bytes().len(), limit);
    assert!(!connection.can_read());
    // In its own turn again it is.
    connection.send(b"hi", true).unwrap();
    assert!(connection.can_read());
    let (text, first, _) = part(&mut connection);
    assert!(text.len() == limit && first);
}

#[test]
fn a_message_among_many_is_handed_out_whole() {
    let long = "x".repeat(SMALL);
    let reads = [bytes(&long), bytes("y"), Step::Wait];
    let mut connection = one_of_many(reads.clone());
    connection.set_ready(true);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    pass(&mut connection, RAW_QUIET);
    assert_eq!(part(&mut connection), whole(&format!("{long}y")));
    // Not when it is late already, or when it does not fit the buffer.
    let mut connection = one_of_many(reads);
    connection.gather(false);
    assert_eq!(part(&mut connection), (long, true, false));
    let mut connection = one_of_many([bytes("x".repeat(100_000)), Step::End]);
    let (text, first, last) = part(&mut connection);
    assert_eq!(
        (text.len(), first, last),
        (Framing::Raw.limit(), true, false)
    );
}

#[test]
fn each_message_is_sent_in_one_write() {
    for (framing, written) in [
        (Framing::Raw, "gr\u{fc}ezi\nho"),
        (Framing::Line, "gr\u{fc}ezi ho\n"),
        (Framing::Crlf, "gr\u{fc}ezi ho\r\n"),
        (Framing::Json, "{\"text\":\"gr\u{fc}ezi\\nho\"}\n"),
    ] {
        let (mut connection, done) = writing(framing, []);
        let joined = connection.send("gr\u{fc}ezi\nho".as_bytes(), true).unwrap();
        assert_eq!(joined, matches!(framing, Framing::Line | Framing::Crlf));
        assert_eq!(done.borrow().writes, [written.as_bytes()]);
        assert_eq!(connection.framing(), framing);
    }
}

#[test]
fn a_stream_that_blocks_takes_all() {
    let (mut connection, done) = writing(Framing::Raw, [Ok(1), Ok(2)]);
    connection.set_blocking(true).unwrap();
    connection.send(b"hello", true).unwrap();
    assert_eq!(sent(&done), "hello");
    assert!(!connection.has_unsent());
}

#[test]
fn what_is_not_taken_is_kept_in_order() {
    let full = Err(ErrorKind::WouldBlock);
    let (mut connection, done) = writing(Framing::Raw, [Ok(3), full, Ok(1), full]);
    connection.send(b"hello", false).unwrap();
    assert!(connection.has_unsent());
    // This must not overtake it.
    connection.send(b" world", true).unwrap();
    assert_eq!(sent(&done), "hel");
    assert!(connection.flush().unwrap());
    assert_eq!(sent(&done), "hell");
    assert!(connection.has_unsent());
    assert!(connection.flush().unwrap());
    assert_eq!(sent(&done), "hello world");
    assert!(!connection.has_unsent());
    assert!(!connection.flush().unwrap());
    assert_eq!(done.borrow().writes.len(), 3);
}

#[test]
fn what_cannot_be_sent_is_an_error() {
    for (takes, kind) in [
        (Ok(0), ErrorKind::WriteZero),
        (Err(ErrorKind::BrokenPipe), ErrorKind::BrokenPipe),
    ] {
        let (mut connection, _) = writing(Framing::Raw, [takes]);
        assert_eq!(connection.send(b"hi", true).unwrap_err().kind(), kind);
        let full = Err(ErrorKind::WouldBlock);
        let (mut connection, done) = writing(Framing::Raw, [full, Ok(1), takes]);
        connection.send(b"hi", true).unwrap();
        assert_eq!(connection.flush().unwrap_err().kind(), kind);
        // What went out before the error does not go out again.
        connection.flush().unwrap();
        assert_eq!(sent(&done), "hi");
    }
}

#[test]
fn what_comes_confirms_what_was_sent_before_and_what_was_not_accepted_was_not_sent() {
    let (mut connection, _) = writing(Framing::Raw, [Err(ErrorKind::BrokenPipe)]);
    connection.send(b"hi", true).unwrap_err();
    assert_eq!(connection.sent(), Sent::Nothing);
    connection.send(b"hi", true).unwrap();
    assert_eq!(connection.sent(), Sent::Unconfirmed);
    let mut connection = polled(Framing::Line, [bytes("a\nb\n")]);
    connection.send(b"hi", true).unwrap();
    assert_eq!(part(&mut connection), whole("a"));
    assert_eq!(connection.sent(), Sent::Confirmed);
    // It was read before.
    connection.send(b"ho", true).unwrap();
    assert_eq!(part(&mut connection), whole("b"));
    assert_eq!(connection.sent(), Sent::Unconfirmed);
}

#[test]
fn what_comes_before_all_is_accepted_confirms_nothing() {
    let steps = [bytes("early\n"), bytes("late\n")];
    let mut connection = polled(Framing::Line, steps);
    let takes = &mut connection.stream_mut().takes;
    takes.push_back(Err(ErrorKind::WouldBlock));
    connection.send(b"hi", true).unwrap();
    assert_eq!(part(&mut connection), whole("early"));
    assert_eq!(connection.sent(), Sent::Unconfirmed);
    connection.flush().unwrap();
    connection.set_ready(false);
    assert_eq!(part(&mut connection), whole("late"));
    assert_eq!(connection.sent(), Sent::Confirmed);
}

#[test]
fn an_answer_ends_a_long_message() {
    let long = "x".repeat(RAW_SHORT);
    let mut connection = polled(Framing::Raw, [bytes(&long), bytes("y")]);
    assert_eq!(part(&mut connection), (long, true, false));
    connection.send(b"hi", true).unwrap();
    connection.set_ready(false);
    assert_eq!(part(&mut connection), whole("y"));
}

#[test]
fn when_our_side_is_closed_the_peer_is_still_listened_to() {
    let reads = [bytes("a\n"), Step::Wait, bytes("b"), Step::Wait];
    let mut connection = polled(Framing::Line, reads);
    pass(&mut connection, UNENDED);
    connection.close().unwrap();
    assert_eq!(part(&mut connection), whole("a"));
    connection.set_ready(false);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    let deadline = connection.deadline().unwrap();
    assert!(deadline > Instant::now() && deadline <= Instant::now() + LINGER);
    connection.set_ready(false);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    pass(&mut connection, LINGER);
    assert_eq!(part(&mut connection), whole("b"));
    assert_eq!(connection.advance().unwrap(), Progress::Closed);

    let mut connection = blocking(Framing::Line, [bytes("a\n"), bytes("b"), Step::Wait]);
    let done = Rc::clone(&connection.stream().done);
    connection.close().unwrap();
    assert_eq!(part(&mut connection), whole("a"));
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    assert_eq!(part(&mut connection), whole("b"));
    assert_eq!(connection.advance().unwrap(), Progress::Closed);
    assert_eq!(done.borrow().timeouts, [Some(LINGER)]);
}

#[test]
fn a_line_that_does_not_end_has_time_when_our_side_is_closed() {
    let mut connection = polled(Framing::Line, [bytes("half")]);
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    pass(&mut connection, UNENDED);
    connection.close().unwrap();
    assert!(connection.deadline().unwrap() > Instant::now());
}

#[test]
fn a_long_message_is_received_to_its_end_when_our_side_is_closed() {
    let long = "x".repeat(RAW_SHORT);
    for connect in [polled, blocking] {
        let mut connection = connect(Framing::Raw, [bytes(&long), bytes("y")]);
        connection.close().unwrap();
        assert_eq!(messages(&mut connection), [format!("{long}y").as_bytes()]);
    }
}

#[test]
fn our_side_is_closed_once() {
    let (mut connection, done) = writing(Framing::Raw, []);
    connection.close().unwrap();
    drop(connection);
    assert_eq!(done.borrow().closes, 1);
    let (connection, done) = writing(Framing::Raw, []);
    drop(connection);
    assert_eq!(done.borrow().closes, 1);
}

#[test]
fn a_panic_closes_nothing() {
    let (connection, done) = writing(Framing::Raw, []);
    let ended = panic::catch_unwind(AssertUnwindSafe(|| {
        let _connection = connection;
        // Without the message of a panic, which would be taken for one of the test's.
        panic::resume_unwind(Box::new("so it is to be"));
    }));
    assert!(ended.is_err());
    assert_eq!(done.borrow().closes, 0);
}

#[test]
fn what_waits_can_be_changed() {
    let mut connection = polled(Framing::Line, [bytes("half"), Step::Wait, bytes("\n")]);
    let done = Rc::clone(&connection.stream().done);
    assert!(!connection.set_blocking(false).unwrap());
    assert!(connection.set_blocking(true).unwrap());
    assert!(!connection.set_blocking(true).unwrap());
    assert!(!connection.can_read() && connection.deadline().is_none());
    assert_eq!(connection.advance().unwrap(), Progress::Pending);
    assert_eq!(connection.advance().unwrap(), Progress::Stalled);
    // What does not wait has no timeout either.
    assert!(connection.set_blocking(false).unwrap());
    assert_eq!(done.borrow().timeouts, [Some(UNENDED), None]);
    assert!(connection.can_read());
    assert_eq!(part(&mut connection), whole("half"));
    connection.stream_mut().is_broken = true;
    assert!(connection.set_blocking(true).is_err());
}

#[test]
fn nothing_is_read_after_it_is_abandoned() {
    let reads = [bytes("a\nb"), Step::Wait, bytes("unread")];
    let mut connection = polled(Framing::Line, reads);
    connection.read_ahead().unwrap();
    connection.abandon();
    connection.set_ready(false);
    assert!(!connection.can_read() && connection.deadline().is_none());
    assert_eq!(messages(&mut connection), [b"a", b"b"]);
}

#[test]
fn nothing_is_left_of_a_message_that_is_discarded() {
    for framing in [Framing::Raw, Framing::Line, Framing::Nul, Framing::Json] {
        let long = "x".repeat(framing.limit());
        let mut connection = polled(framing, [bytes(&long), bytes("rest"), Step::Wait]);
        while connection.advance().unwrap() == Progress::Pending {}
        assert!(!connection.part(false).unwrap().last);
        // The rest is looked at.
        connection.advance().unwrap();
        connection.discard();
        assert_eq!(connection.advance().unwrap(), Progress::Closed);
        assert!(!connection.has_unread() && connection.unended().is_none());
    }
}

#[test]
fn a_name_comes_with_its_message() {
    let json = "{\"name\":\"anna\",\"text\":\"hi\"}\n{\"text\":\"ho\"}\nodd\n\
        {\"name\":\" \u{3000}\",\"text\":\"hu\"}\n";
    let mut connection = polled(Framing::Json, [bytes(json), Step::End]);
    for (name, text, odd) in [
        (Some("anna"), "hi", false),
        (None, "ho", false),
        (None, "odd", true),
        (None, "hu", false),
    ] {
        assert_eq!(connection.advance().unwrap(), Progress::Part);
        let part = connection.part(false).unwrap();
        assert_eq!(part.name(), name.map(|name| Untrusted(name.as_bytes())));
        assert_eq!(part.text(), Untrusted(text.as_bytes()));
        assert_eq!(part.oddity.is_some(), odd);
    }
    assert_eq!(connection.part(false), None);
}

#[test]
fn a_long_message_takes_no_memory_when_it_has_ended() {
    let long = format!("{{\"text\":\"{}\"}}\n", "x".repeat(1_000_000));
    for is_ours in [false, true] {
        let script = Script {
            reads: [bytes(&long)].into(),
            ..Script::default()
        };
        let mut connection = Connection::new(script, &wire(Framing::Json), true);
        while connection.advance().unwrap() != Progress::Part {}
        assert!(connection.buffer.len() > 1_000_000);
        let part = connection.part(false).unwrap();
        assert_eq!(part.text().bytes().len(), 1_000_000);
        if is_ours {
            connection.read_ahead().unwrap();
        } else {
            assert!(!connection.has_next());
        }
        assert_eq!(connection.buffer.capacity(), SMALL);
    }
}
