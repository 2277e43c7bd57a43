//! `flashpolicyd serve`: from reading the configuration to the end of the last client. All mistakes
//! in files are found before a port is bound.

use std::io::{self, IsTerminal};
use std::panic;
use std::path::Path;
use std::sync::mpsc::Receiver;

use super::first_run;
use super::input::{load, unfit_for_user};
use super::output::{complain, complain_of};
use super::starter::{self, Starter};
use crate::config::{Config, Configured, Loaded, LogConsole, SEARCH_PATH};
use crate::control_socket::{ControlSocket, InPlace};
use crate::exit::Exit;
use crate::files::Owner;
use crate::housekeeping::Housekeeping;
use crate::logging::{self, Logging};
use crate::pid_file::{self, PidFile};
use crate::policies::{ConfiguredPolicy, PolicyOrigin};
use crate::privileges;
use crate::reload::{self, Reloader};
use crate::server::{self, Ended, Inherited, Server, StartError};
use crate::signals::{self, Control};
use crate::stats;
use crate::status::Running;
use crate::supervisor;
use crate::systemd;
use crate::text::reason;

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
    if server::is_one_connection() {
        return fail(&Failure::new(Exit::Usage, server::NOT_BY_INETD));
    }
    start(configured, detached).unwrap_or_else(|exit| exit)
}

/// Reads all files, and then serves.
///
/// # Errors
/// The exit code of a start that failed before the log was open; what is wrong has been printed.
fn start(configured: &Configured, detached: bool) -> Result<Exit, Exit> {
    let failed = |message: String| fail(&Failure::new(Exit::Failed, message));
    let starter = detached.then(Starter::detach);
    // Before any file is opened: it could get the number of a descriptor that is not there.
    let inherited = Inherited::take().map_err(failed)?;
    // Before anything that takes time: a signal must not find this process unprepared.
    let control = signals::listen().map_err(failed)?;
    let configured = &Configured {
        inherited: inherited.addresses(),
        ..configured.clone()
    };
    let loaded = load(configured)?;
    let (reloader, all) = Reloader::start(configured, &loaded).map_err(|bad| {
        bad.iter().for_each(complain_of);
        Exit::Usage
    })?;
    let config = &loaded.config;
    let becomes = privileges::look_up(config);
    let becomes = becomes.map_err(|error| fail(&Failure::new(Exit::Usage, error)))?;
    let nothing_configured = all
        .iter()
        .all(|policy| policy.origin == PolicyOrigin::BuiltIn);
    let introduces = nothing_configured && !detached && io::stdout().is_terminal();
    let starter = starter.or_else(|| Starter::of_foreground(config));
    let logging = start_logging(config, becomes, starter.as_ref(), introduces);
    let logging = logging.map_err(|failure| fail(&failure))?;
    log_panics();
    let start = Start {
        loaded: &loaded,
        inherited,
        reloader,
        all,
        becomes,
        logging: &logging,
        starter,
    };
    let exit = match start.serve(&control) {
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
    Ok(exit)
}

fn fail(failure: &Failure) -> Exit {
    complain(&failure.message);
    failure.exit
}

/// The parts of a start, once all files are read.
struct Start<'a> {
    loaded: &'a Loaded,
    inherited: Inherited,
    reloader: Reloader,
    all: Vec<ConfiguredPolicy>,
    becomes: Owner,
    logging: &'a Logging,
    starter: Option<Starter>,
}

