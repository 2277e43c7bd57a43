//! Which configuration a command is about, and the pid file of its server: also of a configuration with
//! mistakes, so that its server can still be stopped. It asks no server.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use nix::unistd::Uid;

use crate::config::{self, Config, Configured, Loaded, SEARCH_PATH};
use crate::output::diagnostic::Diagnostic;
use crate::output::exit::Exit;
use crate::output::print::{print_error, print_mistakes};
use crate::system;

/// The pid file of root's server, where its configuration names none.
pub(super) const ROOTS_PID_FILE: &str = "/run/flashpolicyd.pid";

/// The pid file of another user's server, in the user's home folder.
const USERS_PID_FILE: &str = ".flashpolicyd.pid";

/// No more of a configuration with mistakes is looked at.
const MOST_BYTES: u64 = 1024 * 1024;

/// No more lines of it are tried.
const MOST_LINES: usize = 200;

/// A configuration and the pid file of its server.
pub(super) struct ServerFiles {
    /// The configuration; where it has mistakes, what of it says where the server is.
    pub config: Config,
    /// Its file.
    pub file: Option<PathBuf>,
    /// The pid file, by the configuration or by default.
    pub pid_file: PathBuf,
    /// Whether the pid file is the default one.
    pub by_default: bool,
}

impl ServerFiles {
    /// Those of this configuration, which has no mistakes.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn of(configured: &Configured) -> Result<ServerFiles, Exit> {
        match load(configured)? {
            Ok(loaded) => ServerFiles::at(loaded),
            Err(mistakes) => {
                print_mistakes(&mistakes);
                Err(Exit::Usage)
            }
        }
    }

    /// The same where the configuration may have mistakes, so that its server can still be stopped.
    /// The mistakes are said, and the keys without one count that say where the server is.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn despite_mistakes(configured: &Configured) -> Result<ServerFiles, Exit> {
        let loaded = load(configured)?.unwrap_or_else(|mistakes| {
            print_mistakes(&mistakes);
            salvaged(configured)
        });
        ServerFiles::at(loaded)
    }

    /// The same without a word on the mistakes.
    ///
    /// # Errors
    /// The exit code; what is wrong has been said.
    pub(super) fn quietly(configured: &Configured) -> Result<ServerFiles, Exit> {
        let loaded = configured.load();
        ServerFiles::at(loaded.unwrap_or_else(|_| salvaged(configured)))
    }

    fn at(Loaded { config, file }: Loaded) -> Result<ServerFiles, Exit> {
        let pid_file = config.startup.pid_file.clone();
        let by_default = pid_file.is_none();
        let Some(pid_file) = pid_file.or_else(default_pid_file) else {
            print_error(
                "there is no folder for a pid file: neither $HOME nor $XDG_RUNTIME_DIR is set; \
                 set 'pid_file', or call it with --pid-file FILE",
            );
            return Err(Exit::NotConfigured);
        };
        Ok(ServerFiles {
            config,
            file,
            pid_file,
            by_default,
        })
    }
}

/// The configuration, or its mistakes.
fn load(configured: &Configured) -> Result<Result<Loaded, Vec<Diagnostic>>, Exit> {
    if let Some(named) = &configured.file {
        if named
            .symlink_metadata()
            .is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound)
        {
            print_error(&format!(
                "{}: there is no such configuration file; expected a text file like the \
                 flashpolicy.conf that comes with flashpolicyd",
                named.display()
            ));
            return Err(Exit::NotConfigured);
        }
    }
    Ok(configured.load())
}

/// The keys that say where the server is and how long it takes to stop, of a configuration that has
/// mistakes; each counts where it has none of its own.
fn salvaged(configured: &Configured) -> Loaded {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Override;
    use std::fs;
    use std::time::Duration;

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
        let Loaded { config, .. } = salvaged(&configured);
        let address: std::net::SocketAddr = "127.0.0.1:7".parse().unwrap();
        assert_eq!(config.startup.listen, [config::Listen::from(address)]);
        assert_eq!(config.startup.pid_file, Some(folder.path().join("x.pid")));
        assert_eq!(config.startup.timeout, Duration::from_secs(9));
        configured.overrides = vec![Override {
            option: "--pid-file",
            key: "pid_file",
            value: "/y.pid".into(),
        }];
        let Loaded { config, .. } = salvaged(&configured);
        assert_eq!(config.startup.pid_file, Some("/y.pid".into()));
    }
}
