//! How a run ended, as the exit code that shell scripts and supervisors see.
//! It never ends the process itself.

use std::process::ExitCode;

/// The exit codes of every command but `probe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: all went well.
    Fine = 0,
    /// 1: it failed while running: a port could not be bound, a thread not started.
    Failed = 1,
    /// 2: the command line, the configuration or the policy is wrong; no port was bound.
    Usage = 2,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}