impl Start<'_> {
    /// Logs what is served and how, before a port is bound.
    fn log_beginning(&mut self) {
        let Loaded { config, file } = self.loaded;
        log::info!("Starting server...");
        match file {
            Some(file) => log::info!("Configuration: {}.", file.display()),
            None => log::info!(
                "Configuration: built-in defaults (there is no {}).",
                SEARCH_PATH.join(" and no ")
            ),
        }
        // They are not needed any more, and may be many.
        reload::log_warnings(config, &std::mem::take(&mut self.all));
        for address in self.inherited.addresses() {
            log::info!("The socket of {address} is inherited.");
        }
    }

    /// From the threads and ports to the last client. The ports are opened last, after all that may
    /// fail: until then a client is refused, and never left without an answer.
    fn serve(mut self, control: &Receiver<Control>) -> Result<Ended, Failure> {
        let Loaded { config, file } = self.loaded;
        let failed = |message: String| Failure::new(Exit::Failed, message);
        self.log_beginning();
        let detached = self.starter.as_ref().is_some_and(Starter::is_detached);
        let start_failed = |error: StartError| Failure::new(exit_of(&error, detached), error);
        let server = Server::start(config, self.inherited, self.reloader.serving());
        let server = server.map_err(start_failed)?;
        let own_files = OwnFiles::make(config, self.becomes).map_err(failed)?;
        privileges::give_away(self.becomes).map_err(failed)?;
        let stats_file = config.startup.stats_file.as_deref();
        let unfit = unfit_for_user(config, file.as_deref()).into_iter();
        for warning in unfit.chain(stats_file.and_then(stats::cannot_write)) {
            log::warn!("{warning}.");
        }
        let running = Running::begin(config, &server.addresses(), file.as_deref());
        let introduction = running.introduction();
        let greeting = first_run::introduction(&introduction, self.reloader.described());
        let (reloader, logging) = (self.reloader, self.logging.clone());
        let housekeeping = Housekeeping::start(reloader, running, server.handle(), logging);
        let housekeeping = housekeeping.map_err(failed)?;
        let own_files = own_files.serve(&housekeeping).map_err(failed)?;
        let addresses = server.addresses();
        let server = server.open().map_err(start_failed)?;
        for address in addresses {
            log::info!("Listening on {address}");
        }
        log::logger().flush();
        self.logging.introduce(&greeting);
        systemd::ready();
        if let Some(starter) = &self.starter {
            starter.ready(&introduction);
        }
        let pid_file = config.startup.pid_file.as_deref();
        let is_replaced = || pid_file.is_some_and(|f| matches!(pid_file::holder(f), Ok(Some(_))));
        Ok(supervisor::run(
            server,
            control,
            &housekeeping,
            self.logging,
            // Another server may have the pid file as soon as it can have the ports.
            || drop(own_files),
            is_replaced,
        ))
    }
}

/// In the background the exit codes are those of an init script.
fn exit_of(error: &StartError, detached: bool) -> Exit {
    match error {
        StartError::Bind(error)
            if detached && error.cause.kind() == io::ErrorKind::PermissionDenied =>
        {
            Exit::Denied
        }
        _ => Exit::Failed,
    }
}

/// The files by which a running server is found: its pid file, and its control socket, which
/// answers once it is served.
struct OwnFiles<Socket>(Option<(Socket, PidFile)>);

impl OwnFiles<ControlSocket> {
    /// Makes them, the future user's, where the configuration has a pid file.
    fn make(config: &Config, becomes: Owner) -> Result<Self, String> {
        let Some(path) = &config.startup.pid_file else {
            return Ok(OwnFiles(None));
        };
        let pid_file = PidFile::write(path)?;
        let mut control_socket = ControlSocket::bind(path)?;
        if let Some(owner) = privileges::owner_of_files(becomes) {
            pid_file
                .give_to(owner)
                .map_err(|error| format!("cannot give the pid file away: {}", reason(&error)))?;
            control_socket
                .give_to(owner.uid, owner.gid)
                .map_err(|error| {
                    format!("cannot give the control socket away: {}", reason(&error))
                })?;
        }
        control_socket.put_in_place()?;
        Ok(OwnFiles(Some((control_socket, pid_file))))
    }

    /// Begins to answer on the control socket.
    fn serve(self, housekeeping: &Housekeeping) -> Result<OwnFiles<InPlace>, String> {
        let Some((control_socket, pid_file)) = self.0 else {
            return Ok(OwnFiles(None));
        };
        let housekeeping = housekeeping.clone();
        let served = control_socket.serve(move |request| housekeeping.ask(request));
        let served =
            served.map_err(|error| format!("cannot start a thread: {}", reason(&error)))?;
        Ok(OwnFiles(Some((served, pid_file))))
    }
}

fn start_logging(
    config: &Config,
    becomes: Owner,
    starter: Option<&Starter>,
    introduces: bool,
) -> Result<Logging, Failure> {
    Logging::start(logging::Settings {
        file: config.startup.log_file.as_deref(),
        rotation: super::input::rotation_of(config),
        owner: privileges::owner_of_files(becomes),
        console: starter::console(config),
        holds_console: introduces && config.startup.log_console == LogConsole::Auto,
        level: config.live.log_level,
        echo: starter.map(Starter::echo),
    })
    .map_err(|error| {
        let file = config
            .startup
            .log_file
            .as_deref()
            .unwrap_or(Path::new("none"));
        Failure::new(Exit::Usage, logging::cannot_append(file, &error))
    })
}

/// A panic becomes one line of the log, and nothing on standard error.
fn log_panics() {
    panic::set_hook(Box::new(|panic| {
        let payload = panic.payload();
        let message = payload
            .downcast_ref::<&str>()
            .copied()
            .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
            .unwrap_or("no message");
        let place = panic
            .location()
            .map_or_else(String::new, |place| format!(" at {place}"));
        log::error!("Panic{place}: {}", message.escape_debug());
    }));
}
