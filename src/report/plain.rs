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
    /// Whether the line was begun for a peer that nothing can be said to any more.
    is_orphaned: bool,
}

impl Plain {
    /// Records that `prompt` is shown.
    pub(super) fn show(&mut self, prompt: Prompt) {
        self.shown = Some(prompt);
        if prompt.peer.is_some() {
            self.asked = prompt.peer;
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

    /// Records whether a line was begun that is for nobody who is there.
    pub(super) fn orphan(&mut self, is_begun: bool) {
        self.is_orphaned = is_begun;
    }

    /// Records that a line was entered. Returns whether it may be sent.
    pub(super) fn enter(&mut self) -> bool {
        self.shown = None;
        !std::mem::take(&mut self.is_orphaned)
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
    fn a_line_is_for_the_peer_that_was_named_last() {
        let (first, second) = (Peer::Client(1), Peer::Client(2));
        let mut plain = Plain::default();
        assert_eq!(plain.asked(), None);
        plain.show(asking(first));
        assert!(plain.leave_row() && !plain.leave_row());
        assert_eq!((plain.shown(), plain.asked()), (None, Some(first)));
        // What is entered ahead is for the same one.
        plain.show(Prompt::default());
        assert_eq!(plain.asked(), Some(first));
        assert!(plain.enter());
        plain.orphan(true);
        plain.show(asking(second));
        assert_eq!(plain.asked(), Some(second));
        assert!(!plain.enter() && plain.enter());
    }
}
