//! The man pages: as committed, and as man(1) shows them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::CommandFactory as _;
use clap_mangen::Man;
use socketchat::cli::Cli;

fn committed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("man")
}

/// The page of `command` in roff. What clap has at the end of its help, whose examples are lines,
/// `clap_mangen` would set as a paragraph.
fn page(command: clap::Command) -> (String, String) {
    // It leaves out what a summary does not tell.
    let man = Man::new(command.mut_args(|arg| arg.hide_short_help(false)));
    let mut roff = Vec::new();
    man.render(&mut roff).unwrap();
    let roff = String::from_utf8(roff).unwrap();
    let (before, extra) = roff.split_once(".SH EXTRA\n").unwrap();
    let (notes, examples) = extra.split_once("Examples:\n").unwrap();
    let (examples, version) = match examples.split_once(".SH VERSION") {
        Some((examples, version)) => (examples, format!(".SH VERSION{version}")),
        None => (examples, String::new()),
    };
    let notes = match notes.trim() {
        "" => String::new(),
        notes => format!(".SH NOTES\n{notes}\n"),
    };
    let text = format!("{before}{notes}.SH EXAMPLES\n.nf\n{examples}.fi\n{version}");
    (man.get_filename(), text)
}

/// Every page, by the name of its file.
fn pages() -> BTreeMap<String, String> {
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let subcommands: Vec<_> = command.get_subcommands().cloned().collect();
    subcommands.into_iter().chain([command]).map(page).collect()
}

/// Leaves the pages in a folder below `target` when they are not the ones committed.
#[test]
fn the_committed_pages_tell_what_the_program_does() {
    let kept: BTreeMap<_, _> = std::fs::read_dir(committed())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    if kept == pages() {
        return;
    }
    let made = Path::new(env!("CARGO_TARGET_TMPDIR")).join("man");
    std::fs::create_dir_all(&made).unwrap();
    for (name, page) in pages() {
        std::fs::write(made.join(name), page).unwrap();
    }
    panic!("man/ is stale: cp {}/* man/", made.display());
}

/// No page has a request or a line that man cannot set.
#[test]
#[ignore = "needs man"]
fn man_shows_each_page() {
    for name in pages().keys() {
        let mut man = Command::new("man");
        man.args(["--warnings", "--local-file"]);
        man.arg(committed().join(name));
        man.env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8");
        let output = man.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (shown, said) = (text(output.stdout), text(output.stderr));
        assert_eq!(
            (output.status.code(), said.as_str()),
            (Some(0), ""),
            "{name}"
        );
        for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES"] {
            assert!(
                shown.lines().any(|line| line == heading),
                "{heading}: {shown}"
            );
        }
    }
}

/// Every option is followed by what it is good for.
#[test]
fn no_option_goes_unexplained() {
    for (name, page) in pages() {
        let lines: Vec<_> = page.lines().collect();
        for entry in lines.windows(3).filter(|lines| lines[0] == ".TP") {
            let is_text = !entry[2].is_empty() && !entry[2].starts_with('.');
            assert!(is_text, "{name}: {entry:?}");
        }
    }
}
