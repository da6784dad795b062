//! Makes untrusted text safe to print on a terminal.

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::wrap::max_width;

/// Text from an untrusted source, such as the peer.
///
/// It does not implement `Display`, so that it cannot be printed on a terminal by accident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Untrusted<'a>(pub &'a [u8]);

impl<'a> Untrusted<'a> {
    /// Returns the bytes unchanged, for output that is not a terminal.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// Returns the beginning of the text, of at most `limit` bytes before invalid UTF-8 is replaced by U+FFFD.
    pub fn beginning(self, limit: usize) -> String {
        String::from_utf8_lossy(&self.0[..self.0.len().min(limit)]).into_owned()
    }

    /// Returns the text for a terminal. Borrows it if it needs no change.
    ///
    /// Invalid UTF-8 becomes U+FFFD, a tab four spaces, and CRLF a newline. Characters that a
    /// terminal may act on or that are invisible become escapes such as `\u{1b}`. Newlines
    /// are kept.
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

    /// Returns the text for a terminal as [`Untrusted::visible`] does, but on a single line, with
    /// newlines as `\n`.
    pub fn one_line(self) -> String {
        self.visible().replace('\n', "\\n")
    }

    /// Returns the text for a terminal as [`Untrusted::one_line`] does, but cut after at most
    /// `limit` columns with an ellipsis.
    pub fn visible_line(self, limit: usize) -> String {
        // A column has at most 4 bytes, so the rest of a long text need not be processed.
        let bytes = &self.0[..self.0.len().min(4 * (limit + 1))];
        let mut visible = Untrusted(bytes).one_line();
        if max_width(&visible) <= limit {
            return visible;
        }
        let mut width = 0;
        let cut = visible.grapheme_indices(true).find(|(_, grapheme)| {
            width += max_width(grapheme);
            width > limit
        });
        if let Some((index, _)) = cut {
            visible.truncate(index);
            visible.push('\u{2026}');
        }
        visible
    }
}

/// The maximum number of marks on a character. No script needs more.
const MAX_MARKS: usize = 8;

const ZERO_WIDTH_JOINER: char = '\u{200d}';

/// What asks for the character before it as text, and as an emoji.
const TEXT_STYLE: char = '\u{fe0e}';
const EMOJI_STYLE: char = '\u{fe0f}';

/// What makes a key of the character before it, as in the emoji of digits.
const KEYCAP: char = '\u{20e3}';

/// Appends `grapheme`, a user-perceived character, and escapes what is unsafe in it.
fn push_grapheme(safe: &mut String, grapheme: &str) {
    // Many text protocols end a line with CRLF, so it counts as a newline.
    if grapheme == "\r\n" {
        safe.push('\n');
        return;
    }
    let mut chars = grapheme.chars().peekable();
    let mut marks = 0;
    let mut has_base = false;
    let mut before = None;
    while let Some(c) = chars.next() {
        let is_mark = is_zero_width(c);
        marks += usize::from(is_mark);
        let is_safe = match c {
            _ if is_unsafe(c) => false,
            // A joiner between two emoji or two letters of an Indic script is part of the
            // text (UAX #29, GB11 and GB9c). Anywhere else it is only invisible.
            ZERO_WIDTH_JOINER => chars.peek().is_some_and(|next| !is_mark_of_any(*next)),
            TEXT_STYLE | EMOJI_STYLE => match before {
                Some('0'..='9' | '#' | '*') => chars.peek() == Some(&KEYCAP),
                before => before.is_some_and(has_two_styles),
            },
            _ if is_mark => has_base && marks <= MAX_MARKS,
            _ => true,
        };
        before = Some(c);
        has_base |= is_safe && !is_mark;
        match c {
            '\t' => safe.push_str("    "),
            '\r' => safe.push_str("\\r"),
            _ if is_safe => safe.push(c),
            _ => safe.extend(c.escape_unicode()),
        }
    }
}

/// Returns whether `c`, which is no digit, can be drawn as text and as an emoji, so that what asks for
/// one of them is not only invisible (UTS #51, ED-8a).
fn has_two_styles(c: char) -> bool {
    // These are as wide in either style.
    let is_wide = "\u{3030}\u{303d}\u{3297}\u{3299}\u{1f202}\u{1f237}".contains(c);
    let width = c.width().unwrap_or_default();
    let is_other = |style: &char| String::from_iter([c, *style]).width() != width;
    is_wide || [TEXT_STYLE, EMOJI_STYLE].iter().any(is_other)
}

/// Returns whether `c` belongs to the character before it, whatever that is.
fn is_mark_of_any(c: char) -> bool {
    String::from_iter(['a', c]).graphemes(true).count() == 1
}

/// Returns whether `c` is unsafe, or unsafe in some positions.
fn is_suspicious(c: char) -> bool {
    is_unsafe(c) || is_zero_width(c)
}

/// Returns whether `c` takes no column of its own, as a combining mark does.
fn is_zero_width(c: char) -> bool {
    !c.is_ascii() && c.width() == Some(0)
}

/// Returns whether a terminal may act on `c`, or shows nothing for it.
///
/// These are the control characters except the newline; Unicode's default-ignorable code
/// points (`DerivedCoreProperties.txt`), which include the bidi controls and the zero-width
/// characters; the line and paragraph separators; those of its format characters (`Cf`) that show
/// nothing themselves; two marks that only join or fill; and the noncharacters, and all of the planes that
/// have no character, which some terminals leave out.
///
/// The zero-width joiner and the emoji variation selectors (U+FE0E, U+FE0F) are not included,
/// as emoji contain them. [`push_grapheme`] decides by their position.
pub(crate) fn is_unsafe(c: char) -> bool {
    (c.is_control() && c != '\n')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}'
            | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}' | '\u{200c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0d}'
            | '\u{fdd0}'..='\u{fdef}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            | '\u{1107f}' | '\u{13430}'..='\u{1343f}' | '\u{16fe4}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{1fffe}' | '\u{1ffff}' | '\u{2fffe}' | '\u{2ffff}'
            | '\u{34000}'..='\u{effff}'
            | '\u{ffffe}' | '\u{fffff}' | '\u{10fffe}' | '\u{10ffff}')
}
