//! Waits for all input and network events, tells the session of them, and does what it decides.

mod operator;
mod scripted;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use memchr::memchr;
use mio::{Events, Poll, Token, Waker};

use crate::command::Company;
use crate::connection::Part;
use crate::endpoint::Address;
use crate::event::{Answer, Awaited, Event, Failure, Hint, Parting, Peer, Prompt, Unsent};
use crate::explain::{Log, Standing};
use crate::framing::Oddity;
use crate::input::{self, Input, Kind, Typed};
use crate::peers::{Arrival, FIRST_TOKEN, News, Peers};
use crate::prompt::SharedPrompt;
use crate::report::Report;
use crate::sanitize::Untrusted;
use crate::script::Script;
use crate::session::{AtEnd, Ending, Entered, Gone, Rules, Session};
use crate::sys::{self, Signals};

/// The token with which other threads wake the wait.
const WAKER: Token = Token(0);

/// The token of the signals that end the program.
const SIGNALS: Token = Token(1);

const _: () = assert!(FIRST_TOKEN > 2);

/// The maximum number of events per wait.
const EVENTS: usize = 1024;

/// The maximum number of clients to accept before others get their turn.
const ACCEPTED: usize = 16;

/// How long a peer that has the turn is silent until the user is told, with `--explain`, what may be
/// wrong.
const SILENT: Duration = Duration::from_secs(10);

/// How long a call may take until the user is told, with `--explain`, that the program stands in it.
const STANDS: Duration = Duration::from_millis(100);

/// How long an answer may take until the user is told that no newline is sent.
const NO_ANSWER: Duration = Duration::from_secs(3);

