//! Waits for all input and network events, tells the session of them, and does what it decides.

mod chat;

use std::io;
use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};

use self::chat::Chat;
use crate::command::Company;
use crate::event::{Answer, Awaited, Event, Failure, Peer, Prompt, Unsent};
use crate::explain::{Log, Standing};
use crate::input::{self, Input, Kind, Typed};
use crate::peers::{FIRST_TOKEN, Peers};
use crate::prompt::SharedPrompt;
use crate::report::Report;
use crate::script::Script;
use crate::session::{Ending, Rules};
use crate::sys::{self, Signals};

/// The token with which other threads wake the wait.
const WAKER: Token = Token(0);

// The two tokens before the first peer's are those of the peers' other sockets.
const _: () = assert!(FIRST_TOKEN - 2 > WAKER.0);

/// The maximum number of events per wait.
const EVENTS: usize = 1024;

/// How long a call may take until the user is told, with `--explain`, that the program stands in it.
const STANDS: Duration = Duration::from_millis(100);

/// The last message sent, if the connection was lost before a reply arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    Nothing,
    /// The message is on the prompt again.
    OnPrompt,
    /// The message is the next line of a pipe, or of a terminal with a plain prompt, again.
    InLines,
    /// The message cannot be given back: the buffer no longer holds all of it.
    Torn,
}

/// The user's side of all conversations, and the wait for events.
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
pub struct Engine {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    signals: Signals,
    /// Whether a signal that ends the program was received.
    stopped: bool,
    kind: Kind,
    options: input::Options,
    /// What is answered instead of what the user says.
    script: Option<Arc<Script>>,
    /// The width of the peer's number in the prompt, in columns.
    columns: usize,
    input: Option<Input>,
    prompt: Option<SharedPrompt>,
    report: Report,
    unanswered: Unanswered,
    /// Whether something that a program said was not sent.
    lost_words: bool,
    /// Whether the user was told that newlines are replaced by spaces.
    told_joined: bool,
    /// Whether the user was told that messages were kept for the turn of their peer.
    told_kept: bool,
    /// Whether the user was told how to leave.
    told_welcome: bool,
}

impl Engine {
    /// Creates an engine that handles the signals that end the program. If there is a `script`, it
    /// answers the peers, and the user's input is not read. `many` is the maximum
    /// number of clients if there may be several: then the prompt is wide enough to name one. Fails
    /// if no descriptor is left.
    pub fn new(
        options: input::Options,
        script: Option<Script>,
        report: Report,
        many: Option<u16>,
    ) -> io::Result<Self> {
        let kind = match script {
            Some(_) => Kind::Program,
            None => Kind::of_stdin(),
        };
        let poll = Poll::new()?;
        Ok(Self {
            waker: Arc::new(Waker::new(poll.registry(), WAKER)?),
            poll,
            events: Events::with_capacity(EVENTS),
            signals: Signals::take_over(kind != Kind::Program)?,
            stopped: false,
            kind,
            options,
            script: script.map(Arc::new),
            // The longest text is of the form `#99 +30`.
            columns: many.map_or(0, |max| "#99 +".len() + max.to_string().len()),
            input: None,
            prompt: None,
            report,
            unanswered: Unanswered::Nothing,
            lost_words: false,
            told_joined: false,
            told_kept: false,
            told_welcome: false,
        })
    }

    /// Returns what kind of user the input comes from.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether a script answers.
    pub fn has_script(&self) -> bool {
        self.script.is_some()
    }

    /// Returns whether a script has the first word.
    pub fn has_greeting(&self) -> bool {
        let greeting = self.script.as_ref().and_then(|script| script.greeting());
        greeting.is_some()
    }

    /// Returns the registry of the sockets to wait for.
    pub fn registry(&self) -> &mio::Registry {
        self.poll.registry()
    }

    /// Makes the first signal end the conversation instead of the program, which then cleans up.
    /// It is always so at a terminal. Fails if no descriptor is left.
    pub fn leave_in_order(&mut self) -> Result<(), Failure> {
        if self.signals.are_reported() {
            return Ok(());
        }
        self.signals.report_to(&self.waker).map_err(Failure::Input)
    }

