//! `flashpolicyd check`: finds what is wrong before a player does. It binds nothing and serves
//! nothing.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use super::{print, unfit_for_user};
use crate::config::{Configured, Loaded, Mistake};
use crate::exit::Exit;
use crate::logging;
use crate::pid_file;
use crate::policy;
use crate::privileges;
use crate::served::{self, count};
use crate::stats;

/// Everything found so far, as it will be shown.
#[derive(Default)]
struct Findings {
    text: String,
    errors: usize,
    warnings: usize,
}

impl Findings {
    fn add(&mut self, report: &str, (errors, warnings): (usize, usize)) {
        if !report.is_empty() {
            self.text.push_str(report);
            self.text.push('\n');
        }
        self.errors += errors;
        self.warnings += warnings;
    }
}

/// Checks the configuration and every policy in it, or just the files that are named.
pub(super) fn run(configured: &Configured, files: &[PathBuf], strict: bool) -> Exit {
    let colour = io::stdout().is_terminal();
    let mut findings = Findings::default();
    let checked = if files.is_empty() {
        check_configuration(configured, colour, &mut findings)
    } else {
        check_files(files, colour, &mut findings)
    };
    let Findings {
        mut text,
        errors,
        warnings,
    } = findings;
    text.push_str(&format!(
        "{checked}: {}, {}.\n",
        plural(errors, "error"),
        plural(warnings, "warning")
    ));
    let shown = print(text);
    if errors > 0 || (strict && warnings > 0) {
        Exit::Usage
    } else {
        shown
    }
}

fn check_configuration(configured: &Configured, colour: bool, findings: &mut Findings) -> String {
    let loaded = match configured.load() {
        Ok(loaded) => loaded,
        Err(mistakes) => {
            for Mistake { place, message } in &mistakes {
                findings.add(&format!("{place}: error: {message}"), (1, 0));
            }
            return "The configuration".into();
        }
    };
    check_own_files(&loaded, findings);
    let all = served::read_all(&loaded.config);
    for served in &all {
        findings.add(&served.report(colour), served.count());
    }
    let file = loaded.file.map_or("Built-in defaults".into(), |file| {
        file.display().to_string()
    });
    format!("{file} and {}", plural(all.len(), "policy"))
}

/// The user, and the files that the server writes or will read again.
fn check_own_files(Loaded { config, file }: &Loaded, findings: &mut Findings) {
    let log = config.log_file.as_deref().map(logging::can_append);
    let pid_file = config.pid_file.as_deref().map(pid_file::can_write);
    for error in [log, pid_file]
        .into_iter()
        .flatten()
        .filter_map(Result::err)
    {
        findings.add(&format!("error: {error}"), (1, 0));
    }
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
        Ok(warnings) => {
            for warning in warnings {
                findings.add(&format!("warning: {warning}"), (0, 1));
            }
        }
        Err(error) => findings.add(&format!("error: {error}"), (1, 0)),
    }
}

fn check_files(files: &[PathBuf], colour: bool, findings: &mut Findings) -> String {
    for file in files {
        let name = file.display().to_string();
        match served::read_file(file) {
            Ok(bytes) => {
                let reading = policy::read(&bytes, &[]);
                findings.add(&reading.report(&name, colour), count(&reading));
            }
            Err(error) => findings.add(&format!("{name}: error: {error}\n"), (1, 0)),
        }
    }
    plural(files.len(), "policy")
}

fn plural(count: usize, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        (_, None) => format!("{count} {noun}s"),
    }
}
