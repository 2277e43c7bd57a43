//! Tells the service manager that the server is ready, reloads or stops, as sd_notify(3) says
//! (systemd's `Type=notify`). Without such a manager it does nothing. A manager that takes no
//! messages delays it for a limited time only.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

use crate::output::text::{printable, reason};

/// The variable with the manager's socket: a path, or `@` and a name of the abstract namespace.
const SOCKET: &str = "NOTIFY_SOCKET";

/// How long a message may wait for a manager that does not read those before it: a stop waits for
/// it, too.
const PATIENCE: Duration = Duration::from_secs(1);

/// The ports are bound, or a reload is over.
pub fn ready() {
    notify("READY=1\n", "that it serves");
}

/// A reload begins; [`ready`] tells its end.
pub fn reloading() {
    // Which of several reloads a message is about, systemd knows by its time.
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from);
    let now = now.map_or_else(
        |_| String::new(),
        |now| format!("MONOTONIC_USEC={}\n", now.as_micros()),
    );
    notify(&format!("RELOADING=1\n{now}"), "that it reloads");
}

/// The end begins: nothing more is accepted.
pub fn stopping() {
    notify("STOPPING=1\n", "that it stops");
}

/// How often the service manager wants to be told that the main thread goes round, at the least;
/// none where it does not watch this process.
pub fn watchdog() -> Option<Duration> {
    let micros = env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
    let pid = env::var("WATCHDOG_PID").ok();
    let is_meant = pid.is_none_or(|pid| pid == std::process::id().to_string());
    (is_meant && micros > 0).then(|| Duration::from_micros(micros))
}

/// The main thread goes round.
pub fn alive() {
    notify("WATCHDOG=1\n", "that it is alive");
}

fn notify(message: &str, what: &str) {
    let Some(socket) = env::var_os(SOCKET) else {
        return;
    };
    if let Err(error) = send(&socket, message) {
        let why = match error.kind() {
            io::ErrorKind::WouldBlock => "it takes no messages".into(),
            _ => reason(&error),
        };
        let socket = printable(&socket.to_string_lossy());
        log::warn!("Cannot tell the service manager at {SOCKET}={socket} {what}: {why}.");
    }
}

fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let to = match socket.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let from = UnixDatagram::unbound()?;
    from.set_write_timeout(Some(PATIENCE))?;
    from.send_to_addr(message.as_bytes(), &to).map(drop)
}
