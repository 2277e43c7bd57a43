//! `flashpolicyd serve`: from reading the configuration to the end of the last client. All mistakes
//! in files are found before a port is bound.

use std::io::{self, IsTerminal};
use std::panic;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use super::first_run;
use super::input::{load, unfit_for_user};
use super::output::{complain, complain_of};
use super::starter::{self, Starter};
use crate::config::{Config, Configured, Loaded, LogConsole, SEARCH_PATH};
use crate::control_socket::ControlSocket;
use crate::exit::Exit;
use crate::files::Owner;
use crate::logging::{self, Logging};
use crate::pid_file::PidFile;
use crate::policies::{ConfiguredPolicy, PolicyOrigin};
use crate::privileges;
use crate::reload::{self, Reloader};
use crate::server::{self, Ended, Inherited, Server, Sharing, StartError};
use crate::signals::{self, Control};
use crate::stats;
use crate::status::{self, Running};
use crate::supervisor;
use crate::systemd;
use crate::takeover::Predecessor;
use crate::text::reason;
use crate::upkeep::Upkeep;

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
pub(super) fn run(configured: &Configured, takeover: bool, detached: bool) -> Exit {
    if server::is_one_connection() {
        return fail(&Failure::new(Exit::Usage, server::NOT_BY_INETD));
    }
    start(configured, takeover, detached).unwrap_or_else(|exit| exit)
}

