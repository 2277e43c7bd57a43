# Completion for bash: copy to /usr/share/bash-completion/completions/flashpolicyd, or source it.
# shellcheck shell=bash

_flashpolicyd() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    local commands='init serve start stop restart reload status check policy explain probe help'
    local common='--config --listen --policy --workers --timeout --log-file --log-level --pid-file --help'
    local command='' own='' at
    for ((at = 1; at < COMP_CWORD; at++)); do
        case " $commands " in
            *" ${COMP_WORDS[at]} "*) command=${COMP_WORDS[at]} && break ;;
        esac
    done
    COMPREPLY=()
    case $before in
        -c | --config | --policy | --log-file | --pid-file)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        --log-level)
            mapfile -t COMPREPLY < <(compgen -W 'error warn info debug' -- "$word")
            return
            ;;
        --player)
            mapfile -t COMPREPLY < <(compgen -W 'flash lightspark unity' -- "$word")
            return
            ;;
        --by)
            mapfile -t COMPREPLY < <(compgen -W 'root systemd nobody' -- "$word")
            return
            ;;
        --listen | --workers | --timeout | --from | --to | --load | --port | --ignore) return ;;
    esac
    case $command in
        '') own="$commands --version" ;;
        init) own='--from --to --by' common='--config --help' ;;
        status | policy) own=--json ;;
        check) own='--strict --ignore --json' ;;
        explain) own='--from --to --player --json' ;;
        probe)
            common=--help
            own='--from --to --load --tls --player --port --timeout --ignore --errors-only --json --quiet'
            ;;
        help)
            common=''
            own="$commands codes config json operate silent-player man man-conf"
            own+=" $(flashpolicyd help codes 2>/dev/null | sed -n 's/^\([a-z][a-z-]*\)  *\(error\|warning\) .*/\1/p')"
            ;;
    esac
    case $command,$word in
        check,-*) ;;
        check,*)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
            ;;
        probe,-*) ;;
        probe,*)
            mapfile -t COMPREPLY < <(compgen -A hostname -- "$word")
            return
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$own $common" -- "$word")
}
complete -F _flashpolicyd flashpolicyd
