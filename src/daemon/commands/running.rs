//! Finds the running server of a configuration for `start`, `stop`, `restart`, `reload` and
//! `status`: by the lock on its pid file, which names the process, and by the control socket beside
//! the file. It changes nothing.

use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::Uid;

use crate::config::Configured;
use crate::config::{self, Config, Loaded, SEARCH_PATH};
use crate::daemon::control_socket::{self, ControlConnection, Unreachable};
use crate::daemon::listening;
use crate::daemon::pid_file;
use crate::daemon::processes::{self, ProcessHandle, ProcessState};
use crate::output::diagnostic::Diagnostic;
use crate::output::exit::Exit;
use crate::output::text::reason;
use crate::player::print::complain;
use crate::system;

/// The pid file of root's server, where its configuration names none.
pub(super) const ROOTS_PID_FILE: &str = "/run/flashpolicyd.pid";

/// The pid file of the server that systemd's unit starts.
const UNITS_PID_FILE: &str = "/run/flashpolicyd/flashpolicyd.pid";

/// The pid file of the server in the container image; the folder is open to every user.
const IMAGES_PID_FILE: &str = "/dev/shm/flashpolicyd.pid";

/// The pid file of another user's server, in the user's home folder.
const USERS_PID_FILE: &str = ".flashpolicyd.pid";

/// The name of a server's process.
const PROGRAM: &str = "flashpolicyd";

/// No more of a configuration with mistakes is looked at.
const MOST_BYTES: u64 = 1024 * 1024;

/// No more lines of it are tried.
const MOST_LINES: usize = 200;

/// How long a server has to take a connection.
const CONNECT_TIME: Duration = Duration::from_millis(500);

/// Where the server of a configuration is to be found.
pub(super) struct ServerPlace {
    /// The configuration; where it has mistakes, what of it says where the server is.
    pub config: Config,
    /// Its file.
    pub file: Option<PathBuf>,
    /// The pid file, by the configuration or by default.
    pub pid_file: PathBuf,
    /// Whether the pid file is the default one.
    pub by_default: bool,
}

impl ServerPlace {
    /// The place of this configuration, which has no mistakes.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn of(configured: &Configured) -> Result<ServerPlace, Exit> {
        match load(configured)? {
            Ok(loaded) => ServerPlace::at(loaded),
            Err(mistakes) => {
                complain_of(&mistakes);
                Err(Exit::Usage)
            }
        }
    }

    /// The same where the configuration may have mistakes, so that its server can still be stopped.
    /// The mistakes are said, and the keys without one count that say where the server is.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn despite_mistakes(configured: &Configured) -> Result<ServerPlace, Exit> {
        let loaded = load(configured)?.unwrap_or_else(|mistakes| {
            complain_of(&mistakes);
            what_counts(configured)
        });
        ServerPlace::at(loaded)
    }

    /// The same without a word on the mistakes.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn in_silence(configured: &Configured) -> Result<ServerPlace, Exit> {
        let loaded = configured.load();
        ServerPlace::at(loaded.unwrap_or_else(|_| what_counts(configured)))
    }

    fn at(Loaded { config, file }: Loaded) -> Result<ServerPlace, Exit> {
        let pid_file = config.startup.pid_file.clone();
        let by_default = pid_file.is_none();
        let Some(pid_file) = pid_file.or_else(default_pid_file) else {
            complain(
                "there is no folder for a pid file: neither $HOME nor $XDG_RUNTIME_DIR is set; \
                 set 'pid_file', or call it with --pid-file FILE",
            );
            return Err(Exit::NotConfigured);
        };
        Ok(ServerPlace {
            config,
            file,
            pid_file,
            by_default,
        })
    }

    /// The server here, if it runs.
    ///
    /// # Errors
    /// A sentence for why that cannot be told.
    pub(super) fn look(&self) -> Result<Option<RunningServer>, String> {
        look(&self.pid_file)
    }

    /// The same for a command that cannot go on without it.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn find(&self) -> Result<Option<RunningServer>, Exit> {
        self.look().map_err(|why| {
            complain(&why);
            Exit::Denied
        })
    }

    /// A server that is not here, but where other servers are by default: another user's, that of
    /// systemd's unit, or that of the container image.
    pub(super) fn find_elsewhere(&self) -> Option<RunningServer> {
        let is_own = |file: &Path| {
            let metadata = file.symlink_metadata();
            metadata.is_ok_and(|file| file.uid() == Uid::effective().as_raw())
        };
        let others = [ROOTS_PID_FILE, UNITS_PID_FILE, IMAGES_PID_FILE].map(Path::new);
        others
            .into_iter()
            .filter(|other| *other != self.pid_file)
            .filter(|other| *other != Path::new(IMAGES_PID_FILE) || is_own(other))
            .find_map(|other| look(other).unwrap_or_default())
    }

    /// The same where that server is the one that is meant: nobody named a pid file, and the
    /// addresses are taken.
    pub(super) fn find_meant(&self) -> Option<RunningServer> {
        if self.by_default && !self.taken().is_empty() {
            self.find_elsewhere()
        } else {
            None
        }
    }

    /// That there is no such server: one that is not here is left alone.
    ///
    /// # Errors
    /// The exit code; what can be done has been said.
    pub(super) fn is_not_elsewhere(&self) -> Result<(), Exit> {
        let Some(other) = self.find_meant() else {
            return Ok(());
        };
        complain(&format!(
            "nothing was done: {}; with that as --pid-file, its user or root can stop it, and \
             systemd's by 'systemctl stop flashpolicyd.socket flashpolicyd.service'",
            other.is_another()
        ));
        Err(Exit::Denied)
    }

    /// The process that serves on the configured addresses without a pid file.
    pub(super) fn process_without_pid_file(&self) -> Option<u32> {
        let listen: Vec<_> = self
            .config
            .startup
            .listen
            .iter()
            .map(|l| l.address)
            .collect();
        listening::process(PROGRAM, &listen)
    }

    /// What listens on the configured addresses though no server has the pid file, and how to end a
    /// server in the foreground; empty where nothing listens.
    pub(super) fn without_pid_file(&self) -> String {
        match (self.process_without_pid_file(), self.taken().as_str()) {
            (_, "") => String::new(),
            (Some(pid), _) => format!(
                "; process {pid} serves without a pid file: 'kill -HUP {pid}' has it reload, \
                 'kill -TERM {pid}' stop"
            ),
            (None, taken) => format!(
                "; what listens on {taken} has no pid file here: a server in the foreground stops \
                 on Ctrl-C and reloads on 'kill -HUP PID'"
            ),
        }
    }

    /// The configured addresses on which somebody listens, for a sentence.
    pub(super) fn taken(&self) -> String {
        let taken = listening::taken(self.config.startup.listen.iter().map(|l| l.address));
        let taken: Vec<_> = taken.iter().map(ToString::to_string).collect();
        taken.join(", ")
    }
}

