//! Every flag and subcommand, as clap reads them, and nothing else.
#![allow(
    clippy::doc_markdown,
    reason = "it is read in a terminal, where no backtick helps"
)]

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process;
use std::time::Duration;

use anstyle::Style;
use clap::builder::PossibleValue;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{
    ArgAction, Args, ColorChoice, CommandFactory as _, FromArgMatches as _, Parser, Subcommand,
    ValueEnum, ValueHint, value_parser,
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
use crate::input;
use crate::language::Language;
use crate::peers::{Access, Limits};
use crate::relay;
use crate::report;
use crate::sanitize::Untrusted;
use crate::session::{Reply, Rules};

/// The port of a relay whose host alone is given.
const RELAY_PORT: u16 = 5001;

/// Shells that have no completion script here, some of which clap takes for misspelled ones.
const OTHER_SHELLS: [&str; 7] = ["csh", "dash", "ksh", "mksh", "nu", "sh", "tcsh"];

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
    pub fn from_command_line() -> Self {
        let args = with_retry_joined(env::args_os());
        let error = match Self::from_args(&args) {
            Ok(cli) => return cli,
            Err(error) => with_fitting_tip(error),
        };
        let is_safe = |arg: &OsString| {
            let bytes = arg.as_encoded_bytes();
            Untrusted(bytes).visible().as_bytes() == bytes
        };
        if args.iter().all(is_safe) {
            error.exit();
        }
        // clap repeats what it does not understand as it is.
        let text = error.to_string();
        let _ = io::stderr().write_all(Untrusted(text.as_bytes()).visible().as_bytes());
        process::exit(error.exit_code());
    }

    /// Parses the command line `args`, which begins with the program's name.
    fn from_args(args: &[OsString]) -> Result<Self, clap::Error> {
        let mut definition = Self::command();
        if args.iter().any(|arg| arg == "-h") {
            // A screen has no room for headings.
            definition = definition.mut_subcommands(|subcommand| {
                subcommand.mut_args(|arg| arg.help_heading(None::<&str>))
            });
        }
        let matches = definition.try_get_matches_from_mut(args)?;
        let cli =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut definition))?;
        match cli.command.check() {
            Ok(()) => Ok(cli),
            Err((subcommand, conflict)) => {
                let command = definition.find_subcommand_mut(subcommand);
                let command = command.unwrap_or_else(|| unreachable!("{subcommand} was found"));
                Err(command.error(ErrorKind::ArgumentConflict, conflict))
            }
        }
    }
}

/// Returns `args` with `connect --retry 5s` as `connect --retry=5s`: clap cannot know whether what
/// follows an option whose value is optional is that value, or the host.
fn with_retry_joined(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let mut joined: Vec<OsString> = Vec::new();
    for arg in args {
        let is_duration = || arg.to_str().is_some_and(|arg| parse_duration(arg).is_ok());
        let connects = joined.get(1).is_some_and(|command| command == "connect");
        match joined.last_mut() {
            Some(last) if connects && last == "--retry" && is_duration() => {
                last.push("=");
                last.push(arg);
            }
            _ => joined.push(arg),
        }
    }
    joined
}

