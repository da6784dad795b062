//! Runs rustyline, which turns keys into lines, on a thread that lives as long as the program.

use std::borrow::Cow;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::process;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anstyle::Style;
use rustyline::completion::Completer;
use rustyline::config::Configurer as _;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{
    Cmd, ColorMode, ConditionalEventHandler, Config, Context, EditMode, EventContext, EventHandler,
    KeyEvent, Movement, RepeatCount,
};
use unicode_width::UnicodeWidthStr as _;

use super::history::{self, LENGTH};
use super::inputrc;
use super::{Notice, Options, Typed};
use crate::event::Peer;
use crate::prompt::{Draft, Leave, SharedPrompt};
use crate::reason::reason;
use crate::sys::{self, Terminal, Trouble};

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

/// What the thread reports to the rest of the program.
enum Done {
    /// The user entered a line, for the peer that the prompt named.
    Line(String, Option<Peer>),
    /// The user pressed Ctrl-D.
    EndOfInput,
    /// The user pressed Ctrl-C, or the terminal is gone.
    Interrupt,
    Notice(Notice),
    Failed(io::Error),
    /// The prompt is off the screen.
    Closed,
}

/// The user's terminal, on which rustyline edits lines.
pub struct Editor {
    prompt: SharedPrompt,
    done: Receiver<Done>,
    terminal: Arc<Terminal>,
    /// The last entered line.
    line: String,
}

impl Editor {
    /// Takes over the terminal and starts to read keys. Fails if the terminal is gone or no thread
    /// can be started.
    pub fn start(options: &Options, prompt: &SharedPrompt) -> io::Result<Self> {
        let (sender, done) = mpsc::channel();
        let (told, waking) = (sender.clone(), prompt.clone());
        let terminal = Arc::new(Terminal::open(move |trouble| {
            let _ = told.send(match trouble {
                Trouble::NotUtf8 => Done::Notice(Notice::NotUtf8),
                Trouble::Gone => Done::Interrupt,
            });
            waking.wake();
        })?);
        let keys = Keys {
            prompt: prompt.clone(),
            sender,
            terminal: Arc::clone(&terminal),
            dim: options.dim,
            history: options.history.path(),
            vi: options.vi || inputrc::says_vi(),
        };
        thread::Builder::new()
            .name("prompt".into())
            .spawn(move || {
                let sender = keys.sender.clone();
                let prompt = keys.prompt.clone();
                // Without the thread, the program would not notice Ctrl-C.
                let ended = panic::catch_unwind(AssertUnwindSafe(|| keys.read()));
                let _ = sender.send(match ended {
                    Ok(Ok(())) => Done::Closed,
                    Ok(Err(error)) => Done::Failed(error),
                    Err(_) => Done::Failed(io::Error::other("the prompt has panicked")),
                });
                prompt.wake();
            })?;
        Ok(Self {
            prompt: prompt.clone(),
            done,
            terminal,
            line: String::new(),
        })
    }

    /// Returns the next input that has arrived, if any.
    pub fn next(&mut self) -> Option<Typed<'_>> {
        Some(match self.done.try_recv().ok()? {
            Done::Line(line, to) => {
                self.prompt.line_has_arrived();
                self.line = line;
                Typed::Line {
                    text: self.line.as_bytes(),
                    last: true,
                    to,
                }
            }
            Done::EndOfInput => Typed::EndOfInput,
            Done::Interrupt | Done::Closed => Typed::Interrupt,
            Done::Notice(notice) => Typed::Notice(notice),
            Done::Failed(error) => Typed::Failed(error),
        })
    }

    /// Inserts the last entered line before the text on the prompt.
    pub fn put_back(&mut self) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.prompt.leave(Leave::ToPutBack(line));
        }
    }

    /// Erases the prompt and restores the terminal. Returns the rows that were still to be shown
    /// above the prompt, and the text on it.
    pub fn close(&mut self) -> (String, String) {
        self.prompt.leave(Leave::ForGood);
        let end = Instant::now() + WIPED;
        let wiped = loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.done.recv_timeout(left) {
                Ok(Done::Closed | Done::Failed(_)) => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        };
        self.terminal.restore();
        let (rows, draft) = self.prompt.take_rest();
        let rows = if wiped {
            rows
        } else {
            format!("\r\x1b[J{rows}")
        };
        (rows, draft.line)
    }
}

