//! `flashpolicyd probe` asks a server as Flash Player would, and prints why a connection is denied.
//! As a monitoring plugin it gives one line and an exit code. The work is done in `probe`.

use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::output::exit::{Exit, ProbeExit};
use crate::output::print::print;
use crate::output::terminal;
use crate::player::probe::{self, Arguments, Plan, Progress};

/// How often the line of the progress is written anew. What is done before gets none.
const TICK: Duration = Duration::from_millis(250);

/// A probe, and how to tell what it found.
#[derive(Clone, Debug)]
pub struct Probe {
    /// What it is to find out, as it was typed.
    pub arguments: Arguments,
    /// As JSON.
    pub json: bool,
    /// The first line alone.
    pub quiet: bool,
}

/// Probes and tells; a plugin says what is wrong with its command line in its first line.
pub fn run(probe: Result<Probe, String>) -> ProbeExit {
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
    let is_watched = !probe.quiet && !probe.json && io::stderr().is_terminal();
    let progress = Progress::default();
    let report = if is_watched {
        watched(&progress, || probe::run(plan, &progress))
    } else {
        probe::run(plan, &progress)
    };
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

/// Does the work, and shows meanwhile on standard error what is waited for: one line, which is gone at
/// the end.
fn watched<T: Send>(progress: &Progress, work: impl FnOnce() -> T + Send) -> T {
    let (done, is_done) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let line = thread::Builder::new().spawn_scoped(scope, move || {
            let width = terminal::stderr().width.saturating_sub(1);
            let mut shown = 0;
            // It ends with the sender.
            while let Err(RecvTimeoutError::Timeout) = is_done.recv_timeout(TICK) {
                let text: String = progress.line().unwrap_or_default();
                let text: String = text.chars().take(width).collect();
                let blanks = " ".repeat(shown);
                let _ = write!(io::stderr(), "\r{blanks}\r{text}");
                shown = text.chars().count();
            }
            let _ = write!(io::stderr(), "\r{}\r", " ".repeat(shown));
        });
        let result = work();
        drop(done);
        let _ = line.map(|line| line.join());
        result
    })
}
