//! Untrusted text made safe for a terminal, and still readable.

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthChar as _;

/// Text that came from somebody else. It has no `Display`, so that it cannot be
/// printed by accident: whoever prints it says whether a terminal will read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untrusted<'a>(pub &'a [u8]);

impl<'a> Untrusted<'a> {
    /// The bytes as they came, for a pipe.
    #[must_use]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// The text for a terminal: what is not UTF-8 as U+FFFD, whatever could act on the
    /// terminal or hide as an escape like `\u{1b}`, a tab as four spaces. Newlines stay.
    /// Borrows what is clean.
    #[must_use]
    pub fn visible(self) -> Cow<'a, str> {
        match String::from_utf8_lossy(self.0) {
            Cow::Borrowed(text) if !text.contains(is_suspicious) => Cow::Borrowed(text),
            text => {
                let mut safe = String::with_capacity(text.len() + 16);
                for grapheme in text.graphemes(true) {
                    push_grapheme(&mut safe, grapheme);
                }
                Cow::Owned(safe)
            }
        }
    }

    /// The same on one line, a newline as an escape, and cut after `limit` characters.
    #[must_use]
    pub fn visible_line(self, limit: usize) -> String {
        // A cut by bytes comes first, so that a long text is not gone through for nothing.
        let bytes = &self.0[..self.0.len().min(4 * (limit + 1))];
        let visible = Untrusted(bytes).visible().replace('\n', "\\n");
        let cut = visible.char_indices().nth(limit).map(|(index, _)| index);
        match cut {
            Some(index) => format!("{}\u{2026}", &visible[..index]),
            None => visible,
        }
    }
}

/// So many marks may stand on one character; scripts have fewer than that.
const MARKS: usize = 8;

/// Pushes what a user takes for one character, with what is unsafe in it made visible.
fn push_grapheme(safe: &mut String, grapheme: &str) {
    // The line end of many text services: it does what a newline does.
    if grapheme == "\r\n" {
        safe.push('\n');
        return;
    }
    let mut chars = grapheme.chars().peekable();
    let mut marks = 0;
    let mut on_a_letter = false;
    while let Some(c) = chars.next() {
        let is_mark = is_zero_width(c);
        marks += usize::from(is_mark);
        let harmless = match c {
            _ if is_unsafe(c) => false,
            // It joins two emoji, or two letters of an Indic script (UAX #29, GB11 and
            // GB9c); anywhere else it has nothing to do, and hides.
            ZWJ => chars.peek().is_some_and(|next| !is_zero_width(*next)),
            _ if is_mark => on_a_letter && marks <= MARKS,
            _ => true,
        };
        on_a_letter |= harmless && !is_mark;
        match c {
            '\t' => safe.push_str("    "),
            c if harmless => safe.push(c),
            // Like `\u{1b}`, and `\r` for the one that has a name.
            '\r' => safe.push_str("\\r"),
            c => safe.extend(c.escape_unicode()),
        }
    }
}

const ZWJ: char = '\u{200d}';

/// Whether `c` may not stand in a terminal as it is, wherever it stands or in some places.
fn is_suspicious(c: char) -> bool {
    is_unsafe(c) || is_zero_width(c)
}

/// Whether `c` takes no column of its own: a mark on the character before it.
fn is_zero_width(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0)
}