/// The state of the thread.
struct Keys {
    prompt: SharedPrompt,
    sender: Sender<Done>,
    terminal: Arc<Terminal>,
    dim: Style,
    /// The history file; `None` after it failed.
    history: Option<PathBuf>,
    vi: bool,
}

impl Keys {
    fn send(&self, done: Done) {
        // Fails only if the program has ended.
        let _ = self.sender.send(done);
        self.prompt.wake();
    }

    /// Reads lines until the program ends. Fails if the terminal cannot be read.
    fn read(mut self) -> io::Result<()> {
        let mut rustyline = self.rustyline().map_err(into_io)?;
        let mut draft = Draft::default();
        loop {
            let prompt = self.prompt.start();
            let initial = draft.line.split_at(draft.cursor);
            let read = panic::catch_unwind(AssertUnwindSafe(|| {
                rustyline.readline_with_initial(&prompt, initial)
            }));
            draft = self.prompt.stop();
            match read {
                Ok(Ok(line)) => {
                    let to = rustyline.helper().and_then(|helper| helper.accepted.take());
                    // Before the line is sent, so that the history has it even if sending fails.
                    self.remember(&mut rustyline, &line)?;
                    self.send(Done::Line(line, to));
                    draft = Draft::default();
                }
                Ok(Err(ReadlineError::Eof)) => {
                    self.send(Done::EndOfInput);
                    return Ok(());
                }
                Ok(Err(ReadlineError::Interrupted)) => self.send(Done::Interrupt),
                Ok(Err(ReadlineError::Signal(_))) => {}
                Ok(Err(ReadlineError::Io(error))) if error.kind() == io::ErrorKind::InvalidData => {
                    self.send(Done::Notice(Notice::NotUtf8));
                }
                Ok(Err(error)) => return Err(into_io(error)),
                Err(panic) if !panic.is::<Left>() => panic::resume_unwind(panic),
                Err(_) => match self.prompt.take_leave() {
                    Some(Leave::ToPutBack(message)) => draft.put_before(&message),
                    Some(Leave::ForGood) | None => {
                        self.prompt.set_draft(&draft.line, draft.cursor);
                        return Ok(());
                    }
                },
            }
        }
    }

    fn rustyline(&mut self) -> rustyline::Result<Rustyline> {
        let config = Config::builder()
            .max_history_size(LENGTH)?
            .history_ignore_dups(true)?
            .keyseq_timeout(Some(KEY))
            .edit_mode(if self.vi {
                EditMode::Vi
            } else {
                EditMode::Emacs
            })
            // The helper must be called for each redraw. It omits colour itself.
            .color_mode(ColorMode::Forced)
            .behavior(sys::BEHAVIOR)
            .build();
        let mut rustyline = Rustyline::with_config(config)?;
        // If the program ends during a synchronized update, the terminal stays in that state.
        rustyline.enable_synchronized_output(false);
        rustyline.set_helper(Some(Helper {
            prompt: self.prompt.clone(),
            accepted: Accepted::default(),
            hinter: HistoryHinter::new(),
            dim: self.dim,
        }));
        self.bind(&mut rustyline);
        self.prompt
            .set_printer(rustyline.create_external_printer()?);
        self.with_history("read", |path| {
            history::create(path)?;
            rustyline.load_history(path).map_err(into_io)
        });
        Ok(rustyline)
    }

    /// Binds the keys whose meaning differs from rustyline's.
    fn bind(&self, rustyline: &mut Rustyline) {
        let (sender, prompt) = (self.sender.clone(), self.prompt.clone());
        on_key(rustyline, 'D', move |line| {
            if !line.is_empty() {
                return Some(Cmd::Kill(Movement::ForwardChar(1)));
            }
            let _ = sender.send(Done::EndOfInput);
            prompt.wake();
            Some(Cmd::Noop)
        });
        let (sender, prompt) = (self.sender.clone(), self.prompt.clone());
        let terminal = Arc::clone(&self.terminal);
        let interrupted = OnceLock::<Instant>::new();
        on_key(rustyline, 'C', move |line| {
            if !line.is_empty() && prompt.is_ours() {
                return Some(Cmd::Kill(Movement::WholeBuffer));
            }
            if interrupted.get_or_init(Instant::now).elapsed() > UNHEARD {
                // The rest of the program is blocked, such as in a write to a reader that has
                // stopped reading.
                terminal.restore();
                process::exit(sys::INTERRUPTED_STATUS.into());
            }
            let _ = sender.send(Done::Interrupt);
            prompt.wake();
            Some(Cmd::Noop)
        });
        let terminal = Arc::clone(&self.terminal);
        on_key(rustyline, 'Z', move |_| {
            terminal.suspend();
            Some(Cmd::Repaint)
        });
    }

