//! Tables of what happens and what is to be done then.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use proptest::prelude::*;

use super::Peer::{Numbered, Server};
use super::*;
use Action::{
    Close, Dismiss, End, Fail, PutBack, Send, SendAll, SendRest, Show, ShowLate, TellGone,
    TellLast, TellUnsent,
};
use Cause::{EndOfInput, Joined, NotSent, Sent};
use Loss::{Left, LetGo, Lost};

/// What happens.
#[derive(Debug, Clone, Copy)]
enum Cause<'a> {
    Joined(Peer),
    /// A part of a message arrived.
    Part {
        peer: Peer,
        last: bool,
    },
    /// A line, or a part of one, was entered at a prompt that named a peer, or at none.
    Line {
        text: &'a [u8],
        last: bool,
        to: Option<Peer>,
    },
    /// It was sent, and was the last part or not.
    Sent(bool),
    NotSent(bool),
    EndOfInput,
    Gone(Peer, Loss),
}

/// Why a conversation with a peer ended.
#[derive(Debug, Clone, Copy)]
enum Loss {
    Left,
    Lost,
    LetGo,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Show,
    ShowLate,
    Send(Peer),
    SendAll,
    SendRest,
    Dismiss(Peer),
    TellLast,
    TellGone,
    TellUnsent,
    PutBack,
    Close,
    End(Ending),
    Fail,
}

/// Tells `session` what happens; returns what is to be done, in order.
fn tell(session: &mut Session, input: Cause<'_>) -> Vec<Action> {
    match input {
        Joined(peer) => {
            session.joined(peer);
            vec![]
        }
        Cause::Part { peer, last } => {
            if session.is_late(peer) {
                vec![ShowLate]
            } else if session.heard(peer, b"text", true, last) {
                vec![Show, Close]
            } else {
                vec![Show]
            }
        }
        Cause::Line { text, last, to } => match session.line(text, last, to) {
            Entered::Blank(_) => vec![],
            Entered::Send(peer) => vec![Send(peer)],
            Entered::SendAll { begins } => vec![if begins { SendAll } else { SendRest }],
            Entered::Bye(peer) if session.goes_on() => vec![Dismiss(peer)],
            Entered::Bye(peer) => vec![Dismiss(peer), End(Ending::Bye)],
            Entered::NotSent => vec![TellUnsent],
        },
        Sent(last) => {
            session.sent(last);
            vec![]
        }
        NotSent(last) if session.not_sent(last) => vec![PutBack],
        NotSent(_) => vec![TellUnsent],
        EndOfInput => match session.end_of_input() {
            AtEnd::Close => vec![Close],
            AtEnd::Wait => vec![TellLast],
            AtEnd::End => vec![End(Ending::EndOfInput)],
        },
        Cause::Gone(peer, loss) => {
            let parting = match loss {
                Left => Parting::Left,
                Lost => Parting::Lost(io::ErrorKind::ConnectionReset.into()),
                LetGo => Parting::Idle(Duration::from_secs(1)),
            };
            match session.gone(peer, &parting) {
                Gone::GoesOn => vec![TellGone],
                Gone::Ends { .. } => vec![TellGone, TellUnsent, End(Ending::PeerLeft)],
                Gone::Fails => vec![TellUnsent, Fail],
                Gone::Retries { put_back: true } => vec![PutBack, Fail],
                Gone::Retries { put_back: false } => vec![Fail],
            }
        }
    }
}

const CLIENT: Peer = Peer::Client(1);
const ANNA: Peer = Numbered(1);
const BERT: Peer = Numbered(2);
const CARL: Peer = Numbered(3);

const RAW: Rules = Rules {
    framing: Framing::Raw,
    duplex: false,
    server_first: false,
    reply: Reply {
        until: None,
        quiet: None,
        timeout: None,
    },
    reads_lines: false,
    sends_to_all: false,
    answers_blindly: false,
    retries: false,
    stays_open: false,
    sends_empty: false,
    linger: None,
};

const BLIND: Rules = Rules {
    answers_blindly: true,
    ..RAW
};

const RETRIES: Rules = Rules {
    retries: true,
    ..RAW
};

const OPEN: Rules = Rules {
    stays_open: true,
    ..RAW
};

const BLIND_AND_OPEN: Rules = Rules {
    answers_blindly: true,
    reads_lines: true,
    ..OPEN
};

/// What happens, what is to be done then, and whom the prompt names after it.
type Row<'a> = (Cause<'a>, &'a [Action], Option<Peer>);

/// A conversation by `rules`, in which all of `rows` have happened.
fn play(rules: &Rules, rows: &[Row<'_>]) -> Session {
    let mut session = Session::new(rules.clone());
    go_on(&mut session, rows);
    session
}

fn go_on(session: &mut Session, rows: &[Row<'_>]) {
    for (number, (input, expected, asked)) in rows.iter().enumerate() {
        let actions = tell(session, *input);
        assert_eq!(actions, *expected, "row {number}: {input:?}");
        assert_eq!(session.prompt().peer, *asked, "row {number}: {input:?}");
        if let Some(peer) = *asked {
            assert!(session.is_ours(peer) || session.is_duplex());
            assert!(session.wants_line() || session.input_ended);
        }
    }
}

fn says(peer: Peer) -> Cause<'static> {
    Cause::Part { peer, last: true }
}

fn begins(peer: Peer) -> Cause<'static> {
    Cause::Part { peer, last: false }
}

fn line(text: &str) -> Cause<'_> {
    part(text, true)
}

fn part(text: &str, last: bool) -> Cause<'_> {
    Cause::Line {
        text: text.as_bytes(),
        last,
        to: None,
    }
}

fn line_to(peer: Peer) -> Cause<'static> {
    Cause::Line {
        text: b"hi",
        last: true,
        to: Some(peer),
    }
}

fn left(peer: Peer) -> Cause<'static> {
    Cause::Gone(peer, Left)
}

fn lost(peer: Peer) -> Cause<'static> {
    Cause::Gone(peer, Lost)
}

/// In our turn with the server.
fn our_turn(rules: &Rules) -> Session {
    play(rules, &[(Joined(Server), &[], Some(Server))])
}

