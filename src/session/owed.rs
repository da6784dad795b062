//! The answers that are owed, in their order.
#![allow(
    clippy::option_option,
    reason = "an answer to nobody is something else than none"
)]

use std::collections::VecDeque;
use std::mem;

use crate::event::Peer;

/// The answers that are owed, the one that has been waited for longest first. However many lines a
/// message has that are to be answered one by one, they take no more room than one.
#[derive(Debug, Default)]
pub(super) struct Owed {
    /// To whom, and how many in succession. `None` stands for peers that are gone, but whose answers the
    /// user will still give.
    runs: VecDeque<(Option<Peer>, usize)>,
}

impl Owed {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Returns to whom the next answer is owed.
    pub(super) fn front(&self) -> Option<Option<Peer>> {
        self.runs.front().map(|(peer, _)| *peer)
    }

    /// Returns those who are there and wait, once for each time that answers in succession are owed to
    /// them.
    pub(super) fn waiting(&self) -> impl Iterator<Item = Peer> {
        self.runs.iter().filter_map(|(peer, _)| *peer)
    }

    /// Returns how many answers are owed to those who are there.
    pub(super) fn count(&self) -> usize {
        let there = self.runs.iter().filter(|(peer, _)| peer.is_some());
        there.map(|(_, count)| count).sum()
    }

    /// Returns whether others wait beside the first.
    pub(super) fn has_others(&self) -> bool {
        self.runs.len() > 1
    }

    /// Adds `count` answers to `peer` behind all others.
    pub(super) fn push(&mut self, peer: Peer, count: usize) {
        push(&mut self.runs, Some(peer), count);
    }

    /// Adds an answer to `peer` before all others.
    pub(super) fn push_front(&mut self, peer: Peer) {
        self.runs.push_front((Some(peer), 1));
    }

    /// Removes the next answer. Returns to whom it was owed.
    pub(super) fn pop(&mut self) -> Option<Option<Peer>> {
        let (peer, count) = self.runs.front_mut()?;
        let peer = *peer;
        *count -= 1;
        if *count == 0 {
            self.runs.pop_front();
        }
        Some(peer)
    }

    /// Makes the next answer one to nobody. Returns to whom it was owed.
    pub(super) fn abandon_next(&mut self) -> Option<Peer> {
        let peer = self.front()??;
        self.pop();
        self.runs.push_front((None, 1));
        Some(peer)
    }

    /// Makes the answers to `peer` answers to nobody.
    pub(super) fn abandon(&mut self, peer: Peer) {
        for (owed, count) in mem::take(&mut self.runs) {
            let owed = owed.filter(|owed| *owed != peer);
            push(&mut self.runs, owed, count);
        }
    }

    /// Removes the answers to `peer`, or with `None` those to nobody.
    pub(super) fn remove(&mut self, peer: Option<Peer>) {
        self.runs.retain(|(owed, _)| *owed != peer);
    }

    /// Moves the answers to the first peer behind all others.
    pub(super) fn skip(&mut self) {
        self.runs.rotate_left(1);
    }
}

/// Adds `count` answers to `peer` to the last of `runs`, or behind it.
fn push(runs: &mut VecDeque<(Option<Peer>, usize)>, peer: Option<Peer>, count: usize) {
    match runs.back_mut() {
        Some((last, so_far)) if *last == peer => *so_far += count,
        _ => runs.push_back((peer, count)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_as(owed: &Owed, expected: &VecDeque<Option<Peer>>) -> bool {
        let runs = owed.runs.iter();
        let counted: VecDeque<_> = runs.flat_map(|(peer, n)| vec![*peer; *n]).collect();
        counted == *expected && owed.runs.iter().all(|(_, count)| *count > 0)
    }

    proptest! {
        #[test]
        fn runs_are_as_so_many_single_ones(
            steps in prop::collection::vec((0..6, 0..3_u32, 1..4_usize), 0..60),
        ) {
            let (mut owed, mut single) = (Owed::default(), VecDeque::new());
            for (step, number, count) in steps {
                let peer = Peer::Numbered(number);
                match step {
                    0 | 1 => {
                        owed.push(peer, count);
                        single.extend(vec![Some(peer); count]);
                    }
                    2 => prop_assert_eq!(owed.pop(), single.pop_front()),
                    3 => {
                        owed.abandon(peer);
                        for one in single.iter_mut().filter(|one| **one == Some(peer)) {
                            *one = None;
                        }
                    }
                    4 => prop_assert_eq!(
                        owed.abandon_next(),
                        single.front_mut().and_then(Option::take)
                    ),
                    _ => {
                        owed.remove(Some(peer));
                        single.retain(|one| *one != Some(peer));
                    }
                }
                prop_assert!(is_as(&owed, &single), "{owed:?} for {single:?}");
                prop_assert_eq!(owed.count(), single.iter().flatten().count());
                prop_assert_eq!(owed.waiting().next(), single.iter().flatten().next().copied());
            }
        }
    }

    #[test]
    fn those_who_are_gone_take_the_room_of_one() {
        let mut owed = Owed::default();
        for number in 0..1000 {
            owed.push(Peer::Numbered(number), 500_000);
            owed.abandon(Peer::Numbered(number));
        }
        assert_eq!(owed.runs, [(None, 500_000_000)]);
    }
}
