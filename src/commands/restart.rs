//! `flashpolicyd restart` starts a new server that takes over from the running one, so that no
//! client is refused. After an error the running server goes on unchanged.

use super::input::read_policies;
use super::output::{complain, print};
use super::running::{Found, RunningServer, ServerPlace};
use super::stop::{GRACE, Left, not_from_here};
use super::{spawn, start};
use crate::config::Configured;
use crate::exit::ServiceExit;

/// Starts a new server in the place of the running one; without one, starts it.
pub(super) fn run(configured: &Configured) -> Result<ServiceExit, ServiceExit> {
    let checked = check(configured);
    let place = match checked {
        Ok(place) => place,
        Err(exit) => {
            // Only to say what it is like: the mistakes have been said.
            if let Ok(Found::RunningServer(server)) =
                ServerPlace::in_silence(configured).map(|p| p.find())
            {
                complain(&left_as_it_is(&server));
            }
            return Err(exit);
        }
    };
    match place.find() {
        Found::RunningServer(server) => take_over(configured, &place, &server),
        Found::Unclear(why) => {
            complain(&why);
            Err(ServiceExit::Denied)
        }
        Found::Nobody => match place.find_meant() {
            Some(other) => {
                complain(&not_from_here(&other));
                Err(ServiceExit::Denied)
            }
            None => start::start(configured, &place),
        },
    }
}

fn check(configured: &Configured) -> Result<ServerPlace, ServiceExit> {
    let place = ServerPlace::of(configured)?;
    start::check_log(&place)?;
    read_policies(&place.config)?;
    Ok(place)
}

fn left_as_it_is(server: &RunningServer) -> String {
    format!("the running server ({}) is left as it is", server.name())
}

fn take_over(
    configured: &Configured,
    place: &ServerPlace,
    old: &RunningServer,
) -> Result<ServiceExit, ServiceExit> {
    let mut left = Left::of([old.pid, old.former].into_iter().flatten());
    let file = place.file.as_deref();
    let arguments = spawn::arguments(configured, file, &place.pid_file, true);
    let new = spawn::start(&arguments).inspect_err(|_| complain(&left_as_it_is(old)))?;
    // The old one's last clients have their deadline; until then the pid file is its own.
    let rest = match left.wait(place, place.config.startup.timeout + GRACE) {
        true => String::new(),
        false => format!(", which is still there{}", old.excuse()),
    };
    let (pid, addresses, files) = (new.pid, new.addresses(), new.files());
    let old = old
        .pid
        .map_or_else(|| "another".into(), |pid| pid.to_string());
    Ok(print(format!(
        "flashpolicyd restarted (process {pid} in place of process {old}{rest}) on {addresses}; \
         {files}\n"
    ))
    .into())
}
