//! Formats messages and notices for a terminal: without control sequences, and with all rows but
//! the first indented.

use std::io::{self, Write as _};

use anstyle::Style;

use crate::connection::Part;
use crate::event::Event;
use crate::wrap::{Rows, wrap};

/// Indents all rows of a message but the first, so that none of them looks like another message or
/// a notice.
const INDENT: &str = "    ";

/// The rows of the messages.
#[derive(Debug)]
pub(super) struct Screen {
    rows: Rows,
}

impl Screen {
    /// Creates a screen without rows.
    pub(super) fn new() -> Self {
        Self {
            rows: Rows::new(INDENT),
        }
    }

    /// Appends a part of a message, with its label if given. `begins` tells whether the part starts
    /// a message or continues one.
    pub(super) fn part(
        &mut self,
        label: Option<(Style, &Event<'_>)>,
        begins: bool,
        part: &Part<'_>,
    ) {
        let columns = columns();
        if begins {
            self.rows.begin();
        }
        if let Some((style, event)) = label {
            self.rows.push_style(style.render());
            self.rows.push(&event.to_string(), columns);
            self.rows.push_style(style.render_reset());
            self.rows.push(" ", columns);
        }
        self.rows.push(&part.text().visible(), columns);
        if part.last {
            self.end_line();
        }
    }

    /// Returns whether the next part starts a row.
    pub(super) fn is_at_start(&self) -> bool {
        self.rows.is_at_start()
    }

    /// Ends an incomplete row.
    pub(super) fn end_line(&mut self) {
        self.rows.end_row();
    }

    /// Takes the complete rows.
    pub(super) fn take_rows(&mut self) -> String {
        self.rows.take_ended()
    }

    /// Writes all the text to stdout, including an incomplete row. Fails if stdout cannot be
    /// written.
    pub(super) fn write(&mut self) -> io::Result<()> {
        let text = self.rows.take();
        if text.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }
}

/// Breaks `text` into rows of the terminal, and indents all but the first.
pub(super) fn indented(text: &str) -> String {
    wrap(text, INDENT, columns())
}

/// Returns the number of columns of the terminal, or 80 if it is unknown.
fn columns() -> usize {
    terminal_size::terminal_size().map_or(80, |(width, _)| width.0.into())
}