/// Returns `error` with a tip of what was meant, where clap has none or a wrong one.
fn with_fitting_tip(mut error: clap::Error) -> clap::Error {
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    let tip = if let Some(name) = text(&error, ContextKind::InvalidSubcommand) {
        // `help` itself has no tip for a misspelled subcommand.
        let args = ["socketchat", &name].map(OsString::from);
        error = Cli::from_args(&args).err().unwrap_or(error);
        endpoint::parse_target(&name)
            .ok()
            .filter(|target| !matches!(target, Target::Host(_, None)))
            .map(|target| target.endpoint(DEFAULT_PORT))
            .map(|server| format!("did you mean `socketchat connect {server}`?"))
    } else if let Some(shell) = text(&error, ContextKind::InvalidValue)
        && OTHER_SHELLS.contains(&shell.as_str())
    {
        error.remove(ContextKind::SuggestedValue);
        Some(format!(
            "there are none for {shell}; the program needs none to work"
        ))
    } else {
        None
    };
    if let Some(tip) = tip {
        let tip = ContextValue::StyledStrs(vec![tip.into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    error
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Wait for a client and talk with it; the client speaks first
    #[command(after_long_help = "\
Say bye, or press Ctrl-D, to leave. Exit status: 0 when the conversation has ended,
1 when something failed or words of a script were lost, 2 for wrong usage, 130 after
Ctrl-C or SIGTERM.

Examples:
  socketchat serve                       localhost, port 5000
  socketchat serve 7000                  another port
  socketchat serve --port 0              any free port; it is printed
  socketchat serve 0.0.0.0:5000          for other machines too (nothing is encrypted)
  socketchat serve --max-clients 30      a class at once: each is answered in turn
  yes ok | socketchat serve -q           answer ok to every message, in a script
  socketchat serve --script answers.tsv  answer as a file says, in a test")]
    Serve(ServeArgs),
    /// Connect to a server and talk with it; you speak first
    #[command(after_long_help = "\
Say bye, or press Ctrl-D, to leave. Exit status: 0 when the conversation has ended,
1 when something failed or words of a script were lost, 2 for wrong usage, 130 after
Ctrl-C or SIGTERM.

Examples:
  socketchat connect                     localhost, port 5000
  socketchat connect chat.example:7000
  socketchat connect chat.example 7000   the same, as nc takes it
  socketchat connect 7000                localhost, port 7000
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
    #[command(after_long_help = "\
Each check starts COMMAND afresh, types on its stdin, and is the other end of its connection.
Without COMMAND, start your program yourself when you are told to. Exit status: 0 when all
checks have passed, 1 when one has not, 2 for wrong usage.

Examples:
  socketchat check client -- python3 socket_client.py
  socketchat check server -- python3 socket_server.py
  socketchat check server --level 3 --framing line -- python3 socket_server.py")]
    Check(CheckArgs),
    /// Stand between a client and a server, and show and disturb what they say
    #[command(after_long_help = "\
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
    #[command(after_long_help = "\
Examples:
  socketchat serve --transcript chat.jsonl
  socketchat diagram chat.jsonl
  socketchat diagram server.jsonl client.jsonl    both ends' transcripts as one
  socketchat diagram --format mermaid chat.jsonl  for Markdown
  socketchat diagram --format html chat.jsonl > chat.html
                                                  for a browser: what the kernels do, step by step")]
    Diagram {
        /// The transcript of one end, or those of several
        #[arg(required = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
        files: Vec<PathBuf>,
        /// How to draw it: chars, mermaid, svg, html
        ///
        /// With characters, which is the default, as Mermaid text, as a picture, or as a page that
        /// steps through the picture.
        #[arg(
            long,
            value_enum,
            default_value_t,
            value_name = "HOW",
            hide_default_value = true,
            hide_possible_values = true
        )]
        format: Format,
        /// The language of the picture.
        #[command(flatten)]
        language: LanguageArg,
    },
    /// Print a completion script for a shell
    #[command(after_long_help = "\
Examples:
  socketchat completions bash > ~/.local/share/bash-completion/completions/socketchat
  socketchat completions fish > ~/.config/fish/completions/socketchat.fish")]
    Completions {
        /// bash, elvish, fish, powershell or zsh
        #[arg(hide_possible_values = true)]
        shell: Shell,
    },
}

impl Command {
    /// Finds what clap cannot know to be wrong; fails with the subcommand and the reason.
    fn check(&self) -> Result<(), (&'static str, String)> {
        let (subcommand, chat, target, port) = match self {
            Self::Serve(args) => ("serve", &args.chat, args.target(), args.port),
            Self::Connect(args) => ("connect", &args.chat, &args.target, args.port()),
            Self::Check(_) | Self::Relay(_) | Self::Diagram { .. } | Self::Completions { .. } => {
                return Ok(());
            }
        };
        let has_until = matches!(self, Self::Connect(args) if args.reply_until.is_some());
        let conflict = match (target, port) {
            _ if chat.name.is_some() && chat.framing != Framing::Json => {
                "only --framing json tells a --name".into()
            }
            _ if has_until && !matches!(chat.framing, Framing::Line | Framing::Crlf) => {
                "--reply-until needs --framing line or crlf".into()
            }
            (Target::Host(_, Some(one)), Some(other)) => {
                format!("the port is given twice: {one} and {other}")
            }
            (Target::Unix(_), Some(_)) => "a Unix socket has no port".into(),
            _ => return Ok(()),
        };
        Err((subcommand, conflict))
    }
}

/// The arguments of `serve`.
#[derive(Debug, Args)]
#[group(skip)]
#[command(next_help_heading = "Where to listen")]
pub struct ServeArgs {
    /// The same as --host and --port: 5000, localhost:5000
    #[arg(
        value_name = "ADDRESS",
        value_parser = parse_listen,
        conflicts_with = "host",
        help_heading = "Arguments"
    )]
    address: Option<Target>,
    /// Name or address to listen on
    ///
    /// 0.0.0.0 or :: for all of its addresses; unix:PATH for a Unix socket.
    #[arg(
        long,
        default_value = "localhost",
        value_parser = endpoint::parse_host,
        value_hint = ValueHint::Hostname
    )]
    host: Target,
    /// Port; 0: any that is free [default: 5000]
    #[arg(short, long, value_parser = parse_number)]
    port: Option<u16>,
    /// How many clients may wait to be accepted
    #[arg(short, long, default_value_t = 2, value_name = "N", value_parser = parse_number)]
    pub backlog: u16,
    /// Wait for the next client when one has left
    #[arg(short, long, help_heading = "Whom to serve")]
    keep_open: bool,
    /// Talk with up to N clients at once, and keep open
    ///
    /// Whoever has waited longest is answered first; the others stay in the backlog.
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
        hide_short_help = true,
        help_heading = "Whom to serve"
    )]
    idle_timeout: Option<Duration>,
    /// Accept clients from this network alone: 10.0.0.0/8
    ///
    /// Or from a single address. May be repeated.
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
        hide_short_help = true,
        help_heading = "Whom to serve"
    )]
    per_host: Option<u16>,
    /// Answer as this file says, instead of a person
    ///
    /// Each line has a regular expression, a tab, and the answer to what matches. Of a message, the
    /// first 4 KiB are looked at.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "server_first",
        help_heading = "Whom to serve",
        value_hint = ValueHint::FilePath
    )]
    pub script: Option<PathBuf>,
    /// How to talk.
    #[command(flatten)]
    pub chat: ChatArgs,
}

