//! Runs rustyline, which turns keys into lines, on a thread that lives as long as the program.

use std::borrow::Cow;
use std::cell::Cell;
use std::convert::Infallible;
use std::fs::Permissions;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::process;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anstyle::Style;
use rustyline::completion::{Completer, Pair};
use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, EditMode,
    EventContext, EventHandler, KeyEvent, Movement, RepeatCount,
};
use terminal_size::{Height, Width, terminal_size};
use unicode_width::UnicodeWidthStr as _;

use super::history::{self, LENGTH};
use super::{Options, Typed, inputrc};
use crate::command;
use crate::event::Event;
use crate::event::words::NOTHING_TYPED;
use crate::prompt::SharedPrompt;
use crate::reason::reason;
use crate::sys::{self, Terminal, Trouble};
use crate::wrap::terminal_columns;

type Rustyline = rustyline::Editor<Helper, DefaultHistory>;

/// How long the end of the program waits for rustyline to erase the prompt. Rustyline does not
/// erase it during a search of the history or a paste.
const WIPED: Duration = Duration::from_millis(100);

/// If the first Ctrl-C is older than this and had no effect, another one ends the program
/// immediately.
const UNHEARD: Duration = Duration::from_secs(1);

/// How long rustyline waits for the rest of a key sequence after Escape, in milliseconds. It draws
/// nothing meanwhile.
const KEY: u16 = 500;

/// The user's terminal, on which rustyline edits lines.
pub struct Editor {
    prompt: SharedPrompt,
    typed: Receiver<Typed<'static>>,
    /// Disconnected when the thread has ended.
    ended: Receiver<Infallible>,
    terminal: Arc<Terminal>,
    /// The last entered line, unless it was put back.
    line: Option<String>,
}

impl Editor {
    /// Takes over the terminal and starts to read keys. Fails if the terminal is gone or no thread
    /// can be started.
    pub fn start(options: &Options, prompt: &SharedPrompt) -> io::Result<Self> {
        let (sender, typed) = mpsc::channel();
        let (running, ended) = mpsc::channel();
        let outlet = Outlet {
            prompt: prompt.clone(),
            sender,
        };
        let told = outlet.clone();
        let terminal = Arc::new(Terminal::open(move |trouble| {
            told.send(match trouble {
                Trouble::NotUtf8 => Typed::Notice(Event::NotUtf8),
                Trouble::Gone => Typed::Interrupt,
                Trouble::Continued => return told.prompt.redraw_after(Terminal::take),
            });
        })?);
        let keys = Keys {
            outlet: outlet.clone(),
            terminal: Arc::clone(&terminal),
            options: options.clone(),
            permissions: None,
        };
        let spawned = thread::Builder::new().name("prompt".into()).spawn(move || {
            let _running = running;
            let ended = panic::catch_unwind(AssertUnwindSafe(|| keys.read()));
            // Without the thread, the program would not notice Ctrl-C.
            outlet.send(match ended {
                Ok(Ok(())) => Typed::Interrupt,
                Ok(Err(error)) => Typed::Failed(into_io(error)),
                Err(_) => Typed::Failed(io::Error::other("the prompt has panicked")),
            });
        });
        spawned.inspect_err(|_| terminal.restore())?;
        Ok(Self {
            prompt: prompt.clone(),
            typed,
            ended,
            terminal,
            line: None,
        })
    }

    /// Returns the next input that has arrived, if any.
    pub fn next(&mut self) -> Option<Typed<'static>> {
        let typed = self.typed.try_recv().ok()?;
        match &typed {
            Typed::Line { text, .. } => {
                self.prompt.line_has_arrived();
                self.line = Some(String::from_utf8_lossy(text).into_owned());
            }
            Typed::Command(_) => self.prompt.line_has_arrived(),
            _ => {}
        }
        Some(typed)
    }

    /// Returns the last entered line, unless it was put back.
    pub fn last(&self) -> Option<&str> {
        self.line.as_deref()
    }

    /// Inserts the last entered line before the text on the prompt.
    pub fn put_back(&mut self) {
        if let Some(line) = self.line.take() {
            self.prompt.put_back(command::line(line));
        }
    }

    /// Erases the prompt, and restores the terminal, but for the echo of keys. Returns the rows that were
    /// still to be shown above the prompt, and the text that was entered and not taken, or is on the prompt.
    /// Call [`Editor::restore`] when the rows are shown: a key would be echoed into them.
    pub fn close(&mut self) -> (String, String) {
        self.prompt.close();
        let ended = self.ended.recv_timeout(WIPED);
        self.terminal.silence();
        let (mut rows, draft) = self.prompt.take_rest();
        let mut lines: Vec<_> = self.typed.try_iter().filter_map(Typed::into_text).collect();
        lines.push(draft);
        if ended == Err(RecvTimeoutError::Timeout) {
            rows.insert_str(0, "\r\x1b[J");
        }
        (rows, lines.join("\n"))
    }

    /// Restores the terminal.
    pub fn restore(&self) {
        self.terminal.restore();
    }
}

