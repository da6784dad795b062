//! Lines from files, and from chunks that come as they are told to.

use std::fs::OpenOptions;
use std::io::{Seek as _, Write as _};
use std::time::Duration;

use mio::{Events, Poll, Token};
use proptest::prelude::*;

use super::*;

/// The lines of `input`, read by a thread, and what waits for it.
fn reading(input: File, typed: bool) -> (Lines, Poll) {
    let poll = Poll::new().unwrap();
    let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
    let (sender, chunks) = mpsc::sync_channel(1);
    let idle = Some(Reader {
        input,
        typed,
        waker,
        chunks: sender,
        reads: Arc::default(),
    });
    let source = Source::Thread { chunks, idle };
    (Lines::read(source, typed, Arc::default()), poll)
}

/// The lines of `input`, read as a file on a disk.
fn on_disk(input: File) -> Lines {
    let poll = Poll::new().unwrap();
    let waker = Waker::new(poll.registry(), Token(0)).unwrap();
    let lines = Lines::new(input, false, Arc::new(waker));
    assert!(matches!(lines.source, Source::Disk(_)));
    lines
}

fn file(text: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(text).unwrap();
    file.rewind().unwrap();
    file
}

/// The lines of what the thread would have read in these chunks.
fn chunked<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> (Lines, Feed) {
    let (feed, chunks_of_thread) = mpsc::sync_channel(100);
    for chunk in chunks {
        feed.send(Ok(chunk.to_vec())).unwrap();
    }
    let source = Source::Thread {
        chunks: chunks_of_thread,
        idle: None,
    };
    (Lines::read(source, true, Arc::default()), feed)
}

/// What the thread would send into; the input ends when it is dropped.
type Feed = SyncSender<Chunk>;

/// The next line, or part of one, as text.
fn next(lines: &mut Lines) -> Option<(String, bool)> {
    let (text, last) = lines.next().unwrap()?;
    Some((String::from_utf8(text.to_vec()).unwrap(), last))
}

fn line(text: &str) -> (String, bool) {
    (text.to_owned(), true)
}

/// Every line, and the most parts that one came in.
fn all(lines: &mut Lines) -> (Vec<Vec<u8>>, usize) {
    let (mut found, mut line, mut parts, mut most) = (Vec::new(), Vec::new(), 0, 0);
    while let Some((text, last)) = lines.next().unwrap() {
        line.extend_from_slice(text);
        parts += 1;
        if last {
            found.push(std::mem::take(&mut line));
            most = most.max(parts);
            parts = 0;
        }
    }
    assert!(line.is_empty(), "a line did not end");
    (found, most)
}

fn lines_of(text: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let lines = all(&mut reading(file(text), false).0);
    assert!(lines == all(&mut on_disk(file(text))));
    lines
}

#[test]
fn a_last_line_needs_no_newline() {
    assert_eq!(lines_of(b"a\nb").0, [b"a", b"b"]);
    assert_eq!(lines_of(b"a\nb\n").0, [b"a", b"b"]);
    assert_eq!(lines_of(b"").0, Vec::<Vec<u8>>::new());
    assert_eq!(lines_of(b"\n").0, [b""]);
}

#[test]
fn the_end_stays_the_end() {
    let (mut lines, _poll) = reading(file(b"a"), false);
    assert_eq!(next(&mut lines), Some(line("a")));
    for _ in 0..2 {
        assert!(lines.is_ready());
        assert_eq!(next(&mut lines), None);
    }
}

#[test]
fn a_line_that_fits_comes_in_one_part() {
    let line = vec![b'x'; BUFFER - 1];
    let text = [&line[..], b"\n", &line[..], b"\n"].concat();
    let (found, parts) = lines_of(&text);
    assert!(found == [line.clone(), line]);
    assert_eq!(parts, 1);
}

