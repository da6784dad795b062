//! Reads the transcripts of one or both peers and draws them as a sequence diagram.

mod chars;
mod mermaid;
mod story;

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::time::SystemTime;

use self::story::Story;
use crate::event::Failure;
use crate::sanitize::Untrusted;
use crate::transcript::Record;

/// The output format of a diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Text for a terminal.
    #[default]
    Chars,
    /// Mermaid source, which other programs render.
    Mermaid,
}

impl Format {
    /// Returns the name of the format as the option `--format` takes it.
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

/// A row of the diagram. Participants are indices into [`Diagram::participants`].
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// An arrow from one participant to another.
    Arrow {
        from: usize,
        to: usize,
        label: Label,
    },
    /// A note beside a participant.
    Note { at: usize, text: String },
}

/// What an arrow stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Label {
    Connect,
    /// A message; `bytes` is its full length.
    Message {
        text: String,
        bytes: u64,
    },
    Close,
    /// A connect or close of one of several clients, described with the client's name.
    Described(String),
}

impl Label {
    /// Returns the text of a message, which is empty for other labels.
    fn text(&self) -> &str {
        match self {
            Self::Message { text, .. } => text,
            _ => "",
        }
    }

    /// Returns what happened, or the length of a message.
    fn detail(&self) -> String {
        match self {
            Self::Connect => "connects".into(),
            Self::Message { bytes: 1, .. } => "1 byte".into(),
            Self::Message { bytes, .. } => format!("{bytes} bytes"),
            Self::Close => "closes".into(),
            Self::Described(detail) => detail.clone(),
        }
    }
}

/// A sequence diagram.
#[derive(Debug)]
pub struct Diagram {
    /// The names of the participants from left to right. The server is last.
    participants: Vec<String>,
    steps: Vec<Step>,
}

/// A line of a file that is not a line of a transcript.
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

/// A record with its time parsed.
type Timed<'a> = (SystemTime, Record<'a>);

/// Reads `files`, the transcripts of one or more participants of the same conversation.
///
/// Returns the diagram, and the lines that were left out because they are not valid. Returns
/// an error if a file cannot be read.
pub fn read(files: &[PathBuf]) -> Result<(Diagram, Vec<BadLine>), Failure> {
    let mut seen = HashSet::new();
    let mut texts = Vec::new();
    for path in files.iter().filter(|path| seen.insert(*path)) {
        let bytes =
            std::fs::read(path).map_err(|error| Failure::ReadTranscript(path.clone(), error))?;
        texts.push((path, String::from_utf8_lossy(&bytes).into_owned()));
    }
    let mut bad = Vec::new();
    let mut records = Vec::new();
    for (path, text) in &texts {
        let mut records_of_file = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            match parse_line(line) {
                Ok(record) => records_of_file.push(record),
                Err(reason) => bad.push(BadLine {
                    path: (*path).clone(),
                    number: index + 1,
                    reason,
                }),
            }
        }
        records.push(records_of_file);
    }
    Ok((Story::new(records).into_diagram(), bad))
}

/// Parses a line of a transcript. Returns the reason if it is not valid.
fn parse_line(line: &str) -> Result<Timed<'_>, String> {
    let record: Record<'_> = serde_json::from_str(line).map_err(|error| {
        // serde_json's position is wrong here: it counts lines from this line.
        let mut reason = error.to_string();
        reason.truncate(reason.find(" at line ").unwrap_or(reason.len()));
        reason
    })?;
    let time = humantime::parse_rfc3339(&record.time).map_err(|error| error.to_string())?;
    Ok((time, record))
}

impl Diagram {
    /// Returns whether the diagram shows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Draws the diagram in `format` and returns it with a newline at its end. `columns` is
    /// the width of the terminal for [`Format::Chars`].
    #[must_use]
    pub fn draw(&self, format: Format, columns: usize) -> String {
        match format {
            Format::Chars => chars::draw(self, columns),
            Format::Mermaid => mermaid::draw(self),
        }
    }
}
