//! What a server must do. We are its clients.

use std::io::ErrorKind;
use std::mem;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::check::judge::{self, Finding};
use crate::check::peer::Peer;
use crate::check::program::Program;
use crate::check::stage::{self, ANSWERING, BETWEEN, Stage, Trouble, tell};
use crate::check::{Check, Kind};
use crate::sys::{self, Stands};
use crate::{say, words};

/// How long a server must say nothing after a client has connected.
const SILENT: Duration = Duration::from_millis(700);

/// How long the processor is watched, and how much of it a server may use that has nothing to do.
const WATCHED: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_millis(200);

/// How often a server is watched that goes on to use the processor, of which it may get little.
const WATCHES: u32 = 5;

/// How long an answer may take that the server gives by itself.
const BY_ITSELF: Duration = Duration::from_millis(300);

/// How long the system may keep the port of a connection that has ended.
const TIME_WAIT: Duration = Duration::from_secs(65);

/// How many clients come at once.
const CROWD: usize = 20;

pub(super) const CHECKS: [Check; 10] = [
    Check::new("S1", 1, Kind::Wire, listens)
        .named("listens within 3 s", "hört innert 3 s zu")
        .deciding(),
    Check::new("S2", 1, Kind::Wire, waits)
        .named(
            "accepts a client, and lets it speak first",
            "nimmt einen Client an und lässt ihn zuerst sprechen",
        )
        .deciding(),
    Check::new("S3", 1, Kind::Wire, answers)
        .named(
            "prints what the client says, and answers",
            "gibt aus, was der Client sagt, und antwortet",
        )
        .deciding(),
    Check::new("S4", 1, Kind::Wire, goes_on).named(
        "has a second turn, and answers in UTF-8",
        "hat eine zweite Runde und antwortet in UTF-8",
    ),
    Check::new("S5", 1, Kind::Started, sees_the_end)
        .named("sees that the client leaves", "merkt, dass der Client geht"),
    Check::new("S6", 2, Kind::Started, serves_the_next).named(
        "serves the next client, and starts again at once",
        "bedient den nächsten Client und startet sofort wieder",
    ),
    Check::new("S7", 2, Kind::Marked, finds_messages).named(
        "finds each message, however it arrives",
        "findet jede Nachricht, wie auch immer sie ankommt",
    ),
    Check::new("S8", 3, Kind::Started, serves_two)
        .named(
            "serves a second client while the first is silent",
            "bedient einen zweiten Client, während der erste schweigt",
        )
        .deciding(),
    Check::new("S9", 3, Kind::Started, serves_many).named(
        "gives each of 20 clients its own answer",
        "gibt jedem von 20 Clients seine eigene Antwort",
    ),
    Check::new("S10", 3, Kind::Started, outlives_reset).named(
        "goes on when a client is lost",
        "macht weiter, wenn ein Client abbricht",
    ),
];

/// Starts the server, unless somebody else does, and connects the first client.
fn enter(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    stage.clear();
    if stage.is_by_hand() {
        stage.start()?;
        return connect(stage);
    }
    if stage.dial().is_some() {
        return Err(stage.port_taken(ErrorKind::AddrInUse.into()));
    }
    stage.start()?;
    if stage.connect()? {
        return Ok(());
    }
    // A connection of a minute ago, ours or another, is no fault of this server.
    if stage.has_ended() && !stage.is_port_free() {
        tell(words!(
            "The port is taken for a minute after the last connection. Waiting for it \u{2026}",
            "Der Port ist noch eine Minute nach der letzten Verbindung belegt. Warten \u{2026}"
        ));
        stage.wait(TIME_WAIT, |stage| stage.is_port_free())?;
        stage.start()?;
    }
    connect(stage)
}

/// Has the server listen, and connects to it. One that somebody has started may be there already.
fn listens(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    if stage.goes_on() {
        return Ok(());
    }
    enter(stage)
}

