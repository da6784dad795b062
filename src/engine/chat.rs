//! One run of the engine: a conversation, or those with many clients, to their end.

mod operator;
mod scripted;
mod waits;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::mem;
use std::time::{Duration, Instant};

use memchr::memchr;

use self::waits::{Stand, not_utf8};
use super::{Engine, Unanswered, next, show, tell_not_sent};
use crate::connection::Part;
use crate::endpoint::Address;
use crate::event::{Awaited, Event, Failure, Hint, Parting, Peer, Prompt};
use crate::framing::{LINGER, Oddity};
use crate::input::{Input, Kind, Typed};
use crate::peers::{Arrival, News, Peers};
use crate::report::Report;
use crate::session::{AtEnd, Ending, Entered, Gone, Rules, Session};

/// The maximum number of clients to accept before others get their turn.
const ACCEPTED: usize = 16;

/// The maximum number of lines to take before the peers get their turn: a file always has more.
const TAKEN: usize = 64;

/// The maximum number of bytes of a message to match with the patterns of a script: all other clients
/// wait meanwhile, which is noticed with a message of a megabyte.
const MATCHED: usize = 4 * 1024;

/// How long an answer may take until the user is told that no newline is sent.
const NO_ANSWER: Duration = Duration::from_secs(10);

/// One run of the engine.
pub(super) struct Chat<'a> {
    engine: &'a mut Engine,
    session: Session,
    peers: &'a mut Peers,
    /// The call that the program stands in, with `--explain`.
    stand: Option<Stand>,
    /// The hints of `--explain` that were given: each is given once.
    hinted: Vec<mem::Discriminant<Hint>>,
    /// Whether the user's input may have more lines that can be taken without waiting.
    has_more: bool,
    /// The lines that a command stands for, and whom they go to.
    orders: VecDeque<(Peer, String)>,
    /// What has arrived of messages that a script will answer, up to [`MATCHED`].
    message: BTreeMap<Peer, Vec<u8>>,
    /// When our last line was sent.
    reply_from: Instant,
    /// When our last line was sent, or the last part of the reply to it came.
    news_from: Instant,
    /// Whether the user is to be told what can be done about it, if no answer comes, or no end.
    hints: bool,
    /// Whether the user was told that the peer sends newlines; `None` if that is not to be told.
    told_newline: Option<bool>,
    /// Whether messages are kept for the turn of their peer, which the user is to be told once.
    tells_kept: bool,
}

/// How the conversation ended, or `None` if it continues.
type Step = Result<Option<Ending>, Failure>;

impl<'a> Chat<'a> {
    /// Creates a conversation of the user of `engine` with `peers` by `rules`.
    pub(super) fn new(engine: &'a mut Engine, peers: &'a mut Peers, rules: Rules) -> Self {
        let is_raw = !rules.framing.marks_the_end();
        let is_typed = engine.kind != Kind::Program;
        Self {
            engine,
            peers,
            stand: None,
            hinted: Vec::new(),
            has_more: false,
            orders: VecDeque::new(),
            message: BTreeMap::new(),
            reply_from: Instant::now(),
            news_from: Instant::now(),
            hints: is_raw || rules.reply.until.is_some() && !rules.reply.is_timed(),
            tells_kept: !is_raw
                && is_typed
                && !rules.duplex
                && rules.reply.quiet.is_none()
                && rules.reply.until.is_none(),
            told_newline: (is_raw && is_typed && !rules.duplex).then_some(false),
            session: Session::new(rules),
        }
    }