/// In the server's turn.
fn its_turn(rules: &Rules) -> Session {
    let mut session = our_turn(rules);
    let rows: &[Row<'_>] = &[
        (line("hi"), &[Send(Server)], Some(Server)),
        (Sent(true), &[], None),
    ];
    go_on(&mut session, rows);
    session
}

/// Three clients are there, of whom Bert has spoken first and Anna second.
fn two_wait(rules: &Rules) -> Session {
    play(
        rules,
        &[
            (Joined(ANNA), &[], None),
            (Joined(BERT), &[], None),
            (Joined(CARL), &[], None),
            (says(BERT), &[Show], Some(BERT)),
            (says(ANNA), &[Show], Some(BERT)),
        ],
    )
}

#[test]
fn the_connecting_side_speaks_first_and_turns_are_strict() {
    play(
        &RAW,
        &[
            (Joined(Server), &[], Some(Server)),
            (line("hello"), &[Send(Server)], Some(Server)),
            (Sent(true), &[], None),
            (says(Server), &[Show], Some(Server)),
            (line("again"), &[Send(Server)], Some(Server)),
            (Sent(true), &[], None),
        ],
    );
}

#[test]
fn the_serving_side_listens_first() {
    for client in [CLIENT, ANNA] {
        let session = play(
            &RAW,
            &[
                (Joined(client), &[], None),
                (says(client), &[Show], Some(client)),
                (line("answer"), &[Send(client)], Some(client)),
                (Sent(true), &[], None),
            ],
        );
        assert!(!session.wants_line() && !session.is_ours(client));
    }
}

#[test]
fn a_line_in_the_peers_turn_is_not_sent() {
    let mut session = its_turn(&RAW);
    go_on(&mut session, &[(line("more"), &[TellUnsent], None)]);
    go_on(&mut session, &[(line("bye"), &[TellUnsent], None)]);
    play(&RAW, &[(line("to nobody"), &[TellUnsent], None)]);
}

#[test]
fn a_blank_line_is_not_sent_and_is_no_turn() {
    for framing in Framing::ALL {
        let rules = Rules { framing, ..RAW };
        for text in ["", "\r", "\n", "\r\n", " ", "x"] {
            let ends_lines = matches!(framing, Framing::Line | Framing::Crlf);
            let blank =
                text.is_empty() || (ends_lines && text.trim_matches(['\r', '\n']).is_empty());
            let does: &[Action] = if blank { &[] } else { &[Send(Server)] };
            go_on(&mut our_turn(&rules), &[(line(text), does, Some(Server))]);
        }
    }
}

#[test]
fn a_blank_part_belongs_to_its_message() {
    go_on(
        &mut our_turn(&RAW),
        &[
            (part("", false), &[Send(Server)], Some(Server)),
            (Sent(false), &[], Some(Server)),
            (part("", false), &[Send(Server)], Some(Server)),
            (Sent(false), &[], Some(Server)),
            (part("", true), &[Send(Server)], Some(Server)),
            (Sent(true), &[], None),
        ],
    );
}

#[test]
fn bye_leaves_in_any_case_and_with_any_space() {
    for bye in ["bye", "BYE", " Bye\t", "bye\r", "\u{a0}bye\u{2003}"] {
        let does: &[Action] = &[Dismiss(Server), End(Ending::Bye)];
        go_on(&mut our_turn(&RAW), &[(line(bye), does, None)]);
    }
    for other in ["bye!", "good bye", "by e", "b\u{fffd}ye", "\u{200b}bye"] {
        let does: &[Action] = &[Send(Server)];
        go_on(&mut our_turn(&RAW), &[(line(other), does, Some(Server))]);
    }
    assert!(!is_bye(b"bye\xff"));
}

#[test]
fn a_server_leaves_too() {
    play(
        &RAW,
        &[
            (Joined(CLIENT), &[], None),
            (says(CLIENT), &[Show], Some(CLIENT)),
            (line("bye"), &[Dismiss(CLIENT), End(Ending::Bye)], None),
        ],
    );
}

#[test]
fn bye_within_a_long_line_is_text() {
    go_on(
        &mut our_turn(&BLIND),
        &[
            (part("bye", false), &[Send(Server)], Some(Server)),
            (Sent(false), &[], Some(Server)),
            (part("bye", false), &[Send(Server)], Some(Server)),
            (Sent(false), &[], Some(Server)),
            (part("bye", true), &[Send(Server)], Some(Server)),
            (Sent(true), &[], None),
            (says(Server), &[Show], Some(Server)),
            (line("bye"), &[Dismiss(Server), End(Ending::Bye)], None),
        ],
    );
}

#[test]
fn bye_is_for_one_of_many() {
    go_on(
        &mut two_wait(&RAW),
        &[
            (line("bye"), &[Dismiss(BERT)], Some(ANNA)),
            (line("bye"), &[Dismiss(ANNA)], None),
            (says(CARL), &[Show], Some(CARL)),
            (line("bye"), &[Dismiss(CARL), End(Ending::Bye)], None),
        ],
    );
    let session = play(
        &OPEN,
        &[
            (Joined(ANNA), &[], None),
            (says(ANNA), &[Show], Some(ANNA)),
            (line("bye"), &[Dismiss(ANNA)], None),
            (Joined(BERT), &[], None),
        ],
    );
    assert_eq!(session.awaited(), Awaited::TurnOf(BERT));
}

#[test]
fn what_comes_late_is_no_reply_under_raw() {
    for rules in [RAW, BLIND] {
        go_on(
            &mut our_turn(&rules),
            &[
                (says(Server), &[ShowLate], Some(Server)),
                (begins(Server), &[ShowLate], Some(Server)),
                (line("hi"), &[Send(Server)], Some(Server)),
                (Sent(true), &[], None),
                (says(Server), &[Show], Some(Server)),
            ],
        );
    }
}

