//! The command line. This file calls the command that was asked for, and does nothing else: `options.rs`
//! says what may be typed, `parse.rs` what it asks for, `help` what there is to read, and `daemon.rs` calls
//! the commands about a server.

#[cfg_attr(not(target_os = "linux"), path = "no_daemon.rs")]
mod daemon;
#[cfg(windows)]
mod double_click;
mod help;
mod options;
mod parse;

use std::ffi::OsString;
use std::process::ExitCode;

use parse::{Asked, Given, parse};

use crate::output::print::{print, usage};
use crate::player::probe::{command as probe, plan::ignored};
use crate::player::{check, explain, policy};

/// Does what the arguments ask for; they are those behind the program's name.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    #[cfg(windows)]
    if arguments.is_empty() {
        return double_click::run();
    }
    let done = parse(arguments).and_then(|asked| match asked {
        Asked::Text(text) => Ok(print(text).into()),
        Asked::Command(name, given) => execute(name, given),
    });
    done.unwrap_or_else(|mistake| usage(&mistake).into())
}

fn execute(name: &str, given: Result<Given, String>) -> Result<ExitCode, String> {
    if name == "probe" {
        // Its exit codes are a monitoring plugin's, also for what is wrong with the arguments.
        let exit = probe::run(given.and_then(|given| given.probe()));
        return Ok(ExitCode::from(exit as u8));
    }
    let given = given?;
    let exit = match name {
        "check" => {
            let files = given.policy_files()?;
            let ignore = ignored(given.all("--ignore"))?;
            let (strict, json) = (given.has("--strict"), given.has("--json"));
            check::run(
                &given.configured(),
                &files,
                strict,
                &ignore,
                json,
                daemon::host_findings,
            )
        }
        "policy" => policy::run(&given.configured(), given.has("--json")),
        "explain" => explain::run(&given.configured(), &given.question()?, given.has("--json")),
        "help" => print(help::topic(&given.operands)?),
        _ => daemon::run(name, &given)?,
    };
    Ok(exit.into())
}
