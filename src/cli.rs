//! Every flag and subcommand, as clap reads them, and nothing else.
#![allow(
    clippy::doc_markdown,
    reason = "it is read in a terminal, where no backtick helps"
)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use anstyle::Style;
use clap::builder::PossibleValue;
use clap::error::ErrorKind;
use clap::{
    ArgAction, Args, ColorChoice, CommandFactory as _, Parser, Subcommand, ValueEnum, value_parser,
};
use clap_complete::Shell;
use ipnet::IpNet;
use regex_lite::Regex;
use time::UtcOffset;

use crate::check::{self, Side};
use crate::connect::Attempts;
use crate::endpoint::{self, DEFAULT_PORT, Endpoint, Target};
use crate::explain::Log;
use crate::framing::{Framing, LINGER, Wire};
use crate::input::{self, HistoryFile};
use crate::language::Language;
use crate::peers::{Access, Limits};
use crate::relay;
use crate::report;
use crate::session::{Reply, Rules};

/// The port of a relay whose host alone is given.
const RELAY_PORT: u16 = 5001;

/// Chat over a bare TCP connection, one turn at a time.
///
/// One side serves, the other connects and speaks first; then each answers in turn, until
/// one says bye. What is sent is what was typed and nothing else, so that a script with a
/// few lines of socket code, or nc, can be on the other end.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = true,
    after_help = "\
Examples:
  socketchat serve                  wait for a client on localhost:5000
  socketchat connect                talk with the server there
  socketchat help connect           what else it can do"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

impl Cli {
    /// Takes the program's command line. Wrong usage, and a question for help, are answered
    /// by clap, which then ends the program.
    #[must_use]
    pub fn from_command_line() -> Self {
        let cli = Self::parse();
        if let Err((subcommand, conflict)) = cli.command.check() {
            let (mut command, mut whole) = (Self::command(), Self::command());
            command.build();
            command
                .find_subcommand_mut(subcommand)
                .unwrap_or(&mut whole)
                .error(ErrorKind::ArgumentConflict, conflict)
                .exit();
        }
        cli
    }
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Wait for a client and talk with it; the client speaks first
    #[command(after_help = "\
Say bye, or press Ctrl-D, to leave. Exit status: 0 when the conversation has ended,
1 when something failed or words of a script were lost, 2 for wrong usage, 130 after
Ctrl-C or SIGTERM.

Examples:
  socketchat serve                       localhost, port 5000
  socketchat serve --port 0              any free port; it is printed
  socketchat serve --host 0.0.0.0        for other machines too (nothing is encrypted)
  socketchat serve --max-clients 30      a class at once: each is answered in turn
  yes ok | socketchat serve -q           answer ok to every message, in a script
  socketchat serve --script answers.tsv  answer as a file says, in a test")]
    Serve(ServeArgs),
    /// Connect to a server and talk with it; you speak first
    #[command(after_help = "\
Say bye, or press Ctrl-D, to leave. Exit status: 0 when the conversation has ended,
1 when something failed or words of a script were lost, 2 for wrong usage, 130 after
Ctrl-C or SIGTERM.

Examples:
  socketchat connect                     localhost, port 5000
  socketchat connect chat.example:7000
  socketchat connect chat.example 7000   the same, as nc takes it
  socketchat connect '[::1]:5000'        an IPv6 address
  socketchat connect unix:/run/chat      a Unix socket
  echo hello | socketchat connect -q     print the answer alone, in a script
  echo PING | socketchat connect -q --framing crlf localhost 6379
                                         ask a text service, here Redis
  socketchat connect -f crlf --server-first --reply-until '^[0-9]{3} ' localhost 25
                                         talk to SMTP, or FTP on port 21
  socketchat connect -f crlf --duplex irc.example 6667
                                         talk without turns, here IRC
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | socketchat connect -q --duplex localhost 80
                                         send and print bytes as they are, here HTTP")]
    Connect(ConnectArgs),
    /// Check whether your own client or server does what it must
    #[command(after_help = "\
Each check starts COMMAND afresh, types on its stdin, and is the other end of its connection.
Without COMMAND, start your program yourself when you are told to. Exit status: 0 when all
checks have passed, 1 when one has not, 2 for wrong usage.

Examples:
  socketchat check client -- python3 socket_client.py
  socketchat check server -- python3 socket_server.py
  socketchat check server --level 3 --framing line -- python3 socket_server.py")]
    Check(CheckArgs),
    /// Stand between a client and a server, and show and disturb what they say
    #[command(after_help = "\
The client connects to the relay instead of the server. What a network may do, and what breaks
a script that takes one recv() for one message: bytes arrive in parts, or several messages as
one, or late, or no more.

Examples:
  socketchat relay                    from port 5001 to port 5000 of this machine
  socketchat relay --split 3          three bytes at a time
  socketchat relay --join 2s          everything of two seconds at once
  socketchat relay --step             each passage waits for Enter
  socketchat relay --cut-after 20     the connection breaks after 20 bytes
  socketchat relay --listen 7000 chat.example:5000")]
    Relay(RelayArgs),
    /// Draw the sequence diagram of a transcript
    #[command(after_help = "\
Examples:
  socketchat serve --transcript chat.jsonl
  socketchat diagram chat.jsonl
  socketchat diagram server.jsonl client.jsonl    both ends' transcripts as one
  socketchat diagram --format mermaid chat.jsonl  for Markdown
  socketchat diagram --format html chat.jsonl > chat.html
                                                  for a browser: what the kernels do, step by step")]
    Diagram {
        /// The transcript of one end, or those of several
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// How to draw it: with characters, as Mermaid text, as a picture, or as a page that steps
        /// through the picture
        #[arg(long, value_enum, default_value_t, value_name = "HOW")]
        format: Format,
        /// The language of the picture.
        #[command(flatten)]
        language: LanguageArg,
    },
    /// Print a completion script for a shell
    #[command(after_help = "\
Examples:
  socketchat completions bash > ~/.local/share/bash-completion/completions/socketchat
  socketchat completions fish > ~/.config/fish/completions/socketchat.fish")]
    Completions {
        /// The shell that will read it
        shell: Shell,
    },
}

