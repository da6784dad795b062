//! Waits for all input and network events, reports them to the session, and carries out the actions
//! that it returns.

use std::io;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use mio::{Events, Poll, Token, Waker};

use crate::event::{Awaited, Event, Failure, Parting, Peer, Prompt};
use crate::framing::Oddity;
use crate::input::{self, Input, Kind, Typed};
use crate::peers::{Arrival, FIRST_TOKEN, News, Peers};
use crate::prompt::SharedPrompt;
use crate::report::Report;
use crate::session::{self, Action, Ending, Loss, Rules, Session};
use crate::sys::{self, Signals};

/// The token with which other threads wake the wait.
const WAKER: Token = Token(0);

/// The token of the signals that end the program.
const SIGNALS: Token = Token(1);

const _: () = assert!(FIRST_TOKEN > 2);

/// The maximum number of events per wait.
const EVENTS: usize = 1024;

/// The last message sent, if the connection was lost before a reply arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unanswered {
    Nothing,
    /// The message is to be given back to the user.
    ToPutBack,
    /// The message is on the prompt again.
    OnPrompt,
    /// The message cannot be given back: the buffer no longer holds all of it.
    Torn,
}

/// The user's side of all conversations, and the wait for events.
pub struct Engine {
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    signals: Signals,
    /// Whether a signal that ends the program was received.
    stopped: bool,
    kind: Kind,
    options: input::Options,
    /// The width of the peer's number in the prompt, in columns.
    columns: usize,
    input: Option<Input>,
    prompt: Option<SharedPrompt>,
    report: Report,
    /// Whether the program waits for a line from the user.
    asked: bool,
    unanswered: Unanswered,
    /// Whether the user was told that newlines are replaced by spaces.
    told_joined: bool,
}

impl Engine {
    /// Creates an engine that handles the signals that end the program. `many` is the maximum
    /// number of clients if there may be several: then the prompt is wide enough to name one. Fails
    /// if no descriptor is left.
    pub fn new(options: input::Options, report: Report, many: Option<u16>) -> io::Result<Self> {
        let kind = Kind::of_stdin();
        let poll = Poll::new()?;
        Ok(Self {
            waker: Arc::new(Waker::new(poll.registry(), WAKER)?),
            poll,
            events: Events::with_capacity(EVENTS),
            signals: Signals::take_over(kind != Kind::Program)?,
            stopped: false,
            kind,
            options,
            // The longest text is of the form `#99 +30`.
            columns: many.map_or(0, |max| "#99 +".len() + max.to_string().len()),
            input: None,
            prompt: None,
            report,
            asked: false,
            unanswered: Unanswered::Nothing,
            told_joined: false,
        })
    }

    /// Returns what kind of user the input comes from.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the registry of the sockets to wait for.
    #[must_use]
    pub fn registry(&self) -> &mio::Registry {
        self.poll.registry()
    }

    /// Starts to read the user's input, if that has not been done yet. Fails if the terminal is
    /// gone, or if no descriptor or thread is left.
    pub fn start_input(&mut self) -> Result<(), Failure> {
        if self.input.is_some() {
            return Ok(());
        }
        if self.kind == Kind::CrowdedTerminal {
            self.show(&Event::NoEditor)?;
        }
        let input = if self.kind == Kind::Terminal {
            let prompt = SharedPrompt::new(Arc::clone(&self.waker), self.columns, self.options.dim);
            self.signals
                .report_to(self.poll.registry(), SIGNALS, &self.waker)
                .map_err(Failure::Input)?;
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
        self.report.show(event).map_err(Failure::Output)
    }

    /// Converses with `peers` by `rules` until the conversation ends. Returns how it ended.
    ///
    /// Fails if the connection breaks and no other peer is left or can follow, if the user's input
    /// cannot be read, or if stdout cannot be written.
    pub fn run(&mut self, peers: &mut Peers, rules: Rules) -> Result<Ending, Failure> {
        self.start_input()?;
        let mut talk = Talk {
            session: Session::new(rules),
            peers,
            actions: Vec::new(),
            engine: self,
        };
        match talk.run() {
            Err(Failure::Output(error)) if sys::is_reader_gone(&error) => {
                // The reader of our output, such as `head`, needs no more: this is not an error.
                Ok(Ending::OutputClosed)
            }
            ended => ended,
        }
    }

    /// Runs `work`, which blocks, and returns its result. At a terminal it runs on a thread, so
    /// that the user can cancel it; then the result is how the user ended the program.
    ///
    /// Fails if the thread cannot be started, if the user's input cannot be read, or if stdout
    /// cannot be written.
    pub fn run_aside<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<Result<T, Ending>, Failure> {
        if self.prompt.is_none() {
            return Ok(Ok(work()));
        }
        let (sender, done) = std::sync::mpsc::sync_channel(1);
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
            if let Some(ending) = self.wait_for_nobody(None)? {
                return Ok(Err(ending));
            }
        }
    }

