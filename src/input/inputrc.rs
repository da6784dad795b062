//! Reads the user's inputrc, the configuration of programs that use GNU Readline.

use std::env;
use std::path::PathBuf;

/// Returns whether the user's inputrc selects Vi keys (readline(3)). Conditions in the file are
/// ignored: the last selection counts.
pub(super) fn says_vi() -> bool {
    let path = env::var_os("INPUTRC").map(PathBuf::from);
    let path = path.or_else(|| Some(env::home_dir()?.join(".inputrc")));
    // Anything else might be read without an end.
    let file = path.filter(|path| path.is_file());
    let text = file.and_then(|file| std::fs::read_to_string(file).ok());
    let mut is_vi = false;
    for line in text.unwrap_or_default().lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        if let ["set", "editing-mode", mode] = words[..] {
            is_vi = mode.eq_ignore_ascii_case("vi");
        }
    }
    is_vi
}
