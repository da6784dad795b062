//! Reads the transcripts of one or both peers and draws them as a sequence diagram.

mod chars;
mod html;
mod mermaid;
mod scene;
mod story;
mod svg;

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use self::scene::Scene;
use self::story::Story;
use crate::event::Failure;
use crate::sanitize::Untrusted;
use crate::transcript::Record;

/// The maximum length of a line in bytes. A text of 64 KiB takes six times as many at most, as JSON.
const LONGEST: usize = 1 << 20;

/// How many lines of a file are told of that are not valid.
const TOLD: usize = 10;

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
#[derive(Debug, Default)]
pub struct Diagram {
    /// The names of the participants from left to right. The server is last.
    participants: Vec<String>,
    steps: Vec<Step>,
    scene: Scene,
}

/// Reads `files`, the transcripts of one or more participants of the same conversation, and parses
/// them as [`parse`] does. Fails if a file cannot be read.
pub fn read(files: &[PathBuf]) -> Result<(Diagram, Vec<String>), Failure> {
    let mut seen = HashSet::new();
    let mut readers = Vec::new();
    for path in files.iter().filter(|path| seen.insert(*path)) {
        let file =
            File::open(path).map_err(|error| Failure::ReadTranscript(path.clone(), error))?;
        readers.push((path.as_path(), BufReader::new(file)));
    }
    parse(readers).map_err(|(path, error)| Failure::ReadTranscript(path, error))
}

/// Parses transcripts, each the content of the file at its path. Returns the diagram, and
/// notices of the lines that were left out because they are not valid: of each of the first ones, and
/// of how many follow. Fails if a file cannot be read.
///
/// Takes time in proportion to the length of the files, and memory in proportion to the events in
/// them.
pub fn parse<'a, R: BufRead>(
    files: impl IntoIterator<Item = (&'a Path, R)>,
) -> Result<(Diagram, Vec<String>), (PathBuf, io::Error)> {
    let mut bad = Vec::new();
    let mut records = Vec::new();
    for (path, reader) in files {
        let (of_file, bad_of_file) =
            read_records(path, reader).map_err(|error| (path.to_owned(), error))?;
        records.push(of_file);
        bad.extend(bad_of_file);
    }
    Ok((Story::new(records).into_diagram(), bad))
}

/// Reads the records of the file at `path`, and returns notices of the lines that are none.
fn read_records(path: &Path, mut reader: impl BufRead) -> io::Result<(Vec<Record>, Vec<String>)> {
    let (mut records, mut bad, mut untold) = (Vec::new(), Vec::new(), 0_u64);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = LONGEST as u64 + 1;
        if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let reason = if line.len() > LONGEST {
            if line.last() != Some(&b'\n') {
                reader.skip_until(b'\n')?;
            }
            "it is too long".into()
        } else {
            let text = String::from_utf8_lossy(&line);
            let text = text.trim();
            if text.is_empty() {
                continue;
            }
            match serde_json::from_str(text) {
                Ok(record) => {
                    records.push(record);
                    continue;
                }
                Err(error) => error.to_string(),
            }
        };
        if bad.len() == TOLD {
            untold += 1;
            continue;
        }
        // serde_json's position is wrong here: it counts lines from this line.
        let reason = reason.split(" at line ").next().unwrap_or_default();
        bad.push(format!(
            "{}:{number}: left out, as it is no line of a transcript: {}",
            path.display(),
            Untrusted(reason.as_bytes()).visible_line(80)
        ));
    }
    if untold > 0 {
        bad.push(format!(
            "{}: {untold} more lines are left out",
            path.display()
        ));
    }
    Ok((records, bad))
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

    /// Returns the picture as SVG, a file of its own.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::file(&self.scene)
    }

    /// Returns a page of HTML that steps through the picture. It needs nothing else.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(&self.scene)
    }

    /// Returns the Mermaid source of the diagram, which other programs render.
    #[must_use]
    pub fn mermaid(&self) -> String {
        mermaid::draw(self)
    }
}

#[cfg(test)]
mod tests;