/// The configuration, or its mistakes.
fn load(configured: &Configured) -> Result<Result<Loaded, Vec<Diagnostic>>, Exit> {
    if let Some(named) = &configured.file {
        if named
            .symlink_metadata()
            .is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        {
            complain(&format!(
                "{}: there is no such configuration file; expected a text file like the \
                 flashpolicy.conf that comes with flashpolicyd",
                named.display()
            ));
            return Err(Exit::NotConfigured);
        }
    }
    Ok(configured.load())
}

fn complain_of(mistakes: &[Diagnostic]) {
    for mistake in mistakes {
        complain(&mistake.to_string());
    }
}

/// The keys that say where the server is and how long it takes to stop, of a configuration that has
/// mistakes; each counts where it has none of its own.
fn what_counts(configured: &Configured) -> Loaded {
    let named = configured.file.clone();
    let file = named.or_else(|| {
        let searched = SEARCH_PATH.iter().map(PathBuf::from);
        searched.into_iter().find(|path| path.exists())
    });
    let text = file
        .as_ref()
        .and_then(|file| system::read(file, MOST_BYTES).ok());
    let text = String::from_utf8_lossy(text.as_deref().unwrap_or_default());
    let mut kept = String::new();
    let mut config = Config::default();
    let path = file.as_deref().unwrap_or(Path::new(""));
    let mut overrides = Vec::new();
    let counts = |line: &&str| {
        let key = line.split('=').next().unwrap_or_default().trim();
        ["pid_file", "listen", "timeout"].contains(&key)
    };
    for line in text.lines().filter(counts).take(MOST_LINES) {
        let tried = format!("{kept}{line}\n");
        if let Ok(good) = config::parse(&tried, path, &[]) {
            (kept, config) = (tried, good);
        }
    }
    for given in &configured.overrides {
        overrides.push(given.clone());
        match config::parse(&kept, path, &overrides) {
            Ok(good) => config = good,
            Err(_) => drop(overrides.pop()),
        }
    }
    Loaded { config, file }
}

/// Where `start` has the server write its process id when the configuration does not say. A user's
/// is at home and not in `$XDG_RUNTIME_DIR`, as long as there is a home: that folder is removed when
/// the user logs out, and the server goes on.
fn default_pid_file() -> Option<PathBuf> {
    if Uid::effective().is_root() {
        return Some(ROOTS_PID_FILE.into());
    }
    let folder = |name: &str| std::env::var_os(name).filter(|value: &OsString| !value.is_empty());
    match folder("HOME") {
        Some(home) => Some(Path::new(&home).join(USERS_PID_FILE)),
        None => Some(Path::new(&folder("XDG_RUNTIME_DIR")?).join("flashpolicyd.pid")),
    }
}

