//! The conversation on stdout, the notices on stderr.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IoSlice, IsTerminal as _, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};

use anstyle::Style;
use unicode_segmentation::UnicodeSegmentation as _;

use super::Options;
use super::screen::{columns, width};
use crate::connection::Part;
use crate::event::{Event, Peer};
use crate::explain::Log;
use crate::reason::reason;
use crate::transcript::Transcript;
use crate::wrap::wrap;

/// Where every event is printed.
#[derive(Debug)]
pub(super) struct Output {
    /// Our own handle, since that of std would cut what we write into lines.
    stdout: File,
    /// stdout is a terminal, which a peer must not be able to drive.
    screen: bool,
    label: Style,
    quiet: bool,
    line: Line,
    /// Whose message was printed last.
    speaker: Option<Peer>,
    /// What is being printed, kept for its memory.
    text: String,
    /// The same for a program.
    bytes: Vec<u8>,
    /// The label that was printed last, and whose it is, to be printed again.
    label_of: Option<(Peer, String)>,
    log: Log,
    transcript: Option<Transcript>,
    /// For the calls that are told.
    dim: Style,
}

/// Where on its line the conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// At the start of a line that continues something.
    Start,
    /// Behind so many columns.
    Within(usize),
}

/// So many bytes are sooner copied behind their label than written from where they stand
/// (measured: writev(2) of three pieces costs more than this copy).
const COPIED: usize = 4096;

/// What stands before the second and later lines of a message, so that none of them can
/// pass for a message of its own or for a notice.
const INDENT: &str = "    ";

impl Output {
    pub(super) fn open(options: &Options, transcript: Option<Transcript>) -> io::Result<Self> {
        let stdout = io::stdout();
        let screen = stdout.is_terminal();
        Ok(Self {
            stdout: stdout.as_fd().try_clone_to_owned()?.into(),
            screen,
            label: options.style(Style::new().bold(), screen),
            quiet: options.quiet,
            line: Line::Start,
            speaker: None,
            text: String::new(),
            bytes: Vec::new(),
            label_of: None,
            log: options.log.clone(),
            transcript,
            dim: options.style(Style::new().dimmed(), io::stderr().is_terminal()),
        })
    }

    /// Whether select(2) takes the descriptors that come behind our own, with room to spare.
    pub(super) fn is_below_select(&self) -> bool {
        const MOST: i32 = 1024 - 64;
        self.stdout.as_raw_fd() < MOST
    }

    /// Whether notices and labels are not wanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether there are calls to be told.
    pub(super) fn has_calls(&self) -> bool {
        !self.log.is_empty()
    }

    /// Prints the calls that were noted since they were printed last.
    pub(super) fn explain(&mut self) -> io::Result<()> {
        for noted in self.log.take() {
            self.tell(&Event::Called(&noted))?;
        }
        Ok(())
    }

