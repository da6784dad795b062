//! Plain lines in, plain lines out: a pipe, a file, or a terminal that cannot draw.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::Range;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Instant;

use memchr::memchr;
use nix::poll::{PollFd, PollFlags};

use super::interrupt::exit_on_signals;
use super::output::Output;
use super::{Answer, Console, Wait};
use crate::event::{Awaited, Event, Failure, Peer, Prompt};
use crate::watch::{PollFds, Watched, has_hung_up, is_ready, poll_until};

/// What is read from stdin at once, in bytes; a longer line is sent in parts.
const BUFFER: usize = 64 * 1024;

/// The console of a pipe: one line in is one message.
#[derive(Debug)]
pub(super) struct Pipe {
    lines: Lines<File>,
    output: Output,
    /// Somebody types at stdin, and so wants a prompt.
    typed: bool,
    /// The prompt stands on the screen, with nothing behind it that we wrote.
    prompting: bool,
    /// The user was asked, and has not answered.
    asked: bool,
}

impl Pipe {
    pub(super) fn open(output: Output) -> io::Result<Self> {
        exit_on_signals()?;
        let stdin = io::stdin();
        Ok(Self {
            lines: Lines::new(stdin.as_fd().try_clone_to_owned()?.into()),
            output,
            typed: stdin.is_terminal(),
            prompting: false,
            asked: false,
        })
    }

    /// Ends the row of the prompt, if it stands there.
    fn end_prompt(&mut self) {
        if std::mem::take(&mut self.prompting) {
            write_on_terminal("\n");
        }
    }
}

/// Writes what is for a terminal alone, and never worth an error.
fn write_on_terminal(text: &str) {
    let _ = if io::stdout().is_terminal() {
        let mut stdout = io::stdout();
        stdout
            .write_all(text.as_bytes())
            .and_then(|()| stdout.flush())
    } else if io::stderr().is_terminal() {
        io::stderr().write_all(text.as_bytes())
    } else {
        Ok(())
    };
}

impl Console for Pipe {
    fn wait(&mut self, _: Awaited, _: &mut dyn Watched) -> Result<Wait, Failure> {
        self.explain()?;
        Ok(Wait::Incoming)
    }

    fn ask(&mut self, prompt: &Prompt, watched: &mut dyn Watched) -> Result<Answer<'_>, Failure> {
        self.explain()?;
        if self.typed && !self.prompting {
            self.prompting = true;
            write_on_terminal(&prompt.to_string());
        }
        self.asked = true;
        // What is buffered is given out without a system call; before stdin is waited
        // on, the peer is looked after, so that its leaving is noticed.
        while !self.lines.is_ready() {
            let news = is_news_first(watched, self.lines.input.as_fd()).map_err(Failure::Input)?;
            if news || self.output.has_calls() {
                return Ok(Answer::Incoming);
            }
            self.lines.fill().map_err(Failure::Input)?;
        }
        self.prompting = false;
        self.asked = false;
        Ok(match self.lines.next() {
            Some((text, last)) => Answer::Text { text, last },
            None => Answer::EndOfInput,
        })
    }

    fn put_back(&mut self) -> bool {
        self.lines.put_back()
    }

    fn answers_blindly(&self) -> bool {
        true
    }

    fn unsent(&mut self, over: bool) -> Result<Option<String>, Failure> {
        let half_typed = over && self.typed && self.asked;
        if self.lines.back != Back::Was && !half_typed {
            return Ok(None);
        }
        // The half-typed line is the terminal's until Enter; left there, it would be the
        // shell's next command.
        while !self.lines.is_ready() {
            self.lines.fill().map_err(Failure::Input)?;
        }
        let text = self
            .lines
            .next()
            .map(|(text, _)| String::from_utf8_lossy(text));
        Ok(text.filter(|text| !text.is_empty()).map(Into::into))
    }

    fn sent(&mut self, peer: Peer) -> Result<(), Failure> {
        let sent = Event::Sent {
            peer,
            text: &self.lines.buffer[self.lines.given.clone()],
            last: !self.lines.begun,
        };
        self.output.show(&sent).map_err(Failure::Output)
    }

    fn explain(&mut self) -> Result<(), Failure> {
        if self.output.has_calls() {
            self.end_prompt();
        }
        self.output.explain().map_err(Failure::Output)
    }

    fn show(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        self.end_prompt();
        self.output.show(event).map_err(Failure::Output)
    }
}

/// Waits until there is news of `watched`, or something to read from `input`, and returns
/// whether it was the former.
fn is_news_first(watched: &mut dyn Watched, input: BorrowedFd<'_>) -> io::Result<bool> {
    loop {
        let mut fds = PollFds::new();
        fds.push(PollFd::new(input, PollFlags::POLLIN));
        let due = watched.poll_on(&mut fds);
        poll_until(&mut fds, due)?;
        let input = is_ready(&fds[0]);
        // A peer that has only closed its side still reads an answer that is there.
        let news = fds[1..]
            .iter()
            .any(|fd| is_ready(fd) && !(input && has_hung_up(fd)));
        drop(fds);
        let overdue = due.is_some_and(|due| due <= Instant::now());
        if (news || overdue) && watched.attend() {
            return Ok(true);
        }
        if input {
            return Ok(false);
        }
    }
}

