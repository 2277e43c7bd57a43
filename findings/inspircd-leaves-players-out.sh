#!/bin/sh
# InspIRCd 3.15.0 closes on some players without a byte, once it serves a policy file.
#
# Expected: module flashpolicyd answers every whole request; a silent client is closed after `timeout`.
# What happens: with `file=` the first player after the turn of a second often gets nothing: the
# connection is accepted and closed at once, although `timeout` is 5. Of players that come every
# quarter of a second it was a fourth, on a busy machine a half. With the policy that the module
# makes itself everybody is answered.
# Why it matters: a single try with a good answer proves nothing about such a server, and one without
# an answer does not mean that it is broken for all. Ask it ten times, seconds apart. Players see
# a log-in that works at the second or third try.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
# shellcheck source=/dev/null
. "$HERE/inspircd"
need python3
debian_packages inspircd=3.15.0-1

printf '<cross-domain-policy><allow-access-from domain="*" to-ports="6667"/></cross-domain-policy>\n' >policy.xml
irc=$(free_port)
for file in policy.xml ''; do
    policies=$(free_port)
    serve_policies "$policies" "$irc" "$file"
    server=${PIDS##* }
    for _ in $(seq 60); do
        ask "$policies"
        sleep 0.2
    done >answers
    empty=$(grep -c "^0 bytes, closed: ''" answers || :)
    echo "${file:-no file}: $empty of $(grep -c . answers) players without an answer" >&2
    case $empty in
    0) echo "${file:-no file}: everybody is answered" ;;
    60) echo "${file:-no file}: nobody is answered" ;;
    *) echo "${file:-no file}: some are closed on without a byte" ;;
    esac
    kill "$server"
    wait "$server" || :
done >seen
as_stated 'InspIRCd 3.15.0-1 (Debian 12)' <<'END'
policy.xml: some are closed on without a byte
no file: everybody is answered
END
