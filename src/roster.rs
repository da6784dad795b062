//! Who is there, as the user is told it, and as it is completed at the prompt.

use std::collections::BTreeMap;
use std::time::Instant;

use rustyline::completion::Pair;

use crate::command::{self, Company};
use crate::endpoint::Address;
use crate::event::Peer;
use crate::sanitize::Untrusted;

/// The maximum number of bytes of a name to keep: there may be many, and each of a megabyte.
const MAX_NAME: usize = 256;

/// What is known of a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its address.
    pub address: Address,
    /// The name that it has given itself last.
    pub name: Option<String>,
    /// When it has connected.
    pub since: Instant,
    /// When its last message has ended, or it has connected.
    pub spoke: Instant,
}

/// The peers who are there.
#[derive(Debug, Default)]
pub struct Roster {
    /// What kind of peers there can be.
    pub company: Company,
    present: BTreeMap<Peer, Present>,
}

impl Roster {
    /// Adds `peer`, who has connected from or at `address`.
    pub fn join(&mut self, peer: Peer, address: Address) {
        let now = Instant::now();
        let present = Present {
            address,
            name: None,
            since: now,
            spoke: now,
        };
        self.present.insert(peer, present);
    }

    /// Removes `peer`.
    pub fn leave(&mut self, peer: Peer) {
        self.present.remove(&peer);
    }

    /// Records that `peer` has spoken, and the name that it gives itself, if it does.
    pub fn spoke(&mut self, peer: Peer, name: Option<Untrusted<'_>>) {
        if let Some(present) = self.present.get_mut(&peer) {
            present.spoke = Instant::now();
            if let Some(name) = name {
                present.name = Some(name.beginning(MAX_NAME));
            }
        }
    }

    /// Returns all who are there, in the order of arrival.
    pub fn present(&self) -> impl Iterator<Item = (Peer, &Present)> {
        self.present.iter().map(|(peer, present)| (*peer, present))
    }

    /// Completes a line of the user's, as [`command::complete`] does.
    pub fn complete(&self, typed: &str) -> (usize, Vec<Pair>) {
        let clients = self.present().filter_map(|(peer, present)| match peer {
            Peer::Numbered(number) => Some((number, present.name.as_deref().unwrap_or(""))),
            Peer::Client(_) | Peer::Server => None,
        });
        command::complete(typed, self.company, clients)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_those_who_are_there_take_little_memory() {
        let mut roster = Roster::default();
        let peer = Peer::Numbered(1);
        roster.join(peer, Address::UNNAMED);
        roster.spoke(peer, Some(Untrusted("\u{fc}".repeat(1_000_000).as_bytes())));
        roster.spoke(peer, None);
        let (_, present) = roster.present().next().unwrap();
        assert_eq!(present.name, Some("\u{fc}".repeat(MAX_NAME / 2)));
        roster.leave(peer);
        roster.spoke(peer, Some(Untrusted(b"gone")));
        assert_eq!(roster.present().count(), 0);
    }
}
