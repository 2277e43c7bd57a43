#!/bin/sh
# HAProxy names a player with an IPv4 address as one with IPv6, where one `bind` serves both.
#
# Expected: an IPv4 player is TCP4 in the PROXY header, with the address that it has.
# What happens: with `bind :::843 v4v6` (here on loopback alone) version 1 says TCP6 with the address
# ::ffff:127.0.0.1, and version 2 the same in its family AF_INET6. With one `bind` for IPv4 and one for
# IPv6 each player has its own family.
# Why it matters: a policy server that counts clients by IPv6 networks of 64 bits puts all IPv4 players
# into one, since their first 80 bits are zero: all of them are one source under attack. A log that is
# searched for an IPv4 address by its beginning finds nobody.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages haproxy=2.6.12-1+deb12u4

cat >server.py <<'END'
import socket, sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    header = connection.recv(256).partition(b"<policy")[0]
    if header.startswith(b"PROXY"):
        print("version 1:", *header.decode().split()[1:3], flush=True)
    else:
        size = 16 if header[13] >> 4 == 2 else 4
        family = {4: socket.AF_INET, 16: socket.AF_INET6}[size]
        print("version 2:", family.name, socket.inet_ntop(family, header[16:16 + size]), flush=True)
    connection.close()
END
one=$(free_port)
two=$(free_port)
own=$(free_port)
server=$(free_port)
cat >haproxy.cfg <<END
defaults
    mode tcp
    timeout connect 1s
    timeout client 3s
    timeout server 3s
listen version1
    bind [::ffff:127.0.0.1]:$one v4v6
    server s1 127.0.0.1:$server send-proxy
listen version2
    bind [::ffff:127.0.0.1]:$two v4v6
    server s1 127.0.0.1:$server send-proxy-v2
listen own
    bind 127.0.0.1:$own
    server s1 127.0.0.1:$server send-proxy
END
start headers python3 server.py "$server"
start haproxy.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/sbin/haproxy" -f haproxy.cfg
listening "$server" "$one" "$two" "$own"
for port in "$one" "$two" "$own"; do
    ask "$port" >ends
done
cp headers seen
as_stated 'HAProxy 2.6.12-1+deb12u4 (Debian 12)' <<'END'
version 1: TCP6 ::ffff:127.0.0.1
version 2: AF_INET6 ::ffff:127.0.0.1
version 1: TCP4 127.0.0.1
END
