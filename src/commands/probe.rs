//! `flashpolicyd probe` asks a server as Flash Player would, and prints why a connection is denied.
//! As a monitoring plugin it gives one line and an exit code. The work is done in `probe`.

use std::io::{self, IsTerminal};

use super::output::{complain, print};
use crate::cli::Probe;
use crate::exit::{Exit, ProbeExit};
use crate::probe::{self, Plan};
use crate::terminal;

/// Probes and tells; a plugin says what is wrong with its command line in its first line.
pub(super) fn run(probe: Result<Probe, String>) -> ProbeExit {
    let planned = probe.and_then(|probe| Ok((Plan::new(&probe.arguments)?, probe)));
    let (mut plan, probe) = match planned {
        Ok(planned) => planned,
        Err(mistake) => {
            let mistake = mistake.replace('|', "/");
            let state = ProbeExit::Usage.as_str();
            print(format!(
                "POLICY {state} - {mistake}\ntry: flashpolicyd probe --help\n"
            ));
            return ProbeExit::Usage;
        }
    };
    // Advice that nobody reads is worth no second of waiting.
    plan.looks_for_silence = !probe.quiet;
    if !probe.quiet && !probe.json && io::stderr().is_terminal() {
        complain(&format!(
            "asking {} as Flash Player does; where nothing answers, that takes up to half a minute",
            plan.host
        ));
    }
    let report = probe::run(plan);
    let text = if probe.json {
        probe::json(&report) + "\n"
    } else if probe.quiet {
        probe::first_line(&report) + "\n"
    } else {
        probe::story(&report, &terminal::stdout())
    };
    match print(text) {
        // Nobody has seen the verdict, so it is not to be taken for a good one.
        Exit::Failed => ProbeExit::Critical,
        _ => report.level(),
    }
}
