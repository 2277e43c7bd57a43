//! `flashpolicyd serve`: from the configuration to the last client. The order matters: everything
//! that can be wrong in files is found before a port is bound.

use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::panic;
use std::path::Path;

use super::complain;
use crate::config::{self, reason, Config, Console, Loaded, Override, SEARCH_PATH};
use crate::control;
use crate::exit::Exit;
use crate::logging::{self, Logging};
use crate::pid_file::PidFile;
use crate::policy;
use crate::server::{Ended, Server};

/// A larger policy is refused.
const MAX_POLICY_BYTES: u64 = 64 * 1024;

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
pub(super) fn run(named: Option<&Path>, overrides: &[Override]) -> Exit {
    let loaded = match config::load(named, overrides) {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            for mistake in &mistakes {
                complain(&mistake.to_string());
            }
            return Exit::Usage;
        }
    };
    let policy = match read_policy(&loaded.config) {
        Ok(policy) => policy,
        Err(failure) => return fail(&failure),
    };
    let logging = match start_logging(&loaded.config) {
        Ok(logging) => logging,
        Err(failure) => return fail(&failure),
    };
    log_panics();
    let exit = match serve(&loaded, policy) {
        Ok(Ended::Complete) => Exit::Fine,
        Ok(Ended::AtOnce) => {
            log::warn!("Stopped at once by a second signal.");
            Exit::Failed
        }
        Err(failure) => {
            for line in failure.message.lines() {
                log::error!("{line}");
            }
            if !logging.on_console() {
                complain(&failure.message);
            }
            failure.exit
        }
    };
    let lost = logging.lost_lines();
    if lost > 0 {
        log::warn!("{lost} log lines were lost in all.");
    }
    logging.finish();
    exit
}

fn fail(failure: &Failure) -> Exit {
    complain(&failure.message);
    failure.exit
}

fn serve(loaded: &Loaded, policy: Vec<u8>) -> Result<Ended, Failure> {
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
    if config.policy_file.is_none() {
        log::warn!(
            "No policy is configured: the built-in one lets content from anywhere connect to \
             every port of this host. Set 'policy_file' to change that."
        );
    }
    // Before the pid file: a signal to the process it names must not find it unprepared.
    let control = control::listen().map_err(failed)?;
    let server = Server::start(config, policy.into()).map_err(|error| failed(error.to_string()))?;
    let pid_file = config
        .pid_file
        .as_deref()
        .map(PidFile::write)
        .transpose()
        .map_err(failed)?;
    for address in server.addresses() {
        log::info!("Listening on {address}");
    }
    log::logger().flush();
    let ended = server
        .run(&control)
        .map_err(|error| failed(error.to_string()));
    drop(pid_file);
    ended
}

/// What clients get, NUL included.
fn read_policy(config: &Config) -> Result<Vec<u8>, Failure> {
    let Some(path) = &config.policy_file else {
        return Ok(policy::on_the_wire(policy::BUILT_IN.into()));
    };
    let wrong = |what: String| {
        Failure::new(
            Exit::Usage,
            format!("policy_file {}: {what}", path.display()),
        )
    };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_POLICY_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!("cannot read the policy: {}", reason(&error))))?;
    if bytes.is_empty() {
        return Err(wrong("the policy is empty; expected policy XML".into()));
    }
    if bytes.len() as u64 > MAX_POLICY_BYTES {
        return Err(wrong("the policy is larger than 64 KiB".into()));
    }
    Ok(policy::on_the_wire(bytes))
}

fn start_logging(config: &Config) -> Result<Logging, Failure> {
    let console = match config.log_console {
        Console::Auto => io::stdout().is_terminal(),
        Console::Yes => true,
        Console::No => false,
    };
    Logging::start(&logging::Settings {
        file: config.log_file.as_deref(),
        console,
        level: config.log_level,
    })
    .map_err(|error| {
        let file = config.log_file.as_deref().unwrap_or(Path::new("none"));
        Failure::new(
            Exit::Usage,
            format!(
                "log_file {}: cannot open the log for appending: {}; set another 'log_file', or \
                 'none'",
                file.display(),
                reason(&error)
            ),
        )
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
