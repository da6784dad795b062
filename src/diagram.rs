//! Reads the transcripts of one or both peers and draws them as a sequence diagram.

mod chars;
mod mermaid;
mod story;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use self::story::Story;
use crate::event::Failure;
use crate::sanitize::Untrusted;

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

/// Reads `files`, the transcripts of one or more participants of the same conversation, and parses
/// them as [`parse`] does. Fails if a file cannot be read.
pub fn read(files: &[PathBuf]) -> Result<(Diagram, Vec<String>), Failure> {
    let mut seen = HashSet::new();
    let mut texts = Vec::new();
    for path in files.iter().filter(|path| seen.insert(*path)) {
        let text = fs::read(path).map_err(|error| Failure::ReadTranscript(path.clone(), error))?;
        texts.push((path.as_path(), text));
    }
    Ok(parse(&texts))
}

/// Parses transcripts, each the content of the file at its path. Returns the diagram, and a notice
/// for each line that was left out because it is not valid.
#[must_use]
pub fn parse(files: &[(&Path, Vec<u8>)]) -> (Diagram, Vec<String>) {
    let mut bad = Vec::new();
    let mut records = Vec::new();
    for (path, text) in files {
        let text = String::from_utf8_lossy(text);
        let mut records_of_file = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            match serde_json::from_str(line) {
                Ok(record) => records_of_file.push(record),
                Err(error) => {
                    let error = error.to_string();
                    // serde_json's position is wrong here: it counts lines from this line.
                    let reason = error.split(" at line ").next().unwrap_or_default();
                    bad.push(format!(
                        "{}:{}: left out, as it is no line of a transcript: {}",
                        path.display(),
                        index + 1,
                        Untrusted(reason.as_bytes()).visible_line(80)
                    ));
                }
            }
        }
        records.push(records_of_file);
    }
    (Story::new(records).into_diagram(), bad)
}

impl Diagram {
    /// Returns whether the diagram shows nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Draws the diagram with characters, for a terminal of `columns` columns. Returns it with a
    /// newline at its end.
    #[must_use]
    pub fn chars(&self, columns: usize) -> String {
        chars::draw(self, columns)
    }

    /// Returns the Mermaid source of the diagram, which other programs render.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }
}
