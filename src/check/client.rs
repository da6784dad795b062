//! What a client must do. We are the server.

use std::time::Duration;

use crate::check::judge::{self, Finding};
use crate::check::peer::End;
use crate::check::program::Program;
use crate::check::stage::{self, ANSWERING, CONNECTING, Stage, Trouble};
use crate::check::{Check, Kind};
use crate::sys::Stands;
use crate::{say, words};

/// How long a client may take that tries again.
const RETRYING: Duration = Duration::from_secs(10);

/// How long the server is not there yet.
const LATE: Duration = Duration::from_millis(1500);

/// What is typed first.
const HELLO: &str = "hallo";

pub(super) const CHECKS: [Check; 13] = [
    Check::new("C1", 1, Kind::Wire, connects)
        .named("connects within 3 s", "verbindet sich innert 3 s")
        .deciding(),
    Check::new("C2", 1, Kind::Wire, sends)
        .named("sends the line that is typed", "sendet die getippte Zeile")
        .deciding(),
    Check::new("C3", 1, Kind::Wire, sends_exactly).named("sends exactly that", "sendet genau das"),
    Check::new("C4", 1, Kind::Wire, sends_utf8)
        .named("sends \u{fc} as UTF-8", "sendet \u{fc} als UTF-8"),
    Check::new("C5", 1, Kind::Started, prints)
        .named("prints the reply as text", "gibt die Antwort als Text aus"),
    Check::new("C6", 1, Kind::Wire, goes_on).named("has a second turn", "hat eine zweite Runde"),
    Check::new("C7", 1, Kind::Wire, leaves)
        .named("leaves when bye is typed", "geht, wenn bye getippt wird"),
    Check::new("C8", 2, Kind::Wire, outlives_empty_line).named(
        "goes on after an empty line",
        "macht nach einer leeren Zeile weiter",
    ),
    Check::new("C9", 2, Kind::Started, sees_the_end)
        .named("ends when the server leaves", "endet, wenn der Server geht"),
    Check::new("C10", 2, Kind::Marked, joins_parts).named(
        "takes a reply in two parts as one",
        "nimmt eine Antwort in zwei Teilen als eine",
    ),
    Check::new("C11", 3, Kind::Marked, joins_characters).named(
        "reads a character that arrives in two halves",
        "liest ein Zeichen, das in zwei Hälften kommt",
    ),
    Check::new("C12", 3, Kind::Started, waits_for_the_server).named(
        "tries again when the server is not there yet",
        "versucht es wieder, wenn der Server noch nicht da ist",
    ),
    Check::new("C13", 3, Kind::Started, comes_back).named(
        "comes back when the connection is lost",
        "kommt wieder, wenn die Verbindung abbricht",
    ),
];

/// Has the client connect, to speak next. A client that somebody has started may be there already.
fn connects(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    if stage.goes_on() {
        return if stage.owes { stage.say("ok") } else { Ok(()) };
    }
    stage.clear();
    stage.listen()?;
    stage.start()?;
    if stage.accept(CONNECTING)? {
        return Ok(());
    }
    let has_ended = stage.has_ended();
    let seen = say!("no connection: {}", "keine Verbindung: {}", stage.doing());
    let port = stage.options.port;
    let (seen, hint) = if has_ended {
        (
            seen,
            words!(
                "It ends before connect(): is client_program() called, and is this the right file?",
                "Es endet vor connect(): wird client_program() aufgerufen, und ist es die richtige \
                 Datei?"
            ),
        )
    } else if speaks_udp(stage)? {
        (
            say!(
                "a UDP datagram on port {port}, and no connection",
                "ein UDP-Datagramm auf Port {port} und keine Verbindung"
            ),
            stage::is_udp(),
        )
    } else if stage.accept(Duration::ZERO)? {
        (
            say!(
                "it connects only when a line has been typed",
                "es verbindet sich erst, wenn eine Zeile getippt ist"
            ),
            words!(
                "connect() comes before input().",
                "connect() kommt vor input()."
            ),
        )
    } else {
        (
            seen,
            words!(
                "Compare the host and the port in connect(): localhost, and the port of this check.",
                "Host und Port in connect() vergleichen: localhost und der Port dieser Prüfung."
            ),
        )
    };
    Err(Trouble::Finding(Finding {
        seen,
        expected: say!(
            "a TCP connection to 127.0.0.1:{port} within 3 s",
            "eine TCP-Verbindung zu 127.0.0.1:{port} innert 3 s"
        ),
        hint: hint.into(),
    }))
}

