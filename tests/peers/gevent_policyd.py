"""A gevent policy server after the original design, for the interop tests of `probe`.

A greenlet for each client: it waits for `<policy-file-request/>` for up to 3 s, answers with the
policy and a NUL, and closes. It serves until it is killed.

usage: gevent_policyd.py PORT
"""
import socket
import sys

import gevent
from gevent.server import StreamServer

REQUEST = b"<policy-file-request/>"
POLICY = (
    b'<?xml version="1.0"?>\n'
    b"<cross-domain-policy>\n"
    b'  <allow-access-from domain="*.example.com" to-ports="2001,3000-3010" />\n'
    b"</cross-domain-policy>\0"
)
SECONDS = 3


def serve(client, _address):
    """One client, from the first byte to the close."""
    received = b""
    with gevent.Timeout(SECONDS, False):
        while len(received) < len(REQUEST):
            piece = client.recv(128)
            if not piece:
                break
            received += piece
    if received.startswith(REQUEST):
        client.sendall(POLICY)
    client.shutdown(socket.SHUT_RDWR)
    client.close()


if __name__ == "__main__":
    StreamServer(("127.0.0.1", int(sys.argv[1])), serve).serve_forever()
