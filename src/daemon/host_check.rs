//! What is wrong on the host of the server: the user that it becomes, and the files that it writes or
//! will read again. `check` prints it, and a server that starts logs it. It writes nothing.

use std::path::Path;

use crate::config::inspect::finding_of;
use crate::config::{Config, ConfigCode, EMPTY};
use crate::daemon::logging::{self, Rotation};
use crate::daemon::{pid_file, privileges, stats};
use crate::output::diagnostic::{Diagnostic, Place};
use crate::system;

/// The user, and the files that the server writes or will read again.
pub fn host_findings(config: &Config, file: Option<&Path>) -> Vec<Diagnostic> {
    let name = file.map_or("built-in defaults".into(), |f| f.display().to_string());
    let about = |key: &str| match config.written.place_of(key) {
        Some(place) => place.clone(),
        None => Place::whole(&name),
    };
    let mut findings = Vec::new();
    if let Some(Err(error)) = config.startup.log_file.as_deref().map(logging::can_append) {
        findings.push(finding_of(
            ConfigCode::LogFile,
            about("log_file"),
            error,
            "",
        ));
    }
    if let Some(Err(error)) = config.startup.pid_file.as_deref().map(pid_file::can_write) {
        findings.push(finding_of(
            ConfigCode::PidFile,
            about("pid_file"),
            error,
            "",
        ));
    }
    let later = privileges::look_up(config).and_then(|run_as| {
        // A server that runs tells by itself that it cannot write its statistics.
        let check = || {
            let stats_file = config
                .startup
                .stats_file
                .as_deref()
                .and_then(stats::cannot_write);
            (unfit(config, file), stats_file)
        };
        privileges::as_future_user(run_as, check)
    });
    // What nobody can read has a finding already.
    let now = unreadable(config, file);
    match later {
        Ok((warnings, stats_file)) => {
            let warnings = warnings
                .into_iter()
                .filter(|warning| !now.contains(warning));
            findings.extend(
                warnings.map(|text| finding_of(ConfigCode::OutOfReach, about(""), text, "")),
            );
            let place = about("stats_file");
            let cure = "set another 'stats_file', or 'none'";
            findings.extend(
                stats_file.map(|text| finding_of(ConfigCode::StatsFile, place, text, cure)),
            );
        }
        Err(error) => findings.push(finding_of(ConfigCode::User, about("user"), error, "")),
    }
    findings
}

/// What a reload will fail with: files that it reads and this user may not. `file` is the
/// configuration.
pub fn unreadable(config: &Config, file: Option<&Path>) -> Vec<String> {
    let files = file.into_iter().chain(config.policy_files());
    files
        .filter(|file| **file != *Path::new(EMPTY) && system::open(file).is_err())
        .map(|file| {
            format!(
                "{} cannot be read as the configured user: a reload will fail",
                file.display()
            )
        })
        .collect()
}

/// What a server with the rights of this process cannot do later: read its files again, rotate its
/// log. `file` is the configuration.
pub fn unfit(config: &Config, file: Option<&Path>) -> Vec<String> {
    let log = config.startup.log_file.as_deref();
    let mut warnings = unreadable(config, file);
    warnings.extend(log.and_then(|log| logging::cannot_rotate(log, Rotation::of(config))));
    warnings
}
