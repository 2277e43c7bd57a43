#!/bin/sh
# HAProxy's PROXY header version 2 is the same for a health check and for a client that came over a
# UNIX socket: LOCAL, without an address.
#
# Expected: LOCAL means that the balancer speaks for itself, so a server may drop such a connection,
# or leave it out of its log, as a health check.
# What happens: `bind unix@…` (a web server or a tunnel on the same host passes its clients on that
# way) makes HAProxy send LOCAL with no address for real clients, whose request stands behind the
# header. Version 1 tells the two apart: such a client is UNKNOWN, a check is TCP4.
# Why it matters: a policy server that ignores LOCAL refuses these players, and one that logs LOCAL
# as a check hides them. The request behind the header is the only difference.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages haproxy=2.6.12-1+deb12u4

cat >server.py <<'END'
import socket, sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    connection, _ = listener.accept()
    connection.settimeout(1)
    came = b""
    try:
        while piece := connection.recv(256):
            came += piece
    except OSError:
        pass
    print(repr(came), flush=True)
END
for version in v1 v2; do
    port=$(free_port)
    case $version in v1) option=send-proxy ;; v2) option=send-proxy-v2 ;; esac
    cat >haproxy.cfg <<END
defaults
    mode tcp
    timeout connect 1s
    timeout client 3s
    timeout server 3s
listen policies
    bind unix@$TEMP/$version.sock
    server s1 127.0.0.1:$port check inter 1s $option
END
    start "$version" python3 server.py "$port"
    listening "$port"
    start haproxy.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/sbin/haproxy" -f haproxy.cfg
    sleep 2.5
    python3 -c 'import socket, sys
player = socket.socket(socket.AF_UNIX)
player.settimeout(5)
player.connect(sys.argv[1])
player.sendall(b"<policy-file-request/>\0")
player.recv(1)' "$version.sock"
    sleep 2
    grep -v policy-file "$version" | sed "s/[0-9]* $port/PORTS/" | sort -u | sed "s/^/$version, check: /"
    grep policy-file "$version" | sed "s/^/$version, client: /"
done >seen
as_stated 'HAProxy 2.6.12-1+deb12u4 (Debian 12)' <<'END'
v1, check: b'PROXY TCP4 127.0.0.1 127.0.0.1 PORTS\r\n'
v1, client: b'PROXY UNKNOWN\r\n<policy-file-request/>\x00'
v2, check: b'\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00'
v2, client: b'\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00<policy-file-request/>\x00'
END
