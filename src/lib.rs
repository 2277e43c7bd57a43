//! `flashpolicyd`, a Flash socket policy server: a synchronous server with a fixed pool of threads.
//!
//! # The life of a connection
//! 1. An acceptor (`server/acceptor.rs`, one thread for each listener) accepts it. It gets an entry
//!    in the table of connections and a position in the queue (`server/places.rs`), where sources
//!    take turns. At the limit of connections another one is evicted.
//! 2. A job of the thread pool (`server/service.rs`) takes the next connection and serves it as far
//!    as possible without waiting (`server/connection.rs`): it reads the request (`server/intake.rs`,
//!    `server/request.rs`), and sends the policy and its NUL in one write. Behind a load balancer a
//!    PROXY header comes first, which names the client (`server/proxy.rs`).
//! 3. A client may not have sent its request, not have read its answer, or not have closed its side.
//!    Then the poller (one thread and one `epoll`, in `server/service.rs`) holds the connection until
//!    an event or the deadline. After that the connection is in the queue again. No thread ever
//!    waits for a single client.
//! 4. The close causes no reset: the end of the stream is sent first, and for a while the bytes that
//!    still arrive are read and dropped.
//!
//! # Threads
//! The main thread starts the server ([`startup`]) and is then the [`supervisor`]. There are one thread for signals ([`signals`]), one for all
//! work with files ([`housekeeping`]), one for the control socket ([`control_socket`]), and one for each
//! destination of the log ([`logging`]), so that no worker waits for a disk.
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
