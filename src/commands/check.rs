//! `flashpolicyd check`: finds what is wrong before a player does. It binds nothing and serves
//! nothing.

use std::path::PathBuf;

use super::{print, unfit_for_user};
use crate::config::{Configured, Loaded, Mistake};
use crate::diagnostic::{self, Diagnostic, Place, Severity};
use crate::exit::Exit;
use crate::logging;
use crate::pid_file;
use crate::policy;
use crate::privileges;
use crate::served;
use crate::stats;
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
    let name = loaded
        .file
        .as_ref()
        .map_or("Built-in defaults".into(), |file| {
            file.display().to_string()
        });
    let mut findings = own_files(&loaded, &name);
    let all = served::read_all(&loaded.config);
    findings.extend(all.iter().flat_map(served::Served::diagnostics));
    (
        format!("{name} and {}", count(all.len(), "policy")),
        findings,
    )
}

/// The user, and the files that the server writes or will read again.
fn own_files(Loaded { config, file }: &Loaded, name: &str) -> Vec<Diagnostic> {
    let error = |message: String| Diagnostic::error(Place::whole(name), message, "");
    let log = config.log_file.as_deref().map(logging::can_append);
    let pid_file = config.pid_file.as_deref().map(pid_file::can_write);
    let both = [log, pid_file].into_iter().flatten();
    let mut findings: Vec<_> = both.filter_map(Result::err).map(error).collect();
    let unfit = privileges::look_up(config).and_then(|identity| {
        // A server that runs tells by itself that it cannot write its statistics.
        let unfit = || {
            let mut warnings = unfit_for_user(config, file.as_deref());
            warnings.extend(config.stats_file.as_deref().and_then(stats::cannot_write));
            warnings
        };
        privileges::as_future_user(&identity, unfit)
    });
    match unfit {
        Ok(warnings) => findings.extend(warnings.into_iter().map(|warning| Diagnostic {
            severity: Severity::Warning,
            ..error(warning)
        })),
        Err(message) => findings.push(error(message)),
    }
    findings
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
