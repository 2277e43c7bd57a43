//! Reads the configuration and its policies for several commands. Where they cannot be served, it
//! prints what is wrong, and the caller gets the exit code. It changes no file.

use crate::config::policies::{self, ConfiguredPolicy};
use crate::config::{Config, Configured, Loaded};
use crate::output::exit::Exit;
use crate::output::print::{print_findings, print_mistakes};

/// The configuration; where it is wrong, its mistakes have been said.
pub fn load(configured: &Configured) -> Result<Loaded, Exit> {
    configured.load().map_err(|mistakes| {
        print_mistakes(&mistakes);
        Exit::Usage
    })
}

/// The configuration and its policies, all fit to be served; where something is not, that has been
/// said.
pub fn load_policies(configured: &Configured) -> Result<(Config, Vec<ConfiguredPolicy>), Exit> {
    let config = load(configured)?.config;
    let all = read_policies(&config)?;
    Ok((config, all))
}

/// The policies of the configuration, all fit to be served; where one is not, that has been said.
pub fn read_policies(config: &Config) -> Result<Vec<ConfiguredPolicy>, Exit> {
    let all = policies::read_all(config);
    let unfit: Vec<_> = all.iter().filter(|s| s.policy().is_none()).collect();
    if unfit.is_empty() {
        return Ok(all);
    }
    unfit
        .iter()
        .for_each(|served| print_findings(&served.findings));
    Err(Exit::Usage)
}
