//! The prompt at a terminal: rustyline, its history, and what happens when it is ended.

use std::borrow::Cow;
use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::mem;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use anstyle::Style;
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hinter, HistoryHinter};
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Behavior, ColorMode, Config, Context, EditMode};

use super::echo::Echo;
use super::interrupt::{Call, Interrupts};
use super::output::{Output, color_is_welcome};
use super::screen::Drawn;
use super::{Answer, Console, Options, Wait, controlling, history};
use crate::event::{self, Event, Failure, PROMPT, Peer};

type Rustyline = rustyline::Editor<Helper, DefaultHistory>;

/// How many messages the history keeps.
const HISTORY: usize = 1000;

/// The console of a terminal.
pub(super) struct Editor {
    options: Options,
    output: Output,
    interrupts: Interrupts,
    echo: Arc<Echo>,
    /// The terminal that the prompt stands on.
    screen: Arc<File>,
    drawn: Arc<Mutex<Drawn>>,
    /// Made at the first prompt: the history is read then, and not at the start.
    rustyline: Option<Rustyline>,
    /// The history file, unless it has failed.
    history: Option<PathBuf>,
    /// What was typed and not sent yet.
    draft: Draft,
    /// The message that was typed last, while it is being sent.
    message: String,
}

/// A line that is not finished, and where the cursor stands in it, in bytes.
#[derive(Debug, Default)]
struct Draft {
    line: String,
    cursor: usize,
}

/// What Enter does, and what stands before the line.
#[derive(Debug, Clone, Copy)]
enum Turn {
    /// The user's: Enter sends.
    Ours,
    /// The peer's, since when: Enter only begins a new line.
    Theirs(Peer, Instant),
}

/// How a prompt ended.
enum Prompted {
    Line(String),
    Incoming,
    EndOfInput,
    Interrupted,
}

impl Editor {
    pub(super) fn open(options: Options, output: Output) -> io::Result<Self> {
        let stdout = io::stdout();
        let screen = if stdout.is_terminal() {
            File::from(stdout.as_fd().try_clone_to_owned()?)
        } else {
            controlling()?
        };
        let echo = Arc::default();
        Ok(Self {
            history: options.history.path(),
            options,
            output,
            interrupts: Interrupts::install(Arc::clone(&echo))?,
            echo,
            screen: Arc::new(screen),
            drawn: Arc::default(),
            rustyline: None,
            draft: Draft::default(),
            message: String::new(),
        })
    }

