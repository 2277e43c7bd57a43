//! `flashpolicyd policy`: the bytes that would be served, and what they mean in words.

use std::io::{self, IsTerminal, Write};

use super::{load, print, read_policies};
use crate::config::{Config, Configured};
use crate::exit::Exit;
use crate::policy;
use crate::served::{Served, Source};

/// Prints each policy on standard output, without its NUL, and its meaning on standard error.
pub(super) fn run(configured: &Configured) -> Exit {
    let read = load(configured).and_then(|loaded| {
        let all = read_policies(&loaded.config)?;
        Ok((loaded.config, all))
    });
    let (config, all) = match read {
        Ok(read) => read,
        Err(exit) => return exit,
    };
    let mut exit = Exit::Fine;
    for served in &all {
        if all.len() > 1 {
            say(&format!("# {}", listeners(served, &config)));
        }
        let wire = served.on_the_wire().unwrap_or_default();
        let nuls = wire.iter().rev().take_while(|&&byte| byte == 0).count();
        let mut text = wire[..wire.len() - nuls].to_vec();
        // A pipe gets the bytes as they are; a person, and whoever takes several, gets lines.
        let needs_line_end = all.len() > 1 || io::stdout().is_terminal();
        if needs_line_end && !text.ends_with(b"\n") {
            text.push(b'\n');
        }
        if print(text) == Exit::Failed {
            exit = Exit::Failed;
        }
        for sentence in served.policy().map(policy::words).unwrap_or_default() {
            say(&sentence);
        }
        // A sentence says what a grant means by itself; these say where it means nothing.
        if served.source != Source::BuiltIn {
            served.lines().iter().for_each(|line| say(line));
        }
    }
    exit
}

fn listeners(served: &Served, config: &Config) -> String {
    let addresses: Vec<_> = served
        .listeners
        .iter()
        .filter_map(|&index| config.listen.get(index))
        .map(|listen| listen.address.to_string())
        .collect();
    format!("{} ({})", addresses.join(", "), served.source.name())
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
