#!/bin/sh
# crossbar 26.10.1 takes a flashpolicy transport, checks it, starts it, and answers no request.
#
# Expected: a transport of type `flashpolicy` that `crossbar check` passes serves a policy.
# What happens: the node starts and listens. At the first byte of a request it fails, since it appends
# bytes to a text, and closes without having answered. This is code for Python 2 that was never run
# on Python 3, and neither the check nor the start notices.
# Why it matters: the configuration, the port and the connection are all fine, so the player's side
# sees a server that closes at once without a word. The reason stands in the node's log alone.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
python_packages crossbar==26.10.1

port=$(free_port)
cat >config.json <<END
{"version": 2, "workers": [{"type": "router", "realms": [{"name": "realm1", "roles": []}],
  "transports": [{"type": "flashpolicy", "allowed_domain": "*", "allowed_ports": [9339],
    "endpoint": {"type": "tcp", "interface": "127.0.0.1", "port": $port}}]}]}
END
{
    timeout 60 python3 python/bin/crossbar check --cbdir . 2>&1 | grep -o 'node configuration looks good' ||
        echo 'the check fails'
    start node.log python3 python/bin/crossbar start --cbdir .
    listening "$port"
    ask "$port"
    sleep 1
    sed -n 's/.*TypeError: /in the log: TypeError: /p' node.log
} >seen
as_stated "crossbar 26.10.1, $(python3 --version)" <<'END'
node configuration looks good
0 bytes, closed: ''
in the log: TypeError: can only concatenate str (not "bytes") to str
END
