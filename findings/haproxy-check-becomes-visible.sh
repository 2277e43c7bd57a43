#!/bin/sh
# HAProxy's health checks reach the server behind it only once `send-proxy` is set, and then name
# themselves as the client.
#
# Expected: `check` connects to the server once in each interval, and the server sees that, with
# `send-proxy` or without; a header that speaks for nobody is UNKNOWN, or LOCAL in version 2.
# What happens: a plain `check` sends a reset in place of the handshake's last packet, so the server
# never accepts anything, and is UP all the same. With `send-proxy` it accepts a connection in each
# interval whose header (version 1) is TCP4 with the check's own address and port: what is named as
# the client is the peer itself. Version 2 says LOCAL. Both are reset then, and getpeername fails.
# Why it matters: a policy server's log stays quiet until somebody turns the PROXY protocol on, then
# shows a client of the balancer's address that never asks, for each balancer, every interval.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages haproxy=2.6.12-1+deb12u4

cat >servers.py <<'END'
import errno, socket, sys, threading, time

def serve(name, port):
    listener = socket.create_server(("127.0.0.1", port))
    while True:
        connection, (_, peer) = listener.accept()
        time.sleep(0.1)
        try:
            connection.getpeername()
            there = "peer is there"
        except OSError as error:
            there = errno.errorcode[error.errno]
        connection.settimeout(1)
        header = connection.recv(256)
        try:
            end = repr(connection.recv(256))
        except OSError as error:
            end = errno.errorcode[error.errno]
        header = repr(header).replace(str(peer), "PEER-PORT").replace(str(port), "PORT")
        print(f"{name}: accepted; getpeername: {there}; {header}, then {end}", flush=True)

for name, port in zip(("send-proxy", "send-proxy-v2", "plain"), sys.argv[1:]):
    threading.Thread(target=serve, args=(name, int(port)), daemon=True).start()
time.sleep(300)
END
one=$(free_port)
two=$(free_port)
plain=$(free_port)
cat >haproxy.cfg <<END
global
    stats socket $TEMP/haproxy.sock
defaults
    mode tcp
    timeout connect 1s
    timeout client 3s
    timeout server 3s
    default-server check inter 300ms
backend one
    server s1 127.0.0.1:$one send-proxy
backend two
    server s2 127.0.0.1:$two send-proxy-v2
backend plain
    server s3 127.0.0.1:$plain
END
start accepted python3 servers.py "$one" "$two" "$plain"
listening "$one" "$two" "$plain"
start haproxy.log env LD_LIBRARY_PATH="$LIBRARIES" "$ROOT/usr/sbin/haproxy" -f haproxy.cfg
sleep 5
{
    # Two accepted connections of each kind at least, in five seconds.
    sort accepted | uniq -d
    grep -q '^plain:' accepted || echo 'plain: nothing accepted'
    python3 -c 'import csv, socket, sys
status = socket.socket(socket.AF_UNIX)
status.connect("haproxy.sock")
status.sendall(b"show stat\n")
for row in csv.DictReader(status.makefile()):
    if row["# pxname"] == "plain" and row["svname"] == "s3":
        print("plain: HAProxy says", row["status"], row["check_status"])'
} >seen
as_stated 'HAProxy 2.6.12-1+deb12u4 (Debian 12)' <<'END'
send-proxy-v2: accepted; getpeername: ENOTCONN; b'\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00', then ECONNRESET
send-proxy: accepted; getpeername: ENOTCONN; b'PROXY TCP4 127.0.0.1 127.0.0.1 PEER-PORT PORT\r\n', then ECONNRESET
plain: nothing accepted
plain: HAProxy says UP L4OK
END
