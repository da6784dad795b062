//! What a server must do. We are its clients.

use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

use crate::check::judge::{self, Finding};
use crate::check::peer::Peer;
use crate::check::program::Program;
use crate::check::stage::{ANSWERING, CONNECTING, Stage, Trouble, tell};
use crate::check::{Check, Kind};
use crate::framing::Framing;
use crate::sys::Stands;
use crate::{say, words};

/// How long a server must say nothing after a client has connected.
const SILENT: Duration = Duration::from_millis(700);

/// How long the processor is watched, and how much of that time a server may use that has nothing to
/// do.
const WATCHED: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_millis(200);

/// How long an answer may take that the server gives by itself.
const BY_ITSELF: Duration = Duration::from_millis(300);

/// The pause between two parts of a message.
const BETWEEN: Duration = Duration::from_millis(200);

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
fn enter(stage: &mut Stage<'_>) -> Result<Peer, Trouble> {
    stage.clear();
    if stage.is_by_hand() {
        let port = stage.options.port;
        tell(&say!(
            "Start your server now: it must listen on port {port}.",
            "Starte jetzt deinen Server: er muss auf Port {port} zuhören."
        ));
        return connect(stage);
    }
    stage.expect_nobody()?;
    stage.start()?;
    if let Some(peer) = stage.connect(CONNECTING)? {
        return Ok(peer);
    }
    // A connection of a minute ago, ours or another, is no fault of this server.
    if stage.has_ended() && !stage.is_port_free() {
        tell(words!(
            "The port is taken for a minute after the last connection. Waiting for it \u{2026}",
            "Der Port ist noch eine Minute nach der letzten Verbindung belegt. Warten \u{2026}"
        ));
        stage.wait(TIME_WAIT, |stage| stage.is_port_free().then_some(()))?;
        stage.start()?;
    }
    connect(stage)
}

/// Has the server listen, and connects to it. One that somebody has started may be there already.
fn listens(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    if stage.is_by_hand()
        && let Some(peer) = &mut stage.peer
        && peer.end().is_none()
    {
        return Ok(());
    }
    stage.peer = Some(enter(stage)?);
    Ok(())
}

/// Connects another client.
fn connect(stage: &mut Stage<'_>) -> Result<Peer, Trouble> {
    if let Some(peer) = stage.connect(CONNECTING)? {
        return Ok(peer);
    }
    let port = stage.options.port;
    // Nobody but a socket for UDP keeps another from the port.
    let is_udp = !stage.has_ended() && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err();
    let seen = if is_udp {
        say!(
            "a UDP socket on port {port}, which takes no connection",
            "ein UDP-Socket auf Port {port}, der keine Verbindung annimmt"
        )
    } else {
        say!(
            "connection refused: {}",
            "Verbindung abgelehnt: {}",
            stage.doing()
        )
    };
    let hint = if is_udp {
        words!(
            "SOCK_DGRAM is UDP, which has no connections: use socket.SOCK_STREAM.",
            "SOCK_DGRAM ist UDP und hat keine Verbindungen: socket.SOCK_STREAM verwenden."
        )
    } else if stage.has_ended() {
        words!(
            "It does not get as far as listen(): is server_program() called, and is this the right \
             file?",
            "Es kommt nicht bis listen(): wird server_program() aufgerufen, und ist es die richtige \
             Datei?"
        )
    } else {
        words!(
            "Compare the port in bind(), and call listen() before accept().",
            "Den Port in bind() vergleichen, und listen() vor accept() aufrufen."
        )
    };
    Err(Finding {
        seen,
        expected: say!(
            "a server that listens on 127.0.0.1:{port} within 3 s",
            "ein Server, der innert 3 s auf 127.0.0.1:{port} zuhört"
        ),
        hint: hint.into(),
    }
    .into())
}

fn waits(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    listens(stage)?;
    let mut peer = connected(stage)?;
    let seen = stage.wait(SILENT, |_| {
        let arrived = peer.arrived().to_vec();
        (!arrived.is_empty() || peer.end().is_some()).then_some(arrived)
    })?;
    stage.peer = Some(peer);
    let Some(arrived) = seen else {
        return Ok(());
    };
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
    Err(Finding {
        seen,
        expected: words!(
            "nothing for 0.7 s, and an open connection",
            "0,7 s lang nichts, und eine offene Verbindung"
        )
        .into(),
        hint: hint.into(),
    }
    .into())
}

