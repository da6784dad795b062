//! Tests of parsing, and of what is answered.

use proptest::prelude::*;

use super::*;

#[test]
fn the_first_pattern_that_matches_answers() {
    let script = Script::parse(
        "# a service\n\n*greeting*\t220 ready\n^HELO \t250 \\\\o/\\ttab\nHELO\tsecond\n\
         ^LIST$\tone\\ntwo\n^QUIET\t\n^a\\tb$\ttab\n",
    )
    .unwrap();
    assert_eq!(script.greeting(), Some("220 ready"));
    for (message, answer) in [
        ("HELO me", Some("250 \\o/\ttab")),
        ("say HELO", Some("second")),
        ("LIST", Some("one\ntwo")),
        ("LIST all", None),
        ("QUIET", Some("")),
        ("a\tb", Some("tab")),
        ("", None),
    ] {
        assert_eq!(script.answer(message), answer, "{message:?}");
    }
}

#[test]
fn all_bad_lines_are_named_by_number() {
    let text = "a\tb\nno tab\n# fine\n(\tx\n*greeting*\t1\n*greeting*\t2\nx\ta\\q\ny\tz\\\n";
    let bad = Script::parse(text).unwrap_err();
    let numbers: Vec<_> = bad.iter().map(|line| line.number).collect();
    assert_eq!(numbers, [2, 4, 6, 7, 8]);
    for (line, part) in bad.iter().zip([
        "no tab",
        "group",
        "second *greeting*",
        "no escape \\q",
        "after the last backslash",
    ]) {
        assert!(line.reason.contains(part), "{line:?}");
    }
}

#[test]
fn an_empty_script_says_nothing() {
    let script = Script::parse("").unwrap();
    assert_eq!(script.greeting(), None);
    assert_eq!(script.answer("anything"), None);
}

proptest! {
    #[test]
    fn every_line_is_used_or_named(lines in prop::collection::vec("[^\n\r]{0,12}", 0..8)) {
        let text = lines.join("\n");
        match Script::parse(&text) {
            Ok(script) => prop_assert!(script.answers.len() <= lines.len()),
            Err(bad) => prop_assert!(
                bad.iter().all(|line| (1..=lines.len()).contains(&line.number))
            ),
        }
    }
}