#[test]
fn a_line_longer_than_the_buffer_comes_in_parts() {
    for length in [BUFFER, 3 * BUFFER, 3 * BUFFER + 1] {
        for end in ["\nnext\n", "\nnext", "\n", ""] {
            let line = vec![b'x'; length];
            let (found, parts) = lines_of(&[&line[..], end.as_bytes()].concat());
            let next: &[Vec<u8>] = if end.len() > 1 {
                &[b"next".into()]
            } else {
                &[]
            };
            assert!(found[0] == line && &found[1..] == next, "{length} {end:?}");
            assert!(parts >= length / BUFFER, "{length} {end:?}");
        }
    }
}

#[test]
fn nothing_is_given_out_before_the_line_has_ended() {
    let (mut lines, feed) = chunked([]);
    for chunk in ["", "a", "b"] {
        if !chunk.is_empty() {
            feed.send(Ok(chunk.into())).unwrap();
        }
        assert!(!lines.is_ready());
    }
    feed.send(Ok(b"c\nd".into())).unwrap();
    assert!(lines.is_ready());
    assert_eq!(next(&mut lines), Some(line("abc")));
    assert!(!lines.is_ready());
    drop(feed);
    assert!(lines.is_ready());
    assert_eq!(next(&mut lines), Some(line("d")));
    assert_eq!(next(&mut lines), None);
}

#[test]
fn the_waker_tells_that_lines_have_come() {
    let (mut lines, mut poll) = reading(file(b"a\n"), false);
    // A waker that is dropped takes back that it was called.
    let _waker = match &lines.source {
        Source::Thread {
            idle: Some(reader), ..
        } => Arc::clone(&reader.waker),
        source => panic!("{source:?}"),
    };
    let mut events = Events::with_capacity(1);
    // Nothing is read before it is wanted.
    poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
    assert!(events.is_empty());
    while !lines.is_ready() {
        poll.poll(&mut events, Some(Duration::from_mins(1)))
            .unwrap();
        assert!(!events.is_empty());
    }
    assert_eq!(next(&mut lines), Some(line("a")));
}

#[test]
fn what_came_before_an_error_is_given_out() {
    let (mut lines, feed) = chunked([&b"a\nb"[..]]);
    feed.send(Err(io::ErrorKind::PermissionDenied.into()))
        .unwrap();
    assert_eq!(next(&mut lines), Some(line("a")));
    assert_eq!(next(&mut lines), Some(line("b")));
    let error = lines.next().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(next(&mut lines), None);
}

#[test]
fn an_input_that_cannot_be_read_is_an_error() {
    let path = tempfile::NamedTempFile::new().unwrap();
    let input = OpenOptions::new().write(true).open(&path).unwrap();
    let (mut lines, _poll) = reading(input.try_clone().unwrap(), false);
    assert!(lines.next().is_err());
    assert!(on_disk(input).next().is_err());
}

#[test]
fn a_file_on_a_disk_is_read_without_waiting() {
    let mut lines = on_disk(file(b"a\nb"));
    for text in ["a", "b"] {
        assert!(lines.is_ready());
        assert_eq!(next(&mut lines), Some(line(text)));
    }
    assert!(lines.is_ready());
    assert_eq!(next(&mut lines), None);
}

#[test]
fn the_rest_of_a_file_on_a_disk_is_counted() {
    let mut lines = on_disk(file(&[&b"a\n"[..], &b"b\n".repeat(BUFFER), b"c"].concat()));
    assert_eq!(next(&mut lines), Some(line("a")));
    let rest = Unsent {
        lines: BUFFER + 1,
        more: false,
    };
    assert_eq!(lines.count_rest(), rest);
}

#[test]
fn a_line_that_is_put_back_is_given_out_again() {
    let (mut lines, _) = chunked([&b"a\nb\n"[..]]);
    assert!(!lines.put_back());
    for text in ["a", "b"] {
        for _ in 0..2 {
            assert_eq!(next(&mut lines), Some(line(text)));
            assert!(lines.put_back() && lines.put_back());
            assert!(lines.is_ready());
        }
        assert_eq!(next(&mut lines), Some(line(text)));
    }
    assert_eq!(next(&mut lines), None);
}

