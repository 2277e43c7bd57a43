"""A policy server of the classic gevent kind, to measure flashpolicyd against.

usage: gevent_policyd.py PORT LOG_FILE [POLICY_FILE]

Without a policy file it serves everything to everybody. The NUL is not in the file.
"""
import sys
import time

import gevent
from gevent.server import StreamServer

POLICY = (
    b'<cross-domain-policy><allow-access-from domain="*" to-ports="*" />'
    b"</cross-domain-policy>"
)
if len(sys.argv) > 3:
    with open(sys.argv[3], "rb") as file:
        POLICY = file.read()
POLICY += b"\0"
REQUEST = b"<policy-file-request/>"

# One write for each line, like the original.
log = open(sys.argv[2], "a", buffering=1)


def note(address, text):
    log.write("%f %s:%d: %s\n" % (time.time(), address[0], address[1], text))


def handle(client, address):
    note(address, "Connection accepted.")
    try:
        with gevent.Timeout(3):
            received = client.recv(128)
            if received.startswith(REQUEST):
                client.sendall(POLICY)
                note(address, "Policy sent.")
            else:
                note(address, "Not a policy request.")
    except gevent.Timeout:
        note(address, "Timed out.")
    except OSError as error:
        note(address, "Failed: %s." % error)
    finally:
        client.close()


StreamServer(("127.0.0.1", int(sys.argv[1])), handle, backlog=4096).serve_forever()
