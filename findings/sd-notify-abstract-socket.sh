#!/bin/sh
# The crate sd-notify 0.5.0 cannot report to a supervisor whose NOTIFY_SOCKET is abstract.
#
# Expected: `notify` sends to what NOTIFY_SOCKET names; by sd_notify(3) a name that begins with @ is a
# socket in the abstract namespace.
# What happens: the name is taken for a file's: Err, "No such file or directory", which names neither
# the socket nor the variable. With a path it works.
# Why it matters: under such a supervisor a server of Type=notify never becomes ready. It serves all
# the same, until the start's time limit ends it, while its log speaks of a file that nobody named.
# shellcheck source=/dev/null
. "$(dirname "$0")/common"
need python3
rust_program 'sd-notify = "=0.5.0"' <<'END'
fn main() {
    println!("{:?}", sd_notify::notify(&[sd_notify::NotifyState::Ready]));
}
END
cat >supervisor.py <<'END'
import os, socket, subprocess, sys

for name in ("path", "@abstract"):
    supervisor = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    address = os.path.join(os.getcwd(), f"{name}-{os.getpid()}") if name == "path" else f"@finding-{os.getpid()}"
    supervisor.bind(address.replace("@", "\0"))
    supervisor.settimeout(0.5)
    # That one is there, python can show: it reports to it as well.
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"python", address.replace("@", "\0"))
    came = [supervisor.recv(64)]
    end = subprocess.run([sys.argv[1]], env={"NOTIFY_SOCKET": address}, capture_output=True, text=True)
    try:
        came.append(supervisor.recv(64))
    except TimeoutError:
        pass
    print(f"{name}: notify says {end.stdout.strip()}; the supervisor got {came}")
END
python3 supervisor.py "$PROGRAM" >seen
as_stated 'sd-notify 0.5.0' <<'END'
path: notify says Ok(()); the supervisor got [b'python', b'READY=1\n']
@abstract: notify says Err(Os { code: 2, kind: NotFound, message: "No such file or directory" }); the supervisor got [b'python']
END
