#!/bin/sh
# Linux' TCP_DEFER_ACCEPT keeps silent clients from a server for a while, and then hands them over.
#
# Expected: with TCP_DEFER_ACCEPT at 5 seconds a server sees only clients that have sent something, and
# the kernel drops those that stay silent for 5 seconds.
# What happens: the 5 becomes 7, since the kernel counts in repeats of its own packet (1, 3, 7, 15 …
# seconds), as getsockopt shows. After that the silent client is accepted like any other, and it has
# been connected all the time by its own view. One that asks at once is accepted at once.
# Why it matters: as a shield against clients that connect and say nothing it only moves them: they hold
# a place in the kernel's queue first and one in the server afterwards, and the server's own time limit
# begins only then. A limit of 3 seconds becomes 10.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
python3 - >seen <<'END'
import socket, time

listener = socket.create_server(("127.0.0.1", 0))
listener.settimeout(20)
listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
print("5 seconds become", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT))

def accepted_after(request):
    began = time.monotonic()
    player = socket.create_connection(listener.getsockname())
    player.sendall(request)
    connection, _ = listener.accept()
    return time.monotonic() - began, connection, player

after, *_ = accepted_after(b"<policy-file-request/>\0")
print("asks at once: accepted within a second:", after < 1)
after, connection, player = accepted_after(b"")
print("silent: accepted after", round(after), "seconds")
connection.sendall(b"still here")
print("and the player reads:", player.recv(64))
END
as_stated "Linux $(uname -r)" <<'END'
5 seconds become 7
asks at once: accepted within a second: True
silent: accepted after 7 seconds
and the player reads: b'still here'
END