impl ServeArgs {
    /// Where to listen.
    pub fn endpoint(&self) -> Endpoint {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        self.target().clone().endpoint(port)
    }

    /// What the user has written of it, in either way.
    fn target(&self) -> &Target {
        self.address.as_ref().unwrap_or(&self.host)
    }

    /// Whom to serve, and for how long.
    pub fn limits(&self) -> Limits {
        Limits {
            max_clients: self.max_clients.or(self.keep_open.then_some(1)),
            idle_timeout: self.idle_timeout,
            access: Access {
                allow: self.allow.clone(),
                per_host: self.per_host,
            },
        }
    }
}

/// The arguments of `connect`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct ConnectArgs {
    /// The server: localhost:5000, localhost, 5000, unix:PATH
    ///
    /// Its name or address, with its port or without; a port alone is one of this machine.
    #[arg(
        default_value = "localhost",
        value_name = "HOST[:PORT]",
        value_parser = endpoint::parse_target,
        hide_default_value = true,
        value_hint = ValueHint::Hostname
    )]
    target: Target,
    /// Its port, if that is not in the first argument [default: 5000]
    #[arg(value_name = "PORT", value_parser = endpoint::parse_port)]
    second: Option<u16>,
    /// Its port, as an option
    #[arg(
        short,
        long,
        value_parser = endpoint::parse_port,
        conflicts_with = "second",
        help_heading = "Where to connect"
    )]
    port: Option<u16>,
    /// How long to try each address of the server: 500ms, 10s, 2m
    #[arg(
        long,
        default_value = "10s",
        value_name = "DURATION",
        value_parser = parse_duration,
        hide_short_help = true,
        help_heading = "Where to connect"
    )]
    connect_timeout: Duration,
    /// Try again for so long
    ///
    /// When the server is not there yet, and when the connection is lost
    /// [default without a value: 60s].
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
    /// A reply ends with a line that matches REGEX
    ///
    /// With SMTP or FTP: '^[0-9]{3} '.
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
        hide_short_help = true,
        help_heading = "Where a reply ends"
    )]
    reply_quiet: Option<Duration>,
    /// A reply must have ended after so long
    ///
    /// If it has not, that is an error; at a terminal it is your turn then.
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        conflicts_with = "duplex",
        hide_short_help = true,
        help_heading = "Where a reply ends"
    )]
    reply_timeout: Option<Duration>,
    /// How to talk.
    #[command(flatten)]
    pub chat: ChatArgs,
}