#[test]
fn nothing_is_late_with_an_end_mark() {
    for framing in [Framing::Line, Framing::Crlf, Framing::Json, Framing::Nul] {
        let rows: &[Row<'_>] = &[
            (says(Server), &[Show], Some(Server)),
            (line("hi"), &[Send(Server)], Some(Server)),
        ];
        // One answer is enough for somebody to whom a prompt names the peer...
        let mut session = our_turn(&Rules { framing, ..RAW });
        go_on(&mut session, rows);
        go_on(&mut session, &[(Sent(true), &[], None)]);
        // ... and a program gives one for each message.
        let mut session = our_turn(&Rules { framing, ..BLIND });
        go_on(&mut session, rows);
        go_on(
            &mut session,
            &[
                (Sent(true), &[], Some(Server)),
                (line("ho"), &[Send(Server)], Some(Server)),
                (Sent(true), &[], None),
            ],
        );
    }
}

#[test]
fn a_long_message_is_one_turn() {
    for framing in Framing::ALL {
        go_on(
            &mut its_turn(&Rules { framing, ..RAW }),
            &[
                (begins(Server), &[Show], None),
                (begins(Server), &[Show], None),
                (says(Server), &[Show], Some(Server)),
            ],
        );
    }
}

#[test]
fn the_end_of_input_in_our_turn_closes() {
    for rules in [RAW, BLIND, RETRIES] {
        let does: &[Action] = &[Close];
        go_on(&mut our_turn(&rules), &[(EndOfInput, does, Some(Server))]);
    }
    go_on(&mut two_wait(&OPEN), &[(EndOfInput, &[Close], Some(BERT))]);
}

#[test]
fn the_end_of_input_waits_for_a_reply_that_is_owed() {
    let mut session = its_turn(&RAW);
    go_on(
        &mut session,
        &[
            (EndOfInput, &[TellLast], None),
            (begins(Server), &[Show], None),
            (says(Server), &[Show, Close], Some(Server)),
        ],
    );
    let mut session = its_turn(&RAW);
    go_on(
        &mut session,
        &[
            (EndOfInput, &[TellLast], None),
            (
                left(Server),
                &[TellGone, TellUnsent, End(Ending::PeerLeft)],
                None,
            ),
        ],
    );
}

#[test]
fn the_end_of_input_ends_it_when_no_reply_is_owed() {
    let ends: &[Action] = &[End(Ending::EndOfInput)];
    play(&OPEN, &[(EndOfInput, ends, None)]);
    // A client that has not spoken yet owes us nothing.
    play(
        &RAW,
        &[(Joined(CLIENT), &[], None), (EndOfInput, ends, None)],
    );
    // Nor is one of many waited for.
    let mut session = two_wait(&OPEN);
    go_on(
        &mut session,
        &[
            (line("hi"), &[Send(BERT)], Some(BERT)),
            (Sent(true), &[], Some(ANNA)),
            (line("hi"), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], None),
            (EndOfInput, ends, None),
        ],
    );
}

#[test]
fn after_the_end_of_input_nobody_else_is_waited_for() {
    play(
        &OPEN,
        &[
            (Joined(CLIENT), &[], None),
            (says(CLIENT), &[Show], Some(CLIENT)),
            (line("hi"), &[Send(CLIENT)], Some(CLIENT)),
            (Sent(true), &[], None),
            (EndOfInput, &[TellLast], None),
            (
                left(CLIENT),
                &[TellGone, TellUnsent, End(Ending::PeerLeft)],
                None,
            ),
        ],
    );
}

#[test]
fn a_peer_that_leaves_ends_it() {
    for rules in [RAW, BLIND] {
        for loss in [Left, LetGo] {
            let gone = Cause::Gone(Server, loss);
            let does: &[Action] = &[TellGone, TellUnsent, End(Ending::PeerLeft)];
            go_on(&mut our_turn(&rules), &[(gone, does, None)]);
            go_on(&mut its_turn(&rules), &[(gone, does, None)]);
        }
    }
}

#[test]
fn a_peer_that_leaves_lets_the_others_stay() {
    for loss in [Left, LetGo, Lost] {
        let mut session = two_wait(&RAW);
        go_on(
            &mut session,
            &[
                // One in its turn, and one in ours.
                (Cause::Gone(CARL, loss), &[TellGone], Some(BERT)),
                (Cause::Gone(BERT, loss), &[TellGone], Some(ANNA)),
            ],
        );
        let last: &[Action] = match loss {
            Lost => &[TellUnsent, Fail],
            Left | LetGo => &[TellGone, TellUnsent, End(Ending::PeerLeft)],
        };
        go_on(&mut session, &[(Cause::Gone(ANNA, loss), last, None)]);
    }
}

#[test]
fn a_server_that_stays_open_waits_for_others() {
    for loss in [Left, LetGo, Lost] {
        for client in [CLIENT, ANNA] {
            let session = play(
                &OPEN,
                &[
                    (Joined(client), &[], None),
                    (Cause::Gone(client, loss), &[TellGone], None),
                    (Joined(client), &[], None),
                    (says(client), &[Show], Some(client)),
                    (Cause::Gone(client, loss), &[TellGone], None),
                ],
            );
            assert!(!session.wants_line());
            assert_eq!(session.awaited(), Awaited::AClient);
        }
    }
}

#[test]
fn a_lost_connection_is_a_failure() {
    for rules in [RAW, BLIND] {
        let does: &[Action] = &[TellUnsent, Fail];
        go_on(&mut our_turn(&rules), &[(lost(Server), does, None)]);
        go_on(&mut its_turn(&rules), &[(lost(Server), does, None)]);
    }
}

#[test]
fn what_had_no_reply_is_put_back_to_be_said_again() {
    let mut session = its_turn(&RETRIES);
    go_on(&mut session, &[(lost(Server), &[PutBack, Fail], None)]);
    // Nothing was said.
    let mut session = our_turn(&RETRIES);
    go_on(&mut session, &[(lost(Server), &[Fail], None)]);
    // It had a reply.
    let mut session = its_turn(&RETRIES);
    go_on(
        &mut session,
        &[
            (says(Server), &[Show], Some(Server)),
            (lost(Server), &[Fail], None),
        ],
    );
}

#[test]
fn nobody_leaves_in_our_turn_in_order() {
    let mut session = our_turn(&RETRIES);
    let does: &[Action] = &[Fail];
    go_on(&mut session, &[(left(Server), does, None)]);
    // Within our message, which is not sent to its end.
    let mut session = our_turn(&RETRIES);
    go_on(
        &mut session,
        &[
            (part("long", false), &[Send(Server)], Some(Server)),
            (Sent(false), &[], Some(Server)),
            (left(Server), &[PutBack, Fail], None),
        ],
    );
    // In its own turn it does.
    let mut session = its_turn(&RETRIES);
    let does: &[Action] = &[TellGone, TellUnsent, End(Ending::PeerLeft)];
    go_on(&mut session, &[(left(Server), does, None)]);
}

