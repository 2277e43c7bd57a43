# Completion for bash: copy to /usr/share/bash-completion/completions/flashpolicyd, or source it.
# shellcheck shell=bash

# Made of src/cli/options.rs by a test: .github/CONTRIBUTING.md.
_flashpolicyd_commands='init serve start stop restart reload status check policy explain probe help'
_flashpolicyd_topics='init serve start stop restart reload status check policy explain probe help codes config json operate silent-player man man-conf too-large bom nul-inside encoding too-complex malformed outside-root wrong-root namespace domain-missing domain-invalid to-ports-missing to-ports-invalid secure-invalid site-control-repeated site-control-missing-value site-control-invalid meta-policy-not-for-sockets late-declaration blanks-in-ports http-headers-element identity-element unknown-element unknown-attribute site-control-order site-control-not-master secure-grant grants-beside-none no-grant allows-everything ip-domain domain-unmatchable stray-text non-ascii large very-large port-range grant-attributes site-control-attributes trailing-dot domain-scheme wildcard-tld blocked-port port-digits low-port-from-high log-file pid-file user loopback-only meta-policy-unused stats-file shared-user out-of-reach unresolved refused filtered unreachable silent closed-empty reset-before no-nul-open too-slow cut-off http tls web-filter no-tls proxy-expected silverlight length-prefix junk-before echo not-a-policy invalid destination-refused destination-filtered destination-no-tls destination-ends certificate near-timeout strict-request crossdomain-http wrong-host one-address no-nul left-open reset-after after-nul several-pieces slow'

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

# The codes that `--ignore` of a command takes.
_flashpolicyd_codes() {
    case $1 in
        check) echo 'late-declaration blanks-in-ports http-headers-element identity-element unknown-element unknown-attribute site-control-order site-control-not-master secure-grant grants-beside-none no-grant allows-everything ip-domain domain-unmatchable stray-text non-ascii large very-large port-range grant-attributes site-control-attributes trailing-dot domain-scheme wildcard-tld blocked-port port-digits low-port-from-high loopback-only meta-policy-unused stats-file shared-user out-of-reach' ;;
        probe) echo 'late-declaration blanks-in-ports http-headers-element identity-element unknown-element unknown-attribute site-control-order site-control-not-master secure-grant grants-beside-none no-grant allows-everything ip-domain domain-unmatchable stray-text non-ascii large very-large port-range grant-attributes site-control-attributes trailing-dot domain-scheme wildcard-tld blocked-port port-digits low-port-from-high loopback-only meta-policy-unused stats-file shared-user out-of-reach certificate near-timeout strict-request crossdomain-http wrong-host one-address no-nul left-open reset-after after-nul several-pieces slow' ;;
    esac
}

# What an option takes: FILE, CODES, one of these words, or anything; it fails for what takes none.
_flashpolicyd_value() {
    case $1 in
        --by) echo 'root systemd nobody' ;;
        -c | --config | --log-file | --pid-file | --policy) echo 'FILE' ;;
        --from | --listen | --load | --port | --timeout | --to | --workers) echo '' ;;
        --ignore) echo 'CODES' ;;
        --log-level) echo 'error warn info debug' ;;
        --player) echo 'flash lightspark unity' ;;
        *) return 1 ;;
    esac
}
# End of what is made.

_flashpolicyd() {
    local word=${COMP_WORDS[COMP_CWORD]} command=serve value words
    # The command is the first word, or none is named.
    if ((COMP_CWORD > 1)) && [[ ${COMP_WORDS[1]} != -* ]]; then
        command=${COMP_WORDS[1]}
    fi
    words="$(_flashpolicyd_options "$command") --help"
    case $COMP_CWORD,$command in
        1,*) words+=" $_flashpolicyd_commands --version" ;;
        *,help) words=$_flashpolicyd_topics ;;
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
        CODES)
            # One behind the other, with commas between them.
            mapfile -t COMPREPLY < <(compgen -P "${word%"${word##*,}"}" \
                -W "$(_flashpolicyd_codes "$command")" -- "${word##*,}")
            ;;
        *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word") ;;
    esac
}
complete -F _flashpolicyd flashpolicyd