impl ConnectArgs {
    /// How to take turns.
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
    pub fn attempts(&self) -> Attempts {
        Attempts {
            timeout: self.connect_timeout,
            retry: self.retry,
        }
    }

    /// The address to connect to.
    pub fn endpoint(&self) -> Endpoint {
        let port = self.port().unwrap_or(DEFAULT_PORT);
        self.target.clone().endpoint(port)
    }

    /// The port, where it stands for itself.
    fn port(&self) -> Option<u16> {
        self.second.or(self.port)
    }
}

/// The arguments of `check`.
#[derive(Debug, Args)]
#[group(skip)]
pub struct CheckArgs {
    /// What your program is: client or server
    #[arg(hide_possible_values = true)]
    side: Side,
    /// Port that it connects to or listens on
    #[arg(short, long, default_value_t = DEFAULT_PORT, value_parser = parse_count)]
    port: u16,
    /// Where a message ends: raw, line, crlf, json, nul
    #[arg(
        short,
        long,
        default_value_t,
        value_name = "HOW",
        hide_default_value = true,
        hide_possible_values = true
    )]
    framing: Framing,
    /// How much it must do: 1, 2 or 3
    ///
    /// 1 what the tutorial's scripts do, 2 what breaks those, 3 several clients and lost
    /// connections.
    #[arg(short, long, default_value_t = 1, value_parser = value_parser!(u8).range(1..=3))]
    level: u8,
    /// How to tell what was found: text, or json
    ///
    /// With json, an object for each check.
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
    #[arg(last = true, value_hint = ValueHint::AnyPath)]
    command: Vec<OsString>,
}

