//! `flashpolicyd policy` prints the bytes that would be served, and their meaning in words. It
//! serves nothing.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use super::input::load_policies;
use crate::config::policies::{ConfiguredPolicy, PolicyOrigin};
use crate::config::{Config, Configured};
use crate::output::diagnostic::Diagnostic;
use crate::output::exit::Exit;
use crate::output::print::print;
use crate::output::terminal;
use crate::player::json;
use crate::policy;

#[derive(Serialize)]
struct PolicyReport {
    exit: u8,
    policies: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    name: String,
    listeners: Vec<ServedListener>,
    meta_policy: Option<String>,
    grants: Vec<json::JsonGrant>,
    /// As it is served, without its NUL.
    xml: String,
    /// With its NUL.
    bytes: usize,
    text: Vec<String>,
    findings: Vec<Diagnostic>,
    ignored: usize,
}

#[derive(Serialize)]
struct ServedListener {
    address: String,
    /// Where players find it.
    port: Option<u16>,
    proxy: bool,
}

/// Prints each policy on standard output, without its NUL, and its meaning on standard error; or
/// all of it as JSON.
pub fn run(configured: &Configured, as_json: bool) -> Exit {
    let (config, all) = match load_policies(configured) {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    if as_json {
        let shown = all.iter().map(|served| shown(served, &config));
        let report = PolicyReport {
            exit: Exit::Fine as u8,
            policies: shown.collect(),
        };
        return print(json::line(&report) + "\n");
    }
    for served in &all {
        if all.len() > 1 {
            print_in_words(&format!("# {}", listeners(served, &config)));
        }
        let wire = served.on_the_wire().unwrap_or_default();
        let mut text = policy::without_nuls(&wire).to_vec();
        // A pipe gets the bytes as they are; a person, and whoever takes several, gets lines.
        let needs_line_end = all.len() > 1 || io::stdout().is_terminal();
        if needs_line_end && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        if print(text) == Exit::Failed {
            return Exit::Failed;
        }
        for sentence in served.policy().map(policy::words).unwrap_or_default() {
            print_in_words(&sentence);
        }
        // A sentence says what a grant means by itself; these say where it means nothing.
        if served.origin != PolicyOrigin::BuiltIn {
            served
                .finding_lines()
                .iter()
                .for_each(|line| print_in_words(line));
        }
    }
    Exit::Fine
}

fn shown(served: &ConfiguredPolicy, config: &Config) -> Shown {
    let wire = served.on_the_wire().unwrap_or_default();
    let policy = served.policy();
    let grants = policy.map_or(&[][..], |policy| &policy.grants).iter();
    Shown {
        name: served.origin.name(),
        listeners: served
            .listens(config)
            .map(|listen| ServedListener {
                address: listen.address.to_string(),
                port: listen.players_port(),
                proxy: listen.proxy,
            })
            .collect(),
        meta_policy: policy.and_then(|p| p.meta).map(|meta| meta.to_string()),
        grants: grants
            .enumerate()
            .map(|(index, grant)| json::JsonGrant::new(grant, served.line_of(index).cloned()))
            .collect(),
        xml: String::from_utf8_lossy(policy::without_nuls(&wire)).into_owned(),
        bytes: wire.len(),
        text: policy.map(policy::words).unwrap_or_default(),
        findings: served.findings.clone(),
        ignored: served.ignored,
    }
}

fn listeners(served: &ConfiguredPolicy, config: &Config) -> String {
    let listens = served.listens(config);
    let addresses: Vec<_> = listens.map(|l| l.address.to_string()).collect();
    format!("{} ({})", addresses.join(", "), served.origin.name())
}

fn print_in_words(line: &str) {
    let _ = writeln!(io::stderr(), "{}", terminal::stderr().wrap(line, 2));
}
