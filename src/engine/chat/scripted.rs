//! Answers the peers as a script says.

use super::Chat;
use crate::engine::show;
use crate::event::{Event, Failure, Peer};
use crate::framing::Framing;

impl Chat<'_> {
    /// Answers the message of `peer` that has ended, if there is a script.
    pub(super) fn follow_script(&mut self, peer: Peer) -> Result<(), Failure> {
        let Some(script) = self.engine.script.clone() else {
            return Ok(());
        };
        let message = self.message.remove(&peer).unwrap_or_default();
        if !self.session.is_owed(peer) && !self.session.is_duplex() {
            return Ok(());
        }
        self.session.give_turn(peer);
        let message = String::from_utf8_lossy(&message);
        match script.answer(&message) {
            None => show(&mut self.engine.report, &Event::NoAnswer(peer, &message)),
            Some("") => Ok(()),
            Some(answer) => self.recite(peer, answer),
        }
    }

    /// Sends `answer`, of a script, to `peer`: as a message, or as several if a message cannot have
    /// newlines.
    pub(super) fn recite(&mut self, peer: Peer, answer: &str) -> Result<(), Failure> {
        let lines: Vec<&str> = match self.session.framing() {
            Framing::Line | Framing::Crlf => {
                let lines = answer.strip_suffix('\n').unwrap_or(answer);
                lines.split('\n').collect()
            }
            Framing::Raw | Framing::Json | Framing::Nul => vec![answer],
        };
        for (index, line) in lines.iter().enumerate() {
            let (text, last) = (line.as_bytes(), true);
            if self.peers.send(peer, text, last).is_none() {
                self.engine.lost_words = true;
                let unsent = lines[index..].join("\n");
                // The peers tell why.
                return self.engine.show(&Event::NotSent(&unsent));
            }
            self.engine.show(&Event::Sent { peer, text, last })?;
        }
        self.engine.show(&Event::Scripted(peer, answer))
    }
}