/// Connects a client, which takes part in the conversation from here on.
fn connect(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    if stage.connect()? {
        return Ok(());
    }
    let port = stage.options.port;
    // Nobody but a socket for UDP keeps another from the port.
    let is_udp = !stage.has_ended() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err();
    let (seen, hint) = if is_udp {
        (
            say!(
                "a UDP socket on port {port}, which takes no connection",
                "ein UDP-Socket auf Port {port}, der keine Verbindung annimmt"
            ),
            stage::is_udp(),
        )
    } else {
        (
            say!(
                "connection refused: {}",
                "Verbindung abgelehnt: {}",
                stage.doing()
            ),
            if stage.has_ended() {
                words!(
                    "It does not get as far as listen(): is server_program() called, and is this the \
                     right file?",
                    "Es kommt nicht bis listen(): wird server_program() aufgerufen, und ist es die \
                     richtige Datei?"
                )
            } else {
                words!(
                    "Compare the port in bind(), and call listen() before accept().",
                    "Den Port in bind() vergleichen, und listen() vor accept() aufrufen."
                )
            },
        )
    };
    Err(Trouble::Finding(Finding {
        seen,
        expected: say!(
            "a server that listens on 127.0.0.1:{port} within 3 s",
            "ein Server, der innert 3 s auf 127.0.0.1:{port} zuhört"
        ),
        hint: hint.into(),
    }))
}

fn waits(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    listens(stage)?;
    let mut arrived = Vec::new();
    let is_quiet = !stage.wait(SILENT, |stage| {
        arrived = stage.peer.as_mut().map(Peer::take).unwrap_or_default();
        !arrived.is_empty() || stage.end().is_some()
    })?;
    if is_quiet {
        return Ok(());
    }
    let (seen, hint) = if arrived.is_empty() {
        (
            say!(
                "the connection is closed at once: {}",
                "die Verbindung wird sofort geschlossen: {}",
                stage.doing()
            ),
            words!(
                "Keep what accept() returns, and wait in recv() of that socket.",
                "Behalten, was accept() liefert, und in recv() dieses Sockets warten."
            ),
        )
    } else {
        (
            judge::dump(&arrived),
            words!(
                "The server speaks first: recv() must come before send().",
                "Der Server spricht zuerst: recv() muss vor send() kommen."
            ),
        )
    };
    Err(Trouble::Finding(Finding {
        seen,
        expected: say!(
            "nothing for 0.7 s, and an open connection",
            "0,7 s lang nichts, und eine offene Verbindung"
        ),
        hint: hint.into(),
    }))
}

/// Sends `said` and has `answer` typed, unless the server answers by itself. Fails unless the server
/// prints the one and sends the other.
fn exchange(stage: &mut Stage<'_>, said: &str, answer: &str) -> Result<(), Trouble> {
    stage.say(said)?;
    stage.expect_printed(said)?;
    answered(stage, answer)
}

/// Has `answer` typed, unless the server answers by itself. Fails unless it answers.
fn answered(stage: &mut Stage<'_>, answer: &str) -> Result<(), Trouble> {
    let framing = stage.options.framing;
    let by_itself = !stage.is_by_hand() && stage.wait(BY_ITSELF, Stage::has_arrived)?;
    if !by_itself {
        stage.type_line(answer);
    }
    let least = judge::encode(framing, if by_itself { "" } else { answer }).len();
    let heard = stage.hear(least)?;
    if !heard.is_empty() {
        return if by_itself {
            Ok(judge::ended(framing, &heard)?)
        } else {
            Ok(judge::sent(framing, answer, &heard)?)
        };
    }
    let expected = say!(
        "the answer \"{answer}\" within 2 s after it was typed",
        "die Antwort \"{answer}\" innert 2 s nach dem Tippen"
    );
    let hint = |stage: &Stage<'_>, is_closed| match stage.stands() {
        _ if is_closed => words!(
            "It closes the connection instead of answering: close() comes after the loop.",
            "Es schliesst die Verbindung, statt zu antworten: close() kommt nach der Schleife."
        ),
        Some(Stands::Accept) => words!(
            "It waits for another client: accept() comes before the loop of recv() and send().",
            "Es wartet auf einen weiteren Client: accept() kommt vor der Schleife mit recv() und \
             send()."
        ),
        Some(Stands::Recv) => words!(
            "It waits for the client again without an answer: is send() missing, or the text empty? \
             send() of an empty text sends no byte.",
            "Es wartet wieder auf den Client, ohne Antwort: fehlt send(), oder ist der Text leer? \
             send() mit leerem Text sendet kein Byte."
        ),
        _ => words!(
            "After input(), send() must follow, on the socket that accept() returned.",
            "Auf input() muss send() folgen, auf dem Socket, den accept() geliefert hat."
        ),
    };
    Err(stage.silence(expected, hint))
}

fn answers(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    listens(stage)?;
    exchange(stage, "gr\u{fc}ezi", "gut")
}

fn goes_on(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    listens(stage)?;
    exchange(stage, "eins", "gut")?;
    exchange(stage, "zwei", "Z\u{fc}rich")
}

