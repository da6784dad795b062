//! What a program wrote on stderr when it failed, and what that means. No I/O.

use regex_lite::Regex;
use serde::Serialize;

use crate::sanitize::Untrusted;
use crate::words;

/// The maximum number of columns of an error to show.
const SHOWN: usize = 120;

/// The last error that a program reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Complaint {
    /// The line of the program's own source, if the error names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The error, safe for a terminal.
    pub text: String,
    /// Whether it is an exception that nobody caught.
    #[serde(skip)]
    pub is_exception: bool,
}

impl Complaint {
    /// Finds the last error in what a program wrote on `stderr`, as Python and Java report it: an
    /// exception if there is one, or else the last line.
    pub fn find(stderr: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(stderr);
        let lines: Vec<_> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let last = *lines.last()?;
        let is_start = |line: &str| {
            line.starts_with("Traceback (most recent call last)")
                || line.starts_with("Exception in ")
                || line.contains("' panicked at ")
        };
        let start = lines.iter().rposition(|line| is_start(line));
        // A syntax error has no traceback.
        let is_exception = start.is_some() || is_name_of_error(last);
        let own = &lines[start.unwrap_or_default()..];
        let is_java = own.iter().any(|line| line.trim_start().starts_with("at "));
        let error = if is_java { own[0] } else { last };
        Some(Self {
            line: line_number(own, is_java),
            text: Untrusted(error.trim().as_bytes()).visible_line(SHOWN),
            is_exception,
        })
    }

    /// Returns what may be the mistake, if the error is a common one.
    pub fn advice(&self) -> Option<&'static str> {
        let (_, en, de) = ADVICE
            .iter()
            .find(|(errors, _, _)| errors.iter().any(|error| self.text.contains(error)))?;
        Some(words!(en, de))
    }
}

/// Returns whether `line` begins with the name of an error of Python's, as the last line of its
/// report does.
fn is_name_of_error(line: &str) -> bool {
    let name = line.split(':').next().unwrap_or_default();
    name.ends_with("Error") && name.chars().all(char::is_alphanumeric)
}

/// Returns the last line number, in the order of calls, of a file that is not of the language's
/// library.
fn line_number(lines: &[&str], is_java: bool) -> Option<u32> {
    let pattern = if is_java {
        r"^\s*at (?:[\w.$]+)\(\w+\.java:(\d+)\)"
    } else {
        r#"^\s*File "[^"]*", line (\d+)"#
    };
    let pattern = Regex::new(pattern).ok()?;
    let is_library = |line: &&&str| {
        ["/lib/python", "\\Lib\\", "\"<frozen", "at java.", "at sun."]
            .iter()
            .any(|library| line.contains(library))
    };
    let own = lines.iter().filter(|line| !is_library(line));
    let mut numbers = own.filter_map(|line| pattern.captures(line)?.get(1)?.as_str().parse().ok());
    // Java has the innermost call first.
    if is_java {
        numbers.next()
    } else {
        numbers.last()
    }
}

/// Parts of errors, and what may be the mistake in English and German.
type Advice = (&'static [&'static str], &'static str, &'static str);

