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
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l host -d 'Name or address to listen on' -r -f -a "(__fish_print_hostnames)"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s p -l port -d 'Port; 0: any that is free [default: 5000]' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s b -l backlog -d 'How many clients may wait to be accepted' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s m -l max-clients -d 'Talk with up to N clients at once, and keep open' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l idle-timeout -d 'Let a client go that has the turn and says nothing for so long: 30s, 5m' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l allow -d 'Accept clients from this network alone: 10.0.0.0/8' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l per-host -d 'Accept so many clients at once from an address' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l script -d 'Answer as this file says, instead of a person' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s f -l framing -d 'Where a message ends: raw, line, crlf, json, nul' -r -f -a "raw\t''
line\t''
crlf\t''
json\t''
nul\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l name -d 'Who you are, with --framing json' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l linger -d 'How long to wait for more after the end of the input' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l history-file -d 'Keep the history in this file' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l explain -d 'Tell the socket calls and what they are good for' -r -f -a "folded\t''
all\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l transcript -d 'Keep what happens in this file, as lines of JSON' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l lang -d 'The language of what is explained: en or de' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s k -l keep-open -d 'Wait for the next client when one has left'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l duplex -d 'Take no turns: both sides speak at any time'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l server-first -d 'The server speaks first'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s q -l quiet -d 'Print the messages alone: no labels, no notices'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l time -d 'Tell the time of day before each message'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l bell -d 'Ring for a message that comes while you wait or type, at a terminal'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l vi -d 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -l no-history -d 'Keep no history'
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -s p -l port -d 'Its port, as an option' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l connect-timeout -d 'How long to try each address of the server: 500ms, 10s, 2m' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l retry -d 'Try again for so long' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l reply-until -d 'A reply ends with a line that matches REGEX' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l reply-quiet -d 'A reply ends when nothing has come for so long: 200ms, 1s' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l reply-timeout -d 'A reply must have ended after so long' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -s f -l framing -d 'Where a message ends: raw, line, crlf, json, nul' -r -f -a "raw\t''
line\t''
crlf\t''
json\t''
nul\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l name -d 'Who you are, with --framing json' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l linger -d 'How long to wait for more after the end of the input' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l color -d 'When to use colour' -r -f -a "auto\t''
always\t''
never\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l history-file -d 'Keep the history in this file' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l explain -d 'Tell the socket calls and what they are good for' -r -f -a "folded\t''
all\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l transcript -d 'Keep what happens in this file, as lines of JSON' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l lang -d 'The language of what is explained: en or de' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l duplex -d 'Take no turns: both sides speak at any time'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l server-first -d 'The server speaks first'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -s q -l quiet -d 'Print the messages alone: no labels, no notices'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l time -d 'Tell the time of day before each message'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l bell -d 'Ring for a message that comes while you wait or type, at a terminal'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l vi -d 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -l no-history -d 'Keep no history'
complete -c socketchat -n "__fish_socketchat_using_subcommand connect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s p -l port -d 'Port that it connects to or listens on' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s f -l framing -d 'Where a message ends: raw, line, crlf, json, nul' -r -f -a "raw\t''
line\t''
crlf\t''
json\t''
nul\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s l -l level -d 'How much it must do: 1, 2 or 3' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -l format -d 'How to tell what was found: text, or json' -r -f -a "text\t''
json\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -l lang -d 'The language of what is explained: en or de' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -s l -l listen -d 'Where to listen for the client' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l split -d 'Pass on N bytes at a time' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l delay -d 'The pause between two parts' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l join -d 'Hold what comes for so long, then pass it on at once' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l cut-after -d 'Reset the connection after N bytes, both ways' -r -f
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l explain -d 'Tell the socket calls and what they are good for' -r -f -a "folded\t''
all\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l transcript -d 'Keep what passes in this file, as lines of JSON' -r -F
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l lang -d 'The language of what is explained: en or de' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -l step -d 'Pass on only when you press Enter'
complete -c socketchat -n "__fish_socketchat_using_subcommand relay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c socketchat -n "__fish_socketchat_using_subcommand diagram" -l format -d 'How to draw it: chars, mermaid, svg, html' -r -f -a "chars\t''
mermaid\t''
svg\t''
html\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand diagram" -l lang -d 'The language of what is explained: en or de' -r -f -a "en\t''
de\t''"
complete -c socketchat -n "__fish_socketchat_using_subcommand diagram" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c socketchat -n "__fish_socketchat_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "serve" -d 'Wait for a client and talk with it; the client speaks first'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "connect" -d 'Connect to a server and talk with it; you speak first'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "check" -d 'Check whether your own client or server does what it must'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "relay" -d 'Stand between a client and a server, and show and disturb what they say'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "diagram" -d 'Draw the sequence diagram of a transcript'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c socketchat -n "__fish_socketchat_using_subcommand help; and not __fish_seen_subcommand_from serve connect check relay diagram completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'

# What is left out above: arguments that are no options.
complete -c socketchat -n "__fish_socketchat_using_subcommand connect relay" -f -a "(__fish_print_hostnames)"
complete -c socketchat -n "__fish_socketchat_using_subcommand serve" -f
complete -c socketchat -n "__fish_socketchat_using_subcommand check; and not __fish_seen_subcommand_from client server" -f -a "client server"
complete -c socketchat -n "__fish_socketchat_using_subcommand completions" -f -a "bash elvish fish powershell zsh"
complete -c socketchat -n "__fish_socketchat_using_subcommand help" -f -a "serve connect check relay diagram completions help"