#[test]
fn a_server_that_leaves_with_an_answer_owed_leaves_in_our_turn() {
    let rules = Rules {
        framing: Framing::Line,
        answers_blindly: true,
        ..RETRIES
    };
    let mut session = its_turn(&rules);
    go_on(
        &mut session,
        &[
            (says(Server), &[Show], Some(Server)),
            (says(Server), &[Show], Some(Server)),
            (line("one"), &[Send(Server)], Some(Server)),
            (Sent(true), &[], Some(Server)),
            (left(Server), &[Fail], None),
        ],
    );
}

#[test]
fn a_line_that_cannot_be_sent_is_told() {
    for rules in [RAW, BLIND] {
        let mut session = our_turn(&rules);
        go_on(
            &mut session,
            &[
                (line("hi"), &[Send(Server)], Some(Server)),
                (NotSent(true), &[TellUnsent], None),
                // What it had said before is still shown.
                (begins(Server), &[ShowLate], None),
                (lost(Server), &[TellUnsent, Fail], None),
            ],
        );
        assert!(!session.wants_line());
    }
}

#[test]
fn the_rest_of_a_line_that_cannot_be_sent_is_told_too() {
    for sent_before in [true, false] {
        let mut session = two_wait(&BLIND_AND_OPEN);
        if sent_before {
            go_on(
                &mut session,
                &[
                    (part("a", false), &[Send(BERT)], Some(BERT)),
                    (Sent(false), &[], Some(BERT)),
                ],
            );
        }
        go_on(
            &mut session,
            &[
                (part("b", false), &[Send(BERT)], Some(BERT)),
                (NotSent(false), &[TellUnsent], Some(ANNA)),
                (part("bye", false), &[TellUnsent], Some(ANNA)),
                (lost(BERT), &[TellGone], Some(ANNA)),
                (part("", true), &[TellUnsent], Some(ANNA)),
                // The next line is the answer to the next message.
                (line("d"), &[Send(ANNA)], Some(ANNA)),
                (Sent(true), &[], None),
            ],
        );
    }
}

#[test]
fn the_turn_goes_back_when_the_rest_of_a_line_cannot_be_sent() {
    let mut session = two_wait(&BLIND_AND_OPEN);
    go_on(
        &mut session,
        &[
            (part("a", false), &[Send(BERT)], Some(BERT)),
            (NotSent(false), &[TellUnsent], Some(ANNA)),
        ],
    );
    // What the peer had said before it left comes out in its own turn.
    assert!(!session.is_ours(BERT));
    go_on(
        &mut session,
        &[
            (says(BERT), &[Show], Some(ANNA)),
            (part("b", true), &[TellUnsent], Some(ANNA)),
            (line("to Anna"), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], Some(BERT)),
        ],
    );
}

#[test]
fn a_line_that_cannot_be_sent_ends_all_the_same() {
    let fails: &[Row<'_>] = &[
        (part("a", false), &[Send(BERT)], Some(BERT)),
        (NotSent(false), &[TellUnsent], Some(ANNA)),
        // This is its last part, and no blank line.
        (part("", true), &[TellUnsent], Some(ANNA)),
        (line("bye"), &[Dismiss(ANNA)], None),
    ];
    go_on(&mut two_wait(&BLIND_AND_OPEN), fails);
    let fails_at_last: &[Row<'_>] = &[
        (part("a", false), &[Send(BERT)], Some(BERT)),
        (Sent(false), &[], Some(BERT)),
        (part("b", true), &[Send(BERT)], Some(BERT)),
        (NotSent(true), &[TellUnsent], Some(ANNA)),
        (line("bye"), &[Dismiss(ANNA)], None),
    ];
    go_on(&mut two_wait(&BLIND_AND_OPEN), fails_at_last);
}

#[test]
fn a_line_that_cannot_be_sent_is_put_back_where_it_is_tried_again() {
    for answers_blindly in [true, false] {
        for (gone, does) in [
            (lost(Server), &[Fail] as &[Action]),
            (left(Server), &[Fail]),
        ] {
            let mut session = our_turn(&Rules {
                answers_blindly,
                ..RETRIES
            });
            go_on(
                &mut session,
                &[
                    (line("hi"), &[Send(Server)], Some(Server)),
                    (NotSent(true), &[PutBack], Some(Server)),
                ],
            );
            go_on(&mut session, &[(gone, does, None)]);
        }
    }
}

#[test]
fn without_turns_what_a_person_enters_in_vain_is_told_also_where_it_is_tried_again() {
    let mut session = our_turn(&Rules {
        duplex: true,
        ..RETRIES
    });
    go_on(
        &mut session,
        &[
            (line("a"), &[Send(Server)], Some(Server)),
            (NotSent(true), &[TellUnsent], Some(Server)),
            (line("b"), &[Send(Server)], Some(Server)),
            (NotSent(true), &[TellUnsent], Some(Server)),
            (lost(Server), &[Fail], None),
        ],
    );
}

#[test]
fn a_part_that_cannot_be_sent_is_put_back_with_the_whole() {
    let mut session = our_turn(&Rules {
        answers_blindly: true,
        ..RETRIES
    });
    go_on(
        &mut session,
        &[
            (part("a", false), &[Send(Server)], Some(Server)),
            (Sent(false), &[], Some(Server)),
            (part("b", false), &[Send(Server)], Some(Server)),
            (NotSent(false), &[PutBack], Some(Server)),
            (lost(Server), &[PutBack, Fail], None),
        ],
    );
}

