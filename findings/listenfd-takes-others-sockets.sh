#!/bin/sh
# The crate listenfd 1.0.2 takes sockets that were not addressed to its process.
#
# Expected: a socket passed by LISTEN_FDS counts only where LISTEN_PID is the process's own number, as
# sd_listen_fds(3) says: these variables are inherited by every child.
# What happens: where LISTEN_PID is missing, listenfd takes whatever descriptor LISTEN_FDS counts. The
# crate sd-notify 0.5.0 takes nothing in the same place. With another process's LISTEN_PID neither does.
# Why it matters: a policy server that runs with a cleaned-up environment, or below a wrapper that unsets
# LISTEN_PID, serves a socket that belongs to another service, in place of its configured port. The
# log's "listening on" is where it shows.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
rust_program 'listenfd = "=1.0.2"' 'sd-notify = "=0.5.0"' <<'END'
fn main() {
    let by_sd_notify = sd_notify::listen_fds().map(|sockets| sockets.count());
    let mut sockets = listenfd::ListenFd::from_env();
    let socket = sockets.take_tcp_listener(0).ok().flatten();
    println!("sd-notify {by_sd_notify:?}, listenfd {} (a listener: {})", sockets.len(), socket.is_some());
}
END
cat >passes.py <<'END'
import os, socket, subprocess, sys

listener = socket.create_server(("127.0.0.1", 0))
os.dup2(listener.fileno(), 3)
for whose, variables in (("its own", "LISTEN_PID=$$"), ("another's", "LISTEN_PID=1"), ("missing", "")):
    end = subprocess.run(["sh", "-c", f"{variables} LISTEN_FDS=1 exec {sys.argv[1]}"], pass_fds=[3],
                         capture_output=True, text=True)
    print(f"LISTEN_PID {whose}: {end.stdout.strip()}{end.stderr.strip()}")
END
python3 passes.py "$PROGRAM" >seen
as_stated 'listenfd 1.0.2, sd-notify 0.5.0' <<'END'
LISTEN_PID its own: sd-notify Ok(1), listenfd 1 (a listener: true)
LISTEN_PID another's: sd-notify Ok(0), listenfd 0 (a listener: false)
LISTEN_PID missing: sd-notify Ok(0), listenfd 1 (a listener: true)
END