impl Command {
    /// Finds what clap cannot know to be wrong; fails with the subcommand and the reason.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let (subcommand, chat, target, port) = match self {
            Self::Serve(args) => ("serve", &args.chat, &args.host, args.port),
            Self::Connect(args) => ("connect", &args.chat, &args.target, args.port),
            Self::Check(_) | Self::Relay(_) | Self::Diagram { .. } | Self::Completions { .. } => {
                return Ok(());
            }
        };
        if chat.name.is_some() && chat.framing != Framing::Json {
            return Err((subcommand, "only --framing json tells a --name".into()));
        }
        if let Self::Connect(args) = self
            && args.reply_until.is_some()
            && !matches!(chat.framing, Framing::Line | Framing::Crlf)
        {
            let conflict = "--reply-until needs --framing line or crlf";
            return Err((subcommand, conflict.into()));
        }
        match (target, port) {
            (Target::Host(_, Some(one)), Some(other)) => {
                let conflict = format!("the port is given twice: {one} and {other}");
                return Err((subcommand, conflict));
            }
            (Target::Unix(_), Some(_)) => {
                return Err((subcommand, "a Unix socket has no port".into()));
            }
            _ => {}
        }
        Ok(())
    }
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Where to listen")]
pub struct ServeArgs {
    /// Name or address of this machine to listen on; 0.0.0.0 or :: for all of its addresses;
    /// unix:PATH for a Unix socket
    #[arg(long, default_value = "localhost", value_parser = endpoint::parse_host)]
    host: Target,
    /// Port to listen on; 0 for any that is free [default: 5000]
    #[arg(short, long, value_parser = parse_number)]
    port: Option<u16>,
    /// How many connections may wait to be accepted
    #[arg(short, long, default_value_t = 2, value_name = "N", value_parser = parse_number)]
    pub backlog: u16,
    /// Wait for the next client when one has left
    #[arg(short, long, help_heading = "Whom to serve")]
    keep_open: bool,
    /// Talk with up to N clients at once, and keep open: whoever has waited longest is
    /// answered first; the others stay in the backlog
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = parse_count,
        help_heading = "Whom to serve"
    )]
    max_clients: Option<u16>,
    /// Let a client go that has the turn and says nothing for so long: 30s, 5m
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        help_heading = "Whom to serve"
    )]
    idle_timeout: Option<Duration>,
    /// Accept clients from this network or address alone, as 10.0.0.0/8; may be repeated
    #[arg(
        long,
        value_name = "CIDR",
        value_parser = endpoint::parse_network,
        help_heading = "Whom to serve"
    )]
    allow: Vec<IpNet>,
    /// Accept so many clients at once from an address
    #[arg(
        long,
        value_name = "N",
        value_parser = parse_count,
        help_heading = "Whom to serve"
    )]
    per_host: Option<u16>,
    /// Answer as this file says, instead of a person: each line has a regular expression, a tab,
    /// and the answer to what matches
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "server_first",
        help_heading = "Whom to serve"
    )]
    pub script: Option<PathBuf>,
    /// How to talk.
    #[command(flatten)]
    pub chat: ChatArgs,
}