/// The last message sent, if the connection was lost before a reply arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    Nothing,
    /// The message is on the prompt again.
    OnPrompt,
    /// The message is the next line of the pipe again.
    InPipe,
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
    /// Whether the program waits for a line from the user.
    asked: bool,
    unanswered: Unanswered,
    /// Whether something that a program said was not sent.
    lost_words: bool,
    /// Whether the user was told that newlines are replaced by spaces.
    told_joined: bool,
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
            asked: false,
            unanswered: Unanswered::Nothing,
            lost_words: false,
            told_joined: false,
            told_welcome: false,
        })
    }

    /// Returns what kind of user the input comes from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns whether a script answers.
    #[must_use]
    pub fn has_script(&self) -> bool {
        self.script.is_some()
    }

    /// Returns whether a script has the first word.
    #[must_use]
    pub fn has_greeting(&self) -> bool {
        let greeting = self.script.as_ref().and_then(|script| script.greeting());
        greeting.is_some()
    }

    /// Returns the registry of the sockets to wait for.
    #[must_use]
    pub fn registry(&self) -> &mio::Registry {
        self.poll.registry()
    }

    /// Makes the first signal end the conversation instead of the program, which then cleans up.
    /// It is always so at a terminal. Fails if no descriptor is left.
    pub fn leave_in_order(&mut self) -> Result<(), Failure> {
        if self.signals.are_reported() {
            return Ok(());
        }
        self.signals
            .report_to(self.poll.registry(), SIGNALS, &self.waker)
            .map_err(Failure::Input)
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
        let input = if self.kind == Kind::Terminal {
            let prompt = SharedPrompt::new(Arc::clone(&self.waker), self.columns, self.options.dim);
            self.leave_in_order()?;
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
        let is_duplex = rules.duplex;
        if rules.duplex {
            match (&self.prompt, &mut self.input) {
                (Some(prompt), _) => prompt.set_duplex(!is_raw),
                (None, Some(Input::Lines(lines))) if is_raw && self.kind == Kind::Program => {
                    lines.take_whole();
                }
                _ => {}
            }
            if self.kind == Kind::Program {
                self.report
                    .write_aside(&self.waker)
                    .map_err(Failure::Output)?;
            }
        }
        let hints = is_raw || rules.reply.until.is_some() && !rules.reply.is_timed();
        let is_typed = self.kind != Kind::Program;
        if let Some(prompt) = &self.prompt {
            prompt.roster().company = match (peers.listens(), self.columns) {
                (false, _) => Company::Peer,
                (true, 0) => Company::Client,
                (true, _) => Company::Clients,
            };
        }
        let server = peers.address(Peer::Server).cloned();
        let mut chat = Chat {
            engine: self,
            session: Session::new(rules),
            peers,
            stands: None,
            hinted: Vec::new(),
            orders: VecDeque::new(),
            message: BTreeMap::new(),
            reply_from: Instant::now(),
            news_from: Instant::now(),
            hints: hints && is_typed,
            told_newline: (is_raw && is_typed && !is_duplex).then_some(false),
        };
        if let Some(address) = server {
            chat.join(Peer::Server, &address)?;
        }
        let ended = chat.run();
        let written = self.report.finish().map_err(Failure::Output);
        match ended.and_then(|ending| written.map(|()| ending)) {
            Err(Failure::Output(error)) if sys::is_reader_gone(&error) => {
                // The reader of our output, such as `head`, needs no more: this is not an error.
                Ok(Ending::OutputClosed)
            }
            ended => ended,
        }
    }

    /// Returns whether socket calls are told.
    #[must_use]
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
        if self.prompt.is_none() && self.report.log().is_none() {
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
            if let Some(prompt) = &self.prompt {
                prompt.set_turn(Prompt::default(), Awaited::AServer);
            }
            self.report.explain().map_err(Failure::Output)?;
            let log = self.report.log();
            let begun = log.and_then(Log::begun);
            // The other thread may be about to begin a call.
            let is_told = begun.is_some() && begun == told;
            let until = log.map(|_| Instant::now() + STANDS);
            let until = until.filter(|_| !is_told);
            self.wait(until)?;
            if let Some(until) = until
                && until <= Instant::now()
                && let Some(standing) = &begun
                && self.report.log().and_then(Log::begun) == begun
            {
                self.show(&Event::Stands(standing))?;
                told = begun;
            }
            if self.stopped {
                return Ok(Err(Ending::Interrupted));
            }
            while let Some(typed) = next(&mut self.input, false) {
                match typed {
                    Typed::EndOfInput => return Ok(Err(Ending::EndOfInput)),
                    Typed::Interrupt => return Ok(Err(Ending::Interrupted)),
                    Typed::Failed(error) => return Err(Failure::Input(error)),
                    Typed::Notice(notice) => show(&mut self.report, &notice)?,
                    Typed::Command(_) => {
                        show(&mut self.report, &Event::Answer(Answer::NobodyThere))?;
                    }
                    // There is no peer to send it to.
                    Typed::Line { text, .. } => tell_not_sent(&mut self.report, &text)?,
                }
            }
        }
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
        let unsent = match &mut self.input {
            Some(Input::Editor(_)) => self.close_prompt()?,
            // The terminal keeps an incomplete line until Enter. Left there, it would become the
            // shell's next command.
            Some(Input::Lines(lines))
                if self.kind != Kind::Program && (lines.is_put_back() || self.asked) =>
            {
                let line = lines.next().map_err(Failure::Input)?;
                line.map_or_else(String::new, |(line, _)| {
                    String::from_utf8_lossy(line).into_owned()
                })
            }
            _ => String::new(),
        };
        if unsent.is_empty() {
            return Ok(());
        }
        self.report.leave_plain_prompt();
        self.show(&Event::NotSent(&unsent))
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
    #[must_use]
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
        self.input = None;
        self.prompt = None;
        self.report.end_prompt(&rows).map_err(Failure::Output)?;
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

/// One run of the engine.
struct Chat<'a> {
    engine: &'a mut Engine,
    session: Session,
    peers: &'a mut Peers,
    /// The call that the user was told that the program stands in, and when.
    stands: Option<(Standing, Instant)>,
    /// The hints of `--explain` that were given: each is given once.
    hinted: Vec<mem::Discriminant<Hint>>,
    /// The lines that a command stands for, and whom they go to.
    orders: VecDeque<(Peer, String)>,
    /// What has arrived of messages that a script will answer.
    message: BTreeMap<Peer, Vec<u8>>,
    /// When our last line was sent.
    reply_from: Instant,
    /// When our last line was sent, or the last part of the reply to it came.
    news_from: Instant,
    /// Whether the user is to be told what can be done about it, if no answer comes, or no end.
    hints: bool,
    /// Whether the user was told that the peer sends newlines; `None` if that is not to be told.
    told_newline: Option<bool>,
}

