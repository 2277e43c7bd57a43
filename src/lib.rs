//! `flashpolicyd`, a Flash socket policy server: a synchronous server with a fixed pool of threads.
//!
//! # The life of a connection
//! 1. An acceptor (`server/acceptor.rs`, a thread for each listener) takes it from the kernel. It
//!    gets a place and stands in the queue (`server/places.rs`), where sources take turns. Where all
//!    places are taken, another connection has to go.
//! 2. A job of the thread pool (`server/service.rs`) takes the next connection and does what there
//!    is to do without waiting (`server/connection.rs`): it reads what is there, and answers a
//!    request with the policy and its NUL in one write. Behind a load balancer a header that says
//!    whose connection it is comes first (`server/proxy.rs`).
//! 3. Where there is nothing to do at the moment, because the client has not asked yet, does not
//!    read its answer or has not closed its side, the poller holds the connection (one thread and
//!    one `epoll`, in `server/service.rs`) until something comes or its time is over. Then it
//!    stands in the queue again. No thread ever waits for a client.
//! 4. The close makes no reset: the end is sent, and what still comes is read and dropped for a
//!    while.
//!
//! Every step leaves its line in the log; `logging` never makes a worker wait for that.
//!
//! # The threads beside them
//! The main thread is the [`supervisor`]: it takes control messages and stops the server. [`signals`]
//! has one for signals, [`upkeep`] one for everything with files, `logging` one for each target.
//!
//! # Who knows what
//! Data goes one way: `main -> cli -> config -> policy -> server`. [`policy`], [`server::request`]
//! and [`server::proxy`] are pure; only `server/connection.rs` reads from and writes to clients; only
//! [`signals`] knows signals; only [`logging`] knows log files and terminals. Whatever is opened by
//! its name is opened by [`files`]: somebody else may have put a link or a FIFO there. [`commands`]
//! puts the parts together, a file for each command. [`probe`] is the other side: the player's.
//!
//! [`help`] has the pages of the reference, which the program prints.
//!
//! What is found wrong anywhere is a [`diagnostic::Diagnostic`], with its place, its cause and its
//! cure; what is to be changed so that a connection is allowed, [`advice`] says. [`text`] makes
//! foreign text fit to be shown, and [`json`] has the types that all commands print.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod advice;
mod allow;
pub mod cli;
pub mod commands;
pub mod config;
pub mod control_socket;
pub mod diagnostic;
pub mod exit;
pub mod files;
pub mod help;
pub mod ignore;
pub mod inspect;
pub mod json;
pub mod listening;
pub mod logging;
pub mod pid_file;
pub mod policies;
pub mod policy;
pub mod privileges;
pub mod probe;
pub mod processes;
pub mod reload;
pub mod server;
pub mod signals;
pub mod stats;
pub mod status;
pub mod supervisor;
pub mod systemd;
pub mod takeover;
mod terminal;
pub mod text;
pub mod upkeep;
