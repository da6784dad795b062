//! A diagram as Mermaid text: <https://mermaid.js.org/syntax/sequenceDiagram.html>.

use std::fmt::Write as _;

use super::{Diagram, Step, What};
use crate::sanitize::Untrusted;

/// So many characters of a text are drawn.
const LONGEST: usize = 200;

/// Draws `diagram`.
pub(super) fn draw(diagram: &Diagram) -> String {
    let mut text = "sequenceDiagram\n".to_owned();
    for (index, name) in diagram.parts.iter().enumerate() {
        text += &format!("    participant p{index} as {}\n", escape(name));
    }
    for step in &diagram.steps {
        match step {
            Step::Arrow { from, to, what } => {
                let arrow = match what {
                    What::Connection | What::Told(_) => "-->>",
                    What::Message { .. } => "->>",
                    What::End => "--x",
                };
                let words = match what.words() {
                    ("", about) => about,
                    (words, about) => format!("{words} ({about})"),
                };
                text += &format!("    p{from}{arrow}p{to}: {}\n", escape(&words));
            }
            Step::Note { at, text: note } => {
                text += &format!("    Note over p{at}: {}\n", escape(note));
            }
        }
    }
    text
}

/// Writes what could mean something to Mermaid, or to the HTML that it makes, by its number.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in Untrusted(text.as_bytes()).visible_line(LONGEST).chars() {
        if c.is_ascii_punctuation() && !".,!?()/+-=".contains(c) {
            // A String takes all.
            let _ = write!(escaped, "#{};", u32::from(c));
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_to_mermaid_is_escaped() {
        assert_eq!(escape("hi, gr\u{fc}ezi!"), "hi, gr\u{fc}ezi!");
        assert_eq!(
            escape("a;b #35; <b>\"%%{x}\n"),
            "a#59;b #35;35#59; #60;b#62;#34;#37;#37;#123;x#125;#92;n"
        );
    }
}
