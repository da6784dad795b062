//! Tells what the program waits for, and why it may wait in vain, for `--explain`.

use std::mem;
use std::time::{Duration, Instant};

use super::Chat;
use crate::engine::STANDS;
use crate::event::{Awaited, Event, Failure, Hint, Peer};
use crate::explain::Standing;
use crate::sanitize::Untrusted;

/// How long a peer that has the turn is silent until the user is told what may be wrong.
const SILENT: Duration = Duration::from_secs(10);

/// A call that the program stands in.
pub(super) struct Stand {
    call: Standing,
    since: Instant,
    /// Whether the user was told.
    pub(super) is_told: bool,
}

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
        let stand = self.stand.as_ref()?;
        let kind = mem::discriminant(&Hint::Silent(Peer::Server));
        let is_due = matches!(stand.call, Standing::Recv { .. })
            && !self.hinted.contains(&kind)
            // The end of a message is waited for in another way.
            && !self.session.peers().any(|peer| self.peers.has_unended(peer));
        is_due.then(|| stand.since + SILENT)
    }

    /// Returns when to tell the call that the program stands in.
    pub(super) fn stand_due(&self) -> Option<Instant> {
        let stand = self.stand.as_ref().filter(|stand| !stand.is_told)?;
        Some(stand.since + STANDS)
    }

    /// Tells the call that the program stands in, if it is time for that.
    pub(super) fn tell_stand(&mut self) -> Result<(), Failure> {
        if self.stand_due().is_some_and(|due| due <= Instant::now())
            && let Some(stand) = &mut self.stand
        {
            stand.is_told = true;
            self.engine.show(&Event::Stands(&stand.call))?;
        }
        Ok(())
    }

    /// Records the call that the program stands in from now on, unless it does already, if calls are told.
    pub(super) fn take_stand(&mut self) {
        let Some(log) = self.engine.report.log() else {
            return;
        };
        if self.peers.are_ready() {
            // The call may return at once.
            self.stand.take_if(|stand| !stand.is_told);
            return;
        }
        let call = self.standing();
        if let Some(call) = &call {
            log.begin(call);
        }
        if call.as_ref() == self.stand.as_ref().map(|stand| &stand.call) {
            return;
        }
        self.stand = call.map(|call| Stand {
            call,
            since: Instant::now(),
            is_told: false,
        });
    }

    /// Returns the call that the program stands in while nobody is ready.
    fn standing(&self) -> Option<Standing> {
        match self.session.awaited() {
            Awaited::TurnOf(peer) if self.peers.has_unsent(peer) => Some(Standing::Send {
                to_server: peer == Peer::Server,
            }),
            Awaited::AClient if self.peers.listens() => Some(Standing::Accept),
            Awaited::TurnOf(peer @ (Peer::Client(_) | Peer::Server))
                if self.session.is_waited_for(peer) =>
            {
                Some(Standing::Recv {
                    size: self.session.framing().limit(),
                    from_server: peer == Peer::Server,
                })
            }
            _ => None,
        }
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