    /// Starts to read the user's input, if that has not been done yet. Fails if the terminal is
    /// gone, or if no descriptor or thread is left.
    pub fn start_input(&mut self) -> Result<(), Failure> {
        if self.input.is_some() || self.has_script() {
            return Ok(());
        }
        if self.kind == Kind::CrowdedTerminal {
            self.show(&Event::NoEditor)?;
        }
        if self.kind != Kind::Program {
            let reported = self.leave_in_order();
            // A crowded one may have no descriptor left; then a signal ends it at once.
            if self.kind != Kind::CrowdedTerminal {
                reported?;
            }
        }
        let input = if self.kind == Kind::Terminal {
            let prompt = SharedPrompt::new(Arc::clone(&self.waker), self.columns, self.options.dim);
            let editor = Input::editor(&self.options, &prompt).map_err(Failure::Input)?;
            self.report.set_prompt(prompt.clone());
            self.prompt = Some(prompt);
            editor
        } else {
            Input::lines(Arc::clone(&self.waker)).map_err(Failure::Input)?
        };
        self.input = Some(input);
        Ok(())
    }

    /// Reports an event to the user and the transcript. Fails if stdout cannot be written.
    pub fn show(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        show(&mut self.report, event)
    }

    /// Converses with `peers` by `rules` until the conversation ends. Returns how it ended.
    ///
    /// Fails if the connection breaks and no other peer is left or can follow, if the user's input
    /// cannot be read, or if stdout cannot be written.
    pub fn run(&mut self, peers: &mut Peers, rules: Rules) -> Result<Ending, Failure> {
        self.start_input()?;
        let is_raw = !rules.framing.marks_the_end();
        if rules.duplex {
            match (&self.prompt, &mut self.input) {
                (Some(prompt), _) => prompt.set_duplex(!is_raw),
                (None, Some(Input::Lines(lines))) if is_raw && self.kind == Kind::Program => {
                    lines.take_whole();
                }
                _ => {}
            }
        }
        // A program that writes a long answer reads nothing meanwhile, whoever speaks.
        if self.kind == Kind::Program && (rules.duplex || rules.stays_open) {
            self.report
                .write_aside(&self.waker)
                .map_err(Failure::Output)?;
        }
        if rules.reads_lines && !is_raw {
            // A line more than is counted would be answered to another client.
            self.report.write_clear_lines();
        }
        if let Some(prompt) = &self.prompt {
            prompt.roster().company = match (peers.listens(), self.columns) {
                (false, _) => Company::Peer,
                (true, 0) => Company::Client,
                (true, _) => Company::Clients,
            };
        }
        let ended = Chat::new(self, peers, rules).run();
        let written = self.report.finish().map_err(Failure::Output);
        match ended.and_then(|ending| written.map(|()| ending)) {
            Err(Failure::Output(error)) if sys::is_reader_gone(&error) => {
                // The reader of our output, such as `head`, needs no more: this is not an error.
                self.lost_words |= self.kind == Kind::Program && !peers.lacking(false).is_empty();
                Ok(Ending::OutputClosed)
            }
            ended => ended,
        }
    }

    /// Returns whether socket calls are told.
    pub fn explains(&self) -> bool {
        self.report.log().is_some()
    }

    /// Runs `work`, which blocks, and returns its result. At a terminal it runs on a thread, so
    /// that the user can cancel it; then the result is how the user ended the program. So it does if
    /// socket calls are told, so that a wait is.
    ///
    /// Fails if the thread cannot be started, if the user's input cannot be read, or if stdout
    /// cannot be written.
    pub fn run_aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Result<T, Ending>, Failure> {
        if !self.signals.are_reported() && self.report.log().is_none() {
            return Ok(Ok(work()));
        }
        let mut told = None;
        let (sender, done) = mpsc::sync_channel(1);
        let waker = Arc::clone(&self.waker);
        let spawned = thread::Builder::new()
            .name("connect".into())
            .spawn(move || {
                let _ = sender.send(work());
                let _ = waker.wake();
            });
        spawned.map_err(Failure::Input)?;
        loop {
            if let Ok(done) = done.try_recv() {
                return Ok(Ok(done));
            }
            if let Some(ending) = self.attend(&mut told)? {
                return Ok(Err(ending));
            }
        }
    }

