//! `flashpolicyd serve`: from the configuration to the last client. The order matters: everything
//! that can be wrong in files is found before a port is bound.

use std::io::{self, IsTerminal};
use std::panic;
use std::path::Path;

use super::starter::Starter;
use super::{complain, complain_of, load, unfit_for_user};
use crate::config::{Config, Configured, Console, Loaded, SEARCH_PATH};
use crate::control::{self, Control};
use crate::control_socket::{self, ControlSocket};
use crate::exit::Exit;
use crate::logging::{self, Logging};
use crate::notify;
use crate::pid_file::PidFile;
use crate::privileges::{self, Identity};
use crate::reload::{self, Reloader};
use crate::served::Served;
use crate::server::{Ended, Inherited, Server};
use crate::status::Running;
use crate::text::reason;
use crate::upkeep::Housekeeper;

/// Why serving ended early.
struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    fn new(exit: Exit, message: impl ToString) -> Failure {
        Failure {
            exit,
            message: message.to_string(),
        }
    }
}

/// Serves until it is told to stop.
pub(super) fn run(configured: &Configured, detached: bool) -> Exit {
    let starter = detached.then(Starter::detach);
    // Before any file is opened: it could get the number of a descriptor that is not there.
    let inherited = match Inherited::take() {
        Ok(inherited) => inherited,
        Err(message) => return fail(&Failure::new(Exit::Failed, message)),
    };
    let configured = &Configured {
        inherited: inherited.addresses(),
        ..configured.clone()
    };
    let loaded = match load(configured) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let (reloader, all) = match Reloader::start(configured, &loaded) {
        Ok(good) => good,
        Err(bad) => {
            bad.iter().for_each(complain_of);
            return Exit::Usage;
        }
    };
    let identity = match privileges::look_up(&loaded.config) {
        Ok(identity) => identity,
        Err(error) => return fail(&Failure::new(Exit::Usage, error)),
    };
    let logging = match start_logging(&loaded.config, &identity, starter.as_ref()) {
        Ok(logging) => logging,
        Err(failure) => return fail(&failure),
    };
    log_panics();
    let exit = match serve(
        &loaded, inherited, reloader, &all, &identity, &logging, starter,
    ) {
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
            if !(logging.on_console() && io::stdout().is_terminal()) {
                complain(&failure.message);
            }
            failure.exit
        }
    };
    logging.finish();
    exit
}

fn fail(failure: &Failure) -> Exit {
    complain(&failure.message);
    failure.exit
}

fn serve(
    loaded: &Loaded,
    inherited: Inherited,
    reloader: Reloader,
    all: &[Served],
    identity: &Identity,
    logging: &Logging,
    starter: Option<Starter>,
) -> Result<Ended, Failure> {
    let Loaded { config, file } = loaded;
    let failed = |message: String| Failure::new(Exit::Failed, message);
    log::info!("Starting server...");
    match file {
        Some(file) => log::info!("Configuration: {}.", file.display()),
        None => log::info!(
            "Configuration: built-in defaults (there is no {}).",
            SEARCH_PATH.join(" and no ")
        ),
    }
    reload::log_warnings(config, all);
    // Before the pid file: a signal to the process it names must not find it unprepared.
    let (sender, control) = control::listen().map_err(failed)?;
    for address in inherited.addresses() {
        log::info!("The socket of {address} is inherited.");
    }
    let server = Server::start(config, inherited, reloader.serving())
        .map_err(|error| failed(error.to_string()))?;
    let pid_file = config
        .pid_file
        .as_deref()
        .map(PidFile::write)
        .transpose()
        .map_err(|error| failed(error.to_string()))?;
    if let (Some(file), Some(owner)) = (&pid_file, identity.owner()) {
        file.give_to(owner.uid, owner.gid)
            .map_err(|error| failed(format!("cannot give the pid file away: {error}")))?;
    }
    let control_socket = match &config.pid_file {
        Some(file) => Some(make_control_socket(file, identity).map_err(failed)?),
        None => None,
    };
    privileges::give_away(identity).map_err(failed)?;
    for warning in unfit_for_user(config, file.as_deref()) {
        log::warn!("{warning}.");
    }
    let running = Running::begin(config, server.addresses(), file.as_deref());
    for address in server.addresses() {
        log::info!("Listening on {address}");
    }
    log::logger().flush();
    let server = server.open().map_err(|error| failed(error.to_string()))?;
    let _control_socket = control_socket
        .map(|socket| {
            socket.serve(move |request| {
                let send = |asked| sender.send(Control::Asked(asked)).is_ok();
                control_socket::pass_on(request, send)
            })
        })
        .transpose()
        .map_err(|error| {
            failed(format!(
                "cannot start the control thread: {}",
                reason(&error)
            ))
        })?;
    notify::ready();
    if let Some(starter) = starter {
        starter.ready(&running.introduction());
    }
    let mut housekeeper = Housekeeper::new(reloader, running, logging.clone());
    let ended = server.run(&control, &mut housekeeper);
    drop(pid_file);
    Ok(ended)
}

/// The control socket, in its place, and the future user's.
fn make_control_socket(pid_file: &Path, identity: &Identity) -> Result<ControlSocket, String> {
    let mut socket = ControlSocket::bind(pid_file, false)?;
    if let Some(owner) = identity.owner() {
        socket
            .give_to(owner.uid, owner.gid)
            .map_err(|error| format!("cannot give the control socket away: {}", reason(&error)))?;
    }
    socket.put_in_place()?;
    Ok(socket)
}

fn start_logging(
    config: &Config,
    identity: &Identity,
    starter: Option<&Starter>,
) -> Result<Logging, Failure> {
    let console = match config.log_console {
        Console::Auto => io::stdout().is_terminal(),
        Console::Yes => true,
        Console::No => false,
    };
    Logging::start(logging::Settings {
        file: config.log_file.as_deref(),
        rotation: super::rotation_of(config),
        rotates: true,
        owner: identity.owner(),
        console,
        level: config.log_level,
        echo: starter.map(Starter::echo),
    })
    .map_err(|error| {
        let file = config.log_file.as_deref().unwrap_or(Path::new("none"));
        Failure::new(Exit::Usage, logging::cannot_append(file, &error))
    })
}

/// A panic becomes one line of the log, and nothing on standard error.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let message = panic.payload_as_str().unwrap_or("no message");
        let place = panic
            .location()
            .map_or_else(String::new, |place| format!(" at {place}"));
        log::error!("Panic{place}: {}", message.escape_debug());
    }));
}
