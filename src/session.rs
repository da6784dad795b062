//! The turn-taking that `serve` and `connect` share: a pure state machine from events to actions,
//! without sockets, threads or clocks.

use std::collections::{BTreeMap, VecDeque};

use crate::event::{Awaited, Peer, Prompt};
use crate::framing::Framing;

/// The message that ends a conversation, in any case and with any surrounding whitespace. It is
/// never sent.
const BYE: &str = "bye";

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rules {
    /// The framing of messages.
    pub framing: Framing,
    /// Whether the user answers every shown message with one line, even if the peer is gone, as a
    /// program that reads and writes lines does. Otherwise, a prompt names the peer that a line is
    /// for.
    pub answers_blindly: bool,
    /// Whether the caller reconnects when the connection is lost. Then a peer that closes the
    /// connection in our turn counts as lost: it can say `bye` only in its own turn.
    pub retries: bool,
    /// Whether new clients may still connect when all others are gone.
    pub stays_open: bool,
}

/// An event that the session handles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input<'a> {
    /// A peer connected.
    Joined(Peer),
    /// A part of a message arrived.
    Part {
        /// The sender.
        peer: Peer,
        /// Whether the part ends the message.
        last: bool,
    },
    /// The user entered a message, or a part of one that is too long to buffer.
    Line {
        /// The bytes to send.
        text: &'a [u8],
        /// Whether they end the message.
        last: bool,
        /// The peer that the prompt named when the line was entered; `None` without such a prompt.
        to: Option<Peer>,
    },
    /// [`Action::Send`] was carried out. The value tells whether the part ended the message.
    Sent(bool),
    /// [`Action::Send`] failed. The value tells whether the part ended the message.
    NotSent(bool),
    /// The user's input ended.
    EndOfInput,
    /// The program is told to stop.
    Interrupt,
    /// The conversation with a peer ended.
    Gone(Peer, Loss),
}

/// Why a conversation with a peer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// The peer closed the connection.
    Left,
    /// The connection broke.
    Lost,
    /// We ended it because the peer took too long.
    LetGo,
}

/// An action for the caller to carry out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Show the part that arrived.
    Show,
    /// Show the part that arrived as late: the message it belongs to was considered complete
    /// before.
    ShowLate,
    /// Send the entered line, or part of one, to this peer.
    Send(Peer),
    /// End the conversation with this peer: the user said `bye`.
    Dismiss(Peer),
    /// Tell the user that nothing more can be sent, and that a reply is still expected.
    TellLast,
    /// Tell the user that the peer is gone.
    TellGone,
    /// Report, in the following [`Action::Fail`], that the connection was closed in our turn.
    TellLostInTurn,
    /// Tell the user that the text that was entered, or is on the prompt, was not sent.
    TellUnsent,
    /// Give the last message, which got no reply, back to the user.
    PutBack,
    /// Close our side of every connection, show what still arrives, and end.
    Close,
    /// End the conversation.
    End(Ending),
    /// End with an error: the connection was lost, and no other peer is left or can follow.
    Fail,
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
pub struct Session {
    rules: Rules,
    turns: BTreeMap<Peer, Turn>,
    /// The peers that wait for an answer, the longest-waiting first. `None` stands for a peer that
    /// is gone, but whose answer the user will still give.
    owed: VecDeque<Option<Peer>>,
    /// Whether a part of a line was taken, but not its end.
    in_line: bool,
    input_ended: bool,
}