/// Reads all files, and then serves.
///
/// # Errors
/// The exit code of a start that failed before the log was open; what is wrong has been printed.
fn start(configured: &Configured, takeover: bool, detached: bool) -> Result<Exit, Exit> {
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
    let predecessor = find_predecessor(config, becomes, takeover);
    let predecessor = predecessor.map_err(|failure| fail(&failure))?;
    // Of two servers with one log, the one that is about to stop rotates it.
    let rotates = predecessor.is_none();
    let nothing_configured = all
        .iter()
        .all(|policy| policy.origin == PolicyOrigin::BuiltIn);
    let introduces = nothing_configured && !detached && io::stdout().is_terminal();
    let starter = starter.or_else(|| Starter::of_foreground(config));
    let logging = start_logging(config, becomes, starter.as_ref(), rotates, introduces);
    let logging = logging.map_err(|failure| fail(&failure))?;
    log_panics();
    let start = Start {
        loaded: &loaded,
        inherited,
        predecessor,
        reloader,
        all: &all,
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

/// The server to take over from, where that is asked for and there is one.
fn find_predecessor(
    config: &Config,
    becomes: Owner,
    takeover: bool,
) -> Result<Option<Predecessor>, Failure> {
    if !takeover {
        return Ok(None);
    }
    let pid_file = config.startup.pid_file.as_deref().ok_or_else(|| {
        let message = "--takeover finds the running server by its pid file; set 'pid_file'";
        Failure::new(Exit::Usage, message)
    })?;
    Predecessor::find(pid_file, becomes.uid).map_err(|message| Failure::new(Exit::Failed, message))
}

/// The parts of a start, once all files are read.
struct Start<'a> {
    loaded: &'a Loaded,
    inherited: Inherited,
    predecessor: Option<Predecessor>,
    reloader: Reloader,
    all: &'a [ConfiguredPolicy],
    becomes: Owner,
    logging: &'a Logging,
    starter: Option<Starter>,
}

impl Start<'_> {
    /// Logs what is served and how, before a port is bound.
    fn log_beginning(&mut self) -> Sharing {
        let Loaded { config, file } = self.loaded;
        log::info!("Starting server...");
        match file {
            Some(file) => log::info!("Configuration: {}.", file.display()),
            None => log::info!(
                "Configuration: built-in defaults (there is no {}).",
                SEARCH_PATH.join(" and no ")
            ),
        }
        reload::log_warnings(config, self.all);
        for address in self.inherited.addresses() {
            log::info!("The socket of {address} is inherited.");
        }
        match &mut self.predecessor {
            Some(predecessor) => {
                log::info!("Taking over from process {}.", predecessor.pid());
                let pid_file = config.startup.pid_file.as_deref();
                let sockets = pid_file.map(|file| predecessor.listeners(file));
                Sharing::Takeover(Inherited::handed_over(sockets.unwrap_or_default()))
            }
            None => Sharing::Exclusive,
        }
    }

    /// From the ports to the last client.
    fn serve(mut self, control: &Receiver<Control>) -> Result<Ended, Failure> {
        let Loaded { config, file } = self.loaded;
        let failed = |message: String| Failure::new(Exit::Failed, message);
        let sharing = self.log_beginning();
        let detached = self.starter.as_ref().is_some_and(Starter::is_detached);
        let server = Server::start(config, self.inherited, sharing, self.reloader.serving())
            .map_err(|error| Failure::new(exit_of(&error, detached), error))?;
        // From here to the opening nothing is left that usually fails: a predecessor loses its pid
        // file in this step.
        let own_files = OwnFiles::make(config, self.becomes, self.predecessor.as_ref());
        let OwnFiles {
            pid_file,
            control_socket,
        } = own_files.map_err(failed)?;
        privileges::give_away(self.becomes).map_err(failed)?;
        let stats_file = config.startup.stats_file.as_deref();
        let unfit = unfit_for_user(config, file.as_deref()).into_iter();
        for warning in unfit.chain(stats_file.and_then(stats::cannot_write)) {
            log::warn!("{warning}.");
        }
        let running = Running::begin(config, &server.addresses(), file.as_deref());
        let introduction = running.introduction();
        let served = status::describe(self.all);
        for address in server.addresses() {
            log::info!("Listening on {address}");
        }
        log::logger().flush();
        self.logging
            .introduce(&first_run::introduction(&introduction, &served));
        let server = server.open();
        let handle = server.handle();
        let upkeep = Upkeep::start(
            self.reloader,
            running,
            server.handle(),
            self.logging.clone(),
            pid_file.clone(),
        )
        .map_err(failed)?;
        let answers = upkeep.clone();
        let control_socket = control_socket
            .map(|socket| {
                let answer = move |request| answers.ask(request);
                socket.serve(answer, move || handle.hand_over())
            })
            .transpose()
            .map_err(|error| failed(format!("cannot start a thread: {}", reason(&error))))?;
        if let Some(predecessor) = &mut self.predecessor {
            predecessor.stop(config.startup.timeout);
            self.logging.rotate_from_now(true);
        }
        systemd::ready();
        if let Some(starter) = &self.starter {
            starter.ready(&introduction);
        }
        let ended = supervisor::run(server, control, &upkeep, self.logging, self.predecessor);
        drop(control_socket);
        // The upkeep's thread may hang at a file, and with it the other holder.
        if let Some(file) = pid_file {
            file.remove();
        }
        Ok(ended)
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

/// The files by which a running server is found.
struct OwnFiles {
    pid_file: Option<Arc<PidFile>>,
    control_socket: Option<ControlSocket>,
}

impl OwnFiles {
    /// Makes them, the future user's, where the configuration has a pid file. At a takeover,
    /// everything that may fail comes before the predecessor loses its own.
    fn make(
        config: &Config,
        becomes: Owner,
        predecessor: Option<&Predecessor>,
    ) -> Result<OwnFiles, String> {
        let Some(path) = &config.startup.pid_file else {
            return Ok(OwnFiles {
                pid_file: None,
                control_socket: None,
            });
        };
        let (pid_file, mut control_socket) = match predecessor {
            None => {
                let pid_file = PidFile::write(path)?;
                (pid_file, ControlSocket::bind(path, false)?)
            }
            Some(predecessor) => {
                let control_socket = ControlSocket::bind(path, true)?;
                let pid_file = PidFile::replace(path, predecessor.pid())?;
                (pid_file, control_socket)
            }
        };
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
        Ok(OwnFiles {
            pid_file: Some(Arc::new(pid_file)),
            control_socket: Some(control_socket),
        })
    }
}

fn start_logging(
    config: &Config,
    becomes: Owner,
    starter: Option<&Starter>,
    rotates: bool,
    introduces: bool,
) -> Result<Logging, Failure> {
    Logging::start(logging::Settings {
        file: config.startup.log_file.as_deref(),
        rotation: super::input::rotation_of(config),
        rotates,
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
