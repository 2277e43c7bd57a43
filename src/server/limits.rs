//! The limit of open files: raised as far as the system allows, and the pending queue made to fit
//! it, so that the server never runs out of descriptors by itself.

use nix::sys::resource::{getrlimit, setrlimit, Resource};

use super::linger::MAX_LINGERING;
use crate::config::Config;

/// Descriptors beside connections: the log, the pid file, standard streams, signal pipes, files
/// that are open for a moment.
const OTHERS: usize = 32;

/// How many connections may be pending: what is configured, or what the limit of open files leaves.
pub(super) fn max_pending(config: &Config) -> usize {
    let taken = config.workers + MAX_LINGERING + config.listen.len() + OTHERS;
    let wanted = taken + config.max_pending;
    let limit = raise_limit();
    if limit >= wanted {
        return config.max_pending;
    }
    let left = limit.saturating_sub(taken).max(1);
    log::warn!(
        "The limit of open files is {limit}, {} workers and max_pending = {} need {wanted}: only \
         {left} connections may be pending. Raise the limit (ulimit -n, systemd's LimitNOFILE).",
        config.workers,
        config.max_pending
    );
    left
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