    /// Waits once for the user, or for work that is done aside. Tells the call that it stands in, unless
    /// that is the one that was `told`. Returns how the user ended the program; fails as
    /// [`Engine::run_aside`] does.
    fn attend(&mut self, told: &mut Option<Standing>) -> Result<Option<Ending>, Failure> {
        if let Some(prompt) = &self.prompt {
            prompt.set_turn(Prompt::default(), Awaited::AServer);
        }
        self.report.explain().map_err(Failure::Output)?;
        let log = self.report.log();
        let begun = log.and_then(Log::connecting);
        // The other thread may be about to begin a call.
        let is_told = begun.is_some() && begun == *told;
        let until = log.map(|_| Instant::now() + STANDS);
        let until = until.filter(|_| !is_told);
        self.wait(until)?;
        if let Some(until) = until
            && until <= Instant::now()
            && let Some(standing) = &begun
            && self.report.log().and_then(Log::connecting) == begun
        {
            self.show(&Event::Stands(standing))?;
            *told = begun;
        }
        if self.stopped {
            return Ok(Some(Ending::Interrupted));
        }
        while let Some(typed) = next(&mut self.input, false) {
            match typed {
                Typed::EndOfInput => return Ok(Some(Ending::EndOfInput)),
                Typed::Interrupt => return Ok(Some(Ending::Interrupted)),
                Typed::Failed(error) => return Err(Failure::Input(error)),
                Typed::Notice(notice) => show(&mut self.report, &notice)?,
                Typed::Command(_) => {
                    show(&mut self.report, &Event::Answer(Answer::NobodyThere))?;
                }
                // There is no peer to send it to.
                Typed::Line { text, .. } => tell_not_sent(&mut self.report, &text)?,
            }
        }
        Ok(None)
    }