/// Whether a terminal may act on `c`, or shows nothing where it stands.
///
/// Besides the control characters these are Unicode's default-ignorable code points
/// (`DerivedCoreProperties.txt`), which hold the bidi controls and the zero-width
/// characters; the line and paragraph separators; and the interlinear marks. The
/// zero-width joiner and the two emoji variation selectors are looked at where they
/// stand: emoji are made of them.
fn is_unsafe(c: char) -> bool {
    match c {
        '\n' | ZWJ | '\u{fe0e}' | '\u{fe0f}' => false,
        _ => {
            c.is_control()
                || matches!(c,
                    '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
                    | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
                    | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                    | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}'
                    | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
                    | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
                    | '\u{e0000}'..='\u{e0fff}')
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn visible(text: &str) -> String {
        Untrusted(text.as_bytes()).visible().into_owned()
    }

    #[test]
    fn plain_text_is_borrowed() {
        for text in ["", "hello\nworld", "gr\u{fc}ezi", "\u{65e5}\u{672c}"] {
            assert!(matches!(
                Untrusted(text.as_bytes()).visible(),
                Cow::Borrowed(same) if same == text
            ));
        }
    }

    #[test]
    fn a_family_emoji_stays_whole() {
        let family = "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} \u{2764}\u{fe0f}";
        assert_eq!(visible(family), family);
    }

    #[test]
    fn letters_with_marks_stay_whole() {
        for text in [
            "e\u{301}\u{323}",               // Vietnamese, decomposed
            "\u{5d1}\u{5bc}\u{5b0}\u{596}",  // Hebrew with points and accents
            "\u{915}\u{94d}\u{200d}\u{937}", // Devanagari with a joiner
            "\u{1100}\u{1161}\u{11a8}",      // Hangul of three jamo
            "\u{0e17}\u{0e35}\u{0e48}",      // Thai
        ] {
            assert_eq!(visible(text), text);
        }
    }

    #[test]
    fn a_flood_of_marks_is_dammed() {
        let flood = format!("a{}b", "\u{301}".repeat(1000));
        let safe = visible(&flood);
        assert_eq!(safe.matches('\u{301}').count(), MARKS);
        assert!(safe.ends_with("\\u{301}b"));
    }

    #[test]
    fn a_mark_without_a_letter_does_not_climb_onto_the_label() {
        assert_eq!(visible("\u{301}a"), "\\u{301}a");
        assert_eq!(visible("a\n\u{301}"), "a\n\\u{301}");
        assert_eq!(visible("\u{fe0f}"), "\\u{fe0f}");
        // The first of these two has no letter before it, and so the second has none.
        assert_eq!(visible("\u{113d1}\u{d7b0}"), "\\u{113d1}\\u{d7b0}");
    }

    #[test]
    fn a_joiner_that_joins_nothing_is_shown() {
        assert_eq!(visible("a\u{200d}b"), "a\\u{200d}b");
        assert_eq!(visible("\u{1f468}\u{200d}"), "\u{1f468}\\u{200d}");
        assert_eq!(
            visible("\u{1f468}\u{200d}\u{200d}\u{1f469}"),
            "\u{1f468}\\u{200d}\\u{200d}\u{1f469}"
        );
    }

    #[test]
    fn a_line_is_cut_and_stays_one() {
        let line = |text: &str| Untrusted(text.as_bytes()).visible_line(5);
        assert_eq!(line("abc"), "abc");
        assert_eq!(line("abcdef"), "abcde\u{2026}");
        assert_eq!(line("a\nb"), "a\\nb");
        assert_eq!(line("\x1b[2J"), "\\u{1b\u{2026}");
        assert_eq!(
            line(&"\u{1f468}".repeat(9)),
            format!("{}\u{2026}", "\u{1f468}".repeat(5))
        );
    }

    #[test]
    fn clear_screen() {
        assert_eq!(visible("\x1b[2J\x1b[H"), "\\u{1b}[2J\\u{1b}[H");
    }

    #[test]
    fn window_title_and_clipboard_by_osc() {
        assert_eq!(visible("\x1b]0;root\x07"), "\\u{1b}]0;root\\u{7}");
        assert_eq!(
            visible("\x1b]52;c;cm0=\x1b\\"),
            "\\u{1b}]52;c;cm0=\\u{1b}\\"
        );
    }

    #[test]
    fn c1_as_code_points_and_as_raw_bytes() {
        assert_eq!(visible("\u{9b}31m\u{9d}"), "\\u{9b}31m\\u{9d}");
        assert_eq!(Untrusted(b"\x9b31m").visible(), "\u{fffd}31m");
    }

    #[test]
    fn overwriting_a_line_with_carriage_return_or_backspace() {
        assert_eq!(
            visible("honest\rforged\x08\x7f"),
            "honest\\rforged\\u{8}\\u{7f}"
        );
    }

    #[test]
    fn reordering_by_bidi_controls() {
        assert_eq!(
            visible("\u{202e}abc\u{2066}\u{200f}"),
            "\\u{202e}abc\\u{2066}\\u{200f}"
        );
    }

    #[test]
    fn hiding_by_zero_width_characters_and_tags() {
        assert_eq!(
            visible("a\u{200b}b\u{feff}c\u{ad}\u{e0041}"),
            "a\\u{200b}b\\u{feff}c\\u{ad}\\u{e0041}"
        );
    }

    #[test]
    fn line_breaks_that_are_no_newline() {
        assert_eq!(
            visible("a\u{2028}b\u{2029}c\x0bd\x0ce\u{85}"),
            "a\\u{2028}b\\u{2029}c\\u{b}d\\u{c}e\\u{85}"
        );
    }

    #[test]
    fn a_line_end_of_two_characters_is_a_newline() {
        assert_eq!(visible("a\r\nb\r\n"), "a\nb\n");
        assert_eq!(visible("a\rb\n"), "a\\rb\n");
    }

    #[test]
    fn a_tab_is_spaces() {
        assert_eq!(visible("a\tb"), "a    b");
    }

    proptest! {
        #[test]
        fn nothing_unsafe_is_left(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let safe = Untrusted(&bytes).visible().into_owned();
            prop_assert!(!safe.contains(is_unsafe), "{safe:?}");
        }

        #[test]
        fn nothing_unsafe_is_left_of_any_text(text: String) {
            let safe = visible(&text);
            prop_assert!(!safe.contains(is_unsafe), "{safe:?}");
            // What is safe stays as it is when it is looked at again.
            prop_assert_eq!(visible(&safe), safe.clone());
            prop_assert!(!safe.chars().any(|c| c != '\n' && (c < ' ' || c == '\x7f')));
        }
    }
}
