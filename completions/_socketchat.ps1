
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'socketchat' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'socketchat'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'socketchat' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Wait for a client and talk with it; the client speaks first')
            [CompletionResult]::new('connect', 'connect', [CompletionResultType]::ParameterValue, 'Connect to a server and talk with it; you speak first')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check whether your own client or server does what it must')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Stand between a client and a server, and show and disturb what they say')
            [CompletionResult]::new('diagram', 'diagram', [CompletionResultType]::ParameterValue, 'Draw the sequence diagram of a transcript')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'socketchat;serve' {
            [CompletionResult]::new('--host', '--host', [CompletionResultType]::ParameterName, 'Name or address of this machine to listen on; 0.0.0.0 or :: for all of its addresses; unix:PATH for a Unix socket')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Port to listen on; 0 for any that is free [default: 5000]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Port to listen on; 0 for any that is free [default: 5000]')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'How many connections may wait to be accepted')
            [CompletionResult]::new('--backlog', '--backlog', [CompletionResultType]::ParameterName, 'How many connections may wait to be accepted')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Talk with up to N clients at once, and keep open: whoever has waited longest is answered first; the others stay in the backlog')
            [CompletionResult]::new('--max-clients', '--max-clients', [CompletionResultType]::ParameterName, 'Talk with up to N clients at once, and keep open: whoever has waited longest is answered first; the others stay in the backlog')
            [CompletionResult]::new('--idle-timeout', '--idle-timeout', [CompletionResultType]::ParameterName, 'Let a client go that has the turn and says nothing for so long: 30s, 5m')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Accept clients from this network or address alone, as 10.0.0.0/8; may be repeated')
            [CompletionResult]::new('--per-host', '--per-host', [CompletionResultType]::ParameterName, 'Accept so many clients at once from an address')
            [CompletionResult]::new('--script', '--script', [CompletionResultType]::ParameterName, 'Answer as this file says, instead of a person: each line has a regular expression, a tab, and the answer to what matches')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same')
            [CompletionResult]::new('--framing', '--framing', [CompletionResultType]::ParameterName, 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Who you are, for the other side''s label, with --framing json [default: your login name]')
            [CompletionResult]::new('--linger', '--linger', [CompletionResultType]::ParameterName, 'After the end of the input, how long the other side may say nothing until it is left [default: 2s; with --duplex until it closes]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour; auto: at a terminal, unless the environment has NO_COLOR')
            [CompletionResult]::new('--history-file', '--history-file', [CompletionResultType]::ParameterName, 'Keep the history in this file [default: ~/.local/state/socketchat/history, or in $XDG_STATE_HOME]')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell the socket calls: their arguments, their results, and what they are good for; with =all, also each of those that set options')
            [CompletionResult]::new('--transcript', '--transcript', [CompletionResultType]::ParameterName, 'Keep what happens in this file, behind what stands there: JSON, one event a line')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Wait for the next client when one has left')
            [CompletionResult]::new('--keep-open', '--keep-open', [CompletionResultType]::ParameterName, 'Wait for the next client when one has left')
            [CompletionResult]::new('--duplex', '--duplex', [CompletionResultType]::ParameterName, 'Take no turns: both sides speak at any time; in a pipe with --framing raw, the bytes are sent as they are')
            [CompletionResult]::new('--server-first', '--server-first', [CompletionResultType]::ParameterName, 'The server speaks first, as many services do with a greeting')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the messages alone: no label before them and no notices')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the messages alone: no label before them and no notices')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Tell the time of day before each message')
            [CompletionResult]::new('--bell', '--bell', [CompletionResultType]::ParameterName, 'Ring for a message that comes while you wait or type, at a terminal')
            [CompletionResult]::new('--vi', '--vi', [CompletionResultType]::ParameterName, 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]')
            [CompletionResult]::new('--no-history', '--no-history', [CompletionResultType]::ParameterName, 'Keep no history')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'socketchat;connect' {
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'How long to try each address of the server: 500ms, 10s, 2m')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'Try again for so long, when the server is not there yet, and when the connection is lost [default without a value: 60s]')
            [CompletionResult]::new('--reply-until', '--reply-until', [CompletionResultType]::ParameterName, 'A reply of the server ends with a line that matches REGEX: ''^[0-9]{3} '' with SMTP or FTP')
            [CompletionResult]::new('--reply-quiet', '--reply-quiet', [CompletionResultType]::ParameterName, 'A reply ends when nothing has come for so long: 200ms, 1s')
            [CompletionResult]::new('--reply-timeout', '--reply-timeout', [CompletionResultType]::ParameterName, 'A reply that has not ended after so long is an error; at a terminal it is your turn then')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same')
            [CompletionResult]::new('--framing', '--framing', [CompletionResultType]::ParameterName, 'Where a message ends: raw (where it does), line (at \n), crlf (at \r\n), json (a line of JSON), or nul (at a zero byte); the other side must use the same')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Who you are, for the other side''s label, with --framing json [default: your login name]')
            [CompletionResult]::new('--linger', '--linger', [CompletionResultType]::ParameterName, 'After the end of the input, how long the other side may say nothing until it is left [default: 2s; with --duplex until it closes]')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour; auto: at a terminal, unless the environment has NO_COLOR')
            [CompletionResult]::new('--history-file', '--history-file', [CompletionResultType]::ParameterName, 'Keep the history in this file [default: ~/.local/state/socketchat/history, or in $XDG_STATE_HOME]')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell the socket calls: their arguments, their results, and what they are good for; with =all, also each of those that set options')
            [CompletionResult]::new('--transcript', '--transcript', [CompletionResultType]::ParameterName, 'Keep what happens in this file, behind what stands there: JSON, one event a line')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]')
            [CompletionResult]::new('--duplex', '--duplex', [CompletionResultType]::ParameterName, 'Take no turns: both sides speak at any time; in a pipe with --framing raw, the bytes are sent as they are')
            [CompletionResult]::new('--server-first', '--server-first', [CompletionResultType]::ParameterName, 'The server speaks first, as many services do with a greeting')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the messages alone: no label before them and no notices')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the messages alone: no label before them and no notices')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Tell the time of day before each message')
            [CompletionResult]::new('--bell', '--bell', [CompletionResultType]::ParameterName, 'Ring for a message that comes while you wait or type, at a terminal')
            [CompletionResult]::new('--vi', '--vi', [CompletionResultType]::ParameterName, 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]')
            [CompletionResult]::new('--no-history', '--no-history', [CompletionResultType]::ParameterName, 'Keep no history')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'socketchat;check' {
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'The port that it connects to or listens on')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The port that it connects to or listens on')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json or nul')
            [CompletionResult]::new('--framing', '--framing', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json or nul')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'How much it must do: 1 what the tutorial''s scripts do, 2 what breaks those, 3 several clients and lost connections')
            [CompletionResult]::new('--level', '--level', [CompletionResultType]::ParameterName, 'How much it must do: 1 what the tutorial''s scripts do, 2 what breaks those, 3 several clients and lost connections')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to tell what was found: as text, or json, an object for each check')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'socketchat;relay' {
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Where to listen for the client: a port of this machine, or HOST:PORT')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where to listen for the client: a port of this machine, or HOST:PORT')
            [CompletionResult]::new('--split', '--split', [CompletionResultType]::ParameterName, 'Pass on N bytes at a time')
            [CompletionResult]::new('--delay', '--delay', [CompletionResultType]::ParameterName, 'The pause between two parts of what is split')
            [CompletionResult]::new('--join', '--join', [CompletionResultType]::ParameterName, 'Hold what comes for so long, then pass all of it on at once')
            [CompletionResult]::new('--cut-after', '--cut-after', [CompletionResultType]::ParameterName, 'Reset the connection after N bytes, counted in both directions')
            [CompletionResult]::new('--transcript', '--transcript', [CompletionResultType]::ParameterName, 'Keep what passes in this file, as the server would: JSON, one event a line')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]')
            [CompletionResult]::new('--step', '--step', [CompletionResultType]::ParameterName, 'Pass on only when you press Enter')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell the socket calls too')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'socketchat;diagram' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to draw it: with characters, as Mermaid text, as a picture, or as a page that steps through the picture')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de [default: German if LC_ALL, LC_MESSAGES or LANG asks for it]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'socketchat;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'socketchat;help' {
            [CompletionResult]::new('serve', 'serve', [CompletionResultType]::ParameterValue, 'Wait for a client and talk with it; the client speaks first')
            [CompletionResult]::new('connect', 'connect', [CompletionResultType]::ParameterValue, 'Connect to a server and talk with it; you speak first')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check whether your own client or server does what it must')
            [CompletionResult]::new('relay', 'relay', [CompletionResultType]::ParameterValue, 'Stand between a client and a server, and show and disturb what they say')
            [CompletionResult]::new('diagram', 'diagram', [CompletionResultType]::ParameterValue, 'Draw the sequence diagram of a transcript')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'socketchat;help;serve' {
            break
        }
        'socketchat;help;connect' {
            break
        }
        'socketchat;help;check' {
            break
        }
        'socketchat;help;relay' {
            break
        }
        'socketchat;help;diagram' {
            break
        }
        'socketchat;help;completions' {
            break
        }
        'socketchat;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
