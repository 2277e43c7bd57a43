//! `flashpolicyd reload` asks the running server to read its configuration and its policies again,
//! and prints the outcome that the server reports. It reads neither itself.

use std::time::Duration;

use super::running::RunningServer;
use super::server_files::ServerFiles;
use crate::config::Configured;
use crate::daemon::control_socket::{Reply, Request};
use crate::daemon::status::Reload;
use crate::output::exit::Exit;
use crate::output::print::{print, print_error};
use crate::output::text::{printable, reason};

/// The time for an answer beyond the server's own limit.
const ON_ITS_WAY: Duration = Duration::from_secs(5);

/// Has the running server reload.
pub fn run(configured: &Configured) -> Result<Exit, Exit> {
    // The server reads the configuration itself, and tells its mistakes.
    let files = ServerFiles::quietly(configured)?;
    if let Some(server) = files.find()?.or_else(|| files.find_default_server()) {
        return reload(server);
    }
    print_error(&format!(
        "flashpolicyd is not running; there is nothing to reload{}",
        files.no_pid_file_note()
    ));
    Err(Exit::NotRunning)
}

fn reload(server: RunningServer) -> Result<Exit, Exit> {
    let name = server.name();
    let not_asked = |why: &str| {
        print_error(&format!(
            "flashpolicyd runs ({name}), and was not asked: {why}"
        ));
        Exit::Denied
    };
    if server.is_suspended() {
        return Err(not_asked(&format!(
            "it does not answer{}",
            server.why_unresponsive()
        )));
    }
    let why_unresponsive = server.why_unresponsive();
    let connection = server.control.map_err(|why| not_asked(&why))?;
    let time = Request::Reload.time() + ON_ITS_WAY;
    match connection.ask(Request::Reload, time) {
        Ok(Reply::Reload(reload)) => show(&name, &reload),
        Ok(Reply::Refused(why)) => {
            let why = printable(&why);
            print_error(&format!("{name} has not reloaded: {why}"));
            Err(Exit::Failed)
        }
        Ok(Reply::Status(_)) => {
            print_error(&format!("{name} answered something else than was asked"));
            Err(Exit::Failed)
        }
        Err(error) => {
            let why = reason(&error);
            print_error(&format!(
                "whether {name} has reloaded is unknown: {why}{why_unresponsive}; its log tells the outcome"
            ));
            Err(Exit::Failed)
        }
    }
}

fn show(name: &str, reload: &Reload) -> Result<Exit, Exit> {
    let mut said = reload.said.iter().map(|line| printable(line));
    if reload.took_effect {
        let outcome = said.next().unwrap_or_default();
        for line in said {
            print_error(&format!("warning: {line}"));
        }
        print(format!("flashpolicyd reloaded ({name}): {outcome}\n"));
        return Ok(Exit::Fine);
    }
    for line in said {
        print_error(&line);
    }
    Err(Exit::Usage)
}
