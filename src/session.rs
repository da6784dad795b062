//! The turn-taking that `serve` and `connect` share: a pure state machine, told of each event by a
//! method that returns what to do, without sockets, threads or clocks.

mod owed;

use std::collections::BTreeMap;
use std::mem;
use std::time::Duration;

use memchr::memchr_iter;
use regex_lite::Regex;

use self::owed::Owed;
use crate::event::{Awaited, Parting, Peer, Prompt};
use crate::framing::Framing;

/// The message that ends a conversation, in any case and with any surrounding whitespace. It is
/// never sent.
pub const BYE: &str = "bye";

/// Where a reply of the server ends, if not with its first message.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// It ends with a line that matches.
    pub until: Option<Regex>,
    /// It ends when nothing has come for this long.
    pub quiet: Option<Duration>,
    /// It fails if it has not ended this long after our line.
    pub timeout: Option<Duration>,
}

impl Reply {
    /// Returns whether the end of a reply depends on time.
    pub fn is_timed(&self) -> bool {
        self.quiet.is_some() || self.timeout.is_some()
    }
}

/// How a conversation ended without a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The user said `bye`.
    Bye,
    /// The user's input ended.
    EndOfInput,
    /// The peer closed the connection or was let go, and no other peer is left or can follow.
    PeerLeft,
    /// The user pressed Ctrl-C, or a signal told the program to stop.
    Interrupted,
    /// The reader of our output closed it.
    OutputClosed,
}

/// The rules that differ between conversations.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a rule of its own")]
pub struct Rules {
    /// The framing of messages.
    pub framing: Framing,
    /// Whether there are no turns: both sides speak at any time.
    pub duplex: bool,
    /// Whether the server speaks first.
    pub server_first: bool,
    /// Where a reply of the server ends.
    pub reply: Reply,
    /// Whether the user answers every shown message with one line, even if the peer is gone, as a
    /// program that reads and writes lines does. Otherwise, a prompt names the peer that a line is
    /// for.
    pub answers_blindly: bool,
    /// Whether the user is a program that answers each line that it reads, in turns, where other peers may
    /// follow: an answer too much would go to one of them.
    pub reads_lines: bool,
    /// Without turns, whether what the user writes goes to every peer, as the user is a program that
    /// cannot choose one.
    pub sends_to_all: bool,
    /// Whether the caller reconnects when the connection is lost. Then a peer that closes the
    /// connection in our turn counts as lost: it can say `bye` only in its own turn.
    pub retries: bool,
    /// Whether new clients may still connect when all others are gone.
    pub stays_open: bool,
    /// Whether an empty line is a message, as in the input of a program, if the framing can
    /// express it.
    pub sends_empty: bool,
    /// How long the peer may send nothing after the end of our input; `None` for as long as it
    /// likes.
    pub linger: Option<Duration>,
}

/// What to do with a line that the user entered, or a part of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// Tell that it is blank, and not sent. If it answers this peer, send it an empty text, which gives it
    /// the turn.
    Blank(Option<Peer>),
    /// Send it to this peer. Call [`Session::sent`] or [`Session::not_sent`] afterwards.
    Send(Peer),
    /// Send it to every peer; what does not begin a line, to those that have got its beginning. Call
    /// [`Session::sent`] afterwards.
    SendAll {
        /// Whether it begins a line.
        begins: bool,
    },
    /// End the conversation with this peer: the user said `bye`.
    Bye(Peer),
    /// Tell the user that it was not sent.
    NotSent,
}

/// What to do at the end of the user's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AtEnd {
    /// Close our side of every connection, show what still arrives, and end.
    Close,
    /// Wait for the reply that is still expected.
    Wait,
    /// End.
    End,
}

/// What to do when the conversation with a peer has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// Tell the user. Other peers are left or can follow.
    GoesOn,
    /// Tell the user, and end.
    Ends {
        /// Whether the peer owed us a reply.
        owes_reply: bool,
    },
    /// End with an error.
    Fails,
    /// End with an error that makes the caller reconnect.
    Retries {
        /// Whether to give the last message, which got no reply, back to the user.
        put_back: bool,
    },
}

