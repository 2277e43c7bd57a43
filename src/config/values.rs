//! The values of the configuration: text becomes addresses, paths, numbers, times and choices. It
//! knows no keys and opens no file.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Listen;
use super::mistakes::Problem;
use crate::policy::MASTER_PORT;
use crate::text::shown;

/// A listener, and its policy file where it has one of its own.
pub(super) fn listen(value: &str, folder: &Path) -> Result<(Listen, Option<PathBuf>), Problem> {
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
        Some((_, Some(""))) => return Err("the policy's file is missing".into()),
        Some((_, Some(file))) if file.ends_with(" proxy") || file.ends_with("\tproxy") => {
            return Err("'proxy' stands before 'policy=FILE'".into());
        }
        Some((_, Some(file))) => Some(folder.join(file)),
        Some((rest, None)) => return Err(format!("'{}' is not understood", shown(rest)).into()),
    };
    let address = address_and_port(address)?;
    Ok((Listen { address, proxy }, policy_file))
}

fn address_and_port(value: &str) -> Result<SocketAddr, Problem> {
    if let Ok(address) = value.parse() {
        return Ok(address);
    }
    let port_of = |text: &str| text.parse::<u16>().ok();
    let everywhere = |port: u16| {
        let v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        format!("for every address of the host write [::]:{port} or {v4}")
    };
    if let Some(port) = port_of(value) {
        return Err(Problem::with_cure(format!(
            "the address is missing; {}",
            everywhere(port)
        )));
    }
    if value.parse::<IpAddr>().is_ok() {
        let address = match value.parse::<IpAddr>() {
            Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
            _ => value.into(),
        };
        return Err(Problem::with_cure(format!(
            "the port is missing; write {address}:{MASTER_PORT}"
        )));
    }
    Err(match value.rsplit_once(':') {
        Some(("*", port)) if port_of(port).is_some() => {
            let port = port_of(port).unwrap_or(MASTER_PORT);
            Problem::with_cure(format!("`*` is no address; {}", everywhere(port)))
        }
        Some(("localhost", port)) => Problem::with_cure(format!(
            "names are not looked up; write 127.0.0.1:{port} or [::1]:{port}"
        )),
        Some((_, port)) if port.bytes().all(|b| b.is_ascii_digit()) && port_of(port).is_none() => {
            Problem::with_cure("there is no such port; the last port is 65535")
        }
        _ => "not an IP address and a port".into(),
    })
}

pub(super) fn path_or_none(value: &str, folder: &Path) -> Option<PathBuf> {
    (value != "none").then(|| folder.join(value))
}

pub(super) fn whole_number(value: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let number = value
        .parse()
        .map_err(|_| String::from("not a whole number"))?;
    within(number, range)
}

pub(super) fn seconds(value: &str, range: RangeInclusive<f64>) -> Result<Duration, String> {
    let number = value.parse().map_err(|_| String::from("not a number"))?;
    within(number, range).map(Duration::from_secs_f64)
}

/// A number of bytes with a decimal unit: 1M is below a limit of 1 MB and of 1 MiB.
pub(super) fn bytes(value: &str) -> Result<u64, String> {
    let number = unit(
        value,
        &[("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)],
    )?;
    within(number, 10_000..=u64::MAX)
}

pub(super) fn time_with_unit(value: &str) -> Result<Duration, String> {
    let seconds = unit(value, &[("s", 1), ("m", 60), ("h", 3600), ("d", 86400)])?;
    within(seconds, 1..=31_536_000).map(Duration::from_secs)
}

/// A whole number with one of these units behind it, or with none.
fn unit(value: &str, units: &[(&str, u64)]) -> Result<u64, String> {
    let found = units
        .iter()
        .find_map(|(name, factor)| Some((value.strip_suffix(name)?, *factor)));
    let (number, factor) = found.unwrap_or((value, 1));
    let number: u64 = number
        .parse()
        .map_err(|_| String::from("not a whole number with a unit"))?;
    number
        .checked_mul(factor)
        .ok_or_else(|| "out of range".into())
}

fn within<T: PartialOrd>(number: T, range: RangeInclusive<T>) -> Result<T, String> {
    if range.contains(&number) {
        Ok(number)
    } else {
        Err("out of range".into())
    }
}

pub(super) fn one_of<T: Copy>(value: &str, choices: &[(&str, T)]) -> Result<T, String> {
    choices
        .iter()
        .find(|(name, _)| *name == value)
        .map(|(_, choice)| *choice)
        .ok_or_else(|| "not one of the choices".into())
}
