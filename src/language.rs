//! The language of what the lesson says, English or German: one for the whole program, like the
//! locale of C.

use std::env;
use std::sync::OnceLock;

use clap::ValueEnum;

/// A language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Language {
    /// English.
    #[default]
    #[value(help = None)]
    En,
    /// German, in Swiss spelling.
    #[value(help = None)]
    De,
}

/// The language of the program, once it is known.
static CURRENT: OnceLock<Language> = OnceLock::new();

impl Language {
    /// Returns the language that the environment asks for: the first of `LC_ALL`, `LC_MESSAGES` and
    /// `LANG` that is set and not empty counts (POSIX, Environment Variables).
    pub fn of_environment() -> Self {
        let names = ["LC_ALL", "LC_MESSAGES", "LANG"];
        let values = names.into_iter().filter_map(env::var_os);
        let value = values.into_iter().find(|value| !value.is_empty());
        Self::of_locale(&value.unwrap_or_default().to_string_lossy())
    }

    fn of_locale(locale: &str) -> Self {
        let language = locale.split(['_', '.', '@', '-']).next();
        if language.is_some_and(|language| language.eq_ignore_ascii_case("de")) {
            Self::De
        } else {
            Self::En
        }
    }

    /// Makes this the language of the program. Only the first call has an effect.
    pub fn set(self) {
        let _ = CURRENT.set(self);
    }

    /// Returns the language of the program: English until [`Language::set`] is called.
    pub fn current() -> Self {
        CURRENT.get().copied().unwrap_or_default()
    }
}

/// Picks the words of the program's language: `words!("English", "Deutsch")` is a `&'static str`.
#[macro_export]
macro_rules! words {
    ($en:expr, $de:expr $(,)?) => {
        match $crate::language::Language::current() {
            $crate::language::Language::En => $en,
            $crate::language::Language::De => $de,
        }
    };
}

/// Formats the words of the program's language: `say!("{n} bytes", "{n} Bytes")` is a `String`.
/// Arguments that are no names follow the words, as with [`format!`].
#[macro_export]
macro_rules! say {
    ($en:literal, $de:literal $(, $argument:expr)* $(,)?) => {
        match $crate::language::Language::current() {
            $crate::language::Language::En => format!($en $(, $argument)*),
            $crate::language::Language::De => format!($de $(, $argument)*),
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_of_a_locale() {
        for (locale, language) in [
            ("de_CH.UTF-8", Language::De),
            ("de", Language::De),
            ("de@euro", Language::De),
            ("de-AT", Language::De),
            ("en_US.UTF-8", Language::En),
            ("den", Language::En),
            ("C.UTF-8", Language::En),
            ("", Language::En),
        ] {
            assert_eq!(Language::of_locale(locale), language, "{locale:?}");
        }
    }
}