/// Whose turn it is with a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// The peer's, and we have not sent it anything yet.
    Opening,
    /// The peer's, which owes us a reply.
    Reply,
    /// Ours.
    Ours,
}

/// The turn-taking with one or many peers.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each has one meaning")]
pub struct Session {
    rules: Rules,
    turns: BTreeMap<Peer, Turn>,
    owed: Owed,
    /// Whether a part of a line was taken, but not its end.
    in_line: bool,
    input_ended: bool,
    /// Without turns, the peer that we spoke to last.
    current: Option<Peer>,
    /// Whether the message that arrives ends the reply.
    ends_reply: bool,
    /// For a program that other peers may follow, the one whose message was heard last, if its end was not.
    speaker: Option<Peer>,
    /// Whether the part that was heard of that message last ends with a newline.
    ends_line: bool,
    /// Whether a message was heard since our last line was sent.
    heard: bool,
}

impl Session {
    /// Creates a session without peers.
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            turns: BTreeMap::new(),
            owed: Owed::default(),
            in_line: false,
            input_ended: false,
            current: None,
            ends_reply: false,
            speaker: None,
            ends_line: false,
            heard: false,
        }
    }

    /// Returns the peer that the next line answers, and how many others wait for an answer.
    pub fn prompt(&self) -> Prompt {
        Prompt {
            peer: self.asked(),
            waiting: self.owed.count().saturating_sub(1),
        }
    }

    /// Returns whether the next line of the user is wanted.
    pub fn wants_line(&self) -> bool {
        if self.rules.duplex {
            return !self.turns.is_empty() && !self.input_ended;
        }
        !self.owed.is_empty()
    }

    /// Returns whether it is our turn with `peer`.
    pub fn is_ours(&self, peer: Peer) -> bool {
        !self.rules.duplex && self.turns.get(&peer) == Some(&Turn::Ours)
    }

    /// Returns whether what `peer` sends is late: it belongs to a message that was considered
    /// complete before.
    pub fn is_late(&self, peer: Peer) -> bool {
        !self.rules.framing.marks_the_end() && self.is_ours(peer)
    }

    /// Returns the peers, in the order of arrival.
    pub fn peers(&self) -> impl Iterator<Item = Peer> {
        self.turns.keys().copied()
    }

    /// Returns whether `peer` owes us a reply.
    pub fn owes_reply(&self, peer: Peer) -> bool {
        self.turns.get(&peer) == Some(&Turn::Reply)
    }

    /// Returns whether `peer` has the turn, and owes us a reply or its first message.
    pub fn is_waited_for(&self, peer: Peer) -> bool {
        !self.rules.duplex
            && self
                .turns
                .get(&peer)
                .is_some_and(|turn| *turn != Turn::Ours)
    }

    /// Returns where a reply of the server ends.
    pub fn reply(&self) -> &Reply {
        &self.rules.reply
    }

    /// Returns whether there are no turns.
    pub fn is_duplex(&self) -> bool {
        self.rules.duplex
    }

    /// Returns the framing of messages.
    pub fn framing(&self) -> Framing {
        self.rules.framing
    }

    /// Returns what the user waits for when it is not our turn.
    pub fn awaited(&self) -> Awaited {
        match self.turns.first_key_value() {
            None => Awaited::AClient,
            Some((peer, _)) if self.turns.len() == 1 => Awaited::TurnOf(*peer),
            Some(_) => Awaited::Clients(self.turns.len()),
        }
    }

    /// Returns the connected peer that has waited longest for an answer.
    pub fn asked(&self) -> Option<Peer> {
        let owed = match self.owed.front() {
            Some(None) => self.owed.waiting().next(),
            front => front.flatten(),
        };
        if !self.rules.duplex {
            return owed;
        }
        let first = || self.turns.keys().next().copied();
        // The rest of a line goes where its beginning went.
        let in_line = self.current.filter(|_| self.in_line);
        in_line.or(owed).or(self.current).or_else(first)
    }

    /// Returns whether every message of `peer` that is shown gets an answer, even one that a broken
    /// connection has cut off: a program sees a line, and cannot tell.
    pub fn answers_blindly(&self, peer: Peer) -> bool {
        self.rules.answers_blindly && peer != Peer::Server
    }

    /// Returns whether `peer` waits for an answer.
    pub fn is_owed(&self, peer: Peer) -> bool {
        self.owed.waiting().any(|owed| owed == peer)
    }

    /// Returns the peers that a line to all goes to: those that wait for an answer, the
    /// longest-waiting first, or without turns all.
    pub fn audience(&self) -> Vec<Peer> {
        if self.rules.duplex {
            self.peers().collect()
        } else {
            self.owed.waiting().collect()
        }
    }

    /// Makes the next line go to `peer`, if it waits for an answer, or there are no turns. Returns
    /// whether it does.
    pub fn choose(&mut self, peer: Peer) -> bool {
        let can = if self.rules.duplex {
            self.turns.contains_key(&peer)
        } else {
            self.is_owed(peer)
        };
        if can {
            self.owed.remove(Some(peer));
            self.owed.push_front(peer);
        }
        can
    }

    /// Moves the peer that has waited longest for an answer behind all others that wait. Returns
    /// whether there are others.
    pub fn skip(&mut self) -> bool {
        let can = self.owed.has_others();
        if can {
            self.owed.skip();
        }
        can
    }

    /// Ends the conversation with `peer`. Returns whether it was our turn with it, or there are no
    /// turns: then the peer reads the end as a `bye`.
    pub fn dismiss(&mut self, peer: Peer) -> bool {
        self.remove(peer) == Some(Turn::Ours) || self.rules.duplex
    }

    /// Returns whether the conversation goes on: a peer is left or can follow.
    pub fn goes_on(&self) -> bool {
        // After the end of the input, new clients could not be answered.
        (self.rules.stays_open && !self.input_ended) || !self.turns.is_empty()
    }

    /// Adds a peer that has connected.
    pub fn joined(&mut self, peer: Peer) {
        // The client has the first turn, unless the rules say otherwise.
        let speaks_first = match peer {
            Peer::Server => !self.rules.server_first,
            Peer::Client(_) | Peer::Numbered(_) => self.rules.server_first,
        };
        if speaks_first {
            self.turns.insert(peer, Turn::Ours);
            if !self.rules.duplex {
                self.owed.push(peer, 1);
            }
        } else {
            self.turns.insert(peer, Turn::Opening);
        }
    }

    /// Handles a part, which is not late, of a message of `peer`. `first` and `last` tell whether it
    /// begins and ends the message.
    /// Returns whether to close our side of every connection, and to show only what still arrives:
    /// the message was the last that is expected.
    pub fn heard(&mut self, peer: Peer, text: &[u8], first: bool, last: bool) -> bool {
        let Reply { until, quiet, .. } = &self.rules.reply;
        if first {
            let matches = |until: &Regex| until.is_match(&String::from_utf8_lossy(text));
            self.ends_reply = until.as_ref().map_or(quiet.is_none(), matches);
        }
        if self.rules.reads_lines {
            self.count_lines(peer, text, last);
        }
        self.heard |= last;
        last && self.ends_reply && self.reply_ended(peer)
    }

    /// Has a program owe an answer to each line that it sees beside the last one of a message of `peer`, if
    /// others may follow: the beginning of one that another has cut, and, with an end mark, those within it.
    fn count_lines(&mut self, peer: Peer, text: &[u8], last: bool) {
        let speaker = mem::replace(&mut self.speaker, (!last).then_some(peer));
        if let Some(other) = speaker.filter(|speaker| *speaker != peer) {
            self.reply_ended(other);
        }
        let Some(end) = text.last() else {
            return;
        };
        if !self.rules.framing.marks_the_end() {
            return;
        }
        // A newline at the end may be that of the message.
        let goes_on = self.ends_line && speaker == Some(peer);
        self.ends_line = *end == b'\n';
        let within = memchr_iter(b'\n', text).count() - usize::from(self.ends_line);
        let lines = within + usize::from(goes_on);
        if lines > 0 {
            self.owe(peer, lines);
        }
    }

    /// Handles the end of a message or reply of `peer`. Returns what [`Session::heard`] does.
    pub fn reply_ended(&mut self, peer: Peer) -> bool {
        if self.rules.duplex {
            if self.turns.len() > 1 && !self.is_owed(peer) {
                self.owed.push(peer, 1);
            }
            return false;
        }
        self.owe(peer, 1);
        self.input_ended
    }

    /// Has the user owe `count` answers, at least one, to `peer`.
    fn owe(&mut self, peer: Peer, count: usize) {
        if let Some(turn) = self.turns.get_mut(&peer) {
            // A message that is shown in our turn is from a peer that has left, and needs no
            // answer. A user who answers blindly cannot know this, and answers it too.
            if *turn != Turn::Ours || self.rules.answers_blindly {
                *turn = Turn::Ours;
                self.owed.push(peer, count);
            }
        }
    }

    /// Gives the turn to `peer`, who was answered without a line of the user's.
    pub fn give_turn(&mut self, peer: Peer) {
        self.owed.remove(Some(peer));
        if let Some(turn) = self.turns.get_mut(&peer) {
            *turn = Turn::Reply;
        }
    }

    /// Returns what to do with a line, or a part of a line that is too long to buffer; `last` ends
    /// it. `to` is the peer that the prompt named when it was entered, if there was such a prompt.
    pub fn line(&mut self, text: &[u8], last: bool, to: Option<Peer>) -> Entered {
        let is_whole = last && !self.in_line;
        let sends_empty = self.rules.sends_empty && self.rules.framing.marks_the_end();
        if is_whole && !sends_empty && self.rules.framing.is_blank(text) {
            let is_answer = self.rules.reads_lines;
            let answered = if is_answer { self.end_line(true) } else { None };
            if let Some(peer) = answered {
                self.answered(peer);
            }
            return Entered::Blank(answered);
        }
        let front = if self.rules.duplex {
            if self.rules.sends_to_all && !self.turns.is_empty() {
                let begins = !self.in_line;
                return Entered::SendAll { begins };
            }
            if self.in_line && self.current.is_none() {
                // The rest of a line for a peer that is gone.
                self.in_line = !last;
                return Entered::NotSent;
            }
            // The prompt may have changed since the line was entered.
            let named = to.filter(|to| self.turns.contains_key(to));
            named.or_else(|| self.asked()).map(Some)
        } else {
            self.owed.front()
        };
        match front {
            Some(Some(peer)) if to.is_none_or(|to| to == peer) => {
                // Without turns, what a program writes is a stream.
                let is_data = self.rules.duplex && self.rules.answers_blindly;
                if !is_whole || is_data || !is_bye(text) {
                    self.current = Some(peer);
                    return Entered::Send(peer);
                }
                if !self.rules.duplex {
                    self.owed.pop();
                }
                self.remove(peer);
                Entered::Bye(peer)
            }
            Some(None) => {
                self.end_line(last);
                Entered::NotSent
            }
            // The peer that the line is for is gone.
            Some(Some(_)) | None => Entered::NotSent,
        }
    }

    /// Records that what [`Entered::Send`] asked for was sent, and whether that ended the line.
    pub fn sent(&mut self, last: bool) {
        self.heard = false;
        if self.rules.duplex {
            self.in_line = !last;
            self.owed.remove(self.current);
            return;
        }
        if let Some(peer) = self.end_line(last) {
            self.answered(peer);
        }
    }

    /// Gives the turn to `peer`, unless it has sent another message that is still to be answered.
    fn answered(&mut self, peer: Peer) {
        if !(self.rules.answers_blindly && self.is_owed(peer))
            && let Some(turn) = self.turns.get_mut(&peer)
        {
            *turn = Turn::Reply;
        }
    }

    /// Records that what [`Entered::Send`] asked for could not be sent, and whether that ended the
    /// line. Returns whether to give the line back to the user, instead of telling that it was not
    /// sent.
    pub fn not_sent(&mut self, last: bool) -> bool {
        // Without turns, a person may have entered others behind it.
        if self.rules.retries && (!self.rules.duplex || self.rules.answers_blindly) {
            return true;
        }
        if self.rules.duplex {
            self.in_line = !last;
            return false;
        }
        // The rest of the line has no recipient either.
        let front = self.owed.abandon_next();
        self.end_line(last);
        // What a client had still said before it left is shown next.
        if let Some(peer) = front.filter(|peer| self.answers_blindly(*peer)) {
            self.answered(peer);
        }
        false
    }

    /// Records that a part of a line was taken. If it is the last, returns the peer that it
    /// answered.
    fn end_line(&mut self, last: bool) -> Option<Peer> {
        self.in_line = !last;
        if last { self.owed.pop()? } else { None }
    }

    /// Handles the end of the user's input.
    pub fn end_of_input(&mut self) -> AtEnd {
        self.input_ended = true;
        match self.turns.first_key_value() {
            Some(_) if self.rules.duplex => AtEnd::Close,
            _ if !self.owed.is_empty() => AtEnd::Close,
            Some((Peer::Client(_) | Peer::Server, Turn::Reply)) => AtEnd::Wait,
            _ => AtEnd::End,
        }
    }

    /// Handles that the conversation with `peer` has ended for the reason `parting`.
    pub fn gone(&mut self, peer: Peer, parting: &Parting) -> Gone {
        let turn = self.remove(peer);
        let is_lost = match parting {
            Parting::Left => self.rules.retries && (self.rules.duplex || turn == Some(Turn::Ours)),
            Parting::Lost(_) => true,
            Parting::Idle(_) | Parting::Stuck(_) => false,
        };
        if is_lost && self.rules.retries {
            let put_back = turn == Some(Turn::Reply) || self.in_line;
            Gone::Retries { put_back }
        } else if self.goes_on() {
            Gone::GoesOn
        } else if is_lost {
            Gone::Fails
        } else {
            // After an end there is nothing but quiet.
            let has_replied = self.heard && self.rules.reply.quiet.is_some();
            let is_owed = peer == Peer::Server && turn == Some(Turn::Reply);
            Gone::Ends {
                owes_reply: is_owed && !has_replied,
            }
        }
    }

    /// Removes a peer. Returns whose turn it was.
    fn remove(&mut self, peer: Peer) -> Option<Turn> {
        if self.speaker.take_if(|speaker| *speaker == peer).is_some() {
            // The program has seen its beginning, and will answer it.
            self.owe(peer, 1);
        }
        self.current.take_if(|current| *current == peer);
        if self.rules.answers_blindly {
            self.owed.abandon(peer);
        } else {
            self.owed.remove(Some(peer));
        }
        self.turns.remove(&peer)
    }
}

/// Returns whether `text` is [`BYE`]. The tutorial's client ends a conversation by the same rule.
fn is_bye(text: &[u8]) -> bool {
    // Unicode whitespace counts too, but checking for it is slower, and most messages are ASCII.
    if text.is_ascii() {
        return text.trim_ascii().eq_ignore_ascii_case(BYE.as_bytes());
    }
    std::str::from_utf8(text).is_ok_and(|text| text.trim().eq_ignore_ascii_case(BYE))
}

#[cfg(test)]
mod tests;
