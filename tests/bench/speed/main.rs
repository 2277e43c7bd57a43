//! Starts each server that can be measured, and checks what it answers.
//!
//! ```sh
//! cargo bench --bench speed                  # all of them
//! cargo bench --bench speed -- nginx haproxy # these
//! ```
//!
//! It measures nothing yet. All traffic is loopback's.

mod servers;
#[path = "../../support/mod.rs"]
mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use servers::{Running, Server};
use socket2::{Domain, Socket, Type};
use support::{BUILT_IN, PATIENCE, REQUEST};

const REQUESTS: u8 = 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, policy_file] = &arguments[..] {
        if first == "floor" {
            servers::be_the_floor(Path::new(policy_file));
        }
    }
    // `cargo test --benches` runs this too.
    if !arguments.iter().any(|argument| argument == "--bench") {
        return;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let folder = tempfile::tempdir().unwrap();
    let short = &BUILT_IN[..BUILT_IN.len() - 1];
    let mut long = short.to_vec();
    let end = long.len() - "</cross-domain-policy>".len();
    let grant =
        b"<!-- $1 \\t 'x' --><allow-access-from domain=\"*.example.com\" to-ports=\"2001\" />";
    let grants = grant.iter().copied().cycle();
    let count = (16 * 1024 - long.len()) / grant.len() * grant.len();
    long.splice(end..end, grants.take(count));
    for server in Server::all() {
        if !wanted.is_empty() && !wanted.iter().any(|key| *key == server.key) {
            continue;
        }
        for policy in [short, &long] {
            let running = match server.start(folder.path(), policy) {
                Ok(running) => running,
                Err(missing) => {
                    println!("{:<28} skipped: {}", server.label, missing.0);
                    continue;
                }
            };
            check(&server, &running, policy);
        }
    }
}

fn check(server: &Server, running: &Running, policy: &[u8]) {
    let expected = [policy, if server.nul { b"\0" } else { b"" }].concat();
    let (mut whole, mut resets) = (0, 0);
    for number in 1..=REQUESTS {
        let (answer, clean) = ask(number, running.address()).unwrap_or_default();
        whole += u32::from(answer == expected);
        resets += u32::from(!clean);
    }
    let good = whole == u32::from(REQUESTS) && (resets == 0 || !server.reads_the_request);
    println!(
        "{:<28} {:>5} bytes: {}, {whole} of {REQUESTS} came whole, {resets} ended with a reset; \
         processes {:?}",
        server.label,
        expected.len(),
        if good { "ok" } else { "FAILED" },
        running.pids()
    );
}

/// What came, and whether it ended without a reset.
fn ask(from: u8, to: SocketAddr) -> std::io::Result<(Vec<u8>, bool)> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 100 + from], 0)).into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    let sent = (&socket).write_all(REQUEST);
    let mut answer = Vec::new();
    let ended = (&socket).read_to_end(&mut answer);
    Ok((answer, sent.is_ok() && ended.is_ok()))
}
