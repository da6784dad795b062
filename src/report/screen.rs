//! Formats messages for a terminal: without control sequences, and with all rows but the first
//! indented.

use std::io::{self, Write as _};
use std::sync::LazyLock;

use anstyle::Style;
use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation as _;

use super::push_label;
use crate::connection::Part;
use crate::event::Event;
use crate::wrap::wrap;

/// Indents all rows of a message but the first, so that none of them looks like another message or
/// a notice.
const INDENT: &str = "    ";

/// The rows of the messages.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// The text to write.
    text: String,
    /// The column of the cursor; `None` at the start of a row, which is indented unless a message
    /// begins there.
    column: Option<usize>,
}

impl Screen {
    /// Appends a part of a message, with its label if given. `begins` tells whether the part starts
    /// a message or continues one. Breaks rows at the edge of the terminal, which would not indent
    /// the rows that it breaks itself.
    pub(super) fn part(
        &mut self,
        label: Option<(Style, &Event<'_>)>,
        begins: bool,
        part: &Part<'_>,
    ) {
        if begins {
            self.column = Some(0);
        }
        if let Some((style, event)) = label {
            push_label(&mut self.text, style, event);
            self.column = Some(event.to_string().graphemes(true).map(width).sum::<usize>() + 1);
        }
        let columns = columns();
        for grapheme in part.text().visible().graphemes(true) {
            if grapheme == "\n" {
                self.text.push('\n');
                self.column = None;
                continue;
            }
            let width = width(grapheme);
            let column = match self.column {
                Some(column) if column + width <= columns => column,
                column => {
                    if column.is_some() {
                        self.text.push('\n');
                    }
                    self.text.push_str(INDENT);
                    INDENT.len()
                }
            };
            self.text.push_str(grapheme);
            self.column = Some(column + width);
        }
        if part.last {
            self.end_line();
        }
    }

    /// Returns whether the next part starts a row.
    pub(super) fn is_at_start(&self) -> bool {
        self.column.is_none()
    }

    /// Ends an incomplete row.
    pub(super) fn end_line(&mut self) {
        if self.column.take().is_some() {
            self.text.push('\n');
        }
    }

    /// Takes the complete rows.
    pub(super) fn take_rows(&mut self) -> String {
        let end = self.text.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = self.text.split_off(end);
        std::mem::replace(&mut self.text, rest)
    }

    /// Writes all the text to stdout, including an incomplete row. Fails if stdout cannot be
    /// written.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout();
        let written = stdout
            .write_all(self.text.as_bytes())
            .and_then(|()| stdout.flush());
        self.text.clear();
        written
    }
}

/// Breaks `text` into rows of the terminal, and indents all but the first.
pub(super) fn indented(text: &str) -> String {
    wrap(text, columns().saturating_sub(INDENT.len())).join(&format!("\n{INDENT}"))
}

/// Returns the number of columns of the terminal, or 80 if it is unknown.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into())
}

/// Returns the number of columns of a grapheme, as far as the type of terminal is known.
fn width(grapheme: &str) -> usize {
    static WIDTHS: LazyLock<GraphemeClusterMode> = LazyLock::new(GraphemeClusterMode::from_env);
    WIDTHS.width(grapheme).into()
}
