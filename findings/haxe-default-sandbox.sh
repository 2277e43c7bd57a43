#!/bin/sh
# A SWF that Haxe 4.2.5 compiles may not use sockets when it is opened from a file.
#
# Expected: a SWF that calls Socket.connect is published for the network, as Adobe's own compilers do
# unless they are told otherwise (`-use-network`, true by default).
# What happens: Haxe leaves the bit UseNetwork of the tag FileAttributes at 0, without a word, unless
# it gets `-D network-sandbox`. Such a SWF, opened from a disk, is "local with file system".
# Why it matters: Flash Player then refuses every socket with error 2010 and asks no policy server,
# so no policy can help and no server's log has a trace. The same SWF works from a web server. One
# byte of the file says which it is.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
debian_packages haxe=1:4.2.5-1

cat >Main.hx <<'END'
class Main {
    static function main() new flash.net.Socket().connect("127.0.0.1", 9339);
}
END
for options in '' '-D network-sandbox'; do
    # shellcheck disable=SC2086 # no option or one with its value
    HAXE_STD_PATH=$ROOT/usr/share/haxe/std LD_LIBRARY_PATH=$LIBRARIES "$ROOT/usr/bin/haxe" \
        -main Main --swf main.swf $options
    printf 'haxe %s: ' "$options"
    python3 - <<'END'
import zlib

swf = open("main.swf", "rb").read()
body = zlib.decompress(swf[8:]) if swf[:1] == b"C" else swf[8:]
# Behind the frame's rectangle, the rate and the number of frames: the first tag, FileAttributes.
tag = (5 + 4 * (body[0] >> 3) + 7) // 8 + 4
assert int.from_bytes(body[tag:tag + 2], "little") >> 6 == 69
print("UseNetwork", body[tag + 2] & 1)
END
done >seen
as_stated 'Haxe 1:4.2.5-1 (Debian 12)' <<'END'
haxe : UseNetwork 0
haxe -D network-sandbox: UseNetwork 1
END
