//! The prompt at a terminal: rustyline, its history, and what happens when it is ended.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::mem;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::process;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anstyle::Style;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustyline::error::ReadlineError;
use rustyline::hint::HistoryHinter;
use rustyline::history::DefaultHistory;
use rustyline::{
    Behavior, Cmd, ColorMode, Config, EditMode, EventHandler, KeyCode, KeyEvent, Modifiers,
};

use super::echo::Echo;
use super::helper::{Helper, OnKey, Turn, WaitingLine, lock};
use super::interrupt::{Call, INTERRUPTED_STATUS, Interrupts};
use super::output::Output;
use super::screen::{Drawn, State, columns, rows};
use super::{Answer, Console, Options, Wait, controlling, history, inputrc};
use crate::event::{Awaited, Event, Failure, Peer, Prompt};
use crate::reason::reason;
use crate::watch::Watched;

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
    /// For what the user need not read.
    dim: Style,
    /// Made at the first prompt: the history is read then, and not at the start.
    rustyline: Option<Rustyline>,
    /// The history file, unless it has failed.
    history: Option<PathBuf>,
    /// What was typed and not sent yet.
    draft: Draft,
    /// The message that was typed last, while it is being sent.
    message: String,
    /// A message that was entered, and waits for something to be shown first.
    entered: Option<String>,
    /// The draft is a message that was sent before.
    is_repeated: bool,
    /// Something of the peer's was shown since the user was asked last.
    heard: bool,
    /// What the user waits for, and since when.
    waiting: Option<(Awaited, Instant)>,
    /// Whom the user is asked to answer.
    asked: Option<Peer>,
}