#[test]
fn a_last_line_without_a_newline_is_put_back_too() {
    let (mut lines, _) = chunked([&b"a"[..]]);
    assert_eq!(next(&mut lines), Some(line("a")));
    assert!(lines.put_back());
    assert_eq!(next(&mut lines), Some(line("a")));
    assert_eq!(next(&mut lines), None);
}

#[test]
fn a_line_is_put_back_until_the_next_is_given_out() {
    let (mut lines, feed) = chunked([&b"a\n"[..]]);
    assert_eq!(next(&mut lines), Some(line("a")));
    // That nothing has come takes nothing away.
    assert!(!lines.is_ready());
    assert!(lines.put_back());
    assert_eq!(next(&mut lines), Some(line("a")));
    feed.send(Ok(b"b\n".into())).unwrap();
    assert!(lines.is_ready());
    assert!(lines.put_back());
    assert_eq!(next(&mut lines), Some(line("a")));
    assert_eq!(next(&mut lines), Some(line("b")));
}

#[test]
fn a_part_of_a_line_cannot_be_put_back() {
    let long = vec![b'x'; BUFFER];
    let (mut lines, _) = chunked([&long[..], b"y\nz\n"]);
    for last in [false, true] {
        assert_eq!(lines.next().unwrap().unwrap().1, last);
        assert!(!lines.put_back());
    }
    // It is counted with what follows.
    assert_eq!(lines.count_rest().lines, 2);

    // A line of which a part was given out is counted before its end has come.
    let (mut lines, feed) = chunked([&long[..]]);
    assert!(!lines.next().unwrap().unwrap().1);
    assert_eq!(lines.count_rest().lines, 1);
    drop(feed);

    let (mut lines, _) = chunked([&long[..], b"y\nz\n"]);
    assert!(!lines.next().unwrap().unwrap().1);
    assert!(!lines.put_back());
    assert_eq!(lines.count_rest().lines, 2);
}

#[test]
fn what_keys_send_is_left_out() {
    for (typed, text) in [
        ("plain\ttext\n", "plain\ttext\n"),
        ("gr\u{fc}ezi \u{1f468}\n", "gr\u{fc}ezi \u{1f468}\n"),
        ("a\x1b[Ab\x1b[1;5Cc\x1b[3~d\n", "abcd\n"),
        ("a\x1bOPb\x1bOAc\n", "abc\n"),
        ("a\x1bbc\n", "ac\n"),
        ("a\x1b\x1b[Ab\n", "ab\n"),
        ("a\x01\x08\x0c\x7f\0b\r\n", "ab\n"),
        // What belongs to no sequence is kept.
        ("a\x1b\n", "a\n"),
        ("a\x1b[\n", "a\n"),
        ("a\x1b[1;\nb\n", "a\nb\n"),
        ("a\x1bO\n", "a\n"),
        (
            "a\x1b\u{fc}\x1b[\u{fc}\x1bO\u{fc}\n",
            "a\u{fc}\u{fc}\u{fc}\n",
        ),
        ("a\x1b", "a"),
        ("\x1b[", ""),
    ] {
        let found = without_keys(typed.as_bytes());
        assert_eq!(String::from_utf8(found).unwrap(), text, "{typed:?}");
    }
}

#[test]
fn keys_alone_are_not_the_end() {
    // The first read brings nothing but keys.
    let keys = vec![b'\x1b'; BUFFER];
    let typed = [&keys[..], b"a\x1b[A\n"].concat();
    let (mut lines, _poll) = reading(file(&typed), true);
    assert_eq!(next(&mut lines), Some(line("a")));
    assert_eq!(next(&mut lines), None);
}

#[test]
fn a_key_that_ends_the_input_is_the_end_also_as_a_byte() {
    for (typed, before) in [
        ("\x04", Some("")),
        ("\0", Some("")),
        ("a\nb\n\x04", Some("a\nb\n")),
        ("a\x04", None),
        ("\x04\x04", Some("")),
        ("a\n\x04\nb\n", Some("a\n")),
        ("\0a\n", None),
        ("a\x04\n", None),
        ("a\n", None),
        ("", None),
    ] {
        assert_eq!(
            before_end(typed.as_bytes()),
            before.map(str::as_bytes),
            "{typed:?}"
        );
    }
    let (mut lines, _poll) = reading(file(b"a\n\x04"), true);
    assert_eq!(next(&mut lines), Some(line("a")));
    assert_eq!(next(&mut lines), None);
}

