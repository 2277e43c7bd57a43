//! `flashpolicyd`, a Flash socket policy server: a synchronous server with a fixed pool of threads,
//! and the player's side, which asks such a server and says what is wrong.
//!
//! # The map
//! ```text
//!             main ── cli            the command line, its options, the help
//!                      │
//!            ┌─────────┴─────────┐
//!         daemon ────────────> player        Linux alone       every system
//!       server, log, start,   probe, check,
//!       stop, reload, status  explain, policy
//!            └─────────┬─────────┘
//!                   config           flashpolicy.conf, its policies, its mistakes
//!                      │
//!                   policy           the rules of players; pure
//!                      │
//!              output, system        text and findings; opening a file
//! ```
//! 1. [`policy`] reads, checks, writes and decides. Its rules, with their sources, are `policy/rules.md`.
//! 2. [`config`] makes a [`Config`](config::Config) of a file and options; `config/keys.rs` has one
//!    entry for each key, `config/policies.rs` says which listener serves which policy.
//! 3. [`player`] is what runs where the player is: it opens connections, and serves none.
//! 4. [`daemon`] is what serves: `daemon/server` connections, `daemon/logging` the log,
//!    `daemon/commands` what the user types. Only it names signals, users and `/proc`. Where it is
//!    not, `no_daemon.rs` says so.
//! 5. [`cli`] knows the command line and the pages of the help; it calls the rest.
//! 6. [`output`] has what all say things with; `system` opens files, each system in its way.
//!
//! A module imports only what stands below it. `tests/architecture.rs` has the order of all modules,
//! which of them are pure, and which are for Linux; it fails where a `use` breaks that.
//!
//! # A connection
//! 1. The workers (`daemon/server/workers.rs`, a fixed pool, some for each listener) block in
//!    `accept` on the listener's shared socket. The kernel gives a connection to exactly one of them
//!    (`acceptor.rs`); while all of them serve, it keeps the others in its backlog.
//! 2. That worker serves it as far as possible without waiting (`connection.rs`): it reads the
//!    request (`request.rs`), sends the policy and its NUL in one write, and closes. Behind a load
//!    balancer a PROXY header comes first, which names the client (`proxy.rs`). Most connections end
//!    here, and enter no table.
//! 3. A client may not have sent its request, not take its answer, or not have closed its side. Then
//!    the poller (`poller.rs`, one thread and one `epoll`) has the connection and serves it when an
//!    event comes or its deadline passes. No worker ever waits for a client. At the limit of
//!    connections that wait, another one is evicted (`table.rs`), after a last try to serve it.
//! 4. The close causes no reset: the end of the stream is sent first, and for a while the bytes that
//!    still arrive are read and dropped.
//!
//! Only `daemon/server/connection.rs` reads from clients and writes to them.
//!
//! # A log line
//! 1. A worker has a line about a client: `daemon/server/client_lines.rs` decides whether this source
//!    gets one, and counts it if not. Bytes of the client are escaped (`output/text.rs`).
//! 2. The macros of `log` hand it to `daemon/logging`, where simplelog gives it time and level.
//! 3. Each destination (the file, the console) has a queue and a thread (`queue.rs`, `writer.rs`), so
//!    that nobody waits for a disk; a full queue loses lines, and the next line says how many.
//! 4. `file.rs` writes to the file, begins a new one where it is too large or was moved, and keeps what
//!    cannot be written until it can.
//!
//! # A reload
//! 1. SIGHUP (`daemon/signals.rs`), `flashpolicyd reload` (`daemon/control_socket`) or a changed file
//!    asks the housekeeping thread (`daemon/housekeeping.rs`), which does all work with files.
//! 2. `daemon/reload.rs` reads the configuration and every policy. One error, and the last good state
//!    stays; the log, the status and the command say why.
//! 3. Else the server (`daemon/server`) gets the new policies in one step: a connection has the old one
//!    or the new one, whole. What needs a restart is named.
//!
//! # Threads of a server
//! The main thread starts it (`daemon/startup.rs`, a type for each step) and is then the supervisor
//! (`daemon/supervisor.rs`). There are the workers, the poller, one thread for signals, one for all work
//! with files, one for the control socket, and one for each destination of the log.
//!
//! # Words
//! - **policy**: the XML that a player asks for; **grant**: one `allow-access-from` or `allow` line.
//! - **meta-policy**: which policies a host permits; **master policy**: the one on port 843.
//! - **listener**: an address, a port and its policy; **worker**: a thread that accepts and serves.
//! - **deadline**: when a connection ends at the latest; **eviction**: an early end, to make room.
//! - **linger**: reading on after the answer, so that the close resets nothing; **drain**: the end of a
//!   stop, in which accepted clients still get their answer.
//! - **source**: the addresses that count as one client (an IPv4 address, an IPv6 /64).
//! - **exchange**: one question of the probe with its answer; **class**: what an answer is.
//! - **verdict**: may this SWF connect; **denial**: why not, with a **refusal** for each grant.
//! - **finding**: what is wrong in a file, with its **place**, its **code**, its **cause**, and its
//!   **cure**: what to do.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
pub mod config;
#[cfg_attr(not(target_os = "linux"), path = "no_daemon.rs")]
pub mod daemon;
pub mod output;
pub mod player;
pub mod policy;
mod system;