    /// Converses until the conversation ends. Returns how it ended; fails as [`Engine::run`] does.
    pub(super) fn run(&mut self) -> Result<Ending, Failure> {
        if let Some(address) = self.peers.address(Peer::Server).cloned() {
            self.join(Peer::Server, &address)?;
        }
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
        if self.engine.stopped {
            return self.interrupt();
        }
        let mut taken = 0;
        loop {
            let wants_line = self.wants_line();
            let ordered = self.next_order();
            self.has_more = ordered.is_none() && taken >= TAKEN;
            if self.has_more {
                return Ok(None);
            }
            taken += 1;
            let engine = &mut *self.engine;
            let report = &mut engine.report;
            let Some(typed) = ordered.or_else(|| next(&mut engine.input, wants_line)) else {
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
            let text = &*text;
            let entered = if report.enter() {
                self.session.line(text, last, to.or(report.asked()))
            } else {
                Entered::NotSent
            };
            let unsent = match entered {
                Entered::Send(peer) => match self.peers.send(peer, text, last) {
                    Some(joined) => {
                        self.session.sent(last);
                        if self.session.reply().is_timed() || self.hints {
                            self.reply_from = Instant::now();
                            self.news_from = self.reply_from;
                        }
                        if engine.unanswered == Unanswered::InLines {
                            engine.unanswered = Unanswered::Nothing;
                            show(report, &Event::SentAgain(&String::from_utf8_lossy(text)))?;
                        }
                        show(report, &Event::Sent { peer, text, last })?;
                        let kept = self.tells_kept && self.peers.has_next(peer);
                        if kept && !mem::replace(&mut engine.told_kept, true) {
                            show(report, &Event::WasKept)?;
                        }
                        if joined && !mem::replace(&mut engine.told_joined, true) {
                            show(report, &Event::Joined(self.session.framing()))?;
                        }
                        None
                    }
                    // It is counted among the lines that were not sent.
                    None if self.session.not_sent(last)
                        || engine.kind == Kind::Program && peer == Peer::Server =>
                    {
                        engine.put_back();
                        None
                    }
                    None => Some(text),
                },
                Entered::SendAll { begins } => {
                    let (peers, session) = (&mut *self.peers, &self.session);
                    let is_taken = send_all(peers, session, report, text, (begins, last))?;
                    self.session.sent(last);
                    (!is_taken).then_some(text)
                }
                Entered::Blank(answered) => {
                    self.leave_out(answered)?;
                    continue;
                }
                Entered::NotSent => Some(text),
                Entered::Bye(peer) => {
                    if let Some(ending) = self.leave(peer)? {
                        return Ok(Some(ending));
                    }
                    continue;
                }
            };
            if let Some(text) = unsent {
                engine.lost_words |= engine.kind == Kind::Program;
                tell_not_sent(&mut engine.report, text)?;
                // The peers tell why.
                taken = TAKEN;
            }
        }
    }

    /// Tells a program that its line is blank, and not sent. If it answers the peer `answered`, that gets
    /// an empty text.
    fn leave_out(&mut self, answered: Option<Peer>) -> Result<(), Failure> {
        if let Some(Input::Lines(lines)) = &self.engine.input
            && self.engine.kind == Kind::Program
        {
            let left_out = Event::LeftOut(lines.number());
            self.engine.show(&left_out)?;
        }
        if let Some(peer) = answered {
            self.peers.send(peer, b"", true);
        }
        Ok(())
    }

    /// Returns the next line that a command stands for, and has it go to its peer.
    fn next_order(&mut self) -> Option<Typed<'static>> {
        let (peer, text) = self.orders.pop_front()?;
        self.session.choose(peer);
        Some(Typed::Line {
            text: text.into_bytes().into(),
            last: true,
            to: Some(peer),
        })
    }

    /// Returns whether the next line of the user can be sent.
    fn wants_line(&self) -> bool {
        // The peer may not yet have accepted the previous part of a long line. Reading the next
        // part only then bounds the memory, and lets news of the peer through meanwhile.
        if !self.session.wants_line() {
            return false;
        }
        if self.session.is_duplex() {
            let peers = || self.session.peers();
            return peers().any(|peer| self.peers.is_there(peer))
                && peers().all(|peer| self.peers.can_send(peer));
        }
        self.session.asked().is_none_or(|peer| {
            let is_named = !self.engine.is_plain() || self.engine.report.is_for(peer);
            is_named && self.peers.can_send(peer)
        })
    }

