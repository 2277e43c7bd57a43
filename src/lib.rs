//! `flashpolicyd`, a Flash socket policy server with a fixed pool of blocking workers.
//!
//! # The life of a connection
//! 1. An accept loop (`server/acceptor.rs`, one for each listener) takes it from the kernel,
//!    always, and offers it to the admission (`server/admission.rs`) as pending. When too many are
//!    pending, the address that holds the most loses its newest one, closed at once.
//! 2. An idle worker takes the next one: addresses take turns, and each address's own connections
//!    are first come, first served. From here on the client has 3 seconds.
//! 3. Behind a load balancer its first bytes are a header (`server/proxy.rs`) that says whose it is;
//!    from then on it counts by the client that was named.
//! 4. The worker (`server/connection.rs`) reads until the bytes are a policy request, cannot become
//!    one any more (`server/request.rs`), or the deadline has passed.
//! 5. It answers with the policy and its NUL in one write.
//! 6. `server/linger.rs` closes it so that the client sees a clean end and never a reset.
//!
//! Every step leaves its line in the log; `logging` never makes a worker wait for that.
//!
//! # Who knows what
//! Data goes one way: `main -> cli -> config -> policy -> server`. [`policy`], [`server::request`]
//! and [`server::proxy`] are pure; only `server/connection.rs` talks to clients; only [`control`]
//! knows signals; only [`logging`] knows log files. [`commands`] puts them together, a file for
//! each command. [`probe`] is the other side: the player's.
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
pub mod control;
pub mod diagnostic;
pub mod exit;
pub mod ignore;
pub mod inspect;
pub mod json;
pub mod logging;
pub mod notify;
pub mod pid_file;
pub mod policy;
pub mod privileges;
pub mod probe;
pub mod reload;
mod root;
pub mod served;
pub mod server;
pub mod stats;
mod terminal;
pub mod text;
pub mod upkeep;
