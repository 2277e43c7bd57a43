//! What a first run shows on a terminal, in place of the log lines of the start. It decides nothing,
//! and knows what `status` knows.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::daemon::status::{ServedPolicy, Status};
use crate::output::terminal;
use crate::policy::MASTER_PORT;

/// At most six lines: where the server listens, what it serves in words, where the log is, and what
/// to do next.
pub(super) fn greeting(status: &Status, served: &[ServedPolicy]) -> String {
    let words = served.iter().flat_map(|policy| &policy.words);
    let words: Vec<_> = words.map(String::as_str).collect();
    let log = match &status.log {
        Some(log) => format!("the log is {log}"),
        None => "there is no log file".into(),
    };
    let ask = status
        .listeners
        .first()
        .map_or_else(String::new, |listener| question(&listener.address));
    let lines = [
        format!(
            "flashpolicyd {} listens on {}{}; ctrl-c stops it",
            status.version,
            status.addresses(),
            reach(status)
        ),
        format!("Policy: {}", words.join(" ")),
        format!("Each client leaves two lines below; {log}"),
        format!("Ask it, in another terminal: {ask}"),
        match &status.configuration {
            Some(file) => format!("Your own policy: 'allow' lines in {file}"),
            None => "Your own policy: flashpolicyd help config >flashpolicy.conf".into(),
        },
        "Everything else: flashpolicyd help".into(),
    ];
    let style = terminal::stdout();
    lines.map(|line| style.wrap(&line, 2) + "\n").concat()
}

/// From where clients can connect, where that is not from everywhere.
fn reach(status: &Status) -> &'static str {
    let is_here = |address: &str| {
        let address = address.parse::<SocketAddr>();
        address.is_ok_and(|address| address.ip().is_loopback())
    };
    if status.listeners.iter().all(|l| is_here(&l.address)) {
        " (this host only)"
    } else {
        ""
    }
}

/// The command that asks this server.
fn question(address: &str) -> String {
    let Ok(address) = address.parse::<SocketAddr>() else {
        return "flashpolicyd probe localhost".into();
    };
    let host = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    match address.port() {
        MASTER_PORT => format!("flashpolicyd probe {host}"),
        port => format!("flashpolicyd probe {host} --port {port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::status::ListenerStatus;

    #[test]
    fn it_has_six_lines_and_a_command_that_asks_this_server() {
        for (address, command) in [
            ("127.0.0.1:8843", "flashpolicyd probe 127.0.0.1 --port 8843"),
            ("[::]:843", "flashpolicyd probe ::1\n"),
            ("0.0.0.0:843", "flashpolicyd probe 127.0.0.1\n"),
        ] {
            let status = Status {
                version: "1".into(),
                log: Some("/x.log".into()),
                listeners: vec![ListenerStatus {
                    address: address.into(),
                    proxy: false,
                }],
                ..Status::default()
            };
            let served = ServedPolicy {
                words: vec!["Any content.".into()],
                ..ServedPolicy::default()
            };
            let text = greeting(&status, &[served]);
            assert_eq!(text.lines().count(), 6, "{text}");
            for part in [address, command, "Any content.", "/x.log", "help config"] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
    }
}
