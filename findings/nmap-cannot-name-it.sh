#!/bin/sh
# nmap 7.93 cannot name a policy server that waits for its request, although it knows policies.
#
# Expected: `nmap -sV` says what listens on a policy server's port: its list has eight patterns for
# policies, under the service adobe-crossdomain.
# What happens: it never sends `<policy-file-request/>`. Its patterns only match servers that answer
# unasked, or anything. A server that does as Adobe says is "unknown", after some thirty other
# requests: HTTP, TLS, SMB, RDP, SIP and more, each on a connection of its own.
# Why it matters: thirty odd requests of one address within seconds are one such scan, and no attack.
# And a scan that says "unknown", or names the port by its number alone, proves nothing about the
# policy.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages nmap=7.93+dfsg1-1

cat >server.py <<'END'
import socketserver, sys

class Player(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(5)
        asked = b""
        try:
            while not asked.endswith(b"\0") or len(asked) < 23:
                piece = self.request.recv(256)
                if not piece:
                    break
                asked += piece
        except OSError:
            pass
        print(repr(asked), flush=True)
        if asked == b"<policy-file-request/>\0" or not sys.argv[2:]:
            self.request.sendall(b'<cross-domain-policy><allow-access-from domain="*" to-ports="9339" />'
                                 b"</cross-domain-policy>" + b"\0" * len(sys.argv[2:]))

socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Player).serve_forever()
END
scan() {
    LD_LIBRARY_PATH=$LIBRARIES timeout 120 "$ROOT/usr/bin/nmap" --datadir "$ROOT/usr/share/nmap" -sT -sV -Pn \
        -p "$1" 127.0.0.1 | sed -n "s|^$1/tcp *||p" | tr -s ' ' | sed 's/ $//'
}
right=$(free_port)
start asked python3 server.py "$right" waits
unasked=$(free_port)
start unasked python3 server.py "$unasked"
listening "$right" "$unasked"
{
    printf 'answers the request: %s\n' "$(scan "$right")"
    printf 'answers anything, without a NUL: %s\n' "$(scan "$unasked")"
    asked=$(grep -vc "^b''$" asked)
    [ "$asked" -ge 25 ] && echo 'more than 25 requests came'
    grep -c 'policy-file-request' asked | sed 's/$/ of them asked for a policy/'
} >seen
as_stated 'nmap 7.93+dfsg1-1 (Debian 12)' <<'END'
answers the request: open unknown
answers anything, without a NUL: open adobe-crossdomain Adobe cross-domain policy (domain: *; ports: 9339)
more than 25 requests came
0 of them asked for a policy
END