    /// Waits until the time `until`, without a peer. Returns how the user ended the program, or
    /// `None` if the time is up. Fails if the user's input cannot be read or stdout cannot be
    /// written.
    pub fn pause(&mut self, until: Instant) -> Result<Option<Ending>, Failure> {
        while until > Instant::now() {
            if let Some(ending) = self.wait_for_nobody(Some(until))? {
                return Ok(Some(ending));
            }
        }
        Ok(None)
    }

    fn wait_for_nobody(&mut self, until: Option<Instant>) -> Result<Option<Ending>, Failure> {
        if let Some(prompt) = &self.prompt {
            prompt.set_turn(Prompt::default(), Awaited::AServer);
        }
        self.report.explain().map_err(Failure::Output)?;
        self.wait(until)?;
        if self.stopped {
            return Ok(Some(Ending::Interrupted));
        }
        while let Some(typed) = next(&mut self.input, false) {
            let told = match typed {
                Typed::EndOfInput => return Ok(Some(Ending::EndOfInput)),
                Typed::Interrupt => return Ok(Some(Ending::Interrupted)),
                Typed::Failed(error) => return Err(Failure::Input(error)),
                Typed::Notice(notice) => self.report.show(&notice.event()),
                // There is no peer to send it to.
                Typed::Line { text, .. } => {
                    let text = String::from_utf8_lossy(text);
                    self.report.show(&Event::NotSent(&text))
                }
            };
            told.map_err(Failure::Output)?;
        }
        Ok(None)
    }