/// A line that is not finished, and where the cursor stands in it, in bytes.
#[derive(Debug, Default)]
struct Draft {
    line: String,
    cursor: usize,
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
        let dim = options.style(Style::new().dimmed(), true);
        Ok(Self {
            history: options.history.path(),
            options,
            output,
            interrupts: Interrupts::install(Arc::clone(&echo))?,
            echo,
            screen: Arc::new(screen),
            drawn: Arc::default(),
            dim,
            rustyline: None,
            draft: Draft::default(),
            message: String::new(),
            entered: None,
            is_repeated: false,
            heard: false,
            waiting: None,
            asked: None,
        })
    }

    /// Lets the user type until Enter in their own turn, until something calls, or until
    /// they want no more.
    fn prompt(
        &mut self,
        turn: &Turn,
        mut watched: Option<&mut dyn Watched>,
    ) -> io::Result<Prompted> {
        loop {
            self.output.explain()?;
            self.output.make_room()?;
            let mut rustyline = match self.rustyline.take() {
                Some(rustyline) => rustyline,
                None => self.start()?,
            };
            self.echo.turn_off();
            let prompted = self.prompt_by(&mut rustyline, turn, reborrow(&mut watched))?;
            self.rustyline = Some(rustyline);
            return Ok(match prompted {
                Ok(prompted) => prompted,
                Err(Call::Incoming) => Prompted::Incoming,
                // A line that was entered meanwhile is told to whoever has asked for it.
                Err(Call::Noted) if self.entered.is_some() => Prompted::Incoming,
                Err(Call::Noted) => continue,
                Err(Call::Stop) => {
                    // As at all other times: on the spot, so that what is reset then is reset.
                    let _restored = self.echo.restore();
                    process::exit(INTERRUPTED_STATUS.into());
                }
            });
        }
    }

    /// Shows one prompt, and returns how the user has ended it, or else who has called them
    /// away from it.
    fn prompt_by(
        &mut self,
        rustyline: &mut Rustyline,
        turn: &Turn,
        mut watched: Option<&mut dyn Watched>,
    ) -> io::Result<Result<Prompted, Call>> {
        let prompt = turn.to_string();
        let ours = matches!(turn, Turn::Ours(_));
        if let Some(helper) = rustyline.helper_mut() {
            helper.turn = turn.clone();
        }
        loop {
            *lock(&self.drawn) = Drawn::default();
            let draft = mem::take(&mut self.draft);
            let (drawn, screen, dim) = (&self.drawn, &self.screen, self.dim);
            let log = &self.options.log;
            let ended = self.interrupts.while_prompting(
                log,
                reborrow(&mut watched),
                || rustyline.readline_with_initial(&prompt, draft.line.split_at(draft.cursor)),
                || lock(drawn).state,
                || {
                    if let Turn::Theirs(line) = turn {
                        redraw_prompt(screen, &lock(drawn), &line.to_string(), dim);
                    }
                },
            )?;
            let called = ended.call;
            // The editor has no line any more, but what it drew last is known.
            let drawn = lock(&self.drawn).clone();
            let columns = columns(&self.screen);
            let (rows, cursor_row) = (drawn.rows(columns), drawn.cursor_row(columns));
            match ended.value {
                Ok(line) if ours && called.is_none() => return Ok(Ok(Prompted::Line(line))),
                // What has come at the same moment is shown first; then it is sent.
                Ok(line) if ours => {
                    self.wipe(rows);
                    self.entered = Some(line);
                }
                Ok(line) => {
                    self.draft = Draft {
                        cursor: line.len(),
                        line,
                    };
                    self.wipe(rows);
                }
                Err(ReadlineError::Eof) => {
                    self.wipe(rows);
                    self.leave(turn, "");
                    // Whatever else has come at that moment.
                    return Ok(match called {
                        Some(Call::Stop) => Err(Call::Stop),
                        _ => Ok(Prompted::EndOfInput),
                    });
                }
                Err(ReadlineError::Interrupted) if drawn.interrupted || ended.unprompted => {
                    self.wipe(rows);
                    self.leave(turn, &drawn.line);
                    return Ok(Ok(Prompted::Interrupted));
                }
                Err(ReadlineError::Interrupted) => {
                    self.wipe(rows);
                    self.draft = drawn.into();
                }
                // In these two cases the cursor was left where it stood.
                Err(ReadlineError::Signal(_)) => {
                    self.wipe(cursor_row + 1);
                    self.draft = drawn.into();
                }
                Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                    self.wipe(cursor_row + 1);
                    self.draft = drawn.into();
                    self.output.show(&Event::NotUtf8)?;
                }
                // A signal met rustyline on its way in.
                Err(ReadlineError::Errno(nix::errno::Errno::EINTR)) => self.draft = draft,
                // A terminal that is gone says so in many ways, and by SIGHUP.
                Err(_) if called.is_some() => {}
                Err(error) => return Err(into_io(error)),
            }
            if let Some(called) = called {
                return Ok(Err(called));
            }
        }
    }

    /// When the user wants no more: what stood on their prompt stays to be read, as in a
    /// shell, but for hints; a waiting line goes.
    fn leave(&self, turn: &Turn, line: &str) {
        if let Turn::Ours(prompt) = turn {
            let _ = writeln!(&*self.screen, "{prompt}{line}");
        }
    }

    /// Wipes the last `rows` rows off the screen, above the one that the cursor is in. One
    /// that is gone needs no wiping.
    fn wipe(&self, rows: usize) {
        let _ = (&*self.screen).write_all(format!("\r\x1b[{rows}A\x1b[J").as_bytes());
    }

    fn start(&mut self) -> io::Result<Rustyline> {
        let config = Config::builder()
            .max_history_size(HISTORY)
            .and_then(|config| config.history_ignore_dups(true))
            .map_err(into_io)?
            .edit_mode(if self.options.vi || inputrc::says_vi() {
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
        rustyline.set_helper(Some(Helper {
            turn: Turn::Ahead,
            drawn: Arc::clone(&self.drawn),
            hinter: HistoryHinter::new(),
            dim: self.dim,
        }));
        let (echo, screen) = (Arc::clone(&self.echo), Arc::clone(&self.screen));
        on_key(&mut rustyline, KeyEvent::ctrl('Z'), move || {
            echo.stop(&*screen);
            Some(Cmd::Repaint)
        });
        // An interruption in the middle of a paste would lose what was read of it, and
        // take the rest for keys; one that meets Ctrl-C must not be taken for it.
        let paste = KeyEvent(KeyCode::BracketedPasteStart, Modifiers::NONE);
        let drawn = Arc::clone(&self.drawn);
        on_key(&mut rustyline, paste, move || {
            lock(&drawn).state = State::Pasting;
            None
        });
        let drawn = Arc::clone(&self.drawn);
        on_key(&mut rustyline, KeyEvent::ctrl('C'), move || {
            lock(&drawn).interrupted = true;
            None
        });
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
                    reason: reason(&error),
                })?,
            }
        }
        Ok(())
    }

    /// Takes in what was typed while something was shown, for the next prompt: an Enter
    /// among it cannot be meant as an answer.
    fn typed_ahead(&mut self) -> io::Result<Prompted> {
        let stdin = io::stdin();
        let mut typed = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if poll(&mut typed, PollTimeout::ZERO)? == 0 {
            return Ok(Prompted::Incoming);
        }
        self.prompt(&Turn::Ahead, None)
    }

    fn answer(&mut self, line: String) -> Result<Answer<'_>, Failure> {
        self.asked = None;
        self.remember(&line).map_err(Failure::Input)?;
        self.message = line;
        Ok(Answer::Text {
            text: self.message.as_bytes(),
            last: true,
        })
    }

    fn remember(&mut self, line: &str) -> io::Result<()> {
        let Some(mut rustyline) = self.rustyline.take() else {
            return Ok(());
        };
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
    fn wait(&mut self, awaited: Awaited, watched: &mut dyn Watched) -> Result<Wait, Failure> {
        let since = match self.waiting {
            Some((before, since)) if before == awaited => since,
            _ => Instant::now(),
        };
        self.waiting = Some((awaited, since));
        let line = WaitingLine {
            awaited,
            since,
            so_far: watched
                .so_far()
                .map_or_else(String::new, |text| Awaited::so_far(text) + "  "),
            quiet: self.output.is_quiet(),
        };
        let prompted = self
            .prompt(&Turn::Theirs(line), Some(watched))
            .map_err(Failure::Input)?;
        Ok(match prompted {
            Prompted::Line(_) | Prompted::Incoming => Wait::Incoming,
            Prompted::EndOfInput => Wait::EndOfInput,
            Prompted::Interrupted => Wait::Interrupted,
        })
    }

    fn ask(&mut self, prompt: &Prompt, watched: &mut dyn Watched) -> Result<Answer<'_>, Failure> {
        let heard = mem::take(&mut self.heard);
        self.waiting = None;
        self.asked = Some(prompt.peer);
        if let Some(line) = self.entered.take() {
            let _ = writeln!(&*self.screen, "{prompt}{line}");
            return self.answer(line);
        }
        if heard {
            match self.typed_ahead().map_err(Failure::Input)? {
                Prompted::EndOfInput => return Ok(Answer::EndOfInput),
                Prompted::Interrupted => return Ok(Answer::Interrupted),
                Prompted::Line(_) | Prompted::Incoming => {}
            }
        }
        // Enter, pressed while there was nothing to answer, has begun lines, and is not to
        // leave blank ones.
        self.draft.trim();
        if mem::take(&mut self.is_repeated) {
            let told = self.output.show(&Event::NotAnswered);
            told.map_err(Failure::Output)?;
        }
        let prompted = self
            .prompt(&Turn::Ours(*prompt), Some(watched))
            .map_err(Failure::Input)?;
        Ok(match prompted {
            Prompted::Line(line) => return self.answer(line),
            Prompted::Incoming => Answer::Incoming,
            Prompted::EndOfInput => Answer::EndOfInput,
            Prompted::Interrupted => Answer::Interrupted,
        })
    }

    fn put_back(&mut self) -> bool {
        let message = mem::take(&mut self.message);
        self.draft.trim();
        if !message.is_empty() {
            self.is_repeated = true;
            // What was typed since stands behind it.
            if self.draft.line.is_empty() {
                self.draft.cursor = message.len();
                self.draft.line = message;
            } else {
                self.draft.cursor += message.len() + 1;
                self.draft.line = format!("{message}\n{}", self.draft.line);
            }
        }
        true
    }

    fn answers_blindly(&self) -> bool {
        false
    }

    fn unsent(&mut self, _: bool) -> Result<Option<String>, Failure> {
        self.asked = None;
        self.is_repeated = false;
        self.draft.trim();
        let line = self
            .entered
            .take()
            .unwrap_or(mem::take(&mut self.draft).line);
        Ok(Some(line).filter(|line| !line.is_empty()))
    }

    fn sent(&mut self, peer: Peer) -> Result<(), Failure> {
        let sent = Event::Sent {
            peer,
            text: self.message.as_bytes(),
            last: true,
        };
        self.output.show(&sent).map_err(Failure::Output)
    }

    fn explain(&mut self) -> Result<(), Failure> {
        self.output.explain().map_err(Failure::Output)
    }

    fn show(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        if let Event::Received(peer, _) | Event::Late(peer, _) = event {
            // What another says is not what the user is about to answer.
            self.heard |= self.asked.is_none_or(|asked| asked == *peer);
        }
        self.output.show(event).map_err(Failure::Output)
    }
}