    /// Prints an event where it belongs, behind the calls that have led to it. Fails only
    /// where stdout does: a notice that nobody can read is no reason to end a conversation.
    pub(super) fn show(&mut self, event: &Event<'_>) -> io::Result<()> {
        // The calls that bring the rest of a message are told when it has ended.
        let rest = match event {
            Event::Received(_, part) | Event::Late(_, part) => !part.first,
            _ => false,
        };
        if !rest || self.line == Line::Start {
            self.explain()?;
        }
        self.tell(event)
    }

    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Some(transcript) = &mut self.transcript
            && let Err(error) = transcript.record(event)
            && let Some(transcript) = self.transcript.take()
        {
            self.print(&Event::NoTranscript {
                path: transcript.path(),
                reason: reason(&error),
            })?;
        }
        self.print(event)
    }

    fn print(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            // The user has seen it, or will when the program has ended.
            Event::Sent { .. }
            | Event::Closed { goes_on: false, .. }
            | Event::Failed(_)
            | Event::Ended => Ok(()),
            Event::Called(_) => {
                self.end_line()?;
                let (dim, event) = (self.dim, event.to_string());
                let rows = if io::stderr().is_terminal() {
                    wrap(&event, columns(&self.stdout).saturating_sub(INDENT.len()))
                } else {
                    vec![event]
                };
                // All but the first row of a call are indented, as those of a message are.
                let rows = rows.join(&format!("\n{INDENT}"));
                let _ = writeln!(io::stderr(), "{dim}{rows}{dim:#}");
                Ok(())
            }
            Event::Received(peer, part) => {
                self.text.clear();
                // What another has said in the middle of it has taken the line.
                if part.first || self.speaker != Some(*peer) {
                    self.speaker = Some(*peer);
                    // One that was cut off in our own turn has not ended its line.
                    self.end_line()?;
                    self.line = Line::Within(0);
                    if !self.quiet {
                        self.label(event);
                    }
                }
                self.show_part(part)
            }
            Event::Late(peer, part) => {
                self.text.clear();
                if let (Peer::Numbered(_), false) = (peer, self.quiet) {
                    self.end_line()?;
                    self.label(event);
                }
                self.show_part(part)
            }
            notice => {
                self.end_line()?;
                if !self.quiet {
                    let _ = writeln!(io::stderr(), "{notice}");
                }
                Ok(())
            }
        }
    }

    /// Begins what is printed with the label of a message, which is the same every time when
    /// the message does not say whom it is from.
    fn label(&mut self, event: &Event<'_>) {
        if let (Event::Received(peer, part), Some((whose, label))) = (event, &self.label_of)
            && peer == whose
            && part.name().is_none()
            && !self.screen
        {
            self.text.push_str(label);
            return;
        }
        if self.screen {
            let columns: usize = event.to_string().graphemes(true).map(width).sum();
            self.line = Line::Within(columns + 1);
        }
        let style = self.label;
        // A String takes all.
        let _ = write!(self.text, "{style}{event}{style:#} ");
        if let Event::Received(peer, part) = event
            && part.name().is_none()
        {
            self.label_of = Some((*peer, self.text.clone()));
        }
    }

    fn show_part(&mut self, part: &Part<'_>) -> io::Result<()> {
        if self.screen {
            self.show_on_screen(part)
        } else {
            self.pass_through(part)
        }
    }

    /// Prints a part for a terminal: harmless, and with all rows but the first indented,
    /// those too that the terminal would make by itself at its edge.
    fn show_on_screen(&mut self, part: &Part<'_>) -> io::Result<()> {
        let columns = columns(&self.stdout);
        for grapheme in part.text().visible().graphemes(true) {
            if grapheme == "\n" {
                self.text.push('\n');
                self.line = Line::Start;
                continue;
            }
            let width = width(grapheme);
            let column = match self.line {
                Line::Within(column) if column + width <= columns => column,
                line => {
                    if line != Line::Start {
                        self.text.push('\n');
                    }
                    self.text.push_str(INDENT);
                    INDENT.len()
                }
            };
            self.text.push_str(grapheme);
            self.line = Line::Within(column + width);
        }
        self.stdout.write_all(self.text.as_bytes())?;
        if part.last {
            self.end_line()?;
        }
        Ok(())
    }

    /// Prints a part for a program: its very bytes, in one write with what goes round them.
    fn pass_through(&mut self, part: &Part<'_>) -> io::Result<()> {
        let text = part.text();
        let bytes = text.bytes();
        let within = match bytes.last() {
            Some(byte) => *byte != b'\n',
            None => self.line != Line::Start,
        };
        // The newline of the message's own, which nc sends, is not doubled.
        let ending = if part.last && within { "\n" } else { "" };
        self.line = if within && !part.last {
            Line::Within(0)
        } else {
            Line::Start
        };
        if bytes.len() <= COPIED {
            self.bytes.clear();
            self.bytes.extend_from_slice(self.text.as_bytes());
            self.bytes.extend_from_slice(bytes);
            self.bytes.extend_from_slice(ending.as_bytes());
            // An empty write would be one too many.
            return match &self.bytes[..] {
                [] => Ok(()),
                bytes => self.stdout.write_all(bytes),
            };
        }
        let mut slices = [
            IoSlice::new(self.text.as_bytes()),
            IoSlice::new(bytes),
            IoSlice::new(ending.as_bytes()),
        ];
        let mut slices = &mut slices[..];
        // An empty write would fail as if nothing could be written.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.stdout.write_vectored(slices) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => IoSlice::advance_slices(&mut slices, count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Makes room for a prompt, which would wipe a line that is not ended.
    pub(super) fn make_room(&mut self) -> io::Result<()> {
        if self.screen { self.end_line() } else { Ok(()) }
    }

    /// Ends the line of a message that goes on, so that what follows starts its own.
    fn end_line(&mut self) -> io::Result<()> {
        if self.line != Line::Start {
            self.line = Line::Start;
            self.stdout.write_all(b"\n")?;
        }
        Ok(())
    }
}
