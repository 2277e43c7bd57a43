//! `flashpolicyd check` finds mistakes in the configuration and in policy files before a player
//! meets them. It binds no port and serves nothing.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::print::print;
use crate::config::ignore::Ignored;
use crate::config::inspect;
use crate::config::policies::{self, PolicyOrigin};
use crate::config::{self, Config, Configured};
use crate::output::diagnostic::{self, Diagnostic, Place};
use crate::output::exit::Exit;
use crate::output::terminal;
use crate::output::text::{count, reason};
use crate::player::json;
use crate::policy::{self, MAX_POLICY_BYTES};

/// What is wrong on the host where the server will run: a configuration, and its file. A system that
/// cannot serve finds nothing.
pub type HostChecks = fn(&Config, Option<&Path>) -> Vec<Diagnostic>;

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
pub fn run(
    configured: &Configured,
    files: &[PathBuf],
    strict: bool,
    ignore: &Ignored,
    json: bool,
    host_checks: HostChecks,
) -> Exit {
    let checked = if files.is_empty() {
        check_configuration(configured, ignore, host_checks)
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

fn check_configuration(
    configured: &Configured,
    ignore: &Ignored,
    host_checks: HostChecks,
) -> Checked {
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
    let mut found = host_checks(config, loaded.file.as_deref());
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
