//! Wraps text to the width of a terminal.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Wraps `text` and returns its rows, at least one, each at most `columns` columns wide.
///
/// Breaks between words where possible, and inside a word that is wider than a row. Spaces
/// inside a row are kept, those at its end removed. `columns` below 4 counts as 4.
#[must_use]
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(4);
    let mut rows = Vec::new();
    let mut row = String::new();
    for word in text.split_inclusive(' ') {
        if !row.is_empty() && row.width() + word.trim_end().width() > columns {
            rows.push(std::mem::take(&mut row));
        }
        for grapheme in word.graphemes(true) {
            if row.width() + grapheme.width() > columns && grapheme != " " {
                rows.push(std::mem::take(&mut row));
            }
            row.push_str(grapheme);
        }
    }
    rows.push(row);
    for row in &mut rows {
        row.truncate(row.trim_end().len());
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_break_between_words_or_inside_a_long_word() {
        for (text, rows) in [
            ("", &[""][..]),
            ("one two", &["one two"]),
            ("one two three", &["one two", "three"]),
            ("a  b", &["a  b"]),
            ("abcdefghijk", &["abcdefgh", "ijk"]),
            (
                "\u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}",
                &["\u{65e5}\u{672c}\u{8a9e}\u{65e5}", "\u{672c}"],
            ),
        ] {
            assert_eq!(wrap(text, 8), rows, "{text}");
        }
    }
}
