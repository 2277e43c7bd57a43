# Completion for fish: copy to ~/.config/fish/completions or /usr/share/fish/vendor_completions.d.

# A command is the first word, before any option.
set -l first "test (count (commandline -opc)) = 1"

# Made of src/cli/options.rs by a test: .github/CONTRIBUTING.md.
complete -c flashpolicyd -n $first -a init -d "writes a first configuration, from three answers"
complete -c flashpolicyd -n $first -a serve -d "answers <policy-file-request/> until SIGTERM or ctrl-c"
complete -c flashpolicyd -n $first -a start -d "starts a server in the background"
complete -c flashpolicyd -n $first -a stop -d "stops the server in the background"
complete -c flashpolicyd -n $first -a restart -d "stops the running server and starts a new one"
complete -c flashpolicyd -n $first -a reload -d "the server reads its configuration and policies anew"
complete -c flashpolicyd -n $first -a status -d "does the server run, and what does it do?"
complete -c flashpolicyd -n $first -a check -d "finds what is wrong before a player does"
complete -c flashpolicyd -n $first -a policy -d "shows what would be served, and its meaning"
complete -c flashpolicyd -n $first -a explain -d "may a SWF from there connect to these ports of this host?"
complete -c flashpolicyd -n $first -a probe -d "asks a server what Flash Player would ask, and says why not"
complete -c flashpolicyd -n $first -a help -d "the reference"
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
complete -c flashpolicyd -n '__fish_seen_subcommand_from check' -l ignore -xa '(__fish_complete_list , "string split , late-declaration,blanks-in-ports,http-headers-element,identity-element,unknown-element,unknown-attribute,site-control-order,site-control-not-master,secure-grant,grants-beside-none,no-grant,allows-everything,ip-domain,domain-unmatchable,stray-text,non-ascii,large,very-large,port-range,grant-attributes,site-control-attributes,trailing-dot,domain-scheme,wildcard-tld,blocked-port,port-digits,low-port-from-high,loopback-only,meta-policy-unused,stats-file,shared-user,out-of-reach")' -d "warnings that are accepted"
complete -c flashpolicyd -n '__fish_seen_subcommand_from explain probe' -l from -x -d "where the SWF is loaded from"
complete -c flashpolicyd -n '__fish_seen_subcommand_from explain probe' -l to -x -d "the ports that it connects to"
complete -c flashpolicyd -n '__fish_seen_subcommand_from explain probe' -l player -xa 'flash lightspark unity' -d "whose verdict"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l load -x -d "what it loads by loadPolicyFile"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l tls -d "ask inside TLS"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l port -x -d "ask this port as if it were 843"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l timeout -x -d "wait this long for each answer"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l ignore -xa '(__fish_complete_list , "string split , late-declaration,blanks-in-ports,http-headers-element,identity-element,unknown-element,unknown-attribute,site-control-order,site-control-not-master,secure-grant,grants-beside-none,no-grant,allows-everything,ip-domain,domain-unmatchable,stray-text,non-ascii,large,very-large,port-range,grant-attributes,site-control-attributes,trailing-dot,domain-scheme,wildcard-tld,blocked-port,port-digits,low-port-from-high,loopback-only,meta-policy-unused,stats-file,shared-user,out-of-reach,certificate,near-timeout,strict-request,crossdomain-http,wrong-host,one-address,no-nul,left-open,reset-after,after-nul,several-pieces,slow")' -d "warnings that are accepted"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -l errors-only -d "warnings are neither shown nor counted"
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -s q -l quiet -d "only the first line"
complete -c flashpolicyd -n '__fish_seen_subcommand_from help' -xa 'init serve start stop restart reload status check policy explain probe help codes config json operate silent-player man man-conf too-large bom nul-inside encoding too-complex malformed outside-root wrong-root namespace domain-missing domain-invalid to-ports-missing to-ports-invalid secure-invalid site-control-repeated site-control-missing-value site-control-invalid meta-policy-not-for-sockets late-declaration blanks-in-ports http-headers-element identity-element unknown-element unknown-attribute site-control-order site-control-not-master secure-grant grants-beside-none no-grant allows-everything ip-domain domain-unmatchable stray-text non-ascii large very-large port-range grant-attributes site-control-attributes trailing-dot domain-scheme wildcard-tld blocked-port port-digits low-port-from-high log-file pid-file user loopback-only meta-policy-unused stats-file shared-user out-of-reach unresolved refused filtered unreachable silent closed-empty reset-before no-nul-open too-slow cut-off http tls web-filter no-tls proxy-expected silverlight length-prefix junk-before echo not-a-policy invalid destination-refused destination-filtered destination-no-tls destination-ends certificate near-timeout strict-request crossdomain-http wrong-host one-address no-nul left-open reset-after after-nul several-pieces slow'
# End of what is made.

complete -c flashpolicyd -f
complete -c flashpolicyd -s h -l help -d help
complete -c flashpolicyd -s V -l version -n $first -d version
complete -c flashpolicyd -n '__fish_seen_subcommand_from check' -F
complete -c flashpolicyd -n '__fish_seen_subcommand_from probe' -xa '(__fish_print_hostnames)'
