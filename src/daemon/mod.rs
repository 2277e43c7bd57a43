//! The daemon: all that serves policies, and the commands that start a server, stop it and ask it. It
//! runs on Linux alone.

pub(crate) mod commands;
mod control_socket;
mod files;
pub(crate) mod host_check;
mod housekeeping;
mod listening;
mod logging;
pub mod pid_file;
mod privileges;
mod processes;
mod reload;
pub mod server;
mod signals;
mod startup;
mod stats;
mod status;
mod supervisor;
mod systemd;
