//! How a run ended, as the exit code that shell scripts and supervisors see.
//! It never ends the process itself.

use std::process::ExitCode;

/// The exit codes of every command but `probe`. From 3 on they are those of the LSB for init scripts,
/// and of `start`, `stop`, `restart`, `reload`, `status` and a server in the background alone. Source:
/// Linux Standard Base Core 5.0, section 22.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all went well; `status`: it runs.
    Fine = 0,
    /// 1: it failed while running: a port could not be bound, an answer not printed.
    Failed = 1,
    /// 2: the command line, the configuration or a policy is wrong; no port was bound. `explain`, whose
    /// 1 is for a denial: its verdict could not be printed.
    Usage = 2,
    /// 3: `status`: it does not run.
    Stopped = 3,
    /// 4: this user may not do that; `status`: whether it runs cannot be told for sure.
    Denied = 4,
    /// 5: the program is not there.
    NotInstalled = 5,
    /// 6: the configuration that is named is not there.
    NotConfigured = 6,
    /// 7: `reload`: it does not run.
    NotRunning = 7,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// The exit codes of `probe`: those of a monitoring plugin. Of two the greater one is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProbeExit {
    /// 0: all is well.
    Fine = 0,
    /// 1: it works, with warnings.
    Warnings = 1,
    /// 2: denied, unreachable or invalid, or the verdict could not be printed.
    Critical = 2,
    /// 3: the command line is wrong; nothing was asked.
    Usage = 3,
}

impl ProbeExit {
    /// The word that monitoring plugins have for it.
    pub fn as_str(self) -> &'static str {
        match self {
            ProbeExit::Fine => "OK",
            ProbeExit::Warnings => "WARNING",
            ProbeExit::Critical => "CRITICAL",
            ProbeExit::Usage => "UNKNOWN",
        }
    }
}
