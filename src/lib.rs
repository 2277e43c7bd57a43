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
//!              output, system        exit codes, colours; opening a file
//!                      │
//!                   policy           the rules of players; pure, a crate of its own
//! ```
//! 1. [`policy`] reads, checks, writes and decides. Its rules, with their sources, are
//!    `policy/rules.md`. The types of findings and texts are there, too, since it needs them.
//! 2. [`config`] makes a [`Config`](config::Config) of a file and options; `config/keys.rs` has one
//!    entry for each key, `config/policies.rs` says which listener serves which policy.
//! 3. [`player`] is what runs where a player or an operator sits: `probe` asks a server, `check`,
//!    `explain` and `policy` read a configuration. It serves nothing.
//! 4. [`daemon`] is what serves: `daemon/server` connections, `daemon/logging` the log,
//!    `daemon/commands` what the user types, `daemon/host_check.rs` what `check` finds on the host.
//! 5. [`cli`] knows the command line and the pages of the help, and calls the rest: `cli/options.rs` has
//!    one entry for each command and option, `cli/daemon.rs` alone names the daemon
//!    (elsewhere `cli/no_daemon.rs` stands in its place).
//! 6. [`output`] prints; `system` opens files, on Linux with more care.
//!
//! A module imports only what stands below it. `tests/architecture.rs` has the order of all modules,
//! which of them are pure, and which are for Linux; it fails where a `use` breaks that.
//!
//! # A connection
//! 1. The workers (`daemon/server/workers.rs`, a fixed pool, some for each listener) block in
//!    `accept` on the listener's shared socket. The kernel gives a connection to exactly one of them
//!    (`acceptor.rs`); while all of them serve, it keeps the others in its backlog.
//! 2. That worker serves it as far as possible without waiting (`connection.rs`): it reads the
//!    request (`request.rs`), sends the policy and its NUL in one write, and ends its side. Behind a
//!    load balancer a PROXY header comes first, which names the client (`proxy.rs`).
//! 3. A client may not have sent its request, not take its answer, or not have closed its side. Then
//!    the poller (`poller.rs`, one thread and one `epoll`) has the connection and serves it when an
//!    event comes or its deadline passes. No worker ever waits for a client. At the limit of
//!    connections that wait, another one is evicted (`table.rs`), after a last try to serve it.
//! 4. The close causes no reset: the end of the stream is sent first, and for a while the bytes that
//!    still arrive are read and dropped. Under load, a client whose bytes have all been read is closed
//!    at once, and never enters the table.
//!
//! Only `daemon/server/connection.rs` reads from clients and writes to them.
//!
//! # A log line
//! 1. A worker has a line about a client: `daemon/server/client_lines.rs` decides whether this source
//!    gets one, and counts it if not. Bytes of the client are escaped (`policy/text.rs`).
//! 2. The macros of `log` hand it to `daemon/logging`, where simplelog gives it time and level.
//! 3. Each destination (the file, the console) has a queue and a thread (`queue.rs`, `writer.rs`), so
//!    that nobody waits for a disk; a full queue loses lines, and the next line says how many.
//! 4. `file.rs` writes to the file, and begins a new one where it is too large or was moved.
//!
//! # A reload
//! 1. SIGHUP (`daemon/signals.rs`, `daemon/supervisor.rs`) or `flashpolicyd reload`
//!    (`daemon/control_socket`) asks the housekeeping thread (`daemon/housekeeping.rs`), which does all
//!    work with files. It also finds a changed policy file by itself.
//! 2. `daemon/reload.rs` reads the configuration and every policy, or after a change the policies
//!    alone. One error, and the last good state stays; the log, the status and the command say why.
//! 3. Else each listener (`daemon/server/endpoint.rs`) gets its new policy: a connection has the old one
//!    or the new one, whole. What needs a restart is named.
//!
//! # Threads of a server
//! The main thread starts it (`daemon/startup.rs`, a type for each step) and is then the supervisor
//! (`daemon/supervisor.rs`). There are the workers, the poller, those for signals, one for all work with
//! files, those of the control socket, and one for each destination of the log.
//!
//! A second SIGTERM: `daemon/signals.rs` passes it on, `daemon/server/stop.rs` ends at once, and where
//! something hangs, `daemon/signals.rs` ends the process.
//!
//! # Words
//! - **policy**: the XML that a player asks for; **grant**: one `allow-access-from` or `allow` line.
//! - **meta-policy**: which policies a host permits; **master policy**: the one on port 843.
//! - **listener**: an address, a port and its policy; **worker**: a thread that accepts and serves.
//! - **deadline**: when the request has to be complete (`timeout`, 3 s), or the next byte of the policy
//!   taken; **eviction**: an end before that, to make room.
//! - **linger**: reading on after the answer, so that the close resets nothing.
//! - **source**: the addresses that count as one client (an IPv4 address, an IPv6 /64).
//! - **exchange**: one question of the probe with its answer; **step**: an exchange with its role in
//!   what a player does; **remark**: what is wrong with it, of a **class**.
//! - **offer**: a policy as a player takes it on a port; **verdict**: may this SWF connect; **reason**:
//!   why not, and of a policy the **denial**, with a **refusal** for each grant.
//! - **finding**: what is wrong in a policy; **diagnostic**: a finding or a mistake of a configuration
//!   with its **place**, its **code**, its **cause**, and its **cure**: what to do.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

pub mod cli;
pub mod config;
#[cfg(target_os = "linux")]
pub mod daemon;
pub mod output;
pub mod player;
mod system;

/// The rules of policies: a crate of its own, in `src/policy`.
pub use flashpolicy as policy;
