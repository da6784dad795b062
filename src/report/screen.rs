//! Formats messages and notices for a terminal: without control sequences, and with all rows but
//! the first indented.

use std::io::{self, Write as _};

use super::Label;
use crate::connection::Part;
use crate::wrap::{Rows, terminal_columns, wrap};

/// Indents all rows of a message but the first, so that none of them looks like another message or
/// a notice.
pub(super) const INDENT: &str = "    ";

/// Appends a part of a message to `rows`, with its label if given. `begins` tells whether the part
/// starts a message or continues one.
pub(super) fn push_part(rows: &mut Rows, label: Option<Label<'_>>, begins: bool, part: &Part<'_>) {
    let columns = terminal_columns();
    rows.fit(columns);
    if begins {
        rows.begin();
    }
    if let Some(Label { time, style, event }) = label {
        if let Some(time) = time {
            rows.push(&time, columns);
        }
        rows.push_style(style.render());
        rows.push(&event.to_string(), columns);
        rows.push_style(style.render_reset());
        rows.push(" ", columns);
    }
    rows.push(&part.text().visible(), columns);
    if part.last {
        rows.end_row();
    }
}

/// Writes `text` to stdout at once. Fails if stdout cannot be written.
pub(super) fn write(text: &str) -> io::Result<()> {
    if text.is_empty() {
        return Ok(());
    }
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Breaks `text` into rows of the terminal, and indents all but the first.
pub(super) fn indented(text: &str) -> String {
    wrap(text, INDENT, terminal_columns())
}
