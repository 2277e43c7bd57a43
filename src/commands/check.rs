//! `flashpolicyd check` finds mistakes in the configuration and in policy files before a player
//! meets them. It binds no port and serves nothing.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::output::print;
use crate::config::{self, Config, Configured};
use crate::diagnostic::{self, Diagnostic, Place};
use crate::exit::Exit;
use crate::ignore::Ignored;
use crate::inspect::{self, found};
use crate::json;
use crate::logging;
use crate::pid_file;
use crate::policies::{self, PolicyOrigin};
use crate::policy::{self, MAX_POLICY_BYTES};
use crate::privileges;
use crate::stats;
use crate::terminal;
use crate::text::{count, reason};

/// The checked files and the findings.
struct Checked {
    /// The name in the last line.
    what: String,
    findings: Vec<Diagnostic>,
    /// Warnings that are accepted.
    ignored: usize,
}

#[derive(Serialize)]
struct CheckReport {
    exit: u8,
    line: String,
    errors: usize,
    warnings: usize,
    ignored: usize,
    findings: Vec<Diagnostic>,
}

/// Checks the configuration and every policy in it, or just the files that are named.
pub(super) fn run(
    configured: &Configured,
    files: &[PathBuf],
    strict: bool,
    ignore: &Ignored,
    json: bool,
) -> Exit {
    let checked = if files.is_empty() {
        check_configuration(configured, ignore)
    } else {
        check_files(files, ignore)
    };
    let errors = diagnostic::number(checked.findings.iter().filter(|f| f.is_error()));
    let warnings = diagnostic::number(&checked.findings) - errors;
    let accepted = match checked.ignored {
        0 => String::new(),
        some => format!(" ({some} ignored)"),
    };
    let line = format!(
        "{}: {}, {}{accepted}.",
        checked.what,
        count(errors, "error"),
        count(warnings, "warning")
    );
    let exit = if errors > 0 || (strict && warnings > 0) {
        Exit::Usage
    } else {
        Exit::Fine
    };
    let text = if json {
        json::line(&CheckReport {
            exit: exit as u8,
            line,
            errors,
            warnings,
            ignored: checked.ignored,
            findings: checked.findings,
        })
    } else {
        let mut text = diagnostic::report(&checked.findings, &terminal::stdout());
        if !text.is_empty() {
            text.push('\n');
        }
        text + &line
    };
    match print(text + "\n") {
        Exit::Fine => exit,
        failed => failed,
    }
}

fn check_configuration(configured: &Configured, ignore: &Ignored) -> Checked {
    let mut loaded = match configured.load() {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            return Checked {
                what: "The configuration".into(),
                findings: mistakes,
                ignored: 0,
            };
        }
    };
    let config = &mut loaded.config;
    config.live.ignore.add(ignore);
    let mut found = own_files(config, loaded.file.as_deref());
    found.extend(inspect::listeners(config));
    let (mut findings, mut ignored) = config.live.ignore.sift(found);
    let all = policies::read_all(config);
    for served in &all {
        ignored += served.ignored;
        // Two listeners may serve the same lines in two ways.
        let lines = served.origin == PolicyOrigin::Allow;
        let new = served.findings.iter();
        let new = new.filter(|f| !(lines && findings.contains(f)));
        let new: Vec<_> = new.cloned().collect();
        findings.extend(new);
    }
    let name = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "Built-in defaults".into(),
    };
    Checked {
        what: format!("{name} and {}", count(all.len(), "policy")),
        findings,
        ignored,
    }
}

/// The user, and the files that the server writes or will read again.
fn own_files(config: &Config, file: Option<&Path>) -> Vec<Diagnostic> {
    let name = file.map_or("built-in defaults".into(), |f| f.display().to_string());
    let about = |key: &str| match config.written.place_of(key) {
        Some(place) => place.clone(),
        None => Place::whole(&name),
    };
    let mut findings = Vec::new();
    if let Some(Err(error)) = config.startup.log_file.as_deref().map(logging::can_append) {
        findings.push(found("log-file", about("log_file"), error, ""));
    }
    if let Some(Err(error)) = config.startup.pid_file.as_deref().map(pid_file::can_write) {
        findings.push(found("pid-file", about("pid_file"), error, ""));
    }
    let later = privileges::look_up(config).and_then(|run_as| {
        // A server that runs tells by itself that it cannot write its statistics.
        let unfit = || {
            let stats_file = config
                .startup
                .stats_file
                .as_deref()
                .and_then(stats::cannot_write);
            (privileges::unfit(config, file), stats_file)
        };
        privileges::as_future_user(run_as, unfit)
    });
    // What nobody can read has a finding already.
    let now = privileges::unreadable(config, file);
    match later {
        Ok((warnings, stats_file)) => {
            let warnings = warnings
                .into_iter()
                .filter(|warning| !now.contains(warning));
            findings.extend(warnings.map(|text| found("out-of-reach", about(""), text, "")));
            let place = about("stats_file");
            let cure = "set another 'stats_file', or 'none'";
            findings.extend(stats_file.map(|text| found("stats-file", place, text, cure)));
        }
        Err(error) => findings.push(found("user", about("user"), error, "")),
    }
    findings
}

fn check_files(files: &[PathBuf], ignore: &Ignored) -> Checked {
    let mut findings = Vec::new();
    for file in files {
        let (name, bytes) = if file == Path::new("-") {
            (policies::STANDARD_INPUT.into(), standard_input())
        } else {
            (file.display().to_string(), policies::read_file(file))
        };
        match bytes {
            Ok(bytes) if config::looks_like_one(&bytes) => {
                findings.push(policies::a_configuration(&name));
            }
            Ok(bytes) => findings.extend(policy::read(&bytes, &[]).diagnostics(&name)),
            Err(error) => findings.push(Diagnostic::error(Place::whole(name), error, "")),
        }
    }
    let (findings, ignored) = ignore.sift(findings);
    Checked {
        what: count(files.len(), "policy"),
        findings,
        ignored,
    }
}

fn standard_input() -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let most = MAX_POLICY_BYTES as u64 + 1;
    let read = io::stdin().take(most).read_to_end(&mut bytes);
    read.map_err(|error| format!("cannot read it: {}", reason(&error)))?;
    Ok(bytes)
}
