#!/bin/sh
# socat with FILE: serves a policy once, and writes the player's request over it.
#
# Expected: `socat TCP-LISTEN:843,fork FILE:policy.xml`, a one-line policy server, sends the file to
# each player.
# What happens: socat connects both directions, and opens the file for reading and writing. The 23
# bytes of the request go to the beginning of the file, and already the first player gets only what
# stands behind them (or the whole, where the bytes were read before the request came). From the
# second one on the answer is no policy any more. `-U`, from the file to the player only, cures it.
# Why it matters: it works in the first try, then never again, and the file is damaged. A request in
# the place of a policy's beginning is the trace of it.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages socat=1.7.4.4-2

policy='<cross-domain-policy><allow-access-from domain="*" to-ports="9339"/></cross-domain-policy>'
for options in '' -U; do
    printf '%s\0' "$policy" >policy.xml
    port=$(free_port)
    # shellcheck disable=SC2086 # no option or one
    start socat.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/bin/socat" $options \
        "TCP-LISTEN:$port,bind=127.0.0.1,fork" FILE:policy.xml
    listening "$port"
    ask "$port" 3 >answers
    sleep 0.5
    printf 'socat %s: the third player: %s\n' "$options" "$(sed -n 3p answers)"
    printf 'policy.xml: %s\n' "$(tr '\0' '~' <policy.xml)"
done >seen
as_stated 'socat 1.7.4.4-2 (Debian 12)' <<'END'
socat : the third player: 68 bytes, closed: 'llow-access-from domain="*" to-ports="9339"/></cross-domain-policy>\x00'
policy.xml: <policy-file-request/>~llow-access-from domain="*" to-ports="9339"/></cross-domain-policy>~
socat -U: the third player: 91 bytes, closed: '<cross-domain-policy><allow-access-from domain="*" to-ports="9339"/></cross-domain-policy>\x00'
policy.xml: <cross-domain-policy><allow-access-from domain="*" to-ports="9339"/></cross-domain-policy>~
END