fn sees_the_end(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    enter(stage)?;
    exchange(stage, "hallo", "gut")?;
    stage.leave();
    // What it does at once is no spinning.
    stage.pause(BETWEEN)?;
    let (before, since) = (processor_time(stage), Instant::now());
    let mut busy = Duration::ZERO;
    for _ in 0..WATCHES {
        stage.wait(WATCHED, Stage::has_ended)?;
        let more = processor_time(stage).saturating_sub(before + busy);
        busy += more;
        if more.is_zero() || busy > IDLE {
            break;
        }
    }
    let lines = memchr::memchr_iter(b'\n', &stage.printed()).count();
    let (seen, hint) = if !stage.has_ended() && (busy > IDLE || lines > 20) {
        let percent = 100.0 * busy.as_secs_f32() / since.elapsed().as_secs_f32();
        (
            say!(
                "it does not wait any more: it uses {percent:.0} % of a core and has printed {lines} \
                 lines",
                "es wartet nicht mehr: es braucht {percent:.0} % eines Kerns und hat {lines} Zeilen \
                 ausgegeben"
            ),
            words!(
                "When the client has left, recv() returns no bytes at once, again and again: end the \
                 loop then (if not data: break).",
                "Wenn der Client gegangen ist, liefert recv() sofort keine Bytes, immer wieder: dann \
                 die Schleife beenden (if not data: break)."
            ),
        )
    } else {
        if stage.stands() == Some(Stands::Input) {
            // It may still want to answer, which shows what it makes of that.
            stage.type_line("noch da");
            stage.type_line("noch da");
            stage.pause(BETWEEN)?;
        }
        if !stage.has_failed() {
            return Ok(());
        }
        (
            stage.doing(),
            words!(
                "When the client has left, recv() returns no bytes: end the loop then (if not data: \
                 break).",
                "Wenn der Client gegangen ist, liefert recv() keine Bytes: dann die Schleife beenden \
                 (if not data: break)."
            ),
        )
    };
    Err(Trouble::Finding(Finding {
        seen,
        expected: say!(
            "it ends, or waits for the next client, without an exception",
            "es endet oder wartet auf den nächsten Client, ohne Ausnahme"
        ),
        hint: hint.into(),
    }))
}

/// Returns the time that the processor has spent on the program, 0 if the system does not tell.
fn processor_time(stage: &Stage<'_>) -> Duration {
    let id = stage.program.as_ref().map(Program::id);
    id.and_then(sys::processor_time).unwrap_or_default()
}

fn serves_the_next(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    enter(stage)?;
    exchange(stage, "eins", "gut")?;
    stage.leave();
    stage.pause(BETWEEN)?;
    let served = stage
        .connect()?
        .then(|| exchange(stage, "zwei", "auch gut"));
    match served {
        Some(Err(Trouble::Finding(_))) if stage.end().is_some() || stage.has_ended() => {
            return Err(only_one(stage));
        }
        Some(result) => result?,
        None => return Err(only_one(stage)),
    }
    // It leaves first, so that the connection keeps its port for a while.
    stage.program = None;
    stage.leave();
    stage.start()?;
    connect(stage)?;
    exchange(stage, "drei", "wieder gut")
}

/// Returns what to say of a server that ends with its first client.
fn only_one(stage: &mut Stage<'_>) -> Trouble {
    Trouble::Certain(Finding {
        seen: say!(
            "the second client is not served: {}",
            "der zweite Client wird nicht bedient: {}",
            stage.doing()
        ),
        expected: say!(
            "an answer for the client that comes when the first has left",
            "eine Antwort für den Client, der nach dem ersten kommt"
        ),
        hint: say!(
            "Put accept() in a loop around the one of recv() and send().",
            "accept() in eine Schleife um die mit recv() und send() setzen."
        ),
    })
}

fn finds_messages(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let framing = stage.options.framing;
    enter(stage)?;
    exchange(stage, &judge::long_text(), "eins")?;
    // A server that took the long one for several would be out of step.
    exchange(stage, "kurz", "zwei")?;
    stage.say_torn("gr\u{fc}ezi")?;
    answered(stage, "drei")?;
    let both = ["Anna", "Bert"].map(|text| judge::encode(framing, text));
    stage.send(&[&both.concat()])?;
    stage.type_line("vier");
    stage.type_line("fuenf");
    let mut count = 0;
    stage.wait(ANSWERING, |stage| {
        let peer = stage.peer.as_mut();
        count = peer.map_or(0, |peer| judge::count(framing, peer.arrived()));
        count >= 2
    })?;
    if count == 2 {
        return Ok(());
    }
    Err(Trouble::Finding(Finding {
        seen: say!(
            "{count} answer(s) to two messages that came at once",
            "{count} Antwort(en) auf zwei Nachrichten, die zugleich kamen"
        ),
        expected: say!("2 answers", "2 Antworten"),
        hint: say!(
            "One recv() may return several messages: split what has come at the end marks, and keep \
             the rest for later.",
            "Ein recv() kann mehrere Nachrichten liefern: was gekommen ist, an den Endezeichen teilen \
             und den Rest für später behalten."
        ),
    }))
}

