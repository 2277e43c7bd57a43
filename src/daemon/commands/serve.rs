//! `flashpolicyd serve`: the steps of a start, and what is printed where one of them fails. All
//! mistakes in files are found before a port is bound.

use std::io::{self, IsTerminal};

use super::first_run;
use super::starter::Starter;
use crate::config::Configured;
use crate::daemon::server::{self, Ended};
use crate::daemon::startup::{Failure, Logged, Prepared};
use crate::output::exit::Exit;
use crate::output::print::{print_error, print_findings};
use crate::player::input::load;

/// Serves until it is told to stop.
pub fn run(configured: &Configured, detached: bool) -> Exit {
    if server::is_one_connection() {
        print_error(server::NOT_BY_INETD);
        return Exit::Usage;
    }
    start(configured, detached).unwrap_or_else(|exit| exit)
}

/// Reads all files and opens the log, and then serves.
///
/// # Errors
/// The exit code of a start that failed before the log was open; what is wrong has been printed.
fn start(configured: &Configured, detached: bool) -> Result<Exit, Exit> {
    let starter = detached.then(Starter::detach);
    let prepared = Prepared::new(configured).map_err(fail)?;
    let loaded = load(&prepared.configured)?;
    let starter = starter.or_else(|| Starter::of_foreground(&loaded.config));
    let read = prepared.read(loaded).map_err(|unfit| {
        unfit
            .iter()
            .for_each(|served| print_findings(&served.findings));
        Exit::Usage
    })?;
    let greets = read.is_first_run() && !detached && io::stdout().is_terminal();
    let echo = starter.as_ref().map(Starter::echo);
    let logged = read.open_log(echo, greets).map_err(fail)?;
    let logging = logged.logging.clone();
    let exit = match serve(logged, starter.as_ref(), greets) {
        Ok(Ended::Complete) => Exit::Fine,
        Ok(Ended::AtOnce) => {
            log::warn!("Stopped at once by a second signal.");
            Exit::Failed
        }
        Err(failure) => {
            for line in failure.message.lines() {
                log::error!("{line}");
            }
            // A terminal has just been shown it.
            if !(logging.on_console && io::stdout().is_terminal()) {
                print_error(&failure.message);
            }
            match failure.exit {
                // In the background the exit codes are those of an init script.
                Exit::Denied if !detached => Exit::Failed,
                exit => exit,
            }
        }
    };
    logging.finish();
    Ok(exit)
}

/// From the ports to the last client.
fn serve(logged: Logged, starter: Option<&Starter>, greets: bool) -> Result<Ended, Failure> {
    let logging = logged.logging.clone();
    let bound = logged.bind()?;
    let unprivileged = bound.give_up_rights()?;
    unprivileged.serve(|status, policies| {
        if greets {
            logging.greet(&first_run::greeting(status, policies));
        }
        if let Some(starter) = starter {
            // The first lines show whether there is room for a log.
            logging.wait_until_written();
            if let Some(why) = logging.failure() {
                print_error(&format!("warning: the log cannot be written: {why}"));
            }
            starter.ready(status);
        }
    })
}

fn fail(failure: Failure) -> Exit {
    print_error(&failure.message);
    failure.exit
}
