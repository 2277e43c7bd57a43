# Completion for fish: copy to ~/.config/fish/completions or /usr/share/fish/vendor_completions.d.

# Made of src/cli/options.rs by a test: .github/CONTRIBUTING.md.
set -l commands init serve start stop restart reload status check policy explain probe help
set -l none "not __fish_seen_subcommand_from $commands"
complete -c flashpolicyd -n $none -a init -d "writes a first configuration, from three answers"
complete -c flashpolicyd -n $none -a serve -d "answers <policy-file-request/> until SIGTERM or ctrl-c"
complete -c flashpolicyd -n $none -a start -d "starts a server in the background"
complete -c flashpolicyd -n $none -a stop -d "stops the server in the background"
complete -c flashpolicyd -n $none -a restart -d "stops the running server and starts a new one"
complete -c flashpolicyd -n $none -a reload -d "the server reads its configuration and policies anew"
complete -c flashpolicyd -n $none -a status -d "does the server run, and what does it do?"
complete -c flashpolicyd -n $none -a check -d "finds what is wrong before a player does"
complete -c flashpolicyd -n $none -a policy -d "shows what would be served, and its meaning"
complete -c flashpolicyd -n $none -a explain -d "may a SWF from there connect to these ports of this host?"
complete -c flashpolicyd -n $none -a probe -d "asks a server what Flash Player would ask, and says why not"
complete -c flashpolicyd -n $none -a help -d "the reference"
complete -c flashpolicyd -n '__fish_seen_subcommand_from init' -l from -x -d "where the SWFs are loaded from"
complete -c flashpolicyd -n '__fish_seen_subcommand_from init' -l to -x -d "the ports of this host that they connect to"
complete -c flashpolicyd -n '__fish_seen_subcommand_from init' -l by -xa 'root systemd nobody' -d "who opens port 843"
complete -c flashpolicyd -n '__fish_seen_subcommand_from init' -s c -l config -rF -d "the file to write"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -s c -l config -rF -d "configuration"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -l listen -x -d "address and port to listen on"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -l policy -rF -d "a policy file to serve in place of 'allow'"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -l workers -x -d "threads that serve clients"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -l timeout -x -d "time that a client has for its request"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -l log-file -rF -d "the log"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -l log-level -xa 'error warn info debug' -d "what is logged"
complete -c flashpolicyd -n 'not __fish_seen_subcommand_from init probe help' -l pid-file -rF -d "where to write the process id"
complete -c flashpolicyd -n '__fish_seen_subcommand_from status check policy explain probe' -l json -d "one JSON object"
complete -c flashpolicyd -n '__fish_seen_subcommand_from check' -l strict -d "warnings count as errors"
complete -c flashpolicyd -n '__fish_seen_subcommand_from check probe' -l ignore -x -d "warnings that are accepted"
complete -c flashpolicyd -n '__fish_seen_subcommand_from explain probe' -l from -x -d "where the SWF is loaded from"
complete -c flashpolicyd -n '__fish_seen_subcommand_from explain probe' -l to -x -d "the ports that it connects to"
complete -c flashpolicyd -n '__fish_seen_subcommand_from explain probe' -l player -xa 'flash lightspark unity' -d "whose verdict"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l load -x -d "what it loads by loadPolicyFile"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l tls -d "ask inside TLS"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l port -x -d "ask this port as if it were 843"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l timeout -x -d "wait this long for each answer"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l errors-only -d "warnings are neither shown nor counted"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -s q -l quiet -d "only the first line"
complete -c flashpolicyd -n '__fish_seen_subcommand_from help' -xa 'init serve start stop restart reload status check policy explain probe help codes config json operate silent-player man man-conf'
# End of what is made.

complete -c flashpolicyd -f
complete -c flashpolicyd -s h -l help -d help
complete -c flashpolicyd -s V -l version -n $none -d version
complete -c flashpolicyd -n '__fish_seen_subcommand_from check' -F
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -xa '(__fish_print_hostnames)'
complete -c flashpolicyd -n '__fish_seen_subcommand_from help' -xa '(flashpolicyd help codes 2>/dev/null | string match -rg "^([a-z][a-z-]*) +(?:error|warning) ")'
