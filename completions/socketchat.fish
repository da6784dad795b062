# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_socketchat_global_optspecs
    string join \n h/help V/version
end

function __fish_socketchat_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_socketchat_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_socketchat_using_subcommand
    set -l cmd (__fish_socketchat_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c socketchat -n "__fish_socketchat_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c socketchat -n "__fish_socketchat_needs_command" -s V -l version -d 'Print version'
complete -c socketchat -n "__fish_socketchat_needs_command" -f -a "serve" -d 'Wait for a client and talk with it; the client speaks first'
complete -c socketchat -n "__fish_socketchat_needs_command" -f -a "connect" -d 'Connect to a server and talk with it; you speak first'
complete -c socketchat -n "__fish_socketchat_needs_command" -f -a "check" -d 'Check whether your own client or server does what it must'
complete -c socketchat -n "__fish_socketchat_needs_command" -f -a "relay" -d 'Stand between a client and a server, and show and disturb what they say'
complete -c socketchat -n "__fish_socketchat_needs_command" -f -a "diagram" -d 'Draw the sequence diagram of a transcript'
complete -c socketchat -n "__fish_socketchat_needs_command" -f -a "completions" -d 'Print a completion script for a shell'
complete -c socketchat -n "__fish_socketchat_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l host -d 'Name or address of this machine to listen on; 0.0.0.0 or :: for all of its addresses; unix:PATH for a Unix socket' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s p -l port -d 'Port to listen on; 0 for any that is free [default: 5000]' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s b -l backlog -d 'How many connections may wait to be accepted' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s m -l max-clients -d 'Talk with up to N clients at once, and keep open: whoever has waited longest is answered first; the others stay in the backlog' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l idle-timeout -d 'Let a client go that has the turn and says nothing for so long: 30s, 5m' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l allow -d 'Accept clients from this network or address alone, as 10.0.0.0/8; may be repeated' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l per-host -d 'Accept so many clients at once from an address' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l script -d 'Answer as this file says, instead of a person: each line has a regular expression, a tab, and the answer to what matches' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s f -l framing -d 'Where a message ends: raw (where it does), line (at \\n), crlf (at \\r\\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same' -r -f -a "raw\t''
line\t''
crlf\t''
json\t''
nul\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l name -d 'Who you are, for the other side\'s label, with --framing json [default: your login name]' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l linger -d 'After the end of the input, how long the other side may say nothing until it is left [default: 2s; with --duplex until it closes]' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l color -d 'When to use colour; auto: at a terminal, unless the environment has NO_COLOR' -r -f -a "auto\t''
always\t''
never\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l history-file -d 'Keep the history in this file [default: ~/.local/state/socketchat/history, or in $XDG_STATE_HOME]' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l explain -d 'Tell the socket calls: their arguments, their results, and what they are good for; with =all, also each of those that set options' -r -f -a "folded\t''
all\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l transcript -d 'Keep what happens in this file, behind what stands there: JSON, one event a line' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l lang -d 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s k -l keep-open -d 'Wait for the next client when one has left'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l duplex -d 'Take no turns: both sides speak at any time; in a pipe with --framing raw, the bytes are sent as they are'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l server-first -d 'The server speaks first, as many services do with a greeting'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s q -l quiet -d 'Print the messages alone: no label before them and no notices'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l time -d 'Tell the time of day before each message'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l bell -d 'Ring for a message that comes while you wait or type, at a terminal'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l vi -d 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l no-history -d 'Keep no history'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s h -l help -d 'Print help'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l connect-timeout -d 'How long to try each address of the server: 500ms, 10s, 2m' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l retry -d 'Try again for so long, when the server is not there yet, and when the connection is lost [default without a value: 60s]' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l reply-until -d 'A reply of the server ends with a line that matches REGEX: \'^[0-9]{3} \' with SMTP or FTP' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l reply-quiet -d 'A reply ends when nothing has come for so long: 200ms, 1s' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l reply-timeout -d 'A reply that has not ended after so long is an error; at a terminal it is your turn then' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -s f -l framing -d 'Where a message ends: raw (where it does), line (at \\n), crlf (at \\r\\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same' -r -f -a "raw\t''
line\t''
crlf\t''
json\t''
nul\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l name -d 'Who you are, for the other side\'s label, with --framing json [default: your login name]' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l linger -d 'After the end of the input, how long the other side may say nothing until it is left [default: 2s; with --duplex until it closes]' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l color -d 'When to use colour; auto: at a terminal, unless the environment has NO_COLOR' -r -f -a "auto\t''
always\t''
never\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l history-file -d 'Keep the history in this file [default: ~/.local/state/socketchat/history, or in $XDG_STATE_HOME]' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l explain -d 'Tell the socket calls: their arguments, their results, and what they are good for; with =all, also each of those that set options' -r -f -a "folded\t''
all\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l transcript -d 'Keep what happens in this file, behind what stands there: JSON, one event a line' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l lang -d 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l duplex -d 'Take no turns: both sides speak at any time; in a pipe with --framing raw, the bytes are sent as they are'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l server-first -d 'The server speaks first, as many services do with a greeting'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -s q -l quiet -d 'Print the messages alone: no label before them and no notices'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l time -d 'Tell the time of day before each message'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l bell -d 'Ring for a message that comes while you wait or type, at a terminal'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l vi -d 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l no-history -d 'Keep no history'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -s h -l help -d 'Print help'
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s p -l port -d 'The port that it connects to or listens on' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s f -l framing -d 'Where a message ends: raw, line, crlf, json or nul' -r -f -a "raw\t''
line\t''
crlf\t''
json\t''
nul\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s l -l level -d 'How much it must do: 1 what the tutorial\'s scripts do, 2 what breaks those, 3 several clients and lost connections' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -l format -d 'How to tell what was found: as text, or json, an object for each check' -r -f -a "text\t''
json\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -l lang -d 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s h -l help -d 'Print help'
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -s l -l listen -d 'Where to listen for the client: a port of this machine, or HOST:PORT' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l split -d 'Pass on N bytes at a time' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l delay -d 'The pause between two parts of what is split' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l join -d 'Hold what comes for so long, then pass all of it on at once' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l cut-after -d 'Reset the connection after N bytes, counted in both directions' -r
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l transcript -d 'Keep what passes in this file, as the server would: JSON, one event a line' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l lang -d 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l step -d 'Pass on only when you press Enter'
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l explain -d 'Tell the socket calls too'
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -s h -l help -d 'Print help'
complete -c socketchat -n "__fish_socketchat_using_subcommand diagram" -l format -d 'How to draw it: with characters, as Mermaid text, as a picture, or as a page that steps through the picture' -r -f -a "chars\t''
mermaid\t''
svg\t''
html\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand diagram" -l lang -d 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand diagram" -s h -l help -d 'Print help'
complete -c socketchat -n "__fish_socketchat_using_subcommand completions" -s h -l help -d 'Print help'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "serve" -d 'Wait for a client and talk with it; the client speaks first'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "connect" -d 'Connect to a server and talk with it; you speak first'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "check" -d 'Check whether your own client or server does what it must'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "relay" -d 'Stand between a client and a server, and show and disturb what they say'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "diagram" -d 'Draw the sequence diagram of a transcript'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
