
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
            cand --host 'Name or address of this machine to listen on; 0.0.0.0 or :: for all of its addresses; unix:PATH for a Unix socket'
            cand -p 'Port to listen on; 0 for any that is free [default: 5000]'
            cand --port 'Port to listen on; 0 for any that is free [default: 5000]'
            cand -b 'How many connections may wait to be accepted'
            cand --backlog 'How many connections may wait to be accepted'
            cand -m 'Talk with up to N clients at once, and keep open: whoever has waited longest is answered first; the others stay in the backlog'
            cand --max-clients 'Talk with up to N clients at once, and keep open: whoever has waited longest is answered first; the others stay in the backlog'
            cand --idle-timeout 'Let a client go that has the turn and says nothing for so long: 30s, 5m'
            cand --allow 'Accept clients from this network or address alone, as 10.0.0.0/8; may be repeated'
            cand --per-host 'Accept so many clients at once from an address'
            cand --script 'Answer as this file says, instead of a person: each line has a regular expression, a tab, and the answer to what matches'
            cand -f 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same'
            cand --framing 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same'
            cand --name 'Who you are, for the other side''s label, with --framing json [default: your login name]'
            cand --linger 'After the end of the input, how long the other side may say nothing until it is left [default: 2s; with --duplex until it closes]'
            cand --color 'When to use colour; auto: at a terminal, unless the environment has NO_COLOR'
            cand --history-file 'Keep the history in this file [default: ~/.local/state/socketchat/history, or in $XDG_STATE_HOME]'
            cand --explain 'Tell the socket calls: their arguments, their results, and what they are good for; with =all, also each of those that set options'
            cand --transcript 'Keep what happens in this file, behind what stands there: JSON, one event a line'
            cand --lang 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]'
            cand -k 'Wait for the next client when one has left'
            cand --keep-open 'Wait for the next client when one has left'
            cand --duplex 'Take no turns: both sides speak at any time; in a pipe with --framing raw, the bytes are sent as they are'
            cand --server-first 'The server speaks first, as many services do with a greeting'
            cand -q 'Print the messages alone: no label before them and no notices'
            cand --quiet 'Print the messages alone: no label before them and no notices'
            cand --time 'Tell the time of day before each message'
            cand --bell 'Ring for a message that comes while you wait or type, at a terminal'
            cand --vi 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
            cand --no-history 'Keep no history'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'socketchat;connect'= {
            cand --connect-timeout 'How long to try each address of the server: 500ms, 10s, 2m'
            cand --retry 'Try again for so long, when the server is not there yet, and when the connection is lost [default without a value: 60s]'
            cand --reply-until 'A reply of the server ends with a line that matches REGEX: ''^[0-9]{3} '' with SMTP or FTP'
            cand --reply-quiet 'A reply ends when nothing has come for so long: 200ms, 1s'
            cand --reply-timeout 'A reply that has not ended after so long is an error; at a terminal it is your turn then'
            cand -f 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same'
            cand --framing 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same'
            cand --name 'Who you are, for the other side''s label, with --framing json [default: your login name]'
            cand --linger 'After the end of the input, how long the other side may say nothing until it is left [default: 2s; with --duplex until it closes]'
            cand --color 'When to use colour; auto: at a terminal, unless the environment has NO_COLOR'
            cand --history-file 'Keep the history in this file [default: ~/.local/state/socketchat/history, or in $XDG_STATE_HOME]'
            cand --explain 'Tell the socket calls: their arguments, their results, and what they are good for; with =all, also each of those that set options'
            cand --transcript 'Keep what happens in this file, behind what stands there: JSON, one event a line'
            cand --lang 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]'
            cand --duplex 'Take no turns: both sides speak at any time; in a pipe with --framing raw, the bytes are sent as they are'
            cand --server-first 'The server speaks first, as many services do with a greeting'
            cand -q 'Print the messages alone: no label before them and no notices'
            cand --quiet 'Print the messages alone: no label before them and no notices'
            cand --time 'Tell the time of day before each message'
            cand --bell 'Ring for a message that comes while you wait or type, at a terminal'
            cand --vi 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]'
            cand --no-history 'Keep no history'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'socketchat;check'= {
            cand -p 'The port that it connects to or listens on'
            cand --port 'The port that it connects to or listens on'
            cand -f 'Where a message ends: raw, line, crlf, json or nul'
            cand --framing 'Where a message ends: raw, line, crlf, json or nul'
            cand -l 'How much it must do: 1 what the tutorial''s scripts do, 2 what breaks those, 3 several clients and lost connections'
            cand --level 'How much it must do: 1 what the tutorial''s scripts do, 2 what breaks those, 3 several clients and lost connections'
            cand --format 'How to tell what was found: as text, or json, an object for each check'
            cand --lang 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'socketchat;relay'= {
            cand -l 'Where to listen for the client: a port of this machine, or HOST:PORT'
            cand --listen 'Where to listen for the client: a port of this machine, or HOST:PORT'
            cand --split 'Pass on N bytes at a time'
            cand --delay 'The pause between two parts of what is split'
            cand --join 'Hold what comes for so long, then pass all of it on at once'
            cand --cut-after 'Reset the connection after N bytes, counted in both directions'
            cand --transcript 'Keep what passes in this file, as the server would: JSON, one event a line'
            cand --lang 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]'
            cand --step 'Pass on only when you press Enter'
            cand --explain 'Tell the socket calls too'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'socketchat;diagram'= {
            cand --format 'How to draw it: with characters, as Mermaid text, as a picture, or as a page that steps through the picture'
            cand --lang 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'socketchat;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
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