#[test]
fn who_has_waited_longest_is_answered_first() {
    let mut session = two_wait(&RAW);
    assert_eq!(session.prompt().waiting, 1);
    assert_eq!(session.awaited(), Awaited::Clients(3));
    go_on(&mut session, &[(says(CARL), &[Show], Some(BERT))]);
    assert_eq!(session.prompt().waiting, 2);
    go_on(
        &mut session,
        &[
            (line("to Bert"), &[Send(BERT)], Some(BERT)),
            (Sent(true), &[], Some(ANNA)),
            (says(BERT), &[Show], Some(ANNA)),
            (line("to Anna"), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], Some(CARL)),
            (line("to Carl"), &[Send(CARL)], Some(CARL)),
            (Sent(true), &[], Some(BERT)),
        ],
    );
    assert_eq!(session.prompt().waiting, 0);
    assert!(!session.is_ours(ANNA) && !session.is_ours(CARL));
}

#[test]
fn a_program_still_answers_those_who_are_gone() {
    let mut session = two_wait(&BLIND_AND_OPEN);
    go_on(
        &mut session,
        &[
            (says(CARL), &[Show], Some(BERT)),
            (left(ANNA), &[TellGone], Some(BERT)),
            (line("to Bert"), &[Send(BERT)], Some(BERT)),
            (Sent(true), &[], Some(CARL)),
            // Nobody who is gone is told bye.
            (line("bye"), &[TellUnsent], Some(CARL)),
            (line("to Carl"), &[Send(CARL)], Some(CARL)),
            (Sent(true), &[], None),
        ],
    );
    assert!(!session.wants_line());
}

#[test]
fn an_empty_answer_of_a_program_is_one_though_it_cannot_be_sent() {
    let mut session = two_wait(&BLIND_AND_OPEN);
    go_on(
        &mut session,
        &[
            (line(""), &[], Some(ANNA)),
            (line("to Anna"), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], None),
            (says(BERT), &[Show], Some(BERT)),
            (left(BERT), &[TellGone], None),
            (says(ANNA), &[Show], Some(ANNA)),
            (line(""), &[], Some(ANNA)),
            (line("to Anna"), &[Send(ANNA)], Some(ANNA)),
        ],
    );
}

#[test]
fn a_program_answers_what_it_has_seen_of_a_message_whose_sender_is_gone() {
    let rules = Rules {
        framing: Framing::Nul,
        ..BLIND_AND_OPEN
    };
    let joined: &[Row<'_>] = &[
        (Joined(ANNA), &[], None),
        (Joined(BERT), &[], None),
        (begins(ANNA), &[Show], None),
    ];
    let left: &[Row<'_>] = &[(left(ANNA), &[TellGone], None)];
    let mut dismissed = play(&rules, joined);
    dismissed.heard(ANNA, b"\nand", false, false);
    go_on(&mut dismissed, &[(line("bye"), &[Dismiss(ANNA)], None)]);
    for mut session in [play(&rules, joined), dismissed] {
        go_on(&mut session, left);
        go_on(
            &mut session,
            &[
                (says(BERT), &[Show], Some(BERT)),
                (line("to what Anna began"), &[TellUnsent], Some(BERT)),
                (line("to Bert"), &[Send(BERT)], Some(BERT)),
            ],
        );
    }
}

#[test]
fn a_program_answers_also_when_all_are_gone() {
    let mut session = two_wait(&BLIND_AND_OPEN);
    go_on(
        &mut session,
        &[
            (left(ANNA), &[TellGone], Some(BERT)),
            (left(CARL), &[TellGone], Some(BERT)),
            (left(BERT), &[TellGone], None),
        ],
    );
    assert!(session.wants_line());
    assert_eq!(session.awaited(), Awaited::AClient);
    go_on(&mut session, &[(line("to Bert"), &[TellUnsent], None)]);
    assert!(session.wants_line());
    go_on(&mut session, &[(part("to An", false), &[TellUnsent], None)]);
    go_on(&mut session, &[(part("na", true), &[TellUnsent], None)]);
    assert!(!session.wants_line());
}

#[test]
fn the_end_of_input_closes_while_an_answer_to_nobody_is_owed() {
    play(
        &BLIND_AND_OPEN,
        &[
            (Joined(ANNA), &[], None),
            (says(ANNA), &[Show], Some(ANNA)),
            (left(ANNA), &[TellGone], None),
            (EndOfInput, &[Close], None),
        ],
    );
}

#[test]
fn the_rest_of_an_answer_to_somebody_who_is_gone_is_for_nobody_else() {
    go_on(
        &mut two_wait(&BLIND_AND_OPEN),
        &[
            (part("long", false), &[Send(BERT)], Some(BERT)),
            (Sent(false), &[], Some(BERT)),
            (left(BERT), &[TellGone], Some(ANNA)),
            (part("bye", true), &[TellUnsent], Some(ANNA)),
            (line("hi"), &[Send(ANNA)], Some(ANNA)),
        ],
    );
}

#[test]
fn somebody_at_a_prompt_answers_only_those_who_are_there() {
    go_on(
        &mut two_wait(&OPEN),
        &[
            (left(BERT), &[TellGone], Some(ANNA)),
            (line("hi"), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], None),
        ],
    );
}

#[test]
fn a_line_is_only_for_the_peer_that_the_prompt_named() {
    go_on(
        &mut two_wait(&OPEN),
        &[
            (left(BERT), &[TellGone], Some(ANNA)),
            (line_to(BERT), &[TellUnsent], Some(ANNA)),
            (line_to(ANNA), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], None),
            (line_to(ANNA), &[TellUnsent], None),
        ],
    );
    let bye = Cause::Line {
        text: b"bye",
        last: true,
        to: Some(CARL),
    };
    go_on(&mut two_wait(&OPEN), &[(bye, &[TellUnsent], Some(BERT))]);
}

#[test]
fn what_is_awaited_is_counted() {
    let mut session = Session::new(OPEN);
    assert_eq!(session.awaited(), Awaited::AClient);
    go_on(&mut session, &[(Joined(ANNA), &[], None)]);
    assert_eq!(session.awaited(), Awaited::TurnOf(ANNA));
    go_on(&mut session, &[(Joined(BERT), &[], None)]);
    assert_eq!(session.awaited(), Awaited::Clients(2));
    assert_eq!(session.framing(), Framing::Raw);
}

