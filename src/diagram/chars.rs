//! A diagram drawn with characters, for a terminal.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

use super::{Diagram, Step, What};
use crate::sanitize::Untrusted;
use crate::wrap::wrap;

/// The least room between two lifelines, in columns; where there is less, the clients share
/// one.
const LEAST_GAP: usize = 24;
/// With less in all, nothing can be drawn.
const LEAST_COLUMNS: usize = 30;
/// The most, since a line that is longer is not easier to read.
const MOST_COLUMNS: usize = 100;
/// So many rows of a text are drawn.
const MOST_ROWS: usize = 6;
/// So many characters of a text are looked at.
const LONGEST: usize = 1000;

/// Draws `diagram` on so many `columns`.
pub(super) fn draw(diagram: &Diagram, columns: usize) -> String {
    let columns = columns.clamp(LEAST_COLUMNS, MOST_COLUMNS);
    let fit = columns / LEAST_GAP + 1;
    if diagram.parts.len() > fit.max(2) {
        return draw(&fold(diagram), columns);
    }
    let canvas = Canvas::new(&diagram.parts, columns);
    let mut rows = vec![canvas.heading(&diagram.parts), canvas.lifelines()];
    for step in &diagram.steps {
        match step {
            Step::Arrow { from, to, what } => canvas.arrow(&mut rows, *from, *to, what),
            Step::Note { at, text } => canvas.note(&mut rows, *at, text),
        }
    }
    rows.push(canvas.lifelines());
    let rows: Vec<_> = rows.iter().map(Row::text).collect();
    rows.join("\n") + "\n"
}

/// The same with all clients as one participant, and their names in what is said.
fn fold(diagram: &Diagram) -> Diagram {
    let server = diagram.parts.len() - 1;
    let place = |part| usize::from(part == server);
    let steps = diagram.steps.iter().map(|step| match step {
        Step::Note { at, text } => Step::Note {
            at: place(*at),
            text: text.clone(),
        },
        Step::Arrow { from, to, what } => {
            let name = &diagram.parts[if *from == server { *to } else { *from }];
            let (words, about) = what.words();
            Step::Arrow {
                from: place(*from),
                to: place(*to),
                what: match what {
                    What::Message { bytes, .. } => What::Message {
                        text: format!("{name}: {words}"),
                        bytes: *bytes,
                    },
                    _ => What::Told(format!("{name} {about}")),
                },
            }
        }
    });
    Diagram {
        parts: vec!["clients".into(), diagram.parts[server].clone()],
        steps: steps.collect(),
    }
}

/// Where the lifelines stand.
struct Canvas {
    columns: usize,
    lines: Vec<usize>,
}

impl Canvas {
    fn new(parts: &[String], columns: usize) -> Self {
        let margin = |part: Option<&String>| part.map_or(0, |part| part.width() / 2);
        let first = margin(parts.first());
        let last = (columns - 1)
            .saturating_sub(margin(parts.last()))
            .max(first + 2);
        let gaps = (parts.len() - 1).max(1);
        Self {
            columns,
            lines: (0..parts.len())
                .map(|index| first + index * (last - first) / gaps)
                .collect(),
        }
    }

    fn lifelines(&self) -> Row {
        let mut row = Row::default();
        for line in &self.lines {
            row.put(*line, "|");
        }
        row
    }

    fn heading(&self, parts: &[String]) -> Row {
        let mut row = Row::default();
        for (line, part) in self.lines.iter().zip(parts) {
            row.put(line - (part.width() / 2).min(*line), part);
        }
        row
    }

    /// Draws an arrow with what it says on it, or above it where that is too long.
    fn arrow(&self, rows: &mut Vec<Row>, from: usize, to: usize, what: &What) {
        let (left, right) = (self.lines[from.min(to)], self.lines[from.max(to)]);
        let room = right - left - 1;
        let (words, about) = what.words();
        let words = Untrusted(words.as_bytes()).visible_line(LONGEST);
        let whole = match &*words {
            "" => about.clone(),
            words => format!("{words} ({about})"),
        };
        let on_it = if whole.width() + 8 <= room {
            whole
        } else {
            for line in rows_of(&words, room.saturating_sub(2)) {
                let mut row = self.lifelines();
                row.put(left + 2, &line);
                rows.push(row);
            }
            about
        };
        let rest = room.saturating_sub(on_it.width() + 6);
        let shaft = "-".repeat(rest);
        let arrow = if from < to {
            format!("--- {on_it} {shaft}>")
        } else {
            format!("<-- {on_it} {shaft}-")
        };
        let mut row = self.lifelines();
        row.put(left + 1, &arrow);
        rows.push(row);
    }

    /// Writes a note beside a lifeline, on the side where the others are.
    fn note(&self, rows: &mut Vec<Row>, at: usize, text: &str) {
        let line = self.lines[at];
        let text = Untrusted(text.as_bytes()).visible_line(LONGEST);
        let is_last = at + 1 == self.lines.len();
        let room = match (is_last, at) {
            (false, _) => self.lines[at + 1] - line,
            (true, 0) => self.columns - line,
            (true, _) => line - self.lines[at - 1],
        };
        let mut mark = '*';
        for text in rows_of(&text, room.saturating_sub(4)) {
            let mut row = self.lifelines();
            if is_last && at > 0 {
                row.put(line - text.width() - 2, &format!("{text} {mark}"));
            } else {
                row.put(line + 1, &format!("{mark} {text}"));
            }
            rows.push(row);
            mark = ' ';
        }
    }
}

/// A text in rows, as many of them as are drawn.
fn rows_of(text: &str, columns: usize) -> Vec<String> {
    let mut rows = wrap(text, columns);
    if rows.len() > MOST_ROWS {
        rows.truncate(MOST_ROWS);
        rows.push("...".into());
    }
    rows
}

/// A row of the drawing: what stands in each column; nothing behind what takes two.
#[derive(Default)]
struct Row(Vec<String>);

impl Row {
    fn put(&mut self, column: usize, text: &str) {
        let mut column = column;
        for grapheme in text.graphemes(true) {
            let width = grapheme.width();
            if self.0.len() < column + width {
                self.0.resize(column + width, " ".into());
            }
            if width > 0 {
                grapheme.clone_into(&mut self.0[column]);
                self.0[column + 1..column + width].fill(String::new());
            }
            column += width;
        }
    }

    fn text(&self) -> String {
        self.0.concat().trim_end().to_owned()
    }
}