/// How the conversation ended, or `None` if it continues.
type Step = Result<Option<Ending>, Failure>;

impl Chat<'_> {
    fn run(&mut self) -> Result<Ending, Failure> {
        loop {
            if let Some(ending) = self.take_time()? {
                return Ok(ending);
            }
            if self.engine.explains() {
                // A send that would block returns, and is told to wait.
                let registry = self.engine.poll.registry();
                self.peers.watch(registry).map_err(Failure::Accept)?;
            }
            if let Some(ending) = self.take_input()? {
                return Ok(ending);
            }
            if let Some(ending) = self.take_news()? {
                return Ok(ending);
            }
        }
    }

    /// Handles the user's input. Lines of a program are read only when they are wanted.
    fn take_input(&mut self) -> Step {
        if mem::take(&mut self.engine.stopped) {
            return self.interrupt();
        }
        loop {
            let wants_line = self.wants_line();
            let engine = &mut *self.engine;
            let report = &mut engine.report;
            let typed = match self.orders.pop_front() {
                Some((peer, text)) => {
                    self.session.choose(peer);
                    Some(Typed::Line {
                        text: text.into_bytes().into(),
                        last: true,
                        to: Some(peer),
                    })
                }
                None => next(&mut engine.input, wants_line),
            };
            let Some(typed) = typed else {
                return Ok(None);
            };
            let (text, last, to) = match typed {
                Typed::Line { text, last, to } => (text, last, to),
                Typed::Command(command) => {
                    if let Some(ending) = self.obey(command)? {
                        return Ok(Some(ending));
                    }
                    continue;
                }
                Typed::EndOfInput => {
                    if let Some(ending) = self.end_of_input()? {
                        return Ok(Some(ending));
                    }
                    continue;
                }
                Typed::Interrupt => return self.interrupt(),
                Typed::Notice(notice) => {
                    show(report, &notice)?;
                    continue;
                }
                Typed::Failed(error) => return Err(Failure::Input(error)),
            };
            report.leave_plain_prompt();
            let text = &*text;
            let peer = match self.session.line(text, last, to) {
                Entered::Send(peer) => peer,
                Entered::SendAll => {
                    for peer in self.session.peers() {
                        if self.peers.send(peer, text, last).is_some() {
                            show(report, &Event::Sent { peer, text, last })?;
                        }
                    }
                    self.session.sent(last);
                    continue;
                }
                Entered::Blank => {
                    if let Some(Input::Lines(lines)) = &engine.input
                        && engine.kind == Kind::Program
                    {
                        show(report, &Event::LeftOut(lines.number()))?;
                    }
                    continue;
                }
                Entered::NotSent => {
                    engine.lost_words |= engine.kind == Kind::Program;
                    tell_not_sent(report, text)?;
                    continue;
                }
                Entered::Bye(peer) => {
                    self.peers.remove(peer);
                    if let Some(ending) = self.closed(peer)? {
                        return Ok(Some(ending));
                    }
                    continue;
                }
            };
            match self.peers.send(peer, text, last) {
                Some(joined) => {
                    self.session.sent(last);
                    if self.session.reply().is_timed() || self.hints {
                        self.reply_from = Instant::now();
                        self.news_from = self.reply_from;
                    }
                    if engine.unanswered == Unanswered::InPipe {
                        engine.unanswered = Unanswered::Nothing;
                        show(report, &Event::SentAgain(&String::from_utf8_lossy(text)))?;
                    }
                    show(report, &Event::Sent { peer, text, last })?;
                    if joined && !mem::replace(&mut engine.told_joined, true) {
                        show(report, &Event::Joined(self.session.framing()))?;
                    }
                }
                None if self.session.not_sent(last) => engine.put_back(),
                // It is counted among the lines that were not sent.
                None if engine.kind == Kind::Program && peer == Peer::Server => engine.put_back(),
                None => {
                    engine.lost_words |= engine.kind == Kind::Program;
                    tell_not_sent(report, text)?;
                }
            }
        }
    }

    /// Returns whether the next line of the user can be sent.
    fn wants_line(&self) -> bool {
        // The peer may not yet have accepted the previous part of a long line. Reading the next
        // part only then bounds the memory, and lets news of the peer through meanwhile.
        match self.session.asked() {
            Some(_) if self.session.is_duplex() => {
                self.session.peers().all(|peer| self.peers.can_send(peer))
            }
            Some(peer) => self.peers.can_send(peer),
            None => self.session.wants_line(),
        }
    }

    /// Handles the end of the user's input.
    fn end_of_input(&mut self) -> Step {
        let at_end = self.session.end_of_input();
        let is_typed = self.engine.kind != Kind::Program;
        if at_end == AtEnd::Wait || at_end == AtEnd::Close && self.session.is_duplex() && is_typed {
            self.engine.show(&Event::LastAnswer)?;
        }
        match at_end {
            AtEnd::Close => self.close().map(Some),
            AtEnd::Wait => Ok(None),
            AtEnd::End => Ok(Some(Ending::EndOfInput)),
        }
    }

    /// Tells that we have ended the conversation with `peer`.
    fn closed(&mut self, peer: Peer) -> Step {
        if let Some(prompt) = &self.engine.prompt {
            prompt.roster().leave(peer);
        }
        let goes_on = self.session.goes_on();
        self.engine.show(&Event::Closed { peer, goes_on })?;
        Ok((!goes_on).then_some(Ending::Bye))
    }

    /// Adds a peer that has connected, at `address`.
    fn join(&mut self, peer: Peer, address: &Address) -> Result<(), Failure> {
        self.session.joined(peer);
        let script = self.engine.script.clone();
        if let Some(greeting) = script.as_ref().and_then(|script| script.greeting()) {
            self.session.give_turn(peer);
            self.recite(peer, greeting)?;
        }
        if let Some(prompt) = &self.engine.prompt {
            prompt.roster().join(peer, address.clone());
            if !mem::replace(&mut self.engine.told_welcome, true) {
                self.engine.show(&Event::Welcome)?;
            }
        }
        Ok(())
    }

    fn interrupt(&mut self) -> Step {
        self.engine.tell_unsent()?;
        Ok(Some(Ending::Interrupted))
    }

    /// Waits for news of the peers and handles it.
    fn take_news(&mut self) -> Step {
        self.accept()?;
        self.ask()?;
        if self.engine.explains() {
            if self.waits_for_single() || !self.peers.are_ready() {
                self.tell_wait()?;
            }
            if self.peers.has_datagram() {
                self.hint(Hint::Datagram)?;
            }
        }
        let silent = self.silence_due();
        let single = self.waits_for_single() && silent.is_none();
        if !single {
            self.wait(self.reply_due().into_iter().chain(silent).min())?;
        }
        // Each ready peer is handled once before the user's input is looked at again.
        let count = if single { 1 } else { self.peers.begin_round() };
        for _ in 0..count {
            if self.engine.report.is_full() {
                break;
            }
            let session = &self.session;
            let news = if single {
                self.peers.wait_for_single()
            } else {
                self.peers.next(|peer| session.is_ours(peer))
            };
            if !matches!(news, News::Nothing) {
                self.stands = None;
            }
            match news {
                News::Nothing => {}
                News::Part {
                    peer,
                    part,
                    first_oddity,
                    ends,
                } => {
                    if let Some(oddity) = &part.oddity
                        && (first_oddity || *oddity != Oddity::Json)
                    {
                        self.engine.show(&Event::Odd {
                            oddity,
                            first: first_oddity,
                        })?;
                    }
                    self.engine.show(&received(&self.session, peer, &part))?;
                    if self.told_newline == Some(false) && is_line(part.text().bytes()) {
                        self.told_newline = Some(true);
                        self.engine.show(&Event::EndsWithNewline)?;
                    }
                    let hint = not_utf8(part.text());
                    // What ends without a mark has been answered.
                    self.hints &= self.session.framing().marks_the_end();
                    if self.session.reply().quiet.is_some() || self.hints {
                        self.news_from = Instant::now();
                    }
                    let text = part.text();
                    if self.engine.script.is_some() {
                        let message = self.message.entry(peer).or_default();
                        let room = self.session.framing().limit() - message.len();
                        message.extend(text.bytes().iter().take(room));
                    }
                    let ends = part.last && (ends || self.session.answers_blindly(peer));
                    if let Some(prompt) = &self.engine.prompt {
                        let name = part.name().map(Untrusted::bytes);
                        prompt.roster().spoke(peer, name);
                    }
                    if self.session.heard(peer, text.bytes(), part.first, ends) {
                        return self.close().map(Some);
                    }
                    if ends {
                        self.follow_script(peer)?;
                    }
                    if let Some(hint) = hint {
                        self.hint(hint)?;
                    }
                }
                News::Stalled(peer, so_far) => {
                    let framing = self.session.framing();
                    self.engine.show(&Event::Unended(peer, framing, so_far))?;
                }
                News::Gone(peer, parting) => {
                    let step = self.gone(peer, parting);
                    self.peers.remove(peer);
                    if let Some(ending) = step? {
                        return Ok(Some(ending));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Gives a hint of `--explain`, unless it was given.
    fn hint(&mut self, hint: Hint) -> Result<(), Failure> {
        let kind = mem::discriminant(&hint);
        if self.engine.explains() && !self.hinted.contains(&kind) {
            self.hinted.push(kind);
            self.engine.show(&Event::Hint(hint))?;
        }
        Ok(())
    }

    /// Returns when to give a hint if the peer goes on to send nothing.
    fn silence_due(&self) -> Option<Instant> {
        let (standing, since) = self.stands.as_ref()?;
        let kind = mem::discriminant(&Hint::Silent(Peer::Client));
        let is_due = standing.is_in_recv()
            && !self.hinted.contains(&kind)
            // The end of a message is waited for in another way.
            && !self.session.peers().any(|peer| self.peers.has_unended(peer));
        is_due.then(|| *since + SILENT)
    }

    /// Tells which call the program stands in, if it does so for a while, and was not told.
    fn tell_wait(&mut self) -> Result<(), Failure> {
        let standing = match self.session.awaited() {
            Awaited::TurnOf(peer) if self.peers.has_unsent(peer) => {
                Standing::in_send(peer == Peer::Server)
            }
            Awaited::AClient if self.peers.listens() => Standing::in_accept(),
            Awaited::TurnOf(peer @ (Peer::Client | Peer::Server))
                if self.session.is_waited_for(peer) =>
            {
                let size = self.session.framing().limit();
                Standing::in_recv(size, peer == Peer::Server)
            }
            _ => return Ok(()),
        };
        if self
            .stands
            .as_ref()
            .is_some_and(|(told, _)| *told == standing)
        {
            return Ok(());
        }
        if let Some(log) = self.engine.report.log() {
            log.begin_wait(&standing);
        }
        let until = Instant::now() + STANDS;
        let registry = self.engine.poll.registry();
        self.peers.watch(registry).map_err(Failure::Accept)?;
        while Instant::now() < until {
            self.engine.wait(Some(until))?;
            let mut has_news = false;
            for event in &self.engine.events {
                self.peers.report(event);
                has_news |= event.is_readable() || event.is_read_closed() || event.is_error();
                has_news |= standing.is_in_send() && event.is_writable();
            }
            if has_news {
                return Ok(());
            }
        }
        self.engine.show(&Event::Stands(&standing))?;
        self.stands = Some((standing, Instant::now()));
        Ok(())
    }

    /// Returns whether the only event to wait for is that the only peer sends something.
    fn waits_for_single(&self) -> bool {
        !self.engine.signals.are_reported()
            // An answer to a peer that does not read must not block.
            && !self.engine.has_script()
            && !self.session.wants_line()
            && self.peers.is_single()
            && self.reply_due().is_none()
    }

    /// Returns when something is to be done if no more comes of the server's reply.
    fn reply_due(&self) -> Option<Instant> {
        if !self.session.is_waited_for(Peer::Server) {
            return None;
        }
        let reply = self.session.reply();
        let quiet = reply.quiet.map(|quiet| self.news_from + quiet);
        let timeout = reply.timeout.map(|timeout| self.reply_from + timeout);
        let hint = self.hints.then(|| self.news_from + NO_ANSWER);
        quiet.into_iter().chain(timeout).chain(hint).min()
    }

    /// Ends the server's reply if it is time for that.
    fn take_time(&mut self) -> Step {
        if self.silence_due().is_some_and(|due| due <= Instant::now())
            && let Awaited::TurnOf(peer) = self.session.awaited()
        {
            self.hint(Hint::Silent(peer))?;
        }
        if self.reply_due().is_none_or(|due| due > Instant::now()) {
            return Ok(None);
        }
        let reply = self.session.reply();
        let has_passed = |from: Instant, limit: &Duration| from.elapsed() >= *limit;
        let is_quiet = reply
            .quiet
            .filter(|quiet| has_passed(self.news_from, quiet));
        let late = reply
            .timeout
            .filter(|limit| has_passed(self.reply_from, limit));
        match (is_quiet, late) {
            (Some(_), _) => {}
            (None, Some(limit)) if self.engine.kind == Kind::Program => {
                let line = self.engine.input.as_ref().and_then(Input::last);
                self.engine.tell_unsent_lines()?;
                return Err(Failure::NoReply { line, limit });
            }
            (None, Some(limit)) => self.engine.show(&Event::NoReply(limit))?,
            (None, None) => {
                self.hints = false;
                self.engine
                    .show(if self.session.framing().marks_the_end() {
                        &Event::NoEndOfReply
                    } else {
                        &Event::NoNewline
                    })?;
                return Ok(None);
            }
        }
        if self.session.reply_ended(Peer::Server) {
            return self.close().map(Some);
        }
        Ok(None)
    }

    /// Waits for a peer or the user, at most until the time `until`.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Failure> {
        let registry = self.engine.poll.registry();
        self.peers.watch(registry).map_err(Failure::Accept)?;
        let due = if self.peers.are_ready() && !self.engine.report.is_full() {
            Some(Instant::now())
        } else {
            self.peers.deadline().into_iter().chain(until).min()
        };
        self.engine.wait(due)?;
        for event in &self.engine.events {
            self.peers.report(event);
        }
        if due.is_some() {
            self.peers.expire(Instant::now());
        }
        Ok(())
    }

    /// Accepts waiting clients, within the limits, and not so many that others wait for long.
    fn accept(&mut self) -> Result<(), Failure> {
        for _ in 0..ACCEPTED {
            let Some(accepted) = self.peers.accept() else {
                break;
            };
            match accepted {
                Arrival::Client(peer, address) => {
                    self.engine.show(&Event::ConnectionFrom(peer, &address))?;
                    self.join(peer, &address)?;
                }
                Arrival::Refused(ip, Some(why)) => self.engine.show(&Event::Refused(ip, why))?,
                Arrival::Refused(_, None) => {}
                Arrival::Crowded(error) => self.engine.show(&Event::Crowded(&error))?,
            }
        }
        Ok(())
    }

    /// Updates the prompt.
    fn ask(&mut self) -> Result<(), Failure> {
        let engine = &mut *self.engine;
        engine.report.explain().map_err(Failure::Output)?;
        engine.asked = self.session.wants_line();
        if engine.kind == Kind::Program {
            return Ok(());
        }
        let prompt = self.session.prompt();
        if prompt.peer.is_some() && engine.unanswered == Unanswered::OnPrompt {
            engine.unanswered = Unanswered::Nothing;
            engine.show(&Event::NotAnswered)?;
        }
        match &engine.prompt {
            Some(shared) => shared.set_turn(prompt, self.session.awaited()),
            None => engine.report.show_plain_prompt(prompt),
        }
        Ok(())
    }

    /// Handles that the conversation with `peer` has ended for the reason `parting`.
    fn gone(&mut self, peer: Peer, parting: Parting) -> Step {
        self.message.remove(&peer);
        if let Some(prompt) = &self.engine.prompt {
            prompt.roster().leave(peer);
        }
        match self.session.gone(peer, &parting) {
            Gone::GoesOn => {
                self.engine.show(&Event::Gone(peer, &parting))?;
                return Ok(None);
            }
            Gone::Ends { owes_reply } => {
                self.engine.show(&Event::Gone(peer, &parting))?;
                return self.engine.end_with(peer, owes_reply).map(Some);
            }
            Gone::Fails => {
                self.engine.tell_unsent()?;
                if peer == Peer::Server {
                    self.engine.tell_unsent_lines()?;
                }
            }
            Gone::Retries { put_back: true } => {
                self.engine.put_back();
                if self.engine.kind == Kind::Program && self.engine.unanswered != Unanswered::Torn {
                    self.engine.unanswered = Unanswered::InPipe;
                }
            }
            Gone::Retries { put_back: false } => {}
        }
        let error = match parting {
            Parting::Lost(error) => error,
            _ => io::Error::other("it was closed in our turn"),
        };
        Err(match self.engine.unanswered {
            Unanswered::Torn => Failure::LostWithMessage(peer, error),
            Unanswered::Nothing | Unanswered::OnPrompt | Unanswered::InPipe => {
                Failure::Lost(peer, error)
            }
        })
    }

    /// Closes our side of every connection at the end of the input, and shows what the peers still
    /// send: a reply may consist of several messages. Fails if a connection breaks without turns: with
    /// them, the last reply told that everything had arrived.
    fn close(&mut self) -> Result<Ending, Failure> {
        let mut lost = None;
        let limit = self.peers.close().map(|limit| Instant::now() + limit);
        loop {
            for _ in 0..self.peers.begin_round() {
                if self.engine.report.is_full() {
                    break;
                }
                match self.peers.next(|_| false) {
                    News::Part { peer, part, .. } => {
                        self.engine.show(&received(&self.session, peer, &part))?;
                    }
                    News::Gone(peer, parting) => {
                        match parting {
                            Parting::Stuck(_) => {
                                self.engine.lost_words = true;
                                self.engine.show(&Event::Gone(peer, &parting))?;
                            }
                            Parting::Lost(error) if self.session.is_duplex() => {
                                lost = Some(Failure::NotTaken(peer, error));
                            }
                            Parting::Lost(_) | Parting::Left | Parting::Idle(_) => {}
                        }
                        self.peers.remove(peer);
                    }
                    News::Stalled(..) | News::Nothing => {}
                }
            }
            if self.peers.is_empty() || limit.is_some_and(|limit| limit <= Instant::now()) {
                return lost.map_or(Ok(Ending::EndOfInput), Err);
            }
            self.wait(limit)?;
            while let Some(typed) = next(&mut self.engine.input, false) {
                self.engine.stopped |= matches!(typed, Typed::Interrupt);
            }
            if self.engine.stopped {
                return Ok(Ending::Interrupted);
            }
        }
    }
}

/// Returns the event that `part` of a message of `peer` has arrived.
fn received<'a>(session: &Session, peer: Peer, part: &'a Part<'a>) -> Event<'a> {
    if session.is_late(peer) {
        Event::Late(peer, part)
    } else {
        Event::Received(peer, part)
    }
}

/// Returns whether `text` is one line with its newline.
fn is_line(text: &[u8]) -> bool {
    memchr(b'\n', text).is_some_and(|at| at + 1 == text.len())
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

/// Returns a hint about the first bytes of `text` that are not UTF-8, if there are any. Its end may
/// come later.
fn not_utf8(text: Untrusted<'_>) -> Option<Hint> {
    let error = std::str::from_utf8(text.bytes()).err()?;
    error.error_len()?;
    let byte = text.bytes().get(error.valid_up_to())?;
    Some(Hint::NotUtf8(*byte))
}