impl ServeArgs {
    /// Where to listen.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        self.host.clone().endpoint(port)
    }

    /// Whom to serve, and for how long.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            max_clients: self.max_clients.or(self.keep_open.then_some(1)),
            idle_timeout: self.idle_timeout,
            access: Access {
                allow: self.allow.clone(),
                per_host: self.per_host,
            },
            ..Limits::default()
        }
    }
}

/// The arguments of `connect`.
#[derive(Debug, Args)]
pub struct ConnectArgs {
    /// Name or address of the server, with its port or without, or unix:PATH
    #[arg(
        default_value = "localhost",
        value_name = "HOST[:PORT]",
        value_parser = endpoint::parse_target,
        hide_default_value = true
    )]
    target: Target,
    /// Port of the server, if it is not in the first argument [default: 5000]
    #[arg(value_parser = endpoint::parse_port)]
    port: Option<u16>,
    /// How long to try each address of the server: 500ms, 10s, 2m
    #[arg(
        long,
        default_value = "10s",
        value_name = "DURATION",
        value_parser = parse_duration,
        help_heading = "Where to connect"
    )]
    connect_timeout: Duration,
    /// Try again for so long, when the server is not there yet, and when the connection is
    /// lost [default without a value: 60s]
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "60s",
        help_heading = "Where to connect"
    )]
    retry: Option<Duration>,
    /// A reply of the server ends with a line that matches REGEX: '^[0-9]{3} ' with SMTP or FTP
    #[arg(
        long,
        value_name = "REGEX",
        value_parser = parse_regex,
        conflicts_with = "duplex",
        help_heading = "Where a reply ends"
    )]
    reply_until: Option<Regex>,
    /// A reply ends when nothing has come for so long: 200ms, 1s
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        conflicts_with = "duplex",
        help_heading = "Where a reply ends"
    )]
    reply_quiet: Option<Duration>,
    /// A reply that has not ended after so long is an error; at a terminal it is your turn then
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        conflicts_with = "duplex",
        help_heading = "Where a reply ends"
    )]
    reply_timeout: Option<Duration>,
    /// How to talk.
    #[command(flatten)]
    pub chat: ChatArgs,
}

impl ConnectArgs {
    /// How to take turns.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            reply: Reply {
                until: self.reply_until.clone(),
                quiet: self.reply_quiet,
                timeout: self.reply_timeout,
            },
            ..self.chat.rules()
        }
    }

    /// How to reach it.
    #[must_use]
    pub fn attempts(&self) -> Attempts {
        Attempts {
            timeout: self.connect_timeout,
            retry: self.retry,
        }
    }

    /// The address to connect to.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        self.target.clone().endpoint(port)
    }
}