#[test]
fn keys_are_text_where_nobody_types() {
    let (mut lines, _poll) = reading(file(b"\x1b[A\x07\n"), false);
    assert_eq!(next(&mut lines), Some(line("\x1b[A\x07")));
}

proptest! {
    #[test]
    fn every_split_gives_the_same_lines(text in "[a\\n]{0,40}", size in 1_usize..50) {
        let mut expected: Vec<_> = text.split('\n').map(|l| l.as_bytes().to_vec()).collect();
        if expected.last().is_some_and(Vec::is_empty) {
            expected.pop();
        }
        let (mut lines, _) = chunked(text.as_bytes().chunks(size));
        prop_assert_eq!(all(&mut lines).0, expected);
    }

    #[test]
    fn what_is_put_back_comes_once_more(
        text in "[a\\n]{0,40}",
        size in 1_usize..9,
        put_back in prop::collection::vec(any::<bool>(), 41),
    ) {
        let (mut lines, _) = chunked(text.as_bytes().chunks(size));
        let mut found = Vec::new();
        while let Some((line, last)) = next(&mut lines) {
            if put_back[found.len()] {
                prop_assert!(lines.put_back());
                prop_assert_eq!(next(&mut lines), Some((line.clone(), last)));
            }
            found.push(line.into_bytes());
        }
        prop_assert_eq!(found, lines_of(text.as_bytes()).0);
    }

    #[test]
    fn text_without_control_characters_is_untouched(text in "[^\\x00-\\x1f\\x7f]{0,40}") {
        prop_assert_eq!(without_keys(text.as_bytes()), text.as_bytes());
    }
}

#[test]
fn the_end_of_what_is_typed_is_told_once_also_where_no_line_is_wanted() {
    let (mut lines, feed) = chunked([&b"a\n"[..]]);
    assert!(!lines.is_at_end());
    drop(feed);
    // The line comes first.
    assert!(!lines.is_at_end());
    assert_eq!(next(&mut lines), Some(line("a")));
    assert!(lines.is_at_end() && lines.is_at_end());
    assert_eq!(next(&mut lines), None);
    assert!(!lines.is_at_end());
    // Looking for it takes nothing of what may have to be put back.
    let (mut lines, feed) = chunked([&b"a\n"[..]]);
    assert_eq!(next(&mut lines), Some(line("a")));
    feed.send(Ok(b"b\nc\n".into())).unwrap();
    drop(feed);
    assert!(!lines.is_at_end() && lines.put_back());
    for expected in ["a", "b", "c"] {
        assert_eq!(next(&mut lines), Some(line(expected)));
    }
    assert!(lines.is_at_end());
    let (mut lines, _poll) = reading(file(b""), false);
    assert!(!lines.is_at_end());
}

#[test]
fn what_is_entered_ahead_is_taken_and_what_is_begun_is_the_beginning_of_the_next_line() {
    let (mut lines, feed) = chunked([&b"a\nb\nc\n"[..]]);
    assert_eq!(next(&mut lines), Some(line("a")));
    feed.send(Ok(b"d\nhalf".into())).unwrap();
    assert_eq!(lines.take_ahead(), "b\nc\nd\n");
    assert!(lines.is_begun() && !lines.is_ready());
    feed.send(Ok(b" a line\n".into())).unwrap();
    assert_eq!(next(&mut lines), Some(line("half a line")));
    assert!(!lines.is_begun());
    // A message without a reply comes first.
    assert!(lines.put_back());
    feed.send(Ok(b"more".into())).unwrap();
    assert_eq!(lines.take_ahead(), "half a line\n");
    assert_eq!(lines.take_all(), "more");
    assert_eq!(lines.take_ahead() + &lines.take_all(), "");
}
