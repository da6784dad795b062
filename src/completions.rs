//! The completion scripts of the shells: those that clap writes, with what they leave out.

use clap::{CommandFactory as _, ValueEnum as _, ValueHint};
use clap_complete::Shell;

use crate::cli::Cli;

/// Hosts, and values after `=`.
const MORE_FOR_BASH: &str = include_str!("completions/more.bash");

/// Arguments that are no options.
const MORE_FOR_FISH: &str = include_str!("completions/more.fish");

/// Returns the script for `shell`, which the shell is to read once.
pub fn script(shell: Shell) -> String {
    // A shell completes an unknown value as the name of a file, which a port or a duration is not.
    let mut command = Cli::command().mut_subcommands(|subcommand| {
        subcommand.mut_args(|arg| {
            let is_value = arg.get_action().takes_values();
            if is_value && arg.get_value_hint() == ValueHint::Unknown {
                arg.value_hint(ValueHint::Other)
            } else {
                arg
            }
        })
    });
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "socketchat", &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        Shell::Bash => script.into_owned() + MORE_FOR_BASH,
        Shell::Fish => {
            let names = command.get_subcommands().map(clap::Command::get_name);
            let shells = Shell::value_variants().iter().map(Shell::to_string);
            let more = MORE_FOR_FISH
                .replace("SUBCOMMANDS", &names.collect::<Vec<_>>().join(" "))
                .replace("SHELLS", &shells.collect::<Vec<_>>().join(" "));
            script.into_owned() + &more
        }
        // An argument of which nothing is known keeps zsh from completing an option in its place.
        Shell::Zsh => script.split_inclusive('\n').map(with_no_values).collect(),
        _ => script.into_owned(),
    }
}

/// Returns `line` of zsh's script with an empty list of values for an argument that has none.
fn with_no_values(line: &str) -> String {
    match line.strip_suffix(":' \\\n") {
        Some(argument) if line.starts_with("'::") => format!("{argument}:()' \\\n"),
        _ => line.to_owned(),
    }
}
