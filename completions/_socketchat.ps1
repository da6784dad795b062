
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
            [CompletionResult]::new('--host', '--host', [CompletionResultType]::ParameterName, 'Name or address to listen on')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Port; 0: any that is free [default: 5000]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Port; 0: any that is free [default: 5000]')
            [CompletionResult]::new('-b', '-b', [CompletionResultType]::ParameterName, 'How many clients may wait to be accepted')
            [CompletionResult]::new('--backlog', '--backlog', [CompletionResultType]::ParameterName, 'How many clients may wait to be accepted')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Talk with up to N clients at once, and keep open')
            [CompletionResult]::new('--max-clients', '--max-clients', [CompletionResultType]::ParameterName, 'Talk with up to N clients at once, and keep open')
            [CompletionResult]::new('--idle-timeout', '--idle-timeout', [CompletionResultType]::ParameterName, 'Let a client go that has the turn and says nothing for so long: 30s, 5m')
            [CompletionResult]::new('--allow', '--allow', [CompletionResultType]::ParameterName, 'Accept clients from this network alone: 10.0.0.0/8')
            [CompletionResult]::new('--per-host', '--per-host', [CompletionResultType]::ParameterName, 'Accept so many clients at once from an address')
            [CompletionResult]::new('--script', '--script', [CompletionResultType]::ParameterName, 'Answer as this file says, instead of a person')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json, nul')
            [CompletionResult]::new('--framing', '--framing', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json, nul')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Who you are, with --framing json')
            [CompletionResult]::new('--linger', '--linger', [CompletionResultType]::ParameterName, 'How long to wait for more after the end of the input')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--history-file', '--history-file', [CompletionResultType]::ParameterName, 'Keep the history in this file')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell the socket calls and what they are good for')
            [CompletionResult]::new('--transcript', '--transcript', [CompletionResultType]::ParameterName, 'Keep what happens in this file, as lines of JSON')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de')
            [CompletionResult]::new('-k', '-k', [CompletionResultType]::ParameterName, 'Wait for the next client when one has left')
            [CompletionResult]::new('--keep-open', '--keep-open', [CompletionResultType]::ParameterName, 'Wait for the next client when one has left')
            [CompletionResult]::new('--duplex', '--duplex', [CompletionResultType]::ParameterName, 'Take no turns: both sides speak at any time')
            [CompletionResult]::new('--server-first', '--server-first', [CompletionResultType]::ParameterName, 'The server speaks first')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the messages alone: no labels, no notices')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the messages alone: no labels, no notices')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Tell the time of day before each message')
            [CompletionResult]::new('--bell', '--bell', [CompletionResultType]::ParameterName, 'Ring for a message that comes while you wait or type, at a terminal')
            [CompletionResult]::new('--vi', '--vi', [CompletionResultType]::ParameterName, 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]')
            [CompletionResult]::new('--no-history', '--no-history', [CompletionResultType]::ParameterName, 'Keep no history')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'socketchat;connect' {
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Its port, as an option')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Its port, as an option')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'How long to try each address of the server: 500ms, 10s, 2m')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'Try again for so long')
            [CompletionResult]::new('--reply-until', '--reply-until', [CompletionResultType]::ParameterName, 'A reply ends with a line that matches REGEX')
            [CompletionResult]::new('--reply-quiet', '--reply-quiet', [CompletionResultType]::ParameterName, 'A reply ends when nothing has come for so long: 200ms, 1s')
            [CompletionResult]::new('--reply-timeout', '--reply-timeout', [CompletionResultType]::ParameterName, 'A reply must have ended after so long')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json, nul')
            [CompletionResult]::new('--framing', '--framing', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json, nul')
            [CompletionResult]::new('--name', '--name', [CompletionResultType]::ParameterName, 'Who you are, with --framing json')
            [CompletionResult]::new('--linger', '--linger', [CompletionResultType]::ParameterName, 'How long to wait for more after the end of the input')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour')
            [CompletionResult]::new('--history-file', '--history-file', [CompletionResultType]::ParameterName, 'Keep the history in this file')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell the socket calls and what they are good for')
            [CompletionResult]::new('--transcript', '--transcript', [CompletionResultType]::ParameterName, 'Keep what happens in this file, as lines of JSON')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de')
            [CompletionResult]::new('--duplex', '--duplex', [CompletionResultType]::ParameterName, 'Take no turns: both sides speak at any time')
            [CompletionResult]::new('--server-first', '--server-first', [CompletionResultType]::ParameterName, 'The server speaks first')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Print the messages alone: no labels, no notices')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Print the messages alone: no labels, no notices')
            [CompletionResult]::new('--time', '--time', [CompletionResultType]::ParameterName, 'Tell the time of day before each message')
            [CompletionResult]::new('--bell', '--bell', [CompletionResultType]::ParameterName, 'Ring for a message that comes while you wait or type, at a terminal')
            [CompletionResult]::new('--vi', '--vi', [CompletionResultType]::ParameterName, 'Edit the line with Vi keys [default: what ~/.inputrc says, or Emacs keys]')
            [CompletionResult]::new('--no-history', '--no-history', [CompletionResultType]::ParameterName, 'Keep no history')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'socketchat;check' {
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Port that it connects to or listens on')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Port that it connects to or listens on')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json, nul')
            [CompletionResult]::new('--framing', '--framing', [CompletionResultType]::ParameterName, 'Where a message ends: raw, line, crlf, json, nul')
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'How much it must do: 1, 2 or 3')
            [CompletionResult]::new('--level', '--level', [CompletionResultType]::ParameterName, 'How much it must do: 1, 2 or 3')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to tell what was found: text, or json')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'socketchat;relay' {
            [CompletionResult]::new('-l', '-l', [CompletionResultType]::ParameterName, 'Where to listen for the client')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where to listen for the client')
            [CompletionResult]::new('--split', '--split', [CompletionResultType]::ParameterName, 'Pass on N bytes at a time')
            [CompletionResult]::new('--delay', '--delay', [CompletionResultType]::ParameterName, 'The pause between two parts')
            [CompletionResult]::new('--join', '--join', [CompletionResultType]::ParameterName, 'Hold what comes for so long, then pass it on at once')
            [CompletionResult]::new('--cut-after', '--cut-after', [CompletionResultType]::ParameterName, 'Reset the connection after N bytes, both ways')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell the socket calls and what they are good for')
            [CompletionResult]::new('--transcript', '--transcript', [CompletionResultType]::ParameterName, 'Keep what passes in this file, as lines of JSON')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de')
            [CompletionResult]::new('--step', '--step', [CompletionResultType]::ParameterName, 'Pass on only when you press Enter')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'socketchat;diagram' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to draw it: chars, mermaid, svg, html')
            [CompletionResult]::new('--lang', '--lang', [CompletionResultType]::ParameterName, 'The language of what is explained: en or de')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'socketchat;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
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