/// What a peer, or the user, may do next.
#[derive(Debug, Clone, Copy)]
enum Move {
    Join,
    Say {
        who: usize,
        last: bool,
    },
    Enter {
        text: &'static str,
        last: bool,
        sends: bool,
    },
    Leave {
        who: usize,
        loss: Loss,
    },
    EndInput,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let any_move = prop_oneof![
        2 => Just(Move::Join),
        8 => (0_usize..4, any::<bool>()).prop_map(|(who, last)| Move::Say { who, last }),
        8 => (prop::sample::select(vec!["", "hi", "bye", " "]), any::<bool>(), 0..8)
            .prop_map(|(text, last, luck)| Move::Enter { text, last, sends: luck > 0 }),
        2 => (0_usize..4, prop::sample::select(vec![Left, Lost, LetGo]))
            .prop_map(|(who, loss)| Move::Leave { who, loss }),
        1 => Just(Move::EndInput),
    ];
    prop::collection::vec(any_move, 0..60)
}

fn rules() -> impl Strategy<Value = (Rules, Peer)> {
    let framing = prop::sample::select(Framing::ALL.to_vec());
    let peer = prop::sample::select(vec![Server, CLIENT, ANNA]);
    (framing, peer, any::<[bool; 3]>()).prop_map(|(framing, peer, [blind, retries, open])| {
        let stays_open = peer == ANNA || (open && peer == CLIENT);
        let rules = Rules {
            framing,
            answers_blindly: blind,
            reads_lines: blind && stays_open,
            retries: retries && peer == Server,
            stays_open,
            ..RAW
        };
        (rules, peer)
    })
}

/// A conversation, and what is known of it from outside.
struct World {
    rules: Rules,
    kind: Peer,
    session: Session,
    joined: u32,
    /// Who is there, and how many of their messages are not answered.
    peers: BTreeMap<Peer, usize>,
    /// Those to whom nothing can be sent any more.
    broken: BTreeSet<Peer>,
    /// The messages that a program has still to answer, those of peers that are gone too.
    unanswered: usize,
    /// A part of a line was entered.
    in_line: bool,
    input_ended: bool,
    /// Whose message was begun last, and not ended.
    speaker: Option<Peer>,
}

impl World {
    fn tell(&mut self, input: Cause<'_>) -> Vec<Action> {
        tell(&mut self.session, input)
    }

    /// Makes one move, if it can be made; returns whether the conversation goes on.
    fn make(&mut self, next: Move) -> bool {
        let actions = match next {
            Move::Join => self.join(),
            Move::Say { who, last } => self.say(who, last),
            Move::Enter { text, last, sends } => self.enter(text, last, sends),
            Move::Leave { who, loss } => self.leave(who, loss),
            Move::EndInput => {
                self.input_ended = true;
                self.tell(EndOfInput)
            }
        };
        self.check();
        !actions
            .iter()
            .any(|action| matches!(action, Close | End(_) | Fail))
    }

    fn join(&mut self) -> Vec<Action> {
        let peer = match self.kind {
            Numbered(_) => Numbered(self.joined + 1),
            _ if self.joined > 0 && !self.rules.stays_open => return Vec::new(),
            _ if !self.peers.is_empty() => return Vec::new(),
            single => single,
        };
        self.joined += 1;
        let owed = usize::from(peer == Server);
        self.peers.insert(peer, owed);
        self.unanswered += owed;
        self.tell(Joined(peer))
    }

    fn say(&mut self, who: usize, last: bool) -> Vec<Action> {
        let Some((&peer, &owed)) = self.peers.iter().nth(who) else {
            return Vec::new();
        };
        let late = self.session.is_ours(peer) && self.rules.framing == Framing::Raw;
        let ours = self.session.is_ours(peer);
        let actions = self.tell(Cause::Part { peer, last });
        assert_eq!(actions[0], if late { ShowLate } else { Show });
        if !late {
            let speaker = mem::replace(&mut self.speaker, (!last).then_some(peer));
            let other = speaker.filter(|speaker| *speaker != peer);
            if let Some(owed) = other.and_then(|other| self.peers.get_mut(&other))
                && self.rules.answers_blindly
            {
                *owed += 1;
                self.unanswered += 1;
            }
        }
        if last && !late && (!ours || self.rules.answers_blindly) {
            self.peers.insert(peer, owed + 1);
            self.unanswered += 1;
        }
        actions
    }

    fn enter(&mut self, text: &'static str, last: bool, sends: bool) -> Vec<Action> {
        // Only a program gives long lines, and only when it is asked for one.
        let blind = self.rules.answers_blindly;
        let last = last || !blind;
        if self.input_ended || (blind && !self.session.wants_line()) {
            return Vec::new();
        }
        let prompt = self.session.prompt().peer;
        let front = self.session.owed.front().flatten();
        let actions = self.tell(Cause::Line {
            text: text.as_bytes(),
            last,
            to: prompt.filter(|_| !blind),
        });
        match actions[..] {
            [] => {
                assert!(text.is_empty() && last && !self.in_line);
                if self.rules.reads_lines {
                    self.unanswered -= 1;
                    if let Some(owed) = front.and_then(|peer| self.peers.get_mut(&peer)) {
                        *owed -= 1;
                    }
                }
            }
            [TellUnsent] => {
                assert!(blind || prompt.is_none());
                self.in_line = blind && !last;
                self.unanswered -= usize::from(blind && last);
            }
            [Send(peer)] => return self.send(peer, last, sends),
            [Dismiss(peer), ref end @ ..] => {
                assert!(text == "bye" && last && !self.in_line);
                assert!(matches!(end, [] | [End(Ending::Bye)]));
                let owed = self.peers.remove(&peer).unwrap();
                assert!(owed > 0);
                self.unanswered -= if blind { 1 } else { owed };
                self.cut(peer);
            }
            ref others => panic!("{others:?}"),
        }
        actions
    }

