#!/bin/sh
# Ruffle 0.6.0 on a web page says `connect` before anybody has answered, and asks for no policy.
#
# Expected: a SWF on a web page that calls `loadPolicyFile` and then Socket.connect asks the policy
# server, and gets `connect` once the other side has taken the connection.
# What happens: no policy is asked for, neither by `loadPolicyFile` nor by `connect`. Sockets go over
# WebSockets that the page names in `socketProxy`; the SWF gets `connect`, with `connected` true, as
# soon as the WebSocket was created. Nobody listens there, so `close` follows at once, and no error.
# The same host by its name in place of its address is another entry: ioError #2031.
# Why it matters: "connected, then closed at once" with Ruffle means that no WebSocket proxy answers.
# It says nothing of the game server, of port 843 or of any policy, whose server has no request.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
node_packages @ruffle-rs/ruffle@0.6.0
debian_packages haxe=1:4.2.5-1 chromium-headless-shell
# shellcheck source=/dev/null
. "$HERE/browser"

policies=$(free_port)
game=$(free_port)
nobody=$(free_port)
cat >Main.hx <<END
import flash.external.ExternalInterface;
import flash.net.Socket;
class Main {
    static function open(host:String) {
        var socket = new Socket();
        var say = function(event) {
            ExternalInterface.call("saw", host + ": " + event.type + ", connected=" + socket.connected);
            if (host == "localhost" && event.type == "ioError") ExternalInterface.call("saw", event.text);
        }
        for (type in ["connect", "close", "ioError", "securityError"]) socket.addEventListener(type, say);
        socket.connect(host, $game);
    }
    static function main() {
        flash.system.Security.loadPolicyFile("xmlsocket://127.0.0.1:$policies");
        open("127.0.0.1");
        open("localhost");
    }
}
END
mkdir pages
HAXE_STD_PATH=$ROOT/usr/share/haxe/std LD_LIBRARY_PATH=$LIBRARIES "$ROOT/usr/bin/haxe" \
    -main Main --swf pages/main.swf -D network-sandbox
cp node_modules/@ruffle-rs/ruffle/* pages/
cat >pages/index.html <<END
<!doctype html>
<script>
const saw = (text) => fetch('/saw?' + encodeURIComponent(text));
window.RufflePlayer = { config: {
  autoplay: 'on', unmuteOverlay: 'hidden', splashScreen: false, allowScriptAccess: true,
  socketProxy: [{ host: '127.0.0.1', port: $game, proxyUrl: 'ws://127.0.0.1:$nobody/' }] } };
</script>
<script src="ruffle.js"></script>
<script>
addEventListener('load', () => {
  const player = window.RufflePlayer.newest().createPlayer();
  document.body.append(player);
  player.ruffle().load({ url: 'main.swf', allowScriptAccess: true });
});
</script>
END
count "$policies" policies
count "$game" game
browse 127.0.0.1:.close
{
    sort said
    echo "policies asked for: $(grep -c . policies || :)"
    echo "connections to the game: $(grep -c . game || :)"
} >seen
as_stated "Ruffle 0.6.0, Chromium $BROWSER_VERSION" <<'END'
127.0.0.1: close, connected=false
127.0.0.1: connect, connected=true
Error #2031: Socket Error.
localhost: ioError, connected=false
policies asked for: 0
connections to the game: 0
END