/// The arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// What your program is: client or server
    #[arg(hide_possible_values = true)]
    side: Side,
    /// The port that it connects to or listens on
    #[arg(short, long, default_value_t = DEFAULT_PORT, value_parser = parse_count)]
    port: u16,
    /// Where a message ends: raw, line, crlf, json or nul
    #[arg(
        short,
        long,
        default_value_t,
        value_name = "HOW",
        hide_possible_values = true
    )]
    framing: Framing,
    /// How much it must do: 1 what the tutorial's scripts do, 2 what breaks those, 3 several clients
    /// and lost connections
    #[arg(short, long, default_value_t = 1, value_parser = value_parser!(u8).range(1..=3))]
    level: u8,
    /// How to tell what was found: as text, or json, an object for each check
    #[arg(
        long,
        value_enum,
        default_value_t,
        value_name = "HOW",
        hide_possible_values = true
    )]
    pub format: ReportFormat,
    /// The language of what is explained.
    #[command(flatten)]
    pub language: LanguageArg,
    /// Your program and its arguments
    #[arg(last = true)]
    command: Vec<OsString>,
}

impl CheckArgs {
    /// What to check.
    #[must_use]
    pub fn options(&self) -> check::Options {
        check::Options {
            side: self.side,
            port: self.port,
            framing: self.framing,
            level: self.level,
            command: self.command.clone(),
        }
    }
}

/// The arguments of `relay`.
#[derive(Debug, Args)]
pub struct RelayArgs {
    /// Name or address of the server, with its port or without, or unix:PATH
    #[arg(
        default_value = "localhost",
        value_name = "TARGET",
        value_parser = endpoint::parse_target,
        hide_default_value = true
    )]
    target: Target,
    /// Where to listen for the client: a port of this machine, or HOST:PORT
    #[arg(
        short,
        long,
        default_value = "5001",
        value_name = "[HOST:]PORT",
        value_parser = parse_listen
    )]
    pub listen: Endpoint,
    /// Pass on N bytes at a time
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "How to disturb")]
    split: Option<u16>,
    /// The pause between two parts of what is split
    #[arg(
        long,
        default_value = "100ms",
        value_name = "DURATION",
        value_parser = parse_duration,
        requires = "split",
        help_heading = "How to disturb"
    )]
    delay: Duration,
    /// Hold what comes for so long, then pass all of it on at once
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        help_heading = "How to disturb"
    )]
    join: Option<Duration>,
    /// Pass on only when you press Enter
    #[arg(long, help_heading = "How to disturb")]
    step: bool,
    /// Reset the connection after N bytes, counted in both directions
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u64).range(1..),
        help_heading = "How to disturb"
    )]
    cut_after: Option<u64>,
    /// Tell the socket calls too
    #[arg(long, help_heading = "For a lesson")]
    explain: bool,
    /// Keep what passes in this file, as the server would: JSON, one event a line
    #[arg(long, value_name = "FILE", help_heading = "For a lesson")]
    pub transcript: Option<PathBuf>,
    /// The language of what is explained.
    #[command(flatten)]
    pub language: LanguageArg,
}

impl RelayArgs {
    /// The server.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint {
        self.target.clone().endpoint(DEFAULT_PORT)
    }

    /// How to pass bytes on.
    #[must_use]
    pub fn options(&self) -> relay::Options {
        relay::Options {
            split: self.split.map(usize::from),
            delay: self.delay,
            join: self.join,
            step: self.step,
            cut_after: self.cut_after,
        }
    }

    /// Where socket calls are noted, if they are to be told.
    #[must_use]
    pub fn log(&self) -> Log {
        if self.explain {
            Log::on(true)
        } else {
            Log::default()
        }
    }

    /// What is told, with the calls that are noted in `log`.
    #[must_use]
    pub fn report(&self, log: &Log) -> report::Options {
        report::Options {
            log: log.clone(),
            ..report::Options::default()
        }
    }
}

