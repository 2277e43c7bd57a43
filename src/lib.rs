//! `flashpolicyd`, a Flash socket policy server: a synchronous server with a fixed pool of threads.
//!
//! # The life of a connection
//! 1. The workers (`server/workers.rs`, a fixed pool, some for each listener) block in `accept` on
//!    the listener's shared socket. The kernel gives a connection to exactly one of them
//!    (`server/acceptor.rs`); while all of them serve, it keeps the others in its backlog.
//! 2. That worker serves it as far as possible without waiting (`server/connection.rs`): it reads the
//!    request (`server/intake.rs`, `server/request.rs`), sends the policy and its NUL in one write,
//!    and closes. Behind a load balancer a PROXY header comes first, which names the client
//!    (`server/proxy.rs`). Most connections end here, and enter no table.
//! 3. A client may not have sent its request, not take its answer, or not have closed its side. Then
//!    the poller (`server/poller.rs`, one thread and one `epoll`) has the connection and serves it
//!    when an event comes or its deadline passes. No worker ever waits for a client. At the limit of
//!    connections that wait, another one is evicted (`server/table.rs`), after a last try to serve
//!    it.
//! 4. The close causes no reset: the end of the stream is sent first, and for a while the bytes that
//!    still arrive are read and dropped.
//!
//! # Threads
//! The main thread starts the server ([`startup`]) and is then the [`supervisor`]. There are one
//! thread for signals ([`signals`]), one for all work with files ([`housekeeping`]), one for the
//! control socket ([`control_socket`]), and one for each destination of the log ([`logging`]), so that
//! no worker waits for a disk.
//!
//! # Who imports whom
//! A module imports only modules of later lines. `tests/architecture.rs` has the order of all modules
//! and fails where a `use` breaks it.
//! 1. `main`, [`commands`]: a command for each file
//! 2. [`startup`], [`supervisor`], [`housekeeping`], [`reload`], [`control_socket`]: a running server
//!    besides serving
//! 3. [`cli`], [`help`], [`probe`]: the command line, its reference, and the player's side
//! 4. [`inspect`], [`status`], [`server`], [`policies`]: the configuration checked, shown and served
//! 5. [`privileges`], [`pid_file`], [`logging`], [`signals`], [`systemd`], [`stats`]
//! 6. [`config`], [`advice`], [`json`], `allow`, [`ignore`]: settings, and what to change
//! 7. [`policy`]: reading, checking, writing and deciding; pure
//! 8. [`diagnostic`], `terminal`, [`files`], [`listening`], [`processes`], [`protocols`], [`exit`], [`text`]
//!
//! Only `server/connection.rs` reads from clients and writes to them, only [`signals`] handles
//! signals, only [`logging`] writes log files, and only [`files`] opens files by name where other
//! users may write.

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
pub mod housekeeping;
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
pub mod protocols;
pub mod reload;
pub mod server;
pub mod signals;
pub mod startup;
pub mod stats;
pub mod status;
pub mod supervisor;
pub mod systemd;
mod terminal;
pub mod text;
