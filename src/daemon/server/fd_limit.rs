//! The limit of open files. It is raised as far as the system allows, and the number of connections
//! that may wait is made to fit it. It opens no file.

use std::fmt;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors beside listeners, workers and connections that wait: the log, the pid file, the
/// control socket and its clients, standard streams, signal pipes, the poller's, and files that are
/// open for a moment.
const OTHERS: usize = 28;

/// Descriptors for each worker: the connection that it serves, and the next one, whose number the
/// kernel takes before `accept` sleeps.
const FOR_A_WORKER: usize = 2;

/// With room for fewer clients at once, the server would be of no use.
const FEWEST_CONNECTIONS: usize = 16;

/// The limit of open files leaves no room for clients.
#[derive(Debug)]
pub struct TooFewDescriptors {
    limit: usize,
    needed: usize,
}

impl fmt::Display for TooFewDescriptors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the limit of open files is {}, and leaves room for fewer than {FEWEST_CONNECTIONS} \
             clients at once; raise it to {} at least (ulimit -n, systemd's LimitNOFILE)",
            self.limit, self.needed
        )
    }
}

/// How many connections may wait: what is configured, or what the limit of open files leaves.
///
/// # Errors
/// Where the limit leaves room for fewer than [`FEWEST_CONNECTIONS`].
pub(super) fn max_connections(
    configured: usize,
    listeners: usize,
    workers: usize,
) -> Result<usize, TooFewDescriptors> {
    let limit = raise_limit();
    let others = OTHERS + listeners + FOR_A_WORKER * workers;
    let most = configured.min(limit.saturating_sub(others));
    let fewest = configured.min(FEWEST_CONNECTIONS);
    if most < fewest {
        let needed = others + fewest;
        return Err(TooFewDescriptors { limit, needed });
    }
    if most < configured {
        log::warn!(
            "The limit of open files is {limit}: at most {most} connections wait at a time, and not \
             max_connections = {configured}. Raise the limit (ulimit -n, systemd's LimitNOFILE)."
        );
    }
    Ok(most)
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
