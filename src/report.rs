//! Reports each event to the user, on the screen or to a pipe, and to the transcript.

mod pipe;
mod plain;
mod queue;
mod screen;

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;

use anstyle::Style;
use mio::Waker;
use time::{OffsetDateTime, UtcOffset};

use self::pipe::Pipe;
use self::plain::Plain;
use crate::event::{Event, Peer, Prompt};
use crate::explain::{Log, fold};
use crate::prompt::{BELL, SharedPrompt, is_dumb};
use crate::reason::reason;
use crate::sanitize::Untrusted;
use crate::sys;
use crate::transcript::Transcript;
use crate::wrap::{Rows, terminal_columns};

/// The user's choices about output.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether to print only messages, without labels and notices.
    pub quiet: bool,
    /// Whether messages have no boundaries: with `quiet`, a pipe gets the bytes that came alone.
    pub exact: bool,
    /// Whether to use colour; `None` to use it if a terminal shows it and `NO_COLOR` is not set.
    pub color: Option<bool>,
    /// How far the local time is from UTC, if messages are shown with the time of day.
    pub clock: Option<UtcOffset>,
    /// Whether to ring for messages, at a terminal.
    pub bell: bool,
    /// The log of the socket calls to report.
    pub log: Log,
}

impl Options {
    /// Returns `style`, or a plain style if colour is not to be used. `terminal` tells whether the
    /// text goes to a terminal.
    pub fn style(&self, style: Style, terminal: bool) -> Style {
        // A console of Windows has to be told that there will be colour.
        let can = anstyle_query::windows::enable_ansi_colors().unwrap_or(true) && !is_dumb();
        if self
            .color
            .unwrap_or(terminal && can && !anstyle_query::no_color())
        {
            style
        } else {
            Style::new()
        }
    }
}

/// Writes messages to stdout and notices to stderr.
pub struct Report {
    options: Options,
    stdout: Stdout,
    transcript: Option<Transcript>,
    label: Style,
    dim: Style,
    /// The sender of the message that was shown last.
    speaker: Option<Peer>,
    /// The prompt below everything that is shown.
    prompt: Option<SharedPrompt>,
    /// The plain prompt, if there has been one.
    plain: Option<Plain>,
}

/// What reads our stdout.
enum Stdout {
    /// A terminal, which a peer must not be able to control.
    Screen(Rows),
    /// A program.
    Pipe(Pipe),
}

impl Report {
    /// Creates a report as `options` ask for, which also writes `transcript`. Fails as
    /// [`sys::stdout`] does.
    pub fn open(options: Options, transcript: Option<Transcript>) -> io::Result<Self> {
        let screen = io::stdout().is_terminal();
        Ok(Self {
            stdout: if screen {
                Stdout::Screen(Rows::new(screen::INDENT))
            } else {
                let exact = options.exact && options.quiet;
                Stdout::Pipe(Pipe::new(sys::stdout()?, exact))
            },
            transcript,
            label: options.style(Style::new().bold(), screen),
            dim: options.style(Style::new().dimmed(), io::stderr().is_terminal()),
            speaker: None,
            prompt: None,
            plain: None,
            options,
        })
    }

    /// Prints everything that follows above `prompt`, if it goes to the terminal.
    pub fn set_prompt(&mut self, prompt: SharedPrompt) {
        self.prompt = Some(prompt);
    }

    /// Records that the prompt is off the screen, and prints `rows`, which were to go above it.
    /// Fails if stdout cannot be written.
    pub fn end_prompt(&mut self, rows: &str) -> io::Result<()> {
        self.prompt = None;
        write_on_terminal(rows);
        self.end_row()
    }

    /// Returns whether too much waits for the terminal, or the reader of stdout, for more to be shown.
    pub fn is_full(&self) -> bool {
        let pipe_is_full = match &self.stdout {
            Stdout::Screen(_) => false,
            Stdout::Pipe(pipe) => pipe.is_full(),
        };
        pipe_is_full || self.prompt.as_ref().is_some_and(SharedPrompt::is_full)
    }

    /// Lets the program go on while a slow reader of stdout, which is a program, is waited for.
    /// Calls `waker` when [`Report::is_full`] may have changed. Fails if no thread can be started.
    pub fn write_aside(&mut self, waker: &Arc<Waker>) -> io::Result<()> {
        match &mut self.stdout {
            Stdout::Screen(_) => Ok(()),
            Stdout::Pipe(pipe) => pipe.write_aside(Arc::clone(waker)),
        }
    }

    /// Has every program that reads stdout read the same lines, from now on: nothing but a newline ends one.
    pub fn write_clear_lines(&mut self) {
        if let Stdout::Pipe(pipe) = &mut self.stdout {
            pipe.write_clear_lines();
        }
    }

