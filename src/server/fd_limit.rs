//! The limit of open files. It is raised as far as the system allows, and the number of connections
//! is made to fit it. It opens no file.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::slots::MOST_SLOTS;

/// Descriptors beside listeners and connections: the log, the pid file, the socket for control,
/// standard streams, signal pipes, the poller's, and files that are open for a moment.
const OTHERS: usize = 24;

/// Descriptors for each listener: its socket, a connection for a moment until another one has made
/// room, the streams of the servers before and after it, and what a takeover duplicates.
const FOR_A_LISTENER: usize = 6;

/// How many connections there may be: what is configured, or what the limit of open files leaves.
pub(super) fn max_connections(configured: usize, listeners: usize) -> usize {
    let limit = raise_limit();
    let left = limit
        .saturating_sub(OTHERS + FOR_A_LISTENER * listeners)
        .max(1);
    let most = configured.min(left).min(MOST_SLOTS - 1);
    if most < configured {
        log::warn!(
            "The limit of open files is {limit}: at most {most} connections at a time, and not \
             max_connections = {configured}. Raise the limit (ulimit -n, systemd's LimitNOFILE)."
        );
    }
    most
}

/// Raises the soft limit to the hard one, and gives what holds now.
fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return usize::MAX;
    };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    usize::try_from(limit).unwrap_or(usize::MAX)
}
