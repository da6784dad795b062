//! Draws a diagram as text for a terminal.

use super::{Diagram, Label, Step};
use crate::sanitize::Untrusted;
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

/// Draws `diagram` for a terminal of `columns` columns.
pub(super) fn draw(diagram: &Diagram, columns: usize) -> String {
    let columns = columns.clamp(MIN_COLUMNS, MAX_COLUMNS);
    let max_participants = (columns / MIN_GAP + 1).max(2);
    if diagram.participants.len() > max_participants {
        return draw(&merge_clients(diagram), columns);
    }
    let mut canvas = Canvas::new(&diagram.participants, columns);
    for step in &diagram.steps {
        match step {
            Step::Arrow { from, to, label } => canvas.draw_arrow(*from, *to, label),
            Step::Note { at, text } => canvas.draw_note(*at, text),
        }
    }
    canvas.add_row();
    let rows: Vec<_> = canvas
        .rows
        .iter()
        .map(|row| row.text(&canvas.lifelines))
        .collect();
    rows.join("\n") + "\n"
}

/// Returns `diagram` with all clients as one participant and their names in the labels.
fn merge_clients(diagram: &Diagram) -> Diagram {
    let server = diagram.participants.len() - 1;
    let merged = |participant| usize::from(participant == server);
    let steps = diagram.steps.iter().map(|step| match step {
        Step::Note { at, text } => Step::Note {
            at: merged(*at),
            text: text.clone(),
        },
        Step::Arrow { from, to, label } => {
            let client = if *from == server { *to } else { *from };
            let name = &diagram.participants[client];
            Step::Arrow {
                from: merged(*from),
                to: merged(*to),
                label: match label {
                    Label::Message { text, bytes } => Label::Message {
                        text: format!("{name}: {text}"),
                        bytes: *bytes,
                    },
                    _ => Label::Described(format!("{name} {}", label.detail())),
                },
            }
        }
    });
    Diagram {
        steps: steps.collect(),
        participants: vec!["clients".into(), diagram.participants[server].clone()],
        ..Diagram::default()
    }
}

/// The rows drawn so far.
struct Canvas {
    columns: usize,
    /// The column of each participant's lifeline.
    lifelines: Vec<usize>,
    rows: Vec<Row>,
}

impl Canvas {
    /// Creates a canvas with the names of the participants above their lifelines.
    fn new(participants: &[String], columns: usize) -> Self {
        let margin = |name: Option<&String>| name.map_or(0, |name| max_width(name) / 2);
        let first = margin(participants.first());
        let last = (columns - 1).saturating_sub(margin(participants.last()));
        let width = last.max(first + 2) - first;
        let gaps = (participants.len() - 1).max(1);
        let mut heading = Row::default();
        let mut lifelines = Vec::new();
        for (index, name) in participants.iter().enumerate() {
            let lifeline = first + index * width / gaps;
            heading.put(lifeline.saturating_sub(max_width(name) / 2), name);
            lifelines.push(lifeline);
        }
        let mut canvas = Self {
            columns,
            lifelines,
            rows: vec![heading],
        };
        canvas.add_row();
        canvas
    }

    /// Adds a row with all lifelines.
    fn add_row(&mut self) -> &mut Row {
        let index = self.rows.len();
        self.rows.push(Row {
            has_lifelines: true,
            ..Row::default()
        });
        &mut self.rows[index]
    }

    /// Draws an arrow with the label on it, or with the label's text above it if it is too
    /// long.
    fn draw_arrow(&mut self, from: usize, to: usize, label: &Label) {
        let left = self.lifelines[from.min(to)];
        let room = self.lifelines[from.max(to)] - left - 1;
        let text = Untrusted(label.text().as_bytes()).visible_line(MAX_TEXT);
        let mut caption = match &*text {
            "" => label.detail(),
            text => format!("{text} ({})", label.detail()),
        };
        if max_width(&caption) + 8 > room {
            for line in wrap_to_max_rows(&text, room.saturating_sub(2)) {
                self.add_row().put(left + 2, &line);
            }
            caption = label.detail();
        }
        let shaft = "-".repeat(room.saturating_sub(max_width(&caption) + 6));
        let arrow = if from < to {
            format!("--- {caption} {shaft}>")
        } else {
            format!("<-- {caption} {shaft}-")
        };
        self.add_row().put(left + 1, &arrow);
    }

    /// Draws a note beside a lifeline, on the side of the other lifelines.
    fn draw_note(&mut self, at: usize, text: &str) {
        let lifeline = self.lifelines[at];
        let text = Untrusted(text.as_bytes()).visible_line(MAX_TEXT);
        let next = self.lifelines.get(at + 1).copied();
        let on_left = next.is_none() && at > 0;
        let room = if on_left {
            lifeline - self.lifelines[at - 1]
        } else {
            next.unwrap_or(self.columns) - lifeline
        };
        let mut mark = '*';
        for line in wrap_to_max_rows(&text, room.saturating_sub(4)) {
            if on_left {
                let column = lifeline - max_width(&line) - 2;
                self.add_row().put(column, &format!("{line} {mark}"));
            } else {
                self.add_row().put(lifeline + 1, &format!("{mark} {line}"));
            }
            mark = ' ';
        }
    }
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

/// A row of the drawing: texts, each with its column, that do not overlap.
#[derive(Default)]
struct Row {
    texts: Vec<(usize, String)>,
    has_lifelines: bool,
}

impl Row {
    /// Adds `text` from `column` on, over the lifelines.
    fn put(&mut self, column: usize, text: &str) {
        self.texts.push((column, text.to_owned()));
    }

    /// Returns the row, with `lifelines` in these columns.
    fn text(&self, lifelines: &[usize]) -> String {
        let texts = self.texts.iter();
        let texts = texts.map(|(column, text)| (*column, max_width(text), &**text));
        let lifelines = lifelines.iter().filter(|_| self.has_lifelines);
        let is_free = |lifeline: &&usize| {
            let covers = |(column, width, _): (usize, usize, &str)| {
                (column..column + width).contains(lifeline)
            };
            !texts.clone().any(covers)
        };
        let lifelines = lifelines.filter(is_free).map(|column| (*column, 1, "|"));
        let mut parts: Vec<_> = texts.clone().chain(lifelines).collect();
        parts.sort_by_key(|(column, _, _)| *column);
        let mut row = String::new();
        let mut end = 0;
        for (column, width, text) in parts {
            row.extend(std::iter::repeat_n(' ', column.saturating_sub(end)));
            row += text;
            end = column + width;
        }
        row.truncate(row.trim_end().len());
        row
    }
}
