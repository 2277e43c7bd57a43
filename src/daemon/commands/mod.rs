//! The commands that start a server, stop it and ask it, a file for each.

pub mod init;
pub mod reload;
pub mod restart;
pub mod serve;
pub mod start;
pub mod status;
pub mod stop;

mod elsewhere;
mod first_run;
mod running;
mod server_files;
mod spawn;
mod starter;
