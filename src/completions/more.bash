
# What is left out above: values after "=", and hosts.
_socketchat_more() {
    local previous=$3
    # bash takes --framing=j for three words.
    if [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD-2]}
    fi
    _socketchat "$1" "$2" "$previous"
    case ${COMP_WORDS[1]},$previous in
        serve,--host) COMPREPLY=() ;;
        serve,-*) return 0 ;;
        serve,*) compopt +o default +o bashdefault 2>/dev/null; return 0 ;;
        *,-f | *,--framing | *,--color | *,--lang | *,--explain) return 0 ;;
        diagram,-*) return 0 ;;
        # Files, and no option in their place.
        diagram,*) [[ $2 == -* ]] || COMPREPLY=(); return 0 ;;
        connect,-* | relay,-*) [[ ${#COMPREPLY[@]} -eq 0 ]] || return 0 ;;
        connect,* | relay,*) ;;
        *) return 0 ;;
    esac
    [[ $2 != -* ]] || return 0
    # Of the package bash-completion, which reads the files of ssh too.
    if declare -F _known_hosts_real >/dev/null; then
        _known_hosts_real -a -- "$2"
    else
        COMPREPLY+=($(compgen -A hostname -- "$2"))
    fi
    # No host is a file.
    compopt +o default +o bashdefault 2>/dev/null
}

# A shell that cannot keep the order does without.
complete -F _socketchat_more -o nosort -o bashdefault -o default socketchat 2>/dev/null ||
    complete -F _socketchat_more -o bashdefault -o default socketchat