/// The way from the thread to the rest of the program.
#[derive(Clone)]
struct Outlet {
    prompt: SharedPrompt,
    sender: Sender<Typed<'static>>,
}

impl Outlet {
    fn send(&self, typed: Typed<'static>) {
        // Fails only if the program has ended.
        let _ = self.sender.send(typed);
        self.prompt.wake();
    }
}

/// The state of the thread.
struct Keys {
    outlet: Outlet,
    terminal: Arc<Terminal>,
    options: Options,
    /// The permissions of the history when the program started.
    permissions: Option<Permissions>,
}

impl Keys {
    /// Reads lines until the program ends. Fails if the terminal cannot be read.
    fn read(mut self) -> rustyline::Result<()> {
        let mut rustyline = self.rustyline()?;
        while let Some((prompt, draft)) = self.outlet.prompt.start() {
            let initial = draft.line.split_at(draft.cursor);
            let read = panic::catch_unwind(AssertUnwindSafe(|| {
                rustyline.readline_with_initial(&prompt, initial)
            }));
            self.outlet.prompt.stop();
            match read {
                Ok(Ok(line)) => {
                    let to = self.outlet.prompt.peer();
                    // Before the line is sent, so that the history has it even if sending fails.
                    let before = self.permissions.clone();
                    self.with_history("write", |path| {
                        history::append(&mut rustyline, path, before)
                    });
                    self.outlet.prompt.set_draft("", 0);
                    self.outlet.send(match command::parse(&line) {
                        Some(given) => Typed::Command(given),
                        None => Typed::Line {
                            text: command::message(&line).as_bytes().to_vec().into(),
                            last: true,
                            to,
                        },
                    });
                }
                Ok(Err(ReadlineError::Eof)) => {
                    self.outlet.send(Typed::EndOfInput);
                    break;
                }
                Ok(Err(ReadlineError::Interrupted)) => self.outlet.send(Typed::Interrupt),
                Ok(Err(ReadlineError::Signal(_))) => {}
                Ok(Err(ReadlineError::Io(error))) if error.kind() == io::ErrorKind::InvalidData => {
                    self.outlet.send(Typed::Notice(Event::NotUtf8));
                }
                Ok(Err(error)) => return Err(error),
                Err(panic) if panic.is::<Left>() => {}
                Err(panic) => panic::resume_unwind(panic),
            }
        }
        Ok(())
    }

    fn rustyline(&mut self) -> rustyline::Result<Rustyline> {
        let config = Config::builder()
            .max_history_size(LENGTH)?
            .auto_add_history(true)
            .completion_type(CompletionType::List)
            .completion_show_all_if_ambiguous(true)
            .completion_prompt_limit(usize::MAX)
            .edit_mode(if self.options.vi || inputrc::says_vi() {
                EditMode::Vi
            } else {
                EditMode::Emacs
            })
            // The mode has set another.
            .keyseq_timeout(Some(KEY))
            // The helper must be called for each redraw. It omits colour itself.
            .color_mode(ColorMode::Forced)
            .behavior(sys::BEHAVIOR)
            .build();
        let mut rustyline = Rustyline::with_config(config)?;
        // If the program ends during a synchronized update, the terminal stays in that state.
        rustyline.enable_synchronized_output(false);
        rustyline.set_helper(Some(Helper {
            prompt: self.outlet.prompt.clone(),
            dim: self.options.dim,
            told_empty: Cell::new(false),
        }));
        for key in ['C', 'D', 'Z'] {
            let handler = OnKey {
                key,
                outlet: self.outlet.clone(),
                terminal: Arc::clone(&self.terminal),
                interrupted: OnceLock::new(),
            };
            let handler = EventHandler::Conditional(Box::new(handler));
            rustyline.bind_sequence(KeyEvent::ctrl(key), handler);
        }
        let printer = rustyline.create_external_printer()?;
        self.outlet.prompt.set_printer(printer);
        let mut permissions = None;
        self.with_history("read", |path| {
            permissions = Some(history::create(path)?);
            rustyline.load_history(path)
        });
        self.permissions = permissions;
        Ok(rustyline)
    }

    /// Performs an operation on the history file. If it fails, tells the user, and continues
    /// without the file.
    fn with_history(
        &mut self,
        verb: &'static str,
        work: impl FnOnce(&Path) -> rustyline::Result<()>,
    ) {
        if let Some(path) = self.options.history.clone()
            && let Err(error) = work(&path)
        {
            self.options.history = None;
            let reason = reason(&into_io(error));
            let notice = Event::NoHistory { verb, path, reason };
            self.outlet.send(Typed::Notice(notice));
        }
    }
}

