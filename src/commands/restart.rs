//! `flashpolicyd restart` starts a new server that takes over from the running one, so that no
//! client is refused. After an error the running server goes on unchanged.

use std::path::{Path, absolute};
use std::time::Duration;

use super::input::read_policies;
use super::output::{complain, print};
use super::running::{RunningServer, ServerPlace};
use super::stop::{GRACE, Left};
use super::{spawn, start};
use crate::config::Configured;
use crate::control_socket::{self, Reply, Request, path_beside};
use crate::exit::Exit;
use crate::text::printable;

/// How long the running server has to take a connection, and to say what it serves.
const TO_ASK: Duration = Duration::from_secs(1);

/// Starts a new server in the place of the running one; without one, starts it.
pub(super) fn run(configured: &Configured) -> Result<Exit, Exit> {
    let place = check(configured).inspect_err(|_| {
        // Only to say what it is like: the mistakes have been said.
        let place = ServerPlace::in_silence(configured);
        if let Ok(Ok(Some(server))) = place.map(|place| place.look()) {
            complain(&left_as_it_is(&server));
        }
    })?;
    let Some(server) = place.find()? else {
        place.is_not_elsewhere()?;
        return start::start(configured, &place);
    };
    if configured.file.is_none() {
        has_the_same_file(&place, &server)?;
    }
    take_over(configured, &place, &server)
}

fn check(configured: &Configured) -> Result<ServerPlace, Exit> {
    let place = ServerPlace::of(configured)?;
    start::check_log(&place)?;
    read_policies(&place.config)?;
    Ok(place)
}

/// A restart in another folder finds another configuration, or none: its policies would replace
/// those that are served. A server that does not answer has none that is known.
fn has_the_same_file(place: &ServerPlace, server: &RunningServer) -> Result<(), Exit> {
    let Ok(connection) = control_socket::connect(&path_beside(&server.pid_file), TO_ASK) else {
        return Ok(());
    };
    let Ok(Reply::Status(status)) = connection.ask(Request::Status, TO_ASK) else {
        return Ok(());
    };
    let Some(used) = status.configuration.as_deref().map(Path::new) else {
        return Ok(());
    };
    let found = place.file.as_deref();
    let is_same = found.is_some_and(|found| match (found.canonicalize(), used.canonicalize()) {
        (Ok(found), Ok(used)) => found == used,
        _ => absolute(found).is_ok_and(|found| found == used),
    });
    if is_same {
        return Ok(());
    }
    let used = printable(&used.to_string_lossy());
    let here = found.map_or_else(
        || "there is none here".into(),
        |found| format!("here {} is found", printable(&found.to_string_lossy())),
    );
    complain(&format!(
        "the running server ({}) has the configuration {used}, and {here}; name the one that is \
         meant, such as: flashpolicyd restart -c {used}",
        server.name()
    ));
    complain(&left_as_it_is(server));
    Err(Exit::Usage)
}

fn left_as_it_is(server: &RunningServer) -> String {
    format!("the running server ({}) is left as it is", server.name())
}

fn take_over(
    configured: &Configured,
    place: &ServerPlace,
    old: &RunningServer,
) -> Result<Exit, Exit> {
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
    )))
}
