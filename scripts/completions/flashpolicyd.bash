# Completion for bash: copy to /usr/share/bash-completion/completions/flashpolicyd, or source it.
# shellcheck shell=bash

# Made of src/cli/options.rs by a test: .github/CONTRIBUTING.md.
_flashpolicyd_commands='init serve start stop restart reload status check policy explain probe help'
_flashpolicyd_topics='init serve start stop restart reload status check policy explain probe help codes config json operate silent-player man man-conf'

# The options of a command.
_flashpolicyd_options() {
    local configuration='--config --listen --policy --workers --timeout --log-file --log-level --pid-file'
    case $1 in
        init) echo "--from --to --by --config" ;;
        serve | start | stop | restart | reload) echo "$configuration" ;;
        status | policy) echo "--json $configuration" ;;
        check) echo "--strict --ignore --json $configuration" ;;
        explain) echo "--from --to --player --json $configuration" ;;
        probe) echo "--from --to --load --tls --player --port --timeout --ignore --errors-only --json --quiet" ;;
        help) echo "" ;;
    esac
}

# What an option takes: FILE, one of these words, or anything; it fails for what takes none.
_flashpolicyd_value() {
    case $1 in
        --by) echo 'root systemd nobody' ;;
        -c | --config | --log-file | --pid-file | --policy) echo 'FILE' ;;
        --from | --ignore | --listen | --load | --port | --timeout | --to | --workers) echo '' ;;
        --log-level) echo 'error warn info debug' ;;
        --player) echo 'flash lightspark unity' ;;
        *) return 1 ;;
    esac
}
# End of what is made.

_flashpolicyd() {
    local word=${COMP_WORDS[COMP_CWORD]} command='' value words at
    for ((at = 1; at < COMP_CWORD; at++)); do
        case " $_flashpolicyd_commands " in
            *" ${COMP_WORDS[at]} "*) command=${COMP_WORDS[at]} && break ;;
        esac
    done
    words="$(_flashpolicyd_options "${command:-serve}") --help"
    case $command in
        '') words+=" $_flashpolicyd_commands --version" ;;
        help)
            words="$_flashpolicyd_topics $(flashpolicyd help codes 2>/dev/null |
                sed -n 's/^\([a-z][a-z-]*\)  *\(error\|warning\) .*/\1/p')"
            ;;
    esac
    if value=$(_flashpolicyd_value "${COMP_WORDS[COMP_CWORD - 1]}"); then
        words=$value
    else
        case $command,$word in
            *,-*) ;;
            check,*) value=FILE ;;
            probe,*) value=HOST ;;
        esac
    fi
    case $value in
        FILE) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
        HOST) mapfile -t COMPREPLY < <(compgen -A hostname -- "$word") ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    esac
}
complete -F _flashpolicyd flashpolicyd