/// A key whose meaning with Ctrl differs from rustyline's.
struct OnKey {
    key: char,
    outlet: Outlet,
    terminal: Arc<Terminal>,
    /// When the user first wanted to leave.
    interrupted: OnceLock<Instant>,
}

impl ConditionalEventHandler for OnKey {
    fn handle(
        &self,
        _: &rustyline::Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let has_text = !context.line().is_empty();
        Some(match self.key {
            'C' if has_text && self.outlet.prompt.peer().is_some() => {
                Cmd::Kill(Movement::WholeBuffer)
            }
            'C' => {
                if self.interrupted.get_or_init(Instant::now).elapsed() > UNHEARD {
                    // The rest of the program is blocked, such as in a write to a reader that has
                    // stopped reading.
                    self.terminal.restore();
                    process::exit(sys::INTERRUPTED_STATUS.into());
                }
                self.outlet.send(Typed::Interrupt);
                Cmd::Noop
            }
            'D' if has_text => Cmd::Kill(Movement::ForwardChar(1)),
            'D' => {
                self.outlet.send(Typed::EndOfInput);
                Cmd::Noop
            }
            _ => {
                self.terminal.suspend();
                self.outlet.prompt.redraw_after(Terminal::take);
                Cmd::Noop
            }
        })
    }
}

/// The panic payload that makes rustyline stop editing the line.
struct Left;

/// The callbacks of rustyline.
struct Helper {
    prompt: SharedPrompt,
    dim: Style,
    /// Whether the user was told that an empty line is not sent.
    told_empty: Cell<bool>,
}

impl rustyline::Helper for Helper {}

impl Completer for Helper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, mut candidates) = self.prompt.roster().complete(&line[..pos]);
        // Rustyline would show more page by page, where Ctrl-C does nothing.
        if !fits(&candidates) {
            candidates.clear();
        }
        Ok((start, candidates))
    }
}

/// Returns whether a list of `candidates`, in as many columns as there is room for, fits the screen with
/// the prompt.
fn fits(candidates: &[Pair]) -> bool {
    let (columns, rows) = terminal_size().map_or((80, 24), |(Width(columns), Height(rows))| {
        (usize::from(columns), usize::from(rows))
    });
    let widest = candidates.iter().map(|one| one.display.len() + 2).max();
    let side_by_side = columns / widest.unwrap_or(1).max(1);
    side_by_side > 0 && candidates.len().div_ceil(side_by_side) < rows
}

impl Hinter for Helper {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        self.prompt.peer()?;
        let hint = HistoryHinter::new().hint(line, pos, context)?;
        Some(hint).filter(|hint| !hint.contains('\n'))
    }
}

impl Highlighter for Helper {
    fn highlight<'l>(&self, line: &'l str, pos: usize) -> Cow<'l, str> {
        self.prompt.set_draft(line, pos);
        Cow::Borrowed(line)
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        default: bool,
    ) -> Cow<'b, str> {
        // During a search of the history, rustyline shows a prompt of its own.
        let other = Some(prompt).filter(|_| !default);
        match self.prompt.draw(other) {
            // At this point, rustyline has erased the old prompt and not yet drawn the new one.
            None => panic::resume_unwind(Box::new(Left)),
            Some(text) => Cow::Owned(text),
        }
    }

    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        // The prompt is redrawn below the list, for the key that has asked for it.
        self.prompt.set_key();
        Cow::Borrowed(candidate)
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let dim = self.dim;
        Cow::Owned(format!("{dim}{hint}{dim:#}"))
    }

    /// Makes rustyline redraw everything for each key, so that a redraw without a key is due to a
    /// nudge.
    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.prompt.set_key();
        true
    }
}

impl Validator for Helper {
    /// Accepts Enter after a command, or if it is our turn and there is something to send.
    /// Otherwise the line stays, and the reason is shown if it fits: that it is not our turn, or once
    /// that an empty line is no message.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let line = context.input();
        let is_command = command::parse(line).is_some();
        let is_empty = line.trim_matches(['\r', '\n']).is_empty();
        let mut message = if self.prompt.peer().is_none() || !is_empty || self.prompt.takes_empty()
        {
            let Err(awaited) = self.prompt.accept(is_command) else {
                return Ok(ValidationResult::Valid(None));
            };
            awaited.nothing_to_answer()
        } else if self.told_empty.replace(true) {
            String::new()
        } else {
            NOTHING_TYPED.to_owned()
        };
        // rustyline would not erase a message that starts a row of its own.
        let used = self.prompt.width() + line.width() + message.len();
        if used >= terminal_columns() || line.contains('\n') {
            message.clear();
        }
        Ok(ValidationResult::Invalid(Some(message)))
    }
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
