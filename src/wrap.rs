//! Text broken into rows.

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// Breaks `text` into rows of so many columns, at least four, between words where that can
/// be. Blanks within a row stay; there is always one row.
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
    fn rows_end_between_words_or_where_there_is_no_more_room() {
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