fn serves_two(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    enter(stage)?;
    let _silent = stage.peer.take();
    connect(stage)?;
    match exchange(stage, "ich bin die Zweite", "gut") {
        Err(Trouble::Finding(_)) if !stage.has_failed() => Err(Trouble::Certain(Finding {
            seen: say!(
                "no answer for the second client: {}",
                "keine Antwort für den zweiten Client: {}",
                stage.doing()
            ),
            expected: say!(
                "an answer, though the first client says nothing",
                "eine Antwort, obwohl der erste Client nichts sagt"
            ),
            hint: say!(
                "Start a thread for each client: threading.Thread(target=…, args=(conn,)).start()",
                "Für jeden Client einen Thread starten: threading.Thread(target=…, \
                 args=(conn,)).start()"
            ),
        })),
        result => result,
    }
}

fn serves_many(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let framing = stage.options.framing;
    enter(stage)?;
    let mut peers = Vec::from_iter(stage.peer.take());
    while peers.len() < CROWD {
        connect(stage)?;
        peers.extend(stage.peer.take());
    }
    let word = |number: usize| format!("Wort-{number:02}");
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.send(&judge::encode(framing, &word(number)));
    }
    for number in 0..CROWD {
        stage.expect_printed(&word(number))?;
    }
    let answered = |peers: &mut [Peer]| {
        let arrived = peers.iter_mut().map(Peer::arrived);
        arrived
            .filter(|bytes| judge::is_ended(framing, bytes))
            .count()
    };
    let by_itself = stage.wait(BY_ITSELF, |_| answered(&mut peers) > 0)?;
    for number in 1..=CROWD {
        // One after another: threads of Python's that read stdin at once lose lines.
        if !by_itself {
            stage.type_line(&format!("Antwort-{number:02}"));
        }
        if !stage.wait(ANSWERING, |_| answered(&mut peers) >= number)? {
            break;
        }
    }
    let answers: Vec<_> = peers.iter_mut().map(Peer::take).collect();
    let holds = |answer: &[u8], word: &str| memchr::memmem::find(answer, word.as_bytes()).is_some();
    let is_echo = answers.iter().any(|answer| holds(answer, "Wort-"));
    let is_own = |number: usize, answer: &Vec<u8>| {
        if is_echo {
            holds(answer, &word(number))
        } else {
            by_itself || answers.iter().filter(|other| *other == answer).count() == 1
        }
    };
    let wrong = answers.iter().enumerate().find(|(number, answer)| {
        answer.trim_ascii().is_empty()
            || judge::count(framing, answer) != 1
            || !is_own(*number, answer)
    });
    let Some((number, answer)) = wrong else {
        return Ok(());
    };
    let word = word(number);
    Err(Trouble::Finding(Finding {
        seen: say!(
            "the client that said \"{word}\" got: {}",
            "der Client, der \"{word}\" sagte, bekam: {}",
            judge::dump(answer)
        ),
        expected: say!(
            "one answer for each of 20 clients, and to each its own",
            "je eine Antwort für 20 Clients, und jedem die eigene"
        ),
        hint: say!(
            "Each thread needs its own conn and its own data: no global variables.",
            "Jeder Thread braucht sein eigenes conn und seine eigenen Daten: keine globalen \
             Variablen."
        ),
    }))
}

fn outlives_reset(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    enter(stage)?;
    let mut lost = stage.peer.take();
    connect(stage)?;
    mem::swap(&mut stage.peer, &mut lost);
    exchange(stage, "eins", "gut")?;
    mem::swap(&mut stage.peer, &mut lost);
    exchange(stage, "zwei", "auch gut")?;
    drop(lost);
    stage.pause(BETWEEN)?;
    exchange(stage, "drei", "immer noch gut")?;
    let _stays = stage.peer.take();
    connect(stage)?;
    exchange(stage, "vier", "alles gut")
}
