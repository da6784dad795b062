//! Draws a diagram as Mermaid source: <https://mermaid.js.org/syntax/sequenceDiagram.html>.

use super::{Diagram, Sort, Step, caption};
use crate::sanitize::Untrusted;

/// The maximum width of a text in columns. The rest is cut off.
const MAX_TEXT: usize = 200;

impl Diagram {
    /// Returns the Mermaid source of the diagram, which other programs render.
    pub fn mermaid(&self) -> String {
        let mut source = "sequenceDiagram\n".to_owned();
        for (index, name) in self.participants.iter().enumerate() {
            source += &format!("    participant p{index} as {}\n", escape(name));
        }
        for step in self.steps() {
            let Step { from, to, .. } = step;
            let ends = match step.sort {
                Sort::Connect => format!("p{from}-->>p{to}"),
                Sort::Message => format!("p{from}->>p{to}"),
                Sort::Close => format!("p{from}--xp{to}"),
                Sort::Note => format!("Note over p{from}"),
            };
            let caption = caption(&step.text, &step.detail);
            source += &format!("    {ends}: {}\n", escape(&caption));
        }
        source
    }
}

/// Makes `text` safe to print, and escapes what is special in Mermaid or HTML.
fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for c in Untrusted(text.as_bytes()).visible_line(MAX_TEXT).chars() {
        if c.is_ascii_punctuation() && !".,!?()/+-=".contains(c) {
            escaped += &format!("#{};", u32::from(c));
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
    fn special_characters_are_escaped() {
        assert_eq!(escape("hi, gr\u{fc}ezi!"), "hi, gr\u{fc}ezi!");
        assert_eq!(
            escape("a;b #35; <b>\"%%{x}\n"),
            "a#59;b #35;35#59; #60;b#62;#34;#37;#37;#123;x#125;#92;n"
        );
    }
}