    fn remember(&mut self, rustyline: &mut Rustyline, line: &str) -> io::Result<()> {
        if rustyline.add_history_entry(line).map_err(into_io)? {
            self.with_history("write", |path| {
                rustyline.append_history(path).map_err(into_io)
            });
        }
        Ok(())
    }

    /// Performs an operation on the history file. If it fails, tells the user, and continues
    /// without the file.
    fn with_history(&mut self, verb: &'static str, work: impl FnOnce(&PathBuf) -> io::Result<()>) {
        if let Some(path) = self.history.take() {
            match work(&path) {
                Ok(()) => self.history = Some(path),
                Err(error) => {
                    let notice = Notice::NoHistory(verb, path, reason(&error));
                    self.send(Done::Notice(notice));
                }
            }
        }
    }
}

impl Draft {
    /// Inserts a message before the text, which then starts a new row.
    fn put_before(&mut self, message: &str) {
        if self.line.is_empty() {
            self.cursor = message.len();
            message.clone_into(&mut self.line);
        } else {
            self.cursor += message.len() + 1;
            self.line = format!("{message}\n{}", self.line);
        }
    }
}

/// The panic payload that makes rustyline stop editing the line.
struct Left;

/// The peer that the prompt named when the user pressed Enter.
#[derive(Debug, Default)]
struct Accepted(std::cell::Cell<Option<Peer>>);

impl Accepted {
    fn take(&self) -> Option<Peer> {
        self.0.take()
    }
}

/// The callbacks of rustyline.
struct Helper {
    prompt: SharedPrompt,
    accepted: Accepted,
    hinter: HistoryHinter,
    dim: Style,
}

impl rustyline::Helper for Helper {}

impl Completer for Helper {
    type Candidate = String;
}

impl Hinter for Helper {
    type Hint = String;

    fn hint(&self, line: &str, pos: usize, context: &Context<'_>) -> Option<String> {
        if !self.prompt.is_ours() {
            return None;
        }
        let hint = self.hinter.hint(line, pos, context)?;
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
        match self.prompt.draw() {
            // At this point, rustyline has erased the old prompt and not yet drawn the new one.
            None => panic::resume_unwind(Box::new(Left)),
            Some(text) if default => Cow::Owned(text),
            // During a search of the history, rustyline shows a prompt of its own.
            Some(_) => Cow::Borrowed(prompt),
        }
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
    /// Accepts Enter if it is our turn and there is something to send. Otherwise the line stays,
    /// and a message that it is not our turn is shown if it fits.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let line = context.input();
        let blank = line.trim_matches(['\r', '\n']).is_empty();
        if blank && self.prompt.is_ours() {
            return Ok(ValidationResult::Invalid(Some(String::new())));
        }
        Ok(match self.prompt.accept() {
            Ok(peer) => {
                self.accepted.0.set(Some(peer));
                ValidationResult::Valid(None)
            }
            Err(awaited) => {
                let message = awaited.nothing_to_answer();
                let columns =
                    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into());
                // rustyline would not erase a message that starts a row of its own.
                let used = self.prompt.width() + line.width() + message.len();
                let fits = used < columns && !line.contains('\n');
                ValidationResult::Invalid(Some(if fits { message } else { String::new() }))
            }
        })
    }
}

/// Handles a key pressed with Ctrl. The function receives the line.
struct OnKey<F>(F);

impl<F: Fn(&str) -> Option<Cmd> + Send + Sync> ConditionalEventHandler for OnKey<F> {
    fn handle(
        &self,
        _: &rustyline::Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        (self.0)(context.line())
    }
}

fn on_key(
    rustyline: &mut Rustyline,
    key: char,
    handler: impl Fn(&str) -> Option<Cmd> + Send + Sync + 'static,
) {
    let handler = EventHandler::Conditional(Box::new(OnKey(handler)));
    rustyline.bind_sequence(KeyEvent::ctrl(key), handler);
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other.to_string()),
    }
}