impl Session {
    /// Creates a session without peers.
    #[must_use]
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            turns: BTreeMap::new(),
            owed: VecDeque::new(),
            in_line: false,
            input_ended: false,
        }
    }

    /// Returns the peer that the next line answers, and how many others wait for an answer.
    #[must_use]
    pub fn prompt(&self) -> Prompt {
        Prompt {
            peer: self.asked(),
            waiting: self.owed.iter().flatten().count().saturating_sub(1),
        }
    }

    /// Returns whether the next line of the user is wanted.
    #[must_use]
    pub fn wants_line(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Returns whether it is our turn with `peer`.
    #[must_use]
    pub fn is_ours(&self, peer: Peer) -> bool {
        self.turns.get(&peer) == Some(&Turn::Ours)
    }

    /// Returns the framing of messages.
    #[must_use]
    pub fn framing(&self) -> Framing {
        self.rules.framing
    }

    /// Returns what the user waits for when it is not our turn.
    #[must_use]
    pub fn awaited(&self) -> Awaited {
        match self.turns.first_key_value() {
            None => Awaited::AClient,
            Some((peer, _)) if self.turns.len() == 1 => Awaited::TurnOf(*peer),
            Some(_) => Awaited::Clients(self.turns.len()),
        }
    }

    /// Handles an event. Appends the actions to carry out to `actions`, in order.
    pub fn handle(&mut self, input: Input<'_>, actions: &mut Vec<Action>) {
        match input {
            Input::Joined(peer) => self.joined(peer),
            Input::Part { peer, last } => self.part(peer, last, actions),
            Input::Line { text, last, to } => self.line(text, last, to, actions),
            Input::Sent(last) => self.sent(last),
            Input::NotSent(last) => self.not_sent(last, actions),
            Input::EndOfInput => self.end_of_input(actions),
            Input::Interrupt => {
                actions.extend([Action::TellUnsent, Action::End(Ending::Interrupted)]);
            }
            Input::Gone(peer, loss) => self.gone(peer, loss, actions),
        }
    }

    /// Returns the connected peer that has waited longest for an answer.
    #[must_use]
    pub fn asked(&self) -> Option<Peer> {
        self.owed.iter().copied().flatten().next()
    }

    fn joined(&mut self, peer: Peer) {
        // The client has the first turn.
        if peer == Peer::Server {
            self.turns.insert(peer, Turn::Ours);
            self.owed.push_back(Some(peer));
        } else {
            self.turns.insert(peer, Turn::Opening);
        }
    }

    fn part(&mut self, peer: Peer, last: bool, actions: &mut Vec<Action>) {
        let Some(turn) = self.turns.get_mut(&peer) else {
            return;
        };
        let ours = *turn == Turn::Ours;
        if ours && !self.rules.framing.marks_the_end() {
            actions.push(Action::ShowLate);
            return;
        }
        actions.push(Action::Show);
        if !last {
            return;
        }
        // A message that is shown in our turn is from a peer that has left, and needs no answer. A
        // user who answers blindly cannot know this, and answers it too.
        if !ours || self.rules.answers_blindly {
            *turn = Turn::Ours;
            self.owed.push_back(Some(peer));
        }
        if self.input_ended {
            actions.push(Action::Close);
        }
    }

    fn line(&mut self, text: &[u8], last: bool, to: Option<Peer>, actions: &mut Vec<Action>) {
        let blank = last && !self.in_line && self.rules.framing.is_blank(text);
        match self.owed.front() {
            _ if blank => {}
            Some(Some(peer)) if to.is_none_or(|to| to == *peer) => {
                let peer = *peer;
                if last && !self.in_line && is_bye(text) {
                    self.dismiss(peer, actions);
                } else {
                    actions.push(Action::Send(peer));
                }
            }
            Some(None) => {
                actions.push(Action::TellUnsent);
                self.in_line = !last;
                if last {
                    self.owed.pop_front();
                }
            }
            // The peer that the line is for is gone.
            Some(Some(_)) | None => actions.push(Action::TellUnsent),
        }
    }

    fn dismiss(&mut self, peer: Peer, actions: &mut Vec<Action>) {
        self.owed.pop_front();
        self.remove(peer);
        actions.push(Action::Dismiss(peer));
        if !self.goes_on() {
            actions.push(Action::End(Ending::Bye));
        }
    }

    fn sent(&mut self, last: bool) {
        self.in_line = !last;
        if last
            && let Some(Some(peer)) = self.owed.pop_front()
            // The peer may have sent another message that is still to be answered.
            && !(self.rules.answers_blindly && self.owed.contains(&Some(peer)))
            && let Some(turn) = self.turns.get_mut(&peer)
        {
            *turn = Turn::Reply;
        }
    }

    fn not_sent(&mut self, last: bool, actions: &mut Vec<Action>) {
        if self.rules.retries {
            actions.push(Action::PutBack);
            return;
        }
        actions.push(Action::TellUnsent);
        // The rest of the line has no recipient either.
        self.in_line = !last;
        if last {
            self.owed.pop_front();
        } else if let Some(front) = self.owed.front_mut() {
            *front = None;
        }
    }

    fn end_of_input(&mut self, actions: &mut Vec<Action>) {
        self.input_ended = true;
        actions.push(match self.turns.first_key_value() {
            _ if !self.owed.is_empty() => Action::Close,
            Some((Peer::Client | Peer::Server, Turn::Reply)) => Action::TellLast,
            _ => Action::End(Ending::EndOfInput),
        });
    }

    fn gone(&mut self, peer: Peer, loss: Loss, actions: &mut Vec<Action>) {
        let turn = self.remove(peer);
        let over = !self.goes_on();
        let closed_in_turn = self.rules.retries && loss == Loss::Left && turn == Some(Turn::Ours);
        let is_lost = loss == Loss::Lost || closed_in_turn;
        if is_lost && self.rules.retries {
            if turn == Some(Turn::Reply) || self.in_line {
                actions.push(Action::PutBack);
            }
            if closed_in_turn {
                actions.push(Action::TellLostInTurn);
            }
            actions.push(Action::Fail);
            return;
        }
        if !(over && is_lost) {
            actions.push(Action::TellGone);
        }
        if over {
            actions.extend([
                Action::TellUnsent,
                if is_lost {
                    Action::Fail
                } else {
                    Action::End(Ending::PeerLeft)
                },
            ]);
        }
    }

    /// Removes a peer. Returns whose turn it was.
    fn remove(&mut self, peer: Peer) -> Option<Turn> {
        if self.rules.answers_blindly {
            for owed in &mut self.owed {
                owed.take_if(|owed| *owed == peer);
            }
        } else {
            self.owed.retain(|owed| *owed != Some(peer));
        }
        self.turns.remove(&peer)
    }

    fn goes_on(&self) -> bool {
        // After the end of the input, new clients could not be answered.
        (self.rules.stays_open && !self.input_ended) || !self.turns.is_empty()
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
