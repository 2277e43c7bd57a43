#!/bin/sh
# On Linux, a time limit that was set for accept is the time limit of every connection, too.
#
# Expected: SO_RCVTIMEO on a listener bounds accept alone; an accepted socket begins with the defaults,
# as it does with O_NONBLOCK, which accept(2) says is not inherited.
# What happens: the connection starts with the listener's SO_RCVTIMEO, and likewise its SO_LINGER,
# TCP_NODELAY and SO_SNDBUF. Only the file's flags start afresh.
# Why it matters: a server that has accept return every 40 ms, to see whether it shall stop, gives each
# player 40 ms for the request, unless it sets the time limit anew; the ones far away are closed
# without a policy, those nearby see nothing.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
python3 - >seen <<'END'
import fcntl, os, socket, struct, time

listener = socket.create_server(("127.0.0.1", 0))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", 0, 40_000))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
try:
    listener.accept()
except BlockingIOError:
    print("nobody there: accept returns by itself")
players = [socket.create_connection(listener.getsockname()) for _ in range(2)]
# Not accept(): python would set what it knows of itself.
connection = socket.socket(fileno=listener._accept()[0])
began = time.monotonic()
try:
    connection.recv(64)
except BlockingIOError:
    print("a silent player: recv returns by itself, within a second:", time.monotonic() - began < 1)
print("SO_LINGER:", struct.unpack("ii", connection.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)))
print("TCP_NODELAY:", connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
listener.setblocking(False)
descriptor = listener._accept()[0]
print("O_NONBLOCK:", bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK))
END
as_stated "Linux $(uname -r)" <<'END'
nobody there: accept returns by itself
a silent player: recv returns by itself, within a second: True
SO_LINGER: (1, 0)
TCP_NODELAY: 1
O_NONBLOCK: False
END
