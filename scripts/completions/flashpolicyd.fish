# Completion for fish: copy to ~/.config/fish/completions or /usr/share/fish/vendor_completions.d.

set -l commands init serve start stop restart reload status check policy explain probe help
set -l none "not __fish_seen_subcommand_from $commands"
set -l common "not __fish_seen_subcommand_from init probe help"

complete -c flashpolicyd -f
complete -c flashpolicyd -n $none -a init -d 'write a first configuration'
complete -c flashpolicyd -n $none -a serve -d 'answer policy requests until SIGTERM or ctrl-c'
complete -c flashpolicyd -n $none -a start -d 'start a server in the background'
complete -c flashpolicyd -n $none -a stop -d 'stop it'
complete -c flashpolicyd -n $none -a restart -d 'stop it and start a new one'
complete -c flashpolicyd -n $none -a reload -d 'read configuration and policies anew'
complete -c flashpolicyd -n $none -a status -d 'what the server does'
complete -c flashpolicyd -n $none -a check -d 'find mistakes'
complete -c flashpolicyd -n $none -a policy -d 'show what would be served'
complete -c flashpolicyd -n $none -a explain -d 'may a SWF from there connect?'
complete -c flashpolicyd -n $none -a probe -d 'ask a server what a player asks'
complete -c flashpolicyd -n $none -a help -d 'the reference'

complete -c flashpolicyd -s h -l help -d help
complete -c flashpolicyd -s V -l version -n $none -d version
complete -c flashpolicyd -s c -l config -n "not __fish_seen_subcommand_from probe help" -rF -d 'the configuration'
complete -c flashpolicyd -l listen -n $common -x -d 'address and port'
complete -c flashpolicyd -l policy -n $common -rF -d 'a policy file to serve'
complete -c flashpolicyd -l workers -n $common -x -d threads
complete -c flashpolicyd -l timeout -n "not __fish_seen_subcommand_from init help" -x -d seconds
complete -c flashpolicyd -l log-file -n $common -rF -d 'the log'
complete -c flashpolicyd -l log-level -n $common -xa 'error warn info debug' -d 'what is logged'
complete -c flashpolicyd -l pid-file -n $common -rF -d 'file for the process id'

complete -c flashpolicyd -l strict -n '__fish_seen_subcommand_from check' -d 'warnings count as errors'
complete -c flashpolicyd -l ignore -n '__fish_seen_subcommand_from check probe' -x -d 'accepted warnings'
complete -c flashpolicyd -l json -n '__fish_seen_subcommand_from status check policy explain probe' -d 'one JSON object'
complete -c flashpolicyd -n '__fish_seen_subcommand_from check' -F
complete -c flashpolicyd -l from -n '__fish_seen_subcommand_from init explain probe' -x -d 'origin of the SWF'
complete -c flashpolicyd -l to -n '__fish_seen_subcommand_from init explain probe' -x -d ports
complete -c flashpolicyd -l by -n '__fish_seen_subcommand_from init' -xa 'root systemd nobody' -d 'who opens port 843'
complete -c flashpolicyd -l player -n '__fish_seen_subcommand_from explain probe' -xa 'flash lightspark unity' -d 'whose verdict'
complete -c flashpolicyd -l load -n '__fish_seen_subcommand_from probe' -x -d 'host and port'
complete -c flashpolicyd -l port -n '__fish_seen_subcommand_from probe' -x -d 'in place of 843'
complete -c flashpolicyd -l tls -n '__fish_seen_subcommand_from probe' -d 'as a SecureSocket asks'
complete -c flashpolicyd -l errors-only -n '__fish_seen_subcommand_from probe' -d 'no warnings'
complete -c flashpolicyd -s q -l quiet -n '__fish_seen_subcommand_from probe' -d 'the first line'
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -xa '(__fish_print_hostnames)'
complete -c flashpolicyd -n '__fish_seen_subcommand_from help' -xa "$commands codes config json operate silent-player man man-conf"
complete -c flashpolicyd -n '__fish_seen_subcommand_from help' -xa '(flashpolicyd help codes 2>/dev/null | string match -rg "^([a-z][a-z-]*) +(?:error|warning) ")'