/// The more special ones come first.
const ADVICE: [Advice; 21] = [
    (
        &[
            "iterable method object",
            "'builtin_function_or_method'",
            "'method' object",
        ],
        "A function is named, and not called: () is missing behind it.",
        "Eine Funktion ist genannt und nicht aufgerufen: dahinter fehlt ().",
    ),
    (
        &["a bytes-like object is required, not 'str'"],
        "send() takes bytes: make them of the text with .encode().",
        "send() nimmt Bytes: mit .encode() werden sie aus dem Text.",
    ),
    (
        &[
            "a bytes-like object is required, not 'tuple'",
            "'tuple' object has no attribute",
        ],
        "accept() returns two values: conn, address = server_socket.accept()",
        "accept() gibt zwei Werte zurück: conn, address = server_socket.accept()",
    ),
    (
        &["(not \"bytes\") to str", "can't concat str to bytes"],
        "Bytes and text do not mix: make a text of what recv() returns with .decode().",
        "Bytes und Text lassen sich nicht mischen: was recv() liefert, mit .decode() zu Text \
         machen.",
    ),
    (
        &["'str' object has no attribute 'decode'"],
        "It is a text already: .decode() is for the bytes that recv() returns.",
        "Das ist schon Text: .decode() ist für die Bytes, die recv() liefert.",
    ),
    (
        &["'bytes' object has no attribute 'encode'"],
        "These are bytes already: .encode() is for a text.",
        "Das sind schon Bytes: .encode() ist für Text.",
    ),
    (
        &["UnicodeDecodeError"],
        "What was decoded is no UTF-8, or ends within a character: decode whole messages, with \
         .decode('utf-8').",
        "Was decodiert wurde, ist kein UTF-8 oder endet mitten in einem Zeichen: ganze Nachrichten \
         mit .decode('utf-8') decodieren.",
    ),
    (
        &["UnicodeEncodeError"],
        "The encoding has no such character: use .encode('utf-8').",
        "Diese Codierung hat das Zeichen nicht: .encode('utf-8') verwenden.",
    ),
    (
        &["ConnectionRefusedError", "Connection refused"],
        "Nothing listens where it connects to: compare the host and the port.",
        "Dort, wohin es sich verbindet, hört niemand zu: Host und Port vergleichen.",
    ),
    (
        &["Address already in use", "WinError 10048"],
        "The port is taken: by a program that still runs, or for a minute after the last \
         connection; SO_REUSEADDR before bind() helps against the second.",
        "Der Port ist belegt: von einem Programm, das noch läuft, oder eine Minute lang nach der \
         letzten Verbindung; gegen das Zweite hilft SO_REUSEADDR vor bind().",
    ),
    (
        &[
            "Transport endpoint is not connected",
            "Socket is not connected",
            "WinError 10057",
        ],
        "recv() and send() belong to the socket that accept() returns, not to the one that \
         listens.",
        "recv() und send() gehören zum Socket, den accept() liefert, nicht zu dem, der zuhört.",
    ),
    (
        &["Invalid argument", "WinError 10022"],
        "If the line is accept(): listen() comes before it.",
        "Falls die Zeile accept() ist: davor kommt listen().",
    ),
    (
        &["Operation not supported", "WinError 10045"],
        "accept() needs a TCP socket that listens: SOCK_STREAM, bind(), listen().",
        "accept() braucht einen TCP-Socket, der zuhört: SOCK_STREAM, bind(), listen().",
    ),
    (
        &["BrokenPipeError"],
        "It sends after the other side has left: recv() has returned no bytes before, which is the \
         sign to stop.",
        "Es sendet, nachdem die Gegenseite gegangen ist: recv() hat vorher keine Bytes geliefert, \
         das Zeichen zum Aufhören.",
    ),
    (
        &["ConnectionResetError", "WinError 10053"],
        "The other side has left: end the loop when recv() returns no bytes, and catch this error.",
        "Die Gegenseite ist gegangen: die Schleife beenden, wenn recv() keine Bytes liefert, und \
         diesen Fehler abfangen.",
    ),
    (
        &["Bad file descriptor"],
        "The socket is used after close(): does close() stand within the loop?",
        "Der Socket wird nach close() verwendet: steht close() in der Schleife?",
    ),
    (
        &["EOFError"],
        "Nothing more is typed: input() is called once too often.",
        "Es wird nichts mehr getippt: input() wird einmal zu oft aufgerufen.",
    ),
    (
        &["Name or service not known", "getaddrinfo failed"],
        "There is no such host: use localhost or 127.0.0.1.",
        "Diesen Host gibt es nicht: localhost oder 127.0.0.1 verwenden.",
    ),
    (
        &["ModuleNotFoundError"],
        "The module is not there: is its name right, and does a file of yours have the same name?",
        "Das Modul gibt es nicht: stimmt der Name, und heisst eine eigene Datei gleich?",
    ),
    (
        &["partially initialized module 'socket'"],
        "A file of yours is called socket.py and hides Python's module: rename it.",
        "Eine eigene Datei heisst socket.py und verdeckt das Modul von Python: umbenennen.",
    ),
    (
        &["NameError"],
        "A name is used that was not given a value: is it spelled the same?",
        "Ein Name wird verwendet, der keinen Wert hat: ist er gleich geschrieben?",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn find(stderr: &str) -> (Option<u32>, String, bool) {
        let complaint = Complaint::find(stderr.as_bytes()).unwrap();
        (complaint.line, complaint.text, complaint.is_exception)
    }

    #[test]
    fn the_line_is_one_of_the_pupils_own() {
        let python = "Traceback (most recent call last):\n  File \"/home/anna/my.py\", line 12, in <module>\n\
                      \x20   run()\n  File \"my.py\", line 7, in run\n    json.loads(1)\n  \
                      File \"/usr/lib/python3.11/json/__init__.py\", line 339, in loads\n    raise\n\
                      TypeError: the JSON object must be str\n";
        let error = "TypeError: the JSON object must be str";
        assert_eq!(find(python), (Some(7), error.into(), true));
        let java = "Exception in thread \"main\" java.net.ConnectException: Connection refused\n\
                    \tat java.base/sun.nio.ch.Net.connect0(Native Method)\n\
                    \tat java.base/java.net.Socket.<init>(Socket.java:332)\n\
                    \tat Client.main(Client.java:9)\n";
        let error = "Exception in thread \"main\" java.net.ConnectException: Connection refused";
        assert_eq!(find(java), (Some(9), error.into(), true));
    }

    #[test]
    fn an_error_without_a_traceback() {
        let syntax =
            "  File \"my.py\", line 3\n    if x = 1:\n       ^\nSyntaxError: invalid syntax\n";
        let error = "SyntaxError: invalid syntax";
        assert_eq!(find(syntax), (Some(3), error.into(), true));
        assert_eq!(find("ready\n\n"), (None, "ready".into(), false));
        assert_eq!(Complaint::find(b" \n\n"), None);
    }

    #[test]
    fn an_error_does_not_act_on_a_terminal() {
        assert_eq!(find("\x1b[2JError\n").1, "\\u{1b}[2JError");
    }

    #[test]
    fn common_errors_are_explained() {
        for (error, advice) in [
            ("OSError: [Errno 98] Address already in use", "SO_REUSEADDR"),
            (
                "OSError: [WinError 10048] Nur eine Verwendung",
                "SO_REUSEADDR",
            ),
            (
                "AttributeError: 'tuple' object has no attribute 'recv'",
                "accept()",
            ),
            (
                "TypeError: cannot unpack non-iterable method object",
                "() is missing",
            ),
            (
                "TypeError: a bytes-like object is required, not 'builtin_function_or_method'",
                "() is missing",
            ),
            (
                "TypeError: can only concatenate str (not \"bytes\") to str",
                ".decode()",
            ),
        ] {
            let complaint = Complaint::find(error.as_bytes()).unwrap();
            assert!(complaint.advice().unwrap().contains(advice), "{error}");
        }
        let other = Complaint::find(b"ValueError: 7").unwrap();
        assert_eq!(other.advice(), None);
    }
}
