//! Tells what the program waits for, and why it may wait in vain, for `--explain`.

use std::mem;
use std::time::{Duration, Instant};

use super::Chat;
use crate::engine::STANDS;
use crate::event::{Awaited, Event, Failure, Hint, Peer};
use crate::explain::Standing;
use crate::peers::FIRST_TOKEN;
use crate::sanitize::Untrusted;

/// How long a peer that has the turn is silent until the user is told what may be wrong.
const SILENT: Duration = Duration::from_secs(10);

impl Chat<'_> {
    /// Gives a hint of `--explain`, unless it was given.
    pub(super) fn hint(&mut self, hint: Hint) -> Result<(), Failure> {
        let kind = mem::discriminant(&hint);
        if self.engine.explains() && !self.hinted.contains(&kind) {
            self.hinted.push(kind);
            self.engine.show(&Event::Hint(hint))?;
        }
        Ok(())
    }

    /// Returns when to give a hint if the peer goes on to send nothing.
    pub(super) fn silence_due(&self) -> Option<Instant> {
        let (standing, since) = self.stands.as_ref()?;
        let kind = mem::discriminant(&Hint::Silent(Peer::Server));
        let is_due = matches!(standing, Standing::Recv { .. })
            && !self.hinted.contains(&kind)
            // The end of a message is waited for in another way.
            && !self.session.peers().any(|peer| self.peers.has_unended(peer));
        is_due.then(|| *since + SILENT)
    }

    /// Tells which call the program stands in, if it does so for a while, and was not told. Returns
    /// whether something other than news of a peer, such as input, has come meanwhile, and no news.
    pub(super) fn tell_wait(&mut self) -> Result<bool, Failure> {
        let standing = match self.session.awaited() {
            Awaited::TurnOf(peer) if self.peers.has_unsent(peer) => Standing::Send {
                to_server: peer == Peer::Server,
            },
            Awaited::AClient if self.peers.listens() => Standing::Accept,
            Awaited::TurnOf(peer @ (Peer::Client(_) | Peer::Server))
                if self.session.is_waited_for(peer) =>
            {
                Standing::Recv {
                    size: self.session.framing().limit(),
                    from_server: peer == Peer::Server,
                }
            }
            _ => return Ok(false),
        };
        if self
            .stands
            .as_ref()
            .is_some_and(|(told, _)| *told == standing)
        {
            return Ok(false);
        }
        if let Some(log) = self.engine.report.log() {
            log.begin(&standing);
        }
        let until = Instant::now() + STANDS;
        let registry = self.engine.poll.registry();
        self.peers.watch(registry).map_err(Failure::Accept)?;
        while Instant::now() < until {
            self.engine.wait(Some(until))?;
            let (mut has_news, mut has_others) = (false, self.engine.stopped);
            for event in &self.engine.events {
                self.peers.report(event);
                let is_news = event.is_readable()
                    || event.is_read_closed()
                    || event.is_error()
                    || matches!(standing, Standing::Send { .. }) && event.is_writable();
                let is_of_peer = event.token().0 >= FIRST_TOKEN;
                has_news |= is_news && is_of_peer;
                has_others |= !is_of_peer;
            }
            if has_news || has_others {
                return Ok(!has_news);
            }
        }
        self.engine.show(&Event::Stands(&standing))?;
        self.stands = Some((standing, Instant::now()));
        Ok(false)
    }
}

/// Returns a hint about the first bytes of `text` that are not UTF-8, if there are any. Its end may
/// come later.
pub(super) fn not_utf8(text: Untrusted<'_>) -> Option<Hint> {
    let error = std::str::from_utf8(text.bytes()).err()?;
    error.error_len()?;
    let byte = text.bytes().get(error.valid_up_to())?;
    Some(Hint::NotUtf8(*byte))
}
