#!/bin/sh
# A client on the same host can connect to a port where nobody listens: to itself.
#
# Expected: connect to a loopback port without a listener is refused, each time.
# What happens: where the port that the client gets for its own end is the port that it connects to,
# TCP's simultaneous open makes the socket its own peer. What it sends comes back. The port has to be
# in the range of automatic ports, and the chance is one in its size; here the client binds the port
# first, to have it at the first try.
# Why it matters: who tests a policy or game port above that range's beginning on the same host, again
# and again until a server is up, can get "connected" without one, and the own request as the
# answer. 843 is below the range, ports such as 39339 are not.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
python3 - >seen <<'END'
import socket

first, last = map(int, open("/proc/sys/net/ipv4/ip_local_port_range").read().split())
print("843 is an automatic port:", first <= 843 <= last)
with socket.create_server(("127.0.0.1", 0)) as listener:
    port = listener.getsockname()[1]
try:
    socket.create_connection(("127.0.0.1", port), 5)
except ConnectionRefusedError:
    print("from another port: refused")
player = socket.socket()
player.settimeout(5)
player.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
player.bind(("127.0.0.1", port))
player.connect(("127.0.0.1", port))
player.sendall(b"<policy-file-request/>\0")
print("from the same port: connected to itself:", player.getpeername() == player.getsockname())
print("the answer:", player.recv(64))
END
as_stated "Linux $(uname -r)" <<'END'
843 is an automatic port: False
from another port: refused
from the same port: connected to itself: True
the answer: b'<policy-file-request/>\x00'
END