/// Cuts what is read into lines, through a fixed buffer.
#[derive(Debug)]
struct Lines<R> {
    input: R,
    buffer: Box<[u8]>,
    /// What was read and not given out yet is `buffer[start..end]`.
    start: usize,
    end: usize,
    /// The first so many bytes of that hold no newline.
    searched: usize,
    ended: bool,
    /// The current line was given out in part.
    begun: bool,
    /// What was given out last, and stands in the buffer until it is filled again.
    given: Range<usize>,
    back: Back,
}

/// Whether what was given out last can be put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Back {
    /// It is a part of a line, or nothing.
    Cannot,
    /// It is a whole line.
    Can,
    /// It was, and will be given out again.
    Was,
}

impl<R: io::Read> Lines<R> {
    fn new(input: R) -> Self {
        Self {
            input,
            buffer: vec![0; BUFFER].into_boxed_slice(),
            start: 0,
            end: 0,
            searched: 0,
            ended: false,
            begun: false,
            given: 0..0,
            back: Back::Cannot,
        }
    }

    /// Whether [`Self::next`] can answer without more being read.
    fn is_ready(&mut self) -> bool {
        self.ended || self.end - self.start == self.buffer.len() || self.newline().is_some()
    }

    /// Reads once. To be called only while not ready.
    fn fill(&mut self) -> io::Result<()> {
        self.given = 0..0;
        self.back = Back::Cannot;
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        loop {
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    self.ended = count == 0;
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The next line without its newline, or the next part of one that is longer than the
    /// buffer, and whether the line ends with it; `None` at the end of the input. To be
    /// called only when ready.
    fn next(&mut self) -> Option<(&[u8], bool)> {
        let start = self.start;
        let (end, last) = if let Some(newline) = self.newline() {
            self.start = newline + 1;
            (newline, true)
        } else if self.ended && start == self.end && !self.begun {
            return None;
        } else {
            self.start = self.end;
            (self.end, self.ended)
        };
        self.searched = 0;
        self.given = start..end;
        self.back = if last && !self.begun {
            Back::Can
        } else {
            Back::Cannot
        };
        self.begun = !last;
        Some((&self.buffer[start..end], last))
    }

    /// Takes the line that was given out last back, to be given out again; returns whether
    /// it still stands in the buffer.
    fn put_back(&mut self) -> bool {
        if self.back == Back::Can {
            self.start = self.given.start;
            self.searched = 0;
            self.back = Back::Was;
        }
        self.back == Back::Was
    }

    fn newline(&mut self) -> Option<usize> {
        let unread = &self.buffer[self.start..self.end];
        let found = memchr(b'\n', &unread[self.searched..]);
        if found.is_none() {
            self.searched = unread.len();
        }
        Some(self.start + self.searched + found?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives out at most `size` bytes a read.
    struct Dribble<'a>(&'a [u8], usize);

    impl io::Read for Dribble<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(buffer.len()).min(self.0.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    /// Every line, and the most parts that one came in.
    fn lines(input: &[u8], size: usize) -> (Vec<Vec<u8>>, usize) {
        let mut lines = Lines::new(Dribble(input, size));
        let (mut found, mut line, mut parts, mut most) = (Vec::new(), Vec::new(), 0, 0);
        loop {
            while !lines.is_ready() {
                lines.fill().unwrap();
            }
            let Some((text, last)) = lines.next() else {
                assert!(line.is_empty());
                return (found, most);
            };
            line.extend_from_slice(text);
            parts += 1;
            if last {
                found.push(std::mem::take(&mut line));
                most = most.max(parts);
                parts = 0;
            }
        }
    }

    #[test]
    fn a_last_line_needs_no_newline() {
        assert_eq!(lines(b"a\nb", 9).0, [b"a", b"b"]);
        assert_eq!(lines(b"a\nb\n", 9).0, [b"a", b"b"]);
        assert_eq!(lines(b"", 9).0, Vec::<Vec<u8>>::new());
        assert_eq!(lines(b"\n", 9).0, [b""]);
    }

    #[test]
    fn a_line_that_fits_comes_in_one_part() {
        let line = vec![b'x'; BUFFER - 1];
        let input = [&line[..], b"\n", &line[..], b"\n"].concat();
        assert_eq!(lines(&input, 1000), (vec![line.clone(), line], 1));
    }

    #[test]
    fn a_line_longer_than_the_buffer_comes_in_parts() {
        let line = vec![b'x'; 3 * BUFFER];
        let input = [&line[..], b"\nnext\n"].concat();
        let (found, parts) = lines(&input, 70_000);
        assert!(found == [line, b"next".to_vec()]);
        assert!(parts >= 3);
    }

    proptest! {
        #[test]
        fn every_split_gives_the_same_lines(input in "[a\\n]{0,40}", size in 1_usize..50) {
            let mut expected: Vec<_> = input.split('\n').map(|l| l.as_bytes().to_vec()).collect();
            if expected.last().is_some_and(Vec::is_empty) {
                expected.pop();
            }
            prop_assert_eq!(lines(input.as_bytes(), size).0, expected);
        }
    }
}
