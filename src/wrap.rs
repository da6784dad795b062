//! The width of text on a terminal, and its rows.

#[cfg(test)]
mod tests;

use std::env;
use std::fmt::{Display, Write as _};
use std::io;
use std::sync::LazyLock;

use terminal_size::terminal_size_of;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// Text that is broken into rows as it arrives, so that the terminal never breaks a row itself: a
/// row that it starts is not indented, and could look like a message of somebody else.
#[derive(Debug, Default)]
pub struct Rows {
    text: String,
    /// What every row starts with that was broken off another.
    indent: &'static str,
    /// The width of the last row; `None` at the start of a row.
    width: Option<usize>,
    /// The byte offset of the last word in `text`, and the width of the row before it; `None` if
    /// the row cannot be broken before a word.
    word: Option<(usize, usize)>,
}

impl Rows {
    /// Creates a text without rows. All rows that [`Rows::begin`] does not begin start with
    /// `indent`.
    pub fn new(indent: &'static str) -> Self {
        Self {
            indent,
            ..Self::default()
        }
    }

    /// Begins a row without the indent.
    pub fn begin(&mut self) {
        self.end_row();
        self.width = Some(0);
    }

    /// Appends characters that take no column, such as a colour.
    pub fn push_style(&mut self, style: impl Display) {
        // Writing to a String never fails.
        let _ = write!(self.text, "{style}");
    }

    /// Appends `text` and breaks its rows: between words where possible, and inside a word that is
    /// wider than a row. `columns` is the width of the terminal.
    pub fn push(&mut self, text: &str, columns: usize) {
        // Room for the indent and one character.
        let columns = columns.max(self.indent.len() + 3);
        for grapheme in text.graphemes(true) {
            if grapheme == "\n" {
                self.width.get_or_insert(0);
                self.end_row();
                continue;
            }
            let width = max_width(grapheme);
            if self.indent.len() + width > columns {
                // Some terminals draw each part of a joined emoji, of which there may be many.
                for c in grapheme.chars() {
                    self.push_unit(c.encode_utf8(&mut [0; 4]), max_width_of(c), columns);
                }
            } else {
                self.push_unit(grapheme, width, columns);
            }
        }
    }

    /// Appends a text that is not broken itself, and is `width` columns wide.
    fn push_unit(&mut self, unit: &str, width: usize, columns: usize) {
        if self.width.is_some_and(|row| row + width > columns) {
            if unit == " " {
                self.end_row();
                return;
            }
            self.break_row(width, columns);
        }
        let row = width
            + self.width.unwrap_or_else(|| {
                self.text += self.indent;
                self.indent.len()
            });
        self.text += unit;
        self.width = Some(row);
        // Between characters of two columns, as those of Chinese, a row can be broken anywhere.
        if unit == " " || unit.width() > unit.chars().count() {
            self.word = Some((self.text.len(), row));
        }
    }

    /// Breaks the last row before its last word, if a new row has room for that and `width` more
    /// columns; otherwise at its end.
    fn break_row(&mut self, width: usize, columns: usize) {
        if let (Some((start, before)), Some(row)) = (self.word.take(), self.width)
            && self.indent.len() + row - before + width <= columns
        {
            self.text.insert_str(start, self.indent);
            self.text.insert(start, '\n');
            self.width = Some(self.indent.len() + row - before);
        } else {
            self.end_row();
        }
    }

    /// Breaks the last row again if it was not taken and is wider than `columns`, as the terminal has
    /// become narrower.
    pub fn fit(&mut self, columns: usize) {
        let start = self.text.rfind('\n').map_or(0, |newline| newline + 1);
        if start == self.text.len() || self.width.is_none_or(|row| row <= columns) {
            return;
        }
        let row = self.text.split_off(start);
        self.word = None;
        let text = row.strip_prefix(self.indent);
        self.width = text.map_or(Some(0), |_| None);
        for (index, piece) in text.unwrap_or(&row).split('\x1b').enumerate() {
            // The only escape sequences are those of styles, which end with an `m`.
            let end = if index == 0 {
                0
            } else {
                piece.find('m').map_or(0, |end| end + 1)
            };
            let (style, text) = piece.split_at(end);
            if index > 0 {
                self.push_style(format_args!("\x1b{style}"));
            }
            self.push(text, columns);
        }
    }

    /// Ends the last row if it is not ended yet.
    pub fn end_row(&mut self) {
        if self.width.take().is_some() {
            self.text.push('\n');
            self.word = None;
        }
    }

    /// Returns whether the last row is ended.
    pub fn is_at_start(&self) -> bool {
        self.width.is_none()
    }

    /// Takes the rows that are ended.
    #[must_use]
    pub fn take_ended(&mut self) -> String {
        let end = self.text.rfind('\n').map_or(0, |newline| newline + 1);
        let rest = self.text.split_off(end);
        self.word = self.word.map(|(start, width)| (start - end, width));
        std::mem::replace(&mut self.text, rest)
    }

    /// Takes all the text. The last row goes on.
    #[must_use]
    pub fn take(&mut self) -> String {
        self.word = None;
        std::mem::take(&mut self.text)
    }
}

/// Returns `text` in rows of at most `columns` columns. All but the first start with `indent`.
pub fn wrap(text: &str, indent: &'static str, columns: usize) -> String {
    let mut rows = Rows::new(indent);
    rows.begin();
    rows.push(text, columns);
    rows.take()
}

/// Returns the number of columns of the terminal, or 80 if it is unknown. Of those at stdout and stderr,
/// the narrower one counts.
pub fn terminal_columns() -> usize {
    let sizes = [
        terminal_size_of(io::stdout()),
        terminal_size_of(io::stderr()),
    ];
    let widths = sizes.into_iter().flatten().map(|(width, _)| width.0);
    widths.min().unwrap_or(80).into()
}

/// Returns the number of columns that `text` takes at most, on any terminal.
///
/// Terminals differ in what they know of Unicode: some draw a combining mark or a part of a joined
/// emoji in a column of its own, and many characters of East Asia in two.
pub fn max_width(text: &str) -> usize {
    // Most text, for which no character has to be decoded.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.len();
    }
    text.chars().map(max_width_of).sum()
}

fn max_width_of(c: char) -> usize {
    static IS_EAST_ASIAN: LazyLock<bool> = LazyLock::new(|| {
        let set = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set);
        locale.is_some_and(|locale| is_east_asian(&locale))
    });
    match c {
        ' '..='~' => 1,
        // Some emoji, which tmux draws wide in either style; then nearly all characters are of East Asia, or
        // emoji, and the others are rare.
        '\u{261d}' | '\u{26f9}' | '\u{270a}'..='\u{270d}' | '\u{2e80}'.. => 2,
        '\u{a0}'.. if *IS_EAST_ASIAN => 2,
        c => c.width().unwrap_or_default().max(1),
    }
}

/// Returns whether `locale` is one in which terminals draw Greek, Cyrillic and Latin letters and many
/// symbols in two columns (UAX #11, "ambiguous").
fn is_east_asian(locale: &str) -> bool {
    let languages = [
        "ja", "japanese", "ko", "korean", "zh", "cmn", "hak", "lzh", "nan", "wuu", "yue",
    ];
    let language = locale.split(|c: char| !c.is_alphanumeric()).next();
    language.is_some_and(|language| languages.contains(&language))
}
