//! The commands that a person gives at the prompt.

#[cfg(test)]
mod tests;

use rustyline::completion::Pair;

/// The maximum number of characters of a name to show in a list of candidates.
const NAME: usize = 16;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Tell what can be done.
    Help,
    /// Tell who is there.
    Who,
    /// Let the next line answer this client.
    To(u32),
    /// Let the next line answer the one who has waited second longest.
    Skip,
    /// Send this text to all who wait for an answer.
    All(String),
    /// Say `bye` to this client, if it waits for an answer.
    Bye(u32),
    /// End the conversation with this client at once; `None` for the only client.
    Kick(Option<u32>),
}

/// A command as it was entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// The word that the line begins with.
    pub word: &'static Word,
    /// The command; `None` if the line does not go on as the word requires.
    pub command: Option<Command>,
}

/// With whom a command makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Company {
    /// Any peer.
    #[default]
    Peer,
    /// A client.
    Client,
    /// Several clients.
    Clients,
}

/// The word that a command begins with.
#[derive(Debug, PartialEq, Eq)]
pub struct Word {
    /// The word, with its slash.
    pub name: &'static str,
    /// What must follow it, for the user; see [`Word::argument`].
    argument: &'static str,
    /// What the command does, for the user.
    pub help: &'static str,
    /// The least company in which it makes sense.
    pub company: Company,
}

impl Word {
    /// Returns what must follow the word in `company`, for the user: no number where there is one
    /// client at most.
    pub fn argument(&self, company: Company) -> &'static str {
        match self.argument {
            "N" if company < Company::Clients => "",
            argument => argument,
        }
    }
}

/// All words, in the order in which the user is told of them.
pub static WORDS: [Word; 7] = [
    Word {
        name: "/help",
        argument: "",
        help: "tell what can be done here",
        company: Company::Peer,
    },
    Word {
        name: "/who",
        argument: "",
        help: "tell who is here, since when, and whose turn it is",
        company: Company::Peer,
    },
    Word {
        name: "/to",
        argument: "N",
        help: "answer client N next, if it waits",
        company: Company::Clients,
    },
    Word {
        name: "/skip",
        argument: "",
        help: "answer the next one who waits; this one goes to the end",
        company: Company::Clients,
    },
    Word {
        name: "/all",
        argument: "TEXT",
        help: "send TEXT to all who wait; without turns, to all",
        company: Company::Clients,
    },
    Word {
        name: "/bye",
        argument: "N",
        help: "say bye to client N, if it waits",
        company: Company::Clients,
    },
    Word {
        name: "/kick",
        argument: "N",
        help: "end the conversation with client N at once",
        company: Company::Client,
    },
];

/// What else a user can do: a line or key, and its effect.
pub const KEYS: [(&str, &str); 6] = [
    ("bye", "leave; with several clients, leave this one"),
    ("//help", "send a line that begins like a command"),
    ("Tab", "complete a command, or the number of a client"),
    ("Up, Ctrl-R", "find what was sent before"),
    ("Ctrl-D", "say that no more follows, on an empty line"),
    ("Ctrl-C", "clear the line; leave, if empty or not your turn"),
];

/// Parses a line that the user entered. Returns `None` if it is not a command, but a message.
pub fn parse(line: &str) -> Option<Given> {
    let line = line.trim_end();
    let end = line.find(char::is_whitespace).unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let word = WORDS.iter().find(|word| word.name == name)?;
    let rest = rest.trim_start();
    let number = rest.strip_prefix('#').unwrap_or(rest).parse();
    let command = match (name, rest, number) {
        ("/help", "", _) => Some(Command::Help),
        ("/who", "", _) => Some(Command::Who),
        ("/skip", "", _) => Some(Command::Skip),
        ("/kick", "", _) => Some(Command::Kick(None)),
        ("/all", text, _) if !text.is_empty() => Some(Command::All(text.to_owned())),
        ("/to", _, Ok(number)) => Some(Command::To(number)),
        ("/bye", _, Ok(number)) => Some(Command::Bye(number)),
        ("/kick", _, Ok(number)) => Some(Command::Kick(Some(number))),
        _ => None,
    };
    Some(Given { word, command })
}

/// Returns the message to send for a line that is not a command. `//help` stands for `/help`, and so
/// on: one slash more keeps a line from being a command.
pub fn message(line: &str) -> &str {
    let slashes = line.len() - line.trim_start_matches('/').len();
    if slashes > 1 && parse(&line[slashes - 1..]).is_some() {
        &line[1..]
    } else {
        line
    }
}

/// Returns the line for which [`message`] returns `message`.
pub fn line(message: String) -> String {
    let slashes = message.len() - message.trim_start_matches('/').len();
    if slashes > 0 && parse(&message[slashes - 1..]).is_some() {
        format!("/{message}")
    } else {
        message
    }
}

/// Completes the line `typed`, if it begins a command that makes sense in `company`. `clients` are
/// the numbers and names of those who are there. Returns where the last word begins, in bytes, and
/// what can replace it. The user chooses from narrow rows of ASCII, which begin with our text.
pub fn complete<'a>(
    typed: &str,
    company: Company,
    clients: impl Iterator<Item = (u32, &'a str)>,
) -> (usize, Vec<Pair>) {
    let makes_sense = |word: &&Word| word.company <= company;
    let Some(start) = typed.find(char::is_whitespace) else {
        let begun = WORDS.iter().filter(makes_sense);
        let begun = begun.filter(|word| typed.starts_with('/') && word.name.starts_with(typed));
        let candidates = begun.map(|word| Pair {
            display: word.name.to_owned(),
            replacement: match word.argument(company) {
                "" => word.name.to_owned(),
                _ => format!("{} ", word.name),
            },
        });
        return (0, candidates.collect());
    };
    let is_begun = |word: &Word| word.argument(company) == "N" && word.name == &typed[..start];
    if !WORDS.iter().filter(makes_sense).any(is_begun) {
        return (0, Vec::new());
    }
    let begun = typed[start..].trim_start();
    let candidates = clients.filter_map(|(number, name)| {
        let replacement = number.to_string();
        let is_meant = replacement.starts_with(begun) || name.starts_with(begun);
        let name = name
            .chars()
            .take(NAME)
            .map(|c| if c.is_ascii_graphic() { c } else { '?' });
        let display = format!("{replacement} {}", name.collect::<String>());
        is_meant.then(|| Pair {
            display: display.trim_end().to_owned(),
            replacement,
        })
    });
    (typed.len() - begun.len(), candidates.collect())
}