    /// Reports the text that was entered or is on the prompt as not sent, if there is any. Call it
    /// when nothing more can be sent. Fails if the text cannot be read or stdout cannot be written.
    pub fn tell_unsent(&mut self) -> Result<(), Failure> {
        let unsent = match &mut self.input {
            Some(Input::Editor(_)) => self.close_prompt()?,
            // The terminal keeps an incomplete line until Enter. Left there, it would become the
            // shell's next command.
            Some(Input::Lines(lines))
                if lines.is_put_back() || (self.kind != Kind::Program && self.asked) =>
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
struct Talk<'a> {
    engine: &'a mut Engine,
    session: Session,
    peers: &'a mut Peers,
    /// The pending actions. Kept to reuse the memory.
    actions: Vec<Action>,
}

/// How the conversation ended, or `None` if it continues.
type Step = Result<Option<Ending>, Failure>;

impl Talk<'_> {
    fn run(&mut self) -> Result<Ending, Failure> {
        if !self.peers.is_empty() {
            // This is the server that we have connected to.
            let joined = session::Input::Joined(Peer::Server);
            self.session.handle(joined, &mut self.actions);
        }
        loop {
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
            return self.act(session::Input::Interrupt, None);
        }
        loop {
            // The peer may not yet have accepted the previous part of a long line. Reading the next
            // part only then bounds the memory, and lets news of the peer through meanwhile.
            let wants_line = match self.session.asked() {
                Some(peer) => self.peers.can_send(peer),
                None => self.session.wants_line(),
            };
            let engine = &mut *self.engine;
            let Some(typed) = next(&mut engine.input, wants_line) else {
                return Ok(None);
            };
            let step = match typed {
                Typed::Line { text, last, to } => {
                    engine.report.leave_plain_prompt();
                    let mut sending = Sending {
                        session: &mut self.session,
                        peers: self.peers,
                        report: &mut engine.report,
                        told_joined: &mut engine.told_joined,
                        unanswered: &mut engine.unanswered,
                        actions: &mut self.actions,
                    };
                    sending.line(text, last, to)?
                }
                Typed::EndOfInput => self.act(session::Input::EndOfInput, None)?,
                Typed::Interrupt => self.act(session::Input::Interrupt, None)?,
                Typed::Notice(notice) => {
                    engine
                        .report
                        .show(&notice.event())
                        .map_err(Failure::Output)?;
                    None
                }
                Typed::Failed(error) => return Err(Failure::Input(error)),
            };
            self.put_back();
            if step.is_some() {
                return Ok(step);
            }
        }
    }

    /// Gives the last message back to the user, if that is pending.
    fn put_back(&mut self) {
        if self.engine.unanswered == Unanswered::ToPutBack {
            self.engine.unanswered = match &mut self.engine.input {
                Some(Input::Editor(editor)) => {
                    editor.put_back();
                    Unanswered::OnPrompt
                }
                Some(Input::Lines(lines)) => {
                    if lines.put_back() {
                        Unanswered::Nothing
                    } else {
                        Unanswered::Torn
                    }
                }
                None => Unanswered::Nothing,
            };
        }
    }

    /// Waits for news of the peers and handles it.
    fn take_news(&mut self) -> Step {
        self.accept()?;
        self.ask()?;
        let single = self.waits_for_single();
        if !single {
            self.wait(None)?;
        }
        // Each ready peer is handled once before the user's input is looked at again.
        for _ in 0..if single { 1 } else { self.peers.ready() } {
            if self.engine.report.is_full() {
                break;
            }
            let session = &self.session;
            let news = if single {
                self.peers.wait_for_single()
            } else {
                self.peers.next(|peer| session.is_ours(peer))
            };
            let told = tell(
                news,
                &mut self.engine.report,
                &mut self.session,
                &mut self.actions,
            )?;
            if let Some(ending) = self.follow(told)? {
                return Ok(Some(ending));
            }
        }
        Ok(None)
    }

    /// Returns whether the only event to wait for is that the only peer sends something.
    fn waits_for_single(&self) -> bool {
        self.engine.prompt.is_none() && !self.session.wants_line() && self.peers.is_single()
    }

    /// Waits for a peer or the user, at most until the time `until`.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Failure> {
        let registry = self.engine.poll.registry();
        self.peers.watch(registry).map_err(Failure::Accept)?;
        let due = if self.peers.ready() > 0 && !self.engine.report.is_full() {
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

    /// Accepts the waiting clients, within the limits.
    fn accept(&mut self) -> Result<(), Failure> {
        while let Some(arrival) = self.peers.accept() {
            match arrival {
                Arrival::Client(peer, address) => {
                    self.engine.show(&Event::ConnectionFrom(peer, address))?;
                    let joined = session::Input::Joined(peer);
                    self.session.handle(joined, &mut self.actions);
                }
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

    /// Handles what remains to be done after [`tell`].
    fn follow(&mut self, told: Told) -> Step {
        match told {
            Told::Nothing => Ok(None),
            Told::Close => self.close().map(Some),
            Told::Gone(peer, parting) => {
                let loss = match &parting {
                    Parting::Left => Loss::Left,
                    Parting::Lost(_) => Loss::Lost,
                    Parting::Idle(_) | Parting::Stuck(_) => Loss::LetGo,
                };
                let step = self.act(session::Input::Gone(peer, loss), Some((peer, parting)));
                self.peers.remove(peer);
                step
            }
        }
    }

    /// Passes `input` to the session and carries out the actions that it returns. `gone` is the
    /// peer that `input` is about and why the conversation with it ended.
    fn act(&mut self, input: session::Input<'_>, mut gone: Option<(Peer, Parting)>) -> Step {
        self.session.handle(input, &mut self.actions);
        for action in mem::take(&mut self.actions) {
            match (action, &mut gone) {
                (Action::TellLast, _) => self.engine.show(&Event::LastAnswer)?,
                (Action::TellUnsent, _) => self.engine.tell_unsent()?,
                (Action::PutBack, _) => {
                    self.engine.unanswered = Unanswered::ToPutBack;
                    self.put_back();
                }
                (Action::Close, _) => return self.close().map(Some),
                (Action::End(ending), _) => return Ok(Some(ending)),
                (Action::TellGone, Some((peer, parting))) => {
                    self.engine.show(&Event::Gone(*peer, parting))?;
                }
                (Action::TellLostInTurn, Some((_, parting))) => {
                    *parting = Parting::Lost(io::Error::other("it was closed in our turn"));
                }
                (Action::Fail, gone) => {
                    if let Some((peer, Parting::Lost(error))) = gone.take() {
                        let lost = if self.engine.unanswered == Unanswered::Torn {
                            Failure::LostWithMessage
                        } else {
                            Failure::Lost
                        };
                        return Err(lost(peer, error));
                    }
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Closes our side of every connection at the end of the input, and shows what the peers still
    /// send: a reply may consist of several messages.
    fn close(&mut self) -> Result<Ending, Failure> {
        let limit = Instant::now() + self.peers.close();
        loop {
            for _ in 0..self.peers.ready() {
                match self.peers.next(|_| false) {
                    News::Part { peer, part, .. } => {
                        let late =
                            self.session.is_ours(peer) && !self.session.framing().marks_the_end();
                        self.engine.show(&if late {
                            Event::Late(peer, &part)
                        } else {
                            Event::Received(peer, &part)
                        })?;
                    }
                    News::Gone(peer, _) => self.peers.remove(peer),
                    News::Stalled(..) | News::Nothing => {}
                }
            }
            if self.peers.is_empty() || Instant::now() >= limit {
                return Ok(Ending::EndOfInput);
            }
            self.wait(Some(limit))?;
            while let Some(typed) = next(&mut self.engine.input, false) {
                self.engine.stopped |= matches!(typed, Typed::Interrupt);
            }
            if self.engine.stopped {
                return Ok(Ending::Interrupted);
            }
        }
    }
}

/// What remains to be done after [`tell`].
enum Told {
    /// Nothing.
    Nothing,
    /// Close our side: the last expected message has arrived.
    Close,
    /// Handle that the peer is gone.
    Gone(Peer, Parting),
}

/// Reports news of a peer to the session and the user.
fn tell(
    news: News<'_>,
    report: &mut Report,
    session: &mut Session,
    actions: &mut Vec<Action>,
) -> Result<Told, Failure> {
    match news {
        News::Nothing => Ok(Told::Nothing),
        News::Gone(peer, parting) => Ok(Told::Gone(peer, parting)),
        News::Stalled(peer, so_far) => {
            let shown = report.show(&Event::Unended(peer, so_far));
            shown.map(|()| Told::Nothing).map_err(Failure::Output)
        }
        News::Part {
            peer,
            part,
            first_oddity,
            ends,
        } => {
            if let Some(oddity) = &part.oddity
                && (first_oddity || *oddity != Oddity::Json)
            {
                let odd = Event::Odd {
                    oddity,
                    first: first_oddity,
                };
                report.show(&odd).map_err(Failure::Output)?;
            }
            let last = part.last && ends;
            session.handle(session::Input::Part { peer, last }, actions);
            let mut told = Told::Nothing;
            for action in actions.drain(..) {
                let shown = match action {
                    Action::Show => report.show(&Event::Received(peer, &part)),
                    Action::ShowLate => report.show(&Event::Late(peer, &part)),
                    Action::Close => {
                        told = Told::Close;
                        Ok(())
                    }
                    _ => Ok(()),
                };
                shown.map_err(Failure::Output)?;
            }
            Ok(told)
        }
    }
}

/// Returns the user's next input. Lines of a program are read only if `wants_line`.
fn next(input: &mut Option<Input>, wants_line: bool) -> Option<Typed<'_>> {
    input.as_mut()?.next(wants_line)
}

/// The parts of the program that a line passes through on its way to a peer.
struct Sending<'a> {
    session: &'a mut Session,
    peers: &'a mut Peers,
    report: &'a mut Report,
    told_joined: &'a mut bool,
    unanswered: &'a mut Unanswered,
    actions: &'a mut Vec<Action>,
}

impl Sending<'_> {
    /// Passes a line, or a part of one, to the session and carries out the actions that it returns.
    fn line(&mut self, text: &[u8], last: bool, to: Option<Peer>) -> Step {
        let line = session::Input::Line { text, last, to };
        self.session.handle(line, self.actions);
        let mut ended = None;
        // Sending may add further actions.
        let mut next = 0;
        while let Some(&action) = self.actions.get(next) {
            next += 1;
            match action {
                Action::Send(peer) => self.send(peer, text, last)?,
                Action::TellUnsent => {
                    let text = String::from_utf8_lossy(text);
                    self.show(&Event::NotSent(&text))?;
                }
                Action::PutBack => *self.unanswered = Unanswered::ToPutBack,
                Action::Dismiss(peer) => {
                    self.peers.remove(peer);
                    let goes_on = self.actions.len() == next;
                    self.show(&Event::Closed { peer, goes_on })?;
                }
                Action::End(ending) => ended = Some(ending),
                _ => {}
            }
        }
        self.actions.clear();
        Ok(ended)
    }

    fn send(&mut self, peer: Peer, text: &[u8], last: bool) -> Result<(), Failure> {
        let Some(joined) = self.peers.send(peer, text, last) else {
            let not_sent = session::Input::NotSent(last);
            self.session.handle(not_sent, self.actions);
            return Ok(());
        };
        self.session
            .handle(session::Input::Sent(last), self.actions);
        self.show(&Event::Sent { peer, text, last })?;
        if joined && !mem::replace(self.told_joined, true) {
            self.show(&Event::Joined(self.session.framing()))?;
        }
        Ok(())
    }

    fn show(&mut self, event: &Event<'_>) -> Result<(), Failure> {
        self.report.show(event).map_err(Failure::Output)
    }
}
