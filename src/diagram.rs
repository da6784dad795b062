//! A sequence diagram of a conversation, from one transcript or from those of both ends.

mod chars;
mod mermaid;
mod story;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use self::story::Story;
use crate::event::Failure;
use crate::sanitize::Untrusted;
use crate::transcript::Record;

/// How a diagram is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// With characters, for a terminal.
    #[default]
    Chars,
    /// As Mermaid text, which other programs draw.
    Mermaid,
}

impl Format {
    /// Its name, as the option `--format` takes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chars => "chars",
            Self::Mermaid => "mermaid",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is drawn of what happened.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// Something went from one participant to another.
    Arrow { from: usize, to: usize, what: What },
    /// Something happened at one of them.
    Note { at: usize, text: String },
}

/// What goes from one to another.
#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Connection,
    Message {
        text: String,
        bytes: u64,
    },
    End,
    /// One of the others, in words that name who it was.
    Told(String),
}

impl What {
    /// What it says, and behind that what is said about it.
    fn words(&self) -> (&str, String) {
        match self {
            Self::Connection => ("", "connects".into()),
            Self::Message { text, bytes: 1 } => (text, "1 byte".into()),
            Self::Message { text, bytes } => (text, format!("{bytes} bytes")),
            Self::End => ("", "closes".into()),
            Self::Told(words) => ("", words.clone()),
        }
    }
}

/// Who takes part, in the order in which they stand, and what happens.
#[derive(Debug, Default)]
pub struct Diagram {
    parts: Vec<String>,
    steps: Vec<Step>,
}

/// A line of a file that is none of a transcript.
#[derive(Debug)]
pub struct BadLine {
    path: PathBuf,
    number: usize,
    reason: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: left out, as it is no line of a transcript: {}",
            self.path.display(),
            self.number,
            Untrusted(self.reason.as_bytes()).visible_line(80)
        )
    }
}

/// A record, and its time.
type Timed<'a> = (SystemTime, Record<'a>);

/// Reads `files`, the transcript of one end or those of several, and returns the diagram of
/// what they tell, with the lines that had to be left out. Fails when a file cannot be read.
pub fn read(files: &[PathBuf]) -> Result<(Diagram, Vec<BadLine>), Failure> {
    let mut texts = Vec::new();
    let mut files = files.to_vec();
    let mut seen = HashSet::new();
    files.retain(|path| seen.insert(path.clone()));
    for path in &files {
        let bytes =
            std::fs::read(path).map_err(|error| Failure::ReadTranscript(path.clone(), error))?;
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    let mut bad = Vec::new();
    let records = texts
        .iter()
        .zip(&files)
        .map(|(text, path)| parse(text, path, &mut bad))
        .collect();
    Ok((Story::new(records).tell(), bad))
}

fn parse<'a>(text: &'a str, path: &Path, bad: &mut Vec<BadLine>) -> Vec<Timed<'a>> {
    let lines = text.lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .filter_map(|(index, line)| match parse_line(line) {
            Ok(record) => Some(record),
            Err(reason) => {
                bad.push(BadLine {
                    path: path.to_owned(),
                    number: index + 1,
                    reason,
                });
                None
            }
        })
        .collect()
}

fn parse_line(line: &str) -> Result<(SystemTime, Record<'_>), String> {
    let record: Record<'_> = serde_json::from_str(line).map_err(|error| {
        // It is one line, and its number is told already.
        let reason = error.to_string();
        reason
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned()
    })?;
    let time = humantime::parse_rfc3339(&record.time).map_err(|error| error.to_string())?;
    Ok((time, record))
}

impl Diagram {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Draws it in `format`, with characters no wider than `columns`.
    #[must_use]
    pub fn draw(&self, format: Format, columns: usize) -> String {
        match format {
            Format::Chars => chars::draw(self, columns),
            Format::Mermaid => mermaid::draw(self),
        }
    }
}
