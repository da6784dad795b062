//! Does what a person commands at the prompt.

use super::{Chat, Step};
use crate::command::{Command, Company, Given, KEYS, WORDS, Word};
use crate::event::{Answer, Event, Failure, Peer};
use crate::prompt::SharedPrompt;
use crate::session::BYE;

impl Chat<'_> {
    /// Does what the user has commanded.
    pub(super) fn obey(&mut self, given: Given) -> Step {
        let Some(prompt) = self.engine.prompt.clone() else {
            return Ok(None);
        };
        let company = prompt.roster().company;
        let answer = match given.command {
            _ if given.word.company > company => Some(Answer::NotHere(given.word)),
            Some(Command::Help) => {
                self.tell_help(company)?;
                None
            }
            Some(Command::Who) => {
                self.tell_who(&prompt)?;
                None
            }
            Some(Command::To(number)) => self.choose(number).err(),
            Some(Command::Skip) => (!self.session.skip()).then_some(Answer::NobodyElseWaits),
            Some(Command::All(text)) => {
                let audience = self.session.audience();
                let orders = audience.iter().map(|peer| (*peer, text.clone()));
                self.orders.extend(orders);
                audience.is_empty().then_some(Answer::NobodyWaits)
            }
            Some(Command::Bye(number)) => match self.choose(number) {
                Ok(peer) => {
                    self.orders.push_back((peer, BYE.to_owned()));
                    None
                }
                Err(answer) => Some(answer),
            },
            Some(Command::Kick(number)) if number.is_some() || company < Company::Clients => {
                let client = match number {
                    Some(number) => self.client(number),
                    None => self.session.peers().next().ok_or(Answer::NobodyThere),
                };
                match client {
                    Ok(client) => return self.kick(client),
                    Err(answer) => Some(answer),
                }
            }
            Some(Command::Kick(_)) | None => Some(Answer::Misused(given.word)),
        };
        if let Some(answer) = answer {
            self.engine.show(&Event::Answer(answer))?;
        }
        Ok(None)
    }

    /// Returns the client with this number.
    fn client(&self, number: u32) -> Result<Peer, Answer<'static>> {
        let client = Peer::Numbered(number);
        let is_there = self.session.peers().any(|peer| peer == client);
        is_there
            .then_some(client)
            .ok_or(Answer::NoSuchClient(number))
    }

    /// Makes the next line go to the client with this number.
    fn choose(&mut self, number: u32) -> Result<Peer, Answer<'static>> {
        let client = self.client(number)?;
        let is_chosen = self.session.choose(client);
        is_chosen.then_some(client).ok_or(Answer::HasTurn(client))
    }

    /// Ends the conversation with `client`, whosever turn it is.
    fn kick(&mut self, client: Peer) -> Step {
        if self.session.dismiss(client) {
            self.peers.remove(client);
        } else {
            self.peers.dismiss(client);
        }
        self.closed(client)
    }

    fn tell_help(&mut self, company: Company) -> Result<(), Failure> {
        let makes_sense = |word: &&Word| word.company <= company;
        let words = WORDS.iter().filter(makes_sense);
        let words = words.map(|word| ((word.name, word.argument(company)), word.help));
        let keys = KEYS.iter().map(|(key, effect)| ((*key, ""), *effect));
        for (entered, effect) in words.chain(keys) {
            let does = Answer::Does { entered, effect };
            self.engine.show(&Event::Answer(does))?;
        }
        Ok(())
    }

    fn tell_who(&mut self, prompt: &SharedPrompt) -> Result<(), Failure> {
        let roster = prompt.roster();
        let mut present = roster.present().peekable();
        if present.peek().is_none() {
            return self.engine.show(&Event::Answer(Answer::NobodyThere));
        }
        for (peer, present) in present {
            let is_owed = self.session.is_owed(peer);
            let waits = is_owed.then(|| present.spoke.elapsed());
            self.engine.show(&Event::Answer(Answer::Present {
                peer,
                name: present.name.as_deref(),
                address: &present.address,
                since: present.since.elapsed(),
                waits: (!self.session.is_duplex()).then_some(waits),
            }))?;
        }
        Ok(())
    }
}