/// The output format of `check`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum ReportFormat {
    /// Lines for a person.
    #[default]
    #[value(help = None)]
    Text,
    /// JSON, one object a line.
    #[value(help = None)]
    Json,
}

/// What `serve` and `connect` have in common.
#[derive(Debug, Args)]
#[command(next_help_heading = "How to talk")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct ChatArgs {
    /// Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json
    /// (a line of JSON), or nul (at a zero byte); the other side must use the same
    #[arg(short, long, default_value_t, value_name = "HOW")]
    framing: Framing,
    /// Who you are, for the other side's label, with --framing json [default: your login
    /// name]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Take no turns: both sides speak at any time; in a pipe with --framing raw, the bytes are
    /// sent as they are
    #[arg(long)]
    duplex: bool,
    /// The server speaks first, as many services do with a greeting
    #[arg(long, conflicts_with = "duplex")]
    server_first: bool,
    /// After the end of the input, how long the other side may say nothing until it is left
    /// [default: 2s; with --duplex until it closes]
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    linger: Option<Duration>,
    /// Print the messages alone: no label before them and no notices
    #[arg(short, long)]
    quiet: bool,
    /// Tell the time of day before each message
    #[arg(long, conflicts_with = "quiet")]
    time: bool,
    /// Ring for a message that comes while you wait or type, at a terminal
    #[arg(long)]
    bell: bool,
    /// When to use colour; auto: at a terminal, unless the environment has NO_COLOR
    #[arg(long, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    color: ColorChoice,
    /// Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]
    #[arg(long)]
    vi: bool,
    /// Keep the history in this file [default: ~/.local/state/socketchat/history, or in
    /// $XDG_STATE_HOME]
    #[arg(long, value_name = "FILE")]
    history_file: Option<PathBuf>,
    /// Keep no history
    #[arg(long, action = ArgAction::SetTrue, conflicts_with = "history_file")]
    no_history: bool,
    /// Tell the socket calls: their arguments, their results, and what they are good for; with
    /// =all, also each of those that set options
    #[arg(
        long,
        value_name = "all",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "folded",
        hide_possible_values = true,
        help_heading = "For a lesson"
    )]
    explain: Option<Explain>,
    /// Keep what happens in this file, behind what stands there: JSON, one event a line
    #[arg(long, value_name = "FILE", help_heading = "For a lesson")]
    pub transcript: Option<PathBuf>,
    /// The language of what is explained.
    #[command(flatten)]
    pub language: LanguageArg,
}

/// The language of what is for a lesson.
#[derive(Debug, Clone, Copy, Args)]
pub struct LanguageArg {
    /// The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG
    /// asks for it]
    #[arg(
        long,
        value_name = "LANGUAGE",
        hide_possible_values = true,
        help_heading = "For a lesson"
    )]
    lang: Option<Language>,
}

impl LanguageArg {
    /// Makes the language that was asked for the one of the program.
    pub fn set(self) {
        self.lang.unwrap_or_else(Language::of_environment).set();
    }
}

/// How much is told of socket calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Explain {
    /// Those that set options as one.
    #[value(help = None)]
    Folded,
    /// Each.
    #[value(help = None)]
    All,
}

/// The output format of a diagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Text for a terminal.
    #[default]
    #[value(help = None)]
    Chars,
    /// Mermaid source, which other programs render.
    #[value(help = None)]
    Mermaid,
    /// A picture of the programs and their kernels.
    #[value(help = None)]
    Svg,
    /// A page that steps through that picture.
    #[value(help = None)]
    Html,
}

impl ChatArgs {
    /// Where socket calls are noted, if they are to be told.
    #[must_use]
    pub fn log(&self) -> Log {
        match self.explain {
            Some(Explain::All) => Log::on(false),
            Some(Explain::Folded) => Log::on(true),
            None => Log::default(),
        }
    }