/// Takes the conversation that is going on out of the stage.
fn connected(stage: &mut Stage<'_>) -> Result<Peer, Trouble> {
    match stage.peer.take() {
        Some(peer) => Ok(peer),
        None => connect(stage),
    }
}

/// Sends `said` and has `answer` typed, unless the server answers by itself. Fails unless the server
/// prints the one and sends the other.
fn exchange(
    stage: &mut Stage<'_>,
    peer: &mut Peer,
    said: &str,
    answer: &str,
) -> Result<(), Trouble> {
    let bytes = judge::encode(stage.options.framing, said);
    exchange_in_parts(stage, peer, (said, &[&bytes]), answer)
}

/// Does what [`exchange`] does, but sends the message in parts.
fn exchange_in_parts(
    stage: &mut Stage<'_>,
    peer: &mut Peer,
    (said, parts): (&str, &[&[u8]]),
    answer: &str,
) -> Result<(), Trouble> {
    if let Some(program) = &mut stage.program {
        program.mark();
    }
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            stage.pause(BETWEEN)?;
        }
        peer.send_bytes(part);
    }
    stage.expect_printed(said)?;
    answered(stage, peer, answer)
}

/// Has `answer` typed, unless the server answers by itself. Fails unless it answers.
fn answered(stage: &mut Stage<'_>, peer: &mut Peer, answer: &str) -> Result<(), Trouble> {
    let framing = stage.options.framing;
    let by_itself = !stage.is_by_hand()
        && stage
            .wait(BY_ITSELF, |_| (!peer.arrived().is_empty()).then_some(()))?
            .is_some();
    if !by_itself {
        stage.type_line(answer);
    }
    let least = judge::encode(framing, if by_itself { "" } else { answer }).len();
    let heard = stage.message(peer, least)?;
    if heard.is_empty() {
        return Err(silence(stage, peer, answer).into());
    }
    if by_itself {
        if judge::is_ended(framing, &heard) {
            return Ok(());
        }
        return Err(judge::unended(framing, &heard).into());
    }
    Ok(judge::sent(framing, answer, &heard)?)
}