    /// Handles the end of the user's input.
    fn end_of_input(&mut self) -> Step {
        let at_end = self.session.end_of_input();
        let is_typed = self.engine.kind != Kind::Program;
        if at_end == AtEnd::Wait || at_end == AtEnd::Close && self.session.is_duplex() && is_typed {
            self.engine.show(&Event::LastAnswer)?;
        }
        match at_end {
            AtEnd::Close => {
                if let Some(prompt) = &self.engine.prompt {
                    prompt.set_turn(Prompt::default(), self.session.awaited());
                }
                let ended = self.close(Ending::EndOfInput);
                // A terminal that edits its lines itself would be waited for.
                if self.engine.prompt.is_some() {
                    self.engine.tell_unsent()?;
                }
                ended.map(Some)
            }
            AtEnd::Wait => Ok(None),
            AtEnd::End => Ok(Some(Ending::EndOfInput)),
        }
    }

    /// Ends the conversation with `peer`, to whom the user says bye.
    fn leave(&mut self, peer: Peer) -> Step {
        let is_program = self.engine.kind == Kind::Program;
        if is_program && !self.session.goes_on() && self.peers.would_lose(peer) {
            self.closed(peer)?;
            return self.close(Ending::Bye).map(Some);
        }
        self.peers.remove(peer);
        self.closed(peer)
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
            if self.peers.has_datagram() {
                self.hint(Hint::Datagram)?;
            }
            self.take_stand();
        }
        let dues = [self.reply_due(), self.silence_due(), self.stand_due()];
        let due = dues.into_iter().flatten().min();
        let single = self.waits_for_single() && due.is_none();
        if !single {
            self.wait(due)?;
        }
        // Each ready peer is handled once before the user's input is looked at again.
        let count = if single { 1 } else { self.peers.begin_round() };
        for _ in 0..count {
            let session = &self.session;
            let news = if single {
                self.peers.wait_for_single()
            } else {
                let is_full = self.engine.report.is_full();
                self.peers.next(is_full, &|peer| session.is_ours(peer))
            };
            if !matches!(news, News::Nothing) {
                self.stand = None;
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
                    let late = self.session.is_late(peer);
                    self.engine.show(&received(late, peer, &part))?;
                    if self.told_newline == Some(false) && is_line(part.text().bytes()) {
                        self.told_newline = Some(true);
                        self.engine.show(&Event::EndsWithNewline)?;
                    }
                    let hint = self.engine.explains().then(|| not_utf8(part.text()));
                    // What ends without a mark has been answered.
                    self.hints &= self.session.framing().marks_the_end();
                    if self.session.reply().quiet.is_some() || self.hints {
                        self.news_from = Instant::now();
                    }
                    let text = part.text();
                    if self.engine.script.is_some() {
                        let message = self.message.entry(peer).or_default();
                        let room = MATCHED - message.len();
                        message.extend(text.bytes().iter().take(room));
                    }
                    let ends = part.last && (ends || self.session.answers_blindly(peer));
                    if let Some(prompt) = &self.engine.prompt {
                        prompt.roster().spoke(peer, part.name());
                    }
                    if !late && self.session.heard(peer, text.bytes(), part.first, ends) {
                        return self.close(Ending::EndOfInput).map(Some);
                    }
                    if ends {
                        self.follow_script(peer)?;
                    }
                    if let Some(hint) = hint.flatten() {
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

    /// Returns whether the only event to wait for is that the only peer sends something.
    fn waits_for_single(&self) -> bool {
        !self.engine.signals.are_reported()
            // An answer to a peer that does not read must not block.
            && !self.engine.has_script()
            && !self.session.wants_line()
            && self.peers.is_single()
            && !self.engine.report.is_full()
            && (!self.engine.explains() || self.stand.as_ref().is_some_and(|stand| stand.is_told))
    }

    /// Returns when something is to be done if no more comes of the server's reply.
    fn reply_due(&self) -> Option<Instant> {
        let reply = self.session.reply();
        if !(self.hints || reply.is_timed()) || !self.session.is_waited_for(Peer::Server) {
            return None;
        }
        let quiet = self.quiet().map(|quiet| self.news_from + quiet);
        let timeout = reply.timeout.map(|timeout| self.reply_from + timeout);
        // A newline can only be missing where something was sent.
        let may_hint =
            self.session.framing().marks_the_end() || self.session.owes_reply(Peer::Server);
        let hint = (self.hints && may_hint).then(|| self.news_from + NO_ANSWER);
        quiet.into_iter().chain(timeout).chain(hint).min()
    }

    /// Returns for how long nothing must come for the server's reply to end: not while the server leaves,
    /// which ends it.
    fn quiet(&self) -> Option<Duration> {
        let quiet = self.session.reply().quiet;
        quiet.filter(|_| !self.peers.is_leaving(Peer::Server))
    }

    /// Ends the server's reply if it is time for that.
    fn take_time(&mut self) -> Step {
        self.tell_stand()?;
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
        let is_quiet = self
            .quiet()
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
            return self.close(Ending::EndOfInput).map(Some);
        }
        Ok(None)
    }

    /// Waits for a peer or the user, at most until the time `until`.
    fn wait(&mut self, until: Option<Instant>) -> Result<(), Failure> {
        let registry = self.engine.poll.registry();
        self.peers.watch(registry).map_err(Failure::Accept)?;
        let is_full = self.engine.report.is_full();
        let due = if self.has_more || self.peers.are_ready() && !is_full {
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
        // What is told of them would take memory while a terminal takes no output.
        if self.engine.kind != Kind::Program && self.engine.report.is_full() {
            return Ok(());
        }
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
                Arrival::Refused(_, None) | Arrival::Gone => {}
                Arrival::Crowded(error) => self.engine.show(&Event::Crowded(&error))?,
            }
        }
        Ok(())
    }

    /// Updates the prompt.
    fn ask(&mut self) -> Result<(), Failure> {
        let engine = &mut *self.engine;
        engine.report.explain().map_err(Failure::Output)?;
        if engine.kind == Kind::Program {
            return Ok(());
        }
        let prompt = self.session.prompt();
        if prompt.peer.is_some() && engine.unanswered == Unanswered::OnPrompt {
            engine.unanswered = Unanswered::Nothing;
            engine.show(&Event::NotAnswered)?;
        }
        if let Some(shared) = &engine.prompt {
            shared.set_turn(prompt, self.session.awaited());
            return Ok(());
        }
        if let Some(peer) = prompt.peer
            && !engine.report.is_for(peer)
        {
            let asked = engine.report.asked();
            if !self.session.is_duplex() || self.session.peers().all(|peer| Some(peer) != asked) {
                engine.tell_ahead()?;
            } else if engine.has_ahead() {
                // Without turns, it goes to the one that is there before another is named.
                self.has_more = self.wants_line();
                return Ok(());
            }
        }
        engine.report.show_plain_prompt(prompt);
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
                if self.engine.kind == Kind::Program && self.peers.has_unsent(peer) {
                    self.lose(peer)?;
                }
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
            Gone::Retries { put_back } => {
                let is_program = self.engine.kind == Kind::Program;
                if put_back {
                    self.engine.put_back();
                    if self.engine.prompt.is_none() && self.engine.unanswered != Unanswered::Torn {
                        self.engine.unanswered = Unanswered::InLines;
                    }
                }
                let in_order = matches!(parting, Parting::Left);
                let has_lost = if put_back && !self.session.is_duplex() {
                    // Only the last message is sent again.
                    self.peers.may_lack_earlier(peer)
                } else {
                    self.peers.may_lack(peer, in_order)
                };
                if is_program && has_lost {
                    self.lose(peer)?;
                }
            }
        }
        let error = match parting {
            Parting::Lost(error) => error,
            _ => io::Error::other("it was closed in our turn"),
        };
        Err(match self.engine.unanswered {
            Unanswered::Torn => Failure::LostWithMessage(peer, error),
            Unanswered::Nothing | Unanswered::OnPrompt | Unanswered::InLines => {
                Failure::Lost(peer, error)
            }
        })
    }

