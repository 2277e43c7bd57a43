//! What is wrong with a configuration as a whole, though each of its lines is right: who can reach
//! the listeners, what counts on their ports, which files can be written. It changes nothing.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use nix::unistd::{access, AccessFlags};

use crate::config::{Config, CODES};
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::logging;
use crate::policy::MASTER_PORT;
use crate::privileges;
use crate::served::{self, Source};
use crate::text::reason;

/// A finding with one of [`CODES`].
fn found(
    code: &'static str,
    place: Place,
    cause: impl Into<String>,
    cure: impl Into<String>,
) -> Diagnostic {
    let known = CODES.iter().find(|(name, _, _)| *name == code);
    Diagnostic {
        code: Some(code),
        severity: known.map_or(Severity::Warning, |(_, severity, _)| *severity),
        cause: cause.into(),
        cure: cure.into(),
        place,
    }
}

/// What the listeners make useless: nothing is opened for it.
pub fn listeners(config: &Config) -> Vec<Diagnostic> {
    loopback_only(config)
        .into_iter()
        .chain(meta_policy_unused(config))
        .collect()
}

/// The commonest cause of "works on localhost, but nobody can play it from another computer". A
/// load balancer may well be on the same host.
pub fn loopback_only(config: &Config) -> Option<Diagnostic> {
    let here = |listen: &crate::config::Listen| listen.address.ip().is_loopback() && !listen.proxy;
    if !config.listen.iter().all(here) {
        return None;
    }
    let first = config.listen.first()?;
    let place = config.written.listen.first().cloned();
    let port = match first.address.port() {
        0 => MASTER_PORT,
        port => port,
    };
    let what = match config.listen.len() {
        1 => format!("{} is a loopback address", first.address),
        _ => "every listener is on a loopback address".into(),
    };
    Some(found(
        "loopback-only",
        place.unwrap_or_else(|| Place::whole("listen")),
        format!("{what}: only this host can reach it, and no player on another computer"),
        format!("write `listen = [::]:{port}`, unless this is meant"),
    ))
}

fn meta_policy_unused(config: &Config) -> Option<Diagnostic> {
    let meta = config.meta_policy?;
    let own = config.listen.iter();
    let mut ports = own
        .filter(|listen| served::source_of(listen, config) == Source::Allow)
        .map(|listen| listen.players_port().unwrap_or(MASTER_PORT))
        .peekable();
    ports.peek()?;
    if ports.any(|port| port == MASTER_PORT) {
        return None;
    }
    let place = config.written.meta_policy.clone();
    Some(found(
        "meta-policy-unused",
        place.unwrap_or_else(|| Place::whole("meta_policy")),
        format!("`meta_policy = {meta}` counts only on port {MASTER_PORT}, where no listener is: it is left out"),
        format!("remove it, or add `listen = [::]:{MASTER_PORT}`"),
    ))
}

/// Whether the start and a reload can do what the configuration says: users and files.
pub fn files(config: &Config, file: Option<&Path>) -> Vec<Diagnostic> {
    let name = file.map_or("built-in defaults".into(), |f| f.display().to_string());
    let about = |key: &str| match config.written.place_of(key) {
        Some(place) => place.clone(),
        None => Place::whole(&name),
    };
    let mut all = Vec::new();
    if let Err(error) = privileges::look_up(config) {
        all.push(found("user", about("user"), error, ""));
    }
    if let Some(Err(error)) = config.log_file.as_deref().map(logging::can_append) {
        all.push(found("log-file", about("log_file"), error, ""));
    }
    if let Some(Err(error)) = config.pid_file.as_deref().map(can_write) {
        let cause = format!("pid_file: {error}");
        all.push(found(
            "pid-file",
            about("pid_file"),
            cause,
            "set another 'pid_file', or 'none'",
        ));
    }
    if let Some(Err(error)) = config.stats_file.as_deref().map(can_replace) {
        let cause = format!("stats_file: {error}; there will be no figures");
        all.push(found(
            "stats-file",
            about("stats_file"),
            cause,
            "set another 'stats_file', or 'none'",
        ));
    }
    let out_of_reach = privileges::out_of_reach(config, file).into_iter();
    all.extend(out_of_reach.map(|warning| found("out-of-reach", about(""), warning, "")));
    all
}

/// Whether a file can be opened for writing, or made; it is neither made nor changed.
fn can_write(path: &Path) -> Result<(), String> {
    let outcome = match path.symlink_metadata() {
        Ok(_) => OpenOptions::new().write(true).open(path).map(drop),
        Err(error) if error.kind() == io::ErrorKind::NotFound => folder_is_writable(path),
        Err(error) => Err(error),
    };
    outcome.map_err(|error| cannot(path, &error))
}

/// Whether a file can be put in place of the old one.
fn can_replace(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    folder_is_writable(path).map_err(|error| cannot(path, &error))
}

fn folder_is_writable(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    if !folder.metadata()?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::NotADirectory));
    }
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).map_err(io::Error::from)
}

fn cannot(path: &Path, error: &io::Error) -> String {
    format!("cannot write {}: {}", path.display(), reason(error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn codes(text: &str) -> Vec<&'static str> {
        let config = parse(text, Path::new("x.conf"), &[]).unwrap();
        let found = listeners(&config);
        found.iter().filter_map(|finding| finding.code).collect()
    }

    #[test]
    fn only_listeners_that_no_other_host_reaches_are_a_warning() {
        for (text, expected) in [
            ("listen = 127.0.0.1:843", &["loopback-only"][..]),
            (
                "listen = [::1]:843\nlisten = 127.0.0.2:843",
                &["loopback-only"],
            ),
            ("listen = 127.0.0.1:843\nlisten = 192.0.2.1:843", &[]),
            ("listen = 127.0.0.1:843 proxy", &[]),
            ("", &[]),
        ] {
            assert_eq!(codes(text), expected, "{text}");
        }
    }

    #[test]
    fn a_meta_policy_needs_a_listener_on_843() {
        for (text, expected) in [
            (
                "listen = [::]:10843\nmeta_policy = all",
                &["meta-policy-unused"][..],
            ),
            (
                "listen = [::]:10843\nlisten = [::]:843\nmeta_policy = all",
                &[],
            ),
            (
                "listen = [::]:10843\nlisten = [::]:843 policy=p\nmeta_policy = all",
                &["meta-policy-unused"],
            ),
            ("listen = [::]:2 proxy\nmeta_policy = all", &[]),
            ("listen = [::]:10843\nallow = * *", &[]),
        ] {
            assert_eq!(codes(text), expected, "{text}");
        }
    }
}
