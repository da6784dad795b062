//! Tests of rows: where they break, and that none is ever too wide.

use proptest::prelude::*;

use super::*;

#[test]
fn rows_break_between_words_or_inside_a_long_word() {
    for (text, rows) in [
        ("", ""),
        ("one two", "one two"),
        ("one two three four", "one two \n  three \n  four"),
        ("a  b", "a  b"),
        ("abcdefghijklmnopqrs", "abcdefghij\n  klmnopqr\n  s"),
        ("go to example.org/a", "go to \n  example.\n  org/a"),
        ("0123456789 next", "0123456789\n  next"),
        ("one\ntwo", "one\n  two"),
        (
            "\u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\u{8a9e}",
            "\u{65e5}\u{672c}\u{8a9e}\u{65e5}\u{672c}\n  \u{8a9e}",
        ),
    ] {
        assert_eq!(wrap(text, "  ", 10), rows, "{text}");
    }
}

#[test]
fn a_text_may_arrive_in_parts() {
    let mut rows = Rows::new("  ");
    rows.begin();
    rows.push("one tw", 10);
    assert_eq!(rows.take_ended(), "");
    rows.push("o three", 10);
    assert_eq!(rows.take_ended(), "one two \n");
    assert_eq!(rows.take(), "  three");
    // What was taken cannot be broken any more.
    rows.push("s and", 10);
    assert_eq!(rows.take(), "s \n  and");
    rows.end_row();
    assert!(rows.is_at_start());
    assert_eq!(rows.take(), "\n");
}

#[test]
fn a_row_that_goes_on_is_broken_again_if_the_terminal_is_narrower() {
    let mut rows = Rows::new("  ");
    rows.begin();
    rows.push_style("\x1b[1m");
    rows.push("label", 20);
    rows.push_style("\x1b[0m");
    rows.push(" one two three", 20);
    rows.fit(10);
    assert_eq!(rows.take_ended(), "\x1b[1mlabel\x1b[0m one \n  two \n");
    rows.push("\nabcdefghijklmnopqr", 20);
    assert_eq!(rows.take_ended(), "  three\n");
    rows.fit(10);
    assert_eq!(rows.take_ended(), "  abcdefgh\n  ijklmnop\n");
    // What was taken cannot be broken any more.
    assert_eq!(rows.take(), "  qr");
    rows.fit(3);
    assert_eq!(rows.take(), "");
    rows.push("s", 20);
    assert_eq!(rows.take(), "s");
}

#[test]
fn a_joined_emoji_that_no_row_can_hold_is_broken() {
    let family = ["\u{1f468}"; 9].join("\u{200d}");
    let rows = wrap(&family, "  ", 10);
    assert!(rows.lines().all(|row| max_width(row) <= 10), "{rows:?}");
}

#[test]
fn the_width_is_the_largest_that_any_terminal_uses() {
    for (text, width) in [
        ("abc ", 4),
        ("gr\u{fc}ezi", 6),
        ("e\u{301}", 2),         // a mark in a column of its own: old Linux consoles
        ("\u{9be}", 1),          // a vowel sign
        ("\u{1100}", 2),         // Hangul
        ("\u{3248}", 2),         // a number in a circle: glibc
        ("\u{302e}", 2),         // a tone mark
        ("\u{65e5}", 2),         // Han
        ("\u{2764}\u{fe0f}", 3), // an emoji by a variation selector
        ("\u{261d}", 2),         // one without it: tmux 3.5
        ("\u{1f468}\u{200d}\u{1f469}", 5),
    ] {
        assert_eq!(max_width(text), width, "{text:?}");
    }
}

#[test]
fn the_locales_of_east_asia() {
    for (locale, is_one) in [
        ("ja_JP.UTF-8", true),
        ("zh", true),
        ("yue_HK", true),
        ("zh-Hans_CN.UTF-8", true),
        ("japanese.euc", true),
        ("de_CH.UTF-8", false),
        ("kok_IN", false),
        ("", false),
    ] {
        assert_eq!(is_east_asian(locale), is_one, "{locale}");
    }
}

proptest! {
    #[test]
    fn no_row_is_too_wide_and_no_text_is_lost(
        parts in prop::collection::vec("(\\PC| |\n|\u{1f468}\u{200d}){0,30}", 1..5),
        columns in 6..40_usize,
        taken: bool,
    ) {
        let mut rows = Rows::new("\u{2502}");
        rows.begin();
        let mut text = String::new();
        for part in &parts {
            rows.push(part, columns);
            if taken {
                text += &rows.take_ended();
            }
        }
        text += &rows.take();
        for (index, row) in text.split('\n').enumerate() {
            prop_assert!(max_width(row) <= columns, "{row:?}");
            prop_assert!(index == 0 || row.is_empty() || row.starts_with('\u{2502}'), "{row:?}");
        }
        let bare = |text: &str| text.replace(['\n', '\u{2502}', ' '], "");
        prop_assert_eq!(bare(&text), bare(&parts.concat()));
    }
}
