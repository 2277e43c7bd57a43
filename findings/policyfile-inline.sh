#!/bin/sh
# The npm package policyfile 0.0.6 cannot answer on an HTTP server's port any more.
#
# Expected: `listen(843, server)` also answers inline on the port of that HTTP server, which its
# documentation offers for hosts where port 843 is not to be had.
# What happens, on Node 20: the player gets `HTTP/1.1 400 Bad Request` there. Node's HTTP parser takes
# the bytes before the package's own listener sees any, and the request is no HTTP. On its own port
# it answers before anything was asked, and without a NUL.
# Why it matters: web-socket-js and socket.io 0.9 rely on the inline way. A player that falls back to
# the game's own port gets no policy, and an answer with HTTP in it looks like the wrong service.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
node_packages policyfile@0.0.6

cat >server.js <<'END'
const http = require('http');
const web = http.createServer((request, response) => response.end('a page'));
const policies = require('policyfile').createServer({ log: false }, ['www.example.com:9339']);
web.listen(Number(process.argv[2]), '127.0.0.1', () => policies.listen(Number(process.argv[3]), web));
END
web=$(free_port)
own=$(free_port)
start server.log node server.js "$web" "$own"
listening "$web" "$own"
{
    printf 'inline: '
    ask "$web"
    printf 'its own port, nothing sent: '
    python3 -c 'import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 5) as player:
    print(repr(player.recv(4096)[-24:]))' "$own"
} >seen
as_stated "policyfile 0.0.6, Node $(node --version)" <<'END'
inline: 47 bytes, closed: 'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n'
its own port, nothing sent: b'/></cross-domain-policy>'
END