    fn send(&mut self, peer: Peer, last: bool, sends: bool) -> Vec<Action> {
        assert!(
            self.peers[&peer] > 0 && self.session.is_ours(peer),
            "{peer:?} is not asked"
        );
        let fails = !sends || self.broken.contains(&peer);
        if fails && self.rules.retries {
            assert_eq!(self.tell(NotSent(last)), [PutBack]);
            let actions = self.tell(Cause::Gone(peer, Lost));
            assert!(actions.ends_with(&[Fail]));
            self.peers.remove(&peer);
            self.unanswered = usize::from(self.session.wants_line());
            return actions;
        }
        self.in_line = !last;
        let actions = if fails {
            self.broken.insert(peer);
            self.tell(NotSent(last))
        } else {
            self.tell(Sent(last))
        };
        assert_eq!(actions, if fails { vec![TellUnsent] } else { vec![] });
        self.unanswered -= usize::from(last);
        // What is still to come of a line that has failed is for nobody.
        *self.peers.get_mut(&peer).unwrap() -= usize::from(last || fails);
        actions
    }

    fn leave(&mut self, who: usize, loss: Loss) -> Vec<Action> {
        let Some((&peer, &owed)) = self.peers.iter().nth(who) else {
            return Vec::new();
        };
        self.peers.remove(&peer);
        self.broken.remove(&peer);
        if !self.rules.answers_blindly {
            self.unanswered -= owed;
        }
        self.cut(peer);
        self.tell(Cause::Gone(peer, loss))
    }

    /// A program answers what it has seen of a message of `peer`, whose end does not come.
    fn cut(&mut self, peer: Peer) {
        let is_cut = self.speaker.take_if(|speaker| *speaker == peer).is_some();
        self.unanswered += usize::from(is_cut && self.rules.reads_lines);
    }

    fn check(&self) {
        let prompt = self.session.prompt();
        let asked = self.peers.values().filter(|owed| **owed > 0).count();
        assert_eq!(self.session.wants_line(), self.unanswered > 0);
        assert_eq!(prompt.peer.is_some(), asked > 0);
        assert!(prompt.peer.is_none_or(|peer| self.peers[&peer] > 0));
        for (peer, owed) in &self.peers {
            if !self.broken.contains(peer) {
                assert_eq!(self.session.is_ours(*peer), *owed > 0);
            }
        }
    }
}

/// A session with three clients who have spoken in this order.
fn crowd(rules: Rules) -> Session {
    let mut session = Session::new(rules);
    for number in [1, 2, 3] {
        session.joined(Numbered(number));
    }
    for number in [2, 1, 3] {
        session.heard(Numbered(number), b"text", true, true);
    }
    session
}

#[test]
fn the_next_line_goes_to_who_was_chosen() {
    let mut session = crowd(Rules::default());
    assert_eq!(session.audience(), [2, 1, 3].map(Numbered));
    assert!(session.choose(Numbered(3)));
    assert_eq!(session.audience(), [3, 2, 1].map(Numbered));
    assert_eq!(
        session.line(b"a", true, Some(Numbered(3))),
        Entered::Send(Numbered(3))
    );
    session.sent(true);
    // It has the turn now, and nobody is chosen who is not there.
    assert!(!session.choose(Numbered(3)) && !session.choose(Numbered(4)));
    assert!(session.skip());
    assert_eq!(session.audience(), [1, 2].map(Numbered));
    assert_eq!(
        session.line(b"b", true, Some(Numbered(1))),
        Entered::Send(Numbered(1))
    );
    session.sent(true);
    assert!(!session.skip());
    assert!(session.is_owed(Numbered(2)) && !session.is_owed(Numbered(1)));
}

#[test]
fn without_turns_anybody_is_chosen() {
    let rules = Rules {
        duplex: true,
        ..Rules::default()
    };
    let mut session = crowd(rules);
    assert_eq!(session.audience(), [1, 2, 3].map(Numbered));
    assert!(session.choose(Numbered(3)));
    assert_eq!(session.prompt().peer, Some(Numbered(3)));
    assert_eq!(
        session.line(b"a", true, Some(Numbered(3))),
        Entered::Send(Numbered(3))
    );
    session.sent(true);
    assert!(session.choose(Numbered(3)), "a second time");
}

#[test]
fn a_peer_is_dismissed_in_our_turn_or_in_its_own() {
    let mut session = crowd(Rules::default());
    session.line(b"a", true, None);
    session.sent(true);
    assert!(!session.dismiss(Numbered(2)), "it has the turn");
    assert!(session.dismiss(Numbered(1)), "it waits");
    assert_eq!(session.audience(), [Numbered(3)]);
    assert!(session.goes_on());
    assert!(session.dismiss(Numbered(3)));
    assert!(!session.goes_on());
}

proptest! {
    #[test]
    fn each_message_has_one_answer_at_most((rules, kind) in rules(), moves in moves()) {
        let mut world = World {
            session: Session::new(rules.clone()),
            rules,
            kind,
            joined: 0,
            peers: BTreeMap::new(),
            broken: BTreeSet::new(),
            unanswered: 0,
            in_line: false,
            input_ended: false,
            speaker: None,
        };
        world.make(Move::Join);
        for next in moves {
            if !world.make(next) {
                break;
            }
        }
    }
}

#[test]
fn without_turns_a_line_is_for_whoever_spoke_and_then_for_the_same() {
    let rules = Rules {
        duplex: true,
        ..OPEN
    };
    play(
        &rules,
        &[
            (Joined(ANNA), &[], Some(ANNA)),
            (line("welcome"), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], Some(ANNA)),
            (Joined(BERT), &[], Some(ANNA)),
            (says(BERT), &[Show], Some(BERT)),
            (line("hello"), &[Send(BERT)], Some(BERT)),
            (Sent(true), &[], Some(BERT)),
            (line("and more"), &[Send(BERT)], Some(BERT)),
            (Sent(true), &[], Some(BERT)),
            // Entered while the prompt still named her.
            (line_to(ANNA), &[Send(ANNA)], Some(ANNA)),
            (Sent(true), &[], Some(ANNA)),
            (line_to(CARL), &[TellUnsent], Some(ANNA)),
            (says(BERT), &[Show], Some(BERT)),
            (
                Cause::Line {
                    text: b"bye",
                    last: true,
                    to: Some(ANNA),
                },
                &[Dismiss(ANNA)],
                Some(BERT),
            ),
            (line("bye"), &[Dismiss(BERT)], None),
        ],
    );
}