impl CheckArgs {
    /// What to check.
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
#[group(skip)]
pub struct RelayArgs {
    /// The server: localhost:5000, localhost, 5000, unix:PATH
    #[arg(
        default_value = "localhost",
        value_name = "TARGET",
        value_parser = endpoint::parse_target,
        hide_default_value = true,
        value_hint = ValueHint::Hostname
    )]
    target: Target,
    /// Where to listen for the client
    ///
    /// A port of this machine, or HOST:PORT.
    #[arg(
        short,
        long,
        default_value = "5001",
        value_name = "ADDRESS",
        value_parser = parse_listen
    )]
    listen: Target,
    /// Pass on N bytes at a time
    #[arg(long, value_name = "N", value_parser = parse_count, help_heading = "How to disturb")]
    split: Option<u16>,
    /// The pause between two parts
    #[arg(
        long,
        default_value = "100ms",
        value_name = "DURATION",
        value_parser = parse_duration,
        requires = "split",
        help_heading = "How to disturb"
    )]
    delay: Duration,
    /// Hold what comes for so long, then pass it on at once
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
    /// Reset the connection after N bytes, both ways
    #[arg(
        long,
        value_name = "N",
        value_parser = value_parser!(u64).range(1..),
        help_heading = "How to disturb"
    )]
    cut_after: Option<u64>,
    /// Whether socket calls are told.
    #[command(flatten)]
    explain: ExplainArg,
    /// Keep what passes in this file, as lines of JSON
    ///
    /// Each event is a line, as a server would write it.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "For a lesson",
        value_hint = ValueHint::FilePath
    )]
    pub transcript: Option<PathBuf>,
    /// The language of what is explained.
    #[command(flatten)]
    pub language: LanguageArg,
}

impl RelayArgs {
    /// The server.
    pub fn endpoint(&self) -> Endpoint {
        self.target.clone().endpoint(DEFAULT_PORT)
    }

    /// Where to listen.
    pub fn listen(&self) -> Endpoint {
        self.listen.clone().endpoint(RELAY_PORT)
    }

    /// How to pass bytes on.
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
    pub fn log(&self) -> Log {
        self.explain.log()
    }

    /// What is told, with the calls that are noted in `log`.
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
#[group(skip)]
#[command(next_help_heading = "How to talk")]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct ChatArgs {
    /// Where a message ends: raw, line, crlf, json, nul
    ///
    /// raw, the default, has no mark: what arrives at once is a message, as the tutorial's scripts take
    /// it. line ends a message with \n, crlf with \r\n, nul with a zero byte; json sends a line of
    /// JSON. Both sides must use the same.
    #[arg(
        short,
        long,
        default_value_t,
        value_name = "HOW",
        hide_default_value = true,
        hide_possible_values = true
    )]
    framing: Framing,
    /// Who you are, with --framing json
    ///
    /// The other side labels your messages with it [default: your login name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Take no turns: both sides speak at any time
    ///
    /// In a pipe with --framing raw, the bytes are sent as they are.
    #[arg(long)]
    duplex: bool,
    /// The server speaks first
    ///
    /// Many services greet so.
    #[arg(long, conflicts_with = "duplex")]
    server_first: bool,
    /// How long to wait for more after the end of the input
    ///
    /// The other side is left when it has said nothing for so long
    /// [default: 2s; with --duplex until it closes].
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = parse_duration,
        hide_short_help = true
    )]
    linger: Option<Duration>,
    /// Print the messages alone: no labels, no notices
    #[arg(short, long)]
    quiet: bool,
    /// Tell the time of day before each message
    #[arg(long, conflicts_with = "quiet", hide_short_help = true)]
    time: bool,
    /// Ring for a message that comes while you wait or type, at a terminal
    #[arg(long, hide_short_help = true)]
    bell: bool,
    /// When to use colour
    ///
    /// auto: at a terminal, unless the environment has NO_COLOR.
    #[arg(
        long,
        default_value_t = ColorChoice::Auto,
        value_name = "WHEN",
        hide_short_help = true
    )]
    color: ColorChoice,
    /// Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]
    #[arg(long, hide_short_help = true)]
    vi: bool,
    /// Keep the history in this file
    ///
    /// [default: ~/.local/state/socketchat/history, or in $XDG_STATE_HOME]
    #[arg(long, value_name = "FILE", hide_short_help = true, value_hint = ValueHint::FilePath)]
    history_file: Option<PathBuf>,
    /// Keep no history
    #[arg(
        long,
        action = ArgAction::SetTrue,
        conflicts_with = "history_file",
        hide_short_help = true
    )]
    no_history: bool,
    /// Whether socket calls are told.
    #[command(flatten)]
    explain: ExplainArg,
    /// Keep what happens in this file, as lines of JSON
    ///
    /// Each event is a line, behind what is there already.
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "For a lesson",
        value_hint = ValueHint::FilePath
    )]
    pub transcript: Option<PathBuf>,
    /// The language of what is explained.
    #[command(flatten)]
    pub language: LanguageArg,
}

