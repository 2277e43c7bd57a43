#!/bin/sh
# OpenFL 8.9.6 (npm) in a browser opens a WebSocket where ActionScript opens a TCP connection.
#
# Expected: code that was ported to OpenFL, which has the classes of Flash, asks for a policy and then
# speaks its own protocol to the game's port, as the SWF did.
# What happens: `new openfl.net.Socket().connect(host, port)` sends `GET / HTTP/1.1` with an upgrade to
# a WebSocket to that very port. `Security.loadPolicyFile` does nothing. A server that does not speak
# WebSocket closes, and the code gets ioError and close, with no word of the reason.
# Why it matters: an HTTP request in a game server's log after a port to HTML5 is the game itself. No
# policy server can help it; the game's port needs a WebSocket in front.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
node_packages openfl@8.9.6
debian_packages chromium-headless-shell
# shellcheck source=/dev/null
. "$HERE/browser"

policies=$(free_port)
game=$(free_port)
mkdir pages
cp node_modules/openfl/dist/openfl.js pages/
cat >pages/index.html <<END
<!doctype html>
<body>
<script src="openfl.js"></script>
<script>
const stage = new openfl.display.Stage(10, 10, 0, undefined);
document.body.append(stage.element);
openfl.system.Security.loadPolicyFile('xmlsocket://127.0.0.1:$policies');
const socket = new openfl.net.Socket();
for (const type of ['connect', 'close', 'ioError', 'securityError'])
  socket.addEventListener(type, () => fetch('/saw?' + type));
socket.connect('127.0.0.1', $game);
</script>
END
count "$policies" policies
count "$game" game
browse close
{
    sort said
    echo "policies asked for: $(grep -c . policies || :)"
    sed 's/^/at the game: /' game
} >seen
as_stated "OpenFL 8.9.6, Chromium $BROWSER_VERSION" <<'END'
close
ioError
policies asked for: 0
at the game: GET / HTTP/1.1
END
