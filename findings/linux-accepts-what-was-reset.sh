#!/bin/sh
# Linux' accept hands out connections that were reset while they waited.
#
# Expected: accept(2) fails with ECONNABORTED for a client that is gone before it was accepted, which
# its manual and POSIX list.
# What happens: accept succeeds and names the client's address; only then getpeername says ENOTCONN. A
# request that came before the reset can still be read, whole. shutdown fails with ENOTCONN.
# Why it matters: a policy server that asks the socket for the address, in place of keeping what accept
# said, logs such players without one, or ends on the error. And "the request was read" does not
# say that anybody is there for the answer.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
python3 - >seen <<'END'
import errno, socket, struct

def attempt(call, *arguments):
    try:
        return repr(call(*arguments))
    except OSError as error:
        return errno.errorcode[error.errno]

for request in (b"", b"<policy-file-request/>\0"):
    listener = socket.create_server(("127.0.0.1", 0))
    player = socket.create_connection(listener.getsockname())
    address = player.getsockname()
    player.sendall(request)
    # No lingering: close sends a reset.
    player.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    player.close()
    connection, named = listener.accept()
    print("request and reset:" if request else "reset:", "accepted, address is right:", named == address)
    print("  getpeername:", attempt(connection.getpeername))
    print("  recv:", attempt(connection.recv, 64))
    print("  shutdown:", attempt(connection.shutdown, socket.SHUT_WR))
END
as_stated "Linux $(uname -r)" <<'END'
reset: accepted, address is right: True
  getpeername: ENOTCONN
  recv: ECONNRESET
  shutdown: ENOTCONN
request and reset: accepted, address is right: True
  getpeername: ENOTCONN
  recv: b'<policy-file-request/>\x00'
  shutdown: ENOTCONN
END