    /// Tells that `peer` may not have received everything.
    fn lose(&mut self, peer: Peer) -> Result<(), Failure> {
        self.engine.lost_words = true;
        self.engine.show(&Event::MayLack(peer))
    }

    /// Closes our side of every connection at the end of the input, and shows what the peers still
    /// send: a reply may consist of several messages. After a `bye` it is dropped. Returns `ending`; fails
    /// if a connection breaks whose peer may lack something.
    fn close(&mut self, ending: Ending) -> Result<Ending, Failure> {
        let mut lost = None;
        let is_bye = ending == Ending::Bye;
        let limit = self.peers.close().or_else(|| is_bye.then_some(LINGER));
        let limit = limit.map(|limit| Instant::now() + limit);
        loop {
            self.engine.report.explain().map_err(Failure::Output)?;
            for _ in 0..self.peers.begin_round() {
                let is_full = self.engine.report.is_full();
                match self.peers.next(is_full, &|_| false) {
                    News::Part { peer, part, .. } if !is_bye => {
                        let late = self.session.is_late(peer);
                        self.engine.show(&received(late, peer, &part))?;
                    }
                    News::Gone(peer, parting) => {
                        match parting {
                            Parting::Stuck(_) => {
                                self.engine.show(&Event::Gone(peer, &parting))?;
                                self.lose(peer)?;
                            }
                            Parting::Lost(error)
                                if self.session.is_duplex() || self.peers.may_lack(peer, false) =>
                            {
                                // Also if nothing can be shown.
                                self.engine.lost_words = true;
                                let before = lost.replace(Failure::NotTaken(peer, error));
                                if let Some(Failure::NotTaken(peer, error)) = before {
                                    let parting = Parting::Lost(error);
                                    self.engine.show(&Event::Gone(peer, &parting))?;
                                }
                            }
                            Parting::Lost(_) | Parting::Left | Parting::Idle(_) => {}
                        }
                        self.peers.remove(peer);
                    }
                    News::Part { .. } | News::Stalled(..) | News::Nothing => {}
                }
            }
            let is_over = limit.is_some_and(|limit| limit <= Instant::now());
            if is_over || self.peers.is_empty() {
                // Those who are left were not told of, as nothing could be shown.
                for peer in self.peers.lacking(true) {
                    self.lose(peer)?;
                }
                return lost.map_or(Ok(ending), Err);
            }
            self.wait(limit)?;
            while let Some(typed) = next(&mut self.engine.input, false) {
                self.engine.stopped |= matches!(typed, Typed::Interrupt);
                if let Some(text) = typed.into_text() {
                    self.engine.show(&Event::NotSent(&text))?;
                }
            }
            if self.engine.stopped {
                return Ok(Ending::Interrupted);
            }
        }
    }
}

/// Sends `text`, which `begins` a line or is more of it, to all peers of `session` that have got its
/// beginning; `last` ends it. Returns whether any takes it. Fails if stdout cannot be written.
fn send_all(
    peers: &mut Peers,
    session: &Session,
    report: &mut Report,
    text: &[u8],
    (begins, last): (bool, bool),
) -> Result<bool, Failure> {
    let mut is_taken = false;
    for peer in session.peers() {
        let has_beginning = begins || peers.is_within(peer);
        if has_beginning && peers.send(peer, text, last).is_some() {
            is_taken = true;
            show(report, &Event::Sent { peer, text, last })?;
        }
    }
    Ok(is_taken)
}

/// Returns the event that `part` of a message of `peer` has arrived, `late` or in time.
fn received<'a>(late: bool, peer: Peer, part: &'a Part<'a>) -> Event<'a> {
    if late {
        Event::Late(peer, part)
    } else {
        Event::Received(peer, part)
    }
}

/// Returns whether `text` is one line with its newline.
fn is_line(text: &[u8]) -> bool {
    memchr(b'\n', text).is_some_and(|at| at + 1 == text.len())
}
