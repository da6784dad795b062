//! A plain prompt, behind which the terminal edits the line itself: nobody knows what is typed of it, or
//! for whom, before it is entered.

use crate::event::{Peer, Prompt};

/// The plain prompt, and for whom the line behind it is.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// The prompt on the screen.
    shown: Option<Prompt>,
    /// The peer that a prompt has named last.
    asked: Option<Peer>,
    /// Whether that peer has left since.
    has_left: bool,
    /// Whether the line was begun for a peer that nothing can be said to any more.
    is_orphaned: bool,
}

impl Plain {
    /// Records that `prompt` is shown.
    pub(super) fn show(&mut self, prompt: Prompt) {
        self.shown = Some(prompt);
        if prompt.peer.is_some() {
            self.asked = prompt.peer;
            self.has_left = false;
        }
    }

    /// Records that the prompt is above the last row. Returns whether it was in it.
    pub(super) fn leave_row(&mut self) -> bool {
        self.shown.take().is_some()
    }

    /// Returns the prompt in the last row.
    pub(super) fn shown(&self) -> Option<Prompt> {
        self.shown
    }

    /// Returns the peer that a line is for.
    pub(super) fn asked(&self) -> Option<Peer> {
        self.asked
    }

    /// Records that `peer` has left.
    pub(super) fn leave(&mut self, peer: Peer) {
        self.has_left |= self.asked == Some(peer);
    }

    /// Returns whether what was typed so far may go to `peer`. There is one server only.
    pub(super) fn is_for(&self, peer: Peer) -> bool {
        peer == Peer::Server || self.asked == Some(peer) && !self.has_left
    }

    /// Records whether a line was begun that is for nobody who is there.
    pub(super) fn orphan(&mut self, is_begun: bool) {
        self.is_orphaned = is_begun;
    }

    /// Records that a line was entered. Returns whether it may be sent.
    pub(super) fn enter(&mut self) -> bool {
        self.shown = None;
        !std::mem::take(&mut self.is_orphaned) && !self.has_left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(peer: Peer) -> Prompt {
        Prompt {
            peer: Some(peer),
            waiting: 0,
        }
    }

    #[test]
    fn a_line_is_for_the_peer_that_was_named_while_it_is_there() {
        let (first, second) = (Peer::Numbered(1), Peer::Numbered(2));
        let mut plain = Plain::default();
        assert!(!plain.is_for(first) && plain.is_for(Peer::Server));
        plain.show(asking(first));
        assert!(plain.is_for(first) && !plain.is_for(second) && plain.enter());
        // What is entered ahead is for the same peer.
        plain.show(Prompt::default());
        assert!(plain.is_for(first) && !plain.is_for(second));
        plain.leave(second);
        assert!(plain.enter());
        plain.leave(first);
        assert!(!plain.is_for(first) && !plain.enter());
        plain.show(asking(second));
        assert!(plain.is_for(second) && plain.enter());
    }

    #[test]
    fn the_next_at_the_same_place_is_somebody_else() {
        let mut plain = Plain::default();
        plain.show(asking(Peer::Client));
        plain.leave(Peer::Client);
        assert!(!plain.is_for(Peer::Client));
        plain.orphan(true);
        plain.show(asking(Peer::Client));
        assert!(plain.is_for(Peer::Client) && !plain.enter());
        assert!(plain.enter());
    }
}
