//! Tests of what is a command.

use super::*;

#[test]
fn a_line_that_begins_with_a_word_is_a_command() {
    for (line, command) in [
        ("/help", Some(Command::Help)),
        ("/who  ", Some(Command::Who)),
        ("/skip", Some(Command::Skip)),
        ("/to 3", Some(Command::To(3))),
        ("/to #3", Some(Command::To(3))),
        ("/bye\t12", Some(Command::Bye(12))),
        ("/kick 1", Some(Command::Kick(Some(1)))),
        ("/kick", Some(Command::Kick(None))),
        ("/all  hello  you", Some(Command::All("hello  you".into()))),
        ("/all a\nb", Some(Command::All("a\nb".into()))),
    ] {
        let given = parse(line).unwrap();
        assert!(line.starts_with(given.word.name), "{line:?}");
        assert_eq!(given.command, command, "{line:?}");
    }
    for misused in [
        "/who is it?",
        "/to",
        "/to you",
        "/to -1",
        "/bye",
        "/all ",
        "/kick me",
    ] {
        assert_eq!(parse(misused).unwrap().command, None, "{misused:?}");
    }
    for message in [
        "/whoever", "/Help", "/", " /help", "//help", "help", "/usr/bin", "",
    ] {
        assert_eq!(parse(message), None, "{message:?}");
    }
}

#[test]
fn one_slash_more_sends_what_looks_like_a_command() {
    for (line, sent) in [
        ("//help", "/help"),
        ("///help", "//help"),
        ("//who is it?", "/who is it?"),
        ("//usr/bin", "//usr/bin"),
        ("// comment", "// comment"),
        ("/usr", "/usr"),
        ("//", "//"),
        ("plain", "plain"),
    ] {
        assert_eq!(message(line), sent, "{line:?}");
        let again = super::line(sent.to_owned());
        assert_eq!(parse(&again), None, "{again:?}");
        assert_eq!(message(&again), sent, "{again:?}");
    }
}

#[test]
fn words_numbers_and_names_are_completed() {
    let labels = |typed, company| {
        let clients = [(1, "anna"), (2, ""), (12, "\u{202e}ben \u{1f469}")];
        let (start, candidates) = complete(typed, company, clients.into_iter());
        let text = |candidate: Pair| (candidate.replacement, candidate.display);
        (start, candidates.into_iter().map(text).collect::<Vec<_>>())
    };
    let pairs = |pairs: &[(&str, &str)]| {
        let owned = pairs
            .iter()
            .map(|(text, label)| ((*text).into(), (*label).into()));
        owned.collect::<Vec<(String, String)>>()
    };
    let all = Company::Clients;
    assert_eq!(labels("/h", all), (0, pairs(&[("/help", "/help")])));
    assert_eq!(labels("/t", all), (0, pairs(&[("/to ", "/to")])));
    assert_eq!(labels("/", all).1.len(), WORDS.len());
    assert_eq!(labels("/", Company::Peer).1.len(), 2);
    assert_eq!(
        labels("/k", Company::Client),
        (0, pairs(&[("/kick", "/kick")]))
    );
    assert_eq!(labels("/t", Company::Client), (0, vec![]));
    let everybody = pairs(&[("1", "1 anna"), ("2", "2"), ("12", "12 ?ben??")]);
    assert_eq!(labels("/to ", all), (4, everybody));
    assert_eq!(
        labels("/kick 1", all),
        (6, pairs(&[("1", "1 anna"), ("12", "12 ?ben??")]))
    );
    assert_eq!(labels("/to an", all), (4, pairs(&[("1", "1 anna")])));
    for typed in ["", "h", "/all ", "/who ", "a /t", "/to 1 2", "/nothing "] {
        assert_eq!(labels(typed, all).1, vec![], "{typed:?}");
    }
}
