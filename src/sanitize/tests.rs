//! Tests with hostile text and with text that must not change.

use std::collections::BTreeSet;

use proptest::prelude::*;
use regex_syntax::hir::{Class, HirKind};

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
fn marks_over_the_limit_are_escaped() {
    let flood = format!("a{}b", "\u{301}".repeat(1000));
    let safe = visible(&flood);
    assert_eq!(safe.matches('\u{301}').count(), MAX_MARKS);
    assert!(safe.ends_with("\\u{301}b"));
}

#[test]
fn a_mark_without_a_base_character_is_escaped() {
    assert_eq!(visible("\u{301}a"), "\\u{301}a");
    assert_eq!(visible("a\n\u{301}"), "a\n\\u{301}");
    assert_eq!(visible("\u{fe0f}"), "\\u{fe0f}");
    // Each of the two has zero width, so neither is a base character for the other.
    assert_eq!(visible("\u{113d1}\u{d7b0}"), "\\u{113d1}\\u{d7b0}");
}

#[test]
fn a_joiner_that_joins_nothing_is_escaped() {
    assert_eq!(visible("a\u{200d}b"), "a\\u{200d}b");
    assert_eq!(visible("\u{1f468}\u{200d}"), "\u{1f468}\\u{200d}");
    assert_eq!(
        visible("\u{1f468}\u{200d}\u{200d}\u{1f469}"),
        "\u{1f468}\\u{200d}\\u{200d}\u{1f469}"
    );
}

#[test]
fn a_single_line_is_cut_at_the_limit() {
    let line = |text: &str| Untrusted(text.as_bytes()).visible_line(5);
    assert_eq!(line("abc"), "abc");
    assert_eq!(line("abcdef"), "abcde\u{2026}");
    assert_eq!(line("a\nb"), "a\\nb");
    assert_eq!(line("\x1b[2J"), "\\u{1b\u{2026}");
    assert_eq!(line("e\u{301}e\u{301}e\u{301}"), "e\u{301}e\u{301}\u{2026}");
    assert_eq!(line(&"\u{1f468}".repeat(9)), "\u{1f468}\u{1f468}\u{2026}");
}

#[test]
fn clearing_the_screen() {
    assert_eq!(visible("\x1b[2J\x1b[H"), "\\u{1b}[2J\\u{1b}[H");
}

#[test]
fn setting_the_window_title_and_clipboard() {
    assert_eq!(visible("\x1b]0;root\x07"), "\\u{1b}]0;root\\u{7}");
    assert_eq!(
        visible("\x1b]52;c;cm0=\x1b\\"),
        "\\u{1b}]52;c;cm0=\\u{1b}\\"
    );
}

#[test]
fn c1_controls_as_code_points_and_as_raw_bytes() {
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
fn hiding_by_the_style_of_characters_that_have_one_only() {
    assert_eq!(
        visible("a\u{fe0f}b\u{fe0e}1\u{fe0f}\u{4e00}\u{fe0f}"),
        "a\\u{fe0f}b\\u{fe0e}1\\u{fe0f}\u{4e00}\\u{fe0f}"
    );
    assert_eq!(
        visible("\u{2764}\u{fe0f}\u{fe0e}\u{fe0f}"),
        "\u{2764}\u{fe0f}\\u{fe0e}\\u{fe0f}"
    );
    assert_eq!(visible("e\u{301}\u{fe0f}"), "e\u{301}\\u{fe0f}");
    assert_eq!(visible("x\u{13430}y"), "x\\u{13430}y");
    // Before a mark that takes a column.
    assert_eq!(visible("a\u{200d}\u{903}"), "a\\u{200d}\u{903}");
    assert_eq!(visible("a\u{200d}\u{e33}"), "a\\u{200d}\u{e33}");
}

#[test]
fn what_can_be_text_or_an_emoji_can_be_asked_for_as_either() {
    for c in class(r"[\p{Emoji}--\p{Emoji_Presentation}--[0-9#*]]") {
        for style in [TEXT_STYLE, EMOJI_STYLE] {
            let text = String::from_iter([c, style]);
            assert_eq!(visible(&text), text, "{c:?}");
        }
    }
    // These are often sent so, though they are emoji by themselves.
    let sent = "\u{2615}\u{fe0f}\u{26a1}\u{fe0f}\u{2b50}\u{fe0f}1\u{fe0f}\u{20e3}";
    assert_eq!(visible(sent), sent);
}

#[test]
fn line_breaks_other_than_a_newline() {
    assert_eq!(
        visible("a\u{2028}b\u{2029}c\x0bd\x0ce\u{85}"),
        "a\\u{2028}b\\u{2029}c\\u{b}d\\u{c}e\\u{85}"
    );
}

#[test]
fn crlf_is_a_newline() {
    assert_eq!(visible("a\r\nb\r\n"), "a\nb\n");
    assert_eq!(visible("a\rb\n"), "a\\rb\n");
}

#[test]
fn a_tab_is_spaces() {
    assert_eq!(visible("a\tb"), "a    b");
}

/// Returns the code points of a class, such as `\p{Cc}`, by Unicode's own data.
fn class(pattern: &str) -> BTreeSet<char> {
    let hir = regex_syntax::parse(pattern).unwrap();
    let HirKind::Class(Class::Unicode(class)) = hir.kind() else {
        panic!("{pattern} is no class");
    };
    let ranges = class.ranges().iter();
    ranges.flat_map(|r| r.start()..=r.end()).collect()
}

#[test]
fn what_is_unsafe_is_what_unicode_says() {
    let ignorable = r"\p{Default_Ignorable_Code_Point}\p{Bidi_Control}";
    let lines = r"\p{Line_Separator}\p{Paragraph_Separator}";
    // Those format characters that stand before digits, or above a word, are seen.
    let format = r"[\p{Format}--\p{Prepended_Concatenation_Mark}]";
    let others = r"\p{Control}--[\n\u{200d}\u{fe0e}\u{fe0f}]";
    // BRAHMI NUMBER JOINER and KHITAN SMALL SCRIPT FILLER.
    let joining = r"\u{1107f}\u{16fe4}";
    let none = r"\p{Noncharacter_Code_Point}\u{34000}-\u{effff}";
    let assigned = class(r"[\p{Assigned}--\p{Default_Ignorable_Code_Point}]");
    assert_eq!(assigned.range('\u{34000}'..='\u{effff}').next(), None);
    let wanted = class(&format!(
        "[{ignorable}{lines}{format}{joining}{none}{others}]"
    ));
    let unsafe_ones: BTreeSet<_> = ('\0'..=char::MAX).filter(|c| is_unsafe(*c)).collect();
    assert_eq!(unsafe_ones, wanted);
}

proptest! {
    #[test]
    fn no_bytes_stay_unsafe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let safe = Untrusted(&bytes).visible().into_owned();
        prop_assert!(!safe.contains(is_unsafe), "{safe:?}");
    }

    #[test]
    fn no_text_stays_unsafe(text: String) {
        let safe = visible(&text);
        prop_assert!(!safe.contains(is_unsafe), "{safe:?}");
        // Safe text does not change.
        prop_assert_eq!(visible(&safe), safe.clone());
        prop_assert!(!safe.chars().any(|c| c != '\n' && (c < ' ' || c == '\x7f')));
    }
}