/// Whether socket calls are told.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
struct ExplainArg {
    /// Tell the socket calls and what they are good for
    ///
    /// With their arguments and results; with =all, also each of those that set options.
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
}

impl ExplainArg {
    /// Where socket calls are noted, if they are to be told.
    fn log(self) -> Log {
        match self.explain {
            Some(Explain::All) => Log::on(false),
            Some(Explain::Folded) => Log::on(true),
            None => Log::default(),
        }
    }
}

/// The language of what is for a lesson.
#[derive(Debug, Clone, Copy, Args)]
#[group(skip)]
pub struct LanguageArg {
    /// The language of what is explained: en or de
    ///
    /// [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]
    #[arg(
        long,
        value_name = "LANGUAGE",
        hide_possible_values = true,
        hide_short_help = true,
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
    pub fn log(&self) -> Log {
        self.explain.log()
    }

    /// What is told, with the calls that are noted in `log`.
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
    pub fn input(&self) -> input::Options {
        input::Options {
            vi: self.vi,
            history: if self.no_history {
                None
            } else {
                self.history_file.clone().or_else(input::default_path)
            },
            dim: self
                .report(&Log::default())
                .style(Style::new().dimmed(), true),
        }
    }

    /// How to take turns.
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

/// Takes what to listen on: a port of this machine, which may be 0, or a host with a port or
/// without.
fn parse_listen(text: &str) -> Result<Target, String> {
    match parse_number(text) {
        Ok(0) => Ok(Target::Host("localhost".into(), Some(0))),
        _ => endpoint::parse_target(text),
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

    fn endpoint(subcommand: &str, args: &[&str]) -> Endpoint {
        let line = [&["socketchat", subcommand], args].concat();
        let line = with_retry_joined(line.into_iter().map(OsString::from));
        match Cli::from_args(&line).unwrap().command {
            Command::Serve(args) => args.endpoint(),
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
            (&["chat.example", "-p", "7000"], "chat.example:7000"),
            (&["--port", "7000"], "localhost:7000"),
            (&["7000"], "localhost:7000"),
            (&["::1", "7000"], "[::1]:7000"),
            (&["[::1]:7000"], "[::1]:7000"),
            (&["--retry", "chat.example"], "chat.example:5000"),
            (&["--retry", "5s", "chat.example"], "chat.example:5000"),
            (&["chat.example", "--retry", "5s"], "chat.example:5000"),
        ] {
            assert_eq!(endpoint("connect", args).to_string(), address, "{args:?}");
        }
    }

    #[test]
    fn every_way_to_name_where_to_listen() {
        for (args, address) in [
            (&[][..], "localhost:5000"),
            (&["7000"], "localhost:7000"),
            (&["0"], "localhost:0"),
            (&["0.0.0.0:7000"], "0.0.0.0:7000"),
            (&["0.0.0.0"], "0.0.0.0:5000"),
            (&["0.0.0.0", "-p", "7000"], "0.0.0.0:7000"),
            (&["[::]:7000"], "[::]:7000"),
            (&["--host", "::", "--port", "7000"], "[::]:7000"),
        ] {
            assert_eq!(endpoint("serve", args).to_string(), address, "{args:?}");
        }
    }

    /// What follows `--` is another program's.
    #[test]
    fn a_value_is_joined_to_no_option_of_another_program() {
        let line = ["socketchat", "check", "client", "--", "x", "--retry", "5s"];
        let line = line.map(OsString::from);
        assert_eq!(with_retry_joined(line.iter().cloned()), line);
    }
}