/// Returns why the server has not answered.
fn silence(stage: &mut Stage<'_>, peer: &mut Peer, answer: &str) -> Finding {
    let end = peer.end();
    let doing = stage.doing();
    let hint = match (end, stage.stands()) {
        (Some(_), _) => words!(
            "It closes the connection instead of answering: close() comes after the loop.",
            "Es schliesst die Verbindung, statt zu antworten: close() kommt nach der Schleife."
        ),
        (None, Some(Stands::Accept)) => words!(
            "It waits for another client: accept() comes before the loop of recv() and send().",
            "Es wartet auf einen weiteren Client: accept() kommt vor der Schleife mit recv() und \
             send()."
        ),
        (None, Some(Stands::Recv)) => words!(
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
    Finding {
        seen: match end {
            Some(_) => say!(
                "no byte, and the connection is closed: {doing}",
                "kein Byte, und die Verbindung ist geschlossen: {doing}"
            ),
            None => say!("no byte: {doing}", "kein Byte: {doing}"),
        },
        expected: say!(
            "the answer \"{answer}\" within 2 s after it was typed",
            "die Antwort \"{answer}\" innert 2 s nach dem Tippen"
        ),
        hint: hint.into(),
    }
}

fn answers(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    listens(stage)?;
    let mut peer = connected(stage)?;
    let result = exchange(stage, &mut peer, "gr\u{fc}ezi", "gut");
    stage.peer = Some(peer);
    result
}

fn goes_on(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    listens(stage)?;
    let mut peer = connected(stage)?;
    let result = exchange(stage, &mut peer, "eins", "gut")
        .and_then(|()| exchange(stage, &mut peer, "zwei", "Z\u{fc}rich"));
    stage.peer = Some(peer);
    result
}

fn sees_the_end(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    listens(stage)?;
    let mut peer = connected(stage)?;
    exchange(stage, &mut peer, "hallo", "gut")?;
    if let Some(program) = &mut stage.program {
        program.mark();
    }
    peer.close();
    let spent = |stage: &Stage<'_>| {
        let program = stage.program.as_ref();
        program
            .and_then(Program::processor_time)
            .unwrap_or_default()
    };
    // What it does at once is no spinning.
    stage.pause(BETWEEN)?;
    let (before, since) = (spent(stage), Instant::now());
    stage.wait(WATCHED, |stage| stage.has_ended().then_some(()))?;
    let busy = spent(stage).saturating_sub(before);
    let share = busy.as_secs_f32() / since.elapsed().as_secs_f32();
    let printed = stage.program.as_ref().map(Program::printed);
    let lines = printed.map_or(0, |text| memchr::memchr_iter(b'\n', &text).count());
    let (seen, hint) = if !stage.has_ended() && (busy > IDLE || lines > 20) {
        let percent = 100.0 * share;
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
    Err(Finding {
        seen,
        expected: words!(
            "it ends, or waits for the next client, without an exception",
            "es endet oder wartet auf den nächsten Client, ohne Ausnahme"
        )
        .into(),
        hint: hint.into(),
    }
    .into())
}

fn serves_the_next(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let mut first = enter(stage)?;
    exchange(stage, &mut first, "eins", "gut")?;
    first.close();
    stage.pause(BETWEEN)?;
    let Some(mut second) = stage.connect(CONNECTING)? else {
        return Err(Trouble::Certain(only_one(stage)));
    };
    match exchange(stage, &mut second, "zwei", "auch gut") {
        Err(Trouble::Finding(_)) if second.end().is_some() || stage.has_ended() => {
            return Err(Trouble::Certain(only_one(stage)));
        }
        result => result?,
    }
    // It leaves first, so that the connection keeps its port for a while.
    stage.program = None;
    second.close();
    stage.start()?;
    let mut peer = connect(stage)?;
    exchange(stage, &mut peer, "drei", "wieder gut")
}

/// Returns what to say of a server that ends with its first client.
fn only_one(stage: &mut Stage<'_>) -> Finding {
    Finding {
        seen: say!(
            "the second client is not served: {}",
            "der zweite Client wird nicht bedient: {}",
            stage.doing()
        ),
        expected: words!(
            "an answer for the client that comes when the first has left",
            "eine Antwort für den Client, der nach dem ersten kommt"
        )
        .into(),
        hint: words!(
            "Put accept() in a loop around the one of recv() and send().",
            "accept() in eine Schleife um die mit recv() und send() setzen."
        )
        .into(),
    }
}

fn finds_messages(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let framing = stage.options.framing;
    listens(stage)?;
    let mut peer = connected(stage)?;
    let long = judge::long_text();
    exchange(stage, &mut peer, &long, "eins")?;
    // A server that took the long one for several would be out of step.
    exchange(stage, &mut peer, "kurz", "zwei")?;
    let umlaut = "gr\u{fc}ezi";
    let bytes = judge::encode(framing, umlaut);
    let half = bytes.iter().position(|byte| *byte == 0xc3);
    let (start, end) = bytes.split_at(half.unwrap_or_default() + 1);
    exchange_in_parts(stage, &mut peer, (umlaut, &[start, end]), "drei")?;
    two_at_once(stage, &mut peer, framing)
}

/// Sends two messages in one segment. Fails unless the server answers each.
fn two_at_once(stage: &mut Stage<'_>, peer: &mut Peer, framing: Framing) -> Result<(), Trouble> {
    let both = [
        judge::encode(framing, "Anna"),
        judge::encode(framing, "Bert"),
    ]
    .concat();
    peer.send_bytes(&both);
    stage.type_line("vier");
    stage.type_line("fuenf");
    stage.wait(ANSWERING, |_| {
        (judge::count(framing, peer.arrived()) >= 2).then_some(())
    })?;
    let count = judge::count(framing, &peer.take());
    if count == 2 {
        return Ok(());
    }
    Err(Finding {
        seen: say!(
            "{count} answer(s) to two messages that came at once",
            "{count} Antwort(en) auf zwei Nachrichten, die zugleich kamen"
        ),
        expected: words!("2 answers", "2 Antworten").into(),
        hint: words!(
            "One recv() may return several messages: split what has come at the end marks, and keep \
             the rest for later.",
            "Ein recv() kann mehrere Nachrichten liefern: was gekommen ist, an den Endezeichen teilen \
             und den Rest für später behalten."
        )
        .into(),
    }
    .into())
}

fn serves_two(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let silent = enter(stage)?;
    let mut second = connect(stage)?;
    match exchange(stage, &mut second, "ich bin die Zweite", "gut") {
        Err(Trouble::Finding(_)) if !stage.has_failed() => Err(Trouble::Certain(Finding {
            seen: say!(
                "no answer for the second client: {}",
                "keine Antwort für den zweiten Client: {}",
                stage.doing()
            ),
            expected: words!(
                "an answer, though the first client says nothing",
                "eine Antwort, obwohl der erste Client nichts sagt"
            )
            .into(),
            hint: words!(
                "Start a thread for each client: threading.Thread(target=…, args=(conn,)).start()",
                "Für jeden Client einen Thread starten: threading.Thread(target=…, \
                 args=(conn,)).start()"
            )
            .into(),
        })),
        result => {
            drop(silent);
            result
        }
    }
}

fn serves_many(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let framing = stage.options.framing;
    let mut peers = vec![enter(stage)?];
    for _ in 1..CROWD {
        peers.push(connect(stage)?);
    }
    let word = |number: usize| format!("Wort-{number:02}");
    for (number, peer) in peers.iter_mut().enumerate() {
        peer.send(&word(number));
    }
    for number in 0..CROWD {
        stage.expect_printed(&word(number))?;
    }
    let answered = |peers: &mut [Peer]| {
        let ended = peers
            .iter_mut()
            .map(|peer| judge::is_ended(framing, peer.arrived()));
        ended.filter(|ended| *ended).count()
    };
    let by_itself = stage.wait(BY_ITSELF, |_| (answered(&mut peers) > 0).then_some(()))?;
    for number in 1..=CROWD {
        // One after another: threads of Python's that read stdin at once lose lines.
        if by_itself.is_none() {
            stage.type_line(&format!("Antwort-{number:02}"));
        }
        let comes = stage.wait(ANSWERING, |_| {
            (answered(&mut peers) >= number).then_some(())
        })?;
        if comes.is_none() {
            break;
        }
    }
    let texts = peers.iter_mut().map(Peer::take);
    let answers: Vec<_> = texts
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .collect();
    let is_echo = answers.iter().any(|answer| answer.contains("Wort-"));
    let wrong = answers.iter().enumerate().find(|(number, answer)| {
        let others = |other: &String| other == *answer;
        answer.trim().is_empty()
            || judge::count(framing, answer.as_bytes()) != 1
            || if is_echo {
                !answer.contains(&word(*number))
            } else {
                by_itself.is_none() && answers.iter().filter(|a| others(a)).count() > 1
            }
    });
    let Some((number, answer)) = wrong else {
        return Ok(());
    };
    let word = word(number);
    Err(Finding {
        seen: say!(
            "the client that said \"{word}\" got: {}",
            "der Client, der \"{word}\" sagte, bekam: {}",
            judge::dump(answer.as_bytes())
        ),
        expected: words!(
            "one answer for each of 20 clients, and to each its own",
            "je eine Antwort für 20 Clients, und jedem die eigene"
        )
        .into(),
        hint: words!(
            "Each thread needs its own conn and its own data: no global variables.",
            "Jeder Thread braucht sein eigenes conn und seine eigenen Daten: keine globalen \
             Variablen."
        )
        .into(),
    }
    .into())
}

fn outlives_reset(stage: &mut Stage<'_>) -> Result<(), Trouble> {
    let mut lost = enter(stage)?;
    let mut stays = connect(stage)?;
    exchange(stage, &mut lost, "eins", "gut")?;
    exchange(stage, &mut stays, "zwei", "auch gut")?;
    drop(lost);
    stage.pause(BETWEEN)?;
    exchange(stage, &mut stays, "drei", "immer noch gut")?;
    let mut next = connect(stage)?;
    exchange(stage, &mut next, "vier", "alles gut")
}