    /// Lets the user type until Enter in their own turn, until something is received, or
    /// until they want no more.
    fn prompt(&mut self, turn: Turn, connection: BorrowedFd<'_>) -> io::Result<Prompted> {
        if self.rustyline.is_none() {
            self.rustyline = Some(self.start()?);
            self.echo.turn_off()?;
        }
        let prompt = match turn {
            Turn::Ours => PROMPT.to_owned(),
            Turn::Theirs(..) if self.output.is_quiet() => String::new(),
            Turn::Theirs(peer, since) => waiting(peer, since),
        };
        loop {
            let rustyline = self.rustyline.as_mut().expect("it was just made");
            let helper = rustyline.helper_mut().expect("it was made with one");
            helper.turn = turn;
            let dim = helper.dim;
            *lock(&self.drawn) = Drawn::default();
            let draft = mem::take(&mut self.draft);
            let (drawn, screen) = (&self.drawn, &self.screen);
            let (read, call) = self.interrupts.while_prompting(
                connection,
                || rustyline.readline_with_initial(&prompt, draft.line.split_at(draft.cursor)),
                || lock(drawn).begun,
                || {
                    if let Turn::Theirs(peer, since) = turn
                        && !prompt.is_empty()
                    {
                        redraw_prompt(screen, &lock(drawn), &waiting(peer, since), dim);
                    }
                },
            )?;
            // The editor has no line any more, but what it drew last is known.
            let drawn = lock(&self.drawn).clone();
            let ours = matches!(turn, Turn::Ours);
            let ended = match read {
                _ if call == Some(Call::Stop) => Some(Prompted::Interrupted),
                Ok(line) if ours && call.is_none() => return Ok(Prompted::Line(line)),
                Ok(line) => {
                    self.draft = Draft {
                        cursor: line.len(),
                        line,
                    };
                    call.map(|_| Prompted::Incoming)
                }
                Err(ReadlineError::Eof) => Some(Prompted::EndOfInput),
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) if call.is_none() => {
                    Some(Prompted::Interrupted)
                }
                Err(ReadlineError::Interrupted | ReadlineError::Signal(_)) => {
                    self.draft = drawn.into();
                    Some(Prompted::Incoming)
                }
                // A byte that is no UTF-8 was typed: it is left out.
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    self.draft = drawn.into();
                    call.map(|_| Prompted::Incoming)
                }
                Err(error) => return Err(into_io(error)),
            };
            // What the user has ended stays to be read, as in a shell; the waiting line
            // and a prompt that will be asked again go.
            if !(ours && matches!(ended, Some(Prompted::EndOfInput | Prompted::Interrupted))) {
                self.wipe()?;
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
        }
    }

    /// Wipes the prompt off the screen, which rustyline has left for the next row.
    fn wipe(&self) -> io::Result<()> {
        let rows = lock(&self.drawn).rows(columns(&self.screen));
        (&*self.screen).write_all(format!("\r\x1b[{rows}A\x1b[J").as_bytes())
    }

    fn start(&mut self) -> io::Result<Rustyline> {
        let config = Config::builder()
            .max_history_size(HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(into_io)?
            .edit_mode(if self.options.vi || inputrc_says_vi() {
                EditMode::Vi
            } else {
                EditMode::Emacs
            })
            // The helper must see every drawing; it is the one who leaves colour out.
            .color_mode(ColorMode::Forced)
            .behavior(if io::stdout().is_terminal() {
                Behavior::Stdio
            } else {
                Behavior::PreferTerm
            })
            .build();
        let mut rustyline = Rustyline::with_config(config).map_err(into_io)?;
        let colored = self.options.color.unwrap_or_else(color_is_welcome);
        rustyline.set_helper(Some(Helper {
            turn: Turn::Ours,
            drawn: Arc::clone(&self.drawn),
            hinter: HistoryHinter::new(),
            dim: if colored {
                Style::new().dimmed()
            } else {
                Style::new()
            },
        }));
        self.with_history("read", |path| {
            history::create(path)?;
            rustyline.load_history(path).map_err(into_io)
        })?;
        Ok(rustyline)
    }

    /// Does something with the history file. When it fails, the user is told, once, and
    /// the chat goes on without it.
    fn with_history(
        &mut self,
        verb: &'static str,
        work: impl FnOnce(&PathBuf) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(path) = self.history.take() {
            match work(&path) {
                Ok(()) => self.history = Some(path),
                Err(error) => self.output.show(&Event::NoHistory {
                    verb,
                    path: &path,
                    reason: event::reason(&error),
                })?,
            }
        }
        Ok(())
    }

    fn remember(&mut self, line: &str) -> io::Result<()> {
        let mut rustyline = self.rustyline.take().expect("it has just read the line");
        let added = rustyline.add_history_entry(line).map_err(into_io)?;
        if added {
            self.with_history("write", |path| {
                rustyline.append_history(path).map_err(into_io)
            })?;
        }
        self.rustyline = Some(rustyline);
        Ok(())
    }
}

impl Console for Editor {
    fn wait(&mut self, peer: Peer, connection: BorrowedFd<'_>) -> Result<Wait, Failure> {
        let turn = Turn::Theirs(peer, Instant::now());
        let prompted = self.prompt(turn, connection).map_err(Failure::Input)?;
        // Enter, pressed while there was nothing to answer, begins lines, not blank ones.
        self.draft.trim();
        Ok(match prompted {
            Prompted::Line(_) | Prompted::Incoming => Wait::Incoming,
            Prompted::EndOfInput => Wait::EndOfInput,
            Prompted::Interrupted => Wait::Interrupted,
        })
    }

