#!/bin/sh
# Linux lets a user without rights filter a UDP socket, and since June 2026 no TCP socket any more.
#
# Expected: SO_ATTACH_FILTER needs no right, as socket(7) and twenty years of packet sockets have it.
# What happens: on TCP it is EPERM without CAP_NET_ADMIN, on UDP and UNIX sockets it is allowed. The
# change ("tcp: restrict SO_ATTACH_FILTER to priv users", 5d39580f68e6) went into the stable kernels
# from 6.1 on as well, so it comes with an ordinary update.
# Why it matters: a server that has its listener ignore newcomers with a filter before it closes, so
# that nobody in the queue is reset, can do so as root only. One that gave root away has to set the
# filter before that, or do without.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
cat >filter.py <<'END'
import array, errno, os, socket, struct

SO_ATTACH_FILTER = 26
accept_all = array.array("B", struct.pack("=HBBI", 0x06, 0, 0, 0xFFFF))
program = struct.pack("@HP", 1, accept_all.buffer_info()[0])
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
kinds = {"TCP": (socket.AF_INET, socket.SOCK_STREAM), "TCP, IPv6": (socket.AF_INET6, socket.SOCK_STREAM),
         "UDP": (socket.AF_INET, socket.SOCK_DGRAM), "UNIX": (socket.AF_UNIX, socket.SOCK_STREAM)}
for name, kind in kinds.items():
    try:
        socket.socket(*kind).setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
        print(f"{name}: allowed")
    except OSError as error:
        print(f"{name}: {errno.errorcode[error.errno]}")
END
python3 filter.py >seen
as_stated "Linux $(uname -r), a user without rights" <<'END'
TCP: EPERM
TCP, IPv6: EPERM
UDP: allowed
UNIX: allowed
END
