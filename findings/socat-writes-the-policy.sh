#!/bin/sh
# socat with FILE: serves a policy once, and writes the players' requests into it.
#
# Expected: `socat TCP-LISTEN:843,fork FILE:policy.xml`, a one-line policy server, sends the file to
# each player.
# What happens: socat connects both directions, and opens the file for reading and writing. The 23
# bytes of a request are written over the policy's beginning where they came before the file was
# read, and behind its end otherwise. The next player gets what is left of it, or the policy and the
# requests of others. With `-U`, from the file to the player only, the file stays as it is.
# Why it matters: it works in the first try, then not any more, and the file is damaged. A request in
# the place of a policy's beginning is the trace of it.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages socat=1.7.4.4-2

policy='<cross-domain-policy><allow-access-from domain="*" to-ports="9339"/></cross-domain-policy>'
for options in '' -U; do
    printf '%s\0' "$policy" >policy.xml
    cp policy.xml before.xml
    port=$(free_port)
    # shellcheck disable=SC2086 # no option or one
    start socat.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/bin/socat" $options \
        "TCP-LISTEN:$port,bind=127.0.0.1,fork" FILE:policy.xml
    listening "$port"
    for _ in 1 2 3 4 5; do
        ask "$port"
        sleep 0.2
    done >answers
    echo "socat $options, the last player: $(tail -n 1 answers)" >&2
    printf 'socat %s: ' "$options"
    if cmp -s policy.xml before.xml; then
        printf 'the file is as it was, '
    else
        printf 'requests in the file: %s, ' "$(grep -aq '<policy-file-request/>' policy.xml && echo yes || echo no)"
    fi
    case $(tail -n 1 answers) in
    "91 bytes, closed: '$policy\\x00'") echo 'the last player gets the policy' ;;
    *) echo 'the last player gets something else' ;;
    esac
done >seen
as_stated 'socat 1.7.4.4-2 (Debian 12)' <<'END'
socat : requests in the file: yes, the last player gets something else
socat -U: the file is as it was, the last player gets the policy
END