impl Drop for Editor {
    fn drop(&mut self) {
        drop(self.echo.restore());
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

/// The same for one more loan of it.
fn reborrow<'a>(watched: &'a mut Option<&mut dyn Watched>) -> Option<&'a mut dyn Watched> {
    match watched {
        Some(watched) => Some(&mut **watched),
        None => None,
    }
}

/// Has `handler` called when `key` is pressed at the prompt.
fn on_key(
    rustyline: &mut Rustyline,
    key: KeyEvent,
    handler: impl Fn() -> Option<Cmd> + Send + Sync + 'static,
) {
    rustyline.bind_sequence(key, EventHandler::Conditional(Box::new(OnKey(handler))));
}

/// Draws another prompt of the same width over the one on the screen, with the cursor
/// put back, in one write.
fn redraw_prompt(screen: &File, drawn: &Drawn, prompt: &str, style: Style) {
    let row = drawn.cursor_row(columns(screen));
    // A search of the history has a prompt of its own, and the first row of a line that
    // is taller than the screen is gone.
    if !drawn.default || row >= rows(screen) {
        return;
    }
    let up = match row {
        0 => String::new(),
        rows => format!("\x1b[{rows}A"),
    };
    let text = format!("\x1b7{up}\r{style}{prompt}{style:#}\x1b8");
    let mut screen = screen;
    let _ = screen.write_all(text.as_bytes());
}

fn into_io(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        ReadlineError::Errno(errno) => errno.into(),
        other => io::Error::other(other),
    }
}
