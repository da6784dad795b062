//! What the user's inputrc says, which every program with a readline prompt goes by.

use std::env;
use std::path::PathBuf;

/// Whether the user's inputrc asks for Vi keys (readline(3)); what stands in it under a
/// condition is taken as it is.
pub(super) fn says_vi() -> bool {
    let path = env::var_os("INPUTRC")
        .map(PathBuf::from)
        .or_else(|| Some(env::home_dir()?.join(".inputrc")));
    let text = path.and_then(|path| std::fs::read_to_string(path).ok());
    text.is_some_and(|text| {
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter_map(|words| match words[..] {
                ["set", "editing-mode", mode] => Some(mode.eq_ignore_ascii_case("vi")),
                _ => None,
            })
            .next_back()
            .unwrap_or(false)
    })
}
