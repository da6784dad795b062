//! The answers of a server that stands in for a real one: a file of patterns, each with what is
//! said to a message that matches.

#[cfg(test)]
mod tests;

use regex_lite::Regex;

/// The pattern of the line with the first words.
const GREETING: &str = "*greeting*";

/// What a server says to what.
#[derive(Debug, Clone)]
pub struct Script {
    greeting: Option<String>,
    answers: Vec<(Regex, String)>,
}

/// A line of a script that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    /// The number of the line, from 1.
    pub number: usize,
    /// What is wrong with it.
    pub reason: String,
}

impl Script {
    /// Parses a script. Each line has a regular expression, a tab, and the answer to the messages
    /// that match, in which `\n`, `\r`, `\t` and `\\` stand for a newline, a carriage return, a tab
    /// and a backslash. The expression `*greeting*` stands before what is said first. Blank lines
    /// and those that begin with `#` are skipped.
    ///
    /// Returns all bad lines, if there are any.
    pub fn parse(text: &str) -> Result<Self, Vec<BadLine>> {
        let mut script = Self {
            greeting: None,
            answers: Vec::new(),
        };
        let mut bad = Vec::new();
        for (index, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            if let Err(reason) = script.add(line) {
                let number = index + 1;
                bad.push(BadLine { number, reason });
            }
        }
        if bad.is_empty() { Ok(script) } else { Err(bad) }
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let (pattern, answer) = line
            .split_once('\t')
            .ok_or("there is no tab between a pattern and an answer")?;
        let answer = unescape(answer)?;
        if pattern == GREETING {
            return match self.greeting.replace(answer) {
                None => Ok(()),
                Some(_) => Err(format!("there is a second {GREETING}")),
            };
        }
        let pattern = Regex::new(pattern).map_err(|error| error.to_string())?;
        self.answers.push((pattern, answer));
        Ok(())
    }

    /// Returns what is said first, to each client.
    pub fn greeting(&self) -> Option<&str> {
        self.greeting.as_deref()
    }

    /// Returns the answer to `message`, that of the first pattern that matches; an empty one if
    /// nothing is to be said. Returns `None` if no pattern matches.
    pub fn answer(&self, message: &str) -> Option<&str> {
        let mut answers = self.answers.iter();
        let (_, answer) = answers.find(|(pattern, _)| pattern.is_match(message))?;
        Some(answer)
    }
}

/// Replaces the escapes of an answer. Fails if there is an unknown one.
fn unescape(answer: &str) -> Result<String, String> {
    let mut text = String::with_capacity(answer.len());
    let mut chars = answer.chars();
    while let Some(c) = chars.next() {
        text.push(match c {
            '\\' => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('\\') => '\\',
                Some(other) => return Err(format!("there is no escape \\{other}")),
                None => return Err("there is nothing after the last backslash".into()),
            },
            c => c,
        });
    }
    Ok(text)
}