/// Types a line, since a client over UDP sends nothing before. Returns whether a datagram comes.
fn speaks_udp(stage: &mut Stage<'_>) -> Result<bool, Trouble> {
    stage.type_line(HELLO);
    stage.wait(ANSWERING / 2, |stage| stage.has_datagram())
}

/// Has the client connect and send `text`. Returns what came.
fn say(stage: &mut Stage<'_>, text: &str) -> Result<Vec<u8>, Trouble> {
    connects(stage)?;
    say_next(stage, text)
}

/// Has the client send `text` next. Fails unless it sends exactly that.
fn say_exactly(stage: &mut Stage<'_>, text: &str) -> Result<(), Trouble> {
    let heard = say_next(stage, text)?;
    Ok(judge::sent(stage.options.framing, text, &heard)?)
}

/// Has the client send `text`, which is typed. Returns what came.
fn say_next(stage: &mut Stage<'_>, text: &str) -> Result<Vec<u8>, Trouble> {
    stage.type_line(text);
    let least = judge::encode(stage.options.framing, text).len();
    let heard = stage.hear(least)?;
    stage.owes = !heard.is_empty();
    if stage.owes {
        return Ok(heard);
    }
    let expected = say!(
        "\"{text}\" within 2 s after it was typed",
        "\"{text}\" innert 2 s nach dem Tippen"
    );
    let hint = |stage: &Stage<'_>, is_closed| {
        let has_read = stage.program.as_ref().and_then(Program::has_read);
        match stage.stands() {
            _ if is_closed => words!(
                "It leaves instead of sending: is the text sent within the loop, and close() after \
                 it?",
                "Es geht, statt zu senden: wird der Text in der Schleife gesendet, und close() erst \
                 danach?"
            ),
            Some(Stands::Recv) if has_read == Some(false) => words!(
                "It waits for the server, but the client speaks first: input() and send() come \
                 before recv().",
                "Es wartet auf den Server, aber der Client spricht zuerst: input() und send() kommen \
                 vor recv()."
            ),
            Some(Stands::Recv | Stands::Input) => words!(
                "It has taken the line and sent nothing: is send() missing, or, with makefile(), \
                 flush()?",
                "Es hat die Zeile genommen und nichts gesendet: fehlt send(), oder bei makefile() \
                 flush()?"
            ),
            _ => words!(
                "After input(), send() must follow; with makefile(), flush() too.",
                "Auf input() muss send() folgen; bei makefile() auch flush()."
            ),
        }
    };
    Err(stage.silence(expected, hint))
}

fn sends(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    stage.first = say(stage, HELLO)?;
    Ok(())
}

/// The message is the one that the check before has seen.
fn sends_exactly(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    Ok(judge::sent(stage.options.framing, HELLO, &stage.first)?)
}

fn sends_utf8(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    connects(stage)?;
    say_exactly(stage, "gr\u{fc}ezi")
}

fn prints(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    say(stage, HELLO)?;
    stage.say("Z\u{fc}rich")?;
    stage.expect_printed("Z\u{fc}rich")
}

fn goes_on(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    say(stage, HELLO)?;
    stage.say("eins")?;
    say_exactly(stage, "noch einmal")?;
    stage.say("zwei")?;
    stage.expect_printed("zwei")
}