    fn ask(&mut self, connection: BorrowedFd<'_>) -> Result<Answer<'_>, Failure> {
        let prompted = self
            .prompt(Turn::Ours, connection)
            .map_err(Failure::Input)?;
        Ok(match prompted {
            Prompted::Line(line) => {
                self.remember(&line).map_err(Failure::Input)?;
                self.message = line;
                Answer::Text {
                    text: self.message.as_bytes(),
                    last: true,
                }
            }
            Prompted::Incoming => Answer::Incoming,
            Prompted::EndOfInput => Answer::EndOfInput,
            Prompted::Interrupted => Answer::Interrupted,
        })
    }

    fn unsent(&mut self) -> Result<Option<String>, Failure> {
        let draft = mem::take(&mut self.draft);
        Ok(Some(draft.line).filter(|line| !line.is_empty()))
    }

    fn show(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        self.output.show(event).map_err(Failure::Output)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        self.echo.restore();
    }
}

impl Draft {
    /// Takes the newlines off both ends.
    fn trim(&mut self) {
        let leading = self.line.len() - self.line.trim_start_matches('\n').len();
        self.line = self.line.trim_matches('\n').to_owned();
        self.cursor = self.cursor.saturating_sub(leading).min(self.line.len());
    }
}

impl From<Drawn> for Draft {
    fn from(drawn: Drawn) -> Self {
        Self {
            line: drawn.line,
            cursor: drawn.cursor,
        }
    }
}

/// The waiting line, always as wide as its longest wording, so that it can be redrawn
/// in place with something typed behind it.
fn waiting(peer: Peer, since: Instant) -> String {
    const WIDTH: usize = "waiting for the server, 59 min  ".len();
    format!("{:WIDTH$}", peer.waiting(since.elapsed()))
}

/// Draws another prompt of the same width over the one on the screen, with the cursor
/// put back; in one write, so that it cannot come between two of rustyline's.
fn redraw_prompt(screen: &File, drawn: &Drawn, prompt: &str, style: Style) {
    if drawn.prompt.chars().count() != prompt.chars().count() {
        return; // a search of the history has a prompt of its own
    }
    let up = match drawn.cursor_row(columns(screen)) {
        0 => String::new(),
        rows => format!("\x1b[{rows}A"),
    };
    let text = format!("\x1b7{up}\r{style}{prompt}{style:#}\x1b8");
    let mut screen = screen;
    let _ = screen.write_all(text.as_bytes());
}

fn columns(screen: &File) -> u16 {
    terminal_size::terminal_size_of(screen).map_or(80, |(width, _)| width.0)
}

fn lock(drawn: &Mutex<Drawn>) -> MutexGuard<'_, Drawn> {
    drawn.lock().unwrap_or_else(PoisonError::into_inner)
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        ReadlineError::Errno(errno) => errno.into(),
        other => io::Error::other(other),
    }
}

/// Whether the user's inputrc asks for Vi keys (readline(3)); what stands in it under a
/// condition is taken as it is.
fn inputrc_says_vi() -> bool {
    let path = env::var_os("INPUTRC")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".inputrc")));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok());
    text.is_some_and(|text| {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter_map(|words| match words[..] {
                ["set", "editing-mode", mode] => Some(mode.eq_ignore_ascii_case("vi")),
                _ => None,
            })
            .next_back()
            .unwrap_or(false)
    })
}

/// What rustyline asks while a line is edited.
struct Helper {
    turn: Turn,
    drawn: Arc<Mutex<Drawn>>,
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
        let hint = match self.turn {
            Turn::Ours => self.hinter.hint(line, pos, context),
            Turn::Theirs(..) => None,
        };
        let hint = hint.filter(|hint| !hint.contains('\n'));
        let mut drawn = lock(&self.drawn);
        line.clone_into(&mut drawn.line);
        drawn.cursor = pos;
        hint.as_deref()
            .unwrap_or_default()
            .clone_into(&mut drawn.hint);
        hint
    }
}

impl Highlighter for Helper {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(
        &'s self,
        prompt: &'p str,
        default: bool,
    ) -> Cow<'b, str> {
        let mut drawn = lock(&self.drawn);
        prompt.clone_into(&mut drawn.prompt);
        drawn.begun = true;
        match self.turn {
            Turn::Theirs(peer, since) if default && !prompt.is_empty() => {
                let dim = self.dim;
                Cow::Owned(format!("{dim}{}{dim:#}", waiting(peer, since)))
            }
            _ => Cow::Borrowed(prompt),
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        let dim = self.dim;
        Cow::Owned(format!("{dim}{hint}{dim:#}"))
    }

    fn highlight_char(&self, _: &str, pos: usize, _: CmdKind) -> bool {
        lock(&self.drawn).cursor = pos;
        false
    }
}

impl Validator for Helper {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(match self.turn {
            Turn::Ours => ValidationResult::Valid(None),
            Turn::Theirs(peer, _) if context.input().trim_matches('\n').is_empty() => {
                let message = peer.has_the_turn();
                lock(&self.drawn).hint.clone_from(&message);
                ValidationResult::Invalid(Some(message))
            }
            Turn::Theirs(..) => ValidationResult::Incomplete,
        })
    }
}
