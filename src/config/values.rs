//! The values of the configuration: text becomes addresses, paths, numbers, times and choices. It
//! knows no keys and opens no file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use log::LevelFilter;

use crate::output::text::shown;
use crate::policy::{MASTER_PORT, ParseError};

/// Whether log lines also go to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogConsole {
    /// When standard output is a terminal.
    Auto,
    /// Always.
    Yes,
    /// Never.
    No,
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The address and port.
    pub address: SocketAddr,
    /// Whether a load balancer stands before it: every connection begins with a PROXY header.
    pub proxy: bool,
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        let proxy = false;
        Listen { address, proxy }
    }
}

impl Listen {
    /// The port on which players find its policy; none where the system will choose it, since
    /// nobody can rely on such a port. Behind a load balancer it is the balancer's port, which is
    /// taken to be 843.
    pub fn players_port(&self) -> Option<u16> {
        match self.address.port() {
            _ if self.proxy => Some(MASTER_PORT),
            0 => None,
            port => Some(port),
        }
    }
}

/// A value that is wrong, and to which what the key takes is the cure.
fn wrong(cause: impl Into<String>) -> ParseError {
    ParseError::new(cause, "")
}

/// A listener, and its policy file where it has one of its own.
pub(super) fn listen(value: &str, folder: &Path) -> Result<(Listen, Option<PathBuf>), ParseError> {
    let Some((address, rest)) = value.split_once([' ', '\t']) else {
        return address_and_port(value).map(|address| (address.into(), None));
    };
    let rest = rest.trim();
    let (proxy, rest) = match rest.strip_prefix("proxy") {
        Some("") => (true, None),
        Some(after) if after.starts_with([' ', '\t']) => (true, Some(after.trim_start())),
        _ => (false, Some(rest)),
    };
    let policy_file = match rest.map(|rest| (rest, rest.strip_prefix("policy="))) {
        None => None,
        Some((_, Some(""))) => return Err(wrong("the policy's file is missing")),
        Some((_, Some(file))) if file.ends_with(" proxy") || file.ends_with("\tproxy") => {
            return Err(wrong("'proxy' stands before 'policy=FILE'"));
        }
        Some((_, Some(file))) => Some(folder.join(file)),
        Some((rest, None)) => return Err(wrong(format!("'{}' is not understood", shown(rest)))),
    };
    let address = address_and_port(address)?;
    Ok((Listen { address, proxy }, policy_file))
}

fn address_and_port(value: &str) -> Result<SocketAddr, ParseError> {
    if let Ok(address) = value.parse() {
        return Ok(address);
    }
    let everywhere = |port: u16| {
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        format!("for every address of the host write [::]:{port} or {v4}")
    };
    if let Ok(port) = value.parse() {
        return Err(ParseError::new("the address is missing", everywhere(port)));
    }
    if let Ok(ip) = value.parse::<IpAddr>() {
        let address = match ip {
            IpAddr::V6(ip) => format!("[{ip}]"),
            IpAddr::V4(ip) => ip.to_string(),
        };
        let cure = format!("write {address}:{MASTER_PORT}");
        return Err(ParseError::new("the port is missing", cure));
    }
    let parts = value.rsplit_once(':');
    Err(match parts.map(|(name, port)| (name, port, port.parse())) {
        Some(("*", _, Ok(port))) => ParseError::new("`*` is no address", everywhere(port)),
        Some(("localhost", port, _)) => ParseError::new(
            "names are not looked up",
            format!("write 127.0.0.1:{port} or [::1]:{port}"),
        ),
        Some((_, port, Err(_))) if port.bytes().all(|b| b.is_ascii_digit()) => {
            ParseError::new("there is no such port", "the last port is 65535")
        }
        _ => wrong("not an IP address and a port"),
    })
}

pub(super) fn whole_number(value: &str, range: RangeInclusive<usize>) -> Result<usize, ParseError> {
    let number = value.parse().map_err(|_| wrong("not a whole number"))?;
    within(number, range)
}

/// From 0.1 s to an hour.
pub(super) fn seconds(value: &str) -> Result<Duration, ParseError> {
    let number = value.parse().map_err(|_| wrong("not a number"))?;
    within(number, 0.1..=3600.0).map(Duration::from_secs_f64)
}

/// A number of bytes with a decimal unit: 1M is below a limit of 1 MB and of 1 MiB.
pub(super) fn bytes(value: &str) -> Result<u64, ParseError> {
    let units = [("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];
    within(unit(value, &units)?, 10_000..=u64::MAX)
}

pub(super) fn time_with_unit(value: &str) -> Result<Duration, ParseError> {
    let seconds = unit(value, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86400)])?;
    within(seconds, 1..=31_536_000).map(Duration::from_secs)
}

/// A whole number with one of these units behind it, or with none.
fn unit(value: &str, units: &[(&str, u64)]) -> Result<u64, ParseError> {
    let found = units
        .iter()
        .find_map(|(name, factor)| Some((value.strip_suffix(name)?, *factor)));
    let (number, factor) = found.unwrap_or((value, 1));
    let number = number.parse::<u64>();
    let number = number.map_err(|_| wrong("not a whole number with a unit"))?;
    number.checked_mul(factor).ok_or_else(out_of_range)
}

fn within<T: PartialOrd>(number: T, range: RangeInclusive<T>) -> Result<T, ParseError> {
    let is_within = range.contains(&number);
    is_within.then_some(number).ok_or_else(out_of_range)
}

fn out_of_range() -> ParseError {
    wrong("out of range")
}

pub(super) fn log_level(value: &str) -> Result<LevelFilter, ParseError> {
    match value {
        "error" => Ok(LevelFilter::Error),
        "warn" => Ok(LevelFilter::Warn),
        "info" => Ok(LevelFilter::Info),
        "debug" => Ok(LevelFilter::Debug),
        _ => Err(no_choice()),
    }
}

pub(super) fn log_console(value: &str) -> Result<LogConsole, ParseError> {
    match value {
        "auto" => Ok(LogConsole::Auto),
        "yes" => Ok(LogConsole::Yes),
        "no" => Ok(LogConsole::No),
        _ => Err(no_choice()),
    }
}

fn no_choice() -> ParseError {
    wrong("not one of the choices")
}