    /// Waits for the time `pause`, without a peer, and shows the event that `waiting` makes of what
    /// is left of it: once, or above a prompt each second, if it is not news. Returns how the user
    /// ended the program, or `None` if the time is up. Fails as [`Engine::run_aside`] does.
    pub fn pause<'a>(
        &mut self,
        pause: Duration,
        is_news: bool,
        waiting: impl Fn(Duration) -> Event<'a>,
    ) -> Result<Option<Ending>, Failure> {
        let until = Instant::now() + pause;
        let mut left = pause;
        let counts_down = self.report.can_renew() && !is_news;
        if !counts_down {
            self.show(&waiting(left))?;
        }
        loop {
            let mut step = left;
            if counts_down {
                let seconds = left.as_millis().div_ceil(1000);
                let seconds = Duration::from_secs(seconds.try_into().unwrap_or(u64::MAX));
                self.report
                    .renew(&waiting(seconds), left == pause)
                    .map_err(Failure::Output)?;
                // Until the next whole second.
                step = left.saturating_sub(seconds.saturating_sub(Duration::from_secs(1)));
            }
            if left.is_zero() {
                return Ok(None);
            }
            if let Err(ending) = self.run_aside(move || thread::sleep(step))? {
                return Ok(Some(ending));
            }
            left = until.saturating_duration_since(Instant::now());
        }
    }

    /// Reports the text that was entered or is on the prompt as not sent, if there is any. Call it
    /// when nothing more can be sent. Fails if the text cannot be read or stdout cannot be written.
    pub fn tell_unsent(&mut self) -> Result<(), Failure> {
        if self.is_plain() {
            self.tell_ahead()?;
            return self.tell_begun();
        }
        let unsent = self.close_prompt()?;
        if unsent.is_empty() {
            return Ok(());
        }
        self.show(&Event::NotSent(&unsent))
    }

    /// Returns whether lines are typed behind a plain prompt.
    fn is_plain(&self) -> bool {
        self.kind != Kind::Program && matches!(self.input, Some(Input::Lines(_)))
    }

    /// Reports the lines that were entered ahead behind a plain prompt as not sent. Fails if stdout cannot
    /// be written.
    fn tell_ahead(&mut self) -> Result<(), Failure> {
        let Some(Input::Lines(lines)) = &mut self.input else {
            return Ok(());
        };
        let ahead = lines.take_ahead();
        self.report.orphan(lines.is_begun());
        self.tell_lines(&ahead)
    }

    /// Returns whether lines were entered ahead behind a plain prompt.
    fn has_ahead(&mut self) -> bool {
        match &mut self.input {
            Some(Input::Lines(lines)) => lines.has_ahead(),
            _ => false,
        }
    }

    /// Waits until the line is entered that was begun behind a plain prompt, if there is one, and reports
    /// it as not sent: left to the terminal, it would become the shell's next command. Fails if stdout
    /// cannot be written.
    fn tell_begun(&mut self) -> Result<(), Failure> {
        let mut is_told = false;
        loop {
            let Some(Input::Lines(lines)) = &mut self.input else {
                return Ok(());
            };
            if !lines.is_begun() || lines.is_ready() || self.stopped {
                let begun = lines.take_all();
                self.report.enter();
                return self.tell_lines(&begun);
            }
            if !mem::replace(&mut is_told, true) {
                self.show(&Event::PressEnter)?;
            }
            self.wait(None)?;
        }
    }

    fn tell_lines(&mut self, text: &str) -> Result<(), Failure> {
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            self.show(&Event::NotSent(line))?;
        }
        Ok(())
    }

    /// Counts the lines of a program that were not sent, and reports them, if there are any. Call
    /// it when nothing more can be sent, and every line was to be. Fails if stdout cannot be
    /// written.
    pub fn tell_unsent_lines(&mut self) -> Result<(), Failure> {
        let unsent = self.count_unsent_lines();
        if unsent.lines > 0 {
            self.show(&Event::LinesNotSent(unsent))?;
        }
        Ok(())
    }

    fn count_unsent_lines(&mut self) -> Unsent {
        match &mut self.input {
            Some(Input::Lines(lines)) if self.kind == Kind::Program => lines.count_rest(),
            _ => Unsent::default(),
        }
    }

    /// Returns whether something that a program said was not sent.
    pub fn has_lost_words(&self) -> bool {
        self.lost_words
    }

    /// Erases the prompt, if there is one, and restores the terminal. Returns the text on the
    /// prompt. Fails if stdout cannot be written.
    pub fn close_prompt(&mut self) -> Result<String, Failure> {
        let Some(Input::Editor(editor)) = &mut self.input else {
            return Ok(String::new());
        };
        let (rows, line) = editor.close();
        let ended = self.report.end_prompt(&rows);
        editor.restore();
        self.input = None;
        self.prompt = None;
        ended.map_err(Failure::Output)?;
        Ok(line.trim_matches('\n').to_owned())
    }

    /// Ends the conversation with `peer`, which left and `owes_reply` or not. Returns how it ended;
    /// fails if something that a program said was lost.
    fn end_with(&mut self, peer: Peer, owes_reply: bool) -> Result<Ending, Failure> {
        self.tell_unsent()?;
        if self.kind == Kind::Program && peer == Peer::Server {
            let last = self.input.as_ref().map(Input::last);
            let no_reply = last.filter(|_| owes_reply);
            let unsent = self.count_unsent_lines();
            if owes_reply || unsent.lines > 0 {
                return Err(Failure::Unfinished {
                    peer,
                    no_reply,
                    unsent,
                });
            }
        }
        Ok(Ending::PeerLeft)
    }

    /// Gives the last message, which got no reply, back to the user.
    fn put_back(&mut self) {
        match &mut self.input {
            Some(Input::Editor(editor)) => {
                editor.put_back();
                self.unanswered = Unanswered::OnPrompt;
            }
            Some(Input::Lines(lines)) => {
                let is_complete = lines.put_back();
                if !is_complete {
                    self.unanswered = Unanswered::Torn;
                }
            }
            None => {}
        }
    }

    /// Waits for an event, at most until the time `until`. Fails if the system cannot wait.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Failure> {
        let timeout = until.map(|until| until.saturating_duration_since(Instant::now()));
        // mio rounds up to milliseconds, so this does not spin through the last one.
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.events.clear(),
            Err(error) => return Err(Failure::Input(error)),
        }
        self.stopped |= self.signals.received();
        Ok(())
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.close_prompt();
    }
}

/// Reports an event to the user and the transcript. Fails if stdout cannot be written.
fn show(report: &mut Report, event: &Event<'_>) -> Result<(), Failure> {
    report.show(event).map_err(Failure::Output)
}

/// Tells the user that `text`, which was entered, was not sent. Fails if stdout cannot be written.
fn tell_not_sent(report: &mut Report, text: &[u8]) -> Result<(), Failure> {
    show(report, &Event::NotSent(&String::from_utf8_lossy(text)))
}

/// Returns the user's next input. Lines of a program are read only if `wants_line`.
fn next(input: &mut Option<Input>, wants_line: bool) -> Option<Typed<'_>> {
    input.as_mut()?.next(wants_line)
}
