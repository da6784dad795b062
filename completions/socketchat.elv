
use builtin;
use str;

set edit:completion:arg-completer[socketchat] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'socketchat'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'socketchat'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand serve 'Wait for a client and talk with it; the client speaks first'
            cand connect 'Connect to a server and talk with it; you speak first'
            cand check 'Check whether your own client or server does what it must'
            cand relay 'Stand between a client and a server, and show and disturb what they say'
            cand diagram 'Draw the sequence diagram of a transcript'
            cand completions 'Print a completion script for a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'socketchat;serve'= {
            cand --host 'Name or address to listen on'
            cand -p 'Port; 0: any that is free [default: 5000]'
            cand --port 'Port; 0: any that is free [default: 5000]'
            cand -b 'How many clients may wait to be accepted'
            cand --backlog 'How many clients may wait to be accepted'
            cand -m 'Talk with up to N clients at once, and keep open'
            cand --max-clients 'Talk with up to N clients at once, and keep open'
            cand --idle-timeout 'Let a client go that has the turn and says nothing for so long: 30s, 5m'
            cand --allow 'Accept clients from this network alone: 10.0.0.0/8'
            cand --per-host 'Accept so many clients at once from an address'
            cand --script 'Answer as this file says, instead of a person'
            cand -f 'Where a message ends: raw, line, crlf, json, nul'
            cand --framing 'Where a message ends: raw, line, crlf, json, nul'
            cand --name 'Who you are, with --framing json'
            cand --linger 'How long to wait for more after the end of the input'
            cand --color 'When to use colour'
            cand --history-file 'Keep the history in this file'
            cand --explain 'Tell the socket calls and what they are good for'
            cand --transcript 'Keep what happens in this file, as lines of JSON'
            cand --lang 'The language of what is explained: en or de'
            cand -k 'Wait for the next client when one has left'
            cand --keep-open 'Wait for the next client when one has left'
            cand --duplex 'Take no turns: both sides speak at any time'
            cand --server-first 'The server speaks first'
            cand -q 'Print the messages alone: no labels, no notices'
            cand --quiet 'Print the messages alone: no labels, no notices'
            cand --time 'Tell the time of day before each message'
            cand --bell 'Ring for a message that comes while you wait or type, at a terminal'
            cand --vi 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
            cand --no-history 'Keep no history'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'socketchat;connect'= {
            cand -p 'Its port, as an option'
            cand --port 'Its port, as an option'
            cand --connect-timeout 'How long to try each address of the server: 500ms, 10s, 2m'
            cand --retry 'Try again for so long'
            cand --reply-until 'A reply ends with a line that matches REGEX'
            cand --reply-quiet 'A reply ends when nothing has come for so long: 200ms, 1s'
            cand --reply-timeout 'A reply must have ended after so long'
            cand -f 'Where a message ends: raw, line, crlf, json, nul'
            cand --framing 'Where a message ends: raw, line, crlf, json, nul'
            cand --name 'Who you are, with --framing json'
            cand --linger 'How long to wait for more after the end of the input'
            cand --color 'When to use colour'
            cand --history-file 'Keep the history in this file'
            cand --explain 'Tell the socket calls and what they are good for'
            cand --transcript 'Keep what happens in this file, as lines of JSON'
            cand --lang 'The language of what is explained: en or de'
            cand --duplex 'Take no turns: both sides speak at any time'
            cand --server-first 'The server speaks first'
            cand -q 'Print the messages alone: no labels, no notices'
            cand --quiet 'Print the messages alone: no labels, no notices'
            cand --time 'Tell the time of day before each message'
            cand --bell 'Ring for a message that comes while you wait or type, at a terminal'
            cand --vi 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
            cand --no-history 'Keep no history'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'socketchat;check'= {
            cand -p 'Port that it connects to or listens on'
            cand --port 'Port that it connects to or listens on'
            cand -f 'Where a message ends: raw, line, crlf, json, nul'
            cand --framing 'Where a message ends: raw, line, crlf, json, nul'
            cand -l 'How much it must do: 1, 2 or 3'
            cand --level 'How much it must do: 1, 2 or 3'
            cand --format 'How to tell what was found: text, or json'
            cand --lang 'The language of what is explained: en or de'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'socketchat;relay'= {
            cand -l 'Where to listen for the client'
            cand --listen 'Where to listen for the client'
            cand --split 'Pass on N bytes at a time'
            cand --delay 'The pause between two parts'
            cand --join 'Hold what comes for so long, then pass it on at once'
            cand --cut-after 'Reset the connection after N bytes, both ways'
            cand --explain 'Tell the socket calls and what they are good for'
            cand --transcript 'Keep what passes in this file, as lines of JSON'
            cand --lang 'The language of what is explained: en or de'
            cand --step 'Pass on only when you press Enter'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'socketchat;diagram'= {
            cand --format 'How to draw it: chars, mermaid, svg, html'
            cand --lang 'The language of what is explained: en or de'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'socketchat;completions'= {
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'socketchat;help'= {
            cand serve 'Wait for a client and talk with it; the client speaks first'
            cand connect 'Connect to a server and talk with it; you speak first'
            cand check 'Check whether your own client or server does what it must'
            cand relay 'Stand between a client and a server, and show and disturb what they say'
            cand diagram 'Draw the sequence diagram of a transcript'
            cand completions 'Print a completion script for a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'socketchat;help;serve'= {
        }
        &'socketchat;help;connect'= {
        }
        &'socketchat;help;check'= {
        }
        &'socketchat;help;relay'= {
        }
        &'socketchat;help;diagram'= {
        }
        &'socketchat;help;completions'= {
        }
        &'socketchat;help;help'= {
        }
    ]
    $completions[$command]
}
