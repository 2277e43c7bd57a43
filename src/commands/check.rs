//! `flashpolicyd check`: finds what is wrong before a player does. It binds nothing and serves
//! nothing.

use std::path::PathBuf;

use super::print;
use crate::cli::Configured;
use crate::config::Mistake;
use crate::diagnostic::{self, Diagnostic, Place, Severity};
use crate::exit::Exit;
use crate::logging;
use crate::policy;
use crate::privileges;
use crate::served;
use crate::terminal;
use crate::text::count;

/// Checks the configuration and every policy in it, or just the files that are named.
pub(super) fn run(configured: &Configured, files: &[PathBuf], strict: bool) -> Exit {
    let style = terminal::stdout();
    let (checked, findings) = if files.is_empty() {
        check_configuration(configured)
    } else {
        check_files(files)
    };
    let errors = findings.iter().filter(|f| f.is_error()).count();
    let warnings = findings.len() - errors;
    let mut text = diagnostic::report(&findings, &style);
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(&format!(
        "{checked}: {}, {}.\n",
        count(errors, "error"),
        count(warnings, "warning")
    ));
    let shown = print(text);
    if errors > 0 || (strict && warnings > 0) {
        Exit::Usage
    } else {
        shown
    }
}

fn check_configuration(configured: &Configured) -> (String, Vec<Diagnostic>) {
    let loaded = match configured.load() {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            let mistakes = mistakes.into_iter();
            let found = mistakes
                .map(|Mistake { place, message }| {
                    Diagnostic::error(Place::whole(place), message, "")
                })
                .collect();
            return ("The configuration".into(), found);
        }
    };
    let mut findings = Vec::new();
    let name = loaded
        .file
        .as_ref()
        .map_or("Built-in defaults".into(), |file| {
            file.display().to_string()
        });
    let about = || Place::whole(&name);
    if let Err(error) = privileges::look_up(&loaded.config) {
        findings.push(Diagnostic::error(about(), error, ""));
    }
    if let Some(Err(error)) = loaded.config.log_file.as_deref().map(logging::can_append) {
        findings.push(Diagnostic::error(about(), error, ""));
    }
    for warning in privileges::out_of_reach(&loaded.config, loaded.file.as_deref()) {
        findings.push(Diagnostic {
            severity: Severity::Warning,
            ..Diagnostic::error(about(), warning, "")
        });
    }
    let all = served::read_all(&loaded.config);
    findings.extend(all.iter().flat_map(served::Served::diagnostics));
    (
        format!("{name} and {}", count(all.len(), "policy")),
        findings,
    )
}

fn check_files(files: &[PathBuf]) -> (String, Vec<Diagnostic>) {
    let mut findings = Vec::new();
    for file in files {
        let name = file.display().to_string();
        match served::read_file(file) {
            Ok(bytes) => findings.extend(policy::read(&bytes, &[]).diagnostics(&name)),
            Err(error) => findings.push(Diagnostic::error(Place::whole(name), error, "")),
        }
    }
    (count(files.len(), "policy"), findings)
}