fn leaves(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    say(stage, HELLO)?;
    stage.say("gut")?;
    stage.type_line("bye");
    let heard = stage.hear(1)?;
    let end = stage.end();
    let (seen, hint) = if !heard.is_empty() {
        (
            judge::dump(&heard),
            words!(
                "bye is not sent: look at it before send(), not after.",
                "bye wird nicht gesendet: vor send() darauf prüfen, nicht danach."
            ),
        )
    } else if end.is_none() {
        (
            stage.doing(),
            words!(
                "The loop must end with bye, in any case and with spaces around it: \
                 message.lower().strip() != 'bye'. Then close().",
                "Die Schleife muss bei bye enden, gross oder klein, auch mit Leerzeichen: \
                 message.lower().strip() != 'bye'. Danach close()."
            ),
        )
    } else if end == Some(End::Reset) {
        (
            say!(
                "the connection is reset",
                "die Verbindung wird zurückgesetzt"
            ),
            words!(
                "close() with something unread resets the connection: read the reply before.",
                "close() mit Ungelesenem setzt die Verbindung zurück: vorher die Antwort lesen."
            ),
        )
    } else if stage.is_by_hand() {
        return Ok(());
    } else if !stage.wait(ANSWERING, Stage::has_ended)? {
        (
            say!(
                "it has closed the connection, but does not end: {}",
                "es hat die Verbindung geschlossen, endet aber nicht: {}",
                stage.doing()
            ),
            words!(
                "After close() the program has nothing left to do.",
                "Nach close() hat das Programm nichts mehr zu tun."
            ),
        )
    } else if stage.has_failed() {
        (
            stage.doing(),
            words!("It ends with an error.", "Es endet mit einem Fehler."),
        )
    } else {
        return Ok(());
    };
    Err(Trouble::Finding(Finding {
        seen,
        expected: say!(
            "the connection is closed within 2 s, nothing is sent, and the program ends with status 0",
            "die Verbindung wird innert 2 s geschlossen, nichts wird gesendet, und das Programm endet \
             mit Status 0"
        ),
        hint: hint.into(),
    }))
}

fn outlives_empty_line(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let framing = stage.options.framing;
    connects(stage)?;
    stage.type_line("");
    stage.type_line(HELLO);
    let empty = judge::encode(framing, "");
    let mut heard = stage.hear(empty.len().max(1))?;
    // With an end mark, an empty message is a message like another.
    if framing.marks_the_end() && judge::sent(framing, "", &heard).is_ok() {
        stage.say("ok")?;
        heard = stage.hear(1)?;
    }
    if heard.is_empty() {
        return Err(Trouble::Finding(Finding {
            seen: say!("no byte: {}", "kein Byte: {}", stage.doing()),
            expected: say!(
                "\"{HELLO}\", which was typed after the empty line",
                "\"{HELLO}\", das nach der leeren Zeile getippt wurde"
            ),
            hint: say!(
                "send() of an empty text sends no byte, so the server answers nothing, and both wait \
                 for ever: ask again when the line is empty.",
                "send() mit leerem Text sendet kein Byte, der Server antwortet nicht, und beide warten \
                 für immer: bei leerer Zeile nochmals fragen."
            ),
        }));
    }
    stage.owes = true;
    Ok(judge::sent(framing, HELLO, &heard)?)
}

fn sees_the_end(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    say(stage, HELLO)?;
    stage.leave();
    if stage.wait(ANSWERING, Stage::has_ended)? && !stage.has_failed() {
        return Ok(());
    }
    Err(Trouble::Finding(Finding {
        seen: stage.doing(),
        expected: say!(
            "it ends by itself, without an exception",
            "es endet von selbst, ohne Ausnahme"
        ),
        hint: say!(
            "When the server has left, recv() returns no bytes: end the loop then (if not data: \
             break).",
            "Wenn der Server gegangen ist, liefert recv() keine Bytes: dann die Schleife beenden \
             (if not data: break)."
        ),
    }))
}

fn joins_parts(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    say(stage, HELLO)?;
    let long = judge::long_text();
    let bytes = judge::encode(stage.options.framing, &long);
    let (start, end) = bytes.split_at(long.len() / 2);
    stage.send(&[start, end])?;
    stage.expect_printed(&long)?;
    say_exactly(stage, "weiter")
}

fn joins_characters(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    say(stage, HELLO)?;
    stage.say_torn("Z\u{fc}rich")
}

fn waits_for_the_server(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    stage.clear();
    stage.start()?;
    stage.pause(LATE)?;
    stage.listen()?;
    connects_again(stage, HELLO)
}

fn comes_back(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    say(stage, HELLO)?;
    // A connection that is dropped is reset.
    stage.peer = None;
    connects_again(stage, "noch da")
}

/// Fails unless the client connects within a longer time, and sends `text`, which is typed.
fn connects_again(stage: &mut Stage<'_>, text: &str) -> Result<(), Trouble> {
    if stage.accept(RETRYING)? {
        return say_next(stage, text).map(drop);
    }
    Err(Trouble::Certain(Finding {
        seen: stage.doing(),
        expected: say!(
            "it connects within 10 s when the server is there",
            "es verbindet sich innert 10 s, wenn der Server da ist"
        ),
        hint: say!(
            "Catch ConnectionError, wait a moment, and connect again with a new socket.",
            "ConnectionError abfangen, kurz warten, und mit einem neuen Socket erneut verbinden."
        ),
    }))
}
