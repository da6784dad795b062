//! Where the prompt stands on the screen, so that it can be wiped off without a trace.

use std::fs::File;
use std::sync::LazyLock;

use rustyline::GraphemeClusterMode;
use unicode_segmentation::UnicodeSegmentation as _;

/// How far rustyline is with a prompt.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It may not own SIGINT yet.
    #[default]
    Starting,
    /// It is in the middle of a paste, which would be lost.
    Pasting,
    /// It waits for keys.
    Reading,
}

/// What rustyline has drawn last.
#[derive(Debug, Default, Clone)]
pub(super) struct Drawn {
    /// The prompt, without colour.
    pub(super) prompt: String,
    /// What the user typed.
    pub(super) line: String,
    /// Where in it the cursor stands, in bytes.
    pub(super) cursor: usize,
    /// What stands behind it: a hint, or why Enter did nothing.
    pub(super) hint: String,
    /// The prompt is the one that was asked for, and no search of the history.
    pub(super) default: bool,
    /// How far rustyline is.
    pub(super) state: State,
    /// Ctrl-C was pressed.
    pub(super) interrupted: bool,
}

impl Drawn {
    /// The row that the cursor stands in, counted from the first one of the prompt, on a
    /// terminal of `columns`.
    pub(super) fn cursor_row(&self, columns: usize) -> usize {
        let start = end_of(&self.prompt, Position::default(), columns);
        end_of(&self.line[..self.cursor], start, columns).row
    }

    /// How many rows it takes.
    pub(super) fn rows(&self, columns: usize) -> usize {
        let start = end_of(&self.prompt, Position::default(), columns);
        let line = end_of(&self.line, start, columns);
        end_of(&self.hint, line, columns).row + 1
    }
}

/// How many columns a terminal has; 80 where it does not say.
pub(super) fn columns(screen: &File) -> usize {
    terminal_size::terminal_size_of(screen).map_or(80, |(width, _)| width.0.into())
}

/// How many rows a terminal has; 24 where it does not say.
pub(super) fn rows(screen: &File) -> usize {
    terminal_size::terminal_size_of(screen).map_or(24, |(_, height)| height.0.into())
}

/// How many columns what a user takes for one character fills, as far as the kind of
/// terminal tells.
pub(super) fn width(grapheme: &str) -> usize {
    static WIDTHS: LazyLock<GraphemeClusterMode> = LazyLock::new(GraphemeClusterMode::from_env);
    WIDTHS.width(grapheme).into()
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Position {
    row: usize,
    column: usize,
}

/// Where the cursor stands after `text` was written from `start` on: by rustyline's own
/// rules, since it is rustyline's drawing that is to be found again.
fn end_of(text: &str, start: Position, columns: usize) -> Position {
    const TAB_STOP: usize = 8;
    let mut position = start;
    for grapheme in text.graphemes(true) {
        let width = match grapheme {
            "\n" => {
                position.row += 1;
                position.column = 0;
                continue;
            }
            "\t" => TAB_STOP - position.column % TAB_STOP,
            grapheme => width(grapheme),
        };
        position.column += width;
        if position.column > columns {
            position.row += 1;
            position.column = width;
        }
    }
    if position.column == columns {
        position.row += 1;
        position.column = 0;
    }
    position
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(line: &str) -> usize {
        let drawn = Drawn {
            prompt: " -> ".into(),
            line: line.into(),
            cursor: line.len(),
            ..Drawn::default()
        };
        assert_eq!(drawn.cursor_row(10) + 1, drawn.rows(10));
        drawn.rows(10)
    }

    #[test]
    fn a_line_takes_the_rows_that_it_wraps_over() {
        for (line, expected) in [
            ("", 1),
            ("12345", 1),
            ("123456", 2), // the cursor stands in the next row already
            ("1234567", 2),
            ("a\nb", 2),
            ("a\n", 2),
            ("\u{65e5}\u{672c}\u{8a9e}", 2),
            ("1234\u{65e5}x", 2), // too wide for the last two columns but one
            ("12345\u{65e5}", 2), // and for the last one
        ] {
            assert_eq!(rows(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_hint_counts_as_well() {
        let drawn = Drawn {
            prompt: " -> ".into(),
            line: "123".into(),
            hint: "4567".into(),
            cursor: 0,
            ..Drawn::default()
        };
        assert_eq!((drawn.rows(10), drawn.cursor_row(10)), (2, 0));
    }
}
