//! The start of a server as a list of steps. Each step takes the type that only the step before it
//! makes, so that no other order compiles: [`Prepared`], [`Read`], [`Logged`], [`Bound`],
//! and [`Unprivileged`], which serves. It prints nothing: what fails is a [`Failure`].

use std::io::{self, IsTerminal};
use std::panic;
use std::path::Path;
use std::sync::mpsc::Receiver;

use crate::config::policies::{ConfiguredPolicy, PolicyOrigin};
use crate::config::{Config, Configured, Loaded, LogConsole, SEARCH_PATH};
use crate::daemon::control_socket::{ControlSocket, InPlace};
use crate::daemon::files::Owner;
use crate::daemon::host_check;
use crate::daemon::housekeeping::Housekeeping;
use crate::daemon::logging::{self, Echo, Logging, Rotation};
use crate::daemon::pid_file::{self, PidFile};
use crate::daemon::privileges;
use crate::daemon::reload::{self, Reloader};
use crate::daemon::server::{Ended, Inherited, Server, StartError};
use crate::daemon::signals::{self, Control};
use crate::daemon::stats;
use crate::daemon::status::{Running, ServedPolicy, Status};
use crate::daemon::supervisor;
use crate::daemon::systemd;
use crate::output::exit::Exit;
use crate::output::text::reason;

/// Whether log lines go to standard output.
pub fn logs_to_console(config: &Config) -> bool {
    match config.startup.log_console {
        LogConsole::Auto => io::stdout().is_terminal(),
        LogConsole::Yes => true,
        LogConsole::No => false,
    }
}

/// Why a start failed.
pub struct Failure {
    /// [`Exit::Denied`] where a port may not be bound, else [`Exit::Usage`] or [`Exit::Failed`].
    pub exit: Exit,
    /// A line for each thing that is wrong.
    pub message: String,
}

fn usage(message: String) -> Failure {
    let exit = Exit::Usage;
    Failure { exit, message }
}

fn failed(message: String) -> Failure {
    let exit = Exit::Failed;
    Failure { exit, message }
}

fn not_started(error: StartError) -> Failure {
    let exit = match &error {
        StartError::Bind(error) if error.cause.kind() == io::ErrorKind::PermissionDenied => {
            Exit::Denied
        }
        _ => Exit::Failed,
    };
    let message = error.to_string();
    Failure { exit, message }
}

/// The inherited sockets are known, and signals are caught.
pub struct Prepared {
    /// The configuration's file and options, and the inherited sockets.
    pub configured: Configured,
    inherited: Inherited,
    control: Receiver<Control>,
}

impl Prepared {
    /// Before any file is opened, which could get the number of a descriptor that is not there, and
    /// before anything that takes time: a signal must not find this process unprepared.
    ///
    /// # Errors
    /// When the service manager's description of the sockets is wrong, or a thread cannot be started.
    pub fn new(configured: &Configured) -> Result<Prepared, Failure> {
        let inherited = Inherited::take().map_err(failed)?;
        Ok(Prepared {
            configured: Configured {
                inherited: inherited.addresses(),
                ..configured.clone()
            },
            inherited,
            control: signals::listen().map_err(failed)?,
        })
    }

    /// Reads the policies.
    ///
    /// # Errors
    /// The policies, when one of them cannot be served.
    pub fn read(self, loaded: Loaded) -> Result<Read, Vec<ConfiguredPolicy>> {
        let (reloader, policies) = Reloader::start(&self.configured, &loaded)?;
        Ok(Read {
            prepared: self,
            loaded,
            reloader,
            policies,
        })
    }
}

/// All files are read, and fit to be served.
pub struct Read {
    prepared: Prepared,
    loaded: Loaded,
    reloader: Reloader,
    policies: Vec<ConfiguredPolicy>,
}

impl Read {
    /// Whether nothing was configured that says which content may connect, or where log lines go
    /// besides the file.
    pub fn is_first_run(&self) -> bool {
        let mut policies = self.policies.iter();
        self.loaded.config.startup.log_console == LogConsole::Auto
            && policies.all(|policy| policy.origin == PolicyOrigin::BuiltIn)
    }

    /// Opens the log, as the user's that the server will be, and logs what is served and how.
    /// `echo` gets each warning, too; with `greets`, a terminal gets no line before [`Logging::greet`].
    ///
    /// # Errors
    /// When the user does not exist, or the log cannot be opened.
    pub fn open_log(mut self, echo: Option<Echo>, greets: bool) -> Result<Logged, Failure> {
        let Loaded { config, file } = &self.loaded;
        let run_as = privileges::look_up(config).map_err(usage)?;
        let log_file = config.startup.log_file.as_deref();
        let logging = Logging::start(logging::Settings {
            file: log_file,
            rotation: Rotation::of(config),
            owner: privileges::owner_of_files(run_as),
            console: logs_to_console(config) && !greets,
            level: config.live.log_level,
            echo,
        });
        let logging = logging.map_err(|error| {
            let file = log_file.unwrap_or(Path::new("none"));
            usage(logging::cannot_append(file, &error))
        })?;
        log_panics();
        log::info!("Starting server...");
        match file {
            Some(file) => log::info!("Configuration: {}.", file.display()),
            None => log::info!(
                "Configuration: built-in defaults (there is no {}).",
                SEARCH_PATH.join(" and no ")
            ),
        }
        // They are not needed any more, and may be many.
        reload::log_warnings(config, &std::mem::take(&mut self.policies));
        for address in self.prepared.inherited.addresses() {
            log::info!("The socket of {address} is inherited.");
        }
        Ok(Logged {
            read: self,
            run_as,
            logging,
        })
    }
}

