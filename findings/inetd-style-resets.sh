#!/bin/sh
# A policy server made of `cat` behind an inetd resets every connection, and a client on Linux does not
# notice.
#
# Expected: a super-server that runs `cat policy.xml` for each connection serves a policy: the file is
# sent, cat ends, the connection is closed.
# What happens: nobody has read the 23 bytes of the request. Linux closes a socket that has unread bytes
# with a reset, after every policy. A client on Linux still reads what came before the reset; on
# Windows a reset throws away what was received and not read yet. One that reads the request first
# (`head -c 23`) closes in order.
# Why it matters: such a server passes every test on Linux, and its players on Windows see error 2048
# now and then. Whoever tests one has to look at how the connection ends, and not at the policy.
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
    ask "$port" 20 | sed 's/:.*//' | sort | uniq -c | sed "s/^ */$command: /"
done >seen
as_stated 'systemd-socket-activate of systemd 252 (Debian 12)' <<'END'
cat policy.xml: 20 91 bytes, reset
head -c 23 >read; cat policy.xml: 20 91 bytes, closed
END