    /// What is told, with the calls that are noted in `log`.
    #[must_use]
    pub fn report(&self, log: &Log) -> report::Options {
        report::Options {
            quiet: self.quiet,
            exact: self.duplex && self.framing == Framing::Raw,
            color: match self.color {
                ColorChoice::Auto => None,
                ColorChoice::Always => Some(true),
                ColorChoice::Never => Some(false),
            },
            clock: self
                .time
                .then(|| UtcOffset::current_local_offset().unwrap_or(UtcOffset::UTC)),
            bell: self.bell,
            log: log.clone(),
        }
    }

    /// How the user types.
    #[must_use]
    pub fn input(&self) -> input::Options {
        input::Options {
            vi: self.vi,
            history: match (self.no_history, &self.history_file) {
                (true, _) => HistoryFile::None,
                (false, Some(path)) => HistoryFile::At(path.clone()),
                (false, None) => HistoryFile::Default,
            },
            dim: self
                .report(&Log::default())
                .style(Style::new().dimmed(), true),
        }
    }

    /// How to take turns.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            framing: self.framing,
            duplex: self.duplex,
            server_first: self.server_first,
            linger: self.linger.or((!self.duplex).then_some(LINGER)),
            ..Rules::default()
        }
    }

    /// How messages go over the wire.
    #[must_use]
    pub fn wire(&self) -> Wire {
        Wire {
            framing: self.framing,
            // Nobody is looked up whose name will not be told.
            name: match self.framing {
                Framing::Json => self
                    .name
                    .clone()
                    .or_else(|| whoami::fallible::username().ok()),
                Framing::Raw | Framing::Line | Framing::Crlf | Framing::Nul => None,
            },
        }
    }
}

impl ValueEnum for Framing {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.name()))
    }
}

/// Takes what fits a port or a backlog.
fn parse_number(text: &str) -> Result<u16, String> {
    // `u16::from_str` would take a sign as well.
    let number = text.parse().ok().filter(|_| !text.starts_with('+'));
    number.ok_or_else(|| "write a number from 0 to 65535".into())
}

/// Takes a port of this machine, or a host with a port.
fn parse_listen(text: &str) -> Result<Endpoint, String> {
    match parse_number(text) {
        Ok(port) => Ok(Target::Host("localhost".into(), None).endpoint(port)),
        Err(_) => endpoint::parse_target(text).map(|target| target.endpoint(RELAY_PORT)),
    }
}

/// Takes a number that is not 0: of clients, or a port.
fn parse_count(text: &str) -> Result<u16, String> {
    let count = parse_number(text).ok().filter(|count| *count > 0);
    count.ok_or_else(|| "write a number from 1 to 65535".into())
}

/// Takes a regular expression.
fn parse_regex(text: &str) -> Result<Regex, String> {
    Regex::new(text).map_err(|error| error.to_string())
}

/// Takes a time span that is not zero, as `500ms`, `10s` or `2m`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    /// More is a mistake, and more than some clocks can tell.
    const MOST: Duration = Duration::from_hours(24 * 365);
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be more than 0".into()),
        Ok(duration) if duration > MOST => Err("it must be no more than a year".into()),
        Ok(duration) => Ok(duration),
        Err(_) => Err("write a number with its unit, as 500ms, 10s or 2m".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    fn target(args: &[&str]) -> Endpoint {
        match Cli::parse_from(["socketchat", "connect"].iter().chain(args)).command {
            Command::Connect(args) => args.endpoint(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_way_to_name_the_server() {
        for (args, address) in [
            (&[][..], "localhost:5000"),
            (&["chat.example"], "chat.example:5000"),
            (&["chat.example:7000"], "chat.example:7000"),
            (&["chat.example", "7000"], "chat.example:7000"),
            (&["::1", "7000"], "[::1]:7000"),
            (&["[::1]:7000"], "[::1]:7000"),
        ] {
            assert_eq!(target(args).to_string(), address, "{args:?}");
        }
    }
}
