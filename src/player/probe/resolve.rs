//! The addresses of a host, from the system's resolver, within a limited time. It connects to
//! nothing.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::output::text::{each_once, reason};
use crate::policy::Host;

/// The addresses of the host, each once, in the system's order.
///
/// # Errors
/// The resolver's own words, printable, on one line.
pub(super) fn resolve(host: &Host, within: Duration) -> Result<Vec<IpAddr>, String> {
    let name = match host {
        Host::Ip(ip) => return Ok(vec![*ip]),
        Host::Name(name) => name.clone(),
    };
    // The system bounds this too, but at its own discretion.
    let (sender, receiver) = mpsc::channel();
    let resolver = move || {
        let _ = sender.send((name.as_str(), 0).to_socket_addrs());
    };
    thread::Builder::new()
        .spawn(resolver)
        .map_err(|error| reason(&error))?;
    let found = receiver
        .recv_timeout(within)
        .unwrap_or_else(|_| Err(io::Error::other("the name server does not answer")))
        .map_err(|error| resolver_error(&error))?;
    let ips = each_once(found.map(|address| address.ip()));
    if ips.is_empty() {
        return Err("the name has none in the DNS or in the hosts file of this computer".into());
    }
    Ok(ips)
}

fn resolver_error(error: &io::Error) -> String {
    let text = reason(error);
    let text = text
        .strip_prefix("failed to lookup address information: ")
        .unwrap_or(&text);
    text.chars().flat_map(char::escape_debug).collect()
}