    /// Waits until everything is written to a program. Fails if stdout cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        match &mut self.stdout {
            Stdout::Screen(_) => Ok(()),
            Stdout::Pipe(pipe) => pipe.flush(),
        }
    }

    /// Shows a plain prompt, for a line that the terminal edits itself, unless it is already shown.
    pub fn show_plain_prompt(&mut self, prompt: Prompt) {
        if self.plain.get_or_insert_default().shown() == Some(prompt) {
            return;
        }
        self.leave_row();
        self.plain.get_or_insert_default().show(prompt);
        if let Stdout::Screen(rows) = &mut self.stdout {
            // The rest of a message does not go on behind the prompt.
            rows.end_row();
            let _ = screen::write(&rows.take());
        }
        write_on_terminal(&prompt.text(0));
    }

    /// Returns the peer that the plain prompt has named last.
    pub fn asked(&self) -> Option<Peer> {
        self.plain.as_ref()?.asked()
    }

    /// Returns whether what is typed at a plain prompt may go to `peer`. There is one server only.
    pub fn is_for(&self, peer: Peer) -> bool {
        peer == Peer::Server || self.asked() == Some(peer)
    }

    /// Records whether a line was begun at a plain prompt that is for nobody who is there.
    pub fn orphan(&mut self, is_begun: bool) {
        if let Some(plain) = &mut self.plain {
            plain.orphan(is_begun);
        }
    }

    /// Records that a line was entered at the plain prompt, if there is one. Returns whether it may be
    /// sent.
    pub fn enter(&mut self) -> bool {
        self.plain.as_mut().is_none_or(Plain::enter)
    }

    /// Returns the log of socket calls, if they are to be told.
    pub fn log(&self) -> Option<&Log> {
        Some(&self.options.log).filter(|log| log.is_on())
    }

    /// Reports the socket calls made since the last report. [`Report::show`] does so too; this is
    /// for long waits between two events. Fails if stdout cannot be written.
    pub fn explain(&mut self) -> io::Result<()> {
        if self.options.log.is_on() {
            let mut calls = self.options.log.take();
            for noted in &calls {
                self.record(&Event::Called(noted))?;
            }
            if self.options.log.folds() {
                calls = fold(&calls);
            }
            for noted in &calls {
                self.print(&Event::Called(noted))?;
            }
        }
        Ok(())
    }

    /// Reports the pending socket calls and then `event`. Fails only if stdout cannot be written:
    /// an unreadable notice is no reason to end a conversation.
    pub fn show(&mut self, event: &Event<'_>) -> io::Result<()> {
        if self.options.log.is_on() {
            // The calls that receive the rest of a message are reported when the message has ended.
            let rest = match event {
                Event::Received(_, part) | Event::Late(_, part) => !part.first,
                _ => false,
            };
            if !rest || self.is_at_start() {
                self.explain()?;
            }
        }
        self.tell(event)
    }

    /// Returns whether notices go above a prompt, so that one can take the place of another.
    pub fn can_renew(&self) -> bool {
        self.prompt.is_some() && io::stderr().is_terminal()
    }

    /// Shows `event`, a state that lasts for a while, on one row above the prompt, where the next one
    /// takes its place and [`Event::ConnectedTo`] removes it. Call it if [`Report::can_renew`]. The
    /// transcript has it when it `begins`. Fails as [`Report::show`] does.
    pub fn renew(&mut self, event: &Event<'_>, begins: bool) -> io::Result<()> {
        if let Some(prompt) = self.prompt.as_ref().filter(|_| !self.options.quiet) {
            let text = event.to_string();
            let text = Untrusted(text.as_bytes()).visible_line(terminal_columns() - 1);
            prompt.set_status(Some(text));
        }
        if begins { self.record(event) } else { Ok(()) }
    }

    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.record(event)?;
        self.print(event)
    }

    /// Writes `event` to the transcript.
    fn record(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let Some(transcript) = &mut self.transcript
            && let Err(error) = transcript.record(event)
            && let Some(transcript) = self.transcript.take()
        {
            self.print(&Event::NoTranscript {
                path: transcript.path(),
                reason: reason(&error),
            })?;
        }
        Ok(())
    }

    fn print(&mut self, event: &Event<'_>) -> io::Result<()> {
        if let (Event::ConnectedTo { .. }, Some(prompt)) = (event, &self.prompt) {
            prompt.set_status(None);
        }
        match event {
            // The user typed it, or notices it when the program ends.
            Event::Sent { .. } | Event::Closed { goes_on: false, .. } => Ok(()),
            Event::Failed(_) | Event::Ended => {
                self.leave_row();
                self.end_row()
            }
            Event::Received(peer, part) => {
                // Another peer's message in between has ended the line, so the rest needs a label
                // again.
                let labelled = part.first || self.speaker != Some(*peer);
                self.speaker = Some(*peer);
                if part.first && self.options.bell {
                    self.ring();
                }
                self.say(event, labelled)
            }
            Event::Late(peer, part) => {
                let begins = part.first || self.is_at_start();
                let is_other = self.speaker.replace(*peer) != Some(*peer);
                // A program that talks with one peer reads what belongs to its last message.
                let is_single = !matches!(peer, Peer::Numbered(_));
                let joins =
                    is_single && (self.options.quiet || matches!(self.stdout, Stdout::Pipe(_)));
                self.say(event, (begins || is_other) && !joins)
            }
            Event::Called(_) | Event::Stands(_) | Event::Hint(_) => self.notice(self.dim, event),
            Event::Welcome if !self.options.quiet => self.notice(self.dim, event),
            // What is lost or said twice is told in any case, and what was asked for.
            Event::NotSent(_)
            | Event::LinesNotSent(_)
            | Event::MayLack(_)
            | Event::SentAgain(_)
            | Event::PressEnter
            | Event::Answer(_) => self.notice(Style::new(), event),
            _ if self.options.quiet => self.end_row(),
            _ => self.notice(Style::new(), event),
        }
    }

    /// Shows a part of a message, with a label or as the continuation of what was shown before.
    fn say(&mut self, event: &Event<'_>, labelled: bool) -> io::Result<()> {
        let (Event::Received(_, part) | Event::Late(_, part)) = event else {
            return Ok(());
        };
        self.leave_row();
        if labelled {
            match &mut self.stdout {
                Stdout::Screen(_) => self.end_row()?,
                Stdout::Pipe(pipe) => pipe.end_line()?,
            }
        }
        let label = (labelled && !self.options.quiet).then(|| Label {
            time: self.options.clock.filter(|_| part.first).map(time_of_day),
            style: self.label,
            event,
        });
        match &mut self.stdout {
            Stdout::Screen(rows) => screen::push_part(rows, label, labelled, part),
            Stdout::Pipe(pipe) => return pipe.part(label, labelled, part),
        }
        self.flush()
    }

    /// Rings, unless the user is asked for an answer already, and has typed nothing.
    fn ring(&mut self) {
        match &self.prompt {
            Some(prompt) => prompt.ring(),
            None => {
                if let Some(plain) = &self.plain
                    && plain.shown().is_none_or(|prompt| prompt.peer.is_none())
                {
                    write_on_terminal(BELL);
                }
            }
        }
    }

    /// Prints a notice on stderr.
    fn notice(&mut self, style: Style, notice: &Event<'_>) -> io::Result<()> {
        self.leave_row();
        self.end_row()?;
        let terminal = io::stderr().is_terminal();
        let text = notice.to_string();
        // Names of files, sockets and hosts are in it as they are.
        let mut text = Untrusted(text.as_bytes()).visible();
        if terminal {
            text = screen::indented(&text).into();
        }
        let text = format!("{style}{text}{style:#}\n");
        match &self.prompt {
            Some(prompt) if terminal => prompt.show(&text),
            _ => {
                let _ = io::stderr().write_all(text.as_bytes());
            }
        }
        Ok(())
    }

    fn is_at_start(&self) -> bool {
        match &self.stdout {
            Stdout::Screen(rows) => rows.is_at_start(),
            Stdout::Pipe(pipe) => pipe.is_at_start(),
        }
    }

    /// Ends an incomplete row of the screen. The lines of a program are those of the messages alone.
    fn end_row(&mut self) -> io::Result<()> {
        if let Stdout::Screen(rows) = &mut self.stdout {
            rows.fit(terminal_columns());
            rows.end_row();
        }
        self.flush()
    }

    /// Prints the pending rows of the screen.
    fn flush(&mut self) -> io::Result<()> {
        let Stdout::Screen(rows) = &mut self.stdout else {
            return Ok(());
        };
        match &self.prompt {
            Some(prompt) => {
                let rows = rows.take_ended();
                if !rows.is_empty() {
                    prompt.show(&rows);
                }
                Ok(())
            }
            None => screen::write(&rows.take()),
        }
    }

    /// Ends the row of a plain prompt, if it is on the screen.
    fn leave_row(&mut self) {
        if self.plain.as_mut().is_some_and(Plain::leave_row) {
            write_on_terminal("\n");
        }
    }
}

/// What stands before a message.
struct Label<'a> {
    /// The time of day, with a space.
    time: Option<String>,
    style: Style,
    event: &'a Event<'a>,
}

/// Returns the time of day where UTC is `offset` away, with a space: `14:03 `.
fn time_of_day(offset: UtcOffset) -> String {
    let now = OffsetDateTime::now_utc().to_offset(offset);
    format!("{:02}:{:02} ", now.hour(), now.minute())
}

/// Appends the label of a message, without its time, to `text`.
fn push_label(text: &mut String, style: Style, event: &Event<'_>) {
    // Writing to a String never fails.
    let _ = write!(text, "{style}{event}{style:#} ");
}

/// Writes text that only a terminal needs. Ignores errors.
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
