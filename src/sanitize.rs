//! Untrusted text made safe for a terminal, and still readable.

use std::borrow::Cow;
use std::fmt::Write as _;

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
            Cow::Borrowed(text) if !text.contains(is_unsafe) => Cow::Borrowed(text),
            text => {
                let mut safe = String::with_capacity(text.len() + 16);
                for c in text.chars() {
                    match c {
                        '\t' => safe.push_str("    "),
                        c if is_unsafe(c) => {
                            write!(safe, "{}", c.escape_default()).expect("a String takes all");
                        }
                        c => safe.push(c),
                    }
                }
                Cow::Owned(safe)
            }
        }
    }
}

/// Whether a terminal may act on `c`, or shows nothing where it stands.
///
/// Besides the control characters these are Unicode's default-ignorable code points
/// (`DerivedCoreProperties.txt`), which hold the bidi controls and the zero-width
/// characters; the line and paragraph separators; and the interlinear marks. The
/// zero-width joiner and the two emoji variation selectors stay: emoji are made of them.
fn is_unsafe(c: char) -> bool {
    match c {
        '\n' | '\u{200d}' | '\u{fe0e}' | '\u{fe0f}' => false,
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
            prop_assert!(!safe.chars().any(|c| c != '\n' && (c < ' ' || c == '\x7f')));
        }
    }
}
