//! The conversation on stdout, the notices on stderr.

use std::env;
use std::fs::File;
use std::io::{self, IoSlice, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;

use anstyle::Style;
use unicode_segmentation::UnicodeSegmentation as _;

use super::screen::{columns, width};
use super::{Options, is_dumb};
use crate::connection::Part;
use crate::event::Event;

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
}

/// Where on its line the conversation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    /// At the start of a line that continues something.
    Start,
    /// Behind so many columns.
    Within(usize),
}

/// What stands before the second and later lines of a message, so that none of them can
/// pass for a message of its own or for a notice.
const INDENT: &str = "    ";

impl Output {
    pub(super) fn open(options: &Options) -> io::Result<Self> {
        let stdout = io::stdout();
        let screen = stdout.is_terminal();
        let color = options
            .color
            .unwrap_or_else(|| screen && color_is_welcome());
        Ok(Self {
            stdout: stdout.as_fd().try_clone_to_owned()?.into(),
            screen,
            label: if color {
                Style::new().bold()
            } else {
                Style::new()
            },
            quiet: options.quiet,
            line: Line::Start,
        })
    }

    /// Whether notices and labels are not wanted.
    pub(super) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Prints an event where it belongs. Fails only where stdout does: a notice that
    /// nobody can read is no reason to end a conversation.
    pub(super) fn show(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Received(_, part) => {
                let mut label = String::new();
                if part.first {
                    // One that was cut off in our own turn has not ended its line.
                    self.end_line()?;
                    if !self.quiet {
                        label = event.to_string();
                    }
                    self.line = Line::Within(label.graphemes(true).map(width).sum());
                }
                self.show_part(&self.styled(&label), part)
            }
            Event::Late(part) => self.show_part("", part),
            notice => {
                self.end_line()?;
                if !self.quiet {
                    let _ = writeln!(io::stderr(), "{notice}");
                }
                Ok(())
            }
        }
    }

    fn styled(&self, label: &str) -> String {
        let style = self.label;
        match label.trim_end() {
            "" => String::new(),
            words => format!("{style}{words}{style:#}{}", &label[words.len()..]),
        }
    }

    fn show_part(&mut self, label: &str, part: &Part<'_>) -> io::Result<()> {
        if self.screen {
            self.show_on_screen(label, part)
        } else {
            self.pass_through(label, part)
        }
    }

    /// Prints a part for a terminal: harmless, and with all rows but the first indented,
    /// those too that the terminal would make by itself at its edge.
    fn show_on_screen(&mut self, label: &str, part: &Part<'_>) -> io::Result<()> {
        let columns = columns(&self.stdout);
        let mut text = label.to_owned();
        for grapheme in part.text().visible().graphemes(true) {
            if grapheme == "\n" {
                text.push('\n');
                self.line = Line::Start;
                continue;
            }
            let mut column = match self.line {
                Line::Start => None,
                Line::Within(column) if column + width(grapheme) > columns => {
                    text.push('\n');
                    None
                }
                Line::Within(column) => Some(column),
            };
            if column.is_none() {
                text.push_str(INDENT);
                column = Some(INDENT.len());
            }
            text.push_str(grapheme);
            self.line = Line::Within(column.unwrap_or_default() + width(grapheme));
        }
        self.stdout.write_all(text.as_bytes())?;
        if part.last {
            self.end_line()?;
        }
        Ok(())
    }

    /// Prints a part for a program: its very bytes, in one write with what goes round them.
    fn pass_through(&mut self, label: &str, part: &Part<'_>) -> io::Result<()> {
        let text = part.text();
        let bytes = text.bytes();
        let within = match bytes.last() {
            Some(byte) => *byte != b'\n',
            None => !label.is_empty() || self.line != Line::Start,
        };
        // The newline of the message's own, which nc sends, is not doubled.
        let ending = if part.last && within { "\n" } else { "" };
        self.line = if within && !part.last {
            Line::Within(0)
        } else {
            Line::Start
        };
        let mut slices = [
            IoSlice::new(label.as_bytes()),
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

/// Whether the environment has nothing against colour: `NO_COLOR` unset
/// (<https://no-color.org>), and no terminal that cannot show it.
pub(super) fn color_is_welcome() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb()
}
