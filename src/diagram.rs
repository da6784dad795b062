//! Reads the transcripts of one or both peers and draws them as a sequence diagram.

mod chars;
mod html;
mod mermaid;
mod scene;
mod story;
mod svg;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use self::scene::Scene;
use self::story::Entry;
use crate::event::Failure;
use crate::sanitize::Untrusted;
use crate::transcript::Record;

/// The maximum length of a line in bytes. A text of 64 KiB takes six times as many at most, as JSON.
const LONGEST: usize = 1 << 20;

/// How many lines of a file are told of that are not valid.
const TOLD: usize = 10;

/// A row of the diagram. Participants are indices into [`Diagram::participants`].
struct Step {
    /// The participants that an arrow goes from and to, which are the same for a note.
    from: usize,
    to: usize,
    sort: Sort,
    /// The text of a message or a note.
    text: String,
    /// What an arrow stands for, or the length of its message. Empty for a note.
    detail: String,
}

/// What a step shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    Connect,
    Message,
    Close,
    /// What a program tells.
    Note,
}

/// Returns what stands on an arrow or in a note.
fn caption(text: &str, detail: &str) -> String {
    match (text, detail) {
        ("", caption) | (caption, "") => caption.into(),
        _ => format!("{text} ({detail})"),
    }
}

/// A sequence diagram.
#[derive(Debug)]
pub struct Diagram {
    /// The names of the participants from left to right. The server is last.
    participants: Vec<String>,
    /// In chronological order.
    entries: Vec<Entry>,
}

/// Reads `files`, the transcripts of one or more participants of the same conversation, and parses
/// them as [`parse`] does. Fails if a file cannot be read.
pub fn read(files: &[PathBuf]) -> Result<(Diagram, Vec<String>), Failure> {
    let mut readers = Vec::new();
    for (index, path) in files.iter().enumerate() {
        if files[..index].contains(path) {
            continue;
        }
        let file =
            File::open(path).map_err(|error| Failure::ReadTranscript(path.clone(), error))?;
        readers.push((path.as_path(), BufReader::new(file)));
    }
    parse(readers)
}

/// Parses transcripts, each the content of the file at its path. Returns the diagram, and
/// notices of the lines that were left out because they are not valid: of each of the first ones, and
/// of how many follow. Fails if a file cannot be read.
///
/// Takes time in proportion to the length of the files, and memory in proportion to the events in
/// them.
pub fn parse<'a, R: BufRead>(
    files: impl IntoIterator<Item = (&'a Path, R)>,
) -> Result<(Diagram, Vec<String>), Failure> {
    let mut bad = Vec::new();
    let mut records = Vec::new();
    for (path, reader) in files {
        let of_file = read_records(path, reader, &mut bad);
        let failed = |error| Failure::ReadTranscript(path.to_owned(), error);
        records.push(of_file.map_err(failed)?);
    }
    Ok((story::merge(records), bad))
}

/// Returns the records of the file at `path`, and adds notices of the lines that are none to `bad`.
fn read_records(
    path: &Path,
    mut reader: impl BufRead,
    bad: &mut Vec<String>,
) -> io::Result<Vec<Record>> {
    let (mut records, mut bad_count) = (Vec::new(), 0);
    let path = path.display();
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let limit = LONGEST as u64 + 1;
        if reader.by_ref().take(limit).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&line);
        let reason = if line.len() > LONGEST {
            if !line.ends_with(b"\n") {
                reader.skip_until(b'\n')?;
            }
            "it is too long".into()
        } else if text.trim().is_empty() {
            continue;
        } else {
            match serde_json::from_str(text.trim()) {
                Ok(record) => {
                    records.push(record);
                    continue;
                }
                Err(error) => error.to_string(),
            }
        };
        bad_count += 1;
        if bad_count <= TOLD {
            // serde_json's position is wrong here: it counts lines from this line.
            let reason = reason.split(" at line ").next().unwrap_or_default();
            let reason = Untrusted(reason.as_bytes()).visible_line(80);
            bad.push(format!(
                "{path}:{number}: left out, as it is no line of a transcript: {reason}"
            ));
        }
    }
    if bad_count > TOLD {
        let untold = bad_count - TOLD;
        bad.push(format!("{path}: {untold} more lines are left out"));
    }
    Ok(records)
}

impl Diagram {
    fn steps(&self) -> impl Iterator<Item = Step> {
        self.entries.iter().filter_map(Entry::step)
    }

    /// Returns the picture, with the kernels of both ends.
    fn scene(&self) -> Scene {
        Scene::new(&self.participants, &self.entries)
    }

    /// Returns whether the diagram shows nothing.
    pub fn is_empty(&self) -> bool {
        self.steps().next().is_none()
    }
}

#[cfg(test)]
mod tests;
