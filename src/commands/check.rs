//! `flashpolicyd check`: finds what is wrong before a player does. It binds nothing and serves
//! nothing.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::print;
use crate::cli::Configured;
use crate::config;
use crate::diagnostic::{self, Diagnostic, Place};
use crate::exit::Exit;
use crate::ignore::Ignored;
use crate::inspect;
use crate::json;
use crate::policy::{self, MAX_POLICY_BYTES};
use crate::served;
use crate::terminal;
use crate::text::{count, reason};

/// What was looked at and what was found.
struct Checked {
    /// What the last line calls it.
    what: String,
    findings: Vec<Diagnostic>,
    /// Warnings that are accepted.
    ignored: usize,
}

#[derive(Serialize)]
struct Report {
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
    let Checked {
        what,
        findings,
        ignored,
    } = if files.is_empty() {
        check_configuration(configured, ignore)
    } else {
        check_files(files, ignore)
    };
    let errors = findings.iter().filter(|f| f.is_error()).count();
    let warnings = findings.len() - errors;
    let accepted = match ignored {
        0 => String::new(),
        some => format!(" ({some} ignored)"),
    };
    let line = format!(
        "{what}: {}, {}{accepted}.",
        count(errors, "error"),
        count(warnings, "warning")
    );
    let exit = if errors > 0 || (strict && warnings > 0) {
        Exit::Usage
    } else {
        Exit::Fine
    };
    let text = if json {
        json::line(&Report {
            exit: exit as u8,
            line,
            errors,
            warnings,
            ignored,
            findings,
        })
    } else {
        let mut text = diagnostic::report(&findings, &terminal::stdout());
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
            }
        }
    };
    let config = &mut loaded.config;
    config.ignore.add(ignore);
    let mut found = inspect::files(config, loaded.file.as_deref());
    found.extend(inspect::listeners(config));
    let (mut findings, mut ignored) = config.ignore.sift(found);
    let all = served::read_all(config);
    for served in &all {
        ignored += served.ignored;
        let new = served.findings.iter().filter(|f| !findings.contains(f));
        // Two listeners may serve the same lines in two ways.
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
            (served::STANDARD_INPUT.into(), standard_input())
        } else {
            (file.display().to_string(), served::read_file(file))
        };
        match bytes {
            Ok(bytes) if config::looks_like_one(&bytes) => {
                findings.push(served::a_configuration(&name));
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
    match io::stdin().take(most).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(error) => Err(format!("cannot read it: {}", reason(&error))),
    }
}
