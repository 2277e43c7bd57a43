#!/bin/sh
# A policy server made of `cat` behind an inetd resets most connections, and a client on Linux does not
# notice.
#
# Expected: a super-server that runs `cat policy.xml` for each connection serves a policy: the file is
# sent, cat ends, the connection is closed.
# What happens: nobody has read the 23 bytes of the request. Linux closes a socket that has unread bytes
# with a reset; only where the request is slower than cat, the end comes in order. A client on Linux
# still reads what came before the reset. One that reads the request first (`head -c 23`) closes in
# order, always.
# Why it matters: such a server passes each test that looks at the policy alone. A reset may throw away
# bytes that the player's system has and the player has not read yet, as Windows does. Whoever tests a
# policy server has to look at how the connection ends.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages systemd=252.39-1~deb12u2

printf '%s\0' '<cross-domain-policy><allow-access-from domain="*" to-ports="9339"/></cross-domain-policy>' >policy.xml
for command in 'cat policy.xml' 'head -c 23 >read; cat policy.xml'; do
    port=$(free_port)
    start inetd.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/bin/systemd-socket-activate" \
        --listen="127.0.0.1:$port" --accept --inetd sh -c "$command"
    listening "$port"
    ask "$port" 20 >answers
    resets=$(grep -c '^91 bytes, reset' answers || :)
    echo "$command: $resets of 20 connections are reset" >&2
    [ "$resets" -eq 0 ] && how='all are closed in order' || how='resets'
    echo "$command: $(grep -c '^91 bytes' answers) policies, $how"
done >seen
as_stated 'systemd-socket-activate of systemd 252 (Debian 12)' <<'END'
cat policy.xml: 20 policies, resets
head -c 23 >read; cat policy.xml: 20 policies, all are closed in order
END