/// A server that runs.
pub(super) struct RunningServer {
    /// The process that serves; none where it is in another container.
    pub pid: Option<u32>,
    /// The pid file.
    pub pid_file: PathBuf,
    /// The way to ask it, or a sentence for why there is none.
    pub asks: Result<ControlConnection, String>,
}

/// The server that holds this pid file, if there is one. The system names the holder of the lock; what
/// answers on the control socket may be somebody else's, where another user may write the folder.
fn look(pid_file: &Path) -> Result<Option<RunningServer>, String> {
    let holder = pid_file::holder(pid_file);
    let socket = control_socket::path_beside(pid_file);
    let connection = control_socket::connect(&socket, CONNECT_TIME);
    let server = |pid: Option<u32>, asks| {
        Ok(Some(RunningServer {
            pid: pid.filter(|pid| *pid != 0),
            pid_file: pid_file.to_owned(),
            asks,
        }))
    };
    match holder {
        Ok(Some(pid)) => {
            let asks = connection.map_err(|why_not| sentence(&socket, &why_not, pid));
            let asks = asks.and_then(|connection| match connection.pid() {
                Some(other) if pid != 0 && other != pid => Err(format!(
                    "process {other} answers on its control socket {}, and is not it",
                    socket.display()
                )),
                _ => Ok(connection),
            });
            server(Some(pid), asks)
        }
        Ok(None) => Ok(None),
        Err(error) => Err(format!(
            "cannot look at the pid file {}: {}; so whether flashpolicyd runs cannot be told",
            pid_file.display(),
            reason(&error)
        )),
    }
}

/// Why a server that holds its pid file cannot be asked.
fn sentence(socket: &Path, why_not: &Unreachable, pid: u32) -> String {
    match why_not {
        Unreachable::NotAllowed => "only root and the server's own user may ask it".into(),
        Unreachable::Nobody => format!(
            "it has no control socket {}; 'kill -HUP {pid}' has it reload, 'kill -TERM {pid}' stop",
            socket.display()
        ),
        Unreachable::Busy => format!("it does not answer{}", processes::why_unresponsive(pid)),
        Unreachable::Wrong(why) => {
            format!(
                "its control socket {} cannot be used: {why}",
                socket.display()
            )
        }
    }
}

impl RunningServer {
    /// Its process, for signals; none where it is in another container, or has ended by now.
    pub(super) fn process(&self) -> Option<ProcessHandle> {
        let handle = ProcessHandle::open(self.pid?);
        // Only now is it known that the number is still this server's.
        let again = look(&self.pid_file).unwrap_or_default()?;
        (again.pid == self.pid).then_some(handle)
    }

    /// The process and its user, for a sentence.
    pub(super) fn name(&self) -> String {
        let Some(pid) = self.pid else {
            return "a process of another container".into();
        };
        match processes::process_info(pid) {
            Some(process) if process.uid != Uid::effective().as_raw() => {
                format!(
                    "process {pid} of user {}",
                    processes::user_name(process.uid)
                )
            }
            _ => format!("process {pid}"),
        }
    }

    /// That it is another one than the one that is meant, for a sentence.
    pub(super) fn is_another(&self) -> String {
        format!(
            "{} is another flashpolicyd, with the pid file {}",
            self.name(),
            self.pid_file.display()
        )
    }

    /// Whether its process was stopped, so that it is in vain to ask.
    pub(super) fn is_suspended(&self) -> bool {
        let process = self.pid.and_then(processes::process_info);
        process.is_some_and(|process| process.state == ProcessState::Stopped)
    }

    /// Why it does not react, as far as the system tells.
    pub(super) fn why_unresponsive(&self) -> String {
        self.pid
            .map_or_else(String::new, processes::why_unresponsive)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;
    use std::fs;

    #[test]
    fn a_configuration_with_mistakes_still_says_where_its_server_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x.conf");
        let text = "listen = 127.0.0.1:7\nworkers = many\nlisten = nowhere\npid_file = x.pid\n\
                    tmeout = 1\ntimeout = 9\n";
        fs::write(&file, text).unwrap();
        let mut configured = Configured {
            file: Some(file),
            overrides: Vec::new(),
            inherited: Vec::new(),
        };
        let Loaded { config, .. } = what_counts(&configured);
        let address: std::net::SocketAddr = "127.0.0.1:7".parse().unwrap();
        assert_eq!(config.startup.listen, [config::Listen::from(address)]);
        assert_eq!(config.startup.pid_file, Some(folder.path().join("x.pid")));
        assert_eq!(config.startup.timeout, Duration::from_secs(9));
        configured.overrides = vec![Override {
            option: "--pid-file",
            key: "pid_file",
            value: "/y.pid".into(),
        }];
        let Loaded { config, .. } = what_counts(&configured);
        assert_eq!(config.startup.pid_file, Some("/y.pid".into()));
    }
}