#[test]
fn without_turns_a_program_speaks_to_all_and_bye_is_data() {
    let rules = Rules {
        duplex: true,
        sends_to_all: true,
        ..BLIND_AND_OPEN
    };
    play(
        &rules,
        &[
            (Joined(ANNA), &[], Some(ANNA)),
            (Joined(BERT), &[], Some(ANNA)),
            (line("bye"), &[SendAll], Some(ANNA)),
            (Sent(true), &[], Some(ANNA)),
            (part("a", false), &[SendAll], Some(ANNA)),
            (Sent(false), &[], Some(ANNA)),
            (part("b", false), &[SendRest], Some(ANNA)),
            (Sent(false), &[], Some(ANNA)),
            (part("c", true), &[SendRest], Some(ANNA)),
            (Sent(true), &[], Some(ANNA)),
            (line("d"), &[SendAll], Some(ANNA)),
            (Sent(true), &[], Some(ANNA)),
            (says(BERT), &[Show], Some(BERT)),
            (EndOfInput, &[Close], Some(BERT)),
        ],
    );
    let rules = Rules {
        duplex: true,
        ..BLIND
    };
    play(
        &rules,
        &[
            (Joined(Server), &[], Some(Server)),
            (line("bye"), &[Send(Server)], Some(Server)),
        ],
    );
}

#[test]
fn without_turns_the_rest_of_a_line_goes_to_nobody_who_lacks_its_beginning() {
    let rules = Rules {
        duplex: true,
        ..BLIND_AND_OPEN
    };
    for is_sent in [true, false] {
        let (begun, refused): (_, &[_]) = if is_sent {
            (Sent(false), &[])
        } else {
            (NotSent(false), &[TellUnsent])
        };
        play(
            &rules,
            &[
                (Joined(ANNA), &[], Some(ANNA)),
                (part("a", false), &[Send(ANNA)], Some(ANNA)),
                (begun, refused, Some(ANNA)),
                (Cause::Gone(ANNA, Lost), &[TellGone], None),
                (Joined(BERT), &[], Some(BERT)),
                (part("b", false), &[TellUnsent], Some(BERT)),
                (part("c", true), &[TellUnsent], Some(BERT)),
                (line("d"), &[Send(BERT)], Some(BERT)),
            ],
        );
    }
}

#[test]
fn a_server_that_speaks_first_owes_nothing_for_it() {
    let rules = Rules {
        server_first: true,
        ..RAW
    };
    play(
        &rules,
        &[
            (Joined(Server), &[], None),
            (says(Server), &[Show], Some(Server)),
            (line("hello"), &[Send(Server)], Some(Server)),
            (Sent(true), &[], None),
        ],
    );
    play(&rules, &[(Joined(CLIENT), &[], Some(CLIENT))]);
}

#[test]
fn a_reply_ends_with_the_line_that_matches() {
    let rules = Rules {
        framing: Framing::Line,
        reply: Reply {
            until: Some(Regex::new("^[0-9]{3} ").unwrap()),
            ..Reply::default()
        },
        ..RAW
    };
    let mut session = its_turn(&rules);
    for (text, ends) in [("250-one", false), ("250-two", false), ("250 three", true)] {
        assert!(!session.heard(Server, text.as_bytes(), true, true));
        assert_eq!(session.wants_line(), ends, "{text}");
    }
    // Only the beginning of a line that comes in parts is looked at.
    let mut session = its_turn(&rules);
    session.heard(Server, b"250 long", true, false);
    session.heard(Server, b"and on", false, true);
    assert!(session.wants_line());
}

#[test]
fn a_reply_that_ends_by_quiet_does_not_end_by_itself() {
    let rules = Rules {
        reply: Reply {
            quiet: Some(Duration::from_secs(1)),
            ..Reply::default()
        },
        ..RAW
    };
    let mut session = its_turn(&rules);
    session.heard(Server, b"one", true, true);
    assert!(!session.wants_line());
    assert!(!session.reply_ended(Server));
    assert!(session.wants_line());

    // It ends with the connection, too, once it has begun.
    for heard in [true, false] {
        let mut session = its_turn(&rules);
        if heard {
            session.heard(Server, b"one", true, true);
        }
        let owes_reply = !heard;
        assert_eq!(
            session.gone(Server, &Parting::Left),
            Gone::Ends { owes_reply }
        );
    }
}

#[test]
fn each_line_of_a_message_is_answered_by_a_program() {
    let rules = Rules {
        framing: Framing::Nul,
        ..BLIND_AND_OPEN
    };
    let parts: &[(&[&str], usize)] = &[
        (&["one"], 1),
        (&["one\n"], 1),
        (&["one\ntwo"], 2),
        (&["one\ntwo\n"], 2),
        (&["one\n", ""], 1),
        (&["one\n", "two"], 2),
        (&["one\ntw", "o\nthree\n"], 3),
        (&["", "\n\n"], 2),
    ];
    for (parts, lines) in parts {
        let mut session = play(
            &rules,
            &[(Joined(ANNA), &[], None), (Joined(BERT), &[], None)],
        );
        for (index, part) in parts.iter().enumerate() {
            let last = index + 1 == parts.len();
            session.heard(ANNA, part.as_bytes(), index == 0, last);
        }
        go_on(&mut session, &[(says(BERT), &[Show], Some(ANNA))]);
        for line in 1..=*lines {
            assert_eq!(session.asked(), Some(ANNA), "{parts:?}, line {line}");
            session.line(b"answer", true, None);
            session.sent(true);
        }
        assert_eq!(session.asked(), Some(BERT), "{parts:?}");
        assert!(!session.is_ours(ANNA));
    }
}

#[test]
fn a_message_that_another_cuts_is_two_for_a_program() {
    for framing in Framing::ALL {
        let rules = Rules {
            framing,
            ..BLIND_AND_OPEN
        };
        play(
            &rules,
            &[
                (Joined(ANNA), &[], None),
                (Joined(BERT), &[], None),
                (begins(ANNA), &[Show], None),
                (says(BERT), &[Show], Some(ANNA)),
                (line("to the beginning"), &[Send(ANNA)], Some(ANNA)),
                (Sent(true), &[], Some(BERT)),
                (says(ANNA), &[Show], Some(BERT)),
                (line("to Bert"), &[Send(BERT)], Some(BERT)),
                (Sent(true), &[], Some(ANNA)),
            ],
        );
    }
}
