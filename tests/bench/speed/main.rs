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
    let outcomes: Vec<String> = (1..=REQUESTS)
        .filter_map(|number| match ask(number, running.address()) {
            Ok(answer) if answer == expected => None,
            Ok(answer) => Some(format!("{} other bytes", answer.len())),
            Err(error) => Some(error.to_string()),
        })
        .collect();
    let lines = running.log().map(|log| {
        let log = std::fs::read_to_string(log).unwrap();
        log.lines().count()
    });
    println!(
        "{:<28} {:>5} bytes: {:>2} ok, {:>2} failed {}; {} lines of log; processes {:?}",
        server.label,
        expected.len(),
        usize::from(REQUESTS) - outcomes.len(),
        outcomes.len(),
        outcomes.first().map_or("", |failure| failure),
        lines.unwrap_or(0),
        running.pids()
    );
}

fn ask(from: u8, to: SocketAddr) -> std::io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from(([127, 0, 0, 100 + from], 0)).into())?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    (&socket).write_all(REQUEST)?;
    let mut answer = Vec::new();
    (&socket).read_to_end(&mut answer)?;
    Ok(answer)
}
