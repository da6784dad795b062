//! Checks a client or server of a pupil's: starts it, types what a user types, plays the other end of
//! the connection, and says of each thing that it must do whether it does, and if not, what was seen.

mod client;
mod complaint;
mod judge;
mod peer;
mod program;
mod server;
mod stage;

use std::ffi::OsString;
use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use crate::event::Failure;
use crate::framing::Framing;
use crate::{say, words};

use self::stage::{Stage, Trouble};

pub use self::complaint::Complaint;
pub use self::judge::{Finding, printed, sent};

/// Which end of the connection is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Side {
    /// It connects and speaks first.
    #[value(help = None)]
    Client,
    /// It listens and answers.
    #[value(help = None)]
    Server,
}

/// What to check, and how.
#[derive(Debug)]
pub struct Options {
    /// Which end the program is.
    pub side: Side,
    /// The port that it connects to, or listens on.
    pub port: u16,
    /// The framing that it must use.
    pub framing: Framing,
    /// How much it must be able to do, from 1 to 3.
    pub level: u8,
    /// The program and its arguments. If this is empty, somebody else starts the program and types.
    pub command: Vec<OsString>,
}

/// One thing that a program must do.
struct Check {
    id: &'static str,
    level: u8,
    kind: Kind,
    run: fn(&mut Stage<'_>) -> Result<(), Trouble>,
    /// What the program does if the check passes, in English and German.
    name: (&'static str, &'static str),
    /// Whether no later check makes sense if this one fails.
    decides: bool,
}

/// Which programs can be checked for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// All: it is seen on the wire.
    Wire,
    /// Those that we start: it is seen in what they print, or how they end.
    Started,
    /// Those that we start and whose framing marks the end of a message.
    Marked,
}

/// What came of a check. It is displayed as the lines that a person reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// `C1` to `C13`, or `S1` to `S10`.
    pub check: &'static str,
    /// What the program does if the check passes.
    pub name: &'static str,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// Whether a check passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "result", rename_all = "lowercase")]
pub enum Outcome {
    /// It passed.
    Passed,
    /// It failed.
    Failed {
        /// Why.
        #[serde(flatten)]
        finding: Finding,
        /// The last error that the program has reported.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<Complaint>,
    },
    /// It was not made, for this reason.
    Skipped {
        /// The reason.
        reason: &'static str,
    },
}

/// Makes the checks that `options` ask for, and hands each verdict to `report`. Returns how many have
/// passed, and of how many, or `None` if the user pressed Ctrl-C. Fails if the program cannot be started, the
/// port is taken, or `report` fails.
pub fn run(
    options: &Options,
    mut report: impl FnMut(&Verdict) -> Result<(), Failure>,
) -> Result<Option<(usize, usize)>, Failure> {
    let checks: &[Check] = match options.side {
        Side::Client => &client::CHECKS,
        Side::Server => &server::CHECKS,
    };
    let mut stage = Stage::new(options)?;
    let (mut passed, mut made) = (0, 0);
    for check in checks.iter().filter(|check| check.level <= options.level) {
        let outcome = match check.limit(options) {
            Some(reason) => Outcome::Skipped { reason },
            None => match (check.run)(&mut stage) {
                Ok(()) => Outcome::Passed,
                Err(Trouble::Interrupted) => return Ok(None),
                Err(Trouble::Failure(failure)) => return Err(failure),
                Err(Trouble::Finding(finding)) => stage.explain(finding, false),
                Err(Trouble::Certain(finding)) => stage.explain(finding, true),
            },
        };
        let failed = matches!(outcome, Outcome::Failed { .. });
        passed += usize::from(outcome == Outcome::Passed);
        made += usize::from(failed || outcome == Outcome::Passed);
        report(&Verdict {
            check: check.id,
            name: words!(check.name.0, check.name.1),
            outcome,
        })?;
        if failed && check.decides {
            break;
        }
    }
    Ok(Some((passed, made)))
}

impl Check {
    const fn new(
        id: &'static str,
        level: u8,
        kind: Kind,
        run: fn(&mut Stage<'_>) -> Result<(), Trouble>,
    ) -> Self {
        Self {
            id,
            level,
            kind,
            run,
            name: ("", ""),
            decides: false,
        }
    }

    const fn named(mut self, en: &'static str, de: &'static str) -> Self {
        self.name = (en, de);
        self
    }

    const fn deciding(mut self) -> Self {
        self.decides = true;
        self
    }

    /// Returns why the check cannot be made, if it cannot.
    fn limit(&self, options: &Options) -> Option<&'static str> {
        let is_started = !options.command.is_empty();
        match self.kind {
            Kind::Marked if !options.framing.marks_the_end() => Some(words!(
                "a limit of raw: nothing marks where a message ends, so no program can do this",
                "eine Grenze von raw: nichts markiert das Ende einer Nachricht, kein Programm kann das"
            )),
            Kind::Started | Kind::Marked if !is_started => Some(words!(
                "is seen only if COMMAND is given",
                "ist nur zu sehen, wenn COMMAND angegeben ist"
            )),
            _ => None,
        }
    }
}

impl Verdict {
    /// Returns the verdict as a JSON object on one line.
    pub fn json(&self) -> String {
        // Text and numbers always have a form in JSON.
        serde_json::to_string(self).unwrap_or_default()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            check,
            name,
            outcome,
        } = self;
        match outcome {
            Outcome::Passed => write!(f, "\u{2713} {check:<3} {name}"),
            Outcome::Skipped { reason } => write!(f, "- {check:<3} {name}: {reason}"),
            Outcome::Failed { finding, error } => {
                let mut rows = vec![
                    (say!("seen:", "gesehen:"), &finding.seen),
                    (say!("expected:", "erwartet:"), &finding.expected),
                    (say!("hint:", "Hinweis:"), &finding.hint),
                ];
                if let Some(Complaint { line, text, .. }) = error {
                    let what = match line {
                        Some(line) => say!("line {line}:", "Zeile {line}:"),
                        None => say!("error:", "Fehler:"),
                    };
                    rows.push((what, text));
                }
                write!(f, "\u{2717} {check:<3} {name}")?;
                for (what, text) in rows {
                    write!(f, "\n      {what:<9} {text}")?;
                }
                Ok(())
            }
        }
    }
}
