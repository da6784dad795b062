//! Draws a diagram as text for a terminal.

use std::iter;

use super::{Diagram, Sort, caption};
use crate::sanitize::Untrusted;
use crate::words;
use crate::wrap::{max_width, wrap};

/// The minimum distance between two lifelines in columns. Where there is less room, all
/// clients share a lifeline.
const MIN_GAP: usize = 24;
/// The minimum width of a diagram in columns.
const MIN_COLUMNS: usize = 20;
/// The maximum width of a diagram in columns. Longer lines are hard to read.
const MAX_COLUMNS: usize = 100;
/// The maximum number of rows of a text. The rest is left out.
const MAX_ROWS: usize = 6;
/// The maximum number of columns of a text to wrap.
const MAX_TEXT: usize = 1000;

impl Diagram {
    /// Draws the diagram with characters, for a terminal of `columns` columns. Returns it with a
    /// newline at its end.
    pub fn chars(&self, columns: usize) -> String {
        let columns = columns.clamp(MIN_COLUMNS, MAX_COLUMNS);
        let names = &self.participants;
        let server = names.len() - 1;
        let is_merged = names.len() > (columns / MIN_GAP + 1).max(2);
        let mut canvas = if is_merged {
            Canvas::new(
                &[words!("clients", "Clients").into(), names[server].clone()],
                columns,
            )
        } else {
            Canvas::new(names, columns)
        };
        canvas.add_row(0, "");
        for mut step in self.steps() {
            if is_merged {
                // The server is last.
                let client = &names[step.from.min(step.to)];
                match step.sort {
                    Sort::Message => step.text = format!("{client}: {}", step.text),
                    Sort::Connect | Sort::Close => {
                        step.detail = format!("{client} {}", step.detail);
                    }
                    Sort::Note => {}
                }
                step.from = usize::from(step.from == server);
                step.to = usize::from(step.to == server);
            }
            let text = Untrusted(step.text.as_bytes()).visible_line(MAX_TEXT);
            if step.sort == Sort::Note {
                canvas.draw_note(step.from, &text);
            } else {
                canvas.draw_arrow(step.from, step.to, &text, &step.detail);
            }
        }
        canvas.add_row(0, "");
        canvas.text
    }
}

/// What is drawn so far.
struct Canvas {
    columns: usize,
    /// The column of each participant's lifeline.
    lifelines: Vec<usize>,
    text: String,
}

impl Canvas {
    /// Creates a canvas with the names of the participants above their lifelines.
    fn new(names: &[String], columns: usize) -> Self {
        let first = max_width(&names[0]) / 2;
        let last = (columns - 1).saturating_sub(max_width(&names[names.len() - 1]) / 2);
        let width = last.max(first + 2) - first;
        let gaps = (names.len() - 1).max(1);
        let lifelines = (0..names.len()).map(|index| first + index * width / gaps);
        let lifelines: Vec<_> = lifelines.collect();
        let columns_of_names = iter::zip(&lifelines, names)
            .map(|(lifeline, name)| (lifeline.saturating_sub(max_width(name) / 2), &**name));
        Self {
            text: row(columns_of_names),
            columns,
            lifelines,
        }
    }

    /// Adds a row with `text` from `column` on, over the lifelines.
    fn add_row(&mut self, column: usize, text: &str) {
        let end = column + max_width(text);
        let lifelines = self.lifelines.iter().map(|lifeline| (*lifeline, "|"));
        let left = lifelines.clone().filter(|(lifeline, _)| *lifeline < column);
        let right = lifelines.filter(|(lifeline, _)| *lifeline >= end);
        self.text += &row(left.chain([(column, text)]).chain(right));
    }

    /// Draws an arrow with `text` and `detail` on it, or with one or both above it if they are too long.
    fn draw_arrow(&mut self, from: usize, to: usize, text: &str, detail: &str) {
        let left = self.lifelines[from.min(to)];
        let room = self.lifelines[from.max(to)] - left - 1;
        let caption = caption(text, detail);
        let (above, caption) = if max_width(&caption) + 8 <= room {
            (["", ""], &*caption)
        } else if max_width(detail) + 6 <= room {
            ([text, ""], detail)
        } else {
            ([text, detail], "")
        };
        for text in above {
            for line in wrap_to_max_rows(text, room.saturating_sub(2)) {
                self.add_row(left + 2, &line);
            }
        }
        let gap = if caption.is_empty() { "-" } else { " " };
        let shaft = "-".repeat(room.saturating_sub(max_width(caption) + 6));
        let (start, end) = if from < to {
            ("---", ">")
        } else {
            ("<--", "-")
        };
        let arrow = [start, gap, caption, gap, &shaft, end].concat();
        self.add_row(left + 1, &arrow);
    }

    /// Draws a note beside a lifeline, on the side of the other lifelines.
    fn draw_note(&mut self, at: usize, text: &str) {
        let lifeline = self.lifelines[at];
        let next = self.lifelines.get(at + 1).copied();
        let on_left = next.is_none() && at > 0;
        let room = if on_left {
            lifeline - self.lifelines[at - 1]
        } else {
            next.unwrap_or(self.columns) - lifeline
        };
        let mut mark = '*';
        for line in wrap_to_max_rows(text, room.saturating_sub(4)) {
            if on_left {
                let column = lifeline - max_width(&line) - 2;
                self.add_row(column, &format!("{line} {mark}"));
            } else {
                self.add_row(lifeline + 1, &format!("{mark} {line}"));
            }
            mark = ' ';
        }
    }
}

/// Returns a row of texts, each with its column, from left to right.
fn row<'a>(texts: impl Iterator<Item = (usize, &'a str)>) -> String {
    let mut row = String::new();
    let mut end = 0;
    for (column, text) in texts {
        row.extend(iter::repeat_n(' ', column.saturating_sub(end)));
        row += text;
        end = column + max_width(text);
    }
    row.truncate(row.trim_end().len());
    row + "\n"
}

/// Wraps `text`, and replaces the rows over [`MAX_ROWS`] by an ellipsis.
fn wrap_to_max_rows(text: &str, columns: usize) -> Vec<String> {
    let text = wrap(text, "", columns);
    let mut rows: Vec<_> = text.lines().map(|row| row.trim_end().to_owned()).collect();
    if rows.len() > MAX_ROWS {
        rows.truncate(MAX_ROWS);
        rows.push("...".into());
    }
    rows
}