/// The log is open.
pub struct Logged {
    read: Read,
    run_as: Owner,
    /// The log.
    pub logging: Logging,
}

impl Logged {
    /// Starts the workers, binds the ports, and makes the files by which the server is found. Nobody
    /// can connect yet.
    ///
    /// # Errors
    /// When a port cannot be bound, or another server has the pid file.
    pub fn bind(mut self) -> Result<Bound, Failure> {
        let inherited = std::mem::take(&mut self.read.prepared.inherited);
        let config = &self.read.loaded.config;
        let server = Server::start(config, inherited, self.read.reloader.serving());
        Ok(Bound {
            server: server.map_err(not_started)?,
            runtime_files: RuntimeFiles::make(config, self.run_as).map_err(failed)?,
            logged: self,
        })
    }
}

/// The ports are bound, and root's rights are not needed any more.
pub struct Bound {
    logged: Logged,
    server: Server,
    runtime_files: RuntimeFiles<ControlSocket>,
}

impl Bound {
    /// Becomes the configured user, and logs what that user will not be able to do.
    ///
    /// # Errors
    /// When the system refuses it, or root's rights could be taken back.
    pub fn give_up_rights(self) -> Result<Unprivileged, Failure> {
        privileges::become_user(self.logged.run_as).map_err(failed)?;
        let Loaded { config, file } = &self.logged.read.loaded;
        let stats_file = config.startup.stats_file.as_deref();
        let unfit = host_check::unfit(config, file.as_deref()).into_iter();
        for warning in unfit.chain(stats_file.and_then(stats::cannot_write)) {
            log::warn!("{warning}.");
        }
        Ok(Unprivileged(self))
    }
}

/// The process is the configured user's.
pub struct Unprivileged(Bound);

impl Unprivileged {
    /// Opens the ports, after all that may fail: until then a client is refused, and never left
    /// without an answer. Then it serves until a signal says to stop, and every connection is served.
    /// `ready` gets the status without figures, and the policies.
    ///
    /// # Errors
    /// When a thread cannot be started, or a port cannot be opened.
    pub fn serve(self, ready: impl FnOnce(&Status, &[ServedPolicy])) -> Result<Ended, Failure> {
        let Unprivileged(Bound {
            logged,
            server,
            runtime_files,
        }) = self;
        let Logged { read, logging, .. } = logged;
        let Loaded { config, file } = &read.loaded;
        let addresses = server.addresses();
        let running = Running::begin(config, &addresses, file.as_deref());
        let status = running.without_figures();
        let policies = read.reloader.described().to_vec();
        let housekeeping =
            Housekeeping::start(read.reloader, running, server.handle(), logging.clone());
        let housekeeping = housekeeping.map_err(failed)?;
        let runtime_files = runtime_files.serve(&housekeeping).map_err(failed)?;
        let server = server.open().map_err(not_started)?;
        for address in addresses {
            log::info!("Listening on {address}");
        }
        log::logger().flush();
        systemd::ready();
        ready(&status, &policies);
        let pid_file = config.startup.pid_file.as_deref();
        let is_replaced = || pid_file.is_some_and(|f| matches!(pid_file::holder(f), Ok(Some(_))));
        Ok(supervisor::run(
            server,
            &read.prepared.control,
            &housekeeping,
            &logging,
            // Another server may have the pid file as soon as it can have the ports.
            || {
                housekeeping.ports_closed();
                drop(runtime_files);
            },
            is_replaced,
        ))
    }
}

/// The files by which a running server is found: its pid file, and its control socket, which
/// answers once it is served.
struct RuntimeFiles<Socket>(Option<(Socket, PidFile)>);

impl RuntimeFiles<ControlSocket> {
    /// Makes them, the future user's, where the configuration has a pid file.
    fn make(config: &Config, run_as: Owner) -> Result<Self, String> {
        let Some(path) = &config.startup.pid_file else {
            return Ok(RuntimeFiles(None));
        };
        let pid_file = PidFile::write(path)?;
        let mut control_socket = ControlSocket::bind(path)?;
        if let Some(owner) = privileges::owner_of_files(run_as) {
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
        Ok(RuntimeFiles(Some((control_socket, pid_file))))
    }

    /// Begins to answer on the control socket.
    fn serve(self, housekeeping: &Housekeeping) -> Result<RuntimeFiles<InPlace>, String> {
        let Some((control_socket, pid_file)) = self.0 else {
            return Ok(RuntimeFiles(None));
        };
        let housekeeping = housekeeping.clone();
        let served = control_socket.serve(move |request| housekeeping.ask(request));
        let served =
            served.map_err(|error| format!("cannot start a thread: {}", reason(&error)))?;
        Ok(RuntimeFiles(Some((served, pid_file))))
    }
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
